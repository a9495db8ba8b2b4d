//! The forward pass against PyTorch: every case of the fixtures, and those of PyTorch's own tests of the layer that a
//! command line can repeat. T1 to T17 number PyTorch's tests; the missing ones concern gradients, devices, packed
//! sequences and arguments that the command line does not have.

use std::fmt::Debug;

use elman::{Dtype, Element};
use ndarray::{ArrayD, Axis};
use serde::Deserialize;

use crate::support::{Sandbox, cases, fixture, fixture_path, largest_difference, state_file};

/// Largest difference from PyTorch's f32, relative to the largest value if that is above 1: about ten roundings of
/// 6e-8, because PyTorch adds in another order. The largest difference found is 1.9e-7 in eval mode, and 5.7e-7 with
/// dropout of 0.9, which multiplies the kept elements by ten.
const F32_TOLERANCE: f64 = 1e-6;

/// The same for f64, whose roundings are 1.1e-16. The largest difference found is 5.2e-16; PyTorch's own
/// tanh, which is 2 ulp off, may differ by more on another processor.
const F64_TOLERANCE: f64 = 1e-13;

/// Largest distance of a sum of a thousand f32 numbers from a whole multiple of one of them: the sum is about 750
/// multiples, and its relative error is about ten roundings of 6e-8.
const COUNT_TOLERANCE: f64 = 1e-3;

/// A CASE of `cases.json`.
#[derive(Debug, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the booleans are PyTorch's own")]
struct Case {
    name: String,
    weights: String,
    input: String,
    h0: Option<String>,
    nonlinearity: String,
    num_layers: usize,
    bias: bool,
    batch_first: bool,
    bidirectional: bool,
    dtype: String,
    unbatched: bool,
    output: String,
    h_n: String,
}

impl Case {
    /// The words of `rnn run` for this case.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["run".to_owned()];
        let mut add = |flag: &str, value: Option<&str>| {
            words.push(flag.to_owned());
            words.extend(value.map(str::to_owned));
        };
        add("-w", Some(&absolute(&self.weights)));
        add("-i", Some(&absolute(&self.input)));
        if let Some(h0) = &self.h0 {
            add("--h0", Some(&absolute(h0)));
        }
        add("--nonlinearity", Some(&self.nonlinearity));
        add("--layers", Some(&self.num_layers.to_string()));
        for (flag, given) in [
            ("--no-bias", !self.bias),
            ("--batch-first", self.batch_first),
            ("--batch-first=false", !self.batch_first),
            ("--bidirectional", self.bidirectional),
        ] {
            if given {
                add(flag, None);
            }
        }
        for (flag, value) in [("-o", "output.npy"), ("--hn", "h_n.npy"), ("--report", "none")] {
            add(flag, Some(value));
        }
        words
    }

    /// Runs the case with more words, compares output and `h_n` with PyTorch's, and returns them. `files` lists all
    /// files of the folder after the run.
    #[track_caller]
    fn check<T: Element>(
        &self,
        sandbox: &Sandbox,
        more: &[&str],
        files: &[&str],
    ) -> [ArrayD<T>; 2] {
        let words = self.words();
        let words: Vec<_> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let outcome = sandbox.rnn_with(&words, &[]).succeeds();
        assert_eq!(outcome.stdout_text(), "", "{}", self.name);
        assert_eq!(sandbox.names(), files, "{}", self.name);
        [("output.npy", &self.output), ("h_n.npy", &self.h_n)].map(|(file, expected)| {
            let got = sandbox.load::<T>(file);
            near(&got, &fixture(expected), &format!("{}: {file}", self.name));
            got
        })
    }

    /// [`Case::check`] as the case's own type.
    #[track_caller]
    fn check_dtype(&self, sandbox: &Sandbox, more: &[&str], files: &[&str]) {
        match self.dtype.as_str() {
            "f32" => drop(self.check::<f32>(sandbox, more, files)),
            _ => drop(self.check::<f64>(sandbox, more, files)),
        }
    }
}

/// The absolute path of a REF.
fn absolute(fixture: &str) -> String {
    fixture_path(fixture).to_str().unwrap().to_owned()
}

/// Fails the test unless both have one shape and differ by no more than the tolerance of their type.
#[track_caller]
fn near<T: Element>(got: &ArrayD<T>, expected: &ArrayD<T>, what: &str) {
    let tolerance = match T::DTYPE {
        Dtype::F32 => F32_TOLERANCE,
        Dtype::F64 => F64_TOLERANCE,
    };
    assert_eq!(got.shape(), expected.shape(), "{what}");
    let largest = expected.iter().fold(1.0_f64, |most, &x| most.max(x.into().abs()));
    let difference = largest_difference(got, expected) / largest;
    assert!(difference <= tolerance, "{what}: differs by {difference:e}");
}

/// Every case of the section `run` with this nonlinearity, number of layers and type.
#[track_caller]
fn runs(nonlinearity: &str, num_layers: usize, dtype: &str) {
    /// `h_0`, unbatched, batch-first, bidirectional, bias: present or not.
    const CASES: usize = 32;
    let sandbox = Sandbox::new();
    let mut count = 0;
    for case in cases::<Vec<Case>>("/run") {
        let key = (case.nonlinearity.as_str(), case.num_layers, case.dtype.as_str());
        if key == (nonlinearity, num_layers, dtype) {
            case.check_dtype(&sandbox, &[], &["h_n.npy", "output.npy"]);
            count += 1;
        }
    }
    assert_eq!(count, CASES);
}

#[test]
fn tanh_1_layer_f32() {
    runs("tanh", 1, "f32");
}

#[test]
fn tanh_1_layer_f64() {
    runs("tanh", 1, "f64");
}

#[test]
fn tanh_2_layers_f32() {
    runs("tanh", 2, "f32");
}

#[test]
fn tanh_2_layers_f64() {
    runs("tanh", 2, "f64");
}

#[test]
fn tanh_3_layers_f32() {
    runs("tanh", 3, "f32");
}

#[test]
fn tanh_3_layers_f64() {
    runs("tanh", 3, "f64");
}

#[test]
fn relu_1_layer_f32() {
    runs("relu", 1, "f32");
}

#[test]
fn relu_1_layer_f64() {
    runs("relu", 1, "f64");
}

#[test]
fn relu_2_layers_f32() {
    runs("relu", 2, "f32");
}

#[test]
fn relu_2_layers_f64() {
    runs("relu", 2, "f64");
}

#[test]
fn relu_3_layers_f32() {
    runs("relu", 3, "f32");
}

#[test]
fn relu_3_layers_f64() {
    runs("relu", 3, "f64");
}

/// The fixtures contain exactly the runs above.
#[test]
fn the_fixtures_have_384_runs_of_two_types() {
    let cases: Vec<Case> = cases("/run");
    assert_eq!(cases.len(), 384);
    assert!(cases.iter().all(|case| ["f32", "f64"].contains(&case.dtype.as_str())));
    assert_eq!(cases.iter().filter(|case| case.unbatched).count(), 192);
}

/// Training mode: the masks and the final state of the generator are PyTorch's.
#[test]
fn dropout_draws_the_masks_of_pytorch() {
    #[derive(Debug, Deserialize)]
    struct Training {
        #[serde(flatten)]
        case: Case,
        dropout: f64,
        seed: String,
        state: String,
    }
    let sandbox = Sandbox::new();
    let trainings: Vec<Training> = cases("/dropout");
    assert_eq!(trainings.len(), 32);
    for Training { case, dropout, seed, state } in trainings {
        let p = dropout.to_string();
        let more = ["--train", "--dropout", &p, "--seed", &seed, "--rng", "rng.npy"];
        case.check_dtype(&sandbox, &more, &["h_n.npy", "output.npy", "rng.npy"]);
        // Not assert_eq, which would print ten thousand numbers.
        assert!(sandbox.bytes("rng.npy") == state_file(&state), "{}: the state", case.name);
    }
}

/// T1: a sequence without the axis of a batch gives the bytes of a batch of one.
#[test]
fn unbatched_equals_a_batch_of_one() {
    #[derive(Debug, Deserialize)]
    struct Pair {
        unbatched: Case,
        batched: Case,
    }
    let sandbox = Sandbox::new();
    let files = ["h_n.npy", "output.npy"];
    let pairs: Vec<Pair> = cases("/torch_tests/T1");
    assert_eq!(pairs.len(), 32);
    for Pair { unbatched, batched } in pairs {
        let alone: [ArrayD<f32>; 2] = unbatched.check(&sandbox, &[], &files);
        let [output, h_n] = batched.check::<f32>(&sandbox, &[], &files);
        let batch_axis = Axis(usize::from(!batched.batch_first));
        let squeezed = [output.remove_axis(batch_axis), h_n.remove_axis(Axis(1))];
        assert_eq!(alone.each_ref().map(bits), squeezed.each_ref().map(bits), "{}", unbatched.name);
    }
}

/// The shape and the bits of an array: two zeros of different sign are not the same.
fn bits(array: &ArrayD<f32>) -> (Vec<usize>, Vec<u32>) {
    (array.shape().to_vec(), array.iter().map(|x| x.to_bits()).collect())
}

/// T2: the arguments that the constructor of `nn.RNN` rejects. `--no-bias` takes no value, so a bias
/// of another type cannot be typed.
#[test]
fn bad_constructions_are_refused() {
    let sandbox = Sandbox::new();
    for (flag, value, wanted) in [
        ("--hidden-size", "0", "a whole number of at least 1"),
        ("--hidden-size", "5.0", "a whole number of at least 1"),
        ("--num-layers", "0", "a whole number of at least 1"),
        ("--input-size", "0", "a whole number of at least 1"),
        ("--input-size", "3.0", "a whole number of at least 1"),
        ("--input-size", "ten", "a whole number of at least 1"),
    ] {
        let mut words = vec!["init", "-o", "w", flag, value];
        for (other, size) in [("--input-size", "10"), ("--hidden-size", "20")] {
            if other != flag {
                words.extend([other, size]);
            }
        }
        let stderr =
            format!("rnn: {flag}: expected {wanted}, got '{value}'\nhint: rnn init --help\n");
        sandbox.rnn_with(&words, &[]).fails(2, &stderr);
    }
    assert_eq!(sandbox.names(), [""; 0]);
}

/// The message about a negative size names its flag, and does not take the size for another flag.
#[test]
fn the_message_about_a_negative_size_names_its_flag() {
    let sandbox = Sandbox::new();
    let stderr = "rnn: --input-size: expected a whole number of at least 1, got '-1'\n\
                  hint: rnn init --help\n";
    sandbox.rnn("init -o w --input-size=-1 --hidden-size 20").fails(2, stderr);
    sandbox.rnn("init -o w --input-size -1 --hidden-size 20").fails(2, stderr);
}

/// T2, truth values: only `true` and `false` are accepted.
#[test]
fn batch_first_takes_only_a_truth_value() {
    let sandbox = Sandbox::new();
    for value in ["0", "1", "False"] {
        let line = format!("init -o w --input-size 10 --hidden-size 20 --batch-first={value}");
        let stderr = format!(
            "rnn: invalid value '{value}' for '--batch-first[=<BOOL>]' [possible values: true, false]\n\
             hint: rnn init --help\n"
        );
        sandbox.rnn(&line).fails(2, &stderr);
    }
}

/// T2, types: neither the layer's type nor the input's is converted without `--dtype`.
#[test]
fn input_of_another_type_is_refused() {
    for (of_layer, of_input) in [("f32", "f64"), ("f64", "f32")] {
        let sandbox = Sandbox::new();
        init(&sandbox, &format!("--input-size 10 --hidden 20 --dtype {of_layer} -o w"));
        randn(&sandbox, &format!("--shape 3,10 --dtype {of_input} -o x.npy"));
        let stderr = format!(
            "rnn: x.npy: input: expected {of_layer}, as the layer is, got {of_input}\n\
             hint: rnn run -w w -i x.npy --dtype {of_layer}\n"
        );
        sandbox.rnn("run -w w -i x.npy").fails(65, &stderr);
        assert_eq!(sandbox.names(), ["w", "x.npy"]);
    }
}

/// Writes fresh weights, without a report.
#[track_caller]
fn init(sandbox: &Sandbox, flags: &str) {
    sandbox.rnn(&format!("init --report none {flags}")).succeeds();
}

/// Writes a random tensor, without a report.
#[track_caller]
fn randn(sandbox: &Sandbox, flags: &str) {
    sandbox.rnn(&format!("randn --report none {flags}")).succeeds();
}

/// T3: RNN(3, 5, 2), 6 steps, a batch of 4, and one size after the other replaced by 7.
#[test]
fn every_wrong_size_is_refused() {
    let sandbox = Sandbox::new();
    init(&sandbox, "--input-size 3 --hidden 5 --layers 2 -o w");
    for (input, h_0, expected, found) in [
        ("6,7,3", "2,4,5", "[2, 7, 5]", "[2, 4, 5]"),
        ("6,4,3", "2,7,5", "[2, 4, 5]", "[2, 7, 5]"),
        ("6,4,3", "2,4,7", "[2, 4, 5]", "[2, 4, 7]"),
        ("6,4,3", "7,4,5", "[2, 4, 5]", "[7, 4, 5]"),
    ] {
        randn(&sandbox, &format!("--shape {input} -o x.npy"));
        randn(&sandbox, &format!("--shape {h_0} -o h0.npy"));
        let stderr = format!(
            "rnn: h0.npy: h_0: expected shape {expected}, got {found}\n\
             hint: h_0 is zeros without --h0: rnn run -w w -i x.npy\n"
        );
        sandbox.rnn("run -w w -i x.npy --h0 h0.npy").fails(65, &stderr);
    }
    assert_eq!(sandbox.names(), ["h0.npy", "w", "x.npy"]);
}

/// T3, features: the hint makes the same layer with other features.
#[test]
fn the_hint_for_wrong_features_keeps_the_rest_of_the_layer() {
    let sandbox = Sandbox::new();
    init(&sandbox, "--input-size 3 --hidden 5 --layers 2 -o w");
    randn(&sandbox, "--shape 6,4,7 -o x.npy");
    randn(&sandbox, "--shape 2,4,5 -o h0.npy");
    let stderr = "rnn: x.npy: input: expected 3 features (input_size) on the last axis, got 7 in shape [6, 4, 7]\n\
                  hint: fresh weights for 7 features: rnn init --input-size 7 --hidden-size 5 --num-layers 2 -o weights-7/\n";
    sandbox.rnn("run -w w -i x.npy --h0 h0.npy").fails(65, stderr);
}

/// T4: zeros for `h_0` are the same as no `h_0`.
#[test]
fn initial_zeros_are_the_default() {
    let sandbox = Sandbox::new();
    init(&sandbox, "--input-size 30 --hidden 20 --layers 2 --seed 3004 --rng rng.npy -o w");
    randn(&sandbox, "--shape 10,32,30 --rng rng.npy -o x.npy");
    sandbox.save("h0.npy", &fixture::<f32>("torch-tests.npz:t4.h0").view());
    sandbox.rnn("run -w w -i x.npy").succeeds();
    sandbox.rnn("run -w w -i x.npy --h0 h0.npy -o output-h0.npy --hn h_n-h0.npy").succeeds();
    assert!(sandbox.bytes("output.npy") == sandbox.bytes("output-h0.npy"));
    assert!(sandbox.bytes("h_n.npy") == sandbox.bytes("h_n-h0.npy"));

    let (output, h_n) = (sandbox.load::<f32>("output.npy"), sandbox.load::<f32>("h_n.npy"));
    near(&h_n, &fixture("torch-tests.npz:t4.h_n"), "h_n");
    assert_eq!(output.index_axis(Axis(0), 9), h_n.index_axis(Axis(0), 1));
}

/// A folder of weights that are all 1, for RNN(10, 1000, 2, bias=False).
fn ones(sandbox: &Sandbox) {
    std::fs::create_dir(sandbox.path("ones")).unwrap();
    for (name, columns) in [
        ("weight_ih_l0", 10),
        ("weight_hh_l0", 1000),
        ("weight_ih_l1", 1000),
        ("weight_hh_l1", 1000),
    ] {
        let weight = ArrayD::<f32>::ones(vec![1000, columns]);
        sandbox.save(&format!("ones/{name}.npy"), &weight.view());
    }
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![1, 1, 10]).view());
}

/// T7: every unit of the second layer sums a thousand tens, or zeros for those that dropout drops.
#[test]
fn dropout_scales_the_elements_that_it_keeps() {
    #[derive(Debug, Deserialize)]
    struct Run {
        train: bool,
        dropout: f64,
        seed: String,
        value: f32,
    }
    let sandbox = Sandbox::new();
    ones(&sandbox);
    for Run { train, dropout, seed, value } in cases::<Vec<Run>>("/torch_tests/T7/runs") {
        let train_flag = if train { "--train" } else { "" };
        let line = "run -w ones -i x.npy --nonlinearity relu --report none";
        sandbox.rnn(&format!("{line} --dropout {dropout} --seed {seed} {train_flag}")).succeeds();
        let (output, h_n) = (sandbox.load::<f32>("output.npy"), sandbox.load::<f32>("h_n.npy"));
        assert_eq!((output.shape(), h_n.shape()), (&[1, 1, 1000][..], &[2, 1, 1000][..]));
        let first = output[[0, 0, 0]];
        assert_eq!(output, ArrayD::from_elem(vec![1, 1, 1000], first), "{dropout}");
        assert_eq!(h_n.index_axis(Axis(0), 0), ArrayD::from_elem(vec![1, 1000], 10.0));
        assert_eq!(h_n.index_axis(Axis(0), 1), output.index_axis(Axis(0), 0), "{dropout}");
        if train && dropout > 0.0 && dropout < 1.0 {
            assert!(8000.0 < first && first < 12000.0, "{dropout}: {first}");
            let tens = f64::from(first) * (1.0 - dropout) / 10.0;
            assert!((tens - tens.round()).abs() < COUNT_TOLERANCE, "{dropout}: {tens}");
            near(&output, &ArrayD::from_elem(vec![1, 1, 1000], value), "output");
        } else {
            // Sums of tens are exact in f32 in any order.
            assert_eq!(first.to_bits(), value.to_bits(), "{dropout}");
        }
    }
}

/// T8, `test_RNN_dropout_state`: the stream of draws continues from run to run, and nothing else changes.
#[test]
fn only_active_dropout_changes_from_run_to_run() {
    let sandbox = Sandbox::new();
    init(&sandbox, "--input-size 5 --hidden 50 --layers 2 --seed 1 --rng rng.npy -o w");
    randn(&sandbox, "--shape 6,10,5 --rng rng.npy -o x.npy");
    for (flags, repeats) in [
        ("--dropout 0", true),
        ("--dropout 0.1234", true),
        ("--dropout 1", true),
        ("--train --dropout 0", true),
        ("--train --dropout 0.1234", false),
        ("--train --dropout 1", true),
    ] {
        let run = || {
            let before = sandbox.bytes("rng.npy");
            let line = format!("run -w w -i x.npy {flags} --rng rng.npy --report none");
            sandbox.rnn(&line).succeeds();
            let drawn = sandbox.bytes("rng.npy") != before;
            (sandbox.bytes("output.npy"), sandbox.bytes("h_n.npy"), drawn)
        };
        let (first, second) = (run(), run());
        assert_eq!((first == second, first.2), (repeats, !repeats), "{flags}");
    }
}

/// T8, `test_RNN_change_dropout`: the probability may change between runs of one layer.
#[test]
fn dropout_may_change_from_run_to_run() {
    let sandbox = Sandbox::new();
    init(&sandbox, "--input-size 5 --hidden 50 --layers 2 --seed 1 --rng rng.npy -o w");
    randn(&sandbox, "--shape 6,10,5 --rng rng.npy -o x.npy");
    let outputs = ["0", "0.5", "0", "0.7", "0.2", "1", "0.2", "0"].map(|p| {
        let line = format!("run -w w -i x.npy --train --dropout {p} --rng rng.npy --report none");
        sandbox.rnn(&line).succeeds();
        (p, sandbox.bytes("output.npy"))
    });
    for (at, (p, output)) in outputs.iter().enumerate() {
        for (other, earlier) in &outputs[..at] {
            assert_eq!(output == earlier, (*p, *other) == ("0", "0"), "{p} and {other}");
        }
    }
    sandbox.rnn("run -w w -i x.npy --report none").succeeds();
    assert!(sandbox.bytes("output.npy") == outputs[0].1, "eval mode is dropout 0");
}

/// The same seed draws the same masks.
#[test]
fn a_seed_repeats_dropout() {
    let sandbox = Sandbox::new();
    init(&sandbox, "--input-size 5 --hidden 50 --layers 2 --dropout 0.5 -o w");
    randn(&sandbox, "--shape 6,10,5 -o x.npy");
    let outputs = ["--seed 3", "--seed 3", "--seed 4", "", "--seed 67280421310721"].map(|seed| {
        sandbox.rnn(&format!("run -w w -i x.npy --train --report none {seed}")).succeeds();
        sandbox.bytes("output.npy")
    });
    assert!(outputs[0] == outputs[1]);
    assert!(outputs[0] != outputs[2]);
    assert!(outputs[3] == outputs[4], "the seed of a new torch.Generator() is the default");
}

/// T9: a sequence of no steps is an error.
#[test]
fn a_sequence_of_no_steps_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![0, 10, 5]).view());
    let stderr = "rnn: x.npy: input: expected seq_len of at least 1, got 0 in shape [0, 10, 5]\n";
    sandbox.rnn("run --hidden 6 -i x.npy").fails(65, stderr);
    sandbox.rnn("run --hidden 6 -i x.npy --bidirectional").fails(65, stderr);
    assert_eq!(sandbox.names(), ["x.npy"]);
}

/// T10: a batch without sequences gives a batch without sequences.
#[test]
fn a_batch_of_0_is_no_error() {
    #[derive(Debug, Deserialize)]
    struct Empty {
        weights: String,
        input: String,
        output_shape: Vec<usize>,
        h_n_shape: Vec<usize>,
    }
    let sandbox = Sandbox::new();
    let empty: Empty = cases("/torch_tests/T10");
    let (weights, input) = (absolute(&empty.weights), absolute(&empty.input));
    sandbox.rnn_with(&["run", "-w", &weights, "-i", &input], &[]).assumes();
    assert_eq!(sandbox.load::<f32>("output.npy").shape(), empty.output_shape);
    assert_eq!(sandbox.load::<f32>("h_n.npy").shape(), empty.h_n_shape);
}

/// T11: a message names both sizes, and the file.
#[test]
fn messages_name_both_sizes() {
    let sandbox = Sandbox::new();
    init(&sandbox, "--input-size 10 --hidden 20 --batch-first -o w");
    randn(&sandbox, "--shape 2,3,10 -o x.npy");
    randn(&sandbox, "--shape 2,3,3 -o narrow.npy");
    randn(&sandbox, "--shape 1,2,19 -o h0.npy");
    let stderr = "rnn: h0.npy: h_0: expected shape [1, 2, 20], got [1, 2, 19]\n\
                  hint: h_0 is zeros without --h0: rnn run -w w -i x.npy\n";
    sandbox.rnn("run -w w -i x.npy --h0 h0.npy").fails(65, stderr);
    let found = sandbox.rnn("run -w w -i narrow.npy");
    let message = "rnn: narrow.npy: input: expected 10 features (input_size) on the last axis, got 3 in shape [2, 3, 3]";
    assert_eq!((found.code, found.stderr.lines().next()), (Some(65), Some(message)));
}

/// T13: a second run gives the same bytes.
#[test]
fn a_run_repeats() {
    let sandbox = Sandbox::new();
    init(&sandbox, "--input-size 10 --hidden 20 --layers 2 --seed 13 --rng rng.npy -o w");
    randn(&sandbox, "--shape 5,6,10 --rng rng.npy -o x.npy");
    let [first, second] = [(), ()].map(|()| {
        sandbox.rnn("run -w w -i x.npy --report none").succeeds();
        (sandbox.bytes("output.npy"), sandbox.bytes("h_n.npy"))
    });
    assert!(first == second);
}

/// T16: an axis of 1 is not stretched, neither of `h_0` nor of the input.
#[test]
fn shapes_are_not_broadcast() {
    let sandbox = Sandbox::new();
    init(&sandbox, "--input-size 10 --hidden 20 -o w");
    for (input, h_0, expected, found) in [
        ("4,3,10", "1,1,20", "[1, 3, 20]", "[1, 1, 20]"),
        ("4,3,10", "1,3,1", "[1, 3, 20]", "[1, 3, 1]"),
        ("4,3,10", "3,20", "[1, 3, 20]", "[3, 20]"),
        ("3,10", "3,1", "[1, 20]", "[3, 1]"),
        ("3,10", "1,1,20", "[1, 20]", "[1, 1, 20]"),
    ] {
        randn(&sandbox, &format!("--shape {input} -o x.npy"));
        randn(&sandbox, &format!("--shape {h_0} -o h0.npy"));
        let stderr = format!(
            "rnn: h0.npy: h_0: expected shape {expected}, got {found}\n\
             hint: h_0 is zeros without --h0: rnn run -w w -i x.npy\n"
        );
        sandbox.rnn("run -w w -i x.npy --h0 h0.npy").fails(65, &stderr);
    }
    randn(&sandbox, "--shape 3,1 -o x.npy");
    let found = sandbox.rnn("run -w w -i x.npy");
    let message = "rnn: x.npy: input: expected 10 features (input_size) on the last axis, got 1 in shape [3, 1]";
    assert_eq!((found.code, found.stderr.lines().next()), (Some(65), Some(message)));
}

/// T17: column-major input gives the result of row-major input.
#[test]
fn column_major_input_equals_row_major_input() {
    fn check<T: Element>(dtype: &str) {
        let sandbox = Sandbox::new();
        let flags = format!("--input-size 3 --hidden 5 --bidirectional --dtype {dtype} -o w");
        init(&sandbox, &flags);
        let name = format!("inputs.npz:x_{dtype}");
        let input = fixture::<T>(&name);
        sandbox.save("x.npy", &input.view());
        sandbox.write("turned.npy", &column_major(&sandbox, &input));
        for output in ["x", "turned"] {
            let line = format!("run -w w -i {output}.npy -o {output}.out.npy --report none");
            sandbox.rnn(&line).succeeds();
        }
        assert!(sandbox.bytes("x.out.npy") == sandbox.bytes("turned.out.npy"));
    }
    check::<f32>("f32");
    check::<f64>("f64");
}

/// A .npy file of (L, N, `H_in`) in column-major order: that of the transposed array with another
/// header.
fn column_major<T: Element>(sandbox: &Sandbox, array: &ArrayD<T>) -> Vec<u8> {
    let turned = array.t();
    sandbox.save("transposed.npy", &turned);
    let mut file = sandbox.bytes("transposed.npy");
    let &[a, b, c] = array.shape() else { panic!("three axes") };
    let from = format!("False, 'shape': ({c}, {b}, {a})");
    let to = format!("True, 'shape': ({a}, {b}, {c})");
    let start = file.windows(from.len()).position(|text| text == from.as_bytes()).unwrap();
    file.splice(start..start + from.len(), to.bytes());
    // The header keeps its length: the padding grows by the characters that the value loses.
    let end = file.iter().position(|&byte| byte == b'\n').unwrap();
    file.insert(end, b' ');
    file
}

/// T17: weights that are written and read again, in either format, give the output of the fresh ones.
#[test]
fn saved_weights_give_the_output_of_the_fresh_ones() {
    for dtype in ["f32", "f64"] {
        let sandbox = Sandbox::new();
        randn(&sandbox, &format!("--shape 4,2,3 --dtype {dtype} -o x.npy"));
        let layer = "--input-size 3 --hidden 5 --layers 2 --bidirectional --nonlinearity relu \
                     --batch-first --seed 9";
        init(&sandbox, &format!("{layer} --dtype {dtype} -o folder"));
        init(&sandbox, &format!("{layer} --dtype {dtype} -o archive.npz"));
        let outputs = [layer, "-w folder", "-w archive.npz"].map(|weights| {
            sandbox.rnn(&format!("run -i x.npy --report none {weights}")).succeeds();
            (sandbox.bytes("output.npy"), sandbox.bytes("h_n.npy"))
        });
        assert!(outputs[0] == outputs[1], "{dtype}: folder");
        assert!(outputs[0] == outputs[2], "{dtype}: archive");
    }
}
