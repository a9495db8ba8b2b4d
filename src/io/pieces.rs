//! The numbers of a tensor, piece by piece, so that a tensor need not fit in memory.

use std::io::Read;

use super::Header;
use super::npy::{decode, for_each_bytes};
use crate::Error;

/// Some numbers of a tensor, in the order of the file. All of them are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece<'a> {
    /// Of a tensor of floats.
    Floats(&'a [f64]),
    /// Of a tensor of integers, or of booleans as 0 and 1.
    Integers(&'a [i128]),
}

impl Piece<'_> {
    /// How many numbers.
    pub fn len(&self) -> usize {
        match self {
            Piece::Floats(numbers) => numbers.len(),
            Piece::Integers(numbers) => numbers.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads the numbers behind a header, and shows them piece by piece.
pub(super) fn for_each_piece(
    reader: &mut dyn Read,
    place: &str,
    header: &Header,
    visit: &mut dyn FnMut(Piece<'_>),
) -> Result<(), Error> {
    let (mut floats, mut integers) = (Vec::new(), Vec::new());
    for_each_bytes(reader, place, header, |bytes| {
        if header.stored.is_float() {
            floats.clear();
            decode(header, bytes, &mut floats);
            visit(Piece::Floats(&floats));
        } else {
            integers.clear();
            decode(header, bytes, &mut integers);
            visit(Piece::Integers(&integers));
        }
        Ok(())
    })
}
