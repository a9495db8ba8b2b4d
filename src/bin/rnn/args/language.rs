//! Arguments of the commands on language models, `generate` and `score`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs};
use elman::Dtype;

use super::values::{DTYPE, size, temperature, whole};
use super::{
    EngineArgs, InfoForm, LayerArgs, PartArgs, ReportArgs, RngArgs, TableArgs, WeightsArgs,
};

/// A language model: at each step it gives a value to each of its tokens.
#[derive(Debug, ClapArgs)]
pub(crate) struct LanguageArgs {
    /// Weights: a folder of .npy files, .npz, .safetensors, .pt, or .onnx.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) weights: OsString,
    #[command(flatten)]
    pub(crate) of_weights: WeightsArgs,
    /// Type of the model [default: that of the weights]; converts them.
    #[arg(long, value_name = "TYPE", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Option<Dtype>,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    #[command(flatten)]
    pub(crate) parts: PartArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Generate {
    /// The tokens that come first: text if the model has a vocabulary, else ids, such as "3 1 4". They are not written.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub(crate) prompt: String,
    /// The number of new tokens, or fewer with --stop.
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole, allow_negative_numbers = true)]
    pub(crate) steps: usize,
    /// Divide the values of the tokens by X before softmax; 0 takes the most likely token, the lowest id on ties.
    #[arg(long, value_name = "X", default_value = "1", value_parser = temperature, allow_negative_numbers = true)]
    pub(crate) temperature: f64,
    /// Draw from the K most likely tokens, the lowest ids on ties [default: all].
    #[arg(long, value_name = "K", value_parser = size, allow_negative_numbers = true)]
    pub(crate) top: Option<usize>,
    /// End at this token or text, which is not written; escapes are those of --vocab, such as \n. Several of them:
    /// --stop A --stop B.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) stop: Vec<String>,
    /// h_0, (num_layers, H_out), before the prompt; without a prompt, the new tokens go on from it. Zeros without it.
    #[arg(long, value_name = "FILE")]
    pub(crate) h0: Option<OsString>,
    /// File for h_n, (num_layers, H_out), the state after the last token: .npy, .csv, .tsv or .txt.
    #[arg(long, value_name = "FILE")]
    pub(crate) hn: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) language: LanguageArgs,
    #[command(flatten)]
    pub(crate) rng: RngArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Score {
    /// Text, a line for each sequence, if the model has a vocabulary. Else ids, (L, N), (N, L) with --batch-first, or
    /// (L): .npy, a table, an .npz of sequences of different lengths. Or - for stdin.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: OsString,
    /// Steps of each sequence of ids, in any order: a tensor or a text of whole numbers, or a list such as 5,3,2.
    #[arg(long, value_name = "FILE or N,N", allow_hyphen_values = true)]
    pub(crate) lengths: Option<OsString>,
    #[command(flatten)]
    pub(crate) language: LanguageArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// The form of the answer: a line for each sequence, or one object for scripts.
    #[arg(
        long,
        value_name = "FORM",
        default_value = "text",
        hide_possible_values = true,
        help_heading = "Report"
    )]
    pub(crate) report: InfoForm,
    /// No notes, except lines about what is assumed.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Report")]
    pub(crate) quiet: bool,
    /// Say more: the layer, the kernel, the time. -vv: the causes of an error too, and its backtrace if RUST_BACKTRACE
    /// is 1.
    #[arg(short, long, action = ArgAction::Count, help_heading = "Report")]
    pub(crate) verbose: u8,
}
