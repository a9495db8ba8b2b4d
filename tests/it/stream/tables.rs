//! `rnn stream --csv`: rows of a table, answered line by line as `rnn run` answers the whole table.

use crate::support::{Outcome, Sandbox};

/// A layer of two features in `w/`.
fn layer() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.rnn("init -q --input-size 2 --hidden 3 -o w/").succeeds();
    sandbox
}

fn stream(sandbox: &Sandbox, flags: &str, table: &str) -> Outcome {
    let line = format!("stream -q -w w --csv {flags}");
    sandbox.rnn_with(&line.split_whitespace().collect::<Vec<_>>(), table.as_bytes())
}

#[test]
fn a_table_is_answered_as_rnn_run_answers_it() {
    let sandbox = layer();
    for (flags, table) in [
        ("", "0.5,1\n1.5,-2\n3,4e-3\n"),
        ("", "a,b\r\n0.5,1\r\n1.5,-2\r\n3,4e-3"),
        ("--no-header", "1,2\n0.5,1\n"),
        ("--header", "1,2\n0.5,1\n"),
        ("--columns b,a", "a,day,b\n0.5,mon,1\n2,tue,3\n"),
        ("--keep day --names x,y,z", "a,day,b\n0.5,\"mon, 1st\",1\n2,\"say \"\"b\"\"\",3\n"),
        ("--keep 1 --no-header", "x;1;2\n\ny;3;4\n"),
        ("--columns 2,3 --keep 3,1 --missing nan --header", "d,a,b\n1,2,\n# \n3,NA,4\n"),
    ] {
        sandbox.write("x.csv", table.as_bytes());
        let line = format!("run -q -w w -i x.csv -o y.csv {flags}");
        sandbox.rnn(&line).succeeds();
        let expected = String::from_utf8(sandbox.bytes("y.csv")).unwrap();
        assert_eq!(stream(&sandbox, flags, table).succeeds().stdout_text(), expected, "{table:?}");
    }
    for nothing in ["", "\n", "a,b\n"] {
        assert_eq!(stream(&sandbox, "--names a,b,c", nothing).succeeds().stdout_text(), "");
    }
}

#[test]
fn a_state_goes_on_with_the_next_rows() {
    let sandbox = layer();
    let rows = ["0.5,1\n", "1.5,-2\n", "3,4e-3\n"];
    let whole = stream(&sandbox, "", &rows.concat()).succeeds().stdout_text();
    let parts = rows.map(|row| stream(&sandbox, "--state s.npz", row).succeeds().stdout_text());
    assert_eq!(parts.concat(), whole);
    assert_eq!(super::count(&sandbox), 3);
    let alone = stream(&sandbox, "--independent", &rows.concat()).succeeds().stdout_text();
    assert!(alone != whole && whole.starts_with(alone.lines().next().unwrap()));
}

#[test]
fn an_error_names_the_line_behind_the_answers_before_it() {
    let sandbox = layer();
    for (flags, table, message) in [
        ("", "a,b\n1,2.5\n\n3,x\n", "stdin: line 4, column 2 (b): expected a number, got 'x'"),
        ("", "1.5,2\n1\n", "stdin: line 2: expected 2 cells, as in line 1, got 1"),
        (
            "",
            "1.5,2\n1,1e39\n",
            "stdin: line 2, column 2: expected a number that f32 holds, got '1e39'",
        ),
        (
            "--check-finite",
            "1.5,2\n1,nan\n",
            "stdin: line 2: input: expected finite numbers, got NaN at [0, 1]",
        ),
        (
            "",
            "0,1\n0.5,2\n",
            "stdin: line 1: expected names (--header) or numbers (--no-header), got numbers like names above '0.5'",
        ),
    ] {
        let outcome = stream(&sandbox, &format!("{flags} --state s.npz"), table);
        assert_eq!(outcome.stderr.lines().next(), Some(&*format!("rnn: {message}")), "{table:?}");
        assert_eq!((outcome.code, outcome.stdout_text().lines().count()), (Some(65), 1));
        // Numbers that may be names leave no state.
        assert_eq!(sandbox.path("s.npz").exists(), !message.contains("--header"), "{table:?}");
        sandbox.shell("rm -f s.npz").succeeds();
    }
    let outcome = stream(&sandbox, "", "1,2,3\n");
    outcome.fails(65, "rnn: stdin: line 1: input: expected 2 features (input_size) on the last axis, got 3 in shape [1, 3]\n");
    // Comments above the first row are held with it.
    for (bytes, table, line) in [(5, "1.5,2\n1,2\n", 1), (9, "# a\n# b\n# c\n1,2\n", 3)] {
        let outcome = stream(&sandbox, &format!("--max-bytes {bytes}"), table);
        let expected = format!(
            "rnn: stdin: line {line}: expected a line of at most {bytes} bytes (--max-bytes)"
        );
        assert!(outcome.stderr.starts_with(&expected), "{outcome:?}");
    }
}

#[test]
fn what_is_no_table_is_refused() {
    let sandbox = layer();
    sandbox.rnn("randn -q --shape 2,2 -o x.npy").succeeds();
    for (bytes, message) in [
        (
            &sandbox.bytes("x.npy")[..],
            "stdin: expected a table of numbers, got a single .npy array",
        ),
        (
            b"\xff\xfe1\x00,\x002\x00\n\x00",
            "stdin: expected a table of numbers, got what looks like text in UTF-16",
        ),
        (
            b"<p>\n",
            "stdin: line 1, column 1: expected a table of numbers, got what looks like HTML or XML",
        ),
    ] {
        let outcome = sandbox.rnn_with(&["stream", "-q", "-w", "w", "--csv"], bytes);
        assert_eq!(outcome.stderr.lines().next(), Some(&*format!("rnn: {message}")));
        assert_eq!(outcome.code, Some(65));
    }
}

#[test]
fn a_reader_that_leaves_ends_the_stream_silently() {
    let sandbox = layer();
    let script = "set -o pipefail; yes 0.5,1 | rnn stream -q -w w --csv | head -n 1 | wc -l";
    let outcome = sandbox.shell(script);
    assert_eq!((outcome.stdout_text().trim(), outcome.stderr.as_str()), ("1", ""));
}

#[test]
fn another_encoding_is_a_note() {
    let sandbox = layer();
    let line = "stream -w w --csv --keep 1";
    let words: Vec<_> = line.split_whitespace().collect();
    let outcome = sandbox.rnn_with(&words, b"name,a,b\nK\xf6ln,1,2\nBonn,3,4\n");
    let notes: Vec<_> = outcome.stderr.lines().filter(|line| line.starts_with("note")).collect();
    assert_eq!(notes, ["note: stdin: the text is not UTF-8, and is read as Latin-1"]);
    assert!(outcome.stdout_text().contains("\nKöln,"), "{outcome:?}");
}
