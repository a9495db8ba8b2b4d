//! Streams without an end: array after array, or frame after frame, and an answer to each.

use std::io::{self, BufWriter, Cursor, Read, Write};

use ndarray::{ArrayD, ArrayViewD};

use super::format::{Expected, Format};
use super::handle::read_full;
use super::limit::check_array;
use super::reader::{Bytes, TensorReader};
use super::waiting::{StandardOutput, Waiting, standard_output};
use super::{Header, Stored, write_npy};
use crate::element::Element;
use crate::files::error::FileError;

/// Bytes that are written at once: an answer of at most this length arrives as a whole.
const ANSWER_BYTES: usize = 1 << 16;

/// Concatenated .npy arrays, as repeated `np.save` on one file writes them. An array is returned without waiting for
/// any byte after it.
pub struct Arrays {
    reader: Box<dyn Read + Send>,
    /// The name of the source, for messages.
    name: String,
    /// The number of headers that have been read.
    count: u64,
    /// The position of the last of them.
    start: u64,
    /// The position of the next byte.
    offset: u64,
}

debug_fields!(Arrays, name, count, start);

impl Arrays {
    /// The arrays on standard input.
    pub fn stdin() -> Self {
        Arrays::new(Box::new(Waiting(io::stdin())), "stdin")
    }

    /// The arrays of a reader, such as a socket. Errors call it `name`.
    pub fn new(reader: Box<dyn Read + Send>, name: &str) -> Self {
        Arrays { reader, name: name.to_owned(), count: 0, start: 0, offset: 0 }
    }

    /// The array whose header was read last, for messages. Arrays are counted from 1, bytes from 0.
    pub fn place(&self) -> String {
        format!("{}: array {} at byte {}", self.name, self.count, self.start)
    }

    /// The header of the next array; `None` at the end of the stream.
    pub fn header(&mut self) -> Result<Option<Header>, FileError> {
        (self.count, self.start) = (self.count + 1, self.offset);
        let mut bytes = Vec::new();
        let read = Read::take(&mut self.reader, Format::BYTES as u64).read_to_end(&mut bytes);
        read.map_err(FileError::reading(&self.name))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let place = self.place();
        let expected = Expected { formats: &[Format::Npy, Format::Zip], words: ".npy or the end" };
        if Format::recognise(&bytes, &place, expected)? == Format::Zip {
            let what = "expected .npy, got an archive: its arrays cannot be read one by one";
            return Err(FileError::malformed(&place, what));
        }
        let mut whole = Cursor::new(bytes).chain(&mut self.reader);
        let (header, length) = Header::read(&mut whole, &place)?;
        self.offset += length;
        check_array(header.body_bytes() as u64, &place)?;
        Ok(Some(header))
    }

    /// The numbers after the header that was read last, converted to T.
    pub fn read<T: Element>(&mut self, header: &Header) -> Result<ArrayD<T>, FileError> {
        let place = self.place();
        let bytes = Bytes::Stream { reader: Box::new(&mut self.reader), checked: false };
        let array = TensorReader::new(bytes, header.clone(), place).read_array()?;
        self.offset += header.body_bytes() as u64;
        Ok(array)
    }
}

/// Frames on standard input, each of the same number of little-endian f32 numbers, without any header.
#[derive(Debug)]
pub struct Frames {
    reader: Waiting<io::Stdin>,
    count: u64,
    /// The bytes of one frame.
    bytes: Vec<u8>,
}

impl Frames {
    /// Frames of `len` numbers each.
    pub fn stdin(len: usize) -> Result<Self, FileError> {
        let bytes = crate::memory::zeros(&[len, size_of::<f32>()], "a frame")?;
        Ok(Frames { reader: Waiting(io::stdin()), count: 0, bytes })
    }

    /// Fills `frame` with the next one, converted to T; false at the end of the stream.
    pub fn read<T: Element>(&mut self, frame: &mut [T]) -> Result<bool, FileError> {
        let got = read_full(&mut self.reader, &mut self.bytes);
        let got = got.map_err(FileError::reading("stdin"))?;
        if got == 0 {
            return Ok(false);
        }
        let len = self.bytes.len();
        if got < len {
            let start = self.count * len as u64;
            let place = format!("stdin: frame {} at byte {start}", self.count + 1);
            let what = format!("expected {len} bytes, {} f32 numbers, got {got}", frame.len());
            return Err(FileError::Malformed { place, what });
        }
        let (numbers, _) = self.bytes.as_chunks();
        for (to, &bytes) in frame.iter_mut().zip(numbers) {
            *to = T::from_f32(f32::from_le_bytes(bytes));
        }
        self.count += 1;
        Ok(true)
    }
}

/// Answers on standard output, each flushed as soon as it is complete.
#[derive(Debug)]
pub struct Answers(BufWriter<StandardOutput>);

impl Answers {
    /// Answers on standard output.
    pub fn stdout() -> Result<Self, FileError> {
        let stdout = standard_output().map_err(FileError::writing("stdout"))?;
        Ok(Answers(BufWriter::with_capacity(ANSWER_BYTES, stdout)))
    }

    /// Writes an array as .npy.
    pub fn array<T: Stored>(&mut self, array: &ArrayViewD<'_, T>) -> Result<(), FileError> {
        let written = write_npy(&mut self.0, array).and_then(|()| self.0.flush());
        written.map_err(FileError::writing("stdout"))
    }

    /// Writes numbers as little-endian f32, without any header.
    #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the format")]
    pub fn frame<T: Element>(&mut self, frame: &ArrayViewD<'_, T>) -> Result<(), FileError> {
        let mut write = || {
            for &number in frame {
                self.0.write_all(&(number.into() as f32).to_le_bytes())?;
            }
            self.0.flush()
        };
        write().map_err(FileError::writing("stdout"))
    }
}
