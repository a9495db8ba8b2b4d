//! Permissions of outputs. A file is private until it is complete.

use std::fs::{Metadata, Permissions};

/// The bits that make a program run as its owner or its group: data must not have them.
const SET_IDS: u32 = 0o6000;

/// The permissions of a new file or folder: those of the one that it replaces, or those that the umask leaves. `None` on
/// systems without them.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems have none")]
pub(super) fn permissions(existing: Option<&Metadata>, folder: bool) -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    let all = if folder { 0o777 } else { 0o666 };
    let mode = existing.map_or_else(|| all & !umask(), |found| found.permissions().mode());
    Some(Permissions::from_mode(mode & 0o7777 & !SET_IDS))
}

#[cfg(not(unix))]
pub(super) fn permissions(_: Option<&Metadata>, _: bool) -> Option<Permissions> {
    None
}

/// The umask of this process. A file of the kernel says it; to ask for it is to change it, for all threads. If there
/// is no such file, new files stay private.
#[cfg(target_os = "linux")]
fn umask() -> u32 {
    use std::io::Read;
    let read = || {
        // It is in the second line, behind the name of the process.
        let mut start = [0; 256];
        let len = std::fs::File::open("/proc/self/status").ok()?.read(&mut start).ok()?;
        let text = String::from_utf8_lossy(&start[..len]);
        let mask = text.lines().find_map(|line| line.strip_prefix("Umask:"))?;
        u32::from_str_radix(mask.trim(), 8).ok()
    };
    read().unwrap_or(0o077)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn umask() -> u32 {
    0o022
}
