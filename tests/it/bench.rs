//! `rnn bench`: its flags, and the fields that scripts read.

use serde_json::{Value, json};

use crate::support::Sandbox;

/// A bench that ends at once.
const QUICK: &str = "bench --seq-len 4 --batch 3 --input-size 10 --hidden 20 --layers 2 --bidirectional --threads 1 --min-time 0";

#[test]
fn json_has_the_documented_fields() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.rnn(&format!("{QUICK} --report json")).succeeds();
    let mut found: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    let number = |name: &str| found[name].as_f64().unwrap();
    assert!(number("median_s") > 0.0);
    assert!(number("min_s") > 0.0 && number("min_s") <= number("median_s"));
    assert!(number("runs") >= 3.0);
    // (input + hidden features) for 2 directions of each layer, an addition and a multiplication each.
    let flops = 2.0 * 2.0 * (4.0 * 3.0) * 20.0 * ((10.0 + 20.0) + (40.0 + 20.0));
    let gflops = flops / number("median_s") / 1e9;
    assert!((number("gflops") / gflops - 1.0).abs() < 1e-9);
    assert!(!found["kernel"].as_str().unwrap().is_empty());
    for measured in ["median_s", "min_s", "runs", "gflops", "kernel"] {
        found[measured] = Value::Null;
    }
    let expected = json!({
        "layer": "RNN(10, 20, num_layers=2, bidirectional=True)",
        "seq_len": 4,
        "batch": 3,
        "median_s": null,
        "min_s": null,
        "runs": null,
        "gflops": null,
        "kernel": null,
        "threads": 1,
    });
    assert_eq!(found.to_string(), expected.to_string());
    assert_eq!(sandbox.names(), [""; 0]);
}

#[test]
fn text_is_two_lines() {
    let outcome = Sandbox::new().rnn(QUICK).succeeds();
    let text = outcome.stdout_text();
    let (first, second) = text.split_once('\n').unwrap();
    assert_eq!(first, "RNN(10, 20, num_layers=2, bidirectional=True), seq_len 4, batch 3");
    // What stands between these words was measured.
    let (times, kernel) = second.split_once(", kernel ").unwrap();
    let measured = |c: char| c.is_ascii_digit() || c == '.';
    let words = times.split(' ').filter(|word| !word.chars().all(measured));
    assert_eq!(words.collect::<Vec<_>>().join(" "), "median us, minimum us of runs, GF/s");
    assert!(kernel.ends_with(", threads 1\n"), "{kernel}");
}

#[test]
fn no_report_prints_nothing() {
    let outcome = Sandbox::new().rnn(&format!("{QUICK} --report none")).succeeds();
    assert_eq!(outcome.stdout_text(), "");
}

#[test]
fn it_goes_on_for_the_time_that_was_asked_for() {
    let start = std::time::Instant::now();
    let line = QUICK.replace("--min-time 0", "--min-time 0.2 --report none");
    Sandbox::new().rnn(&line).succeeds();
    assert!(start.elapsed().as_secs_f64() >= 0.2);
}
