//! A layer that passes one sequence step by step, in memory that is allocated once.

use ndarray::{ArrayD, ArrayViewD};

use super::Rnn;
use crate::Kernel;
use crate::element::Element;
use crate::error::Error;
use crate::kernel::{Activation, Product, RowsMut, Walk};
use crate::memory::{array, values, zeros};
use crate::stack::Cell;

/// The memory for the buffers, in an out-of-memory error.
const BUFFERS: &str = "buffers";

/// A layer that passes one sequence step by step on the calling thread. The outputs have the bits of
/// [`Rnn::forward`](super::Rnn::forward), which would allocate an output and a plan for each step.
///
/// For each layer l, with `x` the input or the state of the layer below:
///
/// ```text
/// pre = x W_ih^T + b_ih + b_hh
/// h_l = act(pre + h_l W_hh^T)
/// ```
#[derive(Debug)]
pub(crate) struct Stepper<'a, T> {
    rnn: &'a Rnn<T>,
    /// (`num_layers`, `H_out`).
    h: Vec<T>,
    /// Of an upper layer, (`H_out`).
    pre: Vec<T>,
    /// The next state of a layer, (`H_out`): a product reads the one before until its end.
    next: Vec<T>,
    /// It alternates, so that a step begins with the panels that the step before left in the cache.
    walk: Walk,
}

impl<'a, T: Element> Stepper<'a, T> {
    /// A sequence that starts from `h_0`, (`num_layers`, `H_out`), or from zeros.
    ///
    /// # Errors
    /// [`Error::Carried`] for a bidirectional or reversed layer, [`Error::TensorShape`] for `h_0`, and
    /// [`Error::OutOfMemory`].
    pub(crate) fn new(rnn: &'a Rnn<T>, h_0: Option<ArrayViewD<'_, T>>) -> Result<Self, Error> {
        rnn.check_carried()?;
        let (expected, size) = (rnn.hidden_shape(None), rnn.config.hidden_size);
        let h = match h_0 {
            None => zeros(&expected, "h_n")?,
            Some(h_0) if h_0.shape() == expected => values(&h_0, "h_n")?,
            Some(h_0) => return Err(Error::hidden_shape(expected, h_0.shape())),
        };
        let (pre, next) = (zeros(&[size], BUFFERS)?, zeros(&[size], BUFFERS)?);
        Ok(Stepper { rnn, h, pre, next, walk: Walk::Forwards })
    }

    /// Writes the pre-activations of the first layer for the input `x`, (`H_in`), to `pre`, (`H_out`).
    pub(crate) fn project(&self, x: &[T], pre: &mut [T]) {
        if let Some(cell) = self.rnn.cells.first() {
            project(self.rnn.kernel, cell, x, pre);
        }
    }

    /// Passes the next step, whose pre-activations in the first layer are `pre`, (`H_out`).
    pub(crate) fn step(&mut self, pre: &[T]) {
        let Stepper { rnn, h, pre: own, next, walk } = self;
        let size = rnn.config.hidden_size;
        for (layer, cell) in rnn.cells.iter().enumerate() {
            let (below, state) = h.split_at_mut(layer * size);
            let state = &mut state[..size];
            if layer > 0 {
                project(rnn.kernel, cell, &below[(layer - 1) * size..], own);
            }
            rnn.kernel.product(Product {
                x: state,
                x_stride: size,
                panels: cell.hh(),
                start: if layer == 0 { pre } else { own },
                start_stride: 0,
                out: RowsMut::new(next, 1, size, size),
                activation: rnn.activation(),
                walk: *walk,
            });
            state.copy_from_slice(next);
        }
        *walk = walk.reversed();
    }

    /// The output of the last step, (`H_out`): the state of the last layer.
    pub(crate) fn output(&self) -> &[T] {
        &self.h[self.h.len() - self.rnn.config.hidden_size..]
    }

    /// `h_n`, (`num_layers`, `H_out`).
    pub(crate) fn into_state(self) -> ArrayD<T> {
        array(&self.rnn.hidden_shape(None), self.h)
    }
}

/// `pre = x W_ih^T + b` for one row.
fn project<T: Element>(kernel: Kernel, cell: &Cell<T>, x: &[T], pre: &mut [T]) {
    kernel.product(Product {
        x,
        x_stride: cell.input_size,
        panels: cell.ih(),
        start: &cell.bias,
        start_stride: 0,
        out: RowsMut::new(pre, 1, cell.bias.len(), cell.bias.len()),
        activation: Activation::Identity,
        walk: Walk::Forwards,
    });
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, Slice};

    use super::*;
    use crate::{Batch, Config, Generator, Nonlinearity, Options};

    #[test]
    fn steps_have_the_bits_of_a_pass() {
        for (num_layers, hidden_size) in [(1, 1), (1, 70), (3, 19)] {
            for nonlinearity in [Nonlinearity::Tanh, Nonlinearity::Relu] {
                let mut generator = Generator::new(4);
                let config = Config { num_layers, nonlinearity, ..Config::new(5, hidden_size) };
                let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
                let mut x = vec![0.0; 9 * 5];
                generator.normal(&mut x);
                let mut h_0 = vec![0.0; num_layers * hidden_size];
                generator.normal(&mut h_0);
                let (x, h_0) = (array(&[9, 5], x), array(&[num_layers, hidden_size], h_0));
                let batch = Batch::new(x.view(), false).unwrap();
                let options = Options { h_0: Some(h_0.view()), ..Options::default() };
                let whole = rnn.forward(batch, options).unwrap();
                let mut stepper = Stepper::new(&rnn, Some(h_0.view())).unwrap();
                let mut pre = vec![0.0; hidden_size];
                for t in 0..9 {
                    let x = x.slice_axis(Axis(0), Slice::from(t..=t));
                    stepper.project(x.to_slice().unwrap(), &mut pre);
                    stepper.step(&pre);
                    let expected = whole.output.index_axis(Axis(0), t);
                    assert_eq!(stepper.output(), expected.to_slice().unwrap());
                }
                assert_eq!(stepper.into_state(), whole.h_n);
            }
        }
    }

    #[test]
    fn states_that_cannot_be_carried_or_do_not_fit_are_refused() {
        let mut generator = Generator::new(4);
        let config = Config { bidirectional: true, ..Config::new(3, 5) };
        let both = Rnn::<f32>::new(config, &mut generator).unwrap();
        assert!(matches!(Stepper::new(&both, None), Err(Error::Carried { bidirectional: true })));
        let rnn = Rnn::<f32>::new(Config::new(3, 5), &mut generator).unwrap();
        let h_0 = ArrayD::zeros(vec![2, 5]);
        let error = Stepper::new(&rnn, Some(h_0.view())).unwrap_err().to_string();
        assert_eq!(error, "h_0: expected shape [1, 5], got [2, 5]");
    }
}
