//! .npz archives, written: in one piece, or member by member, so that one is never in memory as a whole.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter};

use super::limit::MAX_MEMBERS;
use super::npy::{header_bytes, write_numbers};
use super::{AnyArray, Sink, Stored};
use crate::files::error::FileError;

/// Writes arrays as an .npz archive, stored as NumPy stores them, with the text as its comment.
///
/// # Errors
/// [`FileError::Write`]; also where the text is too long for a comment, which holds 65535 bytes, or where there are
/// more than the 100000 members that are read again.
pub fn write_npz(
    sink: &mut Sink,
    members: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), FileError> {
    sink.write(|file| write_archive(file, members, text).map_err(system_error))
}

fn write_archive(
    file: &mut dyn Write,
    members: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), ZipError> {
    if members.len() as u64 > MAX_MEMBERS {
        let what = format!("archive of {} members; limit {MAX_MEMBERS}", members.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what).into());
    }
    let mut zip = ZipWriter::new_stream(file);
    for (name, array) in members {
        zip.start_file(format!("{name}.npy"), options(array.bytes()))?;
        array.write(&mut zip)?;
    }
    zip.set_comment(text)?;
    zip.finish()?;
    Ok(())
}

fn system_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(source) => source,
        error => io::Error::other(error),
    }
}

/// How a member of this many bytes is stored. The same tensors give the same bytes: no clock, no compression
/// whose library may change.
fn options(bytes: usize) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .large_file(bytes >= u32::MAX as usize / 2)
}

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 16;

/// An archive whose members are written one after the other, with the bytes that
/// [`write_npz`](super::write_npz) writes.
#[derive(Debug)]
pub struct ArchiveWriter {
    zip: Option<ZipWriter<StreamWriter<BufWriter<SinkWriter>>>>,
    place: String,
    state: Arc<Mutex<State>>,
}

/// Whether bytes still reach the sink. The writer of archives completes an archive that is dropped, which
/// would make an incomplete one look whole, and prints an error that it meets then.
#[derive(Debug)]
enum State {
    Open,
    Failed(io::Error),
    /// Everything that is still written is dropped.
    Closed,
}

/// Passes bytes to the sink as long as that works.
#[derive(Debug)]
struct SinkWriter {
    sink: Sink,
    state: Arc<Mutex<State>>,
}

impl Write for SinkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Open)
            && let Err(error) = self.sink.target.direct().write_all(bytes)
        {
            *state = State::Failed(error);
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
        let (place, state) = (self.place.clone(), Arc::new(Mutex::new(State::Open)));
        let writer = SinkWriter { sink: self, state: Arc::clone(&state) };
        let writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
        ArchiveWriter { zip: Some(ZipWriter::new_stream(writer)), place, state }
    }
}

impl ArchiveWriter {
    /// Writes a whole member.
    pub fn member(&mut self, name: &str, array: &dyn AnyArray) -> Result<(), FileError> {
        self.write(|zip| {
            zip.start_file(format!("{name}.npy"), options(array.bytes()))?;
            Ok(array.write(zip)?)
        })
    }

    /// Begins a member of this shape, whose numbers follow.
    pub fn begin<T: Stored>(&mut self, name: &str, shape: &[usize]) -> Result<(), FileError> {
        let bytes = shape.iter().fold(size_of::<T>(), |bytes, &size| bytes.saturating_mul(size));
        self.write(|zip| {
            zip.start_file(format!("{name}.npy"), options(bytes))?;
            Ok(zip.write_all(&header_bytes(T::DESCR, shape)?)?)
        })
    }

    /// Writes the next numbers of the member that was begun last.
    pub fn append<T: Stored>(&mut self, numbers: &[T]) -> Result<(), FileError> {
        self.write(|zip| Ok(write_numbers(zip, numbers)?))
    }

    /// Ends the archive. A regular target still holds its previous content until the sink is committed.
    pub fn finish(mut self) -> Result<Sink, FileError> {
        let Some(zip) = self.zip.take() else { unreachable!("an archive is finished once") };
        let writer = zip.finish().map_err(|error| self.failed(error))?.into_inner();
        let writer = writer.into_inner().map_err(|error| self.failed(error.into_error().into()))?;
        self.check()?;
        let mut sink = writer.sink;
        sink.target.end().map_err(|error| self.failed(error.into()))?;
        Ok(sink)
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut ZipWriter<StreamWriter<BufWriter<SinkWriter>>>) -> Result<(), ZipError>,
    ) -> Result<(), FileError> {
        if let Some(zip) = &mut self.zip {
            let written = write(zip);
            written.map_err(|error| self.failed(error))?;
        }
        self.check()
    }

    /// Reports an error of the sink, which the archive has not seen.
    fn check(&self) -> Result<(), FileError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open = *state {
            return Ok(());
        }
        let State::Failed(error) = std::mem::replace(&mut *state, State::Closed) else {
            return Ok(());
        };
        Err(FileError::Write { place: self.place.clone(), source: error })
    }

    fn failed(&self, error: ZipError) -> FileError {
        FileError::Write { place: self.place.clone(), source: system_error(error) }
    }
}

impl Drop for ArchiveWriter {
    fn drop(&mut self) {
        if self.zip.is_some() {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed;
        }
    }
}
