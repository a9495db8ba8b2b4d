//! What a model's file holds: tensors by name, or a graph of operations.

#[cfg(feature = "onnx")]
use super::Graph;
use super::source::{Format, Opened};
use super::{Bundle, Source, bundle};
use crate::files::error::FileError;

/// What a file turns out to hold.
///
/// ```
/// use elman::files::{Contents, Source};
///
/// let file = Source::parse("fixtures/sine/rnn.npz".as_ref());
/// let names: Vec<_> = match Contents::open(&file)? {
///     Contents::Bundle(bundle) => bundle.entries().iter().map(|entry| entry.name.clone()).collect(),
/// #     #[cfg(feature = "onnx")]
///     Contents::Graph(graph) => graph.nodes.into_iter().map(|node| node.name).collect(),
/// };
/// assert_eq!(names[0], "weight_ih_l0");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum Contents {
    /// Tensors by name.
    Bundle(Bundle),
    /// The graph of an .onnx.
    #[cfg(feature = "onnx")]
    Graph(Graph),
}

impl Contents {
    /// Opens a file or folder that [`Bundle::open`] takes, or an .onnx, which is read whole.
    ///
    /// ```
    /// use elman::files::{Contents, FileError, Source};
    ///
    /// // A folder of .npy files, one for each tensor of a state_dict.
    /// let folder = Source::parse("fixtures/sine/rnn".as_ref());
    /// assert!(matches!(Contents::open(&folder)?, Contents::Bundle(_)));
    /// let absent = Source::parse("nope.npz".as_ref());
    /// assert!(matches!(Contents::open(&absent), Err(FileError::Open { place, .. }) if place == "nope.npz"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Bundle::open`], and of a graph that is malformed: [`FileError::Malformed`] names its node or
    /// tensor.
    pub fn open(source: &Source) -> Result<Self, FileError> {
        let place = source.to_string();
        let path = match source {
            Source::Path(path) if !path.is_dir() => Some(path.as_path()),
            Source::Stdin => None,
            _ => return Bundle::open(source).map(Contents::Bundle),
        };
        let (opened, format) = Opened::new(path, &place, (&formats(), EXPECTED))?;
        match format {
            #[cfg(feature = "onnx")]
            Format::Onnx => Graph::read(opened, place).map(Contents::Graph),
            _ => Bundle::of(path, (opened, format), place).map(Contents::Bundle),
        }
    }
}

/// The formats that [`Contents::open`] takes, and what errors call them.
fn formats() -> Vec<Format> {
    let onnx = cfg!(feature = "onnx").then_some(Format::Onnx);
    bundle::FORMATS.into_iter().chain(onnx).collect()
}

const EXPECTED: &str = if cfg!(feature = "onnx") {
    "a folder of .npy files, .npz, .safetensors, .pt or .onnx"
} else {
    bundle::EXPECTED
};
