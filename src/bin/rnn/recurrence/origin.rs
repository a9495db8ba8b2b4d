//! The files of the command, for lines that read them again.

use std::ffi::OsStr;

use crate::args::Seen;
use crate::explain::command_line::typed_flags;

/// The typed files, and the flags that `rnn convert` needs to read them.
pub(crate) struct Origin {
    pub(super) weights: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) input: Option<String>,
    /// Those of a table.
    pub(super) input_flags: Vec<String>,
    pub(super) h_0: Option<String>,
}

impl Origin {
    pub(crate) fn new(seen: &Seen) -> Self {
        let text =
            |path: &Option<_>| path.as_deref().map(|path: &OsStr| path.to_string_lossy().into());
        let of_table = seen.table.flags();
        let is_of_table =
            |flag: &String| flag.split('=').next().is_some_and(|name| of_table.contains(&name));
        Origin {
            weights: text(&seen.weights),
            prefix: seen.of_weights.prefix.as_ref().map(|prefix| format!("--prefix={prefix}")),
            input: text(&seen.input),
            input_flags: typed_flags(&[]).into_iter().filter(is_of_table).collect(),
            h_0: text(&seen.h0),
        }
    }
}
