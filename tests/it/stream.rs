//! `rnn stream`: any chunking of a sequence is one run, byte for byte; states; frames; what may go wrong
//! on the way, and what has been answered by then.

mod models;
mod tables;

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use elman::Element;
use elman::files::write_npy;
use ndarray::{Array3, ArrayD, Axis, IxDyn, Slice};
use proptest::prelude::*;

use crate::support::{Outcome, Sandbox, signals};

/// A layer for 4 features with 6 hidden ones, 2 layers, in `w/`; `x.npy`, (12, 3, 4), and what `rnn run`
/// makes of it in `y.npy` and `h.npy`; `one.npy`, (12, 4), and `one-y.npy`.
fn layer() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .shell(
            "set -e
            rnn init -q --input-size 4 --hidden 6 --layers 2 -o w/
            rnn randn -q --shape 12,3,4 -o x.npy
            rnn randn -q --shape 12,4 -o one.npy
            rnn run -q -w w -i x.npy -o y.npy --hn h.npy
            rnn run -q -w w -i one.npy -o one-y.npy",
        )
        .succeeds();
    sandbox
}

fn npy<T: Element>(array: &ArrayD<T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_npy(&mut bytes, &array.view()).unwrap();
    bytes
}

/// Arrays of `sizes` steps each, one behind the other, as .npy.
fn chunks<T: Element>(array: &ArrayD<T>, sizes: &[usize], axis: usize) -> Vec<Vec<u8>> {
    let mut start = 0;
    let piece = |&size: &usize| {
        let slice = Slice::from(start..start + size);
        start += size;
        npy(&array.slice_axis(Axis(axis), slice).to_owned())
    };
    let pieces = sizes.iter().map(piece).collect();
    assert_eq!(start, array.shape()[axis]);
    pieces
}

/// Runs `rnn stream` with these words over these arrays.
fn stream(sandbox: &Sandbox, line: &str, arrays: &[Vec<u8>]) -> Outcome {
    let words: Vec<_> = ["stream"].into_iter().chain(line.split_whitespace()).collect();
    sandbox.rnn_with(&words, &arrays.concat())
}

/// Fails the test unless a stream ended with this code and this message, after these answers.
#[track_caller]
fn ends(outcome: &Outcome, code: i32, stderr: &str, answers: &[Vec<u8>]) {
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(code), stderr));
    assert!(outcome.stdout == answers.concat(), "other answers");
}

/// Arrays that have gone into the state `s.npz`.
fn count(sandbox: &Sandbox) -> u64 {
    format!("{}", sandbox.load::<f64>("s.npz:count").sum()).parse().unwrap()
}

/// The last line without its seconds.
fn without_seconds(stderr: &str) -> &str {
    stderr.rsplit_once(", ").unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_chunking_is_one_run(
        sizes in prop::collection::vec(1_usize..6, 1..7),
        // Where another process goes on, from the state that the first has left.
        stop in 0_usize..7,
        batch in prop::option::of(1_usize..4),
        (layers, hidden) in (1_usize..4, 1_usize..40),
        (relu, batch_first, double) in any::<(bool, bool, bool)>(),
        threads in 1_usize..4,
    ) {
        let sandbox = Sandbox::new();
        let steps: usize = sizes.iter().sum();
        let (shape, axis) = match batch {
            None => (format!("{steps},3"), 0),
            Some(batch) if batch_first => (format!("{batch},{steps},3"), 1),
            Some(batch) => (format!("{steps},{batch},3"), 0),
        };
        let flags = format!(
            "--nonlinearity {} {} --dtype {}",
            if relu { "relu" } else { "tanh" },
            if batch_first { "--batch-first" } else { "" },
            if double { "f64" } else { "f32" },
        );
        sandbox.rnn(&format!("init -q --input-size 3 --hidden {hidden} --layers {layers} {flags} -o w")).succeeds();
        let dtype = if double { "f64" } else { "f32" };
        sandbox.rnn(&format!("randn -q --shape {shape} --dtype {dtype} -o x.npy")).succeeds();
        sandbox.rnn("run -q -w w -i x.npy -o y.npy --hn h.npy").succeeds();
        let [arrays, answers] = ["x.npy", "y.npy"].map(|name| {
            if double {
                chunks(&sandbox.load::<f64>(name), &sizes, axis)
            } else {
                chunks(&sandbox.load::<f32>(name), &sizes, axis)
            }
        });
        let whole = stream(&sandbox, &format!("-q -w w --threads {threads}"), &arrays).succeeds();
        prop_assert!(whole.stdout == answers.concat());
        let (first, second) = arrays.split_at(stop.min(arrays.len()));
        let mut parts = Vec::new();
        for part in [first, second] {
            parts.extend(stream(&sandbox, "-q -w w --state s.npz", part).succeeds().stdout);
        }
        prop_assert!(parts == answers.concat());
        let count = sandbox.load::<f64>("s.npz:count");
        prop_assert_eq!(count, ArrayD::from_elem(IxDyn(&[]), sizes.len() as f64));
        prop_assert_eq!(sandbox.load::<f64>("s.npz:h_n"), sandbox.load::<f64>("h.npy"));
    }
}

#[test]
fn notes_beside_the_answers() {
    let sandbox = layer();
    let x = sandbox.load::<f32>("x.npy");
    let arrays = chunks(&x, &[1, 2, 9], 0);
    let outcome = stream(&sandbox, "-w w", &arrays);
    assert_eq!(without_seconds(&outcome.stderr), "3 arrays, 12 steps");
    let outcome = stream(&sandbox, "-w w", &chunks(&x, &[12], 0));
    assert_eq!(without_seconds(&outcome.stderr), "1 array, 12 steps");
    assert!(outcome.stdout == sandbox.bytes("y.npy"));
    stream(&sandbox, "-q -w w", &arrays).succeeds();
    // A stream without arrays is one that ends well, and has no state to leave.
    let nothing = stream(&sandbox, "-w w --state s.npz", &[]);
    assert_eq!((nothing.code, without_seconds(&nothing.stderr)), (Some(0), "0 arrays, 0 steps"));
    assert!(!sandbox.names().contains(&"s.npz".to_owned()));
    stream(&sandbox, "-q -w w --state s.npz", &arrays).succeeds();
    let line = "-v -w w --state s.npz --kernel portable --threads 1";
    let outcome = stream(&sandbox, line, &arrays);
    let notes = "note: RNN(4, 6, num_layers=2), f32, kernel portable, threads 1
note: s.npz: goes on after 3 arrays
3 arrays, 12 steps";
    assert_eq!(without_seconds(&outcome.stderr), notes);
}

#[test]
fn weights_with_nan_or_without_their_nonlinearity() {
    let sandbox = layer();
    sandbox.shell("rm w/rnn.json").succeeds();
    let nan = ArrayD::from_elem(IxDyn(&[6]), f32::NAN);
    sandbox.save("w/bias_ih_l0.npy", &nan.view());
    let outcome = stream(&sandbox, "-w w", &[]);
    let notes =
        "note: w: the weights do not say their nonlinearity; tanh, PyTorch's default, is assumed
warning: w: bias_ih_l0: expected finite numbers, got NaN at [0]
0 arrays, 0 steps";
    assert_eq!(without_seconds(&outcome.stderr), notes);
}

#[test]
fn independent_arrays_are_runs_of_their_own() {
    let sandbox = layer();
    sandbox.shell("rnn init -q --input-size 4 --hidden 6 --bidirectional -o both").succeeds();
    for (weights, shapes) in [("w", ["2,3,4", "1,4", "2,5,4"]), ("both", ["7,4", "2,3,4", "7,4"])] {
        let (mut arrays, mut answers) = (Vec::new(), Vec::new());
        for shape in shapes {
            sandbox.rnn(&format!("randn -q --shape {shape} -o a.npy")).succeeds();
            sandbox.rnn(&format!("run -q -w {weights} -i a.npy -o b.npy")).succeeds();
            arrays.push(sandbox.bytes("a.npy"));
            answers.push(sandbox.bytes("b.npy"));
        }
        let outcome = stream(&sandbox, &format!("-q -w {weights} --independent"), &arrays);
        ends(&outcome, 0, "", &answers);
    }
}

#[test]
fn the_first_array_starts_from_h_0() {
    let sandbox = layer();
    sandbox.rnn("run -q -w w -i x.npy --h0 h.npy -o twice.npy").succeeds();
    let arrays = chunks(&sandbox.load::<f32>("x.npy"), &[5, 7], 0);
    let answers = chunks(&sandbox.load::<f32>("twice.npy"), &[5, 7], 0);
    // If there is no state yet, the stream begins with --h0.
    for line in ["-q -w w --h0 h.npy", "-q -w w --h0 h.npy --state s.npz"] {
        ends(&stream(&sandbox, line, &arrays), 0, "", &answers);
    }
    let refused = "rnn: s.npz: expected no --h0 where a state was saved, got h.npy
hint: rnn stream -q -w w --state s.npz\n";
    stream(&sandbox, "-q -w w --h0 h.npy --state s.npz", &arrays).fails(2, refused);
}

#[test]
fn numbers_of_other_types() {
    let sandbox = layer();
    // 3 steps of one sequence as i64, and as f32.
    let whole = Array3::from_shape_fn((3, 1, 4), |(l, _, k)| (l * 4 + k) as f32).into_dyn();
    sandbox.save("whole.npy", &whole.view());
    sandbox.rnn("run -q -w w -i whole.npy -o whole-y.npy").succeeds();
    let answers = chunks(&sandbox.load::<f32>("whole-y.npy"), &[1, 2], 0);
    let integers = whole.mapv(|x| format!("{x}").parse::<i64>().unwrap());
    let mut arrays = Vec::new();
    for slice in [0..1, 1..3] {
        let mut bytes = Vec::new();
        let part = integers.slice_axis(Axis(0), Slice::from(slice));
        write_npy(&mut bytes, &part).unwrap();
        arrays.push(bytes);
    }
    let outcome = stream(&sandbox, "-w w", &arrays);
    assert_eq!(
        without_seconds(&outcome.stderr),
        "note: stdin: array 1 at byte 0: input: i64 converted to f32\n2 arrays, 3 steps"
    );
    assert!(outcome.stdout == answers.concat());

    let doubles = chunks(&whole.mapv(f64::from), &[1, 2], 0);
    let refused = "rnn: stdin: array 1 at byte 0: input: expected f32, as the layer is, got f64
hint: rnn stream -w w --dtype f32\n";
    stream(&sandbox, "-w w", &doubles).fails(65, refused);
    let outcome = stream(&sandbox, "-w w --dtype f32", &doubles);
    assert_eq!(
        without_seconds(&outcome.stderr),
        "note: stdin: array 1 at byte 0: input: f64 converted to f32\n2 arrays, 3 steps"
    );
    assert!(outcome.stdout == answers.concat());
}

/// Each after two good arrays: what comes third, and what is said about it.
#[test]
fn an_error_in_mid_stream_follows_the_answers_before_it() {
    let sandbox = layer();
    let arrays = chunks(&sandbox.load::<f32>("x.npy"), &[1, 11], 0);
    let answers = chunks(&sandbox.load::<f32>("y.npy"), &[1, 11], 0);
    let array = |shape: &[usize]| npy(&ArrayD::<f32>::zeros(IxDyn(shape)));
    let npz = sandbox.shell("rnn init -q --input-size 1 --hidden 1 -o -").succeeds().stdout;
    let good = array(&[2, 3, 4]);
    // Two headers of 128 bytes, and 12 steps of 12 numbers.
    let place = "rnn: stdin: array 3 at byte 832: ";
    let whole = "hint: each array as a whole sequence: rnn stream -q -w w --independent\n";
    let shape = "input: expected shape [L, 3, 4], as in the arrays before it, got";
    for (third, what, hint) in [
        (b"hello, world".to_vec(), "expected .npy or the end, got what looks like text", ""),
        (vec![0; 3], "expected .npy or the end, got an unknown format", ""),
        (npz, "expected .npy, got an archive: its arrays cannot be read one by one", ""),
        (good[..3].to_vec(), "truncated header at byte 3", ""),
        (good[..70].to_vec(), "expected a header of 118 bytes, got 60", ""),
        (
            good[..128].to_vec(),
            "expected 96 bytes after the header for shape [2, 3, 4], got 0 (np.save cannot write into a buffered pipe: np.save(open(1, 'wb', 0), array) can)",
            "",
        ),
        (
            good[..200].to_vec(),
            "expected 96 bytes after the header for shape [2, 3, 4], got 72",
            "",
        ),
        (array(&[1, 4, 4]), &format!("{shape} [1, 4, 4]"), whole),
        (array(&[1, 4]), &format!("{shape} [1, 4]"), whole),
        (
            array(&[4]),
            "input: expected 2 or 3 dimensions, (L, H_in) or (L, N, H_in), got 1 in shape [4]",
            "",
        ),
        (
            array(&[1, 3, 5]),
            "input: expected 4 features (input_size) on the last axis, got 5 in shape [1, 3, 5]",
            "",
        ),
        (array(&[0, 3, 4]), "input: expected seq_len of at least 1, got 0 in shape [0, 3, 4]", ""),
        (
            npy(&ArrayD::<f64>::zeros(IxDyn(&[1, 3, 4]))),
            "input: expected f32, as in the arrays before it, got f64",
            "",
        ),
    ] {
        let given = [arrays.clone(), vec![third]].concat();
        let stderr = format!("{place}{what}\n{hint}");
        ends(&stream(&sandbox, "-q -w w", &given), 65, &stderr, &answers);
        // The answered arrays are kept: only the wrong array is to be sent again.
        let outcome = stream(&sandbox, "-q -w w --state s.npz", &given);
        assert_eq!((outcome.code, outcome.stderr), (Some(65), format!("{place}{what}\n")));
        assert_eq!(count(&sandbox), 2, "{what}");
        std::fs::remove_file(sandbox.path("s.npz")).unwrap();
    }
}

#[test]
fn an_error_names_the_array_and_its_byte() {
    let sandbox = layer();
    let array = |shape: &[usize]| npy(&ArrayD::<f32>::zeros(IxDyn(shape)));
    let arrays = [array(&[3, 2, 4]), array(&[2, 3, 4])];
    let outcome = stream(&sandbox, "-q -w w --batch-first", &arrays);
    let stderr = "rnn: stdin: array 2 at byte 224: input: expected shape [3, L, 4], as in the arrays before it, got [2, 3, 4]
hint: each array as a whole sequence: rnn stream -q -w w --batch-first --independent\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(65), stderr));
    // Of the state and of h_0 the first array has to be, too.
    stream(&sandbox, "-q -w w --state s.npz", &[array(&[2, 3, 4])]).succeeds();
    let message = "rnn: stdin: array 1 at byte 0: input: expected shape [L, 3, 4], as in";
    for (line, place) in [("--state s.npz", "s.npz"), ("--h0 h.npy", "h.npy")] {
        let line = format!("-q -w w {line}");
        let outcome = stream(&sandbox, &line, &[array(&[2, 4])]);
        outcome.fails(65, &format!("{message} {place}, got [2, 4]\n"));
    }
}

#[test]
fn a_state_that_cannot_be_gone_on_from() {
    let sandbox = layer();
    let arrays = chunks(&sandbox.load::<f32>("x.npy"), &[12], 0);
    sandbox
        .shell(
            "rnn init -q --seed 2 --input-size 4 --hidden 6 --layers 2 -o other
            rnn init -q --input-size 4 --hidden 5 --layers 2 -o smaller
            rnn init -q --input-size 4 --hidden 6 --layers 2 -o w.npz
            cp -r w relu; sed -i s/tanh/relu/ relu/rnn.json; echo no > text; mkdir folder",
        )
        .succeeds();
    stream(&sandbox, "-q -w w --state s.npz", &arrays).succeeds();
    let state = sandbox.bytes("s.npz");
    let mut short = state.clone();
    short.truncate(100);
    sandbox.write("short.npz", &short);
    let expected = "expected a state of rnn stream, h_n, count and fingerprint, got";
    for (line, code, message) in [
        (
            "-w smaller --state s.npz",
            65,
            "s.npz:h_n: expected shape [2, N, 5] or [2, 5], got [2, 3, 6]".to_owned(),
        ),
        (
            "-w w --state s.npz --frames",
            65,
            "s.npz:h_n: expected shape [2, 6], a frame being a step of one sequence, got [2, 3, 6]\nhint: a batch goes on with arrays: rnn stream -w w --state s.npz".to_owned(),
        ),
        (
            "-w w --state s.npz --dtype f64",
            65,
            "s.npz:h_n: expected f64, as the layer is, got f32".to_owned(),
        ),
        ("-w w --state w.npz", 65, format!("w.npz: {expected} no h_n")),
        ("-w w --state h.npy", 65, format!("h.npy: {expected} a single array")),
        ("-w w --state text", 65, format!("text: {expected} a single array")),
        (
            "-w w --state folder",
            73,
            "folder: cannot be written: is a directory; expected a file".to_owned(),
        ),
        (
            "-w w --state none/s.npz",
            73,
            "none/s.npz: cannot be written: No such file or directory (os error 2)".to_owned(),
        ),
    ] {
        let names = sandbox.names();
        stream(&sandbox, line, &arrays).fails(code, &format!("rnn: {message}\n"));
        assert_eq!(sandbox.names(), names);
    }
    // Computed from the tensors by another program: a state outlives the release that has saved it.
    for (weights, own) in [("other", "2c4f4824e936b299"), ("relu", "1625ffd3e5c3f7f7")] {
        let message = format!(
            "rnn: s.npz:fingerprint: expected {own}, that of {weights}, got 6df2e546db15f148: a state of other weights\n"
        );
        stream(&sandbox, &format!("-w {weights} --state s.npz"), &arrays).fails(65, &message);
    }
    let outcome = stream(&sandbox, "-w w --state short.npz", &arrays);
    assert_eq!(outcome.code, Some(65));
    assert!(outcome.stderr.starts_with("rnn: short.npz: broken archive: "), "{}", outcome.stderr);
    // Nothing of that has touched the state, and the same weights in another file are the same ones.
    assert!(sandbox.bytes("s.npz") == state);
    stream(&sandbox, "-q -w w.npz --state s.npz", &arrays).succeeds();
    assert_eq!(count(&sandbox), 2);
}

#[test]
fn wrong_usage_of_a_stream() {
    let sandbox = layer();
    sandbox.shell("rnn init -q --input-size 4 --hidden 6 --bidirectional -o both").succeeds();
    let both = "both: expected one direction, got a bidirectional layer, which cannot be carried from array to array: its reverse direction begins at the last step, which is still to come";
    let whole = "each array as a whole sequence: rnn stream -w both --independent";
    let help = "rnn stream --help";
    for (line, code, message, hint) in [
        ("-w both", 65, both, whole),
        ("-w both --state s.npz --checkpoint 2 --h0 h.npy", 65, both, whole),
        ("-w -", 2, "expected only the arrays from stdin, got - for another input", ""),
        ("-w w --h0 -", 2, "expected only the arrays from stdin, got - for another input", ""),
        (
            "-w w --state -",
            2,
            "--state: expected a file, which is read and then replaced, got -",
            "rnn stream -w w --state state.npz",
        ),
        ("", 2, "the following required arguments were not provided: --weights <PATH>", help),
        (
            "-w w --checkpoint 3",
            2,
            "the following required arguments were not provided: --state <FILE>",
            help,
        ),
        (
            "-w w --state s.npz --checkpoint 0",
            2,
            "--checkpoint: expected a whole number of at least 1, got '0'",
            help,
        ),
        (
            "-w w --state s.npz --independent",
            2,
            "the argument '--state <FILE>' cannot be used with '--independent'",
            help,
        ),
        (
            "-w w --h0 h.npy --independent",
            2,
            "the argument '--h0 <FILE>' cannot be used with '--independent'",
            help,
        ),
        (
            "-w w --h0 x.npy",
            65,
            "x.npy: h_0: expected shape [2, N, 6] or [2, 6], got [12, 3, 4]",
            "h_0 is zeros without --h0: rnn stream -w w",
        ),
        (
            "-w w --h0 h.npy --frames",
            65,
            "h.npy: h_0: expected shape [2, 6], a frame being a step of one sequence, got [2, 3, 6]",
            "h_0 is zeros without --h0: rnn stream -w w --frames",
        ),
        ("-w none", 66, "none: No such file or directory (os error 2)", ""),
    ] {
        let names = sandbox.names();
        let hint = if hint.is_empty() { String::new() } else { format!("hint: {hint}\n") };
        stream(&sandbox, line, &[]).fails(code, &format!("rnn: {message}\n{hint}"));
        assert_eq!(sandbox.names(), names, "{line}");
    }
    stream(&sandbox, "-q -w both --independent", &[]).succeeds();
}

/// The numbers of an array as frames.
fn bare(array: &ArrayD<f32>) -> Vec<u8> {
    array.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn frames_are_steps_of_one_run() {
    let sandbox = layer();
    let (x, y) = (sandbox.load::<f32>("one.npy"), sandbox.load::<f32>("one-y.npy"));
    let outcome = stream(&sandbox, "-w w --frames --state s.npz", &[bare(&x)]);
    assert_eq!(without_seconds(&outcome.stderr), "12 frames, 12 steps");
    assert!(outcome.stdout == bare(&y));
    // A state of frames is one of arrays.
    assert_eq!(count(&sandbox), 12);
    stream(&sandbox, "-q -w w --state s.npz", &[npy(&x)]).succeeds();
    assert_eq!(count(&sandbox), 13);

    let cut = &bare(&x)[..5 * 16 + 7];
    let stderr = "rnn: stdin: frame 6 at byte 80: expected 16 bytes, 4 f32 numbers, got 7\n";
    let outcome = stream(&sandbox, "-q -w w --frames", &[cut.to_vec()]);
    ends(&outcome, 65, stderr, &[bare(&y)[..5 * 24].to_vec()]);
    stream(&sandbox, "-q -w w --frames", &[]).succeeds();
}

#[test]
fn frames_of_a_layer_of_doubles_are_rounded() {
    let sandbox = layer();
    sandbox.rnn("run -q -w w -i one.npy --dtype f64 -o double.npy").succeeds();
    #[allow(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
    let rounded = sandbox.load::<f64>("double.npy").mapv(|x| x as f32);
    let x = sandbox.load::<f32>("one.npy");
    let outcome = stream(&sandbox, "-q -w w --frames --dtype f64", &[bare(&x)]).succeeds();
    assert!(outcome.stdout == bare(&rounded));
}

/// A stream that is talked to.
struct Live {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Live {
    fn start(sandbox: &Sandbox, line: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rnn"));
        command.arg("stream").args(line.split_whitespace()).current_dir(sandbox.path("."));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Live { child, input, output }
    }

    /// Sends one array, and fails the test unless this answer comes before anything else is sent.
    #[track_caller]
    fn ask(&mut self, array: &[u8], answer: &[u8]) {
        self.input.write_all(array).unwrap();
        let mut found = vec![0; answer.len()];
        self.output.read_exact(&mut found).unwrap();
        assert!(found == answer);
    }
}

#[test]
fn every_answer_comes_before_the_next_array() {
    let sandbox = layer();
    let arrays = chunks(&sandbox.load::<f32>("x.npy"), &[1, 4, 7], 0);
    let answers = chunks(&sandbox.load::<f32>("y.npy"), &[1, 4, 7], 0);
    let mut live = Live::start(&sandbox, "-w w");
    for (array, answer) in arrays.iter().zip(&answers) {
        live.ask(array, answer);
    }
    drop(live.input);
    assert!(live.child.wait().unwrap().success());

    let frames = sandbox.load::<f32>("one.npy");
    let answers = bare(&sandbox.load::<f32>("one-y.npy"));
    let mut live = Live::start(&sandbox, "-w w --frames");
    for (frame, answer) in bare(&frames).chunks(16).zip(answers.chunks(24)) {
        live.ask(frame, answer);
    }
    drop(live.input);
    assert!(live.child.wait().unwrap().success());
}

/// Without a checkpoint, after one, and at one; what has been answered is what is saved.
#[cfg(unix)]
#[test]
fn a_signal_that_ends_the_stream_loses_nothing() {
    let sandbox = layer();
    let arrays = chunks(&sandbox.load::<f32>("x.npy"), &[1; 12], 0);
    let answers = chunks(&sandbox.load::<f32>("y.npy"), &[1; 12], 0);
    let states = |count: usize| {
        let line = "-q -w w --state expected.npz";
        stream(&sandbox, line, &arrays[..count]).succeeds();
        let state = sandbox.bytes("expected.npz");
        std::fs::remove_file(sandbox.path("expected.npz")).unwrap();
        state
    };
    for (signal, answered, words) in [
        ("TERM", 5, ""),
        ("INT", 1, ""),
        ("HUP", 12, ""),
        ("TERM", 7, "--checkpoint 3"),
        ("INT", 6, "--checkpoint 3"),
    ] {
        let heeded = signals().into_iter().find(|(_, name)| *name == signal);
        let Some((expected, _)) = heeded else { continue };
        let mut live = Live::start(&sandbox, &format!("-w w --state s.npz {words}"));
        for i in 0..answered {
            live.ask(&arrays[i], &answers[i]);
        }
        // A part of the next array does not count.
        if answered < 12 {
            live.input.write_all(&arrays[answered][..100]).unwrap();
        }
        let kill = ["-s".to_owned(), signal.to_owned(), live.child.id().to_string()];
        assert!(Command::new("kill").args(kill).status().unwrap().success());
        let status = live.child.wait().unwrap();
        let number = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(number, Some(expected), "{status}");
        assert!(sandbox.bytes("s.npz") == states(answered), "{signal} after {answered}");
        let rest = stream(&sandbox, "-q -w w --state s.npz", &arrays[answered..]).succeeds();
        assert!(rest.stdout == answers[answered..].concat(), "{signal}");
        std::fs::remove_file(sandbox.path("s.npz")).unwrap();
    }
    // Nothing was answered, and there is nothing to save.
    let mut live = Live::start(&sandbox, "-w w --state s.npz");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let kill = ["-s".to_owned(), "TERM".to_owned(), live.child.id().to_string()];
    assert!(Command::new("kill").args(kill).status().unwrap().success());
    assert!(!live.child.wait().unwrap().success());
    assert!(!sandbox.names().iter().any(|name| name.contains("npz") || name.starts_with(".rnn-")));
}

/// An answer that is not read does not keep the process from ending, and does not count.
#[cfg(unix)]
#[test]
fn a_signal_does_not_wait_for_a_reader() {
    let sandbox = layer();
    let wide = npy(&ArrayD::<f32>::zeros(IxDyn(&[20_000, 3, 4])));
    let mut live = Live::start(&sandbox, "-w w --state s.npz");
    live.input.write_all(&wide).unwrap();
    // The answer is larger than a pipe.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let kill = ["-s".to_owned(), "TERM".to_owned(), live.child.id().to_string()];
    assert!(Command::new("kill").args(kill).status().unwrap().success());
    let start = std::time::Instant::now();
    assert!(!live.child.wait().unwrap().success());
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
    assert!(!sandbox.names().contains(&"s.npz".to_owned()));
}

#[cfg(unix)]
#[test]
fn a_kill_loses_at_most_the_arrays_after_the_last_checkpoint() {
    let sandbox = layer();
    let arrays = chunks(&sandbox.load::<f32>("x.npy"), &[1; 12], 0);
    let answers = chunks(&sandbox.load::<f32>("y.npy"), &[1; 12], 0);
    for (signal, answered) in [("KILL", 8), ("KILL", 6), ("KILL", 2)] {
        let mut live = Live::start(&sandbox, "-w w --state s.npz --checkpoint 3");
        for i in 0..answered {
            live.ask(&arrays[i], &answers[i]);
        }
        if answered % 3 == 0 {
            // The answer comes before the checkpoint that holds it.
            let due = |names: Vec<String>| names.contains(&"s.npz".to_owned());
            while !due(sandbox.names()) || count(&sandbox) < answered as u64 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        let kill = ["-s".to_owned(), signal.to_owned(), live.child.id().to_string()];
        assert!(Command::new("kill").args(kill).status().unwrap().success());
        assert!(!live.child.wait().unwrap().success());
        // The arrays that the state does not count are sent again.
        let saved = sandbox.names().contains(&"s.npz".to_owned());
        assert_eq!(saved, answered >= 3);
        let expected = if saved { answered / 3 * 3 } else { 0 };
        if saved {
            assert_eq!(count(&sandbox), expected as u64, "{signal}");
        }
        let rest = stream(&sandbox, "-q -w w --state s.npz", &arrays[expected..]).succeeds();
        assert!(rest.stdout == answers[expected..].concat(), "{signal}");
        assert_eq!(count(&sandbox), 12);
        std::fs::remove_file(sandbox.path("s.npz")).unwrap();
    }
    let names = sandbox.names();
    assert!(!names.iter().any(|name| name.starts_with(".rnn-")), "{names:?}");
}

#[test]
fn a_reader_that_leaves_ends_the_stream_by_sigpipe_and_silently() {
    let sandbox = layer();
    let script = "for i in {1..300}; do cat x.npy; done > many
        rnn stream -w w < many | head -c 10 | wc -c; echo ${PIPESTATUS[0]}
        rnn stream -w w --state s.npz < many | head -c 10 | wc -c; echo ${PIPESTATUS[0]}";
    let outcome = sandbox.shell(script).succeeds();
    assert_eq!(outcome.stdout_text(), "10\n141\n10\n141\n");
    assert!(!sandbox.names().contains(&"s.npz".to_owned()));
    if sandbox.shell("test -e /dev/full").code == Some(0) {
        let full = "rnn: stdout: No space left on device (os error 28)\n";
        sandbox.shell("rnn stream -w w < x.npy > /dev/full").fails(74, full);
    }
}

/// Whether there is a Python with this module; if not, the test that needs it says so.
#[allow(clippy::print_stderr, reason = "a test that is skipped says why")]
fn can_import(module: &str) -> bool {
    let found = Sandbox::new().shell(&format!("python3 -c 'import {module}'")).code == Some(0);
    if !found {
        eprintln!("skipped: there is no python3 with {module}");
    }
    found
}

/// Runs a script that needs NumPy.
fn with_numpy(sandbox: &Sandbox, script: &str) -> Option<Outcome> {
    can_import("numpy").then(|| sandbox.shell(script).succeeds())
}

/// The lines of the manual, and none but those.
#[test]
fn the_lines_of_the_manual_work() {
    let sandbox = layer();
    let manual = sandbox.rnn("stream --help").succeeds().stdout_text();
    let blocks: Vec<_> = manual
        .split("\n\n")
        .filter(|block| block.starts_with("    "))
        .filter(|block| block.contains('('))
        .take(4)
        .map(|block| block.replace("\n    ", "\n").trim_start().to_owned())
        .collect();
    let [write, pipe, whole, file] = &blocks[..] else { panic!("{manual}") };
    let read = "import io, sys, types, numpy as np\n";
    let same = "    assert (output == y[t:t + 2]).all(); t += 2\nassert t == 12";
    let y = "y = np.load('y.npy'); t = 0\n";
    sandbox.write(
        "write.py",
        format!("{read}chunks = np.load('x.npy').reshape(6, 2, 3, 4)\n{write}\n").as_bytes(),
    );
    for (name, lines, indent) in [("pipe", pipe, ""), ("whole", whole, ""), ("file", file, "    ")]
    {
        let same = format!("{indent}{same}").replace(&format!("{indent}assert t"), "assert t");
        sandbox.write(&format!("{name}.py"), format!("{read}{y}{lines}\n{same}\n").as_bytes());
    }
    let script = "set -o pipefail
        python3 write.py | rnn stream -q -w w | python3 pipe.py
        python3 write.py | rnn stream -q -w w | python3 whole.py
        python3 write.py | rnn stream -q -w w > outputs.npy; python3 file.py; echo done";
    if let Some(outcome) = with_numpy(&sandbox, script) {
        assert_eq!(outcome.stdout_text(), "done\n");
    }
}

#[test]
fn numpy_reads_a_state() {
    let sandbox = layer();
    let script = "rnn stream -q -w w --state s.npz < x.npy > y2.npy
        python3 -c \"
import numpy as np
s = np.load('s.npz')
print(int(s['count']), (s['h_n'] == np.load('h.npy')).all(), s['fingerprint'].shape, s['fingerprint'].dtype)\"";
    if let Some(outcome) = with_numpy(&sandbox, script) {
        assert_eq!(outcome.stdout_text(), "1 True (8,) uint8\n");
    }
}

/// Another process that holds the same pipe may have set it so.
#[test]
fn pipes_that_are_set_to_be_non_blocking() {
    let sandbox = layer();
    if !can_import("fcntl") {
        return;
    }
    sandbox.write(
        "ask.py",
        b"
import os, subprocess, sys, time
ours, theirs = os.pipe(), os.pipe()
for end in (ours[0], theirs[1]):
    os.set_blocking(end, False)
rnn = subprocess.Popen(['rnn', 'stream', '-q', '-w', 'w'], stdin=ours[0], stdout=theirs[1])
os.close(ours[0]); os.close(theirs[1])
if os.fork() == 0:
    os.close(theirs[0])
    data = open('many', 'rb').read()
    time.sleep(0.2)
    for at in range(0, len(data), 5000):
        os.write(ours[1], data[at:at + 5000])
    os._exit(0)
os.close(ours[1])
time.sleep(0.5)
sys.stdout.buffer.write(open(theirs[0], 'rb').read())
sys.exit(rnn.wait())
",
    );
    let script = "for i in {1..300}; do cat x.npy; done > many
        rnn stream -q -w w < many > expected; python3 ask.py > found; cmp expected found; echo $?";
    assert_eq!(sandbox.shell(script).succeeds().stdout_text(), "0\n");
}
