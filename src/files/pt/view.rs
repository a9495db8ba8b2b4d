//! Views: tensors as strided parts of storages.

use crate::files::StoredType;

/// A tensor as a part of a storage.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) stored: StoredType,
    /// The name of the storage.
    pub(super) key: String,
    /// Numbers in the storage.
    pub(super) numel: usize,
    /// Bytes of a number.
    pub(super) bytes: usize,
    pub(super) shape: Vec<usize>,
    /// Distances between neighbours along each axis, in numbers.
    pub(super) strides: Vec<usize>,
    /// The first number's index.
    pub(super) offset: usize,
    /// Whether the tensor's numbers are those of the storage with the other sign.
    pub(super) negative: bool,
    /// Whether the tensor's bytes have been counted.
    pub(super) charged: bool,
}

/// PyTorch's types: names of their storages and of themselves, how they are stored, and bytes of a number.
const TYPES: [(&str, &str, StoredType, usize); 26] = {
    use StoredType::{BF16, Bool, F16, F32, F64, I8, I16, I32, I64, Other, U8, U16, U32, U64};
    [
        ("DoubleStorage", "float64", F64, 8),
        ("FloatStorage", "float32", F32, 4),
        ("HalfStorage", "float16", F16, 2),
        ("BFloat16Storage", "bfloat16", BF16, 2),
        ("LongStorage", "int64", I64, 8),
        ("IntStorage", "int32", I32, 4),
        ("ShortStorage", "int16", I16, 2),
        ("CharStorage", "int8", I8, 1),
        ("ByteStorage", "uint8", U8, 1),
        ("BoolStorage", "bool", Bool, 1),
        ("UntypedStorage", "", U8, 1),
        ("", "uint16", U16, 2),
        ("", "uint32", U32, 4),
        ("", "uint64", U64, 8),
        ("ComplexHalfStorage", "complex32", Other("complex32"), 4),
        ("ComplexFloatStorage", "complex64", Other("complex64"), 8),
        ("ComplexDoubleStorage", "complex128", Other("complex128"), 16),
        ("QInt8Storage", "qint8", Other("qint8"), 1),
        ("QUInt8Storage", "quint8", Other("quint8"), 1),
        ("QInt32Storage", "qint32", Other("qint32"), 4),
        ("QUInt4x2Storage", "quint4x2", Other("quint4x2"), 1),
        ("QUInt2x4Storage", "quint2x4", Other("quint2x4"), 1),
        ("", "float8_e4m3fn", Other("float8_e4m3fn"), 1),
        ("", "float8_e5m2", Other("float8_e5m2"), 1),
        ("", "float8_e8m0fnu", Other("float8_e8m0fnu"), 1),
        ("", "float4_e2m1fn_x2", Other("float4_e2m1fn_x2"), 1),
    ]
};

/// The type of the numbers in a storage of this class, and their bytes.
pub(super) fn storage_type(class: &str) -> (StoredType, usize) {
    let name = class.rsplit('.').next().unwrap_or(class);
    let known = TYPES.iter().find(|(storage, ..)| *storage == name && !name.is_empty());
    known.map_or((StoredType::Other("other"), 0), |&(_, _, stored, bytes)| (stored, bytes))
}

/// The same for PyTorch's name of a type, such as `torch.uint16`.
pub(super) fn tensor_type(name: &str) -> (StoredType, usize) {
    let name = name.rsplit('.').next().unwrap_or(name);
    let known = TYPES.iter().find(|(_, own, ..)| *own == name && !name.is_empty());
    known.map_or((StoredType::Other("other"), 0), |&(_, _, stored, bytes)| (stored, bytes))
}

impl View {
    /// A tensor of this type without a storage.
    pub(super) fn of(stored: StoredType) -> Self {
        View {
            stored,
            key: String::new(),
            numel: 0,
            bytes: 0,
            shape: Vec::new(),
            strides: Vec::new(),
            offset: 0,
            negative: false,
            charged: false,
        }
    }

    /// The numbers of the storage up to the last one of the tensor. `None` if that overflows.
    pub(super) fn needed(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut last = self.offset;
        for (size, stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((size - 1).checked_mul(*stride)?)?;
        }
        last.checked_add(1)
    }

    /// Whether the numbers are adjacent and in C order.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected *= size;
            fits
        })
    }

    /// The tensor's bytes in C order, out of those of the storage from the tensor's first number on.
    pub(super) fn gather(&self, storage: Vec<u8>, big_endian: bool) -> Vec<u8> {
        let mut bytes = if self.is_contiguous() || self.shape.contains(&0) {
            storage
        } else {
            self.gather_strided(&storage)
        };
        if self.negative {
            let is_float = self.stored.is_float();
            for number in bytes.chunks_exact_mut(self.bytes) {
                negate(number, is_float, big_endian);
            }
        }
        bytes
    }

    fn gather_strided(&self, storage: &[u8]) -> Vec<u8> {
        let count: usize = self.shape.iter().product();
        let mut bytes = Vec::with_capacity(count * self.bytes);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        for _ in 0..count {
            bytes.extend_from_slice(&storage[at * self.bytes..][..self.bytes]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.strides[axis] * index[axis];
                index[axis] = 0;
            }
        }
        bytes
    }
}

/// Changes the sign of a float, or of an integer in two's complement.
fn negate(number: &mut [u8], is_float: bool, big_endian: bool) {
    if !big_endian {
        number.reverse();
    }
    if is_float {
        number[0] ^= 0x80;
    } else {
        let mut carry = true;
        for byte in number.iter_mut().rev() {
            let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, overflow);
        }
    }
    if !big_endian {
        number.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[usize], strides: &[usize]) -> View {
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        View { bytes: 1, shape, strides, ..View::of(StoredType::I8) }
    }

    #[test]
    fn strided_numbers_are_gathered_in_c_order() {
        let storage: Vec<u8> = (0..12).collect();
        for (shape, strides, expected) in [
            (&[2, 3][..], &[3, 1][..], &[0, 1, 2, 3, 4, 5][..]),
            (&[3, 2], &[1, 3], &[0, 3, 1, 4, 2, 5]),
            (&[2, 2], &[6, 2], &[0, 2, 6, 8]),
            (&[3], &[0], &[0, 0, 0]),
            (&[2, 1, 2], &[4, 100, 1], &[0, 1, 4, 5]),
            (&[], &[], &[0]),
            (&[0, 3], &[3, 1], &[]),
        ] {
            let view = view(shape, strides);
            let needed = view.needed().unwrap();
            let bytes = view.gather(storage[..needed].to_vec(), false);
            assert_eq!(bytes, expected, "{shape:?} {strides:?}");
        }
        assert_eq!(view(&[usize::MAX, 2], &[2, 1]).needed(), None);
    }

    #[test]
    fn a_negative_view_changes_signs() {
        for big_endian in [false, true] {
            for value in [1.5_f32, -0.0, f32::NAN, 0.0] {
                let bytes = if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
                let view = View {
                    bytes: 4,
                    shape: vec![1],
                    strides: vec![1],
                    negative: true,
                    ..View::of(StoredType::F32)
                };
                let negated = view.gather(bytes.to_vec(), big_endian).try_into().unwrap();
                let negated = if big_endian {
                    f32::from_be_bytes(negated)
                } else {
                    f32::from_le_bytes(negated)
                };
                assert_eq!(negated.to_bits(), (-value).to_bits());
            }
        }
        let view = View { negative: true, ..view(&[3], &[1]) };
        assert_eq!(view.gather(vec![1, 0, 0x80], false), [0xff, 0, 0x80]);
    }
}
