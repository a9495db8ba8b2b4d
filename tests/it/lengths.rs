//! Sequences of different lengths, in the library: a batch of them gives the bytes of each sequence alone.

use elman::{
    Batch, Config, Error, Generator, Keep, Mode, Options, Output, PackedSequence, Padding, Rnn,
    pack_padded_sequence, pad_packed_sequence, unpack_sequence,
};
use ndarray::{Array3, ArrayD, ArrayViewD, Axis, Slice, s};
use proptest::prelude::*;

/// A padding value that no hidden state has.
const PADDING: Padding<f32> = Padding { value: -7.0, total_length: None };

/// A layer, and a padded batch for it.
struct Case {
    rnn: Rnn<f32>,
    /// (L, N, `H_in`), even if the layer is `batch_first`.
    input: Array3<f32>,
    h_0: Option<ArrayD<f32>>,
    lengths: Vec<usize>,
}

impl Case {
    fn new(config: Config, steps: usize, lengths: &[usize], with_h_0: bool) -> Self {
        let mut generator = Generator::new(3);
        let states = config.num_layers * config.num_directions();
        let hidden = (states, lengths.len(), config.hidden_size);
        let inputs = (steps, lengths.len(), config.input_size);
        let rnn = Rnn::new(config, &mut generator).unwrap();
        let mut normal = |shape: (usize, usize, usize)| {
            let mut values = vec![0.0; shape.0 * shape.1 * shape.2];
            generator.normal(&mut values);
            Array3::from_shape_vec(shape, values).unwrap()
        };
        let input = normal(inputs);
        let h_0 = with_h_0.then(|| normal(hidden).into_dyn());
        Case { rnn, input, h_0, lengths: lengths.to_vec() }
    }

    /// The input in the layer's layout.
    fn laid_out(&self) -> ArrayD<f32> {
        let mut input = self.input.clone().into_dyn();
        if self.rnn.config().batch_first {
            input.swap_axes(0, 1);
            input = input.as_standard_layout().into_owned();
        }
        input
    }

    fn padded(&self, padding: Padding<f32>) -> Output<f32> {
        let (input, h_0) = (self.laid_out(), self.h_0.as_ref().map(|array| array.view()));
        let batch_first = self.rnn.config().batch_first;
        let batch = Batch::with_lengths(input.view(), &self.lengths, batch_first).unwrap();
        self.rnn.forward(batch, Options { h_0, padding, ..Options::default() }).unwrap()
    }

    fn packed_input(&self) -> PackedSequence<f32> {
        let batch_first = self.rnn.config().batch_first;
        let input = self.laid_out();
        pack_padded_sequence(input.view(), &self.lengths, batch_first, false).unwrap()
    }

    fn packed(&self) -> (PackedSequence<f32>, ArrayD<f32>) {
        let h_0 = self.h_0.as_ref().map(|array| array.view());
        let options = Options { h_0, ..Options::default() };
        let (mut layers, h_n) = forward_packed(&self.rnn, &self.packed_input(), options);
        (layers.pop().unwrap(), h_n)
    }

    /// The expected result: every sequence alone, unbatched, padded to `total` steps.
    fn one_by_one(&self, total: usize) -> Output<f32> {
        let config = self.rnn.config();
        let (batch, states) = (self.lengths.len(), config.num_layers * config.num_directions());
        let width = config.num_directions() * config.hidden_size;
        let mut output = Array3::from_elem((total, batch, width), PADDING.value);
        let mut h_n = Array3::zeros((states, batch, config.hidden_size));
        for (n, &length) in self.lengths.iter().enumerate() {
            let h_0 = self.h_0.as_ref().map(|h_0| h_0.index_axis(Axis(1), n));
            if length == 0 {
                if let Some(h_0) = h_0 {
                    h_n.index_axis_mut(Axis(1), n).assign(&h_0);
                }
                continue;
            }
            let input = self.input.slice(s![..length, n, ..]).into_dyn();
            let own = self.rnn.call(input, h_0).unwrap();
            output.slice_mut(s![..length, n, ..]).assign(&own.output);
            h_n.index_axis_mut(Axis(1), n).assign(&own.h_n);
        }
        let mut output = output.into_dyn();
        if config.batch_first {
            output.swap_axes(0, 1);
        }
        Output { output, h_n: h_n.into_dyn(), lower_layers: Vec::new() }
    }

    /// Padded, packed and alone give the same bytes.
    fn check(&self) {
        let alone = self.one_by_one(self.input.len_of(Axis(0)));
        assert!(same_bits(&self.padded(PADDING), &alone), "padded, {:?}", self.lengths);
        let (output, h_n) = self.packed();
        let packed = self.packed_input();
        assert_eq!(output.batch_sizes, packed.batch_sizes);
        assert_eq!(output.sorted_indices, packed.sorted_indices);
        assert_eq!(output.unsorted_indices, packed.unsorted_indices);
        let steps = Some(self.input.len_of(Axis(0)));
        let batch_first = self.rnn.config().batch_first;
        let (output, lengths) =
            pad_packed_sequence(&output, batch_first, PADDING.value, steps).unwrap();
        assert_eq!(lengths, self.lengths);
        let packed = Output { output, h_n, lower_layers: Vec::new() };
        assert!(same_bits(&packed, &alone), "packed, {:?}", self.lengths);
    }
}

/// The kept outputs, packed, and `h_n`.
fn forward_packed(
    rnn: &Rnn<f32>,
    input: &PackedSequence<f32>,
    options: Options<'_, f32>,
) -> (Vec<PackedSequence<f32>>, ArrayD<f32>) {
    let Output { output, h_n, mut lower_layers } =
        rnn.forward(input.as_batch().unwrap(), options).unwrap();
    lower_layers.push(output);
    (lower_layers.into_iter().map(|layer| input.with_data(layer).unwrap()).collect(), h_n)
}

fn options(h_0: Option<ArrayViewD<'_, f32>>, keep: Keep) -> Options<'_, f32> {
    Options { h_0, keep, ..Options::default() }
}

fn same_bits(left: &Output<f32>, right: &Output<f32>) -> bool {
    same(&left.output, &right.output) && same(&left.h_n, &right.h_n)
}

fn same(left: &ArrayD<f32>, right: &ArrayD<f32>) -> bool {
    let bits = |array: &ArrayD<f32>| array.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    left.shape() == right.shape() && bits(left) == bits(right)
}

fn with_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

fn two_layers(bidirectional: bool) -> Config {
    Config { num_layers: 2, bidirectional, ..Config::new(3, 4) }
}

#[test]
fn sequences_of_pytorchs_own_test_are_as_if_alone() {
    for lengths in [
        &[5][..],
        &[10, 10, 6, 2, 2, 1, 1],
        &[2, 1, 3, 2, 10, 5, 3],
        &[0, 10, 6, 0, 0, 1, 1],
        &[10, 3, 0],
        &[4, 4, 4],
        &[0, 0],
        &[],
    ] {
        for bidirectional in [false, true] {
            for with_h_0 in [false, true] {
                Case::new(two_layers(bidirectional), 10, lengths, with_h_0).check();
            }
        }
    }
}

#[test]
fn every_plan_gives_the_same_bytes() {
    let large = Config { num_layers: 2, ..Config::new(3, 300) };
    let lengths: Vec<_> = (0..40).map(|n| (n * 7) % 21).collect();
    let blocks = Config { num_layers: 3, ..Config::new(16, 64) };
    let pipelined = Config { num_layers: 3, ..Config::new(64, 64) };
    let both = Config { bidirectional: true, ..Config::new(64, 64) };
    let cores = std::thread::available_parallelism().unwrap().get();
    for (config, steps, lengths, plan) in [
        (Config { bidirectional: true, ..blocks.clone() }, 20, &lengths[..], "2 blocks of rows"),
        (blocks, 20, &lengths, "2 blocks of rows"),
        (
            Config { bidirectional: true, ..large.clone() },
            99,
            &[9, 99, 0, 98],
            "both directions at once",
        ),
        (
            Config { bidirectional: true, ..Config::new(3, 640) },
            20,
            &[9, 20, 0, 19],
            "columns in 2 shares",
        ),
        (large, 99, &[99, 3, 0, 98], "columns in 2 shares"),
        (pipelined, 900, &[1, 900, 513, 899], "layers at the same time"),
        (both, 600, &[0, 599], "both directions at once"),
    ] {
        let case = Case::new(config, steps, lengths, true);
        let active = lengths.iter().filter(|&&length| length > 0).count();
        // Columns are never shared by more threads than cores.
        let found = case.rnn.plan(steps, active, 2);
        assert!(found.starts_with(plan) || cores == 1, "{found}");
        for threads in [1, 2, 3] {
            with_threads(threads, || case.check());
        }
    }
}

#[test]
fn the_output_is_as_long_as_the_input_or_total_length() {
    for lengths in [&[3, 1, 2][..], &[3, 3, 3], &[0, 0, 0]] {
        for batch_first in [false, true] {
            let config = Config { batch_first, ..two_layers(true) };
            let case = Case::new(config, 5, lengths, true);
            for total in [3, 4, 5, 9] {
                let padding = Padding { total_length: Some(total), ..PADDING };
                assert!(same_bits(&case.padded(padding), &case.one_by_one(total)), "{total}");
            }
            assert!(same_bits(&case.padded(PADDING), &case.one_by_one(5)));
        }
    }
}

#[test]
fn every_layer_of_a_pass_can_be_kept() {
    let case = Case::new(two_layers(true), 6, &[2, 6, 0, 3], true);
    let h_0 = case.h_0.as_ref().unwrap();
    let [lower, upper] = [s![..2, .., ..], s![2.., .., ..]].map(|own| {
        let h_0 = h_0.view().into_dimensionality::<ndarray::Ix3>().unwrap();
        h_0.slice_move(own).into_dyn()
    });
    let tensors = case.rnn.to_tensors();
    let one = |layer: usize, input_size: usize| {
        let own = format!("_l{layer}");
        let own = tensors.iter().filter(|(name, _)| name.contains(&own));
        let own = own.map(|(name, t)| (name.replace(&format!("_l{layer}"), "_l0"), t.clone()));
        let config = Config { bidirectional: true, ..Config::new(input_size, 4) };
        Rnn::from_tensors(config, own.collect()).unwrap()
    };
    let (first, second) = (one(0, 3), one(1, 8));

    let packed = case.packed_input();
    let (expected, lower_h_n) = forward_packed(&first, &packed, options(Some(lower), Keep::Last));
    let (top, upper_h_n) = forward_packed(&second, &expected[0], options(Some(upper), Keep::Last));
    let (layers, h_n) = forward_packed(&case.rnn, &packed, options(Some(h_0.view()), Keep::All));
    assert_eq!(layers, [expected[0].clone(), top[0].clone()]);
    assert_eq!(h_n, ndarray::concatenate![Axis(0), lower_h_n, upper_h_n]);

    let input = case.input.view().into_dyn();
    let batch = Batch::with_lengths(input.view(), &case.lengths, false).unwrap();
    let all = Options { padding: PADDING, ..options(Some(h_0.view()), Keep::All) };
    let result = case.rnn.forward(batch, all).unwrap();
    let (padded, _) = pad_packed_sequence(&expected[0], false, PADDING.value, None).unwrap();
    assert!(same(&result.lower_layers[0], &padded) && same(&result.h_n, &h_n));
    assert!(same(&result.output, &case.padded(PADDING).output));

    let whole = case.rnn.call(input.view(), Some(h_0.view())).unwrap();
    let batch = Batch::new(input, false).unwrap();
    let result = case.rnn.forward(batch, options(Some(h_0.view()), Keep::All)).unwrap();
    assert!(same_bits(&result, &whole) && result.lower_layers.len() == 1);
}

#[test]
fn masks_are_drawn_over_the_packed_rows() {
    let config = Config { num_layers: 3, dropout: 0.4, ..Config::new(3, 4) };
    let case = Case::new(config, 6, &[2, 6, 0, 3], true);
    let h_0 = || case.h_0.as_ref().map(|array| array.view());
    let (mut one, mut other, mut words) = (Generator::new(5), Generator::new(5), Generator::new(5));
    let packed = case.packed_input();
    let (output, h_n) = forward_packed(
        &case.rnn,
        &packed,
        Options { mode: Mode::Train(&mut one), ..options(h_0(), Keep::Last) },
    );
    let (layers, same_h_n) = forward_packed(
        &case.rnn,
        &packed,
        Options { mode: Mode::Train(&mut other), ..options(h_0(), Keep::All) },
    );
    assert_eq!((layers.last(), &same_h_n), (output.last(), &h_n));
    assert_eq!(one, other);
    // 11 rows of 4 features for each of two gaps.
    let mut masks = [true; 2 * 11 * 4];
    words.keep_mask(0.4, &mut masks);
    assert_eq!(one, words);
    // The first mask on the first layer's output is the input of the second.
    let (eval, _) = forward_packed(&case.rnn, &packed, options(h_0(), Keep::All));
    assert_eq!(layers[0], eval[0]);
    assert_ne!(layers[1], eval[1]);
}

#[test]
fn input_that_does_not_fit_the_layer_is_refused() {
    let case = Case::new(two_layers(false), 4, &[4, 2], false);
    let padded = |input: ArrayD<f32>, lengths: &[usize], total_length| {
        let padding = Padding { total_length, ..PADDING };
        let batch = Batch::with_lengths(input.view(), lengths, false);
        let options = Options { padding, ..Options::default() };
        text(batch.and_then(|batch| case.rnn.forward(batch, options)))
    };
    let input = || case.input.clone().into_dyn();
    assert_eq!(
        padded(ArrayD::zeros(vec![4, 3]), &[4], None),
        "input: expected 3 dimensions, (L, N, H_in), with lengths, got 2 in shape [4, 3]"
    );
    assert_eq!(padded(input(), &[4], None), "lengths: expected 2, one for each sequence, got 1");
    assert_eq!(
        padded(input(), &[4, 5], None),
        "lengths: expected at most 4, the steps (seq_len) of the input, got 5 in row 1"
    );
    assert_eq!(
        padded(input(), &[4, 2], Some(3)),
        "total_length: expected at least 4, the longest length, got 3"
    );
    for total in [usize::MAX, usize::MAX / 64] {
        for lengths in [[4, 2], [4, 4]] {
            let found = padded(input(), &lengths, Some(total));
            assert!(found.starts_with("out of memory: "), "{found}");
        }
    }
    let packed = |shape: &[usize]| {
        let packed = PackedSequence::new(ArrayD::zeros(shape), vec![2, 1], None, None).unwrap();
        text(packed.as_batch().and_then(|batch| case.rnn.forward(batch, Options::default())))
    };
    assert_eq!(
        packed(&[3, 1, 3]),
        "data: expected 2 dimensions, (rows, H_in), got 3 in shape [3, 1, 3]"
    );
    assert_eq!(
        packed(&[3, 4]),
        "input: expected 3 features (input_size) on the last axis, got 4 in shape [3, 4]"
    );
    let h_0 = ArrayD::zeros(vec![2, 1, 4]);
    let packed = case.packed_input();
    let options = options(Some(h_0.view()), Keep::Last);
    assert_eq!(
        text(case.rnn.forward(packed.as_batch().unwrap(), options)),
        "h_0: expected shape [2, 2, 4], got [2, 1, 4]"
    );
}

fn text<T>(result: Result<T, Error>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

/// Lengths with ties and zeros among them.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![Just(0), Just(3), 0..12_usize], 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_lengths_give_the_bytes_of_each_sequence_alone(
        lengths in lengths(),
        (hidden_size, layers) in (1..40_usize, 1..4_usize),
        (bidirectional, batch_first, with_h_0) in (any::<bool>(), any::<bool>(), any::<bool>()),
        (threads, more) in (1..4_usize, 0..3_usize),
    ) {
        let config = Config {
            num_layers: layers,
            bidirectional,
            batch_first,
            ..Config::new(5, hidden_size)
        };
        let steps = lengths.iter().max().unwrap_or(&0) + more.max(1);
        let case = Case::new(config, steps, &lengths, with_h_0);
        with_threads(threads, || case.check());
    }

    #[test]
    fn packed_sequences_can_be_unpacked(lengths in lengths(), batch_first in any::<bool>()) {
        let steps = 12;
        let config = Config { batch_first, ..two_layers(false) };
        let case = Case::new(config, steps, &lengths, false);
        let packed = case.packed_input();
        prop_assert_eq!(packed.batch(), lengths.len());
        prop_assert_eq!(&packed.lengths().unwrap(), &lengths);
        let sequences = unpack_sequence(&packed).unwrap();
        for (n, sequence) in sequences.iter().enumerate() {
            let own = case.input.index_axis(Axis(1), n);
            prop_assert_eq!(sequence, &own.slice_axis(Axis(0), Slice::from(..lengths[n])).into_dyn());
        }
        let (padded, _) = pad_packed_sequence(&packed, batch_first, 0.0, Some(steps)).unwrap();
        let again = pack_padded_sequence(padded.view(), &lengths, batch_first, false).unwrap();
        prop_assert_eq!(again, packed);
    }
}
