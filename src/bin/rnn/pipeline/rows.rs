//! Rows that go through the layer and come out of it: of a tensor, or of a packed sequence.

use anyhow::Result;
use elman::{Batch, Element, Keep, Mode, Options, Output, PackedSequence, Rnn};
use ndarray::{ArrayD, ArrayViewD, Axis};

/// An input, or the output of a layer.
pub(crate) enum Rows<T> {
    Padded(ArrayD<T>),
    Packed(PackedSequence<T>),
}

/// What the input was, and the output is to be.
pub(crate) enum Form {
    Tensor,
    Packed,
    /// Sequences of these names.
    Ragged(Vec<String>),
}

impl<T: Element> Rows<T> {
    /// The forward pass: the output of the last layer, or of `all`, and `h_n`.
    pub(crate) fn forward(
        &self,
        rnn: &Rnn<T>,
        h_0: Option<ArrayViewD<'_, T>>,
        mode: Mode<'_>,
        all: bool,
    ) -> Result<(Vec<Self>, ArrayD<T>)> {
        let keep = if all { Keep::All } else { Keep::Last };
        let batch = match self {
            Rows::Padded(input) => Batch::new(input.view(), rnn.config().batch_first)?,
            Rows::Packed(input) => input.as_batch()?,
        };
        let options = Options { h_0, mode, keep, ..Options::default() };
        let Output { output, h_n, mut lower_layers } = rnn.forward(batch, options)?;
        lower_layers.push(output);
        let rows = |layer| match self {
            Rows::Padded(_) => Ok(Rows::Padded(layer)),
            Rows::Packed(input) => input.with_data(layer).map(Rows::Packed),
        };
        Ok((lower_layers.into_iter().map(rows).collect::<Result<_, _>>()?, h_n))
    }

    /// The last row of each sequence, (N, features) or, of a single one, (features); of a sequence without
    /// any, the padding.
    pub(crate) fn last(&self, time_axis: usize, padding: T) -> Result<ArrayD<T>> {
        let packed = match self {
            Rows::Padded(tensor) => {
                let end = tensor.len_of(Axis(time_axis)) - 1;
                return Ok(tensor.index_axis(Axis(time_axis), end).to_owned());
            }
            Rows::Packed(packed) => packed,
        };
        let lengths = packed.lengths()?;
        let features = packed.data.len_of(Axis(1));
        let mut last = ArrayD::from_elem(vec![lengths.len(), features], padding);
        let offsets: Vec<_> = std::iter::once(0)
            .chain(packed.batch_sizes.iter().scan(0, |rows, size| {
                *rows += size;
                Some(*rows)
            }))
            .collect();
        for (row, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let place = packed.unsorted_indices.as_ref().map_or(row, |own| own[row]);
            let from = packed.data.index_axis(Axis(0), offsets[length - 1] + place);
            last.index_axis_mut(Axis(0), row).assign(&from);
        }
        Ok(last)
    }
}
