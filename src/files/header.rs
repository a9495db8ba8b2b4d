//! The header of a .npy file, read strictly.
//!
//! It is a Python dictionary. A general reader of Python literals can be led into time exponential in
//! the depth of nesting, and sizes can be chosen to overflow; so exactly three keys are taken, once each,
//! with nothing nested, and every product is checked before a byte is allocated for it.

use std::io::Read;

use super::literal;
use crate::element::Dtype;
use crate::files::error::FileError;

/// What NumPy accepts at most by default.
const MAX_HEADER_BYTES: usize = 10_000;

/// Most axes of a tensor where a file could name more than it has bytes for: as many as NumPy and PyTorch
/// have.
#[cfg_attr(
    not(any(feature = "onnx", feature = "safetensors")),
    allow(dead_code, reason = "a .npy header is short")
)]
pub(super) const MAX_AXES: usize = 64;

/// A type of number that a file may hold. A .npy file cannot hold bfloat16, and only a table holds text.
///
/// ```
/// use elman::files::StoredType;
/// use elman::Dtype;
///
/// let stored = StoredType::F16;
/// assert_eq!((stored.to_string(), stored.size()), ("f16".to_owned(), 2));
/// assert!(stored.is_float() && !stored.is_computed());
/// assert_eq!(stored.natural(), Dtype::F32);
/// ```
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
    /// Bytes of one number; of text, those that it becomes first.
    pub fn size(self) -> usize {
        match self {
            StoredType::Bool | StoredType::I8 | StoredType::U8 => 1,
            StoredType::I16 | StoredType::U16 | StoredType::F16 | StoredType::BF16 => 2,
            StoredType::I32 | StoredType::U32 | StoredType::F32 => 4,
            StoredType::I64 | StoredType::U64 | StoredType::F64 | StoredType::Text => 8,
        }
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
    pub(super) fn parse(letter: char, size: &str) -> Option<Self> {
        Some(match (letter, size) {
            ('?', "") | ('b', "1") => StoredType::Bool,
            ('i', "1") => StoredType::I8,
            ('i', "2") => StoredType::I16,
            ('i', "4") => StoredType::I32,
            ('i', "8") => StoredType::I64,
            ('u', "1") => StoredType::U8,
            ('u', "2") => StoredType::U16,
            ('u', "4") => StoredType::U32,
            ('u', "8") => StoredType::U64,
            ('f', "2") => StoredType::F16,
            ('f', "4") => StoredType::F32,
            ('f', "8") => StoredType::F64,
            _ => return None,
        })
    }
}

impl std::fmt::Display for StoredType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            StoredType::Bool => "bool",
            StoredType::I8 => "i8",
            StoredType::I16 => "i16",
            StoredType::I32 => "i32",
            StoredType::I64 => "i64",
            StoredType::U8 => "u8",
            StoredType::U16 => "u16",
            StoredType::U32 => "u32",
            StoredType::U64 => "u64",
            StoredType::F16 => "f16",
            StoredType::BF16 => "bf16",
            StoredType::F32 => "f32",
            StoredType::F64 => "f64",
            StoredType::Text => "text",
        })
    }
}

/// What a .npy file says about its array.
///
/// ```
/// use elman::files::{Header, Source, StoredType, TensorFile};
///
/// let file = TensorFile::open(&Source::parse("fixtures/x.npy".as_ref()))?;
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

    /// Reads a header, magic string included, and nothing behind it. `place` names the file in errors;
    /// `len` is the number of bytes of the file, where it is known.
    ///
    /// ```
    /// use elman::files::{Header, StoredType, write_npy};
    /// use ndarray::ArrayD;
    ///
    /// let mut file = Vec::new();
    /// write_npy(&mut file, &ArrayD::<f64>::zeros(vec![5, 3, 10]).view())?;
    /// let mut rest = file.as_slice();
    /// let header = Header::read(&mut rest, "x.npy", Some(file.len() as u64))?;
    /// assert_eq!((header.stored, header.shape.as_slice()), (StoredType::F64, &[5, 3, 10][..]));
    /// assert_eq!(rest.len(), header.body_bytes());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Malformed`] says what was expected; [`FileError::Read`].
    pub fn read(reader: &mut dyn Read, place: &str, len: Option<u64>) -> Result<Self, FileError> {
        let malformed = |what: String| FileError::Malformed { place: place.to_owned(), what };
        let mut bytes = Vec::new();
        fill(reader, &mut bytes, 8, place)?;
        if !bytes.starts_with(b"\x93NUMPY") {
            return Err(malformed("expected .npy, got another format".to_owned()));
        }
        let version = (bytes[6], bytes[7]);
        let length_bytes = match version {
            (1, 0) => 2,
            (2 | 3, 0) => 4,
            (major, minor) => {
                let what = format!("format version {major}.{minor}; supported 1.0, 2.0, 3.0");
                return Err(malformed(what));
            }
        };
        fill(reader, &mut bytes, 8 + length_bytes, place)?;
        let mut length = [0; 8];
        length[..length_bytes].copy_from_slice(&bytes[8..]);
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER_BYTES as u64 {
            let what = format!("header of {length} bytes; limit {MAX_HEADER_BYTES}");
            return Err(malformed(what));
        }
        let start = bytes.len();
        let cut_off =
            |got: u64| malformed(format!("expected a header of {length} bytes, got {got}"));
        let present = len.map_or(length, |len| len.saturating_sub(start as u64));
        if present < length {
            return Err(cut_off(present));
        }
        // At most 10000, as checked above.
        let got = read_up_to(reader, &mut bytes, length, place)?;
        if got < length {
            return Err(cut_off(got));
        }
        literal::parse(&bytes, start, version.0).map_err(malformed)
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

/// Reads until `bytes` has `len` of them.
fn fill(
    reader: &mut dyn Read,
    bytes: &mut Vec<u8>,
    len: usize,
    place: &str,
) -> Result<(), FileError> {
    let missing = (len - bytes.len()) as u64;
    if read_up_to(reader, bytes, missing, place)? < missing {
        let what = format!("truncated header at byte {}", bytes.len());
        return Err(FileError::Malformed { place: place.to_owned(), what });
    }
    Ok(())
}

/// Reads so many bytes more, or those that there are, and says how many that was.
fn read_up_to(
    reader: &mut dyn Read,
    bytes: &mut Vec<u8>,
    more: u64,
    place: &str,
) -> Result<u64, FileError> {
    let got = reader.take(more).read_to_end(bytes);
    let got = got.map_err(|source| FileError::Read { place: place.to_owned(), source })?;
    Ok(got as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as NumPy writes it.
    fn header(version: u8) -> Vec<u8> {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 3, 10), }\n";
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        let length = if version == 1 { &length[..2] } else { &length[..] };
        [b"\x93NUMPY", &[version, 0][..], length, text.as_bytes()].concat()
    }

    #[test]
    fn headers_of_all_versions_are_read_and_what_is_cut_off_is_refused() {
        for version in 1..=3 {
            let bytes = header(version);
            let read = |bytes: &[u8]| Header::read(&mut &bytes[..], "x.npy", None);
            assert_eq!(read(&bytes).unwrap(), Header::plain(StoredType::F32, &[5, 3, 10]));
            for end in 0..bytes.len() {
                assert!(matches!(read(&bytes[..end]), Err(FileError::Malformed { .. })), "{end}");
            }
        }
    }

    /// What another byte means, the literal's grammar says. None may be read where there is none.
    #[test]
    fn a_header_with_any_byte_changed_has_an_answer() {
        let bytes = header(1);
        for at in 0..bytes.len() {
            for byte in [0, b'\'', b'(', b'9', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let answer = Header::read(&mut &changed[..], "x.npy", None);
                assert!(answer.is_err() || at >= 10 || byte == bytes[at], "byte {at}: {byte}");
            }
        }
    }
}
