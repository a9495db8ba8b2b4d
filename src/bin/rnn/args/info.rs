//! What can be typed after `rnn info`.
#![allow(clippy::doc_markdown, reason = "these comments are the help that a terminal shows")]

use std::ffi::OsString;

use clap::{Args as ClapArgs, ValueEnum};

use super::WeightsArgs;

/// What `rnn info --help` says first.
pub(crate) const MANUAL: &str = "\
Say what is in files: tensors, weights, packed sequences, states.

A file that cannot be read is reported on stderr, and the others are shown all the same; the exit
code is then that of the first one. The text is for people, one block for each file with an empty
line between. --report json is for scripts: for one file an object, for several an array of objects,
in the order in which they were named, without those that could not be read.

Every object has file, kind, format, notes and warnings. By kind:

    tensor           shape, dtype, order (C or Fortran), byte_order (null for single bytes), min,
                     max, mean, std, nan and inf, each {count, first}
    tensors          tensors: a list of {name, shape, dtype, min, max, mean, std, nan, inf}
    weights          layer, nonlinearity_said, prefix, ignored (other tensors of the model), tensors:
                     {name, shape, axes, dtype, norm, spectral_radius (null but for weight_hh)}
    packed sequence  sequences, longest, sum, lengths (in the original order), features (null where a
                     step has another number of axes than one), tensors as above
    stream state     count, fingerprint, axes, tensors as above: h_n alone
    generator state  seed, position, block, keeps_normal

Statistics are those of the finite numbers, computed in f64; min, max and the sum behind the mean are
exact for integers. std is the unbiased one, as Tensor.std() computes it by default; of less than two
numbers there is none. first is the index, in the order of the axes, of the first NaN or infinity.
norm is the square root of the sum of squares. The spectral radius of weight_hh is the absolute value
of its largest eigenvalue: below 1 the influence of the past fades. Its time grows with the cube of
hidden_size, to some ten seconds for 2048; beyond that it is only computed with --spectral-radius, and
a note says so. What does not exist is null in JSON, none in the text.

A folder or an archive whose names are those of weights or of a packed sequence, and which is none,
is shown as tensors, with a note that says why.";

#[derive(Debug, ClapArgs)]
pub(crate) struct Info {
    /// .npy, .npz, FILE.npz:NAME, a table, a folder of .npy files, .safetensors, .pt, .onnx, or - for
    /// stdin.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<OsString>,
    /// Print the numbers too, as PyTorch prints them: more than 1000 of a tensor only in part, and
    /// dots alone where even that part has more than 279936 numbers, as of eight axes of 6.
    #[arg(long)]
    pub(crate) values: bool,
    /// Compute the spectral radius of weight_hh whatever its size: minutes beyond hidden_size 2048.
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
