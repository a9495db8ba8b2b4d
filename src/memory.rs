//! Memory that grows with the data: allocated fallibly, because `vec![0.0; n]` would abort the process.

use std::collections::TryReserveError;

use crate::faults::{Operation, pass};

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
