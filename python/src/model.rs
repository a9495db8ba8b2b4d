//! `elman.Model`: a layer with the parts of its model around it.

use std::path::PathBuf;

use elman::files::{Source, Tensor};
use elman::{
    Batch, Config, Dtype, Model, ModelCheckpoint, ModelConfig, ModelOutput, Options, Pool,
    Prediction,
};
use ndarray::ArrayD;
use numpy::PyReadonlyArrayDyn;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use serde_json::Value;

use crate::array::{Float, dtype, floats, owned, python, view};
use crate::error::{of_checkpoint, of_layer};
use crate::layer::{built, tensors};
use crate::load::{PICKLE_VERSION, check_version, overridden, warn};
use crate::parts::Parts;
use crate::pass::{self, Form};

/// A model of either type of number.
enum AnyModel {
    F32(Model<f32>),
    F64(Model<f64>),
}

/// Runs an expression on the model of either type.
macro_rules! each {
    ($model:expr, $typed:ident => $body:expr) => {
        match $model {
            AnyModel::F32($typed) => $body,
            AnyModel::F64($typed) => $body,
        }
    };
}

/// An encoder, an RNN and a decoder from one checkpoint, in evaluation mode.
///
/// The arguments are the flags of `rnn run`: `embedding` or `one_hot` for input of ids, `vocab` (with `tokens` and
/// `unknown`) for input of text, `head` (such as "fc.0,relu,fc.2"), `pool` ("steps", "last", "state", "mean" or "max"),
/// `function` ("softmax", "log_softmax", "sigmoid" or "argmax") or `top`, and `labels`. They override those of the
/// file.
#[pyclass(frozen, name = "Model", module = "elman")]
pub(crate) struct PyModel {
    model: AnyModel,
    around: ModelConfig,
    /// The tensors of the parts around the layer, for copies and pickles.
    tensors: Vec<(String, Tensor)>,
}

impl PyModel {
    fn call<'py, T: Float>(
        &self,
        model: &Model<T>,
        input: &Bound<'py, PyAny>,
        hx: Option<&Bound<'py, PyAny>>,
        lengths: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let py = input.py();
        let text = self.text(input)?;
        let input = text.as_ref().unwrap_or(input);
        let (array, form) = Form::of(input, lengths)?;
        let hx = hx.map(|hx| floats::<T>(hx, "h_0")).transpose()?;
        let h_0 = hx.as_ref().map(PyReadonlyArrayDyn::as_array);
        let batch_first = model.rnn().config().batch_first;
        let is_serial = |batch: &Batch<'_, T>| model.is_serial(batch);
        let forward = |batch: Batch<'_, T>, mode: elman::Mode<'_>| {
            model.forward(batch, Options { h_0: h_0.clone(), mode, ..Options::default() })
        };
        let ModelOutput { prediction, h_n } = if let Some(encoder) = model.encoder() {
            let ids = view::<i64>(&array, "input", "int64, the ids of the model's encoder")?;
            let ids = ids.as_array();
            let batch = || form.encoded(encoder, ids, batch_first);
            pass::run(py, batch, is_serial, forward, false)?
        } else {
            let rows = floats::<T>(&array, "input")?;
            let rows = rows.as_array();
            pass::run(py, || form.batch(rows, batch_first), is_serial, forward, false)?
        };
        let prediction = self.restored(&form, input, prediction)?;
        Ok((prediction, owned(py, h_n)))
    }

    /// A prediction for each step in the type of the input, and one for each sequence as an array.
    fn restored<'py, T: Float>(
        &self,
        form: &Form,
        input: &Bound<'py, PyAny>,
        prediction: Prediction<T>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = input.py();
        let each_step = self.around.pool == Pool::Steps;
        let restore = |output| if each_step { form.restored(input, output) } else { Ok(output) };
        match prediction {
            Prediction::Values(values) => restore(owned(py, values)),
            Prediction::Classes(classes) => restore(owned(py, classes)),
            Prediction::Top { values, indices } => {
                let both = [restore(owned(py, values))?, restore(owned(py, indices))?];
                Ok(PyTuple::new(py, both)?.into_any())
            }
        }
    }

    /// Lines of text as the ids of their tokens, one sequence after the other. `None` for arrays.
    fn text<'py>(&self, input: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(vocabulary) = &self.around.vocabulary else { return Ok(None) };
        let Ok(lines) = input.extract::<Vec<String>>() else { return Ok(None) };
        let (mut ids, mut offsets) = (Vec::new(), vec![0]);
        for (index, line) in lines.iter().enumerate() {
            ids.extend(vocabulary.encode(line, index + 1).map_err(|error| of_layer(&error))?);
            offsets.push(ids.len());
        }
        let ids =
            owned(input.py(), ArrayD::from_shape_vec(vec![ids.len()], ids).unwrap_or_default());
        python!(input.py(), "ragged")?.call1((ids, offsets)).map(Some)
    }
}

#[pymethods]
impl PyModel {
    #[new]
    #[pyo3(signature = (
        path, *, prefix=None, embedding=None, one_hot=false, vocab=None, tokens=None, unknown=None, head=None,
        pool=None, function=None, top=None, labels=None, nonlinearity=None, batch_first=None, dtype=None
    ))]
    #[allow(clippy::too_many_arguments, reason = "one for each flag of the command")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        prefix: Option<&str>,
        embedding: Option<&str>,
        one_hot: bool,
        vocab: Option<Vec<String>>,
        tokens: Option<&str>,
        unknown: Option<&str>,
        head: Option<&str>,
        pool: Option<&str>,
        function: Option<&str>,
        top: Option<i64>,
        labels: Option<Vec<String>>,
        nonlinearity: Option<&str>,
        batch_first: Option<bool>,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (vocab, head) = ((vocab, tokens, unknown), (head, pool));
        let parts = Parts::of((embedding, one_hot), vocab, head, (function, top), labels)?;
        let wanted = self::dtype(dtype)?;
        let source = Source::Path(path);
        let choose = |saved: ModelConfig| parts.over(&saved);
        let read = py.detach(|| ModelCheckpoint::read(&source, wanted, prefix, choose));
        let read = read.map_err(|error| of_checkpoint(&error))?;
        warn(py, &read.layer.warnings)?;
        let config = overridden(&read.layer.config, nonlinearity, batch_first, None)?;
        let tensors =
            read.tensors.iter().map(|part| (part.name.clone(), part.tensor.clone())).collect();
        let (around, dtype) = (read.config.clone(), read.layer.dtype);
        let model = match dtype {
            Dtype::F32 => read.into_model(config).map(AnyModel::F32),
            Dtype::F64 => read.into_model(config).map(AnyModel::F64),
        };
        Ok(PyModel { model: model.map_err(|error| of_checkpoint(&error))?, around, tensors })
    }

    /// The pass: (prediction, h_n). `input`, `hx` and `lengths` are those of RNN; a model with an encoder takes int64 ids
    /// in the place of rows, and one with a vocabulary also a list of lines of text.
    ///
    /// The prediction is for each step, or with a `pool` for each sequence. With `function="argmax"` it holds classes,
    /// and with `top` it is (values, indices).
    #[pyo3(signature = (input, hx=None, lengths=None))]
    fn __call__<'py>(
        &self,
        input: &Bound<'py, PyAny>,
        hx: Option<&Bound<'py, PyAny>>,
        lengths: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        each!(&self.model, model => self.call(model, input, hx, lengths))
    }

    /// The ids of the tokens of lines of text, one sequence after the other.
    fn tokens<'py>(&self, lines: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.text(lines)?.ok_or_else(|| {
            PyTypeError::new_err("input: expected lines of text and a model with a vocabulary")
        })
    }

    /// The names of the classes, or None.
    #[getter]
    fn labels(&self) -> Option<Vec<String>> {
        self.around.labels.clone()
    }

    /// The part of the output from which the prediction is computed: "steps", "last", "state", "mean" or "max".
    #[getter]
    fn pool(&self) -> Option<String> {
        self.around.to_json()["pool"].as_str().map(str::to_owned)
    }

    /// The features of a row of the input.
    #[getter]
    fn input_size(&self) -> usize {
        each!(&self.model, model => model.rnn().config().input_size)
    }

    /// Whether the input holds ids.
    #[getter]
    fn takes_ids(&self) -> bool {
        each!(&self.model, model => model.encoder().is_some())
    }

    /// The name of the dtype of the weights.
    #[getter]
    fn dtype(&self) -> &'static str {
        match self.model {
            AnyModel::F32(_) => f32::NAME,
            AnyModel::F64(_) => f64::NAME,
        }
    }

    fn __repr__(&self) -> String {
        let config = each!(&self.model, model => model.rnn().config().to_string());
        let mut around = self.around.to_json();
        if let Some(fields) = around.as_object_mut() {
            fields.retain(|name, _| name != "version" && name != "vocabulary" && name != "labels");
        }
        format!("Model({config}, {around})")
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (config, layer) = each!(&self.model, model => {
            let layer = PyDict::new(py);
            for (name, tensor) in model.rnn().to_tensors() {
                layer.set_item(name, owned(py, tensor))?;
            }
            let rnn = model.rnn();
            ((rnn.config().to_json().to_string(), rnn.is_reversed()), layer)
        });
        let around = PyDict::new(py);
        for (name, tensor) in &self.tensors {
            let array = match tensor {
                Tensor::F32(array) => owned(py, array.clone()),
                Tensor::F64(array) => owned(py, array.clone()),
            };
            around.set_item(name, array)?;
        }
        let settings = (config, self.around.to_json().to_string(), self.dtype());
        let parts = (PICKLE_VERSION, settings, layer, around);
        Ok((python!(py, "elman._native", "rebuild_model")?.clone(), parts.into_pyobject(py)?))
    }
}

/// The model that was pickled.
#[pyfunction]
fn rebuild_model(
    version: u32,
    settings: ((String, bool), String, String),
    layer: &Bound<'_, PyDict>,
    parts: &Bound<'_, PyDict>,
) -> PyResult<PyModel> {
    check_version(version)?;
    let ((config, reversed), around, dtype) = settings;
    let config = Config::from_json(&config).map_err(|error| of_layer(&error))?;
    let around: Value = serde_json::from_str(&around)
        .map_err(|error| PyValueError::new_err(format!("model configuration: {error}")))?;
    let around = ModelConfig::from_json(&around).map_err(|error| of_layer(&error))?;
    let (layer, parts) = (layer.items().into_any(), parts.items().into_any());
    if dtype == f32::NAME {
        rebuilt(config, reversed, around, (&layer, &parts), AnyModel::F32, Tensor::F32)
    } else {
        rebuilt(config, reversed, around, (&layer, &parts), AnyModel::F64, Tensor::F64)
    }
}

fn rebuilt<T: Float>(
    config: Config,
    reversed: bool,
    around: ModelConfig,
    (layer, parts): (&Bound<'_, PyAny>, &Bound<'_, PyAny>),
    typed: impl Fn(Model<T>) -> AnyModel,
    tensor: impl Fn(ArrayD<T>) -> Tensor,
) -> PyResult<PyModel> {
    let parts = tensors::<T>(parts)?.into_iter().map(|(name, array)| (name, tensor(array)));
    let parts: Vec<_> = parts.collect();
    let rnn = built(config, tensors::<T>(layer)?, reversed)?;
    let model = Model::from_tensors(rnn, &around, &parts).map_err(|error| of_layer(&error))?;
    Ok(PyModel { model: typed(model), around, tensors: parts })
}

pub(crate) fn functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(rebuild_model, module)?)
}
