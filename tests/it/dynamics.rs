//! `rnn info --dynamics`, and the numbers of `rnn run --values`.

use ndarray::{ArrayD, arr1, arr2};
use serde_json::Value;

use crate::support::{Sandbox, integers, npy};

fn json(sandbox: &Sandbox, line: &str) -> Value {
    let found = sandbox.rnn(&format!("info {line} --report json")).succeeds();
    serde_json::from_slice(&found.stdout).unwrap()
}

/// A bidirectional layer of two layers over an input with a NaN at one step.
#[test]
fn a_nan_is_traced_to_its_place_in_the_input() {
    let sandbox = Sandbox::new();
    sandbox
        .rnn("init --input-size 3 --hidden-size 4 --num-layers 2 --bidirectional -o w.npz -q")
        .succeeds();
    sandbox.rnn("randn --shape 6,2,3 -o x.npy -q").succeeds();
    let mut x = sandbox.load::<f32>("x.npy");
    x[[2, 1, 0]] = f32::NAN;
    sandbox.save("nan.npy", &x.view());
    let found = json(&sandbox, "w.npz --dynamics -i nan.npy");
    let cells = found["dynamics"]["cells"].as_array().unwrap();
    let born = |index: usize| &cells[index]["first_non_finite"];
    for index in [0, 1] {
        assert_eq!(born(index)["at"], serde_json::json!([2, 1, 0]));
        let place = [&born(index)["step"], &born(index)["row"], &born(index)["unit"]];
        assert_eq!(place, [2, 1, 0]);
        assert_eq!(born(index)["from"], "nan.npy, NaN at [2, 1, 0]");
    }
    // The layers above get it from below: the forward one at the first step with a reverse state after the NaN.
    assert_eq!((&born(2)["step"], &born(3)["step"]), (&0.into(), &5.into()));
    assert_eq!(born(2)["from"], "the output of layer 0, NaN at feature 4");
    assert_eq!(born(3)["from"], "the output of layer 0, NaN at feature 0");
    let text = sandbox.rnn("info w.npz --dynamics -i nan.npy").succeeds().stdout_text();
    let line = "  first NaN at step 2, row 1, unit 0: from nan.npy, NaN at [2, 1, 0]\n";
    assert_eq!(text.matches(line).count(), 2, "{text}");
    let clean = json(&sandbox, "w.npz --dynamics -i x.npy");
    assert!(
        clean["dynamics"]["cells"]
            .as_array()
            .unwrap()
            .iter()
            .all(|c| c["first_non_finite"].is_null())
    );
}

/// The flags of tables are those of the input, and lengths are for a padded tensor alone.
#[test]
fn the_input_is_read_as_a_run_reads_it() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 1 --hidden-size 2 -o w.npz -q").succeeds();
    sandbox.write("t.csv", b"day,load\na,1\nb,2\nc,3\n");
    let found = json(&sandbox, "w.npz --dynamics -i t.csv --columns load");
    assert_eq!(found["dynamics"]["cells"].as_array().unwrap().len(), 1);
    sandbox.rnn("randn --shape 4,2,1 -o x.npy -q").succeeds();
    sandbox.rnn("pack -i x.npy --lengths 4,2 -o packed.npz -q").succeeds();
    for command in ["info w.npz --dynamics", "explain -w w.npz"] {
        let what = "expected a padded tensor with --lengths, got sequences that have their own";
        let says = format!("rnn: packed.npz: {what}\nhint: rnn {command} -i packed.npz\n");
        sandbox.rnn(&format!("{command} -i packed.npz --lengths 4,2")).fails(2, &says);
    }
}

/// In sequences of their own, packed ones and ids: the place is in the sequence, or in the embedding.
#[test]
fn a_nan_is_traced_to_its_sequence_or_id() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 2 --hidden-size 3 --dtype f64 -o w.npz -q").succeeds();
    let a: ArrayD<f64> = ArrayD::ones(vec![4, 2]);
    let mut b: ArrayD<f64> = ArrayD::ones(vec![3, 2]);
    b[[1, 1]] = f64::NAN;
    sandbox.save_npz("ragged.npz", &[("a", &a), ("b", &b)]);
    let mut padded: ArrayD<f64> = ArrayD::ones(vec![2, 4, 2]);
    padded[[1, 1, 1]] = f64::NAN;
    sandbox.save("x.npy", &padded.view());
    sandbox.rnn("pack -i x.npy --batch-first --lengths 4,3 -o packed.npz -q").succeeds();
    for (input, from) in [
        ("ragged.npz", "ragged.npz:b, NaN at [1, 1]"),
        ("packed.npz", "sequence 1 of packed.npz, NaN at [1, 1]"),
    ] {
        let found = json(&sandbox, &format!("w.npz --dynamics -i {input}"));
        let first = &found["dynamics"]["cells"][0]["first_non_finite"];
        assert_eq!(
            (&first["step"], &first["row"], &first["from"]),
            (&1.into(), &1.into(), &from.into())
        );
        assert_eq!(first["at"], serde_json::json!([1, 1]));
    }
    let mut embedding: ArrayD<f64> = ArrayD::ones(vec![5, 2]);
    embedding[[3, 1]] = f64::NAN;
    let mut members: Vec<(String, ArrayD<f64>)> = vec![("emb.weight".to_owned(), embedding)];
    for name in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"] {
        members.push((format!("rnn.{name}"), sandbox.load(&format!("w.npz:{name}"))));
    }
    let members: Vec<(&str, &dyn elman::files::AnyArray)> =
        members.iter().map(|(name, array)| (name.as_str(), array as _)).collect();
    sandbox.save_npz("model.npz", &members);
    let flags = "--embedding emb --nonlinearity tanh --batch-first=false -q";
    sandbox.rnn(&format!("convert model.npz m.npz {flags}")).succeeds();
    sandbox.write("ids.npy", &npy(&integers(&[4, 0, 3])));
    let found = json(&sandbox, "m.npz --dynamics -i ids.npy");
    let first = &found["dynamics"]["cells"][0]["first_non_finite"];
    assert_eq!(first["from"], "the embedding, NaN at [3, 1], row 3 for ids.npy at [2]");
    assert_eq!(first["at"], Value::Null);
}

/// `h_t = relu(x_t + W h_{t-1})` of two units, W half the identity.
fn halving(sandbox: &Sandbox, weight: f32) {
    let ih: ArrayD<f32> = arr2(&[[1.0], [-1.0]]).into_dyn();
    let hh: ArrayD<f32> = arr2(&[[weight, 0.0], [0.0, weight]]).into_dyn();
    sandbox.save_npz("w.npz", &[("weight_ih_l0", &ih), ("weight_hh_l0", &hh)]);
}

const RELU: &str = "w.npz --dynamics --nonlinearity relu -i x.npy";

#[test]
fn the_life_of_a_perturbation() {
    let sandbox = Sandbox::new();
    // The second unit is dead, so that a perturbation is at once 1 / sqrt(2), and halved at each step.
    halving(&sandbox, 0.5);
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![20, 1]).view());
    let cell = &json(&sandbox, RELU)["dynamics"]["cells"][0];
    assert_eq!(cell["perturbation"]["steps"], serde_json::json!([7, 7.0, 7]));
    assert_eq!(cell["perturbation"]["count"], 2);
    assert_eq!((&cell["flat"]["kind"], &cell["flat"]["units"]), (&"dead".into(), &1.into()));
    assert_eq!(cell["flat"]["states"], 0.5);
    let text = sandbox.rnn(&format!("info {RELU}")).succeeds().stdout_text();
    let line = "  a perturbation falls below 1 % after 7 steps (of 2 followed); the last one is at 2.210 % after \
                5 steps\n";
    assert!(text.contains(line), "{text}");
    // One step ends the first at once, and the others end after seven: the median is between them.
    let mut x = ArrayD::<f32>::ones(vec![9, 1]);
    (x[[0, 0]], x[[1, 0]]) = (0.0, 0.0);
    sandbox.save("x.npy", &x.view());
    let text = sandbox.rnn(&format!("info {RELU}")).succeeds().stdout_text();
    assert!(text.contains(" after 4 steps (the median of 2 perturbations; 1 to 7)\n"), "{text}");
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![20, 1]).view());
    // With the identity it never fades.
    halving(&sandbox, 1.0);
    let cell = &json(&sandbox, RELU)["dynamics"]["cells"][0];
    assert_eq!(cell["perturbation"]["steps"], Value::Null);
    assert_eq!(cell["perturbation"]["unfinished"], 19);
}

#[test]
fn infinity_from_a_sum_and_nan_from_a_weight() {
    let sandbox = Sandbox::new();
    halving(&sandbox, 3e38);
    sandbox.save("x.npy", &ArrayD::<f32>::from_elem(vec![4, 1], 2.0).view());
    let born = &json(&sandbox, RELU)["dynamics"]["cells"][0]["first_non_finite"];
    assert_eq!((&born["value"], &born["step"]), (&"inf".into(), &1.into()));
    assert_eq!(born["from"], "the sum of finite terms, which overflows");

    let ih: ArrayD<f32> = arr2(&[[1.0], [f32::NAN]]).into_dyn();
    let hh: ArrayD<f32> = arr2(&[[0.0, 0.0], [0.0, 0.0]]).into_dyn();
    sandbox.save_npz("w.npz", &[("weight_ih_l0", &ih), ("weight_hh_l0", &hh)]);
    let born = &json(&sandbox, "w.npz --dynamics --nonlinearity tanh -i x.npy")["dynamics"]["cells"]
        [0]["first_non_finite"];
    assert_eq!((&born["step"], &born["unit"]), (&0.into(), &1.into()));
    assert_eq!(born["from"], "weight_ih, NaN at [1, 0]");
}

#[test]
fn saturated_units_of_tanh() {
    let sandbox = Sandbox::new();
    let ih: ArrayD<f32> = arr2(&[[9.0], [0.1]]).into_dyn();
    let hh: ArrayD<f32> = arr2(&[[0.0, 0.0], [0.0, 0.0]]).into_dyn();
    sandbox.save_npz("w.npz", &[("weight_ih_l0", &ih), ("weight_hh_l0", &hh)]);
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![4, 2, 1]).view());
    let line = "info w.npz --dynamics --nonlinearity tanh --batch-first -i x.npy --lengths 1,2,0,2";
    let text = sandbox.rnn(line).succeeds().stdout_text();
    let expected = "\
dynamics on x.npy, 4 sequences, 5 steps:
layer 0, forward:
  saturated: 50.0 % of the states, 1 of 2 units (beyond 0.999 at more than 90 % of their steps)
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn dynamics_need_weights_and_an_input() {
    let sandbox = Sandbox::new();
    sandbox.save("x.npy", &arr1(&[1.0_f32]).into_dyn().view());
    let stderr = "rnn: x.npy: expected a file of weights with --dynamics\n";
    sandbox.rnn("info x.npy --dynamics -i x.npy").fails(2, stderr);
    let found = sandbox.rnn("info x.npy --dynamics");
    assert_eq!(found.code, Some(2), "{found:?}");
}

/// The numbers after a run are those that `info --values` prints of the files.
#[test]
fn a_run_prints_the_numbers_that_it_wrote() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn --shape 4,2,3 -o x.npy -q").succeeds();
    let run = "run --hidden-size 5 -i x.npy --values";
    let printed = |file: &str| {
        let text = sandbox.rnn(&format!("info --values {file}")).succeeds().stdout_text();
        text[text.find("tensor(").unwrap()..].to_owned()
    };
    let text = sandbox.rnn(run).succeeds().stdout_text();
    let expected =
        format!("output.npy:\n{}h_n.npy:\n{}", printed("output.npy"), printed("h_n.npy"));
    assert!(text.ends_with(&expected), "{text}");
    let text = sandbox.rnn(&format!("{run} -q")).succeeds().stdout_text();
    assert_eq!(text, expected);
    let report = sandbox.rnn(&format!("{run} --report json")).succeeds();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["values"]["h_n.npy"], printed("h_n.npy").trim_end());
    sandbox.rnn(&format!("{run} --all-hidden all.npz -o a.txt -q")).succeeds();
    // A result that cannot be read back as a tensor is refused before the run.
    sandbox.write("stdout", b"no tensor");
    for (output, got) in [("y.csv", "y.csv"), ("-", "stdout"), ("y.npy --hn h.tsv", "h.tsv")] {
        let line = format!("run --hidden-size 5 -i x.npy -o {output}");
        let stderr = format!(
            "rnn: expected outputs in .npy, .npz or .txt files with --values, got {got}\nhint: rnn {line}\n"
        );
        sandbox.rnn(&format!("{line} --values")).fails(2, &stderr);
    }
    assert!(!sandbox.path("y.npy").exists());
    // A colon belongs to the name of an output.
    let text = sandbox.rnn("run --hidden-size 5 -i x.npy -o y.npz:a.npy --values").succeeds();
    assert!(text.stdout_text().contains("\ny.npz:a.npy:\ntensor("), "{text:?}");
    let stderr = "rnn: expected one input with --values, got many\n\
                  hint: rnn run -i in/ -o out/ -w w.npz\n";
    std::fs::create_dir(sandbox.path("in")).unwrap();
    sandbox.rnn("run -i in/ -o out/ -w w.npz --values").fails(2, stderr);
}
