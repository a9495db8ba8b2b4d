//! The error of everything that reads or writes files.

use std::io;

use crate::memory::OutOfMemory;

/// Why a file could not be read or written.
///
/// The text is one line without a full stop: the file, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// An input is absent, unreadable or a directory.
    #[error("{place}: {source}")]
    Open {
        /// The path, as it was given.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is malformed, unsupported, or not what it claims to be.
    #[error("{place}: {what}")]
    Malformed {
        /// The file, and the member where there is one.
        place: String,
        /// What was expected and what was found.
        what: String,
    },
    /// A number of a text that is finite there, and infinite in the type that it is to have.
    #[error("{place}: {at}: expected a number that {dtype} holds, got '{found}'")]
    Overflow {
        /// The file.
        place: String,
        /// The line and the column.
        at: String,
        /// The type.
        dtype: &'static str,
        /// The number, as it was written.
        found: String,
    },
    /// Arrays one behind the other where one was expected.
    #[error("{place}: expected one array, got more than one")]
    ManyArrays {
        /// The file.
        place: String,
    },
    /// Reading failed midway.
    #[error("{place}: {source}")]
    Read {
        /// The path, as it was given.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// An output cannot be created.
    #[error("{place}: cannot be written: {what}")]
    Create {
        /// The path, as it was given.
        place: String,
        /// What stands in the way.
        what: String,
        /// What the system said, where it was asked.
        source: Option<io::Error>,
    },
    /// Writing failed midway. A file or folder that stood there before still does; a pipe or a device
    /// has got what was written until then.
    #[error("{place}: {source}")]
    Write {
        /// The path, as it was given.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The machine refused memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl FileError {
    pub(super) fn malformed(place: &str, what: impl Into<String>) -> Self {
        FileError::Malformed { place: place.to_owned(), what: what.into() }
    }

    pub(super) fn reading(place: &str) -> impl Fn(io::Error) -> Self {
        move |source| FileError::Read { place: place.to_owned(), source }
    }
}
