//! `rnn bench`: its flags, and the fields for scripts.

use serde_json::{Value, json};

use crate::support::Sandbox;

/// A short measurement.
const QUICK: &str = "bench --seq-len 4 --batch 3 --input-size 10 --hidden 20 --layers 2 --bidirectional --threads 1 --min-time 0";

/// Sets the measured fields of a result to null.
fn without_measured(result: &mut Value) {
    for measured in
        ["median_s", "min_s", "p90_s", "p99_s", "runs", "gflops", "share_of_peak", "kernel"]
    {
        assert!(!result[measured].is_null(), "{measured}");
        result[measured] = Value::Null;
    }
}

#[test]
fn json_has_the_documented_fields() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.rnn(&format!("{QUICK} --report json")).succeeds();
    let mut found: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    let number = |name: &str| found[name].as_f64().unwrap();
    assert!(number("min_s") > 0.0 && number("min_s") <= number("median_s"));
    assert!(number("median_s") <= number("p90_s") && number("p90_s") <= number("p99_s"));
    assert!(number("runs") >= 3.0);
    // (input + hidden features) for 2 directions of each layer, an addition and a multiplication each.
    let flops = 2.0 * 2.0 * (4.0 * 3.0) * 20.0 * ((10.0 + 20.0) + (40.0 + 20.0));
    let gflops = flops / number("median_s") / 1e9;
    assert!((number("gflops") / gflops - 1.0).abs() < 1e-9);
    assert!(number("share_of_peak") > 0.0);
    without_measured(&mut found);
    let expected = json!({
        "layer": "RNN(10, 20, num_layers=2, bidirectional=True)",
        "nonlinearity": "tanh",
        "dtype": "f32",
        "seq_len": 4,
        "batch": 3,
        "median_s": null,
        "min_s": null,
        "p90_s": null,
        "p99_s": null,
        "runs": null,
        "gflops": null,
        "share_of_peak": null,
        "kernel": null,
        "threads": 1,
    });
    assert_eq!(found.to_string(), expected.to_string());
    assert_eq!(sandbox.names(), [""; 0]);
}

#[test]
fn lists_make_every_combination() {
    let line = "bench --seq-len 2,3 --hidden 4,5 --input-size 3 --threads 1 --min-time 0 --warmup 0 --dtype f64 --nonlinearity relu --report json";
    let outcome = Sandbox::new().rnn(line).succeeds();
    let found: Vec<Value> = serde_json::from_slice(&outcome.stdout).unwrap();
    let shapes: Vec<_> = found
        .iter()
        .map(|one| (one["layer"].as_str().unwrap(), one["seq_len"].as_u64().unwrap()))
        .collect();
    assert_eq!(shapes, [("RNN(3, 4)", 2), ("RNN(3, 4)", 3), ("RNN(3, 5)", 2), ("RNN(3, 5)", 3)]);
    assert!(found.iter().all(|one| one["dtype"] == "f64" && one["nonlinearity"] == "relu"));
}

#[test]
fn text_and_markdown() {
    let text = Sandbox::new().rnn(QUICK).succeeds().stdout_text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        "RNN(10, 20, num_layers=2, bidirectional=True), tanh, f32, seq_len 4, batch 3"
    );
    assert!(lines[1].starts_with("median "), "{text}");
    assert!(lines[2].ends_with(", threads 1"), "{text}");
    let table = Sandbox::new().rnn(&format!("{QUICK} --report markdown")).succeeds().stdout_text();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3);
    let columns = |line: &str| line.matches('|').count();
    assert!(lines.iter().all(|line| columns(line) == columns(lines[0])), "{table}");
}

#[test]
fn no_report_prints_nothing() {
    let outcome = Sandbox::new().rnn(&format!("{QUICK} --report none")).succeeds();
    assert_eq!(outcome.stdout_text(), "");
}

#[test]
fn it_takes_at_least_min_time() {
    let start = std::time::Instant::now();
    let line = QUICK.replace("--min-time 0", "--min-time 0.2 --report none");
    Sandbox::new().rnn(&line).succeeds();
    assert!(start.elapsed().as_secs_f64() >= 0.2);
}

#[test]
fn the_peak_of_the_machine() {
    let outcome = Sandbox::new().rnn("bench --peak --threads 1 --report json").succeeds();
    let found: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert!(found["core_gflops"].as_f64().unwrap() > 0.0);
    assert!(found["all_gflops"].as_f64().unwrap() > 0.0);
    let caches = found["caches"].as_array().unwrap();
    assert!(caches.iter().all(|cache| cache["bytes"].as_u64().unwrap() >= 1 << 12), "{caches:?}");
    let reads = found["reads"].as_array().unwrap();
    assert!(
        reads.len() >= 2 && reads.iter().all(|read| read["gbytes_per_s"].as_f64().unwrap() > 0.0)
    );
}

#[test]
fn every_kernel_of_this_cpu_can_be_chosen_and_gives_the_same_bytes() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 10 --hidden 70 --layers 2 --bidirectional -o w -q").succeeds();
    sandbox.rnn("randn --shape 5,3,10 -o x.npy -q").succeeds();
    for kernel in elman::Kernel::supported() {
        let name = kernel.name();
        let line = format!("run -w w -i x.npy -o {name}.npy --kernel {name} --report json");
        let report: Value = serde_json::from_slice(&sandbox.rnn(&line).succeeds().stdout).unwrap();
        assert_eq!(report["kernel"], name);
    }
    let names: Vec<_> = elman::Kernel::supported().map(elman::Kernel::name).collect();
    for name in &names {
        assert!(sandbox.bytes(&format!("{name}.npy")) == sandbox.bytes("portable.npy"), "{name}");
    }
    let message = format!(
        "rnn: --kernel: expected a kernel that this CPU supports, {}, got 'fast'\nhint: rnn bench --help\n",
        names.join(", ")
    );
    sandbox.rnn("bench --kernel fast").fails(2, &message);
}

/// A check of one layer of each type.
const CHECK: &str = "bench --check --threads 1,2 --min-time 0";

#[test]
fn the_check_compares_every_kernel_and_finds_no_difference() {
    let text = Sandbox::new().rnn(CHECK).succeeds().stdout_text();
    let [covered, counted] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let names: Vec<_> = elman::Kernel::supported().map(elman::Kernel::name).collect();
    assert_eq!(covered, format!("2 layers, kernels {}, threads 1, 2", names.join(", ")));
    let count = counted.strip_suffix(" comparisons, 0 bytes differ").expect(counted);
    // Of each layer: every kernel with either number of threads, but for the reference, and at least the
    // packed batch and each sequence alone on every kernel.
    let least = 2 * (2 * names.len() - 1 + 2 * names.len());
    assert!(count.parse::<usize>().unwrap() >= least, "{counted}");
    // The layers are the same ones every time.
    assert_eq!(Sandbox::new().rnn(CHECK).succeeds().stdout_text(), text);
    assert_eq!(Sandbox::new().rnn(&format!("{CHECK} --report none")).succeeds().stdout_text(), "");
}

#[test]
fn the_check_has_fields_for_scripts() {
    let line = "bench --check --min-time 0 --report json";
    let outcome = Sandbox::new().rnn(line).succeeds();
    let mut found: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert!(found["comparisons"].as_u64().unwrap() > 0);
    found["comparisons"] = Value::Null;
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut threads = vec![1, 2, 3, cores];
    threads.sort_unstable();
    threads.dedup();
    let expected = json!({
        "comparisons": null,
        "bytes_differ": 0,
        "layers": 2,
        "kernels": elman::Kernel::supported().map(elman::Kernel::name).collect::<Vec<_>>(),
        "threads": threads,
        "first_difference": null,
    });
    assert_eq!(found.to_string(), expected.to_string());
}

#[test]
fn the_check_takes_at_least_min_time() {
    let start = std::time::Instant::now();
    let text = Sandbox::new().rnn("bench --check --min-time 1.5").succeeds().stdout_text();
    assert!(start.elapsed().as_secs_f64() >= 1.5);
    assert!(text.ends_with(" comparisons, 0 bytes differ\n"), "{text}");
}

#[test]
fn the_check_takes_no_flags_of_a_shape() {
    let flags = [
        ("--peak", "--peak"),
        ("--seq-len 3", "--seq-len <L>"),
        ("--batch 3", "--batch <N>"),
        ("--input-size 3", "--input-size <N>"),
        ("--hidden 3", "--hidden-size <N>"),
        ("--layers 3", "--num-layers <N>"),
        ("--bidirectional", "--bidirectional"),
        ("--nonlinearity relu", "--nonlinearity <NAME>"),
        ("--dtype f64", "--dtype <TYPE>"),
        ("--kernel portable", "--kernel <NAME>"),
        ("--warmup 3", "--warmup <RUNS>"),
    ];
    for (typed, shown) in flags {
        let message = format!(
            "rnn: the argument '--check' cannot be used with '{shown}'\nhint: rnn bench --help\n"
        );
        Sandbox::new().rnn(&format!("bench --check {typed}")).fails(2, &message);
    }
}
