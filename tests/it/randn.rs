//! `rnn randn`: the numbers of `torch.randn`, and the state of their stream.

use elman::{Generator, STATE_BYTES};
use ndarray::Array1;
use serde::Deserialize;
use serde_json::json;

use crate::support::{Sandbox, cases, fixture, fixture_path, state_file};

/// Largest error of an f64 value in units of the last place: logarithm, sine and cosine are the crate's own here
/// and the C library's in PyTorch, each within 1 ulp, and they are multiplied.
const F64_ULPS: u64 = 2;

/// The share of f64 values that must have PyTorch's bits, as the manual promises.
const F64_EQUAL: f64 = 0.99;

/// An entry of the section `randn` of `cases.json`, or a step of `randn_chain`.
#[derive(Debug, Deserialize)]
struct Draw {
    shape: Vec<usize>,
    dtype: String,
    values: String,
    seed: Option<String>,
    state: Option<String>,
}

impl Draw {
    /// Runs `rnn randn` into x.npy, with more flags.
    #[track_caller]
    fn run(&self, sandbox: &Sandbox, more: &str) {
        let shape: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        let (shape, dtype) = (shape.join(","), &self.dtype);
        let line = format!("randn --shape {shape} --dtype {dtype} -o x.npy --report none {more}");
        assert_eq!(sandbox.rnn(&line).succeeds().stdout_text(), "", "{line}");
    }

    /// Compares x.npy with PyTorch's values, f32 bit for bit; `far` counts the f64 values.
    #[track_caller]
    fn check(&self, sandbox: &Sandbox, far: &mut Distances) {
        if self.dtype == "f32" {
            let (got, expected) = (sandbox.load::<f32>("x.npy"), fixture::<f32>(&self.values));
            assert_eq!(got.shape(), self.shape);
            let bits = |array: &ndarray::ArrayD<f32>| array.mapv(f32::to_bits);
            assert_eq!(bits(&got), bits(&expected), "{}", self.values);
        } else {
            let (got, expected) = (sandbox.load::<f64>("x.npy"), fixture::<f64>(&self.values));
            assert_eq!(got.shape(), self.shape);
            far.ulps.extend(got.iter().zip(&expected).map(|(&x, &y)| ulps(x, y)));
        }
    }
}

/// Distances of f64 values from PyTorch's.
#[derive(Default)]
struct Distances {
    ulps: Vec<u64>,
}

impl Distances {
    #[track_caller]
    fn check(&self) {
        let equal = self.ulps.iter().filter(|&&ulps| ulps == 0).count();
        let share = equal as f64 / self.ulps.len() as f64;
        assert!(share > F64_EQUAL, "{equal} of {} are equal", self.ulps.len());
        assert!(self.ulps.iter().all(|&ulps| ulps <= F64_ULPS), "{:?}", self.ulps);
    }
}

/// The distance of two numbers of one sign in units of the last place.
fn ulps(x: f64, y: f64) -> u64 {
    if x.is_sign_negative() == y.is_sign_negative() {
        x.to_bits().abs_diff(y.to_bits())
    } else {
        u64::MAX
    }
}

#[test]
fn values_are_those_of_pytorch() {
    let sandbox = Sandbox::new();
    let mut far = Distances::default();
    let draws: Vec<Draw> = cases("/randn");
    assert_eq!(draws.len(), 28);
    for draw in draws {
        draw.run(&sandbox, &format!("--seed {}", draw.seed.as_ref().unwrap()));
        assert_eq!(sandbox.names(), ["x.npy"]);
        draw.check(&sandbox, &mut far);
    }
    assert_eq!(far.ulps.len(), 470);
    far.check();
}

/// One stream over several draws. Below 16 numbers an odd count leaves a normal number in the generator,
/// and in its state; it is an f64, and has PyTorch's bits here.
#[test]
fn a_stream_continues_from_its_state() {
    let sandbox = Sandbox::new();
    let mut far = Distances::default();
    let (seed, state): (String, String) = (cases("/randn_chain/seed"), cases("/randn_chain/state"));
    sandbox.rnn(&format!("randn --shape 0 --seed {seed} --rng rng.npy -o x.npy")).succeeds();
    assert!(sandbox.bytes("rng.npy") == state_file(&state), "before the first step");
    for draw in cases::<Vec<Draw>>("/randn_chain/steps") {
        draw.run(&sandbox, "--rng rng.npy");
        draw.check(&sandbox, &mut far);
        let state = state_file(draw.state.as_ref().unwrap());
        assert!(sandbox.bytes("rng.npy") == state, "after {}", draw.values);
    }
    assert_eq!(sandbox.names(), ["rng.npy", "x.npy"]);
    far.check();
}

#[test]
fn a_seed_starts_the_stream_anew() {
    let sandbox = Sandbox::new();
    let draws = ["--seed 5", "", "--seed 5", ""].map(|seed| {
        let line = format!("randn --shape 20 --rng rng.npy -o x.npy --report none {seed}");
        sandbox.rnn(&line).succeeds();
        (sandbox.bytes("x.npy"), sandbox.bytes("rng.npy"))
    });
    assert!(draws[0] == draws[2]);
    assert!(draws[1] == draws[3]);
    assert!(draws[0].0 != draws[1].0);
}

#[test]
fn the_default_seed_is_that_of_a_new_generator() {
    let sandbox = Sandbox::new();
    for (seed, output) in [("", "a.npy"), ("--seed 67280421310721", "b.npy")] {
        sandbox.rnn(&format!("randn --shape 20 -o {output} --report none {seed}")).succeeds();
    }
    assert!(sandbox.bytes("a.npy") == sandbox.bytes("b.npy"));
}

#[test]
fn text_report() {
    let sandbox = Sandbox::new();
    let printed = sandbox.rnn("randn --shape 5,3,10 --seed -1 --rng rng.npy -o x.npy").succeeds();
    let expected = "\
seed   18446744073709551615
randn  [5, 3, 10]  f32  x.npy
rng                     rng.npy
";
    assert_eq!(printed.stdout_text(), expected);
    // The stream goes on: no seed says what comes next.
    let printed = sandbox.rnn("randn --shape 2 --dtype f64 --rng rng.npy -o y.npy").succeeds();
    let expected = "\
randn  [2]  f64  y.npy
rng              rng.npy
";
    assert_eq!(printed.stdout_text(), expected);
}

#[test]
fn json_report() {
    let sandbox = Sandbox::new();
    let printed = sandbox.rnn("randn --shape 5,3 --report json -o x.npy").succeeds();
    let tensor =
        json!({"name": "randn", "shape": [5, 3], "axes": [], "dtype": "f32", "file": "x.npy"});
    let expected = json!({
        "command": "randn",
        "layer": null,
        "weights": null,
        "seed": 67_280_421_310_721_u64,
        "rng": null,
        "tensors": [tensor],
        "mode": null,
        "kernel": null,
        "threads": null,
        "seconds": null,
        "assumptions": {},
        "notes": [],
        "warnings": [],
    });
    assert_eq!(printed.stdout_text(), format!("{expected}\n"));
}

#[test]
fn standard_output_takes_the_tensor_and_standard_error_the_report() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 3 -o x.npy --report none").succeeds();
    let printed = sandbox.rnn("randn --shape 3 -o -");
    let expected = "seed   67280421310721\nrandn  [3]  f32  stdout\n";
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), expected));
    assert!(printed.stdout == sandbox.bytes("x.npy"));
}

/// The length of the header of a small .npy file: NumPy pads it to a multiple of 64.
const HEADER_BYTES: usize = 128;

/// NumPy wrote the fixture. The header differs in its padding alone.
#[test]
fn the_header_says_what_numpys_says() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 5,3,10 -o x.npy --report none").succeeds();
    let numpy = std::fs::read(fixture_path("x.npy")).unwrap();
    let found = sandbox.bytes("x.npy");
    assert_eq!(found.len(), numpy.len());
    let text = |file: &[u8]| file[..HEADER_BYTES].escape_ascii().to_string();
    let dictionary = text(&numpy).replace(", }", "}").replace(' ', "");
    assert_eq!(text(&found).replace(' ', ""), dictionary);
}

#[test]
fn an_empty_tensor_is_written() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 3,0,2 -o x.npy --report none").succeeds();
    assert_eq!(sandbox.load::<f32>("x.npy").shape(), [3, 0, 2]);
}

#[test]
fn a_missing_state_is_an_error() {
    let sandbox = Sandbox::new();
    let stderr = "rnn: nope.npy: No such file or directory (os error 2)\n";
    sandbox.rnn("randn --shape 3 --rng nope.npy -o x.npy").fails(66, stderr);
    assert_eq!(sandbox.names(), [""; 0]);
}

/// Saves bytes as a .npy file of type u8.
fn save_bytes(sandbox: &Sandbox, name: &str, bytes: Vec<u8>) {
    let mut file = Vec::new();
    elman::files::write_npy(&mut file, &Array1::from(bytes).view().into_dyn()).unwrap();
    sandbox.write(name, &file);
}

#[test]
fn a_file_without_a_state_is_refused_and_kept() {
    let sandbox = Sandbox::new();
    let zeros = vec![0; STATE_BYTES];
    let numbers = Array1::<f32>::zeros(STATE_BYTES);
    sandbox.save("f32.npy", &numbers.view().into_dyn());
    save_bytes(&sandbox, "short.npy", zeros[1..].to_vec());
    save_bytes(&sandbox, "zeros.npy", zeros);
    for (file, what) in [
        ("f32.npy", "expected u8 in shape [5056], got f32 in shape [5056]"),
        ("short.npy", "expected u8 in shape [5056], got u8 in shape [5055]"),
        ("zeros.npy", "expected left to be 1, got 0"),
    ] {
        let before = sandbox.bytes(file);
        let stderr = format!("rnn: {file}: generator state: {what}\n");
        sandbox.rnn(&format!("randn --shape 3 --rng {file} -o x.npy")).fails(65, &stderr);
        assert!(sandbox.bytes(file) == before, "{file}");
    }
    assert_eq!(sandbox.names(), ["f32.npy", "short.npy", "zeros.npy"]);
}

/// A seed does not need the old state, but the new state replaces only a state.
#[test]
fn a_seed_replaces_a_state_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 0 --seed 5 --rng rng.npy -o x.npy").succeeds();
    sandbox.rnn("randn --shape 0 --seed 0 --rng rng.npy -o x.npy").succeeds();
    let state: String = cases("/randn_chain/state");
    assert!(sandbox.bytes("rng.npy") == state_file(&state));
    let kept = sandbox.bytes("x.npy");
    let message =
        "rnn: x.npy: generator state: expected u8 in shape [5056], got f32 in shape [0]\n";
    sandbox.rnn("randn --shape 3 --seed 0 --rng x.npy -o y.npy").fails(65, message);
    assert!(sandbox.bytes("x.npy") == kept);
}

#[test]
fn seeds_outside_of_pytorchs_range_are_errors() {
    let sandbox = Sandbox::new();
    for seed in ["1.5", "18446744073709551616", "-9223372036854775809", "abc"] {
        let stderr = format!(
            "rnn: --seed: expected a seed from -2^63 to 2^64 - 1, or random, got '{seed}'\n\
             hint: rnn randn --help\n"
        );
        sandbox.rnn(&format!("randn --shape 3 --seed {seed} -o x.npy")).fails(2, &stderr);
    }
}

#[test]
fn wrong_use_is_explained() {
    let sandbox = Sandbox::new();
    let help = "hint: rnn randn --help\n";
    let stderr = format!("rnn: --dtype: expected dtype f32 or f64, got 'f16'\n{help}");
    sandbox.rnn("randn --shape 3 --dtype f16 -o x.npy").fails(2, &stderr);
    let stderr = "rnn: x.npz: expected .npy, .csv, .tsv, .txt or - for a tensor, got .npz\n\
                  hint: rnn randn --shape 3 -o x.npy\n";
    sandbox.rnn("randn --shape 3 -o x.npz").fails(2, stderr);
    assert_eq!(sandbox.names(), [""; 0]);
}

/// The message names the malformed size and the expected one.
#[test]
fn a_malformed_shape_is_an_error() {
    let sandbox = Sandbox::new();
    for (shape, size) in [("3,-1", "-1"), ("3,x", "x"), ("3,,4", ""), ("2.5", "2.5")] {
        let stderr = format!(
            "rnn: --shape: expected a whole number, got '{size}'\nhint: rnn randn --help\n"
        );
        sandbox.rnn(&format!("randn --shape {shape} -o x.npy")).fails(2, &stderr);
    }
}

/// NumPy reads 64 axes, and counts the numbers of an empty tensor without its empty axes.
#[test]
fn shapes_that_numpy_cannot_read_are_refused() {
    let sandbox = Sandbox::new();
    let axes = vec!["1"; 65].join(",");
    let stderr = "rnn: --shape: expected at most 64 axes, as NumPy reads them, got 65\n\
                  hint: rnn randn --help\n";
    sandbox.rnn(&format!("randn --shape {axes} -o x.npy")).fails(2, stderr);
    let stderr = "rnn: --shape: expected at most 9223372036854775807 bytes where empty axes do not count, \
                  got [0, 9223372036854775807, 9]\nhint: rnn randn --help\n";
    sandbox.rnn("randn --shape 0,9223372036854775807,9 -o x.npy").fails(2, stderr);
    assert_eq!(sandbox.names(), [""; 0]);
    sandbox.rnn(&format!("randn -q --shape {} -o x.npy", &axes[2..])).succeeds();
}

/// One path for the tensor and the state would lose the tensor, which is written first.
#[test]
fn the_tensor_and_the_state_need_two_files() {
    let sandbox = Sandbox::new();
    for path in ["x.npy", "./x.npy", "$PWD/x.npy"] {
        let line = format!("rnn randn --shape 3 --seed 0 --rng {path} -o x.npy");
        let found = sandbox.shell(&line);
        assert_eq!((found.code, found.stdout_text().as_str()), (Some(2), ""), "{line}");
    }
    assert_eq!(sandbox.names(), [""; 0]);
}

/// Millions of numbers, which are drawn piece by piece, are those of a single call.
#[test]
fn pieces_are_one_tensor() {
    let sandbox = Sandbox::new();
    for count in [(1 << 21) + 7, (1 << 21) + (1 << 20) - 1] {
        let line = format!("randn --shape {count} --seed 3 -o x.npy -q");
        sandbox.rnn(&line).succeeds();
        let mut generator = Generator::new(3);
        let mut expected = vec![0.0_f32; count];
        generator.normal(&mut expected);
        assert!(sandbox.load::<f32>("x.npy").as_slice() == Some(&expected), "{count}");
    }
}
