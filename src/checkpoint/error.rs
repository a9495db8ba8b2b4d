//! The error of weights in files.

use crate::error::Error;
use crate::files::{FileError, MAX_LISTED, listed};

/// Most names of tensors that an error lists.
const MAX_NAMES: usize = 5;

/// The error of reading a layer from a file, or of writing one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tensors or the configuration are not those of a layer.
    #[error(transparent)]
    Layer(#[from] Error),
    /// No tensor has the name that a parameter of an RNN has.
    #[error("expected the weights of an RNN, such as weight_ih_l0, got {}{}", some(found), looks_like(*looks))]
    NoRnn {
        /// Names of the tensors.
        found: Vec<String>,
        /// Their likely kind, if it can be told.
        looks: Option<&'static str>,
    },
    /// A saved configuration that the tensors beside it contradict.
    #[error("expected {name} {expected}, as in the tensors, got {found}")]
    Contradiction {
        /// PyTorch's name of the argument.
        name: &'static str,
        /// The value that follows from names and shapes of the tensors.
        expected: String,
        /// The value in the configuration.
        found: String,
    },
    /// Tensors of one layer with different types.
    #[error("{name}: expected {expected}, as {first} is, got {found}")]
    MixedTypes {
        /// The tensor.
        name: String,
        /// The first tensor of the layer.
        first: String,
        /// Its type.
        expected: String,
        /// The type of the tensor.
        found: String,
    },
    /// Several layers in a model, and none was chosen.
    #[error("expected one layer, got {}: {}", found.len(), prefixes(found))]
    ManyLayers {
        /// The prefixes of their parameters' names.
        found: Vec<String>,
    },
    /// No layer of a model has the requested prefix.
    #[error("expected a layer under the prefix '{asked}', got {}", prefixes(found))]
    NoLayer {
        /// The prefix.
        asked: String,
        /// The prefixes of the model's layers.
        found: Vec<String>,
    },
    /// An LSTM or a GRU.
    #[error("{name}: expected the weights of an RNN, got {kind}, in shape {found:?}")]
    Gates {
        /// Name of the tensor.
        name: String,
        /// The kind of layer.
        kind: &'static str,
        /// Shape of the tensor.
        found: Vec<usize>,
    },
    /// A node of a graph that cannot be part of a layer.
    #[error("node '{name}': {what}")]
    Node {
        /// Its name.
        name: String,
        /// What was expected and what was found.
        what: String,
    },
    /// An error in the weights, with the file.
    #[error("{place}: {source}")]
    Weights {
        /// The file.
        place: String,
        /// The error.
        source: Box<CheckpointError>,
    },
}

impl CheckpointError {
    /// Names the file, except if the error does so already, or is about memory.
    pub(super) fn within(self, place: &str) -> Self {
        match self {
            Self::File(_) | Self::Layer(Error::OutOfMemory(_)) => self,
            error => Self::Weights { place: place.to_owned(), source: Box::new(error) },
        }
    }
}

/// The first few names.
fn some(names: &[String]) -> String {
    if names.is_empty() { "no tensors".to_owned() } else { listed(names, MAX_NAMES) }
}

fn looks_like(looks: Option<&str>) -> String {
    looks.map_or(String::new(), |looks| format!(": this looks like {looks}"))
}

/// The first prefixes of layers; quotes make an empty one visible.
fn prefixes(layers: &[String]) -> String {
    listed(layers.iter().map(|layer| if layer.is_empty() { "''" } else { layer }), MAX_LISTED)
}
