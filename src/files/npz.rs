//! .npz archives, written whole, or member by member with one member in memory at a time.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zip::ZipWriter;
use zip::result::{ZipError, ZipResult};
use zip::write::{SimpleFileOptions, StreamWriter};

use super::limit::MAX_MEMBERS;
use super::npy::{PIECE_BYTES, header_bytes, write_numbers};
use super::{AnyArray, Sink, Stored};
use crate::files::error::FileError;

/// Writes arrays as an .npz archive, stored as NumPy stores them, with the text as its comment.
///
/// # Errors
/// [`FileError::Write`]; also if the text is too long for a comment, which holds 65535 bytes, or if there are more
/// than the 100000 members that can be read.
pub fn write_npz(
    sink: &mut Sink,
    members: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), FileError> {
    let write = |file: &mut dyn Write| {
        if members.len() as u64 > MAX_MEMBERS {
            let what = format!("archive of {} members; limit {MAX_MEMBERS}", members.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what).into());
        }
        let mut zip = ZipWriter::new_stream(file);
        for (name, array) in members {
            start(&mut zip, name, array.bytes())?;
            array.write(&mut zip)?;
        }
        zip.set_comment(text)?;
        zip.finish()?;
        Ok(())
    };
    sink.write(|file| write(file).map_err(system_error))
}

/// Starts a member of this many bytes. The same tensors give the same bytes: the archive has no times, and no
/// compression, whose library may change.
fn start<W: Write>(
    zip: &mut ZipWriter<StreamWriter<W>>,
    name: &str,
    bytes: usize,
) -> ZipResult<()> {
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .large_file(bytes >= u32::MAX as usize / 2);
    zip.start_file(format!("{name}.npy"), options)
}

fn system_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(source) => source,
        error => io::Error::other(error),
    }
}

type Zip = ZipWriter<StreamWriter<BufWriter<SinkWriter>>>;

/// An archive whose members are written one after the other, with the bytes that
/// [`write_npz`](super::write_npz) writes.
#[derive(Debug)]
pub struct ArchiveWriter {
    place: String,
    /// Dropped before the archive.
    open: CloseOnDrop,
    zip: Zip,
}

/// Whether bytes still reach the sink. The writer of archives completes an archive that is dropped, which would make
/// an incomplete one look whole, and prints errors of that: the bytes of a closed archive are discarded.
#[derive(Debug)]
struct CloseOnDrop(Arc<AtomicBool>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Passes bytes to the sink until the first error.
#[derive(Debug)]
struct SinkWriter {
    sink: Sink,
    open: Arc<AtomicBool>,
}

impl Write for SinkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.open.load(Ordering::Relaxed) {
            let written = self.sink.target.direct().write_all(bytes);
            self.open.store(written.is_ok(), Ordering::Relaxed);
            written?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    /// Begins an archive.
    pub fn into_archive(self) -> ArchiveWriter {
        let (place, open) = (self.place.clone(), Arc::new(AtomicBool::new(true)));
        let writer = SinkWriter { sink: self, open: Arc::clone(&open) };
        let zip = ZipWriter::new_stream(BufWriter::with_capacity(PIECE_BYTES, writer));
        ArchiveWriter { place, open: CloseOnDrop(open), zip }
    }
}

impl ArchiveWriter {
    /// Writes a whole member.
    pub fn member(&mut self, name: &str, array: &dyn AnyArray) -> Result<(), FileError> {
        self.write(|zip| {
            start(zip, name, array.bytes())?;
            Ok(array.write(zip)?)
        })
    }

    /// Begins a member of this shape, whose numbers follow.
    pub fn begin<T: Stored>(&mut self, name: &str, shape: &[usize]) -> Result<(), FileError> {
        let bytes = shape.iter().fold(size_of::<T>(), |bytes, &size| bytes.saturating_mul(size));
        self.write(|zip| {
            start(zip, name, bytes)?;
            Ok(zip.write_all(&header_bytes(T::DESCR, shape)?)?)
        })
    }

    /// Writes the next numbers of the member that was begun last.
    pub fn append<T: Stored>(&mut self, numbers: &[T]) -> Result<(), FileError> {
        self.write(|zip| Ok(write_numbers(zip, numbers, &mut Vec::new())?))
    }

    /// Ends the archive. A regular target still holds its previous content until the sink is committed.
    pub fn finish(self) -> Result<Sink, FileError> {
        let ArchiveWriter { place, open, zip } = self;
        let end = || {
            let writer = zip.finish().map_err(system_error)?.into_inner();
            let mut sink = writer.into_inner().map_err(io::IntoInnerError::into_error)?.sink;
            sink.target.end()?;
            Ok(sink)
        };
        let sink = end().map_err(FileError::writing(&place));
        drop(open);
        sink
    }

    fn write(&mut self, write: impl FnOnce(&mut Zip) -> ZipResult<()>) -> Result<(), FileError> {
        let written = write(&mut self.zip).map_err(system_error);
        written.map_err(FileError::writing(&self.place))
    }
}
