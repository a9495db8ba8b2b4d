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
    /// A type that is listed by its name and not read: complex, quantized, 8 bits and fewer, text, objects.
    Other(&'static str),
}

/// Other names of types that NumPy accepts, behind its letter and size.
const NUMPY_NAMES: [(&str, &str); 43] = [
    ("?", "b1"),
    ("?", "bool"),
    ("?", "bool_"),
    ("i1", "b"),
    ("i1", "int8"),
    ("i1", "byte"),
    ("u1", "B"),
    ("u1", "uint8"),
    ("u1", "ubyte"),
    ("i2", "h"),
    ("i2", "int16"),
    ("i2", "short"),
    ("u2", "H"),
    ("u2", "uint16"),
    ("u2", "ushort"),
    ("i4", "i"),
    ("i4", "int32"),
    ("i4", "intc"),
    ("u4", "I"),
    ("u4", "uint32"),
    ("u4", "uintc"),
    ("i8", "l"),
    ("i8", "q"),
    ("i8", "int64"),
    ("i8", "int"),
    ("i8", "int_"),
    ("i8", "longlong"),
    ("i8", "long"),
    ("u8", "L"),
    ("u8", "Q"),
    ("u8", "uint64"),
    ("u8", "uint"),
    ("u8", "ulonglong"),
    ("f2", "e"),
    ("f2", "float16"),
    ("f2", "half"),
    ("f4", "f"),
    ("f4", "float32"),
    ("f4", "single"),
    ("f8", "d"),
    ("f8", "float64"),
    ("f8", "double"),
    ("f8", "float"),
];

impl StoredType {
    /// Each with its name, its [size](StoredType::size), and NumPy's letter and size.
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

    /// The row of the table; `None` for a type that is not read.
    fn row(self) -> Option<&'static (StoredType, &'static str, usize, &'static str)> {
        Self::ALL.iter().find(|(stored, ..)| *stored == self)
    }

    /// Bytes of one number. Text is converted to f64 first.
    pub fn size(self) -> usize {
        self.row().map_or(0, |row| row.2)
    }

    /// The default type of its numbers in computations: f64 for doubles, f32 for all others.
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

    /// The type for NumPy's letter and size, its letter or its name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_it = |(_, name): &&(&str, &str)| *name == text;
        let numpy = NUMPY_NAMES.iter().find(is_it).map_or(text, |(numpy, _)| numpy);
        let found = Self::ALL.iter().find(|(.., own)| !own.is_empty() && *own == numpy);
        found.map(|(stored, ..)| *stored)
    }

    /// NumPy's name of the type in little-endian order. A .npy file cannot hold bfloat16.
    pub(super) fn descr(self) -> String {
        let order = if self.size() == 1 { '|' } else { '<' };
        self.row().map_or(String::new(), |(.., numpy)| match *numpy {
            "?" => "|b1".to_owned(),
            numpy => format!("{order}{numpy}"),
        })
    }

    /// The type of this name in .safetensors.
    pub(super) fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, own, ..)| own.to_uppercase() == name);
        found.map(|(stored, ..)| *stored).filter(|stored| *stored != StoredType::Text)
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
        f.pad(match self {
            StoredType::Other(name) => name,
            stored => stored.row().map_or("", |row| row.1),
        })
    }
}

impl serde::Serialize for StoredType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Type, order and shape of an array.
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
    /// The header of little-endian numbers in C order.
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

/// Checks that the product of all sizes except 0 does not overflow in bytes: ndarray requires that.
pub(super) fn check_size(shape: &[usize], stored: StoredType) -> Result<(), String> {
    let mut sizes = shape.iter().copied().filter(|&size| size > 0);
    // Numbers are converted to types of at most 8 bytes.
    let widest = stored.size().max(8);
    match sizes.try_fold(widest, usize::checked_mul) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(format!("shape {shape:?} is too large")),
    }
}
