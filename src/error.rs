//! The error of the layer.

use crate::memory::OutOfMemory;

/// An error of the layer: an invalid argument, or too little memory.
///
/// The text names the expected and the found value, in one line without a full stop. Shapes are in brackets, in
/// PyTorch's order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size that must be at least one is zero.
    #[error("expected {name} of at least 1, got 0")]
    ZeroSize {
        /// `input_size`, `hidden_size` or `num_layers`.
        name: &'static str,
    },
    /// A dropout probability outside [0, 1].
    #[error("expected dropout in [0, 1], the probability of an element being zeroed, got {found}")]
    Dropout {
        /// The value.
        found: f64,
    },
    /// A nonlinearity that is neither `tanh` nor `relu`.
    #[error("unknown nonlinearity '{found}': expected tanh or relu")]
    Nonlinearity {
        /// The name.
        found: String,
    },
    /// Another argument, or a saved value, that is not valid.
    #[error("{name}: {what}")]
    Invalid {
        /// `lengths`, `total_length`, `sequences`, `packed sequence`, `configuration` or `generator state`.
        name: &'static str,
        /// The expected and the found value.
        what: String,
    },
    /// The last axis of the input is not `input_size`.
    #[error(
        "input: expected {expected} features (input_size) on the last axis, got {} in shape {found:?}",
        found.last().unwrap_or(&0)
    )]
    InputSize {
        /// `input_size` of the layer.
        expected: usize,
        /// Shape of the input.
        found: Vec<usize>,
    },
    /// A sequence without steps.
    #[error("input: expected seq_len of at least 1, got 0 in shape {found:?}")]
    NoSteps {
        /// Shape of the input.
        found: Vec<usize>,
    },
    /// A layer with a reverse direction, whose state cannot be carried to later steps.
    #[error(
        "expected {}, which cannot be carried from array to array: its reverse direction begins at the last \
         step, which is still to come",
        if *bidirectional { "one direction, got a bidirectional layer" }
        else { "the forward direction, got a layer that runs in reverse" }
    )]
    Carried {
        /// Whether the layer has both directions.
        bidirectional: bool,
    },
    /// A tensor with too few or too many axes.
    #[error("{name}: expected {expected}, got {} in shape {found:?}", found.len())]
    Rank {
        /// The tensor.
        name: String,
        /// The number of axes that it needs, and their names.
        expected: &'static str,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A sequence whose steps differ in shape from those of the first.
    #[error(
        "sequence {row}: expected steps of shape {expected:?}, as in sequence 0, got shape {found:?}"
    )]
    SequenceShape {
        /// The sequence.
        row: usize,
        /// Shape of a step of the first sequence.
        expected: Vec<usize>,
        /// Shape of this sequence.
        found: Vec<usize>,
    },
    /// A weight of the first layer, which determines the sizes, is absent or not a matrix.
    #[error("{name}: expected a matrix that tells the layer's sizes, got {}", shape_or_none(found.as_deref()))]
    NoSizes {
        /// PyTorch's name of the parameter.
        name: String,
        /// Its shape; `None` if it is absent.
        found: Option<Vec<usize>>,
    },
    /// A parameter is absent.
    #[error("{name}: expected a tensor of shape {expected:?}, got none")]
    MissingTensor {
        /// PyTorch's name of the parameter.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
    },
    /// A tensor that is not a parameter of the layer.
    #[error("{name}: expected only the parameters of {layer}, got one more of shape {found:?}")]
    ExtraTensor {
        /// Name of the tensor.
        name: String,
        /// The layer, as PyTorch prints it.
        layer: String,
        /// Shape of the tensor.
        found: Vec<usize>,
    },
    /// A parameter, or `h_0`, whose shape is not the one that the layer and the input require.
    #[error("{name}: expected shape {expected:?}, got {found:?}")]
    TensorShape {
        /// PyTorch's name of the tensor.
        name: String,
        /// The required shape: of `h_0`, (D * `num_layers`, N, `H_out`), without N for unbatched input.
        expected: Vec<usize>,
        /// Its shape here.
        found: Vec<usize>,
    },
    /// The allocator returned no memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl Error {
    pub(crate) fn invalid(name: &'static str, what: impl Into<String>) -> Self {
        Error::Invalid { name, what: what.into() }
    }

    pub(crate) fn rank(name: impl Into<String>, expected: &'static str, found: &[usize]) -> Self {
        Error::Rank { name: name.into(), expected, found: found.to_vec() }
    }

    /// An `h_0` of another shape.
    pub(crate) fn hidden_shape(expected: Vec<usize>, found: &[usize]) -> Self {
        Error::TensorShape { name: "h_0".to_owned(), expected, found: found.to_vec() }
    }
}

fn shape_or_none(shape: Option<&[usize]>) -> String {
    shape.map_or("no such tensor".to_owned(), |shape| format!("shape {shape:?}"))
}
