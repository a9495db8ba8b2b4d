//! Tables: numbers as text, a row on each line.
//!
//! A table is held whole, because its shape is known only at its end. The first line that is not blank tells the
//! separator of columns: a tab if it has one outside quotes, else a semicolon if it has one, else a comma. It names the
//! columns if one of its cells is not a number.

#[cfg(feature = "csv")]
mod read;

use ndarray::ArrayD;

use super::source::Opened;
use crate::element::{Dtype, Element};
use crate::files::error::FileError;
use crate::memory::{array, reserved};

/// The numbers of a table.
#[derive(Default)]
#[cfg_attr(not(feature = "csv"), allow(dead_code, reason = "only this feature makes one"))]
pub(super) struct Table {
    /// Names of the columns that were read, in their order; empty if the table has no line of names.
    pub(super) names: Vec<String>,
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
    /// Reads a table, or those of its columns that are `wanted`.
    pub(super) fn read(opened: Opened, place: &str, wanted: &[String]) -> Result<Self, FileError> {
        let bytes = opened.read_whole("input", place)?;
        #[cfg(feature = "csv")]
        return read::parse(&bytes, place, wanted);
        #[cfg(not(feature = "csv"))]
        {
            let _ = (bytes, wanted);
            let what =
                "expected .npy or .npz, got text: this build does not read tables (feature csv)";
            Err(FileError::malformed(place, what))
        }
    }

    /// The format, in words.
    pub(super) fn recognised(&self) -> String {
        let separator = match self.separator {
            b'\t' => "tabs",
            b';' => "semicolons",
            _ => "commas",
        };
        let names = if self.names.is_empty() { "without" } else { "with" };
        format!("table, {separator} between columns, {names} a line of names")
    }

    /// The bytes of the numbers as f64.
    pub(super) fn into_bytes(self) -> Result<Vec<u8>, FileError> {
        let mut bytes = reserved(size_of_val(&*self.values), "input")?;
        bytes.extend(self.values.into_iter().flat_map(f64::to_le_bytes));
        Ok(bytes)
    }

    /// The numbers, each rounded to T as if its text had been read as T.
    pub(super) fn into_array<T: Element>(self) -> Result<ArrayD<T>, FileError> {
        if let (Dtype::F32, Some(error)) = (T::DTYPE, self.beyond_f32) {
            return Err(error);
        }
        let mut values = reserved(self.values.len(), "input")?;
        values.extend(self.values.into_iter().map(T::from_f64));
        if T::DTYPE == Dtype::F32 {
            for (index, single) in self.singles {
                values[index] = T::from_f32(single);
            }
        }
        Ok(array(&self.shape, values))
    }
}
