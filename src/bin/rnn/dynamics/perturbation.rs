//! The life of a perturbation of the hidden state.
//!
//! After k steps a small perturbation has been multiplied by the product of Jacobians
//! `J_k ... J_1`, with `J_t = diag(act'(pre_t)) W_hh`. Its life is the number of steps until the norm of this product
//! falls below 1 % of the identity's: the square root of the sum of squares, as of `weight_hh`. Then the next
//! perturbation begins.

use elman::{Generator, Nonlinearity};
use ndarray::{Array2, ArrayView1, Axis};
use serde::Serialize;

use crate::info::norm;
use crate::progress::Bar;
use crate::report::counted;
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
pub(super) struct Decay {
    /// Perturbations that ended, and the least, the median and the largest number of steps.
    count: usize,
    steps: Option<(usize, f64, usize)>,
    /// The steps and the share of the last one, which had not ended; 0 steps if it had not begun.
    unfinished: usize,
    share: f64,
}

/// Follows perturbations through the first sequence. `None` if it has one step, or a number is not finite.
pub(super) fn decay(
    nonlinearity: Nonlinearity,
    states: &RowStates,
    cell: &Cell,
    (layer, direction): (usize, usize),
    bar: &Bar,
) -> Option<Decay> {
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
    // Skips the first step: its predecessor is h_0.
    for step in (1..=last).take(most) {
        let step = if states.is_reverse(direction) { last - step } else { step };
        bar.inc(1);
        product = times(weight_hh, &product);
        scale_rows(&mut product, &own.row(step), nonlinearity);
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
    let count = ended.len();
    let median = || (ended[(count - 1) / 2] + ended[count / 2]) as f64 / 2.0;
    let steps = (count > 0).then(|| (ended[0], median(), ended[count - 1]));
    Some(Decay { count, steps, unfinished: age, share })
}

/// A product of two matrices. That of `ndarray` would be the only use of a crate of 30 kB.
fn times(left: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
    let mut product = Array2::zeros((left.nrows(), right.ncols()));
    for (mut row, weights) in product.outer_iter_mut().zip(left.outer_iter()) {
        for (&weight, factors) in weights.iter().zip(right.outer_iter()) {
            row.scaled_add(weight, &factors);
        }
    }
    product
}

/// Multiplies each row by the slope of the nonlinearity at a hidden state.
fn scale_rows(product: &mut Array2<f64>, state: &ArrayView1<'_, f64>, nonlinearity: Nonlinearity) {
    for (mut row, &h) in product.axis_iter_mut(Axis(0)).zip(state) {
        row *= match nonlinearity {
            Nonlinearity::Tanh => 1.0 - h * h,
            Nonlinearity::Relu => f64::from(u8::from(h > 0.0)),
        };
    }
}

/// The identity, or [`PROBES`] columns of pseudo-random signs with a fixed seed.
fn start(size: usize) -> Array2<f64> {
    if size <= MAX_WHOLE {
        return Array2::eye(size);
    }
    let mut numbers = vec![0.0_f64; size * PROBES];
    Generator::new(0).uniform(-1.0, 1.0, &mut numbers);
    Array2::from_shape_fn((size, PROBES), |(i, k)| 1.0_f64.copysign(numbers[i * PROBES + k]))
}

impl Decay {
    pub(super) fn text(&self) -> String {
        let Decay { count, steps, unfinished, share } = self;
        let (last, share) = (counted(*unfinished, "step"), 100.0 * share);
        let Some((least, median, most)) = steps else {
            return format!("a perturbation is at {share:.3} % after {last}");
        };
        let ended = if least == most {
            format!("after {} (of {count} followed)", counted(*least, "step"))
        } else {
            format!("after {median} steps (the median of {count} perturbations; {least} to {most})")
        };
        let unfinished =
            (*unfinished > 0).then(|| format!("; the last one is at {share:.3} % after {last}"));
        format!("a perturbation falls below 1 % {ended}{}", unfinished.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use elman::Generator;
    use ndarray::Array2;

    use super::{norm, start, times};

    #[test]
    fn probes_estimate_the_norm_of_a_product() {
        let mut numbers = vec![0.0; 100 * 100];
        Generator::new(1).normal(&mut numbers);
        let matrix = Array2::from_shape_vec((100, 100), numbers).unwrap();
        let share = |columns: &Array2<f64>| norm(&times(&matrix, columns)) / norm(columns);
        let (exact, found) = (share(&Array2::eye(100)), share(&start(100)));
        assert!((found / exact - 1.0).abs() < 0.1, "{found} {exact}");
        // The product of a transposed matrix, which is not contiguous.
        let turned = matrix.t().to_owned();
        assert_eq!(times(&matrix, &turned), times(&matrix, &matrix.clone().reversed_axes()));
    }
}
