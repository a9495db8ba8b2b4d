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

    /// The bits of a number as this type, rounded if it is a float; `None` for a number beyond the type, and for one
    /// that is not whole in a type of whole numbers.
    #[allow(clippy::cast_possible_truncation, reason = "the result is compared with the number")]
    pub fn bits_of(self, number: Number) -> Option<u64> {
        let value = number.to_f64();
        let (bits, infinite) = match self {
            StoredType::F16 => {
                let half = half::f16::from_f32(rounded_to_odd(value));
                (u64::from(half.to_bits()), half.is_infinite())
            }
            StoredType::BF16 => {
                let half = half::bf16::from_f32(rounded_to_odd(value));
                (u64::from(half.to_bits()), half.is_infinite())
            }
            StoredType::F32 => {
                // A whole number is rounded once.
                let single =
                    if let Number::Integer(whole) = number { whole as f32 } else { value as f32 };
                (u64::from(single.to_bits()), single.is_infinite())
            }
            StoredType::F64 => (value.to_bits(), value.is_infinite()),
            _ => {
                let whole = match number {
                    Number::Integer(whole) => whole,
                    _ if value.fract() == 0.0 => value as i128,
                    _ => return None,
                };
                let mut own = [0; 8];
                own[..self.size()].copy_from_slice(&whole.to_le_bytes()[..self.size()]);
                let bits = u64::from_le_bytes(own);
                return (self.number(bits) == Number::Integer(whole)).then_some(bits);
            }
        };
        (infinite == value.is_infinite()).then_some(bits)
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

/// The single that rounds to the same half as a double: of the two next to it, the one whose last bit is 1. The crate
/// `half` leaves out the last bits of a double.
#[allow(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
#[allow(clippy::float_cmp, reason = "the question is whether the single is exact")]
fn rounded_to_odd(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) == value || near.is_infinite() {
        return near;
    }
    let beyond = f64::from(near).abs() > value.abs();
    f32::from_bits((near.to_bits() - u32::from(beyond)) | 1)
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
    fn halves_are_rounded_once() {
        let bits = |stored: StoredType, value: f64| stored.bits_of(Number::F64(value));
        // 1 + 2^-11 lies halfway between two halves, and 1 + 2^-8 between two of bfloat16.
        for (stored, tie, even, odd) in [
            (StoredType::F16, 1.0 + 0.5_f64.powi(11), 0x3c00, 0x3c01),
            (StoredType::BF16, 1.0 + 0.5_f64.powi(8), 0x3f80, 0x3f81),
        ] {
            assert_eq!(bits(stored, tie), Some(even));
            assert_eq!(bits(stored, tie.next_up()), Some(odd));
            assert_eq!(bits(stored, tie.next_down()), Some(even));
            assert_eq!(bits(stored, -tie.next_up()), Some(odd | 0x8000));
            assert_eq!([bits(stored, 1e300), bits(stored, -1e-300)], [None, Some(0x8000)]);
        }
        assert_eq!(bits(StoredType::F16, f64::INFINITY), Some(0x7c00));
        assert_eq!(bits(StoredType::F16, 65_520.0), None);
        assert_eq!(bits(StoredType::F16, f64::NAN).map(|bits| bits & 0x7e00), Some(0x7e00));
        assert_eq!(bits(StoredType::F32, 1e39), None);
        let whole = |stored: StoredType, whole| stored.bits_of(Number::Integer(whole));
        // Rounded twice, it would become 2^60.
        assert_eq!(whole(StoredType::F32, (1 << 60) + (1 << 36) + 1), Some(0x5d80_0001));
        assert_eq!(whole(StoredType::I64, i64::MIN.into()), Some(1 << 63));
        assert_eq!([whole(StoredType::U8, 256), whole(StoredType::U8, -1)], [None, None]);
        assert_eq!([bits(StoredType::I8, -0.0), bits(StoredType::I8, 0.5)], [Some(0), None]);
        assert_eq!([whole(StoredType::Bool, 1), whole(StoredType::Bool, 2)], [Some(1), None]);
    }

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
