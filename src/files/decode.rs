//! Numbers out of the bytes of a file: converted to a type that is computed in, or as their bits.

use super::{Header, StoredType};
use crate::element::Element;

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
        StoredType::F64 | StoredType::Text => numbers!(f64, T::from_f64),
    }
}

/// Appends the bits of each number, in the lowest of 64. Every byte except 0 is the same truth value.
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

/// Appends numbers of N bytes.
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
