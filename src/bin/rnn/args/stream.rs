//! What can be typed after `rnn stream`.
#![allow(clippy::doc_markdown, reason = "these comments are the help that a terminal shows")]

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use elman::Kernel;
use elman::files::Dtype;

use super::values::{Named, every, size};
use super::{LayerArgs, WeightsArgs};

/// What `rnn stream --help` says first.
pub(crate) const MANUAL: &str = "\
Run the layer over arrays without end: .npy after .npy on stdin, one .npy for each on stdout.

By default each array is the next chunk of the same sequences, and the hidden state is carried over:
any chunking gives the bytes of one `rnn run` over the whole. An array is (L, N, H_in), (N, L, H_in)
with --batch-first, or (L, H_in); L may change from array to array, and N, the number of axes and
the type may not. Each answer is written and flushed before the next array is waited for. Messages
count arrays from 1 and bytes from 0.

Arrays that NumPy writes into a pipe; sys.stdout.buffer would get headers only:

    out = open(1, 'wb', 0)
    for chunk in chunks:
        np.save(out, chunk)

Answers as they come through a pipe, from which np.load cannot read:

    pipe = types.SimpleNamespace(read=sys.stdin.buffer.read)
    while sys.stdin.buffer.peek(1):
        output = np.lib.format.read_array(pipe)

Answers all at once:

    data = io.BytesIO(sys.stdin.buffer.read())
    while data.tell() < len(data.getbuffer()):
        output = np.load(data)

Answers from a file:

    with open('outputs.npy', 'rb') as file:
        while file.peek(1):
            output = np.load(file)

A state (--state) is an .npz: h_n; count, the arrays that have gone into it, so that a producer goes
on with chunks[count]; and fingerprint, a sum over the weights and the nonlinearity that tells
accidents, not attacks. It is replaced in one step, and holds only what has been answered. SIGINT,
SIGTERM and SIGHUP save it too. After SIGKILL, or where the reader of the answers goes away, what came
after the last checkpoint is to be sent again.

With --frames there are no headers: a frame is H_in little-endian f32 numbers, its answer H_out
(twice as many for a bidirectional layer), for layers of either type. A frame counts as an array of
one step.";

#[derive(Debug, ClapArgs)]
#[allow(clippy::struct_excessive_bools, reason = "flags that do not exclude each other")]
pub(crate) struct Stream {
    /// Weights: a folder of .npy files, .npz, .safetensors, .pt, or .onnx.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) weights: OsString,
    #[command(flatten)]
    pub(crate) of_weights: WeightsArgs,
    /// h_0 of the first array, (D*num_layers, N, H_out) or, unbatched, (D*num_layers, H_out). Zeros without it.
    #[arg(long, value_name = "FILE", conflicts_with = "independent")]
    pub(crate) h0: Option<OsString>,
    /// Go on from this state where it exists, and save it at the end, or when a signal ends the process.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Save the state after every N arrays too.
    #[arg(long, value_name = "N", requires = "state", value_parser = every, allow_negative_numbers = true)]
    pub(crate) checkpoint: Option<NonZeroU64>,
    /// Start each array from zeros: nothing is carried over.
    #[arg(long, conflicts_with = "state")]
    pub(crate) independent: bool,
    /// Bare frames of H_in little-endian f32 numbers instead of .npy, one step at a time.
    #[arg(long)]
    pub(crate) frames: bool,
    /// Type of the layer [default: that of the weights]; converts weights and arrays.
    #[arg(long, value_name = "TYPE", value_parser = Named::DTYPE, hide_possible_values = true)]
    pub(crate) dtype: Option<Dtype>,
    /// Threads [default: RAYON_NUM_THREADS, OMP_NUM_THREADS, or the cores of this process].
    #[arg(long, value_name = "T", value_parser = size, allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
    /// Kernel [default: the fastest that this CPU supports]: avx512, avx2 or portable.
    #[arg(long, value_name = "NAME", value_parser = Named::KERNEL, hide_possible_values = true)]
    pub(crate) kernel: Option<Kernel>,
    #[command(flatten)]
    pub(crate) layer: LayerArgs,
    /// No notes and no last line on stderr.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Report")]
    pub(crate) quiet: bool,
    /// Say more: the layer, the kernel, where the state goes on.
    #[arg(short, long, help_heading = "Report")]
    pub(crate) verbose: bool,
}
