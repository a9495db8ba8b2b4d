//! Announces data that is held in memory although it is large, with its size, before the work begins.

use std::io::Write;

use crate::args::ReportForm;
use crate::report::Notes;

/// Data of this size is not announced, and an input and an output of this size are not cut into sections: a
/// guess, far below what machines have.
pub(crate) const WHOLE_BYTES: usize = 64 << 20;

/// Bytes of a tensor of T, or as many as a number can say.
pub(crate) fn bytes<T>(sizes: &[usize]) -> usize {
    sizes.iter().fold(size_of::<T>(), |bytes, &size| bytes.saturating_mul(size))
}

/// A sum of sizes out of headers, or as many as a number can say.
pub(crate) fn sum(sizes: impl Iterator<Item = usize>) -> usize {
    sizes.fold(0, usize::saturating_add)
}

/// Announces data that is large: on standard error at once, or among the notes of a report for scripts.
pub(crate) fn announce(what: &str, bytes: usize, notes: &mut Notes) {
    let text = format!("{what}: {bytes} bytes");
    match notes.form {
        _ if bytes <= WHOLE_BYTES => {}
        ReportForm::Text => {
            // The announcement is not worth an error if standard error is closed.
            let _ = writeln!(std::io::stderr(), "note: {text}");
        }
        ReportForm::Json => notes.note(text),
        ReportForm::None => {}
    }
}
