//! The description of a file: its fields are those of the JSON report.

use serde::Serialize;
use serde_json::Value;

use crate::report::{Notes, aligned};

#[derive(Debug, Default, Serialize)]
pub(crate) struct Description {
    pub(super) file: String,
    /// The kind of the file's contents.
    pub(super) kind: &'static str,
    pub(super) format: String,
    /// The text below the first line.
    #[serde(skip)]
    pub(super) lines: Vec<String>,
    /// The fields of this kind: a JSON object.
    #[serde(flatten)]
    pub(super) fields: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tensors: Option<Vec<Listed>>,
    /// The line below the tensors.
    #[serde(skip)]
    pub(super) meaning: Option<&'static str>,
    /// The numbers of a single tensor as PyTorch prints them, with `--values`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) values: Option<String>,
    #[serde(flatten)]
    pub(super) notes: Notes,
}

/// One tensor of several.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    /// Name, shape, type and statistics.
    #[serde(skip)]
    pub(super) row: [String; 4],
    /// The same and more: a JSON object.
    #[serde(flatten)]
    pub(super) fields: Value,
    /// As in [`Description`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) values: Option<String>,
}

impl Description {
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("{}: {}, {}", self.file, self.kind, self.format)];
        lines.extend(self.lines.iter().cloned());
        let tensors = || self.tensors.iter().flatten();
        lines.extend(aligned(&tensors().map(|tensor| tensor.row.clone()).collect::<Vec<_>>()));
        lines.extend(self.meaning.map(str::to_owned));
        lines.extend(tensors().filter_map(|Listed { row: [name, ..], values, .. }| {
            values.as_ref().map(|values| format!("{name}:\n{values}"))
        }));
        lines.extend(self.values.clone());
        lines.extend(self.notes.lines());
        lines.join("\n") + "\n"
    }
}

/// Names and values, the values under each other.
pub(super) fn pairs(rows: &[(&str, String)]) -> Vec<String> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect()
}
