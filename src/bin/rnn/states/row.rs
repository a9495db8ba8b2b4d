//! One sequence, and its hidden states in every layer and direction.

use ndarray::{Array2, ArrayView1, ArrayView2, s};

/// One sequence, and its hidden states. f64 holds the numbers of either type.
pub(crate) struct RowStates {
    /// (L, `H_in`).
    pub(crate) x: Array2<f64>,
    /// The ids that the model's encoder has turned into `x`.
    pub(crate) ids: Option<Vec<i64>>,
    /// (D * `num_layers`, `H_out`).
    pub(crate) h_0: Array2<f64>,
    /// (L, D * `H_out`) for each layer.
    pub(crate) layers: Vec<Array2<f64>>,
    pub(super) hidden_size: usize,
    pub(super) directions: usize,
    pub(super) reversed: bool,
}

impl RowStates {
    /// L.
    pub(crate) fn steps(&self) -> usize {
        self.x.nrows()
    }

    /// The hidden states of a layer and direction, (L, `H_out`).
    pub(crate) fn states(&self, layer: usize, direction: usize) -> ArrayView2<'_, f64> {
        let first = direction * self.hidden_size;
        self.layers[layer].slice(s![.., first..first + self.hidden_size])
    }

    /// The input of a layer, (L, features).
    pub(crate) fn below(&self, layer: usize) -> ArrayView2<'_, f64> {
        layer.checked_sub(1).map_or(self.x.view(), |below| self.layers[below].view())
    }

    /// Whether a direction runs from the last step to the first.
    pub(crate) fn is_reverse(&self, direction: usize) -> bool {
        direction == 1 || self.reversed
    }

    /// The step before a step, in the direction's own order; `None` before the first one.
    pub(crate) fn step_before(&self, direction: usize, step: usize) -> Option<usize> {
        let after = step + 1;
        if self.is_reverse(direction) {
            (after < self.steps()).then_some(after)
        } else {
            step.checked_sub(1)
        }
    }

    /// The hidden state before a step, (`H_out`).
    pub(crate) fn before(
        &self,
        layer: usize,
        direction: usize,
        step: usize,
    ) -> ArrayView1<'_, f64> {
        match self.step_before(direction, step) {
            Some(before) => {
                let first = direction * self.hidden_size;
                self.layers[layer].slice(s![before, first..first + self.hidden_size])
            }
            None => self.h_0.row(layer * self.directions + direction),
        }
    }
}
