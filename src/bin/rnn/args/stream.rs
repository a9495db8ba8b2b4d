//! Arguments of `rnn stream`.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use elman::{Dtype, Kernel};

use super::values::{DTYPE, KERNEL, every, size};
use super::{LayerArgs, WeightsArgs};

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
    /// Continue from this state if it exists, and save it at the end, or when a signal ends the process.
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
    /// Type of the layer [default: that of the weights]; converts weights and arrays.
    #[arg(long, value_name = "TYPE", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Option<Dtype>,
    /// Threads [default: RAYON_NUM_THREADS, OMP_NUM_THREADS, or the cores of this process].
    #[arg(long, value_name = "T", value_parser = size, allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
    /// Kernel [default: the fastest that this CPU supports]: avx512, avx2 or portable.
    #[arg(long, value_name = "NAME", value_parser = KERNEL, hide_possible_values = true)]
    pub(crate) kernel: Option<Kernel>,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    /// No notes and no last line on stderr.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Report")]
    pub(crate) quiet: bool,
    /// Say more: the layer, the kernel, the continued state.
    #[arg(short, long, help_heading = "Report")]
    pub(crate) verbose: bool,
}
