//! The numbers that the layer computes in.

pub(crate) mod elementary;

use std::fmt;

use ndarray::NdFloat;
use ndarray_npy::WritableElement;

use crate::kernel::Registers;

/// The name of a type of number that the layer computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        })
    }
}

/// A number that the layer computes in: `f32` or `f64`.
///
/// It cannot be implemented for another type: the kernel's registers for each type are private.
pub trait Element: Registers + NdFloat + Into<f64> + WritableElement {
    /// The type's name.
    const DTYPE: Dtype;
    /// The same number, rounded to the type.
    fn from_f32(value: f32) -> Self;
    /// The nearest number to an integer.
    fn from_i64(value: i64) -> Self;
    /// The nearest number to an integer.
    fn from_u64(value: u64) -> Self;
    /// The number's bytes in little-endian order.
    fn to_le_bytes(self) -> impl AsRef<[u8]>;
    /// The natural logarithm of a positive, normal number, with the same bits on every machine.
    #[must_use]
    fn portable_ln(self) -> Self;
    /// Sine and cosine of a number in [0, 2π], with the same bits on every machine.
    fn portable_sin_cos(self) -> (Self, Self);
    /// A uniform sample from [0, 1) made of random words: a multiple of 2^-24 in f32, which takes one word, and of
    /// 2^-53 in f64, which takes two.
    fn unit(next_word: impl FnMut() -> u32) -> Self;
}

macro_rules! casts {
    ($type:ty: $($method:ident $from:ty),*) => {$(
        #[inline(always)]
        fn $method(value: $from) -> Self {
            value as $type
        }
    )*};
}

macro_rules! element {
    ($type:ty, $dtype:expr, $ln:path, $sin_cos:path, $unit:expr) => {
        #[allow(clippy::cast_possible_truncation, reason = "rounding to the type is the purpose")]
        #[allow(clippy::cast_lossless, reason = "one text for both types")]
        impl Element for $type {
            const DTYPE: Dtype = $dtype;
            casts!($type: from_f32 f32, from_i64 i64, from_u64 u64);
            #[inline(always)]
            fn to_le_bytes(self) -> impl AsRef<[u8]> {
                <$type>::to_le_bytes(self)
            }
            fn portable_ln(self) -> Self {
                $ln(self)
            }
            fn portable_sin_cos(self) -> (Self, Self) {
                $sin_cos(self)
            }
            fn unit(next_word: impl FnMut() -> u32) -> Self {
                $unit(next_word)
            }
        }
    };
}

element!(f32, Dtype::F32, elementary::ln_f32, elementary::sin_cos_f32, unit_f32);
element!(f64, Dtype::F64, elementary::ln, elementary::sin_cos, unit_f64);

fn unit_f32(mut next_word: impl FnMut() -> u32) -> f32 {
    (next_word() & 0x00ff_ffff) as f32 * (1.0 / 16_777_216.0)
}

fn unit_f64(mut next_word: impl FnMut() -> u32) -> f64 {
    let upper = u64::from(next_word()) << 32;
    let word = upper | u64::from(next_word());
    (word & 0x001f_ffff_ffff_ffff) as f64 * (1.0 / 9_007_199_254_740_992.0)
}
