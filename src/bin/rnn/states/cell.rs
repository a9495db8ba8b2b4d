//! The parameters of one layer and direction.

use elman::{Element, Rnn};
use ndarray::{Array2, ArrayD, ShapeError};

/// The parameters of one layer and direction. f64 holds the numbers of either type.
pub(crate) struct Cell {
    pub(crate) weight_ih: Array2<f64>,
    pub(crate) weight_hh: Array2<f64>,
    /// `bias_ih` and `bias_hh`, if the layer has them.
    pub(crate) biases: Option<[Vec<f64>; 2]>,
}

impl Cell {
    /// Those of every layer and direction, in the order of the `state_dict`.
    pub(crate) fn all<T: Element>(rnn: &Rnn<T>) -> Result<Vec<Self>, ShapeError> {
        let (config, mut tensors) = (rnn.config(), rnn.to_tensors().into_iter());
        let cells = 0..config.num_layers * config.num_directions();
        cells.map(|_| Self::next(&mut tensors, config.bias)).collect()
    }

    /// Those of one layer and direction, by its index in the `state_dict`.
    pub(crate) fn one<T: Element>(rnn: &Rnn<T>, index: usize) -> Result<Self, ShapeError> {
        let bias = rnn.config().bias;
        let before = index * if bias { 4 } else { 2 };
        Self::next(&mut rnn.to_tensors().into_iter().skip(before), bias)
    }

    fn next<T: Element>(
        tensors: &mut impl Iterator<Item = (String, ArrayD<T>)>,
        bias: bool,
    ) -> Result<Self, ShapeError> {
        let mut next = || {
            let tensor = tensors.next().unwrap_or_else(|| unreachable!("a parameter of each kind"));
            tensor.1.mapv(Into::<f64>::into)
        };
        let [weight_ih, weight_hh] = [next(), next()].map(ArrayD::into_dimensionality);
        let biases = bias.then(|| [next(), next()].map(|bias| bias.into_iter().collect()));
        Ok(Cell { weight_ih: weight_ih?, weight_hh: weight_hh?, biases })
    }
}
