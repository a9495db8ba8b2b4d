//! Numbers of tensors: their conversion to the type of the layer, NaN and infinity, and their places.

use anyhow::Result;
use elman::files::StoredType;
use elman::{Dtype, Element};
use ndarray::{ArrayViewD, Dimension};

use crate::explain::hint;
use crate::failure::{Data, with_hint};
use crate::report::sizes;

/// A note about numbers that become `T`, with the name of their tensor. Integers and float16 are converted, a
/// float of the other size only with `--dtype`.
pub(crate) fn conversion<T: Element>(
    asked: Option<Dtype>,
    name: &str,
    stored: StoredType,
) -> Result<Option<String>> {
    if is_of_other_size::<T>(stored) && asked.is_none() {
        let message = format!("{name}: expected {}, as the layer is, got {stored}", T::DTYPE);
        return Err(with_hint(Data(message), hint::set("--dtype", T::DTYPE.to_string())));
    }
    Ok(conversion_note::<T>(name, stored))
}

/// A note about numbers that become `T`; `None` if they are of that type, or in a text, whose numbers have the
/// type that they are read as.
pub(crate) fn conversion_note<T: Element>(name: &str, stored: StoredType) -> Option<String> {
    let same = stored.is_computed() && stored.natural() == T::DTYPE || stored == StoredType::Text;
    (!same).then(|| format!("{name}: {stored} converted to {}", T::DTYPE))
}

/// Whether the numbers are floats of another size than `T`.
pub(crate) fn is_of_other_size<T: Element>(stored: StoredType) -> bool {
    stored.is_computed() && stored.natural() != T::DTYPE
}

/// A sentence about the first number that is NaN or infinite. `axes` names the axes, outermost first; `first` is
/// the first index of a part within the whole tensor. Both may be empty.
pub(crate) fn not_finite<T: Element>(
    name: &str,
    array: &ArrayViewD<'_, T>,
    axes: &[&str],
    first: &[usize],
) -> Option<String> {
    let finite = |x: &T| x.is_finite();
    if array.as_slice_memory_order().is_some_and(|values| values.iter().all(finite)) {
        return None;
    }
    let (index, &value) = array.indexed_iter().find(|(_, x)| !finite(x))?;
    let mut index = index.slice().to_vec();
    index.iter_mut().zip(first).for_each(|(at, first)| *at += first);
    let value: f64 = value.into();
    let value = if value.is_nan() { "NaN".to_owned() } else { value.to_string() };
    let places =
        if axes.is_empty() { String::new() } else { format!(" ({})", sizes(axes, &index)) };
    Some(format!("{name}: expected finite numbers, got {value} at {index:?}{places}"))
}

/// Refuses a tensor with a NaN or an infinity.
pub(crate) fn all_finite<T: Element>(
    name: &str,
    array: &ArrayViewD<'_, T>,
    axes: &[&str],
    first: &[usize],
) -> Result<()> {
    not_finite(name, array, axes, first).map_or(Ok(()), |found| Err(Data(found).into()))
}

/// The index on each axis. The place counts with the last axis fastest, or with the first one if `fortran`.
pub(crate) fn index(mut place: usize, shape: &[usize], fortran: bool) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for step in 0..shape.len() {
        let axis = if fortran { step } else { shape.len() - 1 - step };
        index[axis] = place % shape[axis];
        place /= shape[axis];
    }
    index
}

/// The place of an index, counted in the same way.
pub(crate) fn place(index: &[usize], shape: &[usize], fortran: bool) -> usize {
    let add = |sum, axis: usize| sum * shape[axis] + index[axis];
    if fortran { (0..shape.len()).rev().fold(0, add) } else { (0..shape.len()).fold(0, add) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_each_axis() {
        assert_eq!(index(0, &[], false), [0; 0]);
        assert_eq!(index(7, &[9], false), [7]);
        assert_eq!(index(23, &[2, 3, 4], false), [1, 2, 3]);
        assert_eq!(index(6, &[2, 3, 4], false), [0, 1, 2]);
        assert_eq!(index(6, &[2, 3, 4], true), [0, 0, 1]);
        assert_eq!(index(23, &[2, 3, 4], true), [1, 2, 3]);
    }

    #[test]
    fn a_place_and_its_index_belong_together() {
        let shape = [2, 3, 4];
        for (at, fortran) in (0..24).flat_map(|at| [(at, false), (at, true)]) {
            assert_eq!(place(&index(at, &shape, fortran), &shape, fortran), at);
        }
    }
}
