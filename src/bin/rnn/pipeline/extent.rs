//! How a run is cut into sections, and how much of it is in memory.
//!
//! A layer that only runs forward passes sections of time, each from the state that the one before it has left
//! behind; any other passes blocks of sequences. The bytes are those of a single pass.

use std::ops::Range;

use elman::Element;
use elman::files::Part;
use ndarray::ArrayD;

use super::pass::{Form, Pass};
use super::rows::{Section, reshaped};
use crate::report::Notes;

/// Data of this size is not announced, and an input and an output of this size are not cut into sections: a
/// guess, far below what machines have.
const WHOLE_BYTES: usize = 64 << 20;
/// Bytes of a section's input or output, the larger of the two. A few sections are in memory at a time.
const SECTION_BYTES: usize = 8 << 20;
/// The same for a section whose rows are not adjacent in the file: a few of each step. More rows make the runs
/// longer that are read and written at once: 200 MB, 20000 steps of 40 rows, took 1.7 s in sections of one row,
/// and several times as long on a busy disk; in sections of four rows they take 1.0 s.
const APART_BYTES: usize = 24 << 20;

/// How a run is cut into sections of about one size. They are not listed: the header of a stream may promise
/// any number of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) sections: SectionKind,
    /// Largest size of a section, unless a single step or sequence is larger.
    bytes: usize,
}

/// What a section of a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SectionKind {
    /// Some steps of all sequences.
    Chunk,
    /// All steps of some sequences.
    Block,
}

impl<T: Element> Pass<'_, T> {
    /// How the run is cut; `None` for a single pass. `seekable` says that input and output can be read and written
    /// at any place, `as_text` that the output is a table, which is written row by row, while the rows of a
    /// section lie in all of it. Masks are drawn in the order of the whole batch, every layer's states are a
    /// tensor each, and an output with more steps than the input has no section for them. Ids
    /// in archives, and indices that are no tensor of a single file, pass whole.
    pub(super) fn cut(&self, seekable: bool, as_text: bool) -> Option<Cut> {
        let (options, config) = (self.options, self.rnn.config());
        let single = (options.train && config.dropout > 0.0 && config.num_layers > 1)
            || (self.is_tensor() && (as_text || options.total_length.is_some()))
            || options.all_hidden
            || (self.model.encoder().is_some() && !self.is_tensor())
            || self.has_whole_indices()
            || (self.form == Form::Unbatched && self.lengths.is_some())
            || self.bytes(&self.whole()) <= WHOLE_BYTES;
        let blocks = |bytes| (!single).then_some(Cut { sections: SectionKind::Block, bytes });
        let forward_only = !config.bidirectional && !self.rnn.is_reversed();
        let chunks = |bytes| {
            (!single && forward_only).then_some(Cut { sections: SectionKind::Chunk, bytes })
        };
        match self.form {
            Form::Grouped(_) => return None,
            Form::Ragged(_) => return blocks(SECTION_BYTES),
            // Each chunk reads and writes the state of all sequences, which may be as large as a few steps.
            Form::Packed => return chunks(APART_BYTES),
            _ => {}
        }
        // If whole sequences are adjacent in the file and short, there is nothing to seek for.
        let rows_first = self.rows_first();
        let short = rows_first && self.steps.saturating_mul(self.row_bytes()) <= SECTION_BYTES;
        match chunks(SECTION_BYTES) {
            Some(chunks) if !short && (seekable || !rows_first) => Some(chunks),
            _ if rows_first => blocks(SECTION_BYTES),
            _ if seekable || self.batch == 1 => blocks(APART_BYTES),
            _ => None,
        }
    }

    pub(super) fn sections(&self, cut: Cut) -> impl Iterator<Item = Section> {
        let all = match cut.sections {
            SectionKind::Chunk => self.steps,
            SectionKind::Block => self.batch,
        };
        let mut next = 0;
        std::iter::from_fn(move || {
            let (first, mut bytes) = (next, 0_usize);
            while next < all {
                let rows = self.rows(&self.section(cut, next..next + 1));
                bytes = bytes.saturating_add(rows.saturating_mul(self.row_bytes()));
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
        match &self.index {
            _ if cut.sections == SectionKind::Block => {
                Section { steps: 0..self.steps, rows: range }
            }
            None => Section { steps: range, rows: 0..self.batch },
            Some(index) => Section { rows: 0..index.batch_sizes[range.start], steps: range },
        }
    }

    /// Bytes of one row of the input or the output, the larger of the two.
    fn row_bytes(&self) -> usize {
        self.rnn.config().input_size.max(self.width()) * size_of::<T>()
    }

    /// Bytes of the input and output of a section.
    pub(super) fn bytes(&self, section: &Section) -> usize {
        let row = self.rnn.config().input_size + self.width();
        self.rows(section).saturating_mul(row).saturating_mul(size_of::<T>())
    }

    /// The place of a section in a file. In memory, time comes first.
    pub(super) fn part(&self, Section { steps, rows }: &Section) -> Part {
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
    pub(super) fn file_axes(&self, features: usize) -> [usize; 3] {
        match self.form {
            Form::Packed => [self.offsets[self.steps], 1, features],
            _ if self.rows_first() => [self.batch, self.steps, features],
            _ => [self.steps, self.batch, features],
        }
    }

    /// The numbers of a section of the input, (steps, rows, features) in memory, as a tensor in its form.
    pub(super) fn formed<U>(
        &self,
        section: &Section,
        numbers: Vec<U>,
        features: usize,
    ) -> ArrayD<U> {
        let rows = self.rows(section);
        let sizes = match self.form {
            Form::Batched => vec![section.steps.len(), section.rows.len(), features],
            _ => vec![rows, features],
        };
        let mut tensor = ArrayD::from_shape_vec(sizes, numbers)
            .unwrap_or_else(|_| unreachable!("a section of another size"));
        if self.batch_first() {
            tensor.swap_axes(0, 1);
        }
        tensor
    }

    /// The numbers of a section of the output as (steps, rows, features) in memory.
    pub(super) fn numbers<U: Clone>(&self, mut tensor: ArrayD<U>) -> Vec<U> {
        if self.batch_first() {
            tensor.swap_axes(0, 1);
        }
        let len = tensor.len();
        reshaped(tensor, &[len]).into_raw_vec_and_offset().0
    }

    /// Whether the sequences of a tensor follow each other in its file. The order of the axes does not matter for
    /// a single sequence.
    fn rows_first(&self) -> bool {
        self.batch_first() && self.batch > 1
    }

    /// The most bytes that are held at one time, or as many as a number can say: a tensor with lengths is packed, run
    /// and padded again, ragged sequences are packed and taken apart. Before and after the pass, two of these forms
    /// are in memory.
    pub(super) fn footprint(&self) -> usize {
        let (config, options, size) = (self.rnn.config(), self.options, size_of::<T>());
        let (layers, width) = (config.num_layers, self.width());
        let dropout = options.train && config.dropout > 0.0;
        // Of one row, a step of one sequence.
        let input = config.input_size * size;
        let output = width * size * if options.all_hidden { layers } else { 1 };
        let masks = if dropout { (layers - 1) * width } else { 0 };
        let [input, output, masks] = [input, output, masks].map(|bytes| bytes as u128);

        let all = self.rows(&self.whole()) as u128;
        let total = options.total_length.unwrap_or(self.steps).saturating_mul(self.batch) as u128;
        let valid = self.lengths.iter().flatten().map(|&length| length as u128).sum();
        let (rows, padded, repacked) = match (&self.form, &self.lengths) {
            (Form::Packed, _) => (all, total, None),
            (Form::Ragged(_) | Form::Grouped(_), _) => (all, total, Some(all)),
            (_, Some(_)) => (valid, total, Some(total)),
            (_, None) => (all, all, None),
        };
        // The hidden states of all layers are copied out of the outputs.
        let apart = if options.all_hidden { output * padded } else { 0 };
        let mut most = (rows * (input + output + masks)).max(rows * output + apart);
        if let Some(padded) = repacked {
            most = most.max(input * (all + rows)).max(output * (rows + padded));
        }
        usize::try_from(most).unwrap_or(usize::MAX)
    }
}

/// Bytes of a tensor of T, or as many as a number can say.
pub(crate) fn bytes<T>(sizes: &[usize]) -> usize {
    sizes.iter().fold(size_of::<T>(), |bytes, &size| bytes.saturating_mul(size))
}

/// A sum of sizes out of headers, or as many as a number can say.
pub(crate) fn sum(sizes: impl Iterator<Item = usize>) -> usize {
    sizes.fold(0, usize::saturating_add)
}

/// Announces data that is large.
pub(crate) fn announce(what: &str, bytes: usize, notes: &mut Notes) {
    if bytes > WHOLE_BYTES {
        notes.announce(format!("{what}: {bytes} bytes"));
    }
}
