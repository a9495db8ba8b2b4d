//! The lines of a table, and the numbers in them.

mod wrong;

use std::io::{self, Read};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::cell::{is_missing, number, parsed, text};
use super::text::{cells, is_comment, visible_separator};
use super::{KeptCells, Table, TableOptions};
use crate::files::budget::{Budget, OverBudget};
use crate::files::error::FileError;
use crate::memory::{OutOfMemory, grow};

/// Bits of a double that are all zero if it lies halfway between two singles.
const BELOW_HALF: u64 = (1 << 28) - 1;

/// Bytes of memory for a byte of a line and for the place of a cell, in lists that double their memory.
const BYTE_BYTES: usize = 3;
const CELL_BYTES: usize = 24;

/// The bytes of a table, of which a line may have as many as the budget allows.
struct Fed<'a> {
    rest: &'a [u8],
    separator: u8,
    /// Bytes of memory that the line may still take.
    left: usize,
}

impl Read for Fed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.rest.len());
        let piece = self.rest.split_off(..len).unwrap_or_default();
        self.left = self.left.checked_sub(bytes_of(piece, self.separator)).ok_or(OverBudget)?;
        buffer[..len].copy_from_slice(piece);
        Ok(len)
    }
}

/// Most bytes of memory that a line takes.
#[allow(clippy::naive_bytecount, reason = "the cells take far longer to read than to count")]
fn bytes_of(line: &[u8], separator: u8) -> usize {
    let cells = line.iter().filter(|byte| **byte == separator).count();
    BYTE_BYTES * line.len() + CELL_BYTES * cells
}

/// The lines of a table, and the current one.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    place: &'a str,
    /// Lines in front of these bytes.
    before: usize,
    pub(super) options: &'a TableOptions<'a>,
    pub(super) separator: u8,
    reader: Reader<Fed<'a>>,
    pub(super) budget: Budget,
    /// Bytes of memory for the longest line, which are charged.
    held: usize,
    /// The cells of the line.
    pub(super) record: ByteRecord,
    /// Names of all columns; empty if the table has no line of names.
    pub(super) names: Vec<String>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        place: &'a str,
        options: &'a TableOptions<'a>,
        separator: u8,
        budget: Budget,
    ) -> Self {
        // This program reports a line of another length itself.
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(separator);
        let reader = builder.from_reader(Fed { rest: bytes, separator, left: 0 });
        let (record, names) = (ByteRecord::new(), Vec::new());
        let (before, held) = (0, 0);
        Lines { bytes, place, before, options, separator, reader, budget, held, record, names }
    }

    /// The same lines of a longer table, behind `before` others, with the names of its columns.
    pub(super) fn behind(self, before: usize, names: Vec<String>) -> Self {
        Lines { before, names, ..self }
    }

    /// Goes to the next line that is neither blank nor a comment; false at the end. A lone `""` is a cell.
    pub(super) fn next(&mut self) -> Result<bool, FileError> {
        while self.advance()? {
            let raw = self.raw();
            if raw != b"#" && !raw.starts_with(b"# ") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes to the next line that is not blank; false at the end.
    fn advance(&mut self) -> Result<bool, FileError> {
        loop {
            let most = self.budget.left() + self.held;
            self.reader.get_mut().left = most;
            let more = self.reader.read_byte_record(&mut self.record);
            let more = more.map_err(|error| self.wrong("", &error.to_string()))?;
            self.hold(most - self.reader.get_ref().left)?;
            if !more {
                return Ok(false);
            }
            let blank = self.record.len() == 1 && text(&self.record[0]).is_empty();
            if !blank || self.raw().contains(&b'"') {
                return Ok(true);
            }
        }
    }

    /// Charges the memory of a line, which that of a longer one before it has.
    fn hold(&mut self, bytes: usize) -> Result<(), FileError> {
        let more = bytes.saturating_sub(self.held);
        self.held += more;
        self.charge(more)
    }

    /// Charges memory to the budget of the file.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), FileError> {
        let charged = self.budget.charge(bytes);
        charged.map_err(|over| self.wrong("", &over.to_string()))
    }

    /// Goes to the first line of the table. The last line above it that is a comment, or has another separator, is
    /// returned.
    pub(super) fn first(&mut self) -> Result<Option<&'a [u8]>, FileError> {
        let mut heading = None;
        while self.advance()? {
            let raw = self.raw();
            let comment = is_comment(raw);
            let other = self.separator == b' ' && visible_separator(raw).is_some();
            if !comment && (!other || heading.is_some()) {
                return Ok(heading);
            }
            heading = Some(raw.strip_prefix(b"#").unwrap_or(raw).trim_ascii());
        }
        let Some(heading) = heading else {
            return Err(self.malformed("expected a table of numbers, got blank lines".to_owned()));
        };
        // Names without numbers below them: the comment is the table.
        let separator = visible_separator(heading).unwrap_or(self.separator);
        self.hold(bytes_of(heading, separator))?;
        self.record = cells(heading, separator).collect();
        Ok(Some(heading))
    }

    /// The text of the line, with its quotes, up to its end.
    pub(super) fn raw(&self) -> &'a [u8] {
        let line = &self.bytes[self.start()..];
        let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        &line[..end.unwrap_or(line.len())]
    }

    /// The first byte of the line. The blank lines before a record count as its own.
    fn start(&self) -> usize {
        let start = self.record.position().map_or(0, csv::Position::byte);
        let start = usize::try_from(start).unwrap_or(0).min(self.bytes.len());
        let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        start + self.bytes[start..].iter().take_while(is_end).count()
    }

    /// Takes the cells of the line for names of the columns.
    pub(super) fn name_columns(&mut self) -> Result<(), FileError> {
        let record = std::mem::take(&mut self.record);
        let named = self.set_names(&record);
        self.record = record;
        named
    }

    /// Takes these cells for names of the columns.
    pub(super) fn set_names<'b>(
        &mut self,
        cells: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<(), FileError> {
        for cell in cells {
            let name = self.budget.text(text(cell));
            self.names.push(name.map_err(|over| self.wrong("", &over.to_string()))?);
        }
        Ok(())
    }

    /// Appends the numbers of a line.
    pub(super) fn numbers(
        &mut self,
        columns: &[usize],
        table: &mut Table,
    ) -> Result<(), FileError> {
        let (bytes, before) = (size_of_val(&*table.values), table.singles.len());
        grow(&mut table.values, columns.len(), "input", bytes)?;
        for &column in columns {
            let cell = &self.record[column];
            let missing = || (self.options.missing_as_nan && is_missing(cell)).then_some(f64::NAN);
            let value = number(cell).or_else(missing);
            let value = value.ok_or_else(|| self.no_number(column))?;
            if self.separator == b' ' && self.is_group(column) {
                return Err(self.no_number(column - 1));
            }
            #[allow(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
            let mut single = value as f32;
            if value.to_bits() & BELOW_HALF == 0
                && let Some(exact) = parsed::<f32>(cell)
                && single.to_bits() != exact.to_bits()
                && !value.is_nan()
            {
                single = exact;
                let bytes = table.singles.len().saturating_mul(size_of::<(usize, f32)>());
                grow(&mut table.singles, 1, "input", bytes)?;
                table.singles.push((table.values.len(), single));
            }
            // A written infinity has no digits.
            if single.is_infinite() && cell.iter().any(u8::is_ascii_digit) {
                if value.is_infinite() {
                    return Err(self.overflow(column, "f64"));
                }
                table.beyond_f32.get_or_insert_with(|| self.overflow(column, "f32"));
            }
            table.values.push(value);
        }
        self.charge(2 * size_of_val(&table.singles[before..]))
    }

    /// Appends the cells of a line that are kept.
    pub(super) fn keep(&self, columns: &[usize], kept: &mut KeptCells) -> Result<(), FileError> {
        for &column in columns {
            let cell = text(&self.record[column]);
            let bytes = kept.text.len();
            let more = kept.text.try_reserve(cell.len());
            more.map_err(|_| OutOfMemory { what: "input", bytes })?;
            kept.text.push_str(cell);
            let bytes = size_of_val(&*kept.ends);
            grow(&mut kept.ends, 1, "input", bytes)?;
            kept.ends.push(kept.text.len());
        }
        Ok(())
    }

    /// Whether a cell between blanks is rather the rest of a number with blanks between its digits, such as 1 000.
    fn is_group(&self, column: usize) -> bool {
        let is_number = |cell: &[u8]| cell.iter().all(u8::is_ascii_digit);
        let cell = &self.record[column];
        cell.len() == 3
            && cell[0] == b'0'
            && is_number(cell)
            && column.checked_sub(1).is_some_and(|before| {
                let before = &self.record[before];
                (1..=3).contains(&before.len()) && is_number(before) && before[0] != b'0'
            })
    }

    /// The number of the line, counted from 1, with any kind of line end.
    pub(super) fn line(&self) -> usize {
        let before = &self.bytes[..self.start()];
        let pairs = before.windows(2).filter(|pair| pair == b"\r\n").count();
        self.before + before.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count() - pairs + 1
    }
}
