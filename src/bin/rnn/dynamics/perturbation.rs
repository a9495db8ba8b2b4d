//! The life of a perturbation of the hidden state.
//!
//! After k steps a small perturbation has been multiplied by the product of Jacobians
//! `J_k ... J_1`, with `J_t = diag(act'(pre_t)) W_hh`. Its life is the number of steps until the norm of this product
//! falls below 1 % of the identity's: the square root of the sum of squares, as of `weight_hh`. Then the next
//! perturbation begins.

use elman::Nonlinearity;
use ndarray::{Array2, ArrayView1, Axis};
use serde::Serialize;

use crate::progress::Bar;
use crate::states::{Cell, RowStates};

/// The share of a perturbation at the end of its life.
const FADED: f64 = 0.01;
/// The largest hidden size whose product is computed whole. Beyond it the norm is estimated from fewer columns, with a
/// relative deviation of about `1 / sqrt(2 * PROBES)` or less.
const MAX_WHOLE: usize = 64;
const PROBES: usize = 16;
/// Most steps that are followed, and multiplications after which no more are, but at least some: a guess, above the
/// memory of trained layers, and some seconds.
const MAX_STEPS: usize = 10_000;
const MAX_WORK: usize = 10_000_000_000;
const MIN_STEPS: usize = 30;

/// Steps that perturbations live.
#[derive(Debug, Serialize)]
pub(super) struct Lives {
    /// Perturbations that ended, and the least, the median and the largest number of steps.
    count: usize,
    steps: Option<[usize; 3]>,
    /// The last one, which had not ended: its steps, and its share.
    unfinished: usize,
    share: f64,
}

/// Follows perturbations through the first sequence. `None` if it has one step, or a number is not finite.
pub(super) fn lives(
    nonlinearity: Nonlinearity,
    states: &RowStates,
    cell: &Cell,
    (layer, direction): (usize, usize),
    bar: &Bar,
) -> Option<Lives> {
    let own = states.states(layer, direction);
    if own.nrows() < 2 || own.iter().chain(&cell.weight_hh).any(|x| !x.is_finite()) {
        return None;
    }
    let weight_hh = &cell.weight_hh;
    let (mut ended, mut age) = (Vec::new(), 0);
    let mut product = start(weight_hh.nrows());
    let (whole, mut share) = (norm(&product), 1.0);
    let most = (MAX_WORK / (weight_hh.len() * product.ncols())).clamp(MIN_STEPS, MAX_STEPS);
    let last = states.steps() - 1;
    bar.display.inc_length(last.min(most) as u64);
    // The first step has no hidden state before it that is computed.
    for step in (1..=last).take(most) {
        let step = if states.is_reverse(direction) { last - step } else { step };
        bar.inc(1);
        product = times(weight_hh, &product);
        weigh(&mut product, &own.row(step), nonlinearity);
        age += 1;
        share = norm(&product) / whole;
        if share < FADED {
            ended.push(std::mem::take(&mut age));
            product = start(weight_hh.nrows());
            share = 1.0;
        } else if !share.is_finite() {
            break;
        }
    }
    ended.sort_unstable();
    let steps =
        (!ended.is_empty()).then(|| [ended[0], ended[ended.len() / 2], ended[ended.len() - 1]]);
    Some(Lives { count: ended.len(), steps, unfinished: age, share })
}

/// A product of two matrices, both in C order. That of `ndarray` would be the only use of a crate of 30 kB.
fn times(left: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
    let mut product = Array2::zeros(right.raw_dim());
    let (columns, right) = (right.ncols(), right.as_slice().unwrap_or_default());
    for (mut row, weights) in product.outer_iter_mut().zip(left.outer_iter()) {
        let row = row.as_slice_mut().unwrap_or_default();
        for (&weight, factors) in weights.iter().zip(right.chunks_exact(columns)) {
            row.iter_mut().zip(factors).for_each(|(sum, factor)| *sum += weight * factor);
        }
    }
    product
}

/// Multiplies each row by the slope of the nonlinearity at a hidden state.
fn weigh(product: &mut Array2<f64>, state: &ArrayView1<'_, f64>, nonlinearity: Nonlinearity) {
    for (mut row, &h) in product.axis_iter_mut(Axis(0)).zip(state) {
        row *= match nonlinearity {
            Nonlinearity::Tanh => 1.0 - h * h,
            Nonlinearity::Relu => f64::from(u8::from(h > 0.0)),
        };
    }
}

/// The columns that are multiplied: all of the identity, or a few rows of signs, which a fixed rule makes.
fn start(size: usize) -> Array2<f64> {
    if size <= MAX_WHOLE {
        return Array2::eye(size);
    }
    let mut state = 1_u64;
    Array2::from_shape_fn((size, PROBES), |_| {
        // A linear congruential generator with Knuth's constants; its high bit is the sign.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if state >> 63 == 0 { 1.0 } else { -1.0 }
    })
}

fn norm(matrix: &Array2<f64>) -> f64 {
    matrix.iter().map(|x| x * x).sum::<f64>().sqrt()
}

impl Lives {
    pub(super) fn text(&self) -> String {
        let Lives { count, steps, unfinished, share } = self;
        match steps {
            Some([least, _, most]) if least == most => {
                format!("a perturbation falls below 1 % after {least} steps (of {count} followed)")
            }
            Some([least, median, most]) => format!(
                "a perturbation falls below 1 % after {median} steps (the median of {count} perturbations; {least} to {most})"
            ),
            None => format!("a perturbation is at {:.3} % after {unfinished} steps", 100.0 * share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{norm, start};

    #[test]
    fn probes_have_the_size_of_the_identity() {
        assert!((norm(&start(64)) - 8.0).abs() < 1e-12);
        assert!((norm(&start(100)) - (100.0 * 16.0_f64).sqrt()).abs() < 1e-12);
        let signs = start(4096);
        let positive = signs.iter().filter(|&&x| x > 0.0).count() as f64 / signs.len() as f64;
        assert!((positive - 0.5).abs() < 0.02, "{positive}");
    }
}
