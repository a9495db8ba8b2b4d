//! A double-buffered matrix: in each step every worker reads the whole of one buffer and writes its own columns of
//! the other; the next step swaps the buffers.
//!
//! A worker begins a step only after all workers have ended the one before, so no worker writes a buffer that another
//! one still reads. The `unsafe` below relies on this alone, and this file ensures it for any caller. The workers may
//! run on different threads, or several on one thread.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::vector::Registers;
use super::{Aligned, RowsMut};

/// Polls of the other workers before a thread sleeps: some tens of microseconds, several times what it takes to
/// wake it. There may be fewer processors than workers: a thread that only yields stays on its processor and may share
/// it with others for all later steps; a thread that sleeps is scheduled on another.
const SPINS: usize = 1000;

/// Longest sleep. To see every sleeping thread, each step would have to wait until its writes have reached memory,
/// which takes longer than a short step. Without that, a wake-up is sometimes lost, and the sleep times out.
const MAX_SLEEP: Duration = Duration::from_micros(100);

/// The buffers, and the progress of the workers.
pub(crate) struct DoubleBuffer<'a, T> {
    buffers: [*mut T; 2],
    rows: usize,
    /// Elements from one row to the next: whole cache lines, so that no two rows share one.
    stride: usize,
    /// End column of each worker, in ascending order.
    ends: &'a [usize],
    progress: &'a [Progress],
    /// Workers that `workers` has returned.
    given: AtomicUsize,
    /// Whether a worker was dropped by a panic: the others would wait for it forever.
    broken: AtomicBool,
    /// The number of sleeping threads, and the condition variable that wakes them.
    sleeping: AtomicUsize,
    sleep_lock: Mutex<()>,
    woken: Condvar,
    owner: PhantomData<&'a mut [T]>,
}

/// Steps that a worker has ended. It has cache lines of its own (processors fetch them in pairs), so that
/// writing it disturbs only the workers that wait for it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Progress(AtomicUsize);

// SAFETY: only workers touch the buffers, in steps that keep reading and writing apart.
unsafe impl<T: Send + Sync> Sync for DoubleBuffer<'_, T> {}

/// One writer of its own columns.
pub(crate) struct Worker<'r, T> {
    buffer: &'r DoubleBuffer<'r, T>,
    index: usize,
    steps: usize,
}

impl<'a, T: Registers> DoubleBuffer<'a, T> {
    /// The length of a buffer of (rows, columns); `None` if it overflows.
    pub(crate) fn len(rows: usize, columns: usize) -> Option<usize> {
        columns.div_ceil(Aligned::<T>::NUMBERS).checked_mul(rows)
    }

    /// A matrix over two buffers of [`DoubleBuffer::len`]. The first step reads `before`, (rows, columns), as
    /// do later ones in the rows that no step has written. The columns of the workers end at `ends`, in
    /// ascending order, the last of them with the last column; each worker has its `progress`, of zero.
    pub(crate) fn new(
        buffers: [&'a mut [Aligned<T>]; 2],
        before: &[T],
        ends: &'a [usize],
        progress: &'a [Progress],
    ) -> Self {
        let columns = ends.last().copied().unwrap_or(0);
        let rows = before.len() / columns;
        assert!(ends.is_sorted() && ends.len() == progress.len());
        assert!(buffers.iter().all(|buffer| Some(buffer.len()) == Self::len(rows, columns)));
        let stride = columns.next_multiple_of(Aligned::<T>::NUMBERS);
        let buffers = buffers.map(|buffer| {
            let buffer = Aligned::numbers_mut(buffer);
            for (to, from) in buffer.chunks_exact_mut(stride).zip(before.chunks_exact(columns)) {
                to[..columns].copy_from_slice(from);
            }
            buffer.as_mut_ptr()
        });
        DoubleBuffer {
            buffers,
            rows,
            stride,
            ends,
            progress,
            given: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            sleeping: AtomicUsize::new(0),
            sleep_lock: Mutex::new(()),
            woken: Condvar::new(),
            owner: PhantomData,
        }
    }

    /// The workers, in the order of their columns; each is returned once. A step waits for all of them.
    pub(crate) fn workers(&self) -> impl Iterator<Item = Worker<'_, T>> {
        std::iter::from_fn(|| {
            let index = self.given.fetch_add(1, Ordering::Relaxed);
            (index < self.ends.len()).then_some(Worker { buffer: self, index, steps: 0 })
        })
    }
}

impl<T> DoubleBuffer<'_, T> {
    /// Whether every worker has ended `steps` steps.
    fn all_ended(&self, steps: usize) -> bool {
        self.progress.iter().all(|Progress(ended)| ended.load(Ordering::Acquire) >= steps)
    }

    fn wait_for(&self, steps: usize) {
        let mut spins = 0;
        while !self.all_ended(steps) {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                self.sleep_until(steps);
            }
            assert!(!self.broken.load(Ordering::Relaxed), "another thread has panicked");
        }
    }

    fn sleep_until(&self, steps: usize) {
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        let asleep = |(): &mut ()| !self.all_ended(steps) && !self.broken.load(Ordering::Relaxed);
        drop(self.woken.wait_timeout_while(self.lock(), MAX_SLEEP, asleep));
        self.sleeping.fetch_sub(1, Ordering::Relaxed);
    }

    fn wake(&self) {
        if self.sleeping.load(Ordering::Relaxed) > 0 {
            // A thread that `sleeping` counts is asleep once the mutex is free. Any other one times out.
            drop(self.lock());
            self.woken.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.sleep_lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Registers> Worker<'_, T> {
    /// Runs a step: waits until every worker has ended the step before, then calls `write` with the whole
    /// matrix of that step, its stride, and the worker's own columns of the next one. Returns these columns,
    /// row by row, to be copied while no other worker waits.
    pub(crate) fn step(
        &mut self,
        write: impl FnOnce(&[T], usize, RowsMut<'_, T>),
    ) -> impl Iterator<Item = &[T]> {
        let DoubleBuffer { buffers, rows, stride, ends, .. } = *self.buffer;
        self.buffer.wait_for(self.steps);
        let [read, own] = [buffers[(self.steps + 1) % 2], buffers[self.steps % 2]];
        // SAFETY: this buffer was written in the step before, which all workers have ended, and is written
        // again in the next one, which none begins before this worker has ended this one.
        let read = unsafe { std::slice::from_raw_parts(read, rows * stride) };
        // The columns of the other workers are in their caches: this asks for all lines at once, while a product
        // would ask line by line.
        for line in read.chunks(T::LINE) {
            std::hint::black_box(line[0]);
        }
        let first_column = if self.index == 0 { 0 } else { ends[self.index - 1] };
        let columns = ends[self.index] - first_column;
        let own = own.wrapping_add(first_column);
        // SAFETY: the columns of the workers are disjoint, so no other worker writes these; and none reads
        // this buffer in this step.
        write(read, stride, unsafe { RowsMut::from_raw(own, rows, columns, stride) });
        self.steps += 1;
        self.buffer.progress[self.index].0.store(self.steps, Ordering::Release);
        self.buffer.wake();
        (0..rows).map(move |row| {
            let first = own.wrapping_add(row * stride);
            // SAFETY: all workers only read this buffer until this one has ended another step, and it cannot
            // begin one while it is borrowed.
            unsafe { std::slice::from_raw_parts(first, columns) }
        })
    }
}

impl<T> Drop for Worker<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.buffer.broken.store(true, Ordering::Relaxed);
            self.buffer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number becomes the sum of its row, plus its column, and stays small.
    fn next(row: &[f32], column: usize) -> f32 {
        (row.iter().sum::<f32>() + column as f32) % 64.0
    }

    #[test]
    fn workers_on_threads_give_the_numbers_of_one_thread() {
        let (columns, steps, ends) = (20, 200, [1, 7, 20]);
        let before: Vec<f32> = (0..60_u8).map(f32::from).collect();
        let mut expected = before.clone();
        for _ in 0..steps {
            for row in expected.chunks_mut(columns) {
                let old = row.to_vec();
                (0..).zip(row).for_each(|(column, x)| *x = next(&old, column));
            }
        }
        let mut buffers =
            [0, 1].map(|_| vec![Aligned::default(); DoubleBuffer::<f32>::len(3, 20).unwrap()]);
        let progress = [(); 3].map(|()| Progress::default());
        let shared =
            DoubleBuffer::new(buffers.each_mut().map(Vec::as_mut_slice), &before, &ends, &progress);
        let found = std::thread::scope(|scope| {
            let workers = shared.workers().zip([0, 1, 7]).map(|(mut worker, first)| {
                scope.spawn(move || {
                    let mut last = Vec::new();
                    for _ in 0..steps {
                        let written = worker.step(|read, stride, mut own| {
                            for (row, read) in read.chunks(stride).enumerate() {
                                let own = own.row_mut(row).iter_mut();
                                (first..).zip(own).for_each(|(c, x)| *x = next(&read[..20], c));
                            }
                        });
                        last = written.map(<[f32]>::to_vec).collect();
                    }
                    last
                })
            });
            let workers: Vec<_> = workers.collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(shared.workers().next().is_none());
        let found = (0..3).flat_map(|row| found.iter().flat_map(move |own| own[row].clone()));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}
