//! `--lengths`: how many steps each sequence of a batch has.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use elman::io::{Header, Source, StoredType, TensorFile};

use crate::failure::Data;
use crate::sequences::whole_number;

/// Reads `5,3,2`, or a tensor of whole numbers; a path that exists wins. There must be `batch` lengths, and
/// each at most `steps`.
pub(crate) fn read(text: &OsStr, batch: usize, steps: usize) -> Result<Vec<usize>> {
    let (place, values) = match list(text) {
        Some(values) => ("--lengths".to_owned(), values),
        None => file(text)?,
    };
    if values.len() != batch {
        let message = format!(
            "{place}: expected {batch} lengths, one for each sequence of the batch, got {}",
            values.len()
        );
        return Err(Data(message).into());
    }
    let length = |(row, &value): (usize, &f64)| {
        if let Some(length) = whole_number(value).filter(|&length| length <= steps) {
            return Ok(length);
        }
        let message = format!(
            "{place}: row {row}: expected a length from 0 to {steps}, the steps of the input, got {value}"
        );
        Err(Data(message).into())
    };
    values.iter().enumerate().map(length).collect()
}

/// Numbers with commas between them, where the text is nothing else.
fn list(text: &OsStr) -> Option<Vec<f64>> {
    if Path::new(text).exists() {
        return None;
    }
    text.to_str()?.split(',').map(|word| word.trim().parse().ok()).collect()
}

/// The numbers of a tensor of one axis, or of a table of one column or one row.
fn file(text: &OsStr) -> Result<(String, Vec<f64>)> {
    let file = TensorFile::open(&Source::parse(text))?;
    let place = file.place().to_owned();
    let Header { shape: found, stored, .. } = file.header();
    let single = *stored == StoredType::Text && found.contains(&1);
    if found.len() != 1 && !single {
        let message = format!("{place}: expected lengths in shape [batch], got shape {found:?}");
        return Err(Data(message).into());
    }
    Ok((place, file.read::<f64>()?.iter().copied().collect()))
}
