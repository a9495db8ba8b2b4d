//! The outputs of a command take their places together.

use super::replace::{Replacement, put_in_place, put_together, sync_folders};
use super::{FileId, Folder, Sink};
use crate::files::error::FileError;

/// A complete output that is not in its place yet.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Pending {
    File(Sink),
    Folder(Folder),
}

/// Moves outputs to their paths. At any time each path holds its old content or the whole new one.
///
/// # Errors
/// [`FileError::Write`], and [`FileError::Create`] if this would remove something else than the old output: it is kept.
/// All paths hold their old content, unless the error is that of making the new one permanent.
pub fn commit_all(outputs: impl IntoIterator<Item = Pending>) -> Result<(), FileError> {
    put_in_place(replacements(outputs)?)
}

/// Moves the outputs of many works to their paths, those of each work as [`commit_all`] does, and returns the result of
/// each. Files that [`sync_later`](Sink::sync_later) are synced together: on a disk on which one sync takes 5 ms, a
/// hundred of them take 30 ms.
pub fn commit_each(mut works: Vec<Vec<Pending>>) -> Vec<Result<(), FileError>> {
    sync_together(&mut works);
    let put = works.into_iter().map(|outputs| put_together(replacements(outputs)?));
    // All names change before their folder is synced, once.
    let (put, mut synced): (Vec<_>, _) = (put.collect(), Vec::new());
    put.into_iter().map(|own| sync_folders(&own?, &mut synced)).collect()
}

/// Below this number of files, each is synced on its own: a sync of the file system also writes what other programs
/// have changed. A guess.
const FEW: usize = 8;

/// Syncs the file systems of files that are not synced yet. A file on a system that does not support this, or reports
/// an error, stays unsynced: it is synced on its own later, and has its own error.
fn sync_together(works: &mut [Vec<Pending>]) {
    let files = works.iter_mut().flatten().filter_map(|output| match output {
        Pending::File(sink) => sink.unsynced(),
        Pending::Folder(_) => None,
    });
    let mut files: Vec<_> = files.collect();
    if files.len() < FEW {
        return;
    }
    let mut tried: Vec<(u64, bool)> = Vec::new();
    for (file, later) in &mut files {
        let id = file.metadata().ok().map(|found| FileId::of(&found));
        let Some(device) = id.and_then(FileId::device) else { return };
        let known = tried.iter().find(|(other, _)| *other == device).map(|(_, synced)| *synced);
        let synced = known.unwrap_or_else(|| {
            let synced = file.sync_file_system().is_ok();
            tried.push((device, synced));
            synced
        });
        **later = !synced;
    }
}

/// The outputs that are not written in place.
fn replacements(outputs: impl IntoIterator<Item = Pending>) -> Result<Vec<Replacement>, FileError> {
    outputs.into_iter().filter_map(Pending::into_replacement).collect()
}

impl Pending {
    /// `None` if it has been written in place.
    fn into_replacement(self) -> Option<Result<Replacement, FileError>> {
        match self {
            Pending::File(sink) => sink.into_replacement(),
            Pending::Folder(folder) => Some(folder.into_replacement()),
        }
    }
}

impl From<Sink> for Pending {
    fn from(sink: Sink) -> Self {
        Pending::File(sink)
    }
}

impl From<Folder> for Pending {
    fn from(folder: Folder) -> Self {
        Pending::Folder(folder)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files::Overwrite;

    #[test]
    fn works_take_their_places_on_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let works = (0..2 * FEW).map(|work| {
            let outputs = ["a", "b"].map(|name| {
                let path = path(&format!("{name}{work}"));
                let mut sink = Sink::open(&path, Overwrite::Replace).unwrap().sync_later();
                sink.write(|file| file.write_all(b"new")).unwrap();
                Pending::from(sink)
            });
            outputs.into_iter().collect()
        });
        let works: Vec<_> = works.collect();
        fs::create_dir_all(path("b3").join("x")).unwrap();
        let ended = commit_each(works);
        for (work, ended) in ended.iter().enumerate() {
            let placed = path(&format!("a{work}")).exists();
            assert_eq!((ended.is_ok(), placed), (work != 3, work != 3), "{work}: {ended:?}");
        }
        // 15 works with two files each, and the folder: no temporary file is left.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 31);
    }
}
