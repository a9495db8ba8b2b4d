//! Layers from files, `elman.load`, and from pickles.

use std::path::PathBuf;

use elman::files::Source;
use elman::{Checkpoint, Config, Dtype};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::array::{Float, dtype};
use crate::error;
use crate::layer::{Layer, built, tensors};
use crate::rnn::PyRnn;

/// Reads a layer from a file or a folder of weights: .pt, .safetensors, .npz, .onnx, or a folder of .npy.
///
/// `prefix` chooses among several layers of a model. The other arguments override the file. The layer is in evaluation
/// mode.
#[pyfunction]
#[pyo3(signature = (path, prefix=None, *, nonlinearity=None, batch_first=None, dropout=None, dtype=None))]
fn load(
    py: Python<'_>,
    path: PathBuf,
    prefix: Option<&str>,
    nonlinearity: Option<&str>,
    batch_first: Option<bool>,
    dropout: Option<f64>,
    dtype: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyRnn> {
    let wanted = self::dtype(dtype)?;
    let source = Source::Path(path);
    let read = py.detach(|| Checkpoint::read(&source, wanted, prefix));
    let checkpoint = read.map_err(|error| error::of_checkpoint(&error))?;
    warn(py, &checkpoint.warnings)?;
    let config = overridden(&checkpoint.config, nonlinearity, batch_first, dropout)?;
    let layer = match checkpoint.dtype {
        Dtype::F32 => checkpoint.into_rnn(config).map(Layer::F32),
        Dtype::F64 => checkpoint.into_rnn(config).map(Layer::F64),
    };
    Ok(PyRnn::new_with(layer.map_err(|error| error::of_checkpoint(&error))?, false))
}

/// Emits a `UserWarning` for each warning of a checkpoint.
pub(crate) fn warn(py: Python<'_>, warnings: &[String]) -> PyResult<()> {
    let category = py.get_type::<pyo3::exceptions::PyUserWarning>();
    for text in warnings {
        let text = std::ffi::CString::new(text.as_str()).unwrap_or_default();
        PyErr::warn(py, &category, &text, 1)?;
    }
    Ok(())
}

/// A configuration with arguments in the place of those of a file.
pub(crate) fn overridden(
    config: &Config,
    nonlinearity: Option<&str>,
    batch_first: Option<bool>,
    dropout: Option<f64>,
) -> PyResult<Config> {
    let named = nonlinearity.map(str::parse).transpose();
    let config = Config {
        nonlinearity: named
            .map_err(|error| error::of_layer(&error))?
            .unwrap_or(config.nonlinearity),
        batch_first: batch_first.unwrap_or(config.batch_first),
        dropout: dropout.unwrap_or(config.dropout),
        ..config.clone()
    };
    config.check().map_err(|error| error::of_layer(&error))?;
    Ok(config)
}

/// The version of pickles of RNN and Model.
pub(crate) const PICKLE_VERSION: u32 = 1;

/// Refuses a pickle of another version.
pub(crate) fn check_version(found: u32) -> PyResult<()> {
    if found == PICKLE_VERSION {
        return Ok(());
    }
    let what = format!("pickle: expected version {PICKLE_VERSION}, got {found}");
    Err(PyValueError::new_err(what))
}

/// The layer that was pickled.
#[pyfunction]
fn rebuild_rnn(
    version: u32,
    settings: (String, bool, String, bool),
    state_dict: &Bound<'_, PyDict>,
) -> PyResult<PyRnn> {
    check_version(version)?;
    let (config, reversed, dtype, training) = settings;
    let config = Config::from_json(&config).map_err(|error| error::of_layer(&error))?;
    let items = state_dict.items().into_any();
    let layer = if dtype == f32::NAME {
        Layer::F32(built(config, tensors(&items)?, reversed)?)
    } else {
        Layer::F64(built(config, tensors(&items)?, reversed)?)
    };
    Ok(PyRnn::new_with(layer, training))
}

pub(crate) fn functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(load, module)?)?;
    module.add_function(wrap_pyfunction!(rebuild_rnn, module)?)
}
