//! The buffers of a forward pass, allocated and divided among its blocks before it begins.

use std::sync::Mutex;

use crate::batch::{BatchSizes, OUTPUT};
use crate::element::Element;
use crate::error::Error;
use crate::kernel::DoubleBuffer;
use crate::memory::{OutOfMemory, fit, reserved};
use crate::stack::{Block, Parallel, Plan, Shape, Steps, Workspace};

/// Workspaces of earlier passes, kept for later ones: allocating and clearing memory takes time.
#[derive(Debug, Default)]
pub(super) struct Spare<T>(Mutex<Vec<Workspace<T>>>);

impl<T> Spare<T> {
    /// Takes all of them: a concurrent pass allocates its own. A pass that finds the mutex locked allocates too: in a
    /// forked child the lock may never be released.
    pub(super) fn take(&self) -> Vec<Workspace<T>> {
        self.0.try_lock().map(|mut own| std::mem::take(&mut *own)).unwrap_or_default()
    }

    pub(super) fn give_back(&self, workspaces: Vec<Workspace<T>>) {
        if let Ok(mut own) = self.0.try_lock() {
            *own = workspaces;
        }
    }
}

impl<T> Clone for Spare<T> {
    /// A copy of a layer starts without workspaces.
    fn clone(&self) -> Self {
        Spare(Mutex::default())
    }
}

/// The blocks of the plan, each with its own part of `state` and `output`.
pub(super) fn cut<'a, T: Element>(
    shape: &Shape,
    plan: &Plan,
    batch_sizes: &BatchSizes,
    state: &'a mut [T],
    mut output: &'a mut [T],
) -> Result<Vec<Block<'a, T>>, Error> {
    let (width, states) =
        (shape.directions * shape.hidden_size, shape.num_layers * shape.directions);
    let mut blocks = Vec::with_capacity(plan.blocks.len());
    for rows in &plan.blocks {
        let batch_sizes = batch_sizes.block(rows.start, rows.len())?;
        let output = if rows.len() == shape.batch {
            Steps::Whole { data: std::mem::take(&mut output), width, first_step: 0 }
        } else {
            Steps::Parts(reserved(batch_sizes.steps(), OUTPUT)?)
        };
        let state = Vec::with_capacity(states);
        blocks.push(Block { first_row: rows.start, batch_sizes, output, state });
    }
    for t in 0..if blocks.len() > 1 { batch_sizes.steps() } else { 0 } {
        for Block { batch_sizes, output: steps, .. } in &mut blocks {
            if let Steps::Parts(parts) = steps
                && t < batch_sizes.steps()
            {
                let rows = batch_sizes.size(t);
                parts.push(output.split_off_mut(..rows * width).unwrap_or_default());
            }
        }
    }
    for mut one in state.chunks_exact_mut(shape.batch * shape.hidden_size) {
        for (block, rows) in blocks.iter_mut().zip(&plan.blocks) {
            let own = one.split_off_mut(..rows.len() * shape.hidden_size);
            block.state.push(own.unwrap_or_default());
        }
    }
    Ok(blocks)
}

/// A workspace for each thread that passes blocks, its buffers of the size that the blocks need. The content of the
/// buffers is unspecified: everything is written before it is read.
pub(super) fn fit_workspaces<'a, T: Element>(
    workspaces: &'a mut Vec<Workspace<T>>,
    shape: &Shape,
    plan: &Plan,
    blocks: &[Block<'_, T>],
) -> Result<&'a mut [Workspace<T>], Error> {
    let (segment, chunk) = (most_rows(blocks, plan.segment), most_rows(blocks, plan.chunk));
    let pipelined = plan.parallel == Parallel::Layers;
    let all = [shape.hidden_size];
    // A buffer for each share of the columns, or for each direction or layer that runs at the same time.
    let (threads, ends, copies, shared) = match &plan.parallel {
        Parallel::Rows { threads } => (*threads, &all[..], 1, 0),
        Parallel::Columns { ends } => (1, &ends[..], 1, most_rows(blocks, 1)),
        Parallel::Directions => (1, &all[..], 2, 0),
        Parallel::Layers => (1, &all[..], shape.num_layers, 0),
    };
    workspaces.resize_with(threads.max(workspaces.len()), Workspace::default);
    for Workspace { hidden, pre, shared: buffers } in &mut workspaces[..threads] {
        hidden.resize_with(if pipelined { 2 * (shape.num_layers - 1) } else { 2 }, Vec::new);
        for (layers, hidden) in (1..).zip(hidden) {
            let rows = if pipelined || shape.num_layers > layers { segment } else { 0 };
            fit(hidden, &[rows, shape.directions, shape.hidden_size], "buffers")?;
        }
        pre.resize_with(ends.len() * copies, Vec::new);
        for (i, pre) in pre.iter_mut().enumerate() {
            let share = i / copies;
            let first = if share == 0 { 0 } else { ends[share - 1] };
            fit(pre, &[chunk, ends[share] - first], "buffers")?;
        }
        for buffer in buffers {
            let too_large = OutOfMemory { what: "buffers", bytes: usize::MAX };
            let len = DoubleBuffer::<T>::len(shared, shape.hidden_size).ok_or(too_large)?;
            fit(buffer, &[len], "buffers")?;
        }
    }
    Ok(&mut workspaces[..threads])
}

/// Largest row count of any block over `steps` steps: over its first ones, because no later step has more rows.
fn most_rows<T>(blocks: &[Block<'_, T>], steps: usize) -> usize {
    let sizes = blocks.iter().map(|block| &block.batch_sizes);
    sizes.map(|sizes| sizes.offset(steps.min(sizes.steps()))).max().unwrap_or(0)
}
