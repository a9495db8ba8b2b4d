//! A folder that is opened once: its files are opened through it, whatever takes its path meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file_id::{FileId, kind_name};
use super::handle::Handle;
#[cfg(target_os = "linux")]
use super::handle::READING;
use super::show;
use crate::files::error::{FileError, is_too_many_files};

#[derive(Clone, Debug)]
pub(super) struct FolderHandle {
    path: PathBuf,
    id: FileId,
    /// `None` if the process has no room for another open file beside it, and on systems that open no files through
    /// a folder: then files are opened by their paths.
    folder: Option<Arc<Handle>>,
}

/// Most folders that take a path in turn while one of them is read.
const MAX_REPLACED: usize = 100;

impl FolderHandle {
    /// Opens the folder at `path`, unless it has been opened with this result, and opens files in it. If the path leads
    /// to another folder at the end, files of this one may have been removed before, and the other one is read.
    pub(super) fn read<T>(
        path: &Path,
        mut file: Option<(Handle, Metadata)>,
        mut read: impl FnMut(&mut FolderHandle) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        for _ in 0..MAX_REPLACED {
            let opened = file.take().map_or_else(|| Handle::open_with_metadata(path), Ok);
            let (handle, metadata) = opened.map_err(FileError::opening(&show(path)))?;
            let mut folder = FolderHandle::new(handle, &metadata, path);
            let result = read(&mut folder);
            if folder.is_current() {
                return result;
            }
        }
        let what = format!("expected a folder, got {MAX_REPLACED} of them in turn");
        Err(FileError::malformed(&show(path), what))
    }

    /// The folder at `path`, which has been opened with this result.
    pub(super) fn new(handle: Handle, metadata: &Metadata, path: &Path) -> Self {
        let folder = cfg!(target_os = "linux").then(|| Arc::new(handle));
        FolderHandle { path: path.to_owned(), id: FileId::of(metadata), folder }
    }

    /// Whether the path still leads to this folder. A program that replaces a folder removes the files of the old one
    /// afterwards: until then all of them are there.
    pub(super) fn is_current(&self) -> bool {
        FileId::at(&self.path) == Some(self.id) || cfg!(not(unix))
    }

    /// The names of its entries, in order.
    pub(super) fn names(&mut self) -> io::Result<Vec<OsString>> {
        #[cfg(target_os = "linux")]
        if let Some(folder) = &self.folder {
            match names_through(folder) {
                Err(error) if is_too_many_files(&error) => self.folder = None,
                names => return names,
            }
        }
        let names = std::fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file in it.
    pub(super) fn open(&mut self, name: &OsStr) -> Result<(Handle, Metadata), FileError> {
        let path = self.path.join(name);
        let place = show(&path);
        let opened = self.handle(name).and_then(|file| Ok((file.metadata()?, file)));
        let refused = |kind| {
            let got = kind_name(kind);
            FileError::malformed(&place, format!("expected a regular file, got {got}"))
        };
        match opened {
            Ok((metadata, file)) if metadata.is_file() => Ok((file, metadata)),
            Ok((metadata, _)) if metadata.is_dir() => {
                let error = io::Error::other("is a directory; expected a file");
                Err(FileError::opening(&place)(error))
            }
            Ok((metadata, _)) => Err(refused(metadata.file_type())),
            // The system opens no socket.
            Err(error) => match path.metadata() {
                Ok(found) if !found.is_file() && !found.is_dir() => Err(refused(found.file_type())),
                _ => Err(FileError::opening(&place)(error)),
            },
        }
    }

    fn handle(&mut self, name: &OsStr) -> io::Result<Handle> {
        #[cfg(target_os = "linux")]
        if let Some(folder) = &self.folder {
            use rustix::fs::{Mode, openat};
            match openat(&folder.0, name, READING, Mode::empty()) {
                Err(error) if is_too_many_files(&error.into()) => self.folder = None,
                opened => return Ok(Handle(opened?.into())),
            }
        }
        Handle::open(&self.path.join(name))
    }
}

#[cfg(target_os = "linux")]
fn names_through(folder: &Handle) -> io::Result<Vec<OsString>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&folder.0)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
