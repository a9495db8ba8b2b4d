//! A folder as an output.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use ndarray::ArrayD;

use super::handle::{Handle, sync_folder, write_whole};
use super::mode::permissions;
use super::obstacle::obstacle;
use super::path::{folder_of, resolve, without_slash};
use super::replace::{KEPT, Overwrite, Replacement, foreign, put_in_place};
use super::temporary::{Temporary, uninterrupted};
use super::{TEXT_NAME, show, write_npy};
use crate::element::Element;
use crate::files::error::FileError;

/// A folder that is replaced as one.
#[derive(Debug)]
pub struct Folder(Box<Replacement>);

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
            Some(_) => foreign(&path, Some(own)).or_else(|| obstacles(&path)),
        };
        if let Some(what) = refused {
            return Err(FileError::refused(&place, what));
        }
        let created = Temporary::folder(folder_of(&path));
        let (lock, temporary) = created.map_err(FileError::creating(&place))?;
        let found = (existing, overwrite);
        let folder = Replacement::new((place, path), temporary, found, Some(own)).hold(lock);
        Ok(Folder(Box::new(folder)))
    }

    /// Writes a file of the folder.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let place = Path::new(self.0.place()).join(name);
        // The clean-up after a signal must not meet a file that is created while it removes the folder.
        let path = self.0.temporary().join(name);
        let replaced = self.0.replaced().map(|(path, _)| path.join(name).metadata());
        uninterrupted(|| Handle::create_new(&path))
            .and_then(|mut file| {
                write_whole(&mut file, false, write)?;
                file.set_permissions(permissions(replaced.and_then(Result::ok).as_ref(), false))
            })
            .map_err(FileError::writing(&place.to_string_lossy()))
    }

    /// Moves the folder to its path. On Linux the old and the new one are exchanged in one step, if the file system
    /// supports that.
    ///
    /// # Errors
    /// Those of [`commit_all`](super::commit_all).
    pub fn commit(self) -> Result<(), FileError> {
        put_in_place(vec![self.into_replacement()?])
    }

    pub(super) fn into_replacement(self) -> Result<Replacement, FileError> {
        let Folder(folder) = self;
        let permissions = permissions(folder.replaced().map(|(_, found)| found), true);
        sync_folder(folder.temporary())
            .and_then(|()| {
                permissions.map_or(Ok(()), |own| fs::set_permissions(folder.temporary(), own))
            })
            .map_err(FileError::writing(folder.place()))?;
        Ok(*folder)
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

/// Why the system would refuse to replace a folder, or to remove the old files in it.
fn obstacles(folder: &Path) -> Option<String> {
    if let Some(what) = obstacle(folder) {
        return Some(what.to_owned());
    }
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries.into_iter().find_map(|entry| {
        let what = obstacle(&entry.path())?;
        Some(format!("{} {what}", show(&entry.path())))
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

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
}
