//! Failures of the commands, and the exit code of every error.

use std::io;
use std::process::ExitCode;

use elman::Error;

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
    let library = error.chain().find_map(|cause| cause.downcast_ref());
    match (own, library) {
        (Some(Reported(code)), _) => *code,
        (Some(Different), _) => ExitCode::from(1),
        (Some(Usage(_)), _) => ExitCode::from(2),
        (_, Some(error)) => ExitCode::from(library_code(error)),
        (Some(Data(_)), _) => ExitCode::from(65),
        _ if error.chain().any(<dyn std::error::Error>::is::<io::Error>) => ExitCode::from(74),
        // Any other failure is a bug.
        _ => ExitCode::from(70),
    }
}

fn library_code(error: &Error) -> u8 {
    match error {
        // The file may exist: the process has no room for another open file.
        Error::Open { source, .. } if is_too_many_files(source) => 71,
        Error::Open { .. } => 66,
        // No machine has so much memory.
        Error::OutOfMemory { bytes, .. } if isize::try_from(*bytes).is_err() => 65,
        Error::OutOfMemory { .. } => 71,
        Error::Create { source: Some(source), .. } if is_too_many_files(source) => 71,
        Error::Create { .. } => 73,
        // More than --max-bytes allows: a retry would not help.
        Error::Read { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => 65,
        Error::Read { .. } | Error::Write { .. } => 74,
        _ => 65,
    }
}

/// Whether this process, or the whole system, has reached its limit of open files.
fn is_too_many_files(error: &io::Error) -> bool {
    /// The same numbers on all Unix systems that Rust supports.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    cfg!(unix) && matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}
