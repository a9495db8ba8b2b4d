//! The naive RNN that the fast one is compared with: one number at a time, in float64. It is never optimised.

use elman::{Config, Nonlinearity};
use ndarray::{Array2, Array3, ArrayD, Axis, Ix1, Ix2};

/// A layer's parameters by name, in float64.
pub(crate) type Tensors = Vec<(String, ArrayD<f64>)>;

/// `output`, (L, N, D * `H_out`), and `h_n`, (D * `num_layers`, N, `H_out`), of a batch `x`, (L, N, `H_in`),
/// from `h_0`, (D * `num_layers`, N, `H_out`).
pub(crate) fn forward(
    config: &Config,
    tensors: &Tensors,
    x: &Array3<f64>,
    h_0: &Array3<f64>,
) -> (Array3<f64>, Array3<f64>) {
    let (steps, batch, _) = x.dim();
    let (directions, hidden_size) = (config.num_directions(), config.hidden_size);
    let mut h_n = h_0.clone();
    let mut input = x.clone();
    for layer in 0..config.num_layers {
        let mut output = Array3::zeros((steps, batch, directions * hidden_size));
        for direction in 0..directions {
            let cell = Cell::find(config, tensors, layer, direction);
            let state = layer * directions + direction;
            for row in 0..batch {
                for i in 0..steps {
                    let t = if direction == 0 { i } else { steps - 1 - i };
                    let h = h_n.index_axis(Axis(0), state).row(row).to_vec();
                    for unit in 0..hidden_size {
                        let x = (0..input.dim().2).map(|k| input[[t, row, k]]);
                        let new = cell.unit(config, unit, x, &h);
                        output[[t, row, direction * hidden_size + unit]] = new;
                        h_n[[state, row, unit]] = new;
                    }
                }
            }
        }
        input = output;
    }
    (input, h_n)
}

struct Cell {
    weight_ih: Array2<f64>,
    weight_hh: Array2<f64>,
    /// `b_ih + b_hh`; `None` without bias.
    bias: Option<Vec<f64>>,
}

impl Cell {
    fn find(config: &Config, tensors: &Tensors, layer: usize, direction: usize) -> Self {
        let find = |kind: &str| {
            let suffix = if direction == 1 { "_reverse" } else { "" };
            let wanted = format!("{kind}_l{layer}{suffix}");
            let found = tensors.iter().find(|(name, _)| *name == wanted).unwrap();
            found.1.clone()
        };
        let matrix = |kind: &str| find(kind).into_dimensionality::<Ix2>().unwrap();
        let vector = |kind: &str| find(kind).into_dimensionality::<Ix1>().unwrap();
        let bias = config.bias.then(|| (vector("bias_ih") + vector("bias_hh")).to_vec());
        Cell { weight_ih: matrix("weight_ih"), weight_hh: matrix("weight_hh"), bias }
    }

    /// One unit of `act(x W_ih^T + b_ih + h W_hh^T + b_hh)`.
    fn unit(&self, config: &Config, unit: usize, x: impl Iterator<Item = f64>, h: &[f64]) -> f64 {
        let mut sum = self.bias.as_ref().map_or(0.0, |bias| bias[unit]);
        for (k, x) in x.enumerate() {
            sum += x * self.weight_ih[[unit, k]];
        }
        for (k, h) in h.iter().enumerate() {
            sum += h * self.weight_hh[[unit, k]];
        }
        match config.nonlinearity {
            Nonlinearity::Tanh => sum.tanh(),
            Nonlinearity::Relu => sum.max(0.0),
        }
    }
}

/// The promised order of operations, one number at a time: chains of 64 fused multiply-adds from zero, added in
/// ascending order to `start`.
pub(crate) fn chained_sum(start: f32, x: &[f32], weights: &[f32]) -> f32 {
    let chains = x.chunks(64).zip(weights.chunks(64));
    chains.fold(start, |total, (x, weights)| {
        total + x.iter().zip(weights).fold(0.0_f32, |sum, (&x, &w)| x.mul_add(w, sum))
    })
}
