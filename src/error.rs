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
    /// A saved configuration that is not valid.
    #[error("configuration: {what}")]
    Config {
        /// The expected and the found value.
        what: String,
    },
    /// The input is neither (L, N, `H_in`) nor (L, `H_in`).
    #[error("input: expected 2 or 3 dimensions, (L, H_in) or (L, N, H_in), got {} in shape {found:?}", found.len())]
    InputRank {
        /// Shape of the input.
        found: Vec<usize>,
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
    /// `h_0` does not have the shape that the layer and the input require.
    #[error("h_0: expected shape {expected:?}, got {found:?}")]
    HiddenShape {
        /// (D * `num_layers`, N, `H_out`), without N for unbatched input.
        expected: Vec<usize>,
        /// Shape of `h_0`.
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
    /// The number of lengths is not that of the sequences.
    #[error("lengths: expected {expected}, one for each sequence, got {found}")]
    LengthCount {
        /// N, the number of sequences.
        expected: usize,
        /// The number of lengths.
        found: usize,
    },
    /// A length that exceeds the steps of the padded tensor.
    #[error(
        "lengths: expected at most {steps}, the steps (seq_len) of the input, got {found} in row {row}"
    )]
    LengthBeyond {
        /// The sequence.
        row: usize,
        /// L, the steps of the tensor.
        steps: usize,
        /// Its length.
        found: usize,
    },
    /// A sequence that is longer than the one before it, with `enforce_sorted`.
    #[error(
        "lengths: expected descending order (enforce_sorted), got {found} in row {row} after {before}"
    )]
    LengthOrder {
        /// The sequence.
        row: usize,
        /// Length of the sequence before it.
        before: usize,
        /// Its length.
        found: usize,
    },
    /// A `total_length` below the longest length.
    #[error("total_length: expected at least {longest}, the longest length, got {found}")]
    TotalLength {
        /// The longest length.
        longest: usize,
        /// The `total_length`.
        found: usize,
    },
    /// An empty list of sequences, which does not determine the shape of the result.
    #[error("sequences: expected at least 1, got 0")]
    NoSequences,
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
    /// Fields of a packed sequence that are inconsistent.
    #[error("packed sequence: {what}")]
    Packed {
        /// The expected and the found value.
        what: String,
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
    /// A parameter whose shape is not that of the layer.
    #[error("{name}: expected shape {expected:?}, got {found:?}")]
    TensorShape {
        /// PyTorch's name of the parameter.
        name: String,
        /// Its shape in the layer.
        expected: Vec<usize>,
        /// Its shape here.
        found: Vec<usize>,
    },
    /// A generator state that is not valid.
    #[error("generator state: {what}")]
    GeneratorState {
        /// The expected and the found value.
        what: String,
    },
    /// The allocator returned no memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

fn shape_or_none(shape: Option<&[usize]>) -> String {
    shape.map_or("no such tensor".to_owned(), |shape| format!("shape {shape:?}"))
}
