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
    let Block { first_row, batch_sizes: sizes, output, state } = block;
    // A plan of layers has one block.
    let Steps::Whole { data: output, width, .. } = output else { return };
    let (first_row, width, size) = (*first_row, *width, stack.plan.segment);
    let (segments, layers) = (sizes.steps().div_ceil(size), stack.cells.len());
    for round in 0..segments + layers - 1 {
        let mut output = &mut **output;
        let mut pairs = workspace.hidden.chunks_exact_mut(2);
        let mut read_below = None;
        let buffers = state.chunks_exact_mut(1).zip(workspace.pre.chunks_exact_mut(1));
        let sizes = &*sizes;
        rayon::scope(move |scope| {
            for (layer, (state, pre)) in buffers.enumerate() {
                let (data, read) = match pairs.next() {
                    Some([even, odd]) => {
                        let even_round = (round + layer).is_multiple_of(2);
                        let (own, read) = if even_round { (even, odd) } else { (odd, even) };
                        (&mut own[..], &read[..])
                    }
                    // The last layer writes the output of the stack.
                    _ => (std::mem::take(&mut output), &[][..]),
                };
                let below = read_below.replace(read);
                let segment = round.wrapping_sub(layer);
                if segment >= segments {
                    continue;
                }
                let start = segment * size;
                let first_step = if layer + 1 == layers { 0 } else { start };
                scope.spawn(move |_| {
                    let segment = &(start..(start + size).min(sizes.steps()));
                    let section =
                        Section { stack, sizes, first_row, layer, direction: 0, below, segment };
                    let mut output = Steps::Whole { data, width, first_step };
                    section.run(&mut output, state, pre, &mut [const { Vec::new() }; 2]);
                });
            }
        });
    }
}
