//! Arguments of `rnn run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use elman::{Dtype, Kernel};

use super::values::{ColumnList, DTYPE, KERNEL, columns, number, size};
use super::{LayerArgs, ReportArgs, RngArgs, WeightsArgs};

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Input, (L, N, H_in), (N, L, H_in) with --batch-first, or (L, H_in): .npy, FILE.npz:NAME, or -. Or a
    /// table of numbers, (L, H_in): text with commas, semicolons or tabs. Or an .npz of a packed sequence
    /// (data, batch_sizes, ...), or of sequences of different lengths, (L_i, H_in).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: OsString,
    /// Columns of a table, in this order: names from its first line, in quotes if they contain commas, or
    /// numbers from 1 on.
    #[arg(long, value_name = "A,B", value_parser = columns)]
    pub(crate) columns: Vec<ColumnList>,
    /// Weights: a folder of .npy files, .npz, .safetensors, .pt, .onnx, or -. Without them: fresh ones, as
    /// nn.RNN(...) makes them.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) weights: Option<OsString>,
    #[command(flatten)]
    pub(crate) of_weights: WeightsArgs,
    /// h_0, (D*num_layers, N, H_out) or, unbatched, (D*num_layers, H_out). Zeros without it.
    #[arg(long, value_name = "FILE")]
    pub(crate) h0: Option<OsString>,
    /// File for output: .npy, or - for stdout; .csv or .tsv for two dimensions; .txt for reading, with four
    /// decimals. Without any named output: output.npy and h_n.npy.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// File for h_n, in the same formats.
    #[arg(long, value_name = "FILE")]
    pub(crate) hn: Option<PathBuf>,
    /// Steps of each sequence, in any order: a tensor or a text of whole numbers, or a list such as 5,3,2.
    #[arg(long, value_name = "FILE or N,N", allow_hyphen_values = true)]
    pub(crate) lengths: Option<OsString>,
    /// Value of the output behind the end of a sequence; nan and -inf are numbers too [default: 0].
    #[arg(long, value_name = "X", value_parser = number, allow_hyphen_values = true)]
    pub(crate) padding_value: Option<f64>,
    /// Steps of the output, at least as many as the longest sequence has [default: those of the input].
    #[arg(long, value_name = "L", value_parser = size, allow_negative_numbers = true)]
    pub(crate) total_length: Option<usize>,
    /// File for each sequence's last output, (N, D*H_out), in the same formats.
    #[arg(long, value_name = "FILE")]
    pub(crate) last: Option<PathBuf>,
    /// File for every layer's hidden states: an .npz with h_l0, h_l0_reverse, h_l1, ...
    #[arg(long, value_name = "FILE.npz")]
    pub(crate) all_hidden: Option<PathBuf>,
    /// Write output as (L, N, D, H_out) and h_n as (num_layers, D, N, H_out).
    #[arg(long)]
    pub(crate) split_directions: bool,
    /// Apply dropout between the layers, as in training mode.
    #[arg(long)]
    pub(crate) train: bool,
    /// Type of the layer [default: that of the weights, else of the input]; converts both.
    #[arg(long, value_name = "TYPE", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Option<Dtype>,
    /// Refuse NaN and infinity in input, weights and output, and name the first one.
    #[arg(long)]
    pub(crate) check_finite: bool,
    /// Threads [default: RAYON_NUM_THREADS, OMP_NUM_THREADS, or the cores of this process].
    #[arg(long, value_name = "T", value_parser = size, allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
    /// Kernel [default: the fastest that this CPU supports]: avx512, avx2 or portable.
    #[arg(long, value_name = "NAME", value_parser = KERNEL, hide_possible_values = true)]
    pub(crate) kernel: Option<Kernel>,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    #[command(flatten)]
    pub(crate) rng: RngArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
