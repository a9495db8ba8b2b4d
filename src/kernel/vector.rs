//! The few vector operations that the kernel is written in, and the portable instance of them.

/// A number that the layer computes in: `f32` or `f64`.
///
/// It cannot be implemented for another type: what the kernel needs of it is private.
///
/// ```
/// use elman::Element;
///
/// fn mean<T: Element>(values: &[T]) -> T {
///     let sum = values.iter().fold(T::ZERO, |sum, &value| sum.plus(value));
///     sum.over(T::from_f64(values.len() as f64))
/// }
/// assert_eq!(mean(&[1.0_f32, 2.0]), 1.5);
/// assert_eq!(mean(&[1.0_f64, 2.0]), 1.5);
/// ```
pub trait Element:
    Float + Copy + Default + PartialOrd + std::fmt::Debug + std::fmt::Display + Send + Sync + 'static
{
    /// `f32` or `f64`.
    const NAME: &'static str;
    /// Columns that fill a cache line of 64 bytes.
    const LINE: usize;
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// `self + other`, rounded once.
    #[must_use]
    fn plus(self, other: Self) -> Self;
    /// `self * other`, rounded once.
    #[must_use]
    fn times(self, other: Self) -> Self;
    /// `self / other`, rounded once.
    #[must_use]
    fn over(self, other: Self) -> Self;
    /// True for numbers that are neither NaN nor infinite.
    fn is_finite(self) -> bool;
    /// The nearest number to a double.
    fn from_f64(value: f64) -> Self;
}

/// As many numbers as one register holds. Every operation works on each lane alone and rounds once,
/// as IEEE 754 says, so that all instances give the same bits.
pub trait Vector: Copy {
    type Element: Element;
    const LANES: usize;

    fn splat(value: Self::Element) -> Self;

    /// # Safety
    /// `from` is valid for reading `LANES` elements.
    unsafe fn load(from: *const Self::Element) -> Self;

    /// # Safety
    /// `to` is valid for writing `LANES` elements.
    unsafe fn store(self, to: *mut Self::Element);

    /// Asks for the cache line at `at` to be brought into the second-level cache. It is a hint: any
    /// address will do.
    fn prefetch(at: *const Self::Element);

    /// `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn abs(self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// `yes` in the lanes where `self < other`, else `no`; `no` too where either is NaN.
    fn select_lt(self, other: Self, yes: Self, no: Self) -> Self;
    /// `self`, with the canonical NaN in the lanes where `of` is NaN.
    fn nan_from(self, of: Self) -> Self;
    /// 2^n, where `self` is `n + Float::ROUND` and 2^n is a normal number: the low bits of that sum
    /// are n, and a shift makes them the exponent.
    fn exp2_of_rounded(self) -> Self;
}

/// What the kernel needs to know about `f32` and `f64` beyond [`Element`].
pub trait Float: super::tanh::TanhConstants {
    /// 1.5 * 2^(digits - 1): adding and subtracting it rounds to a whole number.
    const ROUND: Self;
    /// The one NaN that is ever computed.
    const NAN: Self;
    /// The instances of [`Vector`] for this type.
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Element = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Element = Self>;
    type Portable: Vector<Element = Self>;
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn abs(self) -> Self;
    fn copysign(self, sign: Self) -> Self;
    fn exp2_of_rounded(self) -> Self;
}

macro_rules! float {
    ($type:ty, $avx512:ident $avx2:ident, round $round:expr, exponent $shift:literal $one:expr) => {
        impl Element for $type {
            const NAME: &'static str = stringify!($type);
            const LINE: usize = 64 / size_of::<$type>();
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn over(self, other: Self) -> Self {
                self / other
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                <$type>::is_finite(self)
            }
            #[inline(always)]
            #[allow(
                clippy::cast_possible_truncation,
                reason = "rounding to the type is the purpose"
            )]
            fn from_f64(value: f64) -> Self {
                value as $type
            }
        }

        impl Float for $type {
            const ROUND: Self = $round;
            const NAN: Self = <$type>::NAN;
            #[cfg(target_arch = "x86_64")]
            type Avx512 = super::x86::$avx512;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = super::x86::$avx2;
            type Portable = Lanes<Self, { 32 / size_of::<$type>() }>;
            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                <$type>::mul_add(self, factor, addend)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn abs(self) -> Self {
                <$type>::abs(self)
            }
            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                <$type>::copysign(self, sign)
            }
            #[inline(always)]
            fn exp2_of_rounded(self) -> Self {
                <$type>::from_bits((self.to_bits() << $shift).wrapping_add($one.to_bits()))
            }
        }
    };
}

float!(f32, F32x16 F32x8, round 12_582_912.0, exponent 23 1.0_f32);
float!(f64, F64x8 F64x4, round 6_755_399_441_055_744.0, exponent 52 1.0_f64);

/// The portable instance: an array that the compiler may turn into whatever the target has.
/// On a target without fused multiply-add each one is a call of libm: right, and hundreds of times slower.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Lanes<T, const N: usize>([T; N]);

impl<T: Element, const N: usize> Lanes<T, N> {
    #[inline(always)]
    fn map(self, f: impl Fn(T) -> T) -> Self {
        Lanes(self.0.map(f))
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        Lanes(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl<T: Element, const N: usize> Vector for Lanes<T, N> {
    type Element = T;
    const LANES: usize = N;

    #[inline(always)]
    fn splat(value: T) -> Self {
        Lanes([value; N])
    }

    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller promises N readable elements; an array of them needs no more alignment than one.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller promises N writable elements; an array of them needs no more alignment than one.
        unsafe { to.cast::<Self>().write(self) }
    }

    #[inline(always)]
    fn prefetch(_: *const T) {}

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Lanes(std::array::from_fn(|lane| self.0[lane].mul_add(factor.0[lane], addend.0[lane])))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, T::plus)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, T::minus)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, T::times)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, T::over)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.map(T::abs)
    }

    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        self.zip(sign, T::copysign)
    }

    #[inline(always)]
    fn select_lt(self, other: Self, yes: Self, no: Self) -> Self {
        Lanes(std::array::from_fn(|lane| {
            if self.0[lane] < other.0[lane] { yes.0[lane] } else { no.0[lane] }
        }))
    }

    #[inline(always)]
    fn nan_from(self, of: Self) -> Self {
        self.zip(of, |value, of| if of.partial_cmp(&of).is_none() { T::NAN } else { value })
    }

    #[inline(always)]
    fn exp2_of_rounded(self) -> Self {
        self.map(T::exp2_of_rounded)
    }
}
