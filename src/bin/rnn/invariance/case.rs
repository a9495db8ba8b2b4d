//! Random layers, and the sequences that they are run over.

use std::fmt;
use std::ops::Range;

use elman::{Config, Element, Error, Generator, Nonlinearity, Rnn};
use ndarray::Array3;

use super::way::Way;

/// Sizes where the kernels change what they do: cache lines and panels of either type, and the cut of a
/// sum after 64 features. Each is tried with its neighbours.
const EDGES: [usize; 10] = [1, 8, 16, 24, 48, 64, 96, 128, 192, 256];
/// The same for the rows of a batch: those of a tile, and the fewest that are a block of their own.
const ROW_EDGES: [usize; 6] = [1, 4, 8, 12, 16, 32];
/// Multiplications of a pass: from what one thread does alone to what is worth two.
const WORK: [usize; 4] = [1 << 16, 1 << 20, 1 << 22, 1 << 23];
/// The same for sizes, rows and work of [`Kind::Long`]: just enough for columns and layers to be shared.
const LONG_EDGES: [usize; 5] = [64, 96, 128, 192, 256];
const LONG_ROW_EDGES: [usize; 3] = [1, 4, 8];
const LONG_WORK: [usize; 2] = [1 << 25, 1 << 26];
/// Most steps of a sequence.
const MAX_STEPS: usize = 1000;

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any layer, over any batch.
    Any,
    /// A layer over few and long sequences: threads then share columns, layers and directions, which at
    /// random would come up too seldom.
    Long,
}

impl Kind {
    /// That of a layer. Every third is long; as the type of number changes every time, both come up in
    /// either.
    pub(super) fn of(number: usize) -> Self {
        if number.is_multiple_of(3) { Kind::Long } else { Kind::Any }
    }
}

/// A layer, and what it is run over.
pub(super) struct Case<T> {
    pub(super) rnn: Rnn<T>,
    /// (L, N, `H_in`).
    pub(super) input: Array3<T>,
    /// (D * `num_layers`, N, `H_out`).
    pub(super) h_0: Array3<T>,
    /// Steps of each sequence, (N), at least 1.
    pub(super) lengths: Vec<usize>,
}

impl<T: Element> Case<T> {
    pub(super) fn draw(kind: Kind, generator: &mut Generator) -> Result<Self, Error> {
        let (edges, row_edges, work) = match kind {
            Kind::Any => (&EDGES[..], &ROW_EDGES[..], &WORK[..]),
            Kind::Long => (&LONG_EDGES[..], &LONG_ROW_EDGES[..], &LONG_WORK[..]),
        };
        let (layers, bidirectional) = match kind {
            Kind::Any => (3, &[false, true][..]),
            Kind::Long => (2, &[false, false, true][..]),
        };
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

    /// The ways to run it that are not one pass over the whole batch. Where they cut, is drawn.
    pub(super) fn other_ways(&self, generator: &mut Generator) -> Vec<Way> {
        let mut ways = vec![Way::Packed, Way::Alone];
        let batch = self.lengths.len();
        if batch > 1 {
            ways.push(Way::Batches(cut(generator, batch)));
        }
        // Beyond the longest sequence there is nothing to go on with.
        let longest = self.lengths.iter().copied().max().unwrap_or(1);
        // The reverse direction begins with the last step.
        if longest > 1 && !self.rnn.config().bidirectional {
            ways.push(Way::Chunks(cut(generator, longest)));
        }
        ways
    }
}

impl<T: Element> fmt::Display for Case<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.rnn.config();
        let (steps, batch, _) = self.input.dim();
        let (nonlinearity, dtype) = (config.nonlinearity, T::DTYPE);
        write!(f, "{config}, {nonlinearity}, {dtype}, seq_len {steps}, batch {batch}")?;
        if self.lengths.iter().any(|&length| length < steps) {
            write!(f, ", lengths {:?}", self.lengths)?;
        }
        Ok(())
    }
}

/// A whole number below `limit`, which is at least 1.
pub(super) fn below(generator: &mut Generator, limit: usize) -> usize {
    let mut unit = [0.0_f64];
    generator.uniform(0.0, 1.0, &mut unit);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the limit")]
    let number = (unit[0] * limit as f64) as usize;
    number.min(limit - 1)
}

fn pick<C: Copy>(generator: &mut Generator, choices: &[C]) -> C {
    choices[below(generator, choices.len())]
}

/// One of these sizes, or one less, or one more.
fn near(generator: &mut Generator, edges: &[usize]) -> usize {
    (pick(generator, edges) + below(generator, 3)).saturating_sub(1).max(1)
}

/// Cuts 0 to `len`, which is at least 2, into two pieces or more, at random places.
fn cut(generator: &mut Generator, len: usize) -> Vec<Range<usize>> {
    let count = 1 + below(generator, 4);
    let mut ends: Vec<_> = (0..count).map(|_| 1 + below(generator, len - 1)).collect();
    ends.push(len);
    ends.sort_unstable();
    ends.dedup();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, &end)| start..end).collect()
}

fn normal<T: Element>(
    generator: &mut Generator,
    (first, second, third): (usize, usize, usize),
) -> Array3<T> {
    let mut values = vec![T::ZERO; first * second * third];
    generator.normal(&mut values);
    let mut values = values.into_iter();
    // As many as there are places.
    Array3::from_shape_simple_fn((first, second, third), || values.next().unwrap_or(T::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_in_its_order() {
        let mut generator = Generator::new(0);
        for len in [2, 3, 5, 40] {
            for _ in 0..50 {
                let pieces = cut(&mut generator, len);
                assert!(pieces.len() > 1 && pieces.iter().all(|piece| !piece.is_empty()));
                assert!(pieces.into_iter().flatten().eq(0..len));
            }
        }
    }

    /// Threads share the work in different ways. A check that never met one of them would not check it.
    #[test]
    fn every_plan_and_every_kind_of_layer_comes_up() {
        let (mut plans, mut kinds) = (Vec::new(), Vec::new());
        for number in 1..=60 {
            let mut generator = Generator::new(number as u64);
            let case = Case::<f32>::draw(Kind::of(number), &mut generator).unwrap();
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
