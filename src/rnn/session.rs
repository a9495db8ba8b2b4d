//! A layer with the hidden state that it carries from batch to batch.

use std::ops::Range;

use ndarray::{ArrayD, Axis, Slice};

use super::{Options, Output, Rnn};
use crate::batch::Batch;
use crate::element::Element;
use crate::error::Error;
use crate::memory::{array, zeros};

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
    /// End of the rows of the last step: a layer with a reverse direction passes each sequence once.
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
    /// Those of [`Rnn::forward`], and [`Error::Carried`] if a bidirectional or reversed layer has passed
    /// these sequences before.
    pub fn step(
        &mut self,
        batch: Batch<'_, T>,
        options: Options<'_, T>,
    ) -> Result<Output<T>, Error> {
        let batch_of = |h: &ArrayD<T>| (h.ndim() == 3).then(|| h.len_of(Axis(1)));
        if let Some(h) = self.h.as_ref().filter(|h| batch_of(h) != batch.batched()) {
            let expected = self.rnn.hidden_shape(batch.batched());
            return Err(Error::hidden_shape(expected, h.shape()));
        }
        self.step_rows(0..batch.sequences, batch, options)
    }

    /// Passes the next steps of some of the N sequences. Blocks of a bidirectional or reversed layer follow
    /// each other in ascending order. A session from zeros takes N from its first batch.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub fn step_rows(
        &mut self,
        rows: Range<usize>,
        batch: Batch<'_, T>,
        options: Options<'_, T>,
    ) -> Result<Output<T>, Error> {
        if rows.start < self.passed {
            self.rnn.check_carried()?;
        }
        let h = match &mut self.h {
            Some(h) => h,
            none => {
                let shape = self.rnn.hidden_shape(batch.batched());
                none.insert(array(&shape, zeros(&shape, "h_n")?))
            }
        };
        // If N differs, the layer's own check fails on the whole state.
        let mut own = if h.ndim() == 3 && rows.end <= h.len_of(Axis(1)) {
            h.slice_axis_mut(Axis(1), Slice::from(rows.clone()))
        } else {
            h.view_mut()
        };
        let result = self.rnn.forward(batch, Options { h_0: Some(own.view()), ..options })?;
        own.assign(&result.h_n);
        self.passed = rows.end;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Generator};

    fn normal(shape: &[usize], generator: &mut Generator) -> ArrayD<f32> {
        let mut values = vec![0.0; shape.iter().product()];
        generator.normal(&mut values);
        array(shape, values)
    }

    #[test]
    fn steps_of_any_size_give_the_bits_of_one_pass() {
        let mut generator = Generator::new(2);
        let config = Config { num_layers: 2, ..Config::new(3, 5) };
        let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
        let (input, h_0) = (normal(&[7, 4, 3], &mut generator), normal(&[2, 4, 5], &mut generator));
        let lengths = [7, 0, 3, 5];
        let batch = Batch::with_lengths(input.view(), &lengths, false).unwrap();
        let options = Options { h_0: Some(h_0.view()), ..Options::default() };
        let whole = rnn.forward(batch, options).unwrap();
        for size in 1..7 {
            let mut session = Session::new(&rnn, Some(h_0.clone()));
            for start in (0..7).step_by(size) {
                let steps = Slice::from(start..(start + size).min(7));
                let part = input.slice_axis(Axis(0), steps);
                let own = lengths.map(|len| len.clamp(start, start + part.len_of(Axis(0))) - start);
                let batch = Batch::with_lengths(part, &own, false).unwrap();
                let result = session.step(batch, Options::default()).unwrap();
                assert_eq!(result.output, whole.output.slice_axis(Axis(0), steps));
            }
            assert_eq!(session.into_state(), Some(whole.h_n.clone()));
        }
    }

    #[test]
    fn a_layer_with_a_reverse_direction_passes_each_sequence_once() {
        let mut generator = Generator::new(3);
        let config = Config { bidirectional: true, ..Config::new(3, 5) };
        let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
        let input = normal(&[6, 4, 3], &mut generator);
        let whole = rnn.call(input.view(), None).unwrap();
        let mut session = Session::new(&rnn, Some(ArrayD::zeros(vec![2, 4, 5])));
        let mut step = |rows: Range<usize>| {
            let part = input.slice_axis(Axis(1), Slice::from(rows.clone()));
            session.step_rows(rows, Batch::new(part, false)?, Options::default())
        };
        for rows in [0..1, 1..3, 3..4] {
            let result = step(rows.clone()).unwrap();
            assert_eq!(result.output, whole.output.slice_axis(Axis(1), Slice::from(rows)));
        }
        assert!(matches!(step(3..4), Err(Error::Carried { bidirectional: true })));
        assert_eq!(session.state(), Some(&whole.h_n));
    }

    #[test]
    fn a_state_of_other_sequences_is_refused() {
        let rnn = Rnn::<f32>::new(Config::new(3, 5), &mut Generator::new(0)).unwrap();
        let mut session = Session::new(&rnn, None);
        let mut step = |shape: &[usize]| {
            let input = ArrayD::zeros(shape);
            session.step(Batch::new(input.view(), false)?, Options::default())
        };
        step(&[2, 4, 3]).unwrap();
        for other in [&[2, 3, 3][..], &[2, 5, 3], &[2, 3]] {
            assert!(matches!(step(other), Err(Error::TensorShape { .. })), "{other:?}");
        }
        step(&[2, 4, 3]).unwrap();
    }
}
