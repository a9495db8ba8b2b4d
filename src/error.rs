//! The error of the layer.

use crate::memory::OutOfMemory;

/// Most characters of a text that quotes a file.
const MAX_QUOTED: usize = 1000;

/// An error of the layer: an invalid argument, or too little memory.
///
/// The text names the expected and the found value, in one line without a full stop. Shapes are in brackets, in
/// PyTorch's order. `name` is that of an argument or a tensor, PyTorch's if it is a parameter; `expected` and `found`
/// are its values or its shapes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are those that are explained above")]
pub enum Error {
    /// A size that must be at least one is zero.
    #[error("expected {name} of at least 1, got 0")]
    ZeroSize { name: &'static str },
    /// A dropout probability outside [0, 1].
    #[error("expected dropout in [0, 1], the probability of an element being zeroed, got {found}")]
    Dropout { found: f64 },
    /// A nonlinearity that is neither `tanh` nor `relu`.
    #[error("unknown nonlinearity '{found}': expected tanh or relu")]
    Nonlinearity { found: String },
    /// Another argument, or a saved value, that is not valid: `lengths`, `total_length`, `sequences`, `packed sequence`,
    /// `configuration` or `generator state`. `what` has the expected and the found value.
    #[error("{name}: {what}")]
    Invalid { name: &'static str, what: String },
    /// The last axis of the input is not `input_size`.
    #[error(
        "input: expected {expected} features (input_size) on the last axis, got {} in shape {found:?}",
        found.last().unwrap_or(&0)
    )]
    InputSize { expected: usize, found: Vec<usize> },
    /// A sequence without steps, in an input of this shape.
    #[error("input: expected seq_len of at least 1, got 0 in shape {found:?}")]
    NoSteps { found: Vec<usize> },
    /// A layer with a reverse direction, whose state cannot be carried to later steps.
    #[error(
        "expected {}, which cannot be carried from array to array: its reverse direction begins at the last \
         step, which is still to come",
        if *bidirectional { "one direction, got a bidirectional layer" }
        else { "the forward direction, got a layer that runs in reverse" }
    )]
    Carried { bidirectional: bool },
    /// A tensor with too few or too many axes.
    #[error("{name}: expected {expected}, got {} in shape {found:?}", found.len())]
    Rank { name: String, expected: &'static str, found: Vec<usize> },
    /// A sequence whose steps differ in shape from those of the first, which are `expected`. `found` is the shape of the
    /// whole sequence.
    #[error(
        "sequence {row}: expected steps of shape {expected:?}, as in sequence 0, got shape {found:?}"
    )]
    SequenceShape { row: usize, expected: Vec<usize>, found: Vec<usize> },
    /// A weight of the first layer, which determines the sizes, is absent (`None`) or not a matrix.
    #[error("{name}: expected a matrix that tells the layer's sizes, got {}", shape_or_none(found.as_deref()))]
    NoSizes { name: String, found: Option<Vec<usize>> },
    /// A parameter is absent.
    #[error("{name}: expected a tensor of shape {expected:?}, got none")]
    MissingTensor { name: String, expected: Vec<usize> },
    /// A tensor that is not a parameter of the layer, which is shown as PyTorch prints it.
    #[error("{name}: expected only the parameters of {layer}, got one more of shape {found:?}")]
    ExtraTensor { name: String, layer: String, found: Vec<usize> },
    /// A parameter, or `h_0`, whose shape is not the one that the layer and the input require: for `h_0`,
    /// (D * `num_layers`, N, `H_out`), without N for unbatched input.
    #[error("{name}: expected shape {expected:?}, got {found:?}")]
    TensorShape { name: String, expected: Vec<usize>, found: Vec<usize> },
    /// A part of a model that takes in another number of features than the part before it puts out.
    #[error("{name}: expected {expected} features, as the part before it puts out, got {found}")]
    Features { name: &'static str, expected: usize, found: usize },
    /// An id that an encoder of `count` ids does not have, at a step of a sequence, both counted from 0.
    #[error(
        "input: expected ids from 0 to {}, got {found} at step {step} of sequence {sequence}",
        count.saturating_sub(1)
    )]
    Id { step: usize, sequence: usize, found: i64, count: usize },
    /// A token that is not in the vocabulary of a model, at a line and a column of a text, both counted from 1.
    #[error("line {line}, column {column}: '{}' is not in the vocabulary", token.escape_debug())]
    Token { line: usize, column: usize, token: String },
    /// The allocator returned no memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl Error {
    pub(crate) fn invalid(name: &'static str, what: impl Into<String>) -> Self {
        Error::Invalid { name, what: what.into() }
    }

    /// [`Error::Invalid`] with a text that quotes a file verbatim: a message goes to a terminal, on one line.
    pub(crate) fn quoting(name: &'static str, what: &str) -> Self {
        let hides = |c: char| c.is_control() || c.escape_debug().len() > 2;
        Error::invalid(name, shortened(&what.replace(hides, "\u{fffd}"), MAX_QUOTED))
    }

    pub(crate) fn rank(name: impl Into<String>, expected: &'static str, found: &[usize]) -> Self {
        Error::Rank { name: name.into(), expected, found: found.to_vec() }
    }

    /// An `h_0` of another shape.
    pub(crate) fn hidden_shape(expected: Vec<usize>, found: &[usize]) -> Self {
        Error::TensorShape { name: "h_0".to_owned(), expected, found: found.to_vec() }
    }
}

/// The beginning of a text, for messages.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let more = if text.chars().nth(most).is_some() { "..." } else { "" };
    text.chars().take(most).chain(more.chars()).collect()
}

fn shape_or_none(shape: Option<&[usize]>) -> String {
    shape.map_or("no such tensor".to_owned(), |shape| format!("shape {shape:?}"))
}
