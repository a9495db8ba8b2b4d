//! Arguments that weights do not say: what is assumed is said, and `--strict` refuses it.

use ndarray::ArrayD;
use serde_json::{Value, json};

use crate::support::{Sandbox, npy};

/// `sd.npz` and `one.npz`, `state_dict`s of two layers and of one; `w/`, weights with a configuration; and inputs.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let script = "set -e
        rnn randn -q --shape 5,3,4 -o x.npy
        rnn randn -q --shape 5,1,4 -o single.npy
        rnn randn -q --shape 1,1,4 -o step.npy
        rnn randn -q --shape 3,3,4 -o square.npy
        rnn randn -q --shape 5,4 -o unbatched.npy
        rnn randn -q --shape 1,3,6 -o h0.npy
        rnn init -q --input-size 4 --hidden 6 --layers 2 -o w/
        rnn init -q --input-size 4 --hidden 6 --layers 2 -o sd/
        rnn init -q --input-size 4 --hidden 6 -o one/
        rm sd/rnn.json one/rnn.json";
    sandbox.shell(script).succeeds();
    sandbox
}

/// The line about arguments of `weights`.
fn line(weights: &str, names: &str, values: &str) -> String {
    let default = if names.contains(" and ") { "s, are" } else { ", is" };
    format!(
        "note: {weights}: the weights do not say their {names}; {values}, PyTorch's default{default} assumed\n"
    )
}

#[test]
fn a_run_says_what_can_change_its_result() {
    let sandbox = sandbox();
    let nonlinearity = line("one", "nonlinearity", "tanh");
    let both = line("one", "nonlinearity and batch_first", "tanh and false");
    for (words, expected) in [
        ("-w one -i x.npy", both.clone()),
        ("-w one -i single.npy", both.clone()),
        ("-w one -i square.npy --lengths 3,2,1", both.clone()),
        // The other reading would be another batch than that of h_0 or of the lengths.
        ("-w one -i x.npy --h0 h0.npy", nonlinearity.clone()),
        ("-w one -i x.npy --lengths 5,2,1", nonlinearity.clone()),
        // One step of one sequence has one reading.
        ("-w one -i step.npy", nonlinearity.clone()),
        ("-w one -i unbatched.npy", nonlinearity.clone()),
        ("-w one -i x.npy --nonlinearity relu", line("one", "batch_first", "false")),
        ("-w one -i x.npy --nonlinearity relu --batch-first=false", String::new()),
        ("-w one -i x.npy --nonlinearity tanh --batch-first", String::new()),
        ("-w one -i x.npy --train --batch-first", nonlinearity),
        (
            "-w sd -i x.npy --train",
            line("sd", "nonlinearity, batch_first and dropout", "tanh, false and 0"),
        ),
        ("-w sd -i unbatched.npy --nonlinearity tanh --train --dropout 0.5", String::new()),
        ("-w w -i x.npy --train", String::new()),
        ("-i x.npy --hidden 6 --train", String::new()),
    ] {
        for quiet in ["-q", "--report none", "--report text"] {
            let outcome = sandbox.rnn(&format!("run {words} -o y.npy {quiet}"));
            assert_eq!((outcome.code, outcome.stderr), (Some(0), expected.clone()), "{words}");
        }
    }
}

#[test]
fn packed_and_ragged_input_has_one_reading() {
    let sandbox = sandbox();
    let script =
        "rnn pack -q -i x.npy --lengths 5,3,2 -o p.npz; rnn run -q -w one -i p.npz -o y.npz";
    let outcome = sandbox.shell(script);
    assert_eq!(outcome.stderr, line("one", "nonlinearity", "tanh"));
}

#[test]
fn the_json_report_has_a_field_for_assumptions() {
    let sandbox = sandbox();
    for (words, expected) in [
        ("-w one", json!({"nonlinearity": "tanh", "batch_first": false})),
        ("-w sd --train --nonlinearity relu", json!({"batch_first": false, "dropout": 0.0})),
        ("-w w", json!({})),
        ("--hidden 3", json!({})),
    ] {
        let line = format!("run -i x.npy -o y.npy --report json {words}");
        let report = sandbox.rnn(&line).succeeds().stdout;
        let report: Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["assumptions"], expected, "{words}");
    }
}

#[test]
fn strict_names_the_flags() {
    let sandbox = sandbox();
    sandbox.rnn("run -w sd -i x.npy -o y.npy --train --strict").fails(
        65,
        "rnn: sd: expected --nonlinearity, --batch-first and --dropout with --strict: the weights do not say \
         their nonlinearity, batch_first and dropout\n\
         hint: rnn run -w sd -i x.npy -o y.npy --train --strict --nonlinearity tanh --batch-first=false --dropout 0\n",
    );
    assert!(!sandbox.path("y.npy").exists());
    let typed = "--nonlinearity tanh --batch-first=false --dropout 0";
    for words in
        ["-w w -i x.npy --train", "-i x.npy --hidden 2", &format!("-w sd -i x.npy {typed}")]
    {
        sandbox.rnn(&format!("run -q -o y.npy --strict {words}")).succeeds();
    }
    let stderr = "rnn: one: expected --nonlinearity and --batch-first with --strict: the weights do not say their \
                  nonlinearity and batch_first\n\
                  hint: rnn convert one new.npz --strict --nonlinearity tanh --batch-first=false\n";
    sandbox.rnn("convert one new.npz --strict").fails(65, stderr);
    sandbox.rnn("convert -q w new.npz --strict").succeeds();
    let stderr = "rnn: one: expected --nonlinearity with --strict: the weights do not say their nonlinearity\n\
                  hint: rnn stream -w one --strict --nonlinearity tanh\n";
    sandbox.rnn("stream -w one --strict").fails(65, stderr);
}

#[test]
fn convert_says_what_it_writes() {
    let sandbox = sandbox();
    let names = "nonlinearity, batch_first and dropout";
    let outcome = sandbox.rnn("convert -q sd new.npz");
    assert_eq!(outcome.stderr, line("sd", names, "tanh, false and 0"));
    let outcome = sandbox.rnn("run -q -w new.npz -i x.npy -o y.npy --train");
    assert_eq!(outcome.stderr, line("new.npz", names, "tanh, false and 0"));
}

#[test]
fn a_stream_says_the_order_of_axes_at_the_first_batch() {
    let sandbox = sandbox();
    let unbatched = npy(&ArrayD::<f32>::zeros(vec![2, 4]));
    let batch = npy(&ArrayD::<f32>::zeros(vec![2, 3, 4]));
    let stream = |words: &str, arrays: &[&[u8]]| {
        let words: Vec<_> = ["stream", "-q"].into_iter().chain(words.split(' ')).collect();
        sandbox.rnn_with(&words, &arrays.concat())
    };
    let (first, second) =
        (line("one", "nonlinearity", "tanh"), line("one", "batch_first", "false"));
    let outcome = stream("-w one", &[&unbatched, &unbatched]);
    assert_eq!((outcome.code, outcome.stderr), (Some(0), first.clone()));
    let outcome = stream("-w one", &[&batch, &batch]);
    assert_eq!((outcome.code, outcome.stderr), (Some(0), first + &second));
    for words in ["-w one --nonlinearity relu --batch-first=false", "-w w"] {
        stream(words, &[&batch, &batch]).succeeds();
    }
    let outcome = stream("-w one --strict --nonlinearity relu", &[&batch]);
    let stderr = "rnn: one: expected --batch-first with --strict: the weights do not say their batch_first\n";
    assert!(outcome.code == Some(65) && outcome.stderr.starts_with(stderr), "{}", outcome.stderr);
}

#[test]
fn a_model_with_other_layers_is_not_run_whole() {
    let sandbox = sandbox();
    sandbox.take("sine/model.pt");
    sandbox.take("sine/x.csv");
    let run = "run -w model.pt -i x.csv -o y.csv --nonlinearity tanh";
    let text = "model.pt: the output is the hidden state; --head fc gives the model's prediction, --pool last that of \
                the last step alone";
    for quiet in ["", " -q"] {
        let outcome = sandbox.rnn(&format!("{run}{quiet}"));
        assert_eq!((outcome.code, outcome.stderr), (Some(0), format!("note: {text}\n")));
    }
    let report = sandbox.rnn(&format!("{run} --report json")).succeeds().stdout;
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert!(report["notes"].as_array().unwrap().contains(&json!(text)), "{report}");
    sandbox
        .rnn("convert -q model.pt w/ --nonlinearity tanh --batch-first=false --dropout 0")
        .succeeds();
}
