//! Arguments of `rnn diff`.

use std::ffi::OsString;

use clap::{Args as ClapArgs, ValueEnum};

use super::ReportForm;
use super::values::tolerance;

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

/// A tensor whose axes have names.
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
