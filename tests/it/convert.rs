//! `rnn convert`: weights from one format to another.

mod tensors;

use crate::support::{Outcome, Sandbox, fixture_path};

/// A path for each writable format.
const WRITTEN: [&str; 4] = ["w.npz", "w.safetensors", "w.onnx", "w"];

fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_slice(&outcome.stdout).unwrap()
}

/// A folder with fresh weights in `start.npz`.
fn start(flags: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let line = format!("init --input-size 3 --hidden 5 {flags} -o start.npz -q");
    sandbox.rnn(&line).succeeds();
    sandbox
}

#[test]
fn every_pair_of_formats_keeps_every_bit_and_the_configuration() {
    for flags in [
        "--layers 2 --bidirectional --nonlinearity relu --batch-first --dropout 0.25",
        "--no-bias",
        "--dtype f64 --layers 3",
    ] {
        for first in WRITTEN {
            for second in WRITTEN {
                let sandbox = start(flags);
                let second = format!("second-{second}");
                sandbox.rnn(&format!("convert start.npz {first} -q")).succeeds();
                sandbox.rnn(&format!("convert {first} {second} -q")).succeeds();
                sandbox.rnn(&format!("convert {second} end.npz -q")).succeeds();
                let same = sandbox.bytes("start.npz") == sandbox.bytes("end.npz");
                assert!(same, "{flags}: {first} to {second}");
            }
        }
    }
}

#[test]
fn flags_add_the_configuration_to_a_state_dict() {
    let sandbox = Sandbox::new();
    let weights = fixture_path("sine/rnn.pt");
    let weights = weights.to_str().unwrap();
    let flags = "--nonlinearity relu --batch-first --dropout 0.5 --report json";
    let line = ["convert", weights, "w.safetensors"];
    let words: Vec<_> = line.into_iter().chain(flags.split(' ')).collect();
    let report = json(&sandbox.rnn_with(&words, &[]).succeeds());
    assert_eq!(report["layer"]["nonlinearity"], "relu");
    assert_eq!(report["notes"], serde_json::json!([]));
    let report = sandbox.rnn("convert w.safetensors w --report json").succeeds();
    let report = json(&report);
    assert_eq!(report["layer"]["repr"], "RNN(1, 8, num_layers=2, batch_first=True, dropout=0.5)");
    // The saved nonlinearity counts.
    sandbox.rnn("convert w x.npz --nonlinearity tanh").fails(
        65,
        "rnn: w: expected nonlinearity relu, as in the weights, got tanh from --nonlinearity\n\
         hint: rnn convert w x.npz\n",
    );
}

#[test]
fn the_report_names_an_assumed_nonlinearity() {
    let sandbox = Sandbox::new();
    for name in ["weight_ih_l0", "weight_hh_l0"] {
        let array = ndarray::ArrayD::<f32>::zeros(vec![2, 2]);
        std::fs::create_dir_all(sandbox.path("w")).unwrap();
        sandbox.save(&format!("w/{name}.npy"), &array.view());
    }
    let outcome = sandbox.rnn("convert w w.npz");
    let stderr = "note: w: the weights do not say their nonlinearity and batch_first; tanh and false, \
                  PyTorch's defaults, are assumed\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), stderr));
    assert_eq!(
        outcome.stdout_text(),
        "RNN(2, 2, bias=False), tanh, f32, 8 parameters\n\
         weights       w.npz\n\
         weight_ih_l0  [2, 2] hidden_size 2, input_size 2   f32\n\
         weight_hh_l0  [2, 2] hidden_size 2, hidden_size 2  f32\n"
    );
}

/// A later flag may set a nonlinearity that was only assumed.
#[test]
fn an_assumption_does_not_become_a_fact() {
    let sandbox = Sandbox::new();
    sandbox.take("checkpoints/rnn.pt");
    sandbox.take("inputs.npz");
    let relu = "run -i inputs.npz:x_f32 --nonlinearity relu --batch-first=false -o - -q -w";
    let expected = sandbox.rnn(&format!("{relu} rnn.pt")).succeeds().stdout;
    for target in ["w.npz", "w.safetensors", "w"] {
        sandbox.rnn(&format!("convert rnn.pt {target} -q")).assumes();
        let text = sandbox.rnn(&format!("info {target}")).succeeds().stdout_text();
        assert!(text.contains(", nonlinearity not said, tanh assumed, f32"), "{text}");
        assert!(sandbox.rnn(&format!("{relu} {target}")).succeeds().stdout == expected, "{target}");
        let notes = sandbox.rnn(&format!("convert {target} again.npz")).assumes().stderr;
        let note = "the weights do not say their nonlinearity, batch_first and dropout; tanh, false and 0, \
                    PyTorch's defaults, are assumed\n";
        assert!(notes.ends_with(&format!("note: {target}: {note}")), "{notes}");
        let said = "--nonlinearity relu --batch-first --dropout 0";
        sandbox.rnn(&format!("convert {target} said.npz {said} -q --strict")).succeeds();
        let text = sandbox.rnn("info said.npz").succeeds().stdout_text();
        assert!(text.contains("batch_first=True, bidirectional=True), relu, f32"), "{text}");
    }
    // A node has an activation, and so it is named.
    let said = sandbox.rnn("convert rnn.pt w.onnx -q").assumes().stderr;
    let note = "note: w.onnx: an .onnx states the nonlinearity, batch_first and dropout, and not that they are \
                assumed\n";
    assert!(
        said.ends_with(&format!("tanh, false and 0, PyTorch's defaults, are assumed\n{note}")),
        "{said}"
    );
    let text = sandbox.rnn("info w.onnx").succeeds().stdout_text();
    assert!(text.contains("bidirectional=True), tanh, f32"), "{text}");
}

#[test]
fn merged_biases_compute_the_same() {
    let sandbox = start("--layers 2 --bidirectional");
    sandbox.rnn("convert start.npz merged.npz --merge-bias -q").succeeds();
    assert!(sandbox.bytes("start.npz") != sandbox.bytes("merged.npz"));
    sandbox.rnn("randn --shape 4,2,3 -o x.npy -q").succeeds();
    for weights in ["start", "merged"] {
        let line = format!("run -w {weights}.npz -i x.npy -o {weights}.npy -q");
        sandbox.rnn(&line).succeeds();
    }
    assert!(sandbox.bytes("start.npy") == sandbox.bytes("merged.npy"));
    for (name, zero) in [("bias_ih_l1_reverse", false), ("bias_hh_l1_reverse", true)] {
        sandbox.rnn("convert merged.npz merged -q").succeeds();
        let bias = sandbox.load::<f32>(&format!("merged/{name}.npy"));
        assert_eq!(bias.iter().all(|&value| value == 0.0), zero, "{name}");
    }
}

#[test]
fn dtype_f32_makes_floats_of_doubles() {
    let sandbox = start("--dtype f64");
    let notes = sandbox.rnn("convert start.npz w.npz --dtype f32").succeeds().stdout_text();
    assert!(notes.contains("note: start.npz: weight_ih_l0: f64 converted to f32\n"), "{notes}");
    let stdout = sandbox.rnn("convert start.npz w.onnx").succeeds().stdout_text();
    let warning = "warning: ONNX Runtime has no RNN for f64; --dtype f32 makes one that it runs\n";
    assert!(stdout.ends_with(warning), "{stdout}");
}

#[test]
fn an_output_of_another_format_is_an_error() {
    let sandbox = start("");
    sandbox.rnn("convert start.npz w.pt").fails(
        2,
        "rnn: w.pt: expected a folder, .npz, .safetensors, .onnx or - for weights, got .pt\n\
         hint: rnn convert start.npz weights/\n",
    );
    sandbox
        .rnn("convert absent.npz w.npz")
        .fails(66, "rnn: absent.npz: No such file or directory (os error 2)\n");
    sandbox.write("w.npz", b"old");
    sandbox
        .rnn("convert start.npz w.npz --no-clobber")
        .fails(73, "rnn: w.npz: cannot be written: exists, and --no-clobber keeps it\n");
    assert_eq!(sandbox.names(), ["start.npz", "w.npz"]);
}

#[test]
fn a_file_becomes_itself_and_weights_pass_through_pipes() {
    let sandbox = start("--layers 2");
    let before = sandbox.bytes("start.npz");
    sandbox.rnn("convert start.npz start.npz -q").succeeds();
    assert!(sandbox.bytes("start.npz") == before);
    sandbox.shell("cat start.npz | rnn convert - - -q > piped.npz").succeeds();
    assert!(sandbox.bytes("piped.npz") == before);
}
