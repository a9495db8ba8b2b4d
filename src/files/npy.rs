//! .npy files, written.

use std::io::{self, Write};

use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::npy::header::Layout;
use ndarray_npy::{WritableElement, WriteNpyError, WriteNpyExt};

use super::StoredType;
use crate::element::{Dtype, Element};

/// A type of number that is written.
pub trait Stored: WritableElement + Copy + 'static {
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
stored!(u16, "<u2");
stored!(u32, "<u4");
stored!(u64, "<u8");
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

/// Bytes that are read or written at once.
pub(super) const PIECE_BYTES: usize = 1 << 16;

/// An array of any type that is written.
pub trait AnyArray {
    /// The type of its numbers.
    fn stored(&self) -> StoredType;
    /// Its sizes.
    fn shape(&self) -> &[usize];
    /// Writes its numbers in C order and little-endian bytes.
    fn write_numbers(&self, writer: &mut dyn Write) -> io::Result<()>;

    /// Writes it as [`write_npy`] does.
    fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&header_bytes(&self.stored().descr(), self.shape())?)?;
        self.write_numbers(writer)
    }

    /// Bytes of its numbers.
    fn bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * self.stored().size()
    }
}

impl<T: Stored> AnyArray for ArrayD<T> {
    fn stored(&self) -> StoredType {
        // Behind the order of the bytes.
        let stored = StoredType::parse(&T::DESCR[1..]);
        stored.unwrap_or_else(|| unreachable!("{}: written and not read", T::DESCR))
    }

    fn shape(&self) -> &[usize] {
        ArrayD::shape(self)
    }

    fn write_numbers(&self, writer: &mut dyn Write) -> io::Result<()> {
        write_numbers(writer, self, &mut Vec::new())
    }

    fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        write_npy(writer, &self.view())
    }
}

/// Writes an array as .npy, always in C order.
pub fn write_npy<T: Stored>(writer: &mut dyn Write, array: &ArrayViewD<'_, T>) -> io::Result<()> {
    // In Fortran order, ndarray-npy would write the numbers in the order of the memory. It panics over some views with
    // an axis of length 0 or 1, which are in standard layout and no slice.
    if !array.is_standard_layout() || array.as_slice_memory_order().is_none() {
        writer.write_all(&header_bytes(T::DESCR, array.shape())?)?;
        return write_numbers(writer, array, &mut Vec::new());
    }
    WriteNpyExt::write_npy(array, writer).map_err(|error| match error {
        WriteNpyError::Io(source) => source,
        error => io::Error::other(error),
    })
}

/// Writes numbers one after the other. `piece` is memory for their bytes, with any content.
pub(super) fn write_numbers<'a, T: Stored>(
    writer: &mut dyn Write,
    numbers: impl IntoIterator<Item = &'a T>,
    piece: &mut Vec<u8>,
) -> io::Result<()> {
    write_low_bytes(writer, numbers, size_of::<T>(), piece)
}

/// Writes the lowest bytes of each number.
#[inline]
pub(super) fn write_low_bytes<'a, T: Stored>(
    writer: &mut dyn Write,
    numbers: impl IntoIterator<Item = &'a T>,
    bytes: usize,
    piece: &mut Vec<u8>,
) -> io::Result<()> {
    piece.clear();
    for &value in numbers {
        piece.extend_from_slice(&value.bytes().as_ref()[..bytes]);
        if piece.len() >= PIECE_BYTES {
            writer.write_all(piece)?;
            piece.clear();
        }
    }
    writer.write_all(piece)
}

/// The header before the numbers of a type with this name in NumPy.
pub(super) fn header_bytes(descr: &str, shape: &[usize]) -> io::Result<Vec<u8>> {
    let type_descriptor = format!("'{descr}'").parse().map_err(io::Error::other)?;
    let (layout, shape) = (Layout::Standard, shape.to_vec());
    let header = ndarray_npy::npy::header::Header { type_descriptor, layout, shape };
    header.to_bytes().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Header, StoredType};

    #[test]
    fn arrays_are_written_in_c_order_behind_aligned_headers() {
        let array = ndarray::array![[1.0_f32, 2.0], [3.0, 4.0]];
        let transposed = array.t();
        for (array, numbers) in
            [(array.view(), [1.0_f32, 2.0, 3.0, 4.0]), (transposed, [1.0, 3.0, 2.0, 4.0])]
        {
            let mut file = Vec::new();
            write_npy(&mut file, &array.into_dyn()).unwrap();
            let mut body = file.as_slice();
            let header = Header::read(&mut body, "x.npy").unwrap().0;
            assert_eq!(header, Header::plain(StoredType::F32, &[2, 2]));
            assert_eq!(body, numbers.map(f32::to_le_bytes).concat());
            assert_eq!((file.len() - body.len()) % 64, 0);
        }
        let shape = [7, 1 << 40, 20];
        let bytes = header_bytes("<f2", &shape).unwrap();
        let header = Header::read(&mut bytes.as_slice(), "x.npy").unwrap().0;
        assert_eq!(header, Header::plain(StoredType::F16, &shape));
    }
}
