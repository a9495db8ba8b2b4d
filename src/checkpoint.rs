//! Reads the layer of a file, and writes one as an .onnx: files and layers meet here.
//!
//! A file holds named tensors, and perhaps a configuration. This module finds those of one layer among the
//! tensors of a larger model, gives them PyTorch's names, and takes the configuration from the file or infers it
//! from names and shapes.

mod configuration;
mod error;
mod names;
#[cfg(feature = "onnx")]
mod onnx;

use std::collections::HashSet;

use ndarray::ArrayD;

use crate::element::{Dtype, Element};
use crate::files::{Accepts, Bundle, File, Source, StoredType, Tensor, open};
use crate::{Config, Params, Rnn};

pub use configuration::explicit_arguments;
pub use error::CheckpointError;
#[cfg(feature = "onnx")]
pub use onnx::write_onnx;

/// The weights of one layer as they are in a file, and the layer's configuration.
///
/// ```
/// use elman::Checkpoint;
/// use elman::files::Source;
///
/// let file = Source::parse("fixtures/sine/rnn.npz".as_ref());
/// let checkpoint = Checkpoint::read(&file, None, None)?;
/// // A state_dict does not contain the nonlinearity: the configuration has PyTorch's default.
/// assert!(!checkpoint.explicit_nonlinearity);
/// assert_eq!(checkpoint.recognised, ".npz archive");
/// let config = checkpoint.config.clone();
/// let rnn = checkpoint.into_rnn::<f32>(config)?;
/// assert_eq!(rnn.config().to_string(), "RNN(1, 8, num_layers=2)");
/// # Ok::<_, elman::CheckpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The name of the file, for messages.
    pub place: String,
    /// The format that was recognised by the first bytes, in words.
    pub recognised: String,
    /// The type of all tensors.
    pub dtype: Dtype,
    /// The configuration, with PyTorch's defaults for arguments that neither the file nor the shapes determine.
    pub config: Config,
    /// Whether the file contains the nonlinearity. A `state_dict` does not.
    pub explicit_nonlinearity: bool,
    /// Whether the layer runs from each sequence's last step to its first: `direction="reverse"` of ONNX,
    /// which no configuration of `torch.nn.RNN` has.
    pub reversed: bool,
    /// The names of the modules around the layer, such as `encoder.rnn.`; empty if there are none.
    pub prefix: String,
    /// The number of other tensors in the file.
    pub ignored: usize,
    /// Remarks for the user about how the file was read, a line each.
    pub notes: Vec<String>,
    /// The tensors, in the order of the file.
    pub tensors: Vec<NamedTensor>,
}

/// A tensor under PyTorch's name of the parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// The name without the modules around the layer, such as `weight_ih_l0`.
    pub name: String,
    /// The type of its numbers in the file.
    pub stored: StoredType,
    /// Its numbers, converted.
    pub tensor: Tensor,
}

impl Checkpoint {
    /// Reads a folder of .npy files, .npz, .safetensors, .pt or .onnx. Numbers become `dtype`, or by default
    /// [`StoredType::natural`].
    ///
    /// `prefix` chooses among several layers of a model: the part of the names before `weight_ih_l0`, with or
    /// without the dot at its end; in an .onnx, the name of the layer's first node.
    ///
    /// In an .onnx, a chain of RNN nodes is a layer, each node one of `num_layers`. If the graph transposes the
    /// input of the first, or if the node has `layout=1`, then `batch_first` is true. `h_0` and `h_n` always have
    /// PyTorch's shape, (D * `num_layers`, N, `H_out`).
    ///
    /// # Errors
    /// [`CheckpointError::File`]; [`CheckpointError::Weights`] if the file does not hold one RNN layer.
    pub fn read(
        source: &Source,
        dtype: Option<Dtype>,
        prefix: Option<&str>,
    ) -> Result<Self, CheckpointError> {
        match open(source, Accepts::Model)? {
            File::Bundle(mut bundle) => Self::of_bundle(&mut bundle, dtype, prefix),
            #[cfg(feature = "onnx")]
            File::Graph(graph) => Self::of_graph(&graph, dtype, prefix),
            File::Tensor(file) => unreachable!("{}: a model", file.place()),
        }
    }

    /// Reads the layer of a bundle.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`], except those of opening the file.
    pub fn of_bundle(
        bundle: &mut Bundle,
        dtype: Option<Dtype>,
        prefix: Option<&str>,
    ) -> Result<Self, CheckpointError> {
        let place = bundle.place().to_owned();
        let within = |error: CheckpointError| error.within(&place);
        let found = names::find(bundle.entries(), prefix).map_err(within)?;
        let (config, explicit_nonlinearity) = configuration::read(bundle, &found)?;
        let mut tensors = Vec::new();
        for (index, name) in found.members {
            let stored = bundle.entries()[index].stored;
            tensors.push(NamedTensor { name, stored, tensor: bundle.read(index, dtype)? });
        }
        let ignored = bundle.entries().len() - tensors.len();
        Ok(Checkpoint {
            recognised: bundle.format().to_string(),
            dtype: common_dtype(&config, &tensors).map_err(within)?,
            prefix: found.prefix,
            place: place.clone(),
            config,
            explicit_nonlinearity,
            reversed: false,
            ignored,
            notes: Vec::new(),
            tensors,
        })
    }

    /// The tensors as numbers of type T.
    pub fn into_tensors<T: Element>(self) -> Vec<(String, ArrayD<T>)> {
        let array = |tensor| match tensor {
            Tensor::F32(array) => array.mapv_into_any(T::from_f32),
            Tensor::F64(array) => array.mapv_into_any(T::from_f64),
        };
        self.tensors.into_iter().map(|named| (named.name, array(named.tensor))).collect()
    }

    /// The parameters, with a configuration that may differ in arguments that names and shapes do not determine.
    /// They do not contain `reversed`.
    ///
    /// # Errors
    /// Those of [`Params::from_tensors`], in [`CheckpointError::Weights`].
    pub fn into_params<T: Element>(self, config: Config) -> Result<Params<T>, CheckpointError> {
        let place = self.place.clone();
        Params::from_tensors(config, self.into_tensors())
            .map_err(|error| CheckpointError::from(error).within(&place))
    }

    /// The layer, with a configuration that may differ in arguments that names and shapes do not determine.
    ///
    /// # Errors
    /// Those of [`Params::from_tensors`], in [`CheckpointError::Weights`], and
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn into_rnn<T: Element>(self, config: Config) -> Result<Rnn<T>, CheckpointError> {
        let reversed = self.reversed;
        Ok(Rnn::from_params(self.into_params(config)?)?.with_reversed(reversed))
    }
}

/// The type of all parameters. Other tensors are ignored here, because they are an error of their own.
fn common_dtype(config: &Config, tensors: &[NamedTensor]) -> Result<Dtype, CheckpointError> {
    // A configuration can have any number of layers: parameters beyond the number of tensors are missing anyway.
    let own: HashSet<_> = config.parameters().take(tensors.len()).map(|own| own.name).collect();
    let mut own = tensors.iter().filter(|tensor| own.contains(&tensor.name));
    let Some(first) = own.next() else { return Ok(Dtype::F32) };
    let dtype = first.tensor.dtype();
    own.find(|tensor| tensor.tensor.dtype() != dtype).map_or(Ok(dtype), |other| {
        let (name, first, found) = (&other.name, &first.name, other.tensor.dtype());
        let what = format!("{name}: expected {dtype}, as {first} is, got {found}");
        Err(CheckpointError::MixedTypes(what))
    })
}
