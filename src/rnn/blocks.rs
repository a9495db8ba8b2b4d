//! The buffers of a forward pass, allocated and shared out among its blocks before it begins.

use crate::error::{reserved, zeros};
use crate::packed::BatchSizes;
use crate::stack::{Block, Buffers, Plan, Shape, Steps, Work, Workspace};
use crate::{Element, Error};

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

/// The blocks that each thread runs, with a workspace for them.
pub(super) fn share<'a, T: Element>(
    shape: &Shape,
    plan: &Plan,
    blocks: Vec<Block<'a, T>>,
) -> Result<Vec<Work<'a, T>>, Error> {
    let rows = plan.blocks.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    let mut work = Vec::new();
    for _ in 0..plan.threads {
        work.push(Work { blocks: Vec::new(), workspace: workspace(shape, plan, rows)? });
    }
    for (i, block) in blocks.into_iter().enumerate() {
        work[i % plan.threads].blocks.push(block);
    }
    Ok(work)
}

/// Buffers for blocks of up to `rows` rows.
fn workspace<T: Element>(shape: &Shape, plan: &Plan, rows: usize) -> Result<Workspace<T>, Error> {
    let allocate = |sizes: &[usize]| zeros(sizes, "buffers");
    let hidden = |layers: usize| {
        let steps = if shape.num_layers > layers { plan.segment } else { 0 };
        allocate(&[rows, steps, shape.directions, shape.hidden_size])
    };
    let all = [shape.hidden_size];
    let ends = if plan.columns.is_empty() { &all[..] } else { &plan.columns[..] };
    // One for each direction where both run at once.
    let copies = 1 + usize::from(plan.both_directions);
    let mut first = 0;
    let mut pre = Vec::new();
    for &end in ends {
        for _ in 0..copies {
            pre.push(allocate(&[rows, plan.chunk, end - first])?);
        }
        first = end;
    }
    let relay = || allocate(&[if plan.columns.is_empty() { 0 } else { rows }, shape.hidden_size]);
    let buffers = Buffers { pre, relay: [relay()?, relay()?] };
    Ok(Workspace { hidden: [hidden(1)?, hidden(2)?], buffers })
}
