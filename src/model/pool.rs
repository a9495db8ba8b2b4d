//! The part of an output that a decoder sees: every step, or one row for each sequence.

use ndarray::{ArrayD, Axis};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::element::Element;
use crate::error::Error;
use crate::memory::{array, zeros};

/// The memory for pooled rows, in an out-of-memory error.
const POOLED: &str = "pooled output";

/// The part of an output that a decoder sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// Every step.
    #[default]
    Steps,
    /// The output of each sequence's last step.
    Last,
    /// `h_n` of the last layer, its directions side by side.
    State,
    /// The mean over the steps of each sequence.
    Mean,
    /// The maximum over the steps of each sequence; NaN if one of them is NaN.
    Max,
}

/// One row for each of N sequences, made of their outputs, which arrive part by part: some steps of some sequences at a
/// time. The steps of a sequence arrive in order, and the result does not depend on the parts.
///
/// ```
/// use elman::{Batch, Pool, Pooling};
/// use ndarray::{ArrayD, Axis, arr2};
///
/// // A sequence of three steps, in two parts.
/// let output = arr2(&[[1.0_f32, 5.0], [2.0, -2.0], [6.0, 0.0]]).into_dyn();
/// let mut pooling = Pooling::new(Pool::Mean, 1, 2)?;
/// for part in output.axis_chunks_iter(Axis(0), 2) {
///     pooling.add(|n| n, &Batch::new(part, false)?);
/// }
/// let (rows, empty) = pooling.finish(&ArrayD::zeros(vec![1, 2]))?;
/// assert_eq!(rows, arr2(&[[3.0, 1.0]]).into_dyn());
/// assert_eq!(empty, [false]);
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pooling<T> {
    pool: Pool,
    /// Features of an output, D * `H_out`.
    width: usize,
    /// Steps so far of each sequence, (N).
    steps: Vec<usize>,
    /// The last rows or the maxima, (N, width).
    rows: Vec<T>,
    /// The sums, (N, width): a mean is rounded once.
    sums: Vec<f64>,
}

impl<T: Element> Pooling<T> {
    /// A pooling of N sequences without steps.
    ///
    /// # Errors
    /// [`Error::Invalid`] for [`Pool::Steps`], which leaves every step as it is; [`Error::OutOfMemory`].
    pub fn new(pool: Pool, sequences: usize, width: usize) -> Result<Self, Error> {
        let (mut rows, mut sums) = (Vec::new(), Vec::new());
        match pool {
            Pool::Steps => {
                return Err(Error::invalid("pool", "expected last, state, mean or max, got steps"));
            }
            Pool::State => {}
            Pool::Last | Pool::Max => rows = zeros(&[sequences, width], POOLED)?,
            Pool::Mean => sums = zeros(&[sequences, width], POOLED)?,
        }
        Ok(Pooling { pool, width, steps: zeros(&[sequences], POOLED)?, rows, sums })
    }

    /// Adds the outputs of the next steps of some sequences. `sequence` gives the number of each sequence of the part.
    pub fn add(&mut self, sequence: impl Fn(usize) -> usize, part: &Batch<'_, T>) {
        let width = self.width;
        for (row, values) in part.rows.chunks_exact(width).enumerate() {
            let sequence = sequence(part.place(row).1);
            let is_first = self.steps[sequence] == 0;
            self.steps[sequence] += 1;
            let own = sequence * width..(sequence + 1) * width;
            match self.pool {
                Pool::Steps | Pool::State => {}
                Pool::Last => self.rows[own].copy_from_slice(values),
                Pool::Max if is_first => self.rows[own].copy_from_slice(values),
                Pool::Max => {
                    for (largest, &value) in self.rows[own].iter_mut().zip(values) {
                        // A NaN stays: no value is larger.
                        if value > *largest || value.is_nan() {
                            *largest = value;
                        }
                    }
                }
                Pool::Mean => {
                    for (sum, &value) in self.sums[own].iter_mut().zip(values) {
                        *sum += value.into();
                    }
                }
            }
        }
    }

    /// The rows, (N, D * `H_out`), and which sequences had no step: their rows mean nothing. [`Pool::State`] takes
    /// them from `h_n`, (D * `num_layers`, N, `H_out`), or (D * `num_layers`, `H_out`) for a single sequence.
    ///
    /// # Errors
    /// [`Error::TensorShape`] for `h_n`, and [`Error::OutOfMemory`].
    pub fn finish(self, h_n: &ArrayD<T>) -> Result<(ArrayD<T>, Vec<bool>), Error> {
        let (sequences, width) = (self.steps.len(), self.width);
        let empty = self.steps.iter().map(|&steps| steps == 0).collect();
        let rows = match self.pool {
            Pool::Steps | Pool::State => states(h_n, sequences, width)?,
            Pool::Mean => {
                let mut rows = zeros(&[sequences, width], POOLED)?;
                for (i, (row, &sum)) in rows.iter_mut().zip(&self.sums).enumerate() {
                    let mean = sum / self.steps[i / width].max(1) as f64;
                    *row = if mean.is_nan() { T::NAN } else { T::from_f64(mean) };
                }
                rows
            }
            Pool::Last | Pool::Max => self.rows,
        };
        Ok((array(&[sequences, width], rows), empty))
    }
}

/// The states of the last layer, (N, D * `H_out`).
fn states<T: Element>(h_n: &ArrayD<T>, sequences: usize, width: usize) -> Result<Vec<T>, Error> {
    let found = h_n.shape();
    let (states, n, hidden_size) = match *found {
        [states, n, hidden_size] => (states, n, hidden_size),
        [states, hidden_size] => (states, 1, hidden_size),
        _ => (0, 0, 0),
    };
    let directions = width.checked_div(hidden_size).unwrap_or(0);
    if n != sequences || directions * hidden_size != width || states < directions {
        let expected = vec![directions.max(1), sequences, width / directions.max(1)];
        let (name, found) = ("h_n".to_owned(), found.to_vec());
        return Err(Error::TensorShape { name, expected, found });
    }
    let mut rows = zeros(&[sequences, width], POOLED)?;
    for direction in 0..directions {
        let own = h_n.index_axis(Axis(0), states - directions + direction);
        for (i, &value) in own.iter().enumerate() {
            let (sequence, unit) = (i / hidden_size, i % hidden_size);
            rows[sequence * width + direction * hidden_size + unit] = value;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_no_pooling() {
        let error = Pooling::<f32>::new(Pool::Steps, 1, 2).unwrap_err();
        assert_eq!(error.to_string(), "pool: expected last, state, mean or max, got steps");
        assert!(Pooling::<f32>::new(Pool::State, 1, 2).is_ok());
    }
}
