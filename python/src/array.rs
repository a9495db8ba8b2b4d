//! Arrays of NumPy as views, and the crate's arrays as NumPy's.

use std::fmt::Display;

use elman::Dtype;
use ndarray::ArrayD;
use numpy::{
    Element, PyArray, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PyTuple};

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

/// A function of `elman._arrays`, or of another module, which is imported once.
macro_rules! python {
    ($py:expr, $name:literal) => {
        python!($py, "elman._arrays", $name)
    };
    ($py:expr, $module:literal, $name:literal) => {{
        static FUNCTION: pyo3::sync::PyOnceLock<pyo3::Py<pyo3::PyAny>> =
            pyo3::sync::PyOnceLock::new();
        FUNCTION.import($py, $module, $name)
    }};
}
pub(crate) use python;

/// Most axes of an array that ndarray can view.
const MAX_AXES: usize = 32;

/// A view of an argument: the memory of an aligned array of NumPy, and that of `to_array` if not. `name` stands in errors.
pub(crate) fn view<'py, T: Element>(
    value: &Bound<'py, PyAny>,
    name: &str,
    expected: impl Display,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    if let Some(array) = memory(value, name)? {
        return Ok(array);
    }
    let array = python!(value.py(), "to_array")?.call1((value, name))?;
    memory(&array, name)?.ok_or_else(|| {
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
    view(value, name, format_args!("{}, the dtype of the layer", T::NAME))
}

/// The memory of an array of NumPy. `None` for other objects, other types, arrays that are not aligned, and for
/// subclasses, whose numbers may not all be in their memory: a masked array is one.
pub(crate) fn memory<'py, T: Element>(
    value: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<Option<PyReadonlyArrayDyn<'py, T>>> {
    let array = value.cast::<PyArrayDyn<T>>().ok();
    let plain = |array: &&Bound<'py, PyArrayDyn<T>>| {
        array.is_aligned() && array.get_type().is(PyUntypedArray::type_object(array.py()))
    };
    let Some(array) = array.filter(plain) else { return Ok(None) };
    if array.ndim() > MAX_AXES {
        let what = format!("{name}: expected at most {MAX_AXES} axes, got {}", array.ndim());
        return Err(PyValueError::new_err(what));
    }
    let borrowed = array.try_readonly();
    borrowed.map(Some).map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

/// A whole number of at least 0 from an argument.
pub(crate) fn at_least_0(found: i64, name: &str) -> PyResult<usize> {
    usize::try_from(found)
        .map_err(|_| PyValueError::new_err(format!("{name}: expected at least 0, got {found}")))
}

/// Whole numbers of at least 0: a list, a tuple, or an array of any type of integers.
pub(crate) fn indices(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<usize>> {
    let numbers: Vec<i64> = if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>()
    {
        let number = |item: PyResult<Bound<'_, PyAny>>| {
            item.ok().filter(|item| !item.is_instance_of::<PyBool>())?.extract().ok()
        };
        value.try_iter()?.map(number).collect::<Option<_>>().ok_or_else(|| {
            PyTypeError::new_err(format!("{name}: expected whole numbers, got {value}"))
        })?
    } else {
        let array = python!(value.py(), "to_indices")?.call1((value, name))?;
        let array = array.cast::<PyArray1<i64>>()?.readonly();
        array.as_array().to_vec()
    };
    numbers.into_iter().map(|found| at_least_0(found, name)).collect()
}

/// Whole numbers as an array of int64.
pub(crate) fn to_int64<'py>(py: Python<'py>, indices: &[usize]) -> Bound<'py, PyArray1<i64>> {
    let numbers = indices.iter().map(|&index| i64::try_from(index).unwrap_or(i64::MAX));
    PyArray1::from_iter(py, numbers)
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
