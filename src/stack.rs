//! Layers and directions over blocks of the batch: the only module that knows threads.
//!
//! For each layer and direction, a chunk of steps at a time: one product for many rows writes the
//! pre-activations `X W_ih^T + b` into a buffer that stays in the cache, then the scan turns them into
//! hidden states, step by step:
//!
//! ```text
//! h_t = act(pre_t + h_{t-1} W_hh^T)
//! ```
//!
//! A hidden state is written once: to the output, or to the input of the next layer. The reverse direction differs only
//! in the order of steps. A stack that runs forward only passes long sequences through in segments of time, so that its
//! buffers stay small. A bidirectional stack needs every step of a layer before the next layer can begin, so
//! its one segment is the whole sequence; so is that of a stack whose single direction runs in reverse.
//!
//! Threads share one of four things, which [`Plan`] chooses: blocks of rows ([`scan`]), the columns of every
//! step ([`columns`]), the two directions, or the layers ([`pipelined`]).
//!
//! The plan also depends on the sizes of the caches, which [`caches`] asks of the system.
//!
//! This module cannot fail. `rnn` has checked every shape, and has allocated all memory that grows with
//! the data; this module allocates a few words for each thread.

mod block;
mod caches;
mod columns;
mod pipelined;
mod plan;
mod scan;
mod shares;
mod watch;

use std::ops::Range;

use crate::batch::BatchSizes;
use crate::element::Element;
use crate::kernel::{Activation, Aligned, Kernel, Panels, Product, RowsMut, Walk};

pub(crate) use block::{Block, Steps, Workspace};
pub(crate) use caches::l2_bytes;
pub use caches::{Cache, caches};
pub(crate) use plan::{Parallel, Plan, Shape, cores};
pub(crate) use shares::{in_shares, shares, worthwhile};
pub use watch::Watch;

/// The weights of one layer and direction, packed for the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Cell<T> {
    /// Panels of `weight_ih`, (`H_out`, `input_size`).
    pub(crate) weight_ih: Vec<Aligned<T>>,
    /// Panels of `weight_hh`, (`H_out`, `H_out`).
    pub(crate) weight_hh: Vec<Aligned<T>>,
    /// `b_ih + b_hh`, (`H_out`); zeros without bias.
    pub(crate) bias: Vec<T>,
    /// Features that this layer takes in.
    pub(crate) input_size: usize,
}

impl<T: Element> Cell<T> {
    pub(crate) fn ih(&self) -> Panels<'_, T> {
        Panels::new(&self.weight_ih, self.bias.len(), self.input_size)
    }

    pub(crate) fn hh(&self) -> Panels<'_, T> {
        Panels::new(&self.weight_hh, self.bias.len(), self.bias.len())
    }
}

/// The data that all blocks of one forward pass share.
pub(crate) struct Stack<'a, T> {
    pub(crate) kernel: Kernel,
    /// Layer by layer, the forward direction before the reverse.
    pub(crate) cells: &'a [Cell<T>],
    pub(crate) directions: usize,
    /// Whether the single direction runs from the last step to the first.
    pub(crate) reversed: bool,
    pub(crate) hidden_size: usize,
    pub(crate) activation: Activation,
    pub(crate) batch_sizes: &'a BatchSizes,
    /// Packed, (rows, `H_in`).
    pub(crate) input: &'a [T],
    /// Dropout masks of the output of each layer except the last, packed, (rows, D * `H_out`); empty without
    /// dropout.
    pub(crate) masks: &'a [Vec<bool>],
    /// The factor of a kept element, 1 / (1 - p).
    pub(crate) mask_scale: T,
    pub(crate) plan: &'a Plan,
    pub(crate) watch: Option<Watch<'a>>,
}

/// Runs every block through the stack, an equal number of blocks in each workspace. Each workspace has a thread of the
/// current rayon pool.
pub(crate) fn forward<T: Element>(
    stack: &Stack<'_, T>,
    blocks: &mut [Block<'_, T>],
    workspaces: &mut [Workspace<T>],
) {
    if let [workspace] = workspaces {
        return blocks.iter_mut().for_each(|block| run_block(stack, block, workspace));
    }
    let own = blocks.chunks_mut(blocks.len().div_ceil(workspaces.len()));
    rayon::scope(|scope| {
        for (own, workspace) in own.zip(workspaces) {
            scope.spawn(|_| own.iter_mut().for_each(|block| run_block(stack, block, workspace)));
        }
    });
}

/// Passes a block through all layers, segment by segment.
fn run_block<T: Element>(
    stack: &Stack<'_, T>,
    block: &mut Block<'_, T>,
    workspace: &mut Workspace<T>,
) {
    if stack.plan.parallel == Parallel::Layers {
        return pipelined::run(stack, block, workspace);
    }
    let Workspace { hidden, pre, shared } = workspace;
    // Every workspace has at least two of them, perhaps empty.
    let [even, odd] = &mut hidden[..] else { return };
    let Block { first_row, batch_sizes: sizes, output, state } = block;
    let width = stack.directions * stack.hidden_size;
    let layers = stack.cells.len() / stack.directions;
    for first_step in (0..sizes.steps()).step_by(stack.plan.segment) {
        let segment = &(first_step..(first_step + stack.plan.segment).min(sizes.steps()));
        for (layer, states) in state.chunks_exact_mut(stack.directions).enumerate() {
            let (lower, upper) =
                if layer % 2 == 0 { (&*odd, &mut *even) } else { (&*even, &mut *odd) };
            let (below, first_row) = ((layer > 0).then_some(&lower[..]), *first_row);
            let section = Section { stack, sizes, first_row, layer, direction: 0, below, segment };
            if layer + 1 == layers {
                section.run(output, states, pre, shared);
            } else {
                let mut inner = Steps::Whole { data: upper, width, first_step };
                section.run(&mut inner, states, pre, shared);
            }
        }
    }
}

/// One layer and direction over the steps of a segment.
#[derive(Clone, Copy)]
struct Section<'a, T> {
    stack: &'a Stack<'a, T>,
    /// Of the block.
    sizes: &'a BatchSizes,
    /// The first row of the block in each step of the batch.
    first_row: usize,
    layer: usize,
    /// 0 or 1.
    direction: usize,
    /// The output of the layer below over the segment, (rows of the block, features in). `None`: the layer reads the
    /// packed input of the whole batch.
    below: Option<&'a [T]>,
    segment: &'a Range<usize>,
}

impl<T: Element> Section<'_, T> {
    /// The first column of this direction in a layer's output.
    fn column(&self) -> usize {
        self.direction * self.stack.hidden_size
    }

    /// Runs every direction of the layer, and applies dropout to the output of an inner layer.
    fn run(
        self,
        output: &mut Steps<'_, T>,
        states: &mut [&mut [T]],
        pre: &mut [Vec<T>],
        shared: &mut [Vec<Aligned<T>>; 2],
    ) {
        let sections = [self, Section { direction: 1, ..self }];
        match (&self.stack.plan.parallel, &mut *states, &mut *pre) {
            (Parallel::Directions, [forward, reverse], [pre, reverse_pre]) => {
                // A plan of directions has one block.
                let Some(rows) = scan::rows_of(&self, output) else { return };
                let (left, right) = rows.split_at_column(self.stack.hidden_size);
                rayon::join(
                    || scan::apart(&sections[0], left, forward, pre),
                    || scan::apart(&sections[1], right, reverse, reverse_pre),
                );
            }
            (Parallel::Columns { ends }, ..) => {
                for (section, state) in sections.iter().zip(states) {
                    columns::run(section, ends, output, state, pre, shared);
                }
            }
            _ => {
                for (section, state) in sections.iter().zip(states) {
                    scan::run(section, output, state, &mut pre[0]);
                }
            }
        }
        if let (Some(mask), Steps::Whole { data, .. }) = (self.stack.masks.get(self.layer), output)
        {
            self.drop_out(mask, data);
        }
    }

    /// Dropout on the output of a layer over the segment.
    fn drop_out(&self, mask: &[bool], hidden: &mut [T]) {
        let width = self.stack.directions * self.stack.hidden_size;
        for t in self.segment.clone() {
            let own = self.rows_between(self.segment.start, t) * width;
            let all = (self.stack.batch_sizes.offset(t) + self.first_row) * width;
            let count = self.sizes.size(t) * width;
            for (value, &keep) in hidden[own..own + count].iter_mut().zip(&mask[all..]) {
                *value = dropped(*value, keep, self.stack.mask_scale);
            }
        }
    }

    fn cell(&self) -> &Cell<T> {
        &self.stack.cells[self.layer * self.stack.directions + self.direction]
    }

    fn is_reverse(&self) -> bool {
        self.direction == 1 || self.stack.reversed
    }

    /// The rows that the layer reads from step `t` on, unless rows of other blocks lie between them.
    fn input(&self, t: usize) -> &[T] {
        let (data, first) = match self.below {
            Some(below) => (below, self.segment.start),
            None => (self.stack.input, 0),
        };
        &data[self.rows_between(first, t) * self.cell().input_size..]
    }

    /// The pre-activations `X W_ih^T + b` of some columns, for `rows` rows of `x`, (rows, features in).
    fn project(&self, columns: Range<usize>, x: &[T], pre: &mut [T], rows: usize) {
        let cell = self.cell();
        self.stack.kernel.product(Product {
            x,
            x_stride: cell.input_size,
            panels: cell.ih().columns_in(columns.clone()),
            start: &cell.bias[columns.clone()],
            start_stride: 0,
            out: RowsMut::new(pre, rows, columns.len(), columns.len()),
            activation: Activation::Identity,
            walk: Walk::Forwards,
        });
    }

    /// Says that a chunk is about to be passed.
    fn watch(&self, chunk: &Range<usize>) {
        if let Some(Watch(passed)) = self.stack.watch {
            passed(self.rows_between(chunk.start, chunk.end));
        }
    }

    /// The chunks of the segment, in the order of the scan.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let (size, count) =
            (self.stack.plan.chunk, self.segment.len().div_ceil(self.stack.plan.chunk));
        (0..count).map(move |i| {
            let i = if self.is_reverse() { count - 1 - i } else { i };
            let first = self.segment.start + i * size;
            first..(first + size).min(self.segment.end)
        })
    }

    /// The steps of a chunk, in the order of the scan.
    fn steps(&self, chunk: Range<usize>) -> impl Iterator<Item = usize> {
        let reverse = self.is_reverse();
        chunk.clone().map(move |t| if reverse { chunk.start + (chunk.end - 1 - t) } else { t })
    }

    /// The steps before and after step `t` in the order of the scan.
    fn neighbours(&self, t: usize) -> (Option<usize>, Option<usize>) {
        let earlier = (t > self.segment.start).then(|| t - 1);
        let later = (t + 1 < self.segment.end).then_some(t + 1);
        if self.is_reverse() { (later, earlier) } else { (earlier, later) }
    }

    /// Rows still active after step `t`.
    fn continuing(&self, t: usize) -> usize {
        let (_, after) = self.neighbours(t);
        after.map_or(0, |after| self.sizes.size(after).min(self.sizes.size(t)))
    }

    /// Rows of the block between the beginnings of two steps.
    fn rows_between(&self, first: usize, end: usize) -> usize {
        self.sizes.offset(end) - self.sizes.offset(first)
    }
}

/// The walk over the panels in step `t`. It alternates, so that a step begins with the panels that the step before
/// left in the cache. With one row and 4 MB of weights this takes a third less time.
fn walk(t: usize) -> Walk {
    if t.is_multiple_of(2) { Walk::Forwards } else { Walk::Backwards }
}

/// Dropout on one element: `x * mask / (1 - p)`. A dropped element is multiplied by zero, so that NaN and the sign of
/// zero are those of PyTorch.
pub(crate) fn dropped<T: Element>(value: T, keep: bool, scale: T) -> T {
    value * if keep { scale } else { T::ZERO }
}
