//! Parts of inputs and outputs: which steps of which sequences they have, and their numbers.

use std::ops::Range;

use elman::{Batch, Element, Error, Model, PackedSequence, pack_sequence};
use ndarray::{ArrayD, IxDyn};

/// Some steps of some sequences.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) steps: Range<usize>,
    pub(crate) rows: Range<usize>,
}

/// A section of an input or an output.
pub(crate) enum Rows<T> {
    /// Sequences of one length, with the axes of their file.
    Padded(ArrayD<T>),
    /// Sequences of different lengths, packed.
    Packed(PackedSequence<T>),
}

/// A section of an input.
pub(crate) enum Given<T> {
    /// `H_in` numbers for each step.
    Numbers(Rows<T>),
    /// An id for each step, on an axis of its own.
    Ids(Rows<i64>),
}

impl<T> Given<T> {
    /// The memory of the numbers, for another section; ids have none.
    pub(super) fn into_numbers(self) -> Vec<T> {
        match self {
            Given::Numbers(Rows::Padded(data) | Rows::Packed(PackedSequence { data, .. })) => {
                data.into_raw_vec_and_offset().0
            }
            Given::Ids(_) => Vec::new(),
        }
    }
}

impl<T: Clone> Rows<T> {
    /// The rows as a batch.
    pub(super) fn batch(&self, batch_first: bool) -> Result<Batch<'_, T>, Error> {
        match self {
            Rows::Padded(tensor) => Batch::new(tensor.view(), batch_first),
            Rows::Packed(packed) => packed.as_batch(),
        }
    }

    /// The form without its numbers, and the numbers.
    pub(super) fn without_data(self) -> (Rows<()>, ArrayD<T>) {
        let none = ArrayD::from_elem(vec![0], ());
        match self {
            Rows::Padded(data) => (Rows::Padded(none), data),
            Rows::Packed(PackedSequence {
                data,
                batch_sizes,
                sorted_indices,
                unsorted_indices,
            }) => {
                let index =
                    PackedSequence { data: none, batch_sizes, sorted_indices, unsorted_indices };
                (Rows::Packed(index), data)
            }
        }
    }

    /// Other numbers in the same form.
    pub(super) fn with_data<U>(&self, data: ArrayD<U>) -> Result<Rows<U>, Error> {
        match self {
            Rows::Padded(_) => Ok(Rows::Padded(data)),
            Rows::Packed(packed) => packed.with_data(data).map(Rows::Packed),
        }
    }
}

/// The same numbers in another shape of the same size. A transposed tensor is copied, because its axes would come
/// apart.
pub(super) fn reshaped<T: Clone>(mut tensor: ArrayD<T>, shape: &[usize]) -> ArrayD<T> {
    if tensor.shape() == shape {
        return tensor;
    }
    if !tensor.is_standard_layout() {
        tensor = tensor.as_standard_layout().into_owned();
    }
    let reshaped = tensor.into_shape_with_order(IxDyn(shape));
    reshaped.unwrap_or_else(|_| unreachable!("as many numbers"))
}

/// Packs sequences of rows of this shape, of which there may be none.
pub(super) fn packed_of<U: Clone + Default>(
    sequences: &[ArrayD<U>],
    row: &[usize],
) -> Result<PackedSequence<U>, Error> {
    let views: Vec<_> = sequences.iter().map(|own| own.view()).collect();
    if views.is_empty() {
        let none = ArrayD::default([&[0], row].concat());
        return PackedSequence::new(none, Vec::new(), None, None);
    }
    pack_sequence(&views, false)
}

/// The rows of a packed sequence before each step, and the number of all rows.
pub(super) fn offsets(batch_sizes: &[usize]) -> Vec<usize> {
    let after = batch_sizes.iter().scan(0, |rows, size| {
        *rows += size;
        Some(*rows)
    });
    std::iter::once(0).chain(after).collect()
}

/// The shape of a tensor with the features that the encoder gives ids, if there is one.
pub(crate) fn with_features<T: Element>(
    shape: &[usize],
    model: &Model<T>,
) -> Result<Vec<usize>, Error> {
    let Some(encoder) = model.encoder() else { return Ok(shape.to_vec()) };
    if !(1..=2).contains(&shape.len()) {
        let (name, found) = ("input".to_owned(), shape.to_vec());
        return Err(Error::Rank {
            name,
            expected: "1 or 2 dimensions of ids, (L) or (L, N)",
            found,
        });
    }
    Ok([shape, &[encoder.features()]].concat())
}

/// The longest of these lengths; 0 for none.
pub(super) fn longest(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.max().unwrap_or(0)
}
