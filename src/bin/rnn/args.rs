//! What can be typed. These types hold it as it was typed; commands convert it once, at their beginning.
#![allow(clippy::doc_markdown, reason = "these comments are the help that a terminal shows")]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use elman::io::Dtype;
use elman::{Kernel, Nonlinearity};

/// PyTorch's torch.nn.RNN for the shell: weights and tensors in, output and h_n out.
#[derive(Debug, Parser)]
#[command(name = "rnn", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the forward pass: output, h_n = rnn(input, h_0).
    Run(Run),
    /// Make fresh weights, as nn.RNN(...) does after torch.manual_seed(S).
    Init(Init),
    /// Make a tensor of standard-normal numbers, as torch.randn(...) does.
    Randn(Randn),
    /// Time the forward pass in process, on random weights and input.
    Bench(Bench),
}

/// The arguments of nn.RNN. With --weights they follow from the weights, and may be repeated here.
#[derive(Debug, ClapArgs)]
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
    #[arg(long, value_name = "NAME")]
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

/// Where random numbers come from.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Random numbers")]
pub(crate) struct RngArgs {
    /// A whole number as for torch.manual_seed, or `random` [default: 67280421310721].
    #[arg(long, value_name = "S", allow_hyphen_values = true, value_parser = seed)]
    pub(crate) seed: Option<Seed>,
    /// Generator state to go on from and to leave behind: torch.get_rng_state() as .npy.
    #[arg(long, value_name = "FILE")]
    pub(crate) rng: Option<PathBuf>,
}

/// What is said about the work, and what happens to files that exist.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Report and files")]
pub(crate) struct ReportArgs {
    /// The shape report; on stdout, or on stderr where a tensor goes to stdout.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) report: ReportForm,
    /// No report and no notes: the same as --report none.
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: how files were recognised.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Keep outputs that exist: an error instead of replacing them.
    #[arg(long)]
    pub(crate) no_clobber: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Input, (L, N, H_in), (N, L, H_in) with --batch-first, or (L, H_in): .npy, FILE.npz:NAME, or -.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: OsString,
    /// Weights: a folder of .npy files, .npz, or -. Without them: fresh ones, as nn.RNN(...) makes them.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) weights: Option<OsString>,
    /// h_0, (D*num_layers, N, H_out) or, unbatched, (D*num_layers, H_out). Zeros without it.
    #[arg(long, value_name = "FILE")]
    pub(crate) h0: Option<OsString>,
    /// Where output goes. With neither -o nor --hn: output.npy and h_n.npy. - is stdout.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Where h_n goes.
    #[arg(long, value_name = "FILE")]
    pub(crate) hn: Option<PathBuf>,
    /// Apply dropout between the layers, as in training mode.
    #[arg(long)]
    pub(crate) train: bool,
    /// Type of the layer [default: that of the weights, else of the input]; converts both.
    #[arg(long, value_name = "TYPE", value_parser = dtype)]
    pub(crate) dtype: Option<Dtype>,
    /// Refuse NaN and infinity in input, weights and output, and name the first one.
    #[arg(long)]
    pub(crate) check_finite: bool,
    /// Threads [default: RAYON_NUM_THREADS, OMP_NUM_THREADS, or the cores of this process].
    #[arg(long, value_name = "T", value_parser = size, allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
    /// Kernel [default: the fastest that this CPU supports]: avx512, avx2 or portable.
    #[arg(long, value_name = "NAME", value_parser = kernel)]
    pub(crate) kernel: Option<Kernel>,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    #[command(flatten)]
    pub(crate) rng: RngArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    /// Where the weights go: a folder, FILE.npz, or - for an .npz on stdout.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: PathBuf,
    /// Type of the weights.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = dtype)]
    pub(crate) dtype: Dtype,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    #[command(flatten)]
    pub(crate) rng: RngArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
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
    /// Where the tensor goes: .npy, or - for stdout.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Type of the numbers. f32 has PyTorch's bits everywhere, f64 in more than 99 % of values.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = dtype)]
    pub(crate) dtype: Dtype,
    #[command(flatten)]
    pub(crate) rng: RngArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Bench {
    /// Steps of a sequence, L; like every size here, one or a list such as 10,100.
    #[arg(long, value_name = "L", default_value = "100", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) seq_len: Vec<usize>,
    /// Sequences in the batch, N.
    #[arg(long, value_name = "N", default_value = "1", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) batch: Vec<usize>,
    /// Features of one step of the input, H_in.
    #[arg(long, value_name = "N", default_value = "64", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) input_size: Vec<usize>,
    /// Features of a hidden state, H_out.
    #[arg(long, visible_alias = "hidden", value_name = "N", default_value = "128", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) hidden_size: Vec<usize>,
    /// Layers stacked on each other.
    #[arg(long, visible_alias = "layers", value_name = "N", default_value = "1", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) num_layers: Vec<usize>,
    /// Run each layer over the reversed sequence too.
    #[arg(long)]
    pub(crate) bidirectional: bool,
    /// tanh or relu.
    #[arg(long, value_name = "NAME", default_value = "tanh")]
    pub(crate) nonlinearity: Nonlinearity,
    /// Type of the layer.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = dtype)]
    pub(crate) dtype: Dtype,
    /// Kernel [default: the fastest that this CPU supports]: avx512, avx2 or portable.
    #[arg(long, value_name = "NAME", value_parser = kernel)]
    pub(crate) kernel: Option<Kernel>,
    /// Threads [default: RAYON_NUM_THREADS, OMP_NUM_THREADS, or the cores of this process].
    #[arg(long, value_name = "T", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) threads: Vec<usize>,
    /// Runs before the clock is looked at.
    #[arg(long, value_name = "RUNS", default_value = "2", value_parser = whole, allow_negative_numbers = true)]
    pub(crate) warmup: usize,
    /// Seconds to go on for at least, for each shape.
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) min_time: f64,
    /// Measure the machine instead: fused multiply-adds, and reading from each level of the cache.
    #[arg(long)]
    pub(crate) peak: bool,
    /// The form of the result.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) report: BenchForm,
}

/// The form of a table of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchForm {
    /// For people.
    Text,
    /// For scripts: an object, or, for several shapes, a list of them.
    Json,
    /// A table for a README.
    Markdown,
    /// Nothing.
    None,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportForm {
    /// For people.
    Text,
    /// For scripts: one object, documented and stable.
    Json,
    /// Nothing.
    None,
}

/// The seed that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seed {
    /// A number; a negative one counts modulo 2^64.
    Number(u64),
    /// One that nobody knows beforehand.
    Random,
}

fn size(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&size| size > 0)
        .ok_or_else(|| format!("expected a whole number of at least 1, got '{text}'"))
}

fn whole(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("expected a whole number, got '{text}'"))
}

fn probability(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| {
        format!(
            "expected dropout in [0, 1], the probability of an element being zeroed, got '{text}'"
        )
    })
}

fn kernel(text: &str) -> Result<Kernel, String> {
    Kernel::supported().find(|kernel| kernel.name() == text).ok_or_else(|| {
        let names: Vec<_> = Kernel::supported().map(Kernel::name).collect();
        format!("expected a kernel that this CPU supports, {}, got '{text}'", names.join(", "))
    })
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
        .ok_or_else(|| format!("expected a number of seconds, got '{text}'"))
}

fn dtype(text: &str) -> Result<Dtype, String> {
    match text {
        "f32" | "float32" => Ok(Dtype::F32),
        "f64" | "float64" => Ok(Dtype::F64),
        _ => Err(format!("expected dtype f32 or f64, got '{text}'")),
    }
}

/// What `torch.manual_seed` takes: -2^63 to 2^64 - 1.
fn seed(text: &str) -> Result<Seed, String> {
    if text == "random" {
        return Ok(Seed::Random);
    }
    let unsigned = text.parse::<u64>().ok();
    let seed = unsigned.or_else(|| text.parse::<i64>().ok().map(i64::cast_unsigned));
    seed.map(Seed::Number)
        .ok_or_else(|| format!("expected a seed from -2^63 to 2^64 - 1, or random, got '{text}'"))
}
