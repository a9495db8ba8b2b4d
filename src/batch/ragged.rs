//! Sequences one after the other, in the layout of Arrow's lists.

use std::borrow::Cow;

use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::{Batch, BatchSizes, InputForm, OUTPUT, Order};
use crate::error::Error;
use crate::memory::{array, contiguous, reserved, zeros};

impl<'a, T: Clone> Batch<'a, T> {
    /// Sequences one after the other in `values`, (rows, `H_in`): sequence n begins at row `offsets[n]` and ends before
    /// row `offsets[n + 1]`, as Arrow keeps lists. The output is in the same order, without the rows before the first
    /// sequence and behind the last.
    ///
    /// ```
    /// use elman::{Batch, Config, Generator, Options, Rnn};
    /// use ndarray::ArrayD;
    ///
    /// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
    /// // Three sequences of 2, 0 and 5 steps.
    /// let values = ArrayD::ones(vec![7, 10]);
    /// let batch = Batch::ragged(values.view(), &[0, 2, 2, 7])?;
    /// let result = rnn.forward(batch, Options::default())?;
    /// assert_eq!(result.output.shape(), [7, 20]);
    /// assert_eq!(result.h_n.shape(), [1, 3, 20]);
    /// # Ok::<_, elman::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::Invalid`] for offsets that descend or end behind the rows, and
    /// [`Error::OutOfMemory`].
    #[allow(clippy::needless_pass_by_value, reason = "views are taken by value everywhere")]
    pub fn ragged(values: ArrayViewD<'a, T>, offsets: &[usize]) -> Result<Self, Error> {
        let &[rows, features] = values.shape() else {
            return Err(Error::rank("values", "2 dimensions, (rows, H_in)", values.shape()));
        };
        let lengths = lengths_between(offsets, rows)?;
        let order = Order::new(&lengths)?;
        let values = contiguous(&values, "input")?;
        let all = values.as_slice().unwrap_or_default();
        let row = |t, n: usize| &all[(offsets[n] + t) * features..][..features];
        let (rows, _) = order.pack(&[features], row)?.into_raw_vec_and_offset();
        let sizes = BatchSizes::new(&order.batch_sizes)?;
        Ok(Batch {
            shape: IxDyn(&[sizes.rows(), features]),
            sizes,
            rows: Cow::Owned(rows),
            sequences: lengths.len(),
            sorted: Some(Cow::Owned(order.sorted)),
            form: InputForm::Ragged,
        })
    }
}

impl<T: Clone> Batch<'_, T> {
    /// Packed rows, (rows, `features`), in the order of the sequences.
    pub(super) fn in_sequence<U: Clone>(
        &self,
        packed: &[U],
        features: usize,
    ) -> Result<ArrayD<U>, Error> {
        let rows = self.sizes.rows();
        // The packed place of each row.
        let mut places = zeros::<usize>(&[rows], OUTPUT)?;
        let mut starts = zeros::<usize>(&[self.sequences + 1], OUTPUT)?;
        let sorted = self.sorted.as_deref().unwrap_or_default();
        for t in 0..self.sizes.steps() {
            for &n in &sorted[..self.sizes.size(t)] {
                starts[n + 1] = t + 1;
            }
        }
        for n in 0..self.sequences {
            starts[n + 1] += starts[n];
        }
        for t in 0..self.sizes.steps() {
            for (place, &n) in sorted[..self.sizes.size(t)].iter().enumerate() {
                places[starts[n] + t] = self.sizes.offset(t) + place;
            }
        }
        let mut output = reserved(rows * features, OUTPUT)?;
        for place in places {
            output.extend_from_slice(&packed[place * features..][..features]);
        }
        Ok(array(&[rows, features], output))
    }
}

/// The lengths of sequences with these offsets, the last of which is at most `rows`.
fn lengths_between(offsets: &[usize], rows: usize) -> Result<Vec<usize>, Error> {
    let invalid = |what: String| Err(Error::invalid("offsets", what));
    let Some(&last) = offsets.last() else {
        return invalid("expected at least 1, one more than there are sequences, got 0".to_owned());
    };
    let mut lengths = reserved(offsets.len() - 1, "lengths")?;
    for (n, pair) in offsets.windows(2).enumerate() {
        let (before, found) = (pair[0], pair[1]);
        let Some(length) = found.checked_sub(before) else {
            let place = n + 1;
            return invalid(format!(
                "expected ascending order, got {found} in place {place} after {before}"
            ));
        };
        lengths.push(length);
    }
    if last > rows {
        return invalid(format!("expected at most {rows}, the rows of values, got {last}"));
    }
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, Slice};

    use super::*;
    use crate::{Config, Generator, Options, Rnn};

    #[test]
    fn ragged_sequences_have_the_bytes_that_each_has_alone() {
        let mut generator = Generator::new(4);
        let config = Config { bidirectional: true, num_layers: 2, ..Config::new(3, 5) };
        let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
        let mut values = zeros(&[12, 3], "values").unwrap();
        generator.normal(&mut values);
        let values = array(&[12, 3], values);
        // Rows before the first sequence and behind the last belong to none.
        for offsets in [&[1, 3, 3, 10, 11][..], &[0, 0], &[4], &[2, 4, 6, 8]] {
            let batch = Batch::ragged(values.view(), offsets).unwrap();
            let all = rnn.forward(batch, Options::default()).unwrap();
            let rows = offsets[offsets.len() - 1] - offsets[0];
            assert_eq!(all.output.shape(), [rows, 10]);
            assert_eq!(all.h_n.shape(), [4, offsets.len() - 1, 5]);
            for (n, pair) in offsets.windows(2).enumerate().filter(|(_, pair)| pair[0] < pair[1]) {
                let own = values.slice_axis(Axis(0), Slice::from(pair[0]..pair[1]));
                let alone = rnn.call(own, None).unwrap();
                let part = Slice::from(pair[0] - offsets[0]..pair[1] - offsets[0]);
                assert_eq!(alone.output, all.output.slice_axis(Axis(0), part));
                assert_eq!(alone.h_n, all.h_n.index_axis(Axis(1), n));
            }
        }
    }

    #[test]
    fn offsets_that_do_not_fit_are_refused() {
        let values = ArrayD::<f32>::zeros(vec![4, 2]);
        let text = |offsets: &[usize]| {
            Batch::ragged(values.view(), offsets).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(
            text(&[]),
            "offsets: expected at least 1, one more than there are sequences, got 0"
        );
        assert_eq!(text(&[0, 3, 2]), "offsets: expected ascending order, got 2 in place 2 after 3");
        assert_eq!(text(&[0, 5]), "offsets: expected at most 4, the rows of values, got 5");
        let values = ArrayD::<f32>::zeros(vec![4]);
        let error = Batch::ragged(values.view(), &[0]).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "values: expected 2 dimensions, (rows, H_in), got 1 in shape [4]");
    }
}
