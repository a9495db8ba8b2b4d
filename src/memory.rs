//! Memory that grows with the data: allocated fallibly, because `vec![0.0; n]` would abort the process. Arrays in it
//! are in row-major order.

use std::collections::TryReserveError;

use ndarray::{ArrayD, ArrayRef, CowArray, Dimension, IxDyn};

use crate::faults::{Operation, pass};
use crate::kernel::{Registers, lengthen_unspecified};

/// The allocator returned no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: {what} needs {}", bytes_or_more(*bytes))]
pub struct OutOfMemory {
    /// The purpose of the memory.
    pub what: &'static str,
    /// Its size; `usize::MAX` if the number of bytes overflows.
    pub bytes: usize,
}

fn bytes_or_more(bytes: usize) -> String {
    if bytes == usize::MAX { format!("more than {bytes} bytes") } else { format!("{bytes} bytes") }
}

/// The zeros of a tensor of these sizes. `what` names the tensor in an error.
///
/// # Errors
/// [`OutOfMemory`].
pub fn zeros<T: Clone + Default>(
    sizes: &[usize],
    what: &'static str,
) -> Result<Vec<T>, OutOfMemory> {
    let mut vector = Vec::new();
    fit(&mut vector, sizes, what)?;
    Ok(vector)
}

/// A tensor of these sizes, every element of which is going to be written: its content is unspecified.
pub(crate) fn unspecified<T: Registers>(
    sizes: &[usize],
    what: &'static str,
) -> Result<Vec<T>, OutOfMemory> {
    let len = checked_len(sizes, what)?;
    let mut vector = reserved(len, what)?;
    lengthen_unspecified(&mut vector, len);
    Ok(vector)
}

/// Gives a buffer the length of a tensor of these sizes. Its content is unspecified.
pub(crate) fn fit<T: Clone + Default>(
    buffer: &mut Vec<T>,
    sizes: &[usize],
    what: &'static str,
) -> Result<(), OutOfMemory> {
    let len = checked_len(sizes, what)?;
    buffer.truncate(len);
    lengthen(buffer, len, T::default(), what)
}

/// Appends copies of a value until there are `len` elements.
pub(crate) fn lengthen<T: Clone>(
    vector: &mut Vec<T>,
    len: usize,
    value: T,
    what: &'static str,
) -> Result<(), OutOfMemory> {
    if len > vector.capacity() {
        let bytes = len.saturating_mul(size_of::<T>());
        granted(vector.try_reserve_exact(len - vector.len()), what, bytes)?;
    }
    vector.resize(len, value);
    Ok(())
}

/// An empty vector with room for `len` elements, or [`OutOfMemory`].
pub(crate) fn reserved<T>(len: usize, what: &'static str) -> Result<Vec<T>, OutOfMemory> {
    let mut vector = Vec::new();
    let bytes = len.saturating_mul(size_of::<T>());
    granted(vector.try_reserve_exact(len), what, bytes)?;
    Ok(vector)
}

/// Makes room for `more` elements of a vector that grows with its input. `bytes` is the expected total.
pub(crate) fn grow<T>(
    vector: &mut Vec<T>,
    more: usize,
    what: &'static str,
    bytes: usize,
) -> Result<(), OutOfMemory> {
    if more > vector.capacity() - vector.len() {
        granted(vector.try_reserve(more), what, bytes)?;
    }
    Ok(())
}

/// The result of the allocator, unless a test injects a fault.
fn granted(
    answer: Result<(), TryReserveError>,
    what: &'static str,
    bytes: usize,
) -> Result<(), OutOfMemory> {
    match (answer, pass(Operation::Allocate, bytes)) {
        (Ok(()), Ok(_)) => Ok(()),
        _ => Err(OutOfMemory { what, bytes }),
    }
}

/// The number of elements of an array of this shape, or [`OutOfMemory`] if no array can have it:
/// the product of the sizes that are not 0 has a limit even without elements.
pub(crate) fn checked_len(shape: &[usize], what: &'static str) -> Result<usize, OutOfMemory> {
    let sizes = shape.iter().filter(|&&size| size > 0);
    let product = sizes.copied().try_fold(1_usize, usize::checked_mul);
    match product {
        Some(product) if isize::try_from(product).is_ok() => {
            Ok(if shape.contains(&0) { 0 } else { product })
        }
        _ => Err(OutOfMemory { what, bytes: usize::MAX }),
    }
}

/// `values` in row-major order as an array. The caller ensures their number.
pub(crate) fn array<T>(shape: &[usize], values: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(shape), values)
        .unwrap_or_else(|_| unreachable!("the values do not fill shape {shape:?}"))
}

/// The values in row-major order. `what` names them in an error.
pub(crate) fn values<T: Clone, D: Dimension>(
    from: &ArrayRef<T, D>,
    what: &'static str,
) -> Result<Vec<T>, OutOfMemory> {
    let mut values = reserved(from.len(), what)?;
    match from.as_slice() {
        Some(slice) => values.extend_from_slice(slice),
        None => {
            // Row by row, because most rows are contiguous.
            for row in from.rows() {
                match row.to_slice() {
                    Some(slice) => values.extend_from_slice(slice),
                    None => values.extend(row.iter().cloned()),
                }
            }
        }
    }
    Ok(values)
}

/// The same values in row-major order, because rows are read as slices. They are copied only from another order.
pub(crate) fn contiguous<'a, T: Clone, D: Dimension>(
    from: &'a ArrayRef<T, D>,
    what: &'static str,
) -> Result<CowArray<'a, T, D>, OutOfMemory> {
    if from.is_standard_layout() {
        return Ok(from.view().into());
    }
    let copy = ndarray::Array::from_shape_vec(from.raw_dim(), values(from, what)?);
    // `from` has these sizes, and all its values were taken.
    Ok(copy.unwrap_or_else(|_| unreachable!("a copy of another size")).into())
}
