//! Flags of `rnn stream`.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs};
use elman::Dtype;

use super::layer::EngineArgs;
use super::values::{DTYPE, every};
use super::{LayerArgs, ModelArgs, TableArgs, TableOutputArgs, WeightsArgs};

#[derive(Debug, ClapArgs)]
#[allow(clippy::struct_excessive_bools, reason = "flags that do not exclude each other")]
pub(crate) struct Stream {
    /// Weights: a folder of .npy files, .npz, .safetensors, .pt, or .onnx.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) weights: OsString,
    #[command(flatten)]
    pub(crate) of_weights: WeightsArgs,
    /// h_0 of the first array, (D*num_layers, N, H_out) or, unbatched, (D*num_layers, H_out). Zeros without it.
    #[arg(long, value_name = "FILE", conflicts_with = "independent")]
    pub(crate) h0: Option<OsString>,
    /// Continue from this state if it exists, and save it at the end, or when a signal ends the process. A second
    /// process on FILE is refused with exit code 75.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Save the state after every N arrays too.
    #[arg(long, value_name = "N", requires = "state", value_parser = every, allow_negative_numbers = true)]
    pub(crate) checkpoint: Option<NonZeroU64>,
    /// Start each array from zeros: nothing is carried over.
    #[arg(long, conflicts_with = "state")]
    pub(crate) independent: bool,
    /// Bare frames of H_in little-endian f32 numbers instead of .npy, one step at a time.
    #[arg(long)]
    pub(crate) frames: bool,
    /// Rows of a table instead of .npy, one step at a time: a line in, a line of a .csv out.
    #[arg(long, conflicts_with = "frames")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    #[command(flatten)]
    pub(crate) written: TableOutputArgs,
    /// Refuse NaN and infinity in weights, states, arrays and answers, and name the first one.
    #[arg(long)]
    pub(crate) check_finite: bool,
    /// Type of the layer [default: that of the weights]; converts weights and arrays.
    #[arg(long, value_name = "TYPE", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Option<Dtype>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// No notes and no last line on stderr.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Report")]
    pub(crate) quiet: bool,
    /// Say more: the layer, the kernel, the continued state. -vv: the causes of an error too, and its backtrace
    /// if RUST_BACKTRACE is 1.
    #[arg(short, long, action = ArgAction::Count, help_heading = "Report")]
    pub(crate) verbose: u8,
}
