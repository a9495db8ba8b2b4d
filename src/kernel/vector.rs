//! The traits of numbers and of registers of them.

use std::fmt::Debug;

/// A number that the kernel computes in: `f32` or `f64`. The trait seals `Element`, because its name cannot be reached
/// from outside the crate.
pub trait Registers: Copy + Default + Debug + Send + Sync + 'static {
    /// The instances of [`Vector`] for this type.
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Element = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Element = Self>;
    type Portable: Vector<Element = Self>;
    const ZERO: Self;
    const ONE: Self;
    /// Numbers that fill a cache line of 64 bytes.
    const LINE: usize = 64 / size_of::<Self>();
    /// 1.5 * 2^(digits - 1), plus the bias of the exponent: adding and subtracting it rounds to a whole number n, and
    /// the low bits of the sum are the exponent of 2^n.
    const ROUND: Self;
    /// The canonical NaN: every NaN that the kernel computes has these bits.
    const NAN: Self;
    /// The polynomials of the kernel's tanh, lowest power first; see [`super::tanh`].
    const TANH_SMALL: &'static [Self];
    const TANH_REDUCED: &'static [Self];
    /// The nearest number to a double.
    fn from_f64(value: f64) -> Self;
}

/// A register of numbers. Every operation works on each lane alone and rounds once, as IEEE 754 requires, so that all
/// instances give the same bits.
pub trait Vector: Copy {
    type Element: Registers;
    const LANES: usize;

    fn splat(value: Self::Element) -> Self;

    /// # Safety
    /// `from` is valid for reading `LANES` elements.
    unsafe fn load(from: *const Self::Element) -> Self;

    /// # Safety
    /// `to` is valid for writing `LANES` elements.
    unsafe fn store(self, to: *mut Self::Element);

    /// Prefetches the cache line at `at` into the second-level cache. It is a hint: any address is allowed.
    fn prefetch(at: *const Self::Element);

    /// `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// The smaller of |`self`| and `most`, which is positive; any of the two if `self` is NaN.
    fn abs_min(self, most: Self) -> Self;
    /// `self` with the sign of `sign`, which it has already if its own is negative.
    fn with_sign(self, sign: Self) -> Self;
    /// `yes` in lanes with `self < other`, else `no`; `no` also if either is NaN.
    fn select_lt(self, other: Self, yes: Self, no: Self) -> Self;
    /// `self`, with the canonical NaN in lanes with NaN in `of`.
    fn nan_from(self, of: Self) -> Self;
    /// 2^n for `self` = `n + Registers::ROUND` and a normal number 2^n.
    fn exp2_of_rounded(self) -> Self;
}
