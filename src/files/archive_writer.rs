//! An .npz archive that is written member by member, so that it is never in memory as a whole.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::StreamWriter;

use super::npy::{header_bytes, write_numbers};
use super::npz::options;
use super::sink::Target;
use super::{AnyArray, Sink, Stored};
use crate::files::error::FileError;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 16;

/// An archive whose members are written one after the other, with the bytes that
/// [`write_npz`](super::write_npz) writes.
///
/// ```
/// use elman::files::{Accepts, File, Overwrite, Sink, Source, open};
/// use ndarray::ArrayD;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("output.npz");
/// let mut archive = Sink::open(&path, Overwrite::Replace)?.into_archive();
/// // Rows of (rows, D * H_out) as they come, and a member in one piece.
/// archive.begin::<f32>("data", &[3, 20])?;
/// archive.append(&[0.5_f32; 2 * 20])?;
/// archive.append(&[0.5_f32; 20])?;
/// archive.member("batch_sizes", &ArrayD::<i64>::ones(vec![3]))?;
/// archive.finish()?.commit()?;
/// let File::Bundle(mut bundle) = open(&Source::Path(path), Accepts::Tensors)? else { panic!() };
/// assert_eq!(bundle.read_as::<f32>(0)?.shape(), [3, 20]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn member(&mut self, name: &str, array: &dyn AnyArray) -> Result<(), FileError> {
        self.write(|zip| {
            zip.start_file(format!("{name}.npy"), options(array.bytes()))?;
            Ok(array.write(zip)?)
        })
    }

    /// Begins a member of this shape, whose numbers follow.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn begin<T: Stored>(&mut self, name: &str, shape: &[usize]) -> Result<(), FileError> {
        let bytes = shape.iter().fold(size_of::<T>(), |bytes, &size| bytes.saturating_mul(size));
        self.write(|zip| {
            zip.start_file(format!("{name}.npy"), options(bytes))?;
            Ok(zip.write_all(&header_bytes(T::DESCR, shape)?)?)
        })
    }

    /// Writes the next numbers of the member that was begun last.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn append<T: Stored>(&mut self, numbers: &[T]) -> Result<(), FileError> {
        self.write(|zip| Ok(write_numbers(zip, numbers)?))
    }

    /// Ends the archive. A regular target still holds its previous content until the sink is committed.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn finish(mut self) -> Result<Sink, FileError> {
        let mut finished = None;
        if let Some(zip) = self.zip.take() {
            let writer = zip.finish().map(StreamWriter::into_inner);
            finished = Some(writer.map_err(|error| self.failed(error))?);
        }
        let writer = finished.unwrap_or_else(|| unreachable!("an archive is finished once"));
        let writer = writer.into_inner().map_err(|error| self.failed(error.into_error().into()))?;
        self.check()?;
        let mut sink = writer.sink;
        let ended = match &mut sink.target {
            Target::Replace { temporary, .. } => temporary.as_file().sync_all(),
            other => other.direct().flush(),
        };
        ended.map_err(|error| self.failed(error.into()))?;
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
        let source = match error {
            ZipError::Io(source) => source,
            error => io::Error::other(error),
        };
        FileError::Write { place: self.place.clone(), source }
    }
}

impl Drop for ArchiveWriter {
    fn drop(&mut self) {
        if self.zip.is_some() {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed;
        }
    }
}
