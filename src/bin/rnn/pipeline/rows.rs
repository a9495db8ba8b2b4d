//! Rows that go through the layer and come out of it: of a tensor, or of a packed sequence.

use anyhow::Result;
use elman::{Element, Mode, PackedSequence, Rnn};
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
        Ok(match self {
            Rows::Padded(input) if all => {
                let (layers, h_n) = rnn.forward_layers(input.view(), h_0, mode)?;
                (layers.into_iter().map(Rows::Padded).collect(), h_n)
            }
            Rows::Padded(input) => {
                let result = rnn.forward(input.view(), h_0, mode)?;
                (vec![Rows::Padded(result.output)], result.h_n)
            }
            Rows::Packed(input) if all => {
                let (layers, h_n) = rnn.forward_packed_layers(input, h_0, mode)?;
                (layers.into_iter().map(Rows::Packed).collect(), h_n)
            }
            Rows::Packed(input) => {
                let (output, h_n) = rnn.forward_packed(input, h_0, mode)?;
                (vec![Rows::Packed(output)], h_n)
            }
        })
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
