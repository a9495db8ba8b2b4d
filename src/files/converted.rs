//! A tensor of a file that is written to another one, piece by piece.

use std::cell::RefCell;
use std::io::{self, Write};

use ndarray::ArrayD;

use super::conversion::Plan;
use super::npy::{AnyArray, write_low_bytes};
use super::number::append_bits;
use super::{Conversion, File, StoredType};
use crate::files::error::FileError;
use crate::memory::{OutOfMemory, array, grow};

/// Numbers of a piece of a tensor that is held.
const PIECE_NUMBERS: usize = 1 << 14;

/// A tensor of a file, converted while it is written. Only a table, and a tensor whose axes change their order or that is
/// stored in Fortran order, is held in memory. It is written once.
///
/// ```
/// use std::cell::RefCell;
/// use elman::files::{Accepts, AnyArray, Conversion, Converted, Source, StoredType, open};
///
/// let file = RefCell::new(open(&Source::parse("fixtures/x.npy".as_ref()), Accepts::Anything)?);
/// // x[:2].transpose(0, 1).half()
/// let conversion = Conversion { slices: vec![":2".parse()?], axes: vec![0, 1] };
/// let x = Converted::new(&file, 0, &conversion, StoredType::F16)?;
/// assert_eq!(x.shape(), [3, 2, 10]);
/// let mut bytes = Vec::new();
/// x.write(&mut bytes)?;
/// assert_eq!(bytes.len(), 128 + 3 * 2 * 10 * 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Converted<'a> {
    file: &'a RefCell<File>,
    index: usize,
    place: String,
    source: Vec<usize>,
    plan: Plan,
    shape: Vec<usize>,
    stored: StoredType,
}

impl<'a> Converted<'a> {
    /// The tensor at `index` of a bundle, or a single one, with numbers of the type `stored`.
    pub fn new(
        file: &'a RefCell<File>,
        index: usize,
        conversion: &Conversion,
        stored: StoredType,
    ) -> Result<Self, FileError> {
        let mut own = file.borrow_mut();
        let (place, source) = match &mut *own {
            File::Tensor(tensor) => {
                if stored == StoredType::F32 {
                    tensor.round_text()?;
                }
                (tensor.place().to_owned(), tensor.header().shape.clone())
            }
            File::Bundle(bundle) => {
                (bundle.entry_place(index), bundle.entries()[index].shape.clone())
            }
            #[cfg(feature = "onnx")]
            File::Graph(graph) => {
                return Err(FileError::malformed(&graph.place, "expected tensors, got a graph"));
            }
        };
        drop(own);
        let plan = conversion.plan(&place, &source)?;
        let shape = plan.shape();
        Ok(Converted { file, index, place, source, plan, shape, stored })
    }

    /// Passes on the bits of the numbers, in the order of the result.
    pub(super) fn pieces(&self, each: &mut dyn FnMut(&[u64]) -> io::Result<()>) -> io::Result<()> {
        if self.plan.is_in_order() {
            return self.taken(each);
        }
        // Numbers that are neighbours in the result are apart in the source.
        let (mut held, mut bytes, size) = (Vec::new(), Vec::new(), self.stored.size());
        self.taken(&mut |bits| {
            grow(&mut held, bits.len() * size, "input", self.bytes()).map_err(out_of_memory)?;
            write_low_bytes(&mut held, bits, size, &mut bytes)
        })?;
        let mut piece = Vec::with_capacity(PIECE_NUMBERS);
        for place in self.plan.places() {
            append_bits(&held[place * size..][..size], self.stored, false, &mut piece);
            if piece.len() == PIECE_NUMBERS {
                each(&piece)?;
                piece.clear();
            }
        }
        each(&piece)
    }

    /// Passes on the bits of the numbers that are taken, converted, in the order of the source.
    fn taken(&self, each: &mut dyn FnMut(&[u64]) -> io::Result<()>) -> io::Result<()> {
        let mut file = self.file.borrow_mut();
        let reader = match &mut *file {
            File::Tensor(tensor) => tensor.reader(),
            File::Bundle(bundle) => bundle.reader(self.index),
            #[cfg(feature = "onnx")]
            File::Graph(_) => unreachable!("a graph has been refused"),
        };
        let mut reader = reader.map_err(io::Error::other)?;
        let from = reader.header().stored;
        let whole = self.source.iter().product::<usize>() == self.shape.iter().product::<usize>();
        let (mut at, mut count, mut bits) = (vec![0; self.source.len()], 0, Vec::new());
        loop {
            reader.next_bits(&mut bits).map_err(io::Error::other)?;
            if bits.is_empty() {
                return Ok(());
            }
            if !whole {
                bits.retain(|_| self.take_next(&mut at));
            }
            if from != self.stored {
                self.convert(from, &mut bits, count).map_err(io::Error::other)?;
            }
            count += bits.len();
            each(&bits)?;
        }
    }

    /// Whether the number at an index is taken; the index becomes the next one.
    fn take_next(&self, at: &mut [usize]) -> bool {
        let taken = at.iter().zip(&self.plan.taken).all(|(&index, taken)| taken.contains(index));
        for (index, &size) in at.iter_mut().zip(&self.source).rev() {
            *index += 1;
            if *index < size {
                break;
            }
            *index = 0;
        }
        taken
    }

    /// Converts numbers, before which `count` others are.
    fn convert(&self, from: StoredType, bits: &mut [u64], count: usize) -> Result<(), FileError> {
        for (at, bits) in bits.iter_mut().enumerate() {
            let number = from.number(*bits);
            *bits = self.stored.bits_of(number).ok_or_else(|| {
                let (mut rest, mut index) = (count + at, vec![0; self.plan.kept.len()]);
                for (index, size) in index.iter_mut().zip(&self.plan.kept).rev() {
                    (*index, rest) = (rest % size, rest / size);
                }
                let stored = self.stored;
                let what =
                    format!("expected numbers that {stored} holds, got {number} at {index:?}");
                FileError::malformed(&self.place, what)
            })?;
        }
        Ok(())
    }

    /// The bits of all numbers.
    pub(super) fn held(&self) -> io::Result<ArrayD<u64>> {
        let mut all = Vec::new();
        self.pieces(&mut |bits| {
            let bytes = self.shape.iter().product::<usize>() * size_of::<u64>();
            grow(&mut all, bits.len(), "input", bytes).map_err(out_of_memory)?;
            all.extend_from_slice(bits);
            Ok(())
        })?;
        Ok(array(&self.shape, all))
    }
}

/// The error of a reader as one of the writer that it feeds.
fn out_of_memory(error: OutOfMemory) -> io::Error {
    io::Error::other(FileError::from(error))
}

impl AnyArray for Converted<'_> {
    fn stored(&self) -> StoredType {
        self.stored
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write_numbers(&self, writer: &mut dyn Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.pieces(&mut |bits| write_low_bytes(writer, bits, self.stored.size(), &mut bytes))
    }
}
