//! The forward pass of `rnn run`: whole, or in parts where it is too large to be held.

mod large;

use std::time::Instant;

use anyhow::Result;
use elman::files::{Real, TensorFile};
use elman::{
    Element, Mode, PackedSequence, Rnn, pack_padded_sequence, pad_packed_sequence, unpack_sequence,
};
use ndarray::{ArrayD, Axis};
use rayon::ThreadPool;

use crate::args::Run;
use crate::explain::shapes::Places;
use crate::finite;
use crate::pipeline::output::Outputs;
use crate::pipeline::results::{Axes, Layout, Produced, Results, split_shape};
use crate::pipeline::rows::{Form, Rows};
use crate::report::{Notes, RunLine};
use crate::rng::Rng;
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
                    let results = self.in_parts(&pool, &shape, parts, reader, h_0, outputs)?;
                    return Ok((results, self.ran(&pool, start)));
                }
                Err((input, lengths)) => Given::Tensor(input, lengths),
            },
            given => given,
        };
        let (results, seconds) = self.whole(&pool, given, h_0, rng)?;
        Ok((results, RunLine { seconds, ..self.ran(&pool, start) }))
    }

    /// The shapes of output, `h_n` and the last outputs, as they are written.
    pub(crate) fn shapes(&self) -> [Vec<usize>; 3] {
        let config = self.rnn.config();
        let mut output = self.output_shape();
        if let Some(total) = self.args.total_length {
            output[self.time_axis()] = total;
        }
        let batch = (self.layout != Layout::Unbatched).then_some(self.sizes.1);
        let mut h_n = self.rnn.hidden_shape(batch);
        let features = config.num_directions() * config.hidden_size;
        let last = batch.into_iter().chain([features]).collect();
        if self.args.split_directions {
            output = split_shape(&output, config.num_directions());
            h_n.splice(..1, [config.num_layers, config.num_directions()]);
        }
        [output, h_n, last]
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
        // A single sequence with a length is a batch of one.
        let of_one = self.layout == Layout::Unbatched && matches!(input, Rows::Packed(_));
        let mut h_0 = h_0.map(|h_0| h_0.view());
        if of_one {
            h_0 = h_0.map(|h_0| h_0.insert_axis(Axis(1)));
        }
        let all = self.args.all_hidden.is_some();
        let start = Instant::now();
        let (mut layers, mut h_n) = pool.install(|| input.forward(self.rnn, h_0, mode, all))?;
        let seconds = start.elapsed().as_secs_f64();
        drop(input);
        if of_one {
            h_n.index_axis_inplace(Axis(1), 0);
        }

        if let Some(output) = layers.last() {
            self.check("output", output, &form)?;
        }
        if self.args.check_finite {
            finite::all_finite("h_n", &h_n.view(), &self.axes.state, &[])?;
        }
        let all_hidden = if all { self.all_hidden(&layers)? } else { Vec::new() };
        // There is a last layer.
        let output = layers.pop().unwrap_or_else(|| unreachable!("a layer"));
        let mut last = match &self.args.last {
            Some(_) => Some(output.last(self.time_axis(), self.padding())?),
            None => None,
        };
        if let (true, Some(last)) = (of_one, &mut last) {
            last.index_axis_inplace(Axis(0), 0);
        }
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
            (Rows::Padded(tensor), _) => finite::all_finite(name, &tensor.view(), axes, &[]),
            (Rows::Packed(packed), Form::Tensor) => {
                finite::all_finite(name, &self.padded(packed, T::ZERO, None)?.view(), axes, &[])
            }
            (Rows::Packed(packed), _) => finite::all_finite(name, &packed.data.view(), axes, &[]),
        }
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
