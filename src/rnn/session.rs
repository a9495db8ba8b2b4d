//! A layer with the hidden state that it carries from batch to batch.

use std::ops::Range;

use ndarray::{ArrayD, Axis, Slice};

use super::{Options, Output, Rnn};
use crate::Element;
use crate::batch::Batch;
use crate::error::Error;

/// A layer with the hidden state that it carries from batch to batch. The outputs have the bits of a single
/// pass over all steps.
///
/// ```
/// use elman::{Batch, Config, Generator, Options, Rnn, Session};
/// use ndarray::{ArrayD, Axis};
///
/// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
/// let input = ArrayD::ones(vec![5, 3, 10]);
/// let whole = rnn.call(input.view(), None)?;
/// let mut session = Session::new(&rnn, None);
/// let (first, rest) = input.view().split_at(Axis(0), 2);
/// session.step(Batch::new(first, false)?, Options::default())?;
/// let rest = session.step(Batch::new(rest, false)?, Options::default())?;
/// assert_eq!(rest.output, whole.output.slice_axis(Axis(0), (2..).into()));
/// assert_eq!(session.state(), Some(&whole.h_n));
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Debug)]
pub struct Session<'a, T> {
    rnn: &'a Rnn<T>,
    /// (D * `num_layers`, N, `H_out`), or (D * `num_layers`, `H_out`) for unbatched input; `None` for zeros.
    h: Option<ArrayD<T>>,
    /// Sequences that a layer with a reverse direction has passed: it passes each of them once.
    passed: usize,
}

impl<'a, T: Element> Session<'a, T> {
    /// A session that starts from `h_0`, or from zeros.
    pub fn new(rnn: &'a Rnn<T>, h_0: Option<ArrayD<T>>) -> Self {
        Session { rnn, h: h_0, passed: 0 }
    }

    /// The hidden state after the last step; `None` before the first step of a session that starts from zeros.
    pub fn state(&self) -> Option<&ArrayD<T>> {
        self.h.as_ref()
    }

    /// The hidden state after the last step, at the end of a session.
    pub fn into_state(self) -> Option<ArrayD<T>> {
        self.h
    }

    /// Passes the next steps of all sequences. The state of the session replaces `options.h_0`.
    ///
    /// # Errors
    /// Those of [`Rnn::forward`], and [`Error::Carried`] for the second step of a bidirectional or reversed
    /// layer.
    pub fn step(
        &mut self,
        batch: Batch<'_, T>,
        options: Options<'_, T>,
    ) -> Result<Output<T>, Error> {
        let rows = 0..batch.batch;
        self.check(&rows)?;
        let h_0 = self.h.as_ref().map(|h| h.view());
        let result = self.rnn.forward(batch, Options { h_0, ..options })?;
        match &mut self.h {
            Some(h) => h.assign(&result.h_n),
            None => self.h = Some(result.h_n.clone()),
        }
        self.passed = rows.end;
        Ok(result)
    }

    /// Passes the next steps of some of the sequences. The session needs a state of all N of them.
    ///
    /// # Errors
    /// Those of [`Session::step`], and [`Error::HiddenShape`] if the state does not have these rows.
    pub fn step_rows(
        &mut self,
        rows: Range<usize>,
        batch: Batch<'_, T>,
        options: Options<'_, T>,
    ) -> Result<Output<T>, Error> {
        self.check(&rows)?;
        let h = self.h.as_mut().filter(|h| h.ndim() == 3 && h.len_of(Axis(1)) >= rows.end);
        let Some(h) = h else {
            let expected = self.rnn.hidden_shape(Some(rows.end));
            let found = self.h.as_ref().map_or(Vec::new(), |h| h.shape().to_vec());
            return Err(Error::HiddenShape { expected, found });
        };
        let mut own = h.slice_axis_mut(Axis(1), Slice::from(rows.clone()));
        let result = self.rnn.forward(batch, Options { h_0: Some(own.view()), ..options })?;
        own.assign(&result.h_n);
        self.passed = rows.end;
        Ok(result)
    }

    /// Checks that a layer with a reverse direction has not passed these sequences.
    fn check(&self, rows: &Range<usize>) -> Result<(), Error> {
        if rows.start < self.passed { self.rnn.check_carried() } else { Ok(()) }
    }
}
