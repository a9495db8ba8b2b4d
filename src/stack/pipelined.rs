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

use super::{Block, Input, Sections, Stack, Steps, Workspace, drop_out, scan};
use crate::batch::BatchSizes;
use crate::element::Element;

/// The work of a layer in one round.
struct Job<'a, 'b, T> {
    layer: usize,
    first_step: usize,
    /// The output of the layer below in the round before; `None` for the first layer.
    below: Option<&'a [T]>,
    output: Output<'a, 'b, T>,
    state: &'a mut [T],
    pre: &'a mut [T],
}

/// The memory that a layer writes to.
enum Output<'a, 'b, T> {
    /// The buffer that the layer above reads in the next round.
    Inner(&'a mut [T]),
    /// The output of the stack.
    Last(&'a mut Steps<'b, T>),
}

/// Passes a block through all layers, round by round.
pub(super) fn run<'b, T: Element>(
    stack: &Stack<'_, T>,
    block: &mut Block<'b, T>,
    workspace: &mut Workspace<T>,
) {
    let segments = block.batch_sizes.steps().div_ceil(stack.plan.segment);
    for round in 0..segments + stack.cells.len() - 1 {
        let Block { first_row, batch_sizes: sizes, output, state } = &mut *block;
        let (first_row, sizes) = (*first_row, &*sizes);
        let mut output = Some(output);
        let mut pairs = workspace.hidden.chunks_exact_mut(2);
        let mut below = None;
        let layers = state.iter_mut().zip(&mut workspace.buffers.pre);
        rayon::scope(move |scope| {
            for (layer, (state, pre)) in layers.enumerate() {
                let pair = pairs.next().map(|pair| {
                    let (even, odd) = pair.split_at_mut(1);
                    let (even, odd) = (&mut even[0], &mut odd[0]);
                    if (round + layer).is_multiple_of(2) { (even, &*odd) } else { (odd, &*even) }
                });
                let (own, read) = pair.map_or((None, None), |(own, read)| (Some(own), Some(read)));
                let below = std::mem::replace(&mut below, read.map(Vec::as_slice));
                let output = match own {
                    Some(own) => Output::Inner(own),
                    None => Output::Last(
                        output.take().unwrap_or_else(|| unreachable!("two last layers")),
                    ),
                };
                let segment = round.wrapping_sub(layer);
                if segment < segments {
                    let first_step = segment * stack.plan.segment;
                    let job: Job<'_, 'b, T> = Job { layer, first_step, below, output, state, pre };
                    scope.spawn(move |_| run_layer(stack, sizes, first_row, job));
                }
            }
        });
    }
}

/// Runs one layer over one segment.
fn run_layer<T: Element>(
    stack: &Stack<'_, T>,
    sizes: &BatchSizes,
    first_row: usize,
    job: Job<'_, '_, T>,
) {
    let Job { layer, first_step, below, output, state, pre } = job;
    let segment = first_step..(first_step + stack.plan.segment).min(sizes.steps());
    let input = match below {
        Some(data) => Input::Layer { data, first_step },
        None => Input::Batch { data: stack.input, first_row },
    };
    let sections = Sections { stack, sizes, input: &input, layer, segment: &segment };
    let section = sections.section(0);
    match output {
        Output::Last(steps) => scan::run(&section, steps, state, pre),
        Output::Inner(data) => {
            let mut steps = Steps::Whole { data, width: stack.hidden_size, first_step };
            scan::run(&section, &mut steps, state, pre);
            if let (Some(mask), Steps::Whole { data, .. }) = (stack.masks.get(layer), steps) {
                drop_out(stack, sizes, first_row, mask, data, segment.clone());
            }
        }
    }
}
