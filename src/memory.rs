//! Memory that grows with the data: asked for fallibly, where `vec![0.0; n]` would abort the process.

use crate::Error;

/// As many zeros as a tensor of these sizes has elements. `what` names the tensor in an error.
///
/// ```
/// use elman::{Error, zeros};
/// use ndarray::Array3;
///
/// let h_0: Vec<f32> = zeros(&[2, 3, 20], "h_0")?;
/// let h_0 = Array3::from_shape_vec((2, 3, 20), h_0)?;
/// assert_eq!(h_0[[1, 2, 19]], 0.0);
/// let refused = zeros::<f32>(&[1 << 40, 1 << 40], "h_0");
/// assert!(matches!(refused, Err(Error::OutOfMemory { what: "h_0", .. })));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
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
