//! The parameters of a layer: its weights and biases.

use std::borrow::Borrow;
use std::collections::HashMap;

use ndarray::ArrayD;

use crate::element::Element;
use crate::error::Error;
use crate::memory::{OutOfMemory, array, reserved, zeros};
use crate::{Config, Generator, Parameter};

/// The parameters of a layer, with the shapes that its configuration determines.
///
/// ```
/// use elman::{Config, Generator, Params, Rnn};
///
/// let params = Params::<f32>::init(Config::new(10, 20), &mut Generator::new(0))?;
/// assert_eq!(params.config().to_string(), "RNN(10, 20)");
/// let rnn = Rnn::from_params(params)?;
/// assert_eq!(rnn.to_tensors()[1].0, "weight_hh_l0");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Params<T> {
    pub(crate) config: Config,
    /// In the order of the `state_dict`.
    pub(crate) tensors: Vec<ArrayD<T>>,
}

impl<T: Element> Params<T> {
    /// Takes the tensors of a `state_dict`, in any order. Every shape is checked against `config`.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::TensorShape`] and [`Error::ExtraTensor`] name the tensor.
    pub fn from_tensors(config: Config, tensors: Vec<(String, ArrayD<T>)>) -> Result<Self, Error> {
        config.check()?;
        let tensors = in_order::<T, _>(&config, tensors)?;
        Ok(Params { config, tensors })
    }

    /// Draws fresh parameters as `nn.RNN(...)` does: every number, biases included, from
    /// U(-sqrt(k), sqrt(k)) with k = 1 / `hidden_size`, in the order of the `state_dict`.
    ///
    /// # Errors
    /// The errors of [`Config::check`], and [`Error::OutOfMemory`].
    pub fn init(config: Config, generator: &mut Generator) -> Result<Self, Error> {
        config.check()?;
        // The whole size is tried first: each of many small tensors may fit although all of them together do not.
        let count = config.num_parameters();
        let too_large = OutOfMemory { what: WEIGHTS, bytes: usize::MAX };
        drop(reserved::<T>(count.ok_or(too_large)?, WEIGHTS)?);
        let bound = 1.0 / (config.hidden_size as f64).sqrt();
        let count = config.num_layers.saturating_mul(4 * config.num_directions());
        let mut tensors = reserved(count, WEIGHTS)?;
        for parameter in config.parameters() {
            let mut values = zeros(&parameter.shape, WEIGHTS)?;
            generator.uniform(-bound, bound, &mut values);
            tensors.push(array(&parameter.shape, values));
        }
        Ok(Params { config, tensors })
    }

    /// The tensors of the `state_dict`, under PyTorch's names and in its order.
    pub fn into_tensors(self) -> Vec<(String, ArrayD<T>)> {
        self.config.parameters().map(|parameter| parameter.name).zip(self.tensors).collect()
    }

    /// Puts `bias_ih + bias_hh` into `bias_ih`, and zeros into `bias_hh`. The layer gives the same results,
    /// because it uses only their sum.
    pub fn merge_bias(&mut self) {
        let cells = self.tensors.chunks_mut(self.config.tensors_per_cell());
        for cell in cells {
            if let [_, _, bias_ih, bias_hh] = cell {
                bias_ih.zip_mut_with(bias_hh, |sum, &hh| *sum += hh);
                bias_hh.fill(T::ZERO);
            }
        }
    }

    /// The configuration of the layer.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

/// The name of the memory for parameters in an error.
pub(crate) const WEIGHTS: &str = "weights";

/// The tensors of a `state_dict` in its order, with every shape checked against `config`.
pub(crate) fn in_order<T, A: Borrow<ArrayD<T>>>(
    config: &Config,
    tensors: Vec<(String, A)>,
) -> Result<Vec<A>, Error> {
    let mut places = HashMap::new();
    for (place, (name, _)) in tensors.iter().enumerate() {
        places.entry(name.clone()).or_insert(place);
    }
    let mut tensors: Vec<_> = tensors.into_iter().map(Some).collect();
    // The order of the parameters, so that the error names the first wrong tensor.
    let mut ordered = Vec::new();
    for Parameter { name, shape: expected, .. } in config.parameters() {
        let place = places.get(&name).copied();
        let Some((name, tensor)) = place.and_then(|place| tensors[place].take()) else {
            return Err(Error::MissingTensor { name, expected });
        };
        let found = tensor.borrow().shape();
        if found != expected {
            return Err(Error::TensorShape { name, expected, found: found.to_vec() });
        }
        ordered.push(tensor);
    }
    if let Some((name, tensor)) = tensors.into_iter().flatten().next() {
        let found = tensor.borrow().shape().to_vec();
        return Err(Error::ExtraTensor { name, layer: config.to_string(), found });
    }
    Ok(ordered)
}
