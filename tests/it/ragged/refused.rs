//! What `rnn run` refuses about lengths, packed sequences and outputs: each message, word for word.

use elman::io::AnyArray;
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
            "rnn: --lengths: row {row}: expected a length from 0 to 5, the steps of the input, got {found}\n"
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
                "rnn: half.npy: row 1: expected a length from 0 to 5, the steps of the input, got 2.5\n",
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
                "rnn: expected one tensor from stdin, got - for more than one\n",
            ),
        ],
    );
}

#[test]
fn flags_of_padding_that_say_nothing() {
    let no_lengths = "rnn: the following required arguments were not provided: --lengths <FILE or N,N>\nhint: rnn run --help\n";
    refused(
        &given(),
        &[
            (
                "-i x.npy --lengths 5,3,2 --total-length 4",
                65,
                "rnn: total_length: expected at least 5, the longest length, got 4\n",
            ),
            (
                "-i x.npy --lengths 5,3,2 --total-length 0",
                2,
                "rnn: --total-length: expected a whole number of at least 1, got '0'\nhint: rnn run --help\n",
            ),
            ("-i x.npy --total-length 9", 2, no_lengths),
            ("-i x.npy --padding-value 9", 2, no_lengths),
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
            ": packed sequence: batch_sizes: expected at most 1 rows in step 3, as in the step before, got 2",
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
