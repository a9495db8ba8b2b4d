//! Parts of a tensor, read without the whole in memory.
//!
//! A part is a range of the first axis and a range of the second one. In memory its first two axes are in the
//! order of the file, or swapped.

use std::ops::Range;

use super::{FileError, TensorReader};
use crate::element::Element;
use crate::memory::{grow, reserved};

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
