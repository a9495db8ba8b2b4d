//! What files hold and what may happen to them: archives and their members, and outputs that are replaced as a whole or not at all.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use elman::files::{AnyArray, Overwrite, Sink, write_npz};
use ndarray::ArrayD;
use zip::CompressionMethod;

use crate::support::bytes::{SIGNED, npy, npz, numbers};
use crate::support::{Sandbox, signals};

/// A layer for 2 features in `w.npz`, an input of 3 steps in `x.npy`, and an old `out.npy`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.rnn("init -q --input-size 2 --hidden 2 -o w.npz").succeeds();
    sandbox.write("x.npy", &x());
    sandbox.write("out.npy", b"old");
    sandbox
}

const SHAPE: &str = "'shape': (3, 2), ";

/// Six numbers as f32, 3 steps of 2 features.
fn x() -> Vec<u8> {
    npy(&format!("{{'descr': '<f4', 'fortran_order': False, {SHAPE}}}"), &numbers("<f4", &SIGNED))
}

/// What the layer makes of an input.
#[track_caller]
fn output(sandbox: &Sandbox, input: &str) -> Vec<u8> {
    let words = ["run", "-q", "-w", "w.npz", "-i", input, "-o", "-", "--dtype", "f32"];
    sandbox.rnn_with(&words, &[]).succeeds().stdout
}

#[test]
fn archives_and_their_members() {
    let sandbox = sandbox();
    let expected = output(&sandbox, "x.npy");
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        sandbox.write("one.npz", &npz(&[("data.npy", &x())], method));
        sandbox.write("two.npz", &npz(&[("a.npy", b"no array"), ("b/c.npy", &x())], method));
        // A name is data, never a path.
        sandbox.write("up.npz", &npz(&[("../../x.npy", &x())], method));
        sandbox.shell("cp one.npz zip-as.npy; cp x.npy npy-as.npz").succeeds();
        for input in [
            "one.npz",
            "one.npz:data",
            "two.npz:b/c",
            "up.npz",
            "up.npz:../../x",
            "zip-as.npy",
            "npy-as.npz",
        ] {
            assert_eq!(output(&sandbox, input), expected, "{input}");
        }
        let words = ["run", "-q", "-w", "w.npz", "-i", "-", "-o", "-"];
        let piped = sandbox.rnn_with(&words, &sandbox.bytes("one.npz")).succeeds();
        assert_eq!(piped.stdout, expected);
    }
}

#[test]
fn an_archive_that_nobody_could_read_is_not_written() {
    let sandbox = sandbox();
    let number = ArrayD::from_elem(vec![], 0.5_f32);
    let write = |members: u32| {
        let names: Vec<_> = (0..members).map(|name| name.to_string()).collect();
        let arrays: Vec<_> =
            names.iter().map(|name| (name.as_str(), &number as &dyn AnyArray)).collect();
        let mut sink = Sink::open(&sandbox.path("many.npz"), Overwrite::Replace)?;
        write_npz(&mut sink, &arrays, "").and_then(|()| sink.commit())
    };
    let refused = write(100_001).unwrap_err().to_string();
    assert!(refused.ends_with("many.npz: archive of 100001 members; limit 100000"), "{refused}");
    write(100_000).unwrap();
    let last = sandbox.rnn("info --values many.npz:99999").succeeds().stdout_text();
    assert!(last.contains("0.5"), "{last}");
}

#[test]
fn a_path_that_exists_wins_over_a_member() {
    let sandbox = sandbox();
    sandbox.write("a.npz", &npz(&[("b.npy", &x())], CompressionMethod::Stored));
    let member = output(&sandbox, "a.npz:b");
    let other = npy("{'descr': '|i1', 'fortran_order': False, 'shape': (1, 2)}", &[7, 7]);
    sandbox.write("a.npz:b", &other);
    sandbox.write("other", &other);
    let path = output(&sandbox, "a.npz:b");
    assert_ne!(path, member);
    assert_eq!(path, output(&sandbox, "other"));
}

/// Fails the test unless `rnn run` refuses these bytes as input, from a file and (where `piped`) from a
/// pipe, within a second, says why, and leaves everything as it was.
#[track_caller]
fn refuses(sandbox: &Sandbox, bytes: &[u8], message: &str) {
    sandbox.write("bad", bytes);
    let names = sandbox.names();
    let start = Instant::now();
    sandbox.rnn("run -w w.npz -i bad -o out.npy").fails(65, &format!("rnn: bad{message}\n"));
    assert!(start.elapsed() < Duration::from_secs(1), "{message}");
    assert_eq!(sandbox.names(), names);
    assert_eq!(sandbox.bytes("out.npy"), b"old");
}

#[test]
fn names_of_files_do_not_reach_the_terminal_as_they_are() {
    let sandbox = sandbox();
    let weights = sandbox.bytes("w.npz");
    let stray = "weight_\x1b[2J.npy";
    sandbox.shell("rnn init -q --input-size 2 --hidden 1 -o w").succeeds();
    sandbox.write(&format!("w/{stray}"), &x());
    let outcome = sandbox.rnn("run -w w -i x.npy");
    assert_eq!(outcome.code, Some(65));
    assert!(
        outcome.stderr.starts_with("rnn: w: weight_\\u{1b}[2J: expected"),
        "{}",
        outcome.stderr
    );
    // Nothing is said of a file whose name cannot be typed.
    assert!(!outcome.stderr.contains(['\x1b']) && !outcome.stderr.contains("hint"));
    sandbox.write("w.npz", &weights);
    let key = npy("{'\x1b[2J': 1, }", &[]);
    refuses(&sandbox, &key, ": unknown key '\\u{1b}[2J' in the header");
    let key = npy("{' descr': '<f4', }", &[]);
    refuses(&sandbox, &key, ": unknown key ' descr' in the header");
}

#[test]
fn the_text_beside_weights_is_text_of_a_sensible_size() {
    let sandbox = sandbox();
    sandbox.shell("rnn init -q --input-size 2 --hidden 1 -o w").succeeds();
    for (text, what) in [
        (&b"{\"input_size\": \xff}"[..], "expected UTF-8 text, got bad bytes at 15"),
        (&vec![b' '; (1 << 20) + 1], "expected at most 1048576 bytes of text, got more"),
    ] {
        sandbox.write("w/rnn.json", text);
        let message = format!("rnn: w/rnn.json: {what}\n");
        sandbox.rnn("run -w w -i x.npy").fails(65, &message);
    }
}

#[test]
fn fifos_are_read() {
    let sandbox = sandbox();
    let expected = output(&sandbox, "x.npy");
    let script = "set -e; mkfifo in weights
        cat x.npy > in & cat w.npz > weights &
        rnn run -q -i in -w weights -o out.npy
        wait";
    sandbox.shell(script).succeeds();
    assert_eq!(sandbox.bytes("out.npy"), expected);
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let sandbox = sandbox();
    let script = "mkfifo pipe; trap '' HUP; rnn run -q -w w.npz -i pipe -o out.npy & rnn=$!
        exec 3> pipe; kill -s HUP $rnn; sleep 0.1; kill -s HUP $rnn; cat x.npy >&3; exec 3>&-
        wait $rnn";
    let expected = output(&sandbox, "x.npy");
    sandbox.shell(script).succeeds();
    assert_eq!(sandbox.bytes("out.npy"), expected);
}

/// A signal while the temporary file of an output exists and the process waits for a pipe.
#[test]
fn a_signal_ends_the_process_and_leaves_nothing() {
    for (number, name) in signals() {
        let sandbox = sandbox();
        sandbox.shell("mkfifo pipe").succeeds();
        // Reads wait for the rest of a tensor, whose header has come; writes wait for a reader.
        for line in [
            "run -w w.npz -i pipe --seed 1 --rng rng.npy -o out.npy",
            "randn --shape 2 --seed 1 --rng rng.npy -o pipe",
        ] {
            let names = sandbox.names();
            let mut command = Command::new(env!("CARGO_BIN_EXE_rnn"));
            command.args(line.split(' ')).current_dir(sandbox.path("")).stdout(Stdio::null());
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            let header = &x()[..70];
            let mut pipe = line
                .starts_with("run")
                .then(|| fs::OpenOptions::new().write(true).open(sandbox.path("pipe")).unwrap());
            if let Some(pipe) = &mut pipe {
                pipe.write_all(header).unwrap();
            }
            let start = Instant::now();
            while !sandbox.names().iter().any(|name| name.starts_with(".rnn-")) {
                assert!(start.elapsed() < Duration::from_secs(10), "{line}");
                std::thread::sleep(Duration::from_millis(2));
            }
            let kill = ["-s", name, &child.id().to_string()].map(str::to_owned);
            assert!(Command::new("kill").args(kill).status().unwrap().success());
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(number), "{line}");
            let mut stderr = String::new();
            std::io::Read::read_to_string(&mut child.stderr.unwrap(), &mut stderr).unwrap();
            assert_eq!(stderr, "");
            assert_eq!(
                (sandbox.names(), sandbox.bytes("out.npy")),
                (names, b"old".to_vec()),
                "{line}"
            );
        }
    }
}

/// NumPy's names of types, as other programs write them into headers.
#[test]
fn types_are_read_under_every_name() {
    let sandbox = sandbox();
    let bytes = numbers("<f4", &SIGNED);
    let expected = output(&sandbox, "x.npy");
    for descr in ["<f4", "f4", "=f4", "f", "<f", "float32", "single"] {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, {SHAPE}}}");
        sandbox.write("y.npy", &npy(&header, &bytes));
        assert_eq!(output(&sandbox, "y.npy"), expected, "{descr}");
    }
    for (descr, dtype) in [
        ("double", "f64"),
        ("d", "f64"),
        ("<float64", "f64"),
        ("half", "f16"),
        ("e", "f16"),
        ("int64", "i64"),
        ("q", "i64"),
        ("uint8", "u8"),
        ("?", "bool"),
        ("bool", "bool"),
        ("H", "u16"),
    ] {
        let size = match dtype {
            "f64" | "i64" => 8,
            "f16" | "u16" => 2,
            _ => 1,
        };
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, {SHAPE}}}");
        sandbox.write("y.npy", &npy(&header, &vec![0; 6 * size]));
        let info = sandbox.rnn("info y.npy").succeeds().stdout_text();
        assert!(info.contains(&format!("{dtype}, ")), "{descr}: {info}");
    }
}
