//! Rows 88 to 90, 94 and 96: several processes on one file, words that cannot be written, the first process of a
//! container, the trace of an error, and numbers that a stream must not take.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use ndarray::ArrayD;

use super::{Scene, skipped};
use crate::support::signals;

/// Names of what a command may leave behind.
fn leftovers(scene: &Scene) -> Vec<String> {
    scene.sandbox.names().into_iter().filter(|name| name.starts_with('.')).collect()
}

/// A process that holds the lock of `r.npy`, because its output is not read; it has drawn.
fn holder(scene: &Scene) -> Child {
    let mut rnn = Command::new(env!("CARGO_BIN_EXE_rnn"));
    rnn.args("randn --rng r.npy --shape 1000000 -o - -q".split(' '));
    let mut child = rnn.current_dir(scene.sandbox.path("")).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    child
}

#[test]
fn fault_88() {
    let scene = Scene::new();
    scene.succeeds("rnn randn -q --rng start.npy --seed 3 --shape 1 -o y.npy");
    let line = "rnn randn -q --rng r.npy --shape 1001 -o";
    scene.succeeds(&format!(
        "cp start.npy r.npy; for i in 1 2 3 4; do {line} expected$i.npy; done; mv r.npy end.npy"
    ));
    let draws = |name: &str| {
        let mut all = [1, 2, 3, 4].map(|i| scene.sandbox.bytes(&format!("{name}{i}.npy")));
        all.sort();
        all
    };
    for _ in 0..10 {
        let at_once = format!(
            "cp start.npy r.npy; pids=; for i in 1 2 3 4; do {line} found$i.npy & pids+=\" $!\"; done
            for pid in $pids; do wait $pid || exit; done; cmp r.npy end.npy"
        );
        scene.sandbox.shell(&at_once).succeeds();
        assert!(draws("found") == draws("expected"));
        assert_eq!(leftovers(&scene), [""; 0]);
    }
}

/// Both ends of a pipe draw from one file: the writer first, and neither waits for the other for ever.
#[test]
fn fault_88_in_a_pipeline() {
    let scene = Scene::new();
    let (randn, run) =
        ("rnn randn -q --rng r.npy", "timeout 60 rnn run -q --rng r.npy --layers 2 --dropout 0.5");
    scene.succeeds("rnn randn -q --rng start.npy --seed 3 --shape 1 -o y.npy");
    scene.sandbox.shell("rnn init -q --input-size 3 --hidden 4 --layers 2 -o w.npz").succeeds();
    for (files, pipes) in [
        (
            format!("{randn} --shape 40000,3 -o a.npy && {run} --train -w w.npz -i a.npy -o y.npy"),
            format!("{randn} --shape 40000,3 -o - | {run} --train -w w.npz -i - -o y.npy"),
        ),
        // Fresh weights are drawn before the input is used.
        (
            format!("{randn} --shape 40000,3 -o a.npy && {run} --hidden 4 -i a.npy -o y.npy"),
            format!("{randn} --shape 40000,3 -o - | {run} --hidden 4 -i - -o y.npy"),
        ),
        (
            format!(
                "{randn} --shape 2,2,4 -o a.npy && {run} --hidden 4 -i x.npy --h0 a.npy -o y.npy"
            ),
            format!("{run} --hidden 4 -i x.npy --h0 <({randn} --shape 2,2,4 -o -) -o y.npy"),
        ),
        (
            "rnn init -q --rng r.npy --input-size 3 --hidden 99 --layers 2 -o a.npz &&
            rnn run -q --rng r.npy --train --dropout 0.5 -w a.npz -i x.npy -o y.npy"
                .to_owned(),
            "rnn init -q --rng r.npy --input-size 3 --hidden 99 --layers 2 -o - |
            timeout 60 rnn run -q --rng r.npy --train --dropout 0.5 -w - -i x.npy -o y.npy"
                .to_owned(),
        ),
    ] {
        let drawn = |script: &str| {
            let outcome = scene.sandbox.shell(&format!("cp start.npy r.npy; {script}"));
            outcome.succeeds();
            (scene.sandbox.bytes("y.npy"), scene.sandbox.bytes("r.npy"))
        };
        assert!(drawn(&files) == drawn(&pipes), "{pipes}");
        assert_eq!(leftovers(&scene), [""; 0], "{pipes}");
    }
}

#[test]
fn fault_88_of_a_holder_that_is_killed() {
    let scene = Scene::new();
    scene.succeeds("rnn randn -q --rng r.npy --seed 3 --shape 1 -o y.npy; cp r.npy start.npy");
    let next = |name: &str| format!("timeout 60 rnn randn -q --rng r.npy --shape 2 -o {name}");
    for signal in [9, 15, 9] {
        let mut held = holder(&scene);
        assert!(leftovers(&scene).contains(&".rnn-r.npy.lock".to_owned()));
        // The next one waits as long as the first one lives. In the foreground it gets one signal, and not a second one
        // that kills it before it has cleaned up.
        let waiting = scene
            .sandbox
            .shell("timeout --foreground 0.3 rnn randn --rng r.npy --shape 2 -o z.npy");
        assert_eq!((waiting.code, waiting.stdout_text().as_str()), (Some(124), ""));
        scene.succeeds(&format!("kill -s {signal} {}", held.id()));
        assert_eq!(held.wait().unwrap().signal(), Some(signal));
        if signal == 15 {
            assert_eq!(leftovers(&scene), [""; 0]);
        }
        scene.sandbox.shell(&next("a.npy")).succeeds();
        assert_eq!(leftovers(&scene), [""; 0]);
        // The one that was killed has drawn nothing.
        scene.succeeds(&format!("cp start.npy r.npy; {}; cp start.npy r.npy", next("b.npy")));
        assert_eq!(scene.sandbox.bytes("a.npy"), scene.sandbox.bytes("b.npy"));
    }
    // A file that is no lock is not removed, and keeps nobody waiting.
    scene.sandbox.write(".rnn-r.npy.lock", b"precious");
    let message = "/.rnn-r.npy.lock: cannot be written: expected a lock of rnn";
    scene.refuses(&next("y.npy"), 73, &[message]);
}

#[test]
fn fault_88_of_states() {
    let scene = Scene::new();
    scene.succeeds("mkfifo in; ln -s s.npz link; rnn stream -q -w w.npz < x.npy > one");
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("", 0)] {
        let outcome = scene.sandbox.shell(&format!(
            "rm -f s.npz out; rnn stream -q -w w.npz --state s.npz < in > out & holder=$!; exec 3> in
            cat x.npy >&3; until test -s out; do sleep 0.01; done
            for state in s.npz link; do
                rnn stream -w none --state $state < x.npy; echo $?
            done
            rnn stream -q -w w.npz --state other.npz < x.npy | cmp - one
            # The shell tells of a process that was killed.
            exec 2> /dev/null
            if test -n '{signal}'; then kill -s '{signal}' $holder; else exec 3>&-; fi
            wait $holder; code=$?; echo $holder; exit $code"
        ));
        let said = outcome.stdout_text();
        let Some((codes, holder)) = said.trim_end().rsplit_once('\n') else { panic!("{said}") };
        assert_eq!((outcome.code, codes), (Some(code), "75\n75"), "{signal}");
        let refused = |state| format!("rnn: {state}: in use by process {holder}; try again\n");
        assert_eq!(outcome.stderr, refused("s.npz") + &refused("link"), "{signal}");
        assert_eq!(leftovers(&scene).len(), usize::from(signal == "KILL"));
        assert_eq!(scene.sandbox.path("s.npz").exists(), signal != "KILL");
        scene.succeeds("rm -f other.npz; rnn stream -q -w w.npz --state s.npz < x.npy > out");
        assert_eq!(leftovers(&scene), [""; 0]);
    }
}

/// Little-endian f32 numbers.
fn frames(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn fault_96() {
    let scene = Scene::new();
    let stream = "rnn stream -w w.npz --state s.npz";
    scene.sandbox.shell("rnn init -q --input-size 1 --hidden 1 -o one.npz").succeeds();
    // Two frames, whose state is saved, and then one with a NaN.
    let whole = frames(&[0.5, 0.25, 1.0, -0.5, 2.0, 0.125]);
    scene.sandbox.write("good", &whole);
    scene.succeeds(&format!("{stream} -q --frames --check-finite < good > out"));
    let state = scene.sandbox.bytes("s.npz");
    for (number, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-f32::INFINITY, "-inf")] {
        scene.sandbox.write("bad", &frames(&[1.0, number, 2.0]));
        let says = format!(
            "rnn: stdin: frame 1 at byte 0: input: expected finite numbers, got {text} at [0, 1]\n"
        );
        scene.refuses(&format!("{stream} --check-finite --frames < bad"), 65, &[&says]);
        let array = ArrayD::from_shape_vec(vec![1, 3], vec![1.0, number, 2.0]).unwrap();
        scene.sandbox.save("bad.npy", &array.view());
        let says = says.replace("frame 1", "array 1");
        scene.refuses(&format!("{stream} --check-finite < bad.npy"), 65, &[&says]);
    }
    assert_eq!(scene.sandbox.bytes("s.npz"), state);
    // In mid-stream the frames before it are answered, and their state is saved.
    scene.sandbox.write("mixed", &[&whole[..], &frames(&[f32::NAN; 3]), &whole].concat());
    let after = "frame 3 at byte 24: input: expected finite numbers, got NaN at [0, 0]";
    let outcome = scene.sandbox.shell(&format!("{stream} -q --check-finite --frames < mixed"));
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(65), 2 * 4 * 4));
    assert_eq!(outcome.stderr, format!("rnn: stdin: {after}\n"));
    scene.sandbox.write("four", &whole.repeat(2));
    scene.succeeds(
        "rnn stream -q -w w.npz --frames --state expected.npz < four > out; cmp s.npz expected.npz",
    );
    // What a finite input makes of weights, states and answers.
    let inf = ArrayD::from_elem(vec![1, 4], f32::INFINITY);
    scene.sandbox.save("h0.npy", &inf.view());
    let line = "rnn stream -w w.npz --check-finite --h0 h0.npy --frames < good";
    scene.refuses(line, 65, &["h0.npy: h_0: expected finite numbers, got inf at [0, 0]"]);
    scene.succeeds("rnn stream -q -w w.npz --h0 h0.npy --state nan.npz --frames < good > out");
    let line = "rnn stream -w w.npz --check-finite --state nan.npz --frames < good";
    scene.refuses(line, 65, &["nan.npz: h_n: expected finite numbers, got NaN at [0, 0]"]);
    scene.succeeds("rnn init -q --input-size 3 --hidden 4 --nonlinearity relu -o w");
    scene.sandbox.save("w/weight_ih_l0.npy", &ArrayD::from_elem(vec![4, 3], 2_f32).view());
    scene.sandbox.write("huge", &frames(&[3e38, 3e38, 3e38]));
    let line = "rnn stream -w w --check-finite --frames --state relu.npz < huge";
    scene.refuses(line, 65, &["stdin: frame 1 at byte 0: output: expected finite numbers, got"]);
    scene.sandbox.save("w/bias_ih_l0.npy", &ArrayD::from_elem(vec![4], f32::NAN).view());
    let says = "rnn: w: bias_ih_l0: expected finite numbers, got NaN at [0]";
    scene.refuses("rnn stream -w w --check-finite --frames < good", 65, &[says]);
}

#[test]
fn fault_96_of_text() {
    let scene = Scene::new();
    scene.sandbox.shell("rnn init -q --input-size 1 --hidden 1 -o one.npz").succeeds();
    let expected = |size: u32| format!("expected frames of {size} little-endian f32 numbers, got");
    for (command, text) in [
        ("printf '0.1,0.2,0.3\\n0.4,0.5,0.6\\n'", "text that begins with '0.1,0.2,0.3\\n"),
        ("printf '1 2 3\\n4 5 6\\n'", "text that begins with '1 2 3\\n"),
        ("seq 1000", "text that begins with '1\\n2\\n3\\n4"),
        (
            "echo it is all the same to me what this pipe is to read",
            "text that begins with 'it is all",
        ),
        ("rnn --help", "text that begins with '"),
        ("cat x.npy", "a .npy, which is read without --frames"),
    ] {
        for (weights, size) in [("w.npz", 3), ("one.npz", 1)] {
            let line = format!(
                "{command} | rnn stream -w {weights} --frames --state s.npz --checkpoint 1"
            );
            scene.refuses(&line, 65, &[&format!("rnn: stdin: {} {text}", expected(size))]);
        }
    }
    // A line is a frame of one number, and comes alone: it is answered, and leaves no state.
    for lines in
        ["for i in 1 2 3 4; do echo 0.$i; sleep 0.05; done", "echo 0.1; sleep 0.05; echo 2"]
    {
        let line = "rnn stream -q -w one.npz --frames --state s.npz --checkpoint 1 | wc -c";
        let outcome = scene.sandbox.shell(&format!("set -o pipefail; ({lines}) | {line}"));
        assert_eq!(outcome.code, Some(65), "{lines}: {}", outcome.stderr);
        assert!(!scene.sandbox.path("s.npz").exists(), "{lines}: {}", outcome.stdout_text());
    }
    // A frame is cut by the end of a short text.
    let line = "echo 0.12 | rnn stream -w one.npz --frames --state s.npz";
    scene.refuses(line, 65, &["text that begins with '0.12\\n'"]);
    // Numbers between, and a frame alone whose bytes are characters, are read.
    for numbers in [&[0.5, 1.0, -2.0][..], &[12.078_431; 3], &[1e-7, 2e-7, 3e-7], &[3.4e38; 300]] {
        scene.sandbox.write("good", &frames(numbers));
        scene.succeeds("rnn stream -q -w w.npz --frames < good > out");
    }
    let outcome = scene.sandbox.shell("printf AAAA | rnn stream -q -w one.npz --frames");
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(0), 4), "{}", outcome.stderr);
    // Checkpoints begin with the first number that is no text.
    scene.sandbox.write("good", &frames(&[12.078_431, 12.078_431, 0.5, 1.0]));
    scene.succeeds("rnn stream -q -w one.npz --frames --state s.npz --checkpoint 3 < good > out");
    let count = scene.succeeds("rnn info s.npz:count --values").stdout_text();
    assert!(count.contains("tensor(4)"), "{count}");
}

/// Standard error that takes no words: the name of the kind, and the stream.
fn deaf() -> Vec<(&'static str, Stdio)> {
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    // The reader stays open, and never reads: the write end would block, and fails instead.
    let (reader, mut full) = std::io::pipe().unwrap();
    std::mem::forget(reader);
    let flags = rustix::fs::fcntl_getfl(&full).unwrap();
    rustix::fs::fcntl_setfl(&full, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while full.write(b"x").map_err(|error| error.kind()) != Err(ErrorKind::WouldBlock) {}
    let device = File::options().write(true).open("/dev/full").unwrap();
    vec![("closed", closed.into()), ("full pipe", full.into()), ("full", device.into())]
}

#[test]
fn fault_89() {
    let scene = Scene::new();
    let input = scene.sandbox.bytes("x.npy").repeat(50);
    for line in [
        "stream -w w.npz",
        "stream -v -w w.npz",
        "run -v -w w.npz -i - -o -",
        "run -w w.npz -i - -o - --report json",
        "run --hidden 4 --layers 2 --dropout 0.5 -i - -o -",
        "randn --shape 5,3 -o -",
        "init --input-size 3 --hidden 4 -o -",
        "convert -v w.npz -",
        "info x.npy none.npy",
        "run -vv -w none.npz -i x.npy -o -",
        "run --nothing",
    ] {
        let run = |stderr: Stdio| {
            let mut rnn = Command::new(env!("CARGO_BIN_EXE_rnn"));
            rnn.args(line.split(' ')).current_dir(scene.sandbox.path(""));
            rnn.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
            let mut child = rnn.spawn().unwrap();
            // The command holds the stream too, which would keep a pipe open.
            drop(rnn);
            let mut stdin = child.stdin.take().unwrap();
            let arrays = if line.starts_with("stream") { 50 } else { 1 };
            let input = input[..input.len() / 50 * arrays].to_vec();
            let feed = std::thread::spawn(move || stdin.write_all(&input));
            let output = child.wait_with_output().unwrap();
            let _ = feed.join().unwrap();
            (output.status.code(), output.stdout, output.stderr)
        };
        let (code, stdout, words) = run(Stdio::piped());
        assert!(!words.is_empty(), "{line}: it has words to say");
        for (kind, stderr) in deaf() {
            let found = run(stderr);
            assert!(found == (code, stdout.clone(), vec![]), "{line}, {kind}: {:?}", found.0);
        }
    }
    let closed = scene.succeeds("rnn stream -v -w w.npz < x.npy 2>&-");
    assert_eq!(closed.stdout, scene.succeeds("rnn run -q -w w.npz -i x.npy -o -").stdout);
}

/// `unshare` makes the command the first process of a container, for which the system ignores signals.
const FIRST: &str = "unshare -r -p -f";

#[test]
fn fault_90() {
    if skipped(90) {
        return;
    }
    // A shell starts its background processes with SIGINT ignored.
    for (number, name) in signals().into_iter().filter(|(_, name)| *name != "INT") {
        let scene = Scene::new();
        scene.succeeds("mkfifo in; for i in 1 2 3; do cat x.npy; done > all.npy");
        // Two arrays are answered, and the third one does not come.
        let outcome = scene.sandbox.shell(&format!(
            "{FIRST} rnn stream -w w.npz --state s.npz < in > out 2> said & exec 3> in
            cat x.npy x.npy >&3; until test $(stat -c %s out) -ge 576; do sleep 0.01; done
            kill -s {name} $(cat /proc/$!/task/$!/children); wait $!"
        ));
        assert_eq!(outcome.code, Some(128 + number), "{name}: {}", outcome.stderr);
        assert_eq!(scene.sandbox.bytes("said"), b"", "{name}");
        assert_eq!(leftovers(&scene), [""; 0]);
        // The third one goes on from the saved state.
        scene.succeeds(
            "rnn stream -q -w w.npz --state s.npz < x.npy >> out
            rnn stream -q -w w.npz < all.npy > expected; cmp out expected",
        );
    }
    let scene = Scene::new();
    let outcome = scene.sandbox.shell(&format!(
        "for i in $(seq 1000); do cat x.npy; done > many
        {FIRST} rnn stream -q -w w.npz --state s.npz --checkpoint 1 < many | head -c 1 > out
        code=${{PIPESTATUS[0]}}; rnn info s.npz:count --values; exit $code"
    ));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(141), ""));
    assert!(outcome.stdout_text().contains("count"), "{}", outcome.stdout_text());
    assert_eq!(leftovers(&scene), [""; 0]);
    // Errors and success keep their codes.
    for (line, code) in [("run -w none.npz -i x.npy", 66), ("run -q -w w.npz -i x.npy -o z.png", 2)]
    {
        assert_eq!(scene.sandbox.shell(&format!("{FIRST} rnn {line}")).code, Some(code), "{line}");
    }
    scene.succeeds(&format!("{FIRST} rnn run -q -w w.npz -i x.npy -o y.npy"));
}

#[test]
fn fault_94() {
    let scene = Scene::new();
    scene.sandbox.write("bad.npy", b"\x93NUMPY");
    for (line, cause) in [
        ("run -w w.npz -i none.npy", true),
        ("run -w none -i x.npy", true),
        ("run -w bad.npy -i x.npy", false),
        ("run -w w.npz -i w.npz:weight_hh_l0", true),
        ("run -w w.npz -i x.npy -o /none/y.npy", true),
        ("stream -w none", true),
        ("convert none w", true),
        ("randn --shape 2 -o /none/x.npy", true),
        ("init --input-size 3 --hidden 4 -o /none/w.npz", true),
        ("pack -i none.npy -o p.npz", true),
        ("unpack -i none.npz -o u.npy", true),
    ] {
        let said = |variables: &str, flag: &str| {
            let outcome = scene.sandbox.shell(&format!("{variables} rnn {line} {flag} < x.npy"));
            assert_eq!(outcome.stdout, b"", "{line}");
            (outcome.code, outcome.stderr)
        };
        let message = said("", "");
        for variables in ["RUST_BACKTRACE=1", "RUST_BACKTRACE=full", "RUST_LIB_BACKTRACE=1"] {
            assert_eq!(said(variables, ""), message, "{line}");
        }
        // The message stays what it is, and the trace follows it.
        for (variables, backtrace) in [("", false), ("RUST_BACKTRACE=1", true)] {
            let (code, traced) = said(variables, "-vv");
            let trace = traced.strip_prefix(&message.1);
            let trace = trace.unwrap_or_else(|| panic!("{line}: {traced}"));
            assert!(trace.lines().all(|line| line.starts_with("trace: ")), "{line}: {trace}");
            assert!(!trace.is_empty(), "{line}");
            assert_eq!(trace.contains("Caused by:"), cause, "{line}: {trace}");
            assert_eq!(trace.contains("Stack backtrace:"), backtrace, "{line}: {trace}");
            assert_eq!(code, message.0, "{line}");
        }
    }
}
