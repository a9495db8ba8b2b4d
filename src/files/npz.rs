//! .npz archives, written: in one piece, or member by member, so that one is never in memory as a whole.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter};

use super::limit::MAX_MEMBERS;
use super::npy::{header_bytes, write_numbers};
use super::sink::Target;
use super::{AnyArray, Sink, Stored};
use crate::files::error::FileError;

/// Writes arrays as an .npz archive, stored as NumPy stores them, with the text as its comment.
///
/// ```
/// use elman::Config;
/// use elman::files::{Overwrite, Sink, write_npz};
/// use ndarray::ArrayD;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("w.npz");
/// let weight_ih = ArrayD::<f32>::zeros(vec![20, 10]);
/// let weight_hh = ArrayD::<f32>::zeros(vec![20, 20]);
/// let config = Config { bias: false, ..Config::new(10, 20) };
/// let mut sink = Sink::open(&path, Overwrite::Replace)?;
/// let members = [("weight_ih_l0", &weight_ih as _), ("weight_hh_l0", &weight_hh as _)];
/// write_npz(&mut sink, &members, &config.to_json().to_string())?;
/// sink.commit()?;
/// assert!(path.exists());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`FileError::Write`]; also where the text is too long for a comment, which holds 65535 bytes, or where there are
/// more than the 100000 members that are read again.
pub fn write_npz(
    sink: &mut Sink,
    members: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), FileError> {
    sink.write(|file| {
        write_archive(file, members, text).map_err(|error| match error {
            ZipError::Io(source) => source,
            error => io::Error::other(error),
        })
    })
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

/// How a member of so many bytes is stored. The same tensors give the same bytes: no clock, no compression
/// whose library may change.
pub(super) fn options(bytes: usize) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .large_file(bytes >= u32::MAX as usize / 2)
}

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
