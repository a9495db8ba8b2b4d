//! Paths of outputs: their names in messages, and the formats that their extensions say.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::files::{Source, TensorFormat, is_standard_output, written_file};

use crate::explain::hint;
use crate::failure::{Usage, with_hint};

/// The name of an output, for messages and the report.
pub(crate) fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        return "stdout".to_owned();
    }
    // With control characters in quotes, and escaped, as an input is shown.
    Source::Path(path.to_owned()).to_string()
}

/// Whether two outputs would be one file, or both standard output.
pub(crate) fn is_same(path: &Path, other: &Path) -> bool {
    match (written_file(path), written_file(other)) {
        (Some(file), Some(other)) => file == other,
        _ => is_standard_output(path) && is_standard_output(other),
    }
}

/// The format of a tensor, which follows from its extension.
pub(crate) fn tensor_format(path: &Path, flag: &str) -> Result<TensorFormat> {
    let expected = ".npy, .csv, .tsv, .txt or - for a tensor";
    TensorFormat::of(path).ok_or_else(|| refused(path, expected, with_extension(path, flag, "npy")))
}

/// Refuses a tensor that the format of its file does not hold.
pub(crate) fn check_shape(path: &Path, (name, flag): (&str, &str), shape: &[usize]) -> Result<()> {
    if TensorFormat::of(path).is_none_or(|format| format.holds(shape)) {
        return Ok(());
    }
    let message = format!(
        "{}: {name}: expected rows and columns for a table, got shape {shape:?}",
        shown(path)
    );
    Err(with_hint(Usage(message), with_extension(path, flag, "npy")))
}

/// The command with another extension of an output.
pub(crate) fn with_extension(path: &Path, flag: &str, extension: &str) -> String {
    hint::set(flag, path.with_extension(extension).to_string_lossy())
}

/// Refuses an extension other than that of the format, .npy for a tensor and .npz for an archive.
pub(crate) fn check_extension(path: &Path, flag: &str, archive: bool) -> Result<()> {
    let (expected, what) = if archive { ("npz", "tensors") } else { ("npy", "a tensor") };
    if path.extension().is_none_or(|own| own.is_empty() || own == expected) {
        return Ok(());
    }
    let hint = with_extension(path, flag, expected);
    Err(refused(path, &format!(".{expected} or - for {what}"), hint))
}

/// The error of an extension that an output does not have.
pub(crate) fn refused(path: &Path, expected: &str, hint: String) -> anyhow::Error {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let message = format!("{}: expected {expected}, got .{extension}", shown(path));
    with_hint(Usage(message), hint)
}

pub(crate) fn refuse_terminal(hint: impl FnOnce() -> String) -> Result<()> {
    if !std::io::stdout().is_terminal() {
        return Ok(());
    }
    let message = "stdout: expected a file or a pipe for binary data, got a terminal".to_owned();
    Err(with_hint(Usage(message), hint()))
}

/// Appends the extension of a tensor or an archive, unless the path has one that is written as such.
pub(super) fn append_extension(path: &mut PathBuf, archive: bool) {
    let fits = if archive {
        path.extension().is_none_or(|own| own == "npz")
    } else {
        TensorFormat::of(path).is_some()
    };
    if !fits {
        path.as_mut_os_string().push(if archive { ".npz" } else { ".npy" });
    }
}
