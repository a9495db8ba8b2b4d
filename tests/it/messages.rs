//! Wrong commands: the exact message, the exit code, and a run of the command in the hint.

use ndarray::{ArrayD, IxDyn};

use crate::support::Sandbox;

/// One command that fails.
struct Case {
    line: &'static str,
    code: i32,
    message: &'static str,
    /// The text behind `hint: `; empty if there must be no hint.
    hint: &'static str,
}

const fn case(line: &'static str, code: i32, message: &'static str, hint: &'static str) -> Case {
    Case { line, code, message, hint }
}

/// A layer for 10 features with 20 hidden ones, 2 layers, in `w/` and `w.npz`, and inputs of many shapes.
fn seed_doc() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, shape) in [
        ("x.npy", &[5, 3, 10][..]),
        ("x7.npy", &[5, 3, 7]),
        ("middle.npy", &[5, 10, 3]),
        ("first.npy", &[10, 5, 3]),
        ("batches.npy", &[3, 5, 10]),
        ("one.npy", &[5, 10]),
        ("h0.npy", &[2, 3, 20]),
        ("h0-4.npy", &[2, 4, 20]),
        ("h0-5.npy", &[2, 5, 20]),
        ("h0-one.npy", &[2, 20]),
        ("h0-permuted.npy", &[3, 2, 20]),
        ("no-features.npy", &[5, 3, 0]),
    ] {
        sandbox.save(name, &ArrayD::<f32>::zeros(IxDyn(shape)).view());
    }
    let sizes = "--input-size 10 --hidden 20 --layers 2 -q";
    sandbox.rnn(&format!("init {sizes} -o w/")).succeeds();
    sandbox.rnn(&format!("init {sizes} -o w.npz")).succeeds();
    sandbox
}

/// Runs every case, and the command of every hint.
fn check(sandbox: &Sandbox, cases: &[Case]) {
    for Case { line, code, message, hint } in cases {
        let names = sandbox.names();
        let hinted = if hint.is_empty() { String::new() } else { format!("hint: {hint}\n") };
        sandbox.rnn(line).fails(*code, &format!("rnn: {message}\n{hinted}"));
        assert_eq!(sandbox.names(), names, "{line}: left something behind");
        // Words may stand before the command, up to a colon.
        let commands = ["rnn ", "mv "].map(|word| hint.find(word));
        let Some(start) = commands.into_iter().flatten().min() else { continue };
        let command = &hint[start..];
        sandbox.shell(command).succeeds();
    }
}

#[test]
fn swapped_and_missing_sizes() {
    check(
        &seed_doc(),
        &[
            case(
                "run -i x.npy --input-size 20 --hidden 10",
                65,
                "x.npy: input: expected 20 features (input_size) on the last axis, got 10 in shape [5, 3, 10]",
                "rnn run -i x.npy --input-size 10 --hidden-size 20",
            ),
            case(
                "run -i x.npy -w w/ --input-size 20 --hidden 10",
                65,
                "w/: expected input_size 10, as in the weights, got 20 from --input-size (input_size and hidden_size look swapped)",
                "rnn run -i x.npy -w w/",
            ),
            case(
                "run -i x.npy",
                2,
                "expected --weights, or --hidden-size for fresh ones, got neither",
                "rnn run -i x.npy --hidden-size 20",
            ),
            case(
                "init --input-size 10 -o new/",
                2,
                "expected --hidden-size, the features of a hidden state, got none",
                "rnn init --input-size 10 -o new/ --hidden-size 20",
            ),
            case(
                "init --hidden 20 -o new/",
                2,
                "expected --input-size, the features of one step, got none",
                "rnn init --hidden 20 -o new/ --input-size 10",
            ),
        ],
    );
}

#[test]
fn features_of_another_number() {
    check(
        &seed_doc(),
        &[
            case(
                "run -i x7.npy -w w",
                65,
                "x7.npy: input: expected 10 features (input_size) on the last axis, got 7 in shape [5, 3, 7]",
                "fresh weights for 7 features: rnn init --input-size 7 --hidden-size 20 --num-layers 2 -o weights-7/",
            ),
            case(
                "run -i x7.npy --input-size=10 --hidden 20",
                65,
                "x7.npy: input: expected 10 features (input_size) on the last axis, got 7 in shape [5, 3, 7]",
                "rnn run -i x7.npy --hidden 20 --input-size 7",
            ),
            case(
                "run -i middle.npy -w w",
                65,
                "middle.npy: input: expected 10 features (input_size) on the last axis, got 3 in shape [5, 10, 3]",
                "axis 1 has 10 features: rnn convert middle.npy middle-swapped.npy --transpose 1,2",
            ),
            case(
                "run -i first.npy --input-size 10 --hidden 20",
                65,
                "first.npy: input: expected 10 features (input_size) on the last axis, got 3 in shape [10, 5, 3]",
                "axis 0 has 10 features: rnn convert first.npy first-swapped.npy --transpose 0,2",
            ),
            case(
                "run -i no-features.npy -w w",
                65,
                "no-features.npy: input: expected 10 features (input_size) on the last axis, got 0 in shape [5, 3, 0]",
                "",
            ),
            case(
                "run -i no-features.npy --hidden 20",
                65,
                "no-features.npy: expected input_size of at least 1, got 0",
                "",
            ),
        ],
    );
}

#[test]
fn the_hint_for_other_weights_is_a_whole_layer() {
    let sandbox = seed_doc();
    let flags = "--nonlinearity relu --no-bias --batch-first --dropout 0.5 --bidirectional";
    sandbox.rnn(&format!("init -q --input-size 2 --hidden 3 {flags} -o all/")).succeeds();
    let message = "x.npy: input: expected 2 features (input_size) on the last axis, got 10 in shape [5, 3, 10]";
    let hint = format!("rnn init --input-size 10 --hidden-size 3 {flags} -o weights-10/");
    let stderr = format!("rnn: {message}\nhint: fresh weights for 10 features: {hint}\n");
    sandbox.rnn("run -i x.npy -w all").fails(65, &stderr);
    sandbox.shell(&hint).succeeds();
    sandbox.rnn("run -i x.npy -w weights-10").succeeds();
}

#[test]
fn h_0_of_another_shape() {
    check(
        &seed_doc(),
        &[
            // The first axis of the input has the batch of h_0: --batch-first was forgotten.
            case(
                "run -i batches.npy -w w --h0 h0.npy",
                65,
                "h0.npy: h_0: expected shape [2, 5, 20], got [2, 3, 20]",
                "axis 0 of the input has 3, as the batch of h_0: rnn run -i batches.npy -w w --h0 h0.npy --batch-first",
            ),
            case(
                "run -i x.npy -w w --h0 h0-5.npy",
                65,
                "h0-5.npy: h_0: expected shape [2, 3, 20], got [2, 5, 20]",
                "axis 0 of the input has 5, as the batch of h_0: rnn run -i x.npy -w w --h0 h0-5.npy --batch-first",
            ),
            // And the reverse: it was given, and the input has the steps first.
            case(
                "run --batch-first -i x.npy -w w --h0 h0.npy",
                65,
                "h0.npy: h_0: expected shape [2, 5, 20], got [2, 3, 20]",
                "axis 1 of the input has 3, as the batch of h_0: rnn run -i x.npy -w w --h0 h0.npy --batch-first=false",
            ),
            case(
                "run -i x.npy -w w --h0 h0-permuted.npy",
                65,
                "h0-permuted.npy: h_0: expected shape [2, 3, 20], got [3, 2, 20]",
                "batch_first never applies to h_0: rnn convert h0-permuted.npy h0-permuted-swapped.npy --transpose 0,1",
            ),
            case(
                "run -i x.npy --h0 h0-4.npy -w w",
                65,
                "h0-4.npy: h_0: expected shape [2, 3, 20], got [2, 4, 20]",
                "h_0 is zeros without --h0: rnn run -i x.npy -w w",
            ),
            case(
                "run -i x.npy --h0=h0-one.npy -w w",
                65,
                "h0-one.npy: h_0: expected shape [2, 3, 20], got [2, 20]",
                "h_0 is zeros without --h0: rnn run -i x.npy -w w",
            ),
            case(
                "run -i one.npy -w w --h0 h0.npy",
                65,
                "h0.npy: h_0: expected shape [2, 20], got [2, 3, 20]",
                "h_0 is zeros without --h0: rnn run -i one.npy -w w",
            ),
        ],
    );
}

#[test]
fn flags_that_contradict_the_weights() {
    let sandbox = seed_doc();
    for place in ["w", "w.npz"] {
        for (flag, field, known, asked, name) in [
            ("--input-size 11", "input_size", "10", "11", "--input-size"),
            ("--hidden 21", "hidden_size", "20", "21", "--hidden-size"),
            ("--hidden-size=21", "hidden_size", "20", "21", "--hidden-size"),
            ("--layers 3", "num_layers", "2", "3", "--num-layers"),
            ("--no-bias", "bias", "true", "false", "--no-bias"),
            ("--bidirectional", "bidirectional", "false", "true", "--bidirectional"),
            ("--nonlinearity relu", "nonlinearity", "tanh", "relu", "--nonlinearity"),
        ] {
            let line = format!("run {flag} -i x.npy -w {place}");
            let message = format!(
                "rnn: {place}: expected {field} {known}, as in the weights, got {asked} from {name}"
            );
            let hint = format!("rnn run -i x.npy -w {place}");
            sandbox.rnn(&line).fails(65, &format!("{message}\nhint: {hint}\n"));
            sandbox.shell(&hint).succeeds();
        }
    }
}

#[test]
fn files_without_the_weights_of_one_layer() {
    let sandbox = seed_doc();
    sandbox.shell(
        "for c in missing pair half reverse first extra sizes config layers json nan; do cp -r w $c; done
        rm missing/weight_hh_l1.npy half/bias_ih_l0.npy half/rnn.json reverse/rnn.json
        rm first/weight_ih_l0.npy first/rnn.json
        cp h0.npy extra/weight_h0.npy
        cp w/bias_ih_l0.npy reverse/bias_ih_l0_reverse.npy
        rnn randn -q --shape 20,21 -o sizes/weight_ih_l1.npy
        sed -i 's/: 20/: 30/' config/rnn.json
        sed -i 's/\"num_layers\": 2/\"num_layers\": 1/' layers/rnn.json
        echo '{oops' > json/rnn.json
        rnn randn -q --shape 20 --dtype f64 -o pair/bias_hh_l1.npy
        mkdir empty",
    )
    .succeeds();
    let whole = "fresh weights show a whole set: rnn init --input-size 10 --hidden-size 20 --num-layers 2 -o whole/";
    check(
        &sandbox,
        &[
            case(
                "run -i x.npy -w missing",
                65,
                "missing: weight_hh_l1: expected a tensor of shape [20, 20], got none",
                whole,
            ),
            case(
                "run -i x.npy -w half",
                65,
                "half: bias_ih_l0: expected a tensor of shape [20], got none",
                whole,
            ),
            case(
                "run -i x.npy -w reverse",
                65,
                "reverse: weight_ih_l0_reverse: expected a tensor of shape [20, 10], got none",
                "fresh weights show a whole set: rnn init --input-size 10 --hidden-size 20 --num-layers 2 --bidirectional -o whole/",
            ),
            case(
                "run -i x.npy -w first",
                65,
                "first: weight_ih_l0: expected a matrix that tells the layer's sizes, got no such tensor",
                "",
            ),
            case(
                "run -i x.npy -w extra",
                65,
                "extra: weight_h0: expected only the parameters of RNN(10, 20, num_layers=2), got one more of shape [2, 3, 20]",
                "mv extra/weight_h0.npy .",
            ),
            case(
                "run -i x.npy -w sizes",
                65,
                "sizes: weight_ih_l1: expected shape [20, 20], got [20, 21]",
                whole,
            ),
            case(
                "run -i x.npy -w config",
                65,
                "config/rnn.json: expected hidden_size 20, as in the tensors, got 30",
                "mv config/rnn.json .",
            ),
            case(
                "run -i x.npy -w layers",
                65,
                "layers/rnn.json: expected num_layers 2, as in the tensors, got 1",
                "mv layers/rnn.json .",
            ),
            case(
                "run -i x.npy -w json",
                65,
                "json/rnn.json: configuration: key must be a string at line 1 column 2",
                "",
            ),
            case(
                "run -i x.npy -w pair",
                65,
                "pair: bias_hh_l1: expected f32, as bias_hh_l0 is, got f64",
                "rnn run -i x.npy -w pair --dtype f64",
            ),
            case(
                "run -i x.npy -w empty",
                65,
                "empty: expected a folder of .npy files, got none in it",
                "",
            ),
            case(
                "run -i x.npy -w x.npy",
                65,
                "x.npy: expected a folder of .npy files, .npz, .safetensors, .pt or .onnx, got a single .npy array",
                "",
            ),
            case(
                "run -i x.npy -w w.npz:weight_ih_l0",
                65,
                "w.npz:weight_ih_l0: expected a folder or an archive, got the name of a member",
                "",
            ),
        ],
    );
    // The tensor that was too many is out of the folder now.
    sandbox.rnn("run -q -i x.npy -w extra").succeeds();
}

#[test]
fn the_hint_repairs_a_transposed_weight() {
    let sandbox = seed_doc();
    sandbox.shell("cp -r w t; rnn randn -q --shape 10,20 -o t/weight_ih_l0.npy").succeeds();
    let message = "t: weight_ih_l0: expected shape [20, 10], got [10, 20]";
    let file = "t/weight_ih_l0.npy";
    let hint = format!("rnn convert {file} {file} --transpose 0,1");
    let line = "run -q -i x.npy -w t";
    sandbox.rnn(line).fails(65, &format!("rnn: {message}\nhint: {hint}\n"));
    sandbox.shell(&hint).succeeds();
    sandbox.rnn(line).succeeds();
}

#[test]
fn wrong_usage() {
    check(
        &seed_doc(),
        &[
            case(
                "run -i x.npy -w w --nonlinearity gelu",
                2,
                "--nonlinearity: unknown nonlinearity 'gelu': expected tanh or relu",
                "rnn run -i x.npy -w w --nonlinearity tanh",
            ),
            case(
                "init --nonlinearity=Tanh --input-size 10 --hidden 20 -o new/",
                2,
                "--nonlinearity: unknown nonlinearity 'Tanh': expected tanh or relu",
                "rnn init --input-size 10 --hidden 20 -o new/ --nonlinearity tanh",
            ),
            case(
                "run -i x.npy -w w -o out.xlsx",
                2,
                "out.xlsx: expected .npy, .csv, .tsv, .txt or - for a tensor, got .xlsx",
                "rnn run -i x.npy -w w -o out.npy",
            ),
            case(
                "run -i x.npy -w w --hn out.npz",
                2,
                "out.npz: expected .npy, .csv, .tsv, .txt or - for a tensor, got .npz",
                "rnn run -i x.npy -w w --hn out.npy",
            ),
            case(
                "randn --shape 2,3 -oout.npz",
                2,
                "out.npz: expected .npy, .csv, .tsv, .txt or - for a tensor, got .npz",
                "rnn randn --shape 2,3 -o out.npy",
            ),
            case(
                "init --input-size 1 --hidden 1 -o w.safetensor",
                2,
                "w.safetensor: expected a folder, .npz, .safetensors, .onnx or - for weights, got .safetensor",
                "rnn init --input-size 1 --hidden 1 -o weights/",
            ),
            case(
                "run -i x.npy -w w -o same.npy --hn same.npy",
                2,
                "expected two files, got same.npy for output and h_n",
                "rnn run -i x.npy -w w -o same.npy --hn h_n.npy",
            ),
            case("run -i - -w -", 2, "expected one input from stdin, got - for more than one", ""),
            case(
                "run -i - -w w --h0 -",
                2,
                "expected one input from stdin, got - for more than one",
                "",
            ),
            case(
                "",
                2,
                "expected a command: run, stream, generate, score, init, convert, info, explain, plot, diff, randn, pack, unpack, bench, completions or man",
                "rnn --help",
            ),
            case("walk", 2, "unrecognized subcommand 'walk'", "rnn --help"),
            case("--zoom", 2, "unexpected argument '--zoom' found", "rnn --help"),
            case("run --zoom", 2, "unexpected argument '--zoom' found", "rnn run --help"),
            case(
                "run -w w",
                2,
                "the following required arguments were not provided: --input <FILE>",
                "rnn run --help",
            ),
            case(
                "randn --shape 2",
                2,
                "the following required arguments were not provided: --output <FILE>",
                "rnn randn --help",
            ),
            case(
                "run -i x.npy -w w -q -v",
                2,
                "the argument '--quiet' cannot be used with '--verbose...'",
                "rnn run --help",
            ),
        ],
    );
}

#[test]
fn both_tensors_on_stdout() {
    let sandbox = seed_doc();
    let hint = "rnn run -i x.npy -w w -o - --hn h_n.npy";
    let message = "rnn: expected one tensor on stdout, got - for output and h_n";
    let outcome = sandbox.rnn("run -i x.npy -w w -o - --hn -");
    outcome.fails(2, &format!("{message}\nhint: {hint}\n"));
    // With a tensor on stdout the report is on stderr, so that only the code says that it went well.
    assert_eq!(sandbox.shell(hint).code, Some(0));
}

#[test]
fn malformed_values() {
    let sandbox = seed_doc();
    for (command, arguments, message) in [
        ("run", "--hidden 0", "--hidden-size: expected a whole number of at least 1, got '0'"),
        ("run", "--hidden -1", "--hidden-size: expected a whole number of at least 1, got '-1'"),
        ("run", "--hidden 1e3", "--hidden-size: expected a whole number of at least 1, got '1e3'"),
        ("run", "--layers 0", "--num-layers: expected a whole number of at least 1, got '0'"),
        (
            "run",
            "--input-size 18446744073709551616",
            "--input-size: expected a whole number of at least 1, got '18446744073709551616'",
        ),
        ("run", "--threads 0", "--threads: expected a whole number of at least 1, got '0'"),
        (
            "run",
            "--dropout 1.5",
            "--dropout: expected dropout in [0, 1], the probability of an element being zeroed, got '1.5'",
        ),
        (
            "run",
            "--dropout -0.5",
            "--dropout: expected dropout in [0, 1], the probability of an element being zeroed, got '-0.5'",
        ),
        (
            "run",
            "--dropout nan",
            "--dropout: expected dropout in [0, 1], the probability of an element being zeroed, got 'nan'",
        ),
        ("run", "--dtype f16", "--dtype: expected dtype f32 or f64, got 'f16'"),
        (
            "init",
            "--seed 18446744073709551616",
            "--seed: expected a seed from -2^63 to 2^64 - 1, or random, got '18446744073709551616'",
        ),
        ("randn", "--seed x", "--seed: expected a seed from -2^63 to 2^64 - 1, or random, got 'x'"),
        ("bench", "--min-time -1", "--min-time: expected a number of seconds, got '-1'"),
    ] {
        let outcome = sandbox.rnn(&format!("{command} -o new.npy {arguments}").replace(
            // `bench` has no outputs.
            "bench -o new.npy",
            "bench",
        ));
        outcome.fails(2, &format!("rnn: {message}\nhint: rnn {command} --help\n"));
    }
}

#[test]
fn missing_files() {
    let sandbox = seed_doc();
    let absent = "No such file or directory (os error 2)";
    let folder = "is a directory; expected a file";
    for (line, place, message) in [
        ("run -w w -i none.npy", "none.npy", absent),
        ("run -w none -i x.npy", "none", absent),
        ("run -w w -i x.npy --h0 none.npy", "none.npy", absent),
        ("run -w w -i none.npz:x", "none.npz:x", absent),
        ("run -w w -i x.npy/x", "x.npy/x", "Not a directory (os error 20)"),
        ("run -w w -i x.npy --train --rng none.npy", "none.npy", absent),
        ("randn --shape 2 -o y.npy --rng none.npy", "none.npy", absent),
        ("run -w w -i w", "w", folder),
        ("run -w w -i x.npy --h0 w", "w", folder),
    ] {
        sandbox.rnn(line).fails(66, &format!("rnn: {place}: {message}\n"));
    }
}

/// Weights under these names, with these shapes; a name that begins with `f64:` is one of doubles.
fn weights(tensors: &[(&str, &[usize])]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.save("x.npy", &ArrayD::<f32>::zeros(vec![4, 3]).view());
    std::fs::create_dir(sandbox.path("w")).unwrap();
    for (name, shape) in tensors {
        match name.strip_prefix("f64:") {
            Some(name) => {
                sandbox
                    .save(&format!("w/{name}.npy"), &ArrayD::<f64>::zeros(shape.to_vec()).view());
            }
            None => {
                sandbox
                    .save(&format!("w/{name}.npy"), &ArrayD::<f32>::zeros(shape.to_vec()).view());
            }
        }
    }
    sandbox
}

#[test]
fn files_of_other_layers_are_refused() {
    let no_rnn = "rnn: w: expected the weights of an RNN, such as weight_ih_l0, got";
    let linear: &[(&str, &[usize])] = &[("fc.weight", &[4, 3]), ("fc.bias", &[4])];
    let seven = ["a", "b", "c", "d", "e", "f", "g"].map(|name| (name, &[1][..]));
    let orthogonal: &[(&str, &[usize])] =
        &[("parametrizations.weight_hh_l0.original", &[4, 4]), ("weight_ih_l0", &[4, 3])];
    let raw: &[(&str, &[usize])] = &[
        ("weight_hh_l0_raw", &[4, 4]),
        ("module.weight_hh_l0", &[4, 4]),
        ("module.weight_ih_l0", &[4, 3]),
    ];
    let spectral: &[(&str, &[usize])] =
        &[("weight_hh_l0_orig", &[4, 4]), ("weight_hh_l0_u", &[4]), ("weight_ih_l0", &[4, 3])];
    let projected: &[(&str, &[usize])] =
        &[("weight_hh_l0", &[16, 2]), ("weight_hr_l0", &[2, 4]), ("weight_ih_l0", &[16, 3])];
    let looks = "this looks like an RNN with weight_norm or another parametrization, which PyTorch can remove";
    for (tensors, message) in [
        (linear, format!("{no_rnn} fc.bias, fc.weight")),
        (&seven, format!("{no_rnn} a, b, c, d, e and 2 more")),
        (orthogonal, format!("{no_rnn} {}, {}: {looks}", orthogonal[0].0, orthogonal[1].0)),
        (
            raw,
            "rnn: w: weight_hh_l0_raw: expected the weights of an RNN, got the raw weights of WeightDrop, a part of which each pass drops, in shape [4, 4]"
                .to_owned(),
        ),
        (
            spectral,
            "rnn: w: weight_hh_l0_orig: expected the weights of an RNN, got the weights under spectral_norm or another parametrization, in shape [4, 4]"
                .to_owned(),
        ),
        (
            projected,
            "rnn: w: weight_hr_l0: expected the weights of an RNN, got an LSTM with proj_size, in shape [2, 4]"
                .to_owned(),
        ),
    ] {
        weights(tensors).rnn("run -w w -i x.npy").fails(65, &format!("{message}\n"));
    }
}

/// Another dtype would not make it a parameter.
#[test]
fn an_extra_tensor_of_any_type_is_an_error() {
    let sandbox = weights(&[
        ("weight_ih_l0", &[4, 3]),
        ("weight_hh_l0", &[4, 4]),
        ("f64:weight_foo_l0", &[2]),
    ]);
    sandbox.rnn("run -w w -i x.npy").fails(
        65,
        "rnn: w: weight_foo_l0: expected only the parameters of RNN(3, 4, bias=False), got one more of shape [2]\n\
         hint: mv w/weight_foo_l0.npy .\n",
    );
}
