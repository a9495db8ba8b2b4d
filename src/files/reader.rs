//! The one reader of the numbers after a header: in pieces, as parts, or as a whole array.
//!
//! A regular file can be read from any position; a stream and a member of an archive only from their beginning to
//! their end.

use std::io::{self, Read};
use std::ops::Range;

use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::Header;
use super::handle::{FileCursor, Handle, read_full};
use super::number::{append_bits, append_numbers, fortran_place};
use crate::element::Element;
use crate::files::error::FileError;
use crate::memory::{grow, reserved};

/// Numbers of a piece: a guess at which the bytes and bits of two tensors fit in a core's L2 cache.
const PIECE_NUMBERS: usize = 1 << 14;

/// The numbers of a tensor, read one piece after the other.
pub struct TensorReader<'a> {
    place: String,
    header: Header,
    bytes: Bytes<'a>,
    /// All bytes of a tensor in Fortran order that is read in C order.
    held: Option<Vec<u8>>,
    in_file_order: bool,
    /// Index of the next number.
    next: usize,
    /// The bytes that were read last.
    piece: Vec<u8>,
}

/// The source of the bytes.
pub(super) enum Bytes<'a> {
    /// A regular file that is as long as its header says, and the position of the first number.
    File(&'a Handle, u64),
    /// Bytes that are read once, in order. If `checked`, their number agrees with the header; if not, memory grows
    /// only as fast as bytes arrive.
    Stream { reader: Box<dyn Read + Send + 'a>, checked: bool },
    /// A member of an archive, whose checksum is checked at its end.
    Member(Box<dyn Read + Send + 'a>),
}

debug_fields!(TensorReader<'_>, place, header);

impl<'a> TensorReader<'a> {
    pub(super) fn new(bytes: Bytes<'a>, header: Header, place: String) -> Self {
        // With one axis, both orders are the same.
        let in_file_order = !header.fortran_order || header.shape.len() < 2;
        let piece = Vec::new();
        TensorReader { place, header, bytes, held: None, in_file_order, next: 0, piece }
    }

    /// The header of the tensor.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Makes [`TensorReader::next_bits`] read the numbers in the order of the file, so that a tensor in Fortran
    /// order is not held in memory.
    #[must_use]
    pub fn in_file_order(self) -> Self {
        TensorReader { in_file_order: true, ..self }
    }

    /// Reads the bits of the next numbers, each in the lowest bits of 64, in C order unless
    /// [`TensorReader::in_file_order`] was called. Two tensors of the same count have pieces of the same lengths; the
    /// last piece is empty. Fewer or more bytes than the header declares are an error.
    pub fn next_bits(&mut self, bits: &mut Vec<u64>) -> Result<(), FileError> {
        bits.clear();
        if !self.in_file_order && self.held.is_none() {
            let held = self.hold();
            // After an error the reader gives nothing more.
            self.next = if held.is_ok() { 0 } else { self.header.count() };
            self.held = Some(Vec::new());
            self.held = Some(held?);
        }
        let Header { stored, big_endian, .. } = self.header;
        let count = PIECE_NUMBERS.min(self.header.count() - self.next);
        match &self.held {
            Some(held) => {
                for index in self.next..self.next + count {
                    let at = fortran_place(index, &self.header.shape) * stored.size();
                    append_bits(&held[at..at + stored.size()], stored, big_endian, bits);
                }
                self.next += count;
            }
            None if count == 0 => self.expect_end()?,
            None => append_bits(self.next_bytes(count)?, stored, big_endian, bits),
        }
        Ok(())
    }

    /// Reads all bytes, because neighbours in C order are apart in the file.
    fn hold(&mut self) -> Result<Vec<u8>, FileError> {
        let mut whole = Vec::new();
        let (count, bytes) = (self.header.count(), self.header.body_bytes());
        while self.next < count {
            let piece = self.next_bytes(PIECE_NUMBERS.min(count - self.next))?;
            grow(&mut whole, piece.len(), "input", bytes)?;
            whole.extend_from_slice(piece);
        }
        self.expect_end()?;
        Ok(whole)
    }

    /// Reads the whole array, converted to T, and checks that nothing follows it.
    pub fn read<T: Element>(mut self) -> Result<ArrayD<T>, FileError> {
        let array = self.read_array()?;
        self.expect_end()?;
        Ok(array)
    }

    /// Reads the whole array, and no byte after it.
    pub(super) fn read_array<T: Element>(&mut self) -> Result<ArrayD<T>, FileError> {
        let count = self.header.count();
        let known = matches!(self.bytes, Bytes::File(..) | Bytes::Stream { checked: true, .. });
        let mut values = reserved(if known { count } else { 0 }, "input")?;
        self.append(count, &mut values)?;
        let shape = IxDyn(&self.header.shape).set_f(self.header.fortran_order);
        // The header's sizes multiply to `count`, and were checked for overflow.
        let array = ArrayD::from_shape_vec(shape, values);
        Ok(array.unwrap_or_else(|_| unreachable!("{}: shape", self.place)))
    }

    /// Appends the numbers with these indices, converted to T.
    pub(super) fn append_run<T: Element>(
        &mut self,
        run: Range<usize>,
        values: &mut Vec<T>,
    ) -> Result<(), FileError> {
        let in_order = !matches!(self.bytes, Bytes::File(..));
        assert!(!in_order || run.start == self.next, "{}: read out of order", self.place);
        self.next = run.start;
        self.append(run.len(), values)
    }

    /// Appends the next `count` numbers, converted to T.
    fn append<T: Element>(&mut self, count: usize, values: &mut Vec<T>) -> Result<(), FileError> {
        let bytes = self.header.count().saturating_mul(size_of::<T>());
        let end = self.next + count;
        while self.next < end {
            let count = PIECE_NUMBERS.min(end - self.next);
            self.next_bytes(count)?;
            grow(values, count, "input", bytes)?;
            append_numbers(&self.header, &self.piece, values);
        }
        Ok(())
    }

    /// Reads the bytes of the next `count` numbers.
    fn next_bytes(&mut self, count: usize) -> Result<&[u8], FileError> {
        let size = self.header.stored.size();
        let before = self.next * size;
        self.piece.resize(count * size, 0);
        let got = match &mut self.bytes {
            Bytes::File(file, start) => {
                read_full(&mut FileCursor { file, at: *start + before as u64 }, &mut self.piece)
            }
            Bytes::Stream { reader, .. } | Bytes::Member(reader) => {
                read_full(reader, &mut self.piece)
            }
        };
        let got = got.map_err(|source| self.failed(source))?;
        if got < self.piece.len() {
            return Err(missing(&self.place, &self.header, before + got));
        }
        self.next += count;
        Ok(&self.piece)
    }

    /// Checks that nothing follows the numbers, once all of them have been read. The checksum of a member is
    /// checked here.
    pub fn expect_end(&mut self) -> Result<(), FileError> {
        let expected = self.header.body_bytes() as u64;
        let mut at;
        let reader: &mut dyn Read = match &mut self.bytes {
            Bytes::File(file, start) => {
                at = FileCursor { file, at: *start + expected };
                &mut at
            }
            Bytes::Stream { reader, .. } | Bytes::Member(reader) => reader,
        };
        let mut rest = Vec::new();
        // These bytes suffice to recognise another array.
        if let Err(source) = reader.take(8).read_to_end(&mut rest) {
            return Err(self.failed(source));
        }
        if rest.is_empty() {
            return Ok(());
        }
        let place = self.place.clone();
        if rest.starts_with(b"\x93NUMPY") {
            return Err(FileError::ManyArrays { place });
        }
        let extra =
            rest.len() as u64 + io::copy(&mut reader.take(1 << 20), &mut io::sink()).unwrap_or(0);
        let more = if extra >= 1 << 20 { " or more" } else { "" };
        let got = expected + extra;
        let what = format!("expected {expected} bytes after the header, got {got}{more}");
        Err(FileError::Malformed { place, what })
    }

    fn failed(&self, source: io::Error) -> FileError {
        let place = self.place.clone();
        match self.bytes {
            Bytes::Member(_) => broken_archive(source, place),
            _ => FileError::Read { place, source },
        }
    }
}

/// The error of a failed read in an archive: [`FileError::Read`] if it is the system's; any other, such as a wrong
/// checksum, means that the archive is broken.
pub(super) fn broken_archive(source: io::Error, place: String) -> FileError {
    if source.raw_os_error().is_some() {
        return FileError::Read { place, source };
    }
    FileError::Malformed { place, what: format!("broken archive: {source}") }
}

/// The error of fewer bytes than the header declares.
pub(super) fn missing(place: &str, header: &Header, got: usize) -> FileError {
    let expected = header.body_bytes();
    let shape = &header.shape;
    let mut what =
        format!("expected {expected} bytes after the header for shape {shape:?}, got {got}");
    if got == 0 && expected > 0 {
        what +=
            " (np.save cannot write into a buffered pipe: np.save(open(1, 'wb', 0), array) can)";
    }
    FileError::malformed(place, what)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is a failed test")]
mod tests {
    use super::*;
    use crate::files::StoredType;

    fn header(stored: StoredType, shape: &[usize], fortran_order: bool) -> Header {
        Header { stored, big_endian: false, fortran_order, shape: shape.to_vec() }
    }

    fn all(header: Header, bytes: &[u8]) -> Result<Vec<u64>, FileError> {
        rest(&mut reader(header, bytes))
    }

    fn reader(header: Header, bytes: &[u8]) -> TensorReader<'_> {
        TensorReader::new(
            Bytes::Stream { reader: Box::new(bytes), checked: false },
            header,
            "a.npy".to_owned(),
        )
    }

    fn rest(reader: &mut TensorReader<'_>) -> Result<Vec<u64>, FileError> {
        let (mut all, mut piece) = (Vec::new(), Vec::new());
        loop {
            reader.next_bits(&mut piece)?;
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
        let reader = reader(header(StoredType::U8, &[2, 3, 2], true), &bytes);
        let stored: Vec<_> = bytes.iter().map(|&byte| u64::from(byte)).collect();
        assert_eq!(rest(&mut reader.in_file_order()).unwrap(), stored);
    }

    #[test]
    fn nothing_comes_after_an_error() {
        let mut reader = reader(header(StoredType::U8, &[3, 2], true), &[0; 5]);
        assert!(rest(&mut reader).is_err());
        assert_eq!(rest(&mut reader).unwrap(), [0; 0]);
    }

    #[test]
    fn pieces_add_up_to_the_whole() {
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
