//! The hidden state that a stream carries from one array to the next.

use std::num::NonZeroU64;
use std::sync::Arc;

use anyhow::Result;
use elman::files::{FileError, Header};
use elman::{Batch, Config, Element, Error, Options, Output, Rnn, Session};
use ndarray::{ArrayD, ArrayViewD, Dimension};

use super::answered::Answered;
use super::state::StateFile;
use crate::explain::hint;
use crate::failure::{Data, with_hint};
use crate::signals;

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
        let answered = Arc::new(Answered::new(file, count, checkpoint));
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
