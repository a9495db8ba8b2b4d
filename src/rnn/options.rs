//! The options of a forward pass, and its result.

use ndarray::{ArrayD, ArrayViewD};

use crate::{Generator, Padding};

/// Options of a forward pass. By default it starts from zeros, applies no dropout, keeps the output of the last layer,
/// and pads with zeros.
///
/// ```
/// use elman::{Batch, Config, Generator, Keep, Mode, Options, Rnn};
/// use ndarray::ArrayD;
///
/// // torch.manual_seed(0); rnn = nn.RNN(10, 20, 2, dropout=0.5)
/// let mut generator = Generator::new(0);
/// let config = Config { num_layers: 2, dropout: 0.5, ..Config::new(10, 20) };
/// let rnn = Rnn::<f32>::new(config, &mut generator)?;
/// let (input, h_0) = (ArrayD::ones(vec![5, 3, 10]), ArrayD::zeros(vec![2, 3, 20]));
/// let options = |mode| Options { h_0: Some(h_0.view()), mode, keep: Keep::All, ..Options::default() };
/// let batch = || Batch::new(input.view(), false);
/// let train = rnn.forward(batch()?, options(Mode::Train(&mut generator)))?;
/// let eval = rnn.forward(batch()?, options(Mode::Eval))?;
/// // Dropout is applied between the layers.
/// assert_eq!(train.lower_layers, eval.lower_layers);
/// assert_ne!(train.output, eval.output);
/// # Ok::<_, elman::Error>(())
/// ```
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
