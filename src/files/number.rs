//! One number of a file, exactly, and the bits that it stands in.

use std::fmt;

use super::StoredType;

/// A number of a file, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number, or a truth value as 0 or 1.
    Integer(i128),
    /// A number of f32, f16 or bf16.
    F32(f32),
    /// A number of f64.
    F64(f64),
}

impl Number {
    /// The nearest double. It is the number itself but for whole numbers beyond 2^53.
    pub fn to_f64(self) -> f64 {
        match self {
            Number::Integer(value) => value as f64,
            Number::F32(value) => f64::from(value),
            Number::F64(value) => value,
        }
    }
}

impl fmt::Display for Number {
    /// The shortest text that tells the number from its neighbours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Integer(value) => write!(f, "{value}"),
            Number::F32(value) => write!(f, "{value:?}"),
            Number::F64(value) => write!(f, "{value:?}"),
        }
    }
}

impl StoredType {
    /// The number that these bits are, which stand in the lowest of the 64.
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
            StoredType::F64 | StoredType::Text => Number::F64(f64::from_bits(bits)),
        }
    }

    /// The bits of positive infinity; none where the type has no such number.
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
        let numbers = [Number::Integer(3), Number::F32(0.1), Number::F64(-0.0), Number::F64(1e-9)];
        assert_eq!(numbers.map(|number| number.to_string()), ["3", "0.1", "-0.0", "1e-9"]);
    }
}
