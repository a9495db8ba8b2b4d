//! Outputs. A file is written beside its target and renamed when it is complete, so that a path always holds either
//! its previous content or the whole new content.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::handle::{Handle, rename, sync_folder, write_buffered, write_whole};
use super::show;
use super::temporary::{RegisteredTemp, folder_of, resolve, temporary_file};
use super::waiting::{StandardOutput, standard_output};
use crate::files::error::FileError;

/// The treatment of a target that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It is replaced.
    Replace,
    /// It is an error.
    Refuse,
}

/// The reason for [`Overwrite::Refuse`].
pub(super) const KEPT: &str = "exists, and --no-clobber keeps it";

/// An output that can be written.
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
        registered: RegisteredTemp,
    },
    /// A pipe or a device, written in place.
    Direct(Handle),
    Stdout(StandardOutput),
}

impl Target {
    /// The unbuffered writer.
    pub(super) fn direct(&mut self) -> &mut dyn Write {
        match self {
            Target::Replace { temporary, .. } => temporary.as_file_mut(),
            Target::Direct(file) => file,
            Target::Stdout(stdout) => stdout,
        }
    }

    /// Completes unbuffered writes.
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
        if path == Path::new("-") {
            let stdout = standard_output().map_err(FileError::creating(&place))?;
            return Ok(Sink { place: "stdout".to_owned(), target: Target::Stdout(stdout) });
        }
        let existing = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // A name that is too long or a circle of links is reported now, rather than at the rename.
            found => Some(found.map_err(FileError::creating(&place))?),
        };
        if let Some(existing) = &existing {
            if existing.is_dir() {
                return Err(FileError::refused(&place, "is a directory; expected a file"));
            }
            if overwrite == Overwrite::Refuse {
                return Err(FileError::refused(&place, KEPT));
            }
            if !existing.is_file() {
                // Before links are followed: /dev/stdout leads to a pipe, which has no path.
                let file = fs::File::options().write(true).open(path);
                let file = Handle(file.map_err(FileError::creating(&place))?);
                return Ok(Sink { place, target: Target::Direct(file) });
            }
        }
        // A link is followed, so that its target is replaced.
        let path = resolve(path);
        if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(FileError::refused(&place, "expected the name of a file"));
        }
        let (temporary, registered) =
            temporary_file(folder_of(&path)).map_err(FileError::creating(&place))?;
        if let Some(existing) = existing {
            // The file keeps the mode of the one that it replaces, as under a shell's `>`.
            let _ = fs::set_permissions(temporary.path(), existing.permissions());
        }
        let target = Target::Replace { temporary, path, overwrite, registered };
        Ok(Sink { place, target })
    }

    /// Writes the whole content through `write`. A regular target keeps its previous content until the commit.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let written = match &mut self.target {
            Target::Replace { temporary, .. } => write_whole(temporary.as_file_mut(), write),
            other => write_buffered(other.direct(), write),
        };
        written.map_err(FileError::writing(&self.place))
    }

    /// Moves the written content to its path, in one step.
    ///
    /// # Errors
    /// [`FileError::Write`], and [`FileError::Create`] if a file that must be kept has been created meanwhile.
    pub fn commit(self) -> Result<(), FileError> {
        let Target::Replace { temporary, path, overwrite, registered } = self.target else {
            return Ok(());
        };
        let renamed = rename(|| match overwrite {
            Overwrite::Replace => Ok(temporary.persist(&path)?),
            Overwrite::Refuse => Ok(temporary.persist_noclobber(&path)?),
        });
        renamed.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::refused(&self.place, KEPT),
            _ => FileError::writing(&self.place)(error),
        })?;
        drop(registered);
        sync_folder(folder_of(&path)).map_err(FileError::writing(&self.place))
    }
}
