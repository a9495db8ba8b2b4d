//! What there is to say about a file, as text and as JSON.

use serde_json::{Map, Value, json};

use crate::report::Notes;

#[derive(Debug)]
pub(crate) struct Description {
    /// The name of the file.
    pub(super) place: String,
    /// What it holds.
    pub(super) kind: &'static str,
    pub(super) format: String,
    /// The text below that.
    pub(super) lines: Vec<String>,
    /// The fields of the object below that.
    pub(super) fields: Map<String, Value>,
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

    pub(crate) fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("file".to_owned(), json!(self.place));
        object.insert("kind".to_owned(), json!(self.kind));
        object.insert("format".to_owned(), json!(self.format));
        object.extend(self.fields.clone());
        object.insert("notes".to_owned(), json!(self.notes.notes));
        object.insert("warnings".to_owned(), json!(self.notes.warnings));
        Value::Object(object)
    }
}

/// The fields of a JSON object.
pub(super) fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Pairs of words under each other.
pub(super) fn pairs(rows: &[(&str, String)]) -> Vec<String> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect()
}
