//! From the outputs of an RNN to predictions.

use ndarray::ArrayD;

use super::function::{argmax, top};
use super::{Function, Head, Pool, Pooling, Prediction};
use crate::batch::OUTPUT;
use crate::element::Element;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::memory::{array, checked_len, values, zeros};
use crate::stack::{in_shares, shares};

/// Rows that pass through a head at once: few enough to stay in the cache, and enough to use each panel of weights
/// often. A guess.
const CHUNK_ROWS: usize = 64;

/// Turns the outputs of an RNN into predictions: pools them, passes them through linear layers, and applies a function.
///
/// ```
/// use elman::{Decoder, Function, Head, Kernel, Linear, Link, Pool, Prediction};
/// use ndarray::{arr1, arr2};
///
/// let linear = Linear::new(&arr2(&[[1.0_f32, 0.0], [0.0, 1.0], [1.0, 1.0]]).into_dyn(), None)?;
/// let head = Head::new(vec![Link::Linear(linear)])?;
/// let decoder = Decoder { pool: Pool::Steps, head, function: Some(Function::Argmax) };
/// let output = arr2(&[[1.0, -1.0], [-1.0, 2.0], [3.0, 4.0]]).into_dyn();
/// let classes = decoder.decode(output, Kernel::best())?;
/// assert_eq!(classes, Prediction::Classes(arr1(&[0, 1, 2]).into_dyn()));
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder<T> {
    /// The part of the output that is decoded.
    pub pool: Pool,
    /// The linear layers.
    pub head: Head<T>,
    /// The function behind them.
    pub function: Option<Function>,
}

impl<T> Default for Decoder<T> {
    /// The decoder that leaves every step as it is.
    fn default() -> Self {
        Decoder { pool: Pool::Steps, head: Head::default(), function: None }
    }
}

impl<T: Element> Decoder<T> {
    /// Checks that the decoder fits rows of `width` features, and returns C, the number of values of a row.
    ///
    /// # Errors
    /// [`Error::Features`]; [`Error::Invalid`] for more of the largest values than there are.
    pub fn check(&self, width: usize) -> Result<usize, Error> {
        if let Some(found) = self.head.in_features().filter(|&found| found != width) {
            let name = "the first linear layer";
            return Err(Error::Features { name, expected: width, found });
        }
        let classes = self.head.out_features().unwrap_or(width);
        match self.function {
            Some(Function::Top(k)) if k == 0 || k > classes => {
                let what = format!("expected from 1 to {classes}, the number of classes, got {k}");
                Err(Error::invalid("top", what))
            }
            _ => Ok(classes),
        }
    }

    /// Whether the decoder leaves every step as it is.
    pub fn is_identity(&self) -> bool {
        self.pool == Pool::Steps && self.head.is_empty() && self.function.is_none()
    }

    /// Decodes the rows of a pooling, (N, ..). `h_n` is that of [`Pooling::finish`]. The values of a sequence without
    /// steps are `padding`, and its indices are -1.
    ///
    /// # Errors
    /// Those of [`Pooling::finish`] and [`Decoder::decode`].
    pub fn decode_pooled(
        &self,
        pooling: Pooling<T>,
        h_n: &ArrayD<T>,
        padding: T,
        kernel: Kernel,
    ) -> Result<Prediction<T>, Error> {
        let (rows, empty) = pooling.finish(h_n)?;
        let mut prediction = self.decode(rows, kernel)?;
        prediction.fill(&empty, padding);
        Ok(prediction)
    }

    /// Passes rows, (.., D * `H_out`), through the head and the function. The result of a row does not depend on the
    /// others, nor on the threads of the current rayon pool, which share them.
    ///
    /// # Errors
    /// Those of [`Decoder::check`], [`Error::Rank`] for rows without an axis, and [`Error::OutOfMemory`].
    pub fn decode(&self, rows: ArrayD<T>, kernel: Kernel) -> Result<Prediction<T>, Error> {
        self.decode_with(self.function, rows, kernel)
    }

    /// [`Decoder::decode`] with another function.
    pub(super) fn decode_with(
        &self,
        function: Option<Function>,
        rows: ArrayD<T>,
        kernel: Kernel,
    ) -> Result<Prediction<T>, Error> {
        let Some((&width, outer)) = rows.shape().split_last() else {
            return Err(Error::rank("output", "1 or more dimensions", rows.shape()));
        };
        let classes = self.check(width)?;
        if self.head.is_empty() && function.is_none() {
            return Ok(Prediction::Values(rows));
        }
        let shape = |last: &[usize]| [outer, last].concat();
        let (values_each, indices_each) = match function {
            Some(Function::Argmax) => (0, 1),
            Some(Function::Top(k)) => (k, k),
            _ => (classes, 0),
        };
        let contiguous;
        let x = if let Some(x) = rows.as_slice() {
            x
        } else {
            contiguous = values(&rows, OUTPUT)?;
            &contiguous
        };
        let count = checked_len(outer, OUTPUT)?;
        let (mut all_values, mut all_indices) =
            (zeros(&[count, values_each], OUTPUT)?, zeros(&[count, indices_each], OUTPUT)?);
        let out = (&mut all_values[..], &mut all_indices[..]);
        self.decode_rows((x, width), function, out, (values_each, indices_each), kernel)?;
        Ok(match function {
            Some(Function::Argmax) => Prediction::Classes(array(outer, all_indices)),
            Some(Function::Top(k)) => Prediction::Top {
                values: array(&shape(&[k]), all_values),
                indices: array(&shape(&[k]), all_indices),
            },
            _ => Prediction::Values(array(&shape(&[classes]), all_values)),
        })
    }

    /// Decodes `x`, (rows, `width`), into values and indices, so many for each row, on all threads.
    fn decode_rows(
        &self,
        (x, width): (&[T], usize),
        function: Option<Function>,
        (mut values, mut indices): (&mut [T], &mut [i64]),
        (values_each, indices_each): (usize, usize),
        kernel: Kernel,
    ) -> Result<(), Error> {
        let Some(rows) = x.len().checked_div(width).filter(|&rows| rows > 0) else { return Ok(()) };
        let count = shares(rows, self.head.work());
        let (own, widest) = (rows.div_ceil(count), self.head.widest(width));
        let mut all = Vec::with_capacity(count);
        for x in x.chunks(own * width) {
            let rows = x.len() / width;
            let buffer = || zeros(&[CHUNK_ROWS.min(rows), widest], OUTPUT);
            all.push(Share {
                x,
                width,
                values: values.split_off_mut(..rows * values_each).unwrap_or_default(),
                indices: indices.split_off_mut(..rows * indices_each).unwrap_or_default(),
                buffers: [buffer()?, buffer()?],
                order: zeros(&[self.head.out_features().unwrap_or(width)], OUTPUT)?,
            });
        }
        in_shares(all, |share| share.decode(&self.head, function, kernel));
        Ok(())
    }
}

/// Rows that a thread decodes, and the memory for their results.
struct Share<'a, T> {
    /// (rows, `width`).
    x: &'a [T],
    width: usize,
    values: &'a mut [T],
    indices: &'a mut [i64],
    /// Two chunks of the widest rows.
    buffers: [Vec<T>; 2],
    /// Indices that are being sorted, (C).
    order: Vec<usize>,
}

impl<T: Element> Share<'_, T> {
    fn decode(mut self, head: &Head<T>, function: Option<Function>, kernel: Kernel) {
        let classes = head.out_features().unwrap_or(self.width);
        let (mut values, mut indices) = (Unfilled(self.values), Unfilled(self.indices));
        for x in self.x.chunks(CHUNK_ROWS * self.width) {
            self.buffers[0][..x.len()].copy_from_slice(x);
            let rows = x.len() / self.width;
            head.run(kernel, rows, self.width, &mut self.buffers);
            for row in self.buffers[0][..rows * classes].chunks_exact_mut(classes) {
                let own = match function {
                    None => row,
                    Some(Function::Argmax) => {
                        indices.fill(&[to_index(argmax(row))]);
                        continue;
                    }
                    Some(Function::Top(k)) => {
                        top(row, k, &mut self.order);
                        for &index in &self.order {
                            indices.fill(&[to_index(index)]);
                            values.fill(&[row[index]]);
                        }
                        continue;
                    }
                    Some(function) => {
                        function.apply(row);
                        row
                    }
                };
                values.fill(own);
            }
        }
    }
}

/// The part of a slice that is still to be written.
struct Unfilled<'a, U>(&'a mut [U]);

impl<U: Copy> Unfilled<'_, U> {
    /// Writes the next numbers.
    fn fill(&mut self, numbers: &[U]) {
        let (own, rest) = std::mem::take(&mut self.0).split_at_mut(numbers.len());
        own.copy_from_slice(numbers);
        self.0 = rest;
    }
}

/// No vector has more elements than fit.
fn to_index(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
