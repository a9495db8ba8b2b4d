//! The hidden state of a run, carried from section to section.

use anyhow::Result;
use elman::{Batch, Element, Keep, Mode, Options, Output, Session, zeros};
use ndarray::{ArrayD, ArrayViewMutD, Axis, IxDyn, Slice};

use super::extent::{Form, Section, offsets};
use super::input::{Rows, reshaped};
use super::pass::Pass;
use crate::finite::all_finite;

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
        let Pass { extent, options: wanted, .. } = self.pass;
        let unbatched = extent.form == Form::Unbatched;
        let batch = match input {
            Rows::Padded(tensor) if unbatched => {
                Batch::new(tensor.view().insert_axis(Axis(1)), false)?
            }
            Rows::Padded(tensor) => Batch::new(tensor.view(), extent.batch_first)?,
            Rows::Packed(packed) => packed.as_batch()?,
        };
        let keep = if wanted.all_hidden { Keep::All } else { Keep::Last };
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
            keep_last(layer, usize::from(extent.batch_first), extent.continuing(section), own)?;
        }
        Ok(layers)
    }

    /// `h_n` and the last outputs in the form and order of the input, as they are written.
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
            last = last.map(|last| last.index_axis_move(Axis(0), 0));
        }
        if self.pass.options.check_finite {
            all_finite("h_n", &h_n.view(), &self.pass.axes.state, &[])?;
        }
        let [_, shape, _] = self.pass.shapes();
        Ok((reshaped(h_n, &shape), last))
    }
}

/// Keeps the last output of each sequence, (N, features). Sequences without a step in this section keep what
/// they have, and those in the first `continuing` packed rows have a later one.
fn keep_last<T: Element>(
    output: &Rows<T>,
    time_axis: usize,
    continuing: usize,
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
    let offsets = offsets(&packed.batch_sizes);
    for (row, &length) in packed.lengths()?.iter().enumerate().filter(|(_, length)| **length > 0) {
        let place = packed.unsorted_indices.as_ref().map_or(row, |own| own[row]);
        if place < continuing {
            continue;
        }
        let from = packed.data.index_axis(Axis(0), offsets[length - 1] + place);
        last.index_axis_mut(Axis(0), row).assign(&from);
    }
    Ok(())
}
