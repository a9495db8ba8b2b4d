//! The identity and the kind of a file.

use std::fs;
use std::path::Path;

use super::path::{folder_of, resolve};

/// A file on its device: every path to a file gives the same value. On systems without inodes no two are equal.
#[derive(Clone, Copy, Debug)]
pub struct FileId {
    device: u64,
    inode: Option<u64>,
    is_folder: bool,
}

impl FileId {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let (device, inode) = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), Some(metadata.ino()))
        };
        #[cfg(not(unix))]
        let (device, inode) = (0, None);
        FileId { device, inode, is_folder: metadata.is_dir() }
    }

    /// The number of its file system, on systems that have one.
    pub(super) fn device(self) -> Option<u64> {
        self.inode.map(|_| self.device)
    }

    /// The file that a path leads to, if there is one.
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| FileId::of(&metadata))
    }

    /// Whether this is a folder, and an output at a path would be in it.
    pub fn holds(&self, path: &Path) -> bool {
        self.is_folder && FileId::at(folder_of(&resolve(path))) == Some(*self)
    }

    /// The file that a standard stream reads or writes.
    #[cfg(unix)]
    pub fn of_stream(stream: &impl std::os::fd::AsFd) -> Option<Self> {
        let file = fs::File::from(stream.as_fd().try_clone_to_owned().ok()?);
        file.metadata().ok().map(|metadata| FileId::of(&metadata))
    }

    /// The file that a standard stream reads or writes.
    #[cfg(not(unix))]
    pub fn of_stream<S>(_: &S) -> Option<Self> {
        None
    }
}

impl PartialEq for FileId {
    fn eq(&self, other: &Self) -> bool {
        self.inode.is_some() && (self.device, self.inode) == (other.device, other.inode)
    }
}

/// The name of a kind of file that is not a regular one.
pub(super) fn kind_name(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    if kind.is_dir() { "a folder" } else { "a device" }
}
