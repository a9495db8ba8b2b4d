//! Models in `rnn stream`: ids, text and tables, and the forms of the answers.

use ndarray::{ArrayD, arr1, arr2};

use super::Live;
use crate::support::{Sandbox, npy};

/// A model of two tokens whose hidden state counts each of them, and a head of three classes: how many of a, how many of
/// b, and the mean of both.
fn counter() -> Sandbox {
    let sandbox = Sandbox::new();
    let weights: [(&str, ArrayD<f32>); 4] = [
        ("rnn.weight_ih_l0", arr2(&[[1.0, 0.0], [0.0, 1.0]]).into_dyn()),
        ("rnn.weight_hh_l0", arr2(&[[1.0, 0.0], [0.0, 1.0]]).into_dyn()),
        ("fc.weight", arr2(&[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]).into_dyn()),
        ("emb.weight", arr2(&[[1.0, 0.0], [0.0, 1.0]]).into_dyn()),
    ];
    let members = weights.iter().map(|(name, tensor)| (*name, tensor as _));
    sandbox.save_npz("w.npz", &members.collect::<Vec<_>>());
    sandbox.write("letters.txt", b"a\nb\n");
    sandbox.write("classes.txt", b"more a\nmore b\n\"neither, nor\"\n");
    sandbox
}

/// Runs `rnn stream` with the counter, and returns its answers.
#[track_caller]
fn answers(sandbox: &Sandbox, flags: &str, input: &[u8]) -> Vec<u8> {
    let line = format!("stream -q -w w.npz --nonlinearity relu {flags}");
    sandbox.rnn_with(&line.split_whitespace().collect::<Vec<_>>(), input).succeeds().stdout
}

#[track_caller]
fn text(sandbox: &Sandbox, flags: &str, input: &str) -> String {
    String::from_utf8(answers(sandbox, flags, input.as_bytes())).unwrap()
}

/// The lines of `rnn run` over the same text are the same.
#[test]
fn a_line_of_text_is_a_sequence_of_its_own() {
    let sandbox = counter();
    let letters = "--embedding emb --vocab letters.txt --head fc";
    let lines = "aab\r\n\nb\nab";
    for (flags, expected) in [
        ("--pool state --argmax --labels classes.txt", "more a\n\nmore b\nmore a\n"),
        ("--pool last --argmax", "0\n-1\n1\n0\n"),
        ("--pool mean", "1.6666666\t0.33333334\t1\n0\t0\t0\n0\t1\t0.5\n1\t0.5\t0.75\n"),
        ("--pool max --top 2", "0\t2\t2\t1.5\n-1\t0\t-1\t0\n1\t1\t2\t0.5\n0\t1\t1\t1\n"),
        ("--argmax", "0\t0\t0\n\n1\n0\t0\n"),
        ("", "1\t0\t0.5\t2\t0\t1\t2\t1\t1.5\n\n0\t1\t0.5\n1\t0\t0.5\t1\t1\t1\n"),
    ] {
        let flags = format!("{letters} {flags}");
        assert_eq!(text(&sandbox, &flags, lines), expected, "{flags}");
        assert_eq!(text(&sandbox, &format!("{flags} --independent"), lines), expected, "{flags}");
        let run = format!("run -w w.npz --nonlinearity relu {flags} -i -");
        let run = sandbox.rnn_with(&run.split_whitespace().collect::<Vec<_>>(), lines.as_bytes());
        assert_eq!(run.succeeds().stdout_text(), expected, "{flags}");
    }
}

#[test]
fn a_named_state_goes_from_line_to_line() {
    let sandbox = counter();
    let flags = "--one-hot --vocab letters.txt --head fc --pool last --state s.npz";
    assert_eq!(text(&sandbox, flags, "aa\n\nb\n"), "2\t0\t1\n0\t0\t0\n2\t1\t1.5\n");
    assert_eq!(text(&sandbox, flags, "b"), "2\t2\t2\n");
    assert_eq!(sandbox.load::<f32>("s.npz:h_n"), arr2(&[[2.0, 2.0]]).into_dyn());
    let flags = flags.replace("--state s.npz", "--h0 s.npz:h_n");
    assert_eq!(text(&sandbox, &flags, "a\na"), "3\t2\t2.5\n4\t2\t3\n");
}

#[test]
fn a_saved_model_runs_without_flags() {
    let sandbox = counter();
    let flags = "--nonlinearity relu --batch-first=false --one-hot --vocab letters.txt --head fc --pool state --argmax";
    let line = format!("convert w.npz m.safetensors {flags} --labels classes.txt -q");
    sandbox.rnn(&line).succeeds();
    let stream = |flags: &str, input: &[u8]| {
        let line = format!("stream -q -w m.safetensors {flags}");
        sandbox.rnn_with(&line.split_whitespace().collect::<Vec<_>>(), input)
    };
    assert_eq!(stream("", b"ab\nbb\n").succeeds().stdout_text(), "more a\nmore b\n");
    let outcome = stream("--head none", b"ab\n").assumes();
    assert_eq!(outcome.stdout_text(), "1\t0\t1\t1\n");
    for (flag, hint) in
        [("--csv", "stream -q -w m.safetensors"), ("--frames", "stream -q -w m.safetensors")]
    {
        let message =
            format!("rnn: expected text, because the model has a vocabulary, got {flag}\n");
        stream(flag, b"").fails(2, &format!("{message}hint: rnn {hint}\n"));
    }
}

/// Text is answered line by line, by hand too.
#[test]
fn every_line_is_answered_before_the_next_one() {
    let sandbox = counter();
    let flags = "--nonlinearity relu --one-hot --vocab letters.txt --head fc --pool last --argmax";
    let mut live = Live::start(&sandbox, &format!("-q -w w.npz {flags} --labels classes.txt"));
    live.ask(b"ab\n", b"more a\n");
    live.ask(b"b\r\n", b"more b\n");
    live.ask(b"\n", b"\n");
    let mut live =
        Live::start(&sandbox, "-q -w w.npz --nonlinearity relu --head fc --csv --names a,b,mean");
    live.ask(b"x,y\n1,0\n", b"a,b,mean\n1,0,0.5\n");
    live.ask(b"0,1\r\n", b"1,1,1\n");
    let mut live =
        Live::start(&sandbox, "-q -w w.npz --nonlinearity relu --head fc --csv --argmax");
    live.ask(b"1,0\n", b"0\n");
    live.ask(b"\n\n0,3\n", b"1\n");
}

#[test]
fn ids_are_read_from_arrays_and_frames() {
    let sandbox = counter();
    let one = |ids: &[i64]| npy(&arr1(ids).into_dyn());
    let [first, second] = [&[0, 0][..], &[1]].map(one);
    let both = [first, second].concat();
    let expected = |rows: &[[f32; 3]]| npy(&arr2(rows).into_dyn());
    let flags = "--embedding emb --head fc";
    let steps = [expected(&[[1.0, 0.0, 0.5], [2.0, 0.0, 1.0]]), expected(&[[2.0, 1.0, 1.5]])];
    assert_eq!(answers(&sandbox, flags, &both), steps.concat());
    // A prediction for each array, of the sequence so far.
    let last = |row: [f32; 3]| npy(&arr1(&row).into_dyn());
    let found = answers(&sandbox, &format!("{flags} --pool last"), &both);
    assert_eq!(found, [last([2.0, 0.0, 1.0]), last([2.0, 1.0, 1.5])].concat());
    let found = answers(&sandbox, &format!("{flags} --pool mean --independent"), &both);
    assert_eq!(found, [last([1.5, 0.0, 0.75]), last([0.0, 1.0, 0.5])].concat());
    let found = answers(&sandbox, &format!("{flags} --argmax"), &both);
    assert_eq!(found, [one(&[0, 0]), one(&[0])].concat());
    let found = answers(&sandbox, &format!("{flags} --pool state --top 1"), &one(&[1]));
    assert_eq!(found, [npy(&arr1(&[1.0_f32]).into_dyn()), one(&[1])].concat());
    // Two sequences side by side.
    let pair = npy(&arr2(&[[0_i64, 1]]).into_dyn());
    let found = answers(
        &sandbox,
        &format!("{flags} --batch-first=false --argmax --labels classes.txt"),
        &[pair.clone(), pair].concat(),
    );
    assert_eq!(found, b"more a\tmore b\n".repeat(2));

    let frames: Vec<u8> = [0.0_f32, 1.0].iter().flat_map(|id| id.to_le_bytes()).collect();
    let numbers =
        |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
    let found = answers(&sandbox, &format!("{flags} --frames"), &frames);
    assert_eq!(found, numbers(&[1.0, 0.0, 0.5, 1.0, 1.0, 1.0]));
    let found = answers(&sandbox, &format!("{flags} --frames --top 2"), &frames);
    assert_eq!(found, numbers(&[1.0, 0.5, 0.0, 2.0, 1.0, 1.0, 0.0, 1.0]));
    let found =
        answers(&sandbox, &format!("{flags} --frames --argmax --labels classes.txt"), &frames);
    assert_eq!(found, b"more a\nmore a\n");
}

#[test]
fn wrong_ids_and_flags_are_refused() {
    let sandbox = counter();
    let fails = |flags: &str, input: &[u8], code: i32, message: &str| {
        let line = format!("stream -q -w w.npz --nonlinearity relu {flags}");
        let outcome = sandbox.rnn_with(&line.split_whitespace().collect::<Vec<_>>(), input);
        assert_eq!(
            outcome.stderr.lines().find(|line| line.starts_with("rnn: ")),
            Some(&*format!("rnn: {message}")),
            "{flags}"
        );
        assert_eq!(outcome.code, Some(code), "{flags}");
    };
    let two = npy(&arr1(&[2_i64]).into_dyn());
    let ids = "expected ids, whole numbers from 0 to 1, got";
    fails("--embedding emb", &two, 65, &format!("stdin: array 1 at byte 0: {ids} 2 at [0]"));
    fails(
        "--one-hot --frames",
        &0.5_f32.to_le_bytes(),
        65,
        &format!("stdin: frame 1 at byte 0: {ids} 0.5 at [0]"),
    );
    fails("--one-hot --csv", b"1\n-1\n", 65, &format!("stdin: line 2: {ids} -1 at [0]"));
    fails("--one-hot --csv", b"1,0\n", 65, "stdin: line 1: expected one column of ids, got 2");
    fails(
        "--one-hot --vocab letters.txt",
        b"ab\nba c\n",
        65,
        "stdin: line 2, column 3: ' ' is not in the vocabulary",
    );
    fails(
        "--one-hot --vocab letters.txt",
        b"ab\na\xff",
        65,
        "stdin: expected UTF-8 text, got other bytes at line 2, column 2",
    );
    fails(
        "--pool mean",
        &two,
        2,
        "expected --independent with --pool mean, which is over a whole sequence, got none",
    );
    // A state of a batch goes on with arrays, which text has none of.
    sandbox.save("h.npy", &ArrayD::<f32>::zeros(vec![1, 2, 2]).view());
    let pair = npy(&arr2(&[[0_i64, 1]]).into_dyn());
    answers(&sandbox, "--one-hot --head fc --batch-first=false --state s.npz", &pair);
    let start = "stream -q -w w.npz --nonlinearity relu --one-hot --head fc";
    let hint = format!("hint: a batch goes on with arrays: rnn {start} --state s.npz\n");
    for (flags, one, hint) in [
        ("--csv --no-header", "a row being a step of one sequence", &*hint),
        ("--vocab letters.txt", "a line being one sequence", ""),
    ] {
        let line = format!("{start} {flags} --state s.npz");
        let outcome = sandbox.rnn_with(&line.split_whitespace().collect::<Vec<_>>(), b"");
        let expected = format!("s.npz:h_n: expected shape [1, 2], {one}, got [1, 2, 2]\n{hint}");
        outcome.fails(65, &format!("rnn: {expected}"));
        let message = format!("h.npy: h_0: expected shape [1, 2], {one}, got [1, 2, 2]");
        fails(&format!("--one-hot {flags} --h0 h.npy"), b"", 65, &message);
    }
    fails("--columns 1", b"", 2, "expected --csv with --columns, got none");
    fails("--csv --names a", b"", 2, "--names: expected 2 names, one for each column, got 1");
}
