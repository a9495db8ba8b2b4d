//! `--check-finite`: the first NaN or infinity, with its place.

use anyhow::Result;
use elman::Element;
use ndarray::{ArrayViewD, Dimension};

use crate::failure::Data;
use crate::report::sizes;

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
