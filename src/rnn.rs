//! The layer. Every argument is checked here, once; what lies below cannot fail.

mod blocks;
mod lengths;
mod pass;

use ndarray::{Array1, Array2, ArrayD, ArrayView3, ArrayViewD, Axis, Ix3};

use crate::array::{array, contiguous, values};
use crate::batch::BatchSizes;
use crate::error::Error;
use crate::kernel::Panels;
use crate::memory::zeros;
use crate::params::{CellParams, WEIGHTS};
use crate::stack::{self, Cell, Plan};
use crate::{Config, Element, Generator, Kernel, Params, Random};

use blocks::Spare;
pub use lengths::Padding;
use lengths::last;
use pass::Keep;

/// What memory for the output is called in an error.
const OUTPUT: &str = "output";

/// A multilayer Elman RNN, PyTorch's `torch.nn.RNN`, with its weights packed for the kernel.
///
/// For each layer, direction and step t:
///
/// ```text
/// h_t = act(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh)
/// ```
///
/// ```
/// use elman::{Config, Generator, Rnn};
///
/// // torch.manual_seed(0); rnn = nn.RNN(10, 20, 2)
/// let config = Config { num_layers: 2, ..Config::new(10, 20) };
/// let rnn = Rnn::<f32>::new(config, &mut Generator::new(0))?;
/// assert_eq!(rnn.config().to_string(), "RNN(10, 20, num_layers=2)");
/// assert_eq!(rnn.hidden_shape(Some(3)), [2, 3, 20]);
/// assert_eq!(rnn.hidden_shape(None), [2, 20]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rnn<T> {
    config: Config,
    reversed: bool,
    cells: Vec<Cell<T>>,
    /// `bias_ih` and `bias_hh` of each cell, which the cell itself holds only as their sum.
    biases: Vec<Option<[Array1<T>; 2]>>,
    kernel: Kernel,
    /// Cores that this process may use, asked when the layer is made: a pool's thread that is kept on one
    /// core would say one.
    cores: usize,
    spare: Spare<T>,
}

/// Whether dropout is applied.
///
/// ```
/// use elman::{Config, Generator, Mode, Rnn};
/// use ndarray::ArrayD;
///
/// // torch.manual_seed(0); rnn = nn.RNN(10, 20, 2, dropout=0.5)
/// let mut generator = Generator::new(0);
/// let config = Config { num_layers: 2, dropout: 0.5, ..Config::new(10, 20) };
/// let rnn = Rnn::<f32>::new(config, &mut generator)?;
/// let input = ArrayD::ones(vec![5, 3, 10]);
/// let trained = rnn.forward(input.view(), None, Mode::Train(&mut generator))?;
/// assert_ne!(trained, rnn.forward(input.view(), None, Mode::Eval)?);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum Mode<'a> {
    /// As after `rnn.eval()`: dropout does nothing.
    Eval,
    /// As after `rnn.train()`: the masks are drawn from this generator, as PyTorch draws them.
    Train(&'a mut Generator),
}

/// The result of a forward pass.
///
/// ```
/// use elman::{Config, Generator, Mode, Output, Rnn};
/// use ndarray::{ArrayD, Axis};
///
/// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
/// let input = ArrayD::ones(vec![5, 3, 10]);
/// let Output { output, h_n } = rnn.forward(input.view(), None, Mode::Eval)?;
/// // output[-1] == h_n[-1] in one layer and direction
/// assert_eq!(output.index_axis(Axis(0), 4), h_n.index_axis(Axis(0), 0));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Output<T> {
    /// The last layer's hidden state for every step: (L, N, D * `H_out`), (N, L, D * `H_out`) with
    /// `batch_first`, or (L, D * `H_out`) for unbatched input. As in PyTorch, `batch_first` gives a
    /// transposed view, which is not contiguous.
    pub output: ArrayD<T>,
    /// The last hidden state of every layer and direction: (D * `num_layers`, N, `H_out`), or
    /// (D * `num_layers`, `H_out`) for unbatched input.
    pub h_n: ArrayD<T>,
}

impl<T: Element> Rnn<T> {
    /// A layer with fresh weights, as `nn.RNN(...)` makes them.
    ///
    /// ```
    /// use elman::{Config, Generator, Nonlinearity, Rnn};
    ///
    /// // torch.manual_seed(0); rnn = nn.RNN(10, 20, nonlinearity='relu').double()
    /// let config = Config { nonlinearity: Nonlinearity::Relu, ..Config::new(10, 20) };
    /// let rnn = Rnn::<f64>::new(config, &mut Generator::new(0))?;
    /// assert_eq!(rnn.to_tensors().len(), 4);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Params::init`].
    pub fn new(config: Config, generator: &mut Generator) -> Result<Self, Error>
    where
        T: Random,
    {
        Self::from_params(Params::init(config, generator)?)
    }

    /// A layer with the tensors of a `state_dict`, in any order.
    ///
    /// ```
    /// use elman::{Config, Mode, Nonlinearity, Rnn};
    /// use ndarray::{ArrayD, arr2};
    ///
    /// // h_t = relu(x_t + h_{t-1} / 2)
    /// let config = Config { nonlinearity: Nonlinearity::Relu, bias: false, ..Config::new(1, 1) };
    /// let tensors = [("weight_ih_l0", 1.0_f32), ("weight_hh_l0", 0.5)]
    ///     .map(|(name, weight)| (name.to_owned(), arr2(&[[weight]]).into_dyn()));
    /// let rnn = Rnn::from_tensors(config, tensors.to_vec())?;
    /// let result = rnn.forward(ArrayD::ones(vec![3, 1]).view(), None, Mode::Eval)?;
    /// assert_eq!(result.output, arr2(&[[1.0], [1.5], [1.75]]).into_dyn());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Params::from_tensors`].
    pub fn from_tensors(config: Config, tensors: Vec<(String, ArrayD<T>)>) -> Result<Self, Error> {
        Self::from_params(Params::from_tensors(config, tensors)?)
    }

    /// A layer with these parameters.
    ///
    /// ```
    /// use elman::{Config, Generator, Mode, Params, Rnn};
    /// use ndarray::ArrayD;
    ///
    /// let mut params = Params::<f32>::init(Config::new(10, 20), &mut Generator::new(0))?;
    /// let input = ArrayD::ones(vec![5, 3, 10]);
    /// let before = Rnn::from_params(params.clone())?.forward(input.view(), None, Mode::Eval)?;
    /// params.merge_bias();
    /// assert_eq!(Rnn::from_params(params)?.forward(input.view(), None, Mode::Eval)?, before);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn from_params(params: Params<T>) -> Result<Self, Error> {
        let (config, params) = params.into_parts();
        let (mut cells, mut biases) = (Vec::new(), Vec::new());
        // One by one, so that what has been packed is there only once.
        for cell in params {
            cells.push(pack(&cell)?);
            biases.push(cell.bias);
        }
        let (kernel, cores) = (Kernel::best(), stack::cores());
        Ok(Rnn { config, reversed: false, cells, biases, kernel, cores, spare: Spare::new() })
    }

    /// The tensors of the `state_dict`, under PyTorch's names and in its order.
    ///
    /// ```
    /// use elman::{Config, Generator, Rnn};
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
    /// let names: Vec<_> = rnn.to_tensors().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_tensors(&self) -> Vec<(String, ArrayD<T>)> {
        let matrix = |panels: Panels<'_, T>| {
            let shape = (panels.columns(), panels.k());
            Array2::from_shape_fn(shape, {
                let mut values = panels.unpack();
                // Row-major, the order in which the array is filled.
                move |_| values.next().unwrap_or(T::ZERO)
            })
        };
        let cells = self.cells.iter().zip(&self.biases).map(|(cell, bias)| CellParams {
            weight_ih: matrix(cell.ih()),
            weight_hh: matrix(cell.hh()),
            bias: bias.clone(),
        });
        Params::from_parts(self.config.clone(), cells.collect()).into_tensors()
    }

    /// The same layer, whose single direction runs from each sequence's last step to its first, as the
    /// reverse direction of a bidirectional layer does: flip the steps of each sequence, run, flip them
    /// back. `torch.nn.RNN` has no such layer, and ONNX has (`direction="reverse"`). A bidirectional layer
    /// stays what it is.
    ///
    /// ```
    /// use elman::{Config, Generator, Mode, Rnn};
    /// use ndarray::{Array3, Axis};
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(1, 4), &mut Generator::new(0))?;
    /// let input = Array3::from_shape_fn((5, 1, 1), |(t, _, _)| t as f32).into_dyn();
    /// let mut flipped = input.clone();
    /// flipped.invert_axis(Axis(0));
    /// let forward = rnn.forward(flipped.view(), None, Mode::Eval)?;
    /// let reversed = rnn.with_reversed(true);
    /// assert!(reversed.is_reversed());
    /// assert_eq!(reversed.forward(input.view(), None, Mode::Eval)?.h_n, forward.h_n);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_reversed(self, reversed: bool) -> Self {
        Rnn { reversed: reversed && !self.config.bidirectional, ..self }
    }

    /// Whether its single direction runs from the last step to the first.
    pub fn is_reversed(&self) -> bool {
        self.reversed
    }

    /// The same layer on another kernel. The results have the same bits.
    ///
    /// ```
    /// use elman::{Config, Generator, Kernel, Mode, Rnn};
    /// use ndarray::ArrayD;
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
    /// let input = ArrayD::ones(vec![5, 3, 10]);
    /// let expected = rnn.forward(input.view(), None, Mode::Eval)?;
    /// for kernel in Kernel::supported() {
    ///     let rnn = rnn.clone().with_kernel(kernel);
    ///     assert_eq!(rnn.kernel(), kernel);
    ///     assert_eq!(rnn.forward(input.view(), None, Mode::Eval)?, expected);
    /// }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_kernel(self, kernel: Kernel) -> Self {
        Rnn { kernel, ..self }
    }

    /// The kernel that it runs on.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The layer's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How a forward pass over L steps of N sequences is shared out among threads, in words.
    ///
    /// ```
    /// use elman::{Config, Generator, Rnn};
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
    /// println!("{}", rnn.plan(100, 64, 4));
    /// assert_ne!(rnn.plan(100, 64, 4), rnn.plan(100, 64, 1));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan(&self, seq_len: usize, batch: usize, threads: usize) -> String {
        Plan::new(&self.shape(&(0..self.config.num_layers), seq_len, batch), threads).to_string()
    }

    /// Shape of `h_0` and `h_n` for a batch of N, or, with none, for unbatched input.
    ///
    /// ```
    /// use elman::{Config, Generator, Mode, Rnn};
    /// use ndarray::ArrayD;
    ///
    /// let config = Config { num_layers: 2, bidirectional: true, ..Config::new(10, 20) };
    /// let rnn = Rnn::<f32>::new(config, &mut Generator::new(0))?;
    /// assert_eq!(rnn.hidden_shape(Some(3)), [4, 3, 20]);
    /// let h_0 = ArrayD::zeros(rnn.hidden_shape(None));
    /// let input = ArrayD::ones(vec![5, 10]);
    /// assert!(rnn.forward(input.view(), Some(h_0.view()), Mode::Eval).is_ok());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn hidden_shape(&self, batch: Option<usize>) -> Vec<usize> {
        let states = self.config.num_directions() * self.config.num_layers;
        [Some(states), batch, Some(self.config.hidden_size)].into_iter().flatten().collect()
    }

    /// The forward pass over `input`, (L, N, `H_in`), (N, L, `H_in`) with `batch_first`, or unbatched
    /// (L, `H_in`), from `h_0` or from zeros. Threads are those of the current rayon pool. The layer keeps
    /// the buffers of a pass for the next one.
    ///
    /// In [`Mode::Eval`], the bits of a sequence's result depend on nothing but the sequence, the
    /// weights and its `h_0`. The masks of [`Mode::Train`] are drawn in the order of the whole batch.
    ///
    /// ```
    /// use elman::{Config, Generator, Mode, Rnn};
    /// use ndarray::{ArrayD, Axis};
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
    /// let input = ArrayD::ones(vec![5, 3, 10]);
    /// let whole = rnn.forward(input.view(), None, Mode::Eval)?;
    /// // The first 2 steps, and then the others from where those ended.
    /// let (first, rest) = input.view().split_at(Axis(0), 2);
    /// let first = rnn.forward(first, None, Mode::Eval)?;
    /// let rest = rnn.forward(rest, Some(first.h_n.view()), Mode::Eval)?;
    /// assert_eq!(rest.h_n, whole.h_n);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InputRank`], [`Error::InputSize`], [`Error::NoSteps`], [`Error::HiddenShape`], and
    /// [`Error::OutOfMemory`].
    pub fn forward(
        &self,
        input: ArrayViewD<'_, T>,
        h_0: Option<ArrayViewD<'_, T>>,
        mode: Mode<'_>,
    ) -> Result<Output<T>, Error> {
        let (layers, h_n) = self.whole(input, h_0, mode, Keep::Last)?;
        Ok(Output { output: last(layers), h_n })
    }

    /// As [`Rnn::forward`], with the output of every layer, before dropout, and `h_n`.
    ///
    /// ```
    /// use elman::{Config, Generator, Mode, Rnn};
    /// use ndarray::Array3;
    ///
    /// let config = Config { num_layers: 2, bidirectional: true, ..Config::new(10, 20) };
    /// let rnn = Rnn::<f32>::new(config, &mut Generator::new(0))?;
    /// let input = Array3::ones((5, 3, 10)).into_dyn();
    /// let (layers, h_n) = rnn.forward_layers(input.view(), None, Mode::Eval)?;
    /// assert_eq!(layers.len(), 2);
    /// assert_eq!(layers[0].shape(), [5, 3, 40]);
    /// # Ok::<_, elman::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Rnn::forward`].
    pub fn forward_layers(
        &self,
        input: ArrayViewD<'_, T>,
        h_0: Option<ArrayViewD<'_, T>>,
        mode: Mode<'_>,
    ) -> Result<(Vec<ArrayD<T>>, ArrayD<T>), Error> {
        self.whole(input, h_0, mode, Keep::All)
    }

    /// The pass over sequences of one length, batched or not.
    fn whole(
        &self,
        input: ArrayViewD<'_, T>,
        h_0: Option<ArrayViewD<'_, T>>,
        mode: Mode<'_>,
        keep: Keep,
    ) -> Result<(Vec<ArrayD<T>>, ArrayD<T>), Error> {
        let batched = input.ndim() == 3;
        let input = self.time_major(input)?;
        let (steps, batch, _) = input.dim();
        let (layers, h_n) = self.plain(&input, h_0, batched, mode, keep)?;
        let shaped = |layer| self.shaped(layer, steps, batch, batched);
        Ok((layers.into_iter().map(shaped).collect(), h_n))
    }

    /// The pass over (L, N, `H_in`). The outputs are (L, N, D * `H_out`) in row-major order.
    fn plain(
        &self,
        input: &ArrayView3<'_, T>,
        h_0: Option<ArrayViewD<'_, T>>,
        batched: bool,
        mode: Mode<'_>,
        keep: Keep,
    ) -> Result<(Vec<Vec<T>>, ArrayD<T>), Error> {
        let (steps, batch, _) = input.dim();
        let batch_sizes = BatchSizes::Constant { steps, rows: batch };
        let mut state = self.initial_state(h_0, batched.then_some(batch), batch)?;
        let input = contiguous(input, "input")?;
        let rows = input.as_slice().unwrap_or_default();
        let layers = self.pass(rows, &batch_sizes, &mut state, mode, keep)?;
        Ok((layers, array(&self.hidden_shape(batched.then_some(batch)), state)))
    }

    /// An output, (L, N, D * `H_out`) in row-major order, in the shape that is given back.
    fn shaped(&self, output: Vec<T>, steps: usize, batch: usize, batched: bool) -> ArrayD<T> {
        let width = self.config.num_directions() * self.config.hidden_size;
        let mut output = array(&[steps, batch, width], output);
        if !batched {
            output = output.index_axis_move(Axis(1), 0);
        } else if self.config.batch_first {
            output.swap_axes(0, 1);
        }
        output
    }

    /// Checks the shape of an input, and returns L and N: 1 for unbatched input.
    ///
    /// ```
    /// use elman::{Config, Error, Generator, Rnn};
    ///
    /// let config = Config { batch_first: true, ..Config::new(10, 20) };
    /// let rnn = Rnn::<f32>::new(config, &mut Generator::new(0))?;
    /// assert_eq!(rnn.check_input(&[3, 5, 10])?, (5, 3));
    /// assert_eq!(rnn.check_input(&[5, 10])?, (5, 1));
    /// assert!(matches!(rnn.check_input(&[3, 5, 8]), Err(Error::InputSize { expected: 10, .. })));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InputRank`], [`Error::InputSize`], [`Error::NoSteps`].
    pub fn check_input(&self, shape: &[usize]) -> Result<(usize, usize), Error> {
        let found = || shape.to_vec();
        let (steps, batch, features) = match *shape {
            [steps, features] => (steps, 1, features),
            [batch, steps, features] if self.config.batch_first => (steps, batch, features),
            [steps, batch, features] => (steps, batch, features),
            _ => return Err(Error::InputRank { found: found() }),
        };
        if features != self.config.input_size {
            return Err(Error::InputSize { expected: self.config.input_size, found: found() });
        }
        if steps == 0 {
            return Err(Error::NoSteps { found: found() });
        }
        Ok((steps, batch))
    }

    /// Any input as (L, N, `H_in`), without moving it.
    fn time_major<'a>(&self, input: ArrayViewD<'a, T>) -> Result<ArrayView3<'a, T>, Error> {
        self.check_input(input.shape())?;
        let view = match input.ndim() {
            2 => input.insert_axis(Axis(1)),
            _ if self.config.batch_first => input.permuted_axes(vec![1, 0, 2]),
            _ => input,
        };
        // It has two or three axes, as was checked, and now three.
        Ok(view.into_dimensionality::<Ix3>().unwrap_or_else(|_| unreachable!("two or three axes")))
    }

    /// `h_0` or zeros, (D * `num_layers`, N, `H_out`) in row-major order.
    fn initial_state(
        &self,
        h_0: Option<ArrayViewD<'_, T>>,
        batched: Option<usize>,
        batch: usize,
    ) -> Result<Vec<T>, Error> {
        let Some(h_0) = h_0 else {
            return zeros(&self.hidden_shape(Some(batch)), "h_n");
        };
        let expected = self.hidden_shape(batched);
        if h_0.shape() != expected {
            return Err(Error::HiddenShape { expected, found: h_0.shape().to_vec() });
        }
        values(&h_0, "h_n")
    }
}

/// Packs the parameters of one layer and direction for the kernel.
fn pack<T: Element>(params: &CellParams<T>) -> Result<Cell<T>, Error> {
    let (hidden_size, input_size) = params.weight_ih.dim();
    let panels = |weights: &Array2<T>| {
        let (columns, k) = weights.dim();
        let too_large = Error::OutOfMemory { what: WEIGHTS, bytes: usize::MAX };
        let mut data = zeros(&[Panels::<T>::len(columns, k).ok_or(too_large)?], WEIGHTS)?;
        let weights = weights.as_standard_layout();
        Panels::pack(weights.as_slice().unwrap_or_default(), columns, k, &mut data);
        Ok::<_, Error>(data)
    };
    let mut bias = zeros(&[hidden_size], WEIGHTS)?;
    if let Some([bias_ih, bias_hh]) = &params.bias {
        for ((sum, &ih), &hh) in bias.iter_mut().zip(bias_ih).zip(bias_hh) {
            *sum = ih.plus(hh);
        }
    }
    let (weight_ih, weight_hh) = (panels(&params.weight_ih)?, panels(&params.weight_hh)?);
    Ok(Cell { weight_ih, weight_hh, bias, input_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths of the sequences of a ragged batch, in descending order.
    const LENGTHS: [usize; 5] = [7, 7, 4, 1, 1];

    /// The packed rows of one sequence of the batch.
    fn rows_of(sizes: &BatchSizes, sequence: usize) -> Vec<usize> {
        (0..LENGTHS[sequence]).map(|t| sizes.offset(t) + sequence).collect()
    }

    fn run(rnn: &Rnn<f32>, sizes: &BatchSizes, input: &[f32], threads: usize) -> [Vec<f32>; 2] {
        let states = rnn.hidden_shape(Some(sizes.size(0))).iter().product();
        let mut state: Vec<f32> =
            (0..states).map(|i| (i % rnn.config.hidden_size) as f32 / 1e3).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let outputs =
            pool.install(|| rnn.pass(input, sizes, &mut state, Mode::Eval, Keep::Last)).unwrap();
        [last(outputs), state]
    }

    #[test]
    fn a_ragged_batch_gives_the_bytes_of_each_sequence_alone() {
        // With threads, the directions of the larger layer run at the same time.
        for (hidden_size, threads) in [(5, 1), (300, 1), (300, 3)] {
            for bidirectional in [false, true] {
                let mut generator = Generator::new(1);
                let config = Config { num_layers: 2, bidirectional, ..Config::new(3, hidden_size) };
                let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
                let sizes = (0..7).map(|t| LENGTHS.iter().filter(|&&len| len > t).count());
                let sizes = BatchSizes::varying(sizes.collect::<Vec<_>>().into_iter()).unwrap();
                let mut input = vec![0.0; sizes.rows() * 3];
                generator.normal(&mut input);
                let [output, state] = run(&rnn, &sizes, &input, threads);
                for (sequence, &steps) in LENGTHS.iter().enumerate() {
                    let rows = rows_of(&sizes, sequence);
                    let own: Vec<f32> =
                        rows.iter().flat_map(|&row| input[row * 3..][..3].to_vec()).collect();
                    let alone = BatchSizes::Constant { steps, rows: 1 };
                    let [own_output, own_state] = run(&rnn, &alone, &own, threads);
                    let width = output.len() / sizes.rows();
                    let found: Vec<f32> = rows
                        .iter()
                        .flat_map(|&row| output[row * width..][..width].to_vec())
                        .collect();
                    assert!(found == own_output, "output of {sequence}, {hidden_size} features");
                    let states = state.chunks(LENGTHS.len() * hidden_size);
                    let found: Vec<f32> = states
                        .flat_map(|one| one[sequence * hidden_size..][..hidden_size].to_vec())
                        .collect();
                    assert!(found == own_state, "h_n of {sequence}, {hidden_size} features");
                }
            }
        }
    }
}
