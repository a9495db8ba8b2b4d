//! The one error type of the library.

use std::io;

/// Layers that an error lists at most.
const MAX_LISTED: usize = 20;

/// Names of tensors that an error lists at most.
const MAX_NAMES: usize = 5;

/// Why the library refused, or could not finish.
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
    /// No tensor has the name that a parameter of an RNN has.
    #[error("expected the weights of an RNN, such as weight_ih_l0, got {}{}", some(found), looks_like(*looks))]
    NoRnn {
        /// Names of the tensors.
        found: Vec<String>,
        /// What they are the weights of, where that can be told.
        looks: Option<&'static str>,
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
        source: Box<Error>,
    },
    /// A generator state that PyTorch could not have written.
    #[error("generator state: {what}")]
    GeneratorState {
        /// What was expected and what was found.
        what: String,
    },
    /// The machine refused memory.
    #[error("out of memory: {what} needs {}", bytes_or_more(*bytes))]
    OutOfMemory {
        /// What the memory was for.
        what: &'static str,
        /// Its size; `usize::MAX` where the number of bytes overflows.
        bytes: usize,
    },
    /// An input is absent, unreadable or a directory.
    #[error("{place}: {source}")]
    Open {
        /// The path, as it was given.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is malformed, unsupported, or not what it claims to be.
    #[error("{place}: {what}")]
    Malformed {
        /// The file, and the member where there is one.
        place: String,
        /// What was expected and what was found.
        what: String,
    },
    /// A number of a text that is finite there, and infinite in the type that it is to have.
    #[error("{place}: {at}: expected a number that {dtype} holds, got '{found}'")]
    Overflow {
        /// The file.
        place: String,
        /// The line and the column.
        at: String,
        /// The type.
        dtype: &'static str,
        /// The number, as it was written.
        found: String,
    },
    /// Arrays one behind the other where one was expected.
    #[error("{place}: expected one array, got more than one")]
    ManyArrays {
        /// The file.
        place: String,
    },
    /// Reading failed midway.
    #[error("{place}: {source}")]
    Read {
        /// The path, as it was given.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// An output cannot be created.
    #[error("{place}: cannot be written: {what}")]
    Create {
        /// The path, as it was given.
        place: String,
        /// What stands in the way.
        what: String,
        /// What the system said, where it was asked.
        source: Option<io::Error>,
    },
    /// Writing failed midway. A file or folder that stood there before still does; a pipe or a device
    /// has got what was written until then.
    #[error("{place}: {source}")]
    Write {
        /// The path, as it was given.
        place: String,
        /// What the system said.
        source: io::Error,
    },
}

fn shape_or_none(shape: Option<&[usize]>) -> String {
    shape.map_or("no such tensor".to_owned(), |shape| format!("shape {shape:?}"))
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

fn bytes_or_more(bytes: usize) -> String {
    if bytes == usize::MAX { format!("more than {bytes} bytes") } else { format!("{bytes} bytes") }
}
