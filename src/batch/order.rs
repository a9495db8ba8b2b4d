//! Sequences of different lengths: their order in packed data, and functions that pack and pad their rows.

use std::cmp::Reverse;
use std::iter::repeat_n;

use ndarray::{ArrayD, ArrayViewD, Axis};

use super::BatchSizes;
use crate::error::Error;
use crate::memory::{OutOfMemory, array, checked_len, contiguous, reserved};

/// The name of packed rows in an out-of-memory error.
const PACKED: &str = "packed data";

/// The name of a padded batch in an out-of-memory error.
pub(crate) const PADDED: &str = "padded batch";

/// The order of packed sequences, the longest first.
pub(crate) struct Order {
    /// The sequence at each place in packed order, (N).
    pub(crate) sorted: Vec<usize>,
    /// Number of sequences that have step t, (longest length).
    pub(crate) batch_sizes: Vec<usize>,
}

impl Order {
    /// The order of sequences of these lengths; equal ones keep theirs.
    pub(crate) fn new(lengths: &[usize]) -> Result<Self, Error> {
        let mut sorted = reserved(lengths.len(), "indices")?;
        sorted.extend(0..lengths.len());
        // A stable sort would allocate. No two keys are equal, so an unstable one gives the same order.
        sorted.sort_unstable_by_key(|&n| (Reverse(lengths[n]), n));
        let longest = sorted.first().map_or(0, |&n| lengths[n]);
        let mut batch_sizes = reserved(longest, "batch sizes")?;
        let mut active = lengths.len();
        for t in 0..longest {
            while lengths[sorted[active - 1]] <= t {
                active -= 1;
            }
            batch_sizes.push(active);
        }
        Ok(Order { sorted, batch_sizes })
    }

    /// Packs sequences whose steps have the shape `features`: (rows, *). `row` gives step t of sequence n.
    pub(crate) fn pack<'a, T: Clone + 'a>(
        &self,
        features: &[usize],
        row: impl Fn(usize, usize) -> &'a [T],
    ) -> Result<ArrayD<T>, Error> {
        let too_large = OutOfMemory { what: PACKED, bytes: usize::MAX };
        let rows = self.batch_sizes.iter().try_fold(0_usize, |sum, &size| sum.checked_add(size));
        let shape = [&[rows.ok_or(too_large)?], features].concat();
        let mut data = reserved(checked_len(&shape, PACKED)?, PACKED)?;
        for (t, &size) in self.batch_sizes.iter().enumerate() {
            for &n in &self.sorted[..size] {
                data.extend_from_slice(row(t, n));
            }
        }
        Ok(array(&shape, data))
    }

    /// Packs the sequences of a padded batch, (L, N, *), or (N, L, *) with `batch_first`.
    pub(crate) fn pack_padded<T: Clone>(
        &self,
        padded: &ArrayViewD<'_, T>,
        batch_first: bool,
    ) -> Result<ArrayD<T>, Error> {
        let (second, features) = (padded.len_of(Axis(1)), &padded.shape()[2..]);
        let width = checked_len(features, PACKED)?;
        // Other layouts are rare, and are copied first: reading them row by row is slow.
        let padded = contiguous(padded, "input")?;
        let rows = padded.as_slice().unwrap_or_default();
        self.pack(features, |t, n| {
            let row = if batch_first { n * second + t } else { t * second + n };
            &rows[row * width..][..width]
        })
    }
}

/// Checks that there is a length for each of `batch` sequences, none beyond `steps`.
pub(crate) fn check_lengths(lengths: &[usize], steps: usize, batch: usize) -> Result<(), Error> {
    if lengths.len() != batch {
        let what = format!("expected {batch}, one for each sequence, got {}", lengths.len());
        return Err(Error::invalid("lengths", what));
    }
    match lengths.iter().position(|&length| length > steps) {
        Some(row) => {
            let found = lengths[row];
            let limit = format!("at most {steps}, the steps (seq_len) of the input");
            Err(Error::invalid("lengths", format!("expected {limit}, got {found} in row {row}")))
        }
        None => Ok(()),
    }
}

/// L of a padded batch whose longest sequence has `longest` steps.
pub(crate) fn total_steps(longest: usize, total_length: Option<usize>) -> Result<usize, Error> {
    match total_length {
        Some(found) if found < longest => {
            let what = format!("expected at least {longest}, the longest length, got {found}");
            Err(Error::invalid("total_length", what))
        }
        Some(total) => Ok(total),
        None => Ok(longest),
    }
}

/// Pads packed rows to `shape`, (L, N, *). `unsorted[n]` is the place of sequence n in packed order.
pub(crate) fn pad<T: Clone>(
    rows: &[T],
    sizes: &BatchSizes,
    unsorted: Option<&[usize]>,
    shape: &[usize],
    padding: &T,
) -> Result<ArrayD<T>, Error> {
    let width = checked_len(&shape[2..], PADDED)?;
    filled(shape, padding, |t, n| {
        let place = unsorted.map_or(n, |unsorted| unsorted[n]);
        let found = t < sizes.steps() && place < sizes.size(t);
        found.then(|| &rows[(sizes.offset(t) + place) * width..][..width])
    })
}

/// A padded batch of this shape, made of its rows; `None` stands for a row of padding.
pub(crate) fn filled<'a, T: Clone + 'a>(
    shape: &[usize],
    padding: &T,
    row: impl Fn(usize, usize) -> Option<&'a [T]>,
) -> Result<ArrayD<T>, Error> {
    let (second, width) = (shape[1], checked_len(&shape[2..], PADDED)?);
    let len = checked_len(shape, PADDED)?;
    let mut padded = reserved(len, PADDED)?;
    // An array of width 0 may have very many rows, which need no work.
    for i in 0..len.checked_div(width).unwrap_or(0) {
        match row(i / second, i % second) {
            Some(row) => padded.extend_from_slice(row),
            None => padded.extend(repeat_n(padding.clone(), width)),
        }
    }
    Ok(array(shape, padded))
}

/// The inverse of a permutation. `name` names it in an error.
pub(crate) fn inverse(indices: &[usize], name: &str) -> Result<Vec<usize>, Error> {
    let mut inverse = reserved(indices.len(), "indices")?;
    inverse.resize(indices.len(), usize::MAX);
    for (place, &index) in indices.iter().enumerate() {
        match inverse.get_mut(index) {
            Some(free) if *free == usize::MAX => *free = place,
            _ => {
                let last = indices.len() - 1;
                let what =
                    format!("{name}: expected each of 0 to {last} once, got {index} at {place}");
                return Err(Error::invalid("packed sequence", what));
            }
        }
    }
    Ok(inverse)
}
