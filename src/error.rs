//! The error of the layer.

use crate::memory::OutOfMemory;

/// Why the layer refuses its arguments, or could not finish.
///
/// The text says what was expected and what was found, in one line without a full stop. Shapes stand
/// in brackets, in PyTorch's order.
///
/// ```
/// use elman::{Config, Error};
///
/// let error = Config::new(10, 0).check().unwrap_err();
/// assert!(matches!(error, Error::ZeroSize { name: "hidden_size" }));
/// assert_eq!(error.to_string(), "expected hidden_size of at least 1, got 0");
/// ```
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
    /// A saved configuration that cannot be understood.
    #[error("configuration: {what}")]
    Config {
        /// What was expected and what was found.
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
    /// A sequence without a single step.
    #[error("input: expected seq_len of at least 1, got 0 in shape {found:?}")]
    NoSteps {
        /// Shape of the input.
        found: Vec<usize>,
    },
    /// `h_0` does not have the shape that the layer and the input ask for.
    #[error("h_0: expected shape {expected:?}, got {found:?}")]
    HiddenShape {
        /// (D * `num_layers`, N, `H_out`), without N for unbatched input.
        expected: Vec<usize>,
        /// Shape of `h_0`.
        found: Vec<usize>,
    },
    /// A layer with a reverse direction, whose state is not carried from some steps to the next ones.
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
    /// A tensor without the axes that it needs.
    #[error("{name}: expected {expected}, got {} in shape {found:?}", found.len())]
    Rank {
        /// What it is.
        name: String,
        /// How many axes it needs, and which.
        expected: &'static str,
        /// Its shape.
        found: Vec<usize>,
    },
    /// More or fewer lengths than sequences.
    #[error("lengths: expected {expected}, one for each sequence, got {found}")]
    LengthCount {
        /// N, the number of sequences.
        expected: usize,
        /// Lengths.
        found: usize,
    },
    /// A length beyond the steps of the padded tensor.
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
    /// A sequence that is longer than the one before it, where they were said to be sorted.
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
    /// Fewer steps asked for than the longest sequence has.
    #[error("total_length: expected at least {longest}, the longest length, got {found}")]
    TotalLength {
        /// The longest length.
        longest: usize,
        /// What was asked for.
        found: usize,
    },
    /// A list without a sequence, from which the shape of the result would follow.
    #[error("sequences: expected at least 1, got 0")]
    NoSequences,
    /// A sequence whose steps have another shape than those of the first.
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
    /// Parts of a packed sequence that do not belong together.
    #[error("packed sequence: {what}")]
    Packed {
        /// What was expected and what was found.
        what: String,
    },
    /// The weights of the first layer, which tell the sizes of the whole, are absent or no matrices.
    #[error("{name}: expected a matrix that tells the layer's sizes, got {}", shape_or_none(found.as_deref()))]
    NoSizes {
        /// PyTorch's name of the parameter.
        name: String,
        /// Its shape, where it is there.
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
    /// A tensor that the layer has no parameter for.
    #[error("{name}: expected only the parameters of {layer}, got one more of shape {found:?}")]
    ExtraTensor {
        /// Name of the tensor.
        name: String,
        /// The layer, as PyTorch prints it.
        layer: String,
        /// Shape of the tensor.
        found: Vec<usize>,
    },
    /// A parameter has another shape than the layer asks for.
    #[error("{name}: expected shape {expected:?}, got {found:?}")]
    TensorShape {
        /// PyTorch's name of the parameter.
        name: String,
        /// Its shape in the layer.
        expected: Vec<usize>,
        /// Its shape here.
        found: Vec<usize>,
    },
    /// A generator state that PyTorch could not have written.
    #[error("generator state: {what}")]
    GeneratorState {
        /// What was expected and what was found.
        what: String,
    },
    /// The machine refused memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

fn shape_or_none(shape: Option<&[usize]>) -> String {
    shape.map_or("no such tensor".to_owned(), |shape| format!("shape {shape:?}"))
}
