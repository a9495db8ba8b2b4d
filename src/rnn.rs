//! The layer. Every argument is checked here, once; what lies below cannot fail.

mod blocks;

use ndarray::{Array1, Array2, Array3, ArrayD, ArrayView3, ArrayViewD, Axis, CowArray, Ix3};

use crate::error::{reserved, zeros};
use crate::kernel::{Activation, Panels};
use crate::packed::BatchSizes;
use crate::params::{CellParams, WEIGHTS, array};
use crate::stack::{self, Cell, Plan, Shape, Stack};
use crate::{Config, Element, Error, Generator, Kernel, Nonlinearity, Params, Random};

use blocks::Spare;

/// A multilayer Elman RNN, PyTorch's `torch.nn.RNN`, with its weights packed for the kernel.
///
/// For each layer, direction and step t:
///
/// ```text
/// h_t = act(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh)
/// ```
#[derive(Clone, Debug)]
pub struct Rnn<T> {
    config: Config,
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
#[derive(Debug)]
pub enum Mode<'a> {
    /// As after `rnn.eval()`: dropout does nothing.
    Eval,
    /// As after `rnn.train()`: the masks are drawn from this generator, as PyTorch draws them.
    Train(&'a mut Generator),
}

/// The result of a forward pass.
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
        let (config, params) = params.into_parts();
        let (mut cells, mut biases) = (Vec::new(), Vec::new());
        // One by one, so that what has been packed is there only once.
        for cell in params {
            cells.push(pack(&cell)?);
            biases.push(cell.bias);
        }
        let (kernel, cores) = (Kernel::best(), stack::cores());
        Ok(Rnn { config, cells, biases, kernel, cores, spare: Spare::new() })
    }

    /// The tensors of the `state_dict`, under PyTorch's names and in its order.
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

    /// The same layer on another kernel. The results have the same bits.
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
    pub fn plan(&self, seq_len: usize, batch: usize, threads: usize) -> String {
        Plan::new(&self.shape(seq_len, batch), threads).to_string()
    }

    /// Shape of `h_0` and `h_n` for a batch of N, or, with none, for unbatched input.
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
    /// # Errors
    /// [`Error::InputRank`], [`Error::InputSize`], [`Error::NoSteps`], [`Error::HiddenShape`], and
    /// [`Error::OutOfMemory`].
    pub fn forward(
        &self,
        input: ArrayViewD<'_, T>,
        h_0: Option<ArrayViewD<'_, T>>,
        mode: Mode<'_>,
    ) -> Result<Output<T>, Error> {
        let batched = input.ndim() == 3;
        let input = self.time_major(input)?;
        let (steps, batch, _) = input.dim();
        let batch_sizes = BatchSizes::Constant { steps, rows: batch };
        let mut state = self.initial_state(h_0, batched.then_some(batch), batch)?;
        let input = contiguous(&input)?;
        let width = self.config.num_directions() * self.config.hidden_size;
        let mut output = zeros(&[batch_sizes.rows(), width], "output")?;
        let rows = input.as_slice().unwrap_or_default();
        self.forward_packed(rows, &batch_sizes, &mut state, &mut output, mode)?;

        let mut output = array(&[steps, batch, width], output);
        let mut h_n = array(&self.hidden_shape(Some(batch)), state);
        if !batched {
            output = output.index_axis_move(Axis(1), 0);
            h_n = h_n.index_axis_move(Axis(1), 0);
        } else if self.config.batch_first {
            output.swap_axes(0, 1);
        }
        Ok(Output { output, h_n })
    }

    /// Checks the shape of an input, and returns L and N: 1 for unbatched input.
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
        let mut state = reserved(h_0.len(), "h_n")?;
        state.extend(h_0.iter().copied());
        Ok(state)
    }

    /// The forward pass on the canonical inside: `input` packed, (rows, `H_in`); `state` `h_0` before
    /// and `h_n` after it; `output` packed, (rows, D * `H_out`).
    fn forward_packed(
        &self,
        input: &[T],
        batch_sizes: &BatchSizes,
        state: &mut [T],
        output: &mut [T],
        mode: Mode<'_>,
    ) -> Result<(), Error> {
        let shape = self.shape(batch_sizes.steps(), batch_sizes.size(0));
        let plan = Plan::new(&shape, rayon::current_num_threads());
        let masks = self.masks(batch_sizes.rows(), mode)?;
        let stack = Stack {
            kernel: self.kernel,
            cells: &self.cells,
            directions: shape.directions,
            hidden_size: shape.hidden_size,
            activation: match self.config.nonlinearity {
                Nonlinearity::Tanh => Activation::Tanh,
                Nonlinearity::Relu => Activation::Relu,
            },
            batch_sizes,
            input,
            masks: &masks,
            mask_scale: T::ONE.over(T::from_f64(1.0 - self.config.dropout)),
            plan: &plan,
        };
        let blocks = blocks::cut(&shape, &plan, batch_sizes, state, output)?;
        let mut spare = self.spare.take();
        let mut work = blocks::share(&shape, &plan, blocks, &mut spare)?;
        stack::forward(&stack, &mut work);
        spare.extend(work.into_iter().map(|own| own.workspace));
        self.spare.give_back(spare);
        Ok(())
    }

    fn shape(&self, steps: usize, batch: usize) -> Shape {
        Shape {
            steps,
            batch,
            input_size: self.config.input_size,
            hidden_size: self.config.hidden_size,
            num_layers: self.config.num_layers,
            directions: self.config.num_directions(),
            element_bytes: size_of::<T>(),
            cores: self.cores,
            share_out: |columns, shares| Panels::<T>::share_out(columns, shares).collect(),
        }
    }

    /// The dropout masks of the gaps between layers, drawn before the pass and in PyTorch's order: gap
    /// by gap, each over the whole packed batch. So any plan can be followed with them.
    fn masks(&self, rows: usize, mode: Mode<'_>) -> Result<Vec<Vec<bool>>, Error> {
        let Mode::Train(generator) = mode else { return Ok(Vec::new()) };
        if self.config.dropout == 0.0 {
            return Ok(Vec::new());
        }
        let width = self.config.num_directions() * self.config.hidden_size;
        let gaps = 1..self.config.num_layers;
        gaps.map(|_| {
            let mut mask = zeros(&[rows, width], "dropout masks")?;
            generator.keep_mask(self.config.dropout, &mut mask);
            Ok(mask)
        })
        .collect()
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

/// The same values in row-major order: copied only where they are not so already, because the kernel
/// reads the rows of a step as they stand in memory.
fn contiguous<'a, T: Element>(input: &'a ArrayView3<'_, T>) -> Result<CowArray<'a, T, Ix3>, Error> {
    if input.is_standard_layout() {
        return Ok(input.view().into());
    }
    let mut values = reserved(input.len(), "input")?;
    values.extend(input.iter().copied());
    // `input` has these sizes, and all its values were taken.
    let copy = Array3::from_shape_vec(input.dim(), values);
    Ok(copy.unwrap_or_else(|_| unreachable!("a copy of another size")).into())
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
        let width = rnn.config.num_directions() * rnn.config.hidden_size;
        let states = rnn.hidden_shape(Some(sizes.size(0))).iter().product();
        let mut state: Vec<f32> =
            (0..states).map(|i| (i % rnn.config.hidden_size) as f32 / 1e3).collect();
        let mut output = vec![0.0; sizes.rows() * width];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| rnn.forward_packed(input, sizes, &mut state, &mut output, Mode::Eval))
            .unwrap();
        [output, state]
    }

    #[test]
    fn a_ragged_batch_gives_the_bytes_of_each_sequence_alone() {
        // Of the larger layer the columns are shared, of the smaller one nothing is.
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
