//! A block of the batch: its rows, its results, and its buffers.

use crate::batch::BatchSizes;
use crate::kernel::Aligned;

/// The rows of a block, and the memory for its results.
pub(crate) struct Block<'a, T> {
    pub(crate) first_row: usize,
    pub(crate) batch_sizes: BatchSizes,
    pub(crate) output: Steps<'a, T>,
    /// For each layer and direction (rows of the block, `H_out`): `h_0` before the pass, `h_n` after it.
    pub(crate) state: Vec<&'a mut [T]>,
}

/// A tensor of the block, (rows, features), that is written step by step.
pub(crate) enum Steps<'a, T> {
    /// All rows in one slice, from step `first_step` on.
    Whole { data: &'a mut [T], width: usize, first_step: usize },
    /// A slice for each step; rows of other blocks lie between them.
    Parts(Vec<&'a mut [T]>),
}

impl<T> Steps<'_, T> {
    /// The rows of the step `before` in the scan, to read, and of step `t`, to write. The first step of a scan
    /// reads none.
    pub(super) fn two(
        &mut self,
        sizes: &BatchSizes,
        before: Option<usize>,
        t: usize,
    ) -> (&[T], &mut [T]) {
        let pair = match self {
            Steps::Whole { data, width, first_step } => {
                let start = |t: usize| (sizes.offset(t) - sizes.offset(*first_step)) * *width;
                let rows = |t: usize| start(t)..start(t + 1);
                let Some(before) = before else { return (&[], &mut data[rows(t)]) };
                data.get_disjoint_mut([rows(before), rows(t)])
            }
            Steps::Parts(parts) => {
                let Some(before) = before else { return (&[], parts[t]) };
                parts.get_disjoint_mut([before, t]).map(|pair| pair.map(|part| &mut **part))
            }
        };
        let [read, write] = pair.unwrap_or_else(|_| unreachable!("two steps that overlap"));
        (read, write)
    }
}

/// Buffers of a thread, which computes its blocks one after the other.
#[derive(Debug, Default)]
pub(crate) struct Workspace<T> {
    /// Outputs of layers over a segment, (rows, D * `H_out`): of two layers that follow each other, or, if
    /// layers run at the same time, two of each layer except the last.
    pub(crate) hidden: Vec<Vec<T>>,
    /// Pre-activations of a chunk, (rows, columns): of each share of the columns, or of all columns.
    pub(crate) pre: Vec<Vec<T>>,
    /// Hidden states of two steps that follow each other, (rows, `H_out`); empty unless columns are
    /// shared.
    pub(crate) shared: [Vec<Aligned<T>>; 2],
}
