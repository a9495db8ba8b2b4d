//! Where results go. A file or folder is written beside its target and renamed when it is complete, so
//! that a path holds either what it held before or the whole new content, whatever happens between.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::handle::{Handle, rename, sync_folder, write_buffered, write_whole};
use super::show;
use super::temporary::{Remembered, folder_of, refused, resolve, temporary_file};
use super::waiting::{StandardOutput, standard_output};
use crate::files::error::FileError;

/// What happens to a target that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It is replaced.
    Replace,
    /// It is an error.
    Refuse,
}

/// An output that has been found writable.
///
/// ```
/// use elman::files::{Overwrite, Sink, write_npy};
/// use ndarray::ArrayD;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("output.npy");
/// std::fs::write(&path, "old")?;
/// let mut sink = Sink::open(&path, Overwrite::Replace)?;
/// sink.write(|file| write_npy(file, &ArrayD::<f32>::zeros(vec![5, 3, 20]).view()))?;
/// assert_eq!(std::fs::read(&path)?, b"old");
/// sink.commit()?;
/// assert_eq!(std::fs::metadata(&path)?.len(), 128 + 5 * 3 * 20 * 4);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sink {
    pub(super) place: String,
    pub(super) target: Target,
}

#[derive(Debug)]
pub(super) enum Target {
    /// A regular file: written beside it, then renamed.
    Replace {
        temporary: NamedTempFile<Handle>,
        path: PathBuf,
        overwrite: Overwrite,
        remembered: Remembered,
    },
    /// A pipe, a device: written as it is.
    Direct(Handle),
    Stdout(StandardOutput),
}

impl Target {
    /// What is written to, without a buffer.
    pub(super) fn direct(&mut self) -> Box<dyn Write + '_> {
        match self {
            Target::Replace { temporary, .. } => Box::new(temporary.as_file_mut()),
            Target::Direct(file) => Box::new(file),
            Target::Stdout(stdout) => Box::new(stdout),
        }
    }

    /// Ends what was written without a buffer.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Target::Replace { temporary, .. } => temporary.as_file().sync_all(),
            other => other.direct().flush(),
        }
    }
}

impl Sink {
    /// Checks that `path` can be written. `-` is standard output.
    pub fn open(path: &Path, overwrite: Overwrite) -> Result<Self, FileError> {
        let place = show(path);
        let create = |what: String| FileError::Create { place: place.clone(), what, source: None };
        let refused = |error: &io::Error| refused(&place, error);
        if path == Path::new("-") {
            let stdout = standard_output().map_err(|error| refused(&error))?;
            return Ok(Sink { place: "stdout".to_owned(), target: Target::Stdout(stdout) });
        }
        let existing = match fs::metadata(path) {
            Ok(existing) => Some(existing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // A name that is too long, a ring of links: better known now than when it is renamed.
            Err(error) => return Err(refused(&error)),
        };
        if let Some(existing) = &existing {
            if existing.is_dir() {
                return Err(create("is a directory; expected a file".to_owned()));
            }
            if overwrite == Overwrite::Refuse {
                return Err(create("exists, and --no-clobber keeps it".to_owned()));
            }
            if !existing.is_file() {
                // Before links are followed: /dev/stdout leads to a pipe, which has no path.
                let file = Handle::open_to_write(path).map_err(|error| refused(&error))?;
                return Ok(Sink { place, target: Target::Direct(file) });
            }
        }
        // A link is followed, so that its target is what gets replaced.
        let path = resolve(path);
        if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(create("expected the name of a file".to_owned()));
        }
        let (temporary, remembered) =
            temporary_file(folder_of(&path)).map_err(|error| refused(&error))?;
        if let Some(existing) = existing {
            // What is replaced keeps its mode, as it would under a shell's `>`.
            let _ = fs::set_permissions(temporary.path(), existing.permissions());
        }
        Ok(Sink { place, target: Target::Replace { temporary, path, overwrite, remembered } })
    }

    /// Writes the whole content through `write`. A regular target still holds what it held before.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let written = match &mut self.target {
            Target::Replace { temporary, .. } => write_whole(temporary.as_file_mut(), write),
            other => write_buffered(other.direct(), write),
        };
        written.map_err(|source| FileError::Write { place: self.place.clone(), source })
    }

    /// Puts the written content in its place, in one step.
    ///
    /// # Errors
    /// [`FileError::Write`], and [`FileError::Create`] where a file that must be kept has come up meanwhile.
    pub fn commit(self) -> Result<(), FileError> {
        let Target::Replace { temporary, path, overwrite, remembered } = self.target else {
            return Ok(());
        };
        let renamed = rename(|| match overwrite {
            Overwrite::Replace => Ok(temporary.persist(&path)?),
            Overwrite::Refuse => Ok(temporary.persist_noclobber(&path)?),
        });
        let place = self.place;
        renamed.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Create {
                place: place.clone(),
                what: "exists, and --no-clobber keeps it".to_owned(),
                source: None,
            },
            _ => FileError::Write { place: place.clone(), source: error },
        })?;
        drop(remembered);
        sync_folder(folder_of(&path)).map_err(|source| FileError::Write { place, source })
    }
}
