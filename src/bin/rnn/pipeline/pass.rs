//! A run: the layer, the sizes of its input and its options, with the shapes, names and checks that follow from
//! them.

use anyhow::Result;
use elman::{
    Element, Function, Model, PackedSequence, Pool, Rnn, pad_packed_sequence, unpack_sequence,
};
use ndarray::{ArrayD, Axis};

use super::rows::{Rows, Section};
use crate::numbers::all_finite;

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "options that do not exclude each other")]
pub(crate) struct PassOptions {
    /// Whether the run has a progress bar of its own.
    pub(crate) progress: bool,
    pub(crate) train: bool,
    pub(crate) check_finite: bool,
    /// Whether the directions have an axis of their own in the outputs.
    pub(crate) split_directions: bool,
    pub(crate) last: bool,
    pub(crate) all_hidden: bool,
    /// Steps of a padded output; `None` for those of the input.
    pub(crate) total_length: Option<usize>,
    pub(crate) padding_value: f64,
}

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
    /// The rows of a table, (rows, features), each at this place in packed order.
    Grouped(Vec<usize>),
}

pub(crate) struct Pass<'a, T> {
    /// The layer, and the parts around it.
    pub(crate) model: &'a Model<T>,
    /// The layer of the model.
    pub(crate) rnn: &'a Rnn<T>,
    pub(crate) options: &'a PassOptions,
    /// The name of the input, for messages.
    pub(crate) place: &'a str,
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
}

/// The side of the layer that numbers are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Input,
    Output,
}

impl<T: Element> Pass<'_, T> {
    /// Whether input and output are a tensor each.
    pub(super) fn is_tensor(&self) -> bool {
        matches!(self.form, Form::Unbatched | Form::Batched)
    }

    /// Whether the output is a tensor, not an archive.
    pub(super) fn has_tensor_output(&self) -> bool {
        self.is_tensor() || matches!(self.form, Form::Grouped(_))
    }

    /// Whether N is the first axis of a tensor.
    pub(crate) fn batch_first(&self) -> bool {
        self.form == Form::Batched && self.rnn.config().batch_first
    }

    /// The names of ragged sequences; none of others.
    pub(crate) fn names(&self) -> Vec<String> {
        if let Form::Ragged(names) = &self.form { names.clone() } else { Vec::new() }
    }

    /// N, or `None` for a single sequence without an axis for it.
    pub(crate) fn batched(&self) -> Option<usize> {
        (self.form != Form::Unbatched).then_some(self.batch)
    }

    /// Features of the layer's output, D * `H_out`.
    pub(super) fn width(&self) -> usize {
        self.rnn.config().num_directions() * self.rnn.config().hidden_size
    }

    /// Whether the output is that of the layer.
    pub(crate) fn is_hidden(&self) -> bool {
        self.model.decoder().is_identity()
    }

    /// Whether the output has indices for each step that are written whole: several tensors, or a tensor of an archive.
    pub(super) fn has_whole_indices(&self) -> bool {
        let decoder = self.model.decoder();
        let whole = match decoder.function {
            Some(Function::Argmax) => !self.is_tensor(),
            Some(Function::Top(_)) => true,
            _ => false,
        };
        whole && decoder.pool == Pool::Steps
    }

    /// Numbers of a row of the output.
    pub(super) fn row_len(&self) -> usize {
        self.row_shape().iter().product()
    }

    /// The sizes of a row of the output.
    fn row_shape(&self) -> Vec<usize> {
        match self.model.decoder().function {
            Some(Function::Argmax) => Vec::new(),
            Some(Function::Top(k)) => vec![k],
            _ => vec![self.model.decoder().head.out_features().unwrap_or(self.width())],
        }
    }

    pub(super) fn whole(&self) -> Section {
        Section { steps: 0..self.steps, rows: 0..self.batch }
    }

    /// Rows of a section: of a tensor, padding included.
    pub(super) fn rows(&self, Section { steps, rows }: &Section) -> usize {
        match (&self.form, &self.lengths) {
            (Form::Packed, _) => self.offsets[steps.end] - self.offsets[steps.start],
            (Form::Ragged(_) | Form::Grouped(_), Some(lengths)) => {
                lengths[rows.clone()].iter().fold(0, |sum, &length| sum.saturating_add(length))
            }
            _ => steps.len().saturating_mul(rows.len()),
        }
    }

    /// The shapes of output, `h_n` and the last outputs, as they are written; of ragged outputs, that of all rows.
    pub(crate) fn shapes(&self) -> [Vec<usize>; 3] {
        let (width, steps) = (self.width(), self.options.total_length.unwrap_or(self.steps));
        let rows = match self.form {
            _ if self.model.decoder().pool != Pool::Steps => self.batched().into_iter().collect(),
            Form::Unbatched => vec![steps],
            Form::Batched if self.batch_first() => vec![self.batch, steps],
            Form::Batched => vec![steps, self.batch],
            _ => vec![self.rows(&self.whole())],
        };
        let output = [rows, self.row_shape()].concat();
        let mut h_n = self.rnn.hidden_shape(self.batched());
        if self.options.split_directions {
            let config = self.rnn.config();
            h_n.splice(..1, [config.num_layers, config.num_directions()]);
        }
        [self.split(&output), h_n, self.batched().into_iter().chain([width]).collect()]
    }

    /// The shape of an output, (.., D * `H_out`), or (.., D, `H_out`) if the directions have an axis.
    pub(super) fn split(&self, shape: &[usize]) -> Vec<usize> {
        let directions = self.rnn.config().num_directions();
        match shape {
            [rows @ .., features] if self.options.split_directions && self.is_hidden() => {
                [rows, &[directions, features / directions]].concat()
            }
            _ => shape.to_vec(),
        }
    }

    /// Names of the axes of the input, the output, the hidden states of one layer and direction, and `h_n`, whose
    /// directions are `split` or not.
    pub(crate) fn axes(&self, split: bool) -> [Vec<&'static str>; 4] {
        let config = self.rnn.config();
        let (states, features): (&[_], &[_]) = match (split, config.bidirectional) {
            (true, _) => (&["num_layers", "directions"], &["directions", "hidden_size"]),
            (false, true) => (&["directions*num_layers"], &["directions*hidden_size"]),
            (false, false) => (&["num_layers"], &["hidden_size"]),
        };
        let (padded, batch): (&[_], &[_]) = match self.form {
            Form::Unbatched => (&["seq_len"], &[]),
            _ if config.batch_first => (&["batch", "seq_len"], &["batch"]),
            _ => (&["seq_len", "batch"], &["batch"]),
        };
        let sequence = if self.is_tensor() { padded } else { &["rows"] };
        let steps = self.model.decoder().pool == Pool::Steps;
        let (rows, row): (&[_], &[_]) = match self.model.decoder().function {
            _ if self.is_hidden() => (sequence, features),
            Some(Function::Argmax) => (if steps { sequence } else { batch }, &[]),
            Some(Function::Top(_)) => (if steps { sequence } else { batch }, &["top"]),
            _ => (if steps { sequence } else { batch }, &["classes"]),
        };
        let given: &[_] = if self.model.encoder().is_some() { &[] } else { &["input_size"] };
        [
            [sequence, given].concat(),
            [rows, row].concat(),
            [padded, &["hidden_size"]].concat(),
            [states, batch, &["hidden_size"]].concat(),
        ]
    }

    /// Columns of an output of this shape as a table.
    pub(super) fn columns(&self, shape: &[usize]) -> usize {
        match (self.model.decoder().function, shape) {
            (Some(Function::Argmax), [_]) => 1,
            (Some(Function::Top(_)), [.., count]) => 2 * count,
            (_, [.., columns]) => *columns,
            (_, []) => 0,
        }
    }

    /// A section of an output as a tensor, batched if the input is packed or ragged; of a table, its rows.
    pub(super) fn tensor<U: Clone>(
        &self,
        section: &Section,
        rows: Rows<U>,
        padding: U,
    ) -> Result<ArrayD<U>> {
        match rows {
            Rows::Padded(tensor) => Ok(tensor),
            Rows::Packed(packed) => match &self.form {
                Form::Grouped(places) => Ok(packed.data.select(Axis(0), places)),
                _ => self.padded(section, &packed, padding),
            },
        }
    }

    pub(super) fn padding(&self) -> T {
        T::from_f64(self.options.padding_value)
    }

    pub(super) fn padded<U: Clone>(
        &self,
        section: &Section,
        packed: &PackedSequence<U>,
        padding: U,
    ) -> Result<ArrayD<U>> {
        let unbatched = self.form == Form::Unbatched;
        let batch_first = self.rnn.config().batch_first && !unbatched;
        let total = self.options.total_length.unwrap_or(section.steps.len());
        let (padded, _) = pad_packed_sequence(packed, batch_first, padding, Some(total))?;
        Ok(if unbatched { padded.index_axis_move(Axis(1), 0) } else { padded })
    }

    /// The first index of a section within the tensor of the input or the output.
    pub(super) fn first(&self, Section { steps, rows }: &Section) -> Vec<usize> {
        match &self.form {
            Form::Unbatched => vec![steps.start],
            Form::Batched if self.batch_first() => vec![rows.start, steps.start],
            Form::Batched => vec![steps.start, rows.start],
            Form::Packed => vec![self.offsets[steps.start]],
            Form::Ragged(_) | Form::Grouped(_) => Vec::new(),
        }
    }

    /// Reports NaN and infinity if that is asked for. Padding is not checked.
    pub(super) fn check(&self, stage: Stage, section: &Section, rows: &Rows<T>) -> Result<()> {
        if !self.options.check_finite {
            return Ok(());
        }
        let [input_axes, output_axes, ..] = self.axes(false);
        let (name, axes) = match stage {
            Stage::Input => (format!("{}: input", self.place), input_axes),
            Stage::Output => ("output".to_owned(), output_axes),
        };
        let first = self.first(section);
        match (rows, &self.form) {
            (Rows::Packed(packed), Form::Ragged(names)) => {
                let (own, axes) = (unpack_sequence(packed)?, [&["seq_len"], &axes[1..]].concat());
                own.iter().zip(&names[section.rows.clone()]).try_for_each(|(own, member)| {
                    all_finite(&format!("{name}: {member}"), &own.view(), &axes, &first)
                })
            }
            (Rows::Packed(packed), Form::Grouped(places)) => {
                let rows = packed.data.select(Axis(0), places);
                all_finite(&name, &rows.view(), &axes, &first)
            }
            (Rows::Packed(packed), Form::Unbatched | Form::Batched) => {
                all_finite(&name, &self.padded(section, packed, T::ZERO)?.view(), &axes, &first)
            }
            (Rows::Padded(data) | Rows::Packed(PackedSequence { data, .. }), _) => {
                all_finite(&name, &data.view(), &axes, &first)
            }
        }
    }
}
