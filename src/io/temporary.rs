//! Temporary files and folders: beside their targets, named so that they are recognised, and removed
//! when the process is told to stop.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::Builder;

/// Temporary files and folders that exist now, for [`remove_temporary_files`].
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes every temporary file and folder that is being written: for a process that is about to die.
///
/// The list stays locked for good. Whoever would make another temporary file waits, and so does whoever
/// finds one gone and would complain about it, until the process has died.
///
/// ```
/// use elman::io::{Overwrite, Sink, remove_temporary_files};
///
/// let folder = tempfile::tempdir()?;
/// let sink = Sink::open(&folder.path().join("output.npy"), Overwrite::Replace)?;
/// assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
/// // In a thread that waits for signals, when one has come.
/// remove_temporary_files();
/// assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
/// # // The end of `sink` would wait for good.
/// # std::mem::forget(sink);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
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

/// How temporary files are named, with the mode that the umask gives.
pub(super) fn temporary() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".rnn-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// How temporary folders are named, with the mode that the umask gives.
pub(super) fn temporary_folder() -> Builder<'static, 'static> {
    let mut builder = temporary();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder
}

/// Does something that a signal must not come between: the clean-up waits until it is done.
pub(super) fn uninterrupted<T>(work: impl FnOnce() -> T) -> T {
    let _paths = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// The file or folder that an output at `path` ends up as, under a name that every path to it shares.
/// None for what is not replaced: standard output, a pipe, a device.
///
/// ```
/// use std::path::Path;
/// use elman::io::written_file;
///
/// // Two names of one file: a result must not be written over another.
/// let (output, h_n) = (Path::new("y.npy"), Path::new("./y.npy"));
/// assert_eq!(written_file(output), written_file(h_n));
/// assert_eq!(written_file(Path::new("-")), None);
/// ```
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

/// Makes a rename last. Not every file system can; the rename itself has been done.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// What the system said, without the temporary name that the error carries.
///
/// tempfile wraps the system's error so that neither `raw_os_error` nor `source` leads to it: its text is
/// all that is left. Text in another form is shown whole.
pub(super) fn said(error: &io::Error) -> String {
    let inner = error.raw_os_error().map(io::Error::from_raw_os_error);
    inner.map_or_else(|| without_path(error), |error| error.to_string())
}

fn without_path(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" at path ").next().unwrap_or(&text).to_owned()
}
