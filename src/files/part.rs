//! Parts of a tensor, read and written without the whole in memory.
//!
//! A part is a range of the first axis and a range of the second one. In memory its first two axes are in the
//! order of the file, or swapped.

use std::marker::PhantomData;
use std::ops::Range;

use super::handle::{FileCursor, with_bytes};
use super::npy::{PIECE_BYTES, header_bytes, write_numbers};
use super::sink::Target;
use super::{FileError, Sink, Stored, TensorReader};
use crate::element::Element;
use crate::memory::{grow, reserved};

/// Bytes after which written bytes are synced to the disk, so that the sync at the end is short.
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

impl Part {
    /// Whether its numbers are contiguous in a tensor with this length of the second axis.
    fn is_contiguous(&self, second: usize) -> bool {
        self.second == (0..second) && !self.swapped
    }

    /// The contiguous numbers of the part, in the order of the tensor: one run, or one for each index of the first
    /// axis.
    fn runs(&self, second: usize, width: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (mut count, mut len) = (self.first.len(), self.second.len() * width);
        if self.is_contiguous(second) {
            (count, len) = (1, count * len);
        }
        let start = (self.first.start * second + self.second.start) * width;
        (0..count).map(move |i| start + i * second * width).map(move |start| start..start + len)
    }
}

impl TensorReader<'_> {
    /// Reads a part of the tensor into `values`, converted to T. The tensor is in C order, and `axes` is its
    /// shape with three axes. A stream or a member only has the next part of the first axis, with all of the
    /// second one.
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
        if !part.swapped {
            return part.runs(second, width).try_for_each(|run| self.append_run(run, values));
        }
        values.resize(count, T::from_f32(0.0));
        let mut own = reserved(row, "input")?;
        for (i, run) in part.runs(second, width).enumerate() {
            own.clear();
            self.append_run(run, &mut own)?;
            let to = values.chunks_exact_mut(width).skip(i).step_by(part.first.len());
            for (to, from) in to.zip(own.chunks_exact(width)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }
}

/// A .npy tensor of T that is written part by part.
#[derive(Debug)]
pub struct PartWriter<T> {
    sink: Sink,
    axes: [usize; 3],
    /// The position of the first number.
    start: u64,
    /// The number of written numbers.
    written: usize,
    /// The number of written bytes since the last sync.
    unsynced: usize,
    /// The next bytes to write.
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
        mut self,
        shape: &[usize],
        axes: [usize; 3],
    ) -> Result<PartWriter<T>, FileError> {
        let begun = header_bytes(T::DESCR, shape).and_then(|header| {
            self.target.direct().write_all(&header)?;
            Ok(header.len() as u64)
        });
        let start = begun.map_err(FileError::writing(&self.place))?;
        let (piece, numbers) = (Vec::with_capacity(PIECE_BYTES), PhantomData);
        Ok(PartWriter { sink: self, axes, start, written: 0, unsynced: 0, piece, numbers })
    }
}

impl<T: Stored> PartWriter<T> {
    /// Writes a part. A pipe only takes the next part of the first axis, with the whole of the second one.
    pub fn write(&mut self, part: &Part, values: &[T]) -> Result<(), FileError> {
        let [_, second, width] = self.axes;
        for (i, run) in part.runs(second, width).enumerate() {
            if part.swapped {
                let rows = values.chunks_exact(width).skip(i).step_by(part.first.len());
                self.run(run.start, rows.flatten())?;
            } else {
                self.run(run.start, &values[i * run.len()..][..run.len()])?;
            }
        }
        // Runs that are not neighbours share pages with those of other parts: each page would be written to the
        // disk once for every part.
        self.unsynced += if part.is_contiguous(second) { size_of_val(values) } else { 0 };
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            if let Target::Replace { file, .. } = &self.sink.target {
                file.sync_data().map_err(FileError::writing(&self.sink.place))?;
            }
        }
        Ok(())
    }

    /// Ends the tensor. A regular target still holds its previous content until the sink is committed.
    ///
    /// # Panics
    /// If a part has not been written.
    pub fn finish(mut self) -> Result<Sink, FileError> {
        assert_eq!(self.written, self.axes.iter().product::<usize>(), "a part is missing");
        self.sink.target.end().map_err(FileError::writing(&self.sink.place))?;
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
        let place = |numbers: usize| self.start + (numbers * size_of::<T>()) as u64;
        let written = match &mut self.sink.target {
            Target::Replace { file, .. } => {
                let mut cursor = FileCursor { file, at: place(start) };
                let written = write_numbers(&mut cursor, values, &mut self.piece);
                let (done, all) = (place(self.written), place(self.axes.iter().product()));
                written.map_err(|error| with_bytes(&error, done, all))
            }
            other => {
                assert_eq!(self.written, start, "a pipe is written in order");
                let writer = other.direct();
                write_numbers(writer, values, &mut self.piece).and_then(|()| writer.flush())
            }
        };
        self.written += count;
        written.map_err(FileError::writing(&self.sink.place))
    }
}
