//! A layer of either type of number, and its weights from arrays and into another type.

use elman::{Config, Dtype, Rnn};
use ndarray::ArrayD;
use pyo3::prelude::*;

use crate::array::{Float, floats, python};
use crate::error;

/// A layer of either type of number.
pub(crate) enum Layer {
    F32(Rnn<f32>),
    F64(Rnn<f64>),
}

/// Runs an expression on the layer of either type.
macro_rules! each {
    ($layer:expr, $rnn:ident => $body:expr) => {
        match $layer {
            Layer::F32($rnn) => $body,
            Layer::F64($rnn) => $body,
        }
    };
}
pub(crate) use each;

/// A type of number that a layer can have.
pub(crate) trait LayerFloat: Float {
    fn layer(rnn: Rnn<Self>) -> Layer;
}

impl LayerFloat for f32 {
    fn layer(rnn: Rnn<f32>) -> Layer {
        Layer::F32(rnn)
    }
}

impl LayerFloat for f64 {
    fn layer(rnn: Rnn<f64>) -> Layer {
        Layer::F64(rnn)
    }
}

impl Layer {
    pub(crate) fn config(&self) -> &Config {
        each!(self, rnn => rnn.config())
    }

    pub(crate) fn dtype(&self) -> &'static str {
        match self {
            Layer::F32(_) => f32::NAME,
            Layer::F64(_) => f64::NAME,
        }
    }

    /// The same layer in another type. `None`: it has this type.
    pub(crate) fn to(&self, dtype: Dtype) -> PyResult<Option<Layer>> {
        match (self, dtype) {
            (Layer::F32(rnn), Dtype::F64) => cast(rnn, f64::from).map(Layer::F64).map(Some),
            #[allow(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
            (Layer::F64(rnn), Dtype::F32) => cast(rnn, |x| x as f32).map(Layer::F32).map(Some),
            _ => Ok(None),
        }
    }
}

/// A layer with other weights.
pub(crate) fn with_tensors<T: LayerFloat>(
    rnn: &Rnn<T>,
    items: &Bound<'_, PyAny>,
) -> PyResult<Layer> {
    built(rnn.config().clone(), tensors(items)?, rnn.is_reversed()).map(T::layer)
}

/// A layer of a configuration and named tensors.
pub(crate) fn built<T: Float>(
    config: Config,
    tensors: Vec<(String, ArrayD<T>)>,
    reversed: bool,
) -> PyResult<Rnn<T>> {
    let rnn = Rnn::from_tensors(config, tensors).map_err(|error| error::of_layer(&error))?;
    Ok(rnn.with_reversed(reversed))
}

/// Copies of named arrays, in the type of the layer.
pub(crate) fn tensors<T: Float>(items: &Bound<'_, PyAny>) -> PyResult<Vec<(String, ArrayD<T>)>> {
    let one = |item: PyResult<Bound<'_, PyAny>>| {
        let (name, value): (String, Bound<'_, PyAny>) = item?.extract()?;
        let array = python!(items.py(), "to_state")?.call1((value, &name, T::NAME))?;
        let array = floats::<T>(&array, &name)?;
        Ok((name, array.as_array().to_owned()))
    };
    items.try_iter()?.map(one).collect()
}

/// The same layer with other numbers.
fn cast<T: Float, U: LayerFloat>(rnn: &Rnn<T>, number: impl Fn(T) -> U) -> PyResult<Rnn<U>> {
    let tensors = rnn.to_tensors().into_iter();
    let tensors = tensors.map(|(name, tensor)| (name, tensor.mapv(&number))).collect();
    built(rnn.config().clone(), tensors, rnn.is_reversed())
}
