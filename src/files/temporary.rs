//! Temporary files and folders: created beside their targets under recognisable names, and removed when a signal
//! stops the process. A killed process leaves them behind; the next process that creates a temporary file in the
//! folder removes them. They are locked while they are in use, so that only abandoned ones are removed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{Builder, NamedTempFile, TempDir};

use super::handle::Handle;

/// The temporary files and folders and the locks of this process, for [`remove_temporary_files`].
static REGISTERED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

pub(super) fn registered() -> MutexGuard<'static, Vec<PathBuf>> {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every temporary file and folder that is being written, and every lock: for a process that is about to die.
///
/// The list stays locked for good. A thread that creates another temporary file, or finds one removed and would
/// report that, waits until the process has died.
pub fn remove_temporary_files() {
    let mut paths = registered();
    // A file is locked until it can no longer be replaced.
    paths.sort_by_key(|path| path.extension() == Some("lock".as_ref()));
    for path in paths.drain(..) {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    std::mem::forget(paths);
}

/// Runs an operation that a signal must not interrupt: the clean-up waits until it is done.
pub(super) fn uninterrupted<T>(operation: impl FnOnce() -> T) -> T {
    let _paths = registered();
    operation()
}

/// A temporary file or folder that is in the list, and a folder that is locked, while this value lives.
#[derive(Debug)]
pub(super) struct RegisteredTemp {
    path: PathBuf,
    _lock: Option<Handle>,
}

impl RegisteredTemp {
    /// Creates a temporary file or folder and adds it to the list. The lock is held for both, so that the clean-up
    /// never finds one without the other.
    fn create<T>(
        create: impl FnOnce() -> io::Result<(T, Option<Handle>)>,
        path: impl FnOnce(&T) -> &Path,
    ) -> io::Result<(T, Self)> {
        let mut paths = registered();
        let (created, lock) = create()?;
        let path = path(&created).to_owned();
        paths.push(path.clone());
        Ok((created, RegisteredTemp { path, _lock: lock }))
    }
}

impl Drop for RegisteredTemp {
    fn drop(&mut self) {
        registered().retain(|path| *path != self.path);
    }
}

/// A temporary file in a folder, with the mode that the umask gives. It is locked while it is open.
pub(super) fn temporary_file(folder: &Path) -> io::Result<(NamedTempFile<Handle>, RegisteredTemp)> {
    sweep(folder);
    let create = || {
        loop {
            let created = named().make_in(folder, Handle::create_new)?;
            if is_held(created.as_file()) {
                return Ok((created, None));
            }
        }
    };
    RegisteredTemp::create(create, NamedTempFile::path)
}

/// A temporary folder in a folder, with the mode that the umask gives.
pub(super) fn temporary_folder(folder: &Path) -> io::Result<(TempDir, RegisteredTemp)> {
    sweep(folder);
    let mut builder = named();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let create = || {
        loop {
            let created = builder.tempdir_in(folder)?;
            match Handle::open(created.path()) {
                Ok(lock) if is_held(&lock) => return Ok((created, Some(lock))),
                // Another process has removed it already.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Some systems do not open folders, and then no process can lock one.
                Err(_) => return Ok((created, None)),
            }
        }
    };
    RegisteredTemp::create(create, TempDir::path)
}

/// The name of a temporary file is this prefix, random letters, and the suffix.
const PREFIX: &str = ".rnn-";
const SUFFIX: &str = ".tmp";
const LETTERS: usize = 6;

fn named() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(LETTERS);
    builder
}

/// Locks a new file or folder. False if another process has removed it before.
///
/// On a file system without locks, that process cannot lock it either, and does not remove it.
fn is_held(created: &Handle) -> bool {
    let _ = created.0.lock();
    #[cfg(unix)]
    let links = created.metadata().map_or(1, |found| std::os::unix::fs::MetadataExt::nlink(&found));
    #[cfg(not(unix))]
    let links = 1;
    links > 0
}

/// Removes the temporary files and folders of killed processes: those that no process has locked.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_temporary(&entry.file_name())) {
        let path = entry.path();
        // This program creates only files and folders; opening a pipe would block.
        let Ok(kind) = entry.file_type() else { continue };
        if !kind.is_file() && !kind.is_dir() {
            continue;
        }
        // The lock is held until the file is removed: a process that has just created it waits for the lock.
        let Ok(lock) = fs::File::open(&path) else { continue };
        if lock.try_lock().is_ok() {
            let _ = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

fn is_temporary(name: &OsStr) -> bool {
    let letters = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    letters.is_some_and(|letters| {
        letters.len() == LETTERS && letters.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// The file or folder that an output at `path` replaces, under a name that every path to it shares. `None` for
/// outputs that are not replaced: standard output, a pipe, a device.
pub fn written_file(path: &Path) -> Option<PathBuf> {
    /// The path without links and dots. A missing file is named by its folder.
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
    // Linux follows at most 40 links.
    for _ in 0..40 {
        match fs::read_link(&path) {
            // The system does not read a link whose name ends in a slash.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_removed_unless_they_are_locked() {
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
        let (file, registered) = temporary_file(sandbox.path()).unwrap();
        drop((file, registered));
        let mut left: Vec<_> =
            fs::read_dir(sandbox.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let names =
            [".rnn-00.000.tmp", ".rnn-0000000.tmp", ".rnn-held00.tmp", ".rnn-held11.tmp", "rnn"];
        assert_eq!(left, names);
        drop(held);
    }

    #[test]
    fn files_in_use_are_not_removed() {
        let sandbox = tempfile::tempdir().unwrap();
        let file = temporary_file(sandbox.path()).unwrap();
        let folder = temporary_folder(sandbox.path()).unwrap();
        sweep(sandbox.path());
        assert!(file.0.path().exists() && folder.0.path().exists());
        fs::remove_file(file.0.path()).unwrap();
        assert!(!is_held(file.0.as_file()), "it is removed, and must be created again");
    }
}
