//! Arguments of the commands around a layer: `run`, `init`, `convert` and `bench`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use elman::files::{AxisSlice, StoredType};
use elman::{Dtype, Kernel, Nonlinearity};

use super::values::{DTYPE, KERNEL, STORED, Shard, number, seconds, shard, size, whole};
use super::{
    Format, LayerArgs, ModelArgs, ReportArgs, RngArgs, TableArgs, TableOutputArgs, WeightsArgs,
};

#[derive(Debug, ClapArgs)]
#[allow(clippy::struct_excessive_bools, reason = "flags that do not exclude each other")]
pub(crate) struct Run {
    /// Input, (L, N, H_in), (N, L, H_in) with --batch-first, or (L, H_in): .npy, a tensor saved as .pt, a member
    /// FILE:NAME of an .npz, .safetensors or .pt, or -. Or a table of numbers, (L, H_in): text with commas,
    /// semicolons, tabs or blanks. Or an .npz or .pt of a packed sequence (data, batch_sizes, ...), or of sequences
    /// of different lengths, (L_i, H_in). Or, with -o FOLDER/, a folder of such files: each one is run, in one process.
    #[arg(short, long, value_name = "FILE", required_unless_present = "list")]
    pub(crate) input: Option<OsString>,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    #[command(flatten)]
    pub(crate) written: TableOutputArgs,
    /// Rows of a table with the same text in this column, a name or number as for --columns, are a sequence of their
    /// own. The outputs keep the order of the rows.
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    pub(crate) group: Option<String>,
    /// Format of an output to - [default: npy, or npz of several tensors].
    #[arg(long, value_name = "FORMAT", help_heading = "Tables")]
    pub(crate) format: Option<Format>,
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
    /// decimals. Without any named output: output.npy and h_n.npy. A folder for the outputs of many inputs, which
    /// keep their names: it exists, or ends in a slash.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// File for h_n, in the same formats, or a folder.
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
    /// Print the numbers of the outputs too, .npy, .npz or .txt files, as rnn info --values and PyTorch print them.
    #[arg(long, conflicts_with = "list")]
    pub(crate) values: bool,
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
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) rng: RngArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// The inputs of a run over many files.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Many files")]
pub(crate) struct FilesArgs {
    /// Run the files that are named in FILE, a path on each line, instead of those of a folder.
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub(crate) list: Option<OsString>,
    /// Run every N-th file in sorted order, from number K on: 0/4, 1/4, 2/4 and 3/4 share the work.
    #[arg(long, value_name = "K/N", value_parser = shard)]
    pub(crate) shard: Option<Shard>,
    /// Leave out inputs whose outputs exist and are no older. The folder of the outputs holds job.json, and refuses
    /// other weights and flags.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print the inputs that --resume would run, a path on each line, and run none.
    #[arg(long, requires = "resume")]
    pub(crate) pending: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct EngineArgs {
    /// Threads [default: RAYON_NUM_THREADS, OMP_NUM_THREADS, or the cores of this process].
    #[arg(long, value_name = "T", value_parser = size, allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
    /// Kernel [default: the fastest that this CPU supports]: avx512, avx2 or portable.
    #[arg(long, value_name = "NAME", value_parser = KERNEL, hide_possible_values = true)]
    pub(crate) kernel: Option<Kernel>,
}

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

#[derive(Debug, ClapArgs)]
pub(crate) struct Convert {
    /// Weights: a folder of .npy files, .npz, .safetensors, .pt, .onnx, or -. Or other tensors: .npy, .npz,
    /// .safetensors, .pt, a tensor FILE:NAME of one of them, or a table.
    #[arg(value_name = "SRC")]
    pub(crate) source: OsString,
    /// Output for weights: a folder, FILE.npz, FILE.safetensors, FILE.onnx, or - for an .npz on stdout. For tensors:
    /// FILE.npz, FILE.safetensors, or, for one of them, FILE.npy, FILE.csv, FILE.tsv, FILE.txt, or - for a .npy.
    #[arg(value_name = "DST")]
    pub(crate) target: PathBuf,
    /// Take parts of the tensors, as in Python: an index or a slice for each of the first axes, such as 0:100,:,3.
    #[arg(
        long,
        value_name = "SLICES",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Tensors"
    )]
    pub(crate) slice: Vec<AxisSlice>,
    /// Swap two axes of the tensors, or put all of them in another order, counted from 0, behind --slice.
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Tensors"
    )]
    pub(crate) transpose: Vec<isize>,
    /// Format of a tensor on stdout [default: npy].
    #[arg(long, value_name = "FORMAT", help_heading = "Tensors")]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    #[command(flatten)]
    pub(crate) of_weights: WeightsArgs,
    /// Type of the output [default: that of the input; of a table f32, and as it is read in another table]: f32 or
    /// f64 for weights, for tensors also f16, bf16, i8 to i64, u8 to u64 and bool.
    #[arg(long, value_name = "TYPE", value_parser = STORED, hide_possible_values = true)]
    pub(crate) dtype: Option<StoredType>,
    /// Put the sum of both biases into bias_ih, and zeros into bias_hh: the layer computes the same.
    #[arg(long)]
    pub(crate) merge_bias: bool,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Bench {
    /// Steps of a sequence, L; like every size here, one or a list such as 10,100.
    #[arg(long, value_name = "L", default_value = "100", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) seq_len: Vec<usize>,
    /// Sequences in the batch, N.
    #[arg(long, value_name = "N", default_value = "1", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) batch: Vec<usize>,
    /// Features of one step of the input, H_in.
    #[arg(long, value_name = "N", default_value = "64", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) input_size: Vec<usize>,
    /// Features of a hidden state, H_out.
    #[arg(long, visible_alias = "hidden", value_name = "N", default_value = "128", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) hidden_size: Vec<usize>,
    /// Layers stacked on each other.
    #[arg(long, visible_alias = "layers", value_name = "N", default_value = "1", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) num_layers: Vec<usize>,
    /// Run each layer over the reversed sequence too.
    #[arg(long)]
    pub(crate) bidirectional: bool,
    /// tanh or relu.
    #[arg(long, value_name = "NAME", default_value = "tanh")]
    pub(crate) nonlinearity: Nonlinearity,
    /// Type of the layer.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Dtype,
    /// Kernel [default: the fastest that this CPU supports]: avx512, avx2 or portable.
    #[arg(long, value_name = "NAME", value_parser = KERNEL, hide_possible_values = true)]
    pub(crate) kernel: Option<Kernel>,
    /// Threads [default: RAYON_NUM_THREADS, OMP_NUM_THREADS, or the cores of this process].
    #[arg(long, value_name = "T", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) threads: Vec<usize>,
    /// Runs before the measured ones.
    #[arg(long, value_name = "RUNS", default_value = "2", value_parser = whole, allow_negative_numbers = true)]
    pub(crate) warmup: usize,
    /// Least seconds for each shape; with --check, for all layers together, 10 by default.
    #[arg(long, value_name = "S", default_value = "1", default_value_if("check", "true", "10"), value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) min_time: f64,
    /// Measure the machine instead: fused multiply-adds, and reading from each level of the cache.
    #[arg(long)]
    pub(crate) peak: bool,
    /// Check instead that results have the same bytes: random layers on every kernel, on 1, 2, 3 and all
    /// threads, or those of --threads, in chunks of time, and in other batches.
    #[arg(long, conflicts_with_all = ["peak", "seq_len", "batch", "input_size", "hidden_size", "num_layers", "bidirectional", "nonlinearity", "dtype", "kernel", "warmup"])]
    pub(crate) check: bool,
    /// The form of the result.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) report: BenchForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchForm {
    /// For people.
    Text,
    /// For scripts: an object, or, for several shapes, a list of them.
    Json,
    /// A table for a README.
    Markdown,
    /// Nothing.
    None,
}
