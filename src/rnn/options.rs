//! The options of a forward pass, and its result.

use ndarray::{ArrayD, ArrayViewD};

use crate::stack::Watch;
use crate::{Generator, Padding};

/// Options of a forward pass. By default it starts from zeros, applies no dropout, keeps the output of the last layer,
/// and pads with zeros.
#[derive(Debug, Default)]
pub struct Options<'a, T> {
    /// The initial hidden state, (D * `num_layers`, N, `H_out`), or (D * `num_layers`, `H_out`) for unbatched
    /// input. `None`: zeros.
    pub h_0: Option<ArrayViewD<'a, T>>,
    /// Whether dropout is applied.
    pub mode: Mode<'a>,
    /// Layers whose output is kept.
    pub keep: Keep,
    /// Padding of the output.
    pub padding: Padding<T>,
    /// Told how far the pass has come: of D * `num_layers` times the valid steps of all sequences.
    pub watch: Option<Watch<'a>>,
}

/// Whether dropout is applied.
#[derive(Debug, Default)]
pub enum Mode<'a> {
    /// As after `rnn.eval()`: no dropout.
    #[default]
    Eval,
    /// As after `rnn.train()`: the masks are drawn from this generator, as PyTorch draws them.
    Train(&'a mut Generator),
}

/// Layers whose output is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The last one.
    #[default]
    Last,
    /// Every layer, before dropout.
    All,
}

/// Result of a forward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Output<T> {
    /// Hidden states of the last layer for every step, in the form of the input: (L, N, D * `H_out`),
    /// (N, L, D * `H_out`) with `batch_first`, (L, D * `H_out`) for unbatched input, or (rows, D * `H_out`)
    /// for a packed sequence. As in PyTorch, `batch_first` gives a transposed view, which is not contiguous.
    pub output: ArrayD<T>,
    /// The last hidden state of every layer and direction: (D * `num_layers`, N, `H_out`), or
    /// (D * `num_layers`, `H_out`) for unbatched input.
    pub h_n: ArrayD<T>,
    /// With [`Keep::All`], hidden states of the layers below the last, from the first on, each as `output`.
    pub lower_layers: Vec<ArrayD<T>>,
}
