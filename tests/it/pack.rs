//! `rnn pack`: the fields of PyTorch's `PackedSequence`, number for number, and what is refused.

use ndarray::{ArrayD, Axis, arr1};

use crate::support::{Sandbox, integers, npy};

/// `x.npy` of 4 steps of 3 sequences, without features: 1 to 12 in order; and `ragged.npz`, the members of
/// which have 2, 3, 0 and 2 steps of 2 features.
fn given() -> Sandbox {
    let sandbox = Sandbox::new();
    let x = ArrayD::from_shape_vec(vec![4, 3], (1_i16..=12).map(f32::from).collect()).unwrap();
    sandbox.save("x.npy", &x.view());
    let own = |first: i16, steps: usize| {
        let values = (first..).map(f32::from).take(steps * 2).collect();
        ArrayD::from_shape_vec(vec![steps, 2], values).unwrap()
    };
    let [a, b, c, d] = [own(1, 2), own(11, 3), own(0, 0), own(21, 2)];
    sandbox.save_npz("ragged.npz", &[("a", &a), ("b", &b), ("c", &c), ("d", &d)]);
    sandbox
}

/// Fails the test unless `p.npz` has these fields, and no others.
#[track_caller]
fn fields(sandbox: &Sandbox, expected: &[(&str, &[f64])]) {
    let names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(sandbox.members("p.npz"), names);
    for &(name, numbers) in expected {
        let found = sandbox.load::<f64>(&format!("p.npz:{name}"));
        assert_eq!(found.iter().copied().collect::<Vec<_>>(), numbers, "{name}");
    }
}

#[test]
fn a_padded_batch() {
    let sandbox = given();
    sandbox.rnn("pack -q -i x.npy --lengths 2,4,1 -o p.npz").succeeds();
    let expected: [(&str, &[f64]); 4] = [
        ("data", &[2.0, 1.0, 3.0, 5.0, 4.0, 8.0, 11.0]),
        ("batch_sizes", &[3.0, 2.0, 1.0, 1.0]),
        ("sorted_indices", &[1.0, 0.0, 2.0]),
        ("unsorted_indices", &[1.0, 0.0, 2.0]),
    ];
    fields(&sandbox, &expected);
    // The same with the axes in the other order.
    let x = sandbox.load::<f32>("x.npy");
    sandbox.save("x.npy", &x.t());
    sandbox.rnn("pack -q -i x.npy --lengths 2,4,1 --batch-first -o p.npz").succeeds();
    fields(&sandbox, &expected);
}

/// The inverse of a permutation is not always itself.
#[test]
fn indices_and_their_inverse() {
    let sandbox = given();
    sandbox.rnn("pack -q -i x.npy --lengths 1,2,3 -o p.npz").succeeds();
    let reversed = [2.0, 1.0, 0.0];
    fields(
        &sandbox,
        &[
            ("data", &[3.0, 2.0, 1.0, 6.0, 5.0, 9.0]),
            ("batch_sizes", &[3.0, 2.0, 1.0]),
            ("sorted_indices", &reversed),
            ("unsorted_indices", &reversed),
        ],
    );
    sandbox.rnn("pack -q -i x.npy --lengths 1,3,2 -o p.npz").succeeds();
    fields(
        &sandbox,
        &[
            ("data", &[2.0, 3.0, 1.0, 5.0, 6.0, 8.0]),
            ("batch_sizes", &[3.0, 2.0, 1.0]),
            ("sorted_indices", &[1.0, 2.0, 0.0]),
            ("unsorted_indices", &[2.0, 0.0, 1.0]),
        ],
    );
}

/// PyTorch gives no order among them.
#[test]
fn sequences_of_one_length_stay_in_their_order() {
    let sandbox = given();
    sandbox.rnn("pack -q -i x.npy --lengths 1,2,1 -o p.npz").succeeds();
    fields(
        &sandbox,
        &[
            ("data", &[2.0, 1.0, 3.0, 5.0]),
            ("batch_sizes", &[3.0, 1.0]),
            ("sorted_indices", &[1.0, 0.0, 2.0]),
            ("unsorted_indices", &[1.0, 0.0, 2.0]),
        ],
    );
}

/// PyTorch refuses a length of zero; here it is a sequence that the indices know of.
#[test]
fn a_sequence_without_steps_is_in_the_indices_alone() {
    let sandbox = given();
    sandbox.rnn("pack -q -i x.npy --lengths 0,1,2 -o p.npz").succeeds();
    fields(
        &sandbox,
        &[
            ("data", &[3.0, 2.0, 6.0]),
            ("batch_sizes", &[2.0, 1.0]),
            ("sorted_indices", &[2.0, 1.0, 0.0]),
            ("unsorted_indices", &[2.0, 1.0, 0.0]),
        ],
    );
    let indices: (&str, &[f64]) = ("sorted_indices", &[0.0, 1.0, 2.0]);
    sandbox.rnn("pack -q -i x.npy --lengths 0,0,0 -o p.npz").succeeds();
    let none: [(&str, &[f64]); 2] = [("data", &[]), ("batch_sizes", &[])];
    fields(&sandbox, &[none[0], none[1], indices, ("unsorted_indices", indices.1)]);
}

#[test]
fn sorted_sequences_have_no_indices() {
    let sandbox = given();
    sandbox.rnn("pack -q -i x.npy --lengths 4,2,1 --enforce-sorted -o p.npz").succeeds();
    fields(
        &sandbox,
        &[("data", &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0]), ("batch_sizes", &[3.0, 2.0, 1.0, 1.0])],
    );
    // Nothing else would tell of those without steps.
    sandbox.rnn("pack -q -i x.npy --lengths 1,0,0 --enforce-sorted -o p.npz").succeeds();
    let indices: &[f64] = &[0.0, 1.0, 2.0];
    fields(
        &sandbox,
        &[
            ("data", &[1.0]),
            ("batch_sizes", &[1.0]),
            ("sorted_indices", indices),
            ("unsorted_indices", indices),
        ],
    );
}

#[test]
fn sequences_of_their_own_lengths() {
    let sandbox = given();
    sandbox.rnn("pack -q -i ragged.npz -o p.npz").succeeds();
    fields(
        &sandbox,
        &[
            (
                "data",
                &[11.0, 12.0, 1.0, 2.0, 21.0, 22.0, 13.0, 14.0, 3.0, 4.0, 23.0, 24.0, 15.0, 16.0],
            ),
            ("batch_sizes", &[3.0, 3.0, 1.0]),
            ("sorted_indices", &[1.0, 0.0, 3.0, 2.0]),
            ("unsorted_indices", &[1.0, 0.0, 3.0, 2.0]),
        ],
    );
    assert_eq!(sandbox.load::<f32>("p.npz:data").shape(), [7, 2]);
}

#[test]
fn a_single_sequence() {
    let sandbox = given();
    sandbox.save_npz("one.npz", &[("own", &sandbox.load::<f32>("ragged.npz:b"))]);
    sandbox.rnn("pack -q -i one.npz -o p.npz").succeeds();
    fields(
        &sandbox,
        &[
            ("data", &[11.0, 12.0, 13.0, 14.0, 15.0, 16.0]),
            ("batch_sizes", &[1.0, 1.0, 1.0]),
            ("sorted_indices", &[0.0]),
            ("unsorted_indices", &[0.0]),
        ],
    );
    // With lengths it is a padded tensor, of two sequences.
    sandbox.rnn("pack -q -i one.npz --lengths 1,0 -o p.npz").succeeds();
    assert_eq!(sandbox.load::<f32>("p.npz:data").shape(), [1]);
}

#[test]
fn padding_on_the_left() {
    let sandbox = given();
    sandbox.save("t.npy", &sandbox.load::<f32>("x.npy").t());
    for input in ["x.npy", "t.npy --batch-first"] {
        let line = format!("pack -q -i {input} --lengths 2,4,1 --padding-side left -o p.npz");
        sandbox.rnn(&line).succeeds();
        fields(
            &sandbox,
            &[
                // The sequences begin with 7, with 2, and with 12.
                ("data", &[2.0, 7.0, 12.0, 5.0, 10.0, 8.0, 11.0]),
                ("batch_sizes", &[3.0, 2.0, 1.0, 1.0]),
                ("sorted_indices", &[1.0, 0.0, 2.0]),
                ("unsorted_indices", &[1.0, 0.0, 2.0]),
            ],
        );
    }
}

#[test]
fn the_report_names_every_field() {
    let sandbox = given();
    let outcome = sandbox.rnn("pack -i x.npy --lengths 2,4,1 -o p.npz").succeeds();
    let report = "data              [7]  f32  p.npz
batch_sizes       [4]  i64  p.npz
sorted_indices    [3]  i64  p.npz
unsorted_indices  [3]  i64  p.npz
";
    assert_eq!(outcome.stdout_text(), report);
}

/// The numbers keep their type, as in PyTorch.
#[test]
fn types_of_the_data() {
    let sandbox = given();
    sandbox.write("i.npy", &npy(&integers(&[1, 2]).insert_axis(Axis(0))));
    let outcome = sandbox.rnn("pack -i i.npy --lengths 1,0 -o p.npz").succeeds();
    assert!(outcome.stdout_text().starts_with("data              [1]  i64  p.npz\n"));
    assert!(!outcome.stdout_text().contains("note"));
    sandbox.write("i.npy", &npy(&integers(&[i64::MAX, 2]).insert_axis(Axis(0))));
    sandbox.rnn("pack -q -i i.npy --lengths 1,1 --batch-first -o p.npz").fails(65, "rnn: --lengths: expected 1 length, one for each sequence of the batch, got 2\nhint: axis 1 of the input has 2, one for each length: rnn pack -q -i i.npy --lengths 1,1 -o p.npz\n");
    sandbox.rnn("pack -q -i i.npy --lengths 1,1 -o p.npz").succeeds();
    sandbox.rnn("unpack -q -i p.npz -o u.npy").succeeds();
    assert!(sandbox.bytes("u.npy").ends_with(
        &i64::MAX.to_le_bytes().iter().chain(&2_i64.to_le_bytes()).copied().collect::<Vec<_>>()
    ));
    sandbox.rnn("diff --exact -q i.npy u.npy").succeeds();
    sandbox.save("d.npy", &arr1(&[0.1, 0.2]).insert_axis(Axis(0)).view().into_dyn());
    let outcome = sandbox.rnn("pack -i d.npy --lengths 1,0 -o p.npz").succeeds();
    assert!(outcome.stdout_text().starts_with("data              [1]  f64  p.npz\n"));
    assert_eq!(sandbox.load::<f64>("p.npz:data"), arr1(&[0.1]).into_dyn());
}

/// Runs each line, and expects this code, this message, and nothing new in the folder.
#[track_caller]
fn refused(sandbox: &Sandbox, cases: &[(&str, i32, &str)]) {
    let before = sandbox.names();
    for &(words, code, message) in cases {
        sandbox.rnn(&format!("pack -q {words}")).fails(code, message);
        assert_eq!(sandbox.names(), before, "{words}");
    }
}

#[test]
fn lengths_that_do_not_fit() {
    let sandbox = given();
    sandbox.save("line.npy", &arr1(&[1.0_f32]).view().into_dyn());
    sandbox.write("two.npy", &npy(&integers(&[4, 1])));
    let of = |found: &str| {
        format!(
            "rnn: --lengths: row 1: expected a whole number from 0 to 4, the steps of the input, got {found}\n"
        )
    };
    refused(
        &sandbox,
        &[
            (
                "-i x.npy --lengths 3,2,1,0 -o p.npz",
                65,
                "rnn: --lengths: expected 3 lengths, one for each sequence of the batch, got 4\nhint: axis 0 of the input has 4, one for each length: rnn pack -q -i x.npy --lengths 3,2,1,0 -o p.npz --batch-first\n",
            ),
            (
                "-i x.npy --lengths 3,2,1 --batch-first -o p.npz",
                65,
                "rnn: --lengths: expected 4 lengths, one for each sequence of the batch, got 3\nhint: axis 1 of the input has 3, one for each length: rnn pack -q -i x.npy --lengths 3,2,1 -o p.npz\n",
            ),
            (
                "-i x.npy --lengths [2,4,1] -o p.npz",
                2,
                "rnn: --lengths: expected whole numbers as in 5,3,2, or a file, got '[2,4,1]'\nhint: rnn pack -q -i x.npy -o p.npz --lengths 2,4,1\n",
            ),
            ("-i x.npy --lengths 2,5,1 -o p.npz", 65, &of("5")),
            ("-i x.npy --lengths 2,-5,1 -o p.npz", 65, &of("-5")),
            ("-i x.npy --lengths 2,.5,1 -o p.npz", 65, &of("0.5")),
            (
                "-i x.npy --lengths two.npy -o p.npz",
                65,
                "rnn: two.npy: expected 3 lengths, one for each sequence of the batch, got 2\n",
            ),
            // Of two files, that which is absent.
            (
                "-i x.npy --lengths none.npy -o p.npz",
                66,
                "rnn: none.npy: No such file or directory (os error 2)\n",
            ),
            (
                "-i line.npy --lengths 1 -o p.npz",
                65,
                "rnn: line.npy: input: expected at least 2 dimensions, (L, N, *), got 1 in shape [1]\n",
            ),
        ],
    );
}

#[test]
fn sequences_that_are_not_sorted() {
    refused(
        &given(),
        &[
            (
                "-i x.npy --lengths 2,4,1 --enforce-sorted -o p.npz",
                65,
                "rnn: x.npy: lengths: expected descending order (enforce_sorted), got 4 in row 1 after 2\n",
            ),
            (
                "-i ragged.npz --enforce-sorted -o p.npz",
                65,
                "rnn: ragged.npz: lengths: expected descending order (enforce_sorted), got 3 in row 1 after 2\n",
            ),
        ],
    );
}

#[test]
fn inputs_of_another_form() {
    let sandbox = given();
    sandbox.rnn("pack -q -i ragged.npz -o packed.npz").succeeds();
    let (a, b) = (ArrayD::<f32>::zeros(vec![2, 3]), ArrayD::<f32>::zeros(vec![2, 4]));
    sandbox.save_npz("widths.npz", &[("a", &a), ("b", &b)]);
    let doubles = ArrayD::<f64>::zeros(vec![2, 3]);
    sandbox.save_npz("mixed.npz", &[("a", &a), ("b", &doubles)]);
    refused(
        &sandbox,
        &[
            (
                "-i mixed.npz -o p.npz",
                65,
                "rnn: mixed.npz:b: expected f32, as other sequences are, got f64\nhint: all of them as f64: rnn convert mixed.npz mixed-f64.npz --dtype f64\n",
            ),
            (
                "-i x.npy -o p.npz",
                2,
                "rnn: x.npy: expected --lengths with a padded tensor, got none\nhint: rnn pack -q -i x.npy -o p.npz --lengths 4,4,4\n",
            ),
            (
                "-i ragged.npz --lengths 2,3,0,2 -o p.npz",
                2,
                "rnn: ragged.npz: expected a padded tensor with --lengths, got sequences that have their own\nhint: rnn pack -q -i ragged.npz -o p.npz\n",
            ),
            (
                "-i packed.npz -o p.npz",
                2,
                "rnn: packed.npz: expected padded or single sequences, got a packed one\n",
            ),
            (
                "-i widths.npz -o p.npz",
                65,
                "rnn: widths.npz: expected one member, a packed sequence (data, batch_sizes), or sequences (seq_len, input_size) of one input_size, got a, b\n",
            ),
            ("-i none.npz -o p.npz", 66, "rnn: none.npz: No such file or directory (os error 2)\n"),
            (
                "-i - --lengths - -o p.npz",
                2,
                "rnn: expected one input from stdin, got - for more than one\n",
            ),
        ],
    );
}

#[test]
fn outputs_that_cannot_be() {
    let sandbox = given();
    sandbox.write("old.npz", b"old");
    refused(
        &sandbox,
        &[
            (
                "-i x.npy --lengths 2,4,1 -o p.npy",
                2,
                "rnn: p.npy: expected .npz or - for tensors, got .npy\nhint: rnn pack -q -i x.npy --lengths 2,4,1 -o p.npz\n",
            ),
            (
                "-i x.npy --lengths 2,4,1 -o none/p.npz",
                73,
                "rnn: none/p.npz: cannot be written: No such file or directory (os error 2)\n",
            ),
            (
                "-i x.npy --lengths 2,4,1 -o old.npz --no-clobber",
                73,
                "rnn: old.npz: cannot be written: exists, and --no-clobber keeps it\n",
            ),
            (
                "-i x.npy --lengths 2,4,1 --padding-side middle -o p.npz",
                2,
                "rnn: invalid value 'middle' for '--padding-side <SIDE>' [possible values: left, right]\nhint: rnn pack --help\n",
            ),
        ],
    );
    assert_eq!(sandbox.bytes("old.npz"), b"old");
}

/// The bytes of every type are moved: through f32, ids above 2^24 would be others.
#[test]
fn every_type_is_packed_and_unpacked_bit_for_bit() {
    let sandbox = Sandbox::new();
    for (descr, size) in [
        ("|b1", 1),
        ("|i1", 1),
        ("<u2", 2),
        (">i2", 2),
        ("<f2", 2),
        ("<i4", 4),
        (">u4", 4),
        ("<f4", 4),
        ("<u8", 8),
        (">f8", 8),
    ] {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (3, 2), }}");
        let numbers: Vec<u8> = (0..6 * size)
            .map(|at| if descr == "|b1" { at & 1 } else { (at % 37) * 5 + 1 })
            .collect();
        sandbox.write("x.npy", &crate::support::bytes::npy(&header, &numbers));
        sandbox.rnn("pack -q -i x.npy --lengths 3,3 -o p.npz").succeeds();
        sandbox.rnn("unpack -q -i p.npz -o y.npy").succeeds();
        sandbox.rnn("diff --exact -q x.npy y.npy").succeeds();
        let little: Vec<u8> = numbers
            .chunks(usize::from(size))
            .flat_map(|number| {
                let mut number = number.to_vec();
                if descr.starts_with('>') {
                    number.reverse();
                }
                number
            })
            .collect();
        assert!(sandbox.bytes("y.npy").ends_with(&little), "{descr}");
    }
}
