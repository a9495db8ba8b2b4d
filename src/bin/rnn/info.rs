//! `rnn info`: what is in a file.

mod bundle;
mod description;
mod eigenvalues;
mod facts;
mod number;
mod packed;
mod pieces;
mod print;
mod state;
mod statistics;
mod tensor;
mod weights;

use std::ffi::OsStr;

use anyhow::Result;
use elman::files::{Held, Source, Tensors};
use serde_json::Value;

use crate::args::{Info, InfoForm};
use crate::explain;
use crate::failure::{Reported, Usage};
use crate::report::print;

use description::Description;

pub(crate) fn info(args: &Info) -> Result<()> {
    refuse_two_stdins(args)?;
    let mut objects = Vec::new();
    let mut failed = None;
    let mut shown = 0;
    for file in &args.files {
        match describe(file, args) {
            Ok(description) if args.report == InfoForm::Text => {
                let between = if shown > 0 { "\n" } else { "" };
                print(&format!("{between}{}", description.text()), false)?;
                shown += 1;
            }
            Ok(description) => objects.push(description.json()),
            // What can be said of the others is still said, as cat and sha256sum do.
            Err(error) => failed = failed.or(Some(explain::report(&error))),
        }
    }
    match objects.pop() {
        Some(only) if args.files.len() == 1 => print(&format!("{only}\n"), false)?,
        last if args.report == InfoForm::Json && args.files.len() > 1 => {
            objects.extend(last);
            print(&format!("{}\n", Value::Array(objects)), false)?;
        }
        _ => {}
    }
    failed.map_or(Ok(()), |code| Err(Reported(code).into()))
}

fn describe(file: &OsStr, args: &Info) -> Result<Description> {
    match Held::open(&Source::parse(file))? {
        Held::Tensors(Tensors::One(file)) => tensor::describe(file, args),
        Held::Tensors(Tensors::Named(bundle)) => bundle::describe(bundle, args),
        #[cfg(feature = "onnx")]
        Held::Graph(graph) => {
            let prefix = args.of_weights.prefix.as_deref();
            let layer = elman::Checkpoint::of_graph(&graph, None, prefix);
            weights::describe(layer?, args)
        }
    }
}

/// Standard input can be read once.
fn refuse_two_stdins(args: &Info) -> Result<()> {
    if args.files.iter().filter(|file| *file == "-").count() > 1 {
        return Err(Usage("expected one file from stdin, got - more than once".to_owned()).into());
    }
    Ok(())
}
