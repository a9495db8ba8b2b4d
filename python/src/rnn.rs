//! `elman.RNN`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use elman::{Config, Dtype, Options, Output, Rnn};
use numpy::PyReadonlyArrayDyn;
use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::array::{Float, at_least_0, check_device, dtype, floats, owned, python};
use crate::error;
use crate::layer::{Layer, each, with_tensors};
use crate::load::PICKLE_VERSION;
use crate::pass::{self, Form};
use crate::random::Global;

/// torch.nn.RNN for the CPU, on arrays of NumPy: a multilayer, bidirectional Elman RNN with tanh or ReLU.
///
/// The arguments are those of torch.nn.RNN. Fresh weights come from the generator of elman.manual_seed, with PyTorch's
/// bits. A new layer is in training mode, as in PyTorch; this changes results only with dropout.
///
/// >>> import elman
/// >>> elman.manual_seed(0)
/// 0
/// >>> rnn = elman.RNN(10, 20, 2)
/// >>> input, h0 = elman.randn(5, 3, 10), elman.randn(2, 3, 20)
/// >>> output, hn = rnn(input, h0)
/// >>> output.shape, hn.shape
/// ((5, 3, 20), (2, 3, 20))
/// >>> rnn
/// RNN(10, 20, num_layers=2)
#[pyclass(frozen, name = "RNN", module = "elman")]
pub(crate) struct PyRnn {
    layer: Mutex<Arc<Layer>>,
    training: AtomicBool,
}

impl PyRnn {
    pub(crate) fn new_with(layer: Layer, training: bool) -> Self {
        PyRnn { layer: Mutex::new(Arc::new(layer)), training: AtomicBool::new(training) }
    }

    fn layer(&self) -> Arc<Layer> {
        self.layer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, layer: Layer) {
        *self.layer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(layer);
    }

    fn call<'py, T: Float>(
        &self,
        rnn: &Rnn<T>,
        input: &Bound<'py, PyAny>,
        hx: Option<&Bound<'py, PyAny>>,
        lengths: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let py = input.py();
        let (array, form) = Form::of(input, lengths)?;
        let array = floats::<T>(&array, "input")?;
        let hx = hx.map(|hx| floats::<T>(hx, "h_0")).transpose()?;
        let (array, h_0) = (array.as_array(), hx.as_ref().map(PyReadonlyArrayDyn::as_array));
        let config = rnn.config();
        let draws =
            self.training.load(Ordering::Relaxed) && config.dropout > 0.0 && config.num_layers > 1;
        let Output { output, h_n, .. } = pass::run(
            py,
            || form.batch(array, config.batch_first),
            |batch| rnn.is_serial(batch),
            |batch, mode| {
                rnn.forward(batch, Options { h_0: h_0.clone(), mode, ..Options::default() })
            },
            draws,
        )?;
        Ok((form.restored(input, owned(py, output))?, owned(py, h_n)))
    }
}

#[pymethods]
impl PyRnn {
    #[new]
    #[pyo3(signature = (
        input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=true, batch_first=false, dropout=0.0,
        bidirectional=false, device=None, dtype=None
    ))]
    #[allow(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "those of PyTorch"
    )]
    fn new(
        py: Python<'_>,
        input_size: i64,
        hidden_size: i64,
        num_layers: i64,
        nonlinearity: &str,
        bias: bool,
        batch_first: bool,
        dropout: f64,
        bidirectional: bool,
        device: Option<&Bound<'_, PyAny>>,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        check_device(device)?;
        let nonlinearity = nonlinearity.parse().map_err(|error| error::of_layer(&error))?;
        let (input_size, hidden_size) =
            (at_least_0(input_size, "input_size")?, at_least_0(hidden_size, "hidden_size")?);
        let config = Config {
            num_layers: at_least_0(num_layers, "num_layers")?,
            nonlinearity,
            bias,
            batch_first,
            dropout,
            bidirectional,
            ..Config::new(input_size, hidden_size)
        };
        let dtype = self::dtype(dtype)?.unwrap_or(Dtype::F32);
        let mut global = Global::lock(py);
        let layer = match dtype {
            Dtype::F32 => Rnn::new(config, global.get()).map(Layer::F32),
            Dtype::F64 => Rnn::new(config, global.get()).map(Layer::F64),
        };
        Ok(Self::new_with(layer.map_err(|error| error::of_layer(&error))?, true))
    }

    /// The forward pass: (output, h_n).
    ///
    /// `input` is (L, N, H_in), (N, L, H_in) with batch_first, (L, H_in), a PackedSequence, or elman.ragged(values,
    /// offsets); `output` has the same form. `hx` is (D * num_layers, N, H_out). `lengths` gives the steps of each
    /// sequence of a padded batch, in any order; the output behind them is 0, and h_n holds the states at their ends.
    #[pyo3(signature = (input, hx=None, lengths=None))]
    fn __call__<'py>(
        &self,
        input: &Bound<'py, PyAny>,
        hx: Option<&Bound<'py, PyAny>>,
        lengths: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        each!(&*self.layer(), rnn => self.call(rnn, input, hx, lengths))
    }

    /// The same as calling the layer.
    #[pyo3(signature = (input, hx=None, lengths=None))]
    fn forward<'py>(
        &self,
        input: &Bound<'py, PyAny>,
        hx: Option<&Bound<'py, PyAny>>,
        lengths: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        self.__call__(input, hx, lengths)
    }

    /// The weights and biases under PyTorch's names and in its order. They are copies.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        each!(&*self.layer(), rnn => for (name, tensor) in rnn.to_tensors() {
            dict.set_item(name, owned(py, tensor))?;
        });
        Ok(dict)
    }

    /// Replaces the weights by those of a state_dict, in the layer's dtype. Every name and shape has to fit.
    #[pyo3(signature = (state_dict, strict=true))]
    fn load_state_dict(&self, state_dict: &Bound<'_, PyAny>, strict: bool) -> PyResult<()> {
        if !strict {
            return Err(PyValueError::new_err("strict: expected True, got False"));
        }
        let items = state_dict.call_method0("items")?;
        let layer = self.layer();
        self.replace(each!(&*layer, rnn => with_tensors(rnn, &items)?));
        Ok(())
    }

    /// An iterator over the weights and biases. They are copies.
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.state_dict(py)?.values().into_any().try_iter()?.into_any())
    }

    /// An iterator over the names, weights and biases. They are copies.
    fn named_parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.state_dict(py)?.items().into_any().try_iter()?.into_any())
    }

    /// Sets training mode, in which dropout is applied, and returns the layer.
    #[pyo3(signature = (mode=true))]
    fn train(slf: Bound<'_, Self>, mode: bool) -> Bound<'_, Self> {
        slf.get().training.store(mode, Ordering::Relaxed);
        slf
    }

    /// Sets evaluation mode, in which dropout is not applied, and returns the layer.
    fn eval(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        Self::train(slf, false)
    }

    /// Converts the weights, as `module.to(dtype)` does, and returns the layer. The device is the CPU.
    #[pyo3(signature = (*args, device=None, dtype=None))]
    fn to<'py>(
        slf: Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        device: Option<&Bound<'py, PyAny>>,
        dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        check_device(device)?;
        let mut wanted = self::dtype(dtype)?;
        for argument in args.iter().filter(|argument| !argument.is_none()) {
            // A device is a string or an object of PyTorch that is printed as one.
            if argument.is_instance_of::<PyString>() || argument.getattr_opt("index")?.is_some() {
                check_device(Some(&argument))?;
            } else {
                wanted = self::dtype(Some(&argument))?;
            }
        }
        let this = slf.get();
        let converted = wanted.map(|wanted| this.layer().to(wanted)).transpose()?.flatten();
        if let Some(layer) = converted {
            this.replace(layer);
        }
        Ok(slf)
    }

    /// Does nothing: the weights are always packed.
    #[allow(clippy::unused_self, reason = "a method of PyTorch's class")]
    fn flatten_parameters(&self) {}

    #[getter]
    fn input_size(&self) -> usize {
        self.layer().config().input_size
    }

    #[getter]
    fn hidden_size(&self) -> usize {
        self.layer().config().hidden_size
    }

    #[getter]
    fn num_layers(&self) -> usize {
        self.layer().config().num_layers
    }

    #[getter]
    fn nonlinearity(&self) -> String {
        self.layer().config().nonlinearity.to_string()
    }

    #[getter]
    fn bias(&self) -> bool {
        self.layer().config().bias
    }

    #[getter]
    fn batch_first(&self) -> bool {
        self.layer().config().batch_first
    }

    #[getter]
    fn dropout(&self) -> f64 {
        self.layer().config().dropout
    }

    #[getter]
    fn bidirectional(&self) -> bool {
        self.layer().config().bidirectional
    }

    /// The name of the dtype of the weights.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.layer().dtype()
    }

    #[getter]
    fn training(&self) -> bool {
        self.training.load(Ordering::Relaxed)
    }

    /// A weight or bias by PyTorch's name, such as weight_ih_l0. It is a copy.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let found = elman::is_parameter_name(name).then(|| self.state_dict(py)?.get_item(name));
        let missing = || PyAttributeError::new_err(format!("RNN has no attribute '{name}'"));
        found.transpose()?.flatten().ok_or_else(missing)
    }

    fn __repr__(&self) -> String {
        self.layer().config().to_string()
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let layer = self.layer();
        let config = layer.config().to_json().to_string();
        let reversed = each!(&*layer, rnn => rnn.is_reversed());
        let settings = (config, reversed, layer.dtype(), self.training());
        let parts = (PICKLE_VERSION, settings, self.state_dict(py)?);
        Ok((python!(py, "elman._native", "rebuild_rnn")?.clone(), parts.into_pyobject(py)?))
    }
}
