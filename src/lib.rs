//! PyTorch's `torch.nn.RNN` as a library: a multilayer, bidirectional Elman RNN with tanh or ReLU.
//!
//! ```
//! use elman::{Config, Generator, Rnn};
//! use ndarray::Array3;
//!
//! // torch.manual_seed(0); rnn = nn.RNN(10, 20, 2)
//! let mut generator = Generator::new(0);
//! let config = Config { num_layers: 2, ..Config::new(10, 20) };
//! let rnn = Rnn::<f32>::new(config, &mut generator)?;
//!
//! // input = torch.randn(5, 3, 10); output, hn = rnn(input)
//! let mut values = vec![0.0; 5 * 3 * 10];
//! generator.normal(&mut values);
//! let input = Array3::from_shape_vec((5, 3, 10), values)?;
//! let result = rnn.call(input.view().into_dyn(), None)?;
//!
//! assert_eq!(result.output.shape(), [5, 3, 20]);
//! assert_eq!(result.h_n.shape(), [2, 3, 20]);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Shapes
//!
//! In PyTorch's letters: L steps of a sequence (`seq_len`), N sequences (`batch`), `H_in` features of an
//! input (`input_size`), `H_out` of a hidden state (`hidden_size`), D directions (1 or 2).
//!
//! | tensor | shape | with `batch_first` | unbatched |
//! |---|---|---|---|
//! | input | (L, N, `H_in`) | (N, L, `H_in`) | (L, `H_in`) |
//! | `h_0`, `h_n` | (D * `num_layers`, N, `H_out`) | the same | (D * `num_layers`, `H_out`) |
//! | output | (L, N, D * `H_out`) | (N, L, D * `H_out`) | (L, D * `H_out`) |
//! | packed data | (sum of lengths, *) | | |
//! | `batch_sizes` | (longest length) | | |
//! | `sorted_indices`, `unsorted_indices` | (N) | | |
//! | `weight_ih_l{k}` | (`H_out`, `H_in`), (`H_out`, D * `H_out`) for k > 0 | | |
//! | `weight_hh_l{k}` | (`H_out`, `H_out`) | | |
//! | `bias_ih_l{k}`, `bias_hh_l{k}` | (`H_out`) | | |
//!
//! # Modules
//!
//! In the order in which a newcomer should read them. Imports point downwards: the binary uses `checkpoint`, which
//! joins `files` and `model`; `model` uses `rnn`, `rnn` uses `stack`, and `stack` uses `kernel`.
//!
//! | module | contents |
//! |---|---|
//! | `config` | the configuration: PyTorch's arguments, names and shapes of the parameters |
//! | `params` | the parameters: weights and biases |
//! | `generator` | PyTorch's CPU generator: uniform, normal, dropout masks |
//! | `batch` | the canonical batch: time-major, without padding |
//! | `packed` | PyTorch's packed sequences, and its functions from and to padded batches |
//! | `rnn` | the layer: `Rnn` checks every argument once; `Session` carries the hidden state |
//! | `stack` | layers x directions over blocks of the batch; the only module that starts work on threads |
//! | `kernel` | the arithmetic on slices, for each instruction set |
//! | `model` | the parts of a model around its RNN: encoders of ids, linear layers, pooling, softmax and its relatives; the next token of a language model |
//! | [`files`] | files: formats, sources, sinks |
//! | `checkpoint` | weights from files, the parts of a model around them, and to .onnx: the meeting point of files and layers |
//! | `check` | invariance: the same bytes in every way of computing a batch |
//! | `element` | the numbers: one trait for f32 and f64, sealed by the kernel's registers of them |
//! | `error`, `memory` | the layer's errors (`files` has its own), fallible allocation |
//! | `faults` | injected faults, in builds with debug assertions |
//!
//! # Invariants
//!
//! 1. `kernel` uses std alone: no files, ndarray or errors. It cannot fail, it allocates nothing, and it starts no
//!    threads; `double_buffer` waits for other ones.
//! 2. `stack` cannot fail: `rnn` has checked every shape, and has allocated, fallibly, all memory that grows
//!    with the data.
//! 3. Only `files` and the binary touch files and standard streams, except that `stack` asks the system for the cores of
//!    the process and, in `/sys`, for their caches; only the binary's `explain` and `failure` print
//!    errors and choose exit codes.
//! 4. `files` does not know RNNs; `rnn` does not know files. They meet in `checkpoint` and in the binary's
//!    commands.
//! 5. No module below the binary reads environment variables, except the folder for temporary files and rayon's own.
//! 6. `unsafe` occurs in `kernel` alone.
//!
//! The bytes of a sequence's result do not depend on the rest of the batch, on chunks of time, on the number of
//! threads, or on the instruction set; `kernel::product` says why.
//!
//! # Where to look
//!
//! | question | place |
//! |---|---|
//! | the order of summation | `kernel::product` |
//! | a file that is read | `files::open` (opened by `source`, recognised by `format`), `bundle` or `tensor_file` (headers; `archive` for .npz, `pt` and `pickle` for PyTorch's files), then `files::reader` (the numbers in pieces, converted by `number`) |
//! | a file that is read, changed and written | `files::lock`, held meanwhile |
//! | a file that is written | `files::sink` or `files::folder`, then `files::temporary` (written beside its target), and `files::replace` (the outputs of a command take their places together) |
//! | the threads of a pass | `stack::plan::Plan::new`, called in `rnn::pass` |
//! | a run of `rnn run` | `src/bin/rnn/commands/run.rs` |
//! | the hidden states that `explain`, `plot` and `info --dynamics` show | `src/bin/rnn/states.rs`, shown by `recurrence`, `plot` and `dynamics` beside it |
//!
//! # Where to add
//!
//! | addition | place |
//! |---|---|
//! | a file format | a module in `files`; its first bytes in `files::format`, its extension in `TensorFormat` or `BundleFormat` |
//! | a flag of COMMAND | `src/bin/rnn/args/COMMAND.rs`; used in `commands/COMMAND.rs`, for `run` by way of `commands/run/plan.rs` |
//! | a hint or an explanation of an error | `src/bin/rnn/explain` |
//! | a kind of picture | `src/bin/rnn/plot/kinds.rs` |
//! | an instruction set | a file like `kernel/x86.rs`, its registers in `kernel::vector::Registers`, its name in `kernel::Kernel` |
//! | a stored type of number | `files::StoredType`, with its conversions in `files::number`; each format names its own |
//! | a computed type of number | `element::{Dtype, Element}` and its registers in `kernel/portable.rs` and `kernel/x86.rs`; the compiler lists the matches on `Dtype` |
//! | a way to use threads | a variant of `stack::plan::Parallel` |

mod batch;
#[doc(hidden)]
pub mod check;
mod checkpoint;
mod config;
mod element;
mod error;
#[doc(hidden)]
pub mod faults;
pub mod files;
mod generator;
mod kernel;
mod memory;
mod model;
mod packed;
mod params;
mod rnn;
mod stack;

/// The Rust code of the README, as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use batch::{Batch, Padding};
#[cfg(feature = "onnx")]
pub use checkpoint::write_onnx;
pub use checkpoint::{
    Checkpoint, CheckpointError, MODEL, ModelCheckpoint, ModuleKind, NamedModule, NamedTensor,
    Suggestion, explicit_arguments,
};
pub use config::{Config, Nonlinearity, Parameter, is_parameter_name};
pub use element::{Dtype, Element};
pub use error::Error;
pub use generator::{Generator, STATE_BYTES};
pub use kernel::Kernel;
pub use memory::{OutOfMemory, zeros};
pub use model::{
    Decoder, Encoder, EncoderConfig, Function, Generation, Head, Likelihood, Linear, Link,
    LinkConfig, Model, ModelConfig, ModelOutput, Pool, Pooling, Prediction, Sampler, Tokens,
    Vocabulary, parse_labels,
};
pub use packed::{
    PackedSequence, PaddingSide, pack_padded_sequence, pack_sequence, pad_packed_sequence,
    pad_sequence, unpack_sequence, unpad_sequence,
};
pub use params::Params;
pub use rnn::{Keep, Mode, Options, Output, Rnn, Session, Step};
pub use stack::{Cache, Watch, caches};
