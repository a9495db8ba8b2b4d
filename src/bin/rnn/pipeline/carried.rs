//! The hidden state that a stream carries from one array to the next, and the file that it is saved in: at
//! checkpoints, at the end, and when a signal ends the process.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use anyhow::Result;
use elman::files::{FileError, Stored};
use elman::{Batch, Element, Error, Model, ModelOutput, Options, Pool, Pooling, Prediction};
use ndarray::ArrayD;

use super::state::StateFile;
use crate::explain::hint;
use crate::failure::{Data, with_hint};
use crate::signals;

/// How long a signal waits for an answer that is being written: a reader may never take it. A guess, too short
/// to be noticed by a user who stops a process.
const PATIENCE: Duration = Duration::from_millis(100);

/// The state after everything that has been answered.
pub(crate) struct Carried<'a, T> {
    model: &'a Model<T>,
    /// Whether an array starts from the state of the one before, instead of from zeros.
    carry: bool,
    /// (D * `num_layers`, N, `H_out`), or (D * `num_layers`, `H_out`) for one sequence; `None` for zeros.
    h: Option<ArrayD<T>>,
    /// The source of the state, for messages.
    origin: String,
    /// Arrays and steps that this process has answered.
    arrays: u64,
    steps: u64,
    saved: Option<Arc<Mutex<Saved<T>>>>,
}

/// The file of the state, and its content if it were saved now. An answer and its state belong together: the lock is
/// held from before the answer is written until the state is kept.
struct Saved<T> {
    file: StateFile,
    checkpoint: Option<NonZeroU64>,
    /// `None` before the first answer, and after one that may have arrived in part.
    h_n: Option<ArrayD<T>>,
    /// Arrays that have gone into it, those of other processes among them.
    count: u64,
    /// Arrays since the state was saved.
    unsaved: u64,
    /// No checkpoint: the arrays may turn out to be something else.
    deferred: bool,
}

impl<'a, T: Element> Carried<'a, T> {
    /// Starts from a state and its source, or from zeros; if not `carry`, each array does. The state, of `count`
    /// arrays, is `saved` in this file too: after every `checkpoint` arrays, at the end, and if a signal ends the
    /// process.
    pub(crate) fn new(
        model: &'a Model<T>,
        carry: bool,
        start: Option<(ArrayD<T>, String)>,
        saved: Option<(StateFile, u64, Option<NonZeroU64>)>,
    ) -> Self {
        let (h, origin) = start.map_or((None, String::new()), |(h, origin)| (Some(h), origin));
        let saved = saved.map(|(file, count, checkpoint)| {
            let saved = Saved { file, checkpoint, h_n: None, count, unsaved: 0, deferred: false };
            let saved = Arc::new(Mutex::new(saved));
            let at_last = Arc::clone(&saved);
            signals::before_dying(move || save_at_last(&at_last));
            saved
        });
        Carried { model, carry, h, origin, arrays: 0, steps: 0, saved }
    }

    /// Refuses an array of other sequences than those whose state is carried. The layer itself reports everything
    /// else.
    pub(crate) fn check(&self, shape: &[usize], place: &str) -> Result<()> {
        let (config, ids) = (self.model.rnn().config(), self.model.encoder().is_some());
        let features = usize::from(!ids);
        let Some(h) = &self.h else { return Ok(()) };
        if !(1 + features..=2 + features).contains(&shape.len()) {
            return Ok(());
        }
        let batched = shape.len() == 2 + features;
        let expected = (h.ndim() == 3).then(|| h.shape()[1]);
        if batched.then(|| shape[usize::from(!config.batch_first)]) == expected {
            return Ok(());
        }
        let sizes = match (expected, config.batch_first) {
            (None, _) => vec!["L".to_owned()],
            (Some(batch), false) => vec!["L".to_owned(), batch.to_string()],
            (Some(batch), true) => vec![batch.to_string(), "L".to_owned()],
        };
        let features = (!ids).then(|| config.input_size.to_string());
        let expected = sizes.into_iter().chain(features).collect::<Vec<_>>().join(", ");
        let origin = &self.origin;
        let message =
            format!("{place}: input: expected shape [{expected}], as in {origin}, got {shape:?}");
        // A state that was named is meant to be carried.
        let named = self.saved.is_some() || self.arrays == 0;
        Err(with_hint(Data(message), (!named).then(|| hint::whole_sequences("array"))))
    }

    /// Passes an array of this number of steps through the model.
    pub(crate) fn step(
        &mut self,
        batch: Batch<'_, T>,
        steps: usize,
    ) -> Result<ModelOutput<T>, Error> {
        let h_0 = self.h.as_ref().map(|h| h.view());
        let output = self.model.forward(batch, Options { h_0, ..Options::default() })?;
        self.steps += steps as u64;
        Ok(output)
    }

    /// The answer to a sequence without steps: the padding.
    pub(crate) fn step_none(&self) -> Result<ModelOutput<T>, Error> {
        let (rnn, decoder) = (self.model.rnn(), self.model.decoder());
        let zeros = |shape: &[usize]| ArrayD::from_elem(shape, T::ZERO);
        let h_n = self.h.clone().unwrap_or_else(|| zeros(&rnn.hidden_shape(None)));
        let width = rnn.config().num_directions() * rnn.config().hidden_size;
        let prediction = if decoder.pool == Pool::Steps {
            Prediction::Values(zeros(&[0, width]))
        } else {
            let pooling = Pooling::new(decoder.pool, 1, width)?;
            decoder.decode_pooled(pooling, &h_n, T::ZERO, rnn.kernel())?.of_one()
        };
        Ok(ModelOutput { prediction, h_n })
    }

    /// Answers an array; `h_n` is the state after it.
    pub(crate) fn answer(
        &mut self,
        h_n: ArrayD<T>,
        write: impl FnOnce() -> Result<(), FileError>,
    ) -> Result<()> {
        if let Some(saved) = &self.saved {
            let mut saved = saved.lock().unwrap_or_else(PoisonError::into_inner);
            // If the answer fails, a part of it may have arrived: the last checkpoint stands.
            saved.h_n = None;
            write()?;
            self.h = self.carry.then(|| h_n.clone());
            saved.h_n = Some(h_n);
            saved.count += 1;
            saved.unsaved += 1;
            if !saved.deferred && saved.checkpoint.is_some_and(|every| saved.unsaved >= every.get())
            {
                saved.save()?;
            }
        } else {
            write()?;
            self.h = self.carry.then_some(h_n);
        }
        self.arrays += 1;
        if self.arrays == 1 {
            "the arrays before it".clone_into(&mut self.origin);
        }
        Ok(())
    }

    /// Makes checkpoints wait while what has been read is `doubtful`; if it has `failed` too, its state is dropped.
    pub(crate) fn defer(&self, doubtful: bool, failed: bool) {
        let Some(saved) = &self.saved else { return };
        let mut saved = saved.lock().unwrap_or_else(PoisonError::into_inner);
        saved.deferred = doubtful;
        if doubtful && failed {
            saved.h_n = None;
        }
    }

    /// Saves the state if it has changed and has a file.
    pub(crate) fn save(&self) -> Result<()> {
        let Some(saved) = &self.saved else { return Ok(()) };
        saved.lock().unwrap_or_else(PoisonError::into_inner).save()
    }

    /// The number of arrays and steps that have been answered, in words.
    pub(crate) fn tally(&self, word: &str) -> String {
        let many =
            |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!("{}, {}", many(self.arrays, word), many(self.steps, "step"))
    }
}

impl<T: Stored> Saved<T> {
    fn save(&mut self) -> Result<()> {
        if let (Some(h_n), 1..) = (&self.h_n, self.unsaved) {
            self.file.save(h_n, self.count)?;
            self.unsaved = 0;
        }
        Ok(())
    }
}

/// Saves the state while an answer may still be written; no answer follows. An answer that is not read in time leaves
/// the last checkpoint.
fn save_at_last<T: Stored>(saved: &Mutex<Saved<T>>) -> Result<()> {
    let start = Instant::now();
    let mut saved = loop {
        match saved.try_lock() {
            Ok(saved) => break saved,
            Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let ended = saved.save();
    // The lock is never released: a thread with another answer waits until the process has ended.
    std::mem::forget(saved);
    ended
}
