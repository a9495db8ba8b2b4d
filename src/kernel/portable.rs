//! The registers of each number type, and the portable ones: plain arrays.

use super::tanh;
use super::vector::{Registers, Vector};

/// Methods that are one operator on each pair of lanes.
macro_rules! binary {
    ($($method:ident $operator:tt),*) => {$(
        #[inline(always)]
        fn $method(self, other: Self) -> Self {
            Lanes::each(|lane| self.0[lane] $operator other.0[lane])
        }
    )*};
}

macro_rules! registers {
    ($type:ident, $avx512:ident $avx2:ident, round $round:expr, exponent from bit $exponent:literal;
     $small:ident $reduced:ident) => {
        impl Registers for $type {
            #[cfg(target_arch = "x86_64")]
            type Avx512 = super::x86::$avx512;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = super::x86::$avx2;
            type Portable = Lanes<Self, { 32 / size_of::<$type>() }>;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const ROUND: Self = $round;
            const NAN: Self = <$type>::NAN;
            const TANH_SMALL: &'static [Self] = &tanh::$small;
            const TANH_REDUCED: &'static [Self] = &tanh::$reduced;

            #[inline(always)]
            #[allow(clippy::cast_possible_truncation, reason = "rounding to the type is the purpose")]
            fn from_f64(value: f64) -> Self {
                value as $type
            }
        }

        impl<const N: usize> Vector for Lanes<$type, N> {
            type Element = $type;
            const LANES: usize = N;

            #[inline(always)]
            fn splat(value: $type) -> Self {
                Lanes([value; N])
            }

            #[inline(always)]
            unsafe fn load(from: *const $type) -> Self {
                // SAFETY: the caller promises N readable elements; an array of them needs no more alignment than one.
                unsafe { from.cast::<Self>().read() }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                // SAFETY: the caller promises N writable elements; an array of them needs no more alignment than one.
                unsafe { to.cast::<Self>().write(self) }
            }

            #[inline(always)]
            fn prefetch(_: *const $type) {}

            // A function of its own if each lane is a call of libm: written out in every tile, the lanes add 200 kB to
            // the program.
            #[cfg_attr(all(target_arch = "x86_64", not(target_feature = "fma")), inline(never))]
            #[cfg_attr(not(all(target_arch = "x86_64", not(target_feature = "fma"))), inline(always))]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                Lanes::each(|lane| <$type>::mul_add(self.0[lane], factor.0[lane], addend.0[lane]))
            }

            binary!(add +, sub -, mul *, div /);

            #[inline(always)]
            fn abs_min(self, most: Self) -> Self {
                Lanes::each(|lane| {
                    let a = self.0[lane].abs();
                    if a < most.0[lane] { a } else { most.0[lane] }
                })
            }

            #[inline(always)]
            fn with_sign(self, sign: Self) -> Self {
                Lanes::each(|lane| self.0[lane].copysign(sign.0[lane]))
            }

            #[inline(always)]
            fn select_lt(self, other: Self, yes: Self, no: Self) -> Self {
                Lanes::each(
                    |lane| {
                        if self.0[lane] < other.0[lane] { yes.0[lane] } else { no.0[lane] }
                    },
                )
            }

            #[inline(always)]
            fn nan_from(self, of: Self) -> Self {
                Lanes::each(|lane| if of.0[lane].is_nan() { <$type>::NAN } else { self.0[lane] })
            }

            #[inline(always)]
            fn exp2_of_rounded(self) -> Self {
                Lanes::each(|lane| <$type>::from_bits(self.0[lane].to_bits() << $exponent))
            }
        }
    };
}

registers! {
    f32, F32x16 F32x8, round 12_582_912.0 + 127.0, exponent from bit 23; SMALL_F32 REDUCED_F32
}
registers! {
    f64, F64x8 F64x4, round 6_755_399_441_055_744.0 + 1023.0, exponent from bit 52; SMALL_F64 REDUCED_F64
}

/// The portable instance: an array, which the compiler may vectorise. On a target without fused multiply-add each
/// `mul_add` is a call of libm: correct, and hundreds of times slower.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Lanes<T, const N: usize>([T; N]);

impl<T: Registers, const N: usize> Lanes<T, N> {
    #[inline(always)]
    fn each(number: impl FnMut(usize) -> T) -> Self {
        Lanes(std::array::from_fn(number))
    }
}
