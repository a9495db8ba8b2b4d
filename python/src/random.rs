//! PyTorch's global generator: `elman.manual_seed` and the draws that follow.

use std::sync::{Mutex, MutexGuard, PoisonError};

use elman::{Dtype, Generator, zeros};
use ndarray::ArrayD;
use numpy::PyArray1;
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::array::{Float, at_least_0, dtype, owned, view};
use crate::error;

static GENERATOR: Mutex<Option<Generator>> = Mutex::new(None);

/// The generator of this process. The caller holds the GIL while it draws.
pub(crate) struct Global(MutexGuard<'static, Option<Generator>>);

impl Global {
    pub(crate) fn lock(_: Python<'_>) -> Self {
        Global(GENERATOR.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn get(&mut self) -> &mut Generator {
        self.0.get_or_insert_with(|| Generator::new(Generator::DEFAULT_SEED))
    }
}

/// Seeds the generator as `torch.manual_seed` does, and returns the seed.
///
/// >>> import elman
/// >>> elman.manual_seed(0)
/// 0
/// >>> elman.randn(2, 2)
/// array([[ 1.5409961 , -0.2934289 ],
///        [-2.1787894 ,  0.56843126]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (seed, /))]
fn manual_seed(py: Python<'_>, seed: i128) -> PyResult<u64> {
    // As in PyTorch, a negative seed counts modulo 2^64.
    let bits = u64::try_from(seed).or_else(|_| i64::try_from(seed).map(i64::cast_unsigned));
    let bits = bits.map_err(|_| {
        PyOverflowError::new_err(format!("seed: expected from -2^63 to 2^64 - 1, got {seed}"))
    })?;
    *Global::lock(py).get() = Generator::new(bits);
    Ok(bits)
}

/// The seed of the generator, as `torch.initial_seed` returns it.
#[pyfunction]
fn initial_seed(py: Python<'_>) -> u64 {
    Global::lock(py).get().seed()
}

/// The state of the generator in the bytes of `torch.get_rng_state`, an array of uint8.
#[pyfunction]
fn get_rng_state(py: Python<'_>) -> Bound<'_, PyArray1<u8>> {
    PyArray1::from_slice(py, &Global::lock(py).get().state())
}

/// Continues the stream of a state of `get_rng_state`, this one or PyTorch's.
#[pyfunction]
#[pyo3(signature = (new_state, /))]
fn set_rng_state(py: Python<'_>, new_state: &Bound<'_, PyAny>) -> PyResult<()> {
    let state = view::<u8>(new_state, "new_state", "uint8")?;
    let bytes: Vec<u8> = state.as_array().iter().copied().collect();
    *Global::lock(py).get() =
        Generator::from_state(&bytes).map_err(|error| error::of_layer(&error))?;
    Ok(())
}

/// Standard normal samples with the bits of `torch.randn`: `randn(5, 3)` or `randn((5, 3))`, float32 unless `dtype` says
/// float64.
#[pyfunction]
#[pyo3(signature = (*size, dtype=None))]
fn randn<'py>(
    size: &Bound<'py, PyTuple>,
    #[pyo3(from_py_with = dtype_of)] dtype: Option<Dtype>,
) -> PyResult<Bound<'py, PyAny>> {
    let one = (size.len() == 1).then(|| size.get_item(0)).transpose()?;
    let shape: Vec<i64> = match one.map(|one| one.extract()) {
        Some(Ok(shape)) => shape,
        _ => size.extract()?,
    };
    let shape = shape.into_iter().map(|size| at_least_0(size, "size")).collect::<PyResult<_>>()?;
    match dtype.unwrap_or(Dtype::F32) {
        Dtype::F32 => normal::<f32>(size.py(), shape),
        Dtype::F64 => normal::<f64>(size.py(), shape),
    }
}

fn dtype_of(value: &Bound<'_, PyAny>) -> PyResult<Option<Dtype>> {
    dtype((!value.is_none()).then_some(value))
}

fn normal<T: Float>(py: Python<'_>, shape: Vec<usize>) -> PyResult<Bound<'_, PyAny>> {
    let mut values =
        zeros::<T>(&shape, "samples").map_err(|error| error::of_layer(&error.into()))?;
    Global::lock(py).get().normal(&mut values);
    let array = ArrayD::from_shape_vec(shape, values);
    Ok(owned(py, array.map_err(|error| PyValueError::new_err(error.to_string()))?))
}

pub(crate) fn functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(manual_seed, module)?)?;
    module.add_function(wrap_pyfunction!(initial_seed, module)?)?;
    module.add_function(wrap_pyfunction!(get_rng_state, module)?)?;
    module.add_function(wrap_pyfunction!(set_rng_state, module)?)?;
    module.add_function(wrap_pyfunction!(randn, module)?)
}
