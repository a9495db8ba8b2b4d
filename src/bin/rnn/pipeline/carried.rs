//! What goes over from one array to the next.

use std::ffi::OsStr;
use std::sync::Arc;

use anyhow::Result;
use elman::files::{Arrays, Header, Real, Source, TensorFile};
use elman::{Config, Element, Error, Rnn};
use ndarray::{ArrayD, ArrayViewD};

use super::answered::Answered;
use super::state::{StateFile, check_shape};
use crate::args::Stream;
use crate::conversion::conversion;
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::report::Notes;
use crate::signals;

/// The hidden state behind everything that has been answered.
pub(crate) struct Carried<T> {
    /// (`num_layers`, N, `H_out`) or (`num_layers`, `H_out`); none for zeros.
    h: Option<Arc<ArrayD<T>>>,
    /// Where `h` came from, for messages.
    origin: String,
    /// Arrays and steps that this process has answered, and what it calls the arrays.
    arrays: u64,
    steps: u64,
    word: &'static str,
    /// Where there is a file for the state.
    answered: Option<Arc<Answered<T>>>,
    independent: bool,
}

impl<T: Element + Real> Carried<T> {
    /// From the state that was saved, from `--h0`, or from zeros. A signal saves what has been answered.
    pub(crate) fn start(
        args: &Stream,
        rnn: &Rnn<T>,
        weights: &str,
        notes: &mut Notes,
    ) -> Result<Self> {
        let state = args.state.as_deref().map(|path| StateFile::open(path, rnn, weights));
        let state = state.transpose()?;
        let saved = state.as_ref().map(|state| state.load(rnn, args.frames)).transpose()?;
        let (h, origin, count) = match (&state, saved.flatten(), &args.h0) {
            (Some(state), Some((h_n, count)), h_0) => {
                refuse_h_0(h_0.as_deref(), &state.place)?;
                if args.verbose {
                    notes.note(format!("{}: goes on after {count} arrays", state.place));
                }
                (Some(h_n), state.place.clone(), count)
            }
            (_, _, Some(path)) => {
                let file = TensorFile::open(&Source::parse(path))?;
                let place = file.place().to_owned();
                (Some(read_h_0(args, rnn, file, notes)?), place, 0)
            }
            _ => (None, String::new(), 0),
        };
        let answered = state.map(|state| Arc::new(Answered::new(state, count, args.checkpoint)));
        if let Some(answered) = answered.clone() {
            signals::before_dying(move || answered.save_at_last());
        }
        Ok(Carried {
            h: h.map(Arc::new),
            origin,
            arrays: 0,
            steps: 0,
            word: if args.frames { "frame" } else { "array" },
            answered,
            independent: args.independent,
        })
    }

    /// `h_0` of the next array.
    pub(crate) fn h_0(&self) -> Option<ArrayViewD<'_, T>> {
        self.h.as_ref().map(|h| h.view())
    }

    /// Refuses an array of other sequences than those whose state is carried. What else is wrong with it
    /// the layer says.
    pub(crate) fn check(&self, header: &Header, config: &Config, input: &Arrays) -> Result<()> {
        let shape = &header.shape;
        let Some(h) = self.h.as_ref().filter(|_| (2..=3).contains(&shape.len())) else {
            return Ok(());
        };
        let batch = |shape: &[usize], axis: usize| (shape.len() == 3).then(|| shape[axis]);
        let expected = batch(h.shape(), 1);
        if batch(shape, 1 - step_axis(header, config)) == expected {
            return Ok(());
        }
        let expected = match (expected, config.batch_first) {
            (None, _) => format!("[L, {}]", config.input_size),
            (Some(batch), false) => format!("[L, {batch}, {}]", config.input_size),
            (Some(batch), true) => format!("[{batch}, L, {}]", config.input_size),
        };
        let (place, origin) = (input.place(), &self.origin);
        let message =
            format!("{place}: input: expected shape {expected}, as in {origin}, got {shape:?}");
        // Somebody who has named a state wants it carried.
        let named = self.answered.is_some() || self.arrays == 0;
        Err(with_hint(Data(message), (!named).then(hint::whole_sequences)))
    }

    /// Answers an array of so many steps, and goes over to the next one.
    pub(crate) fn answer(
        &mut self,
        h_n: ArrayD<T>,
        steps: usize,
        write: impl FnOnce() -> Result<(), Error>,
    ) -> Result<()> {
        let h_n = Arc::new(h_n);
        match &self.answered {
            Some(answered) => answered.answer(&h_n, write)?,
            None => write()?,
        }
        self.arrays += 1;
        self.steps += steps as u64;
        if self.independent {
            return Ok(());
        }
        if self.arrays == 1 {
            "the arrays before it".clone_into(&mut self.origin);
        }
        self.h = Some(h_n);
        Ok(())
    }

    /// Saves the state, where there is something new to save and a place for it.
    pub(crate) fn save(&self) -> Result<()> {
        self.answered.as_ref().map_or(Ok(()), |answered| answered.save())
    }

    /// What has been answered, in words.
    pub(crate) fn tally(&self) -> String {
        let many =
            |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!("{}, {}", many(self.arrays, self.word), many(self.steps, "step"))
    }
}

/// A state that was saved is one `h_0`; another one beside it has no place.
fn refuse_h_0(h_0: Option<&OsStr>, state: &str) -> Result<()> {
    let Some(h_0) = h_0 else { return Ok(()) };
    let message =
        format!("{state}: expected no --h0 where a state was saved, got {}", Source::parse(h_0));
    Err(with_hint(Usage(message), hint::without(&["--h0"])))
}

/// Reads `--h0`.
fn read_h_0<T: Element + Real>(
    args: &Stream,
    rnn: &Rnn<T>,
    file: TensorFile,
    notes: &mut Notes,
) -> Result<ArrayD<T>> {
    let place = file.place().to_owned();
    let name = format!("{place}: h_0");
    notes.notes.extend(conversion::<T>(args.dtype, &name, file.header().stored)?);
    check_shape(rnn, &file.header().shape, args.frames, &name)
        .map_err(|error| with_hint(error, hint::zero_state()))?;
    Ok(file.read()?)
}

/// The axis of L.
pub(crate) fn step_axis(header: &Header, config: &Config) -> usize {
    usize::from(config.batch_first && header.shape.len() == 3)
}
