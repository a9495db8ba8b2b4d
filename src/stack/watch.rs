//! The progress of a pass.

use std::fmt;

/// A function that is told how far a pass has come: it is called, from any thread, with the number of rows that a layer
/// and direction is about to pass, a row being a step of a sequence.
#[derive(Clone, Copy)]
pub struct Watch<'a>(pub &'a (dyn Fn(usize) + Sync));

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
