//! What has been answered, and the file that it is saved in: at checkpoints, at the end, and when a signal ends
//! the process.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use anyhow::Result;
use elman::Error;
use elman::files::Stored;
use ndarray::ArrayD;

use super::state::StateFile;

/// How long a signal waits for an answer that is being written: a reader may never take it. A guess, shorter
/// than anybody who stops a process minds.
const PATIENCE: Duration = Duration::from_millis(100);

/// The state behind the last answer. An answer and its state belong together: while the one is written and
/// until the other is there, the lock is held.
pub(super) struct Answered<T> {
    file: StateFile,
    checkpoint: Option<NonZeroU64>,
    last: Mutex<Last<T>>,
}

/// What would be saved now.
struct Last<T> {
    /// None where nothing has been answered yet, or nobody knows what has.
    h_n: Option<Arc<ArrayD<T>>>,
    /// Arrays that have gone into it, those of other processes among them.
    count: u64,
    /// Arrays since the state was saved.
    unsaved: u64,
}

impl<T: Stored> Answered<T> {
    /// With the number of arrays that have gone into the state so far.
    pub(super) fn new(file: StateFile, count: u64, checkpoint: Option<NonZeroU64>) -> Self {
        Answered { file, checkpoint, last: Mutex::new(Last { h_n: None, count, unsaved: 0 }) }
    }

    /// Writes an answer; `h_n` is the state behind it.
    pub(super) fn answer(
        &self,
        h_n: &Arc<ArrayD<T>>,
        write: impl FnOnce() -> Result<(), Error>,
    ) -> Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = write() {
            // Nobody knows what has arrived of it: the last checkpoint stands.
            last.h_n = None;
            return Err(error.into());
        }
        last.h_n = Some(Arc::clone(h_n));
        last.count += 1;
        last.unsaved += 1;
        if self.checkpoint.is_some_and(|every| last.unsaved == every.get()) {
            self.save_locked(&mut last)?;
        }
        Ok(())
    }

    /// Saves the state, where there is something new to save.
    pub(super) fn save(&self) -> Result<()> {
        self.save_locked(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Saves it while answers may still be written, of which none comes after this one. An answer that nobody
    /// takes leaves the last checkpoint.
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
        // Locked for good: whoever has another answer waits until the process has died.
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
