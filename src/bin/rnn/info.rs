//! The parts of `rnn info`: a description of whatever is in a file.

mod bundle;
mod description;
mod eigenvalues;
mod facts;
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

use crate::args::Info;

pub(crate) use description::Description;

/// Opens a file and describes it.
pub(crate) fn describe(file: &OsStr, args: &Info) -> Result<Description> {
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
