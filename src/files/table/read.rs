//! The text of a table, line by line.

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::Table;
use crate::files::error::FileError;
use crate::files::{MAX_LISTED, escaped, listed};
use crate::memory::grow;

/// The bytes that Windows writes before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Most characters of a cell that an error shows: more than any number has.
const MAX_SHOWN: usize = 40;

/// Bits of a double that are all zero if it lies halfway between two singles.
const BELOW_HALF: u64 = (1 << 28) - 1;

/// Reads the `wanted` columns of a table, or all of them if there are none.
pub(super) fn parse(bytes: &[u8], place: &str, wanted: &[String]) -> Result<Table, FileError> {
    let mut lines = Lines::new(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes), place);
    if !lines.next()? {
        return Err(lines.malformed("expected a table of numbers, got blank lines".to_owned()));
    }
    let (first_line, width) = (lines.line(), lines.record.len());
    if lines.record.iter().any(|cell| number(cell).is_none()) {
        lines.refuse_decimal_commas()?;
        let text = |cell: &[u8]| String::from_utf8_lossy(cell.trim_ascii()).into_owned();
        lines.names = lines.record.iter().map(text).collect();
    }
    let columns = lines.columns(wanted)?;
    let mut table =
        Table { separator: lines.separator, shape: [0, columns.len()], ..Table::default() };
    let names = columns.iter().filter_map(|&column| lines.names.get(column));
    table.names = names.map(|name| escaped(name)).collect();
    let mut more = lines.names.is_empty() || lines.next()?;
    while more {
        if lines.record.len() != width {
            let (s, found) = (if width == 1 { "" } else { "s" }, lines.record.len());
            let what = format!("expected {width} cell{s}, as in line {first_line}, got {found}");
            return Err(lines.wrong("", &what));
        }
        lines.numbers(&columns, &mut table)?;
        table.shape[0] += 1;
        more = lines.next()?;
    }
    match lines.no_table() {
        Some(error) if table.shape[0] == 0 => Err(error),
        _ => Ok(table),
    }
}

/// The lines of a table, and the current one.
struct Lines<'a> {
    bytes: &'a [u8],
    place: &'a str,
    separator: u8,
    reader: Reader<&'a [u8]>,
    /// The cells of the line.
    record: ByteRecord,
    /// Names of all columns; empty if the table has no line of names.
    names: Vec<String>,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8], place: &'a str) -> Self {
        let separator = separator(bytes);
        // This program reports a line of another length itself.
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(separator);
        let (reader, record) = (builder.from_reader(bytes), ByteRecord::new());
        Lines { bytes, place, separator, reader, record, names: Vec::new() }
    }

    /// Goes to the next line that is not blank; false at the end.
    fn next(&mut self) -> Result<bool, FileError> {
        loop {
            let more = self.reader.read_byte_record(&mut self.record);
            if !more.map_err(|error| self.malformed(error.to_string()))? {
                return Ok(false);
            }
            if self.record.len() > 1 || !self.record[0].trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// The index of each wanted column. A name wins over a number.
    fn columns(&self, wanted: &[String]) -> Result<Vec<usize>, FileError> {
        let width = self.record.len();
        if wanted.is_empty() {
            return Ok((0..width).collect());
        }
        let column = |wanted: &String| {
            let number = || wanted.parse().ok().filter(|number| (1..=width).contains(number));
            let names = self.names.iter().enumerate();
            let mut named = names.filter(|(_, name)| *name == wanted.trim()).map(|(at, _)| at);
            match (named.next(), named.next()) {
                (Some(first), Some(second)) => Err(self.two_columns(wanted, first, second)),
                (Some(only), None) => Ok(only),
                (None, _) => number().map(|n| n - 1).ok_or_else(|| self.no_column(wanted)),
            }
        };
        wanted.iter().map(column).collect()
    }

    /// Appends the numbers of a line.
    fn numbers(&self, columns: &[usize], table: &mut Table) -> Result<(), FileError> {
        let bytes = table.values.len().saturating_mul(size_of::<f64>());
        grow(&mut table.values, columns.len(), "input", bytes)?;
        for &column in columns {
            let cell = &self.record[column];
            let value = number(cell).ok_or_else(|| self.no_number(column, cell))?;
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
        Ok(())
    }

    /// The number of the line, counted from 1, with any kind of line end.
    fn line(&self) -> usize {
        let start = self.record.position().map_or(0, csv::Position::byte);
        let start = usize::try_from(start).unwrap_or(0).min(self.bytes.len());
        let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        // The blank lines before a record count as its own.
        let blank = self.bytes[start..].iter().take_while(is_end).count();
        let before = &self.bytes[..start + blank];
        let pairs = before.windows(2).filter(|pair| pair == b"\r\n").count();
        before.iter().filter(is_end).count() - pairs + 1
    }

    /// The error for the line. A text that is not a table is named by its format.
    fn wrong(&self, column: &str, what: &str) -> FileError {
        let error = || self.malformed(format!("line {}{column}: {what}", self.line()));
        self.no_table().unwrap_or_else(error)
    }

    /// Rejects a first line of numbers with decimal commas, rather than taking it for names.
    fn refuse_decimal_commas(&self) -> Result<(), FileError> {
        let are_numbers = self.record.iter().all(|cell| number(cell).is_some() || has_comma(cell));
        let first = self.record.iter().position(has_comma).filter(|_| are_numbers);
        first.map_or(Ok(()), |column| Err(self.no_number(column, &self.record[column])))
    }

    /// A column in errors, with its name if it has one.
    fn column(&self, column: usize) -> String {
        let name = self.names.get(column).filter(|name| !name.is_empty());
        let name = name.map_or(String::new(), |name| format!(" ({})", shown(name)));
        format!("column {}{name}", column + 1)
    }

    /// The error for a number that is infinite in a type.
    fn overflow(&self, column: usize, dtype: &'static str) -> FileError {
        let at = format!("line {}, {}", self.line(), self.column(column));
        let found = shown(&String::from_utf8_lossy(self.record[column].trim_ascii()));
        FileError::Overflow { place: self.place.to_owned(), at, dtype, found }
    }

    fn no_number(&self, column: usize, cell: &[u8]) -> FileError {
        let text = String::from_utf8_lossy(cell.trim_ascii());
        let expected = if has_comma(cell) {
            "a number with a decimal point"
        } else if text.contains(' ') && text.split(' ').all(|word| word.parse::<f64>().is_ok()) {
            "commas, semicolons or tabs between numbers"
        } else {
            "a number"
        };
        let got = match &*text {
            "" => "an empty cell".to_owned(),
            text => format!("'{}'", shown(text)),
        };
        // If commas separate the columns too, only the writer of the table can tell them apart.
        let can_replace = has_comma(cell) && self.separator != b',';
        let remedy = if can_replace { " (tr , . makes points of commas)" } else { "" };
        let what = format!("expected {expected}, got {got}{remedy}");
        self.wrong(&format!(", {}", self.column(column)), &what)
    }

    fn two_columns(&self, wanted: &str, first: usize, second: usize) -> FileError {
        let (wanted, first, second) = (shown(wanted), first + 1, second + 1);
        self.malformed(format!(
            "columns: expected one column, got '{wanted}', the name of both {first} and {second}"
        ))
    }

    fn no_column(&self, wanted: &str) -> FileError {
        let width = self.record.len();
        let names = listed(self.names.iter().map(|name| quoted(name)), MAX_LISTED);
        let list =
            if self.names.is_empty() { String::new() } else { format!("one of {names}, or ") };
        let what = format!("expected {list}a number from 1 to {width}, got '{}'", shown(wanted));
        self.malformed(format!("columns: {what}"))
    }

    /// The error for a text that begins like another format.
    fn no_table(&self) -> Option<FileError> {
        let looks = match self.bytes.trim_ascii_start().first()? {
            b'<' => "HTML or XML",
            b'{' | b'[' => "JSON",
            _ => return None,
        };
        let what = format!("expected a table of numbers, got what looks like {looks}");
        Some(self.malformed(format!("line 1, column 1: {what}")))
    }

    fn malformed(&self, what: String) -> FileError {
        FileError::Malformed { place: self.place.to_owned(), what }
    }
}

/// The separator of columns. A comma in a table with semicolons may be a decimal comma, and a name in a table with
/// tabs may contain either.
fn separator(bytes: &[u8]) -> u8 {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let line = bytes.split(is_end).find(|line| !line.trim_ascii().is_empty());
    let (mut quoted, mut separator) = (false, b',');
    for byte in line.unwrap_or_default() {
        match byte {
            b'"' => quoted = !quoted,
            b'\t' if !quoted => return b'\t',
            b';' if !quoted => separator = b';',
            _ => {}
        }
    }
    separator
}

/// The number in a cell. There is one NaN, whatever its sign.
fn number(cell: &[u8]) -> Option<f64> {
    parsed(cell).map(|value: f64| if value.is_nan() { f64::NAN } else { value })
}

fn parsed<T: std::str::FromStr>(cell: &[u8]) -> Option<T> {
    std::str::from_utf8(cell).ok()?.trim_ascii().parse().ok()
}

/// Whether a cell is a number with a decimal comma.
fn has_comma(cell: &[u8]) -> bool {
    let text = String::from_utf8_lossy(cell);
    text.contains(',') && parsed::<f64>(text.replacen(',', ".", 1).as_bytes()).is_some()
}

/// The name of a column in a list with commas between the names.
fn quoted(name: &str) -> String {
    if name.contains(['"', ',']) {
        format!("\"{}\"", shown(&name.replace('"', "\"\"")))
    } else {
        shown(name)
    }
}

/// A text of the table as an error shows it.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(MAX_SHOWN).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{}{more}", escaped(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        parse(text.as_bytes(), "x", &[]).unwrap()
    }

    /// The error of a text, without the place.
    fn error(text: &[u8]) -> String {
        let Err(error) = parse(text, "x", &[]) else { panic!("a table: {text:?}") };
        error.to_string().strip_prefix("x: ").unwrap().to_owned()
    }

    fn columns(text: &str, wanted: &str) -> Result<Vec<f64>, String> {
        let wanted: Vec<_> = wanted.split(',').map(str::to_owned).collect();
        let table = parse(text.as_bytes(), "x", &wanted);
        table.map(|table| table.values).map_err(|error| error.to_string())
    }

    #[test]
    fn separators_line_ends_and_spaces() {
        for text in [
            "1,2\n3,4\n",
            "1;2\n3;4",
            "1\t2\n3\t4\n",
            " 1 , 2 \r\n 3 , 4 \r\n",
            "1,2\r3,4\r",
            "\u{feff}1,2\n3,4\n",
            "\n \n1,2\n\n3,4\n\n  \n\r\n",
            "\"1\",\"2\"\n\"3\",4",
            "a,b\n1,2\n3,4\n",
            "\u{feff}Größe;été\n1;2\n3;4\n",
            "\"a, b\"\t\"c;\n\"\n1\t2\n3\t4",
            "\"a\t;\",\"b\"\"\"\n1,2\n3,4",
            "+1.,2e0\n3.0,.4E+1\n",
        ] {
            let table = table(text);
            assert_eq!(
                (table.shape, &table.values[..]),
                ([2, 2], &[1.0, 2.0, 3.0, 4.0][..]),
                "{text}"
            );
        }
    }

    #[test]
    fn words_that_are_numbers() {
        let table = table("nan,NaN,-nan\ninf,-Infinity,+INF\n-0,1e308,5e-324\n");
        let bits: Vec<_> = table.values.iter().map(|value| value.to_bits()).collect();
        let expected = [
            f64::NAN,
            f64::NAN,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::INFINITY,
            -0.0,
            1e308,
            5e-324,
        ];
        assert_eq!(bits, expected.map(f64::to_bits));
        assert!(table.names.is_empty());
    }

    #[test]
    fn a_line_of_names() {
        assert_eq!(table(" a , \"b c\" ,\n1,2,3\n").names, ["a", "\"b c\"", ""]);
        assert_eq!(table("\"a\",\"b c\"\n1,2\n").names, ["a", "b c"]);
        // As pandas writes its index.
        assert_eq!(table(",0,1\n0,5,6\n").names, ["", "0", "1"]);
        assert_eq!(table("a,b").shape, [0, 2]);
        assert_eq!(table("a\x1b,b\n").names, ["a\\u{1b}", "b"]);
    }

    #[test]
    fn bad_cells_have_a_line_and_a_column() {
        let long = format!("1\n{}\n", "x".repeat(50));
        let cut = format!("line 2, column 1: expected a number, got '{}...'", "x".repeat(40));
        for (text, expected) in [
            (
                "t,temperature\n1,2\n1,n/a",
                "line 3, column 2 (temperature): expected a number, got 'n/a'",
            ),
            ("1,2\r\n\r\n3,\r\n", "line 3, column 2: expected a number, got an empty cell"),
            ("1,2\n\n\n3,4\n5,x\n", "line 5, column 2: expected a number, got 'x'"),
            ("1,2\r3,4\r5,x\r", "line 3, column 2: expected a number, got 'x'"),
            ("\"a\nb\",c\n1,x", "line 3, column 2 (c): expected a number, got 'x'"),
            (
                "a;b\n1;2,5\n",
                "line 2, column 2 (b): expected a number with a decimal point, got '2,5' (tr , . makes points of commas)",
            ),
            (
                "1;2,5\n3;4\n",
                "line 1, column 2: expected a number with a decimal point, got '2,5' (tr , . makes points of commas)",
            ),
            ("\"1,5\",2\n", "line 1, column 1: expected a number with a decimal point, got '1,5'"),
            ("a\n1e400\n", "line 2, column 1 (a): expected a number that f64 holds, got '1e400'"),
            (
                "1 2\n3 4\n",
                "line 2, column 1 (1 2): expected commas, semicolons or tabs between numbers, got '3 4'",
            ),
            ("1\nx\ty\x07\n", "line 2, column 1: expected a number, got 'x\\ty\\u{7}'"),
            (&long, &cut),
            ("1,2\n3,4\n5\n", "line 3: expected 2 cells, as in line 1, got 1"),
            ("\n1\n3,4\n5\n", "line 3: expected 1 cell, as in line 2, got 2"),
            (" \n\n", "expected a table of numbers, got blank lines"),
            (
                "[[1, 2],\n[3]]",
                "line 1, column 1: expected a table of numbers, got what looks like JSON",
            ),
            (
                "{\"a\": 1}",
                "line 1, column 1: expected a table of numbers, got what looks like JSON",
            ),
            (
                "<p>\n1\n</p>",
                "line 1, column 1: expected a table of numbers, got what looks like HTML or XML",
            ),
        ] {
            assert_eq!(error(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(error(b"1\n\xff\n"), "line 2, column 1: expected a number, got '\u{fffd}'");
    }

    #[test]
    fn columns_by_name_and_number() {
        let text = "time,a,b,1\nnoon,1,2,3\nfour,5,6,7\n";
        assert_eq!(columns(text, "b,a").unwrap(), [2.0, 1.0, 6.0, 5.0]);
        assert_eq!(columns(text, "3,2").unwrap(), [2.0, 1.0, 6.0, 5.0]);
        // A name wins over a number.
        assert_eq!(columns(text, "1, a,a").unwrap(), [3.0, 1.0, 1.0, 7.0, 5.0, 5.0]);
        assert_eq!(columns("1,2\n3,4\n", "2").unwrap(), [2.0, 4.0]);
        let all = "x: columns: expected one of time, a, b, 1, or a number from 1 to 4, got";
        for (wanted, shown) in [("c", "c"), ("0", "0"), ("5", "5"), ("a,", ""), ("-1", "-1")] {
            assert_eq!(columns(text, wanted).unwrap_err(), format!("{all} '{shown}'"));
        }
        let error = "x: columns: expected a number from 1 to 2, got 'a'";
        assert_eq!(columns("1,2\n3,4\n", "a").unwrap_err(), error);
        assert_eq!(
            columns(text, "b,time").unwrap_err(),
            "x: line 2, column 1 (time): expected a number, got 'noon'"
        );
        let names: Vec<_> = (1..=22).map(|column| format!("c{column}")).collect();
        let error = format!(
            "x: columns: expected one of {} and 2 more, or a number from 1 to 22, got 'd'",
            names[..20].join(", ")
        );
        assert_eq!(columns(&names.join(","), "d").unwrap_err(), error);
    }

    /// Rounded to a double, and then to a single, each of these would lie halfway and go the wrong way.
    #[test]
    fn singles_are_rounded_once() {
        for text in [
            "1.00000005960464477539062500001",
            "-1.00000017881393432617187499999",
            "7.00649232162408535461864791645e-46",
        ] {
            let exact: f32 = text.parse().unwrap();
            let double: f64 = text.parse().unwrap();
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the test shows that this rounds twice"
            )]
            let twice = double as f32;
            assert_ne!(exact.to_bits(), twice.to_bits(), "{text}");
            let singles = table(text).into_array::<f32>().unwrap();
            assert_eq!(singles[[0, 0]].to_bits(), exact.to_bits(), "{text}");
            let doubles = table(text).into_array::<f64>().unwrap();
            assert_eq!(doubles[[0, 0]].to_bits(), double.to_bits(), "{text}");
        }
    }
}
