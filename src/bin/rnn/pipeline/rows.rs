//! Numbers on their way between files and the layer.

use elman::PackedSequence;
use ndarray::{ArrayD, IxDyn};

/// A section of an input or an output.
pub(crate) enum Rows<T> {
    /// Sequences of one length, with the axes of their file.
    Padded(ArrayD<T>),
    /// Sequences of different lengths, packed.
    Packed(PackedSequence<T>),
}

impl<T> Rows<T> {
    /// The memory of the numbers, to be used again.
    pub(super) fn into_memory(self) -> Vec<T> {
        let (Rows::Padded(data) | Rows::Packed(PackedSequence { data, .. })) = self;
        data.into_raw_vec_and_offset().0
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
