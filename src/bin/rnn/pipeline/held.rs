//! Announces data that is held in memory although it is large, with its size, before the work begins.

use std::io::Write;

/// Data of this size is not announced, and an input and an output of this size are not cut into sections: a
/// guess, far below what machines have.
pub(crate) const WHOLE_BYTES: usize = 64 << 20;

/// Where an announcement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announce {
    /// To standard error, at once.
    Now,
    /// Among the notes of the report.
    InReport,
    Never,
}

/// Bytes of a tensor of T, or as many as a number can say.
pub(crate) fn bytes<T>(sizes: &[usize]) -> usize {
    sizes.iter().fold(size_of::<T>(), |bytes, &size| bytes.saturating_mul(size))
}

/// A sum of sizes out of headers, or as many as a number can say.
pub(crate) fn sum(sizes: impl Iterator<Item = usize>) -> usize {
    sizes.fold(0, usize::saturating_add)
}

/// Announces data that is large.
pub(crate) fn announce(what: &str, bytes: usize, how: Announce, notes: &mut Vec<String>) {
    let text = format!("{what}: {bytes} bytes");
    match how {
        _ if bytes <= WHOLE_BYTES => {}
        Announce::Now => {
            // The announcement is not worth an error if standard error is closed.
            let _ = writeln!(std::io::stderr(), "note: {text}");
        }
        Announce::InReport => notes.push(text),
        Announce::Never => {}
    }
}
