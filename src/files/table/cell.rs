//! One cell of a table.

use crate::files::escaped;

/// Most characters of a cell that an error shows: more than any number has.
const MAX_SHOWN: usize = 40;

/// Words for a missing value, in small or capital letters. NaN is a number.
const MISSING: [&str; 6] = ["", "na", "n/a", "null", "none", "<na>"];

/// The number in a cell. There is one NaN, whatever its sign.
pub(super) fn number(cell: &[u8]) -> Option<f64> {
    parsed(cell).map(|value: f64| if value.is_nan() { f64::NAN } else { value })
}

pub(super) fn parsed<T: std::str::FromStr>(cell: &[u8]) -> Option<T> {
    text(cell).parse().ok()
}

/// The text of a cell. Tables are valid UTF-8 when they are cut into cells.
pub(super) fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default().trim()
}

pub(super) fn is_missing(cell: &[u8]) -> bool {
    let text = text(cell);
    MISSING.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Whether a cell can only be a name: it begins with a letter or `_`.
pub(super) fn is_word(cell: &[u8]) -> bool {
    let begins = text(cell).starts_with(|c: char| c.is_alphabetic() || c == '_');
    begins && !is_missing(cell) && number(cell).is_none()
}

/// Whether a cell is a number without a decimal point or an exponent, as names of columns that count are.
pub(super) fn is_whole(cell: &[u8]) -> bool {
    let digits = text(cell).trim_start_matches(['-', '+']);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a cell is a number with a decimal comma.
pub(super) fn has_comma(cell: &[u8]) -> bool {
    let text = text(cell);
    text.contains(',') && text.replacen(',', ".", 1).parse::<f64>().is_ok()
}

/// A cell as an error shows it.
pub(super) fn quoted(cell: &[u8]) -> String {
    match text(cell) {
        "" => "an empty cell".to_owned(),
        text => format!("'{}'", shown(text)),
    }
}

/// A text of the table as an error shows it.
pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(MAX_SHOWN).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{}{more}", escaped(&start))
}
