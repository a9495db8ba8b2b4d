//! Streams without an end: array after array, or frame after frame, and an answer to each.

use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};

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
    reader: BufReader<Waiting<io::Stdin>>,
    /// The number of frames that have been read.
    count: u64,
    /// The bytes of one frame.
    bytes: Vec<u8>,
    /// The bytes of all frames so far, while they may be text.
    start: Option<Vec<u8>>,
}

impl Frames {
    /// Frames of `len` numbers each.
    pub fn stdin(len: usize) -> Result<Self, FileError> {
        let bytes = crate::memory::zeros(&[len, size_of::<f32>()], "a frame")?;
        Ok(Frames {
            reader: BufReader::new(Waiting(io::stdin())),
            count: 0,
            bytes,
            start: Some(Vec::new()),
        })
    }

    /// The frame that was read last, for messages. Frames are counted from 1, bytes from 0.
    pub fn place(&self) -> String {
        self.place_of(self.count)
    }

    fn place_of(&self, frame: u64) -> String {
        format!("stdin: frame {frame} at byte {}", (frame - 1) * self.bytes.len() as u64)
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
            let place = self.place_of(self.count + 1);
            let what = format!("expected {len} bytes, {} f32 numbers, got {got}", frame.len());
            return Err(FileError::Malformed { place, what });
        }
        self.refuse_other_formats()?;
        let (numbers, _) = self.bytes.as_chunks();
        for (to, &bytes) in frame.iter_mut().zip(numbers) {
            *to = T::from_f32(f32::from_le_bytes(bytes));
        }
        self.count += 1;
        Ok(true)
    }

    /// Whether everything that has been read may be text: then its state is not worth keeping if an error follows.
    pub fn may_be_text(&self) -> bool {
        self.count > 0 && self.start.is_some()
    }

    /// Rejects text and .npy, by the bytes up to this frame and those that have arrived with it.
    fn refuse_other_formats(&mut self) -> Result<(), FileError> {
        let Some(mut start) = self.start.take() else { return Ok(()) };
        let up_to = |bytes: &[u8]| bytes[..bytes.len().min(START_BYTES)].to_vec();
        start.extend(up_to(&self.bytes));
        let ahead = self.reader.buffer();
        let arrived = [&start[..], &up_to(ahead)].concat();
        let got = if arrived.starts_with(b"\x93NUMPY") {
            "a .npy, which is read without --frames".to_owned()
        } else if is_text(&arrived, ahead.len().is_multiple_of(self.bytes.len())) {
            let shown = &arrived[..arrived.len().min(SHOWN_BYTES)];
            format!("text that begins with '{}'", shown.escape_ascii())
        } else {
            let undecided = start.len() < START_BYTES && arrived.iter().copied().all(is_character);
            self.start = undecided.then_some(start);
            return Ok(());
        };
        self.start = Some(start);
        let numbers = self.bytes.len() / size_of::<f32>();
        let what = format!("expected frames of {numbers} little-endian f32 numbers, got {got}");
        Err(FileError::malformed("stdin", what))
    }
}

/// Most bytes by which a stream of frames is told from text.
const START_BYTES: usize = 1 << 10;

/// Bytes of a text that a message shows.
const SHOWN_BYTES: usize = 20;

/// Whether the start of a stream of frames is ASCII text.
///
/// Any four bytes are an f32, so that this is a question of probability: are these numbers, whose bytes are all
/// characters? Each byte of a random mantissa is a character in 98 of 256 cases, and one of a table of numbers in 25 of
/// 256. Twelve different numbers, or three of a table, are enough: even if they share their first bytes, fewer than one
/// stream in a million is refused. The numbers of a table are all below 0.004 or beyond 10^16. Fewer bytes decide only
/// if they are no `whole` frames, because a producer writes a frame at once.
fn is_text(start: &[u8], whole: bool) -> bool {
    const DIFFERENT: usize = 12;
    const OF_TABLE: usize = 3;
    let is_of_table = |byte: &u8| byte.is_ascii_digit() || b"+-.,;/e[]() \t\r\n".contains(byte);
    if !start.iter().copied().all(is_character) {
        return false;
    }
    let mut numbers = start.as_chunks::<4>().0.to_vec();
    let is_table = numbers.len() >= OF_TABLE && start.iter().all(is_of_table);
    numbers.sort_unstable();
    numbers.dedup();
    is_table || numbers.len() >= DIFFERENT || !whole
}

fn is_character(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~')
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
        self.write(|writer| write_npy(writer, array))
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.write(|writer| writer.write_all(bytes))
    }

    /// Writes numbers as little-endian f32, without any header.
    #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the format")]
    pub fn frame(&mut self, numbers: impl IntoIterator<Item = f64>) -> Result<(), FileError> {
        let mut numbers = numbers.into_iter();
        self.write(|writer| {
            numbers.try_for_each(|number| writer.write_all(&(number as f32).to_le_bytes()))
        })
    }

    /// Writes what `write` writes, such as a line of text.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let written = write(&mut self.0).and_then(|()| self.0.flush());
        written.map_err(FileError::writing("stdout"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_told_from_frames() {
        let texts: [&[u8]; 12] = [
            b"0.1,0.2,0.3\n",
            b"1 2 3\n4 5 6\n",
            b"-1.5e-3\t2e+4\r\n",
            b"1;2,5\n3;4,5\n",
            b"[0.1, 0.2, 0.3]\n",
            b"2026-01-31,1.5\n",
            b"The quick brown fox jumps over the lazy dog and away.\n",
            b"date,open,high,low,close\n2026-01-31,1.5,1.6,1.4,1.5\n",
            b"{\"id\": 1, \"ok\": true, \"op\": \"run\", \"values\": [1, 2, 3]}\n",
            b"Date,Open,High,Low,Close,Volume,Adjusted Close and more\n",
            b"ACGTTTACGTGGCATTACGATCAAGTCCGATTACAGGTACATTTGACCATG\n",
            b"0.1\n0.2\n0.3\n",
        ];
        for text in texts {
            assert!(is_text(text, true), "{}", text.escape_ascii());
        }
        // Short ones, if a frame is cut.
        for text in [&b"0.12\n"[..], b"hello\n"] {
            assert!(is_text(text, false) && !is_text(text, true), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn frames_of_constant_numbers_are_no_text() {
        for number in [0.0, 1.0, -1.0, 1e-5, 3e-6, 1e9, 1.7e12, f32::MAX, f32::NAN, 2730.1655] {
            assert!(!is_text(&number.to_le_bytes().repeat(16), true), "{number}");
        }
        // All bytes of each number are characters: of one that repeats, and of a few prices.
        for numbers in ["AAAA".repeat(1000), "0aBE0bBE1cBE".repeat(100), "fff?".to_owned()] {
            assert!(!is_text(numbers.as_bytes(), true), "{numbers}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Numbers as they are in use, and any bits.
        #[test]
        fn frames_are_no_text(
            usual in prop::collection::vec(0.001_f32..2000.0, 3..64),
            scale in -30_i32..30,
            bits in prop::collection::vec(any::<u32>(), 3..64),
        ) {
            let scaled = usual.iter().map(|x| x * 2_f32.powi(scale));
            for numbers in [
                usual.clone(),
                scaled.collect(),
                bits.into_iter().map(f32::from_bits).collect::<Vec<_>>(),
            ] {
                let bytes: Vec<_> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                prop_assert!(!is_text(&bytes, true), "{numbers:?}");
            }
        }
    }
}
