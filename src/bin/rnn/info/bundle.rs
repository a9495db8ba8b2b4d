//! Tensors by name: weights, a packed sequence, the state of a stream, or simply tensors.

use anyhow::{Context, Result};
use elman::files::{Bundle, FileError, StoredType};
use elman::{Checkpoint, CheckpointError, Error, OutOfMemory, is_parameter_name};
use serde_json::{Value, json};

use super::description::{Description, list, merged, pairs, table};
use super::pieces::integers;
use super::{tensor, weights};
use crate::args::Info;
use crate::explain::one_line;
use crate::pipeline::packed::{PACKED, read_index};
use crate::pipeline::state::MEMBERS;
use crate::report::Notes;

/// Most lengths of sequences in the text: a line of them.
const MAX_SHOWN: usize = 20;

/// The kind of a bundle's contents, the lines above its tensors, and the JSON fields before them.
type Contents = (&'static str, Vec<String>, Value);

pub(super) fn describe(mut bundle: Bundle, args: &Info) -> Result<Description> {
    let mut notes = Notes::default();
    if args.of_weights.prefix.is_some() || has_parameters(&bundle) {
        let checkpoint =
            Checkpoint::of_bundle(&mut bundle, None, args.of_weights.prefix.as_deref());
        match checkpoint.map_err(Into::into).and_then(|layer| weights::describe(layer, args)) {
            Ok(description) => return Ok(description),
            // The layer of --prefix is missing.
            Err(error) if args.of_weights.prefix.is_some() => return Err(error),
            Err(error) => note_misfit("weights of an RNN", error, &mut notes)?,
        }
    }
    let all: Vec<_> = (0..bundle.entries().len()).collect();
    if is_packed(&bundle) {
        match of_packed(&mut bundle) {
            Ok(contents) => return described(bundle, &all, contents, args.values),
            Err(error) => note_misfit("packed sequence", error, &mut notes)?,
        }
    }
    if let Some(members) = state_members(&bundle) {
        let contents = of_state(&mut bundle, members)?;
        return described(bundle, &members[..1], contents, args.values);
    }
    let contents = ("tensors", Vec::new(), json!({}));
    Ok(Description { notes, ..described(bundle, &all, contents, args.values)? })
}

/// Reads and describes some of the tensors.
fn described(
    mut bundle: Bundle,
    indices: &[usize],
    (kind, mut lines, fields): Contents,
    values: bool,
) -> Result<Description> {
    let tensors = indices.iter().map(|&index| {
        let name = bundle.entries()[index].name.clone();
        tensor::listed(name, bundle.reader(index)?, values)
    });
    let tensors = tensors.collect::<Result<Vec<_>, FileError>>()?;
    lines.extend(table(&tensors, None));
    let fields = merged(fields, json!({"tensors": list(tensors)}));
    let (place, format) = (bundle.place().to_owned(), bundle.format().to_string());
    Ok(Description { place, kind, format, lines, fields, notes: Notes::default() })
}

/// PyTorch's `PackedSequence`, as `rnn pack` and `rnn run` write it.
fn of_packed(bundle: &mut Bundle) -> Result<Contents> {
    let data = bundle.entries()[bundle.position(PACKED[0]).unwrap_or(0)].clone();
    let packed = read_index(bundle, &data)?;
    let lengths = packed.lengths().with_context(|| bundle.place().to_owned())?;
    let (sequences, longest) = (lengths.len(), packed.batch_sizes.len());
    let sum = data.shape.first().copied().unwrap_or(0);
    let features = if let [_, features] = data.shape[..] { Some(features) } else { None };
    let step = match features {
        Some(features) => ("features", features.to_string()),
        None => ("step", format!("shape {:?}", &data.shape[1..])),
    };
    let lines = pairs(&[
        ("sequences", sequences.to_string()),
        ("longest", longest.to_string()),
        ("sum", sum.to_string()),
        ("lengths", shown(&lengths)),
        step,
    ]);
    let fields = json!({
        "sequences": sequences,
        "longest": longest,
        "sum": sum,
        "lengths": lengths,
        "features": features,
    });
    Ok(("packed sequence", lines, fields))
}

/// The file of `rnn stream --state`.
fn of_state(bundle: &mut Bundle, [h_n, count, fingerprint]: [usize; 3]) -> Result<Contents> {
    let count: i128 = integers(bundle, count)?.iter().sum();
    let bytes = integers(bundle, fingerprint)?;
    let fingerprint = format!("{:016x}", bytes.iter().fold(0, |sum, byte| sum << 8 | byte));
    let shape = &bundle.entries()[h_n].shape;
    let axes: &[&str] = match shape.len() {
        2 => &["num_layers", "hidden_size"],
        _ => &["num_layers", "batch", "hidden_size"],
    };
    let sizes: Vec<_> =
        axes.iter().zip(shape).map(|(axis, size)| format!("{axis} {size}")).collect();
    let lines = pairs(&[
        ("count", format!("{count}, the arrays or frames that have gone into it")),
        ("fingerprint", format!("{fingerprint}, of the weights and the nonlinearity")),
        ("h_n", sizes.join(", ")),
    ]);
    let count = i64::try_from(count).ok();
    let fields = json!({"count": count, "fingerprint": fingerprint, "axes": axes});
    Ok(("stream state", lines, fields))
}

/// True if a tensor has the name of a parameter of any layer.
fn has_parameters(bundle: &Bundle) -> bool {
    bundle.entries().iter().any(|entry| {
        is_parameter_name(entry.name.rsplit_once('.').map_or(entry.name.as_str(), |(_, name)| name))
    })
}

/// True if the names are those of a packed sequence.
fn is_packed(bundle: &Bundle) -> bool {
    PACKED[..2].iter().all(|name| bundle.position(name).is_some())
        && bundle.entries().iter().all(|entry| PACKED.contains(&entry.name.as_str()))
}

/// Indices of a state's members, if the bundle has these alone, with their types.
fn state_members(bundle: &Bundle) -> Option<[usize; 3]> {
    let [h_n, count, fingerprint] = MEMBERS.map(|name| bundle.position(name));
    let members = [h_n?, count?, fingerprint?];
    let entries = bundle.entries();
    let [h_n, count, fingerprint] = members.map(|index| &entries[index]);
    let own = entries.len() == MEMBERS.len()
        && h_n.stored.is_computed()
        && matches!(h_n.shape.len(), 2 | 3)
        && count.stored == StoredType::I64
        && matches!(count.shape[..], [] | [1])
        && fingerprint.stored == StoredType::U8
        && fingerprint.shape == [8];
    own.then_some(members)
}

/// Notes why tensors are not what their names promise. A file that cannot be read remains an error.
fn note_misfit(what: &str, error: anyhow::Error, notes: &mut Notes) -> Result<()> {
    let mut hint = "";
    match error.downcast_ref() {
        Some(CheckpointError::File(_) | CheckpointError::Layer(Error::OutOfMemory(_))) => {
            return Err(error);
        }
        Some(CheckpointError::Weights { source, .. })
            if matches!(**source, CheckpointError::ManyLayers { .. }) =>
        {
            hint = "; --prefix chooses one";
        }
        None if error.is::<FileError>() || error.is::<OutOfMemory>() => return Err(error),
        None if matches!(error.downcast_ref(), Some(Error::OutOfMemory(_))) => return Err(error),
        _ => {}
    }
    notes.note(format!("no {what}: {}{hint}", one_line(&error)));
    Ok(())
}

/// The lengths, or the first of them.
fn shown(lengths: &[usize]) -> String {
    let first: Vec<_> = lengths.iter().take(MAX_SHOWN).map(ToString::to_string).collect();
    match lengths.len() {
        0 => "none".to_owned(),
        all if all > MAX_SHOWN => format!("{} and {} more", first.join(", "), all - MAX_SHOWN),
        _ => first.join(", "),
    }
}
