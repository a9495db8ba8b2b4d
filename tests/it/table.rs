//! Tables: text in, text out, and nothing lost between.

use std::time::{Duration, Instant};

use elman::Element;
use ndarray::{ArrayD, array};
use proptest::prelude::*;

use crate::support::{Outcome, Sandbox, npy, without_measured};

/// A table of two features, and what it says as .npy.
const TABLE: &[u8] = b"1,2\n-3,0.5\n4e-1,nan\n";

fn numbers() -> ArrayD<f32> {
    array![[1.0, 2.0], [-3.0, 0.5], [0.4, f32::NAN]].into_dyn()
}

/// A folder with `x.csv`, `x.npy` and weights `w` for two features.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", TABLE);
    sandbox.save("x.npy", &numbers().view());
    sandbox.rnn("init -q --input-size 2 --hidden 3 --layers 2 -o w").succeeds();
    sandbox
}

/// Runs `rnn` in a fresh sandbox with this text as `x.csv`.
fn run(text: &str, line: &str) -> Outcome {
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", text.as_bytes());
    sandbox.rnn(line)
}

#[test]
fn a_table_is_the_same_as_its_tensor() {
    let sandbox = sandbox();
    let expected = sandbox.rnn("run -q -w w -i x.npy -o -").succeeds().stdout;
    for line in ["run -q -w w -i x.csv -o -", "run -q -w w -i x.csv -o - --columns 1,2"] {
        assert_eq!(sandbox.rnn(line).succeeds().stdout, expected, "{line}");
    }
    for line in ["run -q -w w -i - -o -", "run -q -w w -i /dev/stdin -o -"] {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(sandbox.rnn_with(&words, TABLE).succeeds().stdout, expected, "{line}");
    }
    let pipeline = "printf '1,2\\n3,4\\n' | rnn run -q -i - --hidden 3 -o - | rnn run -i - --hidden 1 -q -o y.csv";
    sandbox.shell(&format!("set -o pipefail; {pipeline}")).succeeds();
    assert_eq!(sandbox.load::<f32>("y.csv").shape(), [2, 1]);
}

#[test]
fn a_pipeline_of_text_has_a_report() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.shell("printf '1,2\\n3,4\\n' | rnn run -i - --hidden 3 -o - -v > y.npy");
    assert_eq!((outcome.code, outcome.stdout_text().as_str()), (Some(0), ""));
    let report = without_measured(&outcome.stderr);
    let plan = report.find("note: plan").unwrap();
    assert_eq!(
        report[..plan],
        *"RNN(2, 3), tanh, f32, 21 parameters\n\
          weights  fresh\n\
          seed     67280421310721\n\
          input    [2, 2] seq_len 2, input_size 2      f32  stdin\n\
          h_0      [1, 3] num_layers 1, hidden_size 3  f32  zeros\n\
          output   [2, 3] seq_len 2, hidden_size 3     f32  stdout\n\
          h_n      [1, 3] num_layers 1, hidden_size 3  f32\n\
          eval, kernel K, T threads, S s\n\
          note: stdin: input: recognised as table, commas between columns, without a line of names\n"
    );
    assert_eq!(sandbox.load::<f32>("y.npy").shape(), [2, 3]);
}

/// Text has no type of its own: it is read as what the layer computes in, without a word.
#[test]
fn text_becomes_what_the_layer_is() {
    let sandbox = sandbox();
    sandbox.rnn("init -q --input-size 2 --hidden 3 --dtype f64 -o w64").succeeds();
    sandbox.save("x64.npy", &array![[1.0, 2.0], [-3.0, 0.5], [0.4, f64::NAN]].into_dyn().view());
    let expected = sandbox.rnn("run -q -w w64 -i x64.npy -o -").succeeds().stdout;
    let outcome = sandbox.rnn("run -w w64 -i x.csv -o y.npy").succeeds();
    assert_eq!(sandbox.bytes("y.npy"), expected);
    assert!(!outcome.stdout_text().contains("note"), "{}", outcome.stdout_text());
    assert!(outcome.stdout_text().contains("f64  x.csv\n"), "{}", outcome.stdout_text());
}

#[test]
fn states_and_lengths_out_of_text() {
    let sandbox = sandbox();
    sandbox.rnn("run -q -w w -i x.npy --hn h.npy").succeeds();
    sandbox.rnn("run -q -w w -i x.npy --hn h.csv --last l.tsv -o y.csv").succeeds();
    let expected = sandbox.rnn("run -q -w w -i x.npy --h0 h.npy -o -").succeeds().stdout;
    assert_eq!(sandbox.rnn("run -q -w w -i x.npy --h0 h.csv -o -").succeeds().stdout, expected);
    let stream = |h_0: &str| {
        let line = format!("stream -q -w w --h0 {h_0}");
        let words: Vec<_> = line.split(' ').collect();
        sandbox.rnn_with(&words, &sandbox.bytes("x.npy")).succeeds().stdout
    };
    assert_eq!(stream("h.csv"), stream("h.npy"));
    // One sequence has one last output: a single row, the last one of the output.
    let (y, last) = (sandbox.bytes("y.csv"), sandbox.bytes("l.tsv"));
    let (y, last) = (String::from_utf8(y).unwrap(), String::from_utf8(last).unwrap());
    assert_eq!(y.lines().last().unwrap(), last.trim_end().replace('\t', ","));

    sandbox.rnn("randn -q --shape 5,3,2 -o b.npy").succeeds();
    let expected = sandbox.rnn("run -q -w w -i b.npy --lengths 5,3,2 -o -").succeeds().stdout;
    for lengths in ["5\n3\n2\n", "length\n5\n3.0\n2\n", "5,3,2\n", "5\r\n3\r\n2"] {
        sandbox.write("lengths.txt", lengths.as_bytes());
        let line = "run -q -w w -i b.npy --lengths lengths.txt -o -";
        assert_eq!(sandbox.rnn(line).succeeds().stdout, expected, "{lengths}");
    }
    for (lengths, message) in [
        ("5\n3\n", "expected 3 lengths, one for each sequence of the batch, got 2"),
        (
            "5\n3\n1.5\n",
            "row 2: expected a whole number from 0 to 5, the steps of the input, got 1.5",
        ),
        ("1,2\n3,4\n", "expected lengths in shape [batch], got shape [2, 2]"),
        ("5\n3\ntwo\n", "line 3, column 1: expected a number, got 'two'"),
    ] {
        sandbox.write("lengths.txt", lengths.as_bytes());
        sandbox
            .rnn("run -q -w w -i b.npy --lengths lengths.txt -o y.npy")
            .fails(65, &format!("rnn: lengths.txt: {message}\n"));
    }
}

#[test]
fn columns_are_chosen_by_name_or_number() {
    let sandbox = sandbox();
    let expected = sandbox.rnn("run -q -w w -i x.npy -o -").succeeds().stdout;
    sandbox.write("t.csv", "time;b;größe\n9:00;2;1\n9:15;0.5;-3\n9:30;nan;0.4\n".as_bytes());
    for columns in ["größe,b", "3,2", "größe,2"] {
        let line = format!("run -q -w w -i t.csv --columns {columns} -o -");
        assert_eq!(sandbox.rnn(&line).succeeds().stdout, expected, "{columns}");
    }
    sandbox
        .rnn("run -w w -i t.csv")
        .fails(65, "rnn: t.csv: line 2, column 1 (time): expected a number, got '9:00'\nhint: rnn run -w w -i t.csv --columns 'b,größe'\n");
    sandbox.rnn("run -w w -i t.csv --columns b,c").fails(
        65,
        "rnn: t.csv: columns: expected one of time, b, größe, or a number from 1 to 3, got 'c'\n",
    );
    sandbox
        .rnn("run -w w -i x.csv --columns 0,1")
        .fails(65, "rnn: x.csv: columns: expected a number from 1 to 2, got '0'\n");
    sandbox.rnn("run -w w -i x.npy --columns=1,2 -q").fails(
        2,
        "rnn: x.npy: expected a table with --columns, got none\nhint: rnn run -w w -i x.npy -q\n",
    );
    sandbox.rnn("pack -i x.npy --lengths 1,1 --columns 1 -o p.npz").fails(
        2,
        "rnn: x.npy: expected a table with --columns, got none\n\
         hint: rnn pack -i x.npy --lengths 1,1 -o p.npz\n",
    );
}

/// A table as (L, N): each column is a sequence of numbers.
#[test]
fn tables_can_be_packed() {
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", b"day,a,b\nMon,1,2\nTue,3,0\n");
    sandbox.save("x.npy", &array![[1.0_f32, 2.0], [3.0, 0.0]].into_dyn().view());
    let expected = sandbox.rnn("pack -q -i x.npy --lengths 2,1 -o -").succeeds().stdout;
    let outcome = sandbox.rnn("pack -i x.csv --columns a,b --lengths 2,1 -o p.npz").succeeds();
    assert_eq!(sandbox.bytes("p.npz"), expected);
    assert!(!outcome.stdout_text().contains("note"), "{}", outcome.stdout_text());
}

/// A row whose number is missing is not lost without a word.
#[test]
fn names_that_are_numbers_are_a_warning() {
    let report = run("a,2\n3,4\n", "run -i x.csv --hidden 3 -o y.csv").succeeds().stdout_text();
    let last = report.lines().last().unwrap();
    let expected =
        "warning: x.csv: the first line is taken for names of columns, with numbers among them: 2";
    assert_eq!(last, expected);
}

#[test]
fn what_is_no_table_is_explained() {
    for (text, message) in [
        ("", "empty file; expected .npy, .npz or a table, got 0 bytes"),
        ("\n\n", "expected a table of numbers, got blank lines"),
        ("a,b\n1,2\n1,x\n", "line 3, column 2 (b): expected a number, got 'x'"),
        ("1,2\n3,4,5\n", "line 2: expected 2 cells, as in line 1, got 3"),
        ("a,b\n", "input: expected seq_len of at least 1, got 0 in shape [0, 2]"),
        (
            "{\"x\": [1, 2]}\n",
            "line 1, column 1: expected a table of numbers, got what looks like JSON",
        ),
        (
            "<!DOCTYPE html>\n<html>\n",
            "line 1, column 1: expected a table of numbers, got what looks like HTML or XML",
        ),
    ] {
        run(text, "run -i x.csv --hidden 3").fails(65, &format!("rnn: x.csv: {message}\n"));
    }
    // Weights are no tables, wherever they stand.
    let sandbox = sandbox();
    sandbox.write("w/weight_ih_l0.npy", TABLE);
    sandbox
        .rnn("run -w w -i x.csv")
        .fails(65, "rnn: w/weight_ih_l0.npy: expected .npy or .npz, got what looks like text\n");
    sandbox.write("t.npz", TABLE);
    sandbox
        .rnn("run -i t.npz:x --hidden 3")
        .fails(65, "rnn: t.npz:x: expected an .npz archive, got text\n");
}

#[test]
fn tables_have_two_dimensions() {
    let sandbox = sandbox();
    sandbox.rnn("randn -q --shape 5,3,2 -o b.npy").succeeds();
    sandbox.write("y.csv", b"old");
    for (line, name, shape, hint) in [
        ("-i b.npy -o y.csv", "output", "[5, 3, 3]", "-i b.npy -o y.npy"),
        ("-i b.npy --hn y.csv", "h_n", "[2, 3, 3]", "-i b.npy --hn y.npy"),
        (
            "-i b.npy --lengths 5,3,2 --total-length 7 -o y.csv",
            "output",
            "[7, 3, 3]",
            "-i b.npy --lengths 5,3,2 --total-length 7 -o y.npy",
        ),
        (
            "-i x.npy --split-directions -o y.csv",
            "output",
            "[3, 1, 3]",
            "-i x.npy --split-directions -o y.npy",
        ),
    ] {
        sandbox.rnn(&format!("run -w w {line}")).fails(
            2,
            &format!(
                "rnn: y.csv: {name}: expected rows and columns for a table, got shape {shape}\n\
                 hint: rnn run -w w {hint}\n"
            ),
        );
        assert_eq!(sandbox.bytes("y.csv"), b"old");
    }
    sandbox.rnn("randn --shape 2,3,4 -o y.tsv").fails(
        2,
        "rnn: y.tsv: randn: expected rows and columns for a table, got shape [2, 3, 4]\n\
         hint: rnn randn --shape 2,3,4 -o y.npy\n",
    );
    // The last outputs of a batch have two.
    sandbox.rnn("run -q -w w -i b.npy --last l.csv").succeeds();
    sandbox.rnn("run -q -w w -i b.npy --last l.npy").succeeds();
    assert_eq!(sandbox.load::<f32>("l.csv"), sandbox.load::<f32>("l.npy"));
}

#[test]
fn text_for_a_look() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn -q --seed 0 --shape 2,1,3 -o x.txt").succeeds();
    let expected = "[0, :, :]\n 1.5410  -0.2934  -2.1788\n\n[1, :, :]\n 0.5684  -1.0845  -1.3986\n";
    assert_eq!(String::from_utf8(sandbox.bytes("x.txt")).unwrap(), expected);
}

/// An output that would be written in parts as .npy is held whole as text, and so is a table.
#[test]
fn large_tables_are_held_whole() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn -q --shape 100000,2 -o x.npy").succeeds();
    let line = "run --hidden 200 -i x.npy -q --report none --hn h.npy -o";
    sandbox.rnn(&format!("{line} y.npy")).succeeds();
    sandbox.rnn(&format!("{line} y.csv")).succeeds();
    assert!(sandbox.load::<f32>("y.csv") == sandbox.load::<f32>("y.npy"));
    sandbox.rnn("randn -q --shape 100000,2 -o x.csv").succeeds();
    let outcome = sandbox.rnn("run --hidden 200 -i x.csv -o z.npy");
    assert_eq!(outcome.stderr, "note: input and output are held whole: 80800000 bytes\n");
    assert!(sandbox.bytes("z.npy") == sandbox.bytes("y.npy"));
}

#[test]
fn many_rows_are_read_in_no_time() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn -q --shape 100000,8 -o x.csv").succeeds();
    let start = Instant::now();
    sandbox.rnn("run -q -i x.csv --hidden 1 --hn h.csv").succeeds();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Writes as .csv what `randn` draws, and reads it back.
#[test]
fn random_numbers_come_back_bit_for_bit() {
    let sandbox = Sandbox::new();
    for dtype in ["f32", "f64"] {
        for file in ["x.npy", "x.csv", "x.tsv"] {
            sandbox.rnn(&format!("randn -q --shape 50,7 --dtype {dtype} -o {file}")).succeeds();
        }
        let same = |bits: &dyn Fn(&str) -> Vec<u8>| {
            assert_eq!(bits("x.csv"), bits("x.npy"));
            assert_eq!(bits("x.tsv"), bits("x.npy"));
        };
        match dtype {
            "f32" => same(&|file| npy(&sandbox.load::<f32>(file))),
            _ => same(&|file| npy(&sandbox.load::<f64>(file))),
        }
    }
}

/// Writes a table of these numbers and reads it back.
fn there_and_back<T: Element>(numbers: &[T], width: usize) -> Vec<u8> {
    let sandbox = Sandbox::new();
    let rows = numbers.len() / width;
    let array =
        ArrayD::from_shape_vec(vec![rows, width], numbers[..rows * width].to_vec()).unwrap();
    let mut text = Vec::new();
    elman::files::TensorFormat::Csv.write(&mut text, &array.view()).unwrap();
    sandbox.write("x.csv", &text);
    npy(&sandbox.load::<T>("x.csv"))
}

proptest! {
    #[test]
    fn f32_there_and_back(bits in prop::collection::vec(any::<u32>(), 8..64), width in 1..8_usize) {
        // Of NaN there is one.
        let number = |bits: u32| Some(f32::from_bits(bits)).filter(|x| !x.is_nan()).unwrap_or(f32::NAN);
        let numbers: Vec<_> = bits.into_iter().map(number).collect();
        let rows = numbers.len() / width;
        let array = ArrayD::from_shape_vec(vec![rows, width], numbers[..rows * width].to_vec()).unwrap();
        prop_assert_eq!(there_and_back(&numbers, width), npy(&array));
    }

    #[test]
    fn f64_there_and_back(bits in prop::collection::vec(any::<u64>(), 8..64), width in 1..8_usize) {
        let number = |bits: u64| Some(f64::from_bits(bits)).filter(|x| !x.is_nan()).unwrap_or(f64::NAN);
        let numbers: Vec<_> = bits.into_iter().map(number).collect();
        let rows = numbers.len() / width;
        let array = ArrayD::from_shape_vec(vec![rows, width], numbers[..rows * width].to_vec()).unwrap();
        prop_assert_eq!(there_and_back(&numbers, width), npy(&array));
    }
}

/// A first row with decimal commas is no line of names, and its numbers are not lost.
#[test]
fn decimal_commas_are_no_names() {
    for text in ["1,5;2,5\n3,5;4,5\n", "1;2,5\n"] {
        let (column, found) = if text.starts_with("1,5") { (1, "1,5") } else { (2, "2,5") };
        run(text, "run -i x.csv --hidden 3").fails(
            65,
            &format!(
                "rnn: x.csv: line 1, column {column}: expected a number with a decimal point, got '{found}' \
                 (tr , . makes points of commas)\n"
            ),
        );
    }
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", b"1,5;2,5\n3,5;4,5\n");
    sandbox
        .shell("set -o pipefail; tr , . < x.csv | rnn run -q -i - --hidden 3 -o y.csv")
        .succeeds();
    assert_eq!(sandbox.load::<f32>("y.csv").shape(), [2, 3]);
}

#[test]
fn numbers_that_a_type_does_not_hold_are_refused() {
    for (cell, dtype, hint) in [
        ("1e39", "f32", "hint: rnn run -i x.csv --hidden 3 -q --dtype f64\n"),
        ("-3.4028236e38", "f32", "hint: rnn run -i x.csv --hidden 3 -q --dtype f64\n"),
        ("1e400", "f64", ""),
    ] {
        let message = format!(
            "rnn: x.csv: line 3, column 2 (b): expected a number that {dtype} holds, got '{cell}'\n{hint}"
        );
        run(&format!("a,b\n1,2\n3,{cell}\n"), "run -i x.csv --hidden 3 -q").fails(65, &message);
    }
    // The largest number of the type, and infinity that is meant.
    for cell in ["3.40282356e38", "inf", "-Infinity"] {
        run(&format!("1,2\n3,{cell}\n"), "run -i x.csv --hidden 3 -q -o y.csv").succeeds();
    }
    run("1,2\n3,1e39\n", "run -i x.csv --hidden 3 -q -o y.csv --dtype f64").succeeds();
    run("1,2\n3,1e39\n", "pack -i x.csv --lengths 1,1 -o p.npz")
        .fails(65, "rnn: x.csv: line 2, column 2: expected a number that f32 holds, got '1e39'\n");
}

#[test]
fn columns_of_one_name_and_names_with_commas() {
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", b"a,\"b, x\",a\n1,2,3\n");
    let columns = |columns: &str| {
        let words = ["run", "-i", "x.csv", "--hidden", "3", "-q", "-o", "-", "--columns", columns];
        sandbox.rnn_with(&words, &[])
    };
    columns("a,a")
        .fails(65, "rnn: x.csv: columns: expected one column, got 'a', the name of both 1 and 3\n");
    columns("b, x").fails(
        65,
        "rnn: x.csv: columns: expected one of a, \"b, x\", a, or a number from 1 to 3, got 'b'\n",
    );
    let expected = columns("1,2").succeeds().stdout;
    assert_eq!(columns("1,\"b, x\"").succeeds().stdout, expected);
}

/// Each stands for a kind of table that was read wrongly without a word.
#[test]
fn an_unclear_first_line_needs_a_flag() {
    let sandbox = Sandbox::new();
    for (text, place, flags) in [
        (
            ",\n1,2\n3,4\n",
            ", column 1: expected names (--header) or numbers (--no-header), got an empty cell",
            ", or --no-header if it is numbers",
        ),
        (
            "NA,NA\n1,2\n",
            ", column 1: expected names (--header) or numbers (--no-header), got 'NA'",
            ", or --no-header if it is numbers",
        ),
        (
            "1 000,2 000\n1,2\n",
            ", column 1: expected names (--header) or numbers (--no-header), got '1 000'",
            "",
        ),
        (
            "0,1\n0.5,0.25\n",
            ": expected names (--header) or numbers (--no-header), got numbers like names above '0.5'",
            ", or --no-header if it is numbers",
        ),
    ] {
        sandbox.write("t.csv", text.as_bytes());
        sandbox.rnn("run --hidden 2 -i t.csv -o y.npy").fails(
            65,
            &format!(
                "rnn: t.csv: line 1{place}\nhint: if the line names the columns{flags}: \
                 rnn run --hidden 2 -i t.csv -o y.npy --header\n"
            ),
        );
        let rows = text.lines().count();
        sandbox.rnn("run -q --hidden 2 -i t.csv --header -o y.npy").succeeds();
        assert_eq!(sandbox.load::<f32>("y.npy").shape(), [rows - 1, 2]);
    }
    sandbox.rnn("run -q --hidden 2 -i t.csv --no-header -o y.npy").succeeds();
    assert_eq!(sandbox.load::<f32>("y.npy").shape(), [2, 2]);
    for command in ["info t.csv", "diff t.csv y.npy", "pack -i t.csv --lengths 1,1 -o p.npz"] {
        assert_eq!(sandbox.rnn(command).code, Some(65), "{command}");
        let code = sandbox.rnn(&format!("{command} --no-header")).code;
        assert!(matches!(code, Some(0 | 1)), "{command}");
    }
    let both = sandbox.rnn("run --hidden 2 -i t.csv --header --no-header");
    assert_eq!(both.code, Some(2));
    sandbox
        .rnn("info y.npy --header")
        .fails(2, "rnn: y.npy: expected a table with --header, got none\nhint: rnn info y.npy\n");
}

#[test]
fn missing_values_are_refused_by_line_and_column() {
    let sandbox = Sandbox::new();
    sandbox.write("t.csv", b"1.0\n\"\"\n3.0\n");
    sandbox.rnn("run --hidden 2 -i t.csv").fails(
        65,
        "rnn: t.csv: line 2, column 1: expected a number, got an empty cell\n\
         hint: rnn run --hidden 2 -i t.csv --missing nan\n",
    );
    sandbox.rnn("run -q --hidden 2 -i t.csv --missing nan -o y.npy").succeeds();
    let output = sandbox.load::<f32>("y.npy");
    assert_eq!((output.shape(), output[[1, 0]].is_nan()), (&[3, 2][..], true));
    assert_eq!(sandbox.rnn("run --hidden 2 -i t.csv --missing zero").code, Some(2));
}

#[test]
fn columns_without_a_name_or_a_number_are_noticed() {
    let sandbox = Sandbox::new();
    sandbox.write("t.csv", b",a,b\n0,1.5,2\n1,3,4\n");
    let text = sandbox.rnn("info t.csv").succeeds().stdout_text();
    let warning = "\nwarning: t.csv: the first column has no name, as an index that pandas writes: \
                   --columns leaves it out\n";
    assert!(text.ends_with(warning), "{text}");
    let text = sandbox.rnn("info t.csv --columns a,b").succeeds().stdout_text();
    assert!(!text.contains("warning"), "{text}");
    sandbox.write("t.csv", b"1.5,b\n3,4\n");
    let text = sandbox.rnn("info t.csv").succeeds().stdout_text();
    let warning = "\nwarning: t.csv: the first line is taken for names of columns, with numbers among them: 1.5\n";
    assert!(text.ends_with(warning), "{text}");
    // It changes the numbers, so --quiet does not silence it.
    sandbox.rnn("init --input-size 2 --hidden 1 -o w -q").succeeds();
    let said =
        "note: t.csv: the first line is taken for names of columns, with numbers among them: 1.5\n";
    assert_eq!(sandbox.shell("rnn run -w w -i t.csv -o y.npy -q").stderr, said);
    let stream = sandbox.shell("rnn stream --csv -w w -q < t.csv");
    assert_eq!(stream.stderr, said.replace("t.csv", "stdin"));
    // Separators at the ends of lines are a column of nothing.
    sandbox.write("t.csv", b"a,b,\n1.5,2,\n3,4,\n");
    sandbox.rnn("info t.csv").fails(
        65,
        "rnn: t.csv: line 2, column 3: expected a number, got an empty cell\n\
         hint: rnn info t.csv --columns a,b\n",
    );
    sandbox.write("t.csv", b"a|b\n1.5|2\n");
    sandbox.rnn("info t.csv").fails(
        65,
        "rnn: t.csv: line 2, column 1 (a|b): expected commas, semicolons or tabs between numbers, got '1.5|2'\n",
    );
    sandbox.write("t.csv", b"\xff\xfea\0,\0b\0");
    let stderr = sandbox.rnn("run --hidden 2 -i t.csv").stderr;
    let hint = "\nhint: iconv -f UTF-16 -t UTF-8 FILE > table.csv makes a table of it\n";
    assert!(stderr.ends_with(hint), "{stderr}");
}

#[test]
fn blanks_comments_and_other_encodings_are_read() {
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", b"a,b\n1,2\n3,0.5\n");
    let line = "run -q --hidden 2 -o - -i";
    let expected = sandbox.rnn(&format!("{line} x.csv")).succeeds().stdout;
    for text in [
        "a b\n1 2\n3 0.5\n",
        "1.000e+00 2.000e+00\n3.000e+00 5.000e-01\n",
        "# a,b\n1.0,2.0\n3.0,0.5\n",
        "  1   2\n  3 0.5\n# end\n",
    ] {
        sandbox.write("t.txt", text.as_bytes());
        assert_eq!(sandbox.rnn(&format!("{line} t.txt")).succeeds().stdout, expected, "{text}");
    }
    sandbox.write("t.txt", b"gr\xf6\xdfe;b\n1;2\n3;0.5\n");
    let outcome =
        sandbox.rnn("run --hidden 2 -i t.txt --columns gr\u{f6}\u{df}e,b -o y.npy").succeeds();
    let note = "note: t.txt: the text is not UTF-8, and is read as Latin-1\n";
    assert!(outcome.stdout_text().ends_with(note), "{}", outcome.stdout_text());
    assert_eq!(sandbox.bytes("y.npy"), expected);
    let info = sandbox.rnn("info x.csv").succeeds().stdout_text();
    assert!(info.contains("\nnames  a, b, from the first line\n"), "{info}");
}

#[test]
fn columns_of_numbers_and_near_names_are_suggested() {
    let sandbox = Sandbox::new();
    sandbox.take("cases/stock.csv");
    sandbox.rnn("info stock.csv").fails(
        65,
        "rnn: stock.csv: line 2, column 1 (Date): expected a number, got '2025-05-15'\n\
         hint: rnn info stock.csv --columns Open,Close,Volume\n",
    );
    sandbox.rnn("run --hidden 2 -i stock.csv --columns close,volume").fails(
        65,
        "rnn: stock.csv: columns: expected one of Date, Open, Close, Volume, Ticker, or a number from 1 to 5, got 'close'\n\
         hint: rnn run --hidden 2 -i stock.csv --columns Close,Volume\n",
    );
    sandbox.rnn("info stock.csv --columns Open,Close,Volume").succeeds();
}

/// The first rows of a table of prices, and a layer without weights that matter.
fn stock() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "stock.csv",
        b"Date,Close,Volume,\"Note, short\"\n2025-05-15,0.5,0.25,a\n2025-05-16,1,0,\"b, c\"\n2025-05-17,-1,0.5,\n",
    );
    sandbox.rnn("init -q --input-size 2 --hidden 2 -o w").succeeds();
    sandbox
}

#[test]
fn copied_columns_and_names_stand_before_and_above_the_numbers() {
    let sandbox = stock();
    let run = "run -q -w w -i stock.csv --columns Close,Volume -o";
    let plain = sandbox.rnn(&format!("{run} y.csv")).succeeds();
    assert_eq!(plain.stdout_text(), "");
    let plain = String::from_utf8(sandbox.bytes("y.csv")).unwrap();
    let lines: Vec<_> = plain.lines().collect();
    let text = |flags: &str| {
        let outcome = sandbox.rnn(&format!("{run} - --format csv {flags}"));
        outcome.succeeds().stdout_text()
    };
    assert_eq!(text(""), plain);
    assert_eq!(text("--names up,down"), format!("up,down\n{plain}"));
    let dates = ["2025-05-15", "2025-05-16", "2025-05-17"];
    let rows: String =
        dates.iter().zip(&lines).map(|(date, line)| [date, ",", line, "\n"].concat()).collect();
    let top = text("--pool last --top 2 --names unit,x,other,y");
    let (first, row) = top.split_once('\n').unwrap();
    assert_eq!((first, row.split(',').count()), ("unit,x,other,y", 4));
    assert_eq!(text("--keep Date --names up,down"), format!("Date,up,down\n{rows}"));
    assert_eq!(text("--keep 1"), format!("Date,output_0,output_1\n{rows}"));
    let words = ["run", "-q", "-w", "w", "-i", "stock.csv", "-o", "-", "--format", "csv"];
    let keep = ["--keep", "Date,\"Note, short\"", "--columns", "Close,Volume"];
    let outcome = sandbox.rnn_with(&[&words[..], &keep].concat(), &[]).succeeds().stdout_text();
    let first = "Date,\"Note, short\",output_0,output_1\n";
    assert!(
        outcome.starts_with(&format!("{first}2025-05-15,a,{}\n2025-05-16,\"b, c\",", lines[0]))
    );
    // All other columns are numbers.
    sandbox.write("three.csv", b"day,a,b\nmon,0.5,0.25\ntue,1,0\n");
    let outcome = sandbox.rnn("run -q -w w -i three.csv -o - --format tsv --keep day").succeeds();
    let expected = format!("day\toutput_0\toutput_1\nmon\t{}\n", lines[0].replace(',', "\t"));
    assert!(outcome.stdout_text().starts_with(&expected));
}

#[test]
fn copied_columns_and_names_are_refused_without_a_table() {
    let sandbox = stock();
    let run = "run -q -w w -i stock.csv --columns Close,Volume";
    let refused = |flags: &str, code: i32, message: &str| {
        let outcome = sandbox.rnn(&format!("{run} {flags}"));
        let (first, _) = outcome.stderr.split_once('\n').unwrap();
        assert_eq!((outcome.code, first), (Some(code), &*format!("rnn: {message}")), "{flags}");
    };
    let table = |flag: &str| format!("expected a .csv or .tsv as output with {flag}, got none");
    refused("--keep Date", 2, &table("--keep"));
    refused("--names a,b -o y.npy", 2, &table("--names"));
    refused("--format csv -o y.npy", 2, "expected an output to - with --format, got none");
    refused("--names a -o y.csv", 2, "--names: expected 2 names, one for each column, got 1");
    let names = "--names: expected 4 names, one for each column, got 1";
    refused("--names a -o y.csv --pool last --top 2", 2, names);
    let shape = "--keep: expected a table as input and an output with a row for each of its rows, got an output of shape [2]";
    refused("--keep Date -o y.csv --pool last", 65, shape);
    refused(
        "--keep When -o y.csv",
        65,
        "stock.csv: columns: expected one of Date, Close, Volume, \"Note, short\", or a number from 1 to 4, got 'When'",
    );
    assert!(!sandbox.names().contains(&"y.csv".to_owned()));
}

#[test]
fn h_n_of_one_sequence_is_a_table() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init -q --input-size 2 --hidden 3 --layers 2 -o w").succeeds();
    sandbox.rnn("randn -q --shape 4,1,2 -o x.npy").succeeds();
    sandbox.rnn("run -q -w w -i x.npy --hn h.csv -o y.npy").succeeds();
    sandbox.rnn("run -q -w w -i x.npy --hn h.npy -o y.npy").succeeds();
    sandbox.rnn("convert -q h.npy flat.csv --slice :,0").succeeds();
    assert_eq!(sandbox.bytes("h.csv"), sandbox.bytes("flat.csv"));
}

#[test]
fn saturated_outputs_are_warned_of_once() {
    let sandbox = stock();
    let warning = "warning: big.csv: more than 90 % of the outputs are beyond 0.999, where tanh is flat: is the \
                   input scaled as in training?\n";
    sandbox.write("big.csv", b"930000,910000\n920000,900000\n");
    let text = sandbox.rnn("run -w w -i big.csv -o y.npy").succeeds().stdout_text();
    assert_eq!(text.matches(warning).count(), 1, "{text}");
    let text = sandbox.rnn("run -w w -i stock.csv --columns 2,3 -o y.npy").succeeds().stdout_text();
    assert!(!text.contains("warning"), "{text}");
    sandbox.rnn("init -q --input-size 2 --hidden 2 --nonlinearity relu -o relu").succeeds();
    let text = sandbox.rnn("run -w relu -i big.csv -o y.npy").succeeds().stdout_text();
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn tables_of_a_folder_have_names_and_copied_columns_too() {
    let sandbox = stock();
    sandbox.shell("mkdir in && cp stock.csv in/a.csv && cp stock.csv in/b.csv").succeeds();
    let flags = "--columns Close,Volume --keep Date --names up,down";
    sandbox.rnn(&format!("run -q -w w -i stock.csv {flags} -o y.csv")).succeeds();
    sandbox.rnn(&format!("run -q -w w -i in {flags} -o out/")).succeeds();
    for name in ["out/a.csv", "out/b.csv"] {
        assert_eq!(sandbox.bytes(name), sandbox.bytes("y.csv"));
    }
    sandbox.rnn("randn -q --shape 4,2 -o in/c.npy").succeeds();
    let outcome = sandbox.rnn("run -q -w w -i in --names up,down --columns 2,3 -o out/");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("in/c.npy: "), "{outcome:?}");
}
