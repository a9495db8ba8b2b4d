//! A packed sequence: PyTorch's `PackedSequence`, as `rnn pack` and `rnn run` write it.

use anyhow::{Context, Result};
use elman::files::{Bundle, Tensor};
use elman::{Dtype, PackedSequence};
use ndarray::{ArrayD, IxDyn};
use serde_json::json;

use crate::args::Info;
use crate::pipeline::packed::{PACKED, whole_numbers};

use super::description::{Description, pairs};
use super::facts::{self, Facts};

/// Most lengths in the text: a line of them.
const MAX_SHOWN: usize = 20;

/// Whether the names are those of a packed sequence.
pub(super) fn is_packed(bundle: &Bundle) -> bool {
    let names = || bundle.entries().iter().map(|entry| entry.name.as_str());
    PACKED[..2].iter().all(|own| names().any(|name| name == *own))
        && names().all(|name| PACKED.contains(&name))
}

pub(super) fn describe(bundle: &mut Bundle, args: &Info) -> Result<Description> {
    let shape = bundle.entries()[position(bundle, PACKED[0]).unwrap_or(0)].shape.clone();
    let (lengths, longest) = lengths(bundle, &shape)?;
    let facts = Facts::of_all(bundle, args.values)?;
    let sum = shape.first().copied().unwrap_or(0);
    let features = if let [_, features] = shape[..] { Some(features) } else { None };
    let step = match features {
        Some(features) => ("features", features.to_string()),
        None => ("step", format!("shape {:?}", &shape[1..])),
    };
    let mut lines = pairs(&[
        ("sequences", lengths.len().to_string()),
        ("longest", longest.to_string()),
        ("sum", sum.to_string()),
        ("lengths", shown(&lengths)),
        step,
    ]);
    lines.extend(facts::lines(&facts));
    let object = json!({
        "sequences": lengths.len(),
        "longest": longest,
        "sum": sum,
        "lengths": lengths,
        "features": features,
        "tensors": facts::json(&facts),
    });
    Ok(Description::new(bundle.place(), "packed sequence", &bundle.format(), lines, object))
}

/// The length of each sequence in the original order, and the longest one. The data, which may be larger than
/// memory, is replaced by an array without numbers.
fn lengths(bundle: &mut Bundle, shape: &[usize]) -> Result<(Vec<usize>, usize)> {
    let place = bundle.place().to_owned();
    let mut whole = |name: &str| {
        let Some(index) = position(bundle, name) else { return Ok(None) };
        let Tensor::F64(numbers) = bundle.read(index, Some(Dtype::F64))? else { return Ok(None) };
        whole_numbers(&bundle.entry_place(index), &numbers).map(Some)
    };
    let [batch_sizes, sorted, unsorted] = [whole(PACKED[1])?, whole(PACKED[2])?, whole(PACKED[3])?];
    let batch_sizes = batch_sizes.unwrap_or_default();
    let longest = batch_sizes.len();
    let rows = &shape[..shape.len().min(1)];
    let data = ArrayD::from_elem(IxDyn(rows), ());
    let packed = PackedSequence::new(data, batch_sizes, sorted, unsorted);
    let lengths = packed.and_then(|packed| packed.lengths()).context(place)?;
    Ok((lengths, longest))
}

fn position(bundle: &Bundle, name: &str) -> Option<usize> {
    bundle.entries().iter().position(|entry| entry.name == name)
}

/// The lengths, or the first of them.
fn shown(lengths: &[usize]) -> String {
    let first = lengths.iter().take(MAX_SHOWN).map(ToString::to_string).collect::<Vec<_>>();
    let more = lengths.len().saturating_sub(MAX_SHOWN);
    match (first.join(", "), more) {
        (none, 0) if none.is_empty() => "none".to_owned(),
        (all, 0) => all,
        (first, more) => format!("{first} and {more} more"),
    }
}
