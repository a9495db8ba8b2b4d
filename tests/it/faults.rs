//! What bad input and a failing machine may not do: a matrix of faults, and a test for each of its rows.
//!
//! Every row asks for the same things: the exit code, the words of the message, nothing on standard output,
//! outputs that hold what they held before, no file left behind, a second of the processor at the most, and
//! memory for what is there and 64 MiB. A limit of the system stands behind the last two, so that a process
//! that asks for more ends in another way than it should.
#![allow(clippy::print_stderr, reason = "which rows are skipped, and why")]

mod archives;
mod budget;
mod failing;
mod headers;
mod inputs;
mod machine;
mod outputs;
mod paths;
mod places;
mod processes;
mod weights;

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Outcome, Sandbox};

/// The first row of the matrix and the last.
const ROWS: std::ops::RangeInclusive<u32> = 1..=96;

/// Rows that ask for rights or tools which not every machine has.
const SKIPPABLE: [u32; 5] = [3, 53, 66, 76, 90];

/// Rows of features that do not exist.
const WAITING: &[u32] = &[75];

/// What stands in every output before a command goes wrong.
const OLD: &[u8] = b"what stood here before";

/// A folder with a layer in `w.npz`, RNN(3, 4), its input in `x.npy`, (5, 2, 3), and an old output in
/// `y.npy`.
pub(super) struct Scene {
    pub(super) sandbox: Sandbox,
}

/// What a process may use.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Seconds of the processor.
    pub(super) seconds: u32,
    /// Address space beyond the bytes of the files in the folder, in KiB.
    pub(super) memory: u64,
}

/// Of a promise that every input file keeps.
pub(super) const LIMITS: Limits = Limits { seconds: 1, memory: 64 << 10 };

impl Scene {
    pub(super) fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.rnn("init --input-size 3 --hidden 4 -o w.npz -q").succeeds();
        sandbox.rnn("randn --shape 5,2,3 -o x.npy -q").succeeds();
        sandbox.write("y.npy", OLD);
        Scene { sandbox }
    }

    /// An input with these bytes is refused with code 65 and these words, as a file and through a pipe.
    #[track_caller]
    pub(super) fn refuses_input(&self, bytes: &[u8], says: &[&str]) {
        self.sandbox.write("bad.npy", bytes);
        self.refuses("rnn run -w w.npz -i bad.npy -o y.npy", 65, says);
        self.refuses("cat bad.npy | rnn run -w w.npz -i - -o y.npy", 65, says);
    }

    /// An input with these bytes is refused with exactly this behind its name, as a file and through a pipe.
    #[track_caller]
    pub(super) fn refuses_as(&self, bytes: &[u8], what: &str) {
        self.refuses_input(bytes, &[&format!(": {what}\n")]);
    }

    /// Weights with these bytes are refused with code 65 and these words.
    #[track_caller]
    pub(super) fn refuses_weights(&self, bytes: &[u8], says: &[&str]) {
        self.sandbox.write("bad", bytes);
        self.refuses("rnn run -w bad -i x.npy -o y.npy", 65, says);
    }

    /// A script is refused with this code and these words, within the usual limits.
    #[track_caller]
    pub(super) fn refuses(&self, script: &str, code: i32, says: &[&str]) {
        self.refuses_within(LIMITS, script, code, says);
    }

    /// A script is refused with this code and these words: nothing else has happened.
    #[track_caller]
    pub(super) fn refuses_within(&self, limits: Limits, script: &str, code: i32, says: &[&str]) {
        let before = self.contents();
        let outcome = self.sandbox.shell(&self.limited(limits, script));
        let message = &outcome.stderr;
        for words in says {
            assert!(message.contains(words), "{script}\nexpected: {words}\ngot: {message}");
        }
        let mut lines = message.lines();
        assert!(lines.next().is_some_and(|line| line.starts_with("rnn: ")), "{script}\n{message}");
        assert!(lines.all(|line| line.starts_with("hint: ")), "{script}\n{message}");
        assert_eq!((outcome.code, outcome.stdout_text().as_str()), (Some(code), ""), "{script}");
        assert!(before == self.contents(), "{script}: {:?}", self.sandbox.names());
    }

    /// A script does what it should, within the usual limits, whatever it prints.
    #[track_caller]
    pub(super) fn succeeds(&self, script: &str) -> Outcome {
        let outcome = self.sandbox.shell(&self.limited(LIMITS, script));
        assert_eq!(outcome.code, Some(0), "{script}\n{}", outcome.stderr);
        outcome
    }

    /// The script behind limits of the system.
    fn limited(&self, limits: Limits, script: &str) -> String {
        let seconds = limits.seconds;
        // An address sanitizer reserves terabytes of addresses.
        if std::env::var_os("ASAN_OPTIONS").is_some() {
            return script.to_owned();
        }
        let files: u64 = self.contents().values().map(|bytes| bytes.len() as u64).sum();
        format!(
            "set -o pipefail; ulimit -t {seconds} -v {}; {script}",
            limits.memory + (files >> 10)
        )
    }

    /// Everything in the folder, by name; nothing for what is no regular file.
    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.sandbox.names();
        let read = |name: String| {
            let path = self.sandbox.path(&name);
            let bytes =
                if path.is_file() { std::fs::read(path).unwrap_or_default() } else { vec![] };
            (name, bytes)
        };
        names.into_iter().map(read).collect()
    }
}

/// Why a row cannot be tested on this machine.
fn missing(row: u32) -> Option<&'static str> {
    let works = |script: &str| Sandbox::new().shell(script).code == Some(0);
    match row {
        3 if !works("setpriv --reuid 65534 --clear-groups true || test $(id -u) != 0") => {
            Some("root reads everything, and setpriv (util-linux) cannot become another user here")
        }
        53 if !works("unshare -rm mount -t tmpfs none /mnt") => {
            Some("unshare (util-linux) cannot mount a file system here")
        }
        66 if !works("setpriv --reuid 65534 --clear-groups true || test $(id -u) != 0") => Some(
            "root may have any number of processes, and setpriv cannot become another user here",
        ),
        90 if !works("unshare -r -p -f true") => {
            Some("unshare (util-linux) cannot make a process the first of a container here")
        }
        76 if std::env::var_os(machine::ANOTHER_RNN).is_none() => Some(
            "RNN_OF_ANOTHER_MACHINE does not name a binary for a big-endian or a 32-bit machine",
        ),
        _ => None,
    }
}

/// Whether a row is skipped, with the reason on standard error.
fn skipped(row: u32) -> bool {
    let reason = missing(row);
    if let Some(reason) = reason {
        eprintln!("row {row} is skipped: {reason}");
    }
    reason.is_some()
}

#[test]
fn every_row_has_its_test_and_few_may_be_skipped() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let source: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let untested = |row: &u32| !source.contains(&format!("\nfn fault_{row:02}"));
    assert_eq!(ROWS.filter(untested).collect::<Vec<_>>(), WAITING);
    let skipped: Vec<_> = ROWS.filter(|&row| skipped(row)).collect();
    assert!(skipped.iter().all(|row| SKIPPABLE.contains(row)), "{skipped:?}");
    eprintln!("{} rows are skipped", skipped.len());
}
