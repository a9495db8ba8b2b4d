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
pub(crate) enum BatchSizes {
    /// The same number in each of so many steps.
    Constant { steps: usize, rows: usize },
    /// Rows before each step; one more at the end, the number of all rows.
    Varying { offsets: Vec<usize> },
}

impl BatchSizes {
    /// Sizes that differ, from an iterator over the steps.
    pub(crate) fn varying(sizes: impl ExactSizeIterator<Item = usize>) -> Result<Self, Error> {
        let mut offsets = reserved(sizes.len() + 1, "batch sizes")?;
        offsets.push(0);
        offsets.extend(sizes.scan(0, |rows, size| {
            *rows += size;
            Some(*rows)
        }));
        Ok(BatchSizes::Varying { offsets })
    }

    /// The sizes of a block of this batch: of each step the rows from `first_row` on, `rows` at most.
    pub(crate) fn block(&self, first_row: usize, rows: usize) -> Result<Self, Error> {
        if let BatchSizes::Constant { steps, .. } = *self {
            return Ok(BatchSizes::Constant { steps, rows });
        }
        let sizes = (0..self.steps()).map(|t| self.size(t).saturating_sub(first_row).min(rows));
        BatchSizes::varying(sizes)
    }

    /// L, the number of steps.
    pub(crate) fn steps(&self) -> usize {
        match self {
            BatchSizes::Constant { steps, .. } => *steps,
            BatchSizes::Varying { offsets } => offsets.len() - 1,
        }
    }

    /// Rows of all steps together.
    pub(crate) fn rows(&self) -> usize {
        self.offset(self.steps())
    }

    /// Rows that are active in step `t`.
    pub(crate) fn size(&self, t: usize) -> usize {
        match self {
            BatchSizes::Constant { rows, .. } => *rows,
            BatchSizes::Varying { offsets } => offsets[t + 1] - offsets[t],
        }
    }

    /// Rows before step `t`.
    pub(crate) fn offset(&self, t: usize) -> usize {
        match self {
            BatchSizes::Constant { rows, .. } => t * rows,
            BatchSizes::Varying { offsets } => offsets[t],
        }
    }

    /// Whether each of these steps has a single row, and no step of the sequence has more.
    pub(crate) fn is_one_row(&self, steps: &Range<usize>) -> bool {
        self.size(0) == 1 && self.offset(steps.end) - self.offset(steps.start) == steps.len()
    }
}
