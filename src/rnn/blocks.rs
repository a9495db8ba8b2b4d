//! The buffers of a forward pass, allocated and divided among its blocks before it begins.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::batch::BatchSizes;
use crate::element::Element;
use crate::error::Error;
use crate::kernel::DoubleBuffer;
use crate::memory::{OutOfMemory, fit, reserved};
use crate::stack::{Block, Parallel, Plan, Shape, Steps, Work, Workspace};

/// Workspaces of earlier passes, kept for later ones: allocating and clearing memory takes time.
#[derive(Debug)]
pub(super) struct Spare<T>(Mutex<Vec<Workspace<T>>>);

impl<T> Spare<T> {
    pub(super) fn new() -> Self {
        Spare(Mutex::new(Vec::new()))
    }

    /// Takes all of them: a concurrent pass allocates its own.
    pub(super) fn take(&self) -> Vec<Workspace<T>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn give_back(&self, workspaces: Vec<Workspace<T>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = workspaces;
    }
}

impl<T> Clone for Spare<T> {
    /// A copy of a layer starts without workspaces.
    fn clone(&self) -> Self {
        Spare::new()
    }
}

/// The blocks of the plan, each with its own part of `state` and `output`.
pub(super) fn cut<'a, T: Element>(
    shape: &Shape,
    plan: &Plan,
    batch_sizes: &BatchSizes,
    state: &'a mut [T],
    output: &'a mut [T],
) -> Result<Vec<Block<'a, T>>, Error> {
    let width = shape.directions * shape.hidden_size;
    let blocks = plan.blocks(shape.batch);
    let outputs = if blocks.len() == 1 {
        vec![Steps::Whole { data: output, width, first_step: 0 }]
    } else {
        parts(&blocks, batch_sizes, width, output)?
    };
    let mut states: Vec<Vec<&mut [T]>> = blocks.iter().map(|_| Vec::new()).collect();
    if shape.batch > 0 {
        for mut one in state.chunks_exact_mut(shape.batch * shape.hidden_size) {
            for (block, states) in blocks.iter().zip(&mut states) {
                states
                    .push(one.split_off_mut(..block.len() * shape.hidden_size).unwrap_or_default());
            }
        }
    }
    let own = blocks.iter().zip(outputs.into_iter().zip(states));
    own.filter(|(rows, _)| !rows.is_empty())
        .map(|(rows, (output, state))| {
            let batch_sizes = batch_sizes.block(rows.start, rows.len())?;
            Ok(Block { first_row: rows.start, batch_sizes, output, state })
        })
        .collect()
}

/// For each block, its rows of every step.
fn parts<'a, T>(
    blocks: &[Range<usize>],
    batch_sizes: &BatchSizes,
    width: usize,
    mut output: &'a mut [T],
) -> Result<Vec<Steps<'a, T>>, Error> {
    let mut parts = Vec::new();
    for _ in blocks {
        parts.push(reserved(batch_sizes.steps(), "output")?);
    }
    for t in 0..batch_sizes.steps() {
        for (rows, parts) in blocks.iter().zip(&mut parts) {
            let rows = batch_sizes.size(t).min(rows.end).saturating_sub(rows.start);
            parts.push(output.split_off_mut(..rows * width).unwrap_or_default());
        }
    }
    Ok(parts.into_iter().map(Steps::Parts).collect())
}

/// The blocks of each thread, with a workspace: one of `spare` if any is left.
pub(super) fn share<'a, T: Element>(
    shape: &Shape,
    plan: &Plan,
    blocks: Vec<Block<'a, T>>,
    spare: &mut Vec<Workspace<T>>,
) -> Result<Vec<Work<'a, T>>, Error> {
    let rows = LargestRows {
        first_step: blocks.iter().map(|block| block.batch_sizes.size(0)).max().unwrap_or(0),
        chunk: most_rows(&blocks, plan.chunk),
        segment: most_rows(&blocks, plan.segment),
    };
    let mut work = Vec::new();
    let threads = if let Parallel::Rows { threads, .. } = plan.parallel { threads } else { 1 };
    for _ in 0..threads {
        let mut workspace = spare.pop().unwrap_or_default();
        fit_workspace(&mut workspace, shape, plan, &rows)?;
        work.push(Work { blocks: Vec::new(), workspace });
    }
    for (i, block) in blocks.into_iter().enumerate() {
        work[i % threads].blocks.push(block);
    }
    Ok(work)
}

/// Largest row counts of any block.
struct LargestRows {
    first_step: usize,
    chunk: usize,
    segment: usize,
}

/// Largest row count of any block over `steps` steps: over its first ones, because no later step has more rows.
fn most_rows<T>(blocks: &[Block<'_, T>], steps: usize) -> usize {
    let sizes = blocks.iter().map(|block| &block.batch_sizes);
    sizes.map(|sizes| sizes.offset(steps.min(sizes.steps()))).max().unwrap_or(0)
}

/// Resizes the buffers of a workspace for blocks of up to `rows`. Their content is unspecified: everything is written
/// before it is read.
fn fit_workspace<T: Element>(
    workspace: &mut Workspace<T>,
    shape: &Shape,
    plan: &Plan,
    rows: &LargestRows,
) -> Result<(), Error> {
    let Workspace { hidden, buffers } = workspace;
    let pipelined = plan.parallel == Parallel::Layers;
    hidden.resize_with(if pipelined { 2 * (shape.num_layers - 1) } else { 2 }, Vec::new);
    for (layers, hidden) in (1..).zip(hidden) {
        let rows = if pipelined || shape.num_layers > layers { rows.segment } else { 0 };
        fit(hidden, &[rows, shape.directions, shape.hidden_size], "buffers")?;
    }
    let all = [shape.hidden_size];
    // A buffer for each share of the columns, or for each direction or layer that runs at the same time.
    let (ends, copies, shared) = match &plan.parallel {
        Parallel::Rows { .. } => (&all[..], 1, 0),
        Parallel::Columns { ends } => (&ends[..], 1, rows.first_step),
        Parallel::Directions => (&all[..], 2, 0),
        Parallel::Layers => (&all[..], shape.num_layers, 0),
    };
    buffers.pre.resize_with(ends.len() * copies, Vec::new);
    let mut first = 0;
    for (&end, pre) in ends.iter().zip(buffers.pre.chunks_mut(copies)) {
        for pre in pre {
            fit(pre, &[rows.chunk, end - first], "buffers")?;
        }
        first = end;
    }
    for buffer in &mut buffers.shared {
        let too_large = OutOfMemory { what: "buffers", bytes: usize::MAX };
        let len = DoubleBuffer::<T>::len(shared, shape.hidden_size).ok_or(too_large)?;
        fit(buffer, &[len], "buffers")?;
    }
    Ok(())
}
