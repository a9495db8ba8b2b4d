//! The parts of `rnn diff`: a comparison of two tensors, or of two bundles of them.

mod compare;
mod configuration;
mod json;
mod pairs;
mod prefix;
mod text;
mod words;

use anyhow::Result;
use elman::files::{self, Accepts, File, Source};

use crate::args::Diff;
use crate::failure::with_hint;
use crate::place::index;

use compare::{NumberPair, Rule};
use configuration::Configuration;
use pairs::Pair;
use words::Words;

/// The result of a comparison.
#[derive(Debug)]
pub(crate) struct Findings {
    /// A and B, as messages name them.
    places: [String; 2],
    /// True if tensors were compared by their names.
    named: bool,
    rule: Rule,
    words: Words,
    pairs: Vec<Pair>,
    configuration: Option<Configuration>,
    /// A command that would compare more.
    hint: Option<String>,
}

/// Opens one side. The hint for an .onnx, whose tensors have other names, converts its layer.
pub(crate) fn open(source: &Source) -> Result<File> {
    let opened = files::open(source, Accepts::Tensors);
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

/// Compares both sides.
pub(crate) fn find(mut a: File, mut b: File, places: [String; 2], args: &Diff) -> Result<Findings> {
    let Diff { exact, rtol, atol, equal_nan, axes, batch_first, bidirectional, .. } = *args;
    let rule = Rule { exact, rtol, atol, equal_nan };
    let words = Words { axes, batch_first, bidirectional };
    let prefix = args.prefix.as_deref().map(|prefix| prefix.trim_end_matches('.'));
    let (named, pairs, configuration) = match (&mut a, &mut b) {
        (File::Bundle(a), File::Bundle(b)) => {
            (true, pairs::by_name(a, b, &rule, prefix)?, Configuration::compare(a, b, prefix))
        }
        _ => (false, vec![pairs::single(&mut a, &mut b, &rule)?], None),
    };
    let hint = pairs::unmatched(&pairs).and_then(|names| prefix::hint(&names));
    Ok(Findings { places, named, rule, words, pairs, configuration, hint })
}

impl Findings {
    pub(crate) fn equal(&self) -> bool {
        self.pairs.iter().all(|pair| pair.difference().is_none())
            && self.configuration.as_ref().is_none_or(Configuration::equal)
    }

    /// The index of two numbers of a pair, and its words: those of the tensors' axes, which follow from the
    /// common name in bundles, else from both places.
    fn place(&self, pair: &Pair, numbers: &NumberPair) -> (Vec<usize>, Option<String>) {
        let sides = || pair.sides.iter().flatten();
        let shape = sides().next().map_or(&[][..], |tensor| &tensor.shape);
        let names = match &pair.name {
            Some(name) => vec![name.as_str()],
            None => sides().map(|tensor| tensor.place.as_str()).collect(),
        };
        let index = index(numbers.index, shape, false);
        let words = self.words.of(&names, shape, &index);
        (index, words)
    }
}
