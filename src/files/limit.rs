//! The limits of the memory that a file can make this process allocate.
//!
//! The header of a regular file is checked against the file's length. A pipe has none, so that its bytes are
//! counted while they arrive.

use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::files::budget::BUILT_BYTES;
use crate::files::error::FileError;

/// Longest header of a .npy file: the default limit of NumPy.
pub(super) const MAX_NPY_HEADER_BYTES: usize = 10_000;

/// Longest header that .safetensors allows.
pub(super) const MAX_SAFETENSORS_HEADER_BYTES: u64 = 100_000_000;

/// Most axes of a tensor: the limit of NumPy and PyTorch.
pub(super) const MAX_AXES: usize = 64;

/// Longest text beside tensors; a configuration has a few hundred bytes.
pub(super) const MAX_TEXT_BYTES: u64 = 1 << 20;

/// Most members of an archive of weights; not below the largest number of two bytes.
pub(super) const MAX_MEMBERS: u64 = 100_000;

/// Most members of an archive of sequences, each with some 300 bytes of the directory, its name and its shape.
pub(super) const MAX_SEQUENCES: u64 = BUILT_BYTES as u64 / 400;

/// Bytes of a checkpoint's tensors for each byte of the file: a view can repeat one number a thousand times, and two
/// modules may share their weights. Also bytes of a member of an .npz for each of its compressed bytes: zeros become a
/// thousand times as many.
pub(super) const MAX_SHARED: u64 = 4;

/// Bytes that the tensors of a checkpoint may have whatever the size of the file. Converted to doubles, whole
/// numbers of one byte each take 64 MiB.
pub(super) const SMALL_CHECKPOINT_BYTES: u64 = 8 << 20;

/// Most bytes that this process reads from a pipe.
static STREAM_BYTES: AtomicU64 = AtomicU64::new(u64::MAX);

/// Sets the limit of the bytes that this process reads from standard input, or from any other pipe, from now on. More
/// bytes are a [`FileError::Malformed`], or a [`FileError::Read`] of the kind
/// [`FileTooLarge`](ErrorKind::FileTooLarge). For [`Arrays`](super::Arrays), which may have no end, the limit holds
/// for each array. There is no limit until it is set.
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
            // One more byte is enough to know that the limit is exceeded.
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

/// Rejects an array of a stream that is larger than the limit.
pub(super) fn check_array(bytes: u64, place: &str) -> Result<(), FileError> {
    if bytes <= STREAM_BYTES.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(FileError::malformed(place, refused(&format!("an array of {bytes}"))))
}

/// Appends the line of this number, with its end, to `text`, which may become as long as the limit, or as what is built
/// from a file; false at the end of the stream.
pub(super) fn read_line(
    reader: &mut dyn BufRead,
    text: &mut Vec<u8>,
    place: &str,
    number: usize,
) -> Result<bool, FileError> {
    let most = STREAM_BYTES.load(Ordering::Relaxed).min(BUILT_BYTES as u64);
    let left = (most + 1).saturating_sub(text.len() as u64);
    let got = Read::take(reader, left).read_until(b'\n', text);
    let got = got.map_err(FileError::reading(place))?;
    if text.len() as u64 > most {
        let flag = if most < BUILT_BYTES as u64 { " (--max-bytes)" } else { "" };
        let what = format!("expected a line of at most {most} bytes{flag}, got more");
        return Err(FileError::malformed(&format!("{place}: line {number}"), what));
    }
    Ok(got > 0)
}

fn refused(got: &str) -> String {
    let most = STREAM_BYTES.load(Ordering::Relaxed);
    format!("expected at most {most} bytes from a pipe (--max-bytes), got {got}")
}
