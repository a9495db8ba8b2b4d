//! The grammar of the command line. These types hold the typed words; each command converts them once, at its
//! beginning. A help of more than a paragraph stands beside them, in `help`, as a terminal shows it.
#![allow(clippy::doc_markdown, reason = "these comments are the help that a terminal shows")]

mod language;
mod layer;
mod model;
mod see;
mod stream;
mod table;
mod tensors;
mod values;

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{ArgAction, Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum};
use elman::Nonlinearity;
use elman::files::Overwrite;

pub(crate) use language::{Generate, LanguageArgs, Score};
pub(crate) use layer::{Bench, BenchForm, Convert, EngineArgs, FilesArgs, Init, Run};
pub(crate) use model::{Chain, ModelArgs, PartArgs};
pub(crate) use see::{Direction, Explain, Seen};
#[cfg(feature = "plot")]
pub(crate) use see::{Kind, Plot};
pub(crate) use stream::Stream;
pub(crate) use table::{Format, TableArgs, TableOutputArgs};
pub(crate) use tensors::{
    Completions, Diff, Info, InfoForm, Man, NamedAxes, Pack, Randn, Side, Unpack,
};
use values::{NONLINEARITY, bytes, probability, seed, size};

/// The text of `rnn help python`.
pub(crate) const PYTHON: &str = include_str!("args/help/python.txt");

/// The flags that were typed.
pub(crate) fn typed_flags(flags: &[(&'static str, bool)]) -> Vec<&'static str> {
    flags.iter().filter(|(_, typed)| *typed).map(|(flag, _)| *flag).collect()
}

/// Names of the commands, in the order of the help.
pub(crate) static COMMANDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let rnn = Args::command();
    let listed = rnn.get_subcommands().filter(|command| !command.is_hide_set());
    listed.map(|command| command.get_name().to_owned()).collect()
});

/// PyTorch's torch.nn.RNN for the shell: weights and tensors in, output and h_n out.
#[derive(Debug, Parser)]
#[command(name = "rnn", version, max_term_width = 100)]
#[command(after_help = include_str!("args/help/rnn.txt").trim_ascii_end())]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Most bytes to read from a pipe or standard input; in rnn stream, of one array. K, M and G are powers
    /// of 1024 [default: no limit].
    #[arg(long, global = true, value_name = "BYTES", value_parser = bytes, help_heading = "Limits")]
    pub(crate) max_bytes: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the forward pass: output, h_n = rnn(input, h_0).
    Run(Box<Run>),
    /// Run the layer over arrays without end: .npy after .npy through a pipe.
    #[command(long_about = include_str!("args/help/stream.txt").trim_ascii_end())]
    Stream(Box<Stream>),
    /// Write text from a language model, token by token.
    #[command(long_about = include_str!("args/help/generate.txt").trim_ascii_end())]
    Generate(Box<Generate>),
    /// Say how likely a language model finds text: a line of tokens, nll and perplexity for each line.
    #[command(long_about = include_str!("args/help/score.txt").trim_ascii_end())]
    Score(Box<Score>),
    /// Make fresh weights, as nn.RNN(...) does after torch.manual_seed(S).
    Init(Init),
    /// Write weights or other tensors in another format.
    Convert(Box<Convert>),
    /// Say what is in files: tensors, weights, packed sequences, states.
    #[command(long_about = include_str!("args/help/info.txt").trim_ascii_end())]
    Info(Info),
    /// Show one step of the recurrence with its numbers, term by term, and the lines of Python that give the same.
    #[command(long_about = include_str!("args/help/explain.txt").trim_ascii_end())]
    Explain(Box<Explain>),
    /// Draw hidden states, weights, eigenvalues and norms: as .png, .svg, or in the terminal.
    #[cfg(feature = "plot")]
    #[command(long_about = include_str!("args/help/plot.txt").trim_ascii_end())]
    Plot(Box<Plot>),
    /// Compare two tensors, or two bundles of them: 0 equal, 1 different.
    #[command(long_about = include_str!("args/help/diff.txt").trim_ascii_end())]
    Diff(Diff),
    /// Make a tensor of standard-normal numbers, as torch.randn(...) does.
    Randn(Randn),
    /// Pack sequences of different lengths, as pack_padded_sequence(...) and pack_sequence(...) do.
    Pack(Pack),
    /// Unpack them, as pad_packed_sequence(...) and unpack_sequence(...) do.
    Unpack(Unpack),
    /// Time the forward pass in process, on random weights and input.
    Bench(Bench),
    /// Print the completions of a shell, for a file in its folder of completions.
    Completions(Completions),
    /// Print a manual page: of rnn, or of one of its commands.
    Man(Man),
    /// How NumPy's arrays go through pipes.
    #[command(hide = true, long_about = PYTHON.trim_ascii_end())]
    Python,
}

/// The arguments of nn.RNN. With --weights they follow from the weights, and may be repeated here.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "The layer")]
pub(crate) struct LayerArgs {
    /// Features of one step of the input, H_in.
    #[arg(long, value_name = "N", value_parser = size, allow_negative_numbers = true)]
    pub(crate) input_size: Option<usize>,
    /// Features of a hidden state, H_out.
    #[arg(long, visible_alias = "hidden", value_name = "N", value_parser = size, allow_negative_numbers = true)]
    pub(crate) hidden_size: Option<usize>,
    /// Layers stacked on each other [default: 1].
    #[arg(long, visible_alias = "layers", value_name = "N", value_parser = size, allow_negative_numbers = true)]
    pub(crate) num_layers: Option<usize>,
    /// tanh or relu [default: tanh].
    #[arg(long, value_name = "NAME", value_parser = NONLINEARITY, hide_possible_values = true)]
    pub(crate) nonlinearity: Option<Nonlinearity>,
    /// A layer without bias_ih and bias_hh.
    #[arg(long)]
    pub(crate) no_bias: bool,
    /// Input and output are (N, L, features); h_0 and h_n stay as they are.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) batch_first: Option<bool>,
    /// Run each layer over the reversed sequence too.
    #[arg(long)]
    pub(crate) bidirectional: bool,
    /// Probability of zeroing an element between layers; takes effect with `run --train`.
    #[arg(long, value_name = "P", value_parser = probability, allow_negative_numbers = true)]
    pub(crate) dropout: Option<f64>,
}

/// How weights are read.
#[derive(Debug, ClapArgs)]
pub(crate) struct WeightsArgs {
    /// The layer of a bigger model: the part of its names before weight_ih_l0, such as encoder.rnn, or, in
    /// an .onnx, the name of its first node.
    #[arg(long, value_name = "NAME")]
    pub(crate) prefix: Option<String>,
    /// Refuse weights that do not say their nonlinearity, or another argument that can change the result, unless
    /// a flag says it.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// The source of random numbers.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Random numbers")]
pub(crate) struct RngArgs {
    /// A whole number as for torch.manual_seed, or `random` [default: 67280421310721].
    #[arg(long, value_name = "S", allow_hyphen_values = true, value_parser = seed)]
    pub(crate) seed: Option<u64>,
    /// Generator state to go on from and to leave behind: torch.get_rng_state() as .npy. A second process that
    /// draws from FILE waits until the first one has saved it.
    #[arg(long, value_name = "FILE")]
    pub(crate) rng: Option<PathBuf>,
}

/// The report and the fate of existing files.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Report and files")]
pub(crate) struct ReportArgs {
    /// The shape report; on stdout, or on stderr if a tensor goes to stdout.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) report: ReportForm,
    /// No report and no notes, except lines about what is assumed: the same as --report none.
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: the recognised formats of files. -vv: the causes of an error too, and its backtrace if
    /// RUST_BACKTRACE is 1.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Keep existing outputs: an error instead of replacing them.
    #[arg(long)]
    pub(crate) no_clobber: bool,
}

impl ReportArgs {
    pub(crate) fn form(&self) -> ReportForm {
        if self.quiet { ReportForm::None } else { self.report }
    }

    pub(crate) fn overwrite(&self) -> Overwrite {
        if self.no_clobber { Overwrite::Refuse } else { Overwrite::Replace }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportForm {
    /// For people.
    #[default]
    Text,
    /// For scripts: one object, documented and stable.
    Json,
    /// Nothing.
    None,
}
