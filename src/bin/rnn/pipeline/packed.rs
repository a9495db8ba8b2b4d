//! Packed sequences in archives, under PyTorch's names, and whole numbers in files.

use anyhow::{Context, Result};
use elman::files::{AnyArray, Bundle, FileError, Sink, StoredType, write_npz};
use elman::{Element, PackedSequence};
use ndarray::{Array1, ArrayD};

use crate::explain::hint;
use crate::failure::{Data, with_hint};

/// The tensors of PyTorch's `PackedSequence`.
pub(crate) const PACKED: [&str; 4] = ["data", "batch_sizes", "sorted_indices", "unsorted_indices"];

/// Reads batch sizes and indices, and checks them against the header of the data.
pub(crate) fn read_index(bundle: &mut Bundle) -> Result<PackedSequence<()>> {
    let mut whole = |name: &str| {
        let Some(index) = bundle.position(name) else { return Ok(None) };
        let place = bundle.entry_place(index);
        refuse_bool(&place, bundle.entries()[index].stored)?;
        whole_numbers(&place, &bundle.read_as::<f64>(index)?).map(Some)
    };
    let [batch_sizes, sorted, unsorted] = [whole(PACKED[1])?, whole(PACKED[2])?, whole(PACKED[3])?];
    // Values without a size: the shape is checked before the data is read.
    let data = &bundle.entries()[bundle.position(PACKED[0]).unwrap_or(0)];
    let rows = ArrayD::from_elem(data.shape.as_slice(), ());
    let batch_sizes = batch_sizes.unwrap_or_default();
    let index = PackedSequence::new(rows, batch_sizes, sorted, unsorted);
    index.with_context(|| bundle.place().to_owned())
}

/// Reads the data that belongs to batch sizes and indices.
pub(crate) fn read_data<T: Element>(
    bundle: &mut Bundle,
    index: PackedSequence<()>,
) -> Result<PackedSequence<T>, FileError> {
    let data = bundle.read_as(bundle.position(PACKED[0]).unwrap_or(0))?;
    let PackedSequence { batch_sizes, sorted_indices, unsorted_indices, .. } = index;
    Ok(PackedSequence { data, batch_sizes, sorted_indices, unsorted_indices })
}

/// The whole numbers of a packed sequence with their names; indices that it does not have are left out.
pub(crate) fn whole_members<T>(packed: &PackedSequence<T>) -> Vec<(&'static str, ArrayD<i64>)> {
    let mut members = vec![(PACKED[1], int64(&packed.batch_sizes))];
    if let (Some(sorted), Some(unsorted)) = (&packed.sorted_indices, &packed.unsorted_indices) {
        members.push((PACKED[2], int64(sorted)));
        members.push((PACKED[3], int64(unsorted)));
    }
    members
}

/// Writes a packed sequence under PyTorch's names.
pub(crate) fn write_packed<T: Element>(sink: &mut Sink, packed: &PackedSequence<T>) -> Result<()> {
    let whole = whole_members(packed);
    let mut members: Vec<(&str, &dyn AnyArray)> = vec![(PACKED[0], &packed.data)];
    for (name, numbers) in &whole {
        members.push((name, numbers));
    }
    Ok(write_npz(sink, &members, "")?)
}

/// Sizes or indices as NumPy's int64. No vector has more elements than fit.
pub(crate) fn int64(numbers: &[usize]) -> ArrayD<i64> {
    let numbers = numbers.iter().map(|&number| i64::try_from(number).unwrap_or(i64::MAX));
    numbers.collect::<Array1<_>>().into_dyn()
}

/// Explains indices that are None, which NumPy saves as an object that is not unpickled.
pub(crate) fn explain_none(error: FileError) -> anyhow::Error {
    let FileError::Malformed { place, what } = &error else { return error.into() };
    let file = PACKED[2..].iter().find_map(|name| place.strip_suffix(name)?.strip_suffix(':'));
    let Some(file) = file.filter(|_| what.starts_with("dtype '|O'")) else { return error.into() };
    let message = format!(
        "{place}: expected whole numbers, or no such member, got an object, as NumPy saves None"
    );
    with_hint(Data(message), hint::without_none(file))
}

/// Sizes or indices, which a file may hold as numbers of any type.
pub(crate) fn whole_numbers(place: &str, numbers: &ArrayD<f64>) -> Result<Vec<usize>> {
    if numbers.ndim() != 1 {
        let message = format!("{place}: expected one axis, got shape {:?}", numbers.shape());
        return Err(Data(message).into());
    }
    let number = |(index, &value): (usize, &f64)| {
        whole_number(value).ok_or_else(|| {
            let message =
                format!("{place}: expected whole numbers, got {} at [{index}]", shown(value));
            Data(message).into()
        })
    };
    numbers.iter().enumerate().map(number).collect()
}

/// The largest number below which a double holds every whole number exactly. No size in memory is larger.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A size or an index.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
pub(crate) fn whole_number(value: f64) -> Option<usize> {
    ((0.0..=MAX_WHOLE).contains(&value) && value.fract() == 0.0).then_some(value as usize)
}

/// A number for messages: only digits that are exact.
pub(crate) fn shown(value: f64) -> String {
    if value.is_infinite() || value.abs() < MAX_WHOLE || value.is_nan() {
        return value.to_string();
    }
    if value > 0.0 { format!("{MAX_WHOLE} or more") } else { format!("-{MAX_WHOLE} or less") }
}

/// Refuses truth values where sizes, indices or lengths are expected.
pub(crate) fn refuse_bool(place: &str, stored: StoredType) -> Result<()> {
    if stored != StoredType::Bool {
        return Ok(());
    }
    Err(Data(format!("{place}: expected whole numbers, got bool")).into())
}
