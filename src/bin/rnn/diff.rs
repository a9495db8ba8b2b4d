//! `rnn diff`: two tensors, or two bundles of them, compared.

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
use elman::files::{Source, Tensors};

use crate::args::{Diff, ReportForm};
use crate::failure::{Different, Usage, with_hint};
use crate::report::print;

use compare::Rule;
use configuration::Configuration;
use pairs::Pair;
use words::Words;

/// Everything that was found.
#[derive(Debug)]
struct Findings {
    /// A and B, as messages name them.
    places: [String; 2],
    /// Whether they were compared by the names of their tensors.
    named: bool,
    rule: Rule,
    pairs: Vec<Pair>,
    configuration: Option<Configuration>,
    /// What would compare more.
    hint: Option<String>,
}

pub(crate) fn diff(args: &Diff) -> Result<()> {
    if args.a == "-" && args.b == "-" {
        let message = "expected one input from stdin, got - for both".to_owned();
        return Err(Usage(message).into());
    }
    let sources = [&args.a, &args.b].map(|text| Source::parse(text));
    let [a, b] = [open(&sources[0])?, open(&sources[1])?];
    let findings = find(a, b, sources.map(|source| source.to_string()), args)?;
    match args.report {
        _ if args.quiet => {}
        ReportForm::None => {}
        ReportForm::Text => print(&text::text(&findings, &Words::new(args)), false)?,
        ReportForm::Json => {
            print(&format!("{}\n", json::json(&findings, &Words::new(args))), false)?;
        }
    }
    if findings.equal() { Ok(()) } else { Err(Different.into()) }
}

/// Opens one side. The hint turns a layer that is no tensors into some.
fn open(source: &Source) -> Result<Tensors> {
    Tensors::open(source).map_err(|error| {
        #[cfg(feature = "onnx")]
        let hint = graph::conversion(source);
        #[cfg(not(feature = "onnx"))]
        let hint = None;
        with_hint(error, hint)
    })
}

/// Compares what stands on both sides.
fn find(mut a: Tensors, mut b: Tensors, places: [String; 2], args: &Diff) -> Result<Findings> {
    let rule =
        Rule { exact: args.exact, rtol: args.rtol, atol: args.atol, equal_nan: args.equal_nan };
    let prefix = args.prefix.as_deref().map(|prefix| prefix.trim_end_matches('.'));
    let configuration = Configuration::compare(&a, &b, prefix);
    let named = matches!((&a, &b), (Tensors::Named(_), Tensors::Named(_)));
    let pairs = if let (Tensors::Named(a), Tensors::Named(b)) = (&mut a, &mut b) {
        pairs::by_name(a, b, &rule, prefix)?
    } else {
        vec![pairs::single(&mut a, &mut b, &rule)?]
    };
    let hint = prefix::hint(&pairs);
    Ok(Findings { places, named, rule, pairs, configuration, hint })
}

impl Findings {
    fn equal(&self) -> bool {
        self.pairs.iter().all(Pair::equal)
            && self.configuration.as_ref().is_none_or(Configuration::equal)
    }
}
