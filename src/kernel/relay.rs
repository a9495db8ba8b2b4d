//! A matrix that several hands make over and over, each a part of its columns, each out of the whole
//! matrix that they have made before.
//!
//! There are two buffers. In turn i every hand reads the whole of one and writes its own columns of the
//! other; turn i + 1 goes the other way. A hand begins a turn only after all hands have ended the one
//! before. So nobody writes what another still reads: that is all that the `unsafe` below relies on, and
//! it is kept here, whatever the callers do. The hands may be on different threads, or some of them on
//! one; which, is not known here.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Aligned, RowsMut};
use crate::element::Element;

/// How often the others are looked at before a thread goes to sleep: some tens of microseconds, several times
/// what it takes to wake it. There may be fewer processors than hands: a thread that only offered its own
/// to others would keep it, and the others would stay with it for all turns to come; one that sleeps is
/// given another.
const LOOKS: usize = 1000;

/// How long it sleeps at most. To be sure that a sleeper is seen, every turn would have to wait until all that
/// it has written has arrived in memory, which takes longer than many a turn; without that, a sleeper is
/// missed now and then, and wakes by itself.
const NAP: Duration = Duration::from_micros(100);

/// The buffers, and how far the hands are.
#[derive(Debug)]
pub(crate) struct Relay<'a, T> {
    buffers: [*mut T; 2],
    rows: usize,
    /// Elements from one row to the next: whole cache lines, so that no two rows share one.
    stride: usize,
    /// The columns of hand i end here, and those of the next one begin.
    ends: &'a [usize],
    progress: &'a [Progress],
    /// Hands that have been given out.
    given: AtomicUsize,
    /// A hand was dropped by a panic: its turns will not come.
    broken: AtomicBool,
    /// Hands that sleep, and what wakes them.
    sleeping: AtomicUsize,
    bed: Mutex<()>,
    woken: Condvar,
    owner: PhantomData<&'a mut [T]>,
}

/// Turns that a hand has ended. It has cache lines of its own (processors fetch them in pairs), so that
/// writing it disturbs only those who wait for it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Progress(AtomicUsize);

// SAFETY: the buffers are only touched by hands, in turns that keep reading and writing apart.
unsafe impl<T: Send + Sync> Sync for Relay<'_, T> {}

/// One writer of its own columns.
#[derive(Debug)]
pub(crate) struct Hand<'r, T> {
    relay: &'r Relay<'r, T>,
    index: usize,
    turns: usize,
}

impl<'a, T: Element> Relay<'a, T> {
    /// How many a buffer of (rows, columns) is made of; `None` where the number overflows.
    pub(crate) fn len(rows: usize, columns: usize) -> Option<usize> {
        columns.div_ceil(Aligned::<T>::NUMBERS).checked_mul(rows)
    }

    /// A relay over two buffers of (rows, columns), of [`Relay::len`]. The first turn reads `before`,
    /// (rows, columns), as do later ones in the rows that no turn has written. The columns of the hands end
    /// at `ends`, in ascending order, the last with the last column; each has its `progress`, of zero.
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
        Relay {
            buffers,
            rows,
            stride,
            ends,
            progress,
            given: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            sleeping: AtomicUsize::new(0),
            bed: Mutex::new(()),
            woken: Condvar::new(),
            owner: PhantomData,
        }
    }

    /// The hands, in the order of their columns; each once, whoever asks. A turn waits for all of them.
    pub(crate) fn hands(&self) -> impl Iterator<Item = Hand<'_, T>> {
        std::iter::from_fn(|| {
            let index = self.given.fetch_add(1, Ordering::Relaxed);
            (index < self.ends.len()).then_some(Hand { relay: self, index, turns: 0 })
        })
    }
}

impl<T> Relay<'_, T> {
    /// Whether every hand has ended so many turns.
    fn all_ended(&self, turns: usize) -> bool {
        self.progress.iter().all(|Progress(ended)| ended.load(Ordering::Acquire) >= turns)
    }

    fn wait_for(&self, turns: usize) {
        let mut looks = 0;
        while !self.all_ended(turns) {
            looks += 1;
            if looks < LOOKS {
                std::hint::spin_loop();
            } else {
                self.sleep_until(turns);
            }
            assert!(!self.broken.load(Ordering::Relaxed), "another thread has panicked");
        }
    }

    fn sleep_until(&self, turns: usize) {
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        let asleep = |(): &mut ()| !self.all_ended(turns) && !self.broken.load(Ordering::Relaxed);
        drop(self.woken.wait_timeout_while(self.bed(), NAP, asleep));
        self.sleeping.fetch_sub(1, Ordering::Relaxed);
    }

    fn wake(&self) {
        if self.sleeping.load(Ordering::Relaxed) > 0 {
            // Nobody is between looking and sleeping while the bed is held.
            drop(self.bed());
            self.woken.notify_all();
        }
    }

    fn bed(&self) -> MutexGuard<'_, ()> {
        self.bed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Element> Hand<'_, T> {
    /// Takes a turn: waits until every hand has ended the turn before, then calls `write` with the whole
    /// matrix that they have made, its stride, and the hand's own columns of the next one. Returns these
    /// columns, row by row, for a copy: what is done with them after the turn keeps nobody waiting.
    pub(crate) fn turn(
        &mut self,
        write: impl FnOnce(&[T], usize, RowsMut<'_, T>),
    ) -> impl Iterator<Item = &[T]> {
        let Relay { buffers, rows, stride, ends, .. } = *self.relay;
        self.relay.wait_for(self.turns);
        let [read, own] = [buffers[(self.turns + 1) % 2], buffers[self.turns % 2]];
        // SAFETY: this buffer was written in the turn before, which all hands have ended, and is written
        // again in the next one, which none begins before this hand has ended its own.
        let read = unsafe { std::slice::from_raw_parts(read, rows * stride) };
        // What others have written is in their caches: here all of it is asked for at once, while a product
        // would ask line by line.
        for line in read.chunks(T::LINE) {
            std::hint::black_box(line[0]);
        }
        let first_column = if self.index == 0 { 0 } else { ends[self.index - 1] };
        let columns = ends[self.index] - first_column;
        let own = own.wrapping_add(first_column);
        // SAFETY: the columns of the hands are disjoint, so nobody else writes these; and nobody reads
        // this buffer in this turn.
        write(read, stride, unsafe { RowsMut::from_raw(own, rows, columns, stride) });
        self.turns += 1;
        self.relay.progress[self.index].0.store(self.turns, Ordering::Release);
        self.relay.wake();
        (0..rows).map(move |row| {
            let first = own.wrapping_add(row * stride);
            // SAFETY: all hands only read this buffer until this one has ended another turn, and it cannot
            // begin one while it is borrowed.
            unsafe { std::slice::from_raw_parts(first, columns) }
        })
    }
}

impl<T> Drop for Hand<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.relay.broken.store(true, Ordering::Relaxed);
            self.relay.wake();
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
    fn hands_on_threads_make_what_one_makes() {
        let (columns, turns, ends) = (20, 200, [1, 7, 20]);
        let before: Vec<f32> = (0..60_u8).map(f32::from).collect();
        let mut expected = before.clone();
        for _ in 0..turns {
            for row in expected.chunks_mut(columns) {
                let old = row.to_vec();
                (0..).zip(row).for_each(|(column, x)| *x = next(&old, column));
            }
        }
        let mut buffers =
            [0, 1].map(|_| vec![Aligned::default(); Relay::<f32>::len(3, 20).unwrap()]);
        let progress = [(); 3].map(|()| Progress::default());
        let relay =
            Relay::new(buffers.each_mut().map(Vec::as_mut_slice), &before, &ends, &progress);
        let found = std::thread::scope(|scope| {
            let hands = relay.hands().zip([0, 1, 7]).map(|(mut hand, first)| {
                scope.spawn(move || {
                    let mut last = Vec::new();
                    for _ in 0..turns {
                        let written = hand.turn(|read, stride, mut own| {
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
            let hands: Vec<_> = hands.collect();
            hands.into_iter().map(|hand| hand.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(relay.hands().next().is_none());
        let found = (0..3).flat_map(|row| found.iter().flat_map(move |own| own[row].clone()));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}
