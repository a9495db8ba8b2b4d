//! Tutorials of `nn.RNN` as command lines: each snippet below its Python, and each pitfall with the message that
//! explains it.

use ndarray::{ArrayD, Axis, s};

use crate::support::{Sandbox, fixture, largest_difference, state_file, without_measured};

/// Largest difference of f32 results from PyTorch's: some roundings of 6e-8 on either side.
const TOLERANCE: f64 = 1e-6;

/// Largest difference of the sum of 300 such results: their errors have either sign.
const SUM_TOLERANCE: f64 = 1e-5;

/// Runs several lines, and returns the output of the last one without the parts that depend on the machine.
#[track_caller]
fn last_report(sandbox: &Sandbox, lines: &[&str]) -> String {
    let (last, others) = lines.split_last().unwrap();
    for line in others {
        sandbox.rnn(line).succeeds();
    }
    without_measured(&sandbox.rnn(last).succeeds().stdout_text())
}

fn zeros(sandbox: &Sandbox, name: &str, shape: &[usize]) {
    sandbox.save(name, &ArrayD::<f32>::zeros(shape).view());
}

/// `nn.RNN(input_size=10, hidden_size=20)`
#[test]
fn a_simple_layer() {
    let sandbox = Sandbox::new();
    let expected = "\
RNN(10, 20), tanh, f32, 640 parameters
weights       w/
seed          0
weight_ih_l0  [20, 10] hidden_size 20, input_size 10   f32
weight_hh_l0  [20, 20] hidden_size 20, hidden_size 20  f32
bias_ih_l0    [20] hidden_size 20                      f32
bias_hh_l0    [20] hidden_size 20                      f32
";
    let line = "init --input-size 10 --hidden-size 20 --seed 0 -o w/";
    assert_eq!(last_report(&sandbox, &[line]), expected);
}

/// `nn.RNN(5, 15, num_layers=2, batch_first=True)`
#[test]
fn two_layers_with_the_batch_first() {
    let sandbox = Sandbox::new();
    let expected = "\
RNN(5, 15, num_layers=2, batch_first=True), tanh, f32, 810 parameters
weights       w/
seed          0
weight_ih_l0  [15, 5] hidden_size 15, input_size 5     f32
weight_hh_l0  [15, 15] hidden_size 15, hidden_size 15  f32
bias_ih_l0    [15] hidden_size 15                      f32
bias_hh_l0    [15] hidden_size 15                      f32
weight_ih_l1  [15, 15] hidden_size 15, hidden_size 15  f32
weight_hh_l1  [15, 15] hidden_size 15, hidden_size 15  f32
bias_ih_l1    [15] hidden_size 15                      f32
bias_hh_l1    [15] hidden_size 15                      f32
";
    let line = "init --input-size 5 --hidden 15 --layers 2 --batch-first --seed 0 -o w/";
    assert_eq!(last_report(&sandbox, &[line]), expected);
}

/// `nn.RNN(8, 12, nonlinearity='relu', bidirectional=True)`
#[test]
fn a_bidirectional_layer_with_relu() {
    let sandbox = Sandbox::new();
    let expected = "\
RNN(8, 12, bidirectional=True), relu, f32, 528 parameters
weights               w/
seed                  0
weight_ih_l0          [12, 8] hidden_size 12, input_size 8     f32
weight_hh_l0          [12, 12] hidden_size 12, hidden_size 12  f32
bias_ih_l0            [12] hidden_size 12                      f32
bias_hh_l0            [12] hidden_size 12                      f32
weight_ih_l0_reverse  [12, 8] hidden_size 12, input_size 8     f32
weight_hh_l0_reverse  [12, 12] hidden_size 12, hidden_size 12  f32
bias_ih_l0_reverse    [12] hidden_size 12                      f32
bias_hh_l0_reverse    [12] hidden_size 12                      f32
";
    let line = "init --input-size 8 --hidden 12 --nonlinearity relu --bidirectional --seed 0 -o w/";
    assert_eq!(last_report(&sandbox, &[line]), expected);
}

/// `rnn = nn.RNN(input_size=3, hidden_size=5, num_layers=1, batch_first=True)`,
/// `rnn(torch.randn(2, 4, 3), torch.zeros(1, 2, 5))`: output is (2, 4, 5), `h_n` is (1, 2, 5).
#[test]
fn the_sample_model_with_the_batch_first() {
    let sandbox = Sandbox::new();
    zeros(&sandbox, "h0.npy", &[1, 2, 5]);
    let report = last_report(
        &sandbox,
        &[
            "init --input-size 3 --hidden-size 5 --num-layers 1 --batch-first --seed 0 --rng rng.npy -o w/",
            "randn --shape 2,4,3 --rng rng.npy -o x.npy",
            "run -w w/ -i x.npy --h0 h0.npy",
        ],
    );
    let expected = "\
RNN(3, 5, batch_first=True), tanh, f32, 50 parameters
weights  w/
input    [2, 4, 3] batch 2, seq_len 4, input_size 3      f32  x.npy
h_0      [1, 2, 5] num_layers 1, batch 2, hidden_size 5  f32  h0.npy
output   [2, 4, 5] batch 2, seq_len 4, hidden_size 5     f32  output.npy
h_n      [1, 2, 5] num_layers 1, batch 2, hidden_size 5  f32  h_n.npy
eval, kernel K, T threads, S s
";
    assert_eq!(report, expected);
    // The hidden state holds the last output of each sequence.
    let (output, h_n) = (sandbox.load::<f32>("output.npy"), sandbox.load::<f32>("h_n.npy"));
    assert_eq!(output.slice(s![.., 3, ..]), h_n.slice(s![0, .., ..]));
}

/// The same in one line, with fresh weights: `nn.RNN(3, 5, batch_first=True)(input)`
#[test]
fn a_layer_and_its_forward_pass_in_one_line() {
    let sandbox = Sandbox::new();
    let report = last_report(
        &sandbox,
        &[
            "randn --shape 2,4,3 --seed 1 -o x.npy",
            "run --input-size 3 --hidden-size 5 --batch-first --seed 0 -i x.npy",
        ],
    );
    let expected = "\
RNN(3, 5, batch_first=True), tanh, f32, 50 parameters
weights  fresh
seed     0
input    [2, 4, 3] batch 2, seq_len 4, input_size 3      f32  x.npy
h_0      [1, 2, 5] num_layers 1, batch 2, hidden_size 5  f32  zeros
output   [2, 4, 5] batch 2, seq_len 4, hidden_size 5     f32  output.npy
h_n      [1, 2, 5] num_layers 1, batch 2, hidden_size 5  f32  h_n.npy
eval, kernel K, T threads, S s
";
    assert_eq!(report, expected);
}

/// `nn.RNN(10)`: a hidden size is required, and there is no default.
#[test]
fn a_layer_without_a_hidden_size() {
    let stderr = "rnn: expected --hidden-size, the features of a hidden state, got none\n\
                  hint: rnn init --input-size 10 -o w/ --hidden-size 20\n";
    Sandbox::new().rnn("init --input-size 10 -o w/").fails(2, stderr);
}

/// `nn.RNN(20, 10)(torch.randn(5, 3, 10))` instead of `nn.RNN(10, 20)`.
#[test]
fn sizes_in_the_wrong_order() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 5,3,10 -o x.npy").succeeds();
    let stderr = "rnn: x.npy: input: expected 20 features (input_size) on the last axis, got 10 in shape [5, 3, 10]\n\
                  hint: rnn run -i x.npy --input-size 10 --hidden-size 20\n";
    sandbox.rnn("run --input-size 20 --hidden-size 10 -i x.npy").fails(65, stderr);
    sandbox.rnn("run -i x.npy --input-size 10 --hidden-size 20").succeeds();
}

/// `nn.RNN(input_size=5, hidden_size=3, batch_first=True)(torch.randn(4, 7, 5))`: output is (4, 7, 3).
#[test]
fn the_shape_of_output_with_the_batch_first() {
    let sandbox = Sandbox::new();
    let report = last_report(
        &sandbox,
        &[
            "randn --shape 4,7,5 --seed 0 -o x.npy",
            "run --input-size 5 --hidden-size 3 --batch-first -i x.npy",
        ],
    );
    let output = "output   [4, 7, 3] batch 4, seq_len 7, hidden_size 3     f32  output.npy";
    assert!(report.lines().any(|line| line == output), "{report}");
    assert_eq!(sandbox.load::<f32>("output.npy").shape(), [4, 7, 3]);
    assert_eq!(sandbox.load::<f32>("h_n.npy").shape(), [1, 4, 3]);
}

/// `nn.RNN(input_size=8, hidden_size=4)(torch.randn(3, 5, 10))`: 10 features for a layer of 8.
#[test]
fn features_that_the_layer_does_not_have() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 3,5,10 -o x.npy").succeeds();
    let message = "rnn: x.npy: input: expected 8 features (input_size) on the last axis, got 10 in shape [3, 5, 10]\n";
    let stderr = format!("{message}hint: rnn run --hidden-size 4 -i x.npy --input-size 10\n");
    sandbox.rnn("run --input-size 8 --hidden-size 4 -i x.npy").fails(65, &stderr);

    sandbox.rnn("init --input-size 8 --hidden-size 4 -o w/").succeeds();
    let stderr = format!(
        "{message}hint: fresh weights for 10 features: rnn init --input-size 10 --hidden-size 4 -o weights-10/\n"
    );
    sandbox.rnn("run -w w/ -i x.npy").fails(65, &stderr);
    assert_eq!(sandbox.names(), ["w", "x.npy"]);
}

/// `nn.RNN(input_size=10, hidden_size=20, num_layers=2, nonlinearity='tanh', batch_first=False)`,
/// `output, hidden = rnn(input_tensor, hidden_state)`
#[test]
fn every_argument_by_its_name() {
    let sandbox = Sandbox::new();
    let report = last_report(
        &sandbox,
        &[
            "randn --shape 5,3,10 --seed 0 --rng rng.npy -o input.npy",
            "randn --shape 2,3,20 --rng rng.npy -o hidden.npy",
            "run --input-size 10 --hidden-size 20 --num-layers 2 --nonlinearity tanh --batch-first=false \
             --rng rng.npy --input input.npy --h0 hidden.npy --output output.npy --hn hn.npy",
        ],
    );
    let expected = "\
RNN(10, 20, num_layers=2), tanh, f32, 1480 parameters
weights  fresh
input    [5, 3, 10] seq_len 5, batch 3, input_size 10      f32  input.npy
h_0      [2, 3, 20] num_layers 2, batch 3, hidden_size 20  f32  hidden.npy
output   [5, 3, 20] seq_len 5, batch 3, hidden_size 20     f32  output.npy
h_n      [2, 3, 20] num_layers 2, batch 3, hidden_size 20  f32  hn.npy
rng                                                             rng.npy
eval, kernel K, T threads, S s
";
    assert_eq!(report, expected);
}

/// `rnn = nn.RNN(input_size=5, hidden_size=3, num_layers=1, batch_first=True)`,
/// `rnn(torch.randn(2, 4, 5), torch.zeros(1, 2, 3))`: output is (2, 4, 3), `h_n` is (1, 2, 3).
#[test]
fn the_example_of_the_guide() {
    let sandbox = Sandbox::new();
    zeros(&sandbox, "h0.npy", &[1, 2, 3]);
    let report = last_report(
        &sandbox,
        &[
            "randn --shape 2,4,5 --seed 0 -o x.npy",
            "run --input-size 5 --hidden-size 3 --num-layers 1 --batch-first -i x.npy --h0 h0.npy",
        ],
    );
    let expected = "\
RNN(5, 3, batch_first=True), tanh, f32, 30 parameters
weights  fresh
seed     67280421310721
input    [2, 4, 5] batch 2, seq_len 4, input_size 5      f32  x.npy
h_0      [1, 2, 3] num_layers 1, batch 2, hidden_size 3  f32  h0.npy
output   [2, 4, 3] batch 2, seq_len 4, hidden_size 3     f32  output.npy
h_n      [1, 2, 3] num_layers 1, batch 2, hidden_size 3  f32  h_n.npy
eval, kernel K, T threads, S s
";
    assert_eq!(report, expected);
}

/// `rnn = nn.RNN(input_size=3, hidden_size=2, num_layers=1)`: `rnn(torch.randn(4, 3, 5))` fails, because
/// its features are not on the last axis, and `rnn(torch.randn(5, 4, 3))` gives (5, 4, 2).
#[test]
fn axes_in_the_wrong_order() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 4,3,5 -o x.npy").succeeds();
    let stderr = "rnn: x.npy: input: expected 3 features (input_size) on the last axis, got 5 in shape [4, 3, 5]\n\
                  hint: axis 1 has 3 features: rnn convert x.npy x-swapped.npy --transpose 1,2\n";
    sandbox.rnn("run --input-size 3 --hidden-size 2 --num-layers 1 -i x.npy").fails(65, stderr);

    sandbox.rnn("randn --shape 5,4,3 -o x.npy").succeeds();
    sandbox.rnn("run --input-size 3 --hidden-size 2 --num-layers 1 -i x.npy").succeeds();
    assert_eq!(sandbox.load::<f32>("output.npy").shape(), [5, 4, 2]);
}

/// An initial state of (batch, `num_layers`, `hidden_size`), as if `batch_first` applied to it.
#[test]
fn a_hidden_state_with_the_batch_first() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 3 --hidden-size 5 --batch-first -o w/").succeeds();
    sandbox.rnn("randn --shape 2,4,3 -o x.npy").succeeds();
    zeros(&sandbox, "h0.npy", &[2, 1, 5]);
    let stderr = "rnn: h0.npy: h_0: expected shape [1, 2, 5], got [2, 1, 5]\n\
                  hint: batch_first never applies to h_0: rnn convert h0.npy h0-swapped.npy --transpose 0,1\n";
    sandbox.rnn("run -w w/ -i x.npy --h0 h0.npy").fails(65, stderr);
}

/// (batch, `seq_len`, features) for a layer without `batch_first`: the batch of the state reveals it.
#[test]
fn input_with_the_batch_first_for_a_layer_without() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 3 --hidden-size 5 -o w/").succeeds();
    sandbox.rnn("randn --shape 2,4,3 -o x.npy").succeeds();
    zeros(&sandbox, "h0.npy", &[1, 2, 5]);
    let stderr = "rnn: h0.npy: h_0: expected shape [1, 4, 5], got [1, 2, 5]\n\
                  hint: axis 0 of the input has 2, as the batch of h_0: rnn run -w w/ -i x.npy --h0 h0.npy --batch-first\n";
    sandbox.rnn("run -w w/ -i x.npy --h0 h0.npy").fails(65, stderr);
    sandbox.rnn("run -w w/ -i x.npy --h0 h0.npy --batch-first").succeeds();
    assert_eq!(sandbox.load::<f32>("output.npy").shape(), [2, 4, 5]);
}

/// An initial state for another number of layers.
#[test]
fn a_hidden_state_of_another_shape() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 10 --hidden-size 20 --num-layers 2 -o w/").succeeds();
    sandbox.rnn("randn --shape 5,3,10 -o x.npy").succeeds();
    zeros(&sandbox, "h0.npy", &[1, 3, 20]);
    let stderr = "rnn: h0.npy: h_0: expected shape [2, 3, 20], got [1, 3, 20]\n\
                  hint: h_0 is zeros without --h0: rnn run -w w/ -i x.npy\n";
    sandbox.rnn("run -w w/ -i x.npy --h0 h0.npy").fails(65, stderr);
}

/// `rnn(input)` and `rnn(input, torch.zeros(...))` are the same.
#[test]
fn a_hidden_state_that_was_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 5,1,10 -o x.npy").succeeds();
    zeros(&sandbox, "h0.npy", &[1, 1, 20]);
    let [without, with] = ["", "--h0 h0.npy"].map(|h_0| {
        sandbox.rnn(&format!("run --hidden-size 20 -i x.npy {h_0}")).succeeds();
        (sandbox.bytes("output.npy"), sandbox.bytes("h_n.npy"))
    });
    assert!(without == with);
}

/// `nn.RNN(3, 2, nonlinearity='sigmoid')`
#[test]
fn a_nonlinearity_that_does_not_exist() {
    let sandbox = Sandbox::new();
    let message = "rnn: --nonlinearity: unknown nonlinearity 'sigmoid': expected tanh or relu\n";
    let stderr = format!(
        "{message}hint: rnn init --input-size 3 --hidden-size 2 -o w/ --nonlinearity tanh\n"
    );
    let line = "init --input-size 3 --hidden-size 2 --nonlinearity sigmoid -o w/";
    sandbox.rnn(line).fails(2, &stderr);
    let stderr = format!("{message}hint: rnn run --hidden-size 2 -i x.npy --nonlinearity tanh\n");
    sandbox.rnn("run --hidden-size 2 --nonlinearity sigmoid -i x.npy").fails(2, &stderr);
}

/// `rnn = nn.RNN(10, 20, 1)`, `output, hidden = rnn(torch.randn(5, 1, 10))`, and the same with
/// `torch.zeros(1, 1, 20)` as a start.
#[test]
fn a_sequence_of_five_steps() {
    let sandbox = Sandbox::new();
    zeros(&sandbox, "hidden.npy", &[1, 1, 20]);
    let lines = [
        "init --input-size 10 --hidden-size 20 --num-layers 1 --seed 0 --rng rng.npy -o w/",
        "randn --shape 5,1,10 --rng rng.npy -o x.npy",
        "run -w w/ -i x.npy",
    ];
    let report = last_report(&sandbox, &lines);
    let expected = "\
RNN(10, 20), tanh, f32, 640 parameters
weights  w/
input    [5, 1, 10] seq_len 5, batch 1, input_size 10      f32  x.npy
h_0      [1, 1, 20] num_layers 1, batch 1, hidden_size 20  f32  zeros
output   [5, 1, 20] seq_len 5, batch 1, hidden_size 20     f32  output.npy
h_n      [1, 1, 20] num_layers 1, batch 1, hidden_size 20  f32  h_n.npy
eval, kernel K, T threads, S s
";
    assert_eq!(report, expected);
    let report = last_report(&sandbox, &["run -w w/ -i x.npy --h0 hidden.npy"]);
    assert_eq!(report, expected.replace("zeros", "hidden.npy"));
}

/// `rnn = nn.RNN(3, 5, num_layers=1)`, `output, hidden = rnn(torch.randn(4, 1, 3), torch.zeros(1, 1, 5))`:
/// `output[-1]` is the state after the last step.
#[test]
fn output_at_the_last_step() {
    let sandbox = Sandbox::new();
    zeros(&sandbox, "hidden.npy", &[1, 1, 5]);
    let report = last_report(
        &sandbox,
        &[
            "init --input-size 3 --hidden-size 5 --num-layers 1 --seed 0 --rng rng.npy -o w/",
            "randn --shape 4,1,3 --rng rng.npy -o x.npy",
            "run -w w/ -i x.npy --h0 hidden.npy",
        ],
    );
    let expected = "\
RNN(3, 5), tanh, f32, 50 parameters
weights  w/
input    [4, 1, 3] seq_len 4, batch 1, input_size 3      f32  x.npy
h_0      [1, 1, 5] num_layers 1, batch 1, hidden_size 5  f32  hidden.npy
output   [4, 1, 5] seq_len 4, batch 1, hidden_size 5     f32  output.npy
h_n      [1, 1, 5] num_layers 1, batch 1, hidden_size 5  f32  h_n.npy
eval, kernel K, T threads, S s
";
    assert_eq!(report, expected);
    let (output, h_n) = (sandbox.load::<f32>("output.npy"), sandbox.load::<f32>("h_n.npy"));
    assert_eq!(output.index_axis(Axis(0), 3), h_n.index_axis(Axis(0), 0));
}

/// One step at a time: only the hidden state is carried between steps.
#[test]
fn one_step_after_the_other() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 3 --hidden-size 5 --seed 0 --rng rng.npy -o w/").succeeds();
    sandbox.rnn("randn --shape 4,1,3 --rng rng.npy -o x.npy").succeeds();
    sandbox.rnn("run -w w/ -i x.npy").succeeds();
    let (x, output) = (sandbox.load::<f32>("x.npy"), sandbox.load::<f32>("output.npy"));
    zeros(&sandbox, "state.npy", &[1, 1, 5]);
    for step in 0..4 {
        sandbox.save("step.npy", &x.slice(s![step..=step, .., ..]).into_dyn());
        sandbox.rnn("run -w w/ -i step.npy --h0 state.npy --hn state.npy").succeeds();
        let state = sandbox.load::<f32>("state.npy");
        assert_eq!(state.index_axis(Axis(0), 0), output.index_axis(Axis(0), step), "{step}");
    }
}

/// `output.view(seq_len, batch, num_directions, hidden_size)` and
/// `h_n.view(num_layers, num_directions, batch, hidden_size)`: the forward direction ends at the last
/// step, the other one at the first.
#[test]
fn directions_and_layers_can_be_separated() {
    let sandbox = Sandbox::new();
    let report = last_report(
        &sandbox,
        &[
            "randn --shape 4,2,3 --seed 0 -o x.npy",
            "run --hidden-size 5 --num-layers 2 --bidirectional -i x.npy",
        ],
    );
    let expected = "\
RNN(3, 5, num_layers=2, bidirectional=True), tanh, f32, 270 parameters
weights  fresh
seed     67280421310721
input    [4, 2, 3] seq_len 4, batch 2, input_size 3                 f32  x.npy
h_0      [4, 2, 5] directions*num_layers 4, batch 2, hidden_size 5  f32  zeros
output   [4, 2, 10] seq_len 4, batch 2, directions*hidden_size 10   f32  output.npy
h_n      [4, 2, 5] directions*num_layers 4, batch 2, hidden_size 5  f32  h_n.npy
eval, kernel K, T threads, S s
";
    assert_eq!(report, expected);
    let output = sandbox.load::<f32>("output.npy").into_shape_with_order((4, 2, 2, 5)).unwrap();
    let h_n = sandbox.load::<f32>("h_n.npy").into_shape_with_order((2, 2, 2, 5)).unwrap();
    assert_eq!(output.slice(s![3, .., 0, ..]), h_n.slice(s![1, 0, .., ..]));
    assert_eq!(output.slice(s![0, .., 1, ..]), h_n.slice(s![1, 1, .., ..]));
}

/// Fresh weights lie between -sqrt(k) and sqrt(k), with k = 1 / `hidden_size`, and come close to both.
#[test]
fn fresh_weights_are_uniform() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 10 --hidden-size 25 --seed 0 -o w.npz").succeeds();
    for name in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"] {
        let weights = sandbox.load::<f32>(&format!("w.npz:{name}"));
        let (low, high) =
            weights.iter().fold((0.0_f32, 0.0_f32), |(low, high), &w| (low.min(w), high.max(w)));
        let reached = (-0.2..-0.1).contains(&low) && (0.1..=0.2).contains(&high);
        assert!(reached, "{name}: {low} to {high}");
    }
}

/// `nn.RNN(10, 20, 2, dropout=0.5)` drops nothing in eval mode, and the report says so; in training mode it
/// drops outputs of every layer except the last.
#[test]
fn dropout_acts_between_layers_in_training_mode() {
    let sandbox = Sandbox::new();
    let lines = [
        "init --input-size 10 --hidden-size 20 --num-layers 2 --dropout 0.5 --seed 0 -o w/",
        "randn --shape 5,3,10 -o x.npy",
        "run -w w/ -i x.npy",
    ];
    let report = last_report(&sandbox, &lines);
    let layer = "\
RNN(10, 20, num_layers=2, dropout=0.5), tanh, f32, 1480 parameters
weights  w/
";
    let tensors = "\
input    [5, 3, 10] seq_len 5, batch 3, input_size 10      f32  x.npy
h_0      [2, 3, 20] num_layers 2, batch 3, hidden_size 20  f32  zeros
output   [5, 3, 20] seq_len 5, batch 3, hidden_size 20     f32  output.npy
h_n      [2, 3, 20] num_layers 2, batch 3, hidden_size 20  f32  h_n.npy
";
    let note = "note: dropout 0.5 is inactive, as after eval(); --train applies it\n";
    assert_eq!(report, format!("{layer}{tensors}eval, kernel K, T threads, S s\n{note}"));
    let inactive = (sandbox.bytes("output.npy"), sandbox.load::<f32>("h_n.npy"));

    let report = last_report(&sandbox, &["run -w w/ -i x.npy --train --seed 1"]);
    assert_eq!(report, format!("{layer}seed     1\n{tensors}train, kernel K, T threads, S s\n"));
    let active = (sandbox.bytes("output.npy"), sandbox.load::<f32>("h_n.npy"));
    assert!(active.0 != inactive.0);
    assert_eq!(active.1.index_axis(Axis(0), 0), inactive.1.index_axis(Axis(0), 0));
    assert!(sandbox.load::<f32>("output.npy").iter().all(|&x| x != 0.0));
}

/// `torch.manual_seed(0)`, `rnn = nn.RNN(10, 20, 2)`, `input = torch.randn(5, 3, 10)`,
/// `h0 = torch.randn(2, 3, 20)`, `output, hn = rnn(input, h0)`: number for number, and the generator
/// has PyTorch's state after each line.
#[test]
fn the_example_of_the_documentation_number_for_number() {
    let sandbox = Sandbox::new();
    for (line, state) in [
        (
            "init --rng rng.npy --seed 0 --input-size 10 --hidden 20 --layers 2 -o w/",
            "state_after_init",
        ),
        ("randn --rng rng.npy --shape 5,3,10 -o x.npy", "state_after_x"),
        ("randn --rng rng.npy --shape 2,3,20 -o h0.npy", "state_after_h0"),
    ] {
        sandbox.rnn(line).succeeds();
        let state = state_file(&format!("seed-doc.npz:{state}"));
        assert!(sandbox.bytes("rng.npy") == state, "{line}");
    }
    let report = last_report(&sandbox, &["run -w w/ -i x.npy --h0 h0.npy"]);
    let expected = "\
RNN(10, 20, num_layers=2), tanh, f32, 1480 parameters
weights  w/
input    [5, 3, 10] seq_len 5, batch 3, input_size 10      f32  x.npy
h_0      [2, 3, 20] num_layers 2, batch 3, hidden_size 20  f32  h0.npy
output   [5, 3, 20] seq_len 5, batch 3, hidden_size 20     f32  output.npy
h_n      [2, 3, 20] num_layers 2, batch 3, hidden_size 20  f32  h_n.npy
eval, kernel K, T threads, S s
";
    assert_eq!(report, expected);
    assert_eq!(sandbox.names(), ["h0.npy", "h_n.npy", "output.npy", "rng.npy", "w", "x.npy"]);

    let first = |name: &str| sandbox.load::<f32>(name).iter().take(3).copied().collect::<Vec<_>>();
    assert_eq!(first("w/weight_ih_l0.npy"), [-0.001_674_103_9, 0.119_952_43, -0.184_038_49]);
    assert_eq!(first("x.npy"), [2.234_212_2, -1.940_228_6, 0.577_203]);
    assert_eq!(first("h0.npy"), [-0.077_426_94, 1.085_483_2, -0.838_057_04]);
    assert_equal_bits(&sandbox.load::<f32>("x.npy"), &fixture("x.npy"));
    assert_equal_bits(&sandbox.load::<f32>("h0.npy"), &fixture("h0.npy"));

    for name in ["output", "h_n"] {
        let found = sandbox.load::<f32>(&format!("{name}.npy"));
        let expected = fixture::<f32>(&format!("seed-doc.npz:{name}"));
        assert!(largest_difference(&found, &expected) < TOLERANCE, "{name}");
    }
    for (found, expected) in
        first("output.npy").iter().zip([0.878_143_9_f32, -0.673_158_05, 0.480_976_56])
    {
        assert!(f64::from((found - expected).abs()) < TOLERANCE, "{found} for {expected}");
    }
    let sum: f64 = sandbox.load::<f32>("output.npy").iter().map(|&x| f64::from(x)).sum();
    assert!((sum - 3.379_372_835_159_301_8).abs() < SUM_TOLERANCE, "{sum}");
}

#[track_caller]
fn assert_equal_bits(found: &ArrayD<f32>, expected: &ArrayD<f32>) {
    assert_eq!(found.mapv(f32::to_bits), expected.mapv(f32::to_bits));
}

/// The lines above in a shell: each is a process, and only the file of the generator's state connects the
/// draws.
#[test]
fn the_example_of_the_documentation_as_a_script() {
    let sandbox = Sandbox::new();
    let printed = sandbox.shell(
        "set -e
         rnn init  --rng rng.npy --seed 0 --input-size 10 --hidden 20 --layers 2 -o w/ -q
         rnn randn --rng rng.npy --shape 5,3,10 -o x.npy -q
         rnn randn --rng rng.npy --shape 2,3,20 -o h0.npy -q
         rnn run   -w w/ -i x.npy --h0 h0.npy -q",
    );
    assert_eq!(printed.succeeds().stdout_text(), "");
    let expected = fixture::<f32>("seed-doc.npz:output");
    assert!(largest_difference(&sandbox.load::<f32>("output.npy"), &expected) < TOLERANCE);
}
