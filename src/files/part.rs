//! Parts of a tensor, read and written without the whole in memory.
//!
//! A part is a range of the first axis and a range of the second one. In memory its first two axes are in the
//! order of the file, or swapped.

use std::io::{self, Write};
use std::marker::PhantomData;
use std::ops::Range;

use super::handle::{At, with_bytes};
use super::npy::{PIECE_BYTES, header_bytes, write_pieces};
use super::sink::Target;
use super::{FileError, Sink, Stored, TensorReader};
use crate::element::Element;
use crate::memory::{grow, reserved};

/// Bytes after which the system is asked to put what was written on the disk: then little is left to be
/// waited for at the end.
const SYNC_BYTES: usize = 64 << 20;

/// A part of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Indices of the first axis.
    pub first: Range<usize>,
    /// Indices of the second axis.
    pub second: Range<usize>,
    /// Whether the second axis is the outer one in memory.
    pub swapped: bool,
}

impl TensorReader<'_> {
    /// Reads a part of the tensor into `values`, converted to T. The tensor is in C order, and `axes` is its
    /// shape with three axes. A stream or a member only has the next part of the first axis, with all of the
    /// second one.
    ///
    /// # Errors
    /// [`FileError::Read`], [`FileError::Malformed`] if the numbers end too early, [`FileError::OutOfMemory`].
    pub fn read_part<T: Element>(
        &mut self,
        [_, second, width]: [usize; 3],
        part: &Part,
        values: &mut Vec<T>,
    ) -> Result<(), FileError> {
        let row = part.second.len() * width;
        let count = part.first.len() * row;
        values.clear();
        grow(values, count, "input", count.saturating_mul(size_of::<T>()))?;
        if part.second == (0..second) && !part.swapped {
            self.seek(part.first.start * second * width);
            return self.append(count, values);
        }
        if !part.swapped {
            for index in part.first.clone() {
                self.seek((index * second + part.second.start) * width);
                self.append(row, values)?;
            }
            return Ok(());
        }
        values.resize(count, T::from_f32(0.0));
        let mut own = reserved(row, "input")?;
        for (i, index) in part.first.clone().enumerate() {
            own.clear();
            self.seek((index * second + part.second.start) * width);
            self.append(row, &mut own)?;
            let to = values.chunks_exact_mut(width).skip(i).step_by(part.first.len());
            for (to, from) in to.zip(own.chunks_exact(width)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }
}

/// A .npy tensor of T that is written part by part.
///
/// ```
/// use elman::files::{Accepts, Overwrite, Part, Sink, Source, open};
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
/// let output = open(&Source::Path(path), Accepts::Tensor)?.into_tensor()?.read::<f32>()?;
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
    /// # Panics
    /// Where a part has not been written.
    pub fn finish(mut self) -> Result<Sink, FileError> {
        assert_eq!(self.written, self.shape.iter().product::<usize>(), "a part is missing");
        self.sink.target.end().map_err(|source| self.failed(source))?;
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
