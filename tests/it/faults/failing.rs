//! Rows 55, 56, 61, 62 and 65: the machine fails at any moment. A build with debug assertions lets the
//! operation fail that `RNN_FAULTS` names.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{OLD, Scene};
use crate::support::{Sandbox, signals};

/// Commands that read and write in every way there is, and the outputs of each.
const COMMANDS: [(&str, &[&str]); 10] = [
    ("rnn run -w w.npz -i x.npy -o y.npy --hn h.npy -q", &["y.npy", "h.npy"]),
    ("rnn run -w w -i x.npy -o y.npy --batch-first --lengths 1,2,0,2,1 -q", &["y.npy"]),
    ("rnn run -w w.safetensors -i packed.npz -o y.npz -q", &["y.npz"]),
    ("rnn run -w w.onnx -i x.csv -o y.csv --all-hidden h.npz -q", &["y.csv", "h.npz"]),
    ("cat x.npy | rnn run -w w.npz -i - -o - -q > y.npy", &[]),
    ("rnn init --input-size 3 --hidden 4 -o w -q", &["w"]),
    ("rnn convert w.npz v.safetensors -q", &["v.safetensors"]),
    ("rnn convert w.npz w -q", &["w"]),
    ("cat x.npy | rnn stream -w w.npz --state s.npz -q > y.npy", &["s.npz"]),
    ("rnn unpack -i packed.npz -o y.npy -q", &["y.npy"]),
];

/// Signals of each kind that are sent.
const SIGNALS: u32 = 200;

/// A scene in which all of [`COMMANDS`] find what they read.
fn scene() -> Scene {
    let scene = Scene::new();
    for line in [
        "convert w.npz w -q",
        "convert w.npz w.safetensors -q",
        "convert w.npz w.onnx -q",
        "pack -i x.npy --lengths 5,3 -o packed.npz -q",
        "run -w w.npz -i x.npy -o s.npy -q",
    ] {
        scene.sandbox.rnn(line).succeeds();
    }
    scene.sandbox.write("x.csv", b"a,b,c\n1,2,3\n4,5,6\n");
    scene
}

/// A folder of its own with these files.
fn planted(tree: &BTreeMap<String, Vec<u8>>) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, bytes) in tree {
        fs::create_dir_all(sandbox.path(name).parent().unwrap()).unwrap();
        sandbox.write(name, bytes);
    }
    sandbox
}

/// Names of a folder and of the folders in it, with what each file holds.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let inside = tree(&path).into_iter();
            found.extend(inside.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

/// Everything in a tree that belongs to an output: the file of this name, or all in the folder.
fn of<'a>(tree: &'a BTreeMap<String, Vec<u8>>, output: &str) -> BTreeMap<&'a str, &'a [u8]> {
    let inside = format!("{output}/");
    let belongs = |name: &&String| *name == output || name.starts_with(&inside);
    let files = tree.keys().filter(belongs);
    files.map(|name| (name.as_str(), tree[name].as_slice())).collect()
}

/// Lets the n-th of these operations fail, n = 1, 2, ..., once and for good, until a command succeeds. All
/// that a command names holds its old or its whole new content, and nothing else is there. Returns how
/// often something failed.
fn until_it_succeeds(operation: &str, errnos: &[u32], codes: &[i32]) -> usize {
    let mut failures = 0;
    let before = tree(&scene().sandbox.path(""));
    for (command, outputs) in COMMANDS {
        let sandbox = planted(&before);
        sandbox.shell(&format!("set -o pipefail; {command}")).succeeds();
        let after = tree(&sandbox.path(""));
        for (errno, for_good) in errnos.iter().flat_map(|&errno| [(errno, false), (errno, true)]) {
            for first in 1.. {
                assert!(first < 500, "{command}: {operation} has no end");
                let last = if for_good { u64::MAX } else { first };
                let sandbox = planted(&before);
                let outcome = sandbox.shell(&format!(
                    "set -o pipefail; export RNN_FAULTS='{operation} {first} {last} {errno}'; {command}"
                ));
                let now = tree(&sandbox.path(""));
                let what = format!("{command}: {operation} {first}-{last} {errno}: {outcome:?}");
                assert!(
                    now.keys().all(|name| after.contains_key(name)),
                    "{what}: {:?}",
                    now.keys()
                );
                for output in outputs {
                    let now = of(&now, output);
                    assert!(
                        now == of(&before, output) || now == of(&after, output),
                        "{what}: {output}"
                    );
                }
                if outcome.code == Some(0) {
                    assert!(now == after, "{what}");
                    break;
                }
                assert!(outcome.code.is_some_and(|code| codes.contains(&code)), "{what}");
                assert!(outcome.stderr.starts_with("rnn: "), "{what}");
                assert_eq!(outcome.stderr.lines().count(), 1, "{what}");
                failures += 1;
            }
        }
    }
    failures
}

/// The messages of a model above 1 MiB are measured before all of it is read.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "nothing can be told to fail in a release")]
fn a_large_model_that_cannot_be_read_is_no_wrong_model() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 3 --hidden-size 600 -o w.onnx -q").succeeds();
    let info = |read| sandbox.shell(&format!("RNN_FAULTS='read {read} {read} 5' rnn info w.onnx"));
    let failed: Vec<_> = (1..100).map(info).take_while(|outcome| outcome.code != Some(0)).collect();
    assert!((8..99).contains(&failed.len()), "{}", failed.len());
    for outcome in failed {
        assert_eq!(outcome.code, Some(74), "{outcome:?}");
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "nothing can be told to fail in a release")]
fn fault_55() {
    // EIO, then EDQUOT and ENOSPC.
    let failures = [
        until_it_succeeds("read", &[5], &[74]),
        until_it_succeeds("write", &[28, 122], &[74]),
        until_it_succeeds("sync", &[5], &[74]),
        until_it_succeeds("rename", &[5], &[74]),
    ];
    assert!(failures.iter().all(|&failures| failures > 10), "{failures:?}");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "nothing can be told to fail in a release")]
fn fault_56() {
    let before = tree(&scene().sandbox.path(""));
    for (command, _) in COMMANDS {
        let [whole, short] = ["", "export RNN_FAULTS=short; "].map(|faults| {
            let sandbox = planted(&before);
            sandbox.shell(&format!("set -o pipefail; {faults}{command}")).succeeds();
            tree(&sandbox.path(""))
        });
        assert!(whole == short, "{command}");
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "nothing can be told to fail in a release")]
fn fault_65() {
    assert!(until_it_succeeds("allocate", &[0], &[71]) > 50);
}

/// What a process is doing when a signal comes: the command, and its output, a file or a folder.
const WORK: [(&str, &str); 2] = [
    ("run -w big.npz -i big.npy -o y.npy -q", "y.npy"),
    ("init --input-size 200 --hidden 100 --layers 2 -o w -q", "w"),
];

/// What an output holds, for each of [`WORK`], before a command has run and after it.
struct Contents {
    old: BTreeMap<String, Vec<u8>>,
    new: BTreeMap<String, Vec<u8>>,
}

/// A scene for [`WORK`], what its outputs hold, and how long each command takes.
fn work() -> (Sandbox, Vec<(Contents, Duration)>) {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 8 --hidden 64 -o big.npz -q").succeeds();
    sandbox.rnn("randn --shape 3000,2,8 -o big.npy -q").succeeds();
    let contents = WORK.map(|(command, output)| {
        // The quickest of some: the machine may be busy with something else.
        let times = (0..5).map(|_| {
            let start = Instant::now();
            sandbox.rnn(command).succeeds();
            start.elapsed()
        });
        let took = times.min().unwrap();
        let new = content(&sandbox, output);
        restore(&sandbox, output);
        (Contents { old: content(&sandbox, output), new }, took)
    });
    (sandbox, contents.into())
}

/// The files of an output.
fn content(sandbox: &Sandbox, output: &str) -> BTreeMap<String, Vec<u8>> {
    let files = tree(&sandbox.path("")).into_iter();
    files.filter(|(name, _)| name.split('/').next() == Some(output)).collect()
}

/// Puts the old content back.
fn restore(sandbox: &Sandbox, output: &str) {
    if output == "w" {
        let _ = fs::remove_dir_all(sandbox.path("w"));
        sandbox.rnn("init --input-size 3 --hidden 4 -o w -q").succeeds();
    } else {
        sandbox.write(output, OLD);
    }
}

/// Names of temporary files and folders.
fn temporary(sandbox: &Sandbox) -> Vec<String> {
    let is_temporary = |name: &String| name.starts_with(".rnn-");
    sandbox.names().into_iter().filter(is_temporary).collect()
}

fn start(sandbox: &Sandbox, command: &str) -> Child {
    let mut rnn = Command::new(env!("CARGO_BIN_EXE_rnn"));
    rnn.current_dir(sandbox.path("")).args(command.split(' '));
    rnn.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Instants from the start of a process to a little after its end, the same in every run of the test.
fn instants(took: Duration) -> impl Iterator<Item = Duration> {
    let mut state = 1_u32;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(took.mul_f64(f64::from(state) / f64::from(u32::MAX) * 1.1))
    })
}

#[test]
fn fault_61() {
    let (sandbox, work) = work();
    let mut hits = 0;
    let mut waits = Vec::new();
    for ((command, output), (contents, took)) in WORK.into_iter().zip(work) {
        let numbers = signals().into_iter().cycle();
        for ((number, name), instant) in numbers.zip(instants(took)).take(SIGNALS as usize / 2) {
            let mut child = start(&sandbox, command);
            std::thread::sleep(instant);
            sandbox.shell(&format!("kill -s {name} {} 2> /dev/null", child.id()));
            let sent = Instant::now();
            let status = child.wait().unwrap();
            waits.push(sent.elapsed());
            let what = format!("{command}: {name} after {instant:?}: {status}");
            assert!(status.success() || status.signal() == Some(number), "{what}");
            hits += u32::from(!status.success());
            let now = content(&sandbox, output);
            assert!(now == contents.new || now == contents.old && !status.success(), "{what}");
            assert_eq!(temporary(&sandbox), [""; 0], "{what}");
            if now != contents.old {
                restore(&sandbox, output);
            }
        }
    }
    assert!(hits > SIGNALS / 4, "{hits} signals have met a process");
    waits.sort();
    // All but a few: the machine may be busy with something else.
    assert!(waits[waits.len() * 9 / 10] < Duration::from_millis(200), "{waits:?}");
}

#[test]
fn fault_62() {
    let (sandbox, work) = work();
    let (mut hits, mut leftovers) = (0, 0);
    for ((command, output), (contents, took)) in WORK.into_iter().zip(work) {
        for instant in instants(took).take(SIGNALS as usize / 2) {
            let mut child = start(&sandbox, command);
            std::thread::sleep(instant);
            child.kill().unwrap();
            let status = child.wait().unwrap();
            let what = format!("{command}: SIGKILL after {instant:?}: {status}");
            assert!(status.success() || status.signal() == Some(9), "{what}");
            hits += u32::from(!status.success());
            let now = content(&sandbox, output);
            assert!(now == contents.new || now == contents.old && !status.success(), "{what}");
            leftovers += temporary(&sandbox).len();
            assert!(temporary(&sandbox).len() <= 1, "{what}: an earlier one was not swept");
            if now != contents.old {
                restore(&sandbox, output);
            }
        }
        restore(&sandbox, output);
        sandbox.rnn(command).succeeds();
        assert_eq!(temporary(&sandbox), [""; 0], "the next run sweeps");
        let known = ["big.npy", "big.npz", "w", "y.npy"];
        assert!(sandbox.names().iter().all(|name| known.contains(&name.as_str())));
    }
    assert!(hits > SIGNALS / 4, "{hits} signals have met a process");
    assert!(leftovers > 0, "no process was killed while it wrote");
}

#[test]
fn a_temporary_file_of_a_process_that_lives_is_not_swept() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 3 --hidden 4 -o w.npz -q").succeeds();
    sandbox.rnn("randn --shape 5,2,3 -o x.npy -q").succeeds();
    // The first run has made its temporary file, and waits for its input, while the second one runs.
    let script = "mkfifo pipe
        rnn run -w w.npz -i pipe -o y.npy -q & exec 3> pipe
        until ls .rnn-*.tmp 2> /dev/null; do head -c 100 x.npy >&3; sleep 0.05; done
        rnn run -w w.npz -i x.npy -o z.npy -q; ls .rnn-*.tmp | wc -l
        exec 3>&-; wait";
    let outcome = sandbox.shell(script);
    assert!(outcome.stdout_text().ends_with("\n1\n"), "{outcome:?}");
    assert_eq!(temporary(&sandbox), [""; 0]);
}
