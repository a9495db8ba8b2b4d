//! Tables: numbers as text, a row on each line.
//!
//! A table is held whole, because its shape is known only at its end. The first line that is not blank tells the
//! separator of columns: a tab if it has one outside quotes, else a semicolon if it has one, else a comma if it has one,
//! else blanks. It names the columns if one of its cells begins with a letter; if it is not numbers either, or if its
//! numbers look like names, the caller has to decide. Lines that begin with `# ` are comments, and so is a first line
//! that begins with `#`, except that it names the columns if it has as many cells.

#[cfg(feature = "csv")]
mod cell;
#[cfg(feature = "csv")]
mod columns;
#[cfg(feature = "csv")]
mod first_line;
#[cfg(feature = "csv")]
mod lines;
#[cfg(feature = "csv")]
mod read;
#[cfg(feature = "csv")]
mod rows;
#[cfg(feature = "csv")]
mod text;

#[cfg(feature = "csv")]
pub use rows::TableRows;

use std::io::{self, Read};

use ndarray::ArrayD;

use super::source::Opened;
use crate::element::{Dtype, Element};
use crate::files::error::FileError;
use crate::memory::{array, reserved};

/// How a table is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableOptions<'a> {
    /// The columns that are read, in this order; empty for all of them. A column is a name of the first line, or a
    /// number that is counted from 1. A name wins over a number.
    pub columns: &'a [String],
    /// Columns whose cells are kept as text, in the same form. Without `columns`, all others are read as numbers.
    pub keep: &'a [String],
    /// The meaning of the first line.
    pub first_line: FirstLine,
    /// Whether missing values are NaN, instead of an error: empty cells, NA, N/A, null.
    pub missing_as_nan: bool,
}

/// The meaning of a table's first line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstLine {
    /// Names if a cell begins with a letter or `_`, numbers if all cells are numbers that cannot be names, else an
    /// error.
    #[default]
    Clear,
    /// Names if a cell begins with a letter or `_`, else numbers: for a table whose shape is known.
    Guess,
    /// Names of the columns.
    Names,
    /// Numbers.
    Numbers,
}

impl TableOptions<'_> {
    /// Whether the command has options for tables.
    fn can_be_changed(&self) -> bool {
        self.first_line != FirstLine::Guess
    }
}

/// Cells of a table as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptCells {
    /// The names of the columns; their numbers if the table has no names.
    pub names: Vec<String>,
    text: String,
    /// The end of each cell in the text, row by row.
    ends: Vec<usize>,
}

impl KeptCells {
    /// A column of cells under a name.
    pub fn column<'a>(name: &str, cells: impl IntoIterator<Item = &'a str>) -> Self {
        let mut kept = KeptCells { names: vec![name.to_owned()], ..KeptCells::default() };
        for cell in cells {
            kept.text.push_str(cell);
            kept.ends.push(kept.text.len());
        }
        kept
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.ends.len().checked_div(self.names.len()).unwrap_or(0)
    }

    /// The cells of a row.
    ///
    /// # Panics
    /// If the table has no such row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = &str> {
        let columns = self.names.len();
        (row * columns..(row + 1) * columns).map(|cell| {
            let start = cell.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.text[start..self.ends[cell]]
        })
    }
}

/// The bytes of a table's numbers as f64, without a copy of all of them.
struct TableReader {
    values: Vec<f64>,
    /// The position of the next byte.
    at: usize,
}

impl Read for TableReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len()
            && let Some(value) = self.values.get(self.at / 8)
        {
            let bytes = &value.to_le_bytes()[self.at % 8..];
            let count = bytes.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
            (filled, self.at) = (filled + count, self.at + count);
        }
        Ok(filled)
    }
}

/// The numbers of a table.
#[derive(Default)]
#[cfg_attr(not(feature = "csv"), allow(dead_code, reason = "only this feature makes one"))]
pub(super) struct Table {
    /// Names of the columns that were read, in their order; empty if the table has no line of names.
    pub(super) names: Vec<String>,
    /// Whether the first line was taken for names because it looks like names.
    pub(super) names_are_guessed: bool,
    /// The name of the text's encoding; `None` for UTF-8.
    pub(super) encoding: Option<&'static str>,
    /// The cells that are kept.
    pub(super) kept: KeptCells,
    separator: u8,
    /// (rows, columns).
    pub(super) shape: [usize; 2],
    values: Vec<f64>,
    /// The f32 of each number whose f64 rounds to another one, because it lies halfway between two.
    singles: Vec<(usize, f32)>,
    /// The error for the first number beyond the range of f32.
    beyond_f32: Option<FileError>,
}

impl Table {
    pub(super) fn read(
        opened: Opened,
        place: &str,
        options: &TableOptions<'_>,
    ) -> Result<Self, FileError> {
        let bytes = opened.read_whole("input", place)?;
        #[cfg(feature = "csv")]
        return read::parse(bytes, place, options);
        #[cfg(not(feature = "csv"))]
        {
            let _ = (bytes, options, options.can_be_changed());
            let what =
                "expected .npy or .npz, got text: this build does not read tables (feature csv)";
            Err(FileError::malformed(place, what))
        }
    }

    /// Leaves out the rows; their number and everything that is known about all of them stays.
    #[cfg(feature = "csv")]
    fn clear(&mut self) {
        self.values.clear();
        self.singles.clear();
        self.kept.text.clear();
        self.kept.ends.clear();
        self.beyond_f32 = None;
    }

    /// The format, in words.
    pub(super) fn recognised(&self) -> String {
        let separator = match self.separator {
            b'\t' => "tabs",
            b';' => "semicolons",
            b' ' => "blanks",
            _ => "commas",
        };
        let names = if self.names.is_empty() { "without" } else { "with" };
        format!("table, {separator} between columns, {names} a line of names")
    }

    /// The bytes of the numbers as f64.
    pub(super) fn into_reader(self) -> impl Read + Send {
        TableReader { values: self.values, at: 0 }
    }

    /// The numbers, each rounded to T as if its text had been read as T.
    pub(super) fn into_array<T: Element>(mut self) -> Result<ArrayD<T>, FileError> {
        if T::DTYPE == Dtype::F32 {
            self.round_to_f32()?;
        }
        let mut values = reserved(self.values.len(), "input")?;
        values.extend(self.values.into_iter().map(T::from_f64));
        Ok(array(&self.shape, values))
    }

    /// Makes every number one that rounds to the f32 of its text.
    pub(super) fn round_to_f32(&mut self) -> Result<(), FileError> {
        if let Some(error) = self.beyond_f32.take() {
            return Err(error);
        }
        for (index, single) in self.singles.drain(..) {
            self.values[index] = single.into();
        }
        Ok(())
    }
}
