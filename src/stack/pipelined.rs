//! Pipelined layers: they run at the same time, each a segment of time behind the one below it. This is used for few
//! rows of a stack that runs forward only.
//!
//! ```text
//! round     0   1   2   3
//! layer 0   s0  s1  s2
//! layer 1       s0  s1  s2
//! ```
//!
//! Between two layers there are two buffers: while the upper layer reads the segment of the last round from
//! one, the lower layer writes its next segment into the other.

use super::{Block, Section, Stack, Steps, Workspace};
use crate::element::Element;

/// Passes a block through all layers, round by round.
pub(super) fn run<T: Element>(
    stack: &Stack<'_, T>,
    block: &mut Block<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let segments = block.batch_sizes.steps().div_ceil(stack.plan.segment);
    for round in 0..segments + stack.cells.len() - 1 {
        run_round(stack, block, workspace, round);
    }
}

/// Passes segment `round - k` through each layer k that has such a segment, all layers at the same time.
fn run_round<T: Element>(
    stack: &Stack<'_, T>,
    block: &mut Block<'_, T>,
    workspace: &mut Workspace<T>,
    round: usize,
) {
    let Block { first_row, batch_sizes: sizes, output, state } = block;
    // A plan of layers has one block.
    let Steps::Whole { data: output, width, .. } = output else { return };
    let (sizes, first_row, width, layers) = (&*sizes, *first_row, *width, stack.cells.len());
    let mut output = &mut **output;
    let mut pairs = workspace.hidden.chunks_exact_mut(2);
    let mut read_below = None;
    let buffers = state.chunks_exact_mut(1).zip(workspace.pre.chunks_exact_mut(1));
    rayon::scope(move |scope| {
        for (layer, (state, pre)) in buffers.enumerate() {
            // The last layer writes the output of the stack.
            let last = || (std::mem::take(&mut output), &[][..]);
            let (data, read) = pairs.next().map_or_else(last, |pair| {
                // The layer above reads what this one wrote in the round before.
                pair.swap(0, 1);
                let (own, read) = pair.split_at_mut(1);
                (&mut own[0][..], &read[0][..])
            });
            let below = read_below.replace(read);
            let start = round.wrapping_sub(layer).saturating_mul(stack.plan.segment);
            let segment = start..start.saturating_add(stack.plan.segment).min(sizes.steps());
            if segment.is_empty() {
                continue;
            }
            let first_step = if layer + 1 == layers { 0 } else { start };
            scope.spawn(move |_| {
                let (direction, segment) = (0, &segment);
                let section = Section { stack, sizes, first_row, layer, direction, below, segment };
                let mut output = Steps::Whole { data, width, first_step };
                section.run(&mut output, state, pre, &mut [const { Vec::new() }; 2]);
            });
        }
    });
}
