//! Numbers as files hold them, read once more in another way.

use elman::files::{Header, StoredType};
use ndarray::ArrayD;

/// NumPy's name of a type; none for those that no .npy file holds.
pub(crate) fn descr(stored: StoredType) -> Option<&'static str> {
    Some(match stored {
        StoredType::Bool => "b1",
        StoredType::I8 => "i1",
        StoredType::I16 => "i2",
        StoredType::I32 => "i4",
        StoredType::I64 => "i8",
        StoredType::U8 => "u1",
        StoredType::U16 => "u2",
        StoredType::U32 => "u4",
        StoredType::U64 => "u8",
        StoredType::F16 => "f2",
        StoredType::F32 => "f4",
        StoredType::F64 => "f8",
        StoredType::BF16 | StoredType::Text | StoredType::Other(_) => return None,
    })
}

/// One number as a double.
pub(crate) fn number(stored: StoredType, big_endian: bool, bytes: &[u8]) -> f64 {
    let mut little = bytes.to_vec();
    if big_endian {
        little.reverse();
    }
    little.resize(8, 0);
    let bits = u64::from_le_bytes(little.try_into().unwrap());
    stored.number(bits).to_f64()
}

/// Whether an array holds exactly the numbers whose bytes stand behind a header.
pub(crate) fn agrees(array: &ArrayD<f64>, header: &Header, body: &[u8]) -> bool {
    // In the order of the bytes.
    let view = if header.fortran_order { array.t() } else { array.view() };
    let numbers = body.chunks_exact(header.stored.size());
    array.shape() == header.shape
        && view.len() == numbers.len()
        && view.iter().zip(numbers).all(|(have, bytes)| {
            let want = number(header.stored, header.big_endian, bytes);
            have.to_bits() == want.to_bits() || (have.is_nan() && want.is_nan())
        })
}
