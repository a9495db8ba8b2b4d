//! The state after the last answer, and the file that it is saved in: at checkpoints, at the end, and when a
//! signal ends the process.

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use anyhow::Result;
use elman::files::{FileError, Stored};
use ndarray::ArrayD;

use super::state::StateFile;

/// How long a signal waits for an answer that is being written: a reader may never take it. A guess, too short
/// to be noticed by a user who stops a process.
const PATIENCE: Duration = Duration::from_millis(100);

/// The state after the last answer. An answer and its state belong together: the lock is held from before the
/// answer is written until the state is kept.
pub(super) struct Answered<T> {
    file: StateFile,
    checkpoint: Option<NonZeroU64>,
    last: Mutex<Last<T>>,
}

/// The content of the file, if it were saved now.
struct Last<T> {
    /// `None` before the first answer, and after one that may have arrived in part.
    h_n: Option<ArrayD<T>>,
    /// Arrays that have gone into it, those of other processes among them.
    count: u64,
    /// Arrays since the state was saved.
    unsaved: u64,
}

impl<T: Stored> Answered<T> {
    /// `count` arrays have gone into the state before.
    pub(super) fn new(file: StateFile, count: u64, checkpoint: Option<NonZeroU64>) -> Self {
        Answered { file, checkpoint, last: Mutex::new(Last { h_n: None, count, unsaved: 0 }) }
    }

    /// Writes an answer; `h_n` is the state after it.
    pub(super) fn answer(
        &self,
        h_n: ArrayD<T>,
        write: impl FnOnce() -> Result<(), FileError>,
    ) -> Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = write() {
            // A part of it may have arrived: the last checkpoint stands.
            last.h_n = None;
            return Err(error.into());
        }
        last.h_n = Some(h_n);
        last.count += 1;
        last.unsaved += 1;
        if self.checkpoint.is_some_and(|every| last.unsaved == every.get()) {
            self.save_locked(&mut last)?;
        }
        Ok(())
    }

    /// Saves the state if it has changed.
    pub(super) fn save(&self) -> Result<()> {
        self.save_locked(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Saves the state while an answer may still be written; no answer follows. An answer that is not read in time
    /// leaves the last checkpoint.
    pub(super) fn save_at_last(&self) -> Result<()> {
        let start = Instant::now();
        let mut last = loop {
            match self.last.try_lock() {
                Ok(last) => break last,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => return Ok(()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let saved = self.save_locked(&mut last);
        // The lock is never released: a thread with another answer waits until the process has ended.
        std::mem::forget(last);
        saved
    }

    fn save_locked(&self, last: &mut MutexGuard<'_, Last<T>>) -> Result<()> {
        if let (Some(h_n), 1..) = (&last.h_n, last.unsaved) {
            self.file.save(h_n, last.count)?;
            last.unsaved = 0;
        }
        Ok(())
    }
}
