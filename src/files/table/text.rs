//! The text of a table before it is cut into cells: its encoding, and the separator of its columns.

use super::cell::{is_word, number};
use crate::files::budget::Budget;
use crate::files::error::FileError;
use crate::memory::lengthen;

/// The bytes that Windows writes before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The characters of Windows-1252 for the bytes from 0x80 to 0x9f, which Latin-1 does not use.
const WINDOWS: &str = "\u{20ac}\u{81}\u{201a}\u{192}\u{201e}\u{2026}\u{2020}\u{2021}\u{2c6}\u{2030}\u{160}\u{2039}\
    \u{152}\u{8d}\u{17d}\u{8f}\u{90}\u{2018}\u{2019}\u{201c}\u{201d}\u{2022}\u{2013}\u{2014}\u{2dc}\u{2122}\u{161}\
    \u{203a}\u{153}\u{9d}\u{17e}\u{178}";

/// What spreadsheets write for failed computations: these are cells, and no comments.
const FAILED: [&[u8]; 8] =
    [b"#N/A", b"#NA", b"#DIV/0!", b"#REF!", b"#VALUE!", b"#NAME?", b"#NUM!", b"#NULL!"];

/// Leaves out the mark before a text.
pub(super) fn remove_mark(text: &mut Vec<u8>) {
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
}

/// The text as UTF-8, and the name of its encoding if that is another one. Its letters become longer in place.
pub(super) fn decoded(
    mut bytes: Vec<u8>,
    budget: &mut Budget,
    place: &str,
) -> Result<(Vec<u8>, Option<&'static str>), FileError> {
    if std::str::from_utf8(&bytes).is_ok() {
        return Ok((bytes, None));
    }
    let windows: Vec<char> = WINDOWS.chars().collect();
    let is_windows = |byte: &u8| (0x80..0xa0).contains(byte);
    let character = |byte: u8| match byte {
        byte if is_windows(&byte) => windows[usize::from(byte - 0x80)],
        byte => char::from(byte),
    };
    let name = if bytes.iter().any(is_windows) { "Windows-1252" } else { "Latin-1" };
    let lengths: [usize; 256] =
        std::array::from_fn(|byte| u8::try_from(byte).map_or(1, |byte| character(byte).len_utf8()));
    let more: usize = bytes.iter().map(|&byte| lengths[usize::from(byte)] - 1).sum();
    budget.charge(more).map_err(FileError::over(place))?;
    let mut from = bytes.len();
    let mut to = from + more;
    lengthen(&mut bytes, to, 0, "input")?;
    // From the last letter on, so that none is overwritten before it is read.
    while from < to {
        from -= 1;
        let byte = bytes[from];
        let end = to;
        to -= lengths[usize::from(byte)];
        character(byte).encode_utf8(&mut bytes[to..end]);
    }
    Ok((bytes, Some(name)))
}

/// Whether a line is a comment. At the top of a file it may be a line of names, as `np.savetxt` writes it.
pub(super) fn is_comment(line: &[u8]) -> bool {
    line.starts_with(b"#") && !FAILED.iter().any(|failed| line.starts_with(failed))
}

/// The separator that a line states for the table below it, as Excel reads and writes it: `sep=;`.
pub(super) fn stated_separator(line: &[u8]) -> Option<u8> {
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\r' | b'\n'));
    let line = line.get(..=end?)?;
    let inner = line.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    match inner.unwrap_or(line) {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', own @ (b',' | b';' | b'\t' | b'|')] => {
            Some(*own)
        }
        _ => None,
    }
}

/// The separator of columns: the stated one, whose line becomes blank; of a line with names, that of the numbers below. A
/// comma in a table with semicolons may be a decimal comma, and a name in a table with tabs may contain either.
pub(super) fn separator(bytes: &mut [u8]) -> u8 {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    if let Some((end, stated)) = end.and_then(|end| Some((end, stated_separator(&bytes[..end])?))) {
        bytes[..end].fill(b' ');
        return stated;
    }
    let lines = bytes.split(|byte| matches!(byte, b'\r' | b'\n'));
    let mut lines = lines.filter(|line| !line.trim_ascii().is_empty() && !is_comment(line));
    let (first, second) = (lines.next().unwrap_or_default(), lines.next());
    let blanks = |line: &[u8]| cells(line, b' ').count();
    match (visible_separator(first), second) {
        (Some(own), Some(second)) => {
            let names = cells(first, own).any(is_word);
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
    cells(line, b' ').all(|cell| number(unquoted(cell)).is_some())
}

/// The separator of a line that has another one than blanks.
pub(super) fn visible_separator(line: &[u8]) -> Option<u8> {
    b"\t;,".iter().copied().find(|&separator| cells(line, separator).nth(1).is_some())
}

/// The cells of a line, with their quotes.
pub(super) fn cells(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let cells = line.split(move |&byte| {
        is_quoted ^= byte == b'"';
        !is_quoted && byte == separator
    });
    // Of several blanks, one separates.
    cells.map(<[u8]>::trim_ascii).filter(move |cell| separator != b' ' || !cell.is_empty())
}

/// The text of a cell without the quotes around it.
pub(super) fn unquoted(cell: &[u8]) -> &[u8] {
    let inner = cell.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.unwrap_or(cell).trim_ascii()
}

/// Leaves single blanks between cells, and none at the ends of lines.
pub(super) fn single_blanks(text: &mut Vec<u8>) {
    let (mut len, mut is_quoted) = (0_usize, false);
    for at in 0..text.len() {
        let byte = text[at];
        is_quoted ^= byte == b'"';
        let last = len.checked_sub(1).map(|last| text[last]);
        let at_start = last.is_none_or(|last| b" \r\n".contains(&last));
        let byte = match byte {
            b' ' | b'\t' if !is_quoted && at_start => continue,
            b'\t' if !is_quoted => b' ',
            byte => byte,
        };
        if matches!(byte, b'\r' | b'\n') && last == Some(b' ') {
            len -= 1;
        }
        text[len] = byte;
        len += 1;
    }
    text.truncate(len);
    text.truncate(text.trim_ascii_end().len());
}
