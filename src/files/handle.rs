//! Files as this program touches them: all reads, writes, syncs and renames pass through here, and so do
//! the bytes of the standard streams. A test can let any of them fail.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::faults::{Operation, pass};

/// An open file.
#[derive(Debug)]
pub(super) struct Handle(fs::File);

impl Handle {
    /// Opens a file to be read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::File::open(path).map(Handle)
    }

    /// Makes a file to be written and read, at a path where nothing is.
    pub(super) fn create_new(path: &Path) -> io::Result<Self> {
        fs::File::options().read(true).write(true).create_new(true).open(path).map(Handle)
    }

    /// Opens what is there already to be written.
    pub(super) fn open_to_write(path: &Path) -> io::Result<Self> {
        fs::File::options().write(true).open(path).map(Handle)
    }

    /// A file without a name, in the folder for temporary ones.
    pub(super) fn unnamed() -> io::Result<Self> {
        tempfile::tempfile().map(Handle)
    }

    /// A path that leads to this very file for as long as it is open, whatever its name leads to by then;
    /// none where the system has no such paths.
    #[cfg(feature = "pt")]
    pub(super) fn own_path(&self) -> Option<std::path::PathBuf> {
        #[cfg(target_os = "linux")]
        {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.0));
            // A process may run where nobody has mounted /proc.
            fs::metadata(&path).is_ok().then(|| path.into())
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    pub(super) fn metadata(&self) -> io::Result<fs::Metadata> {
        self.0.metadata()
    }

    /// Waits until this process alone holds the file; see [`fs::File::lock`].
    pub(super) fn lock(&self) -> io::Result<()> {
        self.0.lock()
    }

    /// Puts content and length on the disk.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        pass(Operation::Sync, 0)?;
        self.0.sync_all()
    }

    /// Puts the content on the disk.
    pub(super) fn sync_data(&self) -> io::Result<()> {
        pass(Operation::Sync, 0)?;
        self.0.sync_data()
    }

    /// Reads from some place on, wherever the file stands.
    #[cfg(unix)]
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let len = pass(Operation::Read, buffer.len())?;
        std::os::unix::fs::FileExt::read_at(&self.0, &mut buffer[..len], at)
    }

    /// Writes from some place on, wherever the file stands.
    #[cfg(unix)]
    pub(super) fn write_at(&self, buffer: &[u8], at: u64) -> io::Result<usize> {
        let len = pass(Operation::Write, buffer.len())?;
        std::os::unix::fs::FileExt::write_at(&self.0, &buffer[..len], at)
    }

    /// Reads from some place on.
    #[cfg(not(unix))]
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        (&self.0).seek(SeekFrom::Start(at))?;
        let len = pass(Operation::Read, buffer.len())?;
        (&self.0).read(&mut buffer[..len])
    }

    /// Writes from some place on.
    #[cfg(not(unix))]
    pub(super) fn write_at(&self, buffer: &[u8], at: u64) -> io::Result<usize> {
        (&self.0).seek(SeekFrom::Start(at))?;
        let len = pass(Operation::Write, buffer.len())?;
        (&self.0).write(&buffer[..len])
    }
}

impl Read for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read(&mut self.0, buffer)
    }
}

impl Write for Handle {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        write(&mut self.0, buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Handle {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// Reads from a file or a stream.
pub(super) fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let len = pass(Operation::Read, buffer.len())?;
    from.read(&mut buffer[..len])
}

/// Reads until `bytes` is full or the source ends, and returns how many bytes that were.
pub(super) fn read_full(reader: &mut dyn Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match reader.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// Writes to a file or a stream.
pub(super) fn write(to: &mut impl Write, buffer: &[u8]) -> io::Result<usize> {
    let len = pass(Operation::Write, buffer.len())?;
    to.write(&buffer[..len])
}

/// Does what gives a file or folder another name.
pub(super) fn rename<T>(rename: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    pass(Operation::Rename, 0)?;
    rename()
}

/// Makes a rename last. Not every file system can; the rename itself has been done.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match Handle::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}
