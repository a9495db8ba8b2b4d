//! Locks of files that are read, changed and written: `.rnn-NAME.lock` beside the file, locked and later removed by its
//! holder. The system releases the lock of a process that has died, so that a file that is left over locks nothing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::file_id::FileId;
use super::path::written_file;
use super::show;
use super::temporary::registered;
use crate::files::error::FileError;

/// The exclusive right to read, change and write a file, until this value is dropped.
///
/// A file system without locks, a pipe and a device give it to every process.
#[derive(Debug)]
pub struct Lock {
    /// The lock file, and its path; `None` for a pipe or a device.
    held: Option<(File, PathBuf)>,
}

/// Longest name of a file on most systems, in bytes.
const NAME_BYTES: usize = 255;

/// The name of a lock is this prefix, the name of the file, and the suffix.
const PREFIX: &str = ".rnn-";
const SUFFIX: &str = ".lock";

impl Lock {
    /// Waits until no other process holds the lock of the file at `path`, which may not exist yet.
    pub fn wait(path: &Path) -> Result<Self, FileError> {
        Self::acquire(path, |file| file.lock().map_err(TryLockError::Error))
    }

    /// Takes the lock of the file at `path`, which may not exist yet.
    ///
    /// # Errors
    /// [`FileError::InUse`] if another process holds the lock.
    pub fn take(path: &Path) -> Result<Self, FileError> {
        Self::acquire(path, File::try_lock)
    }

    fn acquire(
        path: &Path,
        take: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, FileError> {
        let place = show(path);
        let Some(file) = written_file(path) else { return Ok(Lock { held: None }) };
        let lock = lock_path(&file);
        let failed = FileError::creating(&place);
        loop {
            if let Some(file) = create(&lock).map_err(&failed)? {
                return Ok(Lock { held: Some((file, lock)) });
            }
            // Another process holds the lock, or has left its file behind.
            let Some(left) = existing(&lock).map_err(&failed)? else { continue };
            let holder = holder(&left);
            let holder = holder.ok_or_else(|| FileError::refused(&show(&lock), FOREIGN))?;
            if !locked(&left, &take).map_err(&failed)? {
                return Err(FileError::InUse { place: show(path), holder });
            }
            // While the file is locked, no other process removes it: this one begins anew without it.
            if is_at(&left, &lock) {
                fs::remove_file(&lock).map_err(&failed)?;
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let Some((file, path)) = &self.held else { return };
        // It is removed while it is locked. The clean-up of a signal must not remove the next process's file.
        let mut paths = registered();
        paths.retain(|other| other != path);
        if is_at(file, path) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The reason for refusing a lock file of another program.
const FOREIGN: &str = "expected a lock of rnn, which has the number of a process in it";

fn lock_path(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Two long names may share a lock: then one process waits without need.
    while name.len() > NAME_BYTES - PREFIX.len() - SUFFIX.len() {
        name.pop();
    }
    file.with_file_name(format!("{PREFIX}{name}{SUFFIX}"))
}

/// Creates, locks and registers the lock file, with the number of this process in it. `None` if there is one already,
/// or if another process has locked this one before: it takes it for one that was left over, and removes it.
fn create(lock: &Path) -> io::Result<Option<File>> {
    // A signal finds the file with its registration, or neither.
    let mut paths = registered();
    let created = OpenOptions::new().write(true).create_new(true).open(lock);
    let mut file = match created {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
        created => created?,
    };
    if !locked(&file, &File::try_lock)? || !is_at(&file, lock) {
        return Ok(None);
    }
    paths.push(lock.to_owned());
    // The number is for messages. On a full disk it is absent.
    let _ = file.write_all(format!("{}\n", std::process::id()).as_bytes());
    Ok(Some(file))
}

/// Opens a lock file without waiting for anything and without following a link. `None` if it has been removed.
fn existing(lock: &Path) -> io::Result<Option<File>> {
    let open = |write: bool| {
        let mut options = OpenOptions::new();
        options.read(true).write(write);
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::OFlags;
            use std::os::unix::fs::OpenOptionsExt;
            options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
        }
        options.open(lock)
    };
    // Some network file systems lock only what can be written. The file of another user may be read alone.
    let opened = match open(true) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => open(false),
        opened => opened,
    };
    match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// The process that a lock file names, in words; `None` if it is no lock of this program.
fn holder(mut lock: &File) -> Option<String> {
    /// More digits than a number of 32 bits has.
    const DIGITS: u64 = 12;
    if !lock.metadata().is_ok_and(|found| found.is_file()) {
        return None;
    }
    let mut text = String::new();
    Read::take(&mut lock, DIGITS).read_to_string(&mut text).ok()?;
    match text.trim_ascii_end().parse::<u32>() {
        Ok(process) => Some(format!("process {process}")),
        // It has been created, and not yet been written.
        Err(_) if text.is_empty() => Some("another process".to_owned()),
        Err(_) => None,
    }
}

/// Whether the file is now locked by this process; on a file system without locks, every file is.
fn locked(file: &File, take: &impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<bool> {
    /// ENOLCK on Linux.
    const NO_LOCKS: i32 = 37;
    loop {
        match take(file) {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::Unsupported => return Ok(true),
                _ if error.raw_os_error() == Some(NO_LOCKS) => return Ok(true),
                _ => return Err(error),
            },
        }
    }
}

/// Whether the path still names the file.
fn is_at(file: &File, path: &Path) -> bool {
    let at = fs::symlink_metadata(path).map(|found| FileId::of(&found));
    match (file.metadata(), at) {
        (Ok(own), Ok(at)) => at == FileId::of(&own) || cfg!(not(unix)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lock) = (folder.path().join("s.npz"), folder.path().join(".rnn-s.npz.lock"));
        let first = Lock::take(&path).unwrap();
        let found = fs::read_to_string(&lock).unwrap();
        assert_eq!(found, format!("{}\n", std::process::id()));
        let refused = Lock::take(&path).unwrap_err();
        let message = format!("in use by process {}; try again", std::process::id());
        assert!(refused.to_string().ends_with(&message), "{refused}");
        // Another path to the same file has the same lock.
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink("s.npz", &link).unwrap();
            assert!(matches!(Lock::take(&link), Err(FileError::InUse { .. })));
        }
        assert!(Lock::take(&folder.path().join("other")).is_ok());
        drop(first);
        assert!(!lock.exists());
        drop(Lock::take(&path).unwrap());
        assert!(!lock.exists() && !path.exists());
    }

    #[test]
    fn a_file_that_is_left_over_locks_nothing_and_a_foreign_one_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lock) = (folder.path().join("r.npy"), folder.path().join(".rnn-r.npy.lock"));
        for left in ["", "1\n", "4294967295\n"] {
            fs::write(&lock, left).unwrap();
            drop(Lock::take(&path).unwrap());
            assert!(!lock.exists(), "{left:?}");
        }
        for foreign in ["notes", "-1\n", "1 2\n", "1234567890123456", "\n"] {
            fs::write(&lock, foreign).unwrap();
            for lock in [Lock::take, Lock::wait] {
                assert!(matches!(lock(&path), Err(FileError::Create { .. })), "{foreign:?}");
            }
            assert_eq!(fs::read_to_string(&lock).unwrap(), foreign);
        }
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
        assert!(matches!(Lock::take(&path), Err(FileError::Create { .. })));
        #[cfg(unix)]
        {
            fs::remove_dir(&lock).unwrap();
            fs::write(folder.path().join("target"), "").unwrap();
            std::os::unix::fs::symlink("target", &lock).unwrap();
            assert!(matches!(Lock::take(&path), Err(FileError::Create { .. })));
        }
    }

    #[test]
    fn a_long_name_has_a_lock_too() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x".repeat(255), "ü".repeat(127)] {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            let _held = Lock::take(&path).unwrap();
            assert!(matches!(Lock::take(&path), Err(FileError::InUse { .. })));
        }
    }

    /// The race of removing and creating: without a second look at the path, two threads hold the lock at once.
    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.npy");
        let (inside, turns) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let lock = Lock::wait(&path).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        turns.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 2000);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
