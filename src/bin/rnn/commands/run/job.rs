//! `job.json`: the job to which the outputs in a folder belong. Several processes may share a job.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;
use elman::files::{FileError, Overwrite, Sink, Source, read_text};
use serde_json::{Value, json};

use crate::explain::command_line::typed_flags;
use crate::explain::hint;
use crate::failure::with_hint;
use crate::pipeline::output_path::shown;

const NAME: &str = "job.json";

/// Flags that do not change the outputs, and those that are known by what they name.
const OTHER_FLAGS: [&str; 12] = [
    "--weights",
    "--output",
    "--shard",
    "--resume",
    "--pending",
    "--report",
    "--quiet",
    "--verbose",
    "--no-clobber",
    "--threads",
    "--kernel",
    "--max-bytes",
];

/// The job of this process, of weights with this fingerprint.
pub(super) fn of(fingerprint: u64) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "weights": format!("{fingerprint:016x}"),
        "flags": typed_flags(&OTHER_FLAGS),
    })
}

/// Creates the file of a job in a folder, or finds the same job there.
pub(super) fn claim(folder: &Path, job: &Value) -> Result<()> {
    let path = folder.join(NAME);
    if let Some(found) = saved(&path)? {
        return compared(&path, job, &found);
    }
    let mut sink = Sink::open(&path, Overwrite::Refuse)?;
    sink.write(|file| writeln!(file, "{job:#}"))?;
    match (sink.commit(), saved(&path)?) {
        // Another process has created it meanwhile.
        (Err(FileError::Create { .. }), Some(found)) => compared(&path, job, &found),
        (ended, _) => Ok(ended?),
    }
}

/// The text of the file, if there is one.
fn saved(path: &Path) -> Result<Option<String>> {
    match read_text(&Source::Path(path.to_owned())) {
        Err(FileError::Open { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        text => Ok(Some(text?)),
    }
}

/// Refuses a folder of another job.
fn compared(path: &Path, job: &Value, found: &str) -> Result<()> {
    let found: Value = serde_json::from_str(found).unwrap_or_default();
    let fields = ["version", "weights", "flags"];
    let Some(other) = fields.into_iter().find(|field| job[*field] != found[*field]) else {
        return Ok(());
    };
    let (expected, got) = (&job[other], &found[other]);
    let what = format!("the folder belongs to another job: expected {other} {expected}, got {got}");
    let error = FileError::Create { place: shown(path), what, source: None };
    Err(with_hint(error, hint::set("-o", "other/")))
}
