//! The canonical batch: packed, time-major.
//!
//! The rows of one step stand together, step after step; `batch_sizes[t]` rows are active in step t,
//! and never more than in the step before. A padded batch is the case of constant sizes, an unbatched
//! sequence a batch of one.

use std::ops::Range;

use crate::Error;
use crate::error::reserved;

/// How many rows each step has, and where they lie in packed data.
#[derive(Clone, Debug)]
pub(crate) struct BatchSizes {
    /// Rows before each step; one more at the end, the number of all rows.
    offsets: Vec<usize>,
}

impl BatchSizes {
    /// The sizes of a batch from an iterator over its steps.
    pub(crate) fn new(sizes: impl ExactSizeIterator<Item = usize>) -> Result<Self, Error> {
        let mut offsets = reserved(sizes.len() + 1, "batch sizes")?;
        offsets.push(0);
        offsets.extend(sizes.scan(0, |rows, size| {
            *rows += size;
            Some(*rows)
        }));
        Ok(BatchSizes { offsets })
    }

    /// The sizes of a block of this batch: of each step the rows from `first_row` on, `rows` at most.
    pub(crate) fn block(&self, first_row: usize, rows: usize) -> Result<Self, Error> {
        let sizes = (0..self.steps()).map(|t| self.size(t).saturating_sub(first_row).min(rows));
        BatchSizes::new(sizes)
    }

    /// L, the number of steps.
    pub(crate) fn steps(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Rows of all steps together.
    pub(crate) fn rows(&self) -> usize {
        self.offset(self.steps())
    }

    /// Rows that are active in step `t`.
    pub(crate) fn size(&self, t: usize) -> usize {
        self.offsets[t + 1] - self.offsets[t]
    }

    /// Rows before step `t`.
    pub(crate) fn offset(&self, t: usize) -> usize {
        self.offsets[t]
    }

    /// Whether each of these steps has a single row, and all of the sequence has no more.
    pub(crate) fn is_one_row(&self, steps: &Range<usize>) -> bool {
        self.size(0) == 1 && self.offset(steps.end) - self.offset(steps.start) == steps.len()
    }
}
