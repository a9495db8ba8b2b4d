//! Temporary files and folders: beside their targets, named so that they are recognised, and removed
//! when the process is told to stop. One that is killed leaves them; the next that makes a temporary file
//! in that folder sweeps them away. They are locked while they are in use, so that only those go that
//! nobody writes any more.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::{Builder, NamedTempFile, TempDir};

use super::handle::Handle;
use crate::files::error::FileError;

/// Temporary files and folders that exist now, for [`remove_temporary_files`].
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes every temporary file and folder that is being written: for a process that is about to die.
///
/// The list stays locked for good. Whoever would make another temporary file waits, and so does whoever
/// finds one gone and would complain about it, until the process has died.
pub fn remove_temporary_files() {
    let mut paths = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
    for path in paths.drain(..) {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    std::mem::forget(paths);
}

/// A temporary file or folder that stands in the list for as long as this lives.
#[derive(Debug)]
pub(super) struct Remembered(PathBuf);

impl Remembered {
    /// Makes a temporary file or folder and puts it into the list, with no moment between in which a
    /// signal would find only the one.
    pub(super) fn make<T>(
        make: impl FnOnce() -> io::Result<T>,
        path: impl FnOnce(&T) -> &Path,
    ) -> io::Result<(T, Self)> {
        let mut paths = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
        let made = make()?;
        let path = path(&made).to_owned();
        paths.push(path.clone());
        Ok((made, Remembered(path)))
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        let mut paths = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
        paths.retain(|path| *path != self.0);
    }
}

/// A temporary file in a folder, with the mode that the umask gives. It is locked for as long as it is open.
pub(super) fn temporary_file(folder: &Path) -> io::Result<(NamedTempFile<Handle>, Remembered)> {
    sweep(folder);
    let make = || {
        loop {
            let made = named().make_in(folder, Handle::create_new)?;
            if is_held(made.as_file()) {
                return Ok(made);
            }
        }
    };
    Remembered::make(make, NamedTempFile::path)
}

/// A temporary folder in a folder, with the mode that the umask gives, and what locks it while it is open.
pub(super) fn temporary_folder(folder: &Path) -> io::Result<(TempDir, Option<Handle>, Remembered)> {
    sweep(folder);
    let mut builder = named();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let make = || {
        loop {
            let made = builder.tempdir_in(folder)?;
            match Handle::open(made.path()) {
                Ok(lock) if is_held(&lock) => return Ok((made, Some(lock))),
                // It has been swept away already.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Not every system opens folders; then there are no locks to be seen either.
                Err(_) => return Ok((made, None)),
            }
        }
    };
    let ((made, lock), remembered) = Remembered::make(make, |(made, _)| made.path())?;
    Ok((made, lock, remembered))
}

/// What stands before the random letters in the name of a temporary file.
const PREFIX: &str = ".rnn-";

/// What stands behind them.
const SUFFIX: &str = ".tmp";

/// How many letters there are.
const LETTERS: usize = 6;

fn named() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(LETTERS);
    builder
}

/// Locks a file or folder that has just been made. False where another process has swept it away in the
/// moment before.
///
/// A file system without locks says so to whoever would sweep, too, who then leaves everything as it is.
fn is_held(made: &Handle) -> bool {
    let _ = made.lock();
    #[cfg(unix)]
    let links = made.metadata().map_or(1, |found| std::os::unix::fs::MetadataExt::nlink(&found));
    #[cfg(not(unix))]
    let links = 1;
    links > 0
}

/// Removes temporary files and folders that a process has left behind when it was killed: those that
/// nobody holds the lock of.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_temporary(&entry.file_name())) {
        let path = entry.path();
        // What is no file or folder was not made here; a pipe would not even open.
        let Ok(kind) = entry.file_type() else { continue };
        if !kind.is_file() && !kind.is_dir() {
            continue;
        }
        // The lock is held until the file is gone: its maker, if it has only just been made, waits for it.
        let Ok(lock) = fs::File::open(&path) else { continue };
        if lock.try_lock().is_ok() {
            let _ = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// Whether a file or folder of this name was made here.
fn is_temporary(name: &OsStr) -> bool {
    let letters = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    letters.is_some_and(|letters| {
        letters.len() == LETTERS && letters.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Does something that a signal must not come between: the clean-up waits until it is done.
pub(super) fn uninterrupted<T>(work: impl FnOnce() -> T) -> T {
    let _paths = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// The file or folder that an output at `path` ends up as, under a name that every path to it shares.
/// None for what is not replaced: standard output, a pipe, a device.
pub fn written_file(path: &Path) -> Option<PathBuf> {
    /// The path without links and dots. What does not exist is named by the folder that it would be in.
    fn canonical(path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| match path.file_name() {
            Some(name) => canonical(folder_of(path)).join(name),
            None => path.to_owned(),
        })
    }
    let other = |found: fs::Metadata| !found.is_file() && !found.is_dir();
    if path == Path::new("-") || fs::metadata(path).is_ok_and(other) {
        return None;
    }
    Some(canonical(&resolve(path)))
}

/// The path that a chain of links leads to; the last one may not exist.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // Linux follows 40 links before it gives up.
    for _ in 0..40 {
        match fs::read_link(&path) {
            // A link with a slash behind its name is not read as a link.
            Ok(target) => path = folder_of(&path).join(without_slash(&target)),
            Err(_) => break,
        }
    }
    path
}

/// The same path without slashes at its end.
pub(super) fn without_slash(path: &Path) -> &Path {
    path.components().as_path()
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// An output that the system does not let be created.
pub(super) fn refused(place: &str, error: &io::Error) -> FileError {
    FileError::Create { place: place.to_owned(), what: said(error), source: of_system(error) }
}

/// What the system said, without the temporary name that the error carries.
pub(super) fn said(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at path ").next().unwrap_or(&text);
    of_system(error).map_or_else(|| text.to_owned(), |error| error.to_string())
}

/// The error of the system.
///
/// tempfile wraps it so that neither `raw_os_error` nor `source` leads to it: its text is all that is left,
/// which says its number.
fn of_system(error: &io::Error) -> Option<io::Error> {
    let text = error.to_string();
    let number = || text.split_once("(os error ")?.1.split_once(')')?.0.parse().ok();
    error.raw_os_error().or_else(number).map(io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_swept_unless_somebody_holds_them() {
        let sandbox = tempfile::tempdir().unwrap();
        let path = |name: &str| sandbox.path().join(name);
        for name in
            [".rnn-000000.tmp", ".rnn-held00.tmp", ".rnn-0000000.tmp", ".rnn-00.000.tmp", "rnn"]
        {
            fs::write(path(name), b"").unwrap();
        }
        for name in [".rnn-111111.tmp", ".rnn-held11.tmp"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("w.npy"), b"").unwrap();
        }
        let held = [".rnn-held00.tmp", ".rnn-held11.tmp"].map(|name| {
            let file = Handle::open(&path(name)).unwrap();
            assert!(is_held(&file));
            file
        });
        let (file, remembered) = temporary_file(sandbox.path()).unwrap();
        drop((file, remembered));
        let mut left: Vec<_> =
            fs::read_dir(sandbox.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let names =
            [".rnn-00.000.tmp", ".rnn-0000000.tmp", ".rnn-held00.tmp", ".rnn-held11.tmp", "rnn"];
        assert_eq!(left, names);
        drop(held);
    }

    #[test]
    fn what_is_being_written_is_not_swept() {
        let sandbox = tempfile::tempdir().unwrap();
        let file = temporary_file(sandbox.path()).unwrap();
        let folder = temporary_folder(sandbox.path()).unwrap();
        sweep(sandbox.path());
        assert!(file.0.path().exists() && folder.0.path().exists());
        fs::remove_file(file.0.path()).unwrap();
        assert!(!is_held(file.0.as_file()), "it is gone, and would be made anew");
    }
}
