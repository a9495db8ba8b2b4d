//! What a model's file holds: tensors by name, or a graph of operations.

#[cfg(feature = "onnx")]
use super::Graph;
use super::source::{Format, Opened};
use super::{Bundle, Source, bundle};
use crate::Error;

/// What a file turns out to hold.
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
    /// # Errors
    /// Those of [`Bundle::open`], and of a graph that is malformed: [`Error::Malformed`] names its node or
    /// tensor.
    pub fn open(source: &Source) -> Result<Self, Error> {
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
