//! Arguments of `rnn randn`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use elman::Dtype;

use super::values::{DTYPE, whole};
use super::{ReportArgs, RngArgs};

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
