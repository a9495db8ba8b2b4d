//! Arguments of the commands that show a layer on its input: `explain` and `plot`.

use std::ffi::OsString;
#[cfg(feature = "plot")]
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use elman::Dtype;

#[cfg(feature = "plot")]
use super::values::pixels;
use super::values::{DTYPE, digits, whole};
use super::{InfoForm, LayerArgs, TableArgs, WeightsArgs};

#[derive(Debug, ClapArgs)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) seen: Seen,
    /// The step, from 0 on.
    #[arg(long, value_name = "T", default_value = "0", value_parser = whole, allow_negative_numbers = true)]
    pub(crate) step: usize,
    /// The sequence of a batch, from 0 on.
    #[arg(long, value_name = "N", default_value = "0", value_parser = whole, allow_negative_numbers = true)]
    pub(crate) row: usize,
    /// The layer of the stack, from 0 on.
    #[arg(long = "layer", value_name = "K", default_value = "0", value_parser = whole, allow_negative_numbers = true)]
    pub(crate) layer_number: usize,
    /// The direction of a bidirectional layer: forward or reverse [default: forward].
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub(crate) direction: Option<Direction>,
    /// Units of the hidden state, each with its sums term by term [default: the first ones, and the terms of unit 0].
    #[arg(long, value_name = "U,U", value_delimiter = ',', value_parser = whole)]
    pub(crate) units: Vec<usize>,
    /// Digits behind the point, from 0 to 17.
    #[arg(long, value_name = "D", default_value = "4", value_parser = digits, allow_negative_numbers = true)]
    pub(crate) precision: usize,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) report: InfoForm,
}

/// A layer, and the sequences that it is shown on.
#[derive(Debug, ClapArgs)]
pub(crate) struct Seen {
    /// Input: (L, N, H_in), (N, L, H_in) with --batch-first, or (L, H_in); packed, an archive of sequences, or ids if the
    /// weights saved an embedding.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<OsString>,
    /// Weights: a folder of .npy files, .npz, .safetensors, .pt, .onnx, or -.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) weights: Option<OsString>,
    #[command(flatten)]
    pub(crate) of_weights: WeightsArgs,
    /// h_0, (D*num_layers, N, H_out) or, unbatched, (D*num_layers, H_out). Zeros without it.
    #[arg(long, value_name = "FILE")]
    pub(crate) h0: Option<OsString>,
    /// Steps of each sequence, in any order: a tensor or a text of whole numbers, or a list such as 5,3,2.
    #[arg(long, value_name = "FILE or N,N", allow_hyphen_values = true)]
    pub(crate) lengths: Option<OsString>,
    /// Type of the layer [default: that of the weights, else of the input]; converts both.
    #[arg(long, value_name = "TYPE", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Option<Dtype>,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
}

/// A direction of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// From the first step to the last.
    #[default]
    Forward,
    /// From the last step to the first.
    Reverse,
}

#[cfg(feature = "plot")]
#[derive(Debug, ClapArgs)]
pub(crate) struct Plot {
    #[command(flatten)]
    pub(crate) seen: Seen,
    /// The picture.
    #[arg(long, value_name = "KIND", default_value = "states")]
    pub(crate) kind: Kind,
    /// The sequence of a batch, from 0 on.
    #[arg(long, value_name = "N", default_value = "0", value_parser = whole, allow_negative_numbers = true)]
    pub(crate) row: usize,
    /// One layer of the stack, from 0 on [default: all].
    #[arg(long = "layer", value_name = "K", value_parser = whole, allow_negative_numbers = true)]
    pub(crate) layer_number: Option<usize>,
    /// Units of --kind units, and of no other [default: the first five].
    #[arg(long, value_name = "U,U", value_delimiter = ',', value_parser = whole)]
    pub(crate) units: Vec<usize>,
    /// Width and height of --output in pixels [default: 1000 and as much as the panels need].
    #[arg(long, value_name = "WxH", value_parser = pixels, requires = "output")]
    pub(crate) size: Option<[u32; 2]>,
    /// File for the picture, .png or .svg, or - for a .png on stdout. Without it: the terminal.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Keep an existing picture: an error instead of replacing it.
    #[arg(long, requires = "output")]
    pub(crate) no_clobber: bool,
}

/// The kinds of pictures.
#[cfg(feature = "plot")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Hidden states, units over steps.
    #[default]
    States,
    /// The weights as they are.
    Weights,
    /// Eigenvalues of each weight_hh on the complex plane.
    Spectrum,
    /// The share of states beyond 0.999 of tanh, or at zero of ReLU, over steps.
    Saturation,
    /// The norm of the hidden state over steps.
    Norm,
    /// Chosen units over steps.
    Units,
}
