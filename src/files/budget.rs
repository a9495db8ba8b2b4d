//! The memory for what is built from one file beside the numbers of its tensors: names, cells, values of a pickle,
//! headers, directories. Readers charge bytes before they allocate them, so that a file is refused within the budget.

use std::io::{self, ErrorKind};

use super::escaped;

/// Bytes of an entry of a bundle beside its name: its place in a list that doubles its memory, and its sizes.
pub(super) const ENTRY_BYTES: usize = 160;

/// Bytes that a text takes beside its letters: the string, its place in a list, and the allocator's share.
const TEXT_BYTES: usize = 64;

/// The bytes of memory that may still be built from a file.
#[derive(Clone, Debug)]
pub(super) struct Budget(usize);

/// Most bytes of memory for what is built from a file beside the numbers of its tensors: names, headers, directories.
pub(super) const BUILT_BYTES: usize = 64 << 20;

/// More memory than the budget of a file.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("expected names, headers and values within {} MiB of memory, got more", BUILT_BYTES >> 20)]
pub(super) struct OverBudget;

impl From<OverBudget> for io::Error {
    fn from(over: OverBudget) -> Self {
        io::Error::new(ErrorKind::InvalidData, over)
    }
}

impl From<OverBudget> for String {
    fn from(over: OverBudget) -> Self {
        over.to_string()
    }
}

impl Default for Budget {
    /// The whole budget of a file. The values of the largest models take a tenth of it.
    fn default() -> Self {
        Budget(BUILT_BYTES)
    }
}

impl Budget {
    /// Takes bytes from the budget.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.0 = self.0.checked_sub(bytes).ok_or(OverBudget)?;
        Ok(())
    }

    /// The bytes that are left.
    #[cfg(feature = "csv")]
    pub(super) fn left(&self) -> usize {
        self.0
    }

    /// A copy of a text from the file.
    pub(super) fn text(&mut self, text: &str) -> Result<String, OverBudget> {
        self.charge(TEXT_BYTES + text.len())?;
        Ok(text.to_owned())
    }

    /// A name from the file as messages show it.
    pub(super) fn name(&mut self, name: &str) -> Result<String, OverBudget> {
        let name = escaped(name);
        self.charge(TEXT_BYTES + name.len())?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends() {
        let mut budget = Budget::default();
        assert!(budget.charge(BUILT_BYTES - 70).is_ok());
        assert!(budget.text("seven letters").is_err());
        assert_eq!(budget.text("letter").unwrap(), "letter");
        assert!(budget.charge(1).is_err() && budget.charge(0).is_ok());
    }
}
