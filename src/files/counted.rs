//! Content that goes to a file, counted, so that a disk that is full can be said to lack so many bytes.

use std::io::{self, ErrorKind, Write};

use super::handle::Handle;

/// A file that is written. After an error it takes what comes and counts it.
pub(super) struct CountedFile<'a> {
    file: &'a mut Handle,
    written: u64,
    needed: u64,
    failed: Option<io::Error>,
}

impl<'a> CountedFile<'a> {
    pub(super) fn new(file: &'a mut Handle) -> Self {
        CountedFile { file, written: 0, needed: 0, failed: None }
    }

    /// The error with the bytes, where there was one.
    pub(super) fn finish(self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |error| Err(with_bytes(&error, self.written, self.needed)))
    }
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
