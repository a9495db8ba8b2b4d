//! `rnn unpack`: padded tensors, lengths and single sequences in the original order; back from `rnn pack`
//! byte for byte; and what is refused.

use ndarray::{ArrayD, arr2, array};

use crate::support::{Sandbox, integers, npy};

/// `p.npz`: the sequences 1 2, 3 4 5, and 6, as PyTorch packs them.
fn given() -> Sandbox {
    let sandbox = Sandbox::new();
    let data = array![3.0_f32, 1.0, 6.0, 4.0, 2.0, 5.0].into_dyn();
    let indices = integers(&[1, 0, 2]);
    sandbox.save_npz(
        "p.npz",
        &[
            ("data", &data),
            ("batch_sizes", &integers(&[3, 2, 1])),
            ("sorted_indices", &indices),
            ("unsorted_indices", &indices),
        ],
    );
    sandbox
}

/// Fails the test unless `rnn unpack` with these words gives this padded tensor.
#[track_caller]
fn gives<const N: usize>(sandbox: &Sandbox, words: &str, expected: &[[f32; N]]) {
    sandbox.rnn(&format!("unpack -q -i p.npz -o padded.npy {words}")).succeeds();
    assert!(sandbox.bytes("padded.npy") == npy(&arr2(expected).into_dyn()), "{words}");
}

#[test]
fn a_padded_tensor_and_its_lengths() {
    let sandbox = given();
    gives(&sandbox, "--lengths lengths.npy", &[[1.0, 3.0, 6.0], [2.0, 4.0, 0.0], [0.0, 5.0, 0.0]]);
    assert!(sandbox.bytes("lengths.npy") == npy(&integers(&[2, 3, 1])));
    gives(&sandbox, "--batch-first", &[[1.0, 2.0, 0.0], [3.0, 4.0, 5.0], [6.0, 0.0, 0.0]]);
}

#[test]
fn padding_of_any_length_and_number() {
    let sandbox = given();
    gives(
        &sandbox,
        "--total-length 4 --padding-value -1",
        &[[1.0, 3.0, 6.0], [2.0, 4.0, -1.0], [-1.0, 5.0, -1.0], [-1.0; 3]],
    );
    for (word, x) in [("nan", f32::NAN), ("-inf", f32::NEG_INFINITY), ("-0.5", -0.5)] {
        gives(
            &sandbox,
            &format!("--padding-value {word} --batch-first"),
            &[[1.0, 2.0, x], [3.0, 4.0, 5.0], [6.0, x, x]],
        );
    }
}

#[test]
fn padding_on_the_left() {
    let sandbox = given();
    gives(&sandbox, "--padding-side left", &[[0.0, 3.0, 0.0], [1.0, 4.0, 0.0], [2.0, 5.0, 6.0]]);
    gives(
        &sandbox,
        "--padding-side left --batch-first --total-length 5 --padding-value 9",
        &[[9.0, 9.0, 9.0, 1.0, 2.0], [9.0, 9.0, 3.0, 4.0, 5.0], [9.0, 9.0, 9.0, 9.0, 6.0]],
    );
}

#[test]
fn one_tensor_for_each_sequence() {
    let sandbox = given();
    sandbox.rnn("unpack -q -i p.npz -o own.npz --lengths lengths.npy").succeeds();
    assert_eq!(sandbox.members("own.npz"), ["0", "1", "2"]);
    for (row, expected) in [&[1.0, 2.0][..], &[3.0, 4.0, 5.0], &[6.0]].into_iter().enumerate() {
        let own = sandbox.load::<f32>(&format!("own.npz:{row}"));
        assert_eq!((own.shape(), own.as_slice().unwrap()), (&[expected.len()][..], expected));
    }
    assert!(sandbox.bytes("lengths.npy") == npy(&integers(&[2, 3, 1])));
}

/// As PyTorch packs what is sorted.
#[test]
fn without_indices_sequences_are_in_order() {
    let sandbox = given();
    let data = array![1.0_f32, 2.0, 3.0].into_dyn();
    sandbox.save_npz("p.npz", &[("data", &data), ("batch_sizes", &integers(&[2, 1]))]);
    gives(&sandbox, "--lengths lengths.npy", &[[1.0, 2.0], [3.0, 0.0]]);
    assert!(sandbox.bytes("lengths.npy") == npy(&integers(&[2, 1])));
}

/// One list says what the other is. The original order was 3, 1, 2 by length.
#[test]
fn either_list_of_indices_is_enough() {
    let sandbox = given();
    let (data, sizes) = (array![1.0_f32, 2.0, 3.0, 4.0].into_dyn(), integers(&[3, 1]));
    for (name, indices) in [("sorted_indices", [1, 2, 0]), ("unsorted_indices", [2, 0, 1])] {
        let own = integers(&indices);
        sandbox.save_npz("p.npz", &[("data", &data), ("batch_sizes", &sizes), (name, &own)]);
        gives(&sandbox, "", &[[3.0, 1.0, 2.0], [0.0, 4.0, 0.0]]);
    }
}

/// Whole numbers of any type are sizes and indices.
#[test]
fn sizes_may_be_floats() {
    let sandbox = given();
    let data = array![1.0_f32, 2.0, 3.0].into_dyn();
    sandbox
        .save_npz("p.npz", &[("data", &data), ("batch_sizes", &array![2.0_f64, 1.0].into_dyn())]);
    gives(&sandbox, "", &[[1.0, 2.0], [3.0, 0.0]]);
}

#[test]
fn sequences_without_steps_come_back() {
    let sandbox = given();
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![2, 3, 2]).view());
    sandbox.rnn("pack -q -i x.npy --lengths 0,2,0 -o p.npz").succeeds();
    sandbox.rnn("unpack -q -i p.npz -o own.npz --lengths lengths.npy").succeeds();
    let shapes = [0, 1, 2].map(|n| sandbox.load::<f32>(&format!("own.npz:{n}")).shape().to_vec());
    assert_eq!(shapes, [[0, 2], [2, 2], [0, 2]]);
    assert!(sandbox.bytes("lengths.npy") == npy(&integers(&[0, 2, 0])));
    // None of them has any.
    sandbox.rnn("pack -q -i x.npy --lengths 0,0,0 -o p.npz").succeeds();
    for (words, shape) in [("", [0, 3, 2]), ("--total-length 4", [4, 3, 2])] {
        for side in ["left", "right"] {
            let line = format!("unpack -q -i p.npz -o padded.npy {words} --padding-side {side}");
            sandbox.rnn(&line).succeeds();
            assert_eq!(sandbox.load::<f32>("padded.npy").shape(), shape);
        }
    }
}

#[test]
fn a_packed_sequence_of_nothing() {
    let sandbox = given();
    let data = ArrayD::<f32>::zeros(vec![0, 2]);
    sandbox.save_npz("p.npz", &[("data", &data), ("batch_sizes", &integers(&[]))]);
    for side in ["left", "right"] {
        sandbox.rnn(&format!("unpack -q -i p.npz -o padded.npy --padding-side {side}")).succeeds();
        assert_eq!(sandbox.load::<f32>("padded.npy").shape(), [0, 0, 2]);
    }
}

/// With f64, several axes of features, and both layouts and sides.
#[test]
fn pack_and_unpack_are_each_others_inverse() {
    let sandbox = Sandbox::new();
    sandbox.rnn("randn -q --shape 6,4,3,2 --dtype f64 -o x.npy").succeeds();
    for flags in ["", "--padding-side left", "--batch-first", "--batch-first --padding-side left"] {
        // The tensor has 6 steps of 4 sequences, or 4 of 6.
        let lengths = if flags.contains("first") { "2,4,0,4,1,3" } else { "5,0,6,2" };
        let script = format!(
            "set -e -o pipefail
            rnn pack -q -i x.npy --lengths {lengths} {flags} -o p.npz
            rnn unpack -q -i p.npz -o padded.npy --lengths l.npy {flags} --padding-value 4
            rnn pack -q -i padded.npy --lengths l.npy {flags} -o again.npz
            cmp p.npz again.npz
            cat p.npz | rnn unpack -q -i - -o - {flags} --padding-value 4 | cmp - padded.npy"
        );
        sandbox.shell(&script).succeeds();
        let [x, padded] = ["x.npy", "padded.npy"].map(|name| sandbox.load::<f64>(name));
        assert_eq!(x.shape(), padded.shape());
        let is_padding = |x: &f64| x.to_bits() == 4.0_f64.to_bits();
        let same = |(x, own): (&f64, &f64)| is_padding(own) || x.to_bits() == own.to_bits();
        assert!(x.iter().zip(&padded).all(same), "{flags}");
        let steps: usize = lengths.split(',').map(|length| length.parse::<usize>().unwrap()).sum();
        let kept = padded.iter().filter(|x| !is_padding(x)).count();
        assert_eq!(kept, steps * 6, "{flags}");
    }
}

#[test]
fn ragged_archives_come_back_through_a_pipe() {
    let sandbox = Sandbox::new();
    let own = |steps: usize| ArrayD::from_elem(vec![steps, 2], steps as f32);
    sandbox.save_npz("own.npz", &[("0", &own(2)), ("1", &own(3)), ("2", &own(1))]);
    let script = "set -o pipefail
        rnn pack -q -i own.npz -o - | rnn unpack -q -i - -o again.npz && cmp own.npz again.npz";
    sandbox.shell(script).succeeds();
}

#[test]
fn the_report_names_the_written_tensors() {
    let sandbox = given();
    let report = |words: &str| sandbox.rnn(&format!("unpack {words}")).succeeds().stdout_text();
    let padded = "padded   [3, 3]  f32  a.npy\nlengths  [3]     i64  l.npy\n";
    assert_eq!(report("-i p.npz -o a.npy --lengths l.npy"), padded);
    let own = "0  [2]  f32  a.npz\n1  [3]  f32  a.npz\n2  [1]  f32  a.npz\n";
    assert_eq!(report("-i p.npz -o a.npz"), own);
}

#[test]
fn whole_numbers_stay_what_they_are() {
    let sandbox = given();
    sandbox.save_npz("p.npz", &[("data", &integers(&[7, 8])), ("batch_sizes", &integers(&[2]))]);
    let report = sandbox.rnn("unpack -i p.npz -o a.npy").succeeds().stdout_text();
    assert_eq!(report, "padded  [1, 2]  i64  a.npy\n");
    sandbox
        .rnn("unpack -i p.npz -o a.npy --padding-value 0.5")
        .fails(65, "rnn: --padding-value: expected a number that i64 holds, got 0.5\n");
    sandbox.rnn("unpack -q -i p.npz -o a.npy --padding-value -1 --total-length 2").succeeds();
    assert_eq!(sandbox.load::<f64>("a.npy"), ndarray::array![[7.0, 8.0], [-1.0, -1.0]].into_dyn());
}

/// PyTorch's own functions, if a Python has them, read the fields of `rnn pack`.
#[test]
#[allow(clippy::print_stderr, reason = "a test that is skipped says why")]
fn pytorch_reads_packed_archives() {
    let sandbox = Sandbox::new();
    if sandbox.shell("python3 -c 'import numpy, torch'").code != Some(0) {
        eprintln!("skipped: there is no python3 with numpy and torch");
        return;
    }
    let script = "set -e
        rnn randn -q --shape 6,4,3 -o x.npy
        rnn pack -q -i x.npy --lengths 5,1,6,2 -o p.npz
        rnn unpack -q -i p.npz -o padded.npy --padding-value 7
        python3 -c \"
import numpy as np, torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
x, lengths = torch.from_numpy(np.load('x.npy')), torch.tensor([5, 1, 6, 2])
theirs = pack_padded_sequence(x, lengths, enforce_sorted=False)
p = np.load('p.npz')
print(all(torch.equal(getattr(theirs, n), torch.from_numpy(p[n])) for n in theirs._fields))
ours = PackedSequence(*(torch.from_numpy(p[n]) for n in theirs._fields))
padded, _ = pad_packed_sequence(ours, padding_value=7.0)
print(torch.equal(padded, torch.from_numpy(np.load('padded.npy'))))\"";
    assert_eq!(sandbox.shell(script).succeeds().stdout_text(), "True\nTrue\n");
}

/// Runs each line, and expects this code, this message, and nothing new in the folder.
#[track_caller]
fn refused(sandbox: &Sandbox, cases: &[(&str, i32, &str)]) {
    let before = sandbox.names();
    for &(words, code, message) in cases {
        sandbox.rnn(&format!("unpack -q {words}")).fails(code, message);
        assert_eq!(sandbox.names(), before, "{words}");
    }
}

#[test]
fn inputs_that_are_not_packed() {
    let sandbox = given();
    let (a, b) = (ArrayD::<f32>::zeros(vec![2, 3]), ArrayD::<f32>::zeros(vec![2]));
    sandbox.save("x.npy", &a.view());
    sandbox.save_npz("ragged.npz", &[("a", &a), ("b", &a)]);
    sandbox.save_npz("mess.npz", &[("data", &a), ("sizes", &b)]);
    sandbox.save_npz("sum.npz", &[("data", &a), ("batch_sizes", &integers(&[3, 1]))]);
    sandbox.save_npz("minus.npz", &[("data", &a), ("batch_sizes", &integers(&[3, -1]))]);
    refused(
        &sandbox,
        &[
            (
                "-i x.npy -o y.npy",
                65,
                "rnn: x.npy: expected a packed sequence (data, batch_sizes), got none\n",
            ),
            (
                "-i ragged.npz -o y.npz",
                65,
                "rnn: ragged.npz: expected a packed sequence (data, batch_sizes), got none\n",
            ),
            (
                "-i mess.npz -o y.npz",
                65,
                "rnn: mess.npz: expected one member, a packed sequence (data, batch_sizes), or sequences (seq_len, input_size) of one input_size, got data, sizes\n",
            ),
            (
                "-i sum.npz -o y.npy",
                65,
                "rnn: sum.npz: packed sequence: data: expected 4 rows, the sum of batch_sizes, got 2\n",
            ),
            (
                "-i minus.npz -o y.npy",
                65,
                "rnn: minus.npz:batch_sizes: expected whole numbers, got -1 at [1]\n",
            ),
            ("-i none.npz -o y.npy", 66, "rnn: none.npz: No such file or directory (os error 2)\n"),
        ],
    );
}

#[test]
fn padding_that_cannot_be() {
    let message = |line: &str| {
        format!(
            "rnn: --total-length: expected at least 3, the length of row 1, got 2\nhint: rnn unpack -q -i p.npz -o y.npy {line}--total-length 3\n"
        )
    };
    refused(
        &given(),
        &[
            ("-i p.npz -o y.npy --total-length 2", 65, &message("")),
            (
                "-i p.npz -o y.npy --total-length 2 --padding-side left",
                65,
                &message("--padding-side left "),
            ),
            (
                "-i p.npz -o y.npz --batch-first",
                2,
                "rnn: y.npz: expected .npy or - for a padded tensor (--batch-first), got .npz\nhint: rnn unpack -q -i p.npz --batch-first -o y.npy\n",
            ),
            (
                "-i p.npz -o y.npz --padding-side right --padding-value 0 --total-length 3",
                2,
                "rnn: y.npz: expected .npy or - for a padded tensor (--padding-value and --padding-side and --total-length), got .npz\nhint: rnn unpack -q -i p.npz --padding-side right --padding-value 0 --total-length 3 -o y.npy\n",
            ),
            (
                "-i p.npz -o y.npy --total-length -1",
                2,
                "rnn: --total-length: expected a whole number of at least 1, got '-1'\nhint: rnn unpack --help\n",
            ),
            (
                "-i p.npz -o y.npy --padding-value x",
                2,
                "rnn: --padding-value: expected a number, nan, inf or -inf, got 'x'\nhint: rnn unpack --help\n",
            ),
        ],
    );
}

#[test]
fn outputs_that_cannot_be() {
    let both = |name: &str| {
        format!(
            "rnn: expected two files, got {name} for both\nhint: rnn unpack -q -i p.npz -o y.npy --lengths lengths.npy\n"
        )
    };
    refused(
        &given(),
        &[
            (
                "-i p.npz -o y.txt",
                2,
                "rnn: y.txt: expected .npy or - for a tensor, got .txt\nhint: rnn unpack -q -i p.npz -o y.npy\n",
            ),
            (
                "-i p.npz -o y.npy --lengths l.npz",
                2,
                "rnn: l.npz: expected .npy or - for a tensor, got .npz\nhint: rnn unpack -q -i p.npz -o y.npy --lengths l.npy\n",
            ),
            ("-i p.npz -o y.npy --lengths y.npy", 2, &both("y.npy")),
            // The same file, in other words.
            ("-i p.npz -o y.npy --lengths ./y.npy", 2, &both("./y.npy")),
            (
                "-i p.npz -o - --lengths -",
                2,
                "rnn: expected two files, got stdout for both\nhint: rnn unpack -q -i p.npz -o - --lengths lengths.npy\n",
            ),
            (
                "-i p.npz -o - --lengths /dev/stdout",
                2,
                "rnn: expected two files, got /dev/stdout for both\nhint: rnn unpack -q -i p.npz -o - --lengths lengths.npy\n",
            ),
            (
                "-i p.npz -o none/y.npy",
                73,
                "rnn: none/y.npy: cannot be written: No such file or directory (os error 2)\n",
            ),
            (
                "-i p.npz -o y.npy --lengths none/l.npy",
                73,
                "rnn: none/l.npy: cannot be written: No such file or directory (os error 2)\n",
            ),
            (
                "-i p.npz -o p.npz --no-clobber",
                73,
                "rnn: p.npz: cannot be written: exists, and --no-clobber keeps it\n",
            ),
        ],
    );
}
