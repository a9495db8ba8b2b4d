//! The layer's part of the pipeline: sequences in, sequences out, the hidden state carried between sections.

use anyhow::Result;
use elman::{
    Batch, Element, Keep, Mode, Options, Output, PackedSequence, Rnn, Session,
    pack_padded_sequence, pack_sequence, pad_packed_sequence, unpack_sequence, zeros,
};
use ndarray::{ArrayD, ArrayViewMutD, Axis, IxDyn, Slice};

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
    pub(crate) threads: Option<usize>,
}

/// The state of a run between two sections.
pub(crate) struct Flow<'a, T> {
    pass: &'a Pass<'a, T>,
    session: Session<'a, T>,
    /// The last outputs, (N, D * `H_out`), if they are wanted.
    last: Option<ArrayD<T>>,
    /// For each packed row its place in the original order, if the state and `last` are in packed order.
    order: Option<&'a [usize]>,
}

impl<'a, T: Element> Flow<'a, T> {
    /// From `h_0` or zeros. A packed input that is passed `in_time` has its state in packed order.
    pub(crate) fn new(
        pass: &'a Pass<'_, T>,
        h_0: Option<ArrayD<T>>,
        in_time: bool,
    ) -> Result<Self> {
        let Pass { rnn, extent, options, .. } = pass;
        let mut h = match h_0 {
            Some(h_0) if extent.form == Form::Unbatched => h_0.insert_axis(Axis(1)),
            Some(h_0) => h_0,
            None => {
                let shape = rnn.hidden_shape(Some(extent.batch));
                ArrayD::from_shape_vec(shape.clone(), zeros(&shape, "h_n")?)?
            }
        };
        let order = extent.index.as_ref().filter(|_| in_time);
        let order = order.and_then(|index| index.sorted_indices.as_deref());
        if let Some(order) = order {
            h = h.select(Axis(1), order);
        }
        let mut last = None;
        if options.last {
            let shape = [extent.batch, extent.width];
            let mut rows = zeros(&shape, "last")?;
            rows.fill(pass.padding());
            last = Some(ArrayD::from_shape_vec(IxDyn(&shape), rows)?);
        }
        Ok(Flow { pass, session: Session::new(pass.rnn, Some(h)), last, order })
    }

    /// Passes a section through the layer: the output of the last layer, or those of all.
    pub(crate) fn step(
        &mut self,
        section: &Section,
        input: &Rows<T>,
        mode: Mode<'_>,
    ) -> Result<Vec<Rows<T>>> {
        let Pass { extent, options, .. } = self.pass;
        let unbatched = extent.form == Form::Unbatched;
        let batch = match input {
            Rows::Padded(tensor) if unbatched => {
                Batch::new(tensor.view().insert_axis(Axis(1)), false)?
            }
            Rows::Padded(tensor) => Batch::new(tensor.view(), extent.batch_first)?,
            Rows::Packed(packed) => packed.as_batch()?,
        };
        let keep = if options.all_hidden { Keep::All } else { Keep::Last };
        let options = Options { mode, keep, ..Options::default() };
        let Output { output, mut lower_layers, .. } =
            self.session.step_rows(section.rows.clone(), batch, options)?;
        lower_layers.push(output);
        let rows = |mut layer: ArrayD<T>| match input {
            Rows::Padded(_) => {
                if unbatched {
                    layer.index_axis_inplace(Axis(1), 0);
                }
                Ok(Rows::Padded(layer))
            }
            Rows::Packed(packed) => packed.with_data(layer).map(Rows::Packed),
        };
        let layers = lower_layers.into_iter().map(rows).collect::<Result<Vec<_>, _>>()?;
        if let (Some(last), Some(layer)) = (&mut self.last, layers.last()) {
            let own = last.slice_axis_mut(Axis(0), Slice::from(section.rows.clone()));
            keep_last(layer, usize::from(extent.batch_first), own)?;
        }
        Ok(layers)
    }

    /// `h_n` and the last outputs in the form and order of the input.
    pub(crate) fn finish(self) -> Result<(ArrayD<T>, Option<ArrayD<T>>)> {
        let mut h_n =
            self.session.into_state().unwrap_or_else(|| unreachable!("it began with one"));
        let mut last = self.last;
        let unsorted = self.pass.extent.index.as_ref().filter(|_| self.order.is_some());
        if let Some(unsorted) = unsorted.and_then(|index| index.unsorted_indices.as_deref()) {
            h_n = h_n.select(Axis(1), unsorted);
            last = last.map(|last| last.select(Axis(0), unsorted));
        }
        if self.pass.extent.form == Form::Unbatched {
            h_n.index_axis_inplace(Axis(1), 0);
            last.iter_mut().for_each(|last| last.index_axis_inplace(Axis(0), 0));
        }
        if self.pass.options.check_finite {
            all_finite("h_n", &h_n.view(), &self.pass.axes.state, &[])?;
        }
        Ok((h_n, last))
    }
}

impl<T: Element> Pass<'_, T> {
    /// A section of the input for the layer.
    pub(crate) fn rows(&self, section: &Section, input: Sequences<T>) -> Result<Rows<T>> {
        self.check(&format!("{}: input", self.place), section, &input, &self.axes.input)?;
        Ok(match (input, self.extent.lengths_in(section)) {
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
        })
    }

    /// A section of the output, in the form of the input.
    pub(crate) fn output(&self, section: &Section, rows: Rows<T>) -> Result<Sequences<T>> {
        let output = match (rows, &self.extent.form) {
            (Rows::Padded(tensor), _) => Sequences::Tensor(tensor),
            (Rows::Packed(packed), Form::Packed) => Sequences::Packed(packed),
            (Rows::Packed(packed), Form::Ragged(_)) => Sequences::Ragged(unpack_sequence(&packed)?),
            (Rows::Packed(packed), _) => Sequences::Tensor(self.padded(section, &packed)?),
        };
        self.check("output", section, &output, &self.axes.output)?;
        Ok(output)
    }

    /// The hidden states of each layer and direction, padded where they are packed.
    pub(crate) fn all_hidden(&self, layers: &[Rows<T>]) -> Result<Vec<(String, ArrayD<T>)>> {
        let config = self.rnn.config();
        let (directions, size) = (config.num_directions(), config.hidden_size);
        let mut all = Vec::new();
        for (layer, rows) in layers.iter().enumerate() {
            let padded;
            let states = match rows {
                Rows::Padded(tensor) => tensor,
                Rows::Packed(packed) => {
                    padded = self.padded(&self.extent.whole(), packed)?;
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
    fn padding(&self) -> T {
        T::from_f64(self.options.padding)
    }

    /// A packed section as a tensor in the form of the input; of packed and ragged inputs, batched.
    fn padded(&self, section: &Section, packed: &PackedSequence<T>) -> Result<ArrayD<T>> {
        let batch_first = self.rnn.config().batch_first && self.extent.form != Form::Unbatched;
        let total = self.options.total_length.unwrap_or(section.steps.len());
        let (padded, _) = pad_packed_sequence(packed, batch_first, self.padding(), Some(total))?;
        let unbatched = self.extent.form == Form::Unbatched;
        Ok(if unbatched { padded.index_axis_move(Axis(1), 0) } else { padded })
    }

    /// Reports NaN and infinity if that is asked for. Padding is not looked at.
    fn check(
        &self,
        name: &str,
        section: &Section,
        sequences: &Sequences<T>,
        axes: &[&'static str],
    ) -> Result<()> {
        if !self.options.check_finite {
            return Ok(());
        }
        let Section { steps, rows } = section;
        let (step, row) = (steps.start, rows.start);
        match (sequences, &self.extent.form) {
            (Sequences::Packed(packed), _) => {
                all_finite(name, &packed.data.view(), axes, &[self.extent.offset(step)])
            }
            (Sequences::Ragged(all), Form::Ragged(names)) => {
                let axes = [&["seq_len"], &axes[1..]].concat();
                let mut own = all.iter().zip(&names[rows.clone()]);
                own.try_for_each(|(own, member)| {
                    all_finite(&format!("{name}: {member}"), &own.view(), &axes, &[])
                })
            }
            (Sequences::Ragged(_), _) => Ok(()),
            (Sequences::Tensor(tensor), form) => {
                let first = match form {
                    Form::Unbatched => vec![step],
                    _ if self.extent.batch_first => vec![row, step],
                    _ => vec![step, row],
                };
                let Some(lengths) = self.extent.lengths_in(section) else {
                    return all_finite(name, &tensor.view(), axes, &first);
                };
                let mut valid = tensor.clone();
                zero_padding(&mut valid, &lengths, self.extent.batch_first);
                all_finite(name, &valid.view(), axes, &first)
            }
        }
    }
}

/// Sets everything behind the end of each sequence to zero.
fn zero_padding<T: Element>(tensor: &mut ArrayD<T>, lengths: &[usize], batch_first: bool) {
    let unbatched = tensor.ndim() == 2;
    for (row, &length) in lengths.iter().enumerate() {
        let mut own = tensor.view_mut();
        if !unbatched {
            own = own.index_axis_move(Axis(usize::from(!batch_first)), row);
        }
        own.slice_axis_inplace(Axis(0), Slice::from(length..));
        own.fill(T::ZERO);
    }
}

/// Keeps the last output of each sequence, (N, features). Sequences without a step in this section keep what
/// they have.
fn keep_last<T: Element>(
    output: &Rows<T>,
    time_axis: usize,
    mut last: ArrayViewMutD<'_, T>,
) -> Result<()> {
    let packed = match output {
        Rows::Padded(tensor) => {
            let end = tensor.len_of(Axis(time_axis)) - 1;
            last.assign(&tensor.index_axis(Axis(time_axis), end));
            return Ok(());
        }
        Rows::Packed(packed) => packed,
    };
    let offsets: Vec<_> = std::iter::once(0)
        .chain(packed.batch_sizes.iter().scan(0, |rows, size| {
            *rows += size;
            Some(*rows)
        }))
        .collect();
    for (row, &length) in packed.lengths()?.iter().enumerate().filter(|(_, length)| **length > 0) {
        let place = packed.unsorted_indices.as_ref().map_or(row, |own| own[row]);
        let from = packed.data.index_axis(Axis(0), offsets[length - 1] + place);
        last.index_axis_mut(Axis(0), row).assign(&from);
    }
    Ok(())
}
