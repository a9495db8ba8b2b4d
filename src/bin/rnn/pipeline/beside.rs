//! What stands beside the numbers of a table that is written: names of its columns, and columns of the input.

use std::io::{self, Write};

use anyhow::Result;
use elman::files::{KeptCells, TensorFormat};
use elman::{Element, Function, Pool};
use ndarray::{ArrayD, ArrayViewD};

use super::pass::Pass;
use super::rows::reshaped;
use crate::args::TableOutputArgs;
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};

/// The names of an output's columns, and the columns of the input that are copied.
#[derive(Default)]
pub(crate) struct Beside {
    pub(super) names: Vec<String>,
    /// Whether columns are copied.
    pub(super) keeps: bool,
    pub(crate) kept: KeptCells,
    /// The names of the sequences of a table, under the name of their column.
    pub(super) groups: Option<KeptCells>,
    /// Whether an output has a row for each sequence, with its name.
    pub(super) by_group: bool,
}

/// The lines of a table, in which text stands before the numbers.
#[derive(Default)]
pub(super) struct Lines<'a> {
    /// The line of names with its end, if there is one.
    first: Option<String>,
    kept: Option<&'a KeptCells>,
    separator: &'static str,
}

impl Beside {
    /// The typed names, and the columns that are copied.
    pub(crate) fn new(written: &TableOutputArgs) -> Self {
        let keeps = !written.keep().is_empty();
        Beside { names: written.names(), keeps, ..Beside::default() }
    }

    /// Sets the cells that are copied to the next lines.
    pub(super) fn keep(&mut self, cells: &KeptCells) {
        if self.keeps {
            self.kept.clone_from(cells);
        }
    }

    /// Refuses names that are not as many as the columns.
    pub(super) fn check_names(&self, columns: usize) -> Result<()> {
        let names = self.names.len();
        if names != columns && names > 0 {
            let message =
                format!("--names: expected {columns} names, one for each column, got {names}");
            return Err(Usage(message).into());
        }
        Ok(())
    }

    /// Refuses names that are not as many as the columns of an output of this shape, and copied columns without a row for
    /// each of their cells.
    pub(super) fn check<T: Element>(&self, pass: &Pass<'_, T>, shape: &[usize]) -> Result<()> {
        let decoder = pass.model.decoder();
        let classes = matches!(decoder.function, Some(Function::Argmax | Function::Top(_)));
        self.check_names(pass.columns(shape))?;
        let each_step = decoder.pool == Pool::Steps && (shape.len() == 2 || classes);
        let fits = self.by_group || (each_step && self.kept.rows() == shape[0]);
        if self.keeps && !fits {
            let message = format!(
                "--keep: expected a table as input and an output with a row for each of its rows, got an output of shape {shape:?}"
            );
            return Err(with_hint(Data(message), hint::without(&["--keep"])));
        }
        Ok(())
    }

    /// The lines of a table with this number of columns. Names are those that were typed, those of the classes, or
    /// numbers beside copied columns.
    pub(super) fn lines(
        &self,
        format: TensorFormat,
        columns: usize,
        labels: Option<&[String]>,
    ) -> Lines<'_> {
        let Some(separator) = separator(format) else { return Lines::default() };
        let labels = labels.filter(|labels| labels.len() == columns).map(<[String]>::to_vec);
        let typed = Some(self.names.clone()).filter(|names| !names.is_empty());
        let kept = self.copied();
        let names = typed.or(labels).or_else(|| kept.map(|_| counted("output", columns)));
        Lines::new(names, kept, separator)
    }

    /// The lines of a .csv behind others of it.
    pub(super) fn next_lines(&self) -> Lines<'_> {
        Lines::new(None, self.copied(), ",")
    }

    /// The cells before the numbers of the output.
    fn copied(&self) -> Option<&KeptCells> {
        let groups = self.groups.as_ref().filter(|_| self.by_group);
        groups.or(self.keeps.then_some(&self.kept))
    }

    /// Refuses names and copied columns without a table.
    pub(super) fn check_table(&self, format: TensorFormat) -> Result<()> {
        let typed = [("--names", !self.names.is_empty()), ("--keep", self.keeps)];
        match typed.into_iter().find(|(_, typed)| *typed && !format.is_table()) {
            Some((flag, _)) => {
                let message = format!("expected a .csv or .tsv as output with {flag}, got none");
                Err(with_hint(Usage(message), hint::set("-o", "output.csv")))
            }
            None => Ok(()),
        }
    }

    /// The shape of a table of `h_n`, (D * `num_layers`, N, `H_out`): a row for each sequence of a table, or the layers and
    /// directions of a single one.
    pub(super) fn shape_of_states(&self, shape: &[usize]) -> Vec<usize> {
        match *shape {
            [states, batch, size] if self.groups.is_some() => vec![batch, states * size],
            [states, 1, size] => vec![states, size],
            _ => shape.to_vec(),
        }
    }

    /// `h_n` in this shape.
    pub(super) fn states<T: Element>(&self, h_n: ArrayViewD<'_, T>) -> ArrayD<T> {
        let shape = self.shape_of_states(h_n.shape());
        let by_sequence = self.groups.is_some() && h_n.ndim() == 3;
        let h_n = if by_sequence { h_n.permuted_axes(vec![1, 0, 2]) } else { h_n };
        reshaped(h_n.to_owned(), &shape)
    }

    /// The lines of a table that has this number of columns and a row for each sequence, with its name.
    pub(super) fn lines_of_groups(
        &self,
        format: TensorFormat,
        output: &str,
        columns: usize,
    ) -> Lines<'_> {
        let Some(separator) = separator(format) else { return Lines::default() };
        match &self.groups {
            Some(groups) => Lines::new(Some(counted(output, columns)), Some(groups), separator),
            None => Lines::default(),
        }
    }
}

/// The separator of a table's cells.
fn separator(format: TensorFormat) -> Option<&'static str> {
    match format {
        TensorFormat::Csv => Some(","),
        TensorFormat::Tsv => Some("\t"),
        TensorFormat::Npy | TensorFormat::Txt => None,
    }
}

/// The names of an output's columns, `output_0`, `output_1`, ...
fn counted(output: &str, columns: usize) -> Vec<String> {
    (0..columns).map(|column| format!("{output}_{column}")).collect()
}

impl<'a> Lines<'a> {
    /// Lines with these names above their numbers, and these cells before them.
    fn new(
        names: Option<Vec<String>>,
        kept: Option<&'a KeptCells>,
        separator: &'static str,
    ) -> Self {
        let first = names.map(|names| {
            let before = kept.into_iter().flat_map(|kept| &kept.names);
            let all = before.chain(&names).map(|name| cell(name, separator));
            all.collect::<Vec<_>>().join(separator) + "\n"
        });
        Lines { first, kept, separator }
    }

    /// Writes the lines; `write` writes the numbers.
    pub(super) fn write(
        &self,
        writer: &mut dyn Write,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(first) = &self.first {
            writer.write_all(first.as_bytes())?;
        }
        match self.kept {
            None => write(writer),
            Some(kept) => {
                let separator = self.separator;
                write(&mut Prefixed { writer, kept, separator, row: 0, at_start: true })
            }
        }
    }
}

/// Writes the copied cells at the start of each line.
struct Prefixed<'a> {
    writer: &'a mut dyn Write,
    kept: &'a KeptCells,
    separator: &'static str,
    row: usize,
    at_start: bool,
}

impl Write for Prefixed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.at_start {
                for text in self.kept.row(self.row) {
                    write!(self.writer, "{}{}", cell(text, self.separator), self.separator)?;
                }
                self.row += 1;
            }
            self.writer.write_all(line)?;
            self.at_start = line.ends_with(b"\n");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A text as a cell of a table.
pub(super) fn cell(text: &str, separator: &str) -> String {
    if separator == "," && text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.replace(['\t', '\n', '\r'], " ")
}
