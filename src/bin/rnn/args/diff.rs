//! What can be typed after `rnn diff`.
#![allow(clippy::doc_markdown, reason = "these comments are the help that a terminal shows")]

use std::ffi::OsString;

use clap::{Args as ClapArgs, ValueEnum};

use super::ReportForm;
use super::values::tolerance;

/// What `rnn diff --help` says first.
pub(crate) const MANUAL: &str = "\
Compare two tensors, or two bundles of them by their names. The exit code is 0 where they are equal,
1 where they differ, and that of the fault where they cannot be compared.

A tensor is a .npy file, FILE.npz:name, a table (.csv, .tsv), or - for stdin. A bundle is a folder of
.npy files, an .npz, .safetensors or .pt; one with a single tensor in it is also compared with a
tensor. Tensors of a bundle may stand in any order; one that stands in only one of the two is a
difference.

Two numbers are equal where |a - b| <= atol + rtol * |b|; B is what is expected. The tolerances are
those of torch.testing.assert_close, unless you name others:

    f64              rtol 1e-7    atol 1e-7
    f32              rtol 1.3e-6  atol 1e-5
    f16              rtol 1e-3    atol 1e-5
    bf16             rtol 1.6e-2  atol 1e-5
    whole numbers    rtol 0       atol 0

The numbers of a table are taken for f32, and beside f64 for f64. Of two types, the looser one's are
taken. The arithmetic is that of doubles; whole numbers are compared exactly with each other, and as
the nearest double with others. Infinities of one sign are equal. NaN differs from everything, itself
included, unless --equal-nan.

With --exact the types are the same too, and every number is the same bit for bit: 0.0 and -0.0
differ, and so do two NaN of different bits, unless --equal-nan.

The largest differences are those among the numbers that differ; where none does, those among the
numbers that are equal and not the same.

A configuration beside weights (rnn.json, the comment of an .npz), or what a whole module says of its
layers, is compared where both have one, with or without --exact. One that only one of them has is said
and is no difference: a state_dict has none.

Places are indices. They also have words where it is known what the tensor is: from --axes, or from
its name (output, input, h_n, h_0, hn or h0 between dots, dashes and the like, as in torch-h_n.npy),
or, where the name says nothing, because --batch-first or --bidirectional can only mean an output.

--report json is one object: a, b, equal, exact, equal_nan; tensors, each with name, equal,
difference (numbers, shape, dtype, only_in_a, only_in_b or null), a and b (dtype, shape), numbers
and hint; configuration (equal, only_in, differences), or null where there is none. numbers, null
where none were compared, has rtol, atol, count, different, within_tolerance, largest_absolute,
largest_relative, largest_ulp and first (index, words, a, b; the largest also difference), and nan
(only_in_a, only_in_b, both). NaN and infinities are the texts nan, inf and -inf.";

#[derive(Debug, ClapArgs)]
#[allow(clippy::struct_excessive_bools, reason = "flags that do not exclude each other")]
pub(crate) struct Diff {
    /// A tensor or a bundle: .npy, FILE.npz:name, a table, a folder, .npz, .safetensors, .pt, or - for
    /// stdin.
    #[arg(value_name = "A")]
    pub(crate) a: OsString,
    /// What is expected, in the same forms.
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
    /// What the tensors are, for the words of places [default: what their names say].
    #[arg(long, value_name = "TENSOR", help_heading = "Words of places")]
    pub(crate) axes: Option<Axes>,
    /// Input and output are (N, L, features).
    #[arg(long, help_heading = "Words of places")]
    pub(crate) batch_first: bool,
    /// The layer has two directions: each has half of an output's features, and every other state of h_n.
    #[arg(long, help_heading = "Words of places")]
    pub(crate) bidirectional: bool,
    /// What is said about the differences, on stdout.
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Report")]
    pub(crate) report: ReportForm,
    /// Say nothing: the exit code alone.
    #[arg(short, long, help_heading = "Report")]
    pub(crate) quiet: bool,
}

/// A tensor whose axes have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Axes {
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
