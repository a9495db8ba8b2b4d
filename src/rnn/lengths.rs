//! The forward pass over sequences of different lengths, packed or padded.

use ndarray::{ArrayD, ArrayViewD, Axis, Slice};

use super::pass::Keep;
use super::{Mode, OUTPUT, Output, Rnn};
use crate::array::{array, checked_len, contiguous};
use crate::batch::BatchSizes;
use crate::error::Error;
use crate::memory::{lengthen, reserved};
use crate::packed::{self, pack_padded_sequence, pad_packed_sequence};
use crate::{Element, PackedSequence};

/// What the output of a padded batch holds beyond the end of a sequence.
///
/// ```
/// use elman::{Config, Generator, Mode, Padding, Rnn};
/// use ndarray::ArrayD;
///
/// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
/// let input = ArrayD::ones(vec![5, 2, 10]);
/// let padding = Padding { value: f32::NAN, total_length: Some(6) };
/// let result = rnn.forward_padded(input.view(), &[3, 5], None, padding, Mode::Eval)?;
/// assert_eq!(result.output.shape(), [6, 2, 20]);
/// assert!(result.output[[5, 1, 0]].is_nan());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding<T> {
    /// The value of every element there.
    pub value: T,
    /// The steps of the output. None: those of the input, unlike in `pad_packed_sequence`.
    pub total_length: Option<usize>,
}

impl<T: Element> Rnn<T> {
    /// The forward pass over a packed sequence, (sum of lengths, `H_in`). The output is packed in the
    /// same way, (sum of lengths, D * `H_out`). `h_0` and the `h_n` beside it are (D * `num_layers`, N,
    /// `H_out`), in the original order of the sequences. Of a sequence of length 0, `h_n` is `h_0`.
    ///
    /// ```
    /// use elman::{Config, Generator, Mode, Rnn, pack_sequence};
    /// use ndarray::Array2;
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
    /// let [short, long] = [3, 5].map(|len| Array2::ones((len, 10)).into_dyn());
    /// let packed = pack_sequence(&[short.view(), long.view()], false)?;
    /// let (output, h_n) = rnn.forward_packed(&packed, None, Mode::Eval)?;
    /// assert_eq!(output.data.shape(), [8, 20]);
    /// assert_eq!(h_n.shape(), [1, 2, 20]);
    /// # Ok::<_, elman::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`PackedSequence::new`], [`Error::Rank`], [`Error::InputSize`],
    /// [`Error::HiddenShape`], and [`Error::OutOfMemory`].
    pub fn forward_packed(
        &self,
        input: &PackedSequence<T>,
        h_0: Option<ArrayViewD<'_, T>>,
        mode: Mode<'_>,
    ) -> Result<(PackedSequence<T>, ArrayD<T>), Error> {
        let (layers, h_n) = self.packed(input, h_0, mode, Keep::Last)?;
        Ok((last(layers), h_n))
    }

    /// As [`Rnn::forward_packed`], with the output of every layer, before dropout.
    ///
    /// ```
    /// use elman::{Config, Generator, Mode, Rnn, pack_sequence};
    /// use ndarray::ArrayD;
    ///
    /// let config = Config { num_layers: 2, ..Config::new(10, 20) };
    /// let rnn = Rnn::<f32>::new(config, &mut Generator::new(0))?;
    /// let [short, long] = [3, 5].map(|len| ArrayD::ones(vec![len, 10]));
    /// let packed = pack_sequence(&[short.view(), long.view()], false)?;
    /// let (layers, h_n) = rnn.forward_packed_layers(&packed, None, Mode::Eval)?;
    /// assert_eq!(layers.len(), 2);
    /// assert_eq!(layers[0].batch_sizes, packed.batch_sizes);
    /// assert_eq!(h_n.shape(), [2, 2, 20]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Rnn::forward_packed`].
    pub fn forward_packed_layers(
        &self,
        input: &PackedSequence<T>,
        h_0: Option<ArrayViewD<'_, T>>,
        mode: Mode<'_>,
    ) -> Result<(Vec<PackedSequence<T>>, ArrayD<T>), Error> {
        self.packed(input, h_0, mode, Keep::All)
    }

    /// The forward pass over a padded batch, (L, N, `H_in`), or (N, L, `H_in`) with `batch_first`, of
    /// sequences of these lengths, in any order: the bytes of [`pack_padded_sequence`] without
    /// `enforce_sorted`, [`Rnn::forward_packed`] and [`pad_packed_sequence`]. `h_n` holds the states at
    /// each sequence's own end.
    ///
    /// ```
    /// use elman::{Config, Generator, Mode, Padding, Rnn};
    /// use ndarray::Array3;
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
    /// let input = Array3::ones((5, 2, 10)).into_dyn();
    /// let result =
    ///     rnn.forward_padded(input.view(), &[3, 5], None, Padding::default(), Mode::Eval)?;
    /// assert_eq!(result.output.shape(), [5, 2, 20]);
    /// assert_eq!(result.output[[3, 0, 0]], 0.0);
    /// # Ok::<_, elman::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::InputSize`], [`Error::NoSteps`], [`Error::LengthCount`],
    /// [`Error::LengthBeyond`], [`Error::TotalLength`], [`Error::HiddenShape`], and
    /// [`Error::OutOfMemory`].
    pub fn forward_padded(
        &self,
        input: ArrayViewD<'_, T>,
        lengths: &[usize],
        h_0: Option<ArrayViewD<'_, T>>,
        padding: Padding<T>,
        mode: Mode<'_>,
    ) -> Result<Output<T>, Error> {
        let (layers, h_n) = self.padded(input, lengths, h_0, padding, mode, Keep::Last)?;
        Ok(Output { output: last(layers), h_n })
    }

    /// As [`Rnn::forward_padded`], with the output of every layer, before dropout, and `h_n`.
    ///
    /// ```
    /// use elman::{Config, Generator, Mode, Padding, Rnn};
    /// use ndarray::ArrayD;
    ///
    /// let config = Config { num_layers: 2, ..Config::new(10, 20) };
    /// let rnn = Rnn::<f32>::new(config, &mut Generator::new(0))?;
    /// let input = ArrayD::ones(vec![5, 2, 10]);
    /// let (layers, _) =
    ///     rnn.forward_padded_layers(input.view(), &[3, 5], None, Padding::default(), Mode::Eval)?;
    /// assert_eq!(layers.len(), 2);
    /// assert_eq!(layers[0][[3, 0, 0]], 0.0);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Rnn::forward_padded`].
    pub fn forward_padded_layers(
        &self,
        input: ArrayViewD<'_, T>,
        lengths: &[usize],
        h_0: Option<ArrayViewD<'_, T>>,
        padding: Padding<T>,
        mode: Mode<'_>,
    ) -> Result<(Vec<ArrayD<T>>, ArrayD<T>), Error> {
        self.padded(input, lengths, h_0, padding, mode, Keep::All)
    }

    /// The pass over a packed sequence, and what it keeps. Within, states are those of the sequences with
    /// a first step alone, in packed order.
    fn packed(
        &self,
        input: &PackedSequence<T>,
        h_0: Option<ArrayViewD<'_, T>>,
        mode: Mode<'_>,
        keep: Keep,
    ) -> Result<(Vec<PackedSequence<T>>, ArrayD<T>), Error> {
        self.check_packed(input)?;
        let batch = input.batch();
        let mut h_n = self.initial_state(h_0, Some(batch), batch)?;
        let batch_sizes = BatchSizes::new(&input.batch_sizes)?;
        let rows = contiguous(&input.data, "input")?;
        let rows = rows.as_slice().unwrap_or_default();
        let outputs = if let Some(sorted) = &input.sorted_indices {
            let hidden_size = self.config.hidden_size;
            let own = Places { sorted: &sorted[..input.active()], batch, hidden_size };
            let mut state = own.gather(&h_n)?;
            let outputs = self.pass(rows, &batch_sizes, &mut state, mode, keep)?;
            own.scatter(&state, &mut h_n);
            outputs
        } else {
            self.pass(rows, &batch_sizes, &mut h_n, mode, keep)?
        };
        let width = self.config.num_directions() * self.config.hidden_size;
        let layers = outputs.into_iter().map(|output| {
            let data = array(&[batch_sizes.rows(), width], output);
            input.with_data(data)
        });
        let layers = layers.collect::<Result<_, _>>()?;
        Ok((layers, array(&self.hidden_shape(Some(batch)), h_n)))
    }

    fn check_packed(&self, input: &PackedSequence<T>) -> Result<(), Error> {
        input.check()?;
        let found = input.data.shape().to_vec();
        if found.len() != 2 {
            let (name, expected) = ("data".to_owned(), "2 dimensions, (rows, H_in)");
            return Err(Error::Rank { name, expected, found });
        }
        if found[1] != self.config.input_size {
            return Err(Error::InputSize { expected: self.config.input_size, found });
        }
        Ok(())
    }

    /// The pass over a padded batch, and what it keeps.
    fn padded(
        &self,
        input: ArrayViewD<'_, T>,
        lengths: &[usize],
        h_0: Option<ArrayViewD<'_, T>>,
        padding: Padding<T>,
        mode: Mode<'_>,
        keep: Keep,
    ) -> Result<(Vec<ArrayD<T>>, ArrayD<T>), Error> {
        if input.ndim() != 3 {
            let (name, expected) = ("input".to_owned(), "3 dimensions, (L, N, H_in), with lengths");
            return Err(Error::Rank { name, expected, found: input.shape().to_vec() });
        }
        let time_major = self.time_major(input.view())?;
        let (steps, batch, _) = time_major.dim();
        packed::check_lengths(lengths, steps, batch)?;
        let longest = lengths.iter().copied().max().unwrap_or(steps);
        let total = packed::total_steps(longest, Some(padding.total_length.unwrap_or(steps)))?;
        // Sequences of one length are packed already.
        if longest > 0 && lengths.iter().all(|&length| length == longest) {
            let input = time_major.slice_axis(Axis(0), Slice::from(..longest));
            let (layers, h_n) = self.plain(&input, h_0, true, mode, keep)?;
            let pad = |layer| self.pad_steps(layer, batch, total, padding.value);
            return Ok((layers.into_iter().map(pad).collect::<Result<_, _>>()?, h_n));
        }
        let batch_first = self.config.batch_first;
        // One copy, because the rows of a step have to stand together.
        let packed = pack_padded_sequence(input, lengths, batch_first, false)?;
        let (layers, h_n) = self.packed(&packed, h_0, mode, keep)?;
        drop(packed);
        // Another copy. To move the rows apart where they lie was measured, and is no faster: it takes
        // the system longer to give memory than to copy it.
        let pad = |layer: PackedSequence<T>| {
            let padded = pad_packed_sequence(&layer, batch_first, padding.value, Some(total));
            padded.map(|(output, _)| output)
        };
        Ok((layers.into_iter().map(pad).collect::<Result<_, _>>()?, h_n))
    }

    /// An output of some steps of `batch` rows, with steps of padding behind them up to `total`.
    fn pad_steps(
        &self,
        mut layer: Vec<T>,
        batch: usize,
        total: usize,
        value: T,
    ) -> Result<ArrayD<T>, Error> {
        let shape = [total, batch, self.config.num_directions() * self.config.hidden_size];
        let len = checked_len(&shape, OUTPUT)?;
        lengthen(&mut layer, len, value, OUTPUT)?;
        Ok(self.shaped(layer, total, batch, true))
    }
}

/// The output that is wanted, of those that a pass kept.
pub(super) fn last<L>(layers: Vec<L>) -> L {
    // A layer's configuration has been checked: there is one at least.
    layers.into_iter().next_back().unwrap_or_else(|| unreachable!("a pass without an output"))
}

/// Where the states of a packed batch stand in the original order.
struct Places<'a> {
    /// For each sequence that has a first step, its place in the original order.
    sorted: &'a [usize],
    /// N, the number of all sequences.
    batch: usize,
    hidden_size: usize,
}

impl Places<'_> {
    /// The states of sequences with a first step, (D * `num_layers`, `batch_sizes[0]`, `H_out`), in packed
    /// order, from those of all, (D * `num_layers`, N, `H_out`).
    fn gather<T: Element>(&self, all: &[T]) -> Result<Vec<T>, Error> {
        let states = all.len().checked_div(self.batch * self.hidden_size).unwrap_or(0);
        let mut own = reserved(states * self.sorted.len() * self.hidden_size, "h_n")?;
        for all in all.chunks_exact((self.batch * self.hidden_size).max(1)) {
            for &n in self.sorted {
                own.extend_from_slice(&all[n * self.hidden_size..][..self.hidden_size]);
            }
        }
        Ok(own)
    }

    /// Writes them back. Sequences without a step keep theirs.
    fn scatter<T: Element>(&self, own: &[T], all: &mut [T]) {
        let mut own = own.chunks_exact(self.hidden_size);
        for all in all.chunks_exact_mut((self.batch * self.hidden_size).max(1)) {
            for (&n, own) in self.sorted.iter().zip(&mut own) {
                all[n * self.hidden_size..][..self.hidden_size].copy_from_slice(own);
            }
        }
    }
}
