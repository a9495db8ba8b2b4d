//! Random layers and batches, at the sizes that change how the layer is computed.

use elman::check::{Case, below};
use elman::{Config, Element, Error, Generator, Nonlinearity, Rnn};
use ndarray::Array3;

/// Sizes at which the kernels change: cache lines and panels of either type, and the cut of a sum after 64
/// features. Each is tried with its neighbours.
const EDGES: [usize; 10] = [1, 8, 16, 24, 48, 64, 96, 128, 192, 256];
/// The same for the rows of a batch: those of a tile, and the fewest that are a block of their own.
const ROW_EDGES: [usize; 6] = [1, 4, 8, 12, 16, 32];
/// Multiplications of a pass: from little work for one thread to enough for two.
const WORK: [usize; 4] = [1 << 16, 1 << 20, 1 << 22, 1 << 23];
/// The same for the sizes, rows and work of long cases: just enough for shared columns and layers.
const LONG_EDGES: [usize; 5] = [64, 96, 128, 192, 256];
const LONG_ROW_EDGES: [usize; 3] = [1, 4, 8];
const LONG_WORK: [usize; 2] = [1 << 25, 1 << 26];
/// Most steps of a sequence.
const MAX_STEPS: usize = 1000;

/// Whether a case has few and long sequences, over which threads share columns, layers and directions; any
/// case would do so too seldom. Every third is long: as the type of the numbers alternates, both types
/// have long cases.
pub(super) fn is_long(number: usize) -> bool {
    number.is_multiple_of(3)
}

/// Draws a layer and a batch for it: steps and lengths, input and `h_0`.
pub(super) fn draw<T: Element>(long: bool, generator: &mut Generator) -> Result<Case<T>, Error> {
    let (edges, row_edges, work) = if long {
        (&LONG_EDGES[..], &LONG_ROW_EDGES[..], &LONG_WORK[..])
    } else {
        (&EDGES[..], &ROW_EDGES[..], &WORK[..])
    };
    let (layers, bidirectional) =
        if long { (2, &[false, false, true][..]) } else { (3, &[false, true][..]) };
    let config = Config {
        num_layers: 1 + below(generator, layers),
        nonlinearity: pick(generator, &[Nonlinearity::Tanh, Nonlinearity::Relu]),
        bidirectional: pick(generator, bidirectional),
        bias: pick(generator, &[true, false]),
        ..Config::new(near(generator, edges), near(generator, edges))
    };
    let batch = near(generator, row_edges);
    let step = config.num_parameters().map_or(usize::MAX, |count| count.saturating_mul(batch));
    let steps = (pick(generator, work) / step).clamp(1, MAX_STEPS);
    let mut lengths = vec![steps; batch];
    if pick(generator, &[false, true]) {
        lengths.fill_with(|| 1 + below(generator, steps));
    }
    let states = config.num_layers * config.num_directions();
    let input = normal(generator, (steps, batch, config.input_size));
    let h_0 = normal(generator, (states, batch, config.hidden_size));
    Ok(Case { rnn: Rnn::new(config, generator)?, input, h_0, lengths })
}

fn pick<C: Copy>(generator: &mut Generator, choices: &[C]) -> C {
    choices[below(generator, choices.len())]
}

/// One of these sizes, or one less, or one more.
fn near(generator: &mut Generator, edges: &[usize]) -> usize {
    (pick(generator, edges) + below(generator, 3)).saturating_sub(1).max(1)
}

fn normal<T: Element>(generator: &mut Generator, shape: (usize, usize, usize)) -> Array3<T> {
    let mut values = vec![T::ZERO; shape.0 * shape.1 * shape.2];
    generator.normal(&mut values);
    let mut values = values.into_iter();
    Array3::from_shape_simple_fn(shape, || values.next().unwrap_or(T::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads share the work in several ways. The check must meet each of them.
    #[test]
    fn every_plan_and_every_kind_of_layer_is_drawn() {
        let (mut plans, mut kinds) = (Vec::new(), Vec::new());
        for number in 1..=60 {
            let mut generator = Generator::new(number as u64);
            let case = draw::<f32>(is_long(number), &mut generator).unwrap();
            let (steps, batch, _) = case.input.dim();
            plans.push(case.rnn.plan(steps, batch, 2));
            let config = case.rnn.config();
            let ragged = case.lengths.iter().any(|&length| length < steps);
            kinds.push((config.num_layers, config.bidirectional, ragged));
        }
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        let all = ["one thread", "blocks of rows", "both directions", "layers at", "columns in"];
        // Columns are only shared among cores.
        for plan in &all[..if cores > 1 { 5 } else { 4 }] {
            assert!(plans.iter().any(|found| found.contains(plan)), "{plan}");
        }
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 12, "{kinds:?}");
    }
}
