//! Tensors by name: weights, a packed sequence, the state of a stream, or simply tensors.

use anyhow::{Context, Result};
use elman::files::{Bundle, FileError, StoredType, listed};
use elman::{Checkpoint, CheckpointError, Error, OutOfMemory, is_parameter_name};
use serde_json::{Value, json};

use super::{Description, LISTED_BYTES, pairs, tensor, weights};
use crate::args::{Info, InfoForm};
use crate::explain::one_line;
use crate::pipeline::sequences::{PACKED, read_index};
use crate::pipeline::state::MEMBERS;
use crate::report::{Notes, sizes};

/// Maximum of lengths of sequences in the text, about one line.
const MAX_SHOWN: usize = 20;

/// The kind of a bundle's contents, the lines above its tensors, and the JSON fields before them.
type Contents = (&'static str, Vec<String>, Value);

pub(super) fn describe(mut bundle: Bundle, args: &Info) -> Result<Description> {
    let mut notes = Notes::default();
    let prefix = args.prefix.as_deref();
    if prefix.is_some() || has_parameters(&bundle) {
        let checkpoint = Checkpoint::of_bundle(&mut bundle, None, prefix);
        match checkpoint.map_err(Into::into).and_then(|layer| weights::describe(layer, args)) {
            Ok(description) => return Ok(description),
            // The layer of --prefix is missing.
            Err(error) if prefix.is_some() => return Err(error),
            Err(error) => note_misfit("weights of an RNN", error, &mut notes)?,
        }
    }
    let mut shown: Vec<_> = (0..bundle.entries().len()).collect();
    let mut contents = ("tensors", Vec::new(), json!({}));
    if is_packed(&bundle) {
        match of_packed(&mut bundle, args.report) {
            Ok(packed) => contents = packed,
            Err(error) => note_misfit("packed sequence", error, &mut notes)?,
        }
    } else if let Some(members) = state_members(&bundle) {
        contents = of_state(&mut bundle, members)?;
        shown = vec![members[0]];
    }
    let tensors = shown.into_iter().map(|index| {
        let entry = bundle.entries()[index].clone();
        bundle.charge(LISTED_BYTES + 2 * entry.name.len())?;
        match entry.stored {
            StoredType::Other(_) => Ok(tensor::unread(entry, args)),
            _ => tensor::listed(entry.name, bundle.reader(index)?, args),
        }
    });
    let tensors = Some(tensors.collect::<Result<_, FileError>>()?);
    let (file, format) = (bundle.place().to_owned(), bundle.format().to_string());
    let (kind, lines, fields) = contents;
    Ok(Description { file, kind, format, lines, fields, tensors, notes, ..Description::default() })
}

/// PyTorch's `PackedSequence`, as `rnn pack` and `rnn run` write it.
fn of_packed(bundle: &mut Bundle, form: InfoForm) -> Result<Contents> {
    let data = bundle.entries()[bundle.position(PACKED[0]).unwrap_or(0)].clone();
    let packed = read_index(bundle)?;
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
        ("lengths", listed(lengths.iter().map(ToString::to_string), MAX_SHOWN)),
        step,
    ]);
    if form == InfoForm::Text {
        return Ok(("packed sequence", lines, json!({})));
    }
    bundle.charge(2 * size_of::<Value>() * sequences)?;
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
    let (mut number, mut sum) = (0, 0);
    tensor::for_each_piece(bundle.reader(count)?, |bits| number = bits[0].cast_signed())?;
    tensor::for_each_piece(bundle.reader(fingerprint)?, |bytes| {
        sum = bytes.iter().fold(sum, |sum, byte| sum << 8 | byte);
    })?;
    let (count, fingerprint) = (number, format!("{sum:016x}"));
    let shape = &bundle.entries()[h_n].shape;
    let axes: &[&str] = match shape.len() {
        2 => &["num_layers", "hidden_size"],
        _ => &["num_layers", "batch", "hidden_size"],
    };
    let lines = pairs(&[
        ("count", format!("{count}, the arrays or frames that have gone into it")),
        ("fingerprint", format!("{fingerprint}, of the weights and the nonlinearity")),
        ("h_n", sizes(axes, shape)),
    ]);
    let fields = json!({"count": count, "fingerprint": fingerprint, "axes": axes});
    Ok(("stream state", lines, fields))
}

/// True if a tensor has the name of a parameter of any layer or cell.
fn has_parameters(bundle: &Bundle) -> bool {
    bundle.entries().iter().any(|entry| {
        let name = entry.name.rsplit_once('.').map_or(entry.name.as_str(), |(_, name)| name);
        is_parameter_name(name) || is_parameter_name(&format!("{name}_l0"))
    })
}

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
    notes.notes.push(format!("no {what}: {}{hint}", one_line(&error)));
    Ok(())
}
