//! Models around a layer: encoders, heads, pooling and functions, from flags; numbers are PyTorch's.

use elman::files::{Accepts, File, Source, open};
use ndarray::{ArrayD, arr2};
use serde::Deserialize;

use crate::support::{Sandbox, fixture_path};

/// Largest difference from float64 for values up to 1; larger ones are compared relative to the largest.
const TOLERANCE: f64 = 1e-6;

/// One model of `fixtures/models/`, which `fixtures/models.py` describes.
#[derive(Deserialize)]
struct Case {
    weights: String,
    input: String,
    lengths: Option<Vec<usize>>,
    arguments: Vec<String>,
    output: Option<String>,
    indices: Option<String>,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(fixture_path("models/cases.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A tensor, converted to f64.
fn loaded(source: &str) -> ArrayD<f64> {
    let file = open(&Source::parse(source.as_ref()), Accepts::Tensor).unwrap();
    let File::Tensor(file) = file else { panic!("{source}") };
    file.read().unwrap()
}

fn expected(member: &str) -> ArrayD<f64> {
    loaded(&format!("{}:{member}", fixture_path("models/expected.npz").display()))
}

#[test]
fn predictions_are_those_of_pytorch() {
    for case in cases() {
        let sandbox = Sandbox::new();
        let (weights, input) =
            (format!("models/{}", case.weights), format!("models/{}", case.input));
        sandbox.take(&weights);
        sandbox.take(&input);
        let top = case.output.is_some() && case.indices.is_some();
        let out = if top { "out.npz" } else { "out.npy" };
        let mut words = vec!["run", "-q", "-w", &case.weights, "-i", &case.input, "-o", out];
        words.extend(case.arguments.iter().map(String::as_str));
        let lengths = case
            .lengths
            .as_ref()
            .map(|lengths| lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        words.extend(lengths.iter().flat_map(|lengths| ["--lengths", lengths]));
        let outcome = sandbox.rnn_with(&words, &[]);
        assert_eq!(outcome.code, Some(0), "{words:?}: {}", outcome.stderr);
        let path = sandbox.path(out).display().to_string();
        let place = |member: &str| if top { format!("{path}:{member}") } else { path.clone() };
        if let Some(member) = &case.indices {
            assert_eq!(loaded(&place("indices")), expected(member), "{words:?}");
        }
        if let Some(member) = &case.output {
            let (found, expected) = (loaded(&place("values")), expected(member));
            assert_eq!(found.shape(), expected.shape(), "{words:?}");
            let largest = expected.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
            for (at, &value) in found.indexed_iter() {
                let difference = (value - expected[&at]).abs();
                assert!(difference <= TOLERANCE * largest, "{words:?}: {at:?}: {difference:e}");
            }
        }
    }
}

/// A classifier of names: the second letter's class, `b` after `a`.
fn names(sandbox: &Sandbox) {
    let weights: [(&str, ArrayD<f32>); 4] = [
        ("rnn.weight_ih_l0", arr2(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).into_dyn()),
        ("rnn.weight_hh_l0", arr2(&[[0.0, 0.0], [0.0, 0.0]]).into_dyn()),
        ("model.fc.weight", arr2(&[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]).into_dyn()),
        ("emb.weight", arr2(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).into_dyn()),
    ];
    let members = weights.iter().map(|(name, tensor)| (*name, tensor as _));
    sandbox.save_npz("w.npz", &members.collect::<Vec<_>>());
    sandbox.write("letters.txt", b"a\nb\n \n");
    sandbox.write("classes.txt", b"ends with a\nends with b\nneither\n");
}

/// Flags of the classifier.
const NAMES: &str = "run -w w.npz --nonlinearity relu --one-hot --head fc --vocab letters.txt -i -";

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn text_gives_a_line_for_each_sequence() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    for (flags, text, expected) in [
        (
            "--pool state --argmax --labels classes.txt",
            "ba\r\n\nab",
            "ends with a\n\nends with b\n",
        ),
        ("--pool last --argmax", "ba\n\nab\n", "0\n-1\n1\n"),
        ("--pool mean", "ab\n", "0.5\t0.5\t0.5\n"),
        ("--pool last --top 2 --labels classes.txt", "b\n", "ends with b\t1\tneither\t0.5\n"),
        ("--argmax", "ab a\n\n", "0\t1\t0\t0\n\n"),
        ("", "ba\n", "0\t1\t0.5\t1\t0\t0.5\n"),
        ("--pool last --argmax", "", ""),
        ("--pool max --argmax --batch-first", "a\nab\n", "0\n0\n"),
    ] {
        let line = format!("{NAMES} {flags}");
        let outcome = sandbox.rnn_with(&words(&line), text.as_bytes()).succeeds();
        assert_eq!(String::from_utf8(outcome.stdout).unwrap(), expected, "{flags}: {text:?}");
        assert_eq!(sandbox.names(), ["classes.txt", "letters.txt", "w.npz"]);
    }
}

#[test]
fn text_may_also_become_tensors_and_reports() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    let line = format!("{NAMES} -o y.npy --hn h.npy --report json --argmax");
    let outcome = sandbox.rnn_with(&words(&line), b"ab\na\n").succeeds();
    let report: serde_json::Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(report["tensors"][2]["dtype"], "int64");
    assert_eq!(report["tensors"][2]["axes"], serde_json::json!(["seq_len", "batch"]));
    let classes = loaded(sandbox.path("y.npy").to_str().unwrap());
    assert_eq!(classes, arr2(&[[0.0, 0.0], [1.0, -1.0]]).into_dyn());
    assert_eq!(sandbox.load::<f32>("h.npy").shape(), [1, 2, 2]);
    let line = format!("{NAMES} -v --pool last --argmax");
    let outcome = sandbox.rnn_with(&words(&line), b"ab\n");
    assert_eq!((outcome.code, outcome.stdout.as_slice()), (Some(0), &b"1\n"[..]));
    let output = outcome.stderr.lines().find(|line| line.starts_with("output"));
    assert!(output.is_some_and(|line| line.ends_with("stdout")), "{}", outcome.stderr);
}

#[test]
fn classes_are_named_where_text_is_written() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    sandbox.write("classes.txt", b"a, or none\nb\n\"c\"\n");
    sandbox.write("ids.csv", b"0,1\n1,2\n");
    let line = "run -q -w w.npz --nonlinearity relu --one-hot --head fc -i ids.csv --labels classes.txt --batch-first";
    for (flags, file, expected) in [
        ("--argmax", "y.csv", "\"a, or none\",b\nb,\"a, or none\"\n"),
        ("--argmax --pool last", "y.txt", "b\na, or none\n"),
        ("--top 2 --pool last", "y.tsv", "b\t1\t\"c\"\t0.5\na, or none\t0\tb\t0\n"),
        ("--pool last", "z.csv", "\"a, or none\",b,\"\"\"c\"\"\"\n0,1,0.5\n0,0,0\n"),
    ] {
        sandbox.rnn(&format!("{line} {flags} -o {file}")).succeeds();
        assert_eq!(String::from_utf8(sandbox.bytes(file)).unwrap(), expected, "{flags}");
    }
}

#[test]
fn ids_are_read_from_every_form_of_input() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    let line = "run -q -w w.npz --nonlinearity relu --embedding emb --head fc --argmax --pool last --batch-first=false -o y.npy";
    let ids = |values: &[i64]| ndarray::Array1::from(values.to_vec()).into_dyn();
    sandbox.save_npz("ragged.npz", &[("one", &ids(&[0, 1])), ("two", &ids(&[1, 1, 0]))]);
    sandbox.save_npz(
        "packed.npz",
        &[("data", &ids(&[1, 0, 1, 1, 0])), ("batch_sizes", &ids(&[2, 2, 1]))],
    );
    sandbox.write("padded.csv", b"0,1\n1,1\n99,0\n");
    sandbox.write("single.csv", b"0\n1\n");
    for (input, expected) in [
        ("ragged.npz", &[1.0, 0.0][..]),
        ("packed.npz", &[0.0, 1.0]),
        ("padded.csv --lengths 2,3", &[1.0, 0.0]),
        ("single.csv", &[1.0]),
    ] {
        sandbox.rnn(&format!("{line} -i {input}")).succeeds();
        let found = loaded(sandbox.path("y.npy").to_str().unwrap());
        assert_eq!(found.iter().copied().collect::<Vec<_>>(), expected, "{input}");
    }
}

#[test]
fn wrong_models_and_inputs_are_refused() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    sandbox.take("models/max_norm.pt");
    sandbox.write("two.txt", b"a\nb\n");
    sandbox.write("ids.csv", b"0,1\n1,3\n");
    sandbox.write("half.csv", b"0,1\n1.5,1\n");
    let own = "run -q -w w.npz --nonlinearity relu";
    for (line, text, code, message) in [
        (
            format!("{own} --embedding emb -i ids.csv"),
            "",
            65,
            "ids.csv: expected ids, whole numbers from 0 to 1, got 3 at [1, 1]",
        ),
        (
            format!("{own} --one-hot -i half.csv --no-header"),
            "",
            65,
            "half.csv: expected ids, whole numbers from 0 to 2, got 1.5 at [1, 0]",
        ),
        (
            format!("{own} --one-hot --vocab letters.txt -i -"),
            "ab\nacb\n",
            65,
            "stdin: line 2, column 2: 'c' is not in the vocabulary",
        ),
        (
            format!("{own} --one-hot --vocab two.txt -i -"),
            "ab\n",
            65,
            "w.npz: vocabulary: expected 3 tokens, one for each feature of the layer, got 2",
        ),
        (
            format!("{own} --one-hot --vocab - -i -"),
            "a\nb\nc\n",
            2,
            "expected one input from stdin, got - for more than one",
        ),
        (
            format!("{own} --head fc --argmax --labels - -i -"),
            "a\nb\nc\n",
            2,
            "expected one input from stdin, got - for more than one",
        ),
        (
            "convert - m.npz --one-hot --vocab -".to_owned(),
            "a\nb\nc\n",
            2,
            "expected one input from stdin, got - for more than one",
        ),
        (
            format!("{own} --one-hot --vocab letters.txt -i two.txt --columns 1 --group 1"),
            "",
            2,
            "two.txt: expected a table with --columns and --group, got none",
        ),
        (
            format!("{own} --one-hot --vocab letters.txt -i two.txt --keep 1 -o y.csv"),
            "",
            2,
            "two.txt: expected a table with --keep, got none",
        ),
        (
            format!("{own} --head fc --top 4 -i ids.csv"),
            "",
            65,
            "w.npz: top: expected from 1 to 3, the number of classes, got 4",
        ),
        (
            format!("{own} --head nothing -i ids.csv"),
            "",
            65,
            "w.npz: expected a module 'nothing' with a weight, got model.fc, emb",
        ),
        (
            format!("{own} --head fc --labels two.txt --argmax -i ids.csv"),
            "",
            65,
            "labels: expected 3, one for each class, got 2",
        ),
        (
            "run -q -w max_norm.pt --embedding encoder -i ids.csv".to_owned(),
            "",
            65,
            "max_norm.pt: encoder: expected an embedding without max_norm, which scales the rows that it looks up",
        ),
        (format!("{own} --softmax --argmax -i ids.csv"), "", 2, "cannot be used with"),
        (format!("{own} --tokens word -i ids.csv"), "", 2, "expected --vocab beside --tokens"),
        (format!("{own} --vocab none.txt --one-hot -i -"), "a\n", 66, "none.txt: "),
        (
            "run -q --hidden 2 --head fc -i ids.csv".to_owned(),
            "",
            2,
            "expected --weights with --head, got none",
        ),
    ] {
        let outcome = sandbox.rnn_with(&words(&line), text.as_bytes());
        assert_eq!(outcome.code, Some(code), "{line}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(message), "{line}: {}", outcome.stderr);
    }
}

#[test]
fn a_converted_model_runs_without_flags_from_every_format() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    let flags = "--nonlinearity relu --batch-first=false --one-hot --head fc --pool state --argmax --vocab letters.txt";
    for target in ["m.npz", "m.safetensors", "m"] {
        for _ in 0..2 {
            let line = format!("convert w.npz {target} {flags} --labels classes.txt -q");
            sandbox.rnn(&line).succeeds();
        }
        let run = format!("run -w {target} -i -");
        let outcome = sandbox.rnn_with(&words(&run), b"ab\nba\n").succeeds();
        assert_eq!(outcome.stdout, b"ends with b\nends with a\n", "{target}");
        // Flags override the saved configuration.
        for (flags, expected) in [
            ("--softmax --pool last", &b"0.18632372\t0.5064804\t0.30719587\n"[..]),
            ("--top 1", b"ends with b\t1\n"),
            ("--head none --pool last", b"0\t1\n"),
        ] {
            let outcome = sandbox.rnn_with(&words(&format!("{run} {flags}")), b"ab\n");
            assert_eq!((outcome.code, outcome.stdout.as_slice()), (Some(0), expected), "{flags}");
        }
        let outcome = sandbox.rnn(&format!("convert {target} again.safetensors -q"));
        outcome.succeeds();
        let outcome = sandbox.rnn_with(&words("run -w again.safetensors -i -"), b"ab\n");
        assert_eq!(outcome.succeeds().stdout, b"ends with b\n", "{target}");
    }
}

#[test]
fn models_that_a_format_does_not_hold_are_refused() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    let line = "convert w.npz --nonlinearity relu --one-hot --head fc -q";
    #[cfg(feature = "onnx")]
    {
        let outcome = sandbox.rnn(&format!("{line} m.onnx"));
        assert_eq!(outcome.code, Some(65), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("which holds the layer alone"), "{}", outcome.stderr);
    }
    let letters = format!("a\nb\n{}\n", "c".repeat(70_000));
    sandbox.write("letters.txt", letters.as_bytes());
    let outcome = sandbox.rnn(&format!("{line} --vocab letters.txt m.npz"));
    assert_eq!(outcome.code, Some(65), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("a .safetensors holds more"), "{}", outcome.stderr);
    sandbox
        .rnn(&format!("{line} --vocab letters.txt m.safetensors --batch-first=false"))
        .succeeds();
    // A part that does not fit is found before anything is written.
    let outcome = sandbox.rnn("convert w.npz bad.npz --nonlinearity relu --head emb -q");
    assert_eq!(outcome.code, Some(65));
    assert!(
        outcome.stderr.contains("emb.weight: expected shape [2, 2], got [2, 3]"),
        "{}",
        outcome.stderr
    );
    assert!(!sandbox.names().contains(&"bad.npz".to_owned()));
}

#[test]
fn a_newer_model_is_refused_by_its_version() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    sandbox.rnn("convert w.npz m --nonlinearity relu --batch-first=false --head fc -q").succeeds();
    let text = String::from_utf8(sandbox.bytes("m/rnn.json")).unwrap();
    assert!(text.contains("\"version\": 1"), "{text}");
    sandbox.write("m/rnn.json", text.replace("\"version\": 1", "\"version\": 2").as_bytes());
    sandbox.write("x.csv", b"0,1,0\n");
    let outcome = sandbox.rnn("info m").succeeds();
    let printed = String::from_utf8(outcome.stdout).unwrap();
    assert!(printed.contains("expected version 1, got 2"), "{printed}");
    for line in ["run -w m -i x.csv --no-header", "convert m w2.npz"] {
        let outcome = sandbox.rnn(line);
        assert_eq!(outcome.code, Some(65), "{line}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("expected version 1, got 2"), "{line}: {}", outcome.stderr);
    }
}

/// A number that looks random.
fn number(i: usize) -> f32 {
    (i * 7919 % 1009) as f32 / 1009.0 - 0.5
}

fn matrix(rows: usize, columns: usize) -> ArrayD<f32> {
    ArrayD::from_shape_fn(vec![rows, columns], |at| number(at[0] * columns + at[1] + 1))
}

/// An input that passes in parts: 100 features of 170,000 steps take 68 MB.
#[test]
fn parts_of_a_large_input_give_the_bytes_of_the_whole() {
    let sandbox = Sandbox::new();
    let (ih, hh, fc) = (matrix(4, 100), matrix(4, 4), matrix(3, 4));
    sandbox.save_npz(
        "w.npz",
        &[("rnn.weight_ih_l0", &ih), ("rnn.weight_hh_l0", &hh), ("fc.weight", &fc)],
    );
    let x = ArrayD::from_shape_fn(vec![85_000, 2, 100], |at| {
        number(at[0] * 31 + at[1] * 17 + at[2] * 3)
    });
    sandbox.save("x.npy", &x.view());
    let line = "run -q -w w.npz --nonlinearity tanh --batch-first=false -i x.npy --head fc";
    for (flags, lengths) in [
        ("--softmax", ""),
        ("--argmax", "--lengths 85000,40000"),
        ("--pool mean", "--lengths 85000,40000"),
        ("--pool state --top 2", "--lengths 5,85000"),
    ] {
        let out = if flags.contains("top") { "npz" } else { "npy" };
        let line = format!("{line} {flags} {lengths}");
        sandbox.rnn(&format!("{line} -o parts.{out}")).succeeds();
        // All hidden states ask for one part.
        sandbox.rnn(&format!("{line} -o whole.{out} --all-hidden all.npz")).succeeds();
        let [parts, whole] = ["parts", "whole"].map(|name| sandbox.bytes(&format!("{name}.{out}")));
        assert!(parts == whole, "{flags} {lengths}");
    }
}

/// Ids whose rows would take 68 MB; those behind a sequence's end may be anything.
#[test]
fn ids_pass_in_parts_too() {
    let sandbox = Sandbox::new();
    let (ih, hh, emb) = (matrix(4, 100), matrix(4, 4), matrix(7, 100));
    sandbox.save_npz(
        "w.npz",
        &[("rnn.weight_ih_l0", &ih), ("rnn.weight_hh_l0", &hh), ("emb.weight", &emb)],
    );
    let id = |t: usize, n: usize| if n == 1 && t >= 40_000 { 99 } else { (t * 5 + n) % 7 };
    let id = |t: usize, n: usize| i64::try_from(id(t, n)).unwrap();
    let ids = ArrayD::from_shape_fn(vec![85_000, 2], |at| id(at[0], at[1]));
    let first = ArrayD::from_shape_fn(vec![2, 85_000], |at| id(at[1], at[0]));
    sandbox.save_npz("ids.npz", &[("ids", &ids), ("first", &first)]);
    sandbox
        .shell("rnn convert -q ids.npz:ids x.npy && rnn convert -q ids.npz:first f.npy")
        .succeeds();
    for flags in ["--argmax", "--pool mean", "--softmax"] {
        for (input, order) in [("x.npy", "--batch-first=false"), ("f.npy", "--batch-first")] {
            let line = format!(
                "run -q -w w.npz --nonlinearity tanh {order} -i {input} --embedding emb {flags} --lengths 85000,40000"
            );
            sandbox.rnn(&format!("{line} -o parts.npy --hn h.npy")).succeeds();
            sandbox.rnn(&format!("{line} -o whole.npy --all-hidden all.npz")).succeeds();
            assert!(sandbox.bytes("parts.npy") == sandbox.bytes("whole.npy"), "{line}");
        }
    }
    let line =
        "run -q -w w.npz --nonlinearity tanh --batch-first=false -i x.npy --embedding emb -o y.npy";
    let expected = "rnn: x.npy: expected ids, whole numbers from 0 to 6, got 99 at [40000, 1]\n";
    sandbox.rnn(line).fails(65, expected);
}

#[test]
fn info_says_what_stands_around_a_layer() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    sandbox.take("cases/word_lm_state_dict.pt");
    let flags = "--nonlinearity relu --batch-first=false --one-hot --head fc --pool state --top 2 --vocab letters.txt";
    sandbox.rnn(&format!("convert w.npz m.npz {flags} --labels classes.txt -q")).succeeds();
    for (file, expected) in [
        (
            "m.npz",
            "the model around the layer, as rnn run uses it: --one-hot --head model.fc --pool state --top 2 --tokens char, 3 tokens, 3 labels",
        ),
        (
            "word_lm_state_dict.pt",
            "--embedding encoder --head decoder give the model's prediction, --pool last that of the last step alone",
        ),
    ] {
        let printed = sandbox.rnn(&format!("info {file}")).succeeds().stdout;
        let printed = String::from_utf8(printed).unwrap();
        assert!(printed.contains(expected), "{file}: {printed}");
    }
    let report = sandbox.rnn("info m.npz --report json").succeeds().stdout;
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["model"]["head"], serde_json::json!(["model.fc"]));
}

#[test]
fn check_finite_looks_at_the_parts_around_the_layer_and_at_their_result() {
    let sandbox = Sandbox::new();
    let weights = |head: [f32; 2]| -> [(&str, ArrayD<f32>); 3] {
        [
            ("rnn.weight_ih_l0", arr2(&[[1.0], [1.0]]).into_dyn()),
            ("rnn.weight_hh_l0", arr2(&[[0.0, 0.0], [0.0, 0.0]]).into_dyn()),
            ("fc.weight", arr2(&[head]).into_dyn()),
        ]
    };
    for (name, head) in [("nan.npz", [f32::NAN, 0.0]), ("large.npz", [3e38, 3e38])] {
        let weights = weights(head);
        let members = weights.iter().map(|(name, tensor)| (*name, tensor as _));
        sandbox.save_npz(name, &members.collect::<Vec<_>>());
    }
    sandbox.write("x.csv", b"0.5\n1\n");
    let line = "--nonlinearity relu --head fc --check-finite -q -w";
    let nan = "rnn: nan.npz: fc.weight: expected finite numbers, got NaN at [0, 0]\n";
    sandbox.rnn(&format!("run {line} nan.npz -i x.csv")).fails(65, nan);
    let words = |flags: &str| format!("stream --csv {line} {flags}");
    let stream = |flags: &str| {
        let line = words(flags);
        sandbox.rnn_with(&line.split_whitespace().collect::<Vec<_>>(), b"0.25\n1\n")
    };
    stream("nan.npz").fails(65, nan);
    // The sum of a step is infinite, and the state is not.
    let outcome = sandbox.rnn(&format!("run {line} large.npz -i x.csv -o y.npy"));
    let expected =
        "rnn: output: expected finite numbers, got inf at [1, 0] (seq_len 1, classes 0)\n";
    outcome.fails(65, expected);
    let expected = "rnn: output: expected finite numbers, got inf at [0] (classes 0)\n";
    for pool in ["last", "max"] {
        let outcome = sandbox.rnn(&format!("run {line} large.npz -i x.csv -o y.npy --pool {pool}"));
        outcome.fails(65, expected);
    }
    let outcome = stream("large.npz");
    let expected = "rnn: stdin: line 2: output: expected finite numbers, got inf at [0, 0]\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(65), expected));
    assert_eq!(outcome.stdout, b"1.5e38\n");
}

/// A model of `fixtures/jobs/modules.json`, which `fixtures/jobs.py` describes.
#[derive(Deserialize)]
struct Modules {
    file: String,
    printed: Option<String>,
    chain: Option<String>,
    unapplied: Option<String>,
}

#[test]
fn modules_are_printed_as_pytorch_prints_them_and_suggest_their_flags() {
    let text = std::fs::read_to_string(fixture_path("jobs/modules.json")).unwrap();
    let cases: Vec<Modules> = serde_json::from_str(&text).unwrap();
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", b"0.5,1,-1\n");
    for Modules { file, printed, chain, unapplied } in cases {
        sandbox.take(&format!("jobs/modules/{file}"));
        let found = sandbox.rnn(&format!("info {file}")).succeeds().stdout_text();
        if let Some(printed) = printed {
            assert!(found.contains(&format!("parameters\n{printed}\nweight_ih")), "{found}");
        }
        let run = sandbox.rnn(&format!("run -q -w {file} -i x.csv --no-header")).stderr;
        for found in [&found, &run] {
            let sentence = chain.as_ref().map(|chain| {
                let s = if chain.contains(" --") { "" } else { "s" };
                format!("{chain} give{s} the model's prediction, --pool last")
            });
            match sentence {
                Some(sentence) => assert!(found.contains(&sentence), "{file}: {found}"),
                None => assert!(!found.contains("--head"), "{file}: {found}"),
            }
            let told = format!("rnn does not apply {}", unapplied.as_deref().unwrap_or_default());
            assert_eq!(found.contains(&told), unapplied.is_some(), "{file}: {found}");
        }
        let report = sandbox.rnn(&format!("info {file} --report json")).succeeds().stdout_text();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let flags = chain.map(|chain| chain.replace(",ACTIVATION", ""));
        let told = report["suggested"]["flags"].as_array();
        let told = told.map(|flags| flags.iter().map(|flag| flag.as_str().unwrap()));
        assert_eq!(told.map(|flags| flags.collect::<Vec<_>>().join(" ")), flags, "{file}");
        assert_eq!(report["suggested"]["activations_open"] == true, file.starts_with("two"));
        assert!(report["modules"].as_array().unwrap().len() > 1, "{report}");
        assert_eq!(report["not_applied"].as_array().unwrap().is_empty(), unapplied.is_none());
    }
}

#[test]
fn modules_that_no_flag_applies_are_named_beside_a_typed_head() {
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", b"0.5,1,-1\n");
    let prediction = "the output may not be the model's prediction\n";
    for (file, flags, names) in [
        ("normalized.pt", "--head fc1,relu,fc2", "norm (LayerNorm)"),
        ("normalized-state.pt", "--head fc1,fc2 --nonlinearity tanh", "norm"),
        ("convolved-state.pt", "--head fc --nonlinearity tanh", "bn, conv, h0"),
        ("other.pt", "--head fc.0", "fc.1 (GELU)"),
    ] {
        sandbox.take(&format!("jobs/modules/{file}"));
        let note = format!("note: {file}: rnn does not apply {names}: {prediction}");
        let run = format!("run -q -w {file} -i x.csv --no-header {flags} -o y.csv");
        let outcome = sandbox.rnn(&run);
        assert_eq!((outcome.code, outcome.stderr), (Some(0), note.clone()));
        let convert = format!("convert -q {file} m.npz {flags} --batch-first=false");
        let outcome = sandbox.rnn(&convert);
        assert_eq!((outcome.code, outcome.stderr), (Some(0), note));
        // The saved model has the tensors that it needs, and no others.
        sandbox.rnn("run -q -w m.npz -i x.csv --no-header -o y.csv").succeeds();
    }
    let listed = sandbox.rnn("info convolved-state.pt").succeeds().stdout_text();
    assert!(
        listed.contains("  (conv): Module(...)\n  (rnn): RNN(3, 4)\n  (bn): Module(...)\n"),
        "{listed}"
    );
}

#[test]
fn tensors_that_are_not_of_the_model_are_none_of_its_modules() {
    let sandbox = Sandbox::new();
    let ones = |shape: &[usize]| ArrayD::<f32>::from_elem(shape, 1.0);
    let model = [
        ("model.rnn.weight_ih_l0", ones(&[4, 3])),
        ("model.rnn.weight_hh_l0", ones(&[4, 4])),
        ("model.fc.weight", ones(&[2, 4])),
    ];
    for (other, names) in [
        ("losses", None),
        ("stats.mean", None),
        ("model.criterion.weight", None),
        ("model.norm.weight", Some("norm")),
        ("model.h0", Some("h0")),
        ("model.attention.query", Some("attention")),
    ] {
        let other = (other, ones(&[4]));
        let all = model.iter().chain([&other]).map(|(name, tensor)| (*name, tensor as _));
        sandbox.save_npz("m.npz", &all.collect::<Vec<_>>());
        let found = sandbox.rnn("info m.npz").succeeds().stdout_text();
        let expected = match names {
            None => "note: --head fc gives the model's prediction".to_owned(),
            Some(names) => {
                format!("note: rnn does not apply {names}: no flags give the model's prediction")
            }
        };
        assert!(found.contains(&expected), "{}: {found}", other.0);
    }
}

#[test]
fn two_directions_have_two_last_states() {
    let sandbox = Sandbox::new();
    sandbox.take("jobs/modules/tagger.pt");
    let found = sandbox.rnn("info tagger.pt").succeeds().stdout_text();
    let pool = "--pool last that of the last step alone (output[:, -1]), --pool state that of h_n \
                (torch.cat((h_n[-2], h_n[-1]), 1))\n";
    assert!(found.ends_with(pool), "{found}");
}

#[test]
fn the_axes_of_a_text_are_in_the_order_of_its_shape() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    for (order, shape) in
        [("", "[3, 2] seq_len 3, batch 2"), (" --batch-first", "[2, 3] batch 2, seq_len 3")]
    {
        let line = format!("{NAMES} --pool last --argmax -v{order}");
        let text = sandbox.rnn_with(&words(&line), b"aba\nb\n").stderr;
        assert!(text.contains(shape), "{text}");
    }
}

/// Runs the classifier with other flags, and returns the message and the hint.
fn refused(sandbox: &Sandbox, line: &str, text: &[u8], code: i32) -> String {
    let outcome = sandbox.rnn_with(&words(line), text);
    assert_eq!(outcome.code, Some(code), "{line}: {}", outcome.stderr);
    outcome.stderr
}

#[test]
fn hints_of_models_name_the_flag_that_is_missing() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    sandbox.take("cases/word_lm_state_dict.pt");
    sandbox.take("cases/word_vocab.txt");
    let lm = "run -q -w word_lm_state_dict.pt --nonlinearity tanh --embedding encoder --head decoder -i -";
    for text in ["the cat sat\n", "cat\ndog\n", "the cat, sat\nnow\n", "12 a b\n"] {
        let found = refused(&sandbox, &format!("{lm} -o y.npy"), text.as_bytes(), 65);
        assert!(
            found.contains("\nhint: a text needs its tokens: rnn ")
                && found.ends_with(" --vocab FILE\n"),
            "{found}"
        );
    }
    // A damaged file of an array is no text.
    for name in ["x.npy", "x.npz", "x.pt", "x.pth", "x.safetensors"] {
        sandbox.write(name, b"\x93NUMPY\x01\0v\0");
        let line = lm.replace("-i -", &format!("-i {name} -o y.npy"));
        let found = refused(&sandbox, &line, b"", 65);
        assert!(!found.contains("hint: "), "{found}");
    }
    let found = refused(&sandbox, &format!("{lm} --vocab word_vocab.txt"), b"the cat\n", 65);
    assert!(
        found.contains("'t' is not in the vocabulary\n") && found.ends_with(" --tokens word\n"),
        "{found}"
    );
    let found = refused(&sandbox, NAMES, b"ax\n", 65);
    assert!(found.ends_with(" --unknown TOKEN\n"), "{found}");
    sandbox.write("unk.txt", b"a\nb\n<unk>\n");
    let unknown = NAMES.replace("letters.txt", "unk.txt");
    let found = refused(&sandbox, &unknown, b"ax\n", 65);
    assert!(found.ends_with(" --unknown '<unk>'\n"), "{found}");
    sandbox.rnn_with(&words(&format!("{unknown} --unknown <unk>")), b"ax\n").succeeds();
    // A head of another width, and labels of another count.
    let found = refused(&sandbox, &NAMES.replace("--head fc", "--head emb"), b"a\n", 65);
    let expected = "\nhint: every --pool gives 2 features: hidden_size 2, 1 direction\n";
    assert!(found.contains("emb.weight: expected shape") && found.ends_with(expected), "{found}");
    let found = refused(&sandbox, &format!("{NAMES} --argmax --labels letters2.txt"), b"a\n", 66);
    assert!(found.starts_with("rnn: letters2.txt: "), "{found}");
    sandbox.write("letters2.txt", b"a\nb\n");
    let found = refused(&sandbox, &format!("{NAMES} --argmax --labels letters2.txt"), b"a\n", 65);
    assert_eq!(found, "rnn: letters2.txt: labels: expected 3, one for each class, got 2\n");
}

#[test]
fn a_head_with_other_words_names_those_that_it_knows() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    for head in
        ["fc, relu", " fc", "fc,ReLU", "fc,gelu", "fc,ACTIVATION,fc", "fc,log_softmax", "fc,Tanh"]
    {
        let outcome = sandbox.rnn_with(&["run", "-w", "w.npz", "--head", head, "-i", "-"], b"1\n");
        let expected = "--head: head: expected the name of a linear layer, relu, tanh or sigmoid, without blanks, got";
        assert!(outcome.code == Some(2) && outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_text() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    for file in ["letters.txt", "classes.txt"] {
        let text = [b"\xef\xbb\xbf", &sandbox.bytes(file)[..]].concat();
        sandbox.write(file, &text);
    }
    let flags = NAMES.replace("run ", "");
    for command in ["run", "stream -q"] {
        let flags = if command == "run" { flags.clone() } else { flags.replace(" -i -", "") };
        let line = format!("{command} {flags} --pool last --argmax --labels classes.txt");
        let outcome = sandbox.rnn_with(&words(&line), b"\xef\xbb\xbfa\nab\n").succeeds();
        assert_eq!(outcome.stdout_text(), "ends with a\nends with b\n", "{command}");
    }
}

#[test]
fn a_typed_function_in_place_of_a_saved_one_is_noted() {
    let sandbox = Sandbox::new();
    names(&sandbox);
    let flags = "--nonlinearity relu --batch-first=false --one-hot --head fc --pool last --softmax --vocab letters.txt";
    sandbox.rnn(&format!("convert w.npz m.npz {flags} -q")).succeeds();
    for (typed, note) in [
        ("--top 2", "note: m.npz: --top 2 takes the place of the saved --softmax\n"),
        ("--argmax", "note: m.npz: --argmax takes the place of the saved --softmax\n"),
        ("--softmax", ""),
        ("", ""),
    ] {
        let line = format!("run -q -w m.npz -i - {typed}");
        let outcome = sandbox.rnn_with(&words(&line), b"ab\n");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), note), "{typed}");
    }
}

#[test]
fn a_weight_normed_linear_layer_is_a_head() {
    let sandbox = Sandbox::new();
    sandbox.take("jobs/modules/weight-norm-state.pt");
    sandbox.take("jobs/modules/x.npy");
    let line = "run -q -w weight-norm-state.pt --nonlinearity tanh -i x.npy --head fc -o y.npy";
    sandbox.rnn(line).succeeds();
    let expected = loaded(fixture_path("jobs/modules/weight-norm.npy").to_str().unwrap());
    let found = loaded(sandbox.path("y.npy").to_str().unwrap());
    for (at, value) in found.indexed_iter() {
        assert!((value - expected[&at]).abs() < TOLERANCE, "{at:?}: {value}");
    }
}

#[test]
fn a_saved_chain_is_printed_in_its_sequential() {
    let sandbox = Sandbox::new();
    sandbox.take("jobs/modules/tagger.pt");
    let flags = "--embedding embedding --head head.1,relu,head.3,tanh --softmax";
    sandbox.rnn(&format!("convert tagger.pt m.safetensors {flags} -q")).succeeds();
    let expected = "\
Model(
  (embedding): Embedding(7, 3)
  (rnn): RNN(3, 4, num_layers=2, batch_first=True, dropout=0.5, bidirectional=True)
  (head): Sequential(
    (1): Linear(in_features=8, out_features=6, bias=True)
    (2): ReLU()
    (3): Linear(in_features=6, out_features=5, bias=False)
    (4): Tanh()
  )
  (softmax): Softmax(dim=-1)
)
";
    let found = sandbox.rnn("info m.safetensors").succeeds().stdout_text();
    assert!(found.contains(expected), "{found}");
}
