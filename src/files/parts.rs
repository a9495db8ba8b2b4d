//! Parts of a tensor, read and written where they stand, so that the whole is never in memory.
//!
//! A part is a range of the first axis and a range of the second one. It stands in memory with its axes in
//! the order of the file or, where that is asked for, with the first two of them swapped.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::ops::Range;

use super::at::At;
use super::counted::with_bytes;
use super::file::File;
use super::npy::{PIECE_BYTES, decode, header_bytes, missing, read_full, write_pieces};
use super::sink::Target;
use super::tensor_file::{Body, expect_end};
use super::{Header, Sink, Stored, TensorFile};
use crate::element::Element;
use crate::files::error::FileError;
use crate::memory::{grow, reserved};

/// Bytes after which the system is asked to put what was written on the disk: then little is left to be
/// waited for at the end.
const SYNC_BYTES: usize = 64 << 20;

/// A part of a tensor.
///
/// ```
/// use elman::files::{Part, Source, TensorFile};
///
/// let file = TensorFile::open(&Source::parse("fixtures/x.npy".as_ref()))?;
/// let Ok(mut parts) = file.into_parts([5, 3, 10]) else { panic!("a .npy file in C order") };
/// // Steps 1 to 3 of sequences 0 and 1 of (L, N, H_in), as (N, L, H_in).
/// let part = Part { first: 1..4, second: 0..2, swapped: true };
/// let mut values: Vec<f32> = Vec::new();
/// parts.read(&part, &mut values)?;
/// assert_eq!(values.len(), 2 * 3 * 10);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of the first axis.
    pub first: Range<usize>,
    /// Of the second axis.
    pub second: Range<usize>,
    /// Whether the second axis is the outer one in memory.
    pub swapped: bool,
}

/// A .npy tensor whose numbers are read part by part.
///
/// ```
/// use elman::files::{Part, Source, TensorFile};
///
/// let source = Source::parse("fixtures/x.npy".as_ref());
/// let whole = TensorFile::open(&source)?.read::<f32>()?;
/// let Ok(mut parts) = TensorFile::open(&source)?.into_parts([5, 3, 10]) else {
///     panic!("a .npy file in C order")
/// };
/// let (mut all, mut values) = (Vec::<f32>::new(), Vec::new());
/// for step in 0..5 {
///     parts.read(&Part { first: step..step + 1, second: 0..3, swapped: false }, &mut values)?;
///     all.extend_from_slice(&values);
/// }
/// parts.expect_end()?;
/// assert!(whole.iter().eq(&all));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct PartReader {
    place: String,
    header: Header,
    /// Sizes of the three axes.
    shape: [usize; 3],
    from: From,
    /// Bytes as they were read.
    piece: Vec<u8>,
}

enum From {
    /// A file, and where its numbers begin.
    File(File, u64),
    /// A stream, and how much of the first axis has been read.
    Stream(Box<dyn Read + Send>, usize),
}

impl std::fmt::Debug for PartReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartReader").field("place", &self.place).finish_non_exhaustive()
    }
}

impl TensorFile {
    /// Whether any part can be read at any time; else only the next ones along the first axis.
    pub fn is_file(&self) -> bool {
        matches!(self.body, Body::File { .. })
    }

    /// Reads the tensor in parts, as one of three axes, in row-major order. The tensor itself comes back
    /// where it is a table, a member of an archive or in Fortran order, which can only be read whole.
    ///
    /// ```
    /// use elman::files::{Source, TensorFile};
    ///
    /// let file = TensorFile::open(&Source::parse("fixtures/x.npy".as_ref()))?;
    /// assert!(file.is_file());
    /// assert!(file.into_parts([5, 3, 10]).is_ok());
    /// let member = Source::parse("fixtures/expected.npz:tanh-l1-nobias-f32.h_n".as_ref());
    /// let Err(member) = TensorFile::open(&member)?.into_parts([1, 2, 5]) else {
    ///     panic!("a member is read whole")
    /// };
    /// assert_eq!(member.read::<f32>()?.shape(), [1, 2, 5]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The tensor.
    #[allow(clippy::result_large_err, reason = "the tensor is what the caller goes on with")]
    pub fn into_parts(self, shape: [usize; 3]) -> Result<PartReader, Self> {
        if self.header.fortran_order || shape.iter().product::<usize>() != self.header.count() {
            return Err(self);
        }
        let TensorFile { place, header, body } = self;
        let from = match body {
            Body::File { reader, start } => From::File(reader.into_inner(), start),
            Body::Stream(stream) => From::Stream(stream, 0),
            body @ (Body::Member { .. } | Body::Table(_)) => {
                return Err(TensorFile { place, header, body });
            }
        };
        let piece = vec![0; PIECE_BYTES];
        Ok(PartReader { place, header, shape, from, piece })
    }
}

impl PartReader {
    /// Reads a part into `values`, converted to T. A stream only has the next part of the first axis, with
    /// the whole of the second one.
    ///
    /// # Errors
    /// [`FileError::Read`], [`FileError::Malformed`] where the numbers end too early, [`FileError::OutOfMemory`].
    pub fn read<T: Element>(&mut self, part: &Part, values: &mut Vec<T>) -> Result<(), FileError> {
        let [_, second, width] = self.shape;
        let count = part.first.len() * part.second.len() * width;
        values.clear();
        grow(values, count, "input", count.saturating_mul(size_of::<T>()))?;
        if part.second == (0..second) && !part.swapped {
            return self.run(part.first.start * second * width, count, values);
        }
        if !part.swapped {
            for i in part.first.clone() {
                let start = (i * second + part.second.start) * width;
                self.run(start, part.second.len() * width, values)?;
            }
            return Ok(());
        }
        values.resize(count, T::from_f32(0.0));
        let mut own = reserved(part.second.len() * width, "input")?;
        for (i, index) in part.first.clone().enumerate() {
            own.clear();
            let start = (index * second + part.second.start) * width;
            self.run(start, part.second.len() * width, &mut own)?;
            let to = values.chunks_exact_mut(width).skip(i).step_by(part.first.len());
            for (to, from) in to.zip(own.chunks_exact(width)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Checks that nothing stands behind the numbers, once all of them have been read.
    ///
    /// # Errors
    /// [`FileError::Malformed`], [`FileError::Read`].
    pub fn expect_end(&mut self) -> Result<(), FileError> {
        let bytes = self.header.body_bytes();
        match &mut self.from {
            From::Stream(stream, _) => expect_end(stream, &self.place, bytes),
            From::File(file, start) => {
                expect_end(&mut At { file, at: *start + bytes as u64 }, &self.place, bytes)
            }
        }
    }

    /// Appends `count` numbers that stand one after the other, from number `start` on.
    fn run<T: Element>(
        &mut self,
        start: usize,
        count: usize,
        values: &mut Vec<T>,
    ) -> Result<(), FileError> {
        let size = self.header.stored.size();
        let read = |source| FileError::Read { place: self.place.clone(), source };
        let mut place;
        let reader: &mut dyn Read = match &mut self.from {
            From::File(file, body) => {
                place = At { file, at: *body + (start * size) as u64 };
                &mut place
            }
            From::Stream(stream, at) => {
                assert_eq!(*at, start, "a stream is read in order");
                *at += count;
                stream
            }
        };
        let mut missing_bytes = count * size;
        while missing_bytes > 0 {
            let bytes = &mut self.piece[..PIECE_BYTES.min(missing_bytes)];
            let got = read_full(reader, bytes).map_err(read)?;
            if got < bytes.len() {
                let before = (start + count) * size - missing_bytes;
                return Err(missing(&self.place, &self.header, before + got));
            }
            decode(&self.header, bytes, values);
            missing_bytes -= got;
        }
        Ok(())
    }
}

/// A .npy tensor of T that is written part by part.
///
/// ```
/// use elman::files::{Overwrite, Part, Sink, Source, TensorFile};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("output.npy");
/// let sink = Sink::open(&path, Overwrite::Replace)?;
/// assert!(sink.is_file());
/// // (L, N, D * H_out), its last two steps first.
/// let mut parts = sink.into_parts::<f32>(&[4, 3, 20], [4, 3, 20])?;
/// for (first, value) in [(2..4, 1.0_f32), (0..2, 0.0)] {
///     parts.write(&Part { first, second: 0..3, swapped: false }, &[value; 2 * 3 * 20])?;
/// }
/// parts.finish()?.commit()?;
/// let output = TensorFile::open(&Source::Path(path))?.read::<f32>()?;
/// assert_eq!((output[[1, 0, 0]], output[[2, 0, 0]]), (0.0, 1.0));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PartWriter<T> {
    sink: Sink,
    shape: [usize; 3],
    /// Where the numbers begin.
    start: u64,
    /// Numbers that have been written.
    written: usize,
    /// Bytes since the system was asked to put them on the disk.
    unsynced: usize,
    /// Bytes that are about to be written.
    piece: Vec<u8>,
    numbers: PhantomData<T>,
}

impl Sink {
    /// Whether any part can be written at any time; else only the next ones along the first axis.
    pub fn is_file(&self) -> bool {
        matches!(self.target, Target::Replace { .. })
    }

    /// Begins a tensor of `shape` that is written in parts, as one of three axes.
    ///
    /// ```
    /// use elman::files::{Overwrite, Part, Sink};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("output.npy");
    /// // Unbatched, (L, D * H_out), is a batch of one sequence.
    /// let mut parts = Sink::open(&path, Overwrite::Replace)?.into_parts::<f32>(&[4, 20], [4, 1, 20])?;
    /// parts.write(&Part { first: 0..4, second: 0..1, swapped: false }, &[0.5_f32; 4 * 20])?;
    /// parts.finish()?.commit()?;
    /// assert_eq!(std::fs::metadata(path)?.len(), 128 + 4 * 20 * 4);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn into_parts<T: Stored>(
        self,
        shape: &[usize],
        axes: [usize; 3],
    ) -> Result<PartWriter<T>, FileError> {
        let piece = Vec::with_capacity(PIECE_BYTES);
        let mut parts = PartWriter {
            sink: self,
            shape: axes,
            start: 0,
            written: 0,
            unsynced: 0,
            piece,
            numbers: PhantomData::<T>,
        };
        let begun = header_bytes(T::DESCR, shape).and_then(|header| {
            parts.start = header.len() as u64;
            parts.sink.target.direct().write_all(&header)
        });
        begun.map_err(|source| parts.failed(source))?;
        Ok(parts)
    }
}

impl<T: Stored> PartWriter<T> {
    /// Writes a part. A pipe only takes the next part of the first axis, with the whole of the second one.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write(&mut self, part: &Part, values: &[T]) -> Result<(), FileError> {
        let [_, second, width] = self.shape;
        let whole = part.second == (0..second) && !part.swapped;
        if whole {
            self.run(part.first.start * second * width, values)?;
        }
        for (i, index) in part.first.clone().enumerate().filter(|_| !whole) {
            let start = (index * second + part.second.start) * width;
            if part.swapped {
                let rows = values.chunks_exact(width).skip(i).step_by(part.first.len());
                self.run(start, rows.flatten())?;
            } else {
                self.run(
                    start,
                    &values[i * part.second.len() * width..][..part.second.len() * width],
                )?;
            }
        }
        // Runs that are no neighbours share pages with those of other parts: each page would be put on the
        // disk once for every part.
        self.unsynced += if whole { size_of_val(values) } else { 0 };
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            if let Target::Replace { temporary, .. } = &self.sink.target {
                temporary.as_file().sync_data().map_err(|source| self.failed(source))?;
            }
        }
        Ok(())
    }

    /// Ends the tensor. A regular target still holds what it held before, until the sink is committed.
    ///
    /// # Errors
    /// [`FileError::Write`].
    ///
    /// # Panics
    /// Where a part has not been written.
    pub fn finish(mut self) -> Result<Sink, FileError> {
        assert_eq!(self.written, self.shape.iter().product::<usize>(), "a part is missing");
        let ended = match &mut self.sink.target {
            Target::Replace { temporary, .. } => temporary.as_file().sync_all(),
            other => other.direct().flush(),
        };
        ended.map_err(|source| self.failed(source))?;
        Ok(self.sink)
    }

    /// Writes numbers one after the other, from number `start` on.
    fn run<'a>(
        &mut self,
        start: usize,
        values: impl IntoIterator<Item = &'a T>,
    ) -> Result<(), FileError>
    where
        T: 'a,
    {
        let mut count = 0;
        let values = values.into_iter().inspect(|_| count += 1);
        let written = match &mut self.sink.target {
            Target::Replace { temporary, .. } => {
                let at = self.start + (start * size_of::<T>()) as u64;
                write_pieces(&mut At { file: temporary.as_file(), at }, values, &mut self.piece)
            }
            other => {
                assert_eq!(self.written, start, "a pipe is written in order");
                let mut writer = other.direct();
                write_pieces(&mut writer, values, &mut self.piece).and_then(|()| writer.flush())
            }
        };
        if let (Err(error), Target::Replace { .. }) = (&written, &self.sink.target) {
            let bytes = |numbers: usize| self.start + (numbers * size_of::<T>()) as u64;
            let all = self.shape.iter().product();
            return Err(self.failed(with_bytes(error, bytes(self.written), bytes(all))));
        }
        self.written += count;
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> FileError {
        FileError::Write { place: self.sink.place.clone(), source }
    }
}
