//! Logarithm, exponential, sine and cosine whose bits are the same on every machine: for normal samples, and for the
//! functions behind a layer.
//!
//! The standard library's `ln`, `sin` and `cos` call the platform's mathematical library, and
//! those libraries differ in the last bit. The functions here use only `+ - * /` and fused multiply-adds,
//! which every machine rounds alike. There are two families: single precision repeats, operation
//! by operation, the polynomials that PyTorch runs on vectors; double precision, for which PyTorch
//! calls the platform's library, aims at the correctly rounded result, which a good library
//! returns for about 999 of 1000 arguments.

pub(crate) mod exponential;

use std::f32::consts::FRAC_1_SQRT_2 as SQRT_HALF_F32;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, SQRT_2};
use std::ops::{Add, Div, Mul, Neg};

pub(crate) use exponential::{exp, ln_1p};

// Single precision

/// The coefficients of Cephes' `logf`, highest power first, as in PyTorch's `avx_mathfun.h`.
const LOG_POLYNOMIAL: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_84e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_8e-1,
    2.000_071_4e-1,
    -2.499_999_4e-1,
    3.333_333e-1,
];

/// ln 2 in two parts, from Cephes. The first has so few bits that its multiples are exact.
const LN_2_PARTS: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// 4/π, and π/4 in three parts, from Cephes.
const FRAC_4_PI_F32: f32 = 2.0 * std::f32::consts::FRAC_2_PI;
const FRAC_PI_4_PARTS: [f32; 3] = [0.785_156_25, 2.418_756_5e-4, 3.774_895e-8];

/// The coefficients of Cephes' `sinf` and `cosf` on [-π/4, π/4], highest power first.
const SIN_POLYNOMIAL: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
const COS_POLYNOMIAL: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];

/// The natural logarithm of a positive, normal number, with the bits of PyTorch's `log256_ps`.
///
/// The compiler of PyTorch's AVX2 kernel has fused some products with the following sum, and not others; `mul_add` is
/// used exactly for those that it has fused.
pub(crate) fn ln_f32(x: f32) -> f32 {
    // x = m 2^e with 1/2 <= m < 1, then sqrt(1/2) <= m < sqrt(2).
    let bits = x.to_bits();
    let mut e = (bits >> 23) as f32 - 126.0;
    let m = f32::from_bits(bits & 0x007f_ffff | 0x3f00_0000);
    let mut f = m - 1.0;
    if m < SQRT_HALF_F32 {
        e -= 1.0;
        f += m;
    }
    // ln x = f - f^2/2 + f^3 P(f) + e ln 2
    let z = f * f;
    let mut y = horner(&LOG_POLYNOMIAL, f) * f;
    y = y.mul_add(z, e * LN_2_PARTS[1]);
    y = (-z).mul_add(0.5, y);
    e.mul_add(LN_2_PARTS[0], f + y)
}

/// Sine and cosine of x in [0, 2π], with the bits of PyTorch's `sincos256_ps`.
pub(crate) fn sin_cos_f32(x: f32) -> (f32, f32) {
    // x = r + j π/4 with even j, r in [-π/4, π/4].
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "x is not negative, and truncation is the purpose"
    )]
    let j = ((x * FRAC_4_PI_F32) as u32 + 1) & !1;
    let r = FRAC_PI_4_PARTS.iter().fold(x, |r, part| (j as f32).mul_add(-part, r));
    let z = r * r;
    let sin = (horner(&SIN_POLYNOMIAL, z) * z).mul_add(r, r);
    let cos = (horner(&COS_POLYNOMIAL, z) * z).mul_add(z, -(z * 0.5)) + 1.0;
    rotate(j / 2, sin, cos)
}

fn horner(coefficients: &[f32], x: f32) -> f32 {
    coefficients[1..].iter().fold(coefficients[0], |sum, &c| sum.mul_add(x, c))
}

/// Sine and cosine of r + quarters π/2, from those of r.
fn rotate<T: Neg<Output = T>>(quarters: u32, sin: T, cos: T) -> (T, T) {
    match quarters % 4 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

// Double precision

/// Terms of a series that are summed in twice the precision: with four, the rounding errors of the others are below
/// 2^-70 of the result.
const LEADING: u32 = 4;

/// π/2 in three parts: the nearest double, and twice the nearest double to the remainder.
const FRAC_PI_2_PARTS: [f64; 3] =
    [FRAC_PI_2, 6.123_233_995_736_766e-17, -1.497_384_904_859_169_4e-33];

/// ln 2 in two parts: the nearest double, and the nearest double to the remainder.
const LN_2: Double = Double { hi: std::f64::consts::LN_2, lo: 2.319_046_813_846_299_6e-17 };

/// fdlibm's ln 2 in two parts, of which the first ends in zeros so that its multiples are exact.
const FDLIBM_LN_2_PARTS: [f64; 2] =
    [f64::from_bits(0x3fe6_2e42_fee0_0000), f64::from_bits(0x3dea_39ef_3579_3c76)];

/// fdlibm's Lp1 to Lp7, whose polynomial R(s^2) approximates ln((1+s)/(1-s))/s - 2.
const FDLIBM_LOG_POLYNOMIAL: [f64; 7] = [
    6.666_666_666_666_735e-1,
    3.999_999_999_940_942e-1,
    2.857_142_874_366_239e-1,
    2.222_219_843_214_978_4e-1,
    1.818_357_216_161_805e-1,
    1.531_383_769_920_937_3e-1,
    1.479_819_860_511_658_6e-1,
];

/// The natural logarithm of a positive, normal number, correctly rounded in nearly all cases.
pub(crate) fn ln(x: f64) -> f64 {
    // ln x = k ln 2 + 2 artanh s, s = f/(2 + f); 2 artanh s = 2s (1 + z/3 + z^2/5 + ...), z = s^2.
    let (k, f) = split(x);
    let s = Double::from(f) / Double::sum(2.0, f);
    let z = s * s;
    // z is below 0.0295: the first term left out, z^15/31, is below 2^-81.
    let coefficient = |n: u32| f64::from(2 * n + 1);
    let tail = (LEADING..=14).rev().fold(0.0, |sum, n| sum * z.hi + 1.0 / coefficient(n));
    let series = (0..LEADING)
        .rev()
        .fold(Double::from(tail), |sum, n| sum * z + Double::reciprocal(coefficient(n)));
    (LN_2 * Double::from(k) + series * s * Double::from(2.0)).hi
}

/// ln(1 - u) for u in [0, 1) with 1 - u exact, as fdlibm's `log1p(-u)` computes it.
///
/// A correctly rounded logarithm would differ from PyTorch's. glibc, on which PyTorch commonly runs, uses this
/// formula, which is one bit off for one argument in fourteen. In the order of operations below it agrees
/// with glibc 2.36 for 99.94 % of arguments; a correctly rounded logarithm agrees for 93 %.
pub(crate) fn ln_1m(u: f64) -> f64 {
    // ln(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))), s = f/(2 + f)
    let (k, f) = split(1.0 - u);
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let c = &FDLIBM_LOG_POLYNOMIAL;
    let z2 = z * z;
    let z4 = z2 * z2;
    let z6 = z4 * z2;
    let r = z * c[0] + z2 * (c[1] + z * c[2]) + z4 * (c[3] + z * c[4]) + z6 * (c[5] + z * c[6]);
    let [ln_2, rest] = FDLIBM_LN_2_PARTS;
    k * ln_2 - ((half_square - (s * (half_square + r) + k * rest)) - f)
}

/// Sine and cosine of x in [0, 2π], correctly rounded in nearly all cases.
pub(crate) fn sin_cos(x: f64) -> (f64, f64) {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "x is not negative, and truncation is the purpose"
    )]
    let quarters = (x * FRAC_2_PI + 0.5) as u32;
    let n = f64::from(quarters);
    // r = x - n π/2. The first step is exact: r has no bit below the last of x and π/2.
    let [first, second, third] = FRAC_PI_2_PARTS;
    let r = Double::from(n.mul_add(-first, x)) + Double::product(n, -second);
    let r = r + Double::from(n * -third);
    let z = r * r;
    let sin = r * nested(z, 2.0);
    let cos = nested(z, 1.0);
    rotate(quarters, sin.hi, cos.hi)
}

/// The power series in z = r^2 of cos r (with a = 1) and of (sin r)/r (with a = 2), in the form
/// 1 - z/(a(a+1)) (1 - z/((a+2)(a+3)) (1 - ...)).
fn nested(z: Double, a: f64) -> Double {
    let divisor = |n: u32| {
        let a = a + f64::from(2 * n);
        -a * (a + 1.0)
    };
    // z is below 0.617: the first term left out, z^12/24!, is below 2^-87.
    let tail = (LEADING..12).rev().fold(1.0, |sum, n| 1.0 + z.hi * sum * (1.0 / divisor(n)));
    (0..LEADING).rev().fold(Double::from(tail), |sum, n| {
        Double::from(1.0) + z * sum * Double::reciprocal(divisor(n))
    })
}

/// (k, f) with x = 2^k (1 + f) and sqrt(1/2) <= 1 + f < sqrt(2), for a positive, normal x.
fn split(x: f64) -> (f64, f64) {
    let bits = x.to_bits();
    let k = (bits >> 52) as f64 - 1023.0;
    let m = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if m < SQRT_2 { (k, m - 1.0) } else { (k + 1.0, m / 2.0 - 1.0) }
}

/// A number of twice the precision: the sum of two doubles; `hi` is that sum rounded.
///
/// The algorithms are those of T. J. Dekker, "A floating-point technique for extending the
/// available precision", 1971, with a fused multiply-add for the error of a product.
#[derive(Clone, Copy)]
pub(crate) struct Double {
    pub(crate) hi: f64,
    pub(crate) lo: f64,
}

impl Double {
    /// The exact sum of two doubles, of which `a` is not the smaller in magnitude.
    fn sum(a: f64, b: f64) -> Self {
        let hi = a + b;
        Double { hi, lo: b - (hi - a) }
    }

    /// The exact product of two doubles.
    fn product(a: f64, b: f64) -> Self {
        let hi = a * b;
        Double { hi, lo: a.mul_add(b, -hi) }
    }

    /// 1/n. The compiler evaluates it if `n` is a constant.
    fn reciprocal(n: f64) -> Self {
        Double::from(1.0) / Double::from(n)
    }
}

impl From<f64> for Double {
    fn from(x: f64) -> Self {
        Double { hi: x, lo: 0.0 }
    }
}

impl Add for Double {
    type Output = Double;

    /// Knuth's sum of the upper halves, in which either may be the larger one.
    fn add(self, other: Double) -> Double {
        let hi = self.hi + other.hi;
        let rounded = hi - self.hi;
        let lo = (self.hi - (hi - rounded)) + (other.hi - rounded);
        Double::sum(hi, lo + (self.lo + other.lo))
    }
}

impl Mul for Double {
    type Output = Double;

    fn mul(self, other: Double) -> Double {
        let product = Double::product(self.hi, other.hi);
        Double::sum(product.hi, product.lo + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Div for Double {
    type Output = Double;

    /// Long division, one double at a time.
    fn div(self, divisor: Double) -> Double {
        let q = self.hi / divisor.hi;
        let remainder = (-q).mul_add(divisor.hi, self.hi) - q * divisor.lo + self.lo;
        Double::sum(q, remainder / divisor.hi)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::float_cmp, reason = "the same bits are what is promised")]

    use std::f64::consts::{PI, TAU};

    use super::*;

    /// FNV-1a, 32 bits.
    pub(crate) fn checksum(bytes: impl IntoIterator<Item = u8>) -> u32 {
        bytes
            .into_iter()
            .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }

    fn checksum_f64(values: impl Iterator<Item = f64>) -> u32 {
        checksum(values.flat_map(f64::to_le_bytes))
    }

    #[test]
    fn double_precision_is_correctly_rounded() {
        // The checksums are those of mpmath's values with 160 bits, rounded.
        let logarithms = (1..4100).map(|i| ln(f64::from(i) / 4099.0));
        assert_eq!(checksum_f64(logarithms), 0x8e0d_a82e);
        let both = (0..4189).map(|i| sin_cos(f64::from(i) * 0.0015));
        assert_eq!(checksum_f64(both.flat_map(|(sin, cos)| [sin, cos])), 0xe209_579d);
    }

    #[test]
    fn double_precision_is_exact_at_the_hardest_arguments() {
        assert_eq!(ln(1.0).to_bits(), 0);
        assert_eq!(ln(0.5), -std::f64::consts::LN_2);
        assert_eq!(ln(1.0 - f64::EPSILON / 2.0), -1.110_223_024_625_156_6e-16);
        assert_eq!(ln(f64::EPSILON / 2.0), -36.736_800_569_677_1);
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
        assert_eq!(sin_cos(f64::EPSILON), (f64::EPSILON, 1.0));
        assert_eq!(sin_cos(FRAC_PI_2), (1.0, 6.123_233_995_736_766e-17));
        assert_eq!(sin_cos(PI), (1.224_646_799_147_353_2e-16, -1.0));
        assert_eq!(sin_cos(3.0 * FRAC_PI_2), (-1.0, -1.836_970_198_721_029_7e-16));
        assert_eq!(sin_cos(TAU), (-2.449_293_598_294_706_4e-16, 1.0));
    }

    #[test]
    fn ln_1m_is_nearly_glibc_log1p() {
        assert_eq!(ln_1m(0.0), 0.0);
        assert_eq!(ln_1m(0.5), -std::f64::consts::LN_2);
        assert_eq!(ln_1m(1.0 - f64::EPSILON / 2.0), -36.736_800_569_677_1);
        // The checksum is that of the same formula in Python. glibc 2.36 has another last bit for
        // 3 of these arguments.
        let logarithms = (1..4096).map(|i| ln_1m(f64::from(i) / 4096.0));
        assert_eq!(checksum_f64(logarithms), 0xf234_01f9);
    }

    #[test]
    fn single_precision_is_that_of_the_vector_kernel() {
        // The checksums are those of a NumPy version that equals PyTorch's AVX2 kernel.
        let logarithms = (1..=4096_u16).map(|i| ln_f32(f32::from(i) / 4096.0));
        assert_eq!(checksum(logarithms.flat_map(f32::to_le_bytes)), 0x0af5_b427);
        let both = (0..4189_u16).map(|i| sin_cos_f32(f32::from(i) * 0.0015));
        let both = both.flat_map(|(sin, cos)| [sin, cos]).flat_map(f32::to_le_bytes);
        assert_eq!(checksum(both), 0x4282_7624);
        assert_eq!(ln_f32(1.0), 0.0);
    }
}
