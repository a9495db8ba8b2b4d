//! The parts of `rnn diff`: a comparison of two tensors, or of two bundles of them.

mod compare;
mod configuration;
mod pairs;
mod text;
mod words;

use anyhow::Result;
use elman::files::{self, Accepts, File, Source, TableOptions};
use serde::Serialize;
use serde_json::Value;

use crate::args::Diff;
use crate::failure::with_hint;

use compare::Rule;
use configuration::Configuration;
use pairs::Pair;
use words::Words;

/// The result of a comparison: the fields of the JSON report, which the manual documents.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    command: &'static str,
    /// A and B, as messages name them.
    a: String,
    b: String,
    pub(crate) equal: bool,
    exact: bool,
    equal_nan: bool,
    tensors: Vec<Pair>,
    configuration: Option<Value>,
    #[serde(skip)]
    about: Option<String>,
    /// A command that would compare more.
    #[serde(skip)]
    hint: Option<String>,
}

/// Opens one side. The hint for an .onnx, whose tensors have other names, converts its layer.
pub(crate) fn open(source: &Source, table: &TableOptions<'_>) -> Result<File> {
    let opened = files::open_with(source, Accepts::Tensors, table);
    opened.map_err(|error| with_hint(error, conversion(source)))
}

#[cfg(not(feature = "onnx"))]
fn conversion(_: &Source) -> Option<String> {
    None
}

/// A command that writes the layer of an .onnx as a new .npz beside it. `None` if the file is something else,
/// or if its layer cannot be written.
#[cfg(feature = "onnx")]
fn conversion(source: &Source) -> Option<String> {
    // The bytes of a pipe have been read.
    let Source::Path(path) = source else { return None };
    let file = path.is_file().then(|| files::open(source, Accepts::Anything))?;
    let Ok(File::Graph(graph)) = file else { return None };
    let layer = elman::Checkpoint::of_graph(&graph, None, None).ok()?;
    if layer.reversed {
        return None;
    }
    let beside = ["npz", "onnx.npz"].map(|extension| path.with_extension(extension));
    let target = beside.iter().find(|path| !path.exists())?;
    // A word with a dash before it would be a flag.
    let file = path.to_str().filter(|file| !file.starts_with('-'))?;
    Some(crate::explain::hint::convert(file, target.to_str()?))
}

pub(crate) fn find(mut a: File, mut b: File, places: [String; 2], args: &Diff) -> Result<Findings> {
    let Diff { exact, rtol, atol, equal_nan, axes, batch_first, bidirectional, .. } = *args;
    let words = Words { axes, batch_first, bidirectional };
    let rule = Rule { exact, rtol, atol, equal_nan, words };
    let prefix = args.prefix.as_deref().map(|prefix| prefix.trim_end_matches('.'));
    let (tensors, found) = match (&mut a, &mut b) {
        (File::Bundle(a), File::Bundle(b)) => {
            (pairs::by_name(a, b, &rule, prefix)?, Configuration::compare([a, b], &places, prefix))
        }
        _ => (vec![pairs::single(&mut a, &mut b, &rule)?], None),
    };
    let hint = pairs::unmatched(&tensors).and_then(|names| pairs::prefix_hint(&names));
    let equal = tensors.iter().all(|pair| pair.equal);
    let equal = equal && found.as_ref().is_none_or(|found| found.equal);
    let (about, configuration) = found.map(|found| (found.text, found.json)).unzip();
    let (command, [a, b]) = ("diff", places);
    Ok(Findings { command, a, b, equal, exact, equal_nan, tensors, configuration, about, hint })
}
