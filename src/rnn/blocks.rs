//! The buffers of a forward pass, allocated and shared out among its blocks before it begins.

use std::sync::{Mutex, PoisonError};

use crate::batch::BatchSizes;
use crate::element::Element;
use crate::error::Error;
use crate::kernel::Relay;
use crate::memory::{OutOfMemory, fit, reserved};
use crate::stack::{Block, Plan, Shape, Steps, Work, Workspace};

/// The workspaces of past passes, for the next ones: to get memory and to clear it takes time.
#[derive(Debug)]
pub(super) struct Spare<T>(Mutex<Vec<Workspace<T>>>);

impl<T> Spare<T> {
    pub(super) fn new() -> Self {
        Spare(Mutex::new(Vec::new()))
    }

    /// All there are: another pass that runs at the same time makes its own.
    pub(super) fn take(&self) -> Vec<Workspace<T>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn give_back(&self, workspaces: Vec<Workspace<T>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = workspaces;
    }
}

impl<T> Clone for Spare<T> {
    /// A copy of a layer starts without any.
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
    let mut outputs = if plan.blocks.len() == 1 {
        vec![Steps::Whole { data: output, width, first_step: 0 }]
    } else {
        parts(plan, batch_sizes, width, output)?
    };
    let mut states: Vec<Vec<&mut [T]>> = plan.blocks.iter().map(|_| Vec::new()).collect();
    if shape.batch > 0 {
        for mut one in state.chunks_exact_mut(shape.batch * shape.hidden_size) {
            for (block, states) in plan.blocks.iter().zip(&mut states) {
                states
                    .push(one.split_off_mut(..block.len() * shape.hidden_size).unwrap_or_default());
            }
        }
    }
    let places = plan.blocks.iter().zip(outputs.drain(..).zip(states));
    places
        .filter(|(rows, _)| !rows.is_empty())
        .map(|(rows, (output, state))| {
            let batch_sizes = batch_sizes.block(rows.start, rows.len())?;
            Ok(Block { first_row: rows.start, batch_sizes, output, state })
        })
        .collect()
}

/// For each block, its rows of every step.
fn parts<'a, T>(
    plan: &Plan,
    batch_sizes: &BatchSizes,
    width: usize,
    mut output: &'a mut [T],
) -> Result<Vec<Steps<'a, T>>, Error> {
    let mut parts = Vec::new();
    for _ in &plan.blocks {
        parts.push(reserved(batch_sizes.steps(), "output")?);
    }
    for t in 0..batch_sizes.steps() {
        for (rows, parts) in plan.blocks.iter().zip(&mut parts) {
            let rows = batch_sizes.size(t).min(rows.end).saturating_sub(rows.start);
            parts.push(output.split_off_mut(..rows * width).unwrap_or_default());
        }
    }
    Ok(parts.into_iter().map(Steps::Parts).collect())
}

/// The blocks that each thread runs, with a workspace for them: one of `spare`, where there is one.
pub(super) fn share<'a, T: Element>(
    shape: &Shape,
    plan: &Plan,
    blocks: Vec<Block<'a, T>>,
    spare: &mut Vec<Workspace<T>>,
) -> Result<Vec<Work<'a, T>>, Error> {
    let rows = Rows {
        first_step: blocks.iter().map(|block| block.batch_sizes.size(0)).max().unwrap_or(0),
        chunk: most_rows(&blocks, plan.chunk),
        segment: most_rows(&blocks, plan.segment),
    };
    let mut work = Vec::new();
    for _ in 0..plan.threads {
        let mut workspace = spare.pop().unwrap_or_default();
        fit_workspace(&mut workspace, shape, plan, &rows)?;
        work.push(Work { blocks: Vec::new(), workspace });
    }
    for (i, block) in blocks.into_iter().enumerate() {
        work[i % plan.threads].blocks.push(block);
    }
    Ok(work)
}

/// Most rows that any of the blocks has.
struct Rows {
    first_step: usize,
    chunk: usize,
    segment: usize,
}

/// Most rows that any of the blocks has in so many steps: in its first ones, because they never get more.
fn most_rows<T>(blocks: &[Block<'_, T>], steps: usize) -> usize {
    let rows =
        blocks.iter().map(|block| block.batch_sizes.offset(steps.min(block.batch_sizes.steps())));
    rows.max().unwrap_or(0)
}

/// Gives the buffers of a workspace the sizes that blocks of up to so many rows need. What they hold does
/// not matter: everything is written before it is read.
fn fit_workspace<T: Element>(
    workspace: &mut Workspace<T>,
    shape: &Shape,
    plan: &Plan,
    rows: &Rows,
) -> Result<(), Error> {
    let Workspace { hidden, buffers } = workspace;
    hidden.resize_with(if plan.waves { 2 * (shape.num_layers - 1) } else { 2 }, Vec::new);
    for (layers, hidden) in (1..).zip(hidden) {
        let rows = if plan.waves || shape.num_layers > layers { rows.segment } else { 0 };
        fit(hidden, &[rows, shape.directions, shape.hidden_size], "buffers")?;
    }
    let all = [shape.hidden_size];
    let ends = if plan.columns.is_empty() { &all[..] } else { &plan.columns[..] };
    // One for each direction or layer where they run at the same time.
    let copies = match (plan.both_directions, plan.waves) {
        (true, _) => 2,
        (_, true) => shape.num_layers,
        _ => 1,
    };
    buffers.pre.resize_with(ends.len() * copies, Vec::new);
    let mut first = 0;
    for (&end, pre) in ends.iter().zip(buffers.pre.chunks_mut(copies)) {
        for pre in pre {
            fit(pre, &[rows.chunk, end - first], "buffers")?;
        }
        first = end;
    }
    let relayed = if plan.columns.is_empty() { 0 } else { rows.first_step };
    for relay in &mut buffers.relay {
        let too_large = OutOfMemory { what: "buffers", bytes: usize::MAX };
        let len = Relay::<T>::len(relayed, shape.hidden_size).ok_or(too_large)?;
        fit(relay, &[len], "buffers")?;
    }
    Ok(())
}
