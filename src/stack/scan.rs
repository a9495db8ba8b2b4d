//! A layer and direction on one thread.

use std::ops::Range;

use super::{Section, Steps, walk};
use crate::element::Element;
use crate::kernel::{Product, RowsMut, Walk};

/// Runs a section. `state`, (rows, `H_out`), holds the states before the first step of each row, and those
/// after its last when the section ends; `pre` has room for the pre-activations of a chunk.
pub(super) fn run<T: Element>(
    section: &Section<'_, T>,
    output: &mut Steps<'_, T>,
    state: &mut [T],
    pre: &mut [T],
) {
    let one_row_each = section.sizes.is_one_row(section.segment);
    if let (true, Some(all)) = (one_row_each, rows_of(section, output)) {
        let (_, own) = all.split_at_column(section.column());
        let (own, _) = own.split_at_column(section.stack.hidden_size);
        return one_row(section, own, state, pre);
    }
    for chunk in section.chunks() {
        project(section, chunk.clone(), pre);
        for t in section.steps(chunk.clone()) {
            let pre = &pre[section.rows_between(chunk.start, t) * section.stack.hidden_size..];
            step(section, t, pre, output, state);
        }
    }
}

/// The rows of the section's segment, (rows, D * `H_out`), if they are one slice.
pub(super) fn rows_of<'a, T: Element>(
    section: &Section<'_, T>,
    output: &'a mut Steps<'_, T>,
) -> Option<RowsMut<'a, T>> {
    let Steps::Whole { data, width, first_step } = output else { return None };
    let before = section.rows_between(*first_step, section.segment.start);
    let rows = section.rows_between(section.segment.start, section.segment.end);
    Some(RowsMut::new(&mut data[before * *width..], rows, *width, *width))
}

/// Runs a section while another thread may write the other direction's columns of the same rows. `output` is
/// (rows of the segment, `H_out`). A step reads the states before it from `state`, into which each step copies
/// its own: a copy costs little compared with a product.
pub(super) fn apart<T: Element>(
    section: &Section<'_, T>,
    mut output: RowsMut<'_, T>,
    state: &mut [T],
    pre: &mut [T],
) {
    if section.sizes.is_one_row(section.segment) {
        return one_row(section, output, state, pre);
    }
    let hidden_size = section.stack.hidden_size;
    for chunk in section.chunks() {
        project(section, chunk.clone(), pre);
        for t in section.steps(chunk.clone()) {
            let rows = section.sizes.size(t);
            let first = section.rows_between(section.segment.start, t);
            let mut out = output.range(first..first + rows);
            section.stack.kernel.product(Product {
                x: state,
                x_stride: hidden_size,
                panels: section.cell().hh(),
                start: &pre[section.rows_between(chunk.start, t) * hidden_size..],
                start_stride: hidden_size,
                out: out.range(0..rows),
                activation: section.stack.activation,
                walk: walk(t),
            });
            for (row, state) in state.chunks_exact_mut(hidden_size).take(rows).enumerate() {
                state.copy_from_slice(out.row_mut(row));
            }
        }
    }
}

/// Runs a section of a single row; `output` is (steps of the segment, `H_out`).
fn one_row<T: Element>(
    section: &Section<'_, T>,
    mut output: RowsMut<'_, T>,
    state: &mut [T],
    pre: &mut [T],
) {
    for chunk in section.chunks() {
        project(section, chunk.clone(), pre);
        let first = chunk.start - section.segment.start;
        let mut out = output.range(first..first + chunk.len());
        let hidden_size = section.stack.hidden_size;
        let product = Product {
            x: state,
            x_stride: 0,
            panels: section.cell().hh(),
            start: pre,
            start_stride: hidden_size,
            out: out.range(0..chunk.len()),
            activation: section.stack.activation,
            walk: Walk::Forwards,
        };
        section.stack.kernel.recur(product, section.is_reverse());
        state.copy_from_slice(out.row_mut(if section.is_reverse() { 0 } else { chunk.len() - 1 }));
    }
}

/// `pre = X W_ih^T + b` for all rows of a chunk: one product if the rows are adjacent, else one for
/// each step.
fn project<T: Element>(section: &Section<'_, T>, chunk: Range<usize>, pre: &mut [T]) {
    let (stack, sizes, all) = (section.stack, section.sizes, 0..section.stack.hidden_size);
    section.watch(&chunk);
    if section.below.is_some() || sizes.rows() == stack.batch_sizes.rows() {
        let rows = section.rows_between(chunk.start, chunk.end);
        return section.project(all, section.input(chunk.start), pre, rows);
    }
    for t in chunk.clone() {
        let row = stack.batch_sizes.offset(t) + section.first_row;
        let (to, rows) = (section.rows_between(chunk.start, t), sizes.size(t));
        if rows > 0 {
            let x = &stack.input[row * section.cell().input_size..];
            section.project(all.clone(), x, &mut pre[to * stack.hidden_size..], rows);
        }
    }
}

/// `h_t = act(pre_t + h W_hh^T)`, with the row's state h after the step before in the scan, or, for
/// rows that begin here, the given state.
fn step<T: Element>(
    section: &Section<'_, T>,
    t: usize,
    pre: &[T],
    output: &mut Steps<'_, T>,
    state: &mut [T],
) {
    let (before, _) = section.neighbours(t);
    let (stack, rows) = (section.stack, section.sizes.size(t));
    let (hidden_size, width) = (stack.hidden_size, stack.directions * stack.hidden_size);
    let column = section.column();
    if rows == 0 {
        return;
    }
    let carried = before.map_or(0, |before| section.sizes.size(before).min(rows));
    let (previous, out) = output.two(section.sizes, before, t);
    let mut product = |first: usize, end: usize, x: &[T], x_stride: usize| {
        if first < end {
            let out = &mut out[first * width + column..];
            stack.kernel.product(Product {
                x,
                x_stride,
                panels: section.cell().hh(),
                start: &pre[first * hidden_size..],
                start_stride: hidden_size,
                out: RowsMut::new(out, end - first, hidden_size, width),
                activation: stack.activation,
                walk: walk(t),
            });
        }
    };
    product(0, carried, previous.get(column..).unwrap_or(&[]), width);
    product(carried, rows, &state[carried * hidden_size..], hidden_size);
    // Rows that end here leave their last state.
    for row in section.continuing(t)..rows {
        let h = &out[row * width + column..][..hidden_size];
        state[row * hidden_size..][..hidden_size].copy_from_slice(h);
    }
}
