//! Pipelines of commands: tensors and weights pass through pipes, reports go to stderr.

use crate::support::{Outcome, Sandbox};

/// Fails the test unless a pipeline succeeded; the caller checks its stderr.
#[track_caller]
fn ended_well(outcome: Outcome) -> Outcome {
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome
}

/// `w/`, `x.npy`, and the results if every step reads and writes files.
fn by_files() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .shell(
            "set -e
            rnn init -q --input-size 10 --hidden 20 --layers 2 -o w/
            rnn init -q --input-size 20 --hidden 5 -o w2/
            rnn randn -q --shape 5,3,10 -o x.npy
            rnn run -q -i x.npy -w w/ -o y.npy --hn h.npy
            rnn run -q -i y.npy -w w2/ -o z.npy",
        )
        .succeeds();
    sandbox
}

#[test]
fn tensors_pass_through_pipes_as_through_files() {
    let sandbox = by_files();
    let piped = "set -o pipefail
        rnn randn -q --shape 5,3,10 -o - | rnn run -q -i - -w w/ -o - | rnn run -q -i - -w w2 -o -";
    assert_eq!(sandbox.shell(piped).succeeds().stdout, sandbox.bytes("z.npy"));
}

#[test]
fn h_n_and_h_0_pass_through_pipes() {
    let sandbox = by_files();
    let hn = sandbox.rnn("run -q -i x.npy -w w --hn -").succeeds();
    assert_eq!(hn.stdout, sandbox.bytes("h.npy"));
    // The second half of a sequence continues from the state after the first.
    let files = "rnn run -q -i x.npy -w w --h0 h.npy -o twice.npy";
    sandbox.shell(files).succeeds();
    let piped = "rnn run -q -i x.npy -w w --hn - | rnn run -q -i x.npy -w w --h0 - -o -";
    assert_eq!(sandbox.shell(piped).succeeds().stdout, sandbox.bytes("twice.npy"));
}

#[test]
fn weights_pass_through_pipes() {
    let sandbox = by_files();
    let init = "rnn init -q --input-size 10 --hidden 20 --layers 2 -o -";
    for read in ["-w -", "-w /dev/stdin", "--weights=-"] {
        let piped = format!("{init} | rnn run -q -i x.npy {read} -o -");
        assert_eq!(sandbox.shell(&piped).succeeds().stdout, sandbox.bytes("y.npy"), "{read}");
    }
    sandbox.shell(&format!("{init} > stdout.npz; {init} | cat > cat.npz")).succeeds();
    sandbox.shell("rnn init -q --input-size 10 --hidden 20 --layers 2 -o file.npz").succeeds();
    assert_eq!(sandbox.bytes("stdout.npz"), sandbox.bytes("file.npz"));
    assert_eq!(sandbox.bytes("cat.npz"), sandbox.bytes("file.npz"));
}

#[test]
fn an_archive_passes_through_a_pipe_as_input() {
    let sandbox = by_files();
    sandbox.shell("rnn init -q --no-bias --input-size 2 --hidden 1 -o - > two.npz").succeeds();
    // Members that are not sequences of one width are an error that names the stream.
    let outcome = sandbox.shell("cat two.npz | rnn run -i - -w w");
    outcome.fails(
        65,
        "rnn: stdin: expected one member, a packed sequence (data, batch_sizes), or sequences (seq_len, input_size) of one input_size, got weight_ih_l0, weight_hh_l0\n",
    );
}

#[test]
fn reports_stand_on_stderr_beside_a_tensor() {
    let sandbox = by_files();
    // One after the other, so that their order is fixed.
    let script = "rnn randn --shape 5,3,10 -o - > a.npy 2> randn.txt
        rnn run -w w -i - -o - < a.npy > b.npy 2> run.txt
        rnn init --input-size 10 --hidden 20 -o - > c.npz 2> init.txt
        rnn run -w w -i x.npy -o b2.npy > file.txt";
    sandbox.shell(script).succeeds();
    let text = |name: &str| String::from_utf8(sandbox.bytes(name)).unwrap();
    assert_eq!(text("randn.txt"), "seed   67280421310721\nrandn  [5, 3, 10]  f32  stdout\n");
    assert_eq!(sandbox.bytes("b.npy"), sandbox.bytes("y.npy"));
    assert!(
        text("run.txt")
            .contains("\ninput    [5, 3, 10] seq_len 5, batch 3, input_size 10      f32  stdin\n")
    );
    assert!(
        text("run.txt")
            .contains("\noutput   [5, 3, 20] seq_len 5, batch 3, hidden_size 20     f32  stdout\n")
    );
    assert!(
        text("init.txt")
            .starts_with("RNN(10, 20), tanh, f32, 640 parameters\nweights       stdout\n")
    );
    assert!(
        text("file.txt").starts_with("RNN(10, 20, num_layers=2), tanh, f32, 1480 parameters\n")
    );
}

#[test]
fn one_failure_does_not_hang_the_pipeline() {
    let sandbox = by_files();
    let piped = ended_well(sandbox.shell(
        "rnn randn -q --shape 5,3,7 -o - | rnn run -q -i - -w w -o - | wc -c; echo ${PIPESTATUS[*]}",
    ));
    let codes = piped.stdout_text();
    let codes: Vec<_> = codes.split_whitespace().collect();
    // The reader fails at the header, and may end before the writer has written the rest.
    assert!(codes == ["0", "0", "65", "0"] || codes == ["0", "141", "65", "0"], "{codes:?}");
    let message = "rnn: stdin: input: expected 10 features (input_size) on the last axis, got 7 in shape [5, 3, 7]\n";
    assert!(piped.stderr.starts_with(message), "{}", piped.stderr);
}

/// The manual's lines for users of NumPy. Without NumPy the test passes.
#[test]
fn numpy_in_the_pipe() {
    let sandbox = by_files();
    if sandbox.shell("python3 -c 'import numpy'").code != Some(0) {
        return;
    }
    let write =
        "import numpy as np; np.save(open(1, 'wb', 0), np.load('x.npy').astype('>f4', order='F'))";
    let read = "import io, sys, numpy as np; a = np.load(io.BytesIO(sys.stdin.buffer.read())); print(a.shape, a.dtype, (a == np.load('y.npy')).all())";
    let script =
        format!("python3 -c \"{write}\" | rnn run -q -i - -w w -o - | python3 -c \"{read}\"");
    assert_eq!(sandbox.shell(&script).succeeds().stdout_text(), "(5, 3, 20) float32 True\n");
    let names = "import numpy as np; a = np.load('w.npz'); print(a.files, a['weight_hh_l0'].shape)";
    let script =
        format!("rnn init -q --no-bias --input-size 2 --hidden 3 -o w.npz; python3 -c \"{names}\"");
    let expected = "['weight_ih_l0', 'weight_hh_l0'] (3, 3)\n";
    assert_eq!(sandbox.shell(&script).succeeds().stdout_text(), expected);
}

#[test]
fn a_pipe_may_send_a_limited_number_of_bytes() {
    let sandbox = by_files();
    let len = sandbox.bytes("x.npy").len();
    let refused = |place: &str, bytes: usize, got: &str| {
        format!(
            "rnn: {place}: expected at most {bytes} bytes from a pipe (--max-bytes), got {got}\n"
        )
    };
    for command in ["rnn run -w w -i - -o z.npy -q", "rnn info - --report json > info.json"] {
        let most = |bytes: usize| format!("cat x.npy | {command} --max-bytes {bytes}");
        sandbox.shell(&most(len)).succeeds();
        sandbox.shell(&most(len - 1)).fails(65, &refused("stdin", len - 1, "more"));
    }
    // The flag before the command, with a named pipe, and with an endless sender.
    let fifo = format!(
        "mkfifo pipe; cat x.npy > pipe & rnn --max-bytes {} info pipe; code=$?; wait; exit $code",
        len - 1
    );
    sandbox.shell(&fifo).fails(65, &refused("pipe", len - 1, "more"));
    let endless = "yes 1,2,3 | rnn run -w w -i - -o z.npy -q --max-bytes 64K";
    sandbox.shell(endless).fails(65, &refused("stdin", 65536, "more"));
    // The limit does not apply to files, and applies to each array of a stream alone.
    sandbox.rnn("run -w w -i x.npy -o z.npy -q --max-bytes 10").succeeds();
    let numbers = len - 128;
    let stream =
        |bytes: usize| format!("cat x.npy x.npy | rnn stream -w w -q --max-bytes {bytes} > z.npy");
    sandbox.shell(&stream(numbers)).succeeds();
    let place = "stdin: array 1 at byte 0";
    let got = format!("an array of {numbers}");
    sandbox.shell(&stream(numbers - 1)).fails(65, &refused(place, numbers - 1, &got));
    let wrong = "rnn: --max-bytes: expected a number of bytes, such as 1000000 or 64M, got '1T'\n\
                 hint: rnn info --help\n";
    sandbox.rnn("info x.npy --max-bytes 1T").fails(2, wrong);
}
