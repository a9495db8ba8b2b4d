//! Rows 55, 56, 61, 62 and 65: the machine fails at any moment. A build with debug assertions lets the
//! operation fail that `RNN_FAULTS` names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Scene;
use crate::support::Sandbox;

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
