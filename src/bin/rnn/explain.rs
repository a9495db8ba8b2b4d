//! Words for facts: the only place that reads the typed command line and writes hints.

mod command_line;
mod shapes;

pub(crate) use command_line::{CommandLine, as_f64, for_usage, quoted, swap, swapped};
pub(crate) use shapes::{Places, explain, swapped_batch};
