//! A layer and direction whose columns are divided among threads: for few rows, and for weights that exceed
//! one core's cache.
//!
//! Each share owns some panels of the weights. It projects its own columns alone; in the scan it reads
//! all of `h_{t-1}` and writes its columns of `h_t`, so the threads synchronise once a step ([`DoubleBuffer`]).
//!
//! No thread waits for a thread that the pool has not started: the shares are divided among the threads that have
//! arrived when the work begins ([`run_together`]).

use std::ops::Range;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::{Section, Steps, walk};
use crate::element::Element;
use crate::kernel::{Aligned, DoubleBuffer, Product, Progress, RowsMut, Worker};

/// The time that the first thread waits for the others: several times the cost of waking a thread.
const ARRIVAL: Duration = Duration::from_micros(300);

/// Some columns of a layer and direction.
struct Share<'a, T> {
    columns: Range<usize>,
    worker: Worker<'a, T>,
    /// (rows of the segment, columns).
    output: RowsMut<'a, T>,
    /// (rows of the batch, columns).
    state: RowsMut<'a, T>,
    /// Pre-activations of a chunk, (rows, columns).
    pre: &'a mut [T],
}

/// Runs a section of the whole batch; the columns of the shares end at `ends`. `state`, (rows, `H_out`), holds the
/// states before the first step of each row, and those after its last when the section ends.
pub(super) fn run<T: Element>(
    section: &Section<'_, T>,
    ends: &[usize],
    output: &mut Steps<'_, T>,
    state: &mut [T],
    pre: &mut [Vec<T>],
    shared: &mut [Vec<Aligned<T>>; 2],
) {
    // A plan of columns has one block: the whole batch.
    let Steps::Whole { data, width, first_step } = output else { return };
    let (hidden_size, segment) = (section.stack.hidden_size, section.segment);
    let column = section.column();
    let data = &mut data[section.rows_between(*first_step, segment.start) * *width + column..];
    let rows = section.rows_between(segment.start, segment.end);
    let mut output = RowsMut::new(data, rows, hidden_size, *width);
    let progress: Vec<_> = ends.iter().map(|_| Progress::default()).collect();
    let shared = shared.each_mut().map(Vec::as_mut_slice);
    let shared = DoubleBuffer::new(shared, state, ends, &progress);
    let rows = state.len() / hidden_size;
    let mut state = RowsMut::new(state, rows, hidden_size, hidden_size);
    let mut shares = Vec::with_capacity(ends.len());
    let mut first = 0;
    for ((&end, pre), worker) in ends.iter().zip(pre).zip(shared.workers()) {
        let (own_output, own_state);
        (own_output, output) = output.split_at_column(end - first);
        (own_state, state) = state.split_at_column(end - first);
        shares.push(Share {
            columns: first..end,
            worker,
            output: own_output,
            state: own_state,
            pre,
        });
        first = end;
    }
    run_together(shares, |own| run_shares(section, own));
}

/// Runs some of the shares, on one thread, in step with the others.
fn run_shares<T: Element>(section: &Section<'_, T>, shares: &mut [Share<'_, T>]) {
    for chunk in section.chunks() {
        let x = section.input(chunk.start);
        let rows = section.rows_between(chunk.start, chunk.end);
        // Every share passes every chunk.
        if shares.iter().any(|share| share.columns.start == 0) {
            section.watch(&chunk);
        }
        for share in &mut *shares {
            section.project(share.columns.clone(), x, share.pre, rows);
        }
        for t in section.steps(chunk.clone()) {
            for share in &mut *shares {
                step(section, share, section.rows_between(chunk.start, t), t);
            }
        }
    }
}

/// `h_t = act(pre_t + h_{t-1} W_hh^T)` for the share's columns, whose pre-activations begin at row
/// `pre_row`. A row that begins later still has its first state in both buffers of the double buffer.
fn step<T: Element>(section: &Section<'_, T>, share: &mut Share<'_, T>, pre_row: usize, t: usize) {
    let Share { columns, worker, output, state, pre } = share;
    let (stack, rows, width) = (section.stack, section.sizes.size(t), columns.len());
    let first_row = section.rows_between(section.segment.start, t);
    let continuing = section.continuing(t);
    let written = worker.step(|read, x_stride, mut own| {
        stack.kernel.product(Product {
            x: read,
            x_stride,
            panels: section.cell().hh().columns_in(columns.clone()),
            start: &pre[pre_row * width..],
            start_stride: width,
            out: own.range(0..rows),
            activation: stack.activation,
            walk: walk(t),
        });
    });
    for (row, h) in written.take(rows).enumerate() {
        output.row_mut(first_row + row).copy_from_slice(h);
        if row >= continuing {
            state.row_mut(row).copy_from_slice(h);
        }
    }
}

/// The threads that have arrived, and the job of each.
struct Meeting<J> {
    arrived: usize,
    /// The job of each thread that has arrived; `None` before the shares are divided.
    jobs: Option<Vec<Option<J>>>,
}

/// Runs `work` on all shares, on the threads of the rayon pool that arrive in time. They all run at the same
/// time until they are done, so that they may wait for each other.
fn run_together<S: Send>(shares: Vec<S>, work: impl Fn(&mut [S]) + Sync) {
    let threads = shares.len();
    let meeting = Mutex::new(Meeting::<Vec<S>> { arrived: 1, jobs: None });
    let changed = Condvar::new();
    let lock = || meeting.lock().unwrap_or_else(PoisonError::into_inner);
    let run = |jobs: Option<Vec<S>>| jobs.into_iter().for_each(|mut jobs| work(&mut jobs));
    let help = || {
        let mut now = lock();
        if now.jobs.is_some() {
            return;
        }
        let place = now.arrived;
        now.arrived += 1;
        changed.notify_all();
        while now.jobs.is_none() {
            now = changed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        let job = now.jobs.as_mut().and_then(|jobs| jobs[place].take());
        drop(now);
        run(job);
    };
    rayon::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|_| help());
        }
        let waited = changed.wait_timeout_while(lock(), ARRIVAL, |now| now.arrived < threads);
        let (mut now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let mut jobs: Vec<_> = (0..now.arrived).map(|_| Some(Vec::new())).collect();
        for (i, share) in shares.into_iter().enumerate() {
            jobs[i % now.arrived].get_or_insert_default().push(share);
        }
        let own = jobs[0].take();
        now.jobs = Some(jobs);
        drop(now);
        changed.notify_all();
        run(own);
    });
}
