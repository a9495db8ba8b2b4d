//! `rnn run`: its report, its outputs, and what flags, weights and input decide together.

use ndarray::{ArrayD, IxDyn, array};
use serde_json::{Value, json};

use crate::support::{Outcome, Sandbox, without_measured};

/// A layer for 10 features with 20 hidden ones, 2 layers, in `w/` and `w.npz`, with `x.npy` and `h0.npy`.
fn seed_doc() -> Sandbox {
    let sandbox = Sandbox::new();
    let script = "set -e
        rnn randn -q --shape 5,3,10 -o x.npy
        rnn randn -q --shape 2,3,20 -o h0.npy
        rnn init -q --input-size 10 --hidden 20 --layers 2 -o w/
        rnn init -q --input-size 10 --hidden 20 --layers 2 -o w.npz";
    sandbox.shell(script).succeeds();
    sandbox
}

/// Runs `line` with `--report json`, and takes out of the report what depends on the machine.
#[track_caller]
fn report(sandbox: &Sandbox, line: &str) -> Value {
    let outcome = sandbox.shell(&format!("{line} --report json")).succeeds();
    let mut report: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    assert!(report["threads"].as_u64().unwrap() > 0);
    assert!(!report["kernel"].as_str().unwrap().is_empty());
    for measured in ["seconds", "threads", "kernel"] {
        report[measured] = Value::Null;
    }
    report
}

/// The notes of a run, then its warnings.
#[track_caller]
fn remarks(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let report = report(sandbox, line);
    let texts = ["notes", "warnings"].map(|field| report[field].as_array().unwrap().clone());
    texts.concat().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The `output` that the run writes.
#[track_caller]
fn output(sandbox: &Sandbox, line: &str) -> Vec<u8> {
    sandbox.shell(&format!("{line} -q -o -")).succeeds().stdout
}

#[track_caller]
fn prints(outcome: &Outcome, expected: &str) {
    assert_eq!(without_measured(&outcome.stdout_text()), expected);
}

#[test]
fn the_report_as_text() {
    let sandbox = seed_doc();
    prints(
        &sandbox.rnn("run -w w/ -i x.npy --h0 h0.npy").succeeds(),
        "RNN(10, 20, num_layers=2), tanh, f32, 1480 parameters
weights  w/
input    [5, 3, 10] seq_len 5, batch 3, input_size 10      f32  x.npy
h_0      [2, 3, 20] num_layers 2, batch 3, hidden_size 20  f32  h0.npy
output   [5, 3, 20] seq_len 5, batch 3, hidden_size 20     f32  output.npy
h_n      [2, 3, 20] num_layers 2, batch 3, hidden_size 20  f32  h_n.npy
eval, kernel K, T threads, S s
",
    );
    prints(
        &sandbox
            .rnn("run -i x.npy --hidden 4 --bidirectional --batch-first --no-bias --nonlinearity relu --dtype f64 --hn h.npy --dropout 0.5 --train --seed 7")
            .succeeds(),
        "RNN(10, 4, bias=False, batch_first=True, dropout=0.5, bidirectional=True), relu, f64, 112 parameters
weights  fresh
seed     7
input    [5, 3, 10] batch 5, seq_len 3, input_size 10               f64  x.npy
h_0      [2, 5, 4] directions*num_layers 2, batch 5, hidden_size 4  f64  zeros
output   [5, 3, 8] batch 5, seq_len 3, directions*hidden_size 8     f64
h_n      [2, 5, 4] directions*num_layers 2, batch 5, hidden_size 4  f64  h.npy
train, kernel K, T threads, S s
note: x.npy: input: f32 converted to f64
warning: dropout 0.5 has no effect: it acts between layers, and there is one
",
    );
}

#[test]
fn the_report_as_json() {
    let sandbox = seed_doc();
    let tensor = |name: &str, shape: [usize; 3], axes: [&str; 3], file: Option<&str>| json!({"name": name, "shape": shape, "axes": axes, "dtype": "f32", "file": file});
    let state = ["num_layers", "batch", "hidden_size"];
    let expected = json!({
        "command": "run",
        "layer": {
            "input_size": 10,
            "hidden_size": 20,
            "num_layers": 2,
            "nonlinearity": "tanh",
            "bias": true,
            "batch_first": false,
            "dropout": 0.0,
            "bidirectional": false,
            "repr": "RNN(10, 20, num_layers=2)",
            "dtype": "f32",
            "parameters": 1480,
        },
        "weights": "w",
        "seed": null,
        "rng": null,
        "tensors": [
            tensor("input", [5, 3, 10], ["seq_len", "batch", "input_size"], Some("x.npy")),
            tensor("h_0", [2, 3, 20], state, Some("zeros")),
            tensor("output", [5, 3, 20], ["seq_len", "batch", "hidden_size"], Some("y.npy")),
            tensor("h_n", [2, 3, 20], state, None),
        ],
        "mode": "eval",
        "kernel": null,
        "threads": null,
        "seconds": null,
        "assumptions": {},
        "notes": [],
        "warnings": [],
    });
    let found = report(&sandbox, "rnn run -w w -i x.npy -o y.npy");
    assert_eq!(found.to_string(), expected.to_string());
    let fresh = report(&sandbox, "rnn run -i x.npy --hidden 2 --rng r.npy --seed 3 --train");
    assert_eq!(fresh["weights"], Value::Null);
    assert_eq!((&fresh["seed"], &fresh["rng"]), (&json!(3), &json!("r.npy")));
    assert_eq!(fresh["mode"], "train");
}

#[test]
fn the_report_goes_to_stderr_if_a_tensor_goes_to_stdout() {
    let sandbox = seed_doc();
    let printed = sandbox.rnn("run -w w -i x.npy -o y.npy").succeeds();
    let outcome = sandbox.rnn("run -w w -i x.npy -o -");
    assert_eq!((outcome.code, &outcome.stdout), (Some(0), &sandbox.bytes("y.npy")));
    let expected = without_measured(&printed.stdout_text()).replace("y.npy", "stdout");
    assert_eq!(without_measured(&outcome.stderr), expected);
    for quiet in ["-q", "--quiet", "--report none", "-q --report json"] {
        let outcome = sandbox.rnn(&format!("run -w w -i x.npy --hn - {quiet}")).succeeds();
        assert!(outcome.stdout.starts_with(b"\x93NUMPY"), "{quiet}");
        let outcome = sandbox.rnn(&format!("run -w w -i x.npy -o y.npy {quiet}")).succeeds();
        assert_eq!(outcome.stdout_text(), "", "{quiet}");
    }
}

#[test]
fn nothing_is_written_that_was_not_named() {
    for (flags, written) in [
        ("", &["h_n.npy", "output.npy"][..]),
        ("-o a.npy", &["a.npy"]),
        ("--hn b.npy", &["b.npy"]),
        ("-o a.npy --hn b.npy", &["a.npy", "b.npy"]),
        ("-o - --hn b.npy", &["b.npy"]),
        ("-o - ", &[]),
        ("-o plain", &["plain"]),
        ("-o a.npy --rng rng.npy --seed 1", &["a.npy", "rng.npy"]),
    ] {
        let sandbox = seed_doc();
        let before = sandbox.names();
        assert_eq!(sandbox.rnn(&format!("run -w w -i x.npy {flags}")).code, Some(0));
        let after = sandbox.names().into_iter().filter(|name| !before.contains(name));
        assert_eq!(after.collect::<Vec<_>>(), written, "{flags}");
    }
}

#[test]
fn verbose_says_how_files_were_recognised() {
    let sandbox = seed_doc();
    sandbox.shell("cp w.npz w.npy; cp x.npy x.npz").succeeds();
    let remarks = |line, steps: usize| {
        let mut remarks = remarks(&sandbox, line);
        let plan = remarks.pop().unwrap();
        let expected = format!(
            "plan: one thread, {steps} steps projected at once, {steps} through all layers, tiles of "
        );
        // The sizes are those of the machine.
        assert!(plan.starts_with(&expected) && plan.contains("; caches "), "{plan}");
        remarks
    };
    assert_eq!(
        remarks("rnn run -v -w w.npy -i x.npz --h0 h0.npy", 5),
        [
            "w.npy: recognised as .npz archive",
            "x.npz: input: recognised as .npy, little-endian f32, C order",
            "h0.npy: h_0: recognised as .npy, little-endian f32, C order",
        ]
    );
    let notes = remarks("rnn run -v -w w -i w.npz:weight_ih_l0", 20);
    assert_eq!(
        notes,
        [
            "w: recognised as folder",
            "w.npz:weight_ih_l0: input: recognised as member of an .npz, little-endian f32, C order",
        ]
    );
}

#[test]
fn notes_and_warnings() {
    let sandbox = seed_doc();
    sandbox.write("i.npy", &npy("<i8", "(2, 10)", &[1_u64; 20].map(u64::to_le_bytes).concat()));
    sandbox
        .write("h.npy", &npy("<f2", "(2, 10)", &[0x3c00_u16; 20].map(u16::to_le_bytes).concat()));
    sandbox.shell("cp -r w bare; rm bare/rnn.json").succeeds();
    for (line, expected) in [
        ("-w w -i x.npy", vec![]),
        ("-w w -i i.npy", vec!["i.npy: input: i64 converted to f32".to_owned()]),
        ("-w w -i h.npy", vec!["h.npy: input: f16 converted to f32".to_owned()]),
        ("-w bare -i x.npy", vec![]),
        ("-w bare -i x.npy --nonlinearity relu", vec![]),
        (
            "-w w -i x.npy --dropout 0.5",
            vec!["dropout 0.5 is inactive, as after eval(); --train applies it".to_owned()],
        ),
        ("-w w -i x.npy --dropout 0.5 --train", vec![]),
        (
            "--hidden 4 -i x.npy --dropout 0.5",
            vec!["dropout 0.5 has no effect: it acts between layers, and there is one".to_owned()],
        ),
    ] {
        assert_eq!(remarks(&sandbox, &format!("rnn run {line}")), expected, "{line}");
    }
}

/// A .npy file of version 1.0.
fn npy(descr: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), body].concat()
}

#[test]
fn dtypes() {
    let sandbox = seed_doc();
    let script = "set -e
        rnn randn -q --dtype f64 --shape 5,3,10 -o x64.npy
        rnn randn -q --dtype f64 --shape 2,3,20 -o h64.npy
        rnn init -q --dtype f64 --input-size 10 --hidden 20 --layers 2 -o w64.npz";
    sandbox.shell(script).succeeds();
    sandbox.write("i.npy", &npy("<i4", "(2, 10)", &[1_u32; 20].map(u32::to_le_bytes).concat()));
    // A float of the other size is refused, and the hint makes it work.
    for (line, place, expected, found) in [
        ("run -q -w w -i x64.npy", "x64.npy: input", "f32", "f64"),
        ("run -q -w w -i x.npy --h0 h64.npy", "h64.npy: h_0", "f32", "f64"),
        ("run -q -w w64.npz -i x.npy", "x.npy: input", "f64", "f32"),
        ("run -q -w w64.npz -i x64.npy --h0 h0.npy", "h0.npy: h_0", "f64", "f32"),
        ("run -q --hidden 20 --layers 2 -i x.npy --h0 h64.npy", "h64.npy: h_0", "f32", "f64"),
    ] {
        let message = format!("rnn: {place}: expected {expected}, as the layer is, got {found}");
        let hint = format!("rnn {line} --dtype {expected}");
        sandbox.rnn(line).fails(65, &format!("{message}\nhint: {hint}\n"));
        sandbox.shell(&hint).succeeds();
    }
    let converted =
        |place: &str, from: &str, to: &str| format!("{place}: {from} converted to {to}");
    for (line, dtype, notes) in [
        ("-w w -i x.npy", "f32", vec![]),
        ("-w w64.npz -i x64.npy", "f64", vec![]),
        ("--hidden 3 -i x.npy", "f32", vec![]),
        ("--hidden 3 -i x64.npy", "f64", vec![]),
        ("--hidden 3 -i i.npy", "f32", vec![converted("i.npy: input", "i32", "f32")]),
        ("-w w64.npz -i i.npy", "f64", vec![converted("i.npy: input", "i32", "f64")]),
        (
            "--hidden 3 -i x64.npy --dtype f32",
            "f32",
            vec![converted("x64.npy: input", "f64", "f32")],
        ),
        (
            "--hidden 3 -i x.npy --dtype float64",
            "f64",
            vec![converted("x.npy: input", "f32", "f64")],
        ),
        ("-w w64.npz -i x64.npy --dtype f64", "f64", vec![]),
    ] {
        let report = report(&sandbox, &format!("rnn run {line}"));
        assert_eq!(report["layer"]["dtype"], dtype, "{line}");
        assert_eq!(report["notes"], json!(notes), "{line}");
        let types = report["tensors"].as_array().unwrap().iter().map(|tensor| &tensor["dtype"]);
        assert!(types.into_iter().all(|found| found == dtype), "{line}");
    }
    let notes = remarks(&sandbox, "rnn run -w w -i x.npy --dtype f64");
    assert_eq!(notes.len(), 9);
    assert_eq!(notes[0], "w: bias_hh_l0: f32 converted to f64");
    assert_eq!(notes[8], "x.npy: input: f32 converted to f64");
}

#[test]
fn weights_of_every_kind_are_the_same_layer() {
    let sandbox = seed_doc();
    sandbox.shell("cp -r w bare; rm bare/rnn.json").succeeds();
    // An archive without a comment, as np.savez writes it: the comment stands at the very end.
    let archive = sandbox.bytes("w.npz");
    let end = archive.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").unwrap();
    sandbox.write("bare.npz", &[&archive[..end + 20], &[0, 0]].concat());
    let expected = output(&sandbox, "rnn run -i x.npy -w w");
    for weights in [
        "-w w/",
        "--weights w.npz",
        "-w bare --nonlinearity tanh --batch-first=false",
        "-w bare.npz --nonlinearity tanh --batch-first=false",
        "-w w --input-size 10 --hidden 20 --layers 2 --nonlinearity tanh --dtype f32",
        "-w bare.npz --hidden-size 20 --num-layers 2 --nonlinearity tanh --batch-first=false",
        "--input-size 10 --hidden 20 --layers 2",
    ] {
        assert_eq!(output(&sandbox, &format!("rnn run -i x.npy {weights}")), expected, "{weights}");
    }
    let relu = output(&sandbox, "rnn run -i x.npy -w bare --nonlinearity relu --batch-first=false");
    assert_ne!(relu, expected);
    let fresh = "rnn run -i x.npy --hidden 20 --layers 2 --nonlinearity relu";
    assert_eq!(output(&sandbox, fresh), relu);
    let assumptions = &report(&sandbox, "rnn run -i x.npy -w bare.npz")["assumptions"];
    assert_eq!(*assumptions, json!({"nonlinearity": "tanh", "batch_first": false}));
}

#[test]
fn batch_first_and_dropout_override_saved_values() {
    let sandbox = seed_doc();
    let init = "rnn init -q --input-size 10 --hidden 20 --layers 2";
    sandbox.shell(&format!("{init} --batch-first --dropout 0.25 -o saved/")).succeeds();
    for (flags, batch_first, dropout) in [
        ("-w saved", true, 0.25),
        ("-w saved --batch-first", true, 0.25),
        ("-w saved --batch-first=false", false, 0.25),
        ("-w saved --dropout 0", true, 0.0),
        ("-w saved --dropout 0.75 --batch-first=false", false, 0.75),
        ("-w w --batch-first", true, 0.0),
        ("-w w --batch-first=true --dropout 0.5", true, 0.5),
    ] {
        let layer = &report(&sandbox, &format!("rnn run -i x.npy {flags}"))["layer"];
        assert_eq!(
            (&layer["batch_first"], &layer["dropout"]),
            (&json!(batch_first), &json!(dropout))
        );
    }
    assert_eq!(
        output(&sandbox, "rnn run -i x.npy -w saved --batch-first=false"),
        output(&sandbox, "rnn run -i x.npy -w w")
    );
}

#[test]
fn unbatched_input_and_an_empty_batch() {
    let sandbox = seed_doc();
    let x = sandbox.load::<f32>("x.npy");
    sandbox.save("one.npy", &x.index_axis(ndarray::Axis(1), 1).to_owned().view());
    prints(
        &sandbox.rnn("run -w w --batch-first -i one.npy").succeeds(),
        "RNN(10, 20, num_layers=2, batch_first=True), tanh, f32, 1480 parameters
weights  w
input    [5, 10] seq_len 5, input_size 10      f32  one.npy
h_0      [2, 20] num_layers 2, hidden_size 20  f32  zeros
output   [5, 20] seq_len 5, hidden_size 20     f32  output.npy
h_n      [2, 20] num_layers 2, hidden_size 20  f32  h_n.npy
eval, kernel K, T threads, S s
",
    );
    let alone = sandbox.load::<f32>("output.npy");
    sandbox.rnn("run -q -w w -i x.npy").succeeds();
    let batch = sandbox.load::<f32>("output.npy");
    assert_eq!(batch.index_axis(ndarray::Axis(1), 1), alone);
    for (flags, input, output) in
        [("", [5, 0, 10], [5, 0, 20]), ("--batch-first", [0, 5, 10], [0, 5, 20])]
    {
        sandbox.save("none.npy", &ArrayD::<f32>::zeros(IxDyn(&input)).view());
        sandbox.rnn(&format!("run -q -w w -i none.npy {flags}")).succeeds();
        assert_eq!(sandbox.load::<f32>("output.npy").shape(), output);
        assert_eq!(sandbox.load::<f32>("h_n.npy").shape(), [2, 0, 20]);
    }
}

#[test]
fn the_number_of_threads_and_who_says_it() {
    let sandbox = Sandbox::new();
    let script = "set -e
        rnn randn -q --shape 9,70,10 -o x.npy
        rnn init -q --input-size 10 --hidden 33 --layers 2 --bidirectional -o w/";
    sandbox.shell(script).succeeds();
    let expected = output(&sandbox, "rnn run -i x.npy -w w --threads 1");
    let ignored = |text: &str| format!("{text} is no number of threads, and is ignored");
    for (variables, flag, threads, notes) in [
        ("", "--threads 1", Some(1), vec![]),
        ("", "--threads 2", Some(2), vec![]),
        ("", "--threads 4", Some(4), vec![]),
        ("RAYON_NUM_THREADS=3", "", Some(3), vec![]),
        ("OMP_NUM_THREADS=3", "", Some(3), vec![]),
        ("RAYON_NUM_THREADS=3 OMP_NUM_THREADS=2", "", Some(3), vec![]),
        ("RAYON_NUM_THREADS=abc OMP_NUM_THREADS=0", "--threads 2", Some(2), vec![]),
        (
            "OMP_NUM_THREADS=4,2",
            "",
            Some(4),
            vec!["OMP_NUM_THREADS=4,2: the first number is used".to_owned()],
        ),
        ("RAYON_NUM_THREADS=0", "", None, vec![ignored("RAYON_NUM_THREADS=0")]),
        (
            "RAYON_NUM_THREADS=abc OMP_NUM_THREADS=2",
            "",
            Some(2),
            vec![ignored("RAYON_NUM_THREADS=abc")],
        ),
        ("OMP_NUM_THREADS=", "", None, vec![ignored("OMP_NUM_THREADS=")]),
    ] {
        let line = format!("{variables} rnn run -i x.npy -w w {flag}");
        assert_eq!(output(&sandbox, &line), expected, "{line}");
        let found = sandbox.shell(&format!("{line} --report json -o y.npy")).succeeds();
        let found: Value = serde_json::from_slice(&found.stdout).unwrap();
        assert_eq!(found["notes"], json!(notes), "{line}");
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!(found["threads"], json!(threads.unwrap_or(cores)), "{line}");
    }
}

#[test]
fn more_threads_than_anybody_has_are_not_started() {
    let sandbox = seed_doc();
    let found = sandbox.rnn("run -i x.npy --hidden 20 --threads 1000000 --report json").succeeds();
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert!(found["threads"].as_u64().unwrap() <= 1024, "{found}");
    let note = "1000000 threads are more than the most, 1024, which are used";
    assert_eq!(found["notes"][0], json!(note));
}

#[test]
fn one_file_for_both_tensors_is_refused_and_a_device_is_not() {
    let sandbox = seed_doc();
    sandbox.shell("ln -s y.npy link.npy; rnn init -q --input-size 10 --hidden 20 -o l").succeeds();
    for hn in ["y.npy", "./y.npy", "link.npy", "l/../y.npy"] {
        let found = sandbox.rnn(&format!("run -i x.npy -w l -o y.npy --hn {hn}"));
        let message = "rnn: expected two files, got y.npy for output and h_n\nhint: ";
        assert!(found.stderr.starts_with(message), "{}", found.stderr);
        assert_eq!(found.code, Some(2));
    }
    sandbox.rnn("run -q -i x.npy -w l -o /dev/null --hn /dev/null").succeeds();
}

#[test]
fn seeds() {
    let sandbox = seed_doc();
    let run = "rnn run -i x.npy --hidden 20 --layers 2";
    let default = output(&sandbox, run);
    assert_eq!(output(&sandbox, run), default);
    assert_eq!(output(&sandbox, &format!("{run} --seed 67280421310721")), default);
    assert_eq!(report(&sandbox, run)["seed"], json!(67_280_421_310_721_u64));
    let seeds = [
        ("0", 0),
        ("-1", u64::MAX),
        ("-9223372036854775808", 1 << 63),
        ("18446744073709551615", u64::MAX),
    ];
    for (typed, seed) in seeds {
        let found = report(&sandbox, &format!("{run} --seed {typed}"));
        assert_eq!(found["seed"], json!(seed));
        assert_ne!(output(&sandbox, &format!("{run} --seed={typed}")), default);
    }
    let first = report(&sandbox, &format!("{run} -o a.npy --seed random"));
    let second = report(&sandbox, &format!("{run} -o b.npy --seed random"));
    assert_ne!(first["seed"], second["seed"]);
    assert_ne!(sandbox.bytes("a.npy"), sandbox.bytes("b.npy"));
    // The seed that the report names gives the same numbers again.
    assert_eq!(
        output(&sandbox, &format!("{run} --seed {}", first["seed"])),
        sandbox.bytes("a.npy")
    );
    // With weights and without dropout nothing is drawn, and no seed is named.
    assert_eq!(report(&sandbox, "rnn run -i x.npy -w w --seed 5")["seed"], Value::Null);
    let train = "rnn run -i x.npy -w w --train --dropout 0.5";
    assert_eq!(report(&sandbox, &format!("{train} --seed 5"))["seed"], json!(5));
    assert_ne!(output(&sandbox, &format!("{train} --seed 5")), output(&sandbox, train));
}

#[test]
fn the_generator_goes_on_from_a_file() {
    let sandbox = seed_doc();
    let run = "rnn run -i x.npy -w w --train --dropout 0.5";
    let first = output(&sandbox, &format!("{run} --rng rng.npy --seed 5"));
    let (kept, second) =
        (sandbox.bytes("rng.npy"), output(&sandbox, &format!("{run} --rng rng.npy")));
    assert_ne!(first, second);
    assert_ne!(sandbox.bytes("rng.npy"), kept);
    sandbox.write("rng.npy", &kept);
    assert_eq!(output(&sandbox, &format!("{run} --rng rng.npy")), second);
    let report = report(&sandbox, &format!("{run} --rng rng.npy"));
    assert_eq!((&report["seed"], &report["rng"]), (&Value::Null, &json!("rng.npy")));
    // A file that is not a state is refused before anything is written.
    let message =
        "rnn: x.npy: generator state: expected u8 in shape [5056], got f32 in shape [5, 3, 10]\n";
    sandbox.shell(&format!("{run} --rng x.npy -o new.npy")).fails(65, message);
    assert!(!sandbox.names().contains(&"new.npy".to_owned()));
}

#[test]
fn check_finite() {
    let sandbox = seed_doc();
    let broken = |name: &str, index: &[usize], value: f32| {
        let mut array = sandbox.load::<f32>(name);
        array[IxDyn(index)] = value;
        sandbox.save("broken.npy", &array.view());
    };
    let check = |line: &str, message: &str| {
        let names = sandbox.names();
        let refused = sandbox.shell(&format!("rnn run --check-finite {line}"));
        refused.fails(65, &format!("rnn: {message}\n"));
        assert_eq!(sandbox.names(), names);
    };
    broken("x.npy", &[4, 2, 9], f32::NAN);
    check(
        "-w w -i broken.npy",
        "broken.npy: input: expected finite numbers, got NaN at [4, 2, 9] (seq_len 4, batch 2, input_size 9)",
    );
    check(
        "-w w --batch-first -i broken.npy",
        "broken.npy: input: expected finite numbers, got NaN at [4, 2, 9] (batch 4, seq_len 2, input_size 9)",
    );
    check(
        "-w w -i - < broken.npy",
        "stdin: input: expected finite numbers, got NaN at [4, 2, 9] (seq_len 4, batch 2, input_size 9)",
    );
    broken("h0.npy", &[1, 0, 3], f32::NEG_INFINITY);
    check(
        "-w w -i x.npy --h0 broken.npy",
        "broken.npy: h_0: expected finite numbers, got -inf at [1, 0, 3] (num_layers 1, batch 0, hidden_size 3)",
    );
    broken("w/weight_hh_l1.npy", &[19, 0], f32::INFINITY);
    sandbox.shell("cp -r w bad; mv broken.npy bad/weight_hh_l1.npy").succeeds();
    let warning = "bad: weight_hh_l1: expected finite numbers, got inf at [19, 0]";
    check("-w bad -i x.npy", warning);
    // Without the flag everything goes through as in PyTorch; only weights are worth a warning.
    let found = report(&sandbox, "rnn run -w bad -i x.npy");
    assert_eq!((&found["notes"], &found["warnings"]), (&json!([]), &json!([warning])));
    // The output of ReLU leaves the range of f32 though weights and input are finite.
    sandbox.save("large.npy", &array![[1.0_f32], [f32::MAX]].into_dyn().view());
    sandbox.shell("mkdir large; rnn init -q --no-bias --nonlinearity relu --input-size 1 --hidden 1 -o large/").succeeds();
    for (name, value) in [("weight_ih_l0", 4.0_f32), ("weight_hh_l0", 0.0)] {
        sandbox.save(&format!("large/{name}.npy"), &array![[value]].into_dyn().view());
    }
    check(
        "-w large -i large.npy",
        "output: expected finite numbers, got inf at [1, 0] (seq_len 1, hidden_size 0)",
    );
    assert_eq!(remarks(&sandbox, "rnn run -w large -i large.npy"), [""; 0]);
    broken("x.npy", &[0, 0, 0], f32::NAN);
    assert_eq!(remarks(&sandbox, "rnn run -w w -i broken.npy"), [""; 0]);
}

#[test]
fn outputs_are_not_put_among_the_weights() {
    let sandbox = seed_doc();
    let message = "rnn: expected outputs outside the folder of the weights, got w/output.npy\n\
                   hint: rnn run -w w -i x.npy -o ../output.npy --hn ../h_n.npy\n";
    sandbox.rnn("run -w w -i x.npy -o w/output.npy").fails(2, message);
    let inside = sandbox.shell("cd w && rnn run -w . -i ../x.npy");
    assert_eq!(inside.code, Some(2), "{}", inside.stderr);
}

#[test]
fn hidden_files_are_not_weights() {
    let sandbox = seed_doc();
    sandbox.write("w/._bias_ih_l0.npy", b"resource fork");
    sandbox.rnn("run -w w -i x.npy").succeeds();
}

/// Each member promises nearly as many rows as there can be.
#[test]
fn sizes_of_sequences_whose_sum_overflows_are_refused() {
    let sandbox = Sandbox::new();
    let dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846975, 1)}\n";
    let length = u16::try_from(dict.len()).unwrap().to_le_bytes();
    let header = [b"\x93NUMPY\x01\x00", &length[..], dict.as_bytes()].concat();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(sandbox.path("x.npz")).unwrap());
    for i in 0..20 {
        zip.start_file(format!("{i}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, &header).unwrap();
    }
    zip.finish().unwrap();
    for line in ["run --hidden 3 -i x.npz -o y.npz -q", "pack -i x.npz -o y.npz -q"] {
        let outcome = sandbox.rnn(line);
        assert_eq!(outcome.code, Some(65), "{line}: {}", outcome.stderr);
        let start = "rnn: x.npz:0: expected 4611686018427387900 bytes after the header";
        assert!(outcome.stderr.starts_with(start), "{line}: {}", outcome.stderr);
    }
}
