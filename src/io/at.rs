//! A file, read and written at any place.

use std::fs::File;
use std::io::{self, Read, Write};

/// A file from some place on. The system is told the place with each call, and not beforehand with one of its
/// own: of short runs there are very many.
pub(super) struct At<'a> {
    pub(super) file: &'a File,
    pub(super) at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.at)?;
        #[cfg(not(unix))]
        let read = {
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.at))?;
            self.file.read(buffer)?
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for At<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let written = std::os::unix::fs::FileExt::write_at(self.file, buffer, self.at)?;
        #[cfg(not(unix))]
        let written = {
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.at))?;
            self.file.write(buffer)?
        };
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
