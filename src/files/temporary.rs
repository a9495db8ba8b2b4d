//! Temporary files and folders: created beside their targets under recognisable names, and removed when a signal
//! stops the process. A killed process leaves them behind; the next process that creates a temporary file in the
//! folder removes them. They are locked while they are in use, so that only abandoned ones are removed.
//!
//! A name has a checksum: no name that another program or a user has chosen is taken for one of these.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::checksum;
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
    paths.drain(..).for_each(|path| remove(&path));
    std::mem::forget(paths);
}

/// Runs an operation that a signal must not interrupt: the clean-up waits until it is done.
pub(super) fn uninterrupted<T>(operation: impl FnOnce() -> T) -> T {
    let _paths = registered();
    operation()
}

/// A temporary file or folder. It is in the list while this value lives, and is then removed.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    /// False once nothing is to be removed at the path.
    remove: bool,
}

impl Temporary {
    /// Creates a file in a folder, for writing and reading by this user alone. It is locked while it is open.
    pub(super) fn file(folder: &Path) -> io::Result<(Handle, Self)> {
        Self::create(folder, |path| {
            let file = Handle::create_new(path)?;
            Ok(is_held(&file).then_some(file))
        })
    }

    /// Creates a folder in a folder, for this user alone, and the handle that locks it. There is none on systems that
    /// open no folders.
    pub(super) fn folder(folder: &Path) -> io::Result<(Option<Handle>, Self)> {
        Self::create(folder, |path| {
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(path)?;
            match Handle::open(path) {
                Ok(lock) => Ok(is_held(&lock).then_some(Some(lock))),
                // Another process has removed it already.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(_) => Ok(Some(None)),
            }
        })
    }

    /// Creates at free paths until another process has removed none of them. The list stays locked meanwhile, so that
    /// the clean-up never finds a file without its entry.
    fn create<T>(
        folder: &Path,
        create: impl Fn(&Path) -> io::Result<Option<T>>,
    ) -> io::Result<(T, Self)> {
        sweep(folder);
        let mut paths = registered();
        loop {
            let path = folder.join(random_name());
            match create(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(None) => {}
                Ok(Some(created)) => {
                    paths.push(path.clone());
                    return Ok((created, Temporary { path, remove: true }));
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the path alone from here on: what was there has another name, or must stay.
    pub(super) fn leave(&mut self) {
        self.remove = false;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let mut paths = registered();
        if self.remove {
            remove(&self.path);
        }
        paths.retain(|path| *path != self.path);
    }
}

fn remove(path: &Path) {
    let _ = if path.is_dir() {
        // A folder that may not be changed cannot be emptied.
        #[cfg(unix)]
        let _ = fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700));
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
}

/// The name of a temporary file is this prefix, random letters, their checksum, and the suffix.
const PREFIX: &str = ".rnn-";
const SUFFIX: &str = ".tmp";
const LETTERS: usize = 8;

fn random_name() -> String {
    // The keys of a hash table are the random numbers of the standard library.
    let random = RandomState::new().build_hasher().finish();
    let letters = format!("{random:016x}").split_off(16 - LETTERS);
    format!("{PREFIX}{letters}{:08x}{SUFFIX}", checksum(&letters))
}

/// Whether this program has chosen a name.
fn is_temporary(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    random.and_then(|random| random.split_at_checked(LETTERS)).is_some_and(|(letters, sum)| {
        format!("{:08x}", checksum(letters)) == sum
            && letters.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Locks a new file or folder. False if another process has removed it before.
fn is_held(created: &Handle) -> bool {
    // A file system without locks leaves it to its age.
    let _ = created.0.lock();
    #[cfg(unix)]
    let links = created.metadata().map_or(1, |found| std::os::unix::fs::MetadataExt::nlink(&found));
    #[cfg(not(unix))]
    let links = 1;
    links > 0
}

/// The folders that have been swept: a command with many outputs in a folder sweeps it once.
static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Age of a file that is left over on a file system without locks.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes the temporary files and folders of killed processes: those that no process has locked.
fn sweep(folder: &Path) {
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.contains(folder) {
        return;
    }
    swept.insert(folder.to_owned());
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_temporary(&entry.file_name())) {
        // This program creates only files and folders.
        if !entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir()) {
            continue;
        }
        // The lock is held until the file is removed: a process that has just created it waits for the lock.
        let Ok(lock) = Handle::open(&entry.path()) else { continue };
        let changed = lock.metadata().and_then(|found| found.modified());
        if is_abandoned(&lock.0.try_lock(), changed.unwrap_or_else(|_| SystemTime::now())) {
            remove(&entry.path());
        }
    }
}

/// Whether the process that made a file has died, after an attempt to lock it.
fn is_abandoned(locked: &Result<(), TryLockError>, changed: SystemTime) -> bool {
    match locked {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => changed.elapsed().is_ok_and(|age| age > ABANDONED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name as this program would choose it, with these letters.
    fn name(letters: &str) -> String {
        format!("{PREFIX}{letters}{:08x}{SUFFIX}", checksum(letters))
    }

    #[test]
    fn leftovers_are_removed_unless_they_are_locked() {
        let sandbox = tempfile::tempdir().unwrap();
        let path = |name: &str| sandbox.path().join(name);
        let held = [name("00000001"), name("00000002")];
        let foreign = [".rnn-000000.tmp", ".rnn-abcdef.tmp", ".rnn-0000000000000000.tmp", "rnn"];
        for name in foreign.iter().copied().chain([&*held[0], &*name("00000003")]) {
            fs::write(path(name), b"").unwrap();
        }
        for name in [".rnn-backup.tmp", &*held[1], &*name("00000004")] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("w.npy"), b"").unwrap();
        }
        let locks = held.each_ref().map(|name| {
            let file = Handle::open(&path(name)).unwrap();
            assert!(is_held(&file));
            file
        });
        drop(Temporary::file(sandbox.path()).unwrap());
        let mut left: Vec<_> =
            fs::read_dir(sandbox.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let mut names: Vec<_> = foreign.iter().copied().chain([".rnn-backup.tmp"]).collect();
        names.extend(held.iter().map(String::as_str));
        names.sort_unstable();
        assert_eq!(left, names);
        drop(locks);
    }

    #[test]
    fn names_are_those_of_this_program() {
        for _ in 0..1000 {
            let name = random_name();
            assert!(is_temporary(OsStr::new(&name)), "{name}");
            let longer = name.replace(SUFFIX, "0.tmp");
            assert!(!is_temporary(OsStr::new(&longer)), "{longer}");
        }
    }

    /// A file system without locks is not at hand.
    #[test]
    fn without_locks_a_leftover_is_a_day_old() {
        let locked = Err(TryLockError::Error(ErrorKind::Unsupported.into()));
        let hours = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 60 * 60);
        assert!(!is_abandoned(&locked, hours(23)) && is_abandoned(&locked, hours(25)));
        assert!(is_abandoned(&Ok(()), hours(0)));
        assert!(!is_abandoned(&Err(TryLockError::WouldBlock), hours(25)));
        assert!(!is_abandoned(&locked, SystemTime::now() + Duration::from_secs(60)));
    }

    #[test]
    fn files_in_use_are_not_removed() {
        let sandbox = tempfile::tempdir().unwrap();
        let (file, temporary) = Temporary::file(sandbox.path()).unwrap();
        let (_lock, folder) = Temporary::folder(sandbox.path()).unwrap();
        SWEPT.lock().unwrap().clear();
        sweep(sandbox.path());
        assert!(temporary.path().exists() && folder.path().exists());
        fs::remove_file(temporary.path()).unwrap();
        assert!(!is_held(&file), "it is removed, and must be created again");
    }
}
