//! The layer of an .onnx, whose tensors have other names than those of other formats.

use elman::Checkpoint;
use elman::files::{Accepts, File, Source, open};

use crate::explain::hint;

/// A command that writes the layer of an .onnx as a new .npz beside it. `None` if the file is something else,
/// or if its layer cannot be written.
pub(super) fn conversion(source: &Source) -> Option<String> {
    // The bytes of a pipe have been read.
    let Source::Path(path) = source else { return None };
    let file = path.is_file().then(|| open(source, Accepts::Anything))?;
    let Ok(File::Graph(graph)) = file else { return None };
    let layer = Checkpoint::of_graph(&graph, None, None).ok()?;
    if layer.reversed {
        return None;
    }
    let beside = ["npz", "onnx.npz"].map(|extension| path.with_extension(extension));
    let target = beside.iter().find(|path| !path.exists())?;
    // A word with a dash before it would be a flag.
    let file = path.to_str().filter(|file| !file.starts_with('-'))?;
    Some(hint::convert(file, target.to_str()?))
}
