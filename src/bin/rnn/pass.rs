//! The forward pass of `rnn run`: whole, or in parts where it is too large to be held.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use elman::io::{PartReader, Real, TensorFile};
use elman::{
    Element, Mode, PackedSequence, Rnn, pack_padded_sequence, pad_packed_sequence, unpack_sequence,
};
use ndarray::{ArrayD, Axis};
use rayon::ThreadPool;

use crate::args::{ReportForm, Run};
use crate::check;
use crate::in_parts::{self, Numbers, Part, WHOLE_BYTES};
use crate::mismatch::Places;
use crate::outputs::Outputs;
use crate::report::{Notes, RunLine};
use crate::results::{Axes, Layout, Produced, Results, split_shape};
use crate::rng::Rng;
use crate::rows::{Form, Rows};
use crate::threads;

/// What a pass is made with.
pub(crate) struct Pass<'a, T> {
    pub(crate) args: &'a Run,
    pub(crate) rnn: &'a Rnn<T>,
    pub(crate) axes: &'a Axes,
    pub(crate) layout: Layout,
    pub(crate) places: &'a Places,
    /// L and N; of packed sequences, the longest L.
    pub(crate) sizes: (usize, usize),
}

/// What goes through the layer.
pub(crate) enum Given<T> {
    /// A tensor that is still to be read, and its lengths, where it has some.
    Tensor(TensorFile, Option<Vec<usize>>),
    Packed(PackedSequence<T>),
    /// Sequences with their names, packed.
    Ragged(Vec<String>, PackedSequence<T>),
}

/// A tensor that is read part by part.
type InParts = (in_parts::Shape, Vec<Part>, PartReader);

impl<T: Element + Real + Into<f64>> Pass<'_, T> {
    /// Runs the layer over the input, on threads of its own. An output that is too large to be held is
    /// written on the way.
    pub(crate) fn run(
        &self,
        given: Given<T>,
        h_0: Option<&ArrayD<T>>,
        outputs: &mut Outputs,
        rng: &mut Rng,
        notes: &mut Notes,
    ) -> Result<(Results<T>, RunLine)> {
        let pool = threads::pool(self.args.threads, &mut notes.notes)?;
        if self.args.report.verbose {
            let (seq_len, batch) = self.sizes;
            let plan = self.rnn.plan(seq_len, batch, pool.current_num_threads());
            notes.note(format!("plan: {plan}"));
        }
        let start = Instant::now();
        let given = match given {
            Given::Tensor(input, lengths) => match self.large(input, lengths, outputs, notes) {
                Ok((shape, parts, reader)) => {
                    let results = self.in_parts(&pool, &shape, &parts, reader, h_0, outputs)?;
                    return Ok((results, self.ran(&pool, start)));
                }
                Err((input, lengths)) => Given::Tensor(input, lengths),
            },
            given => given,
        };
        let (results, seconds) = self.whole(&pool, given, h_0, rng)?;
        Ok((results, RunLine { seconds, ..self.ran(&pool, start) }))
    }

    /// The parts of a tensor that is not held whole; else the tensor and its lengths.
    #[allow(clippy::result_large_err, reason = "the tensor is what the caller goes on with")]
    fn large(
        &self,
        input: TensorFile,
        lengths: Option<Vec<usize>>,
        outputs: &Outputs,
        notes: &mut Notes,
    ) -> Result<InParts, (TensorFile, Option<Vec<usize>>)> {
        let own = lengths.clone().map(|own| (own, self.args.padding_value.unwrap_or(0.0)));
        let is_file = outputs.output_is_file();
        let shape = in_parts::Shape::new(self.rnn, self.sizes, &input, is_file, own);
        if shape.bytes() <= WHOLE_BYTES {
            return Err((input, lengths));
        }
        // Masks are drawn in the order of the whole batch, every layer's states are a tensor each, and an
        // output with more steps has no part for them.
        let held = self.drops_out()
            || self.args.all_hidden.is_some()
            || (self.layout == Layout::Unbatched && lengths.is_some())
            || self.args.total_length.is_some();
        let held_whole = |notes| {
            self.name_held("input and output are held whole", shape.bytes(), notes);
        };
        let Some(parts) = shape.parts().filter(|_| !held) else {
            held_whole(notes);
            return Err((input, lengths));
        };
        let reader = match input.into_parts(shape.input_axes()) {
            Ok(reader) => reader,
            Err(input) => {
                held_whole(notes);
                return Err((input, lengths));
            }
        };
        let block = parts.iter().map(|part| shape.bytes_of(part)).max().unwrap_or(0);
        self.name_held("a block of sequences is held whole", block, notes);
        Ok((shape, parts, reader))
    }

    /// In one piece.
    fn whole(
        &self,
        pool: &ThreadPool,
        given: Given<T>,
        h_0: Option<&ArrayD<T>>,
        rng: &mut Rng,
    ) -> Result<(Results<T>, f64)> {
        let (input, form) = self.load(given)?;
        self.check(&format!("{}: input", self.places.input), &input, &form)?;
        let mode = if self.args.train { Mode::Train(&mut rng.generator) } else { Mode::Eval };
        let h_0 = h_0.map(|h_0| h_0.view());
        let all = self.args.all_hidden.is_some();
        let start = Instant::now();
        let (mut layers, h_n) = pool.install(|| input.forward(self.rnn, h_0, mode, all))?;
        let seconds = start.elapsed().as_secs_f64();
        drop(input);

        if let Some(output) = layers.last() {
            self.check("output", output, &form)?;
        }
        if self.args.check_finite {
            check::all_finite("h_n", &h_n.view(), &self.axes.state, &[])?;
        }
        let all_hidden = if all { self.all_hidden(&layers)? } else { Vec::new() };
        // There is a last layer.
        let output = layers.pop().unwrap_or_else(|| unreachable!("a layer"));
        let last = match &self.args.last {
            Some(_) => Some(output.last(self.time_axis(), self.padding())?),
            None => None,
        };
        let output = self.produced(output, form)?;
        let output_shape = output.shape();
        let output = Some(output);
        Ok((Results { output, output_shape, h_n, last, all_hidden }, seconds))
    }

    /// Reads what is still to be read, and says what form the output has.
    fn load(&self, given: Given<T>) -> Result<(Rows<T>, Form)> {
        Ok(match given {
            Given::Tensor(file, None) => (Rows::Padded(file.read()?), Form::Tensor),
            Given::Tensor(file, Some(lengths)) => {
                let input = file.read()?;
                let batch_first = self.rnn.config().batch_first;
                // A single sequence is a batch of one.
                let input = if input.ndim() == 2 {
                    input.insert_axis(Axis(usize::from(!batch_first)))
                } else {
                    input
                };
                let packed = pack_padded_sequence(input.view(), &lengths, batch_first, false)?;
                (Rows::Packed(packed), Form::Tensor)
            }
            Given::Packed(packed) => (Rows::Packed(packed), Form::Packed),
            Given::Ragged(names, packed) => (Rows::Packed(packed), Form::Ragged(names)),
        })
    }

    /// The output in the form of the input.
    fn produced(&self, output: Rows<T>, form: Form) -> Result<Produced<T>> {
        Ok(match (output, form) {
            (Rows::Padded(tensor), _) => Produced::Tensor(tensor),
            (Rows::Packed(packed), Form::Packed) => Produced::Packed(packed),
            (Rows::Packed(packed), Form::Ragged(names)) => {
                Produced::Ragged(names.into_iter().zip(unpack_sequence(&packed)?).collect())
            }
            (Rows::Packed(packed), Form::Tensor) => {
                let padding = self.padding();
                Produced::Tensor(self.padded(&packed, padding, self.args.total_length)?)
            }
        })
    }

    /// A tensor in the layout of the input, of `total` steps or of as many as the input has.
    fn padded(
        &self,
        packed: &PackedSequence<T>,
        padding: T,
        total: Option<usize>,
    ) -> Result<ArrayD<T>> {
        let batch_first = self.rnn.config().batch_first;
        let total = total.unwrap_or(self.sizes.0);
        let (padded, _) = pad_packed_sequence(packed, batch_first, padding, Some(total))?;
        Ok(if self.layout == Layout::Unbatched {
            padded.index_axis_move(Axis(usize::from(!batch_first)), 0)
        } else {
            padded
        })
    }

    /// The hidden states of each layer and direction, in the layout of the output.
    fn all_hidden(&self, layers: &[Rows<T>]) -> Result<Vec<(String, ArrayD<T>)>> {
        let (directions, size) =
            (self.rnn.config().num_directions(), self.rnn.config().hidden_size);
        let mut all = Vec::new();
        for (layer, rows) in layers.iter().enumerate() {
            let padded;
            let states = match rows {
                Rows::Padded(tensor) => tensor,
                Rows::Packed(packed) => {
                    padded = self.padded(packed, self.padding(), self.args.total_length)?;
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

    /// What stands behind the end of a sequence.
    fn padding(&self) -> T {
        <T as Real>::from_f64(self.args.padding_value.unwrap_or(0.0))
    }

    fn time_axis(&self) -> usize {
        usize::from(self.layout == Layout::Batched && self.rnn.config().batch_first)
    }

    /// Refuses NaN and infinity, where that is asked for; what stands behind an end does not count.
    fn check(&self, name: &str, rows: &Rows<T>, form: &Form) -> Result<()> {
        if !self.args.check_finite {
            return Ok(());
        }
        let axes = if name == "output" { &self.axes.output } else { &self.axes.input };
        match (rows, form) {
            (Rows::Padded(tensor), _) => check::all_finite(name, &tensor.view(), axes, &[]),
            (Rows::Packed(packed), Form::Tensor) => {
                check::all_finite(name, &self.padded(packed, T::ZERO, None)?.view(), axes, &[])
            }
            (Rows::Packed(packed), _) => check::all_finite(name, &packed.data.view(), axes, &[]),
        }
    }

    /// Part by part.
    fn in_parts(
        &self,
        pool: &ThreadPool,
        shape: &in_parts::Shape,
        parts: &[Part],
        mut reader: PartReader,
        h_0: Option<&ArrayD<T>>,
        outputs: &mut Outputs,
    ) -> Result<Results<T>> {
        let (_, batch) = self.sizes;
        let state_shape = self.rnn.hidden_shape(Some(batch));
        let zeros = || elman::zeros(&state_shape, "h_n");
        let values = h_0.map_or_else(zeros, |h_0| Ok(h_0.iter().copied().collect()))?;
        // Unbatched, the axis of the batch has one place, and nothing moves.
        let mut state = ArrayD::from_shape_vec(state_shape, values)?;
        let output_shape = self.output_shape();
        let mut file_shape = output_shape.clone();
        if self.args.split_directions {
            file_shape = split_shape(&file_shape, self.rnn.config().num_directions());
        }
        let mut writer = outputs.begin::<T>(&file_shape, shape.output_axes())?;
        let features = output_shape.last().copied().unwrap_or(0);
        let mut last = ArrayD::from_elem(vec![batch, features], self.padding());
        let watch = |name: &str, numbers: &Numbers<T>| {
            let Part { steps, rows } = &numbers.part;
            for row in rows.clone().filter(|_| name == "output") {
                let end = shape.length(row);
                if steps.start < end && end <= steps.end {
                    let view = numbers.view();
                    let own = view.index_axis(Axis(0), end - 1 - steps.start);
                    let own = own.index_axis_move(Axis(0), row - rows.start);
                    last.index_axis_mut(Axis(0), row).assign(&own);
                }
            }
            if self.args.check_finite { self.check_part(name, numbers) } else { Ok(()) }
        };
        let files = (&mut reader, writer.as_mut());
        in_parts::forward(self.rnn, pool, shape, parts, files, &mut state, watch)?;
        if self.layout == Layout::Unbatched {
            state.index_axis_inplace(Axis(1), 0);
            last.index_axis_inplace(Axis(0), 0);
        }
        if self.args.check_finite {
            check::all_finite("h_n", &state.view(), &self.axes.state, &[])?;
        }
        outputs.end(writer)?;
        let last = self.args.last.as_ref().map(|_| last);
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
                check::all_finite(&name, &view, &self.axes.input, &first)
            }
            _ => check::all_finite(name, &view, &self.axes.output, &first),
        }
    }

    /// Whether dropout is applied.
    fn drops_out(&self) -> bool {
        let config = self.rnn.config();
        self.args.train && config.dropout > 0.0 && config.num_layers > 1
    }

    /// Names what is held although it is large, before the work begins: in JSON, in the report.
    fn name_held(&self, what: &str, bytes: usize, notes: &mut Notes) {
        if bytes <= WHOLE_BYTES {
            return;
        }
        notes.note(format!("{what}: {bytes} bytes"));
        if self.args.report.report == ReportForm::Text && !self.args.report.quiet {
            // Where standard error is closed, the report still says it.
            let _ = writeln!(std::io::stderr(), "rnn: {what}: {bytes} bytes");
        }
    }

    /// The shape of the output of a tensor.
    fn output_shape(&self) -> Vec<usize> {
        let config = self.rnn.config();
        let mut shape = self.places.input_shape.clone();
        if let Some(features) = shape.last_mut() {
            *features = config.num_directions() * config.hidden_size;
        }
        shape
    }

    fn ran(&self, pool: &ThreadPool, start: Instant) -> RunLine {
        RunLine {
            train: self.args.train,
            kernel: self.rnn.kernel().name(),
            threads: pool.current_num_threads(),
            seconds: start.elapsed().as_secs_f64(),
        }
    }
}
