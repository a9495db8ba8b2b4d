//! How much a stream may give. A file has a length that its header can be held against; a pipe has none.

use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::files::error::FileError;

/// Of this process, as the limits that the system sets are.
static STREAM_BYTES: AtomicU64 = AtomicU64::new(u64::MAX);

/// Sets how many bytes this process reads from standard input, or from any other pipe, from now on: one
/// that gives more is an [`FileError::Malformed`], or an [`FileError::Read`] of the kind
/// [`FileTooLarge`](ErrorKind::FileTooLarge). Of [`Arrays`](super::Arrays), which may have no end, each
/// has this limit. There is none until it is set.
///
/// ```
/// elman::files::limit_streams(1 << 30);
/// ```
pub fn limit_streams(bytes: u64) {
    STREAM_BYTES.store(bytes, Ordering::Relaxed);
}

/// A stream within the limit.
pub(super) struct Limited<R> {
    reader: R,
    left: u64,
}

impl<R> Limited<R> {
    pub(super) fn new(reader: R) -> Self {
        Limited { reader, left: STREAM_BYTES.load(Ordering::Relaxed) }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            // What is too much is known by its first byte.
            return match self.reader.read(&mut buffer[..1])? {
                0 => Ok(0),
                _ => Err(io::Error::new(ErrorKind::FileTooLarge, refused("more"))),
            };
        }
        let len = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.reader.read(&mut buffer[..len])?;
        self.left -= got as u64;
        Ok(got)
    }
}

/// Refuses an array of a stream that is larger than the limit.
pub(super) fn check_array(bytes: u64, place: &str) -> Result<(), FileError> {
    if bytes <= STREAM_BYTES.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(FileError::Malformed {
        place: place.to_owned(),
        what: refused(&format!("an array of {bytes}")),
    })
}

fn refused(got: &str) -> String {
    let most = STREAM_BYTES.load(Ordering::Relaxed);
    format!("expected at most {most} bytes from a pipe (--max-bytes), got {got}")
}
