//! Arguments of `rnn convert`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use elman::Dtype;

use super::values::DTYPE;
use super::{LayerArgs, ReportArgs, WeightsArgs};

#[derive(Debug, ClapArgs)]
pub(crate) struct Convert {
    /// Weights: a folder of .npy files, .npz, .safetensors, .pt, .onnx, or -.
    #[arg(value_name = "SRC")]
    pub(crate) source: OsString,
    /// Output: a folder, FILE.npz, FILE.safetensors, FILE.onnx, or - for an .npz on stdout.
    #[arg(value_name = "DST")]
    pub(crate) target: PathBuf,
    #[command(flatten)]
    pub(crate) of_weights: WeightsArgs,
    /// Type of the output [default: that of the input].
    #[arg(long, value_name = "TYPE", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Option<Dtype>,
    /// Put the sum of both biases into bias_ih, and zeros into bias_hh: the layer computes the same.
    #[arg(long)]
    pub(crate) merge_bias: bool,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
