//! Why the system would refuse to replace a file or a folder. It says so at the rename, which comes after the
//! computation.

use std::path::Path;

/// The reason, if there is one.
#[cfg(target_os = "linux")]
pub(super) fn obstacle(path: &Path) -> Option<&'static str> {
    use rustix::fs::{AtFlags, CWD, Statx, StatxAttributes, StatxFlags, statx};
    use rustix::process::geteuid;

    /// The bit of a folder in which only its owner and that of a file replace the file.
    const STICKY: u16 = 0o1000;

    // A kernel without this call says it at the rename.
    let stat = |path: &Path, flags| statx(CWD, path, flags, StatxFlags::BASIC_STATS).ok();
    let has = |found: &Statx, attributes| found.stx_attributes.intersects(attributes);
    let found = stat(path, AtFlags::SYMLINK_NOFOLLOW)?;
    if has(&found, StatxAttributes::MOUNT_ROOT) {
        return Some("is a mount point, which cannot be replaced");
    }
    if has(&found, StatxAttributes::IMMUTABLE) {
        return Some("is immutable");
    }
    if has(&found, StatxAttributes::APPEND) {
        return Some("can only be appended to");
    }
    let folder = stat(super::path::folder_of(path), AtFlags::empty())?;
    if has(&folder, StatxAttributes::APPEND) {
        return Some("is in a folder that can only be appended to");
    }
    let user = geteuid().as_raw();
    let sticky = folder.stx_mode & STICKY != 0 && user != folder.stx_uid && user != found.stx_uid;
    (sticky && !is_privileged()).then_some("belongs to another user, in a sticky folder")
}

#[cfg(not(target_os = "linux"))]
pub(super) fn obstacle(_: &Path) -> Option<&'static str> {
    None
}

/// Whether this thread may do what otherwise only the owner of a file may.
#[cfg(target_os = "linux")]
fn is_privileged() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::FOWNER))
}
