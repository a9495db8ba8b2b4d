//! `rnn info --dynamics`, and the numbers of `rnn run --values`.

use ndarray::{ArrayD, arr1, arr2};
use serde_json::Value;

use crate::support::Sandbox;

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
    let born = |index: usize| &cells[index]["born"];
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
    assert!(clean["dynamics"]["cells"].as_array().unwrap().iter().all(|c| c["born"].is_null()));
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
    assert_eq!(cell["perturbation"]["steps"], serde_json::json!([7, 7, 7]));
    assert_eq!(cell["perturbation"]["count"], 2);
    assert_eq!((&cell["flat"]["kind"], &cell["flat"]["units"]), (&"dead".into(), &1.into()));
    assert_eq!(cell["flat"]["states"], 0.5);
    assert_eq!((&cell["spectral_radius"], &cell["norm"]), (&0.5.into(), &0.5_f64.sqrt().into()));
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
    let born = &json(&sandbox, RELU)["dynamics"]["cells"][0]["born"];
    assert_eq!((&born["value"], &born["step"]), (&"inf".into(), &1.into()));
    assert_eq!(born["from"], "the sum of finite terms, which overflows");

    let ih: ArrayD<f32> = arr2(&[[1.0], [f32::NAN]]).into_dyn();
    let hh: ArrayD<f32> = arr2(&[[0.0, 0.0], [0.0, 0.0]]).into_dyn();
    sandbox.save_npz("w.npz", &[("weight_ih_l0", &ih), ("weight_hh_l0", &hh)]);
    let born = &json(&sandbox, "w.npz --dynamics --nonlinearity tanh -i x.npy")["dynamics"]["cells"]
        [0]["born"];
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
  weight_hh: spectral radius 0, norm 0
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
    let stderr = "rnn: expected one input with --values, got many\n\
                  hint: rnn run -i in/ -o out/ -w w.npz\n";
    std::fs::create_dir(sandbox.path("in")).unwrap();
    sandbox.rnn("run -i in/ -o out/ -w w.npz --values").fails(2, stderr);
}
