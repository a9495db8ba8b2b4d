//! The outputs of a command take their places together.

use super::replace::{Replacement, put_in_place};
use super::{Folder, Sink};
use crate::files::error::FileError;

/// A complete output that is not in its place yet.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Pending {
    File(Sink),
    Folder(Folder),
}

/// Moves outputs to their paths. At any time each path holds its old content or the whole new one.
///
/// # Errors
/// [`FileError::Write`], and [`FileError::Create`] if this would remove something else than the old output: it is kept.
/// All paths hold their old content, unless the error is that of making the new one permanent.
pub fn commit_all(outputs: impl IntoIterator<Item = Pending>) -> Result<(), FileError> {
    let outputs = outputs.into_iter().filter_map(Pending::into_replacement);
    put_in_place(outputs.collect::<Result<_, _>>()?)
}

impl Pending {
    /// `None` if it has been written in place.
    fn into_replacement(self) -> Option<Result<Replacement, FileError>> {
        match self {
            Pending::File(sink) => sink.into_replacement(),
            Pending::Folder(folder) => Some(folder.into_replacement()),
        }
    }
}

impl From<Sink> for Pending {
    fn from(sink: Sink) -> Self {
        Pending::File(sink)
    }
}

impl From<Folder> for Pending {
    fn from(folder: Folder) -> Self {
        Pending::Folder(folder)
    }
}
