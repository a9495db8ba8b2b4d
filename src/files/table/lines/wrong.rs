//! The errors of a table's lines, with their places and remedies.

use super::super::cell::{has_comma, is_missing, number, quoted, shown, text};
use super::super::text::is_comment;
use super::Lines;
use crate::files::error::{FileError, Remedy};

/// Most columns of numbers that an error suggests.
const MAX_SUGGESTED: usize = 100;

impl Lines<'_> {
    /// The error for the line. A text that is not a table is named by its format.
    pub(in crate::files::table) fn wrong(&self, column: &str, what: &str) -> FileError {
        let error = || self.malformed(format!("line {}{column}: {what}", self.line()));
        self.no_table().unwrap_or_else(error)
    }

    /// A column in errors, with its name if it has one.
    pub(in crate::files::table) fn column(&self, column: usize) -> String {
        let name = self.names.get(column).filter(|name| !name.is_empty());
        let name = name.map_or(String::new(), |name| format!(" ({})", shown(name)));
        format!("column {}{name}", column + 1)
    }

    /// The error for a number that is infinite in a type.
    pub(in crate::files::table) fn overflow(
        &self,
        column: usize,
        dtype: &'static str,
    ) -> FileError {
        let at = format!("line {}, {}", self.line(), self.column(column));
        let found = shown(text(&self.record[column]));
        FileError::Overflow { place: self.place.to_owned(), at, dtype, found }
    }

    /// The error for a cell that is not a number.
    pub(in crate::files::table) fn no_number(&self, column: usize) -> FileError {
        let cell = &self.record[column];
        let separates = |c: char| c.is_whitespace() || c == '|';
        let several = text(cell).contains(separates)
            && text(cell).split(separates).all(|word| word.parse::<f64>().is_ok());
        let expected = if has_comma(cell) {
            "a number with a decimal point"
        } else if several {
            "commas, semicolons or tabs between numbers"
        } else {
            "a number"
        };
        let group = self.record.get(column + 1).filter(|_| number(cell).is_some());
        let got =
            group.map_or_else(|| quoted(cell), |group| format!("'{} {}'", text(cell), text(group)));
        // If commas separate the columns too, only the writer of the table can tell them apart.
        let can_replace = has_comma(cell) && self.separator != b',';
        let remedy = if can_replace { " (tr , . makes points of commas)" } else { "" };
        let what = format!("expected {expected}, got {got}{remedy}");
        let error = self.wrong(&format!(", {}", self.column(column)), &what);
        let remedy = if is_missing(cell) && !self.options.missing_as_nan {
            // A column without any number, as separators at the ends of lines make one, is better left out.
            self.numeric_columns(column).map(Remedy::Columns).or(Some(Remedy::MissingAsNan))
        } else if expected == "a number" {
            self.numeric_columns(column).map(Remedy::Columns)
        } else {
            None
        };
        self.with_remedy(error, remedy)
    }

    /// The names of all columns of numbers, if the one that holds a text has no number at all. Lines that were read before
    /// these are not known.
    fn numeric_columns(&self, text_column: usize) -> Option<Vec<String>> {
        if self.before > 0 {
            return None;
        }
        let budget = self.budget.clone();
        let mut lines = Lines::new(self.bytes, self.place, self.options, self.separator, budget);
        lines.first().ok()?;
        let width = lines.record.len();
        let (mut numeric, mut found) = (vec![true; width], false);
        let mut more = self.names.is_empty() || is_comment(lines.raw()) || lines.next().ok()?;
        while more {
            if lines.record.len() != width {
                return None;
            }
            for (column, cell) in lines.record.iter().enumerate() {
                let missing = self.options.missing_as_nan && is_missing(cell);
                let is_number = number(cell).is_some();
                found |= column == text_column && is_number;
                numeric[column] &= is_number || missing;
            }
            more = lines.next().ok()?;
        }
        let columns = || (0..width).filter(|&column| numeric[column]);
        let suggested = (1..=MAX_SUGGESTED).contains(&columns().take(MAX_SUGGESTED + 1).count());
        (!found && suggested).then(|| columns().map(|at| self.column_argument(at)).collect())
    }

    /// The error for a text that begins like another format.
    pub(in crate::files::table) fn no_table(&self) -> Option<FileError> {
        let start = self.bytes.trim_ascii_start().first().filter(|_| self.before == 0);
        let looks = match start? {
            b'<' => "HTML or XML",
            b'{' | b'[' => "JSON",
            _ => return None,
        };
        let what = format!("expected a table of numbers, got what looks like {looks}");
        Some(self.malformed(format!("line 1, column 1: {what}")))
    }

    pub(in crate::files::table) fn malformed(&self, what: String) -> FileError {
        FileError::Malformed { place: self.place.to_owned(), what }
    }

    /// The error with a remedy, unless the command has no options for tables.
    pub(in crate::files::table) fn with_remedy(
        &self,
        error: FileError,
        remedy: Option<Remedy>,
    ) -> FileError {
        match (error, remedy) {
            (FileError::Malformed { place, what }, Some(remedy))
                if self.options.can_be_changed() && self.no_table().is_none() =>
            {
                FileError::Table { place, what, remedy }
            }
            (error, _) => error,
        }
    }
}
