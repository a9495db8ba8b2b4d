//! Numbers from the bytes of a file: exact, as bits, or converted to the type of the computation.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Header, StoredType};
use crate::element::Element;

/// A number of a file, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer, or a boolean as 0 or 1.
    Integer(i128),
    /// A number of f32, f16 or bf16.
    F32(f32),
    /// A number of f64.
    F64(f64),
}

impl Number {
    /// The nearest double. It is exact except for integers beyond 2^53.
    pub fn to_f64(self) -> f64 {
        match self {
            Number::Integer(value) => value as f64,
            Number::F32(value) => f64::from(value),
            Number::F64(value) => value,
        }
    }
}

impl fmt::Display for Number {
    /// The shortest text that reads back to the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Integer(value) => write!(f, "{value}"),
            Number::F32(value) => write!(f, "{value:?}"),
            Number::F64(value) => write!(f, "{value:?}"),
        }
    }
}

impl Serialize for Number {
    /// Exactly. JSON has no infinities and no NaN: they are texts, which Python's `float` reads.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let float = self.to_f64();
        match *self {
            Number::Integer(value) => serializer.serialize_i128(value),
            _ if float.is_finite() => serializer.serialize_f64(float),
            _ => serializer.serialize_str(&float.to_string().to_lowercase()),
        }
    }
}

impl StoredType {
    /// The number with these bits, which are the lowest of the 64.
    #[allow(clippy::cast_possible_truncation, reason = "the bits above belong to wider types")]
    #[allow(clippy::cast_possible_wrap, reason = "the sign is one of the bits")]
    pub fn number(self, bits: u64) -> Number {
        match self {
            StoredType::Bool => Number::Integer(i128::from(bits != 0)),
            StoredType::I8 => Number::Integer(i128::from(bits as i8)),
            StoredType::I16 => Number::Integer(i128::from(bits as i16)),
            StoredType::I32 => Number::Integer(i128::from(bits as i32)),
            StoredType::I64 => Number::Integer(i128::from(bits as i64)),
            StoredType::U8 | StoredType::U16 | StoredType::U32 | StoredType::U64 => {
                Number::Integer(i128::from(bits))
            }
            StoredType::F16 => Number::F32(half::f16::from_bits(bits as u16).to_f32()),
            StoredType::BF16 => Number::F32(half::bf16::from_bits(bits as u16).to_f32()),
            StoredType::F32 => Number::F32(f32::from_bits(bits as u32)),
            StoredType::F64 | StoredType::Text | StoredType::Other(_) => {
                Number::F64(f64::from_bits(bits))
            }
        }
    }

    /// The bits of a number of this type; `None` if the type has no such number.
    #[allow(clippy::cast_possible_truncation, reason = "the result is compared with the number")]
    pub fn bits_of(self, value: f64) -> Option<u64> {
        match self {
            StoredType::F16 => {
                let half = half::f16::from_f64(value);
                (half.is_infinite() == value.is_infinite()).then(|| half.to_bits().into())
            }
            StoredType::F32 => Some(u64::from((value as f32).to_bits())),
            StoredType::F64 => Some(value.to_bits()),
            _ => {
                let bits = (value as i128).to_le_bytes();
                let mut own = [0; 8];
                own[..self.size()].copy_from_slice(&bits[..self.size()]);
                let bits = u64::from_le_bytes(own);
                // A sum of bytes beyond the type is another number.
                (self.number(bits).to_f64().to_bits() == (value + 0.0).to_bits()).then_some(bits)
            }
        }
    }

    /// The bits of positive infinity; `None` if the type has no infinity.
    pub fn infinity(self) -> Option<u64> {
        match self {
            StoredType::F16 => Some(u64::from(half::f16::INFINITY.to_bits())),
            StoredType::BF16 => Some(u64::from(half::bf16::INFINITY.to_bits())),
            StoredType::F32 => Some(u64::from(f32::INFINITY.to_bits())),
            StoredType::F64 | StoredType::Text => Some(f64::INFINITY.to_bits()),
            _ => None,
        }
    }
}

/// Appends the numbers in `bytes`, converted to T.
pub(super) fn append_numbers<T: Element>(header: &Header, bytes: &[u8], values: &mut Vec<T>) {
    /// Reads numbers of one stored type in either byte order.
    macro_rules! numbers {
        ($stored:ty, $convert:expr) => {{
            let (chunks, _) = bytes.as_chunks::<{ size_of::<$stored>() }>();
            if header.big_endian {
                values.extend(chunks.iter().map(|&c| $convert(<$stored>::from_be_bytes(c))));
            } else {
                values.extend(chunks.iter().map(|&c| $convert(<$stored>::from_le_bytes(c))));
            }
        }};
    }
    match header.stored {
        StoredType::Bool => numbers!(u8, |x| T::from_u64(u64::from(x != 0))),
        StoredType::I8 => numbers!(i8, |x| T::from_i64(i64::from(x))),
        StoredType::I16 => numbers!(i16, |x| T::from_i64(i64::from(x))),
        StoredType::I32 => numbers!(i32, |x| T::from_i64(i64::from(x))),
        StoredType::I64 => numbers!(i64, T::from_i64),
        StoredType::U8 => numbers!(u8, |x| T::from_u64(u64::from(x))),
        StoredType::U16 => numbers!(u16, |x| T::from_u64(u64::from(x))),
        StoredType::U32 => numbers!(u32, |x| T::from_u64(u64::from(x))),
        StoredType::U64 => numbers!(u64, T::from_u64),
        StoredType::F16 => numbers!(u16, |x| T::from_f32(half::f16::from_bits(x).to_f32())),
        StoredType::BF16 => numbers!(u16, |x| T::from_f32(half::bf16::from_bits(x).to_f32())),
        StoredType::F32 => numbers!(f32, T::from_f32),
        // The numbers of a table are doubles until their type is known.
        StoredType::F64 | StoredType::Text | StoredType::Other(_) => numbers!(f64, T::from_f64),
    }
}

/// Appends the bits of each number, in the lowest of 64. Every byte except 0 is the same boolean.
pub(super) fn append_bits(bytes: &[u8], stored: StoredType, big_endian: bool, bits: &mut Vec<u64>) {
    match stored.size() {
        1 if stored == StoredType::Bool => {
            bits.extend(bytes.iter().map(|&byte| u64::from(byte != 0)));
        }
        1 => widen::<1>(bytes, big_endian, bits),
        2 => widen::<2>(bytes, big_endian, bits),
        4 => widen::<4>(bytes, big_endian, bits),
        _ => widen::<8>(bytes, big_endian, bits),
    }
}

fn widen<const N: usize>(bytes: &[u8], big_endian: bool, bits: &mut Vec<u64>) {
    let (numbers, _) = bytes.as_chunks::<N>();
    bits.extend(numbers.iter().map(|&number| {
        let mut number: [u8; N] = number;
        if big_endian {
            number.reverse();
        }
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(&number);
        u64::from_le_bytes(wide)
    }));
}

/// The place in Fortran order of the number with this index in C order.
pub(super) fn fortran_place(mut index: usize, shape: &[usize]) -> usize {
    let mut stride: usize = shape.iter().product();
    let mut place = 0;
    for &size in shape.iter().rev() {
        stride /= size;
        place += index % size * stride;
        index /= size;
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_numbers_of_every_type() {
        for (stored, bits, expected) in [
            (StoredType::Bool, 1, Number::Integer(1)),
            (StoredType::I8, 0xff, Number::Integer(-1)),
            (StoredType::I16, 0xfffe, Number::Integer(-2)),
            (StoredType::I32, 0x8000_0000, Number::Integer(-(1 << 31))),
            (StoredType::I64, u64::MAX, Number::Integer(-1)),
            (StoredType::U8, 0xff, Number::Integer(255)),
            (StoredType::U64, u64::MAX, Number::Integer((1 << 64) - 1)),
            (StoredType::F16, 0x3c00, Number::F32(1.0)),
            (StoredType::BF16, 0x3f80, Number::F32(1.0)),
            (StoredType::F32, 0x3f80_0000, Number::F32(1.0)),
            (StoredType::F64, 0x3ff0 << 48, Number::F64(1.0)),
        ] {
            assert_eq!(stored.number(bits), expected, "{stored}");
        }
        let json = |number: Number| serde_json::to_value(number).unwrap();
        let extremes = [u64::MAX.into(), i64::MIN.into()].map(Number::Integer).map(json);
        assert_eq!(
            extremes.map(|value| value.to_string()),
            ["18446744073709551615", "-9223372036854775808"]
        );
        assert_eq!(json(Number::F64(0.1)).to_string(), "0.1");
        assert_eq!(json(Number::F64(f64::INFINITY)), "inf");
        let numbers = [Number::Integer(3), Number::F32(0.1), Number::F64(-0.0), Number::F64(1e-9)];
        assert_eq!(numbers.map(|number| number.to_string()), ["3", "0.1", "-0.0", "1e-9"]);
    }
}
