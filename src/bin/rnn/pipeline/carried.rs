//! The hidden state that a stream carries from one array to the next, and the file that it is saved in: at
//! checkpoints, at the end, and when a signal ends the process.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use anyhow::Result;
use elman::files::{FileError, Header, Stored};
use elman::{Batch, Config, Element, Error, Options, Output, Rnn, Session};
use ndarray::{ArrayD, ArrayViewD, Dimension};

use super::state::StateFile;
use crate::explain::hint;
use crate::failure::{Data, with_hint};
use crate::signals;

/// How long a signal waits for an answer that is being written: a reader may never take it. A guess, too short
/// to be noticed by a user who stops a process.
const PATIENCE: Duration = Duration::from_millis(100);

/// The state after everything that has been answered.
pub(crate) struct Carried<'a, T> {
    rnn: &'a Rnn<T>,
    /// `None` if each array starts from zeros.
    session: Option<Session<'a, T>>,
    /// The source of the state, for messages.
    origin: String,
    /// Arrays and steps that this process has answered.
    arrays: u64,
    steps: u64,
    /// The file of the state, if there is one.
    answered: Option<Arc<Answered<T>>>,
}

impl<'a, T: Element> Carried<'a, T> {
    /// Starts from a state and its source, or from zeros; if not `carry`, each array does.
    pub(crate) fn new(rnn: &'a Rnn<T>, carry: bool, start: Option<(ArrayD<T>, String)>) -> Self {
        let (h, origin) = start.map_or((None, String::new()), |(h, origin)| (Some(h), origin));
        let session = carry.then(|| Session::new(rnn, h));
        Carried { rnn, session, origin, arrays: 0, steps: 0, answered: None }
    }

    /// Saves the state in this file too, after every `checkpoint` arrays, at the end, and if a signal ends the
    /// process. `count` arrays have gone into the state before.
    pub(crate) fn saved_in(
        mut self,
        file: StateFile,
        count: u64,
        checkpoint: Option<NonZeroU64>,
    ) -> Self {
        let last = Mutex::new(Last { h_n: None, count, unsaved: 0 });
        let answered = Arc::new(Answered { file, checkpoint, last });
        self.answered = Some(Arc::clone(&answered));
        signals::before_dying(move || answered.save_at_last());
        self
    }

    /// Refuses an array of other sequences than those whose state is carried. The layer itself reports everything
    /// else.
    pub(crate) fn check(&self, header: &Header, place: &str) -> Result<()> {
        let (shape, config) = (&header.shape, self.rnn.config());
        let h = self.session.as_ref().and_then(Session::state);
        let Some(h) = h.filter(|_| (2..=3).contains(&shape.len())) else { return Ok(()) };
        let batch = |shape: &[usize], axis: usize| (shape.len() == 3).then(|| shape[axis]);
        let expected = batch(h.shape(), 1);
        if batch(shape, 1 - step_axis(shape, config)) == expected {
            return Ok(());
        }
        let expected = match (expected, config.batch_first) {
            (None, _) => format!("[L, {}]", config.input_size),
            (Some(batch), false) => format!("[L, {batch}, {}]", config.input_size),
            (Some(batch), true) => format!("[{batch}, L, {}]", config.input_size),
        };
        let origin = &self.origin;
        let message =
            format!("{place}: input: expected shape {expected}, as in {origin}, got {shape:?}");
        // A state that was named is meant to be carried.
        let named = self.answered.is_some() || self.arrays == 0;
        Err(with_hint(Data(message), (!named).then(hint::whole_sequences)))
    }

    /// Passes an array through the layer.
    pub(crate) fn step(&mut self, input: ArrayViewD<'_, T>) -> Result<Output<T>, Error> {
        let (shape, config) = (input.raw_dim(), self.rnn.config());
        let batch = Batch::new(input, config.batch_first)?;
        let output = match &mut self.session {
            Some(session) => session.step(batch, Options::default())?,
            None => self.rnn.forward(batch, Options::default())?,
        };
        self.steps += shape[step_axis(shape.slice(), config)] as u64;
        Ok(output)
    }

    /// Answers an array; `h_n` is the state after it.
    pub(crate) fn answer(
        &mut self,
        h_n: ArrayD<T>,
        write: impl FnOnce() -> Result<(), FileError>,
    ) -> Result<()> {
        match &self.answered {
            Some(answered) => answered.answer(h_n, write)?,
            None => write()?,
        }
        self.arrays += 1;
        if self.arrays == 1 {
            "the arrays before it".clone_into(&mut self.origin);
        }
        Ok(())
    }

    /// Saves the state if it has changed and has a file.
    pub(crate) fn save(&self) -> Result<()> {
        self.answered.as_ref().map_or(Ok(()), |answered| answered.save())
    }

    /// The number of arrays and steps that have been answered, in words.
    pub(crate) fn tally(&self, word: &str) -> String {
        let many =
            |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!("{}, {}", many(self.arrays, word), many(self.steps, "step"))
    }
}

/// The axis of L.
fn step_axis(shape: &[usize], config: &Config) -> usize {
    usize::from(config.batch_first && shape.len() == 3)
}

/// The state after the last answer. An answer and its state belong together: the lock is held from before the
/// answer is written until the state is kept.
struct Answered<T> {
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
    /// Writes an answer; `h_n` is the state after it.
    fn answer(&self, h_n: ArrayD<T>, write: impl FnOnce() -> Result<(), FileError>) -> Result<()> {
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
    fn save(&self) -> Result<()> {
        self.save_locked(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Saves the state while an answer may still be written; no answer follows. An answer that is not read in time
    /// leaves the last checkpoint.
    fn save_at_last(&self) -> Result<()> {
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
