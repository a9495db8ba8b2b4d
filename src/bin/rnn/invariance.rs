//! `rnn bench --check`: the library's invariance check on random layers, at the sizes that change how a layer is
//! computed.

use std::fmt::Display;
use std::time::Instant;

use anyhow::Result;
use elman::check::{ByteDifferences, Case, Mismatch, below};
use elman::{Config, Dtype, Element, Generator, Kernel, Nonlinearity, Rnn};
use ndarray::Array3;
use rayon::ThreadPool;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Bench;
use crate::failure::Bug;
use crate::{progress, threads};

/// Layers that are checked even in a shorter time: one of each type.
const MIN_LAYERS: usize = 2;
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
/// Maximum of steps of a sequence.
const MAX_STEPS: usize = 1000;

/// Checks layers until the time is over.
pub(crate) fn check(args: &Bench) -> Result<Tally> {
    let start = Instant::now();
    let pools = pools(&args.threads)?;
    let kernels = Kernel::supported().map(Kernel::name).collect();
    let threads = pools.iter().map(ThreadPool::current_num_threads).collect();
    let mut tally = Tally { kernels, threads, ..Tally::default() };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating")]
    let progress = progress::things(args.min_time.ceil() as usize, "seconds");
    let mut shown = 0;
    while tally.layers < MIN_LAYERS || start.elapsed().as_secs_f64() < args.min_time {
        let dtype = if tally.layers.is_multiple_of(2) { Dtype::F32 } else { Dtype::F64 };
        typed!(dtype, check_layer(&pools, &mut tally))?;
        progress.display.set_message(format!("seconds, {} layers", tally.layers));
        let passed = start.elapsed().as_secs();
        progress.inc(passed - shown);
        shown = passed;
    }
    progress.display.finish_and_clear();
    Ok(tally)
}

/// Pools of these numbers of threads, or of 2, 3 and the cores, and in any case of 1, which is the first.
fn pools(threads: &[usize]) -> Result<Vec<ThreadPool>> {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let mut counts = if threads.is_empty() { vec![2, 3, cores] } else { threads.to_vec() };
    counts.push(1);
    let pools = counts.into_iter().map(|count| threads::pool(Some(count), &mut Vec::new()));
    let mut pools = pools.collect::<Result<Vec<_>>>()?;
    // If the system refuses a number of threads, the pool may equal another one.
    pools.sort_by_key(ThreadPool::current_num_threads);
    pools.dedup_by_key(|pool| pool.current_num_threads());
    Ok(pools)
}

/// Draws a layer and a batch, and checks every variant of its computation.
fn check_layer<T: Element>(pools: &[ThreadPool], tally: &mut Tally) -> Result<()> {
    tally.layers += 1;
    // The number is the seed, so that machines with other kernels draw the same layer.
    let mut generator = Generator::new(tally.layers as u64);
    let long = is_long(tally.layers);
    let case = draw::<T>(long, &mut generator)?;
    let mut kernels: Vec<_> = Kernel::supported().collect();
    // The portable kernel may be hundreds of times slower: for long cases the reference is enough.
    if long && kernels.len() > 1 {
        kernels.pop();
    }
    Ok(case.check(pools, &kernels, &mut generator, |reference, variant, differences| {
        tally.add(&case, reference, variant, differences);
    })?)
}

/// Whether a case has few and long sequences, over which threads share columns, layers and directions; any
/// case would do so too seldom. Every third is long: as the type of the numbers alternates, both types
/// have long cases.
fn is_long(number: usize) -> bool {
    number.is_multiple_of(3)
}

/// Draws a layer and a batch for it: steps and lengths, input and `h_0`.
fn draw<T: Element>(long: bool, generator: &mut Generator) -> Result<Case<T>> {
    let (edges, row_edges, work, layers, bidirectional) = if long {
        (&LONG_EDGES[..], &LONG_ROW_EDGES[..], &LONG_WORK[..], 2, &[false, false, true][..])
    } else {
        (&EDGES[..], &ROW_EDGES[..], &WORK[..], 3, &[false, true][..])
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
    let input = normal(generator, [steps, batch, config.input_size])?;
    let h_0 = normal(generator, [states, batch, config.hidden_size])?;
    Ok(Case { rnn: Rnn::new(config, generator)?, input, h_0, lengths })
}

fn pick<C: Copy>(generator: &mut Generator, choices: &[C]) -> C {
    choices[below(generator, choices.len())]
}

/// One of these sizes, or one less, or one more.
fn near(generator: &mut Generator, edges: &[usize]) -> usize {
    (pick(generator, edges) + below(generator, 3)).saturating_sub(1).max(1)
}

pub(crate) fn normal<T: Element>(rng: &mut Generator, shape: [usize; 3]) -> Result<Array3<T>> {
    let mut values = elman::zeros(&shape, "input")?;
    rng.normal(&mut values);
    Ok(Array3::from_shape_vec(shape, values)?)
}

/// The result: the fields of the JSON report.
#[derive(Default, Serialize)]
pub(crate) struct Tally {
    comparisons: usize,
    bytes_differ: u64,
    /// Layers that have been drawn.
    layers: usize,
    kernels: Vec<&'static str>,
    threads: Vec<usize>,
    first_difference: Option<Value>,
    /// The same as a line.
    #[serde(skip)]
    bug: Option<String>,
}

impl Tally {
    /// Adds a comparison of two variants of a case.
    fn add<T: Element>(
        &mut self,
        case: &Case<T>,
        reference: &impl Display,
        variant: &impl Display,
        differences: &ByteDifferences,
    ) {
        self.comparisons += 1;
        self.bytes_differ += differences.bytes;
        let (None, Some(found)) = (&self.bug, &differences.first) else { return };
        let Mismatch { tensor, index, expected, found } = found;
        let (number, layer, [first, row, unit]) = (self.layers, described(case), index);
        let axis = if *tensor == "output" { "step" } else { "state" };
        self.bug = Some(format!(
            "layer {number}, {layer}: {tensor}: {axis} {first}, row {row}, unit {unit}: \
             expected {expected} ({reference}), got {found} ({variant})"
        ));
        self.first_difference = Some(json!({
            "number": number,
            "layer": layer,
            "tensor": tensor,
            "index": index,
            "expected": { "run": reference.to_string(), "value": expected },
            "got": { "run": variant.to_string(), "value": found },
        }));
    }

    pub(crate) fn text(&self) -> String {
        let Tally { layers, kernels, threads, comparisons, bytes_differ, .. } = self;
        let kernels = kernels.join(", ");
        let threads: Vec<_> = threads.iter().map(ToString::to_string).collect();
        let threads = threads.join(", ");
        format!(
            "{layers} layers, kernels {kernels}, threads {threads}\n\
             {comparisons} comparisons, {bytes_differ} bytes differ\n"
        )
    }

    /// A difference is an error, reported as a bug.
    pub(crate) fn bug(self) -> Result<()> {
        self.bug.map_or(Ok(()), |text| Err(Bug(text).into()))
    }
}

/// Describes the layer and the sizes of its input.
fn described<T: Element>(case: &Case<T>) -> String {
    let config = case.rnn.config();
    let (steps, batch, _) = case.input.dim();
    let (nonlinearity, dtype) = (config.nonlinearity, T::DTYPE);
    let layer = format!("{config}, {nonlinearity}, {dtype}, seq_len {steps}, batch {batch}");
    if case.lengths.iter().all(|&length| length == steps) {
        return layer;
    }
    format!("{layer}, lengths {:?}", case.lengths)
}

#[cfg(test)]
mod tests {
    use elman::Output;

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

    /// A check of one layer with the last bit of one number flipped.
    fn flipped() -> Tally {
        let config = Config { nonlinearity: Nonlinearity::Relu, ..Config::new(5, 2) };
        let case = Case {
            rnn: Rnn::<f32>::new(config, &mut Generator::new(0)).unwrap(),
            input: Array3::zeros((4, 3, 5)),
            h_0: Array3::zeros((1, 3, 2)),
            lengths: vec![4, 4, 2],
        };
        let output = || Output {
            output: Array3::<f32>::ones((4, 3, 2)).into_dyn(),
            h_n: Array3::<f32>::ones((1, 3, 2)).into_dyn(),
            lower_layers: Vec::new(),
        };
        let mut other = output();
        other.output[[3, 2, 1]] = 1.0_f32.next_up();
        let (kernels, threads) = (vec![Kernel::best().name()], vec![1, 2]);
        let mut tally = Tally { kernels, threads, layers: 1, ..Tally::default() };
        let equal = ByteDifferences::between(&output(), &output());
        let differ = ByteDifferences::between(&output(), &other);
        tally.add(&case, &"plain", &"equal", &equal);
        tally.add(&case, &"plain", &"flipped", &differ);
        // A second difference is counted, and not reported.
        tally.add(&case, &"plain", &"again", &differ);
        tally
    }

    #[test]
    fn a_difference_is_counted_and_reported_as_a_bug() {
        let tally = flipped();
        let kernel = Kernel::best().name();
        let expected =
            format!("1 layers, kernels {kernel}, threads 1, 2\n3 comparisons, 2 bytes differ\n");
        assert_eq!(tally.text(), expected);
        let error = tally.bug().unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Bug(_))));
        assert_eq!(
            error.to_string(),
            "layer 1, RNN(5, 2), relu, f32, seq_len 4, batch 3, lengths [4, 4, 2]: \
             output: step 3, row 2, unit 1: expected 1.0 (plain), got 1.0000001 (flipped)"
        );
    }

    #[test]
    fn scripts_read_the_first_difference() {
        let expected = json!({
            "comparisons": 3,
            "bytes_differ": 2,
            "layers": 1,
            "kernels": [Kernel::best().name()],
            "threads": [1, 2],
            "first_difference": {
                "number": 1,
                "layer": "RNN(5, 2), relu, f32, seq_len 4, batch 3, lengths [4, 4, 2]",
                "tensor": "output",
                "index": [3, 2, 1],
                "expected": { "run": "plain", "value": "1.0" },
                "got": { "run": "flipped", "value": "1.0000001" },
            },
        });
        assert_eq!(json!(flipped()).to_string(), expected.to_string());
    }
}
