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
    pub(crate) fn of<T: Element>(rnn: &Rnn<T>) -> Result<Vec<Self>, ShapeError> {
        let tensors = rnn.to_tensors().into_iter();
        let mut tensors = tensors.map(|(_, tensor)| tensor.mapv(Into::<f64>::into));
        let mut next =
            || tensors.next().unwrap_or_else(|| unreachable!("a parameter of each kind"));
        let config = rnn.config();
        let cells = 0..config.num_layers * config.num_directions();
        let cell = |_| {
            let [weight_ih, weight_hh] = [next(), next()].map(ArrayD::into_dimensionality);
            let biases =
                config.bias.then(|| [next(), next()].map(|bias| bias.into_iter().collect()));
            Ok(Cell { weight_ih: weight_ih?, weight_hh: weight_hh?, biases })
        };
        cells.map(cell).collect()
    }
}
