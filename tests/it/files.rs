//! What files hold and what may happen to them: every form of .npy and .npz that is read, every broken one
//! that is refused, and outputs that are replaced as a whole or not at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zip::CompressionMethod;

use crate::support::Sandbox;
use crate::support::bytes::{SIGNED, npy, npz, numbers};

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
    let stray = "\x1b[2J.npy";
    sandbox.shell("rnn init -q --input-size 2 --hidden 1 -o w").succeeds();
    sandbox.write(&format!("w/{stray}"), &x());
    let outcome = sandbox.rnn("run -w w -i x.npy");
    assert_eq!(outcome.code, Some(65));
    assert!(outcome.stderr.starts_with("rnn: w: \\u{1b}[2J: expected"), "{}", outcome.stderr);
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
fn fifos_are_read_and_written() {
    let sandbox = sandbox();
    let expected = output(&sandbox, "x.npy");
    let script = "set -e; mkfifo in weights out
        cat x.npy > in & cat w.npz > weights & cat out > copy.npy &
        rnn run -q -i in -w weights -o out
        wait";
    sandbox.shell(script).succeeds();
    assert_eq!(sandbox.bytes("copy.npy"), expected);
    for device in ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"] {
        let script = format!("rnn run -q -i x.npy -w w.npz -o {device} | cat");
        assert_eq!(sandbox.shell(&script).succeeds().stdout, expected, "{device}");
    }
    sandbox.shell("rnn run -q -i x.npy -w w.npz -o /dev/null").succeeds();
    sandbox.shell("rnn run -q -i x.npy -w w.npz -o /dev/stdout > redirected.npy").succeeds();
    assert_eq!(sandbox.bytes("redirected.npy"), expected);
    // A closed stdout is /dev/null to the standard library.
    sandbox.shell("rnn run -i x.npy -w w.npz -o closed.npy >&-").succeeds();
    assert_eq!(sandbox.bytes("closed.npy"), expected);
}

#[test]
fn an_output_is_replaced_in_one_step() {
    let sandbox = sandbox();
    let expected = output(&sandbox, "x.npy");
    fs::hard_link(sandbox.path("out.npy"), sandbox.path("hard.npy")).unwrap();
    fs::set_permissions(sandbox.path("out.npy"), fs::Permissions::from_mode(0o640)).unwrap();
    sandbox.shell("umask 027; rnn run -q -i x.npy -w w.npz -o out.npy --hn new.npy").succeeds();
    assert_eq!(sandbox.bytes("out.npy"), expected);
    assert_eq!(sandbox.bytes("hard.npy"), b"old");
    let mode = |name: &str| fs::metadata(sandbox.path(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("out.npy"), mode("new.npy")), (0o640, 0o640));
    sandbox.shell("umask 000; rnn run -q -i x.npy -w w.npz -o out.npy --hn open.npy").succeeds();
    assert_eq!((mode("out.npy"), mode("open.npy")), (0o640, 0o666));
    assert_eq!(sandbox.names(), ["hard.npy", "new.npy", "open.npy", "out.npy", "w.npz", "x.npy"]);
}

#[test]
fn links_are_followed() {
    let sandbox = sandbox();
    let expected = output(&sandbox, "x.npy");
    let script = "set -e; mkdir sub; ln -s out.npy link; ln -s ../link sub/second; ln -s sub/new.npy dangling
        rnn run -q -i x.npy -w w.npz -o sub/second
        rnn run -q -i x.npy -w w.npz -o dangling
        test -L link -a -L sub/second -a -L dangling
        ls sub";
    assert_eq!(sandbox.shell(script).succeeds().stdout_text(), "new.npy\nsecond\n");
    assert_eq!(sandbox.bytes("out.npy"), expected);
    assert_eq!(sandbox.bytes("sub/new.npy"), expected);
}

#[test]
fn an_input_may_be_the_output_under_any_name() {
    let sandbox = sandbox();
    let expected = output(&sandbox, "x.npy");
    for (prepare, target) in [
        ("", "x.npy"),
        ("", "./x.npy"),
        ("ln -s x.npy soft;", "soft"),
        ("ln -f x.npy hard;", "hard"),
    ] {
        sandbox.write("x.npy", &x());
        let script = format!("{prepare} rnn run -q -i x.npy -w w.npz -o {target}");
        sandbox.shell(&script).succeeds();
        assert_eq!(sandbox.bytes(target), expected, "{target}");
    }
    // A hard link is a file of its own, and the input behind it stays.
    assert_eq!(sandbox.bytes("x.npy"), x());
}

#[test]
fn outputs_that_cannot_be_created_are_known_before_anything_is_computed() {
    let sandbox = sandbox();
    let long = "n".repeat(300);
    fs::create_dir(sandbox.path("folder")).unwrap();
    sandbox.shell("ln -s ring ring").succeeds();
    for (path, what) in [
        ("none/y.npy", "No such file or directory (os error 2)"),
        ("x.npy/y.npy", "Not a directory (os error 20)"),
        ("folder", "is a directory; expected a file"),
        ("folder/", "is a directory; expected a file"),
        ("none/", "expected the name of a file"),
        (&long, "File name too long (os error 36)"),
        ("ring", "Too many levels of symbolic links (os error 40)"),
    ] {
        let names = sandbox.names();
        let message = format!("rnn: {path}: cannot be written: {what}\n");
        // Every output is opened first, so that none is written where one cannot be.
        for line in [
            format!("run -w w.npz -i x.npy -o {path}"),
            format!("run -w w.npz -i x.npy -o out.npy --hn {path}"),
            format!("run -w w.npz -i x.npy -o out.npy --seed 1 --rng {path}"),
            format!("randn --shape 2 -o out.npy --seed 1 --rng {path}"),
            format!("randn --shape 2 -o {path}"),
        ] {
            sandbox.rnn(&line).fails(73, &message);
        }
        assert_eq!((sandbox.names(), sandbox.bytes("out.npy")), (names, b"old".to_vec()), "{path}");
    }
    for line in ["run -w w.npz -i x.npy -o new.npy --hn out.npy", "randn --shape 2 -o out.npy"] {
        let message = "rnn: out.npy: cannot be written: exists, and --no-clobber keeps it\n";
        let names = sandbox.names();
        sandbox.rnn(&format!("{line} --no-clobber")).fails(73, message);
        assert_eq!((sandbox.names(), sandbox.bytes("out.npy")), (names, b"old".to_vec()));
    }
    sandbox.rnn("run -q -w w.npz -i x.npy -o new.npy --no-clobber").succeeds();
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_of_the_write() {
    let sandbox = sandbox();
    let full = "No space left on device (os error 28)";
    for (line, place) in [
        ("run -w w.npz -i x.npy -o /dev/full --hn out.npy", "/dev/full"),
        ("run -w w.npz -i x.npy -o out.npy --hn /dev/full", "/dev/full"),
        ("run -w w.npz -i x.npy --hn out.npy -o - > /dev/full", "stdout"),
        ("randn --shape 2 -o - > /dev/full", "stdout"),
        ("init --input-size 1 --hidden 1 -o - > /dev/full", "stdout"),
    ] {
        sandbox.shell(&format!("rnn {line}")).fails(74, &format!("rnn: {place}: {full}\n"));
        assert_eq!(sandbox.bytes("out.npy"), b"old", "{line}");
        assert_eq!(sandbox.names(), ["out.npy", "w.npz", "x.npy"], "{line}");
    }
    // The report alone: the outputs are in place.
    let outcome = sandbox.shell("rnn run -w w.npz -i x.npy -o out.npy > /dev/full");
    outcome.fails(74, &format!("rnn: stdout: {full}\n"));
    assert_ne!(sandbox.bytes("out.npy"), b"old");
    // So is a limit on the size of files, which would be a signal to other programs.
    let outcome = sandbox.shell("ulimit -f 1; rnn randn --shape 10000 -o out.npy");
    outcome.fails(74, "rnn: out.npy: File too large (os error 27)\n");
    assert_eq!(sandbox.names(), ["out.npy", "w.npz", "x.npy"]);
}

#[test]
fn binary_data_is_not_written_to_a_terminal() {
    let sandbox = sandbox();
    if sandbox.shell("script -qec true /dev/null < /dev/null").code != Some(0) {
        return;
    }
    for (line, hint) in [
        ("rnn randn --shape 2 -o -", "rnn randn --shape 2 -o x.npy"),
        ("rnn run -i x.npy -w w.npz -o -", "rnn run -i x.npy -w w.npz -o output.npy"),
        ("rnn init --input-size 1 --hidden 1 -o -", "rnn init --input-size 1 --hidden 1 -o w.npz"),
    ] {
        let outcome = sandbox.shell(&format!("script -qec '{line}' /dev/null < /dev/null"));
        let message = "rnn: stdout: expected a file or a pipe for binary data, got a terminal";
        let printed = format!("{message}\r\nhint: {hint}\r\n");
        assert_eq!((outcome.code, outcome.stdout_text()), (Some(2), printed));
    }
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
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
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
