//! `--lengths`: the number of steps of each sequence of a batch.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use elman::files::{Accepts, Header, Source, StoredType, open};

use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::pipeline::packed::{refuse_bool, shown, whole_number};

/// Most sequences of a batch for which a hint writes the lengths out.
const MAX_WRITTEN: usize = 16;

/// Sizes of the padded tensor that the lengths belong to.
pub(crate) struct PaddedSizes {
    pub(crate) batch: usize,
    pub(crate) steps: usize,
    pub(crate) batch_first: bool,
    /// Whether an axis of its own holds the batch.
    pub(crate) batched: bool,
}

/// Reads `5,3,2`, or a tensor of whole numbers; a path that exists wins. The tensor needs one length for each
/// sequence, from 0 to L.
pub(crate) fn read(text: &OsStr, of: &PaddedSizes) -> Result<Vec<usize>> {
    let (place, values) = match list(text, of)? {
        Some(values) => ("--lengths".to_owned(), values),
        None => file(text)?,
    };
    if values.len() != of.batch {
        let word = if of.batch == 1 { "length" } else { "lengths" };
        let message = format!(
            "{place}: expected {} {word}, one for each sequence of the batch, got {}",
            of.batch,
            values.len()
        );
        return Err(with_hint(Data(message), swapped_hint(&values, of)));
    }
    let length = |(row, &value): (usize, &f64)| {
        if let Some(length) = whole_number(value).filter(|&length| length <= of.steps) {
            return Ok(length);
        }
        let message = format!(
            "{place}: row {row}: expected a whole number from 0 to {}, the steps of the input, got {}",
            of.steps,
            shown(value)
        );
        Err(Data(message).into())
    };
    values.iter().enumerate().map(length).collect()
}

/// Refuses a `--total-length` that is shorter than a sequence.
pub(crate) fn check_total(lengths: &[usize], total: Option<usize>) -> Result<()> {
    // The message names the first of the longest sequences.
    let longest = lengths.iter().enumerate().rev().max_by_key(|(_, length)| **length);
    let (Some(total), Some((row, &longest))) = (total, longest) else { return Ok(()) };
    if total >= longest {
        return Ok(());
    }
    let message = format!(
        "--total-length: expected at least {longest}, the length of row {row}, got {total}"
    );
    Err(with_hint(Data(message), hint::set("--total-length", longest.to_string())))
}

/// The lengths of sequences that have all steps, as they are typed; `None` if they are too many.
pub(crate) fn all_steps(batch: usize, steps: usize) -> Option<String> {
    let text = || vec![steps.to_string(); batch].join(",");
    (1..=MAX_WRITTEN).contains(&batch).then(text)
}

/// The other order of the axes, if that axis has as many places as there are lengths.
fn swapped_hint(values: &[f64], of: &PaddedSizes) -> Option<String> {
    // The hint must not fail on the lengths.
    let fits = |&value: &f64| whole_number(value).is_some_and(|length| length <= of.batch);
    let swapped = of.batched && values.len() == of.steps && values.iter().all(fits);
    swapped.then(|| hint::other_axes(of.batch_first, of.steps, "one for each length"))
}

/// Numbers with commas between them; `None` if the text is the name of a file.
fn list(text: &OsStr, of: &PaddedSizes) -> Result<Option<Vec<f64>>> {
    let Some(typed) = text.to_str().filter(|_| !Path::new(text).exists()) else { return Ok(None) };
    let values = typed.split(',').map(|word| word.trim().parse().ok()).collect();
    if let Some(values) = values {
        return Ok(Some(values));
    }
    let extension = Path::new(text).extension().unwrap_or_default();
    let file = matches!(Source::parse(text), Source::Member(..))
        || extension == "npy"
        || extension == "npz";
    if file || !(typed.contains(',') || typed.starts_with(|c: char| c.is_ascii_digit() || c == '['))
    {
        return Ok(None);
    }
    let message =
        format!("--lengths: expected whole numbers as in 5,3,2, or a file, got '{typed}'");
    Err(with_hint(Usage(message), list_hint(typed, of)))
}

/// The same numbers with single commas between them, if they are the lengths of this batch.
fn list_hint(typed: &str, of: &PaddedSizes) -> String {
    let words = typed.split(|c: char| c.is_whitespace() || ",;[]()".contains(c));
    let numbers: Option<Vec<usize>> =
        words.filter(|word| !word.is_empty()).map(|word| word.parse().ok()).collect();
    let right =
        |own: &Vec<usize>| own.len() == of.batch && own.iter().all(|&length| length <= of.steps);
    let Some(numbers) = numbers.filter(right) else { return hint::help() };
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    hint::set("--lengths", numbers.join(","))
}

/// The numbers of a tensor of one axis, or of a table of one column or one row.
fn file(text: &OsStr) -> Result<(String, Vec<f64>)> {
    let file = open(&Source::parse(text), Accepts::Tensor)?.into_tensor()?;
    let place = file.place().to_owned();
    // A mask of the steps has one axis, and holds no lengths.
    refuse_bool(&place, file.header().stored)?;
    let Header { shape: found, stored, .. } = file.header();
    let single = *stored == StoredType::Text && found.contains(&1);
    if found.len() != 1 && !single {
        let message = format!("{place}: expected lengths in shape [batch], got shape {found:?}");
        return Err(Data(message).into());
    }
    Ok((place, file.read::<f64>()?.iter().copied().collect()))
}

/// The error of `--lengths` beside an archive.
pub(crate) fn unwanted(place: &str) -> anyhow::Error {
    let found = "sequences that have their own";
    let message = format!("{place}: expected a padded tensor with --lengths, got {found}");
    with_hint(Usage(message), hint::without(&["--lengths"]))
}
