//! Rows 63 to 76: signals, memory, threads, files that change, and the surroundings of a process.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ndarray::ArrayD;

use super::{OLD, Scene, skipped};
use crate::support::{Outcome, Sandbox, npy, signals};

/// The variable that names `rnn` on a big-endian or 32-bit machine, with what runs it before it.
pub(super) const ANOTHER_RNN: &str = "RNN_OF_ANOTHER_MACHINE";

/// Longer than anything takes that is waited for.
const LONG: Duration = Duration::from_secs(20);

/// What the layer makes of `x.npy`.
fn expected(scene: &Scene) -> Vec<u8> {
    scene.succeeds("rnn run -q -w w.npz -i x.npy -o -").stdout
}

/// Waits until something is so.
#[track_caller]
fn wait_until(mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process of `rnn` in the folder of the scene, with nothing on standard input.
fn start(scene: &Scene, line: &str) -> Child {
    let mut rnn = Command::new(env!("CARGO_BIN_EXE_rnn"));
    rnn.args(line.split(' ')).current_dir(scene.sandbox.path("")).stdin(Stdio::null());
    rnn.env_remove("RUST_BACKTRACE").stdout(Stdio::piped()).stderr(Stdio::piped());
    rnn.spawn().unwrap()
}

/// Its exit code, and what it has printed on standard error.
#[track_caller]
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The clean-up of a folder with many files takes a while.
#[test]
fn fault_63() {
    for (number, name) in signals() {
        let scene = Scene::new();
        scene.succeeds("mkfifo pipe; mkdir in; mv w.npz x.npy y.npy in");
        // The folder is made before the weights are read, which nobody sends.
        let mut child = start(&scene, "convert pipe in/folder");
        let inner = scene.sandbox.path("in");
        let temporary = || {
            let mut entries = fs::read_dir(&inner).unwrap().map(|entry| entry.unwrap().path());
            entries.find(|path| path.to_string_lossy().contains(".rnn-"))
        };
        wait_until(|| temporary().is_some());
        let folder = temporary().unwrap();
        let count = 30_000;
        for file in 0..count {
            File::create(folder.join(file.to_string())).unwrap();
        }
        let left = || fs::read_dir(&folder).map_or(0, Iterator::count);
        let kill = |name: &str| {
            let kill = ["-s", name, &child.id().to_string()].map(str::to_owned);
            assert!(Command::new("kill").args(kill).status().unwrap().success());
        };
        kill("TERM");
        wait_until(|| left() < count);
        kill(name);
        let start = Instant::now();
        let status = child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
        // Whichever came first: had the clean-up been waited for, nothing would be left.
        assert!([Some(number), Some(15)].contains(&status.signal()), "{status}");
        if left() > 0 {
            assert_eq!(status.signal(), Some(number), "{name}");
        }
        let mut stderr = String::new();
        child.stderr.unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "");
        assert_eq!(fs::read(inner.join("y.npy")).unwrap(), OLD);
    }
}

/// Runs a command of `rnn` with so many KiB of addresses.
fn with_memory(scene: &Scene, kib: usize, line: &str) -> Outcome {
    scene.sandbox.shell(&format!("ulimit -v {kib}; exec rnn {line}"))
}

/// The commands with buffers of 8 MB and more; everything is held whole.
const LARGE: [&str; 6] = [
    "randn -q --shape 4000000 -o y.npy",
    "randn -q --shape 4000,1000 -o y.csv",
    "init -q --input-size 3 --hidden 1500 -o y.npz",
    "run -q -w w.npz -i large.npy -o y.npy --threads 2",
    "run -q --hidden 1500 -i x.npy -o y.npy --threads 2",
    "run -q -w w.npz -i large.npz -o y.npy --lengths 300000,1,7 --threads 1",
];

/// The input of those commands, and the KiB with which the smallest of them begins to run.
fn large_scene() -> (Scene, usize) {
    let scene = Scene::new();
    scene.sandbox.shell("rnn randn -q --shape 300000,3,3 -o large.npy").succeeds();
    let large: ArrayD<f32> = scene.sandbox.load("large.npy");
    scene.sandbox.save_npz("large.npz", &[("a", &large)]);
    let small = "run -q -w w.npz -i x.npy -o - --threads 1";
    let runs = |&kib: &usize| with_memory(&scene, kib, small).code == Some(0);
    let least = (4 << 10..64 << 10).step_by(256).find(runs);
    (scene, least.unwrap())
}

/// Fails the test unless the command succeeds, or says how many bytes the machine has refused. Says
/// whether it succeeded.
#[track_caller]
fn succeeds_or_names_bytes(scene: &Scene, kib: usize, line: &str) -> bool {
    let before = scene.contents();
    let outcome = with_memory(scene, kib, line);
    if outcome.code == Some(0) {
        scene.sandbox.shell("rm -f y.csv y.npz").succeeds();
        scene.sandbox.write("y.npy", OLD);
        return true;
    }
    let message = outcome.stderr.strip_prefix("rnn: out of memory: ");
    let bytes = message.and_then(|message| message.strip_suffix(" bytes\n")?.rsplit(' ').next());
    let bytes: Option<u64> = bytes.and_then(|bytes| bytes.parse().ok());
    assert!(bytes.is_some(), "{line} with {kib} KiB: {outcome:?}");
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(71), 0), "{line} with {kib} KiB");
    assert!(before == scene.contents(), "{line}: {:?}", scene.sandbox.names());
    false
}

/// An address sanitizer reserves terabytes of addresses: nothing is limited then.
fn has_sanitizer() -> bool {
    std::env::var_os("ASAN_OPTIONS").is_some()
}

/// Between the buffers, far from where all memory has just gone into one.
#[test]
fn fault_64() {
    if has_sanitizer() {
        return;
    }
    let (scene, least) = large_scene();
    for line in LARGE {
        let mut refused = 0;
        while !succeeds_or_names_bytes(&scene, least + 2048 + refused * 3072, line) {
            refused += 1;
            assert!(refused < 300, "{line}");
        }
        assert!(refused > 1, "{line}");
    }
}

/// A script as a user who may have no thread but the first, or so few as `processes` says.
fn with_processes(scene: &Scene, processes: usize, line: &str) -> Outcome {
    // A user of this test's own. Somebody who is no root has more processes than this already.
    let user = 200_000 + std::process::id() % 100_000;
    let become_another =
        format!("if test $(id -u) = 0; then set -- setpriv --reuid {user} --clear-groups; fi");
    let limited = format!("ulimit -u {processes}; exec ./rnn {line}");
    scene.sandbox.shell(&format!("{become_another}; exec \"$@\" bash -c '{limited}'"))
}

#[test]
fn fault_66() {
    if skipped(66) {
        return;
    }
    let scene = Scene::new();
    // A layer of 512 bytes a step, and more of them than are held whole.
    let steps = 140_000;
    let header = &npy(&ArrayD::<f32>::zeros(vec![0, 64]))[..]
        .iter()
        .map(|&byte| char::from(byte))
        .collect::<String>();
    let header = header.replace("(0, 64)}     ", &format!("({steps}, 64)}}"));
    let bytes: Vec<u8> = header.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_eq!(bytes.len() % 64, 0);
    scene.sandbox.write("large.npy", &bytes);
    let size = bytes.len() + steps * 64 * 4;
    let script = format!(
        "set -e; truncate -s {size} large.npy; cp $(which rnn) rnn; chmod 777 .; chmod 755 rnn
        rnn init -q --input-size 64 --hidden 64 -o w64.npz; chmod 644 *.np?
        rnn run -q -w w64.npz -i large.npy -o expected-large.npy"
    );
    scene.sandbox.shell(&script).succeeds();
    let small = expected(&scene);
    let large = scene.sandbox.bytes("expected-large.npy");
    for processes in 1..8 {
        for (line, expected) in [
            ("run -w w.npz -i x.npy -o out.npy", &small),
            ("run -w w64.npz -i large.npy -o out.npy", &large),
        ] {
            let outcome = with_processes(&scene, processes, &format!("{line} --threads 8"));
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{processes}");
            let text = outcome.stdout_text();
            let used = if processes == 1 { "1 is used" } else { " used" };
            let note = "\nnote: the system refused 8 threads; ";
            let said = text.split_once(note).and_then(|(_, rest)| rest.lines().next());
            assert!(said.is_some_and(|said| said.ends_with(used)), "{processes}: {text}");
            assert!(scene.sandbox.bytes("out.npy") == *expected, "{line} {processes}");
            scene.sandbox.shell("rm -f out.npy").succeeds();
        }
        let outcome =
            with_processes(&scene, processes, "init --input-size 2 --hidden 2 -o new.npz");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{processes}");
        let stream = "stream -q -w w.npz --threads 8 < x.npy";
        assert_eq!(with_processes(&scene, processes, stream).stdout, small, "{processes}");
    }
}

#[test]
fn fault_67() {
    let scene = Scene::new();
    scene.succeeds(
        "rnn init -q --input-size 3 --hidden 4 -o w; rnn convert -q w w.safetensors; mkdir out
        cat w.npz w.npz > /dev/null",
    );
    let expected = expected(&scene);
    let too_many = "Too many open files (os error 24)\n";
    for files in 3..12 {
        for weights in ["w.npz", "w", "w.safetensors"] {
            let script = format!("ulimit -n {files}; exec rnn run -q -w {weights} -i x.npy -o -");
            let outcome = scene.sandbox.shell(&script);
            match outcome.code {
                Some(0) => assert_eq!(outcome.stdout, expected, "{files}"),
                // The loader, before there is a program.
                Some(127) if files == 3 => {}
                code => {
                    assert_eq!(code, Some(71), "{files}: {}", outcome.stderr);
                    assert!(outcome.stderr.ends_with(too_many), "{}", outcome.stderr);
                }
            }
        }
    }
    scene.succeeds("rnn randn -q --seed 1 --rng r.npy --shape 1 -o y.npy");
    for files in 4..16 {
        let line = "exec rnn randn -q --rng r.npy --shape 2 -o y.npy";
        let outcome = scene.sandbox.shell(&format!("ulimit -n {files}; {line}"));
        let refused = outcome.code == Some(71) && outcome.stderr.ends_with(too_many);
        let succeeds = outcome.code == Some(0);
        assert!(if files < 12 { refused || succeeds } else { succeeds }, "{files}: {outcome:?}");
    }
    for files in 7..12 {
        scene.succeeds(&format!("ulimit -n {files}; exec rnn run -q -w w -i x.npy -o y.npy"));
        assert_eq!(scene.sandbox.bytes("y.npy"), expected);
    }
    for kib in [128, 200, 256, 1024] {
        for line in [
            "rnn run -q -w w.npz -i x.npy -o y.npy",
            "rnn run -q -w w -i x.npy -o y.npy",
            "rnn run -q -w w.safetensors -i - -o y.npy < x.npy",
            "rnn run -q -w w.safetensors -i - -o y.npy --threads 16 < x.npy",
            "rnn init -q --input-size 3 --hidden 4 -o out/w.onnx",
            "rnn convert -q w out/w.npz",
            "rnn info w > out/text",
            "rnn diff -q w w.npz",
            "rnn run --help > out/text",
        ] {
            scene.succeeds(&format!("ulimit -s {kib}; exec {line}"));
        }
        assert_eq!(scene.sandbox.bytes("y.npy"), expected);
    }
}

#[test]
fn fault_67_where_the_output_is_the_file_too_many() {
    let scene = Scene::new();
    let too_many = "y.npy: cannot be written: Too many open files (os error 24)";
    scene.refuses("ulimit -n 5; exec rnn run -w w.npz -i x.npy -o y.npy", 71, &[too_many]);
}

/// A pipe that `rnn` opens after its input: whoever has it open for writing knows that the header of the
/// input has been read, and that its numbers have not.
fn opened(scene: &Scene, pipe: &str) -> File {
    OpenOptions::new().write(true).open(scene.sandbox.path(pipe)).unwrap()
}

/// An input that is held whole, of 240128 bytes, and `h0.npy`.
fn changing_scene() -> Scene {
    let scene = Scene::new();
    scene.succeeds(
        "rnn randn -q --shape 10000,2,3 -o x.npy; rnn randn -q --shape 1,2,4 -o h0.npy; mkfifo pipe",
    );
    scene
}

/// Runs while `change` happens to the input, behind its header. Says how it ended; nothing else happened.
#[track_caller]
fn changed(scene: &Scene, change: impl FnOnce(&File)) -> (Option<i32>, String) {
    let names = scene.sandbox.names();
    let child = start(scene, "run -w w.npz -i x.npy --h0 pipe -o y.npy");
    let mut pipe = opened(scene, "pipe");
    change(&OpenOptions::new().append(true).open(scene.sandbox.path("x.npy")).unwrap());
    pipe.write_all(&scene.sandbox.bytes("h0.npy")).unwrap();
    drop(pipe);
    let ended = end(child);
    assert_eq!((scene.sandbox.names(), scene.sandbox.bytes("y.npy")), (names, OLD.to_vec()));
    ended
}

#[test]
fn fault_68() {
    for left in [100_000, 240_127, 8192] {
        let scene = changing_scene();
        let ended = changed(&scene, |x| x.set_len(left).unwrap());
        let message = format!(
            "rnn: x.npy: expected 240000 bytes after the header for shape [10000, 2, 3], got {}\n",
            left - 128
        );
        assert_eq!(ended, (Some(65), message));
    }
}

/// The output is a pipe whose reader is slow, so that it is known how far the input can have been read.
#[test]
fn fault_68_while_it_is_read_in_parts() {
    let scene = Scene::new();
    // 72 MB of input and 96 MB of output, in parts of 8 MB.
    let (steps, mut bytes) = (6_000_000, npy(&ArrayD::<f32>::zeros(vec![1, 1, 3])));
    let (from, to) = ("(1, 1, 3)}      ", format!("({steps}, 1, 3)}}"));
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes.truncate(128);
    fs::create_dir(scene.sandbox.path("in")).unwrap();
    let path = scene.sandbox.path("in/x.npy");
    fs::write(&path, bytes).unwrap();
    let x = OpenOptions::new().write(true).open(&path).unwrap();
    x.set_len(128 + steps * 12).unwrap();
    scene.succeeds("mkfifo pipe");
    let names = scene.sandbox.names();
    let child = start(&scene, "run -w w.npz -i in/x.npy -o pipe --hn y.npy");
    let mut pipe = File::open(scene.sandbox.path("pipe")).unwrap();
    let mut read = vec![0; 1 << 16];
    pipe.read_exact(&mut read).unwrap();
    // Of the first output, hardly anything has been taken: at most four parts have been read.
    let left = 128 + 6 * (8 << 20);
    x.set_len(left).unwrap();
    pipe.read_to_end(&mut read).unwrap();
    let message = format!(
        "rnn: in/x.npy: expected {} bytes after the header for shape [{steps}, 1, 3], got {}\n",
        steps * 12,
        left - 128
    );
    assert_eq!(end(child), (Some(65), message));
    assert_eq!((scene.sandbox.names(), scene.sandbox.bytes("y.npy")), (names, OLD.to_vec()));
}

#[test]
fn fault_69() {
    for (more, found) in [(1, "240001"), (100, "240100"), (2 << 20, "1288584 or more")] {
        let scene = changing_scene();
        let mut ended = changed(&scene, |mut x| x.write_all(&vec![0; more]).unwrap());
        let message = format!("rnn: x.npy: expected 240000 bytes after the header, got {found}\n");
        if more > 1 << 20 {
            // How many bytes are counted before it gives up is no promise.
            assert!(ended.1.ends_with(" or more\n"), "{}", ended.1);
            ended.1.clone_from(&message);
        }
        assert_eq!(ended, (Some(65), message));
    }
    // Shorter and then longer again: what was there in between counts.
    let scene = changing_scene();
    let ended = changed(&scene, |mut x| {
        x.set_len(100).unwrap();
        x.write_all(&vec![0; 200_000]).unwrap();
    });
    let message =
        "rnn: x.npy: expected 240000 bytes after the header for shape [10000, 2, 3], got 199972\n";
    assert_eq!(ended, (Some(65), message.to_owned()));
}

#[test]
fn fault_70() {
    let scene = Scene::new();
    let expected = expected(&scene);
    let folder = scene.sandbox.path("names");
    fs::create_dir(&folder).unwrap();
    let names: [(&[u8], &str); 5] = [
        (b"\xff.npy", "\u{fffd}.npy"),
        (b"a\nb.npy", "\"a\\nb.npy\""),
        (b"e\x1b[2J.npy", "\"e\\u{1b}[2J.npy\""),
        (b"-x.npy", "-x.npy"),
        (b"--help.npy", "--help.npy"),
    ];
    for (name, shown) in names {
        let name = OsStr::from_bytes(name);
        fs::copy(scene.sandbox.path("x.npy"), folder.join(name)).unwrap();
        let run = |words: &[&OsStr]| {
            let mut rnn = Command::new(env!("CARGO_BIN_EXE_rnn"));
            rnn.args(words).current_dir(&folder).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
            let output = rnn.output().unwrap();
            let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
            assert!(texts.iter().all(|text| !text.contains('\x1b')), "{texts:?}");
            (output.status.code(), texts)
        };
        let flag = |flag: &str, name: &OsStr| {
            OsStr::from_bytes(&[flag.as_bytes(), b"=", name.as_bytes()].concat()).to_owned()
        };
        // An option takes a name that begins with - behind an equals sign.
        let (input, output) = (flag("--input", name), flag("--output", name));
        let words: [&OsStr; 5] =
            ["run".as_ref(), "-w".as_ref(), "../w.npz".as_ref(), &input, &output];
        let (code, [report, stderr]) = run(&words);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let lines = report.lines().filter(|line| line.ends_with(&format!("f32  {shown}")));
        assert_eq!((lines.count(), report.lines().count()), (2, 7), "{report}");
        assert_eq!(fs::read(folder.join(name)).unwrap(), expected);
        let (code, [report, _]) = run(&["info".as_ref(), "--".as_ref(), name]);
        assert_eq!(code, Some(0));
        assert!(report.starts_with(&format!("{shown}: tensor, .npy\n")), "{report}");
        fs::remove_file(folder.join(name)).unwrap();

        // In a message: one line, with the name as it was in the report.
        let absent = format!("rnn: {shown}: No such file or directory (os error 2)\n");
        assert_eq!(run(&words[..4]), (Some(66), [String::new(), absent]));
        let randn = ["randn", "--shape", "2"].map(OsStr::new);
        let other = flag("-o", &with(name, "/x.npy"));
        let (code, [_, stderr]) = run(&[&randn[..], &[&other]].concat());
        let place = shown
            .strip_suffix('"')
            .map_or(format!("{shown}/x.npy"), |name| format!("{name}/x.npy\""));
        let says =
            format!("rnn: {place}: cannot be written: No such file or directory (os error 2)\n");
        assert_eq!((code, stderr), (Some(73), says));
        let other = flag("-o", &with(name, ".png"));
        let (code, [_, stderr]) = run(&[&randn[..], &[&other]].concat());
        let place =
            shown.strip_suffix('"').map_or(format!("{shown}.png"), |name| format!("{name}.png\""));
        assert!(stderr.starts_with(&format!("rnn: {place}: expected .npy")), "{stderr}");
        let hints = usize::from(!shown.starts_with('"'));
        assert_eq!((code, stderr.lines().count()), (Some(2), 1 + hints), "{stderr}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    // Values and commands that nobody could type: as they are shown, they can do nothing.
    for line in ["run -i x.npy --dtype 'a\x1b[2Jb'", "init --lay\x1b[2Jers 2", "ru\x1b[2Jn"] {
        let outcome = scene.sandbox.shell(&format!("rnn {line}"));
        assert!(!outcome.stderr.contains('\x1b'), "{}", outcome.stderr);
        assert_eq!(outcome.code, Some(2), "{line}");
    }
}

/// A name that need not be text, with something behind it.
fn with(name: &OsStr, end: &str) -> OsString {
    let mut name = name.to_os_string();
    name.push(end);
    name
}

#[test]
fn fault_71() {
    let scene = Scene::new();
    let whole = "expected a whole number of at least 1, got";
    let more = "out of memory: weights needs more than 18446744073709551615 bytes";
    for (flags, code, says) in [
        ("--hidden 0", 2, format!("--hidden-size: {whole} '0'")),
        ("--hidden -1", 2, format!("--hidden-size: {whole} '-1'")),
        ("--hidden 1e3", 2, format!("--hidden-size: {whole} '1e3'")),
        (
            "--hidden 18446744073709551616",
            2,
            format!("--hidden-size: {whole} '1844674407370955161"),
        ),
        ("--hidden 1099511627776", 65, more.to_owned()),
        ("--hidden 18446744073709551615", 65, more.to_owned()),
        ("--hidden 4 --layers 0", 2, format!("--num-layers: {whole} '0'")),
        ("--hidden 4 --layers -1", 2, format!("--num-layers: {whole} '-1'")),
        ("--hidden 4 --layers 1e9", 2, format!("--num-layers: {whole} '1e9'")),
        ("--hidden 4294967296 --layers 1000000000", 65, more.to_owned()),
        // A machine that has them could be had tomorrow.
        ("--hidden 4 --layers 1000000000", 71, "weights needs 159999999984 bytes".to_owned()),
        ("--hidden 1000000", 71, "weights needs 4000020000000 bytes".to_owned()),
        ("--hidden 4294967296", 65, more.to_owned()),
    ] {
        scene.refuses(&format!("rnn init --input-size 3 {flags} -o absent.npz"), code, &[&says]);
        scene.refuses(&format!("rnn run -i x.npy {flags} -o y.npy"), code, &[&says]);
    }
    for (shape, code, says) in [
        ("-1", 2, "--shape"),
        ("1e3", 2, "--shape"),
        ("2,", 2, "--shape"),
        ("1099511627776,2", 71, "randn needs 8796093022208 bytes"),
        ("1099511627776,1099511627776", 65, "randn needs more than 18446744073709551615 bytes"),
    ] {
        scene.refuses(&format!("rnn randn --shape={shape} -o y.npy"), code, &[says]);
    }
    let line = "rnn init --input-size 1099511627776 --hidden 2 -o absent.npz";
    scene.refuses(line, 71, &["rnn: out of memory: weights needs 8796093022240 bytes\n"]);
    scene.refuses("rnn run -w w.npz -i x.npy --threads 0 -o y.npy", 2, &["--threads: ", whole]);
}

#[test]
fn fault_72() {
    let scene = Scene::new();
    let expected = expected(&scene);
    let ignored = |text: &str| format!("note: {text} is no number of threads, and is ignored\n");
    let first = |text: &str| format!("note: {text}: the first number is used\n");
    for (variables, threads, notes) in [
        ("RAYON_NUM_THREADS=0", None, ignored("RAYON_NUM_THREADS=0")),
        ("RAYON_NUM_THREADS=abc", None, ignored("RAYON_NUM_THREADS=abc")),
        ("RAYON_NUM_THREADS=-1", None, ignored("RAYON_NUM_THREADS=-1")),
        ("OMP_NUM_THREADS=", None, ignored("OMP_NUM_THREADS=")),
        ("OMP_NUM_THREADS=4,2", Some(4), first("OMP_NUM_THREADS=4,2")),
        ("RAYON_NUM_THREADS=3,abc", Some(3), first("RAYON_NUM_THREADS=3,abc")),
        ("RAYON_NUM_THREADS=abc OMP_NUM_THREADS=2", Some(2), ignored("RAYON_NUM_THREADS=abc")),
        ("OMP_NUM_THREADS=$'\\e[2J'", None, ignored("OMP_NUM_THREADS=\\u{1b}[2J")),
    ] {
        let outcome = scene.succeeds(&format!("{variables} rnn run -w w.npz -i x.npy -o y.npy"));
        let report = outcome.stdout_text();
        assert!(report.ends_with(&format!(" s\n{notes}")), "{report}");
        if let Some(threads) = threads {
            assert!(report.contains(&format!(", {threads} threads, ")), "{report}");
        }
        assert_eq!((outcome.stderr.as_str(), scene.sandbox.bytes("y.npy")), ("", expected.clone()));
    }
}

#[test]
fn fault_73() {
    let scene = Scene::new();
    // Everything that is written, and everything that is said but for the time that it took.
    let lines = [
        "run -w FOLDER/w.npz -i FOLDER/x.npy -o OUT/y.npy --hn OUT/h.npy --all-hidden OUT/all.npz",
        "run -w FOLDER/w.npz -i FOLDER/x.npy -o OUT/y.npy --report json",
        "run --hidden 4 -i FOLDER/x.npy --last OUT/l.csv",
        "randn --shape 5,3 -o OUT/r.txt",
        "init --input-size 3 --hidden 4 -o OUT/w",
        "init --input-size 3 --hidden 4 -o OUT/w.npz",
        "init --input-size 3 --hidden 4 -o OUT/w.safetensors",
        "init --input-size 3 --hidden 4 -o OUT/w.onnx",
        "info FOLDER/w.npz FOLDER/x.npy",
        "run -w FOLDER/none.npz -i FOLDER/x.npy -o OUT/none.npy",
    ];
    let folder = scene.sandbox.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    let run = |surroundings: &str, cwd: &str| {
        let out = format!("{folder}/out");
        let _ = fs::remove_dir_all(&out);
        let mut said = String::new();
        fs::create_dir(&out).unwrap();
        for line in lines {
            let line = line.replace("FOLDER", &folder).replace("OUT", &out);
            let outcome = scene.sandbox.shell(&format!("cd {cwd}; {surroundings} rnn {line}"));
            said += &outcome.code.unwrap().to_string();
            said += &outcome.stdout_text();
            said += &outcome.stderr;
        }
        let said: Vec<_> =
            said.lines().filter(|line| !line.contains("second")).map(untimed).collect();
        let files = Command::new("find").args([&out, "-type", "f"]).output().unwrap().stdout;
        let mut files: Vec<_> =
            String::from_utf8(files).unwrap().lines().map(str::to_owned).collect();
        files.sort();
        assert!(files.len() > 10, "{files:?}");
        let files: Vec<_> =
            files.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect();
        (said, files)
    };
    let expected = run("", &folder);
    let no_home = "env -u HOME -u USER -u LANG -u TMPDIR";
    for (surroundings, cwd) in [
        ("LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8", folder.as_str()),
        ("LC_ALL=de_DE.UTF-8 LC_NUMERIC=de_DE.UTF-8", &folder),
        ("LC_ALL=none", &folder),
        ("TZ=Asia/Kathmandu", &folder),
        ("TZ=nonsense", &folder),
        (no_home, &folder),
        ("HOME=/none", &folder),
        ("env -i PATH=$PATH", &folder),
        // Nobody can write there, not even root.
        ("", "/proc"),
        ("env -i PATH=$PATH", "/proc"),
    ] {
        assert!(run(surroundings, cwd) == expected, "{surroundings} {cwd}");
    }
}

/// A line without the seconds that a run has taken.
fn untimed(line: &str) -> String {
    line.strip_suffix(" s")
        .and_then(|line| line.rsplit_once(", "))
        .map_or(line, |(line, _)| line)
        .to_owned()
}

#[test]
fn fault_74() {
    let scene = Scene::new();
    scene.succeeds(
        "rnn randn -q --shape 50,2,3 --seed 1 -o a.npy; rnn randn -q --shape 70,2,3 --seed 2 -o b.npy
        rnn run -q -w w.npz -i a.npy -o ya.npy; rnn run -q -w w.npz -i b.npy -o yb.npy
        rnn init -q --input-size 3 --hidden 4 --seed 1 -o wa; rnn init -q --input-size 3 --hidden 4 --seed 2 -o wb",
    );
    let names = scene.sandbox.names();
    let expected = ["ya.npy", "yb.npy"].map(|name| scene.sandbox.bytes(name));
    for _ in 0..50 {
        let outcome = scene.sandbox.shell(
            "rnn run -q -w w.npz -i a.npy -o y.npy & a=$!; rnn run -q -w w.npz -i b.npy -o y.npy & b=$!
            wait $a && wait $b",
        );
        outcome.succeeds();
        assert!(expected.contains(&scene.sandbox.bytes("y.npy")));
    }
    assert_eq!(scene.sandbox.names(), names);
    // Of two folders too, and one of them may say that it came too late.
    for _ in 0..50 {
        let outcome = scene.sandbox.shell(
            "rnn init -q --input-size 3 --hidden 4 --seed 1 -o w & a=$!
            rnn init -q --input-size 3 --hidden 4 --seed 2 -o w & b=$!
            wait $a; a=$?; wait $b; b=$?
            diff -r w wa > /dev/null || diff -r w wb > /dev/null || ls -la w >&2
            test $a = 0 || test $b = 0 || exit 1; echo $a $b",
        );
        let codes = outcome.stdout_text();
        assert!(
            ["0 0\n", "0 73\n", "73 0\n"].contains(&codes.as_str()),
            "{codes} {}",
            outcome.stderr
        );
        let told = outcome.stderr.lines().all(|line| line.starts_with("rnn: w: "));
        assert!(told, "{}", outcome.stderr);
    }
    let mut with_folder = names;
    with_folder.push("w".to_owned());
    with_folder.sort();
    assert_eq!(scene.sandbox.names(), with_folder);
}

/// For example, with what `rustup target add i686-unknown-linux-musl` brings and nothing else:
///
/// ```sh
/// RUSTFLAGS='-C linker=rust-lld -C linker-flavor=ld.lld' cargo build --target i686-unknown-linux-musl
/// RNN_OF_ANOTHER_MACHINE=$PWD/target/i686-unknown-linux-musl/debug/rnn cargo test fault_76
/// ```
#[test]
fn fault_76() {
    if skipped(76) {
        return;
    }
    let sandbox = Sandbox::new();
    let other = std::env::var(ANOTHER_RNN).unwrap();
    let script = "set -e; mkdir $1; cd $1; rnn=$2
        for layer in '' '--layers 2 --bidirectional' '--nonlinearity relu --no-bias' '--dtype f64'; do
            name=w$(echo $layer | tr -d ' -'); type=$(echo $layer | grep -o dtype.* || true)
            $rnn init -q --input-size 11 --hidden 33 $layer -o $name.npz
            $rnn randn -q --shape 70,5,11 ${type:+--$type} -o x.npy
            $rnn run -q -w $name.npz -i x.npy -o $name.npy --hn $name-h.npy --all-hidden $name-all.npz
            $rnn run -q -w $name.npz -i x.npy -o $name-lengths.npy --lengths 70,3,1,2,69
            $rnn convert -q $name.npz $name.safetensors; $rnn convert -q $name.npz $name.onnx
            $rnn convert -q $name.npz $name
        done
        $rnn run -q -w w.onnx -i x.npy --dtype f32 -o from-onnx.npy
        $rnn randn -q --shape 5,11 -o table.csv; $rnn run -q -w w.npz -i table.csv -o of-table.csv
        $rnn run --train --hidden 7 --layers 2 --dropout 0.5 --seed 5 --rng rng.npy -i x.npy -o train.npy -q";
    sandbox.write("script", script.as_bytes());
    sandbox.shell("bash script here rnn").succeeds();
    sandbox.shell(&format!("bash script there '{other}'")).succeeds();
    sandbox.shell("diff -r here there; test $(ls here | wc -l) -gt 30").succeeds();
    // What is refused is refused in the same words.
    for line in ["init --input-size 3 --hidden 0", "run -w here/w.npz -i here/rng.npy"] {
        let here = sandbox.shell(&format!("rnn {line} -o f.npz"));
        let there = sandbox.shell(&format!("{other} {line} -o f.npz"));
        assert_eq!(here.code, there.code, "{}", there.stderr);
    }
}
