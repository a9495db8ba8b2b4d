//! A model that PyTorch has trained and saved gives the same numbers from every format it can stand in.

use crate::support::{Sandbox, fixture, fixture_path, largest_difference};

/// The same layer, in `fixtures/sine/`: alone, or as the `rnn` of a model that has an `fc` too.
const FORMATS: [&str; 7] =
    ["model.pt", "module.pt", "rnn.pt", "rnn.safetensors", "rnn.npz", "rnn.onnx", "rnn"];

/// A layer of two and fifty steps, next to PyTorch's own sums in another order: 3e-7 were found.
const TOLERANCE: f64 = 1e-6;

#[test]
fn a_trained_model_is_the_same_in_every_format() {
    let folder = fixture_path("sine");
    let mut outputs = Vec::new();
    for format in FORMATS {
        let sandbox = Sandbox::new();
        let (weights, x) = (folder.join(format), folder.join("x.npy"));
        let words = ["run", "-w", weights.to_str().unwrap(), "-i", x.to_str().unwrap()];
        let files = ["-o", "output.npy", "--hn", "h_n.npy", "--report", "none"];
        let outcome = sandbox.rnn_with(&[&words[..], &files[..]].concat(), &[]);
        if format == "rnn.onnx" {
            outcome.succeeds()
        } else {
            outcome.assumes()
        };
        for name in ["output.npy", "h_n.npy"] {
            let expected = fixture::<f32>(&format!("sine/{name}"));
            let difference = largest_difference(&sandbox.load::<f32>(name), &expected);
            assert!(difference <= TOLERANCE, "{format}: {name}: {difference}");
        }
        outputs.push((format, sandbox.bytes("output.npy"), sandbox.bytes("h_n.npy")));
    }
    for (format, output, h_n) in &outputs {
        assert!((output, h_n) == (&outputs[0].1, &outputs[0].2), "{format} and {}", FORMATS[0]);
    }
}
