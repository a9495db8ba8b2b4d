//! Many inputs in one process: a folder or a list of files, shards, and a run that goes on where another one ended.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use ndarray::{Array, ArrayD, IxDyn};
use serde_json::Value;

use crate::support::{Sandbox, without_measured};

/// A layer for 3 features in `w.npz`, and a folder `in` of inputs of every form, with a hidden file and a text.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.rnn("init -q --input-size 3 --hidden 4 --layers 2 -o w.npz").succeeds();
    fs::create_dir(sandbox.path("in")).unwrap();
    sandbox.save("in/a.npy", &numbers(&[5, 2, 3]).view());
    sandbox.save("in/b.npy", &numbers(&[4, 3]).view());
    sandbox.write("in/c.csv", b"1,2,3\n4,5,6\n");
    let (first, second) = (numbers(&[2, 3]), numbers(&[1, 3]));
    sandbox.save_npz("in/d.npz", &[("x", &first), ("y", &second)]);
    sandbox.save_npz("in/e.npz", &[("x", &numbers(&[2, 1, 3]))]);
    sandbox.write("in/.hidden.npy", b"");
    sandbox.write("in/README.md", b"inputs");
    sandbox
}

fn numbers(shape: &[usize]) -> ArrayD<f32> {
    let values = Array::linspace(-1.0_f32, 1.0, shape.iter().product());
    values.into_shape_with_order(IxDyn(shape)).unwrap()
}

/// Names of a folder, sorted.
fn names(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path(folder)).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Sets the time of a file's last change, this long ago.
fn age(sandbox: &Sandbox, name: &str, seconds: u64) {
    let file = fs::File::options().append(true).open(sandbox.path(name)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

#[test]
fn each_file_of_a_folder_has_the_outputs_of_its_own_run() {
    let sandbox = sandbox();
    let report = sandbox.rnn("run -w w.npz -i in -o out/ --hn hn/").succeeds().stdout_text();
    let report = without_measured(&report);
    let expected = "RNN(3, 4, num_layers=2), tanh, f32, 76 parameters\n\
                    weights  w.npz\n\
                    input    in, 5 files\n\
                    output   out/\n\
                    h_n      hn/\n\
                    eval, kernel K, T threads, S s\n\
                    note: in: other files are left alone: README.md\n";
    assert_eq!(report, expected);
    assert_eq!(names(&sandbox, "out"), ["a.npy", "b.npy", "c.csv", "d.npz", "e.npz.npy"]);
    assert_eq!(names(&sandbox, "hn"), ["a.npy", "b.npy", "c.csv", "d.npz.npy", "e.npz.npy"]);
    for (input, output, hn) in [
        ("a.npy", "a.npy", "a.npy"),
        ("b.npy", "b.npy", "b.npy"),
        ("c.csv", "c.csv", "c.csv"),
        ("d.npz", "d.npz", "d.npz.npy"),
        ("e.npz", "e.npz.npy", "e.npz.npy"),
    ] {
        let alone = format!("run -q -w w.npz -i in/{input} -o one-{output} --hn two-{hn}");
        sandbox.rnn(&alone).succeeds();
        let same = |one: &str, other: &str| assert_eq!(sandbox.bytes(one), sandbox.bytes(other));
        same(&format!("one-{output}"), &format!("out/{output}"));
        same(&format!("two-{hn}"), &format!("hn/{hn}"));
    }
}

#[test]
fn failures_are_listed_at_the_end_and_the_others_are_written() {
    let sandbox = sandbox();
    sandbox.save("in/b.npy", &numbers(&[4, 2]).view());
    let outcome = sandbox.rnn("run -w w.npz -i in -o out/ -q");
    assert!(outcome.stderr.ends_with("rnn: 1 of 5 files failed\n"), "{outcome:?}");
    assert!(outcome.stderr.starts_with("rnn: in/b.npy: "), "{outcome:?}");
    assert!(outcome.stderr.contains(" (exit code 65)\n"), "{outcome:?}");
    assert_eq!(outcome.code, Some(65));
    assert_eq!(names(&sandbox, "out"), ["a.npy", "c.csv", "d.npz", "e.npz.npy"]);
    // One failure is worth a retry, another one is not.
    sandbox.write("list", b"in/b.npy\nin/none.npy\nin/a.npy\n");
    let mixed = sandbox.rnn("run -w w.npz --list list -o out/ -q");
    assert_eq!(mixed.code, Some(65), "{mixed:?}");
    fs::create_dir(sandbox.path("out/c.csv.d")).unwrap();
    sandbox.write("list", b"in/none.npy\n");
    let absent = sandbox.rnn("run -w w.npz --list list -o out/ -q");
    assert_eq!(absent.code, Some(66), "{absent:?}");
}

/// The bytes of a path go in by a list and out by `--pending`, though they are not UTF-8.
#[cfg(target_os = "linux")]
#[test]
fn a_listed_path_may_have_any_bytes() {
    let sandbox = sandbox();
    let name = OsStr::from_bytes(b"in/n\xff.npy");
    fs::rename(sandbox.path("in/a.npy"), sandbox.path("in").join("..").join(name)).unwrap();
    sandbox.write("list", b"\xef\xbb\xbfin/n\xff.npy\r\n\nin/b.npy");
    let line = "run -w w.npz --list list -o out/ --resume";
    let left = sandbox.rnn(&format!("{line} --pending")).succeeds();
    assert_eq!(left.stdout, b"in/b.npy\nin/n\xff.npy\n");
    sandbox.rnn(&format!("{line} -q")).succeeds();
    assert!(sandbox.path("out").join(OsStr::from_bytes(b"n\xff.npy")).exists());
}

#[test]
fn a_report_for_scripts_has_a_line_for_each_input() {
    let sandbox = sandbox();
    sandbox.write("in/b.npy", b"no tensor");
    let outcome = sandbox.rnn("run -w w.npz -i in -o out/ --report json");
    assert_eq!(outcome.code, Some(65));
    let lines: Vec<Value> =
        outcome.stdout_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["tensors"][0]["file"], "in/a.npy");
    assert_eq!(lines[0]["tensors"][2]["file"], "out/a.npy");
    assert_eq!((&lines[1]["input"], &lines[1]["code"]), (&"in/b.npy".into(), &65.into()));
    assert!(lines[1]["error"].as_str().unwrap().starts_with("in/b.npy: "));
}

#[test]
fn shards_have_all_files_between_them() {
    let sandbox = sandbox();
    sandbox.rnn("run -q -w w.npz -i in -o whole/").succeeds();
    for shard in ["1/3", "0/3", "2/3"] {
        sandbox.rnn(&format!("run -q -w w.npz -i in -o out/ --shard {shard}")).succeeds();
    }
    let mut all = names(&sandbox, "whole");
    all.push("job.json".to_owned());
    all.sort();
    assert_eq!(names(&sandbox, "out"), all);
    sandbox.rnn("run -q -w w.npz -i in -o none/ --shard 7/8").succeeds();
    assert_eq!(names(&sandbox, "none"), ["job.json"]);
    for wrong in ["3/3", "1", "a/b", "0/0", "-1/2"] {
        let outcome = sandbox.rnn(&format!("run -q -w w.npz -i in -o out/ --shard={wrong}"));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
    }
}

#[test]
fn a_run_goes_on_where_another_one_ended() {
    let sandbox = sandbox();
    let line = "run -w w.npz -i in -o out/ --resume";
    sandbox.rnn(line).succeeds();
    sandbox.write("out/a.npy", b"kept");
    sandbox.write("out/b.npy", b"old");
    fs::remove_file(sandbox.path("out/d.npz")).unwrap();
    age(&sandbox, "in/a.npy", 50);
    age(&sandbox, "out/b.npy", 100);
    let left = sandbox.rnn(&format!("{line} --pending")).succeeds();
    assert_eq!(left.stdout_text(), "in/b.npy\nin/d.npz\n");
    assert!(!sandbox.path("out/d.npz").exists());
    assert_eq!(sandbox.rnn("run -w w.npz -i in -o out/ --pending").code, Some(2));
    let report = sandbox.rnn(line).succeeds().stdout_text();
    assert!(report.contains("\nkept     the outputs of 3 files\n"), "{report}");
    assert_eq!(sandbox.bytes("out/a.npy"), b"kept");
    assert_ne!(sandbox.bytes("out/b.npy"), b"old");
    assert_eq!(
        names(&sandbox, "out"),
        ["a.npy", "b.npy", "c.csv", "d.npz", "e.npz.npy", "job.json"]
    );
    // Every output of an input counts.
    let refused = sandbox.rnn(&format!("{line} --hn hn/"));
    assert_eq!(refused.code, Some(73), "{refused:?}");
}

#[test]
fn a_folder_belongs_to_one_job() {
    let sandbox = sandbox();
    sandbox.rnn("run -q -w w.npz -i in -o out/ --shard 0/2").succeeds();
    let job: Value = serde_json::from_slice(&sandbox.bytes("out/job.json")).unwrap();
    assert_eq!(job["flags"], serde_json::json!(["--input=in"]));
    // The same weights in another format, and flags that change no output.
    sandbox.rnn("convert -q w.npz v.safetensors").succeeds();
    sandbox
        .rnn("run --report none -v --threads 1 -w v.safetensors -iin -o ./out --resume")
        .succeeds();
    let flags = sandbox.rnn("run -q -w w.npz -i in -o out/ --resume --split-directions");
    let start =
        "rnn: out/job.json: cannot be written: the folder belongs to another job: expected flags ";
    assert!(flags.stderr.starts_with(start), "{flags:?}");
    assert_eq!(flags.code, Some(73));
    sandbox.rnn("init -q --input-size 3 --hidden 4 --layers 2 --seed 5 -o other.npz").succeeds();
    let weights = sandbox.rnn("run -q -w other.npz -i in -o out/ --shard 1/2");
    assert!(weights.stderr.contains("expected weights \""), "{weights:?}");
    assert_eq!(weights.code, Some(73));
    sandbox.write("out/job.json", b"another program's");
    assert_eq!(sandbox.rnn("run -q -w w.npz -i in -o out/ --resume").code, Some(73));
    // Without these flags the file says nothing.
    sandbox.rnn("run -q -w other.npz -i in -o out/").succeeds();
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("more")).unwrap();
    sandbox.save("more/a.npy", &numbers(&[5, 2, 3]).view());
    sandbox.write("list", b"in/a.npy\nmore/a.npy\n");
    for (line, code, message) in [
        ("run -w w.npz -i in -o y.npy", 66, "in: is a directory; expected a file"),
        ("run -w w.npz -i in", 66, "in: is a directory; expected a file"),
        ("run -w w.npz --list list", 2, "expected -o FOLDER/ with --list, got none"),
        (
            "run -w w.npz -i in/a.npy -o y.npy --resume",
            2,
            "expected --list or a folder as input, and -o FOLDER/ with --resume, got none",
        ),
        ("run --hidden 4 -i in -o out/", 2, "expected --weights for many inputs, got none"),
        (
            "run -w w.npz -i in -o out/ --hn h.npy",
            2,
            "h.npy: expected a folder for --hn, as for -o",
        ),
        (
            "run -w w.npz -i in -o out/ --hn out/",
            2,
            "expected two files, got out/ for output and h_n",
        ),
        (
            "run -w w.npz -i in -o in",
            2,
            "expected outputs in another folder than the inputs, got in",
        ),
        (
            "run -w w.npz -i in -o out/ --h0 -",
            2,
            "expected a file for --h0, which many inputs use, got -",
        ),
        (
            "run -w w.npz --list list -o out/",
            65,
            "expected inputs of different names, which their outputs keep, got in/a.npy and more/a.npy",
        ),
        (
            "run -w w.npz -i in -o none/out/",
            73,
            "none/out/: cannot be written: No such file or directory (os error 2)",
        ),
    ] {
        let outcome = sandbox.rnn(line);
        let first = outcome.stderr.lines().next().unwrap_or_default().to_owned();
        assert_eq!((outcome.code, first), (Some(code), format!("rnn: {message}")), "{line}");
        assert!(!sandbox.path("out").exists(), "{line}");
    }
    fs::create_dir(sandbox.path("empty")).unwrap();
    let outcome = sandbox.rnn("run -w w.npz -i empty -o out/");
    assert_eq!(outcome.code, Some(65));
    assert!(outcome.stderr.contains("empty: expected files of tensors, .npy, "), "{outcome:?}");
}

#[test]
fn a_killed_run_is_completed() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init -q --input-size 3 --hidden 4 -o w.npz").succeeds();
    fs::create_dir(sandbox.path("in")).unwrap();
    for file in 0..300 {
        sandbox.save(&format!("in/{file}.npy"), &(numbers(&[5, 3]) * file as f32).view());
    }
    sandbox.rnn("run -q -w w.npz -i in -o whole/ --hn states/").succeeds();
    let words = "run -q -w w.npz -i in -o out/ --hn hn/ --resume";
    let mut killed = 0;
    for wait in [1, 4, 10, 20, 40, 60, 80, 120] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rnn"))
            .args(words.split(' '))
            .current_dir(sandbox.path("."))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let _ = child.kill();
        killed += i32::from(child.wait().unwrap().signal() == Some(9));
    }
    assert!(killed > 0, "every process was faster");
    sandbox.rnn(words).succeeds();
    let expected = names(&sandbox, "whole");
    let mut found = names(&sandbox, "out");
    found.retain(|name| name != "job.json");
    assert_eq!((&found, &names(&sandbox, "hn")), (&expected, &expected));
    for name in expected {
        for (one, other) in [("whole", "out"), ("states", "hn")] {
            let bytes = |folder| sandbox.bytes(&format!("{folder}/{name}"));
            assert_eq!(bytes(one), bytes(other), "{other}/{name}");
        }
    }
}

/// A build with debug assertions lets operations fail that `RNN_FAULTS` names.
#[cfg(debug_assertions)]
#[test]
fn a_file_that_cannot_be_synced_fails_on_its_own() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init -q --input-size 3 --hidden 4 -o w.npz").succeeds();
    fs::create_dir(sandbox.path("in")).unwrap();
    for file in 0..20 {
        sandbox.save(&format!("in/{file:02}.npy"), &numbers(&[5, 3]).view());
    }
    // The first sync is that of all files together, the next ones are those of single files.
    let run = |faults: &str| {
        let line = format!("RNN_FAULTS='sync {faults} 5' rnn run -q -w w.npz -i in -o out/");
        sandbox.shell(&line)
    };
    run("1 1").succeeds();
    assert_eq!(names(&sandbox, "out").len(), 20);
    fs::remove_dir_all(sandbox.path("out")).unwrap();
    let one = run("1 2");
    assert_eq!(one.code, Some(74), "{one:?}");
    let expected = "rnn: in/00.npy: out/00.npy: Input/output error (os error 5) (exit code 74)\n\
                    rnn: 1 of 20 files failed\n";
    assert_eq!(one.stderr, expected);
    assert_eq!(names(&sandbox, "out").len(), 19);
    fs::remove_dir_all(sandbox.path("out")).unwrap();
    assert_eq!(run("1 1000").code, Some(74));
    assert_eq!(names(&sandbox, "out"), [""; 0]);
}
