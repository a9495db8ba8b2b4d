//! The functions behind the last layer: softmax and its relatives, the most likely class, and the first K of them.
//!
//! They compute in double precision, in one fixed sequence of operations, and round once. For `f32` the result is
//! within 0.51 ulp of the exact value; for `f64` its relative error is below 10^-15.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::element::Element;
use crate::element::elementary::{Double, exp, ln_1p};

/// A function on the last axis of an output, C values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// e^x / (sum of all e^x).
    Softmax,
    /// ln(softmax).
    LogSoftmax,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// The index of the largest value, the lowest one on ties. NaN counts as the largest value, as in PyTorch.
    Argmax,
    /// The K largest values and their indices, in descending order, the lowest index first on ties.
    Top(usize),
}

impl Function {
    /// Applies softmax, log-softmax or sigmoid to a row; the others leave the values as they are.
    pub(super) fn apply<T: Element>(self, row: &mut [T]) {
        match self {
            Function::Softmax => softmax(row),
            Function::LogSoftmax => log_softmax(row),
            Function::Sigmoid => sigmoid(row),
            Function::Argmax | Function::Top(_) => {}
        }
    }
}

/// The index of the largest value: the first NaN, else the lowest index of the maximum.
pub(super) fn argmax<T: Element>(row: &[T]) -> usize {
    let larger = |best: usize, i: usize| if descending(row, i, best).is_lt() { i } else { best };
    (1..row.len()).fold(0, larger)
}

/// The indices of the `k` largest values, which are at most all, in descending order of the values.
pub(super) fn top<T: Element>(row: &[T], k: usize, order: &mut Vec<usize>) {
    largest(row, k, order);
    order.sort_unstable_by(|&a, &b| descending(row, a, b));
}

/// The same indices in any order.
pub(super) fn largest<T: Element>(row: &[T], k: usize, order: &mut Vec<usize>) {
    order.clear();
    order.extend(0..row.len());
    if k < row.len() {
        order.select_nth_unstable_by(k, |&a, &b| descending(row, a, b));
    }
    order.truncate(k);
}

/// The order of two places of a row: NaN first, then the larger value, then the lower index.
fn descending<T: Element>(row: &[T], a: usize, b: usize) -> Ordering {
    let (x, y) = (row[a], row[b]);
    let by_value = y.partial_cmp(&x).unwrap_or_else(|| y.is_nan().cmp(&x.is_nan()));
    by_value.then(a.cmp(&b))
}

/// `softmax(x)_i = e^(x_i - m) / (1 + s)`, m = max x, s = sum of the other `e^(x_j - m)`.
fn softmax<T: Element>(row: &mut [T]) {
    let Some((largest, others)) = exponentials(row) else { return row.fill(T::NAN) };
    let sum = (Double::from(1.0) + others).hi;
    for value in row {
        *value = T::from_f64(exp(below(*value, largest)) / sum);
    }
}

/// `ln softmax(x)_i = (x_i - m) - ln(1 + s)`. Neither term is positive, so that nothing cancels.
fn log_softmax<T: Element>(row: &mut [T]) {
    let Some((largest, others)) = exponentials(row) else { return row.fill(T::NAN) };
    let ln_sum = ln_1p(others);
    for value in row {
        let difference = below(*value, largest);
        *value = T::from_f64((difference.hi - ln_sum) + difference.lo);
    }
}

/// The logarithm of one value of softmax, in double precision.
pub(super) fn log_likelihood<T: Element>(row: &[T], index: usize) -> f64 {
    let Some((largest, others)) = exponentials(row) else { return f64::NAN };
    let difference = below(row[index], largest);
    (difference.hi - ln_1p(others)) + difference.lo
}

/// The largest value m, and the sum of e^(x - m) over all other values. `None` if the results are NaN: for a NaN, for
/// an infinite m, and for no values at all.
fn exponentials<T: Element>(row: &[T]) -> Option<(f64, Double)> {
    let largest = argmax(row);
    let m: f64 = (*row.get(largest)?).into();
    if !m.is_finite() {
        return None;
    }
    let mut sum = Double::from(0.0);
    for (i, &value) in row.iter().enumerate() {
        if i != largest {
            sum = sum + Double::from(exp(below(value, m)));
        }
    }
    Some((m, sum))
}

/// x - m, exactly.
fn below<T: Element>(value: T, m: f64) -> Double {
    Double::difference(value.into(), m)
}

/// Replaces each value by 1 / (1 + e^-x), computed from e^-|x|, which cannot overflow.
pub(super) fn sigmoid<T: Element>(values: &mut [T]) {
    for value in values {
        let x: f64 = (*value).into();
        let power = exp(Double::from(-x.abs()));
        let numerator = if x < 0.0 { power } else { 1.0 };
        *value = if x.is_nan() { T::NAN } else { T::from_f64(numerator / (1.0 + power)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Generator;
    use crate::element::elementary::exponential::tests::exact_exp;
    use crate::kernel::Registers;

    /// Largest relative error of `f64`.
    const RELATIVE: f64 = 1e-15;
    /// Largest error of `f32` in units of its last digit, of which the rounding itself takes one half.
    const ULPS: f64 = 0.51;

    /// Rows of many scales: of nearly equal values, and of values of which one outweighs the others.
    fn rows() -> Vec<Vec<f64>> {
        let mut generator = Generator::new(5);
        let scales = [0.0, 1e-9, 1e-3, 1.0, 5.0, 40.0, 250.0];
        let row = |scale: f64, len: usize| {
            let mut row = vec![0.0; len];
            generator.normal(&mut row);
            row.iter().map(|x| x * scale).collect()
        };
        let sizes = [1, 2, 3, 17, 300];
        let both = sizes.iter().flat_map(|&len| scales.map(|scale| (scale, len)));
        both.map(|(scale, len): (f64, usize)| (scale, len))
            .scan(row, |row, (scale, len)| Some(row(scale, len)))
            .collect()
    }

    fn exact_softmax(row: &[f64]) -> Vec<Double> {
        let m = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers = row.iter().map(|&x| {
            let Double { hi, lo } = Double::difference(x, m);
            exact_exp(hi) * (Double::from(1.0) + Double::from(lo))
        });
        let powers: Vec<_> = powers.collect();
        let sum = powers.iter().fold(Double::from(0.0), |sum, &power| sum + power);
        powers.iter().map(|&power| power / sum).collect()
    }

    fn check_f64(function: Function, exact: impl Fn(&[f64]) -> Vec<Double>) {
        for row in rows() {
            let (mut found, exact) = (row.clone(), exact(&row));
            function.apply(&mut found);
            for (x, (found, exact)) in row.iter().zip(found.iter().zip(exact)) {
                // A denormal number has fewer digits.
                if exact.hi.abs() > 1e-290 {
                    let error = (((found - exact.hi) - exact.lo) / exact.hi).abs();
                    assert!(error <= RELATIVE, "{function:?} of {x:e}: {found:e}, {error:e}");
                }
            }
        }
    }

    /// Singles are compared with what doubles give, which is exact enough.
    fn check_f32(function: Function) {
        for row in rows() {
            let mut found: Vec<f32> = row.iter().map(|&x| f32::from_f64(x)).collect();
            let mut exact: Vec<f64> = found.iter().map(|&x| x.into()).collect();
            function.apply(&mut found);
            function.apply(&mut exact);
            for (&found, &exact) in found.iter().zip(&exact) {
                let ulp = (exact.abs().log2().floor() - 23.0).max(-149.0).exp2();
                let error = (f64::from(found) - exact).abs() / ulp;
                assert!(error <= ULPS, "{function:?}: {found:e}, {error}");
            }
        }
    }

    #[test]
    fn softmax_is_nearly_exact() {
        check_f64(Function::Softmax, exact_softmax);
        check_f32(Function::Softmax);
    }

    #[test]
    fn log_softmax_is_nearly_exact() {
        // ln p by one step of Newton's method from the result itself: ln p = y + ln(p / e^y).
        check_f64(Function::LogSoftmax, |row| {
            let mut found = row.to_vec();
            Function::LogSoftmax.apply(&mut found);
            let exact = exact_softmax(row);
            let step = |(y, p): (f64, Double)| {
                let ratio = p / exact_exp(y) + Double::from(-1.0);
                Double::from(y) + ratio
            };
            // Near 1, the others tell more than p itself.
            let refined =
                found.into_iter().zip(exact.iter().copied()).enumerate().map(|(i, pair)| {
                    let others = exact.iter().enumerate().filter(|(j, _)| *j != i);
                    let others = others.fold(Double::from(0.0), |sum, (_, &p)| sum + p);
                    if others.hi < 1e-6 {
                        let square = others * others;
                        Double::from(0.0)
                            + others * Double::from(-1.0)
                            + square * Double::from(-0.5)
                    } else {
                        step(pair)
                    }
                });
            refined.collect()
        });
        check_f32(Function::LogSoftmax);
    }

    #[test]
    fn sigmoid_is_nearly_exact() {
        check_f64(Function::Sigmoid, |row| {
            let one = Double::from(1.0);
            let of = |&x: &f64| {
                let power = exact_exp(-x.abs());
                if x < 0.0 { power / (one + power) } else { one / (one + power) }
            };
            row.iter().map(of).collect()
        });
        check_f32(Function::Sigmoid);
    }

    #[test]
    fn special_values_are_those_of_pytorch() {
        let (nan, infinity) = (f32::NAN, f32::INFINITY);
        let applied = |function: Function, row: &[f32]| {
            let mut row = row.to_vec();
            function.apply(&mut row);
            row.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        for function in [Function::Softmax, Function::LogSoftmax] {
            for row in [[nan, 1.0], [1.0, -nan], [infinity, 1.0], [-infinity, -infinity]] {
                assert_eq!(applied(function, &row), bits(&[nan, nan]), "{function:?} of {row:?}");
            }
        }
        assert_eq!(applied(Function::Softmax, &[-infinity, 1.0]), bits(&[0.0, 1.0]));
        assert_eq!(applied(Function::LogSoftmax, &[-infinity, 1.0]), bits(&[-infinity, 0.0]));
        let row = [-infinity, -200.0, 0.0, 200.0, infinity, -nan];
        assert_eq!(applied(Function::Sigmoid, &row), bits(&[0.0, 0.0, 0.5, 1.0, 1.0, nan]));
        for function in [Function::Softmax, Function::LogSoftmax, Function::Sigmoid] {
            assert!(applied(function, &[]).is_empty());
        }
    }

    #[test]
    fn ties_go_to_the_lowest_index_and_nan_is_largest() {
        let nan = f32::NAN;
        for (row, largest, order) in [
            (&[1.0, 3.0, 3.0, 2.0][..], 1, &[1, 2, 3, 0][..]),
            (&[0.0, -0.0], 0, &[0, 1]),
            (&[1.0, nan, f32::INFINITY, nan], 1, &[1, 3, 2, 0]),
            (&[f32::NEG_INFINITY; 3], 0, &[0, 1, 2]),
        ] {
            assert_eq!(argmax(row), largest, "{row:?}");
            for k in 1..=row.len() {
                let mut found = Vec::new();
                top(row, k, &mut found);
                assert_eq!(found, order[..k], "{row:?}");
            }
        }
    }
}
