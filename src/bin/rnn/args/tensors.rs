//! Arguments of the commands on files alone, `info`, `diff`, `randn`, `pack` and `unpack`, and of the manual.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use clap_complete::Shell;
use elman::{Dtype, Nonlinearity};

use super::values::{COMMAND, DTYPE, NONLINEARITY, number, size, tolerance, whole};
use super::{ReportArgs, ReportForm, RngArgs, TableArgs};

#[derive(Debug, ClapArgs)]
pub(crate) struct Info {
    /// .npy, .npz, FILE.npz:NAME, a table, a folder of .npy files, .safetensors, .pt, .onnx, or - for
    /// stdin.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<OsString>,
    /// Print the numbers too, as PyTorch prints them: more than 1000 of a tensor only in part, and only dots
    /// if even that part has more than 279936 numbers, as of eight axes of 6.
    #[arg(long)]
    pub(crate) values: bool,
    /// Compute the spectral radius of weight_hh of any size: minutes beyond hidden_size 2048.
    #[arg(long)]
    pub(crate) spectral_radius: bool,
    /// The layer of a bigger model: the part of its names before weight_ih_l0, such as encoder.rnn, or, in
    /// an .onnx, the name of its first node.
    #[arg(long, value_name = "NAME")]
    pub(crate) prefix: Option<String>,
    #[command(flatten)]
    pub(crate) dynamics: DynamicsArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) report: InfoForm,
}

/// The dynamics of the layer on an input.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Dynamics")]
pub(crate) struct DynamicsArgs {
    /// Run the layer over --input, and say for each layer and direction: the share of saturated or dead units, the
    /// first NaN or infinity and its operand, and how many steps a perturbation of the hidden state lives.
    #[arg(long, requires = "input")]
    pub(crate) dynamics: bool,
    /// The input, as for rnn explain.
    #[arg(short, long, value_name = "FILE", requires = "dynamics")]
    pub(crate) input: Option<OsString>,
    /// h_0. Zeros without it.
    #[arg(long, value_name = "FILE", requires = "dynamics")]
    pub(crate) h0: Option<OsString>,
    /// Steps of each sequence, as for rnn run.
    #[arg(long, value_name = "FILE or N,N", requires = "dynamics", allow_hyphen_values = true)]
    pub(crate) lengths: Option<OsString>,
    /// The input is (N, L, H_in).
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", requires = "dynamics")]
    pub(crate) batch_first: Option<bool>,
    /// tanh or relu, if the weights do not say it.
    #[arg(long, value_name = "NAME", value_parser = NONLINEARITY, hide_possible_values = true, requires = "dynamics")]
    pub(crate) nonlinearity: Option<Nonlinearity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InfoForm {
    /// For people.
    Text,
    /// For scripts: documented and stable.
    Json,
}

#[derive(Debug, ClapArgs)]
#[allow(clippy::struct_excessive_bools, reason = "flags that do not exclude each other")]
pub(crate) struct Diff {
    /// A tensor or a bundle: .npy, FILE.npz:name, a table, a folder, .npz, .safetensors, .pt, or - for
    /// stdin.
    #[arg(value_name = "A")]
    pub(crate) a: OsString,
    /// The expected tensor or bundle, in the same forms.
    #[arg(value_name = "B")]
    pub(crate) b: OsString,
    /// Only the tensors under this name, and without it, such as encoder.rnn: of A or B, or of both.
    #[arg(long, value_name = "NAME")]
    pub(crate) prefix: Option<String>,
    /// Relative tolerance [default: that of the type].
    #[arg(long, value_name = "TOL", value_parser = tolerance, allow_hyphen_values = true)]
    pub(crate) rtol: Option<f64>,
    /// Absolute tolerance [default: that of the type].
    #[arg(long, value_name = "TOL", value_parser = tolerance, allow_hyphen_values = true)]
    pub(crate) atol: Option<f64>,
    /// The same types and the same numbers bit for bit: 0.0 and -0.0 differ.
    #[arg(long, conflicts_with_all = ["rtol", "atol"])]
    pub(crate) exact: bool,
    /// Any NaN equals any NaN.
    #[arg(long)]
    pub(crate) equal_nan: bool,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    /// The kind of the tensors, for the words of places [default: from their names].
    #[arg(long, value_name = "TENSOR", help_heading = "Words of places")]
    pub(crate) axes: Option<NamedAxes>,
    /// Input and output are (N, L, features).
    #[arg(long, help_heading = "Words of places")]
    pub(crate) batch_first: bool,
    /// The layer has two directions: each has half of an output's features, and every other state of h_n.
    #[arg(long, help_heading = "Words of places")]
    pub(crate) bidirectional: bool,
    /// The differences, on stdout.
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Report")]
    pub(crate) report: ReportForm,
    /// Say nothing: the exit code alone.
    #[arg(short, long, help_heading = "Report")]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NamedAxes {
    /// (L, N, H_in), or unbatched (L, H_in).
    Input,
    /// (L, N, D*H_out), or unbatched (L, D*H_out).
    Output,
    /// h_n or h_0: (D*num_layers, N, H_out), or unbatched (D*num_layers, H_out).
    #[value(name = "h_n", alias = "h_0")]
    State,
    /// No words.
    None,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Randn {
    /// Sizes of the tensor, such as 5,3,10.
    #[arg(
        long,
        value_name = "SIZES",
        value_delimiter = ',',
        required = true,
        value_parser = whole,
        allow_hyphen_values = true
    )]
    pub(crate) shape: Vec<usize>,
    /// Output: .npy, or - for stdout; .csv or .tsv for two dimensions; .txt for reading, with four decimals.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Type of the numbers. f32 has PyTorch's bits everywhere, f64 in more than 99 % of values.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Dtype,
    #[command(flatten)]
    pub(crate) rng: RngArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Pack {
    /// A padded tensor, (L, N, *) or, with --batch-first, (N, L, *), as .npy or a table; or an .npz of one
    /// tensor for each sequence, (L_i, *).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: OsString,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    /// Steps of each sequence of a padded tensor: a tensor or a text of whole numbers, or a list such as
    /// 5,3,2.
    #[arg(long, value_name = "FILE or N,N", allow_hyphen_values = true)]
    pub(crate) lengths: Option<OsString>,
    /// File for data, batch_sizes, sorted_indices and unsorted_indices: FILE.npz, or - for stdout.
    #[arg(short, long, value_name = "FILE.npz")]
    pub(crate) output: PathBuf,
    /// Refuse sequences that are not in descending order of their lengths. The output then has no indices,
    /// unless a length is 0, which only the indices can show.
    #[arg(long)]
    pub(crate) enforce_sorted: bool,
    /// The padded tensor is (N, L, *).
    #[arg(long)]
    pub(crate) batch_first: bool,
    /// Side of the padding in the tensor.
    #[arg(long, value_name = "SIDE", default_value = "right")]
    pub(crate) padding_side: Side,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Unpack {
    /// A packed sequence: an .npz with data, batch_sizes and, if there are any, the indices.
    #[arg(short, long, value_name = "FILE.npz")]
    pub(crate) input: OsString,
    /// File for the padded tensor: .npy, or - for stdout. An .npz takes one tensor for each sequence.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// File for the lengths, (N), in the original order.
    #[arg(long, value_name = "FILE")]
    pub(crate) lengths: Option<PathBuf>,
    /// The padded tensor is (N, L, *).
    #[arg(long)]
    pub(crate) batch_first: bool,
    /// Value of the padding; nan and -inf are numbers too [default: 0].
    #[arg(long, value_name = "X", value_parser = number, allow_hyphen_values = true)]
    pub(crate) padding_value: Option<f64>,
    /// Side of the padding [default: right].
    #[arg(long, value_name = "SIDE")]
    pub(crate) padding_side: Option<Side>,
    /// Steps of the padded tensor [default: those of the longest sequence].
    #[arg(long, value_name = "L", value_parser = size, allow_negative_numbers = true)]
    pub(crate) total_length: Option<usize>,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// Before the first step.
    Left,
    /// Behind the last step.
    Right,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// The command [default: rnn itself].
    #[arg(value_name = "COMMAND", value_parser = COMMAND, hide_possible_values = true)]
    pub(crate) command: Option<String>,
}
