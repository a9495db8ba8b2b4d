//! `rnn run` over sequences of different lengths: each has the bytes that it has alone, whatever form the
//! batch comes in; last outputs, all hidden states, split directions; and what is refused.

mod refused;

use elman::files::{AnyArray, Overwrite, Sink};
use ndarray::{ArrayD, Axis, Slice};

use crate::support::{Sandbox, integers, npy};

/// Of the rows of `x.npy`. They are not sorted, and one is empty.
const LENGTHS: [usize; 4] = [5, 0, 6, 2];

/// Steps of `x.npy`.
const STEPS: usize = 6;

/// A bidirectional layer of 2 layers in `w/`, a padded `x.npy`, `h0.npy`, and for row `n` what it is alone:
/// `x-n.npy`, `h0-n.npy`, and what `rnn run` makes of them in `y-n.npy` and `hn-n.npy`.
fn given(flags: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let batch_first = flags.contains("--batch-first");
    let shape = if batch_first { "4,6,3" } else { "6,4,3" };
    sandbox
        .shell(&format!(
            "set -e
            rnn init -q --input-size 3 --hidden 4 --layers 2 --bidirectional {flags} -o w
            rnn randn -q --shape {shape} -o x.npy
            rnn randn -q --shape 4,4,4 -o h0.npy"
        ))
        .succeeds();
    let (x, h_0) = (sandbox.load::<f32>("x.npy"), sandbox.load::<f32>("h0.npy"));
    for (n, length) in LENGTHS.into_iter().enumerate() {
        let own = x.index_axis(Axis(usize::from(!batch_first)), n);
        let own_h_0 = h_0.index_axis(Axis(1), n);
        sandbox.save(&format!("x-{n}.npy"), &own.slice_axis(Axis(0), Slice::from(..length)));
        sandbox.save(&format!("h0-{n}.npy"), &own_h_0);
        if length == 0 {
            // A tensor without steps is refused, as PyTorch refuses it.
            sandbox.save(&format!("y-{n}.npy"), &ArrayD::<f32>::zeros(vec![0, 8]).view());
            sandbox.save(&format!("hn-{n}.npy"), &own_h_0);
            continue;
        }
        let files = format!("-i x-{n}.npy --h0 h0-{n}.npy -o y-{n}.npy --hn hn-{n}.npy");
        sandbox.rnn(&format!("run -q -w w {files}")).succeeds();
    }
    sandbox
}

/// The outputs of the rows alone, and `padding` up to `total` steps.
fn padded(sandbox: &Sandbox, total: usize, padding: f32, batch_first: bool) -> ArrayD<f32> {
    let mut padded = ArrayD::from_elem(vec![total, 4, 8], padding);
    for (n, length) in LENGTHS.into_iter().enumerate() {
        let mut own = padded.index_axis_mut(Axis(1), n);
        let mut own = own.slice_axis_mut(Axis(0), Slice::from(..length));
        own.assign(&sandbox.load::<f32>(&format!("y-{n}.npy")));
    }
    if batch_first {
        padded.swap_axes(0, 1);
    }
    padded.as_standard_layout().into_owned()
}

/// The states of the rows alone.
fn states(sandbox: &Sandbox) -> ArrayD<f32> {
    let mut states = ArrayD::zeros(vec![4, 4, 4]);
    for n in 0..4 {
        let own = sandbox.load::<f32>(&format!("hn-{n}.npy"));
        states.index_axis_mut(Axis(1), n).assign(&own);
    }
    states
}

/// Fails the test unless a file holds exactly this array.
#[track_caller]
fn holds(sandbox: &Sandbox, name: &str, expected: &ArrayD<f32>) {
    assert!(sandbox.bytes(name) == npy(expected), "{name}: another array than {expected}");
}

/// Fails the test unless two members, or files, hold the same bits in the same shape.
#[track_caller]
fn same(left: &ArrayD<f32>, right: &ArrayD<f32>) {
    assert!(npy(left) == npy(right), "{left} is not {right}");
}

/// Runs `x.npy` from `h0.npy` with these words, and expects each row as it is alone.
#[track_caller]
fn rows_are_as_if_alone(sandbox: &Sandbox, words: &str, stdin: &[u8], expected: &ArrayD<f32>) {
    let line = format!("run -q -w w -i x.npy --h0 h0.npy -o y.npy --hn hn.npy {words}");
    sandbox.rnn_with(&line.split_whitespace().collect::<Vec<_>>(), stdin).succeeds();
    holds(sandbox, "y.npy", expected);
    holds(sandbox, "hn.npy", &states(sandbox));
}

#[test]
fn lengths_of_every_form_give_each_row_as_if_alone() {
    let sandbox = given("");
    let lengths = integers(&LENGTHS.map(|length| i64::try_from(length).unwrap()));
    sandbox.write("lengths.npy", &npy(&lengths));
    sandbox.save_npz("many.npz", &[("other", &integers(&[1])), ("own", &lengths)]);
    sandbox.save("floats.npy", &lengths.mapv(|length| length as f32).view());
    let expected = padded(&sandbox, STEPS, 0.0, false);
    for form in ["5,0,6,2", "lengths.npy", "many.npz:own", "floats.npy", "-"] {
        rows_are_as_if_alone(&sandbox, &format!("--lengths {form}"), &npy(&lengths), &expected);
    }
}

#[test]
fn a_file_wins_over_numbers() {
    let sandbox = given("");
    sandbox.write("1,1,1,1", &npy(&integers(&[5, 0, 6, 2])));
    let expected = padded(&sandbox, STEPS, 0.0, false);
    rows_are_as_if_alone(&sandbox, "--lengths 1,1,1,1", &[], &expected);
}

#[test]
fn padding_is_any_number_and_of_any_length() {
    let sandbox = given("");
    for (word, value) in
        [("0", 0.0), ("nan", f32::NAN), ("-inf", f32::NEG_INFINITY), ("-1.5", -1.5)]
    {
        for total in [STEPS, STEPS + 3] {
            let expected = padded(&sandbox, total, value, false);
            let words = format!("--lengths 5,0,6,2 --padding-value {word} --total-length {total}");
            rows_are_as_if_alone(&sandbox, &words, &[], &expected);
        }
    }
}

/// Fewer than the input has are enough where no sequence needs more.
#[test]
fn total_length_may_be_that_of_the_longest_sequence() {
    let sandbox = given("");
    let line = "run -q -w w -i x.npy --h0 h0.npy --lengths 2,0,2,2 -o y.npy";
    sandbox.rnn(line).succeeds();
    let long = sandbox.load::<f32>("y.npy");
    sandbox.rnn(&format!("{line} --total-length 2")).succeeds();
    holds(&sandbox, "y.npy", &long.slice_axis(Axis(0), Slice::from(..2)).to_owned());
}

#[test]
fn batch_first_changes_the_layout_alone() {
    let sandbox = given("--batch-first");
    for total in [STEPS, STEPS + 1] {
        let expected = padded(&sandbox, total, 7.0, true);
        let words = format!("--lengths 5,0,6,2 --padding-value 7 --total-length {total}");
        rows_are_as_if_alone(&sandbox, &words, &[], &expected);
    }
}

#[test]
fn values_in_the_padding_of_the_input_do_not_count() {
    let sandbox = given("");
    let mut x = sandbox.load::<f32>("x.npy");
    for (n, length) in LENGTHS.into_iter().enumerate() {
        let mut own = x.index_axis_mut(Axis(1), n);
        own.slice_axis_mut(Axis(0), Slice::from(length..)).fill(f32::NAN);
    }
    sandbox.save("x.npy", &x.view());
    let expected = padded(&sandbox, STEPS, 0.0, false);
    rows_are_as_if_alone(&sandbox, "--lengths 5,0,6,2 --check-finite", &[], &expected);
}

/// Its state and its last output have no axis for a batch, with a length as without.
#[test]
fn a_single_sequence_may_have_a_length() {
    let sandbox = given("");
    // Row 2 has all steps of the tensor, of which 4 count.
    let long = sandbox.load::<f32>("x-2.npy");
    sandbox.save("short.npy", &long.slice_axis(Axis(0), Slice::from(..4)));
    let run = |words: &str| {
        let outputs = "-o y.npy --hn hn.npy --last last.npy --all-hidden all.npz";
        let line = format!("run -q -w w --h0 h0-2.npy {words} {outputs}");
        sandbox.rnn(&line).succeeds();
        ["y.npy", "hn.npy", "last.npy", "all.npz:h_l0"].map(|name| sandbox.load::<f32>(name))
    };
    let [y, h_n, last, all] = run("-i short.npy");
    let [long_y, long_h_n, long_last, long_all] = run("-i x-2.npy --lengths 4 --padding-value 9");
    for (long, short) in [(&long_y, &y), (&long_all, &all)] {
        same(&long.slice_axis(Axis(0), Slice::from(..4)).to_owned(), short);
        let rest = long.slice_axis(Axis(0), Slice::from(4..));
        assert_eq!(rest, ArrayD::from_elem(rest.shape(), 9.0));
    }
    same(&long_h_n, &h_n);
    same(&long_last, &last);
    let [.., none, _] = run("-i x-2.npy --lengths 0 --padding-value 9");
    same(&none, &ArrayD::from_elem(vec![8], 9.0));
}

#[test]
fn packed_input_gives_packed_output() {
    let sandbox = given("");
    sandbox
        .shell(
            "set -e
            rnn pack -q -i x.npy --lengths 5,0,6,2 -o x.npz
            rnn run -q -w w -i x.npz --h0 h0.npy -o y.npz --hn hn.npy --last last.npy
            rnn run -q -w w -i x.npy --lengths 5,0,6,2 --h0 h0.npy -o y.npy --last last-padded.npy
            rnn pack -q -i y.npy --lengths 5,0,6,2 -o expected.npz",
        )
        .succeeds();
    // All of the archive: data, batch_sizes and both indices.
    assert!(sandbox.bytes("y.npz") == sandbox.bytes("expected.npz"));
    for name in ["batch_sizes", "sorted_indices", "unsorted_indices"] {
        let of = |file: &str| sandbox.load::<f64>(&format!("{file}:{name}"));
        assert_eq!(of("y.npz"), of("x.npz"), "{name}");
    }
    // In the original order.
    holds(&sandbox, "hn.npy", &states(&sandbox));
    assert!(sandbox.bytes("last.npy") == sandbox.bytes("last-padded.npy"));
}

/// As `enforce_sorted` of PyTorch leaves them out.
#[test]
fn packed_input_without_indices_gives_none() {
    let sandbox = given("");
    sandbox.rnn("pack -q -i x.npy --lengths 6,6,2,1 --enforce-sorted -o x.npz").succeeds();
    sandbox.rnn("run -q -w w -i x.npz -o y.npz").succeeds();
    assert_eq!(sandbox.members("y.npz"), ["data", "batch_sizes"]);
    let sizes = sandbox.load::<f64>("y.npz:batch_sizes");
    assert_eq!(sizes.into_raw_vec_and_offset().0, [4.0, 3.0, 2.0, 2.0, 2.0, 2.0]);
}

#[test]
fn sequences_of_their_own_lengths_keep_their_names() {
    let sandbox = given("");
    let own: Vec<_> = (0..4).map(|n| sandbox.load::<f32>(&format!("x-{n}.npy"))).collect();
    let names = ["zebra", "empty", "a b", "10"];
    let members: Vec<(&str, &dyn AnyArray)> =
        names.iter().zip(&own).map(|(name, own)| (*name, own as &dyn AnyArray)).collect();
    sandbox.save_npz("x.npz", &members);
    sandbox.rnn("run -q -w w -i x.npz --h0 h0.npy -o y.npz --hn hn.npy").succeeds();
    assert_eq!(sandbox.members("y.npz"), names);
    for (n, name) in names.into_iter().enumerate() {
        let found = sandbox.load::<f32>(&format!("y.npz:{name}"));
        same(&found, &sandbox.load(&format!("y-{n}.npy")));
    }
    holds(&sandbox, "hn.npy", &states(&sandbox));
    sandbox.rnn("run -q -w w -i x.npz --split-directions -o split.npz").succeeds();
    assert_eq!(sandbox.load::<f32>("split.npz:zebra").shape(), [5, 2, 4]);
}

/// One member is that array, unless the output is an archive too.
#[test]
fn an_archive_of_one_sequence() {
    let sandbox = given("");
    let own = sandbox.load::<f32>("x-0.npy");
    sandbox.save_npz("x.npz", &[("only", &own)]);
    for input in ["x.npz", "-"] {
        let line = format!("rnn run -q -w w -i {input} -o y.npz --hn hn.npy < x.npz");
        sandbox.shell(&line).succeeds();
        sandbox.rnn("run -q -w w -i x-0.npy -o y.npy --hn alone.npy").succeeds();
        same(&sandbox.load("y.npz:only"), &sandbox.load("y.npy"));
        // The archive is a batch, of one.
        let h_n = sandbox.load::<f32>("hn.npy");
        assert_eq!(h_n.shape(), [4, 1, 4]);
        same(&h_n.index_axis(Axis(1), 0).to_owned(), &sandbox.load("alone.npy"));
    }
    for (words, output) in [("-o y1.npy", "y1.npy"), ("", "output.npy"), ("-o y2", "y2")] {
        sandbox.rnn(&format!("run -q -w w -i x.npz {words}")).succeeds();
        assert!(sandbox.bytes(output) == sandbox.bytes("y.npy"), "{words}");
    }
    // A member that was named is a tensor, as is one with a batch.
    let message = |input: &str| {
        format!(
            "rnn: z.npz: expected .npy, .csv, .tsv, .txt or - for a tensor, got .npz\nhint: rnn run -q -w w -i {input} -o z.npy\n"
        )
    };
    sandbox.save_npz("batch.npz", &[("only", &sandbox.load::<f32>("x.npy"))]);
    for input in ["x.npz:only", "batch.npz"] {
        let line = format!("run -q -w w -i {input} -o z.npz");
        sandbox.rnn(&line).fails(2, &message(input));
    }
}

/// Of a sequence without steps, and behind the ends in all hidden states.
#[test]
fn padding_flags_with_packed_input() {
    let sandbox = given("");
    sandbox.rnn("pack -q -i x.npy --lengths 5,0,6,2 -o x.npz").succeeds();
    let line = |input: &str| {
        format!(
            "run -q -w w -i {input} --padding-value -3 --last last.npy --all-hidden all.npz --total-length 7"
        )
    };
    sandbox.rnn(&line("x.npy --lengths 5,0,6,2")).succeeds();
    let expected = ["last.npy", "all.npz"].map(|name| sandbox.bytes(name));
    sandbox.rnn(&line("x.npz")).succeeds();
    assert!(["last.npy", "all.npz"].map(|name| sandbox.bytes(name)) == expected);
    let last = sandbox.load::<f32>("last.npy");
    same(&last.index_axis(Axis(0), 1).to_owned(), &ArrayD::from_elem(vec![8], -3.0));
    let line = "run -q -w w -i x.npz --all-hidden all.npz --total-length";
    sandbox.rnn(&format!("{line} 5")).fails(
        65,
        &format!(
            "rnn: --total-length: expected at least 6, the length of row 2, got 5\nhint: rnn {line} 6\n"
        ),
    );
}

#[test]
fn the_default_outputs_have_the_form_of_the_input() {
    let sandbox = given("");
    let before = sandbox.names();
    let own = sandbox.load::<f32>("x-0.npy");
    sandbox.save_npz("ragged.npz", &[("a", &own), ("b", &own)]);
    sandbox.rnn("run -q -w w -i ragged.npz").succeeds();
    let new = |name: &String| !before.contains(name);
    let names: Vec<_> = sandbox.names().into_iter().filter(new).collect();
    assert_eq!(names, ["h_n.npy", "output.npz", "ragged.npz"]);
}

#[test]
fn the_last_output_of_each_sequence() {
    for (flags, batch_first) in [("", false), ("--batch-first", true)] {
        let sandbox = given(flags);
        let words = "--lengths 5,0,6,2 --padding-value -3 --last last.npy";
        sandbox.rnn(&format!("run -q -w w -i x.npy --h0 h0.npy {words}")).succeeds();
        let mut expected = ArrayD::from_elem(vec![4, 8], -3.0);
        for (n, length) in LENGTHS.into_iter().enumerate().filter(|(_, length)| *length > 0) {
            let own = sandbox.load::<f32>(&format!("y-{n}.npy"));
            expected.index_axis_mut(Axis(0), n).assign(&own.index_axis(Axis(0), length - 1));
        }
        holds(&sandbox, "last.npy", &expected);
        // Without lengths it is that of the last step.
        sandbox.rnn("run -q -w w -i x.npy --last last.npy -o y.npy").succeeds();
        let y = sandbox.load::<f32>("y.npy");
        let time = Axis(usize::from(batch_first));
        holds(&sandbox, "last.npy", &y.index_axis(time, STEPS - 1).to_owned());
    }
}

/// The first columns are those of the forward direction.
#[test]
fn all_hidden_states_of_the_last_layer_are_the_output() {
    for words in ["", "--lengths 5,0,6,2 --padding-value 8 --total-length 9"] {
        for flags in ["", "--batch-first"] {
            let sandbox = given(flags);
            let outputs = "-o y.npy --hn hn.npy --all-hidden all.npz";
            sandbox.rnn(&format!("run -q -w w -i x.npy {words} {outputs}")).succeeds();
            let names = ["h_l0", "h_l0_reverse", "h_l1", "h_l1_reverse"];
            assert_eq!(sandbox.members("all.npz"), names);
            let y = sandbox.load::<f32>("y.npy");
            let all = names.map(|name| sandbox.load::<f32>(&format!("all.npz:{name}")));
            for (own, columns) in [(&all[2], 0..4), (&all[3], 4..8)] {
                same(own, &y.slice_axis(Axis(2), Slice::from(columns)).to_owned());
            }
            assert_eq!([all[0].shape(), all[1].shape()], [all[2].shape(), all[3].shape()]);
        }
    }
}

/// The layer below is what a layer of its own weights alone makes of the input.
#[test]
fn all_hidden_states_of_the_first_layer_are_its_output() {
    let sandbox = given("");
    for kind in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
        for suffix in ["", "_reverse"] {
            let name = format!("{kind}_l0{suffix}.npy");
            let bytes = sandbox.bytes(&format!("w/{name}"));
            std::fs::create_dir_all(sandbox.path("first")).unwrap();
            sandbox.write(&format!("first/{name}"), &bytes);
        }
    }
    let words = "-i x.npy --lengths 5,0,6,2";
    sandbox.rnn(&format!("run -q -w first {words} -o y.npy")).assumes();
    sandbox.rnn(&format!("run -q -w w {words} --all-hidden all.npz")).succeeds();
    let y = sandbox.load::<f32>("y.npy");
    for (name, columns) in [("h_l0", 0..4), ("h_l0_reverse", 4..8)] {
        let own = sandbox.load::<f32>(&format!("all.npz:{name}"));
        same(&own, &y.slice_axis(Axis(2), Slice::from(columns)).to_owned());
    }
}

/// An archive has no place for a packed sequence in it, so they are padded; the report says so.
#[test]
fn all_hidden_states_of_packed_input_are_padded() {
    let sandbox = given("");
    sandbox.rnn("pack -q -i x.npy --lengths 5,0,6,2 -o x.npz").succeeds();
    let outcome = sandbox.rnn("run -w w -i x.npz --all-hidden packed.npz --split-directions");
    let report = outcome.succeeds().stdout_text();
    let lines: Vec<_> = report.lines().filter(|line| line.starts_with("h_l")).collect();
    for (line, name) in lines.iter().zip(["h_l0", "h_l0_reverse", "h_l1", "h_l1_reverse"]) {
        let words: Vec<_> = line.split_whitespace().collect();
        let expected = "[6, 4, 4] seq_len 6, batch 4, hidden_size 4 f32 packed.npz";
        assert_eq!(words.join(" "), format!("{name} {expected}"));
    }
    assert_eq!(lines.len(), 4, "{report}");
    sandbox.rnn("run -q -w w -i x.npy --lengths 5,0,6,2 --all-hidden padded.npz").succeeds();
    assert!(sandbox.bytes("packed.npz") == sandbox.bytes("padded.npz"));
}

#[test]
fn directions_of_their_own_axis_are_the_same_numbers() {
    for (flags, expected) in [("", [6, 4, 2, 4]), ("--batch-first", [4, 6, 2, 4])] {
        let sandbox = given(flags);
        for words in ["", "--lengths 5,0,6,2"] {
            let line = format!("run -q -w w -i x.npy {words}");
            sandbox.rnn(&format!("{line} -o y.npy --hn hn.npy")).succeeds();
            sandbox.rnn(&format!("{line} -o s.npy --hn s-hn.npy --split-directions")).succeeds();
            let [y, h_n, split, split_h_n] =
                ["y.npy", "hn.npy", "s.npy", "s-hn.npy"].map(|name| sandbox.load::<f32>(name));
            assert_eq!((split.shape(), split_h_n.shape()), (&expected[..], &[2, 2, 4, 4][..]));
            assert!(split.iter().eq(&y) && split_h_n.iter().eq(&h_n));
        }
    }
}

#[test]
fn only_named_outputs_are_written() {
    let sandbox = given("");
    let before = sandbox.names();
    for (words, file) in [("--last", "last.npy"), ("--all-hidden", "all.npz"), ("--hn", "n.npy")] {
        sandbox.rnn(&format!("run -q -w w -i x.npy {words} {file}")).succeeds();
        let new = |name: &String| !before.contains(name);
        let names: Vec<_> = sandbox.names().into_iter().filter(new).collect();
        assert_eq!(names, [file]);
        std::fs::remove_file(sandbox.path(file)).unwrap();
    }
}

/// An archive says more than its tensors: which is the batch, and which its lengths.
#[test]
fn a_batch_beside_its_lengths_runs_as_that() {
    let sandbox = Sandbox::new();
    sandbox.take("cases/x_and_lengths.npz");
    sandbox.rnn("init -q --input-size 4 --hidden 6 -o w").succeeds();
    let run = |line: &str| sandbox.rnn(&format!("run -q -w w -o - {line} --batch-first"));
    let whole = "-i x_and_lengths.npz";
    let apart = "-i x_and_lengths.npz:x --lengths x_and_lengths.npz:lengths";
    let expected = run(apart).succeeds().stdout;
    assert_eq!(run(whole).succeeds().stdout, expected);
    // The typed lengths win.
    let typed = run(&format!("{whole} --lengths 1,1,1")).succeeds().stdout;
    assert_eq!(typed, run("-i x_and_lengths.npz:x.npy --lengths 1,1,1").succeeds().stdout);
    assert_ne!(typed, expected);
    sandbox.rnn(&format!("pack -q {whole} --batch-first -o p.npz")).succeeds();
    sandbox.rnn(&format!("pack -q {apart} --batch-first -o q.npz")).succeeds();
    assert_eq!(sandbox.bytes("p.npz"), sandbox.bytes("q.npz"));
}

#[test]
fn the_odd_member_of_a_ragged_archive_is_named() {
    let sandbox = Sandbox::new();
    sandbox.take("cases/ragged_one_odd.npz");
    sandbox.rnn("run --hidden 6 -i ragged_one_odd.npz").fails(
        65,
        "rnn: ragged_one_odd.npz:s37: expected (seq_len, 4), as 59 of 60 members are, got shape [3, 5]\n",
    );
}

#[test]
fn ragged_input_may_have_more_members_than_weights() {
    let sandbox = Sandbox::new();
    let step = ArrayD::from_elem(vec![1, 1], 0.5_f32);
    let mut sink =
        Sink::open(&sandbox.path("many.npz"), Overwrite::Replace).unwrap().into_archive();
    for name in 0..100_001 {
        sink.member(&name.to_string(), &step).unwrap();
    }
    sink.finish().unwrap().commit().unwrap();
    sandbox.rnn("run -q --hidden 1 -i many.npz --last l.npy").succeeds();
    assert_eq!(sandbox.load::<f32>("l.npy").shape(), [100_001, 1]);
    sandbox
        .rnn("run -w many.npz -i many.npz")
        .fails(65, "rnn: many.npz: archive of 100001 members; limit 100000\n");
}

#[test]
fn a_name_of_a_member_may_have_colons() {
    let sandbox = Sandbox::new();
    let x = ArrayD::from_elem(vec![2, 1], 0.5_f32);
    sandbox.save_npz("x.npz", &[("a:b", &x), ("c.npy", &x), ("c", &x)]);
    for name in ["a:b", "a:b.npy", "c.npy", "c"] {
        sandbox.rnn(&format!("run -q --hidden 1 -i x.npz:{name} -o y.npy")).succeeds();
    }
}
