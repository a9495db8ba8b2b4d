//! One step of one layer and direction, with the number between its sums and its hidden state.

use super::Rnn;
use crate::element::Element;
use crate::error::Error;
use crate::kernel::{Activation, Panels, Product, RowsMut, Walk};
use crate::memory::zeros;

/// One step of one layer and direction for one sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<T> {
    /// `W_ih x_t + b_ih + W_hh h_{t-1} + b_hh`, (`H_out`).
    pub pre_activation: Vec<T>,
    /// `h_t`, (`H_out`).
    pub h: Vec<T>,
}

impl<T: Element> Rnn<T> {
    /// One step of a layer, `h_t = act(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)`: `x` is the input of the layer at this
    /// step, and `h` its hidden state after the step before. Both results have the bits of a forward pass.
    ///
    /// ```
    /// use elman::{Config, Generator, Rnn};
    /// use ndarray::ArrayD;
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(3, 5), &mut Generator::new(0))?;
    /// let step = rnn.step(0, false, &[1.0; 3], &[0.0; 5])?;
    /// let result = rnn.call(ArrayD::ones(vec![1, 3]).view(), None)?;
    /// assert_eq!(Some(&step.h[..]), result.output.as_slice());
    /// # Ok::<_, elman::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a layer or a direction that does not exist, [`Error::InputSize`] and
    /// [`Error::TensorShape`] for other sizes, and [`Error::OutOfMemory`].
    pub fn step(&self, layer: usize, reverse: bool, x: &[T], h: &[T]) -> Result<Step<T>, Error> {
        let directions = self.config.num_directions();
        if layer >= self.config.num_layers || usize::from(reverse) >= directions {
            return Err(Error::invalid("layer", "expected a layer and a direction of the RNN"));
        }
        let cell = &self.cells[layer * directions + usize::from(reverse)];
        if x.len() != cell.input_size {
            return Err(Error::InputSize { expected: cell.input_size, found: vec![x.len()] });
        }
        if h.len() != self.config.hidden_size {
            return Err(Error::hidden_shape(vec![self.config.hidden_size], &[h.len()]));
        }
        let product = |x, panels: Panels<'_, T>, start: &[T]| {
            let mut out = zeros(&[start.len()], "a step")?;
            self.kernel.product(Product {
                x,
                x_stride: x.len(),
                panels,
                start,
                start_stride: 0,
                out: RowsMut::new(&mut out, 1, start.len(), start.len()),
                activation: Activation::Identity,
                walk: Walk::Forwards,
            });
            Ok::<_, Error>(out)
        };
        let projected = product(x, cell.ih(), &cell.bias)?;
        let pre_activation = product(h, cell.hh(), &projected)?;
        let mut h = pre_activation.clone();
        self.kernel.activate(&mut h, self.activation());
        Ok(Step { pre_activation, h })
    }
}
