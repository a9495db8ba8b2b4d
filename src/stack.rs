//! Layers and directions over blocks of the batch: the only module that knows threads.
//!
//! For each layer and direction, a chunk of steps at a time: one product for many rows writes the
//! pre-activations `X W_ih^T + b` into a buffer that stays in the cache ([`Scan::project`]), then the
//! scan turns them into hidden states, step by step ([`Scan::step`]):
//!
//! ```text
//! h_t = act(pre_t + h_{t-1} W_hh^T)
//! ```
//!
//! A hidden state is written once, to where it is wanted: the output, or the input of the next layer.
//! Reverse is only the order of steps. A stack that runs forward only passes long sequences through in
//! segments of time, so that its buffers stay small; a bidirectional one needs every step of a layer
//! before the next can begin, so its one segment is the whole sequence.
//!
//! The batch is cut into blocks of rows, which never meet: each runs through the whole stack alone.
//!
//! This module cannot fail. `rnn` has checked every shape, and has allocated all memory.

mod block;
mod plan;

use std::ops::Range;

use crate::kernel::{Activation, Element, Kernel, Panels, Product};
use crate::packed::BatchSizes;

pub(crate) use block::{Block, Steps, Work, Workspace, workspace_len};
pub(crate) use plan::{Plan, Shape};

/// The weights of one layer and direction, packed for the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Cell<T> {
    /// Panels of `weight_ih`, (`H_out`, `input_size`).
    pub(crate) weight_ih: Vec<T>,
    /// Panels of `weight_hh`, (`H_out`, `H_out`).
    pub(crate) weight_hh: Vec<T>,
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

/// Everything that all blocks of one forward pass share.
#[derive(Debug)]
pub(crate) struct Stack<'a, T> {
    pub(crate) kernel: Kernel,
    /// Layer by layer, the forward direction before the reverse.
    pub(crate) cells: &'a [Cell<T>],
    pub(crate) directions: usize,
    pub(crate) hidden_size: usize,
    pub(crate) activation: Activation,
    pub(crate) batch_sizes: &'a BatchSizes,
    /// Packed, (rows, `H_in`).
    pub(crate) input: &'a [T],
    /// What the output of each layer but the last is multiplied by, packed, (rows, D * `H_out`); empty
    /// without dropout.
    pub(crate) masks: &'a [Vec<bool>],
    /// What a kept element is multiplied by, 1 / (1 - p).
    pub(crate) mask_scale: T,
    pub(crate) plan: &'a Plan,
}

/// Runs every block through the stack, each share of the work on a thread of the current rayon pool.
pub(crate) fn forward<T: Element>(stack: &Stack<'_, T>, work: Vec<Work<'_, T>>) {
    let run = |Work { blocks, mut workspace }: Work<'_, T>| {
        for mut block in blocks {
            run_block(stack, &mut block, &mut workspace);
        }
    };
    if work.len() == 1 {
        work.into_iter().for_each(run);
    } else {
        rayon::scope(|scope| work.into_iter().for_each(|own| scope.spawn(move |_| run(own))));
    }
}

/// Passes a block through all layers, segment by segment.
fn run_block<T: Element>(
    stack: &Stack<'_, T>,
    block: &mut Block<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let Workspace { pre, hidden: [even, odd] } = workspace;
    let (steps, width) = (block.batch_sizes.steps(), stack.directions * stack.hidden_size);
    let layers = stack.cells.len() / stack.directions;
    for first_step in (0..steps).step_by(stack.plan.segment) {
        let segment = first_step..(first_step + stack.plan.segment).min(steps);
        for layer in 0..layers {
            let (lower, upper) =
                if layer % 2 == 0 { (&*odd, &mut *even) } else { (&*even, &mut *odd) };
            let input = if layer == 0 {
                Input::Batch { data: stack.input, first_row: block.first_row }
            } else {
                Input::Layer { data: lower, first_step }
            };
            let Block { batch_sizes, output, state, .. } = &mut *block;
            let state = &mut state[layer * stack.directions..][..stack.directions];
            if layer + 1 == layers {
                run_layer(stack, layer, batch_sizes, &input, pre, output, state, segment.clone());
            } else {
                let mut output = Steps::Whole { data: &mut *upper, width, first_step };
                run_layer(
                    stack,
                    layer,
                    batch_sizes,
                    &input,
                    pre,
                    &mut output,
                    state,
                    segment.clone(),
                );
                if let Some(mask) = stack.masks.get(layer) {
                    drop_out(stack, block, mask, upper, segment.clone());
                }
            }
        }
    }
}

/// Runs a layer over the steps of a segment, both directions of it where it has them.
#[allow(clippy::too_many_arguments, reason = "they are the fields of a Scan")]
fn run_layer<T: Element>(
    stack: &Stack<'_, T>,
    layer: usize,
    sizes: &BatchSizes,
    input: &Input<'_, T>,
    pre: &mut [T],
    output: &mut Steps<'_, T>,
    states: &mut [&mut [T]],
    segment: Range<usize>,
) {
    for (direction, state) in states.iter_mut().enumerate() {
        let cell = &stack.cells[layer * stack.directions + direction];
        let mut scan = Scan { stack, sizes, cell, direction, input, pre, output, state };
        scan.run(segment.clone());
    }
}

/// Where a layer reads from: rows of (features in).
enum Input<'a, T> {
    /// The packed input of the whole batch, of which the block owns the rows from `first_row` on.
    Batch { data: &'a [T], first_row: usize },
    /// The output of the layer below, rows of this block alone, from a step on.
    Layer { data: &'a [T], first_step: usize },
}

/// One layer and direction over the steps of a segment.
struct Scan<'a, 'b, T> {
    stack: &'a Stack<'a, T>,
    sizes: &'a BatchSizes,
    cell: &'a Cell<T>,
    direction: usize,
    input: &'a Input<'a, T>,
    pre: &'a mut [T],
    output: &'a mut Steps<'b, T>,
    /// (rows, `H_out`): the state before the first step of each row, then the one after its last.
    state: &'a mut [T],
}

impl<T: Element> Scan<'_, '_, T> {
    fn run(&mut self, segment: Range<usize>) {
        let chunks = segment.len().div_ceil(self.stack.plan.chunk);
        for i in 0..chunks {
            let i = if self.direction == 0 { i } else { chunks - 1 - i };
            let first = segment.start + i * self.stack.plan.chunk;
            let chunk = first..(first + self.stack.plan.chunk).min(segment.end);
            self.project(chunk.clone());
            for t in chunk.clone() {
                let t = if self.direction == 0 { t } else { chunk.start + (chunk.end - 1 - t) };
                self.step(chunk.start, t, &segment);
            }
        }
    }

    /// `pre = X W_ih^T + b` for all rows of a chunk: one product where the rows stand together, else
    /// one for each step.
    fn project(&mut self, chunk: Range<usize>) {
        let width = self.cell.input_size;
        let start = self.sizes.offset(chunk.start);
        let end = self.sizes.offset(chunk.end);
        match *self.input {
            Input::Layer { data, first_step } => {
                let x = &data[(start - self.sizes.offset(first_step)) * width..];
                self.project_rows(x, 0, end - start);
            }
            Input::Batch { data, .. } if self.sizes.rows() == self.stack.batch_sizes.rows() => {
                self.project_rows(&data[start * width..], 0, end - start);
            }
            Input::Batch { data, first_row } => {
                for t in chunk {
                    let row = self.stack.batch_sizes.offset(t) + first_row;
                    let (to, rows) = (self.sizes.offset(t) - start, self.sizes.size(t));
                    if rows > 0 {
                        self.project_rows(&data[row * width..], to, rows);
                    }
                }
            }
        }
    }

    /// The pre-activations of `rows` rows of `x`, from row `to` of the buffer on.
    fn project_rows(&mut self, x: &[T], to: usize, rows: usize) {
        let hidden_size = self.stack.hidden_size;
        self.stack.kernel.product(Product {
            rows,
            x,
            x_stride: self.cell.input_size,
            panels: self.cell.ih(),
            start: &self.cell.bias,
            start_stride: 0,
            out: &mut self.pre[to * hidden_size..],
            out_stride: hidden_size,
            activation: Activation::Identity,
        });
    }

    /// `h_t = act(pre_t + h W_hh^T)`, where h is the row's state after the step before in the scan, or,
    /// for rows that begin here, the state that was given.
    fn step(&mut self, chunk_start: usize, t: usize, segment: &Range<usize>) {
        let (before, after) = self.neighbours(t, segment);
        let Stack { kernel, hidden_size, directions, activation, .. } = *self.stack;
        let (width, column) = (directions * hidden_size, self.direction * hidden_size);
        let rows = self.sizes.size(t);
        if rows == 0 {
            return;
        }
        let carried = before.map_or(0, |before| self.sizes.size(before).min(rows));
        let (previous, out) = self.output.two(self.sizes, before, t);
        let pre =
            &self.pre[(self.sizes.offset(t) - self.sizes.offset(chunk_start)) * hidden_size..];
        let mut product = |first: usize, end: usize, x: &[T], x_stride: usize| {
            if first < end {
                kernel.product(Product {
                    rows: end - first,
                    x,
                    x_stride,
                    panels: self.cell.hh(),
                    start: &pre[first * hidden_size..],
                    start_stride: hidden_size,
                    out: &mut out[first * width + column..],
                    out_stride: width,
                    activation,
                });
            }
        };
        product(0, carried, previous.get(column..).unwrap_or(&[]), width);
        product(carried, rows, &self.state[carried * hidden_size..], hidden_size);
        // Rows that do not go on leave their state behind.
        let going_on = after.map_or(0, |after| self.sizes.size(after).min(rows));
        for row in going_on..rows {
            let h = &out[row * width + column..][..hidden_size];
            self.state[row * hidden_size..][..hidden_size].copy_from_slice(h);
        }
    }

    /// The steps before and after step `t` in the order of the scan.
    fn neighbours(&self, t: usize, segment: &Range<usize>) -> (Option<usize>, Option<usize>) {
        let earlier = (t > segment.start).then(|| t - 1);
        let later = (t + 1 < segment.end).then_some(t + 1);
        if self.direction == 0 { (earlier, later) } else { (later, earlier) }
    }
}

/// Dropout on the output of a layer: `x * mask / (1 - p)`. What is dropped is multiplied by zero, as
/// PyTorch does, so that NaN and the sign of zero come out the same.
fn drop_out<T: Element>(
    stack: &Stack<'_, T>,
    block: &Block<'_, T>,
    mask: &[bool],
    hidden: &mut [T],
    segment: Range<usize>,
) {
    let width = stack.directions * stack.hidden_size;
    let sizes = &block.batch_sizes;
    for t in segment.clone() {
        let own = (sizes.offset(t) - sizes.offset(segment.start)) * width;
        let all = (stack.batch_sizes.offset(t) + block.first_row) * width;
        let count = sizes.size(t) * width;
        for (value, &keep) in hidden[own..own + count].iter_mut().zip(&mask[all..]) {
            *value = value.times(if keep { stack.mask_scale } else { T::ZERO });
        }
    }
}
