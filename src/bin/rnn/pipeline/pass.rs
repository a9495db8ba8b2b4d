//! What a run needs to know, and its sections on their way into the layer and out of it.

use anyhow::Result;
use elman::{
    Element, PackedSequence, Rnn, pack_padded_sequence, pack_sequence, pad_packed_sequence,
    unpack_sequence,
};
use ndarray::{ArrayD, Axis};

use super::extent::{Extent, Form, Section};
use super::results::AxisNames;
use super::sequences::Sequences;
use crate::finite::all_finite;

/// A section as the layer takes and returns it.
pub(crate) enum Rows<T> {
    Padded(ArrayD<T>),
    Packed(PackedSequence<T>),
}

impl<T> Rows<T> {
    /// The memory of the numbers, to be used again.
    pub(crate) fn into_memory(self) -> Vec<T> {
        let (Rows::Padded(data) | Rows::Packed(PackedSequence { data, .. })) = self;
        data.into_raw_vec_and_offset().0
    }
}

/// What a run needs to know beside its numbers.
pub(crate) struct Pass<'a, T> {
    pub(crate) rnn: &'a Rnn<T>,
    pub(crate) extent: &'a Extent,
    pub(crate) axes: &'a AxisNames,
    pub(crate) options: &'a PassOptions,
    /// The name of the input, for messages.
    pub(crate) place: &'a str,
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
    /// A section of the input for the layer.
    pub(super) fn rows(&self, section: &Section, input: Sequences<T>) -> Result<Rows<T>> {
        let rows = match (input, self.extent.lengths_in(section)) {
            (Sequences::Tensor(tensor), None) => Rows::Padded(tensor),
            (Sequences::Tensor(tensor), Some(lengths)) => {
                let tensor = if tensor.ndim() == 2 { tensor.insert_axis(Axis(1)) } else { tensor };
                let batch_first = self.extent.batch_first;
                Rows::Packed(pack_padded_sequence(tensor.view(), &lengths, batch_first, false)?)
            }
            (Sequences::Packed(packed), _) => Rows::Packed(packed),
            (Sequences::Ragged(own), _) => {
                let views: Vec<_> = own.iter().map(|own| own.view()).collect();
                Rows::Packed(pack_sequence(&views, false)?)
            }
        };
        self.check(&format!("{}: input", self.place), section, &rows, &self.axes.input)?;
        Ok(rows)
    }

    /// A section of the output, in the form of the input.
    pub(super) fn output(&self, section: &Section, rows: Rows<T>) -> Result<Sequences<T>> {
        self.check("output", section, &rows, &self.axes.output)?;
        Ok(match (rows, &self.extent.form) {
            (Rows::Padded(tensor), _) => Sequences::Tensor(tensor),
            (Rows::Packed(packed), Form::Packed) => Sequences::Packed(packed),
            (Rows::Packed(packed), Form::Ragged(_)) => Sequences::Ragged(unpack_sequence(&packed)?),
            (Rows::Packed(packed), _) => {
                Sequences::Tensor(self.padded(section, &packed, self.padding())?)
            }
        })
    }

    /// The hidden states of each layer and direction, padded where they are packed.
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
    fn check(
        &self,
        name: &str,
        section: &Section,
        rows: &Rows<T>,
        axes: &[&'static str],
    ) -> Result<()> {
        if !self.options.check_finite {
            return Ok(());
        }
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
