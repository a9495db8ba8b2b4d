//! `--check-finite`: the first NaN or infinity, named by its place.

use anyhow::Result;
use elman::Element;
use ndarray::ArrayViewD;

use crate::failure::Data;

/// The indices and the value of the first number that is NaN or infinite.
pub(crate) fn first_not_finite<T: Element + Into<f64>>(
    array: &ArrayViewD<'_, T>,
) -> Option<(Vec<usize>, f64)> {
    let finite = |x: &T| x.is_finite();
    if array.as_slice_memory_order().is_some_and(|values| values.iter().all(finite)) {
        return None;
    }
    let mut indexed = array.indexed_iter();
    indexed
        .find(|(_, x)| !finite(x))
        .map(|(index, &x)| (ndarray::Dimension::slice(&index).to_vec(), x.into()))
}

/// Refuses a tensor with a NaN or an infinity in it. `axes` names the axes, outermost first; `first` is where
/// a part of a tensor begins in the whole, and empty for a whole.
pub(crate) fn all_finite<T: Element + Into<f64>>(
    name: &str,
    array: &ArrayViewD<'_, T>,
    axes: &[&str],
    first: &[usize],
) -> Result<()> {
    let Some((mut index, value)) = first_not_finite(array) else { return Ok(()) };
    index.iter_mut().zip(first).for_each(|(at, first)| *at += first);
    let places: Vec<_> = axes.iter().zip(&index).map(|(axis, at)| format!("{axis} {at}")).collect();
    let places =
        if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    Err(Data(format!("{name}: expected finite numbers, got {} at {index:?}{places}", word(value)))
        .into())
}

/// NaN, inf or -inf.
pub(crate) fn word(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { value.to_string() }
}
