//! The text of a table as its names and numbers.

use super::first_line::FirstRow;
use super::lines::Lines;
use super::text::{decoded, remove_mark, separator, single_blanks};
use super::{Table, TableOptions};
use crate::files::budget::{Budget, OverBudget};
use crate::files::error::FileError;

/// Reads the columns of a table that the options name, or all of them.
pub(super) fn parse(
    mut bytes: Vec<u8>,
    place: &str,
    options: &TableOptions<'_>,
) -> Result<Table, FileError> {
    let mut budget = Budget::default();
    remove_mark(&mut bytes);
    let (mut bytes, encoding) = decoded(bytes, &mut budget, place)?;
    let separator = separator(&mut bytes);
    if separator == b' ' {
        single_blanks(&mut bytes);
    }
    let mut lines = Lines::new(&bytes, place, options, separator, budget);
    let head = Head::read(&mut lines)?;
    let columns = head.columns.len();
    let mut table = Table { separator, encoding, shape: [0, columns], ..Table::default() };
    let mut more = head.has_row(&mut lines)?;
    while more {
        head.row(&mut lines, &mut table)?;
        more = lines.next()?;
    }
    if let Some(error) = lines.no_table().filter(|_| table.shape[0] == 0) {
        return Err(error);
    }
    head.name_columns(&mut table, &mut lines).map_err(FileError::over(place))?;
    Ok(table)
}

/// What the lines above a table's numbers say about it.
pub(super) struct Head {
    /// The number of the first line, and the cells of each line.
    line: usize,
    width: usize,
    pub(super) first_row: FirstRow,
    /// The indices of the columns of numbers, and of those that are kept.
    pub(super) columns: Vec<usize>,
    kept: Vec<usize>,
}

impl Head {
    /// Goes to the first line, and sets the names of the columns.
    pub(super) fn read(lines: &mut Lines<'_>) -> Result<Self, FileError> {
        let heading = lines.first()?;
        let (line, width) = (lines.line(), lines.record.len());
        let first_row = FirstRow::new(lines, heading)?;
        let (columns, kept) = lines.columns()?;
        Ok(Head { line, width, first_row, columns, kept })
    }

    /// Goes to the first line of numbers; false if there is none.
    pub(super) fn has_row(&self, lines: &mut Lines<'_>) -> Result<bool, FileError> {
        if self.first_row.is_names { lines.next() } else { Ok(true) }
    }

    /// Appends the row of the current line to the table.
    pub(super) fn row(&self, lines: &mut Lines<'_>, table: &mut Table) -> Result<(), FileError> {
        if lines.record.len() != self.width {
            let (s, found) = (if self.width == 1 { "" } else { "s" }, lines.record.len());
            let (width, line) = (self.width, self.line);
            let what = format!("expected {width} cell{s}, as in line {line}, got {found}");
            return Err(lines.wrong("", &what));
        }
        // A cell that is not a number is reported as such.
        lines.numbers(&self.columns, table)?;
        lines.keep(&self.kept, &mut table.kept)?;
        self.first_row.check(lines, table.shape[0])?;
        table.shape[0] += 1;
        Ok(())
    }

    /// Gives the table the names of its columns.
    pub(super) fn name_columns(
        &self,
        table: &mut Table,
        lines: &mut Lines<'_>,
    ) -> Result<(), OverBudget> {
        let (names, budget) = (&lines.names, &mut lines.budget);
        table.names_are_guessed = !names.is_empty() && self.first_row.names_are_guessed;
        let kept = self
            .kept
            .iter()
            .map(|&column| names.get(column).cloned().unwrap_or_else(|| (column + 1).to_string()));
        table.kept.names.extend(kept);
        let columns = self.columns.iter().filter_map(|&column| names.get(column));
        table.names = columns.map(|name| budget.name(name)).collect::<Result<_, _>>()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{FirstLine, Remedy};

    fn table(text: &str) -> Table {
        parse(text.as_bytes().to_vec(), "x", &TableOptions::default()).unwrap()
    }

    /// The error of a text, without the place.
    fn error(text: &[u8]) -> String {
        let Err(error) = parse(text.to_vec(), "x", &TableOptions::default()) else {
            panic!("a table: {text:?}")
        };
        error.to_string().strip_prefix("x: ").unwrap().to_owned()
    }

    fn remedy(text: &str, wanted: &[&str]) -> Option<Remedy> {
        let columns: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        let options = TableOptions { columns: &columns, ..TableOptions::default() };
        match parse(text.as_bytes().to_vec(), "x", &options) {
            Err(FileError::Table { remedy, .. }) => Some(remedy),
            _ => None,
        }
    }

    #[test]
    fn other_columns_are_suggested() {
        let columns =
            |names: &[&str]| Some(Remedy::Columns(names.iter().map(ToString::to_string).collect()));
        let stock = "Date,Close,\"a, b\",Volume\n2025-05-15,1,2,3\n2025-05-16,2.5,3,4\n";
        assert_eq!(remedy(stock, &[]), columns(&["Close", "\"a, b\"", "Volume"]));
        assert_eq!(remedy(stock, &["close", "volum"]), columns(&["Close", "Volume"]));
        assert_eq!(remedy(stock, &["Volumes"]), columns(&["Volume"]));
        assert_eq!(remedy(stock, &["Open"]), None);
        // One bad cell does not make a column of words.
        assert_eq!(remedy("a,b\n1,2\n3,x\n", &[]), None);
        assert_eq!(remedy("a,b\n1,2\n3,\n", &[]), Some(Remedy::MissingAsNan));
    }

    fn columns(text: &str, wanted: &str) -> Result<Vec<f64>, String> {
        let wanted: Vec<_> = wanted.split(',').map(str::to_owned).collect();
        let options = TableOptions { columns: &wanted, ..TableOptions::default() };
        let table = parse(text.as_bytes().to_vec(), "x", &options);
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
    fn a_first_line_may_state_the_separator() {
        for text in [
            "sep=;\n1;2\n3;4\n",
            "\u{feff}sep=;\r\na;b\r\n1;2\r\n3;4\r\n",
            "\"sep=,\"\n1,2\n3,4\n",
            "SEP=\t\n1\t2\n3\t4\n",
            "sep=|\na, b;|c\n1|2\n3|4\n",
        ] {
            let table = table(text);
            assert_eq!(
                (table.shape, &table.values[..]),
                ([2, 2], &[1.0, 2.0, 3.0, 4.0][..]),
                "{text}"
            );
        }
        // The line counts.
        let error = parse(b"sep=;\n1;2\n3;x\n".to_vec(), "x", &TableOptions::default());
        assert!(error.is_err_and(|error| error.to_string().starts_with("x: line 3, column 2: ")));
        let names = table("sep=,1\n1,2\n").names;
        assert_eq!(names, ["sep=", "1"]);
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
        assert_eq!(table(",a,1\n0,5,6\n").names, ["", "a", "1"]);
        // As np.savetxt writes them; any other comment is left out.
        for text in [
            "# a b\n1 2\n",
            "# a,b\n1 2\n# end\n",
            "#a,b\n1,2\n",
            "a,b\n1 2\n",
            "# by me, then\n# \na b\n1 2",
        ] {
            assert_eq!(
                (table(text).names, table(text).shape),
                (vec!["a".to_owned(), "b".to_owned()], [1, 2]),
                "{text}"
            );
        }
        assert_eq!(table("# made by hand\n1,2\n").names, [""; 0]);
        assert_eq!(table("a\n#\n1\n").shape, [1, 1]);
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
                "a\n3 4\n",
                "line 2, column 1 (a): expected commas, semicolons or tabs between numbers, got '3 4'",
            ),
            ("1 000\n2 000\n", "line 1, column 1: expected a number, got '1 000'"),
            ("1\n#N/A\n", "line 2, column 1: expected a number, got '#N/A'"),
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
        assert_eq!(error(b"1\n\xff\n"), "line 2, column 1: expected a number, got '\u{ff}'");
    }

    #[test]
    fn other_encodings_have_a_name() {
        for (text, name, encoding) in [
            (&b"gr\xf6\xdfe\n1\n"[..], "größe", Some("Latin-1")),
            (b"\x80\xb5\n1\n", "\u{20ac}\u{b5}", Some("Windows-1252")),
            ("größe\n1\n".as_bytes(), "größe", None),
        ] {
            let (own, encoding_read) = decoded(text.to_vec(), &mut Budget::default(), "x").unwrap();
            assert_eq!(encoding_read, encoding);
            let options = TableOptions { first_line: FirstLine::Names, ..TableOptions::default() };
            assert_eq!(parse(own, "x", &options).unwrap().names, [name]);
        }
    }

    /// A first line is never lost, and never made up.
    #[test]
    fn an_unclear_first_line_is_refused() {
        let expected = "expected names (--header) or numbers (--no-header), got";
        for (text, place, got) in [
            (",\n1,2\n", "line 1, column 1", "an empty cell"),
            ("\"\"\n1\n", "line 1, column 1", "an empty cell"),
            ("NA,NA\n1,2\n", "line 1, column 1", "'NA'"),
            ("1,null\n1,2\n", "line 1, column 2", "'null'"),
            ("1 000,2 000\n1,2\n", "line 1, column 1", "'1 000'"),
            ("1%,2%\n1,2\n", "line 1, column 1", "'1%'"),
            ("1,\u{2212}2\n1,2\n", "line 1, column 2", "'\u{2212}2'"),
            ("2024-01-01,2\n1,2\n", "line 1, column 1", "'2024-01-01'"),
            ("0,1\n0.5,0.25\n", "line 1", "numbers like names above '0.5'"),
            ("0 1\n1 2\n3 0.25\n", "line 1", "numbers like names above '0.25'"),
            ("\"0.1\"\n0.5\n", "line 1", "numbers like names above '0.5'"),
            ("3,1\n1.0,2.0\n", "line 1", "numbers like names above '1.0'"),
        ] {
            assert_eq!(error(text.as_bytes()), format!("{place}: {expected} {got}"), "{text}");
            let read = |first_line| {
                let options = TableOptions { first_line, ..TableOptions::default() };
                parse(text.as_bytes().to_vec(), "x", &options)
            };
            assert!(!read(FirstLine::Names).unwrap().names.is_empty(), "{text}");
            let numbers = read(FirstLine::Numbers).map(|table| table.names.len());
            assert_eq!(numbers.ok(), got.contains("like").then_some(0), "{text}");
        }
        for text in [
            "1,2\n3,4\n",
            "1,1\n0.5,2\n",
            "1,2\n-3,0.5\n",
            "1\n0.5\n",
            "\"1.5\"\n\"2\"\n",
            "nan,1\n2,0.5\n",
        ] {
            assert_eq!(table(text).shape[0], 2, "{text}");
        }
    }

    #[test]
    fn missing_values_are_nan_only_if_that_is_asked_for() {
        let text = "a\n1\n\"\"\nNA\nn/a\nnull\n\n2\n";
        assert_eq!(
            error(text.as_bytes()),
            "line 3, column 1 (a): expected a number, got an empty cell"
        );
        let options = TableOptions { missing_as_nan: true, ..TableOptions::default() };
        let table = parse(text.as_bytes().to_vec(), "x", &options).unwrap();
        let finite: Vec<_> = table.values.iter().map(|value| value.is_finite()).collect();
        assert_eq!(finite, [true, false, false, false, false, true]);
        assert!(parse(b"a\nx\n".to_vec(), "x", &options).is_err());
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
