//! Arrays of NumPy as views, and the crate's arrays as NumPy's.

use elman::Dtype;
use ndarray::ArrayD;
use numpy::{
    Element, PyArray, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// A number that the layer computes in, for NumPy.
pub(crate) trait Float: elman::Element + Element {
    /// NumPy's name of it.
    const NAME: &'static str;
}

impl Float for f32 {
    const NAME: &'static str = "float32";
}

impl Float for f64 {
    const NAME: &'static str = "float64";
}

/// A function of `elman._arrays`, which is imported once.
macro_rules! python {
    ($py:expr, $name:literal) => {{
        static FUNCTION: pyo3::sync::PyOnceLock<pyo3::Py<pyo3::PyAny>> =
            pyo3::sync::PyOnceLock::new();
        FUNCTION.import($py, "elman._arrays", $name)
    }};
}
pub(crate) use python;

/// A view of an argument: its own memory if it is aligned, and a copy if not. `name` stands in errors.
pub(crate) fn view<'py, T: Element>(
    value: &Bound<'py, PyAny>,
    name: &str,
    expected: &str,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    let exact = |value: &Bound<'py, PyAny>| {
        let array = value.cast::<PyArrayDyn<T>>().ok()?;
        array.is_aligned().then(|| array.readonly())
    };
    if let Some(array) = exact(value) {
        return Ok(array);
    }
    let array = python!(value.py(), "to_array")?.call1((value, name))?;
    exact(&array).ok_or_else(|| {
        let found = array.cast::<PyUntypedArray>().map(|array| array.dtype().to_string());
        let found = found.unwrap_or_else(|_| "another object".to_owned());
        PyTypeError::new_err(format!("{name}: expected {expected}, got {found}"))
    })
}

/// An array of the layer's type.
pub(crate) fn floats<'py, T: Float>(
    value: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    if let Ok(array) = value.cast::<PyArrayDyn<T>>()
        && array.is_aligned()
    {
        return Ok(array.readonly());
    }
    view(value, name, &format!("{}, the dtype of the layer", T::NAME))
}

/// Whole numbers of at least 0: a list, a tuple, or an array of any type of integers.
pub(crate) fn indices(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<usize>> {
    let own: Vec<i64> = if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        value.extract().map_err(|_| {
            PyTypeError::new_err(format!("{name}: expected whole numbers, got {value}"))
        })?
    } else {
        let array = python!(value.py(), "to_indices")?.call1((value, name))?;
        let array = array.cast::<PyArray1<i64>>()?.readonly();
        array.as_array().to_vec()
    };
    let index = |&found: &i64| {
        usize::try_from(found)
            .map_err(|_| PyValueError::new_err(format!("{name}: expected at least 0, got {found}")))
    };
    own.iter().map(index).collect()
}

/// Whole numbers as an array of int64.
pub(crate) fn to_int64<'py>(py: Python<'py>, indices: &[usize]) -> Bound<'py, PyArray1<i64>> {
    let own = indices.iter().map(|&index| i64::try_from(index).unwrap_or(i64::MAX));
    PyArray1::from_iter(py, own)
}

/// An array of NumPy in the same memory.
pub(crate) fn owned<T: Element>(py: Python<'_>, array: ArrayD<T>) -> Bound<'_, PyAny> {
    PyArray::from_owned_array(py, array).into_any()
}

/// A type of number from `dtype=`: `None`, a name, or a type of NumPy or PyTorch.
pub(crate) fn dtype(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Dtype>> {
    let Some(value) = value else { return Ok(None) };
    let name: String = python!(value.py(), "dtype_name")?.call1((value,))?.extract()?;
    match name.as_str() {
        f32::NAME => Ok(Some(Dtype::F32)),
        f64::NAME => Ok(Some(Dtype::F64)),
        found => {
            Err(PyTypeError::new_err(format!("dtype: expected float32 or float64, got {found}")))
        }
    }
}

/// Refuses a device other than the processor.
pub(crate) fn check_device(value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let Some(value) = value else { return Ok(()) };
    let name = value.str()?.to_string();
    if name == "cpu" || name.starts_with("cpu:") {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("device: expected cpu, got {name}")))
}
