//! Arrays in row-major order, allocated fallibly.

use ndarray::{ArrayD, ArrayRef, CowArray, Dimension, IxDyn};

use crate::memory::{OutOfMemory, reserved};

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
