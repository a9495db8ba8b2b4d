//! The layer, sizes and choices of a run, with the shapes and checks that follow from them.

use anyhow::Result;
use elman::{Element, PackedSequence, Rnn, pad_packed_sequence, unpack_sequence};
use ndarray::{ArrayD, Axis};

use super::extent::{Extent, Form, Section};
use super::results::AxisNames;
use super::rows::{Rows, reshaped};
use crate::finite::all_finite;

/// The layer, sizes and choices of a run.
pub(crate) struct Pass<'a, T> {
    pub(crate) rnn: &'a Rnn<T>,
    pub(crate) extent: &'a Extent,
    pub(crate) axes: &'a AxisNames,
    pub(crate) options: &'a PassOptions,
    /// The name of the input, for messages.
    pub(crate) place: &'a str,
}

/// The side of the layer that numbers are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Input,
    Output,
}

/// The choices about a forward pass.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "choices that do not exclude each other")]
pub(crate) struct PassOptions {
    /// The value behind the end of a sequence.
    pub(crate) padding: f64,
    /// Steps of a padded output. `None`: those of the input.
    pub(crate) total_length: Option<usize>,
    /// Whether the last output of each sequence is wanted.
    pub(crate) last: bool,
    /// Whether the hidden states of every layer are wanted.
    pub(crate) all_hidden: bool,
    /// Whether outputs have an axis for the directions.
    pub(crate) split_directions: bool,
    pub(crate) train: bool,
    /// Whether NaN and infinity are errors.
    pub(crate) check_finite: bool,
}

impl<T: Element> Pass<'_, T> {
    /// The shapes of output, `h_n` and the last outputs, as they are written; of ragged outputs, that of all rows.
    pub(crate) fn shapes(&self) -> [Vec<usize>; 3] {
        let Pass { rnn, extent, options, .. } = self;
        let mut output = extent.output_shape();
        if let (Form::Unbatched | Form::Batched, Some(total)) = (&extent.form, options.total_length)
        {
            output[usize::from(extent.batch_first)] = total;
        }
        let mut h_n = rnn.hidden_shape(extent.batched());
        if options.split_directions {
            h_n.splice(..1, [rnn.config().num_layers, rnn.config().num_directions()]);
        }
        let last = extent.batched().into_iter().chain([extent.width]).collect();
        [self.split(&output), h_n, last]
    }

    /// The shape of an output, (.., D * `H_out`), or (.., D, `H_out`) if the directions have an axis.
    pub(super) fn split(&self, shape: &[usize]) -> Vec<usize> {
        let directions = self.rnn.config().num_directions();
        match shape {
            [rows @ .., features] if self.options.split_directions => {
                [rows, &[directions, features / directions]].concat()
            }
            _ => shape.to_vec(),
        }
    }

    /// A single sequence of the output, as it is written.
    pub(super) fn unpacked(&self, own: ArrayD<T>) -> ArrayD<T> {
        let shape = self.split(own.shape());
        reshaped(own, &shape)
    }

    /// A section of the output as a tensor in the form of the input.
    pub(super) fn tensor(&self, section: &Section, rows: Rows<T>) -> Result<ArrayD<T>> {
        match rows {
            Rows::Padded(tensor) => Ok(tensor),
            Rows::Packed(packed) => self.padded(section, &packed, self.padding()),
        }
    }

    /// The hidden states of each layer and direction, padded if they are packed.
    pub(super) fn all_hidden(&self, layers: &[Rows<T>]) -> Result<Vec<(String, ArrayD<T>)>> {
        let config = self.rnn.config();
        let (directions, size) = (config.num_directions(), config.hidden_size);
        let mut all = Vec::new();
        for (layer, rows) in layers.iter().enumerate() {
            let padded;
            let states = match rows {
                Rows::Padded(tensor) => tensor,
                Rows::Packed(packed) => {
                    padded = self.padded(&self.extent.whole(), packed, self.padding())?;
                    &padded
                }
            };
            for (direction, suffix) in ["", "_reverse"].into_iter().take(directions).enumerate() {
                let columns = direction * size..(direction + 1) * size;
                let own = states.slice_axis(Axis(states.ndim() - 1), columns.into());
                all.push((format!("h_l{layer}{suffix}"), own.to_owned()));
            }
        }
        Ok(all)
    }

    /// The value behind the end of a sequence.
    pub(super) fn padding(&self) -> T {
        T::from_f64(self.options.padding)
    }

    /// A packed section as a tensor in the form of the input; of packed and ragged inputs, batched.
    fn padded(
        &self,
        section: &Section,
        packed: &PackedSequence<T>,
        padding: T,
    ) -> Result<ArrayD<T>> {
        let unbatched = self.extent.form == Form::Unbatched;
        let batch_first = self.rnn.config().batch_first && !unbatched;
        let total = self.options.total_length.unwrap_or(section.steps.len());
        let (padded, _) = pad_packed_sequence(packed, batch_first, padding, Some(total))?;
        Ok(if unbatched { padded.index_axis_move(Axis(1), 0) } else { padded })
    }

    /// Reports NaN and infinity if that is asked for. Padding is not checked.
    pub(super) fn check(&self, stage: Stage, section: &Section, rows: &Rows<T>) -> Result<()> {
        if !self.options.check_finite {
            return Ok(());
        }
        let input = format!("{}: input", self.place);
        let (name, axes) = match stage {
            Stage::Input => (input.as_str(), &self.axes.input),
            Stage::Output => ("output", &self.axes.output),
        };
        let (step, row) = (section.steps.start, section.rows.start);
        let first = match &self.extent.form {
            Form::Unbatched => vec![step],
            Form::Batched if self.extent.batch_first => vec![row, step],
            Form::Batched => vec![step, row],
            Form::Packed => vec![self.extent.offset(step)],
            Form::Ragged(_) => Vec::new(),
        };
        match (rows, &self.extent.form) {
            (Rows::Padded(tensor), _) => all_finite(name, &tensor.view(), axes, &first),
            (Rows::Packed(packed), Form::Packed) => {
                all_finite(name, &packed.data.view(), axes, &first)
            }
            (Rows::Packed(packed), Form::Ragged(names)) => {
                let (own, axes) = (unpack_sequence(packed)?, [&["seq_len"], &axes[1..]].concat());
                own.iter().zip(&names[section.rows.clone()]).try_for_each(|(own, member)| {
                    all_finite(&format!("{name}: {member}"), &own.view(), &axes, &first)
                })
            }
            (Rows::Packed(packed), _) => {
                all_finite(name, &self.padded(section, packed, T::ZERO)?.view(), axes, &first)
            }
        }
    }
}
