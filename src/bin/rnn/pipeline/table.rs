//! Tables as inputs of the commands.

use anyhow::Result;
use elman::files::{File, StoredType, TensorFile};

use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::report::Notes;

/// Numbers that a warning lists at most.
const MAX_LISTED: usize = 5;

/// Says what was assumed about a table: its encoding, and a first line taken for names that may be numbers.
pub(crate) fn note_table(file: &TensorFile, notes: &mut Notes) {
    let place = file.place();
    note_encoding(place, file.encoding(), notes);
    note_names(place, file.column_names(), file.names_are_guessed(), notes);
}

/// Says that the text of a table is not UTF-8.
pub(crate) fn note_encoding(place: &str, encoding: Option<&str>, notes: &mut Notes) {
    if let Some(encoding) = encoding {
        notes.notes.push(format!("{place}: the text is not UTF-8, and is read as {encoding}"));
    }
}

/// Says that names of columns may be something else.
pub(crate) fn note_names(place: &str, names: &[String], guessed: bool, notes: &mut Notes) {
    if let [first, others @ ..] = names
        && first.is_empty()
        && others.iter().any(|name| !name.is_empty())
    {
        notes.warnings.push(format!(
            "{place}: the first column has no name, as an index that pandas writes: --columns leaves it out"
        ));
    }
    let numbers = names.iter().filter(|name| name.parse::<f64>().is_ok());
    let numbers: Vec<_> = numbers.map(String::as_str).take(MAX_LISTED).collect();
    if guessed && !numbers.is_empty() {
        notes.warn(format!(
            "{place}: the first line is taken for names of columns, with numbers among them: {}",
            numbers.join(", ")
        ));
    }
}

/// The error for a table whose rows are steps of one sequence, each of one id.
pub(crate) fn several_columns(place: &str, found: usize) -> anyhow::Error {
    Data(format!("{place}: expected one column of ids, got {found}")).into()
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
