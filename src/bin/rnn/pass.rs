//! The forward pass of `rnn run`: whole, or in parts where it is too large to be held.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use elman::io::{PartReader, Real, TensorFile};
use elman::{Element, Mode, Output, Rnn};
use ndarray::{ArrayD, Axis};
use rayon::ThreadPool;

use crate::args::{ReportForm, Run};
use crate::check;
use crate::in_parts::{self, Numbers, Part, WHOLE_BYTES};
use crate::mismatch::Places;
use crate::outputs::{Axes, Outputs, Written};
use crate::report::{Notes, RunLine};
use crate::rng::Rng;
use crate::threads;

/// What a pass is made with.
pub(crate) struct Pass<'a, T> {
    pub(crate) args: &'a Run,
    pub(crate) rnn: &'a Rnn<T>,
    pub(crate) axes: &'a Axes,
    pub(crate) places: &'a Places,
    /// L and N.
    pub(crate) sizes: (usize, usize),
}

impl<T: Element + Real + Into<f64>> Pass<'_, T> {
    /// Reads the input, runs the layer over it on threads of its own, and writes what comes out.
    pub(crate) fn run(
        &self,
        input: TensorFile,
        h_0: Option<ArrayD<T>>,
        outputs: Outputs,
        rng: &mut Rng,
        notes: &mut Notes,
    ) -> Result<(Written, RunLine)> {
        let pool = threads::pool(self.args.threads, &mut notes.notes)?;
        if self.args.report.verbose {
            let (seq_len, batch) = self.sizes;
            let plan = self.rnn.plan(seq_len, batch, pool.current_num_threads());
            notes.note(format!("plan: {plan}"));
        }
        let start = Instant::now();
        let shape = in_parts::Shape::new(self.rnn, self.sizes, &input, outputs.output_is_file());
        let large = shape.bytes() > WHOLE_BYTES;
        // Masks are drawn in the order of the whole batch.
        let parts = if large && !self.drops_out() { shape.parts() } else { None };
        let input = match parts {
            Some(parts) => match input.into_parts(shape.input_axes()) {
                Ok(reader) => {
                    let block = parts.iter().map(|part| shape.bytes_of(part)).max().unwrap_or(0);
                    self.name_held("a block of sequences is held whole", block, notes);
                    let written = self.in_parts(&pool, &shape, &parts, reader, h_0, outputs)?;
                    return Ok((written, self.ran(&pool, start)));
                }
                Err(input) => input,
            },
            None => input,
        };
        self.name_held("input and output are held whole", shape.bytes(), notes);
        let (result, seconds) = self.whole(&pool, input, h_0.as_ref(), rng)?;
        let written = outputs.write(&result)?;
        Ok((written, RunLine { seconds, ..self.ran(&pool, start) }))
    }

    /// In one piece.
    fn whole(
        &self,
        pool: &ThreadPool,
        input: TensorFile,
        h_0: Option<&ArrayD<T>>,
        rng: &mut Rng,
    ) -> Result<(Output<T>, f64)> {
        let check = |name: &str, tensor: &ArrayD<T>, axes: &[&str]| {
            if !self.args.check_finite {
                return Ok(());
            }
            check::all_finite(name, &tensor.view(), axes, &[])
        };
        let input = input.read()?;
        check(&format!("{}: input", self.places.input), &input, &self.axes.input)?;
        let mode = if self.args.train { Mode::Train(&mut rng.generator) } else { Mode::Eval };
        let h_0 = h_0.map(|h_0| h_0.view());
        let start = Instant::now();
        let result = pool.install(|| self.rnn.forward(input.view(), h_0, mode))?;
        let seconds = start.elapsed().as_secs_f64();
        check("output", &result.output, &self.axes.output)?;
        check("h_n", &result.h_n, &self.axes.state)?;
        Ok((result, seconds))
    }

    /// Part by part.
    fn in_parts(
        &self,
        pool: &ThreadPool,
        shape: &in_parts::Shape,
        parts: &[Part],
        mut reader: PartReader,
        h_0: Option<ArrayD<T>>,
        mut outputs: Outputs,
    ) -> Result<Written> {
        let (_, batch) = self.sizes;
        let unbatched = self.axes.input.len() == 2;
        let state_shape = self.rnn.hidden_shape(Some(batch));
        let zeros = || elman::zeros(&state_shape, "h_n");
        let values = h_0.map_or_else(zeros, |h_0| Ok(h_0.iter().copied().collect()))?;
        // Unbatched, the axis of the batch has one place, and nothing moves.
        let mut state = ArrayD::from_shape_vec(state_shape, values)?;
        let mut writer = outputs.begin::<T>(&self.output_shape(), shape.output_axes())?;
        let check = |name: &str, numbers: &Numbers<T>| {
            if self.args.check_finite { self.check_part(name, numbers) } else { Ok(()) }
        };
        let files = (&mut reader, writer.as_mut());
        in_parts::forward(self.rnn, pool, shape, parts, files, &mut state, check)?;
        if unbatched {
            state.index_axis_inplace(Axis(1), 0);
        }
        if self.args.check_finite {
            check::all_finite("h_n", &state.view(), &self.axes.state, &[])?;
        }
        outputs.end(writer, &state)
    }

    /// Refuses NaN and infinity in a part, and names the first by its place in the whole.
    fn check_part(&self, name: &str, numbers: &Numbers<T>) -> Result<()> {
        let mut view = numbers.view().into_dyn();
        let mut first = vec![numbers.part.steps.start, numbers.part.rows.start];
        if self.axes.input.len() == 2 {
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

    /// The shape of `h_0` and `h_n`.
    pub(crate) fn state_shape(&self) -> Vec<usize> {
        let (_, batch) = self.sizes;
        self.rnn.hidden_shape((self.axes.input.len() == 3).then_some(batch))
    }

    /// The shape of the output's file.
    pub(crate) fn output_shape(&self) -> Vec<usize> {
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
