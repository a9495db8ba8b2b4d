//! The description of a file, as text and as JSON.

use serde_json::{Value, json};

use crate::report::{Notes, aligned};

#[derive(Debug)]
pub(crate) struct Description {
    pub(super) place: String,
    /// The kind of the file's contents.
    pub(super) kind: &'static str,
    pub(super) format: String,
    /// The text below the first line.
    pub(super) lines: Vec<String>,
    /// The fields between those that every description has: a JSON object.
    pub(super) fields: Value,
    pub(super) notes: Notes,
}

impl Description {
    pub(crate) fn text(&self) -> String {
        let Description { place, kind, format, .. } = self;
        let mut lines = vec![format!("{place}: {kind}, {format}")];
        lines.extend(self.lines.iter().cloned());
        lines.extend(self.notes.notes.iter().map(|text| format!("note: {text}")));
        lines.extend(self.notes.warnings.iter().map(|text| format!("warning: {text}")));
        lines.join("\n") + "\n"
    }

    pub(crate) fn json(self) -> Value {
        let first = json!({"file": self.place, "kind": self.kind, "format": self.format});
        let Notes { notes, warnings } = self.notes;
        merged(merged(first, self.fields), json!({"notes": notes, "warnings": warnings}))
    }
}

/// One tensor of several.
#[derive(Debug)]
pub(super) struct Listed {
    /// Name, shape, type and statistics.
    pub(super) row: [String; 4],
    /// The same and more as a JSON object.
    pub(super) object: Value,
    /// Its numbers as PyTorch prints them, with `--values`.
    pub(super) values: Option<String>,
}

/// A line for each tensor, a line about all, then the numbers of each below its name.
pub(super) fn table(tensors: &[Listed], meaning: Option<&str>) -> Vec<String> {
    let mut lines = aligned(&tensors.iter().map(|tensor| tensor.row.clone()).collect::<Vec<_>>());
    lines.extend(meaning.map(str::to_owned));
    lines.extend(tensors.iter().filter_map(|tensor| {
        tensor.values.as_ref().map(|values| format!("{}:\n{values}", tensor.row[0]))
    }));
    lines
}

/// The tensors as a list of JSON objects.
pub(super) fn list(tensors: Vec<Listed>) -> Value {
    tensors.into_iter().map(|tensor| merged(tensor.object, values_json(tensor.values))).collect()
}

/// A JSON object with the numbers, or an empty one.
pub(super) fn values_json(values: Option<String>) -> Value {
    values.map_or_else(|| json!({}), |values| json!({"values": values}))
}

/// A JSON object with the fields of another one behind its own.
pub(super) fn merged(mut object: Value, mut more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, &mut more) {
        fields.append(more);
    }
    object
}

/// Names and values, the values under each other.
pub(super) fn pairs(rows: &[(&str, String)]) -> Vec<String> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect()
}
