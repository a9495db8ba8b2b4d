//! `rnn score`: the likelihood of text under a language model.

use elman::{Element, Tokens};
use ndarray::ArrayD;
use serde_json::Value;

use crate::generate::Characters;
use crate::support::{Sandbox, integers};

/// Largest difference from float64 for each token.
const TOLERANCE: f64 = 2e-6;

/// The lines of the tests: one ends with CRLF, one is empty, one has a single token, the last has no end.
const TEXT: &str =
    "abcd é\r\n\na\nddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\naé";

/// A row of the answer: tokens, nll and perplexity.
type Row = (usize, f64, f64);

/// The rows of the answer, and that of the total.
fn rows(answer: &str) -> (Vec<Row>, Row) {
    let row = |cells: &[&str]| {
        (cells[0].parse().unwrap(), cells[1].parse().unwrap(), cells[2].parse().unwrap())
    };
    let lines: Vec<Vec<_>> = answer.lines().map(|line| line.split('\t').collect()).collect();
    let (total, lines) = lines.split_last().unwrap();
    assert!(total.len() == 4 && total[3] == "total" && lines.iter().all(|own| own.len() == 3));
    (lines.iter().map(|own| row(own)).collect(), row(total))
}

fn score(sandbox: &Sandbox, flags: &str) -> String {
    sandbox.rnn(&format!("score -w lm.safetensors -i text {flags}")).succeeds().stdout_text()
}

#[test]
fn lines_have_the_likelihood_of_their_tokens() {
    let sandbox = Sandbox::new();
    let model = Characters::save(&sandbox, "--argmax --pool last");
    sandbox.write("text", TEXT.as_bytes());
    let (found, total) = rows(&score(&sandbox, ""));
    let (mut count, mut sum) = (0, 0.0);
    assert_eq!(found.len(), TEXT.lines().count());
    for (line, (tokens, nll, perplexity)) in TEXT.lines().zip(found) {
        let ids = model.ids(line);
        let term = |t: usize| {
            let values = model.values(&ids[..t]);
            let all: f64 = values.iter().map(|value| value.exp()).sum();
            all.ln() - values[ids[t]]
        };
        let expected: f64 = (1..ids.len()).map(term).sum();
        assert_eq!(tokens, ids.len().saturating_sub(1), "{line}");
        assert!((nll - expected).abs() <= TOLERANCE * ids.len() as f64, "{line}: {nll} {expected}");
        if tokens > 0 {
            let expected = (nll / tokens as f64).exp();
            assert!((perplexity / expected - 1.0).abs() < 1e-14, "{line}: {perplexity}");
        } else {
            assert!(nll == 0.0 && perplexity.is_nan(), "{line}");
        }
        (count, sum) = (count + tokens, sum + nll);
    }
    assert_eq!((total.0, total.1), (count, sum));
    assert!((total.2 / (sum / count as f64).exp() - 1.0).abs() < 1e-14);
}

#[test]
fn terms_are_those_of_log_softmax() {
    let sandbox = Sandbox::new();
    let model = Characters::save(&sandbox, "");
    sandbox.write("text", b"dab cab\n");
    let answer = score(&sandbox, "--dtype f64");
    let line = "run -q -w lm.safetensors -i text --log-softmax --dtype f64 -o y.npy";
    sandbox.rnn(line).succeeds();
    let (values, ids) = (sandbox.load::<f64>("y.npy"), model.ids("dab cab"));
    let sum: f64 = (1..ids.len()).map(|t| -values[[t - 1, 0, ids[t]]]).sum();
    let (found, _) = rows(&answer);
    assert!((found[0].1 - sum).abs() < 1e-13, "{} {sum}", found[0].1);
}

#[test]
fn neither_batches_nor_threads_nor_kernels_change_a_byte() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "");
    sandbox.write("text", TEXT.as_bytes());
    let expected = score(&sandbox, "");
    for flags in ["--threads 1", "--threads 3", "--kernel portable"] {
        assert_eq!(score(&sandbox, flags), expected, "{flags}");
    }
    for (line, expected) in TEXT.lines().zip(expected.lines()) {
        let words = ["score", "-w", "lm.safetensors", "-i", "-"];
        let outcome = sandbox.rnn_with(&words, format!("{line}\n").as_bytes()).succeeds();
        assert_eq!(outcome.stdout_text().lines().next(), Some(expected));
    }
    sandbox.write("text", b"");
    assert_eq!(score(&sandbox, ""), "0\t0\tnan\ttotal\n");
}

#[test]
fn json_has_the_same_numbers() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "");
    sandbox.write("text", TEXT.as_bytes());
    let (found, total) = rows(&score(&sandbox, ""));
    let report: Value = serde_json::from_str(&score(&sandbox, "--report json")).unwrap();
    assert_eq!((&report["command"], &report["input"]), (&"score".into(), &"text".into()));
    let sequences = report["sequences"].as_array().unwrap();
    assert_eq!(sequences.len(), found.len());
    for (object, row) in
        sequences.iter().chain([&report["total"]]).zip(found.iter().chain([&total]))
    {
        assert_eq!(object["tokens"], row.0);
        assert_eq!(object["nll"], row.1);
        assert_eq!(object["perplexity"].as_f64(), Some(row.2).filter(|own| own.is_finite()));
    }
    for field in
        ["layer", "weights", "kernel", "threads", "seconds", "assumptions", "notes", "warnings"]
    {
        assert!(report.get(field).is_some(), "{field}");
    }
}

#[test]
fn ids_are_scored_without_a_vocabulary() {
    let sandbox = Sandbox::new();
    let model = Characters::save(&sandbox, "");
    sandbox.write("text", "abcda\ndé\n".as_bytes());
    assert_eq!(model.vocabulary.tokens(), Tokens::Char);
    let expected = score(&sandbox, "");
    // (L, N); behind the end of the second sequence stands anything.
    sandbox.write("ids.csv", b"0,3\n1,5\n2,99\n3,99\n0,99\n");
    sandbox.write("rows.csv", b"0,1,2,3,0\n3,5,99,99,99\n");
    let ids = |text: &str| {
        let ids: Vec<_> = model.vocabulary.encode(text, 1).unwrap();
        integers(&ids)
    };
    sandbox.save_npz("ragged.npz", &[("one", &ids("abcda")), ("two", &ids("dé"))]);
    let line = "score -w w.npz --nonlinearity tanh --one-hot --head out";
    for flags in [
        "-i ids.csv --no-header --lengths 5,2 --batch-first=false",
        "-i rows.csv --no-header --lengths 5,2 --batch-first",
        "-i ragged.npz",
    ] {
        let found = sandbox.rnn(&format!("{line} {flags}")).succeeds().stdout_text();
        assert_eq!(found, expected, "{flags}");
    }
    sandbox.save("one.npy", &ids("dé").mapv(f32::from_i64).view());
    let found = sandbox.rnn(&format!("{line} -i one.npy")).succeeds().stdout_text();
    assert_eq!(found.lines().next(), expected.lines().nth(1));
    // A first line that is taken for names is said, also with --quiet.
    sandbox.write("named.csv", b"x,5\n0,3\n1,5\n");
    let warning =
        "named.csv: the first line is taken for names of columns, with numbers among them: 5\n";
    for (flag, kind) in [("", "warning"), ("-q", "note")] {
        let outcome = sandbox.rnn(&format!("{line} -i named.csv --batch-first=false {flag}"));
        let expected = (Some(0), format!("{kind}: {warning}"));
        assert_eq!((outcome.code, outcome.stderr), expected, "{flag}");
    }
    // Without lengths, every id counts.
    let outcome = sandbox.rnn(&format!("{line} -i ids.csv --no-header --batch-first=false"));
    outcome.fails(65, "rnn: ids.csv: expected ids, whole numbers from 0 to 7, got 99 at [2, 1]\n");
    let outcome = sandbox.rnn(&format!("{line} -i ragged.npz --lengths 5,2"));
    assert!(outcome.code == Some(2) && outcome.stderr.contains("--lengths"), "{}", outcome.stderr);
    let outcome = sandbox.rnn(&format!("{line} -i ids.csv --no-header --strict"));
    assert!(outcome.code == Some(65), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("expected --batch-first with --strict"), "{}", outcome.stderr);
}

#[test]
fn models_and_texts_that_do_not_fit_are_refused() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "");
    sandbox.write("text", "abc\ndaxé\n".as_bytes());
    sandbox.save("x.npy", &ArrayD::<f32>::zeros(vec![5, 3, 4]).view());
    sandbox.rnn("init -q --input-size 4 --hidden 4 --bidirectional -o both.npz").succeeds();
    sandbox.rnn("init -q --input-size 4 --hidden 4 -o square.npz").succeeds();
    for (line, code, expected) in [
        (
            "-w lm.safetensors -i text",
            65,
            "rnn: text: line 2, column 3: 'x' is not in the vocabulary",
        ),
        ("-w both.npz --one-hot -i x.npy", 65, "expected one direction, got a bidirectional layer"),
        ("-w square.npz -i text", 65, "expected"),
        ("-w square.npz --one-hot -i x.npy", 65, "x.npy: input: expected 1 or 2 dimensions of ids"),
        (
            "-w w.npz --strict --one-hot --head out -i x.npy",
            65,
            "expected --nonlinearity with --strict",
        ),
        ("-w - -i -", 2, "expected one input from stdin"),
        ("-w w.npz -i - --vocab -", 2, "expected one input from stdin"),
        (
            "-w lm.safetensors -i text --columns 1",
            2,
            "rnn: text: expected a table with --columns, got none",
        ),
        ("-w lm.safetensors", 2, "--input"),
        ("-w lm.safetensors -i none", 66, "none: "),
    ] {
        let outcome = sandbox.rnn(&format!("score {line}"));
        assert_eq!((outcome.code, outcome.stdout_text()), (Some(code), String::new()), "{line}");
        assert!(outcome.stderr.contains(expected), "{line}: {}", outcome.stderr);
    }
    sandbox.rnn("score -w lm.safetensors -i text --unknown d").succeeds();
}
