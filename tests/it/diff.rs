//! `rnn diff`: what is equal, what differs and where, for tensors of every type and for bundles.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use elman::files::{Overwrite, Sink, write_npz};
use ndarray::{Array1, ArrayD};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{self, Outcome, Sandbox, integers};

/// A .npy file of these bytes.
fn npy(descr: &str, shape: &[usize], fortran: bool, body: &[u8]) -> Vec<u8> {
    let sizes: Vec<_> = shape.iter().map(|size| format!("{size},")).collect();
    let sizes = sizes.join(" ");
    let order = if fortran { "True" } else { "False" };
    let dict = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({sizes})}}\n");
    let length = u16::try_from(dict.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], dict.as_bytes(), body].concat()
}

fn f32s(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn tensor(shape: &[usize], numbers: &[f32]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(shape, numbers.to_vec()).unwrap()
}

/// 0, 1, 2, ... in `a.npy`, and in `b.npy` with one changed, both as (5, 3, 4).
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let numbers: Vec<_> = (0..60_u8).map(f32::from).collect();
    sandbox.save("a.npy", &tensor(&[5, 3, 4], &numbers).view());
    let mut changed = numbers;
    changed[43] = 43.5;
    sandbox.save("b.npy", &tensor(&[5, 3, 4], &changed).view());
    sandbox
}

/// The process said this on stdout, nothing on stderr, and ended with this code.
#[track_caller]
fn said(outcome: &Outcome, code: i32, stdout: &str) {
    assert_eq!(outcome.stdout_text(), stdout);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(code), ""));
}

#[test]
fn equal_in_every_form() {
    let sandbox = sandbox();
    let numbers: Vec<_> = (0..60_u8).map(f32::from).collect();
    let a = tensor(&[5, 3, 4], &numbers);
    sandbox.save_npz("one.npz", &[("x", &a)]);
    sandbox.save_npz("two.npz", &[("x", &a), ("y", &integers(&[1]))]);
    let fortran = a.view().reversed_axes().iter().copied().collect::<Vec<_>>();
    sandbox.write("fortran.npy", &npy("<f4", &[5, 3, 4], true, &f32s(&fortran)));
    let big: Vec<_> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    sandbox.write("big.npy", &npy(">f4", &[5, 3, 4], false, &big));
    for b in ["a.npy", "one.npz", "one.npz:x", "two.npz:x", "fortran.npy", "big.npy"] {
        let shape = "f32 [5, 3, 4]: equal";
        let outcome = sandbox.rnn(&format!("diff a.npy {b}"));
        said(&outcome, 0, &format!("a.npy, {b}: {shape} (rtol 1.3e-6, atol 1e-5)\n"));
        let outcome = sandbox.rnn(&format!("diff {b} a.npy --exact"));
        said(&outcome, 0, &format!("{b}, a.npy: {shape} (exact)\n"));
        let outcome = sandbox.shell(&format!("cat {b} | rnn diff - a.npy"));
        if b != "one.npz:x" && b != "two.npz:x" {
            said(&outcome, 0, &format!("stdin, a.npy: {shape} (rtol 1.3e-6, atol 1e-5)\n"));
        }
    }
    let outcome = sandbox.shell("rnn diff b.npy - < fortran.npy -q");
    said(&outcome, 1, "");
}

#[test]
fn one_number_differs() {
    let sandbox = sandbox();
    let outcome = sandbox.rnn("diff a.npy b.npy");
    said(
        &outcome,
        1,
        "a.npy, b.npy: f32 [5, 3, 4]: 1 of 60 differ (rtol 1.3e-6, atol 1e-5)
  largest absolute difference 0.5 at [3, 1, 3]: 43.0, expected 43.5
  largest relative difference 0.0114943 at [3, 1, 3]: 43.0, expected 43.5
  largest ulp distance 131072 at [3, 1, 3]: 43.0, expected 43.5
  first difference at [3, 1, 3]: 43.0, expected 43.5
",
    );
    for quiet in ["-q", "--quiet", "--report none", "--report json -q"] {
        said(&sandbox.rnn(&format!("diff a.npy b.npy {quiet}")), 1, "");
        said(&sandbox.rnn(&format!("diff a.npy a.npy {quiet}")), 0, "");
    }
}

#[test]
fn one_number_differs_as_json() {
    let sandbox = sandbox();
    let outcome = sandbox.rnn("diff a.npy b.npy --report json --batch-first");
    let words = "row 3, step 1, unit 3";
    let place = json!({ "index": [3, 1, 3], "words": words, "a": 43.0, "b": 43.5 });
    let largest = |difference: Value| {
        let mut fields = place.clone();
        fields["difference"] = difference;
        fields
    };
    let tensor = json!({ "dtype": "f32", "shape": [5, 3, 4] });
    let expected = json!({
        "command": "diff",
        "a": "a.npy",
        "b": "b.npy",
        "equal": false,
        "exact": false,
        "equal_nan": false,
        "tensors": [{
            "name": null,
            "equal": false,
            "difference": "numbers",
            "a": tensor,
            "b": tensor,
            "numbers": {
                "rtol": 1.3e-6,
                "atol": 1e-5,
                "count": 60,
                "different": 1,
                "within_tolerance": 0,
                "largest_absolute": largest(json!(0.5)),
                "largest_relative": largest(json!(0.5 / 43.5)),
                "largest_ulp": largest(json!(131_072)),
                "first": place,
                "nan": { "only_in_a": 0, "only_in_b": 0, "both": 0 },
            },
            "hint": null,
        }],
        "configuration": null,
    });
    said(&outcome, 1, &format!("{expected}\n"));
}

#[test]
fn nan_and_infinity_are_texts_in_json() {
    let sandbox = Sandbox::new();
    sandbox.save("a.npy", &tensor(&[3], &[f32::NAN, f32::INFINITY, 1.0]).view());
    sandbox.save("b.npy", &tensor(&[3], &[0.0, f32::NEG_INFINITY, f32::NAN]).view());
    let outcome = sandbox.rnn("diff a.npy b.npy --report json");
    assert_eq!(outcome.code, Some(1));
    let report: Value = serde_json::from_str(&outcome.stdout_text()).unwrap();
    let numbers = &report["tensors"][0]["numbers"];
    assert_eq!(numbers["first"], json!({ "index": [0], "words": null, "a": "nan", "b": 0.0 }));
    assert_eq!(
        numbers["largest_relative"],
        json!({ "index": [1], "words": null, "a": "inf", "b": "-inf", "difference": "inf" })
    );
    assert_eq!(numbers["nan"], json!({ "only_in_a": 1, "only_in_b": 1, "both": 0 }));
}

#[test]
fn differences_within_the_tolerance_are_equal_and_reported() {
    let sandbox = sandbox();
    let outcome = sandbox.rnn("diff a.npy b.npy --atol 0.5 --rtol 0");
    said(
        &outcome,
        0,
        "a.npy, b.npy: f32 [5, 3, 4]: equal (rtol 0, atol 0.5)
  1 of 60 differ within the tolerance
  largest absolute difference 0.5 at [3, 1, 3]: 43.0, expected 43.5
  largest relative difference 0.0114943 at [3, 1, 3]: 43.0, expected 43.5
  largest ulp distance 131072 at [3, 1, 3]: 43.0, expected 43.5
  first difference at [3, 1, 3]: 43.0, expected 43.5
",
    );
    // One that is not named is that of the type.
    let outcome = sandbox.rnn("diff a.npy b.npy --rtol .0114 --report text");
    assert!(
        outcome
            .stdout_text()
            .starts_with("a.npy, b.npy: f32 [5, 3, 4]: 1 of 60 differ (rtol 0.0114, atol 1e-5)\n")
    );
    said(&sandbox.rnn("diff a.npy b.npy --rtol 0.0115 -q"), 0, "");
}

#[test]
fn types_have_pytorchs_tolerances() {
    let sandbox = Sandbox::new();
    let half = |x: f32| half::f16::from_f32(x).to_le_bytes().to_vec();
    sandbox.write("f16.npy", &npy("<f2", &[], false, &half(1.0)));
    sandbox.write("f32.npy", &npy("<f4", &[], false, &1.000_01_f32.to_le_bytes()));
    sandbox.write("f64.npy", &npy("<f8", &[], false, &1.0_f64.to_le_bytes()));
    sandbox.write("i64.npy", &npy("<i8", &[], false, &1_i64.to_le_bytes()));
    sandbox.write("u8.npy", &npy("|u1", &[], false, &[1]));
    sandbox.write("bool.npy", &npy("|b1", &[], false, &[7]));
    for (pair, expected) in [
        ("f16.npy f16.npy", "f16 []: equal (rtol 0.001, atol 1e-5)"),
        ("f64.npy f64.npy", "f64 []: equal (rtol 1e-7, atol 1e-7)"),
        ("i64.npy i64.npy", "i64 []: equal (rtol 0, atol 0)"),
        ("bool.npy u8.npy", "bool, u8 []: equal (rtol 0, atol 0)"),
        ("i64.npy f64.npy", "i64, f64 []: equal (rtol 1e-7, atol 1e-7)"),
        ("f64.npy f16.npy", "f64, f16 []: equal (rtol 0.001, atol 1e-5)"),
    ] {
        let outcome = sandbox.rnn(&format!("diff {pair}"));
        said(&outcome, 0, &format!("{}: {expected}\n", pair.replace(' ', ", ")));
    }
    let outcome = sandbox.rnn("diff f32.npy f16.npy");
    // No ulp of two types.
    said(
        &outcome,
        0,
        "f32.npy, f16.npy: f32, f16 []: equal (rtol 0.001, atol 1e-5)
  1 of 1 differ within the tolerance
  largest absolute difference 1.00136e-5 at []: 1.00001, expected 1.0
  largest relative difference 1.00136e-5 at []: 1.00001, expected 1.0
  first difference at []: 1.00001, expected 1.0
",
    );
}

#[test]
fn exact_is_types_and_bits() {
    let sandbox = Sandbox::new();
    sandbox.save("a.npy", &tensor(&[2], &[0.0, 1.0]).view());
    sandbox.save("minus.npy", &tensor(&[2], &[-0.0, 1.0]).view());
    sandbox.save("f64.npy", &Array1::from(vec![0.0_f64, 1.0]).into_dyn().view());
    said(
        &sandbox.rnn("diff a.npy f64.npy --exact"),
        1,
        "a.npy, f64.npy: f32, f64 [2]: types differ (exact)\n",
    );
    said(
        &sandbox.rnn("diff a.npy minus.npy"),
        0,
        "a.npy, minus.npy: f32 [2]: equal (rtol 1.3e-6, atol 1e-5)\n",
    );
    said(
        &sandbox.rnn("diff a.npy minus.npy --exact"),
        1,
        "a.npy, minus.npy: f32 [2]: 1 of 2 differ (exact)
  largest absolute difference 0 at [0]: 0.0, expected -0.0
  largest relative difference 0 at [0]: 0.0, expected -0.0
  largest ulp distance 0 at [0]: 0.0, expected -0.0
  first difference at [0]: 0.0, expected -0.0
",
    );
}

#[test]
fn nan_equals_nan_with_a_flag() {
    let sandbox = Sandbox::new();
    // The last one is a signalling NaN, which arithmetic would change.
    let signalling = f32::from_bits(0x7f80_0001);
    sandbox.save("a.npy", &tensor(&[3], &[1.0, f32::NAN, signalling]).view());
    sandbox.save("b.npy", &tensor(&[3], &[1.0, -f32::NAN, signalling]).view());
    said(
        &sandbox.rnn("diff a.npy b.npy"),
        1,
        "a.npy, b.npy: f32 [3]: 2 of 3 differ (rtol 1.3e-6, atol 1e-5)
  first difference at [1]: NaN, expected NaN
  NaN: 0 in a.npy alone, 0 in b.npy alone, 2 in both
",
    );
    said(
        &sandbox.rnn("diff a.npy b.npy --equal-nan"),
        0,
        "a.npy, b.npy: f32 [3]: equal (rtol 1.3e-6, atol 1e-5, equal NaN)
  NaN: 0 in a.npy alone, 0 in b.npy alone, 2 in both
",
    );
    let exact = sandbox.rnn("diff a.npy b.npy --exact").stdout_text();
    assert!(exact.starts_with("a.npy, b.npy: f32 [3]: 1 of 3 differ (exact)\n"), "{exact}");
    said(&sandbox.rnn("diff a.npy a.npy --exact -q"), 0, "");
    said(&sandbox.rnn("diff a.npy b.npy --exact --equal-nan -q"), 0, "");
}

#[test]
fn whole_numbers_are_compared_exactly() {
    let sandbox = Sandbox::new();
    let big = 1 << 53;
    sandbox.write("a.npy", &support::npy(&integers(&[big + 1, -1])));
    sandbox.write("b.npy", &support::npy(&integers(&[big, -1])));
    said(
        &sandbox.rnn("diff a.npy b.npy"),
        1,
        "a.npy, b.npy: i64 [2]: 1 of 2 differ (rtol 0, atol 0)
  largest absolute difference 1 at [0]: 9007199254740993, expected 9007199254740992
  largest relative difference 1.11022e-16 at [0]: 9007199254740993, expected 9007199254740992
  first difference at [0]: 9007199254740993, expected 9007199254740992
",
    );
    sandbox.write("u64.npy", &npy("<u8", &[2], false, &[0xff; 16]));
    let outcome = sandbox.rnn("diff b.npy u64.npy --report json");
    let report: Value = serde_json::from_str(&outcome.stdout_text()).unwrap();
    let first = &report["tensors"][0]["numbers"]["first"];
    assert_eq!((&first["a"], &first["b"]), (&json!(big), &json!(u64::MAX)));
    assert_eq!(report["tensors"][0]["numbers"]["different"], 2);
}

#[test]
fn shapes_that_differ() {
    let sandbox = sandbox();
    let swapped = sandbox.load::<f32>("a.npy").permuted_axes(vec![1, 0, 2]);
    sandbox.save("swapped.npy", &swapped.view());
    sandbox.save_npz("swapped.npz", &[("x", &swapped)]);
    sandbox.save("flat.npy", &tensor(&[60], &[0.0; 60]).view());
    let fit = "  hint: axes 0 and 1 swapped would fit";
    let command = "rnn convert a.npy a-swapped.npy --transpose 0,1";
    let member = "rnn convert swapped.npz:x x-swapped.npy --transpose 0,1";
    said(
        &sandbox.rnn("diff a.npy swapped.npy"),
        1,
        &format!("a.npy, swapped.npy: f32 [5, 3, 4], [3, 5, 4]: shapes differ\n{fit}: {command}\n"),
    );
    said(
        &sandbox.rnn("diff swapped.npz a.npy --exact"),
        1,
        &format!("swapped.npz, a.npy: f32 [3, 5, 4], [5, 3, 4]: shapes differ\n{fit}: {member}\n"),
    );
    said(
        &sandbox.rnn("diff a.npy flat.npy"),
        1,
        "a.npy, flat.npy: f32 [5, 3, 4], [60]: shapes differ\n",
    );
    let outcome = sandbox.rnn("diff a.npy swapped.npy --report json");
    let report: Value = serde_json::from_str(&outcome.stdout_text()).unwrap();
    assert_eq!(report["tensors"][0]["difference"], "shape");
    assert_eq!(report["tensors"][0]["numbers"], Value::Null);
    let hint = format!("axes 0 and 1 swapped would fit: {command}");
    assert_eq!(report["tensors"][0]["hint"], hint);
}

#[test]
fn places_in_words() {
    let sandbox = sandbox();
    for (from, to) in [("a.npy", "output.npy"), ("b.npy", "h_n.npy"), ("b.npy", "input.npy")] {
        fs::copy(sandbox.path(from), sandbox.path(to)).unwrap();
    }
    let first = |line: &str| {
        let text = sandbox.rnn(line).stdout_text();
        let (_, place) = text.split_once("first difference at ").unwrap();
        place.split_once(": 43.0").unwrap().0.to_owned()
    };
    for (line, expected) in [
        ("a.npy b.npy", "[3, 1, 3]"),
        ("output.npy b.npy", "[3, 1, 3] (step 3, row 1, unit 3)"),
        ("a.npy input.npy", "[3, 1, 3] (step 3, row 1, feature 3)"),
        ("a.npy h_n.npy", "[3, 1, 3] (state 3, row 1, unit 3)"),
        ("a.npy h_n.npy --bidirectional", "[3, 1, 3] (layer 1, reverse direction, row 1, unit 3)"),
        ("output.npy h_n.npy", "[3, 1, 3]"),
        ("a.npy b.npy --batch-first", "[3, 1, 3] (row 3, step 1, unit 3)"),
        ("a.npy b.npy --bidirectional", "[3, 1, 3] (step 3, row 1, reverse direction, unit 1)"),
        (
            "a.npy b.npy --bidirectional --batch-first",
            "[3, 1, 3] (row 3, step 1, reverse direction, unit 1)",
        ),
        ("a.npy b.npy --axes h_n", "[3, 1, 3] (state 3, row 1, unit 3)"),
        ("a.npy b.npy --axes output", "[3, 1, 3] (step 3, row 1, unit 3)"),
        ("output.npy b.npy --axes none", "[3, 1, 3]"),
    ] {
        assert_eq!(first(&format!("diff {line}")), expected, "{line}");
    }
}

#[test]
fn bundles_are_compared_by_name() {
    let sandbox = Sandbox::new();
    let (x, y, z) = (tensor(&[2], &[1.0, 2.0]), tensor(&[1], &[3.0]), tensor(&[1, 1], &[4.0]));
    sandbox.save_npz("a.npz", &[("x", &x), ("y", &y), ("output", &z)]);
    sandbox.save_npz("same.npz", &[("output", &z), ("y", &y), ("x", &x)]);
    let changed = tensor(&[1, 1], &[5.0]);
    sandbox.save_npz("b.npz", &[("w", &y), ("output", &changed), ("x", &x)]);
    said(
        &sandbox.rnn("diff a.npz same.npz"),
        0,
        "x: f32 [2]: equal (rtol 1.3e-6, atol 1e-5)
y: f32 [1]: equal (rtol 1.3e-6, atol 1e-5)
output: f32 [1, 1]: equal (rtol 1.3e-6, atol 1e-5)
3 of 3 tensors equal
",
    );
    said(
        &sandbox.rnn("diff a.npz b.npz"),
        1,
        "x: f32 [2]: equal (rtol 1.3e-6, atol 1e-5)
y: f32 [1]: only in a.npz
output: f32 [1, 1]: 1 of 1 differ (rtol 1.3e-6, atol 1e-5)
  largest absolute difference 1 at [0, 0] (step 0, unit 0): 4.0, expected 5.0
  largest relative difference 0.2 at [0, 0] (step 0, unit 0): 4.0, expected 5.0
  largest ulp distance 2097152 at [0, 0] (step 0, unit 0): 4.0, expected 5.0
  first difference at [0, 0] (step 0, unit 0): 4.0, expected 5.0
w: f32 [1]: only in b.npz
1 of 4 tensors equal
",
    );
    let outcome = sandbox.rnn("diff a.npz b.npz --report json");
    let report: Value = serde_json::from_str(&outcome.stdout_text()).unwrap();
    let tensors = report["tensors"].as_array().unwrap();
    let field = |name: &str| tensors.iter().map(|tensor| tensor[name].clone()).collect::<Vec<_>>();
    assert_eq!(field("name"), ["x", "y", "output", "w"]);
    assert_eq!(field("equal"), [true, false, false, false]);
    let differences = [json!(null), json!("only_in_a"), json!("numbers"), json!("only_in_b")];
    assert_eq!(field("difference"), differences);
    let y = json!({ "dtype": "f32", "shape": [1] });
    assert_eq!((&field("a")[1], &field("b")[1]), (&y, &Value::Null));
}

#[test]
fn weights_and_their_configuration() {
    let sandbox = Sandbox::new();
    let init = "init --input-size 1 --hidden 1 --no-bias -q";
    sandbox.rnn(&format!("{init} -o w")).succeeds();
    sandbox.rnn(&format!("{init} -o w.npz")).succeeds();
    sandbox.rnn(&format!("{init} --nonlinearity relu --dropout 0.5 -o relu.npz")).succeeds();
    let equal =
        "weight_hh_l0: f32 [1, 1]: equal (exact)\nweight_ih_l0: f32 [1, 1]: equal (exact)\n";
    said(
        &sandbox.rnn("diff w w.npz --exact"),
        0,
        &format!("{equal}configuration: equal\n2 of 2 tensors equal\n"),
    );
    said(
        &sandbox.rnn("diff w relu.npz --exact"),
        1,
        &format!(
            "{equal}configuration differs: nonlinearity tanh, relu; dropout 0.0, 0.5\n2 of 2 tensors equal\n"
        ),
    );
    let outcome = sandbox.rnn("diff w relu.npz --report json");
    let report: Value = serde_json::from_str(&outcome.stdout_text()).unwrap();
    assert_eq!(report["equal"], false);
    assert_eq!(
        report["configuration"],
        json!({
            "equal": false,
            "only_in": null,
            "differences": [
                { "name": "nonlinearity", "a": "tanh", "b": "relu" },
                { "name": "dropout", "a": 0.0, "b": 0.5 },
            ],
        })
    );
    fs::remove_file(sandbox.path("w/rnn.json")).unwrap();
    said(
        &sandbox.rnn("diff w/ relu.npz --exact"),
        0,
        &format!("{equal}configuration: only in relu.npz, not compared\n2 of 2 tensors equal\n"),
    );
}

#[test]
fn other_texts_beside_tensors() {
    let sandbox = Sandbox::new();
    for (name, text) in [("a.npz", "one"), ("b.npz", "two")] {
        let mut sink = Sink::open(&sandbox.path(name), Overwrite::Replace).unwrap();
        write_npz(&mut sink, &[("x", &integers(&[1]))], text).unwrap();
        sink.commit().unwrap();
    }
    said(
        &sandbox.rnn("diff a.npz b.npz"),
        1,
        "x: i64 [1]: equal (rtol 0, atol 0)
the texts beside the tensors differ
1 of 1 tensor equal
",
    );
}

#[test]
fn files_that_cannot_be_compared_are_errors() {
    let sandbox = sandbox();
    sandbox.save_npz("two.npz", &[("x", &integers(&[1])), ("y", &tensor(&[5, 3, 4], &[0.0; 60]))]);
    sandbox.save_npz("none.npz", &[]);
    let a = sandbox.bytes("a.npy");
    sandbox.write("short.npy", &a[..a.len() - 3]);
    sandbox.write("long.npy", &[&a[..], b"\n"].concat());
    let mut broken = sandbox.bytes("two.npz");
    let at = broken.windows(240).position(|bytes| bytes == [0; 240]).unwrap();
    broken[at] ^= 1;
    sandbox.write("broken.npz", &broken);
    sandbox.write("empty.npy", b"");
    fs::create_dir(sandbox.path("folder")).unwrap();
    fs::create_dir(sandbox.path("diff")).unwrap();
    fs::copy(sandbox.path("a.npy"), sandbox.path("diff/a.npy")).unwrap();
    fs::copy(sandbox.path("a.npy"), sandbox.path("diff/b.npy")).unwrap();
    let usage = "\nhint: rnn diff --help";
    let pair = "expected two tensors or two bundles, got one tensor, a.npy, and";
    for (line, code, stderr) in [
        ("nope.npy a.npy", 66, "nope.npy: No such file or directory (os error 2)"),
        ("a.npy nope", 66, "nope: No such file or directory (os error 2)"),
        (
            "empty.npy a.npy",
            65,
            "empty.npy: empty file; expected .npy, .npz, a table, a folder of .npy files, .safetensors or .pt, got 0 bytes",
        ),
        ("folder a.npy", 65, "folder: expected a folder of .npy files, got none in it"),
        (
            "a.npy short.npy",
            65,
            "short.npy: expected 240 bytes after the header for shape [5, 3, 4], got 237",
        ),
        ("long.npy a.npy", 65, "long.npy: expected 240 bytes after the header, got 241"),
        ("two.npz:z a.npy", 65, "two.npz:z: expected a member of that name, got x, y"),
        ("broken.npz:y a.npy", 65, "broken.npz:y: broken archive: Invalid checksum"),
        (
            "two.npz a.npy --exact",
            65,
            &format!("{pair} 2 of them, two.npz\nhint: rnn diff two.npz:y a.npy --exact"),
        ),
        ("a.npy none.npz", 65, &format!("{pair} 0 of them, none.npz")),
        ("a.npy diff", 65, &format!("{pair} 2 of them, diff\nhint: rnn diff a.npy diff/a.npy")),
        ("- -", 2, "expected one input from stdin, got - for both"),
        ("a.npy", 2, &format!("the following required arguments were not provided: <B>{usage}")),
        (
            "a.npy b.npy --exact --rtol 1",
            2,
            &format!("the argument '--exact' cannot be used with '--rtol <TOL>'{usage}"),
        ),
        (
            "a.npy b.npy --atol -1",
            2,
            &format!("--atol: expected a number of at least 0, got '-1'{usage}"),
        ),
        (
            "a.npy b.npy --rtol nan",
            2,
            &format!("--rtol: expected a number of at least 0, got 'nan'{usage}"),
        ),
    ] {
        sandbox.rnn(&format!("diff {line}")).fails(code, &format!("rnn: {stderr}\n"));
    }
    sandbox
        .shell("head -c 200 a.npy | rnn diff - a.npy")
        .fails(65, "rnn: stdin: expected 240 bytes after the header for shape [5, 3, 4], got 72\n");
}

#[test]
fn a_run_against_its_files_through_a_pipe() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 5,3,10 -o x.npy -q").succeeds();
    sandbox.rnn("init --input-size 10 --hidden 20 -o w -q").succeeds();
    sandbox.rnn("run -w w -i x.npy -o output.npy -q").succeeds();
    let script = "rnn run -w w -i x.npy -o - -q | rnn diff - output.npy --exact";
    said(&sandbox.shell(script), 0, "stdin, output.npy: f32 [5, 3, 20]: equal (exact)\n");
}

/// A .npy of zeros that takes no room on the disk.
fn zeros(sandbox: &Sandbox, name: &str, count: usize) -> File {
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(sandbox.path(name)).unwrap();
    file.write_all(&npy("<f4", &[count], false, &[])).unwrap();
    let end = file.stream_position().unwrap() + 4 * count as u64;
    file.set_len(end).unwrap();
    file
}

#[test]
fn memory_does_not_grow_with_the_tensors() {
    let sandbox = Sandbox::new();
    // Four times the address space that is allowed.
    let count = 100_000_000;
    zeros(&sandbox, "a.npy", count);
    let mut b = zeros(&sandbox, "b.npy", count);
    b.seek(SeekFrom::End(-4)).unwrap();
    b.write_all(&1_f32.to_le_bytes()).unwrap();
    let outcome = sandbox.shell("ulimit -v 100000; rnn diff a.npy b.npy");
    let text = "a.npy, b.npy: f32 [100000000]: 1 of 100000000 differ (rtol 1.3e-6, atol 1e-5)
  largest absolute difference 1 at [99999999]: 0.0, expected 1.0
  largest relative difference 1 at [99999999]: 0.0, expected 1.0
  largest ulp distance 1065353216 at [99999999]: 0.0, expected 1.0
  first difference at [99999999]: 0.0, expected 1.0
";
    said(&outcome, 1, text);
}

/// Numbers that are often the same, nearly the same, or no numbers.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(1.0 + f32::EPSILON), Just(1.00001)],
        2 => -2.0_f32..2.0,
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)],
        1 => any::<u32>().prop_map(f32::from_bits),
    ]
}

/// The expected result: PyTorch's definition of closeness, or the bits.
fn equal(a: f32, b: f32, exact: bool, equal_nan: bool) -> bool {
    if a.is_nan() && b.is_nan() && equal_nan {
        return true;
    }
    if exact {
        return a.to_bits() == b.to_bits();
    }
    if !a.is_finite() || !b.is_finite() {
        return a.to_bits() == b.to_bits() && !a.is_nan();
    }
    let (a, b) = (f64::from(a), f64::from(b));
    (a - b).abs() <= 1e-5 + 1.3e-6 * b.abs()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn agrees_with_the_definition(
        pairs in prop::collection::vec((number(), number(), any::<bool>()), 0..40),
        exact: bool,
        equal_nan: bool,
    ) {
        let a: Vec<_> = pairs.iter().map(|&(a, ..)| a).collect();
        // Half of the pairs are the same number.
        let b: Vec<_> = pairs.iter().map(|&(a, b, same)| if same { a } else { b }).collect();
        let sandbox = Sandbox::new();
        sandbox.save("a.npy", &tensor(&[a.len()], &a).view());
        sandbox.save("b.npy", &tensor(&[b.len()], &b).view());
        let flags = [(exact, "--exact"), (equal_nan, "--equal-nan")];
        let flags: Vec<_> = flags.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag).collect();
        let outcome = sandbox.rnn(&format!("diff a.npy b.npy --report json {}", flags.join(" ")));

        let differ: Vec<_> =
            (0..a.len()).filter(|&i| !equal(a[i], b[i], exact, equal_nan)).collect();
        prop_assert_eq!(outcome.code, Some(i32::from(!differ.is_empty())));
        let report: Value = serde_json::from_str(&outcome.stdout_text()).unwrap();
        let numbers = &report["tensors"][0]["numbers"];
        prop_assert_eq!(&numbers["different"], differ.len());
        if let Some(first) = differ.first() {
            prop_assert_eq!(&numbers["first"]["index"], &json!([first]));
            let distance = |&i: &usize| (f64::from(a[i]) - f64::from(b[i])).abs();
            let distances = differ.iter().map(distance).filter(|distance| !distance.is_nan());
            let most = distances.fold(None, |most: Option<f64>, d| Some(most.map_or(d, |m| m.max(d))));
            let found = &numbers["largest_absolute"]["difference"];
            match most {
                None => prop_assert_eq!(found, &Value::Null),
                Some(most) if most.is_infinite() => prop_assert_eq!(found, "inf"),
                // The reader of JSON may be off in the last bit.
                Some(most) => {
                    let found = found.as_f64().unwrap();
                    prop_assert!((found - most).abs() <= 1e-15 * most, "{found}, {most}");
                }
            }
        }
    }
}

#[test]
fn a_layer_in_an_onnx_is_compared_once_it_is_converted() {
    const REFUSED: &str = "expected .npy, .npz, a table, a folder of .npy files, .safetensors or .pt, got \
                           what looks like .onnx";
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 3 --hidden-size 5 --seed 1 -o w.npz -q").succeeds();
    sandbox.rnn("convert w.npz w.onnx -q").succeeds();
    // What has the first name that comes to mind is kept.
    for (before, target) in [("w.npz", "w.onnx.npz"), ("v.npz", "w.npz")] {
        if before != "w.npz" {
            fs::rename(sandbox.path("w.npz"), sandbox.path(before)).unwrap();
        }
        let line = format!("convert w.onnx {target}");
        let expected = format!("rnn: w.onnx: {REFUSED}\nhint: rnn {line}\n");
        sandbox.rnn(&format!("diff {before} w.onnx")).fails(65, &expected);
        sandbox.rnn(&format!("diff w.onnx {before}")).fails(65, &expected);
        sandbox.rnn(&line).succeeds();
        said(&sandbox.rnn(&format!("diff {before} {target} --exact -q")), 0, "");
    }
    // Both names are taken now.
    sandbox.rnn("diff v.npz w.onnx").fails(65, &format!("rnn: w.onnx: {REFUSED}\n"));
    // No layer, because its weights are inputs of the model.
    sandbox.take("onnx/test_simple_rnn_defaults.onnx");
    let name = "test_simple_rnn_defaults.onnx";
    sandbox.rnn(&format!("diff v.npz {name}")).fails(65, &format!("rnn: {name}: {REFUSED}\n"));
    let piped = sandbox.shell("cat w.onnx | rnn diff - v.npz");
    piped.fails(65, &format!("rnn: stdin: {REFUSED}\n"));
}

/// The numbers of a table count as f32, and beside f64 as f64.
#[test]
fn tables_have_the_tolerances_of_the_other_side() {
    let sandbox = Sandbox::new();
    sandbox.write("a.csv", b"1,0.25\n");
    sandbox.write("b.csv", b"1.000000001,0.25\n");
    let equal = "equal (rtol 1.3e-6, atol 1e-5)\n  1 of 2 differ within the tolerance\n";
    let outcome = sandbox.rnn("diff a.csv b.csv");
    assert_eq!(outcome.code, Some(0));
    let text = outcome.stdout_text();
    assert!(text.starts_with(&format!("a.csv, b.csv: text [1, 2]: {equal}")), "{text}");
    let doubles = ArrayD::from_shape_vec(vec![1, 2], vec![1.000_001_f64, 0.25]).unwrap();
    sandbox.save("d.npy", &doubles.view());
    let text = sandbox.rnn("diff a.csv d.npy").stdout_text();
    let differ = "a.csv, d.npy: text, f64 [1, 2]: 1 of 2 differ (rtol 1e-7, atol 1e-7)\n";
    assert!(text.starts_with(differ), "{text}");
}

/// What a whole module says of itself is compared with what was saved beside other weights.
#[test]
fn a_relu_module_is_no_tanh_layer() {
    let sandbox = Sandbox::new();
    for file in ["module.pt", "modules.pt", "rnn.npz"] {
        sandbox.take(&format!("checkpoints/{file}"));
    }
    sandbox.rnn("convert module.pt relu.npz -q").succeeds();
    let equal = sandbox.rnn("diff module.pt relu.npz").stdout_text();
    assert!(equal.ends_with("\nconfiguration: equal\n16 of 16 tensors equal\n"), "{equal}");
    let tanh = "--nonlinearity tanh --batch-first=false --dropout 0";
    sandbox.rnn(&format!("convert rnn.npz tanh.npz {tanh} -q")).succeeds();
    let differs = "\nconfiguration differs: nonlinearity relu, tanh; batch_first true, false; dropout 0.25, 0.0\n16 of 16 tensors equal\n";
    let outcome = sandbox.rnn("diff module.pt tanh.npz");
    assert!(outcome.stdout_text().ends_with(differs), "{}", outcome.stdout_text());
    assert_eq!(outcome.code, Some(1));
    // A bare state_dict says nothing, and neither does what is converted from one.
    sandbox.rnn("convert rnn.npz unsaid.npz -q").assumes();
    let outcome = sandbox.rnn("diff rnn.npz module.pt").succeeds().stdout_text();
    let only = "\nconfiguration: only in module.pt, not compared\n16 of 16 tensors equal\n";
    assert!(outcome.ends_with(only), "{outcome}");
    for unsaid in ["relu.npz", "tanh.npz"] {
        sandbox
            .rnn(&format!("convert {unsaid} same.npz --batch-first=false --dropout 0 -q"))
            .succeeds();
        let outcome = sandbox.rnn("diff unsaid.npz same.npz").succeeds().stdout_text();
        assert!(outcome.ends_with("\nconfiguration: equal\n16 of 16 tensors equal\n"), "{outcome}");
    }
}

#[test]
fn a_layer_of_a_model_is_compared_without_its_prefix() {
    let sandbox = Sandbox::new();
    sandbox.take("checkpoints/model.pt");
    sandbox.rnn("convert model.pt w.npz --prefix encoder.rnn --nonlinearity relu -q").assumes();
    for line in ["diff model.pt w.npz", "diff w.npz model.pt"] {
        let outcome = sandbox.rnn(line);
        let said = outcome.stdout_text();
        let hint = format!("tensors equal\nhint: rnn {line} --prefix decoder.rnn\n");
        assert!(said.ends_with(&hint), "{said}");
        assert_eq!(outcome.code, Some(1));
        let said = sandbox.rnn(&format!("{line} --prefix encoder.rnn")).succeeds().stdout_text();
        assert!(
            said.starts_with("bias_hh_l0: f32 [") || said.starts_with("weight_ih_l0: f32 ["),
            "{said}"
        );
        assert!(!said.contains("hint"), "{said}");
    }
    sandbox
        .rnn("diff model.pt w.npz --prefix enc")
        .fails(65, "rnn: expected tensors under 'enc' in model.pt or w.npz, got none\n");
}

#[test]
fn any_two_axes_may_be_swapped() {
    let sandbox = Sandbox::new();
    sandbox.save("a.npy", &ArrayD::<f32>::zeros(vec![5, 2, 3]).view());
    sandbox.save("b.npy", &ArrayD::<f32>::zeros(vec![3, 2, 5]).view());
    let command = "rnn convert a.npy a-swapped.npy --transpose 0,2";
    let expected = format!(
        "a.npy, b.npy: f32 [5, 2, 3], [3, 2, 5]: shapes differ\n  hint: axes 0 and 2 swapped would fit: {command}\n"
    );
    said(&sandbox.rnn("diff a.npy b.npy"), 1, &expected);
}
