//! The header of a tensor: type, order and shape of its numbers, whatever the format.

use crate::element::Dtype;

/// A type of number that a file may hold. A .npy file cannot hold bfloat16, and only a table holds text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum StoredType {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    BF16,
    F32,
    F64,
    Text,
}

impl StoredType {
    /// Each with its name, the bytes of one number (of text, those that it becomes first), and NumPy's letter
    /// and size.
    const ALL: [(StoredType, &'static str, usize, &'static str); 14] = [
        (StoredType::Bool, "bool", 1, "?"),
        (StoredType::I8, "i8", 1, "i1"),
        (StoredType::I16, "i16", 2, "i2"),
        (StoredType::I32, "i32", 4, "i4"),
        (StoredType::I64, "i64", 8, "i8"),
        (StoredType::U8, "u8", 1, "u1"),
        (StoredType::U16, "u16", 2, "u2"),
        (StoredType::U32, "u32", 4, "u4"),
        (StoredType::U64, "u64", 8, "u8"),
        (StoredType::F16, "f16", 2, "f2"),
        (StoredType::BF16, "bf16", 2, ""),
        (StoredType::F32, "f32", 4, "f4"),
        (StoredType::F64, "f64", 8, "f8"),
        (StoredType::Text, "text", 8, ""),
    ];

    /// Bytes of one number; of text, those that it becomes first.
    pub fn size(self) -> usize {
        Self::ALL[self as usize].2
    }

    /// The type that its numbers are computed in where nobody asks for another: doubles stay what they
    /// are, and everything else becomes f32.
    pub fn natural(self) -> Dtype {
        if self == StoredType::F64 { Dtype::F64 } else { Dtype::F32 }
    }

    /// Whether it is one of the types that are computed in.
    pub fn is_computed(self) -> bool {
        matches!(self, StoredType::F32 | StoredType::F64)
    }

    /// Whether its numbers are floats, rather than integers or booleans.
    pub fn is_float(self) -> bool {
        use StoredType::{BF16, F16, F32, F64, Text};
        matches!(self, F16 | BF16 | F32 | F64 | Text)
    }

    /// The type for NumPy's letter and size.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let numpy = if text == "b1" { "?" } else { text };
        let known = |(.., own): &&(_, _, _, &str)| !own.is_empty() && *own == numpy;
        Self::ALL.iter().find(known).map(|(stored, ..)| *stored)
    }

    /// The type of this name in .safetensors.
    #[cfg(feature = "safetensors")]
    pub(super) fn named(name: &str) -> Option<Self> {
        let known = |(stored, own, ..): &&(StoredType, &str, _, _)| {
            *stored != StoredType::Text && own.to_uppercase() == name
        };
        Self::ALL.iter().find(known).map(|(stored, ..)| *stored)
    }
}

impl From<Dtype> for StoredType {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => StoredType::F32,
            Dtype::F64 => StoredType::F64,
        }
    }
}

impl std::fmt::Display for StoredType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(Self::ALL[*self as usize].1)
    }
}

/// What a .npy file says about its array.
///
/// ```
/// use elman::files::{Accepts, Header, Source, StoredType, open};
///
/// let source = Source::parse("fixtures/x.npy".as_ref());
/// let file = open(&source, Accepts::Tensor)?.into_tensor()?;
/// let Header { stored, shape, .. } = file.header();
/// assert_eq!((*stored, shape.as_slice()), (StoredType::F32, &[5, 3, 10][..]));
/// assert_eq!(file.header().body_bytes(), file.header().count() * 4);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type of the numbers.
    pub stored: StoredType,
    /// Whether the numbers are big-endian.
    pub big_endian: bool,
    /// Whether the first axis varies fastest.
    pub fortran_order: bool,
    /// Sizes of the array.
    pub shape: Vec<usize>,
}

impl Header {
    /// That of little-endian numbers in C order.
    pub(super) fn plain(stored: StoredType, shape: &[usize]) -> Self {
        Header { stored, big_endian: false, fortran_order: false, shape: shape.to_vec() }
    }

    /// Numbers in the array. The reader has checked the product.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of the array. The reader has checked the product.
    pub fn body_bytes(&self) -> usize {
        self.count() * self.stored.size()
    }
}

/// Checks that the bytes of all axes, empty ones left out, can be counted: ndarray multiplies them so.
pub(super) fn check_size(shape: &[usize], stored: StoredType) -> Result<(), String> {
    let sizes = shape.iter().copied().filter(|&size| size > 0);
    // Eight bytes is the widest type that anything is converted to.
    let widest = stored.size().max(8);
    let bytes = sizes.clone().try_fold(widest, usize::checked_mul);
    match bytes {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(format!("shape {shape:?} is too large")),
    }
}
