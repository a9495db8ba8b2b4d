//! Failures of the commands, and the exit code of every error.

use std::io;
use std::process::ExitCode;

use elman::files::{FileError, is_too_many_files};
use elman::{CheckpointError, Error, OutOfMemory};

pub(crate) use Failure::{Bug, Data, Different, Reported, Usage};

/// A failure that the library does not know.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Wrong usage that clap cannot see.
    #[error("{0}")]
    Usage(String),
    /// Valid data that this command cannot use.
    #[error("{0}")]
    Data(String),
    /// The answer of `rnn diff` for tensors that differ. It has been printed, and is not an error.
    #[error("different")]
    Different,
    /// A promise that the program does not keep.
    #[error("{0}")]
    Bug(String),
    /// A failure that has been printed, with its exit code.
    #[error("reported")]
    Reported(ExitCode),
}

/// An error beside the command that the user can type next.
#[derive(Debug, thiserror::Error)]
#[error("{error:#}")]
pub(crate) struct Hinted {
    pub(crate) error: anyhow::Error,
    pub(crate) hint: String,
}

/// An error with a hint, if there is one. No context is added to an error after its hint.
pub(crate) fn with_hint(
    error: impl Into<anyhow::Error>,
    hint: impl Into<Option<String>>,
) -> anyhow::Error {
    let error = error.into();
    match hint.into() {
        Some(hint) => Hinted { error, hint }.into(),
        None => error,
    }
}

/// The exit code: it tells a scheduler which failures are worth a retry.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(Reported(code)) => *code,
        _ => ExitCode::from(code_number(error)),
    }
}

/// The exit code of a failure that has not been printed, as a number.
pub(crate) fn code_number(error: &anyhow::Error) -> u8 {
    let is_io = || error.chain().any(<dyn std::error::Error>::is::<io::Error>);
    // Any other failure is a bug.
    let other = || if is_io() { 74 } else { 70 };
    error.chain().find_map(code).unwrap_or_else(other)
}

/// The exit code of a failure of a command, or of one of the library's errors; `None` if it is none of them.
fn code(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(own) = error.downcast_ref() {
        return match own {
            Different => Some(1),
            Usage(_) => Some(2),
            Data(_) => Some(65),
            Reported(_) | Bug(_) => None,
        };
    }
    let file = error.downcast_ref().map(file_code);
    let code = file.or_else(|| error.downcast_ref().map(memory_code));
    code.or_else(|| match (error.downcast_ref(), error.downcast_ref()) {
        (Some(CheckpointError::File(error)), _) => Some(file_code(error)),
        (Some(CheckpointError::Layer(Error::OutOfMemory(error))), _)
        | (_, Some(Error::OutOfMemory(error))) => Some(memory_code(error)),
        (None, None) => None,
        _ => Some(65),
    })
}

fn file_code(error: &FileError) -> u8 {
    match error {
        // The file may exist: the process has no room for another open file.
        FileError::Open { source, .. } if is_too_many_files(source) => 71,
        FileError::Open { .. } => 66,
        FileError::OutOfMemory(error) => memory_code(error),
        FileError::Create { source: Some(source), .. } if is_too_many_files(source) => 71,
        FileError::Create { .. } => 73,
        // More than --max-bytes allows: a retry would not help.
        FileError::Read { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => 65,
        // A folder is opened to make a rename in it permanent.
        FileError::Write { source, .. } if is_too_many_files(source) => 71,
        FileError::Read { .. } | FileError::Write { .. } => 74,
        FileError::InUse { .. } => 75,
        _ => 65,
    }
}

fn memory_code(error: &OutOfMemory) -> u8 {
    // No machine has more memory than addresses.
    if isize::try_from(error.bytes).is_err() { 65 } else { 71 }
}
