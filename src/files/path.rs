//! What a path says, and where its links lead.

use std::fs;
use std::path::{Path, PathBuf};

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

/// The folder of a path.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
