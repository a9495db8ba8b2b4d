//! The description of a file, as text and as JSON.

use serde_json::{Value, json};

use crate::report::Notes;

#[derive(Debug)]
pub(crate) struct Description {
    place: String,
    /// The kind of the file's contents.
    kind: &'static str,
    format: String,
    /// The text below the first line.
    lines: Vec<String>,
    /// The fields between those that every description has: a JSON object.
    fields: Value,
    notes: Notes,
}

impl Description {
    pub(super) fn new(
        place: &str,
        kind: &'static str,
        format: &impl ToString,
        lines: Vec<String>,
        fields: Value,
    ) -> Self {
        let (place, format, notes) = (place.to_owned(), format.to_string(), Notes::default());
        Description { place, kind, format, lines, fields, notes }
    }

    pub(super) fn with_notes(self, notes: Notes) -> Self {
        Description { notes, ..self }
    }

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
