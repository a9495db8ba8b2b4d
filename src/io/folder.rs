//! A folder as an output.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Overwrite;
use super::source::show;
use super::temporary::{Remembered, folder_of, resolve, said, sync_folder, temporary_folder};
use crate::Error;

/// A folder that is replaced as one.
#[derive(Debug)]
pub struct Folder {
    place: String,
    path: PathBuf,
    temporary: TempDir,
    remembered: Remembered,
}

impl Folder {
    /// Checks that a folder can be written at `path`. One that exists may hold only files that `own`
    /// knows by their names.
    ///
    /// # Errors
    /// [`Error::Create`].
    pub fn open(
        path: &Path,
        overwrite: Overwrite,
        own: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let place = show(path);
        let create = |what: String| Error::Create { place: place.clone(), what };
        let path = resolve(path);
        if let Ok(existing) = fs::metadata(&path) {
            if !existing.is_dir() {
                return Err(create("exists and is not a folder".to_owned()));
            }
            if overwrite == Overwrite::Refuse {
                return Err(create("exists, and --no-clobber keeps it".to_owned()));
            }
            for entry in fs::read_dir(&path).map_err(|error| create(said(&error)))? {
                let entry = entry.map_err(|error| create(said(&error)))?;
                let name = entry.file_name();
                let known = name.to_str().is_some_and(&own);
                if !known || entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    return Err(create(format!(
                        "expected a folder of weights alone, got {} in it",
                        show(Path::new(&name))
                    )));
                }
            }
        }
        let make = || temporary_folder().tempdir_in(folder_of(&path));
        let (temporary, remembered) =
            Remembered::make(make, TempDir::path).map_err(|error| create(said(&error)))?;
        Ok(Folder { place, path, temporary, remembered })
    }

    /// Writes one file of the folder.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        let place = Path::new(&self.place).join(name).to_string_lossy().into_owned();
        let whole = || {
            let mut file = BufWriter::new(File::create(self.temporary.path().join(name))?);
            write(&mut file)?;
            file.into_inner()?.sync_all()
        };
        whole().map_err(|source| Error::Write { place, source })
    }

    /// Puts the folder in its place. On Linux the old and the new one change places in one step.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn commit(self) -> Result<(), Error> {
        let Folder { place, path, temporary, remembered } = self;
        let replace = || {
            sync_folder(temporary.path())?;
            if path.exists() {
                exchange(temporary.path(), &path)?;
            } else {
                fs::rename(temporary.path(), &path)?;
            }
            sync_folder(folder_of(&path))
        };
        let replaced = replace().map_err(|source| Error::Write { place, source });
        // What stands under the temporary name now is the old folder, or nothing.
        let _ = temporary.close();
        drop(remembered);
        replaced
    }
}

/// Lets two folders change their names.
#[cfg(target_os = "linux")]
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE)?)
}

/// Lets two folders change their names, by way of a third one: not in one step.
#[cfg(not(target_os = "linux"))]
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    let aside = new.with_extension("old.tmp");
    fs::rename(old, &aside)?;
    fs::rename(new, old)?;
    fs::rename(&aside, new)
}
