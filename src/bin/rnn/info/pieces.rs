//! The numbers of a tensor, piece by piece: a tensor may be larger than memory.

use elman::files::{Bundle, FileError, Number, StoredType, TensorReader};

/// Some numbers of a tensor, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Of a tensor of floats.
    Floats(&'a [f64]),
    /// Of a tensor of integers, or of booleans as 0 and 1.
    Integers(&'a [i128]),
}

impl Piece<'_> {
    /// The count of numbers.
    pub(super) fn len(&self) -> usize {
        match self {
            Piece::Floats(numbers) => numbers.len(),
            Piece::Integers(numbers) => numbers.len(),
        }
    }

    /// One of them.
    pub(super) fn number(&self, index: usize) -> Number {
        match self {
            Piece::Floats(numbers) => Number::F64(numbers[index]),
            Piece::Integers(numbers) => Number::Integer(numbers[index]),
        }
    }
}

/// Visits all numbers in the order of the file, in which they need no buffer.
pub(super) fn for_each_piece(
    numbers: TensorReader<'_>,
    mut visit: impl FnMut(Piece<'_>),
) -> Result<(), FileError> {
    let mut numbers = numbers.in_file_order();
    let stored = numbers.header().stored;
    let (mut bits, mut floats, mut integers) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        numbers.next_bits(&mut bits)?;
        if bits.is_empty() {
            return Ok(());
        }
        floats.clear();
        integers.clear();
        match stored {
            // The usual types have loops without a branch.
            StoredType::F32 => floats.extend(bits.iter().map(|&bits| {
                #[allow(clippy::cast_possible_truncation, reason = "the bits above belong to f64")]
                let bits = bits as u32;
                f64::from(f32::from_bits(bits))
            })),
            StoredType::F64 => floats.extend(bits.iter().map(|&bits| f64::from_bits(bits))),
            _ => {
                for number in bits.iter().map(|&bits| stored.number(bits)) {
                    match number {
                        Number::Integer(value) => integers.push(value),
                        float => floats.push(float.to_f64()),
                    }
                }
            }
        }
        visit(if stored.is_float() { Piece::Floats(&floats) } else { Piece::Integers(&integers) });
    }
}

/// The integers of a tensor in the order of the file; empty for floats.
pub(super) fn integers(bundle: &mut Bundle, index: usize) -> Result<Vec<i128>, FileError> {
    let mut all = Vec::new();
    for_each_piece(bundle.reader(index)?, |piece| {
        if let Piece::Integers(numbers) = piece {
            all.extend_from_slice(numbers);
        }
    })?;
    Ok(all)
}
