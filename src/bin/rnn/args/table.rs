//! Flags of tables, in and out.

use clap::{Args as ClapArgs, ValueEnum};
use elman::files::{FirstLine, TableOptions};

use super::typed_flags;
use super::values::columns;

/// How a table is read.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Tables")]
pub(crate) struct TableArgs {
    /// Columns of a table, in this order: names from its first line, in quotes if they contain commas, or
    /// numbers from 1 on.
    #[arg(long, value_name = "A,B", value_parser = columns)]
    columns: Vec<Vec<String>>,
    /// The first line of a table names its columns [default: if a cell begins with a letter or _].
    #[arg(long, conflicts_with = "no_header")]
    header: bool,
    /// The first line of a table holds numbers [default: if all its cells are numbers].
    #[arg(long)]
    no_header: bool,
    /// Read missing values of a table as NaN: empty cells, NA, N/A and null are an error without it.
    #[arg(long, value_name = "nan", value_parser = ["nan"], hide_possible_values = true)]
    missing: Option<String>,
}

impl TableArgs {
    /// The typed columns, in their order.
    pub(crate) fn columns(&self) -> Vec<String> {
        self.columns.concat()
    }

    /// The flags that were typed.
    pub(crate) fn flags(&self) -> Vec<&'static str> {
        typed_flags(&[
            ("--columns", !self.columns.is_empty()),
            ("--header", self.header),
            ("--no-header", self.no_header),
            ("--missing", self.missing.is_some()),
        ])
    }

    pub(crate) fn options<'a>(&self, columns: &'a [String]) -> TableOptions<'a> {
        self.options_keeping(columns, &[])
    }

    /// The options, with columns that are kept.
    pub(crate) fn options_keeping<'a>(
        &self,
        columns: &'a [String],
        keep: &'a [String],
    ) -> TableOptions<'a> {
        let first_line = match (self.header, self.no_header) {
            (true, _) => FirstLine::Names,
            (_, true) => FirstLine::Numbers,
            _ => FirstLine::Clear,
        };
        TableOptions { columns, keep, first_line, missing_as_nan: self.missing.is_some() }
    }
}

/// How a table is written, with columns of the input.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Tables")]
pub(crate) struct TableOutputArgs {
    /// Copy these columns of the input to the output, a .csv or .tsv with a row for each step: names or numbers as
    /// for --columns.
    #[arg(long, value_name = "A,B", value_parser = columns)]
    keep: Vec<Vec<String>>,
    /// Names of the output's columns, in a first line of a .csv or .tsv.
    #[arg(long, value_name = "A,B", value_parser = columns)]
    names: Vec<Vec<String>>,
}

impl TableOutputArgs {
    /// The flags that were typed.
    pub(crate) fn flags(&self) -> Vec<&'static str> {
        typed_flags(&[("--keep", !self.keep.is_empty()), ("--names", !self.names.is_empty())])
    }

    /// The columns that are copied.
    pub(crate) fn keep(&self) -> Vec<String> {
        self.keep.concat()
    }

    /// The names of the output's columns.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.concat()
    }
}

/// The format of an output on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// NumPy's, for one tensor.
    Npy,
    /// An archive of several.
    Npz,
    /// A table with commas.
    Csv,
    /// A table with tabs.
    Tsv,
    /// Text for reading, with four decimals.
    Txt,
}

impl Format {
    /// The name of a file of this format.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Format::Npy => "stdout.npy",
            Format::Npz => "stdout.npz",
            Format::Csv => "stdout.csv",
            Format::Tsv => "stdout.tsv",
            Format::Txt => "stdout.txt",
        }
    }

    /// Whether a terminal shows it.
    pub(crate) fn is_text(self) -> bool {
        !matches!(self, Format::Npy | Format::Npz)
    }
}
