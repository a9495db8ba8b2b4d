//! The parts of `rnn info`: a description of whatever is in a file.

mod bundle;
mod description;
mod eigenvalues;
mod print;
mod statistics;
mod tensor;
mod weights;

use std::ffi::OsStr;

use anyhow::Result;
use elman::files::{Accepts, File, Source, open};

use crate::args::Info;

pub(crate) use description::Description;

/// Opens a file and describes it.
pub(crate) fn describe(file: &OsStr, args: &Info) -> Result<Description> {
    match open(&Source::parse(file), Accepts::Anything)? {
        File::Tensor(file) => tensor::describe(file, args.values),
        File::Bundle(bundle) => bundle::describe(bundle, args),
        #[cfg(feature = "onnx")]
        File::Graph(graph) => {
            let prefix = args.of_weights.prefix.as_deref();
            let layer = elman::Checkpoint::of_graph(&graph, None, prefix);
            weights::describe(layer?, args)
        }
    }
}
