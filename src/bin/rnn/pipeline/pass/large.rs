//! A pass over a tensor that is too large to be held.

use anyhow::Result;
use elman::files::{PartReader, Real, TensorFile};
use elman::{Element, zeros};
use ndarray::{ArrayD, Axis, IxDyn};
use rayon::ThreadPool;

use super::Pass;
use crate::finite;
use crate::pipeline::held::{self, INPUT_AND_OUTPUT, Row, WHOLE_BYTES};
use crate::pipeline::output::Outputs;
use crate::pipeline::parts::{self, Numbers, Part, Parts};
use crate::pipeline::results::{Layout, Results, split_shape};
use crate::report::Notes;

/// A tensor that is read part by part.
type InParts = (parts::Shape, Parts, PartReader);

impl<T: Element + Real + Into<f64>> Pass<'_, T> {
    /// The parts of a tensor that is not held whole; else the tensor and its lengths.
    #[allow(clippy::result_large_err, reason = "the tensor is what the caller goes on with")]
    pub(super) fn large(
        &self,
        input: TensorFile,
        lengths: Option<Vec<usize>>,
        outputs: &Outputs,
        notes: &mut Notes,
    ) -> Result<InParts, (TensorFile, Option<Vec<usize>>)> {
        let own = lengths.clone().map(|own| (own, self.args.padding_value.unwrap_or(0.0)));
        let is_file = outputs.output_is_file();
        let shape = parts::Shape::new(self.rnn, self.sizes, &input, is_file, own);
        let whole = self.whole_bytes(lengths.as_deref());
        // A table is written row by row, and the rows of a part lie in all of it. Masks are drawn in the
        // order of the whole batch, every layer's states are a tensor each, and an output with more steps
        // has no part for them.
        let held = self.drops_out()
            || outputs.output_is_text()
            || self.args.all_hidden.is_some()
            || (self.layout == Layout::Unbatched && lengths.is_some())
            || self.args.total_length.is_some()
            || shape.bytes() <= WHOLE_BYTES;
        let Some(parts) = (!held).then(|| shape.parts()).flatten() else {
            held::name(INPUT_AND_OUTPUT, whole, &self.args.report, notes);
            return Err((input, lengths));
        };
        let reader = match input.into_parts(shape.input_axes()) {
            Ok(reader) => reader,
            Err(input) => {
                held::name(INPUT_AND_OUTPUT, whole, &self.args.report, notes);
                return Err((input, lengths));
            }
        };
        // The first are the largest.
        let two = held::sum(parts.iter().take(2).map(|part| shape.bytes_of(&part)));
        let what = if parts.are_whole_sequences() {
            "whole sequences are held in blocks"
        } else {
            "steps are held in chunks"
        };
        held::name(what, two, &self.args.report, notes);
        Ok((shape, parts, reader))
    }

    /// Bytes that are in memory at one time where the tensor is held whole.
    fn whole_bytes(&self, lengths: Option<&[usize]>) -> usize {
        let ((steps, batch), row) = (self.sizes, Row::new(self.rnn, self.args));
        let all = steps * batch;
        let Some(own) = lengths else { return row.packed(all, all) };
        let total = self.args.total_length.unwrap_or(steps);
        row.with_lengths(all, held::sum(own.iter().copied()), total.saturating_mul(batch))
    }

    /// Part by part.
    pub(super) fn in_parts(
        &self,
        pool: &ThreadPool,
        shape: &parts::Shape,
        parts: Parts,
        mut reader: PartReader,
        h_0: Option<&ArrayD<T>>,
        outputs: &mut Outputs,
    ) -> Result<Results<T>> {
        let mut state = self.initial_state(h_0)?;
        let output_shape = self.output_shape();
        let mut file_shape = output_shape.clone();
        if self.args.split_directions {
            file_shape = split_shape(&file_shape, self.rnn.config().num_directions());
        }
        let mut writer = outputs.begin::<T>(&file_shape, shape.output_axes())?;
        let features = output_shape.last().copied().unwrap_or(0);
        let mut last = None;
        if self.args.last.is_some() {
            let sizes = [self.sizes.1, features];
            let mut rows = zeros(&sizes, "last")?;
            rows.fill(self.padding());
            last = Some(ArrayD::from_shape_vec(IxDyn(&sizes), rows)?);
        }
        let watch = |name: &str, numbers: &Numbers<T>| {
            if name == "output"
                && let Some(last) = &mut last
            {
                take_last(shape, numbers, last);
            }
            if self.args.check_finite { self.check_part(name, numbers) } else { Ok(()) }
        };
        let files = (&mut reader, writer.as_mut());
        parts::forward(self.rnn, pool, shape, parts, files, &mut state, watch)?;
        if self.layout == Layout::Unbatched {
            state.index_axis_inplace(Axis(1), 0);
            if let Some(last) = &mut last {
                last.index_axis_inplace(Axis(0), 0);
            }
        }
        if self.args.check_finite {
            finite::all_finite("h_n", &state.view(), &self.axes.state, &[])?;
        }
        outputs.end(writer)?;
        Ok(Results { output: None, output_shape, h_n: state, last, all_hidden: Vec::new() })
    }

    /// Refuses NaN and infinity in a part, and names the first by its place in the whole.
    fn check_part(&self, name: &str, numbers: &Numbers<T>) -> Result<()> {
        let mut view = numbers.view().into_dyn();
        let mut first = vec![numbers.part.steps.start, numbers.part.rows.start];
        if self.layout == Layout::Unbatched {
            view.index_axis_inplace(Axis(1), 0);
            first.pop();
        } else if self.rnn.config().batch_first {
            view.swap_axes(0, 1);
            first.swap(0, 1);
        }
        match name {
            "input" => {
                let name = format!("{}: input", self.places.input);
                finite::all_finite(&name, &view, &self.axes.input, &first)
            }
            _ => finite::all_finite(name, &view, &self.axes.output, &first),
        }
    }

    /// Whether dropout is applied.
    fn drops_out(&self) -> bool {
        let config = self.rnn.config();
        self.args.train && config.dropout > 0.0 && config.num_layers > 1
    }

    /// The shape of the output of a tensor.
    pub(super) fn output_shape(&self) -> Vec<usize> {
        let config = self.rnn.config();
        let mut shape = self.places.input_shape.clone();
        if let Some(features) = shape.last_mut() {
            *features = config.num_directions() * config.hidden_size;
        }
        shape
    }

    /// `h_0` or zeros, (D * `num_layers`, N, `H_out`). Unbatched, the axis of the batch has one place, and
    /// nothing moves.
    fn initial_state(&self, h_0: Option<&ArrayD<T>>) -> Result<ArrayD<T>> {
        let shape = self.rnn.hidden_shape(Some(self.sizes.1));
        let zeros = || zeros(&shape, "h_n");
        let values = h_0.map_or_else(zeros, |h_0| Ok(h_0.iter().copied().collect()))?;
        Ok(ArrayD::from_shape_vec(shape, values)?)
    }
}

/// Keeps the last output of each sequence that ends in a part.
fn take_last<T: Element>(shape: &parts::Shape, numbers: &Numbers<T>, last: &mut ArrayD<T>) {
    let Part { steps, rows } = &numbers.part;
    for row in rows.clone() {
        let end = shape.length(row);
        if steps.start < end && end <= steps.end {
            let view = numbers.view();
            let own = view.index_axis(Axis(0), end - 1 - steps.start);
            last.index_axis_mut(Axis(0), row).assign(&own.index_axis(Axis(0), row - rows.start));
        }
    }
}
