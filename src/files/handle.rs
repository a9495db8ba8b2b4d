//! Files as this program touches them: all reads, writes, syncs and renames pass through here, and so do
//! the bytes of the standard streams. A test can let any of them fail.

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
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
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
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
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// A file from some place on. The system is told the place with each call, and not beforehand with one of its
/// own: of short runs there are very many.
pub(super) struct At<'a> {
    pub(super) file: &'a Handle,
    pub(super) at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for At<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(buffer, self.at)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the whole content of a file through a buffer, and puts it on the disk.
pub(super) fn write_whole(
    file: &mut Handle,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut counted = CountedFile { file, written: 0, needed: 0, failed: None };
    write_buffered(&mut counted, write)?;
    let CountedFile { file, written, needed, failed } = counted;
    failed.map_or(Ok(()), |error| Err(with_bytes(&error, written, needed)))?;
    file.sync_all()
}

/// Writes through a buffer.
pub(super) fn write_buffered(
    to: impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(1 << 16, to);
    write(&mut to)?;
    to.flush()
}

/// A file that is written. After an error it takes what comes and counts it, so that the message can say how
/// many bytes a full disk lacks.
struct CountedFile<'a> {
    file: &'a mut Handle,
    written: u64,
    needed: u64,
    failed: Option<io::Error>,
}

impl Write for CountedFile<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = match &self.failed {
            Some(_) => buffer.len(),
            None => match self.file.write(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    buffer.len()
                }
                Ok(written) => {
                    self.written += written as u64;
                    written
                }
            },
        };
        self.needed += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A failed write, and how far it came.
pub(super) fn with_bytes(error: &io::Error, written: u64, needed: u64) -> io::Error {
    io::Error::new(error.kind(), format!("{written} of {needed} bytes written: {error}"))
}
