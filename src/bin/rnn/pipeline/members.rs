//! The members of an archive of sequences: what they are together, and the one that does not belong.

use std::collections::HashMap;

use elman::files::{Bundle, Entry, StoredType};

use crate::failure::Data;

/// The indices of a batch and of its lengths in an archive that has nothing else.
pub(super) fn lengths_of(bundle: &Bundle) -> Option<(usize, usize)> {
    let entries = bundle.entries();
    let is_lengths = |entry: &Entry| {
        let integer = !entry.stored.is_float() && entry.stored != StoredType::Bool;
        integer && entry.shape.len() == 1 && entry.name.to_lowercase().contains("len")
    };
    let lengths = entries.iter().position(is_lengths).filter(|_| entries.len() == 2)?;
    let tensor = 1 - lengths;
    matches!(entries[tensor].shape.len(), 2 | 3).then_some((tensor, lengths))
}

/// The error for the first member that is no sequence of the width of most others.
pub(super) fn odd_member(bundle: &Bundle) -> Option<anyhow::Error> {
    let entries = bundle.entries();
    let mut widths: HashMap<usize, usize> = HashMap::new();
    for entry in entries {
        if let [_, width] = entry.shape[..] {
            *widths.entry(width).or_default() += 1;
        }
    }
    let (width, most) = widths.into_iter().max_by_key(|(_, count)| *count)?;
    let is_odd = |entry: &Entry| entry.shape.len() != 2 || entry.shape[1] != width;
    let odd = entries.iter().position(is_odd).filter(|_| 2 * most > entries.len())?;
    let (place, found) = (bundle.entry_place(odd), &entries[odd].shape);
    let message = format!(
        "{place}: expected (seq_len, {width}), as {most} of {} members are, got shape {found:?}",
        entries.len()
    );
    Some(Data(message).into())
}
