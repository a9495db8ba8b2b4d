//! The numbers of a tensor as they are stored, one piece after the other, so that two tensors of any size
//! can be walked side by side.
//!
//! Numbers come in C order, or in that of the file, each as its bits: then nothing is rounded, and no value
//! and no bit is lost.

use std::fmt;
use std::io::Read;

use super::npy::{missing, read_full};
use super::npz::broken;
use super::tensor_file::expect_end;
use super::{Header, StoredType};
use crate::files::error::FileError;
use crate::memory::grow;

/// Numbers of a piece: a guess, with which the bytes and bits of two tensors stay in a core's own cache.
const PIECE_NUMBERS: usize = 1 << 14;

/// The numbers of a tensor, of which the next ones can be read.
///
/// ```
/// use elman::files::{Source, TensorFile};
///
/// let mut file = TensorFile::open(&Source::parse("fixtures/x.npy".as_ref()))?;
/// let mut numbers = file.numbers()?;
/// let stored = numbers.header().stored;
/// let (mut piece, mut sum) = (Vec::new(), 0.0);
/// loop {
///     numbers.next_piece(&mut piece)?;
///     if piece.is_empty() {
///         break;
///     }
///     sum += piece.iter().map(|&bits| stored.number(bits).to_f64()).sum::<f64>();
/// }
/// assert!(sum.is_finite());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Numbers<'a> {
    place: String,
    header: Header,
    from: From<'a>,
    /// Whether the numbers stand in another order than the one in which they are given.
    reordered: bool,
    /// Numbers that have been given.
    given: usize,
}

enum From<'a> {
    /// A reader behind the header, and whether it is in an archive, with room for bytes of it.
    Reader { reader: Box<dyn Read + 'a>, in_archive: bool, piece: Vec<u8> },
    /// All bytes of a tensor whose first axis varies fastest.
    Fortran(Vec<u8>),
    /// The numbers of a table.
    Doubles(Vec<f64>),
}

impl fmt::Debug for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers")
            .field("place", &self.place)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl<'a> Numbers<'a> {
    /// The numbers that a reader has behind a header.
    pub(super) fn new(
        reader: Box<dyn Read + 'a>,
        header: Header,
        place: String,
        in_archive: bool,
    ) -> Self {
        let reordered = header.fortran_order && header.shape.len() > 1;
        let from = From::Reader { reader, in_archive, piece: Vec::new() };
        Numbers { place, header, from, reordered, given: 0 }
    }

    /// The numbers of a table, which its header calls text.
    pub(super) fn of_table(values: Vec<f64>, header: Header, place: String) -> Self {
        Numbers { place, header, from: From::Doubles(values), reordered: false, given: 0 }
    }

    /// The same numbers in the order of the file, where that is Fortran's with the first axis fastest: then
    /// they are not held whole.
    ///
    /// ```
    /// use elman::files::{Source, TensorFile};
    ///
    /// // np.asfortranarray([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("x.npy");
    /// let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n";
    /// let length = u16::try_from(header.len())?.to_le_bytes();
    /// let numbers = [1, 4, 2, 5, 3, 6];
    /// std::fs::write(&path, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &numbers].concat())?;
    /// let (source, mut bits) = (Source::Path(path), Vec::new());
    /// TensorFile::open(&source)?.numbers()?.in_file_order().next_piece(&mut bits)?;
    /// assert_eq!(bits, [1, 4, 2, 5, 3, 6]);
    /// TensorFile::open(&source)?.numbers()?.next_piece(&mut bits)?;
    /// assert_eq!(bits, [1, 2, 3, 4, 5, 6]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn in_file_order(self) -> Self {
        Numbers { reordered: false, ..self }
    }

    /// What the file says of its numbers.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the bits of the next numbers, in C order unless [that of the file](Numbers::in_file_order) was
    /// asked for. Two tensors with the same count of numbers have pieces of the same lengths; the last one
    /// is empty.
    ///
    /// ```
    /// use elman::files::{Source, TensorFile};
    ///
    /// let source = Source::parse("fixtures/sine/rnn.npz:weight_hh_l0".as_ref());
    /// let mut file = TensorFile::open(&source)?;
    /// let (mut numbers, mut piece) = (file.numbers()?, Vec::new());
    /// numbers.next_piece(&mut piece)?;
    /// assert_eq!(piece.len(), 8 * 8);
    /// numbers.next_piece(&mut piece)?;
    /// assert!(piece.is_empty());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Read`], [`FileError::Malformed`] where there are fewer or more bytes than the header says, and
    /// [`FileError::OutOfMemory`] where all have to be held for the sake of their order.
    pub fn next_piece(&mut self, bits: &mut Vec<u64>) -> Result<(), FileError> {
        bits.clear();
        if self.reordered && matches!(self.from, From::Reader { .. }) {
            self.hold()?;
        }
        let Header { stored, big_endian, .. } = self.header;
        let end = self.header.count().min(self.given + PIECE_NUMBERS);
        match &self.from {
            From::Reader { .. } => {
                append(self.next_bytes()?, stored, big_endian, bits);
                return Ok(());
            }
            From::Fortran(whole) => {
                let size = stored.size();
                for index in self.given..end {
                    let at = fortran_place(index, &self.header.shape) * size;
                    append(&whole[at..at + size], stored, big_endian, bits);
                }
            }
            From::Doubles(values) => {
                bits.extend(values[self.given..end].iter().map(|value| value.to_bits()));
            }
        }
        self.given = end;
        Ok(())
    }

    /// Reads all bytes, because numbers that are neighbours in C order lie all over the file.
    fn hold(&mut self) -> Result<(), FileError> {
        let whole = self.whole();
        // After an error there is nothing more to give.
        self.given = if whole.is_ok() { 0 } else { self.header.count() };
        let (held, result) = match whole {
            Ok(whole) => (whole, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        self.from = From::Fortran(held);
        result
    }

    fn whole(&mut self) -> Result<Vec<u8>, FileError> {
        let bytes = self.header.body_bytes();
        let mut whole = Vec::new();
        loop {
            let piece = self.next_bytes()?;
            if piece.is_empty() {
                return Ok(whole);
            }
            grow(&mut whole, piece.len(), "input", bytes)?;
            whole.extend_from_slice(piece);
        }
    }

    /// Reads the next bytes; none at the end, where nothing may be left.
    fn next_bytes(&mut self) -> Result<&[u8], FileError> {
        let Numbers { place, header, from, given, .. } = self;
        let From::Reader { reader, in_archive, piece } = from else { return Ok(&[]) };
        let fault = |error| if *in_archive { broken(error) } else { error };
        let size = header.stored.size();
        let count = PIECE_NUMBERS.min(header.count() - *given);
        if count == 0 {
            expect_end(reader, place, header.body_bytes()).map_err(fault)?;
        }
        piece.resize(count * size, 0);
        let got = read_full(reader, piece)
            .map_err(|source| fault(FileError::Read { place: place.clone(), source }))?;
        if got < piece.len() {
            return Err(missing(place, header, *given * size + got));
        }
        *given += count;
        Ok(piece)
    }
}

/// Appends the bits of each number, in the lowest of 64. Every byte but 0 is the same truth.
fn append(bytes: &[u8], stored: StoredType, big_endian: bool, bits: &mut Vec<u64>) {
    match stored.size() {
        1 if stored == StoredType::Bool => {
            bits.extend(bytes.iter().map(|&byte| u64::from(byte != 0)));
        }
        1 => widen::<1>(bytes, big_endian, bits),
        2 => widen::<2>(bytes, big_endian, bits),
        4 => widen::<4>(bytes, big_endian, bits),
        _ => widen::<8>(bytes, big_endian, bits),
    }
}

/// Appends numbers of N bytes.
fn widen<const N: usize>(bytes: &[u8], big_endian: bool, bits: &mut Vec<u64>) {
    let (numbers, _) = bytes.as_chunks::<N>();
    bits.extend(numbers.iter().map(|&number| {
        let mut number: [u8; N] = number;
        if big_endian {
            number.reverse();
        }
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(&number);
        u64::from_le_bytes(wide)
    }));
}

/// Where the number with this index in C order stands in Fortran order.
fn fortran_place(mut index: usize, shape: &[usize]) -> usize {
    let mut stride: usize = shape.iter().product();
    let mut place = 0;
    for &size in shape.iter().rev() {
        stride /= size;
        place += index % size * stride;
        index /= size;
    }
    place
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a failed test")]
mod tests {
    use super::*;

    fn header(stored: StoredType, shape: &[usize], fortran_order: bool) -> Header {
        Header { stored, big_endian: false, fortran_order, shape: shape.to_vec() }
    }

    fn all(header: Header, bytes: &[u8]) -> Result<Vec<u64>, FileError> {
        rest(&mut Numbers::new(Box::new(bytes), header, "a.npy".to_owned(), false))
    }

    fn rest(numbers: &mut Numbers<'_>) -> Result<Vec<u64>, FileError> {
        let (mut all, mut piece) = (Vec::new(), Vec::new());
        loop {
            numbers.next_piece(&mut piece)?;
            if piece.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&piece);
        }
    }

    #[test]
    fn fortran_order_becomes_c_order() {
        // Of shape (2, 3, 2): the number at [i, j, k] is 100 i + 10 j + k.
        let mut bytes = Vec::new();
        for (k, j, i) in
            [0, 1].iter().flat_map(|&k| (0..3).flat_map(move |j| (0..2).map(move |i| (k, j, i))))
        {
            bytes.push(100 * i + 10 * j + k);
        }
        let expected = [0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121];
        assert_eq!(all(header(StoredType::U8, &[2, 3, 2], true), &bytes).unwrap(), expected);
        assert_eq!(all(header(StoredType::U8, &[0, 3], true), &[]).unwrap(), [0; 0]);
        let header = header(StoredType::U8, &[2, 3, 2], true);
        let numbers = Numbers::new(Box::new(&bytes[..]), header, "a.npy".to_owned(), false);
        let as_they_stand: Vec<_> = bytes.iter().map(|&byte| u64::from(byte)).collect();
        assert_eq!(rest(&mut numbers.in_file_order()).unwrap(), as_they_stand);
    }

    #[test]
    fn nothing_comes_after_an_error() {
        let header = header(StoredType::U8, &[3, 2], true);
        let mut numbers = Numbers::new(Box::new(&[0; 5][..]), header, "a.npy".to_owned(), false);
        assert!(rest(&mut numbers).is_err());
        assert_eq!(rest(&mut numbers).unwrap(), [0; 0]);
    }

    #[test]
    fn tables_have_pieces_too() {
        let values: Vec<_> = (0..=PIECE_NUMBERS).map(|i| i as f64).collect();
        let expected: Vec<_> = values.iter().map(|value| value.to_bits()).collect();
        let header = header(StoredType::Text, &[1, PIECE_NUMBERS + 1], false);
        let mut numbers = Numbers::of_table(values, header, "a.csv".to_owned());
        assert_eq!(rest(&mut numbers).unwrap(), expected);
    }

    #[test]
    fn pieces_are_the_whole() {
        for count in [0, 1, PIECE_NUMBERS - 1, PIECE_NUMBERS, PIECE_NUMBERS + 1] {
            let numbers: Vec<u16> = (0..count).map(|i| u16::try_from(i).unwrap()).collect();
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_be_bytes()).collect();
            let header = Header { big_endian: true, ..header(StoredType::U16, &[count], false) };
            let expected: Vec<u64> = numbers.into_iter().map(u64::from).collect();
            assert_eq!(all(header, &bytes).unwrap(), expected);
        }
    }

    #[test]
    fn too_few_and_too_many_bytes_are_refused() {
        for order in [false, true] {
            let fault = |bytes: &[u8]| {
                all(header(StoredType::F32, &[2, 1], order), bytes).unwrap_err().to_string()
            };
            assert_eq!(
                fault(&[0; 7]),
                "a.npy: expected 8 bytes after the header for shape [2, 1], got 7"
            );
            assert_eq!(fault(&[0; 9]), "a.npy: expected 8 bytes after the header, got 9");
        }
    }
}
