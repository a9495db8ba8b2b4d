//! PyTorch's packed sequences, and its functions from and to lists and padded batches.
//!
//! The rows of one step are adjacent, step after step; `batch_sizes[t]` rows are active in step t, and never
//! more than in the step before.

mod pack;
mod pad;

use std::borrow::Cow;

use ndarray::{ArrayD, ArrayViewD, Dimension};

use crate::batch::{Batch, BatchSizes, InputForm, inverse};
use crate::error::Error;
use crate::memory::{reserved, values};

pub use pack::{pack_padded_sequence, pack_sequence};
pub use pad::{PaddingSide, pad_packed_sequence, pad_sequence, unpack_sequence, unpad_sequence};

/// Sequences of different lengths without padding, PyTorch's `PackedSequence`: step by step the rows of
/// all sequences that have this step, the longest sequence first.
///
/// The sequences `abc` and `x` have the data `axbc` and the batch sizes 2, 1, 1.
///
/// ```
/// use elman::PackedSequence;
/// use ndarray::arr1;
///
/// let data = arr1(&['a', 'x', 'b', 'c']).into_dyn();
/// let packed = PackedSequence::new(data, vec![2, 1, 1], Some(vec![1, 0]), None)?;
/// // In the original order, `x` is the first of the two.
/// assert_eq!(packed.lengths()?, [1, 3]);
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PackedSequence<T> {
    /// The rows of all steps, (sum of lengths, *).
    pub data: ArrayD<T>,
    /// Number of sequences that have step t, (longest length).
    pub batch_sizes: Vec<usize>,
    /// The original place of each sequence in packed order, (N); `None` if the two orders are the same.
    pub sorted_indices: Option<Vec<usize>>,
    /// The packed place of each sequence in the original order, (N).
    pub unsorted_indices: Option<Vec<usize>>,
}

impl<T> PackedSequence<T> {
    /// A packed sequence of these parts. One of the two lists of indices is enough: each is the inverse of
    /// the other. Indices beyond `batch_sizes[0]` belong to sequences of length 0.
    ///
    /// # Errors
    /// [`Error::Rank`] for data without an axis. [`Error::Invalid`] if a batch size is zero or larger than
    /// the one before, if they do not sum to the rows of `data`, and if the indices are not permutations,
    /// not each other's inverse, or too few. [`Error::OutOfMemory`].
    pub fn new(
        data: ArrayD<T>,
        batch_sizes: Vec<usize>,
        sorted_indices: Option<Vec<usize>>,
        unsorted_indices: Option<Vec<usize>>,
    ) -> Result<Self, Error> {
        let (sorted_indices, unsorted_indices) = match (sorted_indices, unsorted_indices) {
            (Some(sorted), None) => {
                let unsorted = inverse(&sorted, "sorted_indices")?;
                (Some(sorted), Some(unsorted))
            }
            (None, Some(unsorted)) => {
                (Some(inverse(&unsorted, "unsorted_indices")?), Some(unsorted))
            }
            both => both,
        };
        let packed = PackedSequence { data, batch_sizes, sorted_indices, unsorted_indices };
        packed.check()?;
        Ok(packed)
    }

    /// N, the number of sequences, those of length 0 included.
    pub fn batch(&self) -> usize {
        self.sorted_indices.as_ref().map_or(self.active(), Vec::len)
    }

    /// The length of each sequence, (N), in the original order.
    ///
    /// # Errors
    /// Those of [`PackedSequence::new`]: the fields are public and may have changed.
    pub fn lengths(&self) -> Result<Vec<usize>, Error> {
        self.check()?;
        let mut lengths = reserved(self.batch(), "lengths")?;
        lengths.resize(self.batch(), 0);
        for (t, &size) in self.batch_sizes.iter().enumerate() {
            let continuing = self.batch_sizes.get(t + 1).copied().unwrap_or(0);
            for row in continuing..size {
                lengths[self.sorted_indices.as_ref().map_or(row, |sorted| sorted[row])] = t + 1;
            }
        }
        Ok(lengths)
    }

    /// The sequence as a batch for [`Rnn::forward`](crate::Rnn::forward). Its rows are borrowed; the output has
    /// as many, and [`PackedSequence::with_data`] makes it a packed sequence. `h_0` and `h_n` are those of all
    /// N sequences in the original order; a sequence of length 0 keeps its state.
    ///
    /// # Errors
    /// Those of [`PackedSequence::new`], [`Error::Rank`], and [`Error::OutOfMemory`].
    pub fn as_batch(&self) -> Result<Batch<'_, T>, Error>
    where
        T: Clone,
    {
        self.check()?;
        Batch::packed(self.data.view(), &self.batch_sizes, self.sorted_indices.as_deref())
    }

    /// The same sequences with other data, which has as many rows.
    ///
    /// # Errors
    /// Those of [`PackedSequence::new`].
    pub fn with_data<U>(&self, data: ArrayD<U>) -> Result<PackedSequence<U>, Error> {
        let copy = |list: &[usize]| {
            let mut copy = reserved(list.len(), "batch sizes and indices")?;
            copy.extend_from_slice(list);
            Ok::<_, Error>(copy)
        };
        let other = PackedSequence {
            data,
            batch_sizes: copy(&self.batch_sizes)?,
            sorted_indices: self.sorted_indices.as_deref().map(copy).transpose()?,
            unsorted_indices: self.unsorted_indices.as_deref().map(copy).transpose()?,
        };
        other.check()?;
        Ok(other)
    }

    /// Number of sequences with a first step.
    fn active(&self) -> usize {
        self.batch_sizes.first().copied().unwrap_or(0)
    }

    /// Checks that the fields are consistent. They are public, as PyTorch's are, so every reader checks first.
    fn check(&self) -> Result<(), Error> {
        let no_axis = || Error::rank("data", "at least 1 dimension, (rows, *)", &[]);
        let rows = self.data.shape().first().copied().ok_or_else(no_axis)?;
        check_sizes(&self.batch_sizes, rows)?;
        let (sorted, unsorted) = match (&self.sorted_indices, &self.unsorted_indices) {
            (None, None) => return Ok(()),
            (Some(sorted), Some(unsorted)) => (sorted, unsorted),
            _ => return refuse("expected sorted_indices and unsorted_indices, got one of them"),
        };
        check_count(sorted, self.active())?;
        if inverse(sorted, "sorted_indices")? != *unsorted {
            return refuse(
                "unsorted_indices: expected the inverse of sorted_indices, got another list",
            );
        }
        Ok(())
    }
}

impl<'a, T: Clone> Batch<'a, T> {
    /// Rows of step t from sequences that have it, step after step, (rows, `H_in`), as a
    /// [`PackedSequence`](crate::PackedSequence) has them: `batch_sizes[t]` rows of step t. `sorted` is the original
    /// place of each sequence in packed order, (N), or `None`.
    ///
    /// # Errors
    /// Those of [`PackedSequence::new`](crate::PackedSequence::new), and of
    /// [`PackedSequence::as_batch`](crate::PackedSequence::as_batch).
    #[allow(clippy::needless_pass_by_value, reason = "views are taken by value everywhere")]
    pub fn packed(
        data: ArrayViewD<'a, T>,
        batch_sizes: &[usize],
        sorted: Option<&'a [usize]>,
    ) -> Result<Self, Error> {
        let shape = data.raw_dim();
        let &[rows, _] = shape.slice() else {
            return Err(Error::rank("data", "2 dimensions, (rows, H_in)", shape.slice()));
        };
        check_sizes(batch_sizes, rows)?;
        let active = batch_sizes.first().copied().unwrap_or(0);
        if let Some(sorted) = sorted {
            check_count(sorted, active)?;
            inverse(sorted, "sorted_indices")?;
        }
        let rows = match data.to_slice() {
            Some(rows) => Cow::Borrowed(rows),
            None => Cow::Owned(values(&data, "input")?),
        };
        Ok(Batch {
            rows,
            sizes: BatchSizes::new(batch_sizes)?,
            sequences: sorted.map_or(active, <[usize]>::len),
            sorted: sorted.map(Cow::Borrowed),
            shape,
            form: InputForm::Packed,
        })
    }
}

/// Checks that there is an index for each of the `active` sequences with a first step.
fn check_count(sorted: &[usize], active: usize) -> Result<(), Error> {
    let found = sorted.len();
    if found < active {
        return refuse(format!(
            "sorted_indices: expected at least {active}, one for each row of step 0, got {found}"
        ));
    }
    Ok(())
}

/// Checks that batch sizes never grow, that none is zero, and that they sum to the rows of the data.
fn check_sizes(batch_sizes: &[usize], rows: usize) -> Result<(), Error> {
    let (mut before, mut sum) = (usize::MAX, 0_usize);
    for (t, &size) in batch_sizes.iter().enumerate() {
        if size == 0 {
            return refuse(format!("batch_sizes: expected at least 1 row in step {t}, got 0"));
        }
        if size > before {
            let word = if before == 1 { "row" } else { "rows" };
            return refuse(format!(
                "batch_sizes: expected at most {before} {word} in step {t}, as in the step before, got {size}"
            ));
        }
        before = size;
        sum = sum.saturating_add(size);
    }
    if sum != rows {
        return refuse(format!("data: expected {sum} rows, the sum of batch_sizes, got {rows}"));
    }
    Ok(())
}

fn refuse<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::invalid("packed sequence", what))
}

#[cfg(test)]
mod tests {
    use ndarray::{arr0, arr1};

    use super::*;

    fn packed(
        rows: usize,
        batch_sizes: &[usize],
        sorted: Option<&[usize]>,
        unsorted: Option<&[usize]>,
    ) -> Result<PackedSequence<f32>, String> {
        let data = ArrayD::zeros(vec![rows, 2]);
        let [sorted, unsorted] = [sorted, unsorted].map(|indices| indices.map(<[usize]>::to_vec));
        PackedSequence::new(data, batch_sizes.to_vec(), sorted, unsorted)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn inconsistent_parts_are_refused() {
        let refuse = |rows, batch_sizes: &[usize], sorted, unsorted, expected: &str| {
            let found = packed(rows, batch_sizes, sorted, unsorted).unwrap_err();
            assert_eq!(found, format!("packed sequence: {expected}"));
        };
        let zero = "batch_sizes: expected at least 1 row in step";
        refuse(3, &[2, 0, 1], None, None, &format!("{zero} 1, got 0"));
        refuse(0, &[0], None, None, &format!("{zero} 0, got 0"));
        let grows = "batch_sizes: expected at most 2 rows in step 1, as in the step before, got 3";
        refuse(5, &[2, 3], None, None, grows);
        let sum = "data: expected 3 rows, the sum of batch_sizes, got 4";
        refuse(4, &[2, 1], None, None, sum);
        let too_many = format!("data: expected {} rows, the sum of batch_sizes, got 0", usize::MAX);
        refuse(0, &[usize::MAX, 2], None, None, &too_many);
        let twice = "sorted_indices: expected each of 0 to 1 once, got 1 at 1";
        refuse(3, &[2, 1], Some(&[1, 1]), None, twice);
        let beyond = "unsorted_indices: expected each of 0 to 1 once, got 2 at 1";
        refuse(3, &[2, 1], None, Some(&[0, 2]), beyond);
        let few = "sorted_indices: expected at least 2, one for each row of step 0, got 1";
        refuse(3, &[2, 1], Some(&[0]), None, few);
        let other = "unsorted_indices: expected the inverse of sorted_indices, got another list";
        refuse(3, &[3], Some(&[1, 2, 0]), Some(&[1, 2, 0]), other);
        refuse(3, &[2, 1], Some(&[0, 1]), Some(&[0]), other);
        let scalar = PackedSequence::new(arr0(1).into_dyn(), vec![1], None, None);
        let expected = "data: expected at least 1 dimension, (rows, *), got 0 in shape []";
        assert_eq!(scalar.unwrap_err().to_string(), expected);
    }

    #[test]
    fn changed_fields_are_checked_again() {
        let mut packed = packed(3, &[2, 1], Some(&[1, 0]), None).unwrap();
        packed.unsorted_indices = None;
        let expected =
            "packed sequence: expected sorted_indices and unsorted_indices, got one of them";
        assert_eq!(packed.lengths().unwrap_err().to_string(), expected);
        assert_eq!(unpack_sequence(&packed).unwrap_err().to_string(), expected);
        let padded = pad_packed_sequence(&packed, false, 0.0, None);
        assert_eq!(padded.unwrap_err().to_string(), expected);
    }

    #[test]
    fn one_list_of_indices_gives_the_other() {
        let from_sorted = packed(3, &[3], Some(&[2, 0, 1]), None).unwrap();
        let from_unsorted = packed(3, &[3], None, Some(&[1, 2, 0])).unwrap();
        assert_eq!(from_sorted, from_unsorted);
        assert_eq!(from_sorted.unsorted_indices, Some(vec![1, 2, 0]));
    }

    #[test]
    fn indices_beyond_the_first_step_are_sequences_of_length_0() {
        let packed = packed(3, &[2, 1], Some(&[3, 1, 0, 2]), None).unwrap();
        assert_eq!(packed.batch(), 4);
        assert_eq!(packed.lengths().unwrap(), [0, 1, 0, 2]);
        let empty = PackedSequence::new(arr1::<i8>(&[]).into_dyn(), vec![], None, None).unwrap();
        assert_eq!((empty.batch(), empty.lengths().unwrap()), (0, vec![]));
    }
}
