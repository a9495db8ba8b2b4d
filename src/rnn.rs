//! The layer. Arguments are checked here and in `batch`, once; the modules below cannot fail.

mod blocks;
mod options;
mod pack;
mod pass;
mod session;
mod step;
mod stepper;

use ndarray::{ArrayD, ArrayViewD, Dimension};

use crate::batch::{self, Batch, InputForm, total_steps};
use crate::element::Element;
use crate::error::Error;
use crate::kernel::Panels;
use crate::memory::{array, values, zeros};
use crate::stack::{self, Cell, Plan};
use crate::{Config, Generator, Kernel, Params};

use blocks::Spare;
pub use options::{Keep, Mode, Options, Output};
pub(crate) use pack::pack_matrix;
pub use session::Session;
pub use step::Step;
pub(crate) use stepper::Stepper;

/// A multilayer Elman RNN, PyTorch's `torch.nn.RNN`, with its weights packed for the kernel.
///
/// For each layer, direction and step t:
///
/// ```text
/// h_t = act(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh)
/// ```
///
/// ```
/// use elman::{Config, Nonlinearity, Rnn};
/// use ndarray::{ArrayD, arr2};
///
/// // h_t = relu(x_t + h_{t-1} / 2)
/// let config = Config { nonlinearity: Nonlinearity::Relu, bias: false, ..Config::new(1, 1) };
/// let tensors = [("weight_ih_l0", 1.0_f32), ("weight_hh_l0", 0.5)]
///     .map(|(name, weight)| (name.to_owned(), arr2(&[[weight]]).into_dyn()));
/// let rnn = Rnn::from_tensors(config, tensors.to_vec())?;
/// let result = rnn.call(ArrayD::ones(vec![3, 1]).view(), None)?;
/// assert_eq!(result.output, arr2(&[[1.0], [1.5], [1.75]]).into_dyn());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rnn<T> {
    config: Config,
    reversed: bool,
    cells: Vec<Cell<T>>,
    /// `bias_ih` and `bias_hh` of each cell, if it has them; the cell itself holds only their sum.
    biases: Vec<ArrayD<T>>,
    kernel: Kernel,
    /// Cores that this process may use, counted when the layer is made: a pool's thread that is pinned to one
    /// core would count one.
    cores: usize,
    /// Bytes of a core's second-level cache.
    l2_bytes: usize,
    spare: Spare<T>,
}

impl<T: Element> Rnn<T> {
    /// A layer with fresh weights, as `nn.RNN(...)` makes them.
    ///
    /// # Errors
    /// Those of [`Params::init`].
    pub fn new(config: Config, generator: &mut Generator) -> Result<Self, Error> {
        Self::from_params(Params::init(config, generator)?)
    }

    /// A layer with the tensors of a `state_dict`, in any order.
    ///
    /// # Errors
    /// Those of [`Params::from_tensors`].
    pub fn from_tensors(config: Config, tensors: Vec<(String, ArrayD<T>)>) -> Result<Self, Error> {
        Self::from_params(Params::from_tensors(config, tensors)?)
    }

    /// A layer with these parameters.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn from_params(params: Params<T>) -> Result<Self, Error> {
        let Params { config, tensors } = params;
        let (mut cells, mut biases) = (Vec::new(), Vec::new());
        let mut tensors = tensors.into_iter();
        // One by one: a packed cell replaces its parameters, so that memory holds the weights once.
        for _ in 0..config.num_layers * config.num_directions() {
            let mut own: Vec<_> = tensors.by_ref().take(config.tensors_per_cell()).collect();
            cells.push(pack::pack(&own)?);
            biases.extend(own.drain(2..));
        }
        let (kernel, cores, l2_bytes) = (Kernel::best(), stack::cores(), stack::l2_bytes());
        let (reversed, spare) = (false, Spare::default());
        Ok(Rnn { config, reversed, cells, biases, kernel, cores, l2_bytes, spare })
    }

    /// The tensors of the `state_dict`, under PyTorch's names and in its order.
    pub fn to_tensors(&self) -> Vec<(String, ArrayD<T>)> {
        let matrix = |panels: Panels<'_, T>, rows, columns| {
            let mut values = panels.unpack();
            // Row-major, the order in which the array is filled.
            ArrayD::from_shape_fn(vec![rows, columns], |_| values.next().unwrap_or(T::ZERO))
        };
        let mut biases = self.biases.iter().cloned();
        let (config, mut tensors) = (self.config.clone(), Vec::new());
        for cell in &self.cells {
            let hidden_size = cell.bias.len();
            tensors.push(matrix(cell.ih(), hidden_size, cell.input_size));
            tensors.push(matrix(cell.hh(), hidden_size, hidden_size));
            tensors.extend(biases.by_ref().take(config.tensors_per_cell() - 2));
        }
        Params { config, tensors }.into_tensors()
    }

    /// The same layer with its single direction running from each sequence's last step to its first, as the
    /// reverse direction of a bidirectional layer does: flip the steps of each sequence, run, flip them
    /// back. `torch.nn.RNN` has no such layer; ONNX has (`direction="reverse"`). A bidirectional layer does
    /// not change.
    #[must_use]
    pub fn with_reversed(self, reversed: bool) -> Self {
        Rnn { reversed: reversed && !self.config.bidirectional, ..self }
    }

    /// Whether the single direction runs from the last step to the first.
    pub fn is_reversed(&self) -> bool {
        self.reversed
    }

    /// The same layer on another kernel. The results have the same bits.
    #[must_use]
    pub fn with_kernel(self, kernel: Kernel) -> Self {
        Rnn { kernel, ..self }
    }

    /// The kernel that runs the layer.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The layer's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Describes how threads share a forward pass over L steps of N sequences.
    pub fn plan(&self, seq_len: usize, batch: usize, threads: usize) -> String {
        Plan::new(&self.shape(&(0..self.config.num_layers), seq_len, batch), threads).to_string()
    }

    /// Whether a pass over a batch, with [`Keep::Last`], is too small to share: it stays on the calling thread, and
    /// starts no pool. A caller with a pool of its own then need not enter it.
    ///
    /// ```
    /// use elman::{Batch, Config, Generator, Rnn};
    /// use ndarray::ArrayD;
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
    /// let (small, large) = (ArrayD::zeros(vec![5, 3, 10]), ArrayD::zeros(vec![500, 300, 10]));
    /// assert!(rnn.is_serial(&Batch::new(small.view(), false)?));
    /// assert!(!rnn.is_serial(&Batch::new(large.view(), false)?));
    /// # Ok::<_, elman::Error>(())
    /// ```
    pub fn is_serial(&self, batch: &Batch<'_, T>) -> bool {
        let sizes = &batch.sizes;
        let layers = 0..self.config.num_layers;
        sizes.rows() == 0
            || Plan::new(&self.shape(&layers, sizes.steps(), sizes.size(0)), 2).is_serial()
    }

    /// Shape of `h_0` and `h_n` for a batch of N, or with `None` for unbatched input.
    pub fn hidden_shape(&self, batch: Option<usize>) -> Vec<usize> {
        let states = self.config.num_directions() * self.config.num_layers;
        [Some(states), batch, Some(self.config.hidden_size)].into_iter().flatten().collect()
    }

    /// The forward pass over a batch; see [`Batch`] for an example. Threads are those of the
    /// current rayon pool. The layer keeps the buffers of a pass for the next one.
    ///
    /// In [`Mode::Eval`], the bits of a sequence's result depend only on the sequence, the weights and its `h_0`. The
    /// masks of [`Mode::Train`] are drawn in the order of the whole batch.
    ///
    /// # Errors
    /// [`Error::InputSize`], [`Error::NoSteps`], [`Error::Invalid`] for the `total_length`, [`Error::TensorShape`] for
    /// `h_0`, and [`Error::OutOfMemory`].
    pub fn forward(
        &self,
        mut batch: Batch<'_, T>,
        options: Options<'_, T>,
    ) -> Result<Output<T>, Error> {
        let padding = options.padding;
        let (mut layers, h_n) = self.forward_rows(&mut batch, options)?;
        // The configuration has been checked: `num_layers` is at least 1.
        let output = layers.pop().unwrap_or_else(|| unreachable!("a pass without an output"));
        let width = self.output_size();
        let restore = |layer| batch.restore(layer, width, &padding);
        Ok(Output {
            lower_layers: layers.into_iter().map(restore).collect::<Result<_, _>>()?,
            output: restore(output)?,
            h_n,
        })
    }

    /// The forward pass without padding: the output of the last layer, or those of all, each packed,
    /// (rows, D * `H_out`), and `h_n`. It takes the rows of the batch, which [`Batch::restore`] does not read:
    /// freeing a packed copy makes room for the padded output.
    pub(crate) fn forward_rows(
        &self,
        batch: &mut Batch<'_, T>,
        Options { h_0, mode, keep, padding, watch }: Options<'_, T>,
    ) -> Result<(Vec<Vec<T>>, ArrayD<T>), Error> {
        let hidden_size = self.config.hidden_size;
        self.check_sizes(batch.shape.slice(), batch.form, batch.steps())?;
        total_steps(batch.sizes.steps(), padding.total_length)?;
        let mut h_n = self.initial_state(h_0, batch)?;
        let all = h_n.as_slice_mut().unwrap_or_default();
        let mut own = batch.gather(all, hidden_size)?;
        let state = own.as_deref_mut().unwrap_or(&mut *all);
        let rows = std::mem::take(&mut batch.rows);
        let layers = self.pass(&rows, &batch.sizes, state, (mode, keep, watch))?;
        if let Some(own) = own {
            batch.scatter(&own, all, hidden_size);
        }
        Ok((layers, h_n))
    }

    /// PyTorch's `rnn(input, h_0)` after `rnn.eval()`: [`Rnn::forward`] over (L, N, `H_in`), (N, L, `H_in`) if
    /// the layer is `batch_first`, or unbatched (L, `H_in`), with default options.
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::InputSize`], [`Error::NoSteps`], [`Error::TensorShape`] for `h_0`, and
    /// [`Error::OutOfMemory`].
    pub fn call(
        &self,
        input: ArrayViewD<'_, T>,
        h_0: Option<ArrayViewD<'_, T>>,
    ) -> Result<Output<T>, Error> {
        let batch = Batch::new(input, self.config.batch_first)?;
        self.forward(batch, Options { h_0, ..Options::default() })
    }

    /// Checks the shape of an input, and returns L and N: 1 for unbatched input.
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::InputSize`], [`Error::NoSteps`].
    pub fn check_input(&self, shape: &[usize]) -> Result<(usize, usize), Error> {
        let (form, steps, batch) = batch::sizes(shape, self.config.batch_first)?;
        self.check_sizes(shape, form, steps)?;
        Ok((steps, batch))
    }

    /// Features of the output, D * `H_out`.
    pub(crate) fn output_size(&self) -> usize {
        self.config.num_directions() * self.config.hidden_size
    }

    fn check_sizes(&self, shape: &[usize], form: InputForm, steps: usize) -> Result<(), Error> {
        let (expected, found) = (self.config.input_size, || shape.to_vec());
        if shape.last() != Some(&expected) {
            return Err(Error::InputSize { expected, found: found() });
        }
        if steps == 0 && !matches!(form, InputForm::Packed | InputForm::Ragged) {
            return Err(Error::NoSteps { found: found() });
        }
        Ok(())
    }

    /// Checks that the state can be carried from some steps to the next ones.
    ///
    /// # Errors
    /// [`Error::Carried`] for a bidirectional or reversed layer.
    pub fn check_carried(&self) -> Result<(), Error> {
        let bidirectional = self.config.bidirectional;
        if bidirectional || self.reversed { Err(Error::Carried { bidirectional }) } else { Ok(()) }
    }

    /// `h_0` or zeros, (D * `num_layers`, N, `H_out`) in row-major order.
    fn initial_state(
        &self,
        h_0: Option<ArrayViewD<'_, T>>,
        batch: &Batch<'_, T>,
    ) -> Result<ArrayD<T>, Error> {
        let expected = self.hidden_shape(batch.batched());
        let values = match h_0 {
            None => zeros(&expected, "h_n")?,
            Some(h_0) if h_0.shape() == expected => values(&h_0, "h_n")?,
            Some(h_0) => return Err(Error::hidden_shape(expected, h_0.shape())),
        };
        Ok(array(&expected, values))
    }
}
