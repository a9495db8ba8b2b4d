//! The functions of `torch.nn.utils.rnn` on items of 1, 2, 4 or 8 bytes: they move numbers and compute none, so that one
//! function serves every type of a size. `elman/_sequences.py` gives the arrays their types back.

use elman::{PackedSequence, PaddingSide};
use ndarray::ArrayViewD;
use numpy::{Element, PyArrayDyn, PyReadonlyArrayDyn};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::array::{at_least_0, indices, memory, owned, to_int64};
use crate::error::of_layer;

/// The data, batch sizes, sorted and unsorted indices of a packed sequence.
type Parts<'py> =
    (Bound<'py, PyAny>, Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

/// Calls a function with the type of the items of an array, or of the first of a list.
macro_rules! by_size {
    ($first:expr, $function:ident($($argument:expr),*)) => {{
        let first = $first;
        if first.cast::<PyArrayDyn<u8>>().is_ok() {
            $function::<u8>($($argument),*)
        } else if first.cast::<PyArrayDyn<u16>>().is_ok() {
            $function::<u16>($($argument),*)
        } else if first.cast::<PyArrayDyn<u32>>().is_ok() {
            $function::<u32>($($argument),*)
        } else {
            $function::<u64>($($argument),*)
        }
    }};
}

/// The items of an array.
trait Item: Element + Clone {}

impl<T: Element + Clone> Item for T {}

fn items<'py, T: Item>(array: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    memory(array, "sequences")?.ok_or_else(|| {
        PyTypeError::new_err("sequences: expected aligned items of one size, of at most 8 bytes")
    })
}

fn parts<T: Item>(py: Python<'_>, packed: PackedSequence<T>) -> Parts<'_> {
    let array = |list: Option<Vec<usize>>| list.map(|list| to_int64(py, &list).into_any());
    (
        owned(py, packed.data),
        to_int64(py, &packed.batch_sizes).into_any(),
        array(packed.sorted_indices),
        array(packed.unsorted_indices),
    )
}

fn packed_of<T: Item>(
    data: &Bound<'_, PyAny>,
    batch_sizes: &Bound<'_, PyAny>,
    sorted: Option<&Bound<'_, PyAny>>,
    unsorted: Option<&Bound<'_, PyAny>>,
) -> PyResult<PackedSequence<T>> {
    let data = items::<T>(data)?.as_array().to_owned();
    let sorted = sorted.map(|list| indices(list, "sorted_indices")).transpose()?;
    let unsorted = unsorted.map(|list| indices(list, "unsorted_indices")).transpose()?;
    PackedSequence::new(data, indices(batch_sizes, "batch_sizes")?, sorted, unsorted)
        .map_err(|error| of_layer(&error))
}

#[pyfunction]
fn pack_padded_sequence<'py>(
    input: &Bound<'py, PyAny>,
    lengths: &Bound<'py, PyAny>,
    batch_first: bool,
    enforce_sorted: bool,
) -> PyResult<Parts<'py>> {
    let lengths = indices(lengths, "lengths")?;
    by_size!(input, pack_padded(input, &lengths, batch_first, enforce_sorted))
}

fn pack_padded<'py, T: Item>(
    input: &Bound<'py, PyAny>,
    lengths: &[usize],
    batch_first: bool,
    enforce_sorted: bool,
) -> PyResult<Parts<'py>> {
    let array = items::<T>(input)?;
    let packed =
        elman::pack_padded_sequence(array.as_array(), lengths, batch_first, enforce_sorted);
    Ok(parts(input.py(), packed.map_err(|error| of_layer(&error))?))
}

#[pyfunction]
fn pack_sequence<'py>(
    py: Python<'py>,
    sequences: Vec<Bound<'py, PyAny>>,
    enforce_sorted: bool,
) -> PyResult<Parts<'py>> {
    let Some(first) = sequences.first() else { return pack_all::<u8>(py, &sequences, false) };
    by_size!(first, pack_all(py, &sequences, enforce_sorted))
}

fn pack_all<'py, T: Item>(
    py: Python<'py>,
    sequences: &[Bound<'py, PyAny>],
    enforce_sorted: bool,
) -> PyResult<Parts<'py>> {
    let all = sequences.iter().map(items::<T>).collect::<PyResult<Vec<_>>>()?;
    let views: Vec<ArrayViewD<'_, T>> = all.iter().map(PyReadonlyArrayDyn::as_array).collect();
    let packed = elman::pack_sequence(&views, enforce_sorted);
    Ok(parts(py, packed.map_err(|error| of_layer(&error))?))
}

/// `value` is an array of one item.
#[pyfunction]
fn pad_sequence<'py>(
    py: Python<'py>,
    sequences: Vec<Bound<'py, PyAny>>,
    batch_first: bool,
    value: &Bound<'py, PyAny>,
    left: bool,
) -> PyResult<Bound<'py, PyAny>> {
    by_size!(value, pad_all(py, &sequences, batch_first, value, left))
}

fn pad_all<'py, T: Item>(
    py: Python<'py>,
    sequences: &[Bound<'py, PyAny>],
    batch_first: bool,
    value: &Bound<'py, PyAny>,
    left: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let all = sequences.iter().map(items::<T>).collect::<PyResult<Vec<_>>>()?;
    let views: Vec<ArrayViewD<'_, T>> = all.iter().map(PyReadonlyArrayDyn::as_array).collect();
    let side = if left { PaddingSide::Left } else { PaddingSide::Right };
    let padded = elman::pad_sequence(&views, batch_first, item::<T>(value)?, side);
    Ok(owned(py, padded.map_err(|error| of_layer(&error))?))
}

/// The item of an array of one.
fn item<T: Item>(value: &Bound<'_, PyAny>) -> PyResult<T> {
    let one = items::<T>(value)?;
    let one = one.as_array().first().cloned();
    one.ok_or_else(|| PyTypeError::new_err("padding_value: expected a number"))
}

#[pyfunction]
fn pad_packed_sequence<'py>(
    data: &Bound<'py, PyAny>,
    batch_sizes: &Bound<'py, PyAny>,
    indices: (Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>),
    batch_first: bool,
    value: &Bound<'py, PyAny>,
    total_length: Option<i64>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let total_length = total_length.map(|length| at_least_0(length, "total_length")).transpose()?;
    let rest = (indices.0.as_ref(), indices.1.as_ref());
    by_size!(data, pad_packed(data, batch_sizes, rest, batch_first, value, total_length))
}

fn pad_packed<'py, T: Item>(
    data: &Bound<'py, PyAny>,
    batch_sizes: &Bound<'py, PyAny>,
    (sorted, unsorted): (Option<&Bound<'py, PyAny>>, Option<&Bound<'py, PyAny>>),
    batch_first: bool,
    value: &Bound<'py, PyAny>,
    total_length: Option<usize>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let packed = packed_of::<T>(data, batch_sizes, sorted, unsorted)?;
    let padded = elman::pad_packed_sequence(&packed, batch_first, item(value)?, total_length);
    let (padded, lengths) = padded.map_err(|error| of_layer(&error))?;
    Ok((owned(data.py(), padded), to_int64(data.py(), &lengths).into_any()))
}

#[pyfunction]
fn unpack_sequence<'py>(
    data: &Bound<'py, PyAny>,
    batch_sizes: &Bound<'py, PyAny>,
    sorted: Option<Bound<'py, PyAny>>,
    unsorted: Option<Bound<'py, PyAny>>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    by_size!(data, unpack(data, batch_sizes, sorted.as_ref(), unsorted.as_ref()))
}

fn unpack<'py, T: Item>(
    data: &Bound<'py, PyAny>,
    batch_sizes: &Bound<'py, PyAny>,
    sorted: Option<&Bound<'py, PyAny>>,
    unsorted: Option<&Bound<'py, PyAny>>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let packed = packed_of::<T>(data, batch_sizes, sorted, unsorted)?;
    let sequences = elman::unpack_sequence(&packed).map_err(|error| of_layer(&error))?;
    Ok(sequences.into_iter().map(|sequence| owned(data.py(), sequence)).collect())
}

#[pyfunction]
fn unpad_sequence<'py>(
    padded: &Bound<'py, PyAny>,
    lengths: &Bound<'py, PyAny>,
    batch_first: bool,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let lengths = indices(lengths, "lengths")?;
    by_size!(padded, unpad(padded, &lengths, batch_first))
}

fn unpad<'py, T: Item>(
    padded: &Bound<'py, PyAny>,
    lengths: &[usize],
    batch_first: bool,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let array = items::<T>(padded)?;
    let sequences = elman::unpad_sequence(array.as_array(), lengths, batch_first);
    let sequences = sequences.map_err(|error| of_layer(&error))?;
    Ok(sequences.into_iter().map(|sequence| owned(padded.py(), sequence)).collect())
}

pub(crate) fn functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pack_padded_sequence, module)?)?;
    module.add_function(wrap_pyfunction!(pack_sequence, module)?)?;
    module.add_function(wrap_pyfunction!(pad_sequence, module)?)?;
    module.add_function(wrap_pyfunction!(pad_packed_sequence, module)?)?;
    module.add_function(wrap_pyfunction!(unpack_sequence, module)?)?;
    module.add_function(wrap_pyfunction!(unpad_sequence, module)?)
}
