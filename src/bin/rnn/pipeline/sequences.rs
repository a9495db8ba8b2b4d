//! Numbers on their way between files and the layer.

use elman::PackedSequence;
use ndarray::{ArrayD, IxDyn};

/// A section of an input or an output, in the form of the files.
pub(crate) enum Sequences<T> {
    /// (L, features), (L, N, features), or (N, L, features) with `batch_first`.
    Tensor(ArrayD<T>),
    Packed(PackedSequence<T>),
    /// A tensor of (`L_i`, features) for each sequence.
    Ragged(Vec<ArrayD<T>>),
}

/// (.., D * `H_out`) as (.., D, `H_out`).
pub(super) fn split_shape(shape: &[usize], directions: usize) -> Vec<usize> {
    match shape {
        [rows @ .., features] => [rows, &[directions, features / directions]].concat(),
        [] => Vec::new(),
    }
}

/// Gives the directions of a section an axis of their own.
pub(super) fn split_directions<T: Copy + Default>(output: &mut Sequences<T>, directions: usize) {
    match output {
        Sequences::Tensor(tensor) => split(tensor, directions),
        Sequences::Packed(packed) => split(&mut packed.data, directions),
        Sequences::Ragged(all) => all.iter_mut().for_each(|tensor| split(tensor, directions)),
    }
}

fn split<T: Copy + Default>(tensor: &mut ArrayD<T>, directions: usize) {
    reshape(tensor, &split_shape(tensor.shape(), directions));
}

/// The same numbers in another shape of as many. A transposed tensor is copied, because its axes would come
/// apart.
pub(super) fn reshape<T: Copy + Default>(tensor: &mut ArrayD<T>, shape: &[usize]) {
    let mut whole = std::mem::take(tensor);
    if !whole.is_standard_layout() {
        whole = whole.as_standard_layout().into_owned();
    }
    let reshaped = whole.into_shape_with_order(IxDyn(shape));
    *tensor = reshaped.unwrap_or_else(|_| unreachable!("as many numbers"));
}
