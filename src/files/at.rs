//! A file, read and written at any place.

use std::io::{self, Read, Write};

use super::handle::Handle;

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
