//! The ways to run one batch, which all have to give the same bytes.

use std::fmt;
use std::ops::Range;

use elman::{
    Batch, Element, Error, Kernel, Options, Output, Rnn, pack_padded_sequence, pad_packed_sequence,
};
use ndarray::{Array3, ArrayViewD, s};

use super::case::Case;

/// How the work is cut up.
pub(super) enum Way {
    /// One pass over the batch, padded where lengths differ.
    Whole,
    /// One pass over the batch as a packed sequence.
    Packed,
    /// These steps one after the other, with the state carried over, as `rnn stream` does.
    Chunks(Vec<Range<usize>>),
    /// Each sequence without a batch, as long as it is.
    Alone,
    /// These rows as batches of their own.
    Batches(Vec<Range<usize>>),
}

/// A way, and what it is run on.
pub(super) struct Run {
    pub(super) kernel: Kernel,
    pub(super) threads: usize,
    pub(super) way: Way,
}

impl Run {
    /// The result of this run, on the current pool of threads: the output is (L, N, D * `H_out`), with
    /// zeros beyond the end of a sequence.
    pub(super) fn of<T: Element>(&self, case: &Case<T>) -> Result<Output<T>, Error> {
        let rnn = case.rnn.clone().with_kernel(self.kernel);
        let (input, h_0) = (case.input.view().into_dyn(), case.h_0.view().into_dyn());
        match &self.way {
            Way::Whole => forward(&rnn, input, &case.lengths, h_0),
            Way::Packed => packed(&rnn, case),
            Way::Chunks(chunks) => in_chunks(&rnn, case, chunks),
            Way::Alone => alone(&rnn, case),
            Way::Batches(batches) => in_batches(&rnn, case, batches),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}, threads {}, ", self.kernel.name(), self.threads)?;
        let pieces = |pieces: &[Range<usize>]| {
            let lens: Vec<_> = pieces.iter().map(|piece| piece.len().to_string()).collect();
            lens.join(", ")
        };
        match &self.way {
            Way::Whole => f.write_str("the whole batch"),
            Way::Packed => f.write_str("the whole batch packed"),
            Way::Chunks(chunks) => write!(f, "chunks of {} steps", pieces(chunks)),
            Way::Alone => f.write_str("each sequence alone"),
            Way::Batches(batches) => write!(f, "batches of {} sequences", pieces(batches)),
        }
    }
}

/// A pass over a batch; without lengths where they would say nothing.
fn forward<T: Element>(
    rnn: &Rnn<T>,
    input: ArrayViewD<'_, T>,
    lengths: &[usize],
    h_0: ArrayViewD<'_, T>,
) -> Result<Output<T>, Error> {
    if lengths.iter().all(|&length| length == input.shape()[0]) {
        rnn.call(input, Some(h_0))
    } else {
        let batch = Batch::with_lengths(input, lengths, false)?;
        rnn.forward(batch, Options { h_0: Some(h_0), ..Options::default() })
    }
}

fn packed<T: Element>(rnn: &Rnn<T>, case: &Case<T>) -> Result<Output<T>, Error> {
    let input = pack_padded_sequence(case.input.view().into_dyn(), &case.lengths, false, false)?;
    let h_0 = case.h_0.view().into_dyn();
    let options = Options { h_0: Some(h_0), ..Options::default() };
    let result = rnn.forward(input.as_batch()?, options)?;
    let (packed, steps) = (input.with_data(result.output)?, case.input.dim().0);
    let (output, _) = pad_packed_sequence(&packed, false, T::ZERO, Some(steps))?;
    Ok(Output { output, ..result })
}

fn in_chunks<T: Element>(
    rnn: &Rnn<T>,
    case: &Case<T>,
    chunks: &[Range<usize>],
) -> Result<Output<T>, Error> {
    let mut output = no_output(case);
    let mut state = case.h_0.clone().into_dyn();
    for steps in chunks {
        let left = |&length: &usize| length.saturating_sub(steps.start).min(steps.len());
        let lengths: Vec<_> = case.lengths.iter().map(left).collect();
        let steps = s![steps.clone(), .., ..];
        let result = forward(rnn, case.input.slice(steps).into_dyn(), &lengths, state.view())?;
        output.slice_mut(steps).assign(&result.output);
        state = result.h_n;
    }
    Ok(Output { output: output.into_dyn(), h_n: state, lower_layers: Vec::new() })
}

fn alone<T: Element>(rnn: &Rnn<T>, case: &Case<T>) -> Result<Output<T>, Error> {
    let (mut output, mut h_n) = (no_output(case), case.h_0.clone());
    for (row, &length) in case.lengths.iter().enumerate() {
        let input = case.input.slice(s![..length, row, ..]).into_dyn();
        let h_0 = case.h_0.slice(s![.., row, ..]).into_dyn();
        let result = rnn.call(input, Some(h_0))?;
        output.slice_mut(s![..length, row, ..]).assign(&result.output);
        h_n.slice_mut(s![.., row, ..]).assign(&result.h_n);
    }
    Ok(Output { output: output.into_dyn(), h_n: h_n.into_dyn(), lower_layers: Vec::new() })
}

fn in_batches<T: Element>(
    rnn: &Rnn<T>,
    case: &Case<T>,
    batches: &[Range<usize>],
) -> Result<Output<T>, Error> {
    let (mut output, mut h_n) = (no_output(case), case.h_0.clone());
    for rows in batches {
        let (lengths, rows) = (&case.lengths[rows.clone()], s![.., rows.clone(), ..]);
        let h_0 = case.h_0.slice(rows).into_dyn();
        let result = forward(rnn, case.input.slice(rows).into_dyn(), lengths, h_0)?;
        output.slice_mut(rows).assign(&result.output);
        h_n.slice_mut(rows).assign(&result.h_n);
    }
    Ok(Output { output: output.into_dyn(), h_n: h_n.into_dyn(), lower_layers: Vec::new() })
}

/// Zeros in the shape of the output, for what is written in pieces. What is drawn is small: no size comes
/// from outside.
fn no_output<T: Element>(case: &Case<T>) -> Array3<T> {
    let (steps, batch, _) = case.input.dim();
    let config = case.rnn.config();
    let shape = (steps, batch, config.num_directions() * config.hidden_size);
    Array3::from_elem(shape, T::ZERO)
}
