//! The body of a .npy file, read and written.

use std::io::{self, Read, Write};

use ndarray::{ArrayD, ArrayViewD, IxDyn, ShapeBuilder};

use super::{Header, StoredType};
use crate::element::{Dtype, Element};
use crate::files::error::FileError;
use crate::memory::{grow, reserved};

/// A type of number that is written.
///
/// ```
/// use elman::files::Stored;
///
/// assert_eq!(<f32 as Stored>::DESCR, "<f4");
/// assert_eq!(1_i64.bytes().as_ref(), [1, 0, 0, 0, 0, 0, 0, 0]);
/// ```
pub trait Stored: Copy + 'static {
    /// NumPy's name of the type in little-endian order.
    const DESCR: &'static str;
    /// The number's bytes, in that order.
    fn bytes(self) -> impl AsRef<[u8]>;
}

macro_rules! stored {
    ($type:ty, $descr:literal) => {
        impl Stored for $type {
            const DESCR: &'static str = $descr;
            fn bytes(self) -> impl AsRef<[u8]> {
                self.to_le_bytes()
            }
        }
    };
}

stored!(u8, "|u1");
stored!(i64, "<i8");

impl<T: Element> Stored for T {
    const DESCR: &'static str = match T::DTYPE {
        Dtype::F32 => "<f4",
        Dtype::F64 => "<f8",
    };
    fn bytes(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

/// Bytes that are read and converted at once.
pub(super) const PIECE_BYTES: usize = 1 << 16;

/// Reads the numbers behind a header, and converts them. `known` says that the source has told its
/// length and that the header agrees with it; else memory grows only as fast as bytes arrive.
pub(super) fn read_body<T: Element>(
    reader: &mut dyn Read,
    place: &str,
    header: &Header,
    known: bool,
) -> Result<ArrayD<T>, FileError> {
    let (count, size) = (header.count(), header.stored.size());
    let mut values: Vec<T> = reserved(if known { count } else { 0 }, "input")?;
    let all = header.body_bytes();
    let mut piece = vec![0; PIECE_BYTES.min(all)];
    let mut before = 0;
    while before < all {
        let bytes = &mut piece[..PIECE_BYTES.min(all - before)];
        let got = read_full(reader, bytes)
            .map_err(|source| FileError::Read { place: place.to_owned(), source })?;
        if got < bytes.len() {
            return Err(missing(place, header, before + got));
        }
        grow(&mut values, got / size, "input", count.saturating_mul(size_of::<T>()))?;
        decode(header, bytes, &mut values);
        before += got;
    }
    let shape = IxDyn(&header.shape).set_f(header.fortran_order);
    // The header's sizes multiply to `count`, and were checked for overflow.
    Ok(ArrayD::from_shape_vec(shape, values).unwrap_or_else(|_| unreachable!("{place}: shape")))
}

/// Fewer bytes than the header promises.
pub(super) fn missing(place: &str, header: &Header, got: usize) -> FileError {
    let expected = header.body_bytes();
    let mut what = format!(
        "expected {expected} bytes after the header for shape {:?}, got {got}",
        header.shape
    );
    if got == 0 && expected > 0 {
        what +=
            " (np.save cannot write into a buffered pipe: np.save(open(1, 'wb', 0), array) can)";
    }
    FileError::Malformed { place: place.to_owned(), what }
}

/// Reads until `bytes` is full or the source ends.
pub(super) fn read_full(reader: &mut dyn Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match reader.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// Appends the numbers in `bytes` to `values`.
pub(super) fn decode<T: Element>(header: &Header, bytes: &[u8], values: &mut Vec<T>) {
    /// Reads numbers of one stored type in either byte order.
    macro_rules! numbers {
        ($stored:ty, $convert:expr) => {{
            const SIZE: usize = size_of::<$stored>();
            let (chunks, _) = bytes.as_chunks::<SIZE>();
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
        // The numbers of a table are doubles until somebody asks for them.
        StoredType::F64 | StoredType::Text => numbers!(f64, T::from_f64),
    }
}

/// An array of any type that is written.
///
/// ```
/// use elman::files::AnyArray;
/// use ndarray::{ArrayD, arr1};
///
/// // The parts of a packed sequence have two types.
/// let (data, batch_sizes) = (ArrayD::<f32>::zeros(vec![4, 10]), arr1(&[2_i64, 1, 1]).into_dyn());
/// let parts: [(&str, &dyn AnyArray); 2] = [("data", &data), ("batch_sizes", &batch_sizes)];
/// assert_eq!(parts.map(|(_, part)| part.bytes()), [4 * 10 * 4, 3 * 8]);
/// ```
pub trait AnyArray {
    /// Writes it as [`write_npy`] does.
    ///
    /// # Errors
    /// What the writer says.
    fn write(&self, writer: &mut dyn Write) -> io::Result<()>;
    /// Bytes of its numbers.
    fn bytes(&self) -> usize;
}

impl<T: Stored> AnyArray for ArrayD<T> {
    fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        write_npy(writer, &self.view())
    }

    fn bytes(&self) -> usize {
        self.len() * size_of::<T>()
    }
}

/// Writes an array as .npy 1.0, always in C order, with the bytes that `np.save` writes.
///
/// ```
/// use elman::files::write_npy;
/// use ndarray::arr2;
///
/// let mut file = Vec::new();
/// write_npy(&mut file, &arr2(&[[1.0_f32, 2.0]]).into_dyn().view())?;
/// assert!(file.starts_with(b"\x93NUMPY\x01\x00"));
/// assert!(file.ends_with(&[1.0_f32, 2.0].map(f32::to_le_bytes).concat()));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// What the writer says.
pub fn write_npy<T: Stored>(writer: &mut dyn Write, array: &ArrayViewD<'_, T>) -> io::Result<()> {
    writer.write_all(&header_bytes(T::DESCR, array.shape())?)?;
    write_numbers(writer, array)
}

/// Writes numbers one after the other.
pub(super) fn write_numbers<'a, T: Stored>(
    writer: &mut dyn Write,
    numbers: impl IntoIterator<Item = &'a T>,
) -> io::Result<()> {
    write_pieces(writer, numbers, &mut Vec::with_capacity(PIECE_BYTES))
}

/// Does so with `piece` as memory for bytes; what it holds does not matter.
pub(super) fn write_pieces<'a, T: Stored>(
    writer: &mut dyn Write,
    numbers: impl IntoIterator<Item = &'a T>,
    piece: &mut Vec<u8>,
) -> io::Result<()> {
    piece.clear();
    for &value in numbers {
        piece.extend_from_slice(value.bytes().as_ref());
        if piece.len() >= PIECE_BYTES {
            writer.write_all(piece)?;
            piece.clear();
        }
    }
    writer.write_all(piece)
}

/// What NumPy writes before the numbers: the dictionary, room for the first axis to grow to 21 digits in
/// place, and spaces up to a multiple of 64 bytes.
pub(super) fn header_bytes(descr: &str, shape: &[usize]) -> io::Result<Vec<u8>> {
    let sizes: Vec<_> = shape.iter().map(ToString::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        sizes.join(", ")
    );
    if let Some(first) = sizes.first() {
        text += &" ".repeat(21_usize.saturating_sub(first.len()));
    }
    let magic = b"\x93NUMPY\x01\x00";
    let len = (magic.len() + 2 + text.len() + 1).next_multiple_of(64) - magic.len() - 2;
    let too_many = || format!("{} axes are too many for .npy 1.0", shape.len());
    let length =
        u16::try_from(len).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, too_many()))?;
    text = format!("{text:<width$}\n", width = len - 1);
    Ok([&magic[..], &length.to_le_bytes(), text.as_bytes()].concat())
}
