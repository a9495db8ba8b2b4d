//! Memory that grows with the data: asked for fallibly, where `vec![0.0; n]` would abort the process.

use crate::Error;

/// As many zeros as a tensor of these sizes has elements. `what` names the tensor in an error.
///
/// # Errors
/// [`Error::OutOfMemory`], where `vec![0.0; n]` would abort the process.
pub fn zeros<T: Clone + Default>(sizes: &[usize], what: &'static str) -> Result<Vec<T>, Error> {
    let len = checked_product(sizes, what)?;
    let mut vector = reserved(len, what)?;
    vector.resize(len, T::default());
    Ok(vector)
}

/// Gives a buffer the length that a tensor of these sizes has. What it holds does not matter.
pub(crate) fn fit<T: Clone + Default>(
    buffer: &mut Vec<T>,
    sizes: &[usize],
    what: &'static str,
) -> Result<(), Error> {
    let len = checked_product(sizes, what)?;
    buffer.truncate(len);
    lengthen(buffer, len, T::default(), what)
}

/// Appends copies of a value until there are `len` elements.
pub(crate) fn lengthen<T: Clone>(
    vector: &mut Vec<T>,
    len: usize,
    value: T,
    what: &'static str,
) -> Result<(), Error> {
    vector
        .try_reserve_exact(len.saturating_sub(vector.len()))
        .map_err(|_| Error::OutOfMemory { what, bytes: len.saturating_mul(size_of::<T>()) })?;
    vector.resize(len, value);
    Ok(())
}

/// An empty vector with room for `len` elements, or [`Error::OutOfMemory`].
pub(crate) fn reserved<T>(len: usize, what: &'static str) -> Result<Vec<T>, Error> {
    let mut vector = Vec::new();
    vector
        .try_reserve_exact(len)
        .map_err(|_| Error::OutOfMemory { what, bytes: len.saturating_mul(size_of::<T>()) })?;
    Ok(vector)
}

/// The product of sizes, or [`Error::OutOfMemory`] where it overflows.
pub(crate) fn checked_product(sizes: &[usize], what: &'static str) -> Result<usize, Error> {
    sizes
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size))
        .ok_or(Error::OutOfMemory { what, bytes: usize::MAX })
}
