//! Arrays of any type, whose numbers are moved and not converted.

use std::io::{self, Write};

use ndarray::ArrayD;

use super::npy::{AnyArray, write_low_bytes};
use super::{Stored, StoredType, TensorReader};
use crate::files::error::FileError;
use crate::memory::{array, grow};

/// A word that holds the bits of a number of up to four, or up to eight, bytes.
pub trait Bits: Stored {
    /// The lowest of 64 bits.
    fn of(bits: u64) -> Self;
}

impl Bits for u32 {
    #[allow(clippy::cast_possible_truncation, reason = "the bits above belong to wider types")]
    fn of(bits: u64) -> Self {
        bits as u32
    }
}

impl Bits for u64 {
    fn of(bits: u64) -> Self {
        bits
    }
}

/// An array of a stored type.
#[derive(Debug)]
pub struct StoredArray<B> {
    /// The type of the numbers, which is no larger than `B`.
    pub stored: StoredType,
    /// The bits of each number.
    pub bits: ArrayD<B>,
}

impl<B: Bits> AnyArray for StoredArray<B> {
    fn stored(&self) -> StoredType {
        self.stored
    }

    fn shape(&self) -> &[usize] {
        self.bits.shape()
    }

    fn write_numbers(&self, writer: &mut dyn Write) -> io::Result<()> {
        write_low_bytes(writer, &self.bits, self.stored.size(), &mut Vec::new())
    }
}

impl TensorReader<'_> {
    /// Reads the bits of all numbers, whose type is no larger than `B`.
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
