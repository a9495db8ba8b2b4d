//! The parts of `rnn diff`: a comparison of two tensors, or of two bundles of them.

mod compare;
mod configuration;
#[cfg(feature = "onnx")]
mod graph;
mod json;
mod pairs;
mod prefix;
mod text;
mod words;

use anyhow::Result;
use elman::files::{self, Accepts, File, Source};

use crate::args::Diff;
use crate::failure::with_hint;

use compare::Rule;
use configuration::Configuration;
pub(crate) use json::json;
use pairs::Pair;
pub(crate) use text::text;
pub(crate) use words::Words;

/// The result of a comparison.
#[derive(Debug)]
pub(crate) struct Findings {
    /// A and B, as messages name them.
    places: [String; 2],
    /// True if tensors were compared by their names.
    named: bool,
    rule: Rule,
    pairs: Vec<Pair>,
    configuration: Option<Configuration>,
    /// A command that would compare more.
    hint: Option<String>,
}

/// Opens one side. The hint for an .onnx converts its layer to tensors with names.
pub(crate) fn open(source: &Source) -> Result<File> {
    files::open(source, Accepts::Tensors).map_err(|error| {
        #[cfg(feature = "onnx")]
        let hint = graph::conversion(source);
        #[cfg(not(feature = "onnx"))]
        let hint = None;
        with_hint(error, hint)
    })
}

/// Compares both sides.
pub(crate) fn find(mut a: File, mut b: File, places: [String; 2], args: &Diff) -> Result<Findings> {
    let rule =
        Rule { exact: args.exact, rtol: args.rtol, atol: args.atol, equal_nan: args.equal_nan };
    let prefix = args.prefix.as_deref().map(|prefix| prefix.trim_end_matches('.'));
    let configuration = Configuration::compare(&a, &b, prefix);
    let named = matches!((&a, &b), (File::Bundle(_), File::Bundle(_)));
    let pairs = if let (File::Bundle(a), File::Bundle(b)) = (&mut a, &mut b) {
        pairs::by_name(a, b, &rule, prefix)?
    } else {
        vec![pairs::single(&mut a, &mut b, &rule)?]
    };
    let hint = pairs::unmatched(&pairs).and_then(|names| prefix::hint(&names));
    Ok(Findings { places, named, rule, pairs, configuration, hint })
}

impl Findings {
    pub(crate) fn equal(&self) -> bool {
        self.pairs.iter().all(Pair::equal)
            && self.configuration.as_ref().is_none_or(Configuration::equal)
    }
}
