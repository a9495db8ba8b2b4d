//! Arguments of `rnn init`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use elman::Dtype;

use super::values::DTYPE;
use super::{LayerArgs, ReportArgs, RngArgs};

#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    /// Output for the weights: a folder, FILE.npz, FILE.safetensors, FILE.onnx, or - for an .npz on stdout.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: PathBuf,
    /// Type of the weights.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Dtype,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    #[command(flatten)]
    pub(crate) rng: RngArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
