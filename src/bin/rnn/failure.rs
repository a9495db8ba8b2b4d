//! Failures of the commands, and the exit code of every error.

use std::io;
use std::process::ExitCode;

use elman::files::FileError;
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
    let own = error.chain().find_map(|cause| cause.downcast_ref());
    let library = error.chain().find_map(library_code);
    match (own, library) {
        (Some(Reported(code)), _) => *code,
        (Some(Different), _) => ExitCode::from(1),
        (Some(Usage(_)), _) => ExitCode::from(2),
        (_, Some(code)) => ExitCode::from(code),
        (Some(Data(_)), _) => ExitCode::from(65),
        _ if error.chain().any(<dyn std::error::Error>::is::<io::Error>) => ExitCode::from(74),
        // Any other failure is a bug.
        _ => ExitCode::from(70),
    }
}

/// The exit code of one of the library's errors; `None` if it is none of them.
fn library_code(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(error) = error.downcast_ref() {
        return Some(file_code(error));
    }
    if let Some(error) = error.downcast_ref() {
        return Some(memory_code(error));
    }
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(CheckpointError::File(error)), _) => Some(file_code(error)),
        (Some(CheckpointError::Layer(Error::OutOfMemory(error))), _)
        | (_, Some(Error::OutOfMemory(error))) => Some(memory_code(error)),
        (None, None) => None,
        _ => Some(65),
    }
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
        FileError::Read { .. } | FileError::Write { .. } => 74,
        _ => 65,
    }
}

fn memory_code(error: &OutOfMemory) -> u8 {
    // No machine has more memory than addresses.
    if isize::try_from(error.bytes).is_err() { 65 } else { 71 }
}

/// Whether this process, or the whole system, has reached its limit of open files.
fn is_too_many_files(error: &io::Error) -> bool {
    /// The same numbers on all Unix systems that Rust supports.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    cfg!(unix) && matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}
