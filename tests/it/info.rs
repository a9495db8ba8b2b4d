//! `rnn info`: what is said of each kind of file, as text and as JSON, and what happens with bad files.

use std::fs::File;
use std::io::Write;

use ndarray::{ArrayD, arr1, arr2};
use serde_json::{Value, json};

use crate::support::{Sandbox, integers, state_file};

/// What is said of `x.npy`; the numbers are those of NumPy in f64.
const OF_X: &str = "\
shape  [5, 3, 10], 150 numbers
dtype  f32, little-endian, C order
min    -3.4735708
max    2.283593
mean   -0.095209
std    0.988213
NaN    none
inf    none
";

/// A .npy file with this dictionary and these bytes.
fn npy(dictionary: &str, body: &[u8]) -> Vec<u8> {
    let header = format!("{dictionary}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), body].concat()
}

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What is said, as text.
#[track_caller]
fn said(sandbox: &Sandbox, line: &str) -> String {
    sandbox.rnn(&format!("info {line}")).succeeds().stdout_text()
}

/// What is said, as JSON.
#[track_caller]
fn told(sandbox: &Sandbox, line: &str) -> Value {
    object(&said(sandbox, &format!("--report json {line}")))
}

/// The object of a tensor without NaN and infinities.
fn statistics(
    name: &str,
    shape: &[usize],
    dtype: &str,
    [min, max, mean, std]: [Value; 4],
) -> Value {
    let none = json!({"count": 0, "first": null});
    json!({"name": name, "shape": shape, "dtype": dtype, "min": min, "max": max, "mean": mean,
           "std": std, "nan": none, "inf": none})
}

#[test]
fn a_tensor() {
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    assert_eq!(said(&sandbox, "x.npy"), format!("x.npy: tensor, .npy\n{OF_X}"));
    let text = said(&sandbox, "--report json x.npy");
    let expected = r#"{"file":"x.npy","kind":"tensor","format":".npy","shape":[5,3,10],"dtype":"f32","order":"C","byte_order":"little","min":-3.4735708236694336,"max":2.283592939376831,"mean":"#;
    assert!(text.starts_with(expected), "{text}");
    let found = object(&text);
    assert!((found["mean"].as_f64().unwrap() + 0.095_209_038_394_192_85).abs() < 1e-14);
    assert!((found["std"].as_f64().unwrap() - 0.988_212_748_677_833_4).abs() < 1e-14);
    let expected = r#","nan":{"count":0,"first":null},"inf":{"count":0,"first":null},"notes":[],"warnings":[]}"#;
    assert!(text.ends_with(&format!("{expected}\n")), "{text}");
}

#[test]
fn a_tensor_from_stdin_and_one_in_an_archive() {
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    let x = sandbox.load::<f32>("x.npy");
    let stdin = sandbox.rnn_with(&["info", "-"], &sandbox.bytes("x.npy")).succeeds();
    assert_eq!(stdin.stdout_text(), format!("stdin: tensor, .npy\n{OF_X}"));
    sandbox.save_npz("a.npz", &[("x", &x), ("y", &integers(&[1, 2]))]);
    let found = said(&sandbox, "a.npz:x");
    assert_eq!(found, format!("a.npz:x: tensor, member of an .npz\n{OF_X}"));
    let archive = sandbox.rnn_with(&["info", "-"], &sandbox.bytes("a.npz")).succeeds();
    let expected = "\
stdin: tensors, .npz archive
x  [5, 3, 10]  f32  min -3.4735708, max 2.283593, mean -0.095209, std 0.988213
y  [2]         i64  min 1, max 2, mean 1.5, std 0.707107
";
    assert_eq!(archive.stdout_text(), expected);
}

#[test]
fn nan_and_infinity_are_counted_and_omitted() {
    let sandbox = Sandbox::new();
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    sandbox.save("x.npy", &arr2(&[[1.0, nan, 2.0], [inf, -inf, nan]]).into_dyn().view());
    let expected = "\
x.npy: tensor, .npy
shape  [2, 3], 6 numbers
dtype  f64, little-endian, C order
min    1.0
max    2.0
mean   1.5
std    0.707107
NaN    2, the first at [0, 1]
inf    2, the first at [1, 0]
tensor([[1., nan, 2.],
        [inf, -inf, nan]], dtype=torch.float64)
note: min, max, mean and std are of the 2 finite numbers
";
    assert_eq!(said(&sandbox, "--values x.npy"), expected);
    let expected = json!({
        "file": "x.npy", "kind": "tensor", "format": ".npy", "shape": [2, 3], "dtype": "f64",
        "order": "C", "byte_order": "little", "min": 1.0, "max": 2.0, "mean": 1.5,
        "std": 0.5_f64.sqrt(), "nan": {"count": 2, "first": [0, 1]},
        "inf": {"count": 2, "first": [1, 0]},
        "values": "tensor([[1., nan, 2.],\n        [inf, -inf, nan]], dtype=torch.float64)",
        "notes": ["min, max, mean and std are of the 2 finite numbers"], "warnings": [],
    });
    assert_eq!(told(&sandbox, "x.npy --values"), expected);
}

#[test]
fn every_layout_and_few_numbers() {
    let sandbox = Sandbox::new();
    // 9223372036854775807, which no float is, first in Fortran order.
    let numbers = [i64::MAX, 2, 3, 4, 5, 6].map(i64::to_be_bytes).concat();
    let dictionary = "{'descr': '>i8', 'fortran_order': True, 'shape': (2, 3), }";
    sandbox.write("f.npy", &npy(dictionary, &numbers));
    let expected = "\
f.npy: tensor, .npy
shape  [2, 3], 6 numbers
dtype  i64, big-endian, Fortran order
min    2
max    9223372036854775807
mean   1.53723e18
std    3.76543e18
NaN    none
inf    none
tensor([[9223372036854775807,                   3,                   5],
        [                  2,                   4,                   6]])
";
    assert_eq!(said(&sandbox, "f.npy --values"), expected);
    assert_eq!(told(&sandbox, "f.npy")["max"], json!(i64::MAX));

    let dictionary = "{'descr': '|b1', 'fortran_order': False, 'shape': (), }";
    sandbox.write("one.npy", &npy(dictionary, &[1]));
    let expected = "\
one.npy: tensor, .npy
shape  [], 1 number
dtype  bool, C order
min    1
max    1
mean   1.0
std    none
NaN    none
inf    none
tensor(True)
";
    assert_eq!(said(&sandbox, "one.npy --values"), expected);
    let found = told(&sandbox, "one.npy");
    assert_eq!((&found["byte_order"], &found["std"]), (&Value::Null, &Value::Null));

    sandbox.save("none.npy", &ArrayD::<f32>::zeros(vec![0, 3]).view());
    let expected = "\
none.npy: tensor, .npy
shape  [0, 3], 0 numbers
dtype  f32, little-endian, C order
min    none
max    none
mean   none
std    none
NaN    none
inf    none
tensor([], size=(0, 3))
";
    assert_eq!(said(&sandbox, "--values none.npy"), expected);
}

#[test]
fn weights() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 10 --hidden 20 --layers 2 -o w -q").succeeds();
    // The spectral radii are those of numpy.linalg.eigvals.
    let expected = "\
w: weights, folder
RNN(10, 20, num_layers=2), tanh, f32, 1480 parameters
weight_ih_l0  [20, 10] hidden_size 20, input_size 10   f32  norm 1.87337
weight_hh_l0  [20, 20] hidden_size 20, hidden_size 20  f32  norm 2.53212, spectral radius 0.530683
bias_ih_l0    [20] hidden_size 20                      f32  norm 0.506091
bias_hh_l0    [20] hidden_size 20                      f32  norm 0.528571
weight_ih_l1  [20, 20] hidden_size 20, hidden_size 20  f32  norm 2.5199
weight_hh_l1  [20, 20] hidden_size 20, hidden_size 20  f32  norm 2.55334, spectral radius 0.617041
bias_ih_l1    [20] hidden_size 20                      f32  norm 0.609303
bias_hh_l1    [20] hidden_size 20                      f32  norm 0.598627
spectral radius: the largest |eigenvalue| of weight_hh; below 1 the influence of the past fades
";
    assert_eq!(said(&sandbox, "w"), expected);
    let found = told(&sandbox, "w");
    let radius = found["tensors"][5]["spectral_radius"].as_f64().unwrap();
    assert!((radius - 0.617_041_429_608_944_9).abs() < 1e-12, "{radius}");
}

/// `two.npz`: two layers without bias, and something else. The first turns the plane by 60 degrees and
/// halves it; a number of the second is no number.
fn two_layers() -> Sandbox {
    let sandbox = Sandbox::new();
    let (ih, turn) = (arr2(&[[3.0_f32], [-4.0]]), arr2(&[[0.25_f32, -0.433], [0.433, 0.25]]));
    let (ih, turn, bad) = (ih.into_dyn(), turn.into_dyn(), arr2(&[[1.0, f32::NAN]; 2]).into_dyn());
    let fc = arr1(&[1.0_f32, 2.0]).into_dyn();
    sandbox.save_npz(
        "two.npz",
        &[
            ("a.weight_ih_l0", &ih),
            ("a.weight_hh_l0", &turn),
            ("b.weight_ih_l0", &ih),
            ("b.weight_hh_l0", &bad),
            ("fc", &fc),
        ],
    );
    sandbox
}

#[test]
fn a_layer_of_a_model() {
    let sandbox = two_layers();
    let expected = "\
two.npz: weights, .npz archive
RNN(1, 2, bias=False), nonlinearity not said, tanh assumed, f32, 6 parameters
weight_ih_l0  [2, 1] hidden_size 2, input_size 1   f32  norm 5.0
weight_hh_l0  [2, 2] hidden_size 2, hidden_size 2  f32  norm 0.707091, spectral radius 0.499989
spectral radius: the largest |eigenvalue| of weight_hh; below 1 the influence of the past fades
weight_ih_l0:
tensor([[ 3.],
        [-4.]])
weight_hh_l0:
tensor([[ 0.2500, -0.4330],
        [ 0.4330,  0.2500]])
note: the layer under a.; 3 other tensors of the model are left alone
";
    assert_eq!(said(&sandbox, "two.npz --prefix a --values"), expected);
    let found = told(&sandbox, "two.npz --prefix b.");
    let expected = json!({
        "file": "two.npz", "kind": "weights", "format": ".npz archive",
        "layer": {
            "input_size": 1, "hidden_size": 2, "num_layers": 1, "nonlinearity": "tanh",
            "bias": false, "batch_first": false, "dropout": 0.0, "bidirectional": false,
            "repr": "RNN(1, 2, bias=False)", "dtype": "f32", "parameters": 6,
        },
        "nonlinearity_said": false, "prefix": "b.", "ignored": 3, "model": null,
        "modules": [{"name": "b", "module": "RNN(1, 2, bias=False)"}], "suggested": null, "not_applied": ["a", "fc"],
        "tensors": [
            {"name": "weight_ih_l0", "shape": [2, 1], "axes": ["hidden_size", "input_size"],
             "dtype": "f32", "norm": 5.0, "spectral_radius": null},
            {"name": "weight_hh_l0", "shape": [2, 2], "axes": ["hidden_size", "hidden_size"],
             "dtype": "f32", "norm": null, "spectral_radius": null},
        ],
        "notes": ["the layer under b.; 3 other tensors of the model are left alone"],
        "warnings": ["weight_hh_l0: expected finite numbers, got NaN at [0, 1]"],
    });
    assert_eq!(found, expected);
    sandbox.rnn("info --prefix c two.npz").fails(
        65,
        "rnn: two.npz: expected a layer under the prefix 'c', got a, b\n\
         hint: rnn info two.npz --prefix a\n",
    );
}

#[test]
fn tensors_that_are_not_the_weights_of_one_rnn() {
    let sandbox = two_layers();
    let expected = "\
two.npz: tensors, .npz archive
a.weight_ih_l0  [2, 1]  f32  min -4.0, max 3.0, mean -0.5, std 4.94975
a.weight_hh_l0  [2, 2]  f32  min -0.433, max 0.433, mean 0.125, std 0.381872
b.weight_ih_l0  [2, 1]  f32  min -4.0, max 3.0, mean -0.5, std 4.94975
b.weight_hh_l0  [2, 2]  f32  min 1.0, max 1.0, mean 1.0, std 0.0, NaN 2, the first at [0, 1]
fc              [2]     f32  min 1.0, max 2.0, mean 1.5, std 0.707107
note: no weights of an RNN: two.npz: expected one layer, got 2: a, b; --prefix chooses one
";
    assert_eq!(said(&sandbox, "two.npz"), expected);

    let (ih, hh) = (ArrayD::<f64>::zeros(vec![8, 3]), ArrayD::<f64>::zeros(vec![8, 2]));
    sandbox.save_npz("lstm.npz", &[("weight_ih_l0", &ih), ("weight_hh_l0", &hh)]);
    let zeros = || [json!(0.0), json!(0.0), json!(0.0), json!(0.0)];
    let expected = json!({
        "file": "lstm.npz", "kind": "tensors", "format": ".npz archive",
        "tensors": [statistics("weight_ih_l0", &[8, 3], "f64", zeros()),
                    statistics("weight_hh_l0", &[8, 2], "f64", zeros())],
        "notes": ["no weights of an RNN: lstm.npz: weight_hh_l0: expected the weights of an RNN, got \
                   an LSTM, which has four gates, in shape [8, 2]"],
        "warnings": [],
    });
    assert_eq!(told(&sandbox, "lstm.npz"), expected);
    let hh = ArrayD::<f64>::zeros(vec![8, 8]);
    sandbox
        .save_npz("half.npz", &[("weight_ih_l0", &ih), ("weight_hh_l0", &hh), ("weight_b", &ih)]);
    let found = told(&sandbox, "half.npz");
    let note = "no weights of an RNN: half.npz: weight_b: expected only the parameters of RNN(3, 8, \
                bias=False), got one more of shape [8, 3]";
    assert_eq!((&found["kind"], &found["notes"]), (&json!("tensors"), &json!([note])));
}

#[test]
fn a_folder_of_tensors_and_their_numbers() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("t")).unwrap();
    sandbox.save("t/b.npy", &ArrayD::<f64>::zeros(vec![0, 3]).view());
    sandbox.save("t/a.npy", &arr1(&[0.5_f32, 1.0, 1000.0]).into_dyn().view());
    sandbox.write("t/readme.txt", b"of no interest");
    let expected = "\
t: tensors, folder
a  [3]     f32  min 0.5, max 1000.0, mean 333.833, std 576.917
b  [0, 3]  f64  no finite numbers
a:
tensor([5.0000e-01, 1.0000e+00, 1.0000e+03])
b:
tensor([], size=(0, 3), dtype=torch.float64)
";
    assert_eq!(said(&sandbox, "t --values"), expected);
}

#[test]
fn a_packed_sequence() {
    let sandbox = Sandbox::new();
    sandbox.save(
        "p.npy",
        &ArrayD::from_shape_fn(vec![5, 3, 2], |i| (i[0] * 6 + i[1] * 2 + i[2]) as f32).view(),
    );
    sandbox.rnn("pack -i p.npy --lengths 2,5,3 -o packed.npz -q").succeeds();
    let expected = "\
packed.npz: packed sequence, .npz archive
sequences  3
longest    5
sum        10
lengths    2, 5, 3
features   2
data              [10, 2]  f32  min 0.0, max 27.0, mean 11.1, std 8.12339
batch_sizes       [5]      i64  min 1, max 3, mean 2.0, std 1.0
sorted_indices    [3]      i64  min 0, max 2, mean 1.0, std 1.0
unsorted_indices  [3]      i64  min 0, max 2, mean 1.0, std 1.0
";
    assert_eq!(said(&sandbox, "packed.npz"), expected);
    let data: ArrayD<f32> = ArrayD::zeros(vec![3, 2, 4]);
    sandbox.save_npz("two.npz", &[("data", &data), ("batch_sizes", &integers(&[2, 1]))]);
    let found = told(&sandbox, "two.npz");
    let zeros = [json!(0.0), json!(0.0), json!(0.0), json!(0.0)];
    let sizes = [json!(1), json!(2), json!(1.5), json!(0.5_f64.sqrt())];
    let expected = json!({
        "file": "two.npz", "kind": "packed sequence", "format": ".npz archive",
        "sequences": 2, "longest": 2, "sum": 3, "lengths": [2, 1], "features": null,
        "tensors": [statistics("data", &[3, 2, 4], "f32", zeros),
                    statistics("batch_sizes", &[2], "i64", sizes)],
        "notes": [], "warnings": [],
    });
    assert_eq!(found, expected);
    assert!(
        said(&sandbox, "two.npz").contains("\nlengths    2, 1\nstep       shape [2, 4]\ndata  ")
    );
}

#[test]
fn packed_sequences_of_many_of_none_and_of_parts_that_do_not_fit() {
    let sandbox = Sandbox::new();
    let data: ArrayD<f32> = ArrayD::zeros(vec![23, 1]);
    sandbox.save_npz("many.npz", &[("data", &data), ("batch_sizes", &integers(&[22, 1]))]);
    let found = said(&sandbox, "many.npz");
    let expected =
        "\nlengths    2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 and 2 more\n";
    assert!(found.contains(expected), "{found}");
    let none: ArrayD<f32> = ArrayD::zeros(vec![0, 1]);
    sandbox.save_npz("none.npz", &[("data", &none), ("batch_sizes", &integers(&[]))]);
    assert!(
        said(&sandbox, "none.npz")
            .contains("\nsequences  0\nlongest    0\nsum        0\nlengths    none\n")
    );
    for (sizes, note) in [
        (
            &[22, 2][..],
            "no packed sequence: bad.npz: packed sequence: data: expected 24 rows, the sum of batch_sizes, got 23",
        ),
        (
            &[24, -1],
            "no packed sequence: bad.npz:batch_sizes: expected whole numbers, got -1 at [1]",
        ),
    ] {
        sandbox.save_npz("bad.npz", &[("data", &data), ("batch_sizes", &integers(sizes))]);
        let found = told(&sandbox, "bad.npz");
        assert_eq!((&found["kind"], &found["notes"]), (&json!("tensors"), &json!([note])));
    }
}

#[test]
fn the_state_of_a_stream() {
    let sandbox = Sandbox::new();
    let (h_n, count) = (arr2(&[[0.5_f32, -1.0]]).into_dyn(), ArrayD::from_elem(vec![], 1024_i64));
    let fingerprint = arr1(&[0x01_u8, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]).into_dyn();
    sandbox.save_npz("s.npz", &[("h_n", &h_n), ("count", &count), ("fingerprint", &fingerprint)]);
    let expected = "\
s.npz: stream state, .npz archive
count        1024, the arrays or frames that have gone into it
fingerprint  0123456789abcdef, of the weights and the nonlinearity
h_n          num_layers 1, hidden_size 2
h_n  [1, 2]  f32  min -1.0, max 0.5, mean -0.25, std 1.06066
h_n:
tensor([[ 0.5000, -1.0000]])
";
    assert_eq!(said(&sandbox, "s.npz --values"), expected);
    let h_n = statistics(
        "h_n",
        &[1, 2],
        "f32",
        [json!(-1.0), json!(0.5), json!(-0.25), json!(1.125_f64.sqrt())],
    );
    let expected = json!({
        "file": "s.npz", "kind": "stream state", "format": ".npz archive", "count": 1024,
        "fingerprint": "0123456789abcdef", "axes": ["num_layers", "hidden_size"],
        "tensors": [h_n], "notes": [], "warnings": [],
    });
    assert_eq!(told(&sandbox, "s.npz"), expected);

    // One that the stream itself has left behind.
    sandbox.take("x.npy");
    sandbox.rnn("init --input-size 10 --hidden 4 -o w -q").succeeds();
    sandbox.shell("rnn stream -q -w w --state left.npz < x.npy > output.npy").succeeds();
    let found = told(&sandbox, "left.npz");
    assert_eq!(found["kind"], "stream state");
    assert_eq!(found["count"], 1);
    assert_eq!(found["axes"], json!(["num_layers", "batch", "hidden_size"]));

    // Other types are no state, but tensors all the same.
    sandbox.save_npz(
        "other.npz",
        &[("h_n", &fingerprint), ("count", &count), ("fingerprint", &fingerprint)],
    );
    assert_eq!(told(&sandbox, "other.npz")["kind"], "tensors");
}

#[test]
fn the_state_of_a_generator() {
    let sandbox = Sandbox::new();
    sandbox.write("rng.npy", &state_file("seed-doc.npz:state_after_init"));
    // 1480 numbers of the weights, less two blocks.
    let expected = "\
rng.npy: generator state, .npy
seed      0
position  232 of a block of 624 words
kept      none of a pair of normal samples
";
    assert_eq!(said(&sandbox, "rng.npy"), expected);
    sandbox.rnn("randn --rng rng.npy --seed 7 --shape 3 -o x.npy -q").succeeds();
    let expected = json!({
        "file": "rng.npy", "kind": "generator state", "format": ".npy", "seed": 7, "position": 8,
        "block": 624, "keeps_normal": true, "notes": [], "warnings": [],
    });
    assert_eq!(told(&sandbox, "rng.npy"), expected);
    sandbox.write(
        "no.npy",
        &npy("{'descr': '|u1', 'fortran_order': False, 'shape': (5056,), }", &[0; 5056]),
    );
    let found = told(&sandbox, "no.npy");
    let note = "no generator state: expected left to be 1, got 0";
    assert_eq!((&found["kind"], &found["notes"]), (&json!("tensor"), &json!([note])));
}

#[test]
fn several_files_and_those_that_cannot_be_read() {
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    sandbox.save("y.npy", &arr1(&[1.0_f32, 3.0]).into_dyn().view());
    sandbox.write("page.npy", b"%PDF-1.7\n");
    let outcome = sandbox.rnn("info page.npy x.npy nope.npy y.npy");
    let of_y = "\
y.npy: tensor, .npy
shape  [2], 2 numbers
dtype  f32, little-endian, C order
min    1.0
max    3.0
mean   2.0
std    1.41421
NaN    none
inf    none
";
    assert_eq!(outcome.stdout_text(), format!("x.npy: tensor, .npy\n{OF_X}\n{of_y}"));
    let text = "rnn: page.npy: expected .npy, .npz, a table, a folder of .npy files, .safetensors, .pt or .onnx, got what looks like PDF\n";
    let nope = "rnn: nope.npy: No such file or directory (os error 2)\n";
    assert_eq!(outcome.stderr, format!("{text}{nope}"));
    assert_eq!(outcome.code, Some(65));
    let outcome = sandbox.rnn("info nope.npy y.npy page.npy --report json");
    assert_eq!(outcome.stderr, format!("{nope}{text}"));
    assert_eq!(outcome.code, Some(66));
    let found = object(&outcome.stdout_text());
    let names: Vec<_> = found.as_array().unwrap().iter().map(|found| &found["file"]).collect();
    assert_eq!(names, ["y.npy"]);

    sandbox.rnn("info page.npy").fails(65, text);
    sandbox.rnn("info --report json nope.npy").fails(66, nope);
    let none = sandbox.rnn("info --report json nope.npy page.npy");
    assert_eq!((none.stdout_text().as_str(), none.code), ("[]\n", Some(66)));
    sandbox.rnn("info - -").fails(2, "rnn: expected one file from stdin, got - more than once\n");
    sandbox.rnn("info").fails(
        2,
        "rnn: the following required arguments were not provided: <FILE>...\nhint: rnn info --help\n",
    );
}

#[test]
fn files_that_are_broken_behind_their_header() {
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    let x = sandbox.bytes("x.npy");
    let cut = sandbox.rnn_with(&["info", "-"], &x[..x.len() - 1]);
    cut.fails(
        65,
        "rnn: stdin: expected 600 bytes after the header for shape [5, 3, 10], got 599\n",
    );
    let more = sandbox.rnn_with(&["info", "-"], &[&x[..], &[0]].concat());
    more.fails(65, "rnn: stdin: expected 600 bytes after the header, got 601\n");
    sandbox.save_npz("a.npz", &[("x", &sandbox.load::<f32>("x.npy"))]);
    let mut archive = sandbox.bytes("a.npz");
    archive[500] ^= 1;
    sandbox.write("a.npz", &archive);
    for file in ["a.npz", "a.npz:x"] {
        let expected = "rnn: a.npz:x: broken archive: Invalid checksum\n";
        sandbox.rnn(&format!("info {file}")).fails(65, expected);
    }
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    let expected = "rnn: empty: expected a folder of .npy files, got none in it\n";
    sandbox.rnn("info empty").fails(65, expected);
}

#[cfg(target_os = "linux")]
#[test]
fn a_tensor_larger_than_memory_passes_in_pieces() {
    let sandbox = Sandbox::new();
    let header = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (64000, 1000), }", &[]);
    let mut file = File::create(sandbox.path("x.npy")).unwrap();
    file.write_all(&header).unwrap();
    file.set_len(header.len() as u64 + 256_000_000).unwrap();
    let limited = sandbox.shell("ulimit -v 150000; rnn info --values x.npy").succeeds();
    let expected = "\
x.npy: tensor, .npy
shape  [64000, 1000], 64000000 numbers
dtype  f32, little-endian, C order
min    0.0
max    0.0
mean   0.0
std    0.0
NaN    none
inf    none
tensor([[0., 0., 0.,  ..., 0., 0., 0.],
        [0., 0., 0.,  ..., 0., 0., 0.],
        [0., 0., 0.,  ..., 0., 0., 0.],
        ...,
        [0., 0., 0.,  ..., 0., 0., 0.],
        [0., 0., 0.,  ..., 0., 0., 0.],
        [0., 0., 0.,  ..., 0., 0., 0.]])
";
    assert_eq!(limited.stdout_text(), expected);
}

/// A stream is not known to have what its header promises, and a member of an archive need not have it.
#[test]
fn promised_numbers_take_no_memory() {
    let sandbox = Sandbox::new();
    let dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,6,6,6,6,6,6,6,6,6,6)}";
    sandbox.write("x.npy", &npy(dictionary, &[]));
    let mut zip = zip::ZipWriter::new(File::create(sandbox.path("x.npz")).unwrap());
    zip.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(&sandbox.bytes("x.npy")).unwrap();
    zip.finish().unwrap();
    let missing = "expected 1451188224 bytes after the header for shape \
                   [6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6], got 0 (np.save cannot write into a buffered pipe: \
                   np.save(open(1, 'wb', 0), array) can)";
    for (script, place) in
        [("cat x.npy | rnn info --values -", "stdin"), ("rnn info --values x.npz", "x.npz:x")]
    {
        let outcome = sandbox.shell(&format!("ulimit -v 500000; {script}"));
        outcome.fails(65, &format!("rnn: {place}: {missing}\n"));
    }
}

/// Text is read as f64, and shown so.
#[test]
fn a_table_has_numbers_that_no_f32_has() {
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", b"1e300,0.1\n-1e-300,0.1\n");
    let text = said(&sandbox, "x.csv");
    assert!(text.contains("\nmin    -1e-300\nmax    1e300\n"), "{text}");
    assert_eq!(told(&sandbox, "x.csv")["max"], json!(1e300));
}

/// Eigenvalues take minutes where there are many of them.
#[test]
fn the_spectral_radius_of_a_large_layer_needs_a_flag() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init -q --input-size 1 --hidden 2049 --no-bias -o w.npz").succeeds();
    let start = std::time::Instant::now();
    let text = said(&sandbox, "w.npz");
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    assert!(text.contains(", spectral radius not computed\n"), "{text}");
    let note = "note: the spectral radius of more than 2048 rows takes minutes; \
                --spectral-radius computes it\n";
    assert!(text.contains(note), "{text}");
    assert_eq!(told(&sandbox, "w.npz")["tensors"][1]["spectral_radius"], Value::Null);
    sandbox.rnn("init -q --input-size 1 --hidden 2 --no-bias -o small.npz").succeeds();
    let small = [said(&sandbox, "small.npz"), said(&sandbox, "--spectral-radius small.npz")];
    assert_eq!(small[0], small[1]);
}

#[test]
fn a_table_is_text() {
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", b"a,b\n1,2\n3,4\n");
    let text = sandbox.rnn("info x.csv").succeeds().stdout_text();
    assert!(text.contains("\ndtype  text, shown as f64\n"), "{text}");
    let report = sandbox.rnn("info x.csv --report json").succeeds().stdout_text();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["dtype"], &report["byte_order"]), (&"text".into(), &Value::Null));
}
