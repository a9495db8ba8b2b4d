//! A forward pass over canonical rows.

use std::ops::Range;

use super::{Keep, Mode, Rnn, blocks};
use crate::Nonlinearity;
use crate::batch::{BatchSizes, OUTPUT};
use crate::element::Element;
use crate::error::Error;
use crate::kernel::{Activation, Panels};
use crate::memory::{reserved, unspecified, zeros};
use crate::stack::{self, Plan, Shape, Stack, Watch, dropped};

impl<T: Element> Rnn<T> {
    /// The forward pass over `input`, packed, (rows, `H_in`). `state`, (D * `num_layers`, rows of the
    /// first step, `H_out`), is `h_0` before and `h_n` after it. Returns the output of the last layer, or of
    /// all, packed, (rows, D * `H_out`).
    pub(super) fn pass(
        &self,
        input: &[T],
        batch_sizes: &BatchSizes,
        state: &mut [T],
        (mode, keep, watch): (Mode<'_>, Keep, Option<Watch<'_>>),
    ) -> Result<Vec<Vec<T>>, Error> {
        let layers = self.config.num_layers;
        // To keep every output, each layer is a stack of its own.
        let depth = if keep == Keep::All { 1 } else { layers };
        if batch_sizes.rows() == 0 {
            return Ok(vec![Vec::new(); layers / depth]);
        }
        let masks = self.masks(batch_sizes.rows(), mode)?;
        let states = state.len() / layers;
        let mut outputs: Vec<Vec<T>> = Vec::new();
        let mut dropped_out;
        for first in (0..layers).step_by(depth) {
            let mut below = outputs.last().map_or(input, Vec::as_slice);
            if let Some(mask) = first.checked_sub(1).and_then(|gap| masks.get(gap)) {
                // A copy, because the kept output is that before dropout.
                dropped_out = reserved(below.len(), "dropout")?;
                let kept = below.iter().zip(mask);
                dropped_out.extend(kept.map(|(&h, &keep)| dropped(h, keep, self.mask_scale())));
                below = &dropped_out;
            }
            let state = &mut state[first * states..][..depth * states];
            let inner = masks.get(first..first + depth - 1).unwrap_or_default();
            let own = first..first + depth;
            outputs.push(self.run(own, below, batch_sizes, state, (inner, watch))?);
        }
        Ok(outputs)
    }

    /// Passes `input`, packed, through some of the layers, with their `state`. Returns the output of the last
    /// of them, packed, (rows, D * `H_out`).
    fn run(
        &self,
        layers: Range<usize>,
        input: &[T],
        batch_sizes: &BatchSizes,
        state: &mut [T],
        (masks, watch): (&[Vec<bool>], Option<Watch<'_>>),
    ) -> Result<Vec<T>, Error> {
        let shape = self.shape(&layers, batch_sizes.steps(), batch_sizes.size(0));
        // A pass that needs no other thread does not ask rayon for their number, which would start a pool.
        let plan = match Plan::new(&shape, 2) {
            plan if plan.is_serial() => plan,
            _ => Plan::new(&shape, rayon::current_num_threads()),
        };
        let plan = plan.balanced(batch_sizes);
        let sizes = [batch_sizes.rows(), shape.directions, shape.hidden_size];
        let mut output = unspecified(&sizes, OUTPUT)?;
        let stack = Stack {
            kernel: self.kernel,
            cells: &self.cells[layers.start * shape.directions..layers.end * shape.directions],
            directions: shape.directions,
            reversed: shape.reversed,
            hidden_size: shape.hidden_size,
            activation: self.activation(),
            batch_sizes,
            input,
            masks,
            mask_scale: self.mask_scale(),
            plan: &plan,
            watch,
        };
        let mut blocks = blocks::cut(&shape, &plan, batch_sizes, state, &mut output)?;
        let mut spare = self.spare.take();
        let workspaces = blocks::fit_workspaces(&mut spare, &shape, &plan, &blocks)?;
        stack::forward(&stack, &mut blocks, workspaces);
        self.spare.give_back(spare);
        Ok(output)
    }

    /// The sizes on which a plan for some of the layers depends.
    pub(super) fn shape(&self, layers: &Range<usize>, steps: usize, batch: usize) -> Shape {
        let directions = self.config.num_directions();
        Shape {
            steps,
            batch,
            input_size: self.cells[layers.start * directions].input_size,
            hidden_size: self.config.hidden_size,
            num_layers: layers.len(),
            directions,
            reversed: self.reversed,
            element_bytes: size_of::<T>(),
            cores: self.cores,
            l2_bytes: self.l2_bytes,
            share_out: |columns, shares| Panels::<T>::share_out(columns, shares).collect(),
        }
    }

    pub(super) fn activation(&self) -> Activation {
        match self.config.nonlinearity {
            Nonlinearity::Tanh => Activation::Tanh,
            Nonlinearity::Relu => Activation::Relu,
        }
    }

    /// The factor of an element that dropout keeps, 1 / (1 - p).
    fn mask_scale(&self) -> T {
        T::ONE / T::from_f64(1.0 - self.config.dropout)
    }

    /// The dropout masks of the gaps between layers, drawn before the pass in PyTorch's order: gap by gap,
    /// each over the whole packed batch. The masks therefore do not depend on the plan.
    fn masks(&self, rows: usize, mode: Mode<'_>) -> Result<Vec<Vec<bool>>, Error> {
        let Mode::Train(generator) = mode else { return Ok(Vec::new()) };
        if self.config.dropout == 0.0 {
            return Ok(Vec::new());
        }
        let width = self.output_size();
        let gaps = 1..self.config.num_layers;
        gaps.map(|_| {
            let mut mask = zeros(&[rows, width], "dropout masks")?;
            generator.keep_mask(self.config.dropout, &mut mask);
            Ok(mask)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Generator};

    /// Lengths of the sequences of a ragged batch, in descending order.
    const LENGTHS: [usize; 5] = [7, 7, 4, 1, 1];

    /// The packed rows of one sequence of the batch.
    fn rows_of(sizes: &BatchSizes, sequence: usize) -> Vec<usize> {
        (0..LENGTHS[sequence]).map(|t| sizes.offset(t) + sequence).collect()
    }

    fn run(rnn: &Rnn<f32>, sizes: &BatchSizes, input: &[f32], threads: usize) -> [Vec<f32>; 2] {
        let states = rnn.hidden_shape(Some(sizes.size(0))).iter().product();
        let mut state: Vec<f32> =
            (0..states).map(|i| (i % rnn.config.hidden_size) as f32 / 1e3).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let outputs = pool
            .install(|| rnn.pass(input, sizes, &mut state, (Mode::Eval, Keep::Last, None)))
            .unwrap();
        let [output] = <[_; 1]>::try_from(outputs).unwrap();
        [output, state]
    }

    #[test]
    fn a_ragged_batch_gives_the_bytes_of_each_sequence_alone() {
        // With threads, the directions of the larger layer run at the same time.
        for (hidden_size, threads) in [(5, 1), (300, 1), (300, 3)] {
            for bidirectional in [false, true] {
                let mut generator = Generator::new(1);
                let config = Config { num_layers: 2, bidirectional, ..Config::new(3, hidden_size) };
                let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
                let sizes = (0..7).map(|t| LENGTHS.iter().filter(|&&len| len > t).count());
                let sizes = BatchSizes::varying(sizes.collect::<Vec<_>>().into_iter()).unwrap();
                let mut input = vec![0.0; sizes.rows() * 3];
                generator.normal(&mut input);
                let [output, state] = run(&rnn, &sizes, &input, threads);
                for (sequence, &steps) in LENGTHS.iter().enumerate() {
                    let rows = rows_of(&sizes, sequence);
                    let own: Vec<f32> =
                        rows.iter().flat_map(|&row| input[row * 3..][..3].to_vec()).collect();
                    let alone = BatchSizes::Constant { steps, rows: 1 };
                    let [own_output, own_state] = run(&rnn, &alone, &own, threads);
                    let width = output.len() / sizes.rows();
                    let found: Vec<f32> = rows
                        .iter()
                        .flat_map(|&row| output[row * width..][..width].to_vec())
                        .collect();
                    assert!(found == own_output, "output of {sequence}, {hidden_size} features");
                    let states = state.chunks(LENGTHS.len() * hidden_size);
                    let found: Vec<f32> = states
                        .flat_map(|one| one[sequence * hidden_size..][..hidden_size].to_vec())
                        .collect();
                    assert!(found == own_state, "h_n of {sequence}, {hidden_size} features");
                }
            }
        }
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_cache() {
        const SIZES: [usize; 4] = [1 << 10, 64 << 10, 1 << 20, 16 << 20];
        for (hidden_size, bidirectional, threads) in
            [(70, false, 1), (70, true, 2), (150, false, 2)]
        {
            let mut generator = Generator::new(1);
            let config = Config { num_layers: 2, bidirectional, ..Config::new(3, hidden_size) };
            let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
            let sizes = BatchSizes::Constant { steps: 70, rows: 20 };
            let mut input = vec![0.0; sizes.rows() * 3];
            generator.normal(&mut input);
            let plans = SIZES.map(|l2_bytes| Rnn { l2_bytes, ..rnn.clone() }.plan(70, 20, threads));
            assert!(plans.iter().any(|plan| *plan != plans[0]), "{plans:?}");
            let results = SIZES
                .map(|l2_bytes| run(&Rnn { l2_bytes, ..rnn.clone() }, &sizes, &input, threads));
            for (result, plan) in results.iter().zip(plans) {
                assert!(*result == results[0], "{hidden_size} features: {plan}");
            }
        }
    }
}
