//! A folder for each test, runs of the binary in it, and readers of its outputs.

pub(crate) mod bytes;

use std::fs;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use elman::Element;
use elman::files::{Accepts, AnyArray, File, Overwrite, Sink, Source, open, write_npz};
use ndarray::{Array1, ArrayD, ArrayViewD};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

/// A folder of the test's own, removed when the test ends.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// The output and the end of a process.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    command: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Sandbox { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `rnn` with the words of `line`, in this folder, with nothing on standard input.
    pub(crate) fn rnn(&self, line: &str) -> Outcome {
        self.rnn_with(&line.split_whitespace().collect::<Vec<_>>(), &[])
    }

    /// Runs `rnn` with these words, and these bytes on standard input.
    pub(crate) fn rnn_with(&self, words: &[&str], stdin: &[u8]) -> Outcome {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_rnn")));
        command.args(words);
        finish(command, stdin, format!("rnn {}", words.join(" ")))
    }

    /// Runs a shell script in this folder, with `rnn` as the binary under test.
    pub(crate) fn shell(&self, script: &str) -> Outcome {
        let mut command = self.command(Path::new("bash"));
        let folder = Path::new(env!("CARGO_BIN_EXE_rnn")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", folder.display()));
        // An address sanitizer reserves terabytes of addresses, and fails under an address limit.
        let unlimited = "ulimit() { test $1 = -v || builtin ulimit \"$@\"; }; ";
        let unlimited = std::env::var_os("ASAN_OPTIONS").map_or("", |_| unlimited);
        command.args(["-c", &format!("{unlimited}{script}")]);
        finish(command, &[], script.to_owned())
    }

    /// A process in this folder, with no variable that would change the number of threads.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        command.env_remove("RAYON_NUM_THREADS").env_remove("OMP_NUM_THREADS");
        command.env_remove("RUST_BACKTRACE");
        command
    }

    /// Names of everything in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Copies a file or a folder of the fixtures here, under its own name.
    pub(crate) fn take(&self, fixture: &str) {
        let from = fixture_path(fixture);
        fs::copy(&from, self.path(from.file_name().unwrap().to_str().unwrap())).unwrap();
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Saves an array as .npy.
    pub(crate) fn save<T: Element>(&self, name: &str, array: &ArrayViewD<'_, T>) {
        let mut file = fs::File::create(self.path(name)).unwrap();
        elman::files::write_npy(&mut file, array).unwrap();
    }

    /// Saves arrays as an .npz under these names.
    pub(crate) fn save_npz(&self, name: &str, members: &[(&str, &dyn AnyArray)]) {
        let mut sink = Sink::open(&self.path(name), Overwrite::Replace).unwrap();
        write_npz(&mut sink, members, "").unwrap();
        sink.commit().unwrap();
    }

    /// Names of the members of an .npz, in their order.
    pub(crate) fn members(&self, name: &str) -> Vec<String> {
        let source = Source::parse(self.path(name).as_os_str());
        let File::Bundle(bundle) = open(&source, Accepts::Tensors).unwrap() else {
            panic!("{name}: one tensor")
        };
        bundle.entries().iter().map(|entry| entry.name.clone()).collect()
    }

    /// Loads a .npy file of this folder.
    pub(crate) fn load<T: Element>(&self, name: &str) -> ArrayD<T> {
        load(&self.path(name))
    }
}

impl Outcome {
    /// Fails the test unless the process succeeded and printed no error.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.command);
        self
    }

    /// Fails the test unless the process succeeded and said nothing but what it assumed.
    #[track_caller]
    pub(crate) fn assumes(self) -> Self {
        let is_said = |line: &str| {
            line.starts_with("note: ")
                && (line.ends_with(" assumed") || line.contains(": the output is the hidden state"))
        };
        let lines = self.stderr.lines();
        assert!(lines.clone().count() > 0 && lines.clone().all(is_said), "{self:?}");
        assert_eq!(self.code, Some(0), "{}", self.command);
        self
    }

    /// Fails the test unless the process printed nothing on stdout, exactly this on stderr, and ended
    /// with this code.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, stderr: &str) {
        assert_eq!(self.stderr, stderr, "{}", self.command);
        assert_eq!((self.code, self.stdout_text().as_str()), (Some(code), ""), "{}", self.command);
    }

    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }
}

/// The signals that ask a process to end, without those that this process ignores from its start (SIGHUP after
/// `nohup`, SIGINT after a script's `&`): its child processes ignore them too.
pub(crate) fn signals() -> Vec<(i32, &'static str)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let all = [(2, "INT"), (15, "TERM"), (1, "HUP")];
    all.into_iter().filter(|(number, _)| ignored >> (number - 1) & 1 == 0).collect()
}

/// Integers as NumPy's int64.
pub(crate) fn integers(numbers: &[i64]) -> ArrayD<i64> {
    Array1::from(numbers.to_vec()).into_dyn()
}

/// An array as .npy.
pub(crate) fn npy(array: &dyn AnyArray) -> Vec<u8> {
    let mut bytes = Vec::new();
    array.write(&mut bytes).unwrap();
    bytes
}

fn finish(mut command: Command, stdin: &[u8], line: String) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A process may end before it has read its input.
        scope.spawn(move || input.write_all(stdin));
        child.wait_with_output().unwrap()
    });
    Outcome {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
        command: line,
    }
}

/// The path of a file in `fixtures/`.
pub(crate) fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// Loads `FILE.npy` or `FILE.npz:member` of the fixtures.
pub(crate) fn fixture<T: Element>(name: &str) -> ArrayD<T> {
    load(&fixture_path(name))
}

fn load<T: Element>(path: &Path) -> ArrayD<T> {
    let file = open(&Source::parse(path.as_os_str()), Accepts::Tensor).unwrap();
    file.into_tensor().unwrap().read().unwrap()
}

/// The largest absolute difference of two arrays of one shape; NaN counts as infinity.
#[track_caller]
pub(crate) fn largest_difference<T: Element>(left: &ArrayD<T>, right: &ArrayD<T>) -> f64 {
    assert_eq!(left.shape(), right.shape());
    let differences = left.iter().zip(right).map(|(&l, &r)| (l.into() - r.into()).abs());
    differences.fold(0.0, |most: f64, d| if d.is_nan() { f64::INFINITY } else { most.max(d) })
}

/// A text report without the words that depend on the machine: kernel, threads and seconds.
pub(crate) fn without_measured(report: &str) -> String {
    let lines = report.split('\n').map(|line| match line.split_once(", kernel ") {
        Some((mode, _)) => format!("{mode}, kernel K, T threads, S s"),
        None => match line.split_once(" steps, ") {
            Some((arrays, _)) => format!("{arrays} steps, S s"),
            None => line.to_owned(),
        },
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A section of `cases.json`, such as `/torch_tests/T1`.
pub(crate) fn cases<T: DeserializeOwned>(section: &str) -> T {
    let file = fs::File::open(fixture_path("cases.json")).unwrap();
    let cases: Value = serde_json::from_reader(BufReader::new(file)).unwrap();
    serde_json::from_value(cases.pointer(section).unwrap().clone()).unwrap()
}

/// The file of `--rng` for a generator in this state of the fixtures.
pub(crate) fn state_file(name: &str) -> Vec<u8> {
    // f32 represents every byte exactly.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
    let state = fixture::<f32>(name).mapv(|byte| byte as u8);
    let mut file = Vec::new();
    elman::files::write_npy(&mut file, &state.view()).unwrap();
    file
}
