//! The hidden state of a run, carried from section to section.

use anyhow::Result;
use elman::{Element, Keep, Mode, Nonlinearity, Options, PackedSequence, Session, Watch, zeros};
use ndarray::{ArrayD, ArrayViewMutD, Axis, Slice};

use super::extent::SectionKind;
use super::pass::Pass;
use super::rows::{Given, Rows, Section, offsets, reshaped};
use crate::numbers::all_finite;

/// Least outputs of a section that are looked at for saturation, if it has so many: a guess at a number that takes no time.
const SEEN: usize = 4096;

/// The absolute value beyond which tanh is flat: its slope is below 0.002.
pub(crate) const FLAT: f64 = 0.999;

pub(super) struct Flow<'a, T> {
    pass: &'a Pass<'a, T>,
    session: Session<'a, T>,
    /// The last outputs, (N, D * `H_out`), if they are wanted.
    last: Option<ArrayD<T>>,
    /// Outputs of a tanh layer that were looked at, and how many of them are saturated.
    seen: [usize; 2],
    /// The index of a packed input, if the state and `last` are in packed order.
    packed: Option<&'a PackedSequence<()>>,
}

impl<'a, T: Element> Flow<'a, T> {
    /// From `h_0` or zeros. A packed input that is passed in chunks has its state in packed order.
    pub(super) fn new(
        pass: &'a Pass<'_, T>,
        h_0: Option<ArrayD<T>>,
        sections: SectionKind,
    ) -> Result<Self> {
        let zeroed = |shape: &[usize], name| -> Result<ArrayD<T>> {
            Ok(ArrayD::from_shape_vec(shape, zeros(shape, name)?)?)
        };
        // A single sequence with a length is packed, as a batch of one.
        let batch = pass.batched().or(pass.lengths.as_ref().map(|_| 1));
        let shape = pass.rnn.hidden_shape(batch);
        let mut h = h_0.map_or_else(|| zeroed(&shape, "h_n"), |h_0| Ok(reshaped(h_0, &shape)))?;
        let packed = pass.index.as_ref().filter(|_| sections == SectionKind::Chunk);
        if let Some(order) = packed.and_then(|packed| packed.sorted_indices.as_deref()) {
            h = h.select(Axis(1), order);
        }
        let mut last = None;
        if pass.options.last {
            let last = last.insert(zeroed(&[pass.batch, pass.width()], "last")?);
            last.fill(pass.padding());
        }
        Ok(Flow { pass, session: Session::new(pass.rnn, Some(h)), last, seen: [0; 2], packed })
    }

    /// Passes a section through the layer: the output of the last layer, or those of all.
    pub(super) fn step(
        &mut self,
        section: &Section,
        input: &Given<T>,
        mode: Mode<'_>,
        watch: Option<Watch<'_>>,
    ) -> Result<Vec<Rows<T>>> {
        let pass = self.pass;
        let batch = match (input, pass.model.encoder()) {
            (Given::Ids(ids), Some(encoder)) => encoder.encode(ids.batch(pass.batch_first())?)?,
            (Given::Ids(_), None) => unreachable!("ids without an encoder"),
            (Given::Numbers(rows), _) => rows.batch(pass.batch_first())?,
        };
        let keep = if pass.options.all_hidden { Keep::All } else { Keep::Last };
        let options = Options { mode, keep, watch, ..Options::default() };
        let result = self.session.step_rows(section.rows.clone(), batch, options)?;
        let rows = |layer: ArrayD<T>| match input {
            Given::Numbers(rows) => rows.with_data(layer),
            Given::Ids(rows) => rows.with_data(layer),
        };
        let layers = result.lower_layers.into_iter().chain([result.output]);
        let layers = layers.map(rows).collect::<Result<Vec<_>, _>>()?;
        if let Some(layer) = layers.last() {
            self.look(layer);
        }
        if let (Some(last), Some(layer)) = (&mut self.last, layers.last()) {
            let own = last.slice_axis_mut(Axis(0), Slice::from(section.rows.clone()));
            pass.keep_last(section, layer, own)?;
        }
        Ok(layers)
    }

    /// `h_n` and the last outputs in the form and order of the input, as they are written.
    pub(super) fn finish(self) -> Result<(ArrayD<T>, Option<ArrayD<T>>)> {
        let (pass, mut last) = (self.pass, self.last);
        let state = self.session.into_state();
        let mut h_n = state.unwrap_or_else(|| unreachable!("it began with one"));
        if let Some(order) = self.packed.and_then(|packed| packed.unsorted_indices.as_deref()) {
            h_n = h_n.select(Axis(1), order);
            last = last.map(|last| last.select(Axis(0), order));
        }
        let [_, shape, last_shape] = pass.shapes();
        if pass.options.check_finite {
            h_n = reshaped(h_n, &pass.rnn.hidden_shape(pass.batched()));
            let [.., axes] = pass.axes(false);
            all_finite("h_n", &h_n.view(), &axes, &[])?;
        }
        Ok((reshaped(h_n, &shape), last.map(|last| reshaped(last, &last_shape))))
    }
}

impl<T: Element> Flow<'_, T> {
    /// Counts saturated outputs among some of a section: all of them would take time.
    fn look(&mut self, layer: &Rows<T>) {
        if self.pass.rnn.config().nonlinearity != Nonlinearity::Tanh {
            return;
        }
        let (Rows::Padded(data) | Rows::Packed(PackedSequence { data, .. })) = layer;
        let Some(values) = data.as_slice_memory_order() else { return };
        // An odd step meets every column if their number is a power of two.
        for &value in values.iter().step_by((values.len() / SEEN).saturating_sub(1) | 1) {
            let value: f64 = value.into();
            self.seen[0] += 1;
            self.seen[1] += usize::from(value.abs() > FLAT);
        }
    }

    /// Whether nearly all outputs lie in the flat part of tanh.
    pub(super) fn is_saturated(&self) -> bool {
        let [seen, saturated] = self.seen;
        saturated * 10 > seen * 9
    }
}

impl<T: Element> Pass<'_, T> {
    /// Keeps the last output of each sequence of a section, (N, features). Sequences without a step in it keep what
    /// they have, and packed ones with a step after it have a later output.
    fn keep_last(
        &self,
        section: &Section,
        output: &Rows<T>,
        mut last: ArrayViewMutD<'_, T>,
    ) -> Result<()> {
        let packed = match output {
            Rows::Padded(tensor) => {
                let axis = Axis(usize::from(self.batch_first()));
                last.assign(&tensor.index_axis(axis, tensor.len_of(axis) - 1));
                return Ok(());
            }
            Rows::Packed(packed) => packed,
        };
        let index = self.index.as_ref();
        let continuing = index.and_then(|index| index.batch_sizes.get(section.steps.end));
        let offsets = offsets(&packed.batch_sizes);
        for (row, &length) in packed.lengths()?.iter().enumerate() {
            let place = packed.unsorted_indices.as_ref().map_or(row, |own| own[row]);
            if length > 0 && continuing.is_none_or(|&continuing| place >= continuing) {
                let from = packed.data.index_axis(Axis(0), offsets[length - 1] + place);
                last.index_axis_mut(Axis(0), row).assign(&from);
            }
        }
        Ok(())
    }
}
