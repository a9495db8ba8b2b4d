//! Arguments of `rnn bench`.

use clap::{Args as ClapArgs, ValueEnum};
use elman::{Dtype, Kernel, Nonlinearity};

use super::values::{DTYPE, KERNEL, seconds, size, whole};

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
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Dtype,
    /// Kernel [default: the fastest that this CPU supports]: avx512, avx2 or portable.
    #[arg(long, value_name = "NAME", value_parser = KERNEL, hide_possible_values = true)]
    pub(crate) kernel: Option<Kernel>,
    /// Threads [default: RAYON_NUM_THREADS, OMP_NUM_THREADS, or the cores of this process].
    #[arg(long, value_name = "T", value_delimiter = ',', value_parser = size, allow_negative_numbers = true)]
    pub(crate) threads: Vec<usize>,
    /// Runs before the measured ones.
    #[arg(long, value_name = "RUNS", default_value = "2", value_parser = whole, allow_negative_numbers = true)]
    pub(crate) warmup: usize,
    /// Least seconds for each shape; with --check, for all layers together, 10 by default.
    #[arg(long, value_name = "S", default_value = "1", default_value_if("check", "true", "10"), value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) min_time: f64,
    /// Measure the machine instead: fused multiply-adds, and reading from each level of the cache.
    #[arg(long)]
    pub(crate) peak: bool,
    /// Check instead that results have the same bytes: random layers on every kernel, on 1, 2, 3 and all
    /// threads, or those of --threads, in chunks of time, and in other batches.
    #[arg(long, conflicts_with_all = ["peak", "seq_len", "batch", "input_size", "hidden_size", "num_layers", "bidirectional", "nonlinearity", "dtype", "kernel", "warmup"])]
    pub(crate) check: bool,
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
