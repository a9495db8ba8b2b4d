//! The exponential and the logarithm of 1 + x in double precision, for softmax, sigmoid and their relatives.
//!
//! Both are a fixed sequence of IEEE operations, and keep their relative error below 3 * 10^-16.

use std::f64::consts::LOG2_E;

use super::{Double, FDLIBM_LN_2_PARTS, ln};

/// 1.5 * 2^52: adding and subtracting it rounds to a whole number.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// e^x is infinite above the first of these, and rounds to zero below the second.
const RANGE: [f64; 2] = [709.8, -745.2];

/// 1/2!, 1/3!, ..., 1/13!. For |r| up to (ln 2)/2, the first term left out is below 2^-57.
const RECIPROCAL_FACTORIALS: [f64; 12] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];

/// e^x. The lower half of x matters: without it, e^-700 would be wrong by hundreds of ulps.
pub(crate) fn exp(x: Double) -> f64 {
    let [overflow, underflow] = RANGE;
    if x.hi.is_nan() {
        return f64::NAN;
    }
    if x.hi > overflow {
        return f64::INFINITY;
    }
    if x.hi < underflow {
        return 0.0;
    }
    // e^x = 2^n e^r, n = round(x / ln 2), r = x - n ln 2. The first part of ln 2 ends in zeros: its product is exact.
    let n = (x.hi * LOG2_E + ROUND) - ROUND;
    let [ln_2, rest] = FDLIBM_LN_2_PARTS;
    let r = ((x.hi - n * ln_2) - n * rest) + x.lo;
    // e^r = 1 + (r + r^2 Q(r))
    let q = RECIPROCAL_FACTORIALS.iter().rev().fold(0.0, |sum, &factor| sum * r + factor);
    let power = 1.0 + (r + r * r * q);
    #[allow(clippy::cast_possible_truncation, reason = "n is a whole number of four digits")]
    let n = n as i64;
    // Two factors, because 2^n alone may be too large or too small for a normal number.
    power * power_of_two(n / 2) * power_of_two(n - n / 2)
}

/// 2^n for |n| up to 1022.
fn power_of_two(n: i64) -> f64 {
    f64::from_bits((1023 + n).cast_unsigned() << 52)
}

/// ln(1 + x) for x >= 0.
pub(crate) fn ln_1p(x: Double) -> f64 {
    let sum = Double::from(1.0) + x;
    // ln(hi + lo) = ln hi + ln(1 + lo/hi), and lo/hi is below 2^-52.
    ln(sum.hi) + sum.lo / sum.hi
}

impl Double {
    /// The exact difference of two doubles; of infinities, their difference.
    pub(crate) fn difference(a: f64, b: f64) -> Self {
        let difference = Double::from(a) + Double::from(-b);
        // The error of an infinite sum is not a number.
        if difference.hi.is_finite() { difference } else { Double::from(a - b) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Largest relative error: two and a half units of 2^-53.
    const RELATIVE: f64 = 3e-16;

    /// e^x by its Taylor series at x/1024, squared ten times, in twice the precision.
    pub(crate) fn exact_exp(x: f64) -> Double {
        let (y, one) = (Double::from(x / 1024.0), Double::from(1.0));
        let mut sum = one;
        for k in (1..=24).rev() {
            sum = one + y * sum / Double::from(f64::from(k));
        }
        for _ in 0..10 {
            sum = sum * sum;
        }
        sum
    }

    fn relative(found: f64, exact: Double) -> f64 {
        (((found - exact.hi) - exact.lo) / exact.hi).abs()
    }

    #[test]
    fn exp_is_nearly_exact() {
        for i in -14_000..14_000 {
            let x = f64::from(i) * 0.0501;
            let error = relative(exp(Double::from(x)), exact_exp(x));
            assert!(error <= RELATIVE, "exp({x}) is wrong by {error:e}");
        }
    }

    #[test]
    fn exp_takes_the_lower_half_of_its_argument() {
        let x = Double::difference(-700.0, 1e-14);
        let exact = exact_exp(-700.0) * Double { hi: 1.0, lo: -1e-14 };
        assert!(relative(exp(x), exact) <= RELATIVE);
    }

    #[test]
    fn exp_of_special_values() {
        let of = |x: f64| exp(Double::from(x));
        assert_eq!(of(0.0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(of(-0.0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(of(f64::INFINITY).to_bits(), f64::INFINITY.to_bits());
        assert_eq!(of(f64::NEG_INFINITY).to_bits(), 0);
        assert_eq!(of(709.79).to_bits(), f64::INFINITY.to_bits());
        assert!(of(709.78).is_finite());
        // The smallest numbers: e^-745 is 1.5 of them, and e^-745.2 less than half of one.
        assert_eq!(of(-745.0).to_bits(), 1);
        assert_eq!(of(-745.3).to_bits(), 0);
        assert!(of(f64::NAN).is_nan());
    }

    #[test]
    fn ln_1p_keeps_small_numbers() {
        assert_eq!(ln_1p(Double::from(0.0)).to_bits(), 0);
        for i in 1..3000 {
            let x = (f64::from(i) * 0.05 - 100.0).exp2();
            // ln(1 + x) = 2 artanh(x / (2 + x)) by its series for small x, else by the inverse of exp.
            let found = ln_1p(Double::from(x));
            let error = if x < 0.25 {
                let s = Double::from(x) / (Double::from(2.0) + Double::from(x));
                let z = s * s;
                let mut sum = Double::from(0.0);
                for k in (0..30).rev() {
                    sum = sum * z + Double::from(1.0) / Double::from(f64::from(2 * k + 1));
                }
                relative(found, Double::from(2.0) * s * sum)
            } else {
                let exact = Double::from(1.0) + Double::from(x);
                let inverse = exact_exp(found);
                ((inverse.hi - exact.hi) + (inverse.lo - exact.lo)).abs() / exact.hi / found
            };
            assert!(error <= RELATIVE, "ln_1p({x:e}) is wrong by {error:e}");
        }
    }

    #[test]
    fn a_difference_of_infinities_is_theirs() {
        let infinity = f64::INFINITY;
        assert_eq!(Double::difference(-infinity, 1.0).hi.to_bits(), (-infinity).to_bits());
        assert!(Double::difference(infinity, infinity).hi.is_nan());
        assert_eq!(
            Double::difference(1.0, 2f64.powi(-60)).lo.to_bits(),
            (-2f64.powi(-60)).to_bits()
        );
    }
}
