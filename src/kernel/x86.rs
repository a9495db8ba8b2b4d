//! The vector operations of AVX-512 and of AVX2 with FMA.
//!
//! This code may run only after the CPU was asked for the features. Only a [`super::Kernel`] of that
//! instruction set calls it, and the CPU was asked before one is made; each `SAFETY:` sentence below calls this
//! condition "the CPU was asked". The methods are safe because those of the trait are; no code outside this
//! folder can name them.

#[allow(clippy::wildcard_imports, reason = "the intrinsics' names are prefixed already")]
use std::arch::x86_64::*;

use super::vector::{Registers, Vector};

/// Calls one intrinsic that touches no memory.
macro_rules! op {
    ($intrinsic:ident $(::<$constant:tt>)? ($($argument:expr),*)) => {
        // SAFETY: the CPU was asked.
        unsafe { $intrinsic $(::<$constant>)? ($($argument),*) }
    };
}

/// Methods that are one intrinsic on two registers.
macro_rules! binary {
    ($($method:ident $intrinsic:ident),*) => {$(
        #[inline(always)]
        fn $method(self, other: Self) -> Self {
            Self(op!($intrinsic(self.0, other.0)))
        }
    )*};
}

/// Implements [`Vector`] for a register: each method is the intrinsic of that name, or a few.
macro_rules! instance {
    ($name:ident: $register:ty, $lanes:literal of $element:ty, exponent from bit $exponent:literal;
     $splat:ident $load:ident $store:ident $fma:ident $add:ident $sub:ident $mul:ident $div:ident
     $and:ident $or:ident;
     $to_integers:ident $shift:ident $from_integers:ident;
     $abs_min:ident $choose:ident) => {
        #[derive(Clone, Copy, Debug)]
        pub struct $name($register);

        impl Vector for $name {
            type Element = $element;
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(value: $element) -> Self {
                $name(op!($splat(value)))
            }

            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                // SAFETY: the CPU was asked; the caller promises readable lanes.
                $name(unsafe { $load(from) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                // SAFETY: the CPU was asked; the caller promises writable lanes.
                unsafe { $store(to, self.0) }
            }

            #[inline(always)]
            fn prefetch(at: *const $element) {
                // SAFETY: the CPU was asked; a prefetch of any address is allowed.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                $name(op!($fma(self.0, factor.0, addend.0)))
            }

            binary!(add $add, sub $sub, mul $mul, div $div);

            #[inline(always)]
            fn abs_min(self, most: Self) -> Self {
                $name($abs_min(self.0, most.0))
            }

            #[inline(always)]
            fn with_sign(self, sign: Self) -> Self {
                let sign = op!($and(Self::splat(-0.0).0, sign.0));
                $name(op!($or(self.0, sign)))
            }

            #[inline(always)]
            fn select_lt(self, other: Self, yes: Self, no: Self) -> Self {
                $name($choose::<_CMP_LT_OQ>(self.0, other.0, yes.0, no.0))
            }

            #[inline(always)]
            fn nan_from(self, of: Self) -> Self {
                $name($choose::<_CMP_UNORD_Q>(of.0, of.0, Self::splat(Registers::NAN).0, self.0))
            }

            #[inline(always)]
            fn exp2_of_rounded(self) -> Self {
                let integers = op!($to_integers(self.0));
                let power = op!($shift::<$exponent>(integers));
                $name(op!($from_integers(power)))
            }
        }
    };
}

instance! {
    F32x16: __m512, 16 of f32, exponent from bit 23;
    _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_fmadd_ps
    _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps
    _mm512_and_ps _mm512_or_ps;
    _mm512_castps_si512 _mm512_slli_epi32 _mm512_castsi512_ps;
    abs_min_f32x16 choose_f32x16
}

instance! {
    F64x8: __m512d, 8 of f64, exponent from bit 52;
    _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_fmadd_pd
    _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd
    _mm512_and_pd _mm512_or_pd;
    _mm512_castpd_si512 _mm512_slli_epi64 _mm512_castsi512_pd;
    abs_min_f64x8 choose_f64x8
}

instance! {
    F32x8: __m256, 8 of f32, exponent from bit 23;
    _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_fmadd_ps
    _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps
    _mm256_and_ps _mm256_or_ps;
    _mm256_castps_si256 _mm256_slli_epi32 _mm256_castsi256_ps;
    abs_min_f32x8 choose_f32x8
}

instance! {
    F64x4: __m256d, 4 of f64, exponent from bit 52;
    _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_fmadd_pd
    _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd
    _mm256_and_pd _mm256_or_pd;
    _mm256_castpd_si256 _mm256_slli_epi64 _mm256_castsi256_pd;
    abs_min_f64x4 choose_f64x4
}

/// Defines a choice between the lanes of `yes` and `no` by a comparison, whose result is a mask in AVX-512 and a
/// register in AVX2; the two blends take it at different places.
macro_rules! choose {
    ($name:ident: $register:ty, $compare:ident, ($mask:ident, $yes:ident, $no:ident) => $blend:expr) => {
        #[inline(always)]
        fn $name<const COMPARISON: i32>(
            left: $register,
            right: $register,
            $yes: $register,
            $no: $register,
        ) -> $register {
            let $mask = op!($compare::<COMPARISON>(left, right));
            $blend
        }
    };
}

choose!(choose_f32x16: __m512, _mm512_cmp_ps_mask, (mask, yes, no) =>
    op!(_mm512_mask_blend_ps(mask, no, yes)));
choose!(choose_f64x8: __m512d, _mm512_cmp_pd_mask, (mask, yes, no) =>
    op!(_mm512_mask_blend_pd(mask, no, yes)));
choose!(choose_f32x8: __m256, _mm256_cmp_ps, (mask, yes, no) =>
    op!(_mm256_blendv_ps(no, yes, mask)));
choose!(choose_f64x4: __m256d, _mm256_cmp_pd, (mask, yes, no) =>
    op!(_mm256_blendv_pd(no, yes, mask)));

/// Defines the smaller of |x| and a limit: one instruction in AVX-512.
macro_rules! abs_min {
    ($name:ident: $register:ty, ($x:ident, $most:ident) => $smaller:expr) => {
        #[inline(always)]
        fn $name($x: $register, $most: $register) -> $register {
            $smaller
        }
    };
}

/// The operand of smaller magnitude, with a positive sign.
const ABS_MIN: i32 = 0b1010;

abs_min!(abs_min_f32x16: __m512, (x, most) => op!(_mm512_range_ps::<ABS_MIN>(x, most)));
abs_min!(abs_min_f64x8: __m512d, (x, most) => op!(_mm512_range_pd::<ABS_MIN>(x, most)));
abs_min!(abs_min_f32x8: __m256, (x, most) => {
    let sign = op!(_mm256_set1_ps(-0.0));
    let magnitude = op!(_mm256_andnot_ps(sign, x));
    op!(_mm256_min_ps(magnitude, most))
});
abs_min!(abs_min_f64x4: __m256d, (x, most) => {
    let sign = op!(_mm256_set1_pd(-0.0));
    let magnitude = op!(_mm256_andnot_pd(sign, x));
    op!(_mm256_min_pd(magnitude, most))
});
