//! Arguments of `rnn info`.

use std::ffi::OsString;

use clap::{Args as ClapArgs, ValueEnum};

use super::WeightsArgs;

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
    #[command(flatten)]
    pub(crate) of_weights: WeightsArgs,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) report: InfoForm,
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InfoForm {
    /// For people.
    Text,
    /// For scripts: documented and stable.
    Json,
}
