//! The hyperbolic tangent: one sequence of IEEE operations, so that every instance gives the same bits.
//!
//! ```text
//! |x| <= 1:  tanh |x| = |x| + |x| (x^2 P(x^2))
//! |x| > 1:   tanh |x| = 1 - 1/h      h = (e^(2|x|) + 1)/2
//!            e^(2|x|) = 2^n e^(2r)   n = round(2|x| / ln 2), r = |x| - n (ln 2)/2
//!            p = (e^(2r) - 1)/2 = r + r^2 Q(r)
//!            h = 2^n p + (2^n/2 + 1/2)
//! ```
//!
//! Both are computed and a comparison chooses, because the lanes of one register rarely agree on a
//! branch. Both end with an addition to a number that is much larger than the other and exact, so the
//! error stays near the half ulp of the last rounding.
//!
//! Over all `f32` the largest error is 0.88 ulp, and the mean for |x| from 0.05 to 3 is 0.255 ulp;
//! correct rounding has 0.250. Over 10^7 arguments the largest error of `f64` is 1.00 ulp, the mean
//! 0.258. Feeding the remainder of the division back into 1 - 1/h makes these means 0.2504 and 0.256,
//! and the function 8 to 20 % slower.

use super::vector::{Registers, Vector};

// The polynomials of the formulas above, lowest power first, as `fixtures/tanh.py` derives them: P for
// squares in [0, 1], with an error relative to the result, and Q for |r| up to (ln 2)/4, with that of p.

/// Largest error: 0.0087 * 2^-24.
pub(super) const SMALL_F32: [f32; 8] = [
    -0.333_333_28,
    0.133_331_8,
    -0.053_951_584,
    0.021_779_05,
    -0.008_583_467,
    0.003_065_284_6,
    -0.000_833_176_13,
    0.000_119_528_035,
];
/// Largest error: 0.028 * 2^-24.
pub(super) const REDUCED_F32: [f32; 5] =
    [1.0, 0.666_660_67, 0.333_331_64, 0.133_905_46, 0.044_594_433];
/// Largest error: 0.01 * 2^-53.
pub(super) const SMALL_F64: [f64; 16] = [
    -0.333_333_333_333_332_9,
    0.133_333_333_333_286_26,
    -0.053_968_253_966_328_46,
    0.021_869_488_495_932_82,
    -0.008_863_235_025_466_543,
    0.003_592_123_877_462_969_5,
    -0.001_455_810_523_872_368,
    0.000_589_928_529_054_069_1,
    -0.000_238_825_425_454_588_2,
    0.000_096_213_327_198_464_47,
    -0.000_038_044_152_893_362_43,
    0.000_014_260_581_683_128_05,
    -0.000_004_744_798_300_697_322,
    0.000_001_265_310_845_245_686_4,
    -0.000_000_231_377_972_037_990_6,
    0.000_000_021_103_922_920_818_69,
];
/// Largest error: 0.016 * 2^-53.
pub(super) const REDUCED_F64: [f64; 10] = [
    1.000_000_000_000_002_7,
    0.666_666_666_666_667_4,
    0.333_333_333_332_092_6,
    0.133_333_333_333_055_25,
    0.044_444_444_633_170_95,
    0.012_698_412_735_145_567,
    0.003_174_590_614_086_831_4,
    0.000_705_465_161_347_042_5,
    0.000_141_473_414_323_964_66,
    0.000_025_715_362_429_637_768,
];

/// The |x| at which the formula changes. With a smaller threshold 1/h grows and its rounding shows: with 0.9 the
/// largest errors are 0.98 ulp (`f32`) and 1.08 ulp (`f64`), with 0.625 1.20 and 1.28. With a larger
/// one P needs more coefficients.
const THRESHOLD: f64 = 1.0;

/// Larger arguments are replaced by this one. The result rounds to 1 from 9.1 on (`f32`) and from 19.1
/// on (`f64`), and up to 20, 2^n is a normal number of either type.
const CLAMP: f64 = 20.0;

/// tanh of each lane. NaN gives the canonical NaN; the sign of zero is kept.
#[inline(always)]
pub(super) fn tanh<V: Vector>(x: V) -> V {
    let a = x.abs_min(constant(CLAMP));
    // An AVX-512 subtraction with a mask is both the last step of the large formula and the choice.
    let y = constant::<V>(THRESHOLD).select_lt(a, tanh_large(a), tanh_small(x));
    // The small formula turns -0 into +0.
    y.with_sign(x).nan_from(x)
}

/// x + x (x^2 P(x^2))
#[inline(always)]
fn tanh_small<V: Vector>(x: V) -> V {
    let square = x.mul(x);
    let factor = polynomial(V::Element::TANH_SMALL, square).mul(square);
    x.mul_add(factor, x)
}

/// 1 - 1/h
///
/// Half of e^(2a) + 1 instead of the whole saves the doubling of a. The difference r is exact: it is a
/// multiple of the last digit of (ln 2)/2, which is finer than that of a, and smaller than 1/4. The
/// rounding of (ln 2)/2 itself moves the result by at most 0.02 ulp (`f32`) and 0.14 ulp (`f64`), and by less for
/// larger a: the usual second part of the constant would gain little.
#[inline(always)]
fn tanh_large<V: Vector>(a: V) -> V {
    let round = V::splat(V::Element::ROUND);
    let shifted = a.mul_add(constant(2.0 * std::f64::consts::LOG2_E), round);
    let n = shifted.sub(round);
    let r = n.mul_add(constant(-0.5 * std::f64::consts::LN_2), a);
    let p = polynomial(V::Element::TANH_REDUCED, r).mul_add(r.mul(r), r);
    let power = shifted.exp2_of_rounded();
    let h = power.mul_add(p, power.mul_add(constant(0.5), constant(0.5)));
    constant::<V>(1.0).sub(constant::<V>(1.0).div(h))
}

/// c0 + c1 x + c2 x^2 + ..., by Horner's rule.
#[inline(always)]
fn polynomial<V: Vector>(coefficients: &[V::Element], x: V) -> V {
    let Some((&highest, lower)) = coefficients.split_last() else {
        return V::splat(V::Element::ZERO);
    };
    let mut sum = V::splat(highest);
    for &coefficient in lower.iter().rev() {
        sum = sum.mul_add(x, V::splat(coefficient));
    }
    sum
}

/// The number of the lane's type that is nearest to `value`, in every lane.
#[inline(always)]
fn constant<V: Vector>(value: f64) -> V {
    V::splat(V::Element::from_f64(value))
}

#[cfg(test)]
mod tests {
    use super::super::portable::Lanes;
    use super::*;
    use crate::element::elementary::Double;

    /// Largest error of `f32`. Measured over all of them: 0.88.
    const F32_ULPS: f64 = 1.0;
    /// Largest error of `f64`. Measured over 10^7 arguments: 1.00.
    const F64_ULPS: f64 = 2.0;
    /// Distance between sampled `f32` bit patterns: prime, so that all low digits occur.
    const STRIDE: usize = 4099;

    /// A multiple of every instance's number of lanes.
    const CHUNK: usize = 16;

    /// `tanh` of all numbers, in vectors of one type. Numbers that do not fill a chunk are left out.
    #[inline(always)]
    fn map<V: Vector>(x: &[V::Element]) -> Vec<V::Element> {
        let mut y = vec![V::Element::ZERO; x.len() / CHUNK * CHUNK];
        for (from, to) in x.chunks_exact(V::LANES).zip(y.chunks_exact_mut(V::LANES)) {
            // SAFETY: a chunk has as many elements as the vector has lanes.
            let lanes = unsafe { V::load(from.as_ptr()) };
            // SAFETY: as above.
            unsafe { tanh(lanes).store(to.as_mut_ptr()) };
        }
        y
    }

    fn one_f32(x: f32) -> f32 {
        map::<Lanes<f32, 1>>(&[x; CHUNK])[0]
    }

    fn one_f64(x: f64) -> f64 {
        map::<Lanes<f64, 1>>(&[x; CHUNK])[0]
    }

    fn f32_sample() -> Vec<f32> {
        (0..=u32::MAX).step_by(STRIDE).map(f32::from_bits).collect()
    }

    /// Evenly spaced exponents from 2^-30 to 2^5, and all neighbours of the arguments at which the formula
    /// changes: the threshold, the clamp, and each n.
    fn f64_sample() -> Vec<f64> {
        const SPREAD: i32 = 20_000;
        const NEIGHBOURS: u64 = 40;
        let spread = (0..SPREAD).map(|k| (35.0 * f64::from(k) / f64::from(SPREAD) - 30.0).exp2());
        let steps = (0..56).map(|n| (f64::from(n) + 0.5) * std::f64::consts::LN_2 / 2.0);
        let near = steps.chain([THRESHOLD, CLAMP]).flat_map(|center| {
            let first = center.to_bits() - NEIGHBOURS / 2;
            (first..first + NEIGHBOURS).map(f64::from_bits)
        });
        spread.chain(near).collect()
    }

    /// The distance between the floats of `digits` digits around `exact`.
    fn ulp(exact: f64, digits: i32, smallest: f64) -> f64 {
        let exponent = exact.abs().log2().floor();
        (exponent + 1.0 - f64::from(digits)).exp2().max(smallest)
    }

    /// The judge is the standard library's tanh of a double. It is wrong by a few ulps of a double,
    /// which is less than 10^-8 ulps of a single.
    fn f32_ulps(x: f32, y: f32) -> f64 {
        let exact = f64::from(x).tanh();
        (f64::from(y) - exact).abs() / ulp(exact, 24, f64::from(f32::from_bits(1)))
    }

    #[test]
    fn special_values_are_exact() {
        for x in [0.0, -0.0, f32::from_bits(1), -f32::from_bits(1), f32::MIN_POSITIVE, 1e-30] {
            assert_eq!(one_f32(x).to_bits(), x.to_bits(), "{x:e}");
        }
        for x in [0.0, -0.0, f64::from_bits(1), -f64::from_bits(1), f64::MIN_POSITIVE, 1e-300] {
            assert_eq!(one_f64(x).to_bits(), x.to_bits(), "{x:e}");
        }
        for (x, y) in [(9.5, 1.0), (1e30, 1.0), (f32::INFINITY, 1.0), (f32::NEG_INFINITY, -1.0)] {
            assert_eq!(one_f32(x).to_bits(), f32::to_bits(y), "{x:e}");
        }
        for (x, y) in [(19.5, 1.0), (1e300, 1.0), (f64::INFINITY, 1.0), (f64::NEG_INFINITY, -1.0)] {
            assert_eq!(one_f64(x).to_bits(), f64::to_bits(y), "{x:e}");
        }
    }

    #[test]
    fn every_nan_becomes_the_canonical_one() {
        for bits in [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffff_ffff] {
            assert_eq!(one_f32(f32::from_bits(bits)).to_bits(), f32::NAN.to_bits());
        }
        for bits in [0xfff8_0000_0000_0000, 0x7ff0_0000_0000_0001, u64::MAX] {
            assert_eq!(one_f64(f64::from_bits(bits)).to_bits(), f64::NAN.to_bits());
        }
    }

    #[test]
    fn minus_x_gives_minus_tanh() {
        let x = f64_sample();
        let minus_x: Vec<f64> = x.iter().map(|x| -x).collect();
        for (plus, minus) in map::<Lanes<f64, 8>>(&x).iter().zip(map::<Lanes<f64, 8>>(&minus_x)) {
            assert_eq!((-plus).to_bits(), minus.to_bits());
        }
        let x: Vec<f32> = x.iter().map(|&x| f32::from_f64(x)).collect();
        let minus_x: Vec<f32> = x.iter().map(|x| -x).collect();
        for (plus, minus) in map::<Lanes<f32, 16>>(&x).iter().zip(map::<Lanes<f32, 16>>(&minus_x)) {
            assert_eq!((-plus).to_bits(), minus.to_bits());
        }
    }

    fn check_f32(x: &[f32]) {
        for (&x, y) in x.iter().zip(map::<Lanes<f32, 16>>(x)) {
            let good = if x.is_nan() { y.is_nan() } else { f32_ulps(x, y) <= F32_ULPS };
            assert!(good, "tanh({x:e}) = {y:e}, wrong by {} ulp", f32_ulps(x, y));
        }
    }

    #[test]
    fn f32_errors_stay_within_the_tolerance() {
        check_f32(&f32_sample());
    }

    #[test]
    #[ignore = "all 2^32 numbers take some minutes in a release build"]
    fn all_f32_errors_stay_within_the_tolerance() {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    for high in (0..=u16::MAX).skip(thread).step_by(threads) {
                        let low = (0..=u16::MAX).map(u32::from);
                        let bits = low.map(|low| u32::from(high) << 16 | low);
                        check_f32(&bits.map(f32::from_bits).collect::<Vec<_>>());
                    }
                });
            }
        });
    }

    #[test]
    fn f64_errors_stay_within_the_tolerance() {
        let x = f64_sample();
        for (&x, y) in x.iter().zip(map::<Lanes<f64, 8>>(&x)) {
            let exact = exact_tanh(x);
            let ulps = ((y - exact.hi) - exact.lo).abs() / ulp(exact.hi, 53, 0.0);
            assert!(ulps <= F64_ULPS, "tanh({x:e}) = {y:e}, wrong by {ulps} ulp");
        }
    }

    /// tanh x, the judge of `f64`: e^2x - 1 = m by its Taylor series at x/256, then eight times
    /// e^2y - 1 = m (m + 2); tanh x = m/(m + 2).
    fn exact_tanh(x: f64) -> Double {
        let (y, two) = (Double::from(x / 128.0), Double::from(2.0));
        let mut m = Double::from(0.0);
        for k in (1..=20).rev() {
            m = y * (Double::from(1.0) + m) / Double::from(f64::from(k));
        }
        for _ in 0..8 {
            m = m * (m + two);
        }
        m / (m + two)
    }

    #[cfg(target_arch = "x86_64")]
    mod x86 {
        use super::super::super::x86::{F32x8, F32x16, F64x4, F64x8};
        use super::*;

        #[target_feature(enable = "avx512f,avx512dq")]
        fn avx512(singles: &[f32], doubles: &[f64]) -> (Vec<f32>, Vec<f64>) {
            (map::<F32x16>(singles), map::<F64x8>(doubles))
        }

        #[target_feature(enable = "avx2,fma")]
        fn avx2(singles: &[f32], doubles: &[f64]) -> (Vec<f32>, Vec<f64>) {
            (map::<F32x8>(singles), map::<F64x4>(doubles))
        }

        /// Both samples; the doubles also with other signs, NaN and infinities.
        fn samples() -> (Vec<f32>, Vec<f64>) {
            let singles = f32_sample();
            let widened = singles.iter().step_by(16).map(|&x| f64::from(x));
            let doubles = f64_sample().into_iter().chain(widened).collect();
            (singles, doubles)
        }

        fn assert_same_as_portable(
            (singles, doubles): (Vec<f32>, Vec<f64>),
            instance: impl Fn(&[f32], &[f64]) -> (Vec<f32>, Vec<f64>),
        ) {
            let (fast_singles, fast_doubles) = instance(&singles, &doubles);
            for (k, y) in map::<Lanes<f32, 16>>(&singles).into_iter().enumerate() {
                assert_eq!(y.to_bits(), fast_singles[k].to_bits(), "tanh({:e})", singles[k]);
            }
            for (k, y) in map::<Lanes<f64, 8>>(&doubles).into_iter().enumerate() {
                assert_eq!(y.to_bits(), fast_doubles[k].to_bits(), "tanh({:e})", doubles[k]);
            }
        }

        #[test]
        fn avx512_gives_the_bits_of_the_portable_instance() {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                assert_same_as_portable(samples(), |singles, doubles| {
                    // SAFETY: the CPU was asked in the line above.
                    unsafe { avx512(singles, doubles) }
                });
            }
        }

        #[test]
        fn avx2_gives_the_bits_of_the_portable_instance() {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                assert_same_as_portable(samples(), |singles, doubles| {
                    // SAFETY: the CPU was asked in the line above.
                    unsafe { avx2(singles, doubles) }
                });
            }
        }
    }
}
