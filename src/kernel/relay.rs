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

use super::RowsMut;

/// How often the counter is looked at before the processor is offered to other threads: some tens of
/// microseconds. There may be fewer processors than hands.
const SPINS: usize = 1000;

/// The buffers, and how far the hands are.
#[derive(Debug)]
pub(crate) struct Relay<'a, T> {
    buffers: [*mut T; 2],
    rows: usize,
    width: usize,
    /// The columns of hand i end here, and those of the next one begin.
    ends: &'a [usize],
    /// Hands that have been given out.
    given: AtomicUsize,
    /// Turns that have ended, of all hands together.
    ended: AtomicUsize,
    /// A hand was dropped by a panic: its turns will not come.
    broken: AtomicBool,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: the buffers are only touched by hands, in turns that keep reading and writing apart.
unsafe impl<T: Send + Sync> Sync for Relay<'_, T> {}

/// One writer of its own columns.
#[derive(Debug)]
pub(crate) struct Hand<'r, T> {
    relay: &'r Relay<'r, T>,
    first_column: usize,
    end_column: usize,
    turns: usize,
}

impl<'a, T: Copy> Relay<'a, T> {
    /// A relay over two buffers of (rows, width). Both hold what the first turn reads. The columns of
    /// the hands end at `ends`, in ascending order, the last at `width`.
    pub(crate) fn new(
        buffers: [&'a mut [T]; 2],
        rows: usize,
        width: usize,
        ends: &'a [usize],
    ) -> Self {
        let len = rows.checked_mul(width);
        assert!(buffers.iter().all(|buffer| Some(buffer.len()) == len));
        assert!(ends.is_sorted() && ends.last() == Some(&width));
        let buffers = buffers.map(<[T]>::as_mut_ptr);
        let (given, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Relay {
            buffers,
            rows,
            width,
            ends,
            given,
            ended,
            broken: AtomicBool::new(false),
            owner: PhantomData,
        }
    }

    /// The hands, in the order of their columns; each once, whoever asks. A turn waits for all of them.
    pub(crate) fn hands(&self) -> impl Iterator<Item = Hand<'_, T>> {
        std::iter::from_fn(|| {
            let i = self.given.fetch_add(1, Ordering::Relaxed);
            let end_column = *self.ends.get(i)?;
            let first_column = if i == 0 { 0 } else { self.ends[i - 1] };
            Some(Hand { relay: self, first_column, end_column, turns: 0 })
        })
    }
}

impl<T: Copy> Hand<'_, T> {
    /// Takes a turn: waits until every hand has ended the turn before, then calls `write` with the whole
    /// matrix that they have made, (rows, width), and the hand's own columns of the next one.
    pub(crate) fn turn(&mut self, write: impl FnOnce(&[T], RowsMut<'_, T>)) {
        let Relay { buffers, rows, width, ends, .. } = *self.relay;
        self.wait_for(self.turns * ends.len());
        let [read, own] = [buffers[(self.turns + 1) % 2], buffers[self.turns % 2]];
        // SAFETY: this buffer was written in the turn before, which all hands have ended, and is written
        // again in the next one, which none begins before this hand has ended its own.
        let read = unsafe { std::slice::from_raw_parts(read, rows * width) };
        let first = own.wrapping_add(self.first_column);
        // SAFETY: the columns of the hands are disjoint, so nobody else writes these; and nobody reads
        // this buffer in this turn.
        let own =
            unsafe { RowsMut::from_raw(first, rows, self.end_column - self.first_column, width) };
        write(read, own);
        self.turns += 1;
        self.relay.ended.fetch_add(1, Ordering::Release);
    }

    fn wait_for(&self, ended: usize) {
        let mut spins = 0;
        while self.relay.ended.load(Ordering::Acquire) < ended {
            assert!(!self.relay.broken.load(Ordering::Relaxed), "another thread has panicked");
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl<T> Drop for Hand<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.relay.broken.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_on_threads_make_what_one_makes() {
        // Each turn, every number becomes the sum of its row, plus its column.
        let (rows, width, turns) = (3, 10, 200);
        let mut expected: Vec<u64> = (0..30).collect();
        for _ in 0..turns {
            for row in expected.chunks_mut(width) {
                let sum = row.iter().fold(0_u64, |sum, &x| sum.wrapping_add(x));
                (0..).zip(row).for_each(|(column, x)| *x = sum.wrapping_add(column));
            }
        }
        let (mut even, mut odd): (Vec<u64>, Vec<u64>) = ((0..30).collect(), (0..30).collect());
        let relay = Relay::new([&mut even, &mut odd], rows, width, &[1, 4, 10]);
        std::thread::scope(|scope| {
            for mut hand in relay.hands() {
                scope.spawn(move || {
                    let first = hand.first_column as u64;
                    for _ in 0..turns {
                        hand.turn(|read, mut own| {
                            for (row, read) in read.chunks(width).enumerate() {
                                let sum = read.iter().fold(0_u64, |sum, &x| sum.wrapping_add(x));
                                let own = own.row_mut(row).iter_mut();
                                (first..).zip(own).for_each(|(c, x)| *x = sum.wrapping_add(c));
                            }
                        });
                    }
                });
            }
        });
        assert!(relay.hands().next().is_none());
        assert_eq!(if turns % 2 == 1 { even } else { odd }, expected);
    }
}
