//! All reads, writes, syncs and renames of files, and the bytes of the standard streams, pass through here, so that
//! a test can make any of them fail.

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::traffic::count;
use crate::faults::{Operation, pass};

#[derive(Debug)]
pub(super) struct Handle(pub(super) fs::File);

/// Flags of a file that is opened for reading: neither a pipe without a writer nor a terminal delays the program.
#[cfg(target_os = "linux")]
pub(super) const READING: rustix::fs::OFlags = rustix::fs::OFlags::NONBLOCK
    .union(rustix::fs::OFlags::NOCTTY)
    .union(rustix::fs::OFlags::CLOEXEC);

impl Handle {
    /// Opens a file or a folder for reading, without waiting for the writer of a pipe.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::fs::OpenOptionsExt;
            let flags = READING.bits().cast_signed();
            match fs::File::options().read(true).custom_flags(flags).open(path) {
                // A regular file that another program has leased: the system takes the lease back.
                Err(error) if error.kind() == ErrorKind::WouldBlock && path.is_file() => {}
                opened => return opened.map(Handle),
            }
        }
        fs::File::open(path).map(Handle)
    }

    /// Opens a file or a folder, and asks what it is.
    pub(super) fn open_with_metadata(path: &Path) -> io::Result<(Self, fs::Metadata)> {
        let file = Self::open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    }

    /// Creates a file at a free path, for writing and reading by this user alone.
    pub(super) fn create_new(path: &Path) -> io::Result<Self> {
        let mut options = fs::File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map(Handle)
    }

    /// Sets the permissions, on systems that have them.
    pub(super) fn set_permissions(&self, permissions: Option<fs::Permissions>) -> io::Result<()> {
        permissions.map_or(Ok(()), |permissions| self.0.set_permissions(permissions))
    }

    pub(super) fn metadata(&self) -> io::Result<fs::Metadata> {
        self.0.metadata()
    }

    pub(super) fn sync_all(&self) -> io::Result<()> {
        pass(Operation::Sync, 0)?;
        self.0.sync_all()
    }

    /// Syncs everything that has been written to the file system of the file.
    pub(super) fn sync_file_system(&self) -> io::Result<()> {
        pass(Operation::Sync, 0)?;
        #[cfg(target_os = "linux")]
        return Ok(rustix::fs::syncfs(&self.0)?);
        #[cfg(not(target_os = "linux"))]
        Err(ErrorKind::Unsupported.into())
    }

    pub(super) fn sync_data(&self) -> io::Result<()> {
        pass(Operation::Sync, 0)?;
        self.0.sync_data()
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

pub(super) fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let len = pass(Operation::Read, buffer.len())?;
    from.read(&mut buffer[..len]).inspect(|&n| count(n))
}

/// Reads until `bytes` is full or the source ends, and returns the number of bytes.
pub(super) fn read_full(reader: &mut dyn Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match reader.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

pub(super) fn write(to: &mut impl Write, buffer: &[u8]) -> io::Result<usize> {
    let len = pass(Operation::Write, buffer.len())?;
    to.write(&buffer[..len]).inspect(|&n| count(n))
}

/// Runs an operation that renames a file or folder.
pub(super) fn rename<T>(rename: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    pass(Operation::Rename, 0)?;
    rename()
}

/// Makes a rename in a folder permanent. Some file systems do not support this; the rename itself has been done.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match Handle::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error)
            if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::PermissionDenied) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// A file, read or written from a position on. Each call passes the position to the system: a seek before it would
/// double the calls, and there may be millions of short runs.
pub(super) struct FileCursor<'a> {
    pub(super) file: &'a Handle,
    pub(super) at: u64,
}

impl Read for FileCursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = pass(Operation::Read, buffer.len())?;
        #[cfg(unix)]
        let n = std::os::unix::fs::FileExt::read_at(&self.file.0, &mut buffer[..len], self.at)?;
        #[cfg(not(unix))]
        let n = {
            (&self.file.0).seek(SeekFrom::Start(self.at))?;
            (&self.file.0).read(&mut buffer[..len])?
        };
        count(n);
        self.at += n as u64;
        Ok(n)
    }
}

impl Write for FileCursor<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let len = pass(Operation::Write, buffer.len())?;
        #[cfg(unix)]
        let n = std::os::unix::fs::FileExt::write_at(&self.file.0, &buffer[..len], self.at)?;
        #[cfg(not(unix))]
        let n = {
            (&self.file.0).seek(SeekFrom::Start(self.at))?;
            (&self.file.0).write(&buffer[..len])?
        };
        count(n);
        self.at += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the whole content of a file through a buffer, and syncs it to the disk unless that is done `later`.
pub(super) fn write_whole(
    file: &mut Handle,
    later: bool,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut counted = CountedFile { file, written: 0, needed: 0, failed: None };
    write_buffered(&mut counted, write)?;
    let CountedFile { file, written, needed, failed } = counted;
    failed.map_or(Ok(()), |error| Err(with_bytes(&error, written, needed)))?;
    if later { Ok(()) } else { file.sync_all() }
}

pub(super) fn write_buffered(
    to: impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(1 << 16, to);
    write(&mut to)?;
    to.flush()
}

/// A file that is written. After an error it accepts further bytes and counts them, so that the message can say how
/// many bytes a full disk lacks.
struct CountedFile<'a> {
    file: &'a mut Handle,
    written: u64,
    needed: u64,
    failed: Option<io::Error>,
}

impl Write for CountedFile<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut taken = buffer.len();
        if self.failed.is_none() {
            match self.file.write(buffer) {
                Ok(written) => {
                    taken = written;
                    self.written += written as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => self.failed = Some(error),
            }
        }
        self.needed += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A failed write with the number of bytes before it.
pub(super) fn with_bytes(error: &io::Error, written: u64, needed: u64) -> io::Error {
    io::Error::new(error.kind(), format!("{written} of {needed} bytes written: {error}"))
}
