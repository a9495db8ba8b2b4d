//! The parts of `rnn info`: a description of whatever is in a file.

mod bundle;
mod eigenvalues;
mod modules;
mod print;
mod statistics;
mod tensor;
mod values;
mod vectors;
mod weights;

use std::ffi::OsStr;
use std::io::{self, Write};

use anyhow::Result;
use elman::files::{Accepts, File, Source, open_with, whole_model};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::args::{Info, InfoForm, TableArgs};
use crate::pipeline::table::check_table;
use crate::progress;
use crate::report::{Notes, aligned};

#[cfg(feature = "plot")]
pub(crate) use eigenvalues::{eigenvalues, radius};
pub(crate) use values::values;
#[cfg(feature = "plot")]
pub(crate) use weights::MAX_ROWS;
pub(crate) use weights::norm;

/// Most characters of a name that are shown.
const MAX_NAME: usize = 200;

/// The description of a file: its fields are those of the JSON report.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Description {
    file: String,
    /// The kind of the file's contents.
    kind: &'static str,
    format: String,
    /// The text below the first line.
    #[serde(skip)]
    lines: Vec<String>,
    /// The fields of this kind: a JSON object.
    #[serde(flatten)]
    fields: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<Listed>>,
    /// The line below the tensors.
    #[serde(skip)]
    meaning: Option<&'static str>,
    /// The numbers of a single tensor as PyTorch prints them, with `--values`.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<String>,
    /// The dynamics of the layer, with `--dynamics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamics: Option<Value>,
    /// The same as text.
    #[serde(skip)]
    dynamics_lines: Vec<String>,
    #[serde(flatten)]
    notes: Notes,
}

/// Bytes of memory for one tensor of several beside its name.
const LISTED_BYTES: usize = 400;

/// One tensor of several, in the form of the report. An archive can have a hundred thousand.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Listed {
    /// Name, shape, type and statistics, and the values as in [`Description`].
    #[serde(skip)]
    Text([String; 4], Option<String>),
    /// The same and more: a JSON object.
    Json(Box<RawValue>),
}

impl Listed {
    fn new(
        [name, shape, stored, words]: [String; 4],
        mut fields: Value,
        values: Option<String>,
        form: InfoForm,
    ) -> Self {
        if form == InfoForm::Text {
            return Listed::Text([shortened(&name), shape, stored, words], values);
        }
        if let Some(values) = values {
            fields["values"] = Value::String(values);
        }
        // A value of strings and numbers can be written.
        Listed::Json(to_raw_value(&fields).unwrap_or_default())
    }

    fn row(&self) -> Option<(&[String; 4], Option<&String>)> {
        if let Listed::Text(row, values) = self { Some((row, values.as_ref())) } else { None }
    }
}

pub(crate) fn describe(file: &OsStr, args: &Info) -> Result<Description> {
    // With --dynamics the flags of tables are those of its input.
    let table = if args.dynamics.dynamics { &TableArgs::default() } else { &args.table };
    let (source, columns) = (Source::parse(file), table.columns());
    let file = open_with(&source, Accepts::Anything, &table.options(&columns))?;
    check_table(&table.flags(), [&file], &source.to_string())?;
    let _bar = progress::reading([&file]);
    match file {
        File::Tensor(file) => tensor::describe(file, args.values),
        File::Bundle(bundle) => {
            let mut description = bundle::describe(bundle, args)?;
            let index = whole_model(&source);
            let note = |index| format!("one of the files of a model; {index} reads all of them");
            description.notes.notes.extend(index.map(note));
            Ok(description)
        }
        #[cfg(feature = "onnx")]
        File::Graph(graph) => {
            let prefix = args.prefix.as_deref();
            let layer = elman::Checkpoint::of_graph(&graph, None, prefix);
            weights::describe(layer?, args)
        }
    }
}

impl Description {
    /// The name of the file, and whether it holds the weights of a layer.
    pub(crate) fn file(&self) -> (&str, bool) {
        (&self.file, self.kind == "weights")
    }

    /// The same description with the dynamics of the layer.
    pub(crate) fn with_dynamics(mut self, fields: Value, lines: Vec<String>, notes: Notes) -> Self {
        (self.dynamics, self.dynamics_lines) = (Some(fields), lines);
        // The remarks about the file are known, without its name.
        let place = format!("{}: ", self.file);
        let extend = |own: &mut Vec<String>, others: Vec<String>| {
            let is_known = |text: &String| {
                text.strip_prefix(&place).is_some_and(|text| own.iter().any(|known| known == text))
            };
            let others: Vec<_> = others.into_iter().filter(|text| !is_known(text)).collect();
            own.extend(others);
        };
        extend(&mut self.notes.notes, notes.notes);
        extend(&mut self.notes.warnings, notes.warnings);
        self
    }

    /// Writes the report as text.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}: {}, {}", self.file, self.kind, self.format)?;
        let tensors = || self.tensors.iter().flatten().filter_map(Listed::row);
        let rows: Vec<_> = tensors().map(|(row, _)| row).collect();
        let lines = self.lines.iter().cloned().chain(aligned(&rows));
        for line in lines.chain(self.meaning.map(str::to_owned)) {
            writeln!(out, "{line}")?;
        }
        for ([name, ..], values) in tensors() {
            values.map_or(Ok(()), |values| writeln!(out, "{name}:\n{values}"))?;
        }
        self.dynamics_lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        self.values.as_ref().map_or(Ok(()), |values| writeln!(out, "{values}"))?;
        self.notes.lines().try_for_each(|line| writeln!(out, "{line}"))
    }
}

/// A name, or its first and last characters with dots between them: a file may hold a name of megabytes.
fn shortened(name: &str) -> String {
    let count = name.chars().count();
    if count <= MAX_NAME {
        return name.to_owned();
    }
    let end = name.chars().skip(count - MAX_NAME / 2);
    name.chars().take(MAX_NAME / 2).chain("...".chars()).chain(end).collect()
}

/// Names and values, the values under each other.
fn pairs(rows: &[(&str, String)]) -> Vec<String> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect()
}
