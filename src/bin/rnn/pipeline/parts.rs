//! The forward pass over tensors that are too large to be held: part by part, while the next part is read
//! and the last one is written.
//!
//! A layer that runs forward only passes chunks of time, each from the state that the one before has left
//! behind; any other passes blocks of sequences. The bytes are those of a single pass.

mod stages;

use std::ops::Range;

use anyhow::Result;
use elman::files::{self, PartReader, PartWriter, Real, TensorFile};
use elman::{Batch, Element, Options, Output, Padding, Rnn};
use ndarray::{ArrayD, ArrayView3, Axis, Slice};
use rayon::ThreadPool;

use crate::progress;

use stages::{in_stages, in_turn};

/// Bytes of a part's input or output, the larger of the two. A few of them are in memory at a time.
const PART_BYTES: usize = 8 << 20;
/// The same of a part whose rows stand apart in the file, of each step a few. The more rows, the longer the
/// runs that are read and written at once: 200 MB, 20000 steps of 40 rows, took 1.7 s in parts of one row, and
/// several times as long on a busy disk; in parts of four rows they take 1.0 s.
const APART_BYTES: usize = 24 << 20;

/// Sizes of a pass, and how its files lie.
#[derive(Debug)]
pub(crate) struct Shape {
    steps: usize,
    batch: usize,
    input_size: usize,
    /// Features of the output, D * `H_out`.
    width: usize,
    element_bytes: usize,
    /// Whether the batch is the first axis of the files.
    batch_first: bool,
    /// Whether the layer runs from the first step to the last and not also, or only, the other way.
    forward_only: bool,
    /// Whether both files can be read and written at any place.
    seekable: bool,
    /// Steps of each sequence, and what stands behind its end; none where all have the same.
    lengths: Option<(Vec<usize>, f64)>,
}

impl Shape {
    /// `output_is_file` says whether the output can be written at any place.
    pub(crate) fn new<T: Element>(
        rnn: &Rnn<T>,
        (steps, batch): (usize, usize),
        input: &TensorFile,
        output_is_file: bool,
        lengths: Option<(Vec<usize>, f64)>,
    ) -> Self {
        let config = rnn.config();
        Shape {
            steps,
            batch,
            input_size: config.input_size,
            width: config.num_directions() * config.hidden_size,
            element_bytes: size_of::<T>(),
            // Of a single sequence the axes lie the same way in either order.
            batch_first: config.batch_first && batch > 1,
            forward_only: !config.bidirectional && !rnn.is_reversed(),
            seekable: input.is_file() && output_is_file,
            lengths,
        }
    }

    /// Steps that a sequence has.
    pub(crate) fn length(&self, row: usize) -> usize {
        self.lengths.as_ref().map_or(self.steps, |(lengths, _)| lengths[row])
    }

    /// Bytes of the whole input and output.
    pub(crate) fn bytes(&self) -> usize {
        let numbers = self.steps.saturating_mul(self.batch);
        numbers.saturating_mul(self.input_size + self.width).saturating_mul(self.element_bytes)
    }

    /// How the pass is cut; none where it must be made in one.
    pub(crate) fn parts(&self) -> Option<Parts> {
        let (steps, batch) = (self.steps, self.batch);
        let row = self.input_size.max(self.width) * self.element_bytes;
        let size = |all: usize, bytes: usize, most: usize| (most / bytes).clamp(1, all);
        // Where whole sequences stand together in the file and are short, there is nothing to jump for.
        let short = self.batch_first && self.steps.saturating_mul(row) <= PART_BYTES;
        if self.forward_only && !short && (self.seekable || !self.batch_first) {
            let size = size(steps, batch.saturating_mul(row), PART_BYTES);
            return Some(Parts { all: [steps, batch], size: [size, batch] });
        }
        if self.seekable || self.batch_first || self.batch == 1 {
            let most = if self.batch_first { PART_BYTES } else { APART_BYTES };
            let size = size(batch, steps.saturating_mul(row), most);
            return Some(Parts { all: [steps, batch], size: [steps, size] });
        }
        None
    }

    /// Where a part lies in a file. In memory, time comes first.
    fn place(&self, Part { steps, rows }: &Part) -> files::Part {
        let (steps, rows) = (steps.clone(), rows.clone());
        if self.batch_first {
            files::Part { first: rows, second: steps, swapped: true }
        } else {
            files::Part { first: steps, second: rows, swapped: false }
        }
    }

    /// The axes of a file, the last of `features`.
    fn axes(&self, features: usize) -> [usize; 3] {
        if self.batch_first {
            [self.batch, self.steps, features]
        } else {
            [self.steps, self.batch, features]
        }
    }

    /// The axes of the input's file.
    pub(crate) fn input_axes(&self) -> [usize; 3] {
        self.axes(self.input_size)
    }

    /// The axes of the output's file.
    pub(crate) fn output_axes(&self) -> [usize; 3] {
        self.axes(self.width)
    }

    /// Bytes of a part's input and output.
    pub(crate) fn bytes_of(&self, part: &Part) -> usize {
        let numbers = part.steps.len().saturating_mul(part.rows.len());
        numbers.saturating_mul((self.input_size + self.width).saturating_mul(self.element_bytes))
    }
}

/// A pass that is cut into parts of one size, but for the last. They are not listed: the header of a stream
/// may promise any number of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    /// Steps and sequences in all, and those of a part, which has all of one of the two.
    all: [usize; 2],
    size: [usize; 2],
}

impl Parts {
    /// The parts in their order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Part> {
        let cut = |all: usize, size: usize| {
            (0..all).step_by(size).map(move |first| first..first.saturating_add(size).min(all))
        };
        let [[steps, batch], [own_steps, own_rows]] = [self.all, self.size];
        cut(steps, own_steps).flat_map(move |steps| {
            cut(batch, own_rows).map(move |rows| Part { steps: steps.clone(), rows })
        })
    }

    /// Whether each part has all steps of its sequences.
    pub(crate) fn are_whole_sequences(self) -> bool {
        self.all[0] == self.size[0]
    }
}

/// Some steps of some sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) steps: Range<usize>,
    pub(crate) rows: Range<usize>,
}

/// A part with its numbers, (steps, rows, features).
pub(crate) struct Numbers<T> {
    pub(crate) part: Part,
    features: usize,
    values: Vec<T>,
}

impl<T> Numbers<T> {
    pub(crate) fn view(&self) -> ArrayView3<'_, T> {
        let sizes = (self.part.steps.len(), self.part.rows.len(), self.features);
        ArrayView3::from_shape(sizes, &self.values)
            .unwrap_or_else(|_| unreachable!("a part of another size"))
    }
}

/// Runs the layer over all parts. `state` is `h_0` as (D * `num_layers`, N, `H_out`), and `h_n` afterwards.
/// The pool's threads compute; two more read and write. `watch` sees what goes in and what comes out.
pub(crate) fn forward<T: Element + Real>(
    rnn: &Rnn<T>,
    pool: &ThreadPool,
    shape: &Shape,
    parts: Parts,
    (reader, mut writer): (&mut PartReader, Option<&mut PartWriter<T>>),
    state: &mut ArrayD<T>,
    mut watch: impl FnMut(&str, &Numbers<T>) -> Result<()>,
) -> Result<()> {
    let progress = progress::bytes(shape.bytes());
    let mut compute = |numbers: &Numbers<T>| {
        watch("input", numbers)?;
        let output = pool.install(|| compute(rnn, shape, numbers, state))?;
        watch("output", &output)?;
        Ok(output)
    };
    let mut write = |numbers: &Numbers<T>| {
        if let Some(writer) = &mut writer {
            writer.write(&shape.place(&numbers.part), &numbers.values)?;
        }
        progress.inc(shape.bytes_of(&numbers.part) as u64);
        Ok(())
    };
    let ended = match in_stages(shape, parts, reader, &mut compute, &mut write) {
        Some(ended) => ended,
        None => in_turn(shape, parts, reader, &mut compute, &mut write),
    };
    progress.finish_and_clear();
    ended
}

/// The output of a part; `state` moves on.
fn compute<T: Element + Real>(
    rnn: &Rnn<T>,
    shape: &Shape,
    numbers: &Numbers<T>,
    state: &mut ArrayD<T>,
) -> Result<Numbers<T>> {
    let part = numbers.part.clone();
    let batch_first = rnn.config().batch_first;
    let mut input = numbers.view();
    if batch_first {
        input.swap_axes(0, 1);
    }
    let mut own = state.slice_axis_mut(Axis(1), Slice::from(part.rows.clone()));
    let (input, h_0) = (input.into_dyn(), Some(own.view()));
    let Output { mut output, h_n, .. } = match &shape.lengths {
        None => rnn.call(input, h_0)?,
        Some((lengths, padding)) => {
            // Of each sequence, the steps that it has in this part.
            let steps = part.steps.clone();
            let own = lengths[part.rows.clone()].iter();
            let own: Vec<_> =
                own.map(|&length| length.clamp(steps.start, steps.end) - steps.start).collect();
            let padding = Padding { value: <T as Real>::from_f64(*padding), total_length: None };
            let batch = Batch::with_lengths(input, &own, batch_first)?;
            rnn.forward(batch, Options { h_0, padding, ..Options::default() })?
        }
    };
    own.assign(&h_n);
    if batch_first {
        output.swap_axes(0, 1);
    }
    if !output.is_standard_layout() {
        // The writer takes it step by step.
        output = output.as_standard_layout().into_owned();
    }
    let (values, _) = output.into_raw_vec_and_offset();
    Ok(Numbers { part, features: shape.width, values })
}
