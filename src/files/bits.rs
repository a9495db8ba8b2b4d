//! Arrays of any type, whose numbers are moved and not converted.

use std::io::{self, Write};

use ndarray::ArrayD;

use super::npy::{AnyArray, header_bytes, write_numbers};
use super::{Stored, StoredType, TensorReader};
use crate::files::error::FileError;
use crate::memory::{array, grow};

/// The bits of a number of one, two, four or eight bytes, whatever its type.
pub trait Bits: Stored {
    /// The lowest of 64 bits.
    fn of(bits: u64) -> Self;
}

macro_rules! bits {
    ($($type:ty),*) => {$(
        impl Bits for $type {
            #[allow(clippy::cast_possible_truncation, reason = "the bits above belong to wider types")]
            #[allow(trivial_numeric_casts, reason = "u64 has all of them")]
            fn of(bits: u64) -> Self {
                bits as $type
            }
        }
    )*};
}

bits!(u8, u16, u32, u64);

/// An array of a stored type.
#[derive(Debug)]
pub struct StoredArray<B> {
    /// The type of the numbers, which have the size of `B`.
    pub stored: StoredType,
    /// The bits of each number.
    pub bits: ArrayD<B>,
}

impl<B: Bits> AnyArray for StoredArray<B> {
    fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&header_bytes(&self.stored.descr(), self.bits.shape())?)?;
        write_numbers(writer, &self.bits, &mut Vec::new())
    }

    fn bytes(&self) -> usize {
        self.bits.len() * size_of::<B>()
    }
}

impl TensorReader<'_> {
    /// Reads the bits of all numbers, whose type has the size of `B`.
    pub fn read_bits<B: Bits>(mut self) -> Result<ArrayD<B>, FileError> {
        let shape = self.header().shape.clone();
        let bytes = self.header().body_bytes();
        let (mut values, mut piece) = (Vec::new(), Vec::new());
        loop {
            self.next_bits(&mut piece)?;
            if piece.is_empty() {
                return Ok(array(&shape, values));
            }
            grow(&mut values, piece.len(), "input", bytes)?;
            values.extend(piece.iter().map(|&bits| B::of(bits)));
        }
    }
}
