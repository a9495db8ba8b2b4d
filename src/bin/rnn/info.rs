//! The parts of `rnn info`: a description of whatever is in a file.

mod bundle;
mod eigenvalues;
mod print;
mod statistics;
mod tensor;
mod weights;

use std::ffi::OsStr;

use anyhow::Result;
use elman::files::{Accepts, File, Source, open_with, whole_model};
use serde::Serialize;
use serde_json::Value;

use crate::args::Info;
use crate::pipeline::table::check_table;
use crate::report::{Notes, aligned};

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
    #[serde(flatten)]
    notes: Notes,
}

/// One tensor of several.
#[derive(Debug, Serialize)]
struct Listed {
    /// Name, shape, type and statistics.
    #[serde(skip)]
    row: [String; 4],
    /// The same and more: a JSON object.
    #[serde(flatten)]
    fields: Value,
    /// As in [`Description`].
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<String>,
}

pub(crate) fn describe(file: &OsStr, args: &Info) -> Result<Description> {
    let (source, columns) = (Source::parse(file), args.table.columns());
    let file = open_with(&source, Accepts::Anything, &args.table.options(&columns))?;
    check_table(&args.table.flags(), [&file], &source.to_string())?;
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
            let prefix = args.of_weights.prefix.as_deref();
            let layer = elman::Checkpoint::of_graph(&graph, None, prefix);
            weights::describe(layer?, args)
        }
    }
}

impl Description {
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("{}: {}, {}", self.file, self.kind, self.format)];
        lines.extend(self.lines.iter().cloned());
        let tensors = || self.tensors.iter().flatten();
        let row = |tensor: &Listed| {
            let mut row = tensor.row.clone();
            row[0] = shortened(&row[0]);
            row
        };
        lines.extend(aligned(&tensors().map(row).collect::<Vec<_>>()));
        lines.extend(self.meaning.map(str::to_owned));
        lines.extend(tensors().filter_map(|Listed { row: [name, ..], values, .. }| {
            values.as_ref().map(|values| format!("{}:\n{values}", shortened(name)))
        }));
        lines.extend(self.values.clone());
        lines.extend(self.notes.lines());
        lines.join("\n") + "\n"
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
