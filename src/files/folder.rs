//! A folder as an output.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use tempfile::TempDir;

use super::error::system_text;
use super::handle::{Handle, rename, sync_folder, write_whole};
use super::sink::KEPT;
use super::temporary::{
    RegisteredTemp, folder_of, resolve, temporary_folder, uninterrupted, without_slash,
};
use super::{Overwrite, TEXT_NAME, show, write_npy};
use crate::element::Element;
use crate::files::error::FileError;

/// A folder that is replaced as one.
#[derive(Debug)]
pub struct Folder {
    place: String,
    path: PathBuf,
    /// Whether the folder existed when this value was opened; one that did not must not be replaced.
    existed: bool,
    own: fn(&str) -> bool,
    temporary: TempDir,
    registered: RegisteredTemp,
}

impl Folder {
    /// Checks that a folder can be written at `path`. One that exists may hold only files whose names `own` accepts.
    pub fn open(
        path: &Path,
        overwrite: Overwrite,
        own: fn(&str) -> bool,
    ) -> Result<Self, FileError> {
        let place = show(path);
        let path = resolve(without_slash(path));
        let existing = fs::metadata(&path).ok();
        let refused = match &existing {
            // `.`, `..` and the root: the system renames none of them.
            _ if path.file_name().is_none() => Some("expected the name of a folder".to_owned()),
            None => None,
            Some(found) if !found.is_dir() => Some("exists and is not a folder".to_owned()),
            Some(_) if overwrite == Overwrite::Refuse => Some(KEPT.to_owned()),
            Some(_) => foreign(&path, own),
        };
        if let Some(what) = refused {
            return Err(FileError::refused(&place, what));
        }
        let (temporary, registered) =
            temporary_folder(folder_of(&path)).map_err(FileError::creating(&place))?;
        let existed = existing.is_some();
        Ok(Folder { place, path, existed, own, temporary, registered })
    }

    /// Writes a file of the folder.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let place = Path::new(&self.place).join(name);
        // The clean-up after a signal must not meet a file that is created while it removes the folder.
        let path = self.temporary.path().join(name);
        uninterrupted(|| Handle::create_new(&path))
            .and_then(|mut file| write_whole(&mut file, write))
            .map_err(FileError::writing(&place.to_string_lossy()))
    }

    /// Moves the folder to its path. On Linux the old and the new one are exchanged in one step, if the file system
    /// supports that.
    ///
    /// # Errors
    /// [`FileError::Write`], and [`FileError::Create`] if a file that this would remove has been created meanwhile:
    /// it is kept.
    pub fn commit(self) -> Result<(), FileError> {
        // During the exchange, the clean-up after a signal would remove the old folder under the temporary name.
        let replaced = uninterrupted(|| self.replace());
        // The temporary name now leads to the old folder, or to the new one after an error.
        let _ = self.temporary.close();
        drop(self.registered);
        replaced
    }

    fn replace(&self) -> Result<(), FileError> {
        let (new, path) = (self.temporary.path(), self.path.as_path());
        let failed = FileError::writing(&self.place);
        sync_folder(new).map_err(&failed)?;
        // The old folder may have been removed since `open`.
        if self.existed && path.exists() {
            // The lock keeps other processes from removing the old folder before its content is checked.
            let old = fs::File::open(path).map_err(&failed)?;
            let _ = old.try_lock();
            exchange(new, path).map_err(&failed)?;
            // From here on no path leads other programs to the old folder, so that its content is final.
            if let Some(what) = foreign(new, self.own) {
                exchange(new, path).map_err(&failed)?;
                return Err(FileError::refused(&self.place, what));
            }
        } else {
            rename_to_free(new, path).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => {
                    FileError::refused(&self.place, "has come up meanwhile, and is kept")
                }
                _ => failed(error),
            })?;
        }
        sync_folder(folder_of(path)).map_err(&failed)
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

/// The reason why a folder must not be replaced: an entry that `own` does not accept.
fn foreign(folder: &Path, own: fn(&str) -> bool) -> Option<String> {
    let find = || {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if !name.to_str().is_some_and(own) || entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                let name = show(Path::new(&name));
                return Ok(Some(format!("expected a folder of weights alone, got {name} in it")));
            }
        }
        Ok(None)
    };
    find().unwrap_or_else(|error: io::Error| {
        // A removed folder holds no file of another program.
        (error.kind() != ErrorKind::NotFound).then(|| system_text(&error))
    })
}

/// Exchanges the names of two folders, in one step if the system supports that.
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(result) = rename_with(new, old, rustix::fs::RenameFlags::EXCHANGE) {
        return result;
    }
    exchange_by_turns(new, old)
}

/// Exchanges the names of two folders by way of a third name. After an error the old folder has its name again. The
/// third name is not one that other processes remove, so that a process that is killed in between loses nothing.
fn exchange_by_turns(new: &Path, old: &Path) -> io::Result<()> {
    let aside = new.with_extension("old");
    rename(|| fs::rename(old, &aside))?;
    if let Err(error) = rename(|| fs::rename(new, old)) {
        fs::rename(&aside, old)?;
        return Err(error);
    }
    rename(|| fs::rename(&aside, new))
}

/// Renames a folder to a free name, in one step if the system supports that.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(result) = rename_with(from, to, rustix::fs::RenameFlags::NOREPLACE) {
        return result;
    }
    rename_to_missing(from, to)
}

/// Checks that a name is free, then renames. The system refuses to replace a folder that is created in between,
/// unless it is empty.
fn rename_to_missing(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    rename(|| fs::rename(from, to))
}

/// Renames with a flag; `None` if the kernel or the file system does not support it.
#[cfg(target_os = "linux")]
fn rename_with(from: &Path, to: &Path, flag: rustix::fs::RenameFlags) -> Option<io::Result<()>> {
    use rustix::fs::{CWD, renameat_with};
    use rustix::io::Errno;
    let result = rename(|| Ok(renameat_with(CWD, from, CWD, to, flag)?));
    let errno = result.as_ref().err().and_then(io::Error::raw_os_error);
    let unsupported = [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP];
    let unsupported =
        unsupported.iter().any(|unsupported| errno == Some(unsupported.raw_os_error()));
    (!unsupported).then_some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sandbox, and a new folder `w` in it that accepts only the file `own`.
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
    fn a_folder_that_was_created_meanwhile_is_kept() {
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
    fn a_file_that_was_created_in_the_old_folder_is_kept() {
        let (sandbox, path, folder) = opened(Overwrite::Replace, &["own"]);
        fs::write(path.join("notes"), b"precious").unwrap();
        let error = folder.commit().unwrap_err();
        assert!(matches!(error, FileError::Create { .. }), "{error}");
        assert_eq!(names(&path), ["notes", "own"]);
        assert_eq!(fs::read(path.join("own")).unwrap(), b"old");
        assert_eq!(names(sandbox.path()), ["w"]);
    }

    #[test]
    fn an_old_folder_is_replaced_or_may_be_missing() {
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
