//! The number of sequences that are active in each step.

use std::ops::Range;

use crate::error::Error;
use crate::memory::reserved;

/// The number of rows of each step, and their place in packed data.
#[derive(Clone, Debug)]
pub(crate) enum BatchSizes {
    /// The same number in each of `steps` steps.
    Constant { steps: usize, rows: usize },
    /// Rows before each step; one more at the end, the number of all rows.
    Varying { offsets: Vec<usize> },
}

impl BatchSizes {
    /// The sizes of a checked packed sequence: constant if they are equal, which is faster.
    pub(crate) fn new(sizes: &[usize]) -> Result<Self, Error> {
        let (steps, rows) = (sizes.len(), sizes.first().copied().unwrap_or(0));
        // Sizes never grow, so the last equals the first only if all are equal.
        if sizes.last().is_none_or(|&last| last == rows) {
            return Ok(BatchSizes::Constant { steps, rows });
        }
        BatchSizes::varying(sizes.iter().copied())
    }

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

    /// The sizes of a block of this batch: at most `rows` rows of each step, from `first_row` on.
    pub(crate) fn block(&self, first_row: usize, rows: usize) -> Result<Self, Error> {
        if let BatchSizes::Constant { steps, .. } = *self {
            return Ok(BatchSizes::Constant { steps, rows });
        }
        let size = |t| self.size(t).saturating_sub(first_row).min(rows);
        // The block ends with its longest sequence, which is its first.
        let steps = (0..self.steps()).rposition(|t| size(t) > 0).map_or(0, |last| last + 1);
        BatchSizes::varying((0..steps).map(size))
    }

    /// Number of sequences with a first step.
    pub(crate) fn active(&self) -> usize {
        if self.steps() == 0 { 0 } else { self.size(0) }
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

    /// The step of a row, and its place in it.
    pub(crate) fn place(&self, row: usize) -> (usize, usize) {
        let step = match self {
            BatchSizes::Constant { rows, .. } => row / rows,
            BatchSizes::Varying { offsets } => offsets.partition_point(|&offset| offset <= row) - 1,
        };
        (step, row - self.offset(step))
    }

    /// Whether each of these steps has a single row, and no step of the batch has more.
    pub(crate) fn is_one_row(&self, steps: &Range<usize>) -> bool {
        self.size(0) == 1 && self.offset(steps.end) - self.offset(steps.start) == steps.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_batch_sizes_are_constant() {
        for (sizes, constant) in [(&[][..], true), (&[3], true), (&[3, 3], true), (&[3, 2], false)]
        {
            let found = BatchSizes::new(sizes).unwrap();
            assert_eq!(matches!(found, BatchSizes::Constant { .. }), constant, "{sizes:?}");
            assert_eq!((found.steps(), found.rows()), (sizes.len(), sizes.iter().sum()));
        }
    }
}
