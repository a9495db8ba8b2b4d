//! The integration tests. They run the real binary, or the library if the command line cannot show a result.
#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod support;

mod naive;

mod assumptions;
mod bench;
mod checkpoints;
mod convert;
mod diff;
mod dynamics;
mod errors;
mod explain_cmd;
mod faults;
mod files;
mod folders;
mod forward;
mod generate;
mod groups;
mod info;
mod init;
mod kinds;
mod large;
mod lengths;
mod manual;
mod messages;
mod models;
#[cfg(feature = "onnx")]
mod onnx;
mod pack;
mod pipelines;
#[cfg(feature = "plot")]
mod plot;
mod progress;
mod pt;
mod ragged;
mod randn;
mod readme;
mod run;
mod safetensors;
mod score;
mod seeds;
mod stream;
mod table;
mod torch;
mod tutorial;
mod unpack;
