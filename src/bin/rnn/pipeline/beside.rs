//! What stands beside the numbers of a table that is written: names of its columns, and columns of the input.

use std::io::{self, Write};

use anyhow::Result;
use elman::files::{KeptCells, TensorFormat};
use elman::{Element, Function, Pool};

use super::pass::Pass;
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};

/// The names of an output's columns, and the columns of the input that are copied.
#[derive(Default)]
pub(crate) struct Beside {
    pub(super) names: Vec<String>,
    /// Whether columns are copied.
    pub(super) keeps: bool,
    pub(crate) kept: KeptCells,
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
    /// Refuses names that are not as many as the columns of an output of this shape, and copied columns without a row for
    /// each of their cells.
    pub(super) fn check<T: Element>(&self, pass: &Pass<'_, T>, shape: &[usize]) -> Result<()> {
        let decoder = pass.model.decoder();
        let classes = matches!(decoder.function, Some(Function::Argmax | Function::Top(_)));
        let (names, columns, steps) = (self.names.len(), pass.columns(shape), pass.steps);
        if names != columns && names > 0 {
            let message =
                format!("--names: expected {columns} names, one for each column, got {names}");
            return Err(Usage(message).into());
        }
        let each_step = decoder.pool == Pool::Steps && (shape.len() == 2 || classes);
        if self.keeps && (self.kept.names.is_empty() || !each_step || shape[0] != steps) {
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
        let separator = match format {
            TensorFormat::Csv => ",",
            TensorFormat::Tsv => "\t",
            TensorFormat::Npy | TensorFormat::Txt => return Lines::default(),
        };
        let labels = labels.filter(|labels| labels.len() == columns).map(<[String]>::to_vec);
        let typed = Some(self.names.clone()).filter(|names| !names.is_empty());
        let counted = || (0..columns).map(|column| format!("output_{column}")).collect();
        let names = typed.or(labels).or_else(|| self.keeps.then(counted));
        let first = names.map(|names| {
            let all = self.kept.names.iter().chain(&names).map(|name| cell(name, separator));
            all.collect::<Vec<_>>().join(separator) + "\n"
        });
        Lines { first, kept: self.keeps.then_some(&self.kept), separator }
    }
}

impl Lines<'_> {
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
