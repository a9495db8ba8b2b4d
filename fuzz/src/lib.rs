//! The bodies of the fuzz targets, one module each. Nothing here needs nightly or a fuzzer: the targets
//! under `fuzz_targets/` run them on what libFuzzer makes, and `tests/corpus.rs` includes this file and
//! runs them on the corpus.
//!
//! A body returns, or panics: then either the library did, or what it gave back is wrong.

mod pipe;
mod scratch;
mod stored;
mod ways;
mod weights;

pub mod cli_args;
pub mod forward;
pub mod info;
pub mod npy_header;
pub mod npy_stream;
pub mod npz;
pub mod onnx;
pub mod pt;
pub mod roundtrip;
pub mod safetensors_weights;
pub mod table;

/// The sources of the binary that the targets run: its command line, and the descriptions of `rnn info`.
#[path = "../../src/bin/rnn"]
#[allow(dead_code, unused_imports, reason = "the binary uses more of it")]
pub(crate) mod binary {
    pub(crate) mod args;
    pub(crate) mod explain;
    pub(crate) mod failure;
    pub(crate) mod info;
    pub(crate) mod layer;
    pub(crate) mod model_flags;
    pub(crate) mod modules;
    pub(crate) mod numbers;
    pub(crate) mod pipeline {
        pub(crate) mod sequences;
        pub(crate) mod state;
        pub(crate) mod table;
    }
    pub(crate) mod progress;
    pub(crate) mod report;
    pub(crate) mod signals;
}

// These modules find each other in the root of the crate.
#[allow(unused_imports, reason = "the root is another one in tests/corpus.rs")]
use binary::*;

/// Most bytes of memory that a target takes at once: the budget of a file, 64 MiB, and half as much for the numbers of
/// small tensors, which the bodies read in several types and ways.
const MAX_BYTES: u64 = 96 << 20;

/// Runs a body, which takes no more memory than a file may.
pub fn within_budget(run: fn(&[u8]), data: &[u8]) {
    let found = allocation_counter::measure(|| run(data));
    assert!(found.bytes_max <= MAX_BYTES, "{} bytes of memory", found.bytes_max);
}

/// A target: its name, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 11] = [
    ("cli_args", cli_args::run),
    ("forward", forward::run),
    ("info", info::run),
    ("npy_header", npy_header::run),
    ("npy_stream", npy_stream::run),
    ("npz", npz::run),
    ("onnx", onnx::run),
    ("pt", pt::run),
    ("roundtrip", roundtrip::run),
    ("safetensors_weights", safetensors_weights::run),
    ("table", table::run),
];
