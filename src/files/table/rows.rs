//! A table whose lines arrive one by one.

use std::io::{self, BufReader, Read};

use super::cell::is_word;
use super::lines::Lines;
use super::read::Head;
use super::text::{
    cells, decoded, is_comment, remove_mark, separator, single_blanks, stated_separator, unquoted,
    visible_separator,
};
use super::{FirstLine, KeptCells, Table, TableOptions};
use crate::element::{Dtype, Element};
use crate::files::budget::Budget;
use crate::files::error::FileError;
use crate::files::format::{Expected, Format};
use crate::files::limit::read_line;
use crate::files::waiting::Waiting;

/// Bytes that may separate the cells of a line whose separator is not known yet.
const SEPARATORS: &[u8] = b"\t;, ";

/// The rows of a table on a stream, whose lines end in LF or CRLF. A row is returned without waiting for any byte after
/// its line, except that names of columns are read together with the line below them.
pub struct TableRows<'a> {
    reader: BufReader<Box<dyn Read + Send>>,
    place: String,
    options: TableOptions<'a>,
    head: Option<Head>,
    /// Names of all columns.
    names: Vec<String>,
    /// The lines of a row.
    text: Vec<u8>,
    /// Lines that have been read, and those before the text.
    read: usize,
    before: usize,
    /// The line of the row.
    line: usize,
    /// The row, and everything that is known about all of them.
    table: Table,
}

debug_fields!(TableRows<'_>, place, options, line);

impl<'a> TableRows<'a> {
    /// The table on standard input.
    pub fn stdin(options: TableOptions<'a>) -> Self {
        Self::new(Box::new(Waiting(io::stdin())), "stdin", options)
    }

    /// The table of a reader, such as a socket. Errors call it `name`.
    pub fn new(reader: Box<dyn Read + Send>, name: &str, options: TableOptions<'a>) -> Self {
        TableRows {
            reader: BufReader::new(reader),
            place: name.to_owned(),
            options,
            head: None,
            names: Vec::new(),
            text: Vec::new(),
            read: 0,
            before: 0,
            line: 0,
            table: Table::default(),
        }
    }

    /// The line that was read last, for messages. Lines are counted from 1.
    pub fn place(&self) -> String {
        format!("{}: line {}", self.place, self.line)
    }

    /// Replaces `row` by the numbers of the next one, each rounded to T as if its text had been read as T; false at the
    /// end of the table. Blank lines and comments are no rows; a last line without an end is one.
    pub fn read<T: Element>(&mut self, row: &mut Vec<T>) -> Result<bool, FileError> {
        while self.read_lines()? {
            if self.parse()? {
                if T::DTYPE == Dtype::F32 {
                    self.table.round_to_f32()?;
                }
                row.clear();
                row.extend(self.table.values.iter().map(|&value| T::from_f64(value)));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Names of the columns that are read; empty if the table has none.
    pub fn column_names(&self) -> &[String] {
        &self.table.names
    }

    /// Whether the first line was taken for names because it looks like names.
    pub fn names_are_guessed(&self) -> bool {
        self.table.names_are_guessed
    }

    /// The name of the text's encoding; `None` for UTF-8 so far.
    pub fn encoding(&self) -> Option<&'static str> {
        self.table.encoding
    }

    /// The cells of the last row that are kept, as a table of one row.
    pub fn kept(&self) -> &KeptCells {
        &self.table.kept
    }

    /// Whether the next line can still show that the first one, which was read as numbers, is names.
    pub fn is_doubtful(&self) -> bool {
        let head = self.head.as_ref().filter(|_| self.table.shape[0] <= 1);
        head.is_some_and(|head| head.first_row.is_doubtful(self.table.shape[0]))
    }

    /// Reads the row of the text; false if it has none.
    fn parse(&mut self) -> Result<bool, FileError> {
        let mut budget = Budget::default();
        let text = std::mem::take(&mut self.text);
        let (mut text, encoding) = decoded(text, &mut budget, &self.place)?;
        let table = &mut self.table;
        table.encoding = table.encoding.or(encoding);
        if self.head.is_none() {
            table.separator = separator(&mut text);
        }
        if table.separator == b' ' {
            single_blanks(&mut text);
        }
        table.clear();
        let lines = Lines::new(&text, &self.place, &self.options, table.separator, budget);
        let mut lines = lines.behind(self.before, std::mem::take(&mut self.names));
        let (head, has_row) = if let Some(head) = &self.head {
            (head, lines.next()?)
        } else {
            let head = self.head.insert(Head::read(&mut lines)?);
            head.name_columns(table, &mut lines).map_err(FileError::over(&self.place))?;
            let has_row = head.has_row(&mut lines)?;
            (&*head, has_row)
        };
        if has_row {
            head.row(&mut lines, table)?;
            self.line = lines.line();
            if lines.next()? {
                let what = "expected a row behind LF or CRLF, got one behind another line end";
                return Err(lines.wrong("", what));
            }
        }
        self.names = std::mem::take(&mut lines.names);
        drop(lines);
        self.text = text;
        Ok(has_row)
    }

    /// Reads the lines of the next row into the text: above the first row, everything that decides about the columns.
    fn read_lines(&mut self) -> Result<bool, FileError> {
        self.text.clear();
        self.before = self.read;
        if self.head.is_some() {
            return self.read_record();
        }
        let Some(first) = self.read_until_row()? else { return Ok(false) };
        let start = &self.text[..self.text.len().min(Format::BYTES)];
        let expected = Expected { formats: &[Format::Text], words: "a table of numbers" };
        Format::recognise(start, &self.place, expected)?;
        let line = &self.text[first..];
        let separator = visible_separator(line).unwrap_or(b' ');
        let has_word = cells(line, separator).any(|cell| is_word(unquoted(cell)));
        let has_comment = self.text[..first].split(|&byte| byte == b'\n').any(is_comment);
        let has_names = match self.options.first_line {
            FirstLine::Numbers => false,
            // The comment may be the names.
            FirstLine::Names => has_word || !has_comment,
            FirstLine::Clear | FirstLine::Guess => has_word,
        };
        // Names are not answered, so that there is time for the line below them.
        if has_names {
            self.read_until_row()?;
        }
        Ok(true)
    }

    /// Reads lines up to one that is neither blank nor a comment, and returns its start in the text.
    fn read_until_row(&mut self) -> Result<Option<usize>, FileError> {
        loop {
            let start = self.text.len();
            if !self.read_record()? {
                return Ok(None);
            }
            if start == 0 {
                remove_mark(&mut self.text);
            }
            let line = &self.text[start..];
            let stated = start == 0 && stated_separator(line).is_some();
            if !line.trim_ascii().is_empty() && !is_comment(line) && !stated {
                return Ok(Some(start));
            }
        }
    }

    /// Reads a line, and those behind it that belong to it by its quotes; false at the end.
    fn read_record(&mut self) -> Result<bool, FileError> {
        let known = [self.table.separator];
        let separators = if self.head.is_some() { &known[..] } else { SEPARATORS };
        let (first, mut quotes) = (self.text.len(), Quotes::START);
        loop {
            let start = self.text.len();
            let more = read_line(&mut self.reader, &mut self.text, &self.place, self.read + 1)?;
            self.read += usize::from(more);
            quotes.pass(&self.text[start..], separators);
            if !more || !quotes.is_open {
                return Ok(self.text.len() > first);
            }
        }
    }
}

/// The quotes up to a byte of a table.
struct Quotes {
    /// Whether the byte is in a cell in quotes. Two quotes in it are one, which does not end it.
    is_open: bool,
    /// Whether a cell begins behind the byte, and whether a quote has ended one there.
    at_start: bool,
    after_quote: bool,
}

impl Quotes {
    /// In front of a line.
    const START: Quotes = Quotes { is_open: false, at_start: true, after_quote: false };

    fn pass(&mut self, text: &[u8], separators: &[u8]) {
        for &byte in text {
            let is_quote = byte == b'"';
            (self.is_open, self.after_quote) = match (is_quote, self.is_open) {
                (true, true) => (false, true),
                (true, false) => (self.at_start || self.after_quote, false),
                (false, is_open) => (is_open, false),
            };
            let is_end = byte == b'\n' || separators.contains(&byte);
            self.at_start = !self.is_open && !is_quote && is_end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a text, each with its line, that arrives byte by byte; or the error behind them.
    fn rows(text: &str, options: TableOptions<'_>) -> (Vec<(usize, Vec<f64>)>, Option<String>) {
        struct Slow(Vec<u8>, usize);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let byte = self.0.get(self.1);
                self.1 += 1;
                Ok(byte.map_or(0, |&byte| {
                    buffer[0] = byte;
                    1
                }))
            }
        }
        let reader = Box::new(Slow(text.as_bytes().to_vec(), 0));
        let mut table = TableRows::new(reader, "x", options);
        let (mut rows, mut row) = (Vec::new(), Vec::new());
        loop {
            match table.read(&mut row) {
                Ok(true) => rows.push((table.line, row.clone())),
                Ok(false) => return (rows, None),
                Err(error) => return (rows, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn rows_are_those_of_the_whole_table() {
        for (text, lines) in [
            ("1,2\n3,4\n", [1, 2]),
            ("a,b\n1,2\n3,4", [2, 3]),
            ("a\tb\r\n1\t2\r\n\r\n3\t4\r\n", [2, 4]),
            ("# made by hand\n\n# a b\n1 2\n# between\n3  4\n", [4, 6]),
            ("a b\n 1 2 \n3 4", [2, 3]),
            ("\u{feff}\"a\";b\n1;2\n\"3\";4\n", [2, 3]),
            ("1,2\n\"3\n\",4\n", [1, 2]),
            ("sep=;\n1;2\n3;4\n", [2, 3]),
            ("\u{feff}\n# a b\n1 2\n3 4\n", [3, 4]),
            ("\u{feff}sep=,\r\na;,b\r\n1,2\r\n3,4\r\n", [3, 4]),
        ] {
            let expected = vec![(lines[0], vec![1.0, 2.0]), (lines[1], vec![3.0, 4.0])];
            assert_eq!(rows(text, TableOptions::default()), (expected, None), "{text:?}");
        }
        for text in ["", "\n \n", "a,b\n", "# a\n"] {
            assert_eq!(rows(text, TableOptions::default()), (vec![], None), "{text:?}");
        }
    }

    #[test]
    fn a_cell_of_many_lines_takes_linear_time() {
        let text = format!("1,2\n3,\"4{}\"\n5,6\n", "\n".repeat(200_000));
        let start = std::time::Instant::now();
        let (rows, error) = rows(&text, TableOptions::default());
        let lines: Vec<_> = rows.iter().map(|(line, _)| *line).collect();
        assert_eq!((lines, error), (vec![1, 2, 200_003], None));
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }

    #[test]
    fn an_error_names_its_line() {
        for (text, expected) in [
            ("a,b\n1,2\n\n3,x\n", "x: line 4, column 2 (b): expected a number, got 'x'"),
            ("1,2\n1,2,3\n", "x: line 2: expected 2 cells, as in line 1, got 3"),
            ("a,b\n1,2\n{\"a\": 1}\n", "x: line 3: expected 2 cells, as in line 1, got 1"),
            ("1,2\n3,\"4\n", "x: line 2, column 2: expected a number, got '4'"),
            (
                "1,2\n3,4\r5,6\n",
                "x: line 3: expected a row behind LF or CRLF, got one behind another line end",
            ),
        ] {
            let (rows, error) = rows(text, TableOptions::default());
            if text.contains("\"4") {
                assert_eq!((rows.len(), error), (2, None), "a last line without an end counts");
            } else {
                assert_eq!((rows.len(), error.as_deref()), (1, Some(expected)), "{text:?}");
            }
        }
        let (_, error) = rows("[1, 2]\n", TableOptions::default());
        assert!(error.unwrap().contains("line 1, column 1: "));
    }

    /// The first line has been answered by then.
    #[test]
    fn names_that_look_like_numbers_are_found_in_the_next_line() {
        let numbers = |line: usize, row: &[f64]| (line, row.to_vec());
        let found = "expected names (--header) or numbers (--no-header), got numbers like names above '0.5'";
        let (rows_read, error) = rows("0,1\n0.5,2\n", TableOptions::default());
        assert_eq!(
            (rows_read, error),
            (vec![numbers(1, &[0.0, 1.0])], Some(format!("x: line 1: {found}")))
        );
        let (rows_read, error) = rows("\"0.1\"\n\"0.5\"\n", TableOptions::default());
        assert_eq!((rows_read.len(), error), (2, None));
        let options = TableOptions { first_line: FirstLine::Names, ..TableOptions::default() };
        assert_eq!(rows("0,1\n0.5,2\n", options), (vec![numbers(2, &[0.5, 2.0])], None));
        // The comment is the names.
        let expected = vec![numbers(2, &[1.0, 2.0]), numbers(3, &[3.0, 4.0])];
        assert_eq!(rows("# a b\n1 2\n3 4\n", options), (expected, None));
    }
}
