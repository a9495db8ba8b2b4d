//! The errors of `rnn run` about lengths, packed sequences and outputs, word for word.

use elman::files::{AnyArray, StoredType};
use ndarray::ArrayD;

use crate::support::{Sandbox, integers, npy};

/// A layer for 3 features in `w/`, `x.npy`, (5, 3, 3), and a packed and a ragged archive that are right.
fn given() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .shell(
            "set -e
            rnn init -q --input-size 3 --hidden 4 -o w
            rnn randn -q --shape 5,3,3 -o x.npy
            rnn pack -q -i x.npy --lengths 5,3,2 -o packed.npz",
        )
        .succeeds();
    sandbox.save_npz("ragged.npz", &[("a", &rows(2, 3)), ("b", &rows(5, 3))]);
    sandbox
}

fn rows(rows: usize, features: usize) -> ArrayD<f32> {
    ArrayD::zeros(vec![rows, features])
}

/// Runs each line, and expects this code, this message, and nothing new in the folder.
#[track_caller]
fn refused(sandbox: &Sandbox, cases: &[(&str, i32, &str)]) {
    let before = sandbox.names();
    for &(words, code, message) in cases {
        sandbox.rnn(&format!("run -q -w w {words}")).fails(code, message);
        assert_eq!(sandbox.names(), before, "{words}");
    }
}

#[test]
fn lengths_that_no_row_can_have() {
    let of = |row: usize, found: &str| {
        format!(
            "rnn: --lengths: row {row}: expected a whole number from 0 to 5, the steps of the input, got {found}\n"
        )
    };
    let count = |found: usize| {
        format!(
            "rnn: --lengths: expected 3 lengths, one for each sequence of the batch, got {found}\n"
        )
    };
    refused(
        &given(),
        &[
            ("-i x.npy --lengths 6,3,2", 65, &of(0, "6")),
            ("-i x.npy --lengths 5,-1,2", 65, &of(1, "-1")),
            ("-i x.npy --lengths -1,5,2", 65, &of(0, "-1")),
            ("-i x.npy --lengths 5,3,2.5", 65, &of(2, "2.5")),
            ("-i x.npy --lengths nan,3,2", 65, &of(0, "NaN")),
            ("-i x.npy --lengths 5,3", 65, &count(2)),
            ("-i x.npy --lengths 5,3,2,1", 65, &count(4)),
        ],
    );
}

#[test]
fn files_of_lengths_are_named() {
    let sandbox = given();
    sandbox.save("half.npy", &integers(&[10, 5, 4]).mapv(|x| x as f32 / 2.0).view());
    sandbox.write("two.npy", &npy(&integers(&[5, 3])));
    sandbox.write("table.npy", &npy(&ArrayD::<i64>::zeros(vec![1, 3])));
    sandbox.save_npz("many.npz", &[("a", &integers(&[5, 3, 2])), ("b", &integers(&[1]))]);
    refused(
        &sandbox,
        &[
            (
                "-i x.npy --lengths half.npy",
                65,
                "rnn: half.npy: row 1: expected a whole number from 0 to 5, the steps of the input, got 2.5\n",
            ),
            (
                "-i x.npy --lengths two.npy",
                65,
                "rnn: two.npy: expected 3 lengths, one for each sequence of the batch, got 2\n",
            ),
            (
                "-i x.npy --lengths table.npy",
                65,
                "rnn: table.npy: expected lengths in shape [batch], got shape [1, 3]\n",
            ),
            ("-i x.npy --lengths many.npz", 65, "rnn: many.npz: expected one member, got a, b\n"),
            (
                "-i x.npy --lengths many.npz:c",
                65,
                "rnn: many.npz:c: expected a member of that name, got a, b\n",
            ),
            (
                "-i x.npy --lengths none.npy",
                66,
                "rnn: none.npy: No such file or directory (os error 2)\n",
            ),
            (
                "-i - --lengths -",
                2,
                "rnn: expected one input from stdin, got - for more than one\n",
            ),
        ],
    );
}

#[test]
fn flags_of_padding_that_say_nothing() {
    let no_lengths = |flags: &str| {
        format!(
            "rnn: {flags}: expected --lengths, which say where padding begins, got none\nhint: rnn run -q -w w -i x.npy\n"
        )
    };
    refused(
        &given(),
        &[
            (
                "-i x.npy --lengths 5,3,2 --total-length 4",
                65,
                "rnn: --total-length: expected at least 5, the length of row 0, got 4\nhint: rnn run -q -w w -i x.npy --lengths 5,3,2 --total-length 5\n",
            ),
            (
                "-i x.npy --lengths 2,3,3 --total-length 2",
                65,
                "rnn: --total-length: expected at least 3, the length of row 1, got 2\nhint: rnn run -q -w w -i x.npy --lengths 2,3,3 --total-length 3\n",
            ),
            (
                "-i x.npy --lengths 5,3,2 --total-length 0",
                2,
                "rnn: --total-length: expected a whole number of at least 1, got '0'\nhint: rnn run --help\n",
            ),
            ("-i x.npy --total-length 9", 2, &no_lengths("--total-length")),
            ("-i x.npy --padding-value=-9", 2, &no_lengths("--padding-value")),
            (
                "-i x.npy --padding-value 9 --total-length 9 --last l.npy",
                2,
                "rnn: --padding-value and --total-length: expected --lengths, which say where padding begins, got none\nhint: rnn run -q -w w -i x.npy --last l.npy\n",
            ),
            (
                "-i x.npy --lengths 5,3,2 --padding-value x",
                2,
                "rnn: --padding-value: expected a number, nan, inf or -inf, got 'x'\nhint: rnn run --help\n",
            ),
        ],
    );
}

#[test]
fn lengths_beside_sequences_that_have_their_own() {
    let message = |name: &str| {
        format!(
            "rnn: {name}: expected a padded tensor with --lengths, got sequences that have their own\nhint: rnn run -q -w w -i {name}\n"
        )
    };
    let (packed, ragged) = (message("packed.npz"), message("ragged.npz"));
    refused(
        &given(),
        &[
            ("-i packed.npz --lengths 5,3,2", 2, &packed),
            ("-i ragged.npz --lengths 5,3", 2, &ragged),
        ],
    );
}

/// The command of the hint pads the result as a run with lengths does.
#[test]
fn padding_beside_sequences_that_have_their_own_lengths() {
    let sandbox = given();
    let start = "expected a padded tensor and --lengths with";
    let unpack = "rnn unpack -i - -o padded.npy";
    for (words, message, hint) in [
        (
            "-i packed.npz --padding-value nan",
            format!("packed.npz: {start} --padding-value, got a packed sequence"),
            format!("rnn run -q -w w -i packed.npz -o - | {unpack} --padding-value NaN"),
        ),
        (
            "-i packed.npz --lengths 5,3,2 --total-length 7 -o y.npz --padding-value -2",
            format!(
                "packed.npz: {start} --padding-value and --total-length, got a packed sequence"
            ),
            format!(
                "rnn run -q -w w -i packed.npz -o - | {unpack} --padding-value -2 --total-length 7"
            ),
        ),
        (
            "-i ragged.npz --total-length 7 --last l.npy",
            format!("ragged.npz: {start} --total-length, got single sequences"),
            format!(
                "rnn run -q -w w -i ragged.npz --last l.npy -o - | rnn pack -i - -o - | {unpack} --total-length 7"
            ),
        ),
    ] {
        refused(&sandbox, &[(words, 2, &format!("rnn: {message}\nhint: {hint}\n"))]);
        assert_eq!(sandbox.shell(&hint).code, Some(0), "{hint}");
        let steps = if hint.contains("total") { 7 } else { 5 };
        assert_eq!(sandbox.load::<f32>("padded.npy").shape()[0], steps);
        std::fs::remove_file(sandbox.path("padded.npy")).unwrap();
        let _ = std::fs::remove_file(sandbox.path("l.npy"));
    }
    refused(
        &sandbox,
        &[(
            "-i packed.npz --total-length 7 --last -",
            2,
            &format!("rnn: packed.npz: {start} --total-length, got a packed sequence\n"),
        )],
    );
    // A prediction for each sequence has no steps, and indices are not packed.
    for words in ["--pool last", "--argmax", "--top 2"] {
        let line = format!("-i ragged.npz --total-length 7 {words}");
        let expected = format!("rnn: ragged.npz: {start} --total-length, got single sequences\n");
        refused(&sandbox, &[(&line, 2, &expected)]);
    }
}

#[test]
fn lists_that_were_mistyped() {
    let sandbox = given();
    let run = |lengths: &str, hint: &str| {
        let words = ["run", "-q", "-w", "w", "-i", "x.npy", "--lengths", lengths];
        let message = format!(
            "rnn: --lengths: expected whole numbers as in 5,3,2, or a file, got '{lengths}'\nhint: {hint}\n"
        );
        sandbox.rnn_with(&words, &[]).fails(2, &message);
    };
    let right = "rnn run -q -w w -i x.npy --lengths 2,4,1";
    for lengths in ["2,4,1,", "2,,4,1", "2 4 1", "[2,4,1]", "[2, 4, 1]", "2;4;1", "(2,4,1)"] {
        run(lengths, right);
    }
    for lengths in ["5,3,x", "5,,3", "2 4 6", "[]", "1e", "3x"] {
        run(lengths, "rnn run --help");
    }
    refused(
        &sandbox,
        &[
            (
                "-i x.npy --lengths 2024.npy",
                66,
                "rnn: 2024.npy: No such file or directory (os error 2)\n",
            ),
            (
                "-i x.npy --lengths 1,2.npz:a",
                66,
                "rnn: 1,2.npz:a: No such file or directory (os error 2)\n",
            ),
            (
                "-i x.npy --lengths lengths",
                66,
                "rnn: lengths: No such file or directory (os error 2)\n",
            ),
        ],
    );
}

/// The header of a .npy file.
fn header(descr: &str, shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes()].concat()
}

/// No digit is shown that may be another one in the file, and a mask is not taken for lengths.
#[test]
fn lengths_of_other_types() {
    let sandbox = given();
    let file = |descr: &str, body: &[u8]| {
        sandbox.write("l.npy", &[header(descr, "(3,)"), body.to_vec()].concat());
    };
    let start =
        "rnn: l.npy: row 1: expected a whole number from 0 to 5, the steps of the input, got";
    let huge = [5_u64, 1 << 63, 2].map(u64::to_le_bytes).concat();
    let low = [5_i64, i64::MIN, 2].map(i64::to_le_bytes).concat();
    file("<u8", &huge);
    let lines = "-i x.npy --lengths l.npy";
    refused(&sandbox, &[(lines, 65, &format!("{start} 9007199254740992 or more\n"))]);
    file("<i8", &low);
    refused(&sandbox, &[(lines, 65, &format!("{start} -9007199254740992 or less\n"))]);
    file("|b1", &[1, 1, 0]);
    refused(&sandbox, &[(lines, 65, "rnn: l.npy: expected whole numbers, got bool\n")]);
    sandbox.rnn("randn -q --shape 5,3 -o one.npy").succeeds();
    refused(
        &sandbox,
        &[(
            "-i one.npy --lengths 5,3,2",
            65,
            "rnn: --lengths: expected 1 length, one for each sequence of the batch, got 3\n",
        )],
    );
}

#[test]
fn lengths_of_the_other_axis() {
    let sandbox = given();
    let message = "rnn: --lengths: expected 3 lengths, one for each sequence of the batch, got 5\n";
    let line = "run -q -w w -i x.npy --lengths 3,2,1,0,3";
    let hint = format!("axis 0 of the input has 5, one for each length: rnn {line} --batch-first");
    sandbox.rnn(line).fails(65, &format!("{message}hint: {hint}\n"));
    sandbox.rnn(&format!("{line} --batch-first -o y.npy")).succeeds();
    // Of these one is too long for the other order, too.
    sandbox.rnn("run -q -w w -i x.npy --lengths 4,2,1,0,3").fails(65, message);
    let line = "run -q -w w -i x.npy --lengths 5,3,2";
    sandbox.rnn(&format!("{line} --batch-first")).fails(
        65,
        "rnn: --lengths: expected 5 lengths, one for each sequence of the batch, got 3\nhint: axis 1 of the input has 3, one for each length: rnn run -q -w w -i x.npy --lengths 5,3,2 --batch-first=false\n",
    );
    let line = "run -q -w w -i x.npy --lengths 5,3,2";
    // With lengths, another order of the axes would not fit them: zeros do.
    sandbox.rnn("randn -q --shape 1,5,4 -o h.npy").succeeds();
    sandbox.rnn(&format!("{line} --h0 h.npy")).fails(
        65,
        &format!(
            "rnn: h.npy: h_0: expected shape [1, 3, 4], got [1, 5, 4]\nhint: h_0 is zeros without --h0: rnn {line}\n"
        ),
    );
}

#[test]
fn several_arrays_in_one_file() {
    let sandbox = given();
    sandbox.shell("cat x.npy x.npy > two.npy").succeeds();
    let message = "expected one array, got more than one";
    let hint = "hint: for array after array: rnn stream -w w";
    for (words, hint) in [
        ("", format!("{hint} < two.npy > outputs.npy")),
        ("--dtype f64", format!("{hint} --dtype f64 < two.npy > outputs.npy")),
    ] {
        let line = format!("-i two.npy {words}");
        refused(&sandbox, &[(&line, 65, &format!("rnn: two.npy: {message}\n{hint}\n"))]);
    }
    assert_eq!(sandbox.shell("rnn stream -w w < two.npy > outputs.npy").code, Some(0));
    sandbox
        .shell("rnn run -q -w w -i - < two.npy")
        .fails(65, &format!("rnn: stdin: {message}\n{hint} > outputs.npy\n"));
    sandbox.rnn("run -q -i two.npy --hidden 4").fails(65, &format!("rnn: two.npy: {message}\n"));
    sandbox.shell("rnn init -q --input-size 3 --hidden 4 --bidirectional -o both").succeeds();
    let whole = "rnn stream -w both --independent < two.npy > outputs.npy";
    sandbox
        .rnn("run -q -w both -i two.npy")
        .fails(65, &format!("rnn: two.npy: {message}\nhint: for array after array: {whole}\n"));
    assert_eq!(sandbox.shell(whole).code, Some(0));
}

/// NumPy saves the None of a `PackedSequence` without indices as a pickle, which is not read.
#[test]
fn indices_that_numpy_saved_as_objects() {
    let sandbox = given();
    let member = |name: &str| {
        let object = [header("|O", "()"), b"\x80\x04N.".to_vec()].concat();
        object_npz(&sandbox, "objects.npz", name, &object);
        let message = format!(
            "rnn: objects.npz:{name}: expected whole numbers, or no such member, got an object, as NumPy saves None\nhint: leave it out: np.savez('objects.npz', data=packed.data, batch_sizes=packed.batch_sizes)\n"
        );
        refused(&sandbox, &[("-i objects.npz", 65, &message)]);
        sandbox.rnn("unpack -i objects.npz -o y.npy").fails(65, &message);
    };
    member("sorted_indices");
    member("unsorted_indices");
}

/// An archive of a packed sequence with one more member of any bytes.
fn object_npz(sandbox: &Sandbox, file: &str, name: &str, bytes: &[u8]) {
    struct Raw<'a>(&'a [u8], [usize; 1]);
    impl AnyArray for Raw<'_> {
        fn stored(&self) -> StoredType {
            StoredType::U8
        }
        fn shape(&self) -> &[usize] {
            &self.1
        }
        fn write_numbers(&self, writer: &mut dyn std::io::Write) -> std::io::Result<()> {
            writer.write_all(self.0)
        }
        // Without a header of its own.
        fn write(&self, writer: &mut dyn std::io::Write) -> std::io::Result<()> {
            self.write_numbers(writer)
        }
    }
    let raw = Raw(bytes, [bytes.len()]);
    let (data, sizes) = (rows(10, 3), integers(&[3, 3, 2, 1, 1]));
    sandbox.save_npz(file, &[("data", &data), ("batch_sizes", &sizes), (name, &raw)]);
}

#[test]
fn outputs_of_another_form() {
    let archive = |input: &str, found: &str| {
        format!(
            "rnn: y.{found}: expected .npz or - for tensors, got .{found}\nhint: rnn run -q -w w -i {input} -o y.npz\n"
        )
    };
    let tensor = |flag: &str| {
        format!(
            "rnn: y.npz: expected .npy, .csv, .tsv, .txt or - for a tensor, got .npz\nhint: rnn run -q -w w -i x.npy {flag} y.npy\n"
        )
    };
    refused(
        &given(),
        &[
            ("-i packed.npz -o y.npy", 2, &archive("packed.npz", "npy")),
            ("-i ragged.npz -o y.txt", 2, &archive("ragged.npz", "txt")),
            ("-i x.npy -o y.npz", 2, &tensor("-o")),
            ("-i x.npy --hn y.npz", 2, &tensor("--hn")),
            ("-i x.npy --last y.npz", 2, &tensor("--last")),
            (
                "-i x.npy --all-hidden y.npy",
                2,
                "rnn: y.npy: expected .npz or - for tensors, got .npy\nhint: rnn run -q -w w -i x.npy --all-hidden y.npz\n",
            ),
            (
                "-i x.npy -o b.npy --hn a.npy --last ./a.npy",
                2,
                "rnn: expected two files, got a.npy for h_n and last\nhint: rnn run -q -w w -i x.npy -o b.npy --hn a.npy --last last.npy\n",
            ),
            (
                "-i x.npy --last - --all-hidden -",
                2,
                "rnn: expected one tensor on stdout, got - for last and all hidden states\nhint: rnn run -q -w w -i x.npy --last - --all-hidden all.npz\n",
            ),
        ],
    );
}

#[test]
fn archives_of_another_kind() {
    let sandbox = given();
    let (two, wide, cube) = (rows(2, 3), rows(5, 4), ArrayD::<f32>::zeros(vec![2, 3, 3]));
    sandbox.save_npz("widths.npz", &[("a", &two), ("b", &wide)]);
    sandbox.save_npz("mess.npz", &[("a", &two), ("cube", &cube), ("c", &integers(&[1]))]);
    sandbox.save_npz("none.npz", &[]);
    sandbox.save_npz("wide.npz", &[("a", &wide), ("b", &wide)]);
    let double = ArrayD::<f64>::zeros(vec![5, 3]);
    sandbox.save_npz("mixed.npz", &[("a", &two), ("b", &double)]);
    let message = |name: &str, found: &str| {
        format!(
            "rnn: {name}: expected one member, a packed sequence (data, batch_sizes), or sequences (seq_len, input_size) of one input_size, got {found}\n"
        )
    };
    refused(
        &sandbox,
        &[
            ("-i widths.npz", 65, &message("widths.npz", "a, b")),
            ("-i mess.npz", 65, &message("mess.npz", "a, cube, c")),
            ("-i none.npz", 65, "rnn: none.npz: expected one member, got none\n"),
            (
                "-i mixed.npz",
                65,
                "rnn: mixed.npz:b: input: expected f32, as the layer is, got f64\nhint: rnn run -q -w w -i mixed.npz --dtype f32\n",
            ),
            (
                "-i wide.npz",
                65,
                "rnn: wide.npz: input: expected 3 features (input_size) on the last axis, got 4 in shape [10, 4]\nhint: fresh weights for 4 features: rnn init --input-size 4 --hidden-size 4 -o weights-4/\n",
            ),
            (
                "-i packed.npz --h0 x.npy",
                65,
                "rnn: x.npy: h_0: expected shape [1, 3, 4], got [5, 3, 3]\nhint: h_0 is zeros without --h0: rnn run -q -w w -i packed.npz\n",
            ),
        ],
    );
}

#[test]
fn packed_sequences_whose_parts_do_not_belong_together() {
    let sandbox = given();
    let data = rows(10, 3);
    let sizes = integers(&[3, 3, 2, 1, 1]);
    let with_sizes = |sizes: &dyn AnyArray, found: &str| {
        sandbox.save_npz("p.npz", &[("data", &data), ("batch_sizes", sizes)]);
        refused(&sandbox, &[("-i p.npz", 65, &format!("rnn: p.npz{found}\n"))]);
    };
    sandbox.save_npz("p.npz", &[]);
    for (sizes, found) in [
        (
            &[3, 3, 2, 1][..],
            ": packed sequence: data: expected 9 rows, the sum of batch_sizes, got 10",
        ),
        (
            &[3, 3, 1, 2, 1],
            ": packed sequence: batch_sizes: expected at most 1 row in step 3, as in the step before, got 2",
        ),
        (&[5, 5, 0], ": packed sequence: batch_sizes: expected at least 1 row in step 2, got 0"),
        (&[13, -3], ":batch_sizes: expected whole numbers, got -3 at [1]"),
    ] {
        with_sizes(&integers(sizes), found);
    }
    let halves = sizes.mapv(|size| size as f64 / 2.0);
    with_sizes(&halves, ":batch_sizes: expected whole numbers, got 1.5 at [0]");
    let table = ArrayD::<i64>::zeros(vec![2, 3]);
    with_sizes(&table, ":batch_sizes: expected one axis, got shape [2, 3]");

    for (sorted, unsorted, found) in [
        (
            &[0, 1][..],
            &[0, 1][..],
            "packed sequence: sorted_indices: expected at least 3, one for each row of step 0, got 2",
        ),
        (
            &[0, 1, 1],
            &[0, 1, 2],
            "packed sequence: sorted_indices: expected each of 0 to 2 once, got 1 at 2",
        ),
        (
            &[1, 2, 0],
            &[1, 2, 0],
            "packed sequence: unsorted_indices: expected the inverse of sorted_indices, got another list",
        ),
    ] {
        let (sorted, unsorted) = (integers(sorted), integers(unsorted));
        let indices: [(&str, &dyn AnyArray); 2] =
            [("sorted_indices", &sorted), ("unsorted_indices", &unsorted)];
        let fields: [(&str, &dyn AnyArray); 2] = [("data", &data), ("batch_sizes", &sizes)];
        sandbox.save_npz("p.npz", &[fields, indices].concat());
        refused(&sandbox, &[("-i p.npz", 65, &format!("rnn: p.npz: {found}\n"))]);
    }
}

#[test]
fn packed_sequences_with_something_else() {
    let sandbox = given();
    let (data, line, sizes) = (rows(10, 3), ArrayD::<f32>::zeros(vec![10]), integers(&[10]));
    sandbox.save_npz("extra.npz", &[("data", &data), ("batch_sizes", &sizes), ("foo", &sizes)]);
    sandbox.save_npz("line.npz", &[("data", &line), ("batch_sizes", &sizes)]);
    refused(
        &sandbox,
        &[
            (
                "-i extra.npz",
                65,
                "rnn: extra.npz: expected only data, batch_sizes, sorted_indices, unsorted_indices, got data, batch_sizes, foo\n",
            ),
            (
                "-i line.npz",
                65,
                "rnn: line.npz: data: expected 2 dimensions, (rows, H_in), got 1 in shape [10]\n",
            ),
        ],
    );
}
