//! Renames in one step, or in as few as the system and the file system allow.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Exchanges two names, in one step if the system supports that.
pub(super) fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(result) = rename_with(new, old, rustix::fs::RenameFlags::EXCHANGE) {
        return result;
    }
    exchange_by_turns(new, old)
}

/// Exchanges two names by way of a third one. After an error the old file has its name again. The third name is not
/// one that other processes remove, so that a process that is killed in between loses nothing.
fn exchange_by_turns(new: &Path, old: &Path) -> io::Result<()> {
    let aside = new.with_extension("old");
    fs::rename(old, &aside)?;
    if let Err(error) = fs::rename(new, old) {
        fs::rename(&aside, old)?;
        return Err(error);
    }
    fs::rename(&aside, new)
}

/// Renames to a free name, in one step if the system supports that.
pub(super) fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(result) = rename_with(from, to, rustix::fs::RenameFlags::NOREPLACE) {
        return result;
    }
    rename_to_missing(from, to)
}

/// Renames to a free name. The system refuses to replace a file with a second link, and a folder that is created in
/// between, unless it is empty.
fn rename_to_missing(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    if from.is_dir() {
        return fs::rename(from, to);
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // A file system without links.
        Err(_) => fs::rename(from, to),
    }
}

/// Renames with a flag; `None` if the kernel or the file system does not support it.
#[cfg(target_os = "linux")]
fn rename_with(from: &Path, to: &Path, flag: rustix::fs::RenameFlags) -> Option<io::Result<()>> {
    use rustix::fs::{CWD, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, flag) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => None,
        result => Some(result.map_err(io::Error::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_by_turns_and_back() {
        let sandbox = tempfile::tempdir().unwrap();
        let (new, old) = (sandbox.path().join("new.tmp"), sandbox.path().join("old"));
        fs::create_dir(&old).unwrap();
        assert!(exchange_by_turns(&new, &old).is_err());
        assert!(old.exists() && !new.exists() && !new.with_extension("old").exists());
        fs::create_dir(&new).unwrap();
        fs::write(new.join("mark"), b"").unwrap();
        exchange_by_turns(&new, &old).unwrap();
        assert!(old.join("mark").exists() && new.exists() && !new.join("mark").exists());
        assert!(!new.with_extension("old").exists());
        assert!(rename_to_missing(&new, &old).is_err());
    }

    #[test]
    fn a_free_name_is_taken_once() {
        let sandbox = tempfile::tempdir().unwrap();
        let (from, to) = (sandbox.path().join("from"), sandbox.path().join("to"));
        for rename in [rename_to_free, rename_to_missing] {
            let _ = fs::remove_file(&to);
            fs::write(&from, b"new").unwrap();
            rename(&from, &to).unwrap();
            assert!(!from.exists() && fs::read(&to).unwrap() == b"new");
            fs::write(&from, b"newer").unwrap();
            assert_eq!(rename(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert!(from.exists() && fs::read(&to).unwrap() == b"new");
        }
    }
}
