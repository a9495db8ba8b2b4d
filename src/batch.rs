//! The canonical batch: time-major, without padding.
//!
//! The rows of one step are adjacent, step after step; [`BatchSizes`] says how many sequences are active in
//! each step, never more than in the step before. Sequences of one length are the case of constant sizes, an
//! unbatched sequence is a batch of one.

mod order;
mod ragged;
mod sizes;

use std::borrow::Cow;

use ndarray::{ArrayD, ArrayViewD, Axis, Dimension, IxDyn, Slice};

use crate::error::Error;
use crate::memory::{array, checked_len, lengthen, reserved, values};

pub(crate) use order::{Order, PADDED, check_lengths, filled, inverse, pad, total_steps};
pub(crate) use sizes::BatchSizes;

/// The output's name in an out-of-memory error.
pub(crate) const OUTPUT: &str = "output";

/// Input of a layer: the rows of one step together, and the form that the output takes from the input.
///
/// A time-major tensor is borrowed, as is a packed sequence; a batch-first tensor, and one of sequences of
/// different lengths, is copied once.
///
/// ```
/// use elman::{Batch, Config, Generator, Options, Rnn};
/// use ndarray::ArrayD;
///
/// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
/// // (N, L, H_in), 2 sequences of 3 and 5 steps
/// let input = ArrayD::ones(vec![2, 5, 10]);
/// let batch = Batch::with_lengths(input.view(), &[3, 5], true)?;
/// let result = rnn.forward(batch, Options::default())?;
/// assert_eq!(result.output.shape(), [2, 5, 20]);
/// assert_eq!(result.output[[0, 3, 0]], 0.0);
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batch<'a, T: Clone> {
    /// The rows of all steps, (rows, `H_in`).
    pub(crate) rows: Cow<'a, [T]>,
    pub(crate) sizes: BatchSizes,
    /// N, the number of sequences, those of length 0 included.
    pub(crate) sequences: usize,
    /// The sequence at each place in packed order, (N); `None` if all N sequences have a first step and stand in
    /// their original order.
    pub(crate) sorted: Option<Cow<'a, [usize]>>,
    /// Shape of the input.
    pub(crate) shape: IxDyn,
    pub(crate) form: InputForm,
}

/// The axes of an input, and of the output that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputForm {
    /// (L, *), a single sequence.
    Unbatched,
    /// (L, N, *).
    TimeMajor,
    /// (N, L, *).
    BatchFirst,
    /// (rows, *), the data of a packed sequence.
    Packed,
    /// (rows, *), one sequence after the other.
    Ragged,
}

/// The elements of a padded output beyond the end of a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding<T> {
    /// The value of each of them.
    pub value: T,
    /// L of the output. `None`: that of the input, unlike in `pad_packed_sequence`.
    pub total_length: Option<usize>,
}

/// The form, L and N of a tensor of sequences.
pub(crate) fn sizes(
    shape: &[usize],
    batch_first: bool,
) -> Result<(InputForm, usize, usize), Error> {
    match *shape {
        [steps, _] => Ok((InputForm::Unbatched, steps, 1)),
        [batch, steps, _] if batch_first => Ok((InputForm::BatchFirst, steps, batch)),
        [steps, batch, _] => Ok((InputForm::TimeMajor, steps, batch)),
        _ => Err(Error::rank("input", "2 or 3 dimensions, (L, H_in) or (L, N, H_in)", shape)),
    }
}

impl<'a, T: Clone> Batch<'a, T> {
    /// Sequences of one length, (L, N, `H_in`), (N, L, `H_in`) with `batch_first`, or a single one,
    /// (L, `H_in`).
    ///
    /// # Errors
    /// [`Error::Rank`] and [`Error::OutOfMemory`].
    pub fn new(input: ArrayViewD<'a, T>, batch_first: bool) -> Result<Self, Error> {
        let shape = input.raw_dim();
        let (form, steps, sequences) = sizes(shape.slice(), batch_first)?;
        let time_major = match form {
            InputForm::BatchFirst => input.permuted_axes(vec![1, 0, 2]),
            _ => input,
        };
        let rows = match time_major.to_slice() {
            Some(rows) => Cow::Borrowed(rows),
            // One copy, because the kernel reads the rows of a step side by side.
            None => Cow::Owned(values(&time_major, "input")?),
        };
        let sizes = BatchSizes::Constant { steps, rows: sequences };
        Ok(Batch { rows, sizes, sequences, sorted: None, shape, form })
    }

    /// The first `lengths[n]` steps of each sequence of a padded batch, (L, N, `H_in`), or (N, L, `H_in`) with
    /// `batch_first`. Lengths may be in any order, and 0. The output is that of `pack_padded_sequence`, the
    /// layer and `pad_packed_sequence`; `h_n` holds the states at the end of each sequence, `h_0` for a
    /// length of 0.
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::Invalid`] for the lengths, and [`Error::OutOfMemory`].
    pub fn with_lengths(
        mut input: ArrayViewD<'a, T>,
        lengths: &[usize],
        batch_first: bool,
    ) -> Result<Self, Error> {
        let shape = input.raw_dim();
        if shape.ndim() != 3 {
            let expected = "3 dimensions, (L, N, H_in), with lengths";
            return Err(Error::rank("input", expected, shape.slice()));
        }
        let (form, steps, sequences) = sizes(shape.slice(), batch_first)?;
        check_lengths(lengths, steps, sequences)?;
        let first = lengths.first().copied().unwrap_or(steps);
        // Sequences of one length are packed already.
        if first > 0 && lengths.iter().all(|&length| length == first) {
            input.slice_axis_inplace(Axis(usize::from(batch_first)), Slice::from(..first));
            return Ok(Batch { shape, ..Batch::new(input, batch_first)? });
        }
        let order = Order::new(lengths)?;
        let (rows, _) = order.pack_padded(&input, batch_first)?.into_raw_vec_and_offset();
        let (rows, sizes) = (Cow::Owned(rows), BatchSizes::new(&order.batch_sizes)?);
        Ok(Batch { rows, sizes, sequences, sorted: Some(Cow::Owned(order.sorted)), shape, form })
    }

    /// The step of a row, and its sequence.
    pub(crate) fn place(&self, row: usize) -> (usize, usize) {
        let (step, place) = self.sizes.place(row);
        (step, self.sorted.as_ref().map_or(place, |sorted| sorted[place]))
    }

    /// The same sequences with other numbers, a row of `features` for each row.
    pub(crate) fn with_rows<U: Clone>(self, rows: Vec<U>, features: usize) -> Batch<'a, U> {
        let Batch { sizes, sequences, sorted, mut shape, form, .. } = self;
        if let Some(last) = shape.slice_mut().last_mut() {
            *last = features;
        }
        Batch { rows: Cow::Owned(rows), sizes, sequences, sorted, shape, form }
    }

    /// The numbers of all steps, packed, (rows, features); those of a single sequence in its order.
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// N, the number of sequences.
    pub fn sequences(&self) -> usize {
        self.sequences
    }

    /// N, or `None` for unbatched input.
    pub(crate) fn batched(&self) -> Option<usize> {
        (self.form != InputForm::Unbatched).then_some(self.sequences)
    }

    /// L of the input.
    pub(crate) fn steps(&self) -> usize {
        match self.form {
            InputForm::Packed | InputForm::Ragged => self.sizes.steps(),
            InputForm::BatchFirst => self.shape[1],
            InputForm::Unbatched | InputForm::TimeMajor => self.shape[0],
        }
    }

    /// Gives an output, (rows, `features`), the form of the input.
    pub(crate) fn restore<U: Clone>(
        &self,
        mut output: Vec<U>,
        features: usize,
        padding: &Padding<U>,
    ) -> Result<ArrayD<U>, Error> {
        if self.form == InputForm::Packed {
            return Ok(array(&[self.sizes.rows(), features], output));
        }
        if self.form == InputForm::Ragged {
            return self.in_sequence(&output, features);
        }
        let shape = [padding.total_length.unwrap_or(self.steps()), self.sequences, features];
        let mut output = if let Some(sorted) = &self.sorted {
            // Another copy. Moving the rows apart in place was measured and is no faster: allocating the memory takes
            // longer than the copy.
            let unsorted = inverse(sorted, "sorted_indices")?;
            pad(&output, &self.sizes, Some(&unsorted), &shape, &padding.value)?
        } else {
            let len = checked_len(&shape, OUTPUT)?;
            lengthen(&mut output, len, padding.value.clone(), OUTPUT)?;
            array(&shape, output)
        };
        match self.form {
            InputForm::Unbatched => output.index_axis_inplace(Axis(1), 0),
            InputForm::BatchFirst => output.swap_axes(0, 1),
            InputForm::TimeMajor | InputForm::Packed | InputForm::Ragged => {}
        }
        Ok(output)
    }

    /// The states of the sequences with a first step, (D * `num_layers`, `batch_sizes[0]`, `H_out`), in packed
    /// order, from those of all, (D * `num_layers`, N, `H_out`). `None` if these are the same.
    pub(crate) fn gather(&self, all: &[T], hidden_size: usize) -> Result<Option<Vec<T>>, Error> {
        let Some(sorted) = self.active() else { return Ok(None) };
        let states = all.len().checked_div(self.sequences * hidden_size).unwrap_or(0);
        let mut own = reserved(states * sorted.len() * hidden_size, "h_n")?;
        for all in all.chunks_exact((self.sequences * hidden_size).max(1)) {
            for &n in sorted {
                own.extend_from_slice(&all[n * hidden_size..][..hidden_size]);
            }
        }
        Ok(Some(own))
    }

    /// The inverse of [`Batch::gather`]. Sequences without a step keep their state.
    pub(crate) fn scatter(&self, own: &[T], all: &mut [T], hidden_size: usize) {
        let mut own = own.chunks_exact(hidden_size);
        for all in all.chunks_exact_mut((self.sequences * hidden_size).max(1)) {
            for (&n, own) in self.active().unwrap_or_default().iter().zip(&mut own) {
                all[n * hidden_size..][..hidden_size].clone_from_slice(own);
            }
        }
    }

    /// The sequences with a first step, in packed order.
    fn active(&self) -> Option<&[usize]> {
        self.sorted.as_deref().map(|sorted| &sorted[..self.sizes.active()])
    }
}

impl<'a> Batch<'a, i64> {
    /// Ids for an [`Encoder`](crate::Encoder), one for each step: (L, N), (N, L) with `batch_first`, or (L) for a
    /// single sequence; with `lengths`, the first `lengths[n]` ids of each sequence of a batch.
    ///
    /// # Errors
    /// Those of [`Batch::new`] and [`Batch::with_lengths`].
    pub fn of_ids(
        ids: ArrayViewD<'a, i64>,
        lengths: Option<&[usize]>,
        batch_first: bool,
    ) -> Result<Self, Error> {
        if !(1..=2).contains(&ids.ndim()) {
            return Err(Error::rank(
                "input",
                "1 or 2 dimensions of ids, (L) or (L, N)",
                ids.shape(),
            ));
        }
        let features = Axis(ids.ndim());
        let ids = ids.insert_axis(features);
        match lengths {
            Some(lengths) => Batch::with_lengths(ids, lengths, batch_first),
            None => Batch::new(ids, batch_first),
        }
    }
}
