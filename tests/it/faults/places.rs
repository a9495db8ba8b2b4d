//! Rows 84 to 87 and 91: how outputs take their places, and where temporary files are.

use std::fs;
#[cfg(target_os = "linux")]
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;

use super::{Scene, skipped};

/// The output of the layer for `x.npy`.
fn expected(scene: &Scene) -> Vec<u8> {
    scene.succeeds("rnn run -q -w w.npz -i x.npy -o -").stdout
}

/// Paths of descriptors, and their numbers in the shell that starts the command.
const DESCRIPTORS: [(&str, u32); 10] = [
    ("/dev/stdout", 1),
    ("/dev/fd/1", 1),
    ("/proc/self/fd/1", 1),
    ("/proc/thread-self/fd/1", 1),
    ("stdout", 1),
    ("/dev/stderr", 2),
    ("/dev/fd/7", 7),
    ("/proc/self/fd/7", 7),
    ("/proc/$$/fd/7", 7),
    ("seven", 7),
];

#[test]
fn fault_84() {
    let scene = Scene::new();
    let (expected, sandbox) = (expected(&scene), &scene.sandbox);
    let all = [b"OLD", &expected[..], b"END"].concat();
    scene.succeeds("ln -s /dev/stdout stdout; ln -s /dev/fd/7 seven");
    for (path, number) in DESCRIPTORS {
        let run = format!("rnn run -q -w w.npz -i x.npy -o {path}");
        // A log that is appended to, and a file that others write before and afterwards.
        for open in [">>", ">"] {
            let script = format!(
                "exec {number}{open}log; printf OLD >&{number}; {run}; printf END >&{number}"
            );
            scene.succeeds(&format!("rm -f log; {script}"));
            assert_eq!(sandbox.bytes("log"), all, "{script}");
        }
        // A file without a name.
        let gone = format!("exec 9>&1 8<> gone {number}>&8; rm gone; {run}; cat /dev/fd/8 >&9");
        assert_eq!(scene.succeeds(&gone).stdout, expected, "{path}");
        // It exists, and is not replaced.
        scene.succeeds(&format!("exec {number}> log; {run} --no-clobber"));
        assert_eq!(sandbox.bytes("log"), expected, "{path}");
    }
    scene.succeeds("rm log; test -L stdout -a -L seven");
    assert_eq!(sandbox.names(), ["seven", "stdout", "w.npz", "x.npy", "y.npy"]);

    for (line, code, what) in [
        (
            "-o /dev/fd/7 7< x.npy",
            73,
            "/dev/fd/7: cannot be written: Bad file descriptor (os error 9)",
        ),
        (
            "-o /dev/fd/7 7>&-",
            73,
            "/dev/fd/7: cannot be written: No such file or directory (os error 2)",
        ),
        (
            "-o - --hn /dev/stdout",
            2,
            "expected one tensor on stdout, got /dev/stdout for output and h_n",
        ),
    ] {
        scene.refuses(&format!("rnn run -w w.npz -i x.npy {line}"), code, &[what]);
    }
}

/// The report does not follow the data of an output that is standard output by another name.
#[test]
fn fault_84_beside_a_report() {
    let scene = Scene::new();
    scene.succeeds("rnn pack -q -i x.npy --lengths 5,3 -o packed.npz");
    for line in [
        "run -w w.npz -i x.npy -o",
        "run -w w.npz -i x.npy --hn",
        "run -w w.npz -i x.npy --all-hidden",
        "randn --shape 3 -o",
        "init --input-size 1 --hidden 1 -o",
        "convert w.npz",
        "pack -i x.npy --lengths 5,3 -o",
        "unpack -i packed.npz -o",
        "unpack -i packed.npz -o y2.npy --lengths",
    ] {
        let [named, other] = ["-", "/dev/fd/1"].map(|path| {
            let outcome = scene.succeeds(&format!("rnn {line} {path} | cat"));
            assert!(!outcome.stderr.is_empty(), "{line}");
            outcome.stdout
        });
        assert!(!named.is_empty() && named == other, "{line}");
        scene.succeeds(&format!("rnn {line} /dev/stdout > log"));
        assert_eq!(scene.sandbox.bytes("log"), named, "{line}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn fault_84_of_memory() {
    use std::os::fd::AsRawFd;

    use rustix::fs::{MemfdFlags, memfd_create};
    let scene = Scene::new();
    let expected = expected(&scene);
    // A process inherits it: it is not closed when another program starts.
    let mut memory = fs::File::from(memfd_create("output", MemfdFlags::empty()).unwrap());
    for folder in ["/dev/fd", "/proc/self/fd"] {
        memory.set_len(0).unwrap();
        memory.rewind().unwrap();
        let number = memory.as_raw_fd();
        scene.succeeds(&format!("rnn run -q -w w.npz -i x.npy -o {folder}/{number}"));
        memory.rewind().unwrap();
        let mut written = Vec::new();
        memory.read_to_end(&mut written).unwrap();
        assert_eq!(written, expected, "{folder}");
    }
}

#[test]
fn fault_85() {
    let scene = Scene::new();
    let mode = |name: &str| fs::metadata(scene.sandbox.path(name)).unwrap().mode() & 0o7777;
    scene.succeeds(
        "rnn init -q --input-size 3 --hidden 4 --no-bias -o p; chmod 2700 p; chmod 600 p/*",
    );
    scene.succeeds("umask 0; rnn init -q --input-size 3 --hidden 4 -o p");
    assert_eq!((mode("p"), mode("p/weight_ih_l0.npy"), mode("p/rnn.json")), (0o700, 0o600, 0o600));
    assert_eq!(mode("p/bias_ih_l0.npy"), 0o666);
    for (umask, folder, file) in [("027", 0o750, 0o640), ("077", 0o700, 0o600), ("0", 0o777, 0o666)]
    {
        let line = "rnn init -q --input-size 3 --hidden 4 -o";
        scene.succeeds(&format!("umask {umask}; rm -rf n n.npz; {line} n; {line} n.npz"));
        let found = (mode("n"), mode("n/rnn.json"), mode("n.npz"));
        assert_eq!(found, (folder, file, file), "{umask}");
    }
    for (before, after) in [("600", 0o600), ("6755", 0o755), ("4711", 0o711), ("444", 0o444)] {
        scene.succeeds(&format!(
            "umask 0; chmod {before} y.npy; rnn run -q -w w.npz -i x.npy -o y.npy --hn h.npy"
        ));
        assert_eq!((mode("y.npy"), mode("h.npy")), (after, 0o666), "{before}");
    }
    // Until it is complete, an output is its owner's alone.
    let outcome = scene.succeeds(
        "umask 0; mkfifo pipe; chmod 666 y.npy
        rnn run -q -w pipe -i x.npy -o y.npy & exec 7> pipe
        for i in $(seq 500); do test -e .rnn-*.tmp && break; sleep 0.01; done; stat -c %a .rnn-*.tmp
        cat w.npz >&7; exec 7>&-; wait
        rnn convert -q pipe p & exec 7> pipe
        for i in $(seq 500); do test -e .rnn-*.tmp && break; sleep 0.01; done; stat -c %a .rnn-*.tmp
        cat w.npz >&7; exec 7>&-; wait",
    );
    assert_eq!((outcome.stdout_text().as_str(), mode("y.npy")), ("600\n700\n", 0o666));
}

/// Nothing writes into the pipe: a command that reads before its outputs are known to be replaceable never ends.
fn refuses_before_reading(scene: &Scene, script: &str, place: &str, what: &str) {
    let says = format!("rnn: {place}: cannot be written: {what}\n");
    scene.refuses(script, 73, &[&says]);
}

#[test]
fn fault_85_of_mount_points() {
    if skipped(53) {
        return;
    }
    let scene = Scene::new();
    scene.succeeds("mkfifo pipe; rnn init -q --input-size 3 --hidden 4 -o w; cp -r w other");
    let what = "is a mount point, which cannot be replaced";
    for (mount, line, place) in [
        ("x.npy y.npy", "run -w pipe -i pipe -o y.npy", "y.npy"),
        ("x.npy y.npy", "run -w pipe -i pipe -o new.npy --hn y.npy", "y.npy"),
        ("other w", "convert pipe w", "w"),
        ("x.npy w/rnn.json", "convert pipe w", "w"),
    ] {
        let script = format!("unshare -rm sh -c 'mount --bind {mount} && timeout 5 rnn {line}'");
        let inside = if mount.ends_with("json") { "w/rnn.json " } else { "" };
        refuses_before_reading(&scene, &script, place, &format!("{inside}{what}"));
    }
}

#[test]
fn fault_85_of_another_user() {
    // The same rights as for row 3.
    if skipped(3) || fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let scene = Scene::new();
    scene.succeeds(
        "chmod 777 .; mkdir bin sticky; cp $(command -v rnn) bin; cp -r y.npy sticky; mkfifo pipe
        rnn init -q --input-size 3 --hidden 4 -o sticky/w; chmod -R go+rX bin sticky; chmod 1777 sticky",
    );
    let user = "timeout 5 setpriv --reuid 65534 --clear-groups bin/rnn";
    let what = "belongs to another user, in a sticky folder";
    for (line, place) in [
        ("run -w pipe -i pipe -o sticky/y.npy", "sticky/y.npy"),
        ("run -w pipe -i pipe -o sticky/new.npy --hn sticky/y.npy", "sticky/y.npy"),
        ("convert pipe sticky/w", "sticky/w"),
    ] {
        let script = format!("{user} {line}");
        let before = fs::read(scene.sandbox.path("sticky/y.npy")).unwrap();
        let outcome = scene.sandbox.shell(&script);
        outcome.fails(73, &format!("rnn: {place}: cannot be written: {what}\n"));
        assert_eq!(fs::read(scene.sandbox.path("sticky/y.npy")).unwrap(), before);
        assert_eq!(fs::read_dir(scene.sandbox.path("sticky")).unwrap().count(), 2);
    }
    // The old files of a folder that may not be changed are removed all the same.
    scene.succeeds(&format!(
        "set -e; {user} init -q --input-size 3 --hidden 4 -o v; chmod 500 v
        {user} init -q --input-size 3 --hidden 5 -o v; test $(stat -c %a v) = 500
        test $(ls -d .rnn-*.tmp 2> /dev/null | wc -l) = 0"
    ));
    // Root may, and so may the owner of the file or of the folder.
    scene.succeeds("rnn run -q -w w.npz -i x.npy -o sticky/y.npy");
    for owned in ["sticky/y.npy", "sticky"] {
        let script = format!("chown 0 sticky sticky/y.npy; chown 65534 {owned}; chmod go+r *.np*");
        scene.succeeds(&format!("{script}; {user} run -q -w w.npz -i x.npy -o sticky/y.npy"));
    }
}

#[test]
fn fault_85_of_immutable_files() {
    let scene = Scene::new();
    scene.succeeds(
        "mkfifo pipe; rnn init -q --input-size 3 --hidden 4 -o w; mkdir log; cp y.npy log",
    );
    if scene.sandbox.shell("chattr +i y.npy && chattr -i y.npy").code != Some(0) {
        eprintln!("row 85, files that cannot be changed, is skipped: chattr is not permitted here");
        return;
    }
    for (attribute, file, line, place, what) in [
        ("i", "y.npy", "run -w pipe -i pipe -o y.npy", "y.npy", "is immutable"),
        ("i", "y.npy", "run -w pipe -i pipe -o new.npy --hn y.npy", "y.npy", "is immutable"),
        ("a", "y.npy", "run -w pipe -i pipe -o y.npy", "y.npy", "can only be appended to"),
        ("i", "w/rnn.json", "convert pipe w", "w", "w/rnn.json is immutable"),
        ("i", "w", "convert pipe w", "w", "is immutable"),
        (
            "a",
            "log",
            "run -w pipe -i pipe -o log/y.npy",
            "log/y.npy",
            "is in a folder that can only be appended to",
        ),
    ] {
        let script = format!(
            "chattr +{attribute} {file}; timeout 5 rnn {line}; code=$?; chattr -{attribute} {file}; exit $code"
        );
        refuses_before_reading(&scene, &script, place, what);
    }
}

/// The path of an output becomes that of a folder while the command runs.
#[test]
fn fault_86() {
    let scene = Scene::new();
    scene.succeeds("mkfifo pipe");
    for (line, folder, outputs) in [
        ("run -w w.npz -i pipe -o y.npy --hn h.npy", "h.npy", 2),
        ("run -w w.npz -i pipe -o y.npy --hn h.npy", "y.npy", 2),
        ("run -w w.npz -i pipe -o new.npy --hn y.npy --last l.npy", "l.npy", 3),
        ("run -w w.npz -i pipe -o new.npy --hn y.npy --last l.npy", "new.npy", 3),
        ("run -w w.npz -i pipe -o y.npy --all-hidden a.npz --seed 1 --rng s.npy", "s.npy", 3),
    ] {
        let before = scene.contents();
        let outcome = scene.sandbox.shell(&format!(
            "timeout 10 rnn {line} & exec 7> pipe
            for i in $(seq 500); do test $(ls -d .rnn-*.tmp 2> /dev/null | wc -l) = {outputs} && break; sleep 0.01; done
            test -e {folder} && mv {folder} old; mkdir {folder}; echo precious > {folder}/notes
            cat x.npy >&7; exec 7>&-; wait $!; code=$?
            cat {folder}/notes; rm {folder}/notes; rmdir {folder}; test -e old && mv old {folder}; exit $code"
        ));
        assert!(matches!(outcome.code, Some(73 | 74)), "{line}: {outcome:?}");
        let message = &outcome.stderr;
        assert!(message.starts_with(&format!("rnn: {folder}: ")), "{line}: {message}");
        assert_eq!(outcome.stdout_text(), "precious\n", "{line}");
        assert!(scene.contents() == before, "{line}: {:?}", scene.sandbox.names());
    }
}

/// From the first rename on, or from the second one, and so on, all of them fail.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "nothing can be told to fail in a release")]
fn fault_86_at_every_rename() {
    let scene = Scene::new();
    scene.succeeds("rnn pack -q -i x.npy --lengths 5,3 -o packed.npz");
    let mut failures = 0;
    for line in [
        "run -w w.npz -i x.npy -o y.npy --hn h.npy --last l.npy --all-hidden a.npz --seed 1 --rng r.npy",
        "randn --shape 3 --seed 1 -o y.npy --rng r.npy",
        "init --input-size 1 --hidden 1 --seed 1 -o w --rng r.npy",
        "unpack -i packed.npz -o y.npy --lengths h.npy",
    ] {
        // Without the outputs at first, then with all of them.
        for _ in 0..2 {
            let before = tree(&scene);
            for first in 1.. {
                let script = format!("RNN_FAULTS='rename {first} 999 5' rnn {line} -q");
                let outcome = scene.sandbox.shell(&script);
                if outcome.code == Some(0) {
                    break;
                }
                assert_eq!(outcome.code, Some(74), "{script}: {outcome:?}");
                assert!(tree(&scene) == before, "{script}");
                failures += 1;
            }
        }
    }
    assert!(failures >= 2 * (5 + 2 + 2 + 2), "{failures}");
}

/// All files with their inodes, which show that an old file has been put back.
fn tree(scene: &Scene) -> String {
    scene.succeeds("find . -printf '%p %i %m %s\\n' | sort").stdout_text()
}

#[test]
fn fault_87() {
    let scene = Scene::new();
    scene.succeeds("mkdir w.d .rnn-backup.tmp; echo precious > .rnn-backup.tmp/notes; mkfifo pipe");
    let names = [
        ".rnn-abcdef.tmp",
        ".rnn-ABCDEF.tmp",
        ".rnn-0123456789abcdef.tmp",
        ".rnn-.tmp",
        ".rnn-old.npy",
        ".rnn-12345678.tmp",
    ];
    for name in names {
        scene.sandbox.write(name, b"precious");
    }
    for line in [
        "run -q -w w.npz -i x.npy -o y.npy",
        "init -q --input-size 3 --hidden 4 -o v.npz",
        "convert -q w.npz folder",
        "randn -q --shape 2 -o y.npy --seed 1 --rng r.npy",
        "stream -q -w w.npz --state s.npz < x.npy > y.npy",
    ] {
        scene.succeeds(&format!("rnn {line}"));
        assert_eq!(scene.sandbox.bytes(".rnn-backup.tmp/notes"), b"precious\n", "{line}");
        for name in names {
            assert_eq!(scene.sandbox.bytes(name), b"precious", "{line}: {name}");
        }
    }
    // Those of a killed process are removed by the next one, files and folders.
    let outcome = scene.succeeds(
        "leftovers() { ls -A | grep -cE '^.rnn-[0-9a-f]{16}.tmp$'; }; leftovers
        for line in 'run -w pipe -i x.npy -o z.npy' 'convert pipe z'; do
        rnn $line & exec 7> pipe
        for i in $(seq 500); do test $(leftovers) = 2 && break; sleep 0.01; done; kill -9 $!; wait $!; exec 7>&-
        rnn run -q -w w.npz -i x.npy -o y.npy; leftovers; done 2> /dev/null",
    );
    // One of the foreign names has the form, and not the checksum.
    assert_eq!(outcome.stdout_text(), "1\n1\n1\n");
}

#[test]
fn fault_91() {
    let scene = Scene::new();
    let read = |weights: &str| format!("cat {weights} | TMPDIR=$tmp timeout 5 rnn");
    let says = |folder: &str, what: &str| {
        format!("rnn: {folder}, the folder for temporary files: {what}\n")
    };
    for (folder, what) in [
        ("/nonexistent", "cannot be written: No such file or directory (os error 2)"),
        ("x.npy", "cannot be written: Not a directory (os error 20)"),
        ("/proc/self/fd", "cannot be written: "),
    ] {
        for line in ["info -", "run -w - -i x.npy -o y.npy", "diff - w.npz", "convert - y.npz"] {
            let script = format!("tmp={folder}; {} {line}", read("w.npz"));
            let says = says(folder, what);
            scene.refuses(&script, 73, &[says.trim_end_matches(": \n")]);
        }
    }
    let script =
        format!("tmp=.; head -c 100000 /dev/zero >> w.npz; ulimit -f 8; {} info -", read("w.npz"));
    scene.sandbox.shell(&script).fails(74, &says(".", "File too large (os error 27)"));
}

#[test]
fn fault_91_on_a_full_disk() {
    if skipped(53) {
        return;
    }
    let scene = Scene::new();
    scene.succeeds("mkdir disk; rnn init -q --input-size 300 --hidden 100 -o w.npz");
    let what = "rnn: disk, the folder for temporary files: No space left on device (os error 28)\n";
    let mount = "mount -t tmpfs -o size=16k none disk";
    let script =
        format!("unshare -rm sh -c '{mount}; cat w.npz | TMPDIR=disk timeout 5 rnn info -'");
    scene.refuses(&script, 74, &[what]);
    let script = script.replace("size=16k", "size=16k,ro");
    let what = "rnn: disk, the folder for temporary files: cannot be written: Read-only file system (os error 30)\n";
    scene.refuses(&script, 73, &[what]);
}
