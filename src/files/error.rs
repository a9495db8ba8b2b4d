//! The error of everything that reads or writes files.

use std::io;

use crate::files::budget::OverBudget;
use crate::memory::OutOfMemory;

/// The error of reading or writing a file.
///
/// The text is one line without a full stop. `place` is the path as it was given, with the member of an archive;
/// `what` says what was expected and what was found; `source` is the error of the system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are those that are explained above")]
pub enum FileError {
    /// An input is absent, unreadable or a directory.
    #[error("{place}: {source}")]
    Open { place: String, source: io::Error },
    /// A file that is malformed, unsupported, or of another format than expected.
    #[error("{place}: {what}")]
    Malformed { place: String, what: String },
    /// A table that can be read with other options.
    #[error("{place}: {what}")]
    Table { place: String, what: String, remedy: Remedy },
    /// A file of another program's format.
    #[error("{place}: expected {expected}, got what looks like {format}")]
    Foreign { place: String, expected: &'static str, format: &'static str },
    /// A number of a text that is finite, and too large for the type of the result. `at` is its line and column.
    #[error("{place}: {at}: expected a number that {dtype} holds, got '{found}'")]
    Overflow { place: String, at: String, dtype: &'static str, found: String },
    /// Several concatenated arrays, and one was expected.
    #[error("{place}: expected one array, got more than one")]
    ManyArrays { place: String },
    /// Reading failed midway.
    #[error("{place}: {source}")]
    Read { place: String, source: io::Error },
    /// An output cannot be created. There is a `source` if the system refused.
    #[error("{place}: cannot be written: {what}")]
    Create { place: String, what: String, source: Option<io::Error> },
    /// Writing failed midway. A file or folder that existed before is unchanged; a pipe or a device has received
    /// the bytes before the error.
    #[error("{place}: {source}")]
    Write { place: String, source: io::Error },
    /// A file that another process is changing. `holder` is that process, in words.
    #[error("{place}: in use by {holder}; try again")]
    InUse { place: String, holder: String },
    /// The system refused memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

/// Other options that would read a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// These columns.
    Columns(Vec<String>),
    /// Missing values as NaN.
    MissingAsNan,
    /// The meaning of the first line; `numbers` if it can be numbers.
    FirstLine {
        /// Whether all cells of the line are numbers or missing values.
        numbers: bool,
    },
}

impl FileError {
    pub(super) fn malformed(place: &str, what: impl Into<String>) -> Self {
        FileError::Malformed { place: place.to_owned(), what: what.into() }
    }

    /// The error of a file whose contents need more memory than its budget.
    pub(super) fn over(place: &str) -> impl Fn(OverBudget) -> Self {
        move |over| FileError::malformed(place, over)
    }

    /// The error of an output that this program refuses to create.
    pub(super) fn refused(place: &str, what: impl Into<String>) -> Self {
        FileError::Create { place: place.to_owned(), what: what.into(), source: None }
    }

    /// The error of an output that the system refuses to create.
    pub(super) fn creating(place: &str) -> impl Fn(io::Error) -> Self {
        move |error| FileError::Create {
            place: place.to_owned(),
            what: error.to_string(),
            source: error.raw_os_error().map(io::Error::from_raw_os_error),
        }
    }

    pub(super) fn opening(place: &str) -> impl Fn(io::Error) -> Self {
        move |source| FileError::Open { place: place.to_owned(), source }
    }

    pub(super) fn reading(place: &str) -> impl Fn(io::Error) -> Self {
        move |source| FileError::Read { place: place.to_owned(), source }
    }

    /// The error of an output, or of the input that is read while the output is written.
    pub(super) fn writing(place: &str) -> impl Fn(io::Error) -> Self {
        move |source| match source.downcast() {
            Ok(error) => error,
            Err(source) => FileError::Write { place: place.to_owned(), source },
        }
    }
}

/// Whether this process, or the whole system, has reached its limit of open files: ENFILE and EMFILE, which are the
/// same numbers on all Unix systems that Rust supports.
pub fn is_too_many_files(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}
