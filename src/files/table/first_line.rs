//! The first line of a table: names of its columns, or numbers.

use std::collections::HashSet;

use super::FirstLine;
use super::cell::{has_comma, is_missing, is_whole, is_word, number, quoted, text};
use super::lines::Lines;
use super::text::{cells, unquoted, visible_separator};
use crate::files::error::{FileError, Remedy};

/// Bytes of a cell in the set of those that were seen.
const SEEN_BYTES: usize = 40;

/// What the first line was taken for.
pub(super) struct FirstRow {
    /// Whether the current line holds names, so that numbers begin below it.
    pub(super) is_names: bool,
    pub(super) names_are_guessed: bool,
    /// Set if the numbers of the line may be names.
    doubtful: Option<Doubt>,
}

/// Numbers that may be names: they are if other numbers than whole ones follow.
struct Doubt {
    /// The number of the line.
    line: usize,
    /// Least count of other numbers in a line.
    least: usize,
    /// The same in a line without quotes below numbers in quotes.
    least_unquoted: usize,
    /// Lines below that tell.
    lines: usize,
}

impl FirstRow {
    /// Decides about the current line, the first one below the `heading`, and sets the names of the columns.
    pub(super) fn new(lines: &mut Lines<'_>, heading: Option<&[u8]>) -> Result<Self, FileError> {
        let mode = lines.options.first_line;
        let numbers = FirstRow { is_names: false, names_are_guessed: false, doubtful: None };
        if mode == FirstLine::Numbers {
            return Ok(numbers);
        }
        let has_word = lines.record.iter().any(is_word);
        let guessed = mode != FirstLine::Names;
        if let Some(heading) = heading {
            let separator = visible_separator(heading).unwrap_or(lines.separator);
            // Any other comment is left out.
            if cells(heading, separator).count() == lines.record.len() {
                let is_names = has_word;
                if is_names {
                    lines.name_columns()?;
                } else {
                    lines.set_names(cells(heading, separator).map(unquoted))?;
                }
                return Ok(FirstRow { is_names, names_are_guessed: guessed, ..numbers });
            }
        }
        let all_numbers = lines.record.iter().all(|cell| number(cell).is_some());
        if !guessed || has_word {
            lines.name_columns()?;
            return Ok(FirstRow { is_names: true, names_are_guessed: guessed, doubtful: None });
        }
        if mode == FirstLine::Guess {
            return Ok(numbers);
        }
        if !all_numbers {
            refuse_decimal_commas(lines)?;
            return Err(unclear(lines));
        }
        lines.charge(lines.record.len() * SEEN_BYTES)?;
        Ok(FirstRow { doubtful: doubt(lines), ..numbers })
    }

    /// Whether the line `row` below the first one, or a later one, can show that the first one is names.
    pub(super) fn is_doubtful(&self, row: usize) -> bool {
        self.doubtful.as_ref().is_some_and(|doubt| row <= doubt.lines)
    }

    /// Rejects numbers in the first line that look like names once the current line, the `row`-th below it, has other
    /// kinds of numbers.
    pub(super) fn check(&self, lines: &Lines<'_>, row: usize) -> Result<(), FileError> {
        let Some(doubt) = self.doubtful.as_ref().filter(|doubt| (1..=doubt.lines).contains(&row))
        else {
            return Ok(());
        };
        let is_unquoted = !lines.raw().contains(&b'"');
        let least = if is_unquoted { doubt.least_unquoted } else { doubt.least };
        let mut others =
            lines.record.iter().filter(|cell| !is_whole(cell) && !text(cell).is_empty());
        let Some(found) = others.next().filter(|_| 1 + others.count() >= least) else {
            return Ok(());
        };
        let what = format!(
            "line {}: expected names (--header) or numbers (--no-header), got numbers like names above {}",
            doubt.line,
            quoted(found)
        );
        Err(lines.with_remedy(lines.malformed(what), Some(Remedy::FirstLine { numbers: true })))
    }
}

/// Whether the numbers of the first line may be names: those of pandas, which count from 0; other whole numbers that
/// differ; or numbers in quotes above others without.
fn doubt(lines: &Lines<'_>) -> Option<Doubt> {
    let (mut seen, record, line) = (HashSet::new(), &lines.record, lines.line());
    let several = record.len() > 1;
    let differ = record.iter().all(|cell| is_whole(cell) && seen.insert(text(cell)));
    let count = record.iter().enumerate().all(|(column, cell)| text(cell) == column.to_string());
    let is_quoted = |cell: &[u8]| cell.starts_with(b"\"");
    let quoted = cells(lines.raw(), lines.separator).all(is_quoted);
    if several && count {
        return Some(Doubt { line, least: 1, least_unquoted: 1, lines: usize::MAX });
    }
    let least = if several && differ { 2 } else { usize::MAX };
    let least_unquoted = if quoted { 1 } else { least };
    (quoted || least == 2).then_some(Doubt { line, least, least_unquoted, lines: 1 })
}

/// Rejects a first line of numbers with decimal commas by its remedy.
fn refuse_decimal_commas(lines: &Lines<'_>) -> Result<(), FileError> {
    let record = &lines.record;
    let are_numbers = record.iter().all(|cell| number(cell).is_some() || has_comma(cell));
    let first = record.iter().position(has_comma).filter(|_| are_numbers);
    first.map_or(Ok(()), |column| Err(lines.no_number(column)))
}

/// The error for a first line that is neither names nor numbers.
fn unclear(lines: &Lines<'_>) -> FileError {
    let cell = lines.record.iter().position(|cell| number(cell).is_none()).unwrap_or(0);
    let what = format!(
        "expected names (--header) or numbers (--no-header), got {}",
        quoted(&lines.record[cell])
    );
    let error = lines.wrong(&format!(", column {}", cell + 1), &what);
    let mut record = lines.record.iter();
    let numbers = record.all(|cell| number(cell).is_some() || is_missing(cell));
    lines.with_remedy(error, Some(Remedy::FirstLine { numbers }))
}
