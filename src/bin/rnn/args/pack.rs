//! Arguments of `rnn pack` and `rnn unpack`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::ReportArgs;
use super::values::{ColumnList, columns, number, size};

#[derive(Debug, ClapArgs)]
pub(crate) struct Pack {
    /// A padded tensor, (L, N, *) or, with --batch-first, (N, L, *), as .npy or a table; or an .npz of one
    /// tensor for each sequence, (L_i, *).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: OsString,
    /// Columns of a table, in this order: names from its first line, in quotes if they contain commas, or
    /// numbers from 1 on.
    #[arg(long, value_name = "A,B", value_parser = columns)]
    pub(crate) columns: Vec<ColumnList>,
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

/// A side of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// Before the first step.
    Left,
    /// Behind the last step.
    Right,
}
