//! Rows 47 to 60: outputs, and standard streams.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use super::{LIMITS, OLD, Scene, skipped};

/// What the system says of a full disk.
const FULL: &str = "No space left on device (os error 28)";

/// What the layer makes of `x.npy`.
fn expected(scene: &Scene) -> Vec<u8> {
    scene.succeeds("rnn run -q -w w.npz -i x.npy -o -").stdout
}

#[test]
fn fault_47() {
    let scene = Scene::new();
    let (expected, x) = (expected(&scene), scene.sandbox.bytes("x.npy"));
    for (prepare, input, output) in [
        ("", "x.npy", "x.npy"),
        ("", "x.npy", "./x.npy"),
        ("", "./x.npy", "x.npy"),
        ("", "x.npy", "$PWD/x.npy"),
        ("", "- < x.npy", "x.npy"),
        ("ln -s x.npy soft;", "x.npy", "soft"),
        ("", "soft", "x.npy"),
        ("", "soft", "soft"),
        ("ln -s . same;", "x.npy", "same/x.npy"),
    ] {
        scene.sandbox.write("x.npy", &x);
        scene.succeeds(&format!("{prepare} rnn run -q -w w.npz -i {input} -o {output}"));
        assert_eq!(scene.sandbox.bytes("x.npy"), expected, "{input} {output}");
    }
    assert!(fs::symlink_metadata(scene.sandbox.path("soft")).unwrap().is_symlink());
    // A hard link is a file of its own, and the input behind it stays.
    scene.sandbox.write("x.npy", &x);
    scene.succeeds("ln x.npy hard; rnn run -q -w w.npz -i x.npy -o hard");
    assert_eq!((scene.sandbox.bytes("hard"), scene.sandbox.bytes("x.npy")), (expected, x));
    assert_eq!(scene.sandbox.names(), ["hard", "same", "soft", "w.npz", "x.npy", "y.npy"]);
}

#[test]
fn fault_48() {
    let scene = Scene::new();
    let (expected, sandbox) = (expected(&scene), &scene.sandbox);
    // Another name of the old file shows that it has not been written to.
    fs::hard_link(sandbox.path("y.npy"), sandbox.path("hard.npy")).unwrap();
    fs::set_permissions(sandbox.path("y.npy"), fs::Permissions::from_mode(0o640)).unwrap();
    scene.succeeds("umask 027; rnn run -q -i x.npy -w w.npz -o y.npy --hn new.npy");
    assert_eq!((sandbox.bytes("y.npy"), sandbox.bytes("hard.npy")), (expected, OLD.to_vec()));
    let mode = |name: &str| fs::metadata(sandbox.path(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("y.npy"), mode("new.npy")), (0o640, 0o640));
    scene.succeeds("umask 000; rnn run -q -i x.npy -w w.npz -o y.npy --hn open.npy");
    assert_eq!((mode("y.npy"), mode("open.npy")), (0o640, 0o666));
    assert_eq!(sandbox.names(), ["hard.npy", "new.npy", "open.npy", "w.npz", "x.npy", "y.npy"]);

    scene.succeeds("rnn init -q --input-size 1 --hidden 1 -o folder; mkfifo pipe");
    let says =
        |place: &str| format!("{place}: cannot be written: exists, and --no-clobber keeps it");
    for (line, place) in [
        ("run -w w.npz -i pipe -o y.npy", "y.npy"),
        ("run -w w.npz -i pipe -o absent.npy --hn y.npy", "y.npy"),
        ("run -w w.npz -i pipe -o absent.npy --last y.npy", "y.npy"),
        ("randn --shape 2 -o y.npy", "y.npy"),
        ("init --input-size 1 --hidden 1 -o w.npz", "w.npz"),
        ("init --input-size 1 --hidden 1 -o folder", "folder"),
        ("convert w.npz folder", "folder"),
    ] {
        scene.refuses(&format!("timeout 10 rnn {line} --no-clobber"), 73, &[&says(place)]);
    }
    scene.succeeds("rnn run -q -w w.npz -i x.npy -o absent.npy --no-clobber");
}

#[test]
fn fault_49() {
    let scene = Scene::new();
    let long = "n".repeat(300);
    // Nobody writes into the pipe: whoever reads before the outputs are known to be good waits for ever.
    scene.succeeds("mkfifo pipe; mkdir folder; ln -s ring ring; mkdir closed; chmod 555 closed");
    let mut ways = vec![
        ("none/y.npy", "No such file or directory (os error 2)"),
        ("x.npy/y.npy", "Not a directory (os error 20)"),
        ("folder", "is a directory; expected a file"),
        ("folder/", "is a directory; expected a file"),
        ("none/", "expected the name of a file"),
        (&long, "File name too long (os error 36)"),
        ("ring", "Too many levels of symbolic links (os error 40)"),
    ];
    // Nothing is closed to root, but for the folders of the kernel.
    if File::create(scene.sandbox.path("closed/probe")).is_err() {
        ways.push(("closed/y.npy", "Permission denied (os error 13)"));
    } else {
        fs::remove_file(scene.sandbox.path("closed/probe")).unwrap();
        ways.push(("/sys/y.npy", " (os error "));
    }
    for (path, what) in ways {
        let says = format!("{path}: cannot be written: ");
        // Every output is opened first, so that none is written where one cannot be.
        for line in [
            format!("run -w pipe -i pipe -o {path}"),
            format!("run -w pipe -i pipe -o y.npy --hn {path}"),
            format!("run -w pipe -i pipe -o y.npy --last {path}"),
            format!("run -w pipe -i pipe -o y.npy --seed 1 --rng {path}"),
            // These would take longer, and more memory, than they may.
            format!("randn --shape 1000000000 -o y.npy --seed 1 --rng {path}"),
            format!("randn --shape 1000000000 -o {path}"),
        ] {
            scene.refuses(&format!("timeout 10 rnn {line}"), 73, &[&says, what]);
        }
    }
    for (path, what) in [
        ("none/w.npz", "none/w.npz: cannot be written: No such file or directory (os error 2)"),
        ("none/w", "none/w: cannot be written: No such file or directory (os error 2)"),
        ("folder/..", "folder/..: cannot be written: expected the name of a folder"),
        ("/sys/w", "/sys/w: cannot be written: "),
    ] {
        let line = format!("timeout 10 rnn init --input-size 1 --hidden 30000 -o {path}");
        scene.refuses(&line, 73, &[what]);
        scene.refuses(&format!("timeout 10 rnn convert pipe {path}"), 73, &[what]);
    }
}

/// A file system that may only be read can be had only where one can be mounted.
#[test]
fn fault_49_on_a_file_system_that_may_only_be_read() {
    let scene = Scene::new();
    let mount = "mkdir disk; unshare -rm mount -t tmpfs -o ro none disk";
    if scene.sandbox.shell(mount).code != Some(0) {
        return;
    }
    scene.succeeds("mkfifo pipe");
    for line in [
        "run -w pipe -i pipe -o disk/y.npy",
        "randn --shape 1000000000 -o disk/y.npy",
        "init --input-size 1 --hidden 30000 -o disk/w",
    ] {
        let place = line.rsplit(' ').next().unwrap();
        let script =
            format!("unshare -rm sh -c 'mount -t tmpfs -o ro none disk && timeout 10 rnn {line}'");
        let what = format!("{place}: cannot be written: Read-only file system (os error 30)");
        scene.refuses(&script, 73, &[&what]);
    }
}

#[test]
fn fault_50() {
    let scene = Scene::new();
    let (expected, sandbox) = (expected(&scene), &scene.sandbox);
    scene.succeeds(
        "set -e; mkdir sub; ln -s y.npy link; ln -s ../link sub/second
        ln -s sub/new.npy dangling; ln -s $PWD/sub/absolute.npy absolute",
    );
    fs::hard_link(sandbox.path("y.npy"), sandbox.path("old.npy")).unwrap();
    let found = scene.succeeds(
        "set -e
        for output in sub/second dangling absolute; do rnn run -q -i x.npy -w w.npz -o $output; done
        test -L link -a -L sub/second -a -L dangling -a -L absolute
        ls -A sub",
    );
    assert_eq!(found.stdout_text(), "absolute.npy\nnew.npy\nsecond\n");
    for target in ["y.npy", "sub/new.npy", "sub/absolute.npy"] {
        assert_eq!(sandbox.bytes(target), expected, "{target}");
    }
    // Atomically: the old file has not been written to.
    assert_eq!(sandbox.bytes("old.npy"), OLD);
    // A failure leaves the target, and makes none.
    scene.succeeds("rm sub/new.npy");
    for output in ["link", "dangling"] {
        scene.refuses(&format!("rnn run -w w.npz -i w.npz:none -o {output}"), 65, &["w.npz"]);
    }
    assert!(!sandbox.path("sub/new.npy").exists());
}

#[test]
fn fault_51() {
    let scene = Scene::new();
    let (expected, sandbox) = (expected(&scene), &scene.sandbox);
    scene.succeeds(
        "mkfifo out; cat out > copy.npy & rnn run -q -i x.npy -w w.npz -o out; wait; test -p out",
    );
    assert_eq!(sandbox.bytes("copy.npy"), expected);
    scene.succeeds(
        "ln -s out link; cat out > copy.npy & rnn run -q -i x.npy -w w.npz -o link; wait",
    );
    assert_eq!(sandbox.bytes("copy.npy"), expected);
    let names = sandbox.names();
    for device in ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"] {
        let script = format!("rnn run -q -i x.npy -w w.npz -o {device} | cat");
        assert_eq!(scene.succeeds(&script).stdout, expected, "{device}");
    }
    scene.succeeds("rnn run -q -i x.npy -w w.npz -o /dev/null; test -c /dev/null");
    // A file behind a descriptor is replaced as under its own name.
    scene.succeeds("rnn run -q -i x.npy -w w.npz -o /dev/stdout > copy.npy");
    assert_eq!(sandbox.bytes("copy.npy"), expected);
    assert_eq!(sandbox.names(), names);
}

/// A socket can be written through a descriptor; under its name the system opens it for nobody.
#[test]
fn fault_51_of_sockets() {
    let scene = Scene::new();
    let _listener = UnixListener::bind(scene.sandbox.path("socket")).unwrap();
    let what = "socket: cannot be written: No such device or address (os error 6)";
    scene.refuses("rnn run -w w.npz -i x.npy -o socket", 73, &[what]);
    let kind = fs::metadata(scene.sandbox.path("socket")).unwrap().file_type();
    assert!(kind.is_socket());
    let (stdout, mut reader) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut rnn = rnn(&scene, "run -q -w w.npz -i x.npy -o -");
    assert!(rnn.stdout(std::os::fd::OwnedFd::from(stdout)).status().unwrap().success());
    drop(rnn);
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut read).unwrap();
    assert_eq!(read, expected(&scene));
}

/// A block device asks for root and a loop device. Without them it is what a character device is: neither is
/// a regular file, and nothing else is asked about it.
#[test]
fn fault_51_of_block_devices() {
    let scene = Scene::new();
    let made = scene.sandbox.shell("truncate -s 1M disk; losetup --show -f disk");
    if made.code != Some(0) {
        return;
    }
    let device = made.stdout_text().trim().to_owned();
    let ran = scene.sandbox.shell(&format!(
        "rnn run -q -w w.npz -i x.npy -o {device} && sync && test -b {device} && cat {device}"
    ));
    scene.sandbox.shell(&format!("losetup -d {device}")).succeeds();
    let expected = expected(&scene);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.starts_with(&expected) && ran.stdout.len() == 1 << 20);
    assert_eq!(scene.sandbox.names(), ["disk", "w.npz", "x.npy", "y.npy"]);
}

#[test]
fn fault_52() {
    let scene = Scene::new();
    for (line, place) in [
        ("run -w w.npz -i x.npy -o /dev/full --hn y.npy", "/dev/full"),
        ("run -w w.npz -i x.npy -o y.npy --hn /dev/full", "/dev/full"),
        ("run -w w.npz -i x.npy -o y.npy --last /dev/full", "/dev/full"),
        ("run -w w.npz -i x.npy -o y.npy --all-hidden /dev/full", "/dev/full"),
        ("run -w w.npz -i x.npy --hn y.npy -o - > /dev/full", "stdout"),
        ("randn --shape 2 -o - > /dev/full", "stdout"),
        ("randn --shape 2 -o /dev/full", "/dev/full"),
        ("init --input-size 1 --hidden 1 -o - > /dev/full", "stdout"),
        ("init --input-size 1 --hidden 1 -o /dev/full", "/dev/full"),
        ("convert w.npz /dev/full", "/dev/full"),
        ("stream -q -w w.npz < x.npy > /dev/full", "stdout"),
        ("info x.npy > /dev/full", "stdout"),
        ("diff x.npy x.npy > /dev/full", "stdout"),
        ("run --help > /dev/full", "stdout"),
    ] {
        scene.refuses(&format!("rnn {line}"), 74, &[&format!("rnn: {place}: {FULL}\n")]);
    }
    // The report alone: the outputs are in place.
    let outcome = scene.sandbox.shell("rnn run -w w.npz -i x.npy -o y.npy > /dev/full");
    outcome.fails(74, &format!("rnn: stdout: {FULL}\n"));
    assert_eq!(scene.sandbox.bytes("y.npy"), expected(&scene));
}

/// What is too large for a disk of 1 MiB, and what it is called.
const TOO_LARGE: [(&str, &str); 8] = [
    ("randn --shape 500000 -o disk/y.npy", "disk/y.npy"),
    ("randn --shape 500,1000 -o disk/y.csv", "disk/y.csv"),
    ("run -w w.npz -i large.npy -o disk/y.npy", "disk/y.npy"),
    ("run -w w.npz -i large.npy -o disk/small.csv --last disk/y.npy", "disk/small.csv"),
    ("run -w w.npz -i large.npy --all-hidden disk/y.npz", "disk/y.npz"),
    ("init --input-size 1 --hidden 700 -o disk/y.npz", "disk/y.npz"),
    ("init --input-size 1 --hidden 700 -o disk/y.safetensors", "disk/y.safetensors"),
    ("init --input-size 300000 --hidden 1 -o disk/y/", "disk/y/weight_ih_l0.npy"),
];

const TOO_LONG: &str = "File too large (os error 27)";

/// Fails the test unless the message names the place, how many bytes of how many were written, and what
/// the system said.
#[track_caller]
fn failed_midway(message: &str, place: &str, what: &str) {
    let bytes = message.strip_prefix(&format!("rnn: {place}: "));
    let bytes = bytes.and_then(|rest| rest.strip_suffix(&format!(" bytes written: {what}\n")));
    let (written, needed) = bytes.and_then(|bytes| bytes.split_once(" of ")).expect(message);
    let [written, needed] = [written, needed].map(|bytes| bytes.parse::<u64>().expect(message));
    assert!(written < needed, "{message}");
}

#[test]
fn fault_53() {
    if skipped(53) {
        return;
    }
    let scene = Scene::new();
    scene.succeeds("mkdir disk; rnn randn -q --shape 100000,3 -o large.npy");
    for (line, place) in TOO_LARGE {
        let listed = "find disk -mindepth 1 | sort; cat disk/old";
        let script = format!(
            "unshare -rm bash -c 'mount -t tmpfs -o size=1m none disk && printf %s kept > disk/old
            rnn {line}; code=$?; {listed}; exit $code'"
        );
        let outcome = scene.sandbox.shell(&scene.limited(LIMITS, &script));
        failed_midway(&outcome.stderr, place, FULL);
        let found = (outcome.code, outcome.stdout_text());
        assert_eq!(found, (Some(74), "disk/old\nkept".to_owned()), "{line}");
    }
}

/// An output that stood there, and a disk that is full after so many KiB.
#[test]
fn fault_53_wherever_the_disk_is_full() {
    if skipped(53) {
        return;
    }
    let scene = Scene::new();
    scene.succeeds("mkdir disk; rnn randn -q --shape 15000,3 -o large.npy");
    for size in (4..240).step_by(16) {
        let script = format!(
            "unshare -rm bash -c 'mount -t tmpfs -o size={size}k none disk && printf %s kept > disk/y.npy
            rnn run -q -w w.npz -i large.npy -o disk/y.npy; code=$?; ls -A disk; cat disk/y.npy; exit $code'"
        );
        let outcome = scene.sandbox.shell(&scene.limited(LIMITS, &script));
        failed_midway(&outcome.stderr, "disk/y.npy", FULL);
        let found = (outcome.code, outcome.stdout_text());
        assert_eq!(found, (Some(74), "y.npy\nkept".to_owned()), "{size}");
    }
}

#[test]
fn fault_53_says_how_many_bytes() {
    if skipped(53) {
        return;
    }
    let scene = Scene::new();
    scene.succeeds("mkdir disk");
    let script = "unshare -rm bash -c 'mount -t tmpfs -o size=1m none disk && rnn randn --shape 500000 -o disk/y.npy'";
    scene.refuses(script, 74, &["disk/y.npy: ", " of 2000128 bytes", FULL]);
}

#[test]
fn fault_54() {
    let scene = Scene::new();
    scene.succeeds("mkdir disk; rnn randn -q --shape 100000,3 -o large.npy");
    for blocks in [1, 17, 64, 100] {
        for (line, place) in TOO_LARGE {
            let script = format!("ulimit -f {blocks}; rnn {line}");
            let says = [format!("rnn: {place}: "), format!(" bytes written: {TOO_LONG}\n")];
            scene.refuses(&script, 74, &says.each_ref().map(String::as_str));
            assert_eq!(fs::read_dir(scene.sandbox.path("disk")).unwrap().count(), 0, "{line}");
        }
        let script =
            format!("ulimit -f {blocks}; rnn run -w w.npz -i large.npy -o y.npy --hn disk/h.npy");
        scene.refuses(&script, 74, &["rnn: y.npy: ", " bytes written: ", TOO_LONG]);
    }
    // What the shell has opened is written directly, and keeps what was written.
    let script = "ulimit -f 1; rnn randn --shape 10000 -o - > cut.npy";
    scene.sandbox.shell(script).fails(74, "rnn: stdout: File too large (os error 27)\n");
    assert_eq!(scene.sandbox.bytes("cut.npy").len(), 1024);
}

#[test]
fn fault_57() {
    let scene = Scene::new();
    // Far more than a pipe holds, so that the writer is still there when its reader is gone.
    for (line, codes) in [
        ("rnn randn -q --shape 1000000 -o -", "141 0"),
        ("rnn randn -q --shape 200000,3 -o - | rnn run -q -i - -w w.npz -o -", "0 141 0"),
        (
            "rnn randn -q --shape 200000,3 -o - | rnn run -q -i - -w w.npz --hn y.npy -o -",
            "0 141 0",
        ),
        ("rnn init -q --input-size 1000 --hidden 1000 -o -", "141 0"),
        ("rnn randn -q --shape 100000,3 -o - | rnn run -i - -w w.npz -o /dev/stdout", "0 141 0"),
        // The reader is gone before anything is printed.
        ("(sleep 0.2; rnn run --help)", "141 0"),
    ] {
        let before = scene.contents();
        let script = format!("{line} | head -c 10 > /dev/null; echo ${{PIPESTATUS[*]}}");
        let script = script.replace("help) | head -c 10 > /dev/null", "help) | true");
        let outcome = scene.succeeds(&script);
        assert_eq!((outcome.stdout_text(), outcome.stderr), (format!("{codes}\n"), String::new()));
        assert!(before == scene.contents(), "{line}: {:?}", scene.sandbox.names());
    }
}

/// To the standard library a closed stream is /dev/null.
#[test]
fn fault_58() {
    let scene = Scene::new();
    let expected = expected(&scene);
    for closed in [">&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"] {
        for line in [
            "run -i x.npy -w w.npz -o y.npy",
            "run -i x.npy -w w.npz -o y.npy --hn -",
            "run -i x.npy -w w.npz -o y.npy --last /dev/stdout",
        ] {
            scene.sandbox.write("y.npy", OLD);
            let outcome = scene.succeeds(&format!("rnn {line} -q {closed}"));
            assert_eq!(outcome.stderr, "", "{line} {closed}");
            assert!(outcome.stdout.is_empty() || !closed.contains(">&-"), "{line} {closed}");
            assert_eq!(scene.sandbox.bytes("y.npy"), expected, "{line} {closed}");
        }
    }
    scene.succeeds("rnn run -i x.npy -w w.npz -o - >&-");
    scene.succeeds("rnn info x.npy >&-");
    scene.succeeds("rnn --help >&-");
    // A message that nobody can read is still a failure.
    let outcome = scene.sandbox.shell("rnn run -i none.npy -w w.npz 2>&-");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(66), ""));
}

/// A process of `rnn` in the folder of the scene.
fn rnn(scene: &Scene, line: &str) -> Command {
    let mut rnn = Command::new(env!("CARGO_BIN_EXE_rnn"));
    rnn.args(line.split(' ')).current_dir(scene.sandbox.path("")).stdin(Stdio::null());
    rnn.env_remove("RUST_BACKTRACE");
    rnn
}

/// Both ends of a new terminal: that of somebody who sits at it, and that of a process.
#[cfg(target_os = "linux")]
fn terminal() -> (std::os::fd::OwnedFd, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let seat = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&seat).unwrap();
    unlockpt(&seat).unwrap();
    let name = ptsname(&seat, Vec::new()).unwrap();
    let process = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (seat, process)
}

#[test]
#[cfg(target_os = "linux")]
fn fault_59() {
    let scene = Scene::new();
    scene.succeeds(
        "rnn init -q --input-size 3 --hidden 4 -o w/; rnn pack -q -i x.npy --lengths 5,3 -o p.npz",
    );
    let message = "rnn: stdout: expected a file or a pipe for binary data, got a terminal";
    for (line, hint) in [
        ("randn --shape 2 -o -", "randn --shape 2 -o x.npy"),
        ("run -i x.npy -w w.npz -o -", "run -i x.npy -w w.npz -o output.npy"),
        ("run -i x.npy -w w.npz --hn -", "run -i x.npy -w w.npz --hn h_n.npy"),
        ("run -i x.npy -w w.npz --last -", "run -i x.npy -w w.npz --last last.npy"),
        ("run -i x.npy -w w.npz --all-hidden -", "run -i x.npy -w w.npz --all-hidden all.npz"),
        ("init --input-size 1 --hidden 1 -o -", "init --input-size 1 --hidden 1 -o w.npz"),
        ("convert w.npz -", "convert w.npz w.npz"),
        ("pack -i x.npy --lengths 5,3 -o -", "pack -i x.npy --lengths 5,3 -o packed.npz"),
        ("unpack -i p.npz -o -", "unpack -i p.npz -o padded.npy"),
        ("unpack -i p.npz -o a.npy --lengths -", "unpack -i p.npz -o a.npy --lengths lengths.npy"),
        ("stream -w w.npz", "stream -w w.npz > outputs.npy"),
    ] {
        let (before, (_seat, process)) = (scene.contents(), terminal());
        let outcome = rnn(&scene, line).stdout(process).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8(outcome.stderr).unwrap();
        assert_eq!(stderr, format!("{message}\nhint: rnn {hint}\n"), "{line}");
        assert_eq!(outcome.status.code(), Some(2), "{line}");
        assert!(before == scene.contents(), "{line}");
    }
    // Text may go there.
    let (_seat, process) = terminal();
    assert!(rnn(&scene, "info x.npy").stdout(process).status().unwrap().success());
}

#[test]
#[cfg(target_os = "linux")]
fn fault_60() {
    let scene = Scene::new();
    for (line, message) in [
        ("run -w w.npz", "the following required arguments were not provided: --input <FILE>"),
        ("stream -w w.npz", "stdin: expected arrays from a file or a pipe, got a terminal"),
        ("info", "the following required arguments were not provided: <FILE>..."),
        ("pack -o p.npz", "the following required arguments were not provided: --input <FILE>"),
        (
            "unpack -o p.npy",
            "the following required arguments were not provided: --input <FILE.npz>",
        ),
        ("convert", "the following required arguments were not provided: <SRC> <DST>"),
        ("diff x.npy", "the following required arguments were not provided: <B>"),
    ] {
        let (before, (_seat, process)) = (scene.contents(), terminal());
        // What is typed is not waited for.
        let outcome = rnn(&scene, line).stdin(process).output().unwrap();
        let stderr = String::from_utf8(outcome.stderr).unwrap();
        let command = line.split(' ').next().unwrap();
        let hint = match command {
            "stream" => "rnn stream -w w.npz < inputs.npy > outputs.npy".to_owned(),
            _ => format!("rnn {command} --help"),
        };
        assert_eq!(stderr, format!("rnn: {message}\nhint: {hint}\n"), "{line}");
        assert_eq!((outcome.status.code(), outcome.stdout), (Some(2), vec![]), "{line}");
        assert!(before == scene.contents(), "{line}");
    }
}
