//! The forward pass of the library: against the naive one, and against itself with other kernels, threads, blocks and
//! chunks.

use elman::check::{Case, below};
use elman::{Config, Element, Generator, Kernel, Nonlinearity, Output, Rnn};
use ndarray::{Array3, ArrayD, Axis, Ix3, s};
use proptest::prelude::*;

use crate::naive;

/// Largest difference of f32 from the naive float64 result for layers of up to 70 features, relative to the largest
/// value if ReLU lets values grow: ten roundings of 6e-8, times a safety factor of two.
const TOLERANCE_F32: f64 = 2e-6;
/// The same for f64.
const TOLERANCE_F64: f64 = 4e-15;

/// The parameters of a case.
#[derive(Clone, Debug)]
struct Recipe {
    config: Config,
    steps: usize,
    batch: usize,
    seed: u64,
}

impl Recipe {
    fn new(input_size: usize, hidden_size: usize, steps: usize, batch: usize) -> Self {
        Recipe { config: Config::new(input_size, hidden_size), steps, batch, seed: 1 }
    }

    fn case<T: Element>(&self) -> Case<T> {
        let mut generator = Generator::new(self.seed);
        let rnn = Rnn::new(self.config.clone(), &mut generator).unwrap();
        let mut normal = |shape: (usize, usize, usize)| {
            let mut values = vec![T::ZERO; shape.0 * shape.1 * shape.2];
            generator.normal(&mut values);
            Array3::from_shape_vec(shape, values).unwrap()
        };
        let input = normal((self.steps, self.batch, self.config.input_size));
        let states = self.config.num_layers * self.config.num_directions();
        let h_0 = normal((states, self.batch, self.config.hidden_size));
        Case { rnn, input, h_0, lengths: vec![self.steps; self.batch] }
    }
}

fn run<T: Element>(case: &Case<T>) -> Output<T> {
    forward(&case.rnn, &case.input, &case.h_0)
}

fn forward<T: Element>(rnn: &Rnn<T>, input: &Array3<T>, h_0: &Array3<T>) -> Output<T> {
    let (input, h_0) = (input.view().into_dyn(), h_0.view().into_dyn());
    rnn.call(input, Some(h_0)).unwrap()
}

/// The bits of every number, so that NaN equals NaN and 0 differs from -0.
fn bits<T: Element>(array: &ArrayD<T>) -> Vec<u64> {
    array.iter().map(|&x| x.into().to_bits()).collect()
}

fn same_bits<T: Element>(left: &Output<T>, right: &Output<T>) -> bool {
    left.output.shape() == right.output.shape()
        && bits(&left.output) == bits(&right.output)
        && bits(&left.h_n) == bits(&right.h_n)
}

fn with_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// Compares a case with the naive judge.
#[track_caller]
fn judge<T: Element>(recipe: &Recipe, tolerance: f64) {
    let case = recipe.case::<T>();
    let widen = |array: &Array3<T>| array.mapv(Into::<f64>::into);
    let tensors = case.rnn.to_tensors();
    let tensors = tensors.iter().map(|(name, t)| (name.clone(), t.mapv(Into::into))).collect();
    let (output, h_n) =
        naive::forward(&recipe.config, &tensors, &widen(&case.input), &widen(&case.h_0));
    let found = run(&case);
    for (found, expected) in [(&found.output, &output), (&found.h_n, &h_n)] {
        let found = found.clone().into_dimensionality::<Ix3>().unwrap();
        let largest = expected.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
        assert_eq!(found.dim(), expected.dim());
        for (&found, &expected) in found.iter().zip(expected) {
            let difference = (found.into() - expected).abs() / largest;
            assert!(difference <= tolerance, "{recipe:?}: {found:?}, expected {expected}");
        }
    }
}

#[test]
fn sizes_around_every_tile_edge_agree_with_the_naive_judge() {
    // Around vectors of 4 to 16, cache lines of 8 and 16, panels of one to three lines, and chains of 64;
    // tiles have up to eight rows.
    let sizes = [
        1, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 79, 80, 81, 96, 97, 112,
        128, 129,
    ];
    for hidden_size in sizes {
        for batch in [1, 2, 3, 4, 5, 7, 8, 9, 16, 17] {
            judge::<f32>(&Recipe::new(5, hidden_size, 2, batch), TOLERANCE_F32);
        }
        judge::<f64>(&Recipe::new(5, hidden_size, 2, 3), TOLERANCE_F64);
        judge::<f32>(&Recipe::new(hidden_size, 5, 3, 1), TOLERANCE_F32);
        judge::<f64>(&Recipe::new(hidden_size, 5, 3, 7), TOLERANCE_F64);
    }
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let sizes = (1..70_usize, 1..70_usize, 1..4_usize, 1..9_usize, 0..9_usize);
    (sizes, any::<(bool, bool, bool, u64)>()).prop_map(
        |(
            (input_size, hidden_size, num_layers, steps, batch),
            (relu, bias, bidirectional, seed),
        )| {
            let nonlinearity = if relu { Nonlinearity::Relu } else { Nonlinearity::Tanh };
            let config = Config {
                num_layers,
                nonlinearity,
                bias,
                bidirectional,
                ..Config::new(input_size, hidden_size)
            };
            Recipe { config, steps, batch, seed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn random_layers_agree_with_the_naive_judge(recipe in recipes()) {
        judge::<f32>(&recipe, TOLERANCE_F32);
        judge::<f64>(&recipe, TOLERANCE_F64);
    }

    #[test]
    fn no_way_of_computing_a_batch_changes_a_byte(recipe in recipes(), ragged in any::<bool>()) {
        invariant::<f32>(&recipe, ragged);
        invariant::<f64>(&recipe, ragged);
    }
}

#[track_caller]
fn invariant<T: Element>(recipe: &Recipe, ragged: bool) {
    let mut case = recipe.case::<T>();
    let mut generator = Generator::new(recipe.seed);
    if ragged {
        case.lengths.fill_with(|| 1 + below(&mut generator, recipe.steps));
    }
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    case.assert_invariant(&[pool(1), pool(2)], &mut generator);
}

#[track_caller]
fn in_two_pieces<T: Element>(case: &Case<T>, cut: usize) {
    let whole = run(case);
    let (first, second) = case.input.view().split_at(Axis(0), cut);
    let first = forward(&case.rnn, &first.to_owned(), &case.h_0);
    let carried = first.h_n.into_dimensionality::<Ix3>().unwrap();
    let second = forward(&case.rnn, &second.to_owned(), &carried);
    let output = ndarray::concatenate![Axis(0), first.output, second.output];
    assert!(same_bits(&Output { output, ..second }, &whole));
}

#[test]
fn threads_and_blocks_change_no_byte() {
    // Large enough that the batch is cut into blocks, and a long sequence into chunks.
    for bidirectional in [false, true] {
        let mut recipe = Recipe::new(33, 70, 40, 600);
        recipe.config = Config { num_layers: 3, bidirectional, ..recipe.config };
        let case = recipe.case::<f32>();
        let expected = with_threads(1, || run(&case));
        for threads in [2, 3, 4, 8] {
            assert!(
                same_bits(&with_threads(threads, || run(&case)), &expected),
                "{threads} threads"
            );
        }
        let row = s![.., 599..600, ..];
        let (input, h_0) = (case.input.slice(row).to_owned(), case.h_0.slice(row).to_owned());
        let alone = forward(&case.rnn, &input, &h_0);
        let last = expected.output.slice_axis(Axis(1), (599..600).into()).to_owned();
        assert_eq!(bits(&alone.output), bits(&last));
    }
}

#[test]
fn shared_columns_change_no_byte() {
    // Few rows of a layer so large that its columns are shared, in several segments of time.
    for (batch, bidirectional) in [(1, false), (1, true), (3, true), (3, false)] {
        let mut recipe = Recipe::new(40, 330, 150, batch);
        recipe.config = Config { num_layers: 3, bidirectional, ..recipe.config };
        let case = recipe.case::<f32>();
        let expected = with_threads(1, || run(&case));
        for threads in [2, 3, 8] {
            let found = with_threads(threads, || run(&case));
            assert!(same_bits(&found, &expected), "{threads} threads, batch {batch}");
        }
    }
}

#[test]
fn both_directions_of_few_rows_at_once_change_no_byte() {
    for (batch, steps) in [(1, 400), (3, 150), (15, 40)] {
        let mut recipe = Recipe::new(40, 70, steps, batch);
        recipe.config = Config { num_layers: 2, bidirectional: true, ..recipe.config };
        let case = recipe.case::<f32>();
        let expected = with_threads(1, || run(&case));
        assert!(same_bits(&with_threads(2, || run(&case)), &expected), "{batch} rows");
    }
}

#[test]
fn layers_at_the_same_time_change_no_byte() {
    // One row, and few enough rows that the batch is not cut into blocks.
    for (batch, steps) in [(1, 3000), (3, 2000)] {
        let mut recipe = Recipe::new(20, 70, steps, batch);
        recipe.config = Config { num_layers: 4, ..recipe.config };
        let case = recipe.case::<f32>();
        let expected = with_threads(1, || run(&case));
        for threads in [2, 3] {
            assert!(
                same_bits(&with_threads(threads, || run(&case)), &expected),
                "{threads} threads"
            );
        }
    }
}

#[test]
fn many_passes_at_once_on_one_pool_end() {
    // More passes with shared columns than threads.
    let case = Recipe::new(40, 300, 200, 1).case::<f32>();
    let expected = with_threads(1, || run(&case));
    with_threads(3, || {
        rayon::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|_| assert!(same_bits(&run(&case), &expected)));
            }
        });
    });
}

#[test]
fn long_sequences_pass_through_in_chunks() {
    let mut recipe = Recipe::new(3, 64, 3000, 1);
    recipe.config.num_layers = 2;
    in_two_pieces(&recipe.case::<f32>(), 1234);
}

/// The promised order of operations: the first step of a ReLU layer from zeros is the sum itself if that is positive.
#[test]
fn sums_are_chains_of_64() {
    let mut recipe = Recipe::new(200, 30, 1, 1);
    recipe.config.nonlinearity = Nonlinearity::Relu;
    let case = recipe.case::<f32>();
    let tensors = case.rnn.to_tensors();
    let tensor = |name: &str| &tensors.iter().find(|(found, _)| found == name).unwrap().1;
    let x: Vec<f32> = case.input.iter().copied().collect();
    let h: Vec<f32> = case.h_0.iter().copied().collect();
    let found = run(&case).output;
    for unit in 0..30 {
        let row =
            |name: &str| tensor(name).index_axis(Axis(0), unit).iter().copied().collect::<Vec<_>>();
        let bias = tensor("bias_ih_l0")[[unit]] + tensor("bias_hh_l0")[[unit]];
        let pre = naive::chained_sum(bias, &x, &row("weight_ih_l0"));
        let sum = naive::chained_sum(pre, &h, &row("weight_hh_l0"));
        assert_eq!(found[[0, 0, unit]].to_bits(), sum.max(0.0).to_bits(), "unit {unit}");
    }
}

#[test]
fn nan_and_infinity_pass_through_and_nan_has_one_bit_pattern() {
    for nonlinearity in [Nonlinearity::Tanh, Nonlinearity::Relu] {
        let mut recipe = Recipe::new(3, 5, 4, 3);
        recipe.config.nonlinearity = nonlinearity;
        let mut case = recipe.case::<f32>();
        let clean = run(&case);
        case.input[[1, 0, 1]] = -f32::NAN;
        case.input[[2, 1, 0]] = f32::INFINITY;
        for kernel in Kernel::supported() {
            let rnn = case.rnn.clone().with_kernel(kernel);
            let found = forward(&rnn, &case.input, &case.h_0).output;
            let row = |row: usize| found.index_axis(Axis(1), row).to_owned();
            assert!(
                row(0)
                    .slice_axis(Axis(0), (1..4).into())
                    .iter()
                    .all(|x| x.to_bits() == 0x7fc0_0000)
            );
            assert!(
                row(1)
                    .index_axis(Axis(0), 2)
                    .iter()
                    .all(|x| [0.0, 1.0].contains(&x.abs()) || x.is_infinite())
            );
            assert_eq!(row(2), clean.output.index_axis(Axis(1), 2));
        }
    }
}

#[test]
fn input_without_rows_gives_output_without_rows() {
    for batch_first in [false, true] {
        let mut recipe = Recipe::new(3, 5, 6, 0);
        recipe.config.batch_first = batch_first;
        recipe.config.bidirectional = true;
        let rnn = recipe.case::<f32>().rnn;
        let shape = if batch_first { (0, 6, 3) } else { (6, 0, 3) };
        let input = Array3::zeros(shape);
        let found = rnn.call(input.view().into_dyn(), None).unwrap();
        let expected: [usize; 3] = if batch_first { [0, 6, 10] } else { [6, 0, 10] };
        assert_eq!(found.output.shape(), expected);
        assert_eq!(found.h_n.shape(), [2, 0, 5]);
    }
}
