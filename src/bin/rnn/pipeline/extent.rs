//! How much goes through the layer in one run, and how it is cut into sections.
//!
//! A layer that only runs forward passes sections of time, each from the state that the one before it has left
//! behind; any other passes blocks of sequences. The bytes are those of a single pass.

use std::ops::Range;

use elman::files::Part;
use elman::{Element, PackedSequence, Rnn};
use ndarray::{ArrayD, Axis};

use super::held;

/// Bytes of a section's input or output, the larger of the two. A few sections are in memory at a time.
const SECTION_BYTES: usize = 8 << 20;
/// The same for a section whose rows are not adjacent in the file: a few of each step. More rows make the runs
/// longer that are read and written at once: 200 MB, 20000 steps of 40 rows, took 1.7 s in sections of one row,
/// and several times as long on a busy disk; in sections of four rows they take 1.0 s.
const APART_BYTES: usize = 24 << 20;

/// The form of an input, and of the output that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One sequence, (L, features).
    Unbatched,
    /// Sequences side by side, (L, N, features), or (N, L, features) with `batch_first`.
    Batched,
    /// The rows of all sequences step by step, (rows, features).
    Packed,
    /// A tensor for each sequence, (`L_i`, features), under its name.
    Ragged(Vec<String>),
}

/// Sizes of an input and its output.
#[derive(Debug)]
pub(crate) struct Extent {
    pub(crate) form: Form,
    /// L; of packed and ragged sequences, that of the longest.
    pub(crate) steps: usize,
    /// N.
    pub(crate) batch: usize,
    /// Steps of each sequence of a tensor or a ragged input. `None` if all of them have L.
    pub(crate) lengths: Option<Vec<usize>>,
    /// Batch sizes and indices of a packed input.
    pub(crate) index: Option<PackedSequence<()>>,
    /// Rows before each step of a packed input, and the number of all rows.
    pub(super) offsets: Vec<usize>,
    pub(crate) input_size: usize,
    /// Features of the output, D * `H_out`.
    pub(crate) width: usize,
    element_bytes: usize,
    /// Whether N is the first axis of a batched tensor.
    pub(crate) batch_first: bool,
    /// Whether the layer runs from the first step to the last, and in no other direction.
    forward_only: bool,
}

/// Some steps of some sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) steps: Range<usize>,
    pub(crate) rows: Range<usize>,
}

/// How a run is cut into sections of about one size. They are not listed: the header of a stream may promise
/// any number of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Whether a section has some steps of all sequences; else it has all steps of some sequences.
    pub(super) in_time: bool,
    /// Largest size of a section, unless a single step or sequence is larger.
    bytes: usize,
}

impl Extent {
    /// The sizes of an input to this layer, L and N first. `lengths` are those of its sequences, `index` belongs to
    /// a packed input.
    pub(super) fn new<T: Element>(
        rnn: &Rnn<T>,
        form: Form,
        (steps, batch): (usize, usize),
        lengths: Option<Vec<usize>>,
        index: Option<PackedSequence<()>>,
    ) -> Self {
        let config = rnn.config();
        let sizes = index.as_ref().map_or(&[][..], |index| &index.batch_sizes);
        Extent {
            batch_first: form == Form::Batched && config.batch_first,
            form,
            steps,
            batch,
            lengths,
            offsets: offsets(sizes),
            index,
            input_size: config.input_size,
            width: config.num_directions() * config.hidden_size,
            element_bytes: size_of::<T>(),
            forward_only: !config.bidirectional && !rnn.is_reversed(),
        }
    }

    /// N, or `None` for a single sequence without an axis for it.
    pub(crate) fn batched(&self) -> Option<usize> {
        (self.form != Form::Unbatched).then_some(self.batch)
    }

    /// The shape of the output; of ragged sequences, that of all their rows.
    pub(super) fn output_shape(&self) -> Vec<usize> {
        match self.form {
            Form::Unbatched => vec![self.steps, self.width],
            Form::Batched if self.batch_first => vec![self.batch, self.steps, self.width],
            Form::Batched => vec![self.steps, self.batch, self.width],
            _ => vec![self.rows(&self.whole()), self.width],
        }
    }

    /// Everything as one section.
    pub(super) fn whole(&self) -> Section {
        Section { steps: 0..self.steps, rows: 0..self.batch }
    }

    /// Steps that sequences of a section have in it. `None` if all of them have all of its steps.
    pub(super) fn lengths_in(&self, section: &Section) -> Option<Vec<usize>> {
        let Section { steps, rows } = section;
        let own = self.lengths.as_ref()?[rows.clone()].iter();
        Some(own.map(|&length| length.clamp(steps.start, steps.end) - steps.start).collect())
    }

    /// Rows of a section: of a tensor, padding included.
    pub(super) fn rows(&self, section: &Section) -> usize {
        let Section { steps, rows } = section;
        match (&self.form, &self.lengths) {
            (Form::Packed, _) => self.offsets[steps.end] - self.offsets[steps.start],
            (Form::Ragged(_), Some(lengths)) => held::sum(lengths[rows.clone()].iter().copied()),
            _ => steps.len().saturating_mul(rows.len()),
        }
    }

    /// Rows of a packed input that have a step after the section.
    pub(super) fn continuing(&self, section: &Section) -> usize {
        let index = self.index.as_ref();
        index.and_then(|index| index.batch_sizes.get(section.steps.end)).copied().unwrap_or(0)
    }

    /// Bytes of the input and output of a section.
    pub(super) fn bytes(&self, section: &Section) -> usize {
        let numbers = self.rows(section).saturating_mul(self.input_size + self.width);
        numbers.saturating_mul(self.element_bytes)
    }

    /// How the run is cut. `seekable` says that input and output can be read and written at any place. `None`
    /// if the run has to be made in one pass.
    pub(super) fn cut(&self, seekable: bool) -> Option<Cut> {
        let row = self.input_size.max(self.width) * self.element_bytes;
        let blocks = |bytes| Some(Cut { in_time: false, bytes });
        let chunks = |bytes| self.forward_only.then_some(Cut { in_time: true, bytes });
        match self.form {
            Form::Ragged(_) => return blocks(SECTION_BYTES),
            // Each chunk reads and writes the state of all sequences, which may be as large as a few steps.
            Form::Packed => return chunks(APART_BYTES),
            _ => {}
        }
        // If whole sequences are adjacent in the file and short, there is nothing to seek for.
        let rows_first = self.rows_first();
        let short = rows_first && self.steps.saturating_mul(row) <= SECTION_BYTES;
        match chunks(SECTION_BYTES) {
            Some(chunks) if !short && (seekable || !rows_first) => Some(chunks),
            _ if rows_first => blocks(SECTION_BYTES),
            _ if seekable || self.batch == 1 => blocks(APART_BYTES),
            _ => None,
        }
    }

    /// The sections in their order.
    pub(super) fn sections(&self, cut: Cut) -> impl Iterator<Item = Section> {
        let row = self.input_size.max(self.width) * self.element_bytes;
        let all = if cut.in_time { self.steps } else { self.batch };
        let mut next = 0;
        std::iter::from_fn(move || {
            let (first, mut bytes) = (next, 0_usize);
            while next < all {
                let own = self.rows(&self.section(cut, next..next + 1)).saturating_mul(row);
                bytes = bytes.saturating_add(own);
                if bytes > cut.bytes && next > first {
                    break;
                }
                next += 1;
            }
            (next > first).then(|| self.section(cut, first..next))
        })
    }

    /// These steps of all sequences that have the first of them, or these sequences.
    fn section(&self, cut: Cut, range: Range<usize>) -> Section {
        match (&self.index, cut.in_time) {
            (_, false) => Section { steps: 0..self.steps, rows: range },
            (None, true) => Section { steps: range, rows: 0..self.batch },
            (Some(index), true) => {
                Section { rows: 0..index.batch_sizes[range.start], steps: range }
            }
        }
    }

    /// The place of a section in a file. In memory, time comes first.
    pub(super) fn place(&self, Section { steps, rows }: &Section) -> Part {
        let (steps, rows) = (steps.clone(), rows.clone());
        if self.index.is_some() {
            let first = self.offsets[steps.start]..self.offsets[steps.end];
            Part { first, second: 0..1, swapped: false }
        } else if self.rows_first() {
            Part { first: rows, second: steps, swapped: true }
        } else {
            Part { first: steps, second: rows, swapped: false }
        }
    }

    /// The axes of the file of the input, or of the output.
    pub(super) fn axes(&self, features: usize) -> [usize; 3] {
        match self.form {
            Form::Packed => [self.offsets[self.steps], 1, features],
            _ if self.rows_first() => [self.batch, self.steps, features],
            _ => [self.steps, self.batch, features],
        }
    }

    /// The numbers of a section, (steps, rows, features) in memory, as a tensor in the form of the input.
    pub(super) fn tensor<T>(&self, section: &Section, numbers: Vec<T>) -> ArrayD<T> {
        let sizes = match self.form {
            Form::Packed => vec![self.rows(section), 1, self.input_size],
            _ => vec![section.steps.len(), section.rows.len(), self.input_size],
        };
        let mut tensor = ArrayD::from_shape_vec(sizes, numbers)
            .unwrap_or_else(|_| unreachable!("a section of another size"));
        match self.form {
            Form::Batched if self.batch_first => tensor.swap_axes(0, 1),
            Form::Batched => {}
            _ => tensor.index_axis_inplace(Axis(1), 0),
        }
        tensor
    }

    /// The numbers of a section of the output as (steps, rows, features) in memory.
    pub(super) fn numbers<T: Clone>(&self, mut tensor: ArrayD<T>) -> Vec<T> {
        if self.batch_first {
            tensor.swap_axes(0, 1);
        }
        if !tensor.is_standard_layout() {
            tensor = tensor.as_standard_layout().into_owned();
        }
        tensor.into_raw_vec_and_offset().0
    }

    /// Whether the sequences of a tensor follow each other in its file. The order of the axes does not matter for
    /// a single sequence.
    fn rows_first(&self) -> bool {
        self.batch_first && self.batch > 1
    }
}

/// The rows of a packed sequence before each step, and the number of all rows.
pub(super) fn offsets(batch_sizes: &[usize]) -> Vec<usize> {
    let mut rows = 0;
    let after = batch_sizes.iter().map(|size| {
        rows += size;
        rows
    });
    std::iter::once(0).chain(after).collect()
}
