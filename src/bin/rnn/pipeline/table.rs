//! Tables as inputs of the commands.

use anyhow::Result;
use elman::files::{File, StoredType, TensorFile};

use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::report::Notes;

/// Numbers that a warning lists at most.
const MAX_LISTED: usize = 5;

/// Says what was assumed about a table: its encoding, and a first line taken for names that may be numbers.
pub(crate) fn note_table(file: &TensorFile, notes: &mut Notes) {
    let place = file.place();
    if let Some(encoding) = file.encoding() {
        notes.notes.push(format!("{place}: the text is not UTF-8, and is read as {encoding}"));
    }
    if let [first, others @ ..] = file.column_names()
        && first.is_empty()
        && others.iter().any(|name| !name.is_empty())
    {
        notes.warnings.push(format!(
            "{place}: the first column has no name, as an index that pandas writes: --columns leaves it out"
        ));
    }
    let numbers = file.column_names().iter().filter(|name| name.parse::<f64>().is_ok());
    let numbers: Vec<_> = numbers.map(String::as_str).take(MAX_LISTED).collect();
    if file.names_are_guessed() && !numbers.is_empty() {
        notes.warnings.push(format!(
            "{place}: the first line is taken for names of columns, with numbers among them: {}",
            numbers.join(", ")
        ));
    }
}

/// Refuses flags for tables without a table.
pub(crate) fn check_table<'a>(
    flags: &[&str],
    files: impl IntoIterator<Item = &'a File>,
    place: &str,
) -> Result<()> {
    let is_table = |file: &File| matches!(file, File::Tensor(file) if file.header().stored == StoredType::Text);
    if flags.is_empty() || files.into_iter().any(is_table) {
        return Ok(());
    }
    let message = format!("{place}: expected a table with {}, got none", flags.join(" and "));
    Err(with_hint(Usage(message), hint::without(flags)))
}
