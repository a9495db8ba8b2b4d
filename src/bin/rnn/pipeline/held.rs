//! What is held in memory although it is large, named with its bytes before the work begins.

use std::io::Write;

use elman::{Element, Rnn};

use crate::args::{ReportArgs, ReportForm, Run};
use crate::report::Notes;

/// Nothing is said of so many bytes, and an input and an output of so many are not cut into parts: a guess, far
/// below what machines have.
pub(crate) const WHOLE_BYTES: usize = 64 << 20;

/// Bytes of a tensor of T, or as many as a number can say.
pub(crate) fn bytes<T>(sizes: &[usize]) -> usize {
    sizes.iter().fold(size_of::<T>(), |bytes, &size| bytes.saturating_mul(size))
}

/// A sum of sizes out of headers, or as many as a number can say.
pub(crate) fn sum(sizes: impl Iterator<Item = usize>) -> usize {
    sizes.fold(0, usize::saturating_add)
}

/// Names what is held: on standard error, at once; with `--report json`, where all notes are.
pub(crate) fn name(what: &str, bytes: usize, args: &ReportArgs, notes: &mut Notes) {
    if bytes <= WHOLE_BYTES || args.quiet {
        return;
    }
    let text = format!("{what}: {bytes} bytes");
    match args.report {
        ReportForm::Text => {
            // Where standard error is closed, nobody wants to know.
            let _ = writeln!(std::io::stderr(), "note: {text}");
        }
        ReportForm::Json => notes.note(text),
        ReportForm::None => {}
    }
}

/// What the input and the output of a run are called.
pub(crate) const INPUT_AND_OUTPUT: &str = "input and output are held whole";

/// What a run that is made in one piece holds of one row, one step of one sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    input: u128,
    /// Of one layer, or of all of them where all are kept.
    output: u128,
    masks: u128,
    /// Whether the hidden states of all layers are taken apart, beside the outputs that they are part of.
    all: bool,
}

impl Row {
    pub(crate) fn new<T: Element>(rnn: &Rnn<T>, args: &Run) -> Self {
        let (config, all) = (rnn.config(), args.all_hidden.is_some());
        let (layers, width) = (config.num_layers, config.num_directions() * config.hidden_size);
        let masks = if args.train && config.dropout > 0.0 { (layers - 1) * width } else { 0 };
        let output = width * size_of::<T>() * if all { layers } else { 1 };
        let input = config.input_size * size_of::<T>();
        Row { input: input as u128, output: output as u128, masks: masks as u128, all }
    }

    /// Bytes for so many packed rows, which have `padded` where they are padded.
    pub(crate) fn packed(self, rows: usize, padded: usize) -> usize {
        let apart = if self.all { self.output * padded as u128 } else { 0 };
        let rows = rows as u128;
        most([rows * (self.input + self.output + self.masks), rows * self.output + apart])
    }

    /// Bytes for a tensor of `all` rows with lengths, which is packed, run, and padded again: before and after
    /// the pass two of these forms are there.
    pub(crate) fn with_lengths(self, all: usize, rows: usize, padded: usize) -> usize {
        let own = self.packed(rows, padded);
        let (all, rows, padded) = (all as u128, rows as u128, padded as u128);
        most([self.input * (all + rows), own as u128, self.output * (rows + padded)])
    }

    /// Bytes for single sequences, which are packed before the pass and taken apart after it.
    pub(crate) fn ragged(self, rows: usize, padded: usize) -> usize {
        self.with_lengths(rows, rows, rows).max(self.packed(rows, padded))
    }
}

/// The most bytes at one time, or as many as a number can say.
fn most<const N: usize>(bytes: [u128; N]) -> usize {
    let most = bytes.into_iter().max().unwrap_or(0);
    usize::try_from(most).unwrap_or(usize::MAX)
}
