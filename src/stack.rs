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
//! This module cannot fail. `rnn` has checked every shape, and has allocated all memory that grows with
//! the data; this module allocates a few words for each thread.

mod block;
mod cell;
mod columns;
mod pipelined;
mod plan;
mod scan;

use std::ops::Range;

use crate::batch::BatchSizes;
use crate::element::Element;
use crate::kernel::{Activation, Kernel, Product, RowsMut, Walk};

use block::Buffers;
pub(crate) use block::{Block, Steps, Work, Workspace};
pub(crate) use cell::Cell;
pub(crate) use plan::{Parallel, Plan, Shape, cores};

/// The data that all blocks of one forward pass share.
#[derive(Debug)]
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
}

/// Runs every block through the stack, each share of the work on a thread of the current rayon pool.
pub(crate) fn forward<T: Element>(stack: &Stack<'_, T>, work: &mut [Work<'_, T>]) {
    let run = |Work { blocks, workspace }: &mut Work<'_, T>| {
        for block in blocks {
            run_block(stack, block, workspace);
        }
    };
    if let [own] = work {
        run(own);
    } else {
        rayon::scope(|scope| work.iter_mut().for_each(|own| scope.spawn(move |_| run(own))));
    }
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
    let Workspace { hidden, buffers } = workspace;
    // Every workspace has at least two of them, perhaps empty.
    let [even, odd] = &mut hidden[..] else { return };
    let Block { first_row, batch_sizes: sizes, output, state } = block;
    let width = stack.directions * stack.hidden_size;
    let layers = stack.cells.len() / stack.directions;
    for first_step in (0..sizes.steps()).step_by(stack.plan.segment) {
        let segment = first_step..(first_step + stack.plan.segment).min(sizes.steps());
        for layer in 0..layers {
            let (lower, upper) =
                if layer % 2 == 0 { (&*odd, &mut *even) } else { (&*even, &mut *odd) };
            let input = if layer == 0 {
                Input::Batch { data: stack.input, first_row: *first_row }
            } else {
                Input::Layer { data: lower, first_step }
            };
            let sections = Sections { stack, sizes, input: &input, layer, segment: &segment };
            let states = &mut state[layer * stack.directions..][..stack.directions];
            if layer + 1 == layers {
                sections.run(output, states, buffers);
                continue;
            }
            let mut inner = Steps::Whole { data: upper, width, first_step };
            sections.run(&mut inner, states, buffers);
            if let Some(mask) = stack.masks.get(layer) {
                drop_out(stack, sizes, *first_row, mask, upper, segment.clone());
            }
        }
    }
}

/// A layer over the steps of a segment.
struct Sections<'a, T> {
    stack: &'a Stack<'a, T>,
    sizes: &'a BatchSizes,
    input: &'a Input<'a, T>,
    layer: usize,
    segment: &'a Range<usize>,
}

impl<T: Element> Sections<'_, T> {
    /// Runs every direction of the layer.
    fn run(&self, output: &mut Steps<'_, T>, states: &mut [&mut [T]], buffers: &mut Buffers<T>) {
        if self.stack.plan.parallel == Parallel::Directions {
            return self.run_both(output, states, buffers);
        }
        for (direction, state) in states.iter_mut().enumerate() {
            let section = self.section(direction);
            match &self.stack.plan.parallel {
                Parallel::Columns { ends } => columns::run(&section, ends, output, state, buffers),
                _ => scan::run(&section, output, state, &mut buffers.pre[0]),
            }
        }
    }

    /// Runs both directions at the same time.
    fn run_both(
        &self,
        output: &mut Steps<'_, T>,
        states: &mut [&mut [T]],
        buffers: &mut Buffers<T>,
    ) {
        // A plan of directions has one block.
        let ([forward, reverse], [pre, reverse_pre]) = (states, &mut buffers.pre[..]) else {
            return;
        };
        let sections = [self.section(0), self.section(1)];
        let Some(rows) = scan::rows_of(&sections[0], output) else { return };
        let (left, right) = rows.split_at_column(self.stack.hidden_size);
        rayon::join(
            || scan::apart(&sections[0], left, forward, pre),
            || scan::apart(&sections[1], right, reverse, reverse_pre),
        );
    }

    /// One direction of the layer, 0 or 1.
    fn section(&self, direction: usize) -> Section<'_, T> {
        Section {
            stack: self.stack,
            sizes: self.sizes,
            cell: &self.stack.cells[self.layer * self.stack.directions + direction],
            direction,
            reverse: direction == 1 || self.stack.reversed,
            input: self.input,
            segment: self.segment,
        }
    }
}

/// One layer and direction over the steps of a segment.
struct Section<'a, T> {
    stack: &'a Stack<'a, T>,
    /// Of the block.
    sizes: &'a BatchSizes,
    cell: &'a Cell<T>,
    direction: usize,
    reverse: bool,
    input: &'a Input<'a, T>,
    segment: &'a Range<usize>,
}

/// The rows that a layer reads, of (features in).
enum Input<'a, T> {
    /// The packed input of the whole batch; the block's rows begin at `first_row` of each step.
    Batch { data: &'a [T], first_row: usize },
    /// The output of the layer below: rows of this block alone, from `first_step` on.
    Layer { data: &'a [T], first_step: usize },
}

impl<T: Element> Section<'_, T> {
    /// Whether every step of the segment has a single row, and no step of the sequence has more.
    fn is_one_row(&self) -> bool {
        self.sizes.is_one_row(self.segment)
    }

    /// The pre-activations `X W_ih^T + b` of some columns, for `rows` rows of `x`, (rows, features in).
    fn project(&self, columns: Range<usize>, x: &[T], pre: &mut [T], rows: usize) {
        self.stack.kernel.product(Product {
            x,
            x_stride: self.cell.input_size,
            panels: self.cell.ih().columns_in(columns.clone()),
            start: &self.cell.bias[columns.clone()],
            start_stride: 0,
            out: RowsMut::new(pre, rows, columns.len(), columns.len()),
            activation: Activation::Identity,
            walk: Walk::Forwards,
        });
    }

    /// The first column of this direction in a layer's output.
    fn column(&self) -> usize {
        self.direction * self.stack.hidden_size
    }

    /// The chunks of the segment, in the order of the scan.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let (size, count) =
            (self.stack.plan.chunk, self.segment.len().div_ceil(self.stack.plan.chunk));
        (0..count).map(move |i| {
            let i = if self.reverse { count - 1 - i } else { i };
            let first = self.segment.start + i * size;
            first..(first + size).min(self.segment.end)
        })
    }

    /// The steps of a chunk, in the order of the scan.
    fn steps(&self, chunk: Range<usize>) -> impl Iterator<Item = usize> {
        chunk.clone().map(move |t| if self.reverse { chunk.start + (chunk.end - 1 - t) } else { t })
    }

    /// The steps before and after step `t` in the order of the scan.
    fn neighbours(&self, t: usize) -> (Option<usize>, Option<usize>) {
        let earlier = (t > self.segment.start).then(|| t - 1);
        let later = (t + 1 < self.segment.end).then_some(t + 1);
        if self.reverse { (later, earlier) } else { (earlier, later) }
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

/// Dropout on the output of a layer.
fn drop_out<T: Element>(
    stack: &Stack<'_, T>,
    sizes: &BatchSizes,
    first_row: usize,
    mask: &[bool],
    hidden: &mut [T],
    segment: Range<usize>,
) {
    let width = stack.directions * stack.hidden_size;
    for t in segment.clone() {
        let own = (sizes.offset(t) - sizes.offset(segment.start)) * width;
        let all = (stack.batch_sizes.offset(t) + first_row) * width;
        let count = sizes.size(t) * width;
        for (value, &keep) in hidden[own..own + count].iter_mut().zip(&mask[all..]) {
            *value = dropped(*value, keep, stack.mask_scale);
        }
    }
}
