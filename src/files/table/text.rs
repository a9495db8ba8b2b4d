//! The text of a table before it is cut into cells: its encoding, and the separator of its columns.

use std::borrow::Cow;

use super::cell::{is_word, number};

/// The bytes that Windows writes before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The characters of Windows-1252 for the bytes from 0x80 to 0x9f, which Latin-1 does not use.
const WINDOWS: &str = "\u{20ac}\u{81}\u{201a}\u{192}\u{201e}\u{2026}\u{2020}\u{2021}\u{2c6}\u{2030}\u{160}\u{2039}\
    \u{152}\u{8d}\u{17d}\u{8f}\u{90}\u{2018}\u{2019}\u{201c}\u{201d}\u{2022}\u{2013}\u{2014}\u{2dc}\u{2122}\u{161}\
    \u{203a}\u{153}\u{9d}\u{17e}\u{178}";

/// What spreadsheets write for failed computations: these are cells, and no comments.
const FAILED: [&[u8]; 8] =
    [b"#N/A", b"#NA", b"#DIV/0!", b"#REF!", b"#VALUE!", b"#NAME?", b"#NUM!", b"#NULL!"];

/// The text as UTF-8, and the name of its encoding if that is another one.
pub(super) fn decoded(bytes: &[u8]) -> (Cow<'_, [u8]>, Option<&'static str>) {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if std::str::from_utf8(bytes).is_ok() {
        return (Cow::Borrowed(bytes), None);
    }
    let windows: Vec<char> = WINDOWS.chars().collect();
    let is_windows = |byte: &u8| (0x80..0xa0).contains(byte);
    let character = |&byte: &u8| match byte {
        byte if is_windows(&byte) => windows[usize::from(byte - 0x80)],
        byte => char::from(byte),
    };
    let text: String = bytes.iter().map(character).collect();
    let name = if bytes.iter().any(is_windows) { "Windows-1252" } else { "Latin-1" };
    (Cow::Owned(text.into_bytes()), Some(name))
}

/// Whether a line is a comment. At the top of a file it may be a line of names, as `np.savetxt` writes it.
pub(super) fn is_comment(line: &[u8]) -> bool {
    line.starts_with(b"#") && !FAILED.iter().any(|failed| line.starts_with(failed))
}

/// The separator of columns: of a line with names, that of the numbers below. A comma in a table with semicolons
/// may be a decimal comma, and a name in a table with tabs may contain either.
pub(super) fn separator(bytes: &[u8]) -> u8 {
    let lines = bytes.split(|byte| matches!(byte, b'\r' | b'\n'));
    let mut lines = lines.filter(|line| !line.trim_ascii().is_empty() && !is_comment(line));
    let (first, second) = (lines.next().unwrap_or_default(), lines.next());
    let blanks = |line: &[u8]| cells(line, b' ').len();
    match (visible_separator(first), second) {
        (Some(own), Some(second)) => {
            let names = cells(first, own).into_iter().any(is_word);
            let other = visible_separator(second).is_none() && are_numbers(second);
            if names && other && blanks(second) > 1 { b' ' } else { own }
        }
        (Some(own), None) => own,
        (None, Some(second)) => {
            let same = blanks(first) == blanks(second) || are_numbers(first) || are_numbers(second);
            let columns = blanks(first) > 1 && blanks(second) > 1 && same;
            if columns && visible_separator(second).is_none() { b' ' } else { b',' }
        }
        (None, None) if blanks(first) > 1 && are_numbers(first) => b' ',
        (None, None) => b',',
    }
}

fn are_numbers(line: &[u8]) -> bool {
    cells(line, b' ').iter().all(|cell| number(unquoted(cell)).is_some())
}

/// The separator of a line that has another one than blanks.
pub(super) fn visible_separator(line: &[u8]) -> Option<u8> {
    b"\t;,".iter().copied().find(|&separator| cells(line, separator).len() > 1)
}

/// The cells of a line, with their quotes.
pub(super) fn cells(line: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut is_quoted = false;
    let cells = line.split(|&byte| {
        is_quoted ^= byte == b'"';
        !is_quoted && byte == separator
    });
    // Of several blanks, one separates.
    cells.map(<[u8]>::trim_ascii).filter(|cell| separator != b' ' || !cell.is_empty()).collect()
}

/// The text of a cell without the quotes around it.
pub(super) fn unquoted(cell: &[u8]) -> &[u8] {
    let inner = cell.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.unwrap_or(cell).trim_ascii()
}

/// The text with single blanks between cells, and none at the ends of lines.
pub(super) fn with_single_blanks(bytes: &[u8]) -> Vec<u8> {
    let (mut text, mut is_quoted) = (Vec::with_capacity(bytes.len()), false);
    for &byte in bytes {
        is_quoted ^= byte == b'"';
        let at_start = text.last().is_none_or(|last| b" \r\n".contains(last));
        match byte {
            b' ' | b'\t' if !is_quoted && at_start => {}
            b'\t' if !is_quoted => text.push(b' '),
            b'\r' | b'\n' if text.last() == Some(&b' ') => {
                text.pop();
                text.push(byte);
            }
            _ => text.push(byte),
        }
    }
    text.truncate(text.trim_ascii_end().len());
    text
}
