//! The error of weights in files.

use crate::error::Error;
use crate::files::{FileError, MAX_LISTED, listed};

/// The error of reading a layer from a file, or of writing one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the variants explain their fields")]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tensors or the configuration are not those of a layer.
    #[error(transparent)]
    Layer(#[from] Error),
    /// Tensors or a node of another kind than an RNN, or with something that PyTorch's RNN does not have.
    #[error("{0}")]
    NoRnn(String),
    /// A saved configuration that the tensors beside it contradict.
    #[error("{0}")]
    Contradiction(String),
    /// Tensors of one layer with different types.
    #[error("{0}")]
    MixedTypes(String),
    /// Several layers in a model, and none was chosen. `found` has the prefixes of their parameters' names.
    #[error("expected one layer, got {}: {}", found.len(), prefixes(found))]
    ManyLayers { found: Vec<String> },
    /// No layer of a model has the requested prefix.
    #[error("expected a layer under the prefix '{asked}', got {}", prefixes(found))]
    NoLayer { asked: String, found: Vec<String> },
    /// A model has no module with a `weight` of this name. `found` has the names of those with one.
    #[error("expected a module '{asked}' with a weight, got {}", listed(found, MAX_LISTED))]
    NoModule { asked: String, found: Vec<String> },
    /// Several modules have names that end in the requested one.
    #[error("expected one module '{asked}', got {}: {}", found.len(), listed(found, MAX_LISTED))]
    ManyModules { asked: String, found: Vec<String> },
    /// An `nn.Embedding` with a `max_norm`, which scales the rows that it looks up.
    #[error(
        "{module}: expected an embedding without max_norm, which scales the rows that it looks up"
    )]
    MaxNorm { module: String },
    /// An error in the weights, with the place of the file.
    #[error("{place}: {source}")]
    Weights { place: String, source: Box<CheckpointError> },
}

impl CheckpointError {
    /// An error in a node of a graph.
    #[cfg(feature = "onnx")]
    pub(super) fn node(label: &str, what: impl std::fmt::Display) -> Self {
        Self::NoRnn(format!("node '{label}': {what}"))
    }

    /// Adds the file to the error, except if the error contains it already, or is about memory.
    pub(super) fn within(self, place: &str) -> Self {
        match self {
            Self::File(_) | Self::Layer(Error::OutOfMemory(_)) => self,
            error => Self::Weights { place: place.to_owned(), source: Box::new(error) },
        }
    }
}

/// The first prefixes of layers; quotes make an empty one visible.
fn prefixes(layers: &[String]) -> String {
    listed(layers.iter().map(|layer| if layer.is_empty() { "''" } else { layer }), MAX_LISTED)
}
