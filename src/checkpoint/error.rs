//! The error of weights in files.

use crate::error::Error;
use crate::files::FileError;

/// Layers that an error lists at most.
const MAX_LISTED: usize = 20;

/// Names of tensors that an error lists at most.
const MAX_NAMES: usize = 5;

/// Why a file gives no layer, or a layer no file.
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
        /// What they are the weights of, where that can be told.
        looks: Option<&'static str>,
    },
    /// A saved configuration that the tensors beside it contradict.
    #[error("expected {name} {expected}, as in the tensors, got {found}")]
    Contradiction {
        /// PyTorch's name of the argument.
        name: &'static str,
        /// What names and shapes of the tensors say.
        expected: String,
        /// What the configuration says.
        found: String,
    },
    /// Tensors of one layer that are of different types.
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
    #[error("expected one layer, got {}: {}", found.len(), listed(found))]
    ManyLayers {
        /// What stands before the names of their parameters.
        found: Vec<String>,
    },
    /// No layer of a model has the prefix that was asked for.
    #[error("expected a layer under the prefix '{asked}', got {}", listed(found))]
    NoLayer {
        /// The prefix.
        asked: String,
        /// Those that there are.
        found: Vec<String>,
    },
    /// An LSTM or a GRU.
    #[error("{name}: expected the weights of an RNN, got {kind}, in shape {found:?}")]
    Gates {
        /// Name of the tensor.
        name: String,
        /// Which of the two.
        kind: &'static str,
        /// Shape of the tensor.
        found: Vec<usize>,
    },
    /// A node of a graph that is not what a layer can be made of.
    #[error("node '{name}': {what}")]
    Node {
        /// Its name.
        name: String,
        /// What was expected and what was found.
        what: String,
    },
    /// Something about the weights in a file.
    #[error("{place}: {source}")]
    Weights {
        /// The file.
        place: String,
        /// What is wrong with them.
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
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        _ if names.is_empty() => "no tensors".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn looks_like(looks: Option<&str>) -> String {
    looks.map_or(String::new(), |looks| format!(": this looks like {looks}"))
}

/// Prefixes of layers, as many as fit a line; one that is empty still has to be seen.
fn listed(layers: &[String]) -> String {
    let shown = layers.iter().map(|layer| if layer.is_empty() { "''" } else { layer });
    let shown: Vec<_> = shown.take(MAX_LISTED).collect();
    match layers.len().saturating_sub(MAX_LISTED) {
        _ if shown.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
