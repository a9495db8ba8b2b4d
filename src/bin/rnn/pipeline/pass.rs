//! The layer, sizes and flags of a run, with the shapes, bytes and checks that follow from them.

use anyhow::Result;
use elman::{Config, Element, PackedSequence, Rnn, pad_packed_sequence, unpack_sequence};
use ndarray::{ArrayD, Axis};

use super::extent::{Extent, Form, Section};
use super::input::Rows;
use crate::args::ReportForm;
use crate::finite::all_finite;

/// The options of a pass.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "options that do not exclude each other")]
pub(crate) struct PassOptions {
    /// Whether dropout is applied.
    pub(crate) train: bool,
    /// Whether NaN and infinity are errors.
    pub(crate) check_finite: bool,
    /// Whether the directions have an axis of their own in the outputs.
    pub(crate) split_directions: bool,
    /// Whether the last output of each sequence is wanted.
    pub(crate) last: bool,
    /// Whether the hidden states of every layer are wanted.
    pub(crate) all_hidden: bool,
    /// Steps of a padded output; `None` for those of the input.
    pub(crate) total_length: Option<usize>,
    /// The value behind the end of a sequence.
    pub(crate) padding_value: f64,
    /// The form of the report, which announces data that is held in memory.
    pub(crate) report: ReportForm,
}

/// The layer, sizes and options of a run.
pub(crate) struct Pass<'a, T> {
    pub(crate) rnn: &'a Rnn<T>,
    pub(crate) extent: &'a Extent,
    pub(crate) options: &'a PassOptions,
    pub(crate) axes: AxisNames,
    /// The name of the input, for messages.
    pub(crate) place: &'a str,
}

/// The side of the layer that numbers are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Input,
    Output,
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
        T::from_f64(self.options.padding_value)
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
            Form::Packed => vec![self.extent.offsets[step]],
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

    /// The most bytes that are held at one time, or as many as a number can say: a tensor with lengths is packed, run
    /// and padded again, ragged sequences are packed and taken apart. Before and after the pass, two of these forms
    /// are in memory.
    pub(super) fn footprint(&self) -> usize {
        let Pass { rnn, extent, options, .. } = self;
        let (config, size) = (rnn.config(), size_of::<T>());
        let (layers, width) = (config.num_layers, extent.width);
        let dropout = options.train && config.dropout > 0.0;
        // Of one row, a step of one sequence.
        let input = config.input_size * size;
        let output = width * size * if options.all_hidden { layers } else { 1 };
        let masks = if dropout { (layers - 1) * width } else { 0 };
        let [input, output, masks] = [input, output, masks].map(|bytes| bytes as u128);

        let all = extent.rows(&extent.whole()) as u128;
        let total =
            options.total_length.unwrap_or(extent.steps).saturating_mul(extent.batch) as u128;
        let valid = extent.lengths.iter().flatten().map(|&length| length as u128).sum();
        let (rows, padded, repacked) = match (&extent.form, &extent.lengths) {
            (Form::Packed, _) => (all, total, None),
            (Form::Ragged(_), _) => (all, total, Some(all)),
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

/// Names of the axes of each tensor.
#[derive(Clone)]
pub(crate) struct AxisNames {
    pub(crate) input: Vec<&'static str>,
    pub(crate) output: Vec<&'static str>,
    /// Of the hidden states of each layer and direction, which are padded if the output is packed.
    pub(crate) all_hidden: Vec<&'static str>,
    /// Of `h_0` and `h_n`.
    pub(crate) state: Vec<&'static str>,
}

impl AxisNames {
    pub(crate) fn new(config: &Config, form: &Form) -> Self {
        let (states, features) = if config.bidirectional {
            ("directions*num_layers", "directions*hidden_size")
        } else {
            ("num_layers", "hidden_size")
        };
        let padded: &[_] = match form {
            Form::Unbatched => &["seq_len"],
            _ if config.batch_first => &["batch", "seq_len"],
            _ => &["seq_len", "batch"],
        };
        let sequence: &[_] = match form {
            Form::Unbatched | Form::Batched => padded,
            Form::Packed | Form::Ragged(_) => &["rows"],
        };
        let batch: &[_] = if *form == Form::Unbatched { &[] } else { &["batch"] };
        AxisNames {
            input: [sequence, &["input_size"]].concat(),
            output: [sequence, &[features]].concat(),
            all_hidden: [padded, &["hidden_size"]].concat(),
            state: [&[states], batch, &["hidden_size"]].concat(),
        }
    }

    /// The axes of the outputs, if the directions have an axis of their own.
    pub(crate) fn split(&self) -> Self {
        let mut split = self.clone();
        split.output.pop();
        split.output.extend(["directions", "hidden_size"]);
        split.state.splice(..1, ["num_layers", "directions"]);
        split
    }
}

/// The results that are wanted.
pub(crate) struct Results<T> {
    /// `None` if it has been written section by section.
    pub(crate) output: Option<Rows<T>>,
    pub(crate) h_n: ArrayD<T>,
    /// The last output of each sequence, (N, D * `H_out`), or (D * `H_out`).
    pub(crate) last: Option<ArrayD<T>>,
    /// `h_l0`, `h_l0_reverse`, `h_l1`, ..., each in the layout of the output, with `H_out` features.
    pub(crate) all_hidden: Vec<(String, ArrayD<T>)>,
}
