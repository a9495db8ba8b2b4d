//! A folder as an output.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use tempfile::TempDir;

use super::handle::{Handle, rename, sync_folder, write_whole};
use super::temporary::{
    Remembered, folder_of, refused, resolve, said, temporary_folder, uninterrupted, without_slash,
};
use super::{Overwrite, TEXT_NAME, show, write_npy};
use crate::element::Element;
use crate::files::error::FileError;

/// A folder that is replaced as one.
pub struct Folder {
    place: String,
    path: PathBuf,
    /// Whether there was a folder when this was opened: only such a one is replaced.
    existed: bool,
    own: Box<dyn Fn(&str) -> bool>,
    temporary: TempDir,
    /// Held open, so that nobody takes the folder for one that was left behind.
    lock: Option<Handle>,
    remembered: Remembered,
}

debug_fields!(Folder, path, existed, temporary);

impl Folder {
    /// Checks that a folder can be written at `path`. One that exists may hold only files that `own`
    /// knows by their names.
    pub fn open(
        path: &Path,
        overwrite: Overwrite,
        own: impl Fn(&str) -> bool + 'static,
    ) -> Result<Self, FileError> {
        let place = show(path);
        let create = |what: String| FileError::Create { place: place.clone(), what, source: None };
        let refused = |error: &io::Error| refused(&place, error);
        let path = resolve(without_slash(path));
        if path.file_name().is_none() {
            // `.`, `..` and the root: the system renames none of them.
            return Err(create("expected the name of a folder".to_owned()));
        }
        let existing = fs::metadata(&path).ok();
        if let Some(existing) = &existing {
            if !existing.is_dir() {
                return Err(create("exists and is not a folder".to_owned()));
            }
            if overwrite == Overwrite::Refuse {
                return Err(create("exists, and --no-clobber keeps it".to_owned()));
            }
            if let Some(what) = foreign(&path, &own) {
                return Err(create(what));
            }
        }
        let (temporary, lock, remembered) =
            temporary_folder(folder_of(&path)).map_err(|error| refused(&error))?;
        let (existed, own) = (existing.is_some(), Box::new(own));
        Ok(Folder { place, path, existed, own, temporary, lock, remembered })
    }

    /// Writes a file of the folder.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let place = Path::new(&self.place).join(name).to_string_lossy().into_owned();
        // Whoever removes the folder because of a signal must not meet a file that has just come up in it.
        let path = self.temporary.path().join(name);
        uninterrupted(|| Handle::create_new(&path))
            .and_then(|mut file| write_whole(&mut file, write))
            .map_err(|source| FileError::Write { place, source })
    }

    /// Puts the folder in its place. On Linux the old and the new one change places in one step, where
    /// the file system can do that.
    ///
    /// # Errors
    /// [`FileError::Write`], and [`FileError::Create`] where something has come up meanwhile that this would
    /// remove: it stays.
    pub fn commit(self) -> Result<(), FileError> {
        // A signal in here would find the old folder under the temporary name, and remove it.
        let replaced = uninterrupted(|| self.replace());
        // What stands under the temporary name now is the old folder, or the new one after an error.
        let _ = self.temporary.close();
        drop((self.remembered, self.lock));
        replaced
    }

    fn replace(&self) -> Result<(), FileError> {
        let (new, path) = (self.temporary.path(), self.path.as_path());
        let write = |source| FileError::Write { place: self.place.clone(), source };
        let create = |what| FileError::Create { place: self.place.clone(), what, source: None };
        sync_folder(new).map_err(write)?;
        // The old folder may have gone since it was looked at.
        if self.existed && path.exists() {
            // Nobody may sweep the old folder away before it is known that it has nothing of others in it.
            let old = fs::File::open(path).map_err(write)?;
            let _ = old.try_lock();
            exchange(new, path).map_err(write)?;
            // Only now does nobody find the old folder any more, and what it holds is certain.
            if let Some(what) = foreign(new, &self.own) {
                exchange(new, path).map_err(write)?;
                return Err(create(what));
            }
        } else {
            rename_to_free(new, path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
                    create("has come up meanwhile, and is kept".to_owned())
                }
                _ => write(error),
            })?;
        }
        sync_folder(folder_of(path)).map_err(write)
    }
}

/// Writes tensors and the text beside them as files of a folder.
pub fn write_folder<T: Element>(
    folder: &Folder,
    tensors: &[(String, ArrayD<T>)],
    text: &str,
) -> Result<(), FileError> {
    for (name, tensor) in tensors {
        folder.write(&format!("{name}.npy"), |file| write_npy(file, &tensor.view()))?;
    }
    folder.write(TEXT_NAME, |file| file.write_all(text.as_bytes()))
}

/// Why a folder must not be replaced: something in it that `own` does not know.
fn foreign(folder: &Path, own: &dyn Fn(&str) -> bool) -> Option<String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // What has been taken away holds nothing of anybody's.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(said(&error)),
    };
    entries.into_iter().find_map(|entry| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Some(said(&error)),
        };
        let name = entry.file_name();
        let known = name.to_str().is_some_and(own);
        (!known || entry.file_type().is_ok_and(|kind| kind.is_dir())).then(|| {
            let name = show(Path::new(&name));
            format!("expected a folder of weights alone, got {name} in it")
        })
    })
}

/// Lets two folders change their names.
#[cfg(target_os = "linux")]
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    match rename_with(new, old, rustix::fs::RenameFlags::EXCHANGE) {
        Err(error) if is_unsupported(&error) => exchange_by_turns(new, old),
        result => result,
    }
}

/// Lets two folders change their names.
#[cfg(not(target_os = "linux"))]
use exchange_by_turns as exchange;

/// Lets two folders change their names, by way of a third one: not in one step. After an error the old
/// one is where it was. The third name is none that is swept: whoever is killed in between has lost nothing.
fn exchange_by_turns(new: &Path, old: &Path) -> io::Result<()> {
    let aside = new.with_extension("old");
    rename(|| fs::rename(old, &aside))?;
    if let Err(error) = rename(|| fs::rename(new, old)) {
        fs::rename(&aside, old)?;
        return Err(error);
    }
    rename(|| fs::rename(&aside, new))
}

/// Renames a folder to a name that nothing has.
#[cfg(target_os = "linux")]
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match rename_with(from, to, rustix::fs::RenameFlags::NOREPLACE) {
        Err(error) if is_unsupported(&error) => rename_to_missing(from, to),
        result => result,
    }
}

/// Renames a folder to a name that nothing has.
#[cfg(not(target_os = "linux"))]
use rename_to_missing as rename_to_free;

/// Looks first, then renames. What comes up between is replaced only where it is an empty folder: the
/// system refuses the rest.
fn rename_to_missing(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    rename(|| fs::rename(from, to))
}

#[cfg(target_os = "linux")]
fn rename_with(from: &Path, to: &Path, flags: rustix::fs::RenameFlags) -> io::Result<()> {
    use rustix::fs::{CWD, renameat_with};
    rename(|| Ok(renameat_with(CWD, from, CWD, to, flags)?))
}

/// Whether the kernel or the file system does not know a flag of `renameat2`.
#[cfg(target_os = "linux")]
fn is_unsupported(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let unsupported = [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP];
    unsupported.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder to work in, and a new `w` in it that knows `own` alone.
    fn opened(overwrite: Overwrite, before: &[&str]) -> (TempDir, PathBuf, Folder) {
        let sandbox = tempfile::tempdir().unwrap();
        let path = sandbox.path().join("w");
        for name in before {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(name), b"old").unwrap();
        }
        let folder = Folder::open(&path, overwrite, |name| name == "own").unwrap();
        folder.write("own", |file| file.write_all(b"new")).unwrap();
        (sandbox, path, folder)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_that_has_come_up_since_is_kept() {
        for overwrite in [Overwrite::Replace, Overwrite::Refuse] {
            let (sandbox, path, folder) = opened(overwrite, &[]);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("own"), b"precious").unwrap();
            let error = folder.commit().unwrap_err();
            assert!(matches!(error, FileError::Create { .. }), "{error}");
            assert_eq!(fs::read(path.join("own")).unwrap(), b"precious");
            assert_eq!(names(sandbox.path()), ["w"]);
        }
    }

    #[test]
    fn a_file_that_has_come_up_in_the_old_folder_is_kept() {
        let (sandbox, path, folder) = opened(Overwrite::Replace, &["own"]);
        fs::write(path.join("notes"), b"precious").unwrap();
        let error = folder.commit().unwrap_err();
        assert!(matches!(error, FileError::Create { .. }), "{error}");
        assert_eq!(names(&path), ["notes", "own"]);
        assert_eq!(fs::read(path.join("own")).unwrap(), b"old");
        assert_eq!(names(sandbox.path()), ["w"]);
    }

    #[test]
    fn an_old_folder_is_replaced_and_may_have_gone() {
        for gone in [false, true] {
            let (sandbox, path, folder) = opened(Overwrite::Replace, &["own"]);
            if gone {
                fs::remove_dir_all(&path).unwrap();
            }
            folder.commit().unwrap();
            assert_eq!(fs::read(path.join("own")).unwrap(), b"new");
            assert_eq!(names(sandbox.path()), ["w"]);
        }
    }

    #[test]
    fn folders_change_names_by_turns_and_back() {
        let sandbox = tempfile::tempdir().unwrap();
        let (new, old) = (sandbox.path().join("new.tmp"), sandbox.path().join("old"));
        fs::create_dir(&old).unwrap();
        assert!(exchange_by_turns(&new, &old).is_err());
        assert_eq!(names(sandbox.path()), ["old"]);
        fs::create_dir(&new).unwrap();
        fs::write(new.join("mark"), b"").unwrap();
        exchange_by_turns(&new, &old).unwrap();
        assert_eq!(names(&old), ["mark"]);
        assert_eq!(names(sandbox.path()), ["new.tmp", "old"]);
        assert!(rename_to_missing(&new, &old).is_err());
    }
}
