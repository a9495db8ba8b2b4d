//! Padded batches and lists of sequences to packed sequences.

use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};

use super::PackedSequence;
use crate::batch::{Order, check_lengths, inverse};
use crate::error::Error;
use crate::memory::{checked_len, contiguous, reserved};

/// Packs the first `lengths[n]` steps of each sequence of a padded batch, (L, N, *), or (N, L, *) with
/// `batch_first`: PyTorch's `pack_padded_sequence`.
///
/// With `enforce_sorted` the lengths have to be in descending order, and both lists of indices are `None`.
/// Without it they may be in any order; sequences of equal length keep their order, which PyTorch does not specify.
///
/// Unlike in PyTorch, lengths of 0 are allowed. `batch_sizes[0]` counts the sequences with a first step;
/// `sorted_indices` has all N, the empty ones last. A batch with empty sequences therefore has indices with
/// `enforce_sorted` too: 0, 1, 2, ...
///
/// # Errors
/// [`Error::Rank`], [`Error::Invalid`] for the lengths, also for one beyond the end of the batch, which PyTorch does not
/// detect, and [`Error::OutOfMemory`].
#[allow(clippy::needless_pass_by_value, reason = "views are taken by value everywhere")]
pub fn pack_padded_sequence<T: Clone>(
    input: ArrayViewD<'_, T>,
    lengths: &[usize],
    batch_first: bool,
    enforce_sorted: bool,
) -> Result<PackedSequence<T>, Error> {
    let &[first, second, ..] = input.shape() else {
        return Err(Error::rank("input", "at least 2 dimensions, (L, N, *)", input.shape()));
    };
    let (steps, batch) = if batch_first { (second, first) } else { (first, second) };
    check_lengths(lengths, steps, batch)?;
    check_order(lengths, enforce_sorted)?;
    let order = Order::new(lengths)?;
    let data = order.pack_padded(&input, batch_first)?;
    packed(data, order, lengths, enforce_sorted)
}

/// Packs a list of sequences, (their length, *) each: PyTorch's `pack_sequence`. `enforce_sorted` and lengths of 0 are
/// as in [`pack_padded_sequence`].
///
/// # Errors
/// [`Error::Invalid`] for an empty list, and for lengths in another order; [`Error::Rank`], [`Error::SequenceShape`], and
/// [`Error::OutOfMemory`].
pub fn pack_sequence<T: Clone>(
    sequences: &[ArrayViewD<'_, T>],
    enforce_sorted: bool,
) -> Result<PackedSequence<T>, Error> {
    let (lengths, features) = lengths_and_features(sequences)?;
    check_order(&lengths, enforce_sorted)?;
    let width = checked_len(features, "packed data")?;
    let sequences = all_contiguous(sequences)?;
    let order = Order::new(&lengths)?;
    let data = order.pack(features, |t, n| {
        &sequences[n].as_slice().unwrap_or_default()[t * width..][..width]
    })?;
    packed(data, order, &lengths, enforce_sorted)
}

/// The length of each sequence, and the common shape of their steps.
pub(super) fn lengths_and_features<'a, T>(
    sequences: &'a [ArrayViewD<'_, T>],
) -> Result<(Vec<usize>, &'a [usize]), Error> {
    let mut features = None;
    let mut lengths = reserved(sequences.len(), "lengths")?;
    for (row, sequence) in sequences.iter().enumerate() {
        let (&length, own) = sequence.shape().split_first().ok_or_else(|| {
            Error::rank(format!("sequence {row}"), "at least 1 dimension, (L, *)", &[])
        })?;
        let expected = *features.get_or_insert(own);
        if own != expected {
            let (expected, found) = (expected.to_vec(), sequence.shape().to_vec());
            return Err(Error::SequenceShape { row, expected, found });
        }
        lengths.push(length);
    }
    let none = || Error::invalid("sequences", "expected at least 1, got 0");
    Ok((lengths, features.ok_or_else(none)?))
}

/// The sequences in row-major order; others are copied.
pub(super) fn all_contiguous<'a, T: Clone>(
    sequences: &'a [ArrayViewD<'_, T>],
) -> Result<Vec<CowArray<'a, T, IxDyn>>, Error> {
    let mut all = reserved(sequences.len(), "sequences")?;
    for sequence in sequences {
        all.push(contiguous(sequence, "sequences")?);
    }
    Ok(all)
}

/// With `enforce_sorted`, checks that the lengths are in descending order.
fn check_order(lengths: &[usize], enforce_sorted: bool) -> Result<(), Error> {
    match (1..lengths.len()).find(|&n| enforce_sorted && lengths[n] > lengths[n - 1]) {
        Some(row) => {
            let (before, found) = (lengths[row - 1], lengths[row]);
            let got = format!("got {found} in row {row} after {before}");
            let what = format!("expected descending order (enforce_sorted), {got}");
            Err(Error::invalid("lengths", what))
        }
        None => Ok(()),
    }
}

/// Packed data with its sizes and indices.
fn packed<T>(
    data: ArrayD<T>,
    order: Order,
    lengths: &[usize],
    enforce_sorted: bool,
) -> Result<PackedSequence<T>, Error> {
    let Order { sorted, batch_sizes } = order;
    // Only the indices contain sequences of length 0.
    let (sorted_indices, unsorted_indices) = if enforce_sorted && !lengths.contains(&0) {
        (None, None)
    } else {
        let unsorted = inverse(&sorted, "sorted_indices")?;
        (Some(sorted), Some(unsorted))
    };
    Ok(PackedSequence { data, batch_sizes, sorted_indices, unsorted_indices })
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use ndarray::{Array, Axis, Ix2, arr0, arr1, arr2};

    use super::*;
    use crate::memory::array;
    use crate::{pad_packed_sequence, unpack_sequence};

    /// The sequences of PyTorch's `test_pack_sequence`.
    fn abc() -> [ArrayD<i64>; 3] {
        [&[1, 2, 3][..], &[4, 5], &[6]].map(|values| arr1(values).into_dyn())
    }

    fn text<T>(result: Result<T, Error>) -> String {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn lists_are_packed_as_pytorch_packs_them() {
        let [a, b, c] = &abc();
        let packed = pack_sequence(&[a.view(), b.view(), c.view()], false).unwrap();
        assert_eq!(packed.data, arr1(&[1, 4, 6, 2, 5, 3]).into_dyn());
        assert_eq!(packed.batch_sizes, [3, 2, 1]);
        assert_eq!(packed.sorted_indices, Some(vec![0, 1, 2]));
        assert_eq!(packed.unsorted_indices, Some(vec![0, 1, 2]));

        let unsorted = pack_sequence(&[b.view(), c.view(), a.view()], false).unwrap();
        assert_eq!((&unsorted.data, &unsorted.batch_sizes), (&packed.data, &packed.batch_sizes));
        assert_eq!(unsorted.sorted_indices, Some(vec![2, 0, 1]));
        assert_eq!(unsorted.unsorted_indices, Some(vec![1, 2, 0]));

        let sorted = pack_sequence(&[a.view(), b.view(), c.view()], true).unwrap();
        assert_eq!((sorted.sorted_indices, sorted.unsorted_indices), (None, None));
        assert_eq!((sorted.data, sorted.batch_sizes), (packed.data, packed.batch_sizes));
    }

    #[test]
    fn padded_batches_are_packed_as_pytorch_packs_them() {
        // As in PyTorch's `test_pack_padded_sequence`: row n, step t holds 100 n + t + 1, five times.
        for (lengths, sorted) in [
            ([10, 8, 4, 2, 2, 2, 1], true),
            ([11, 10, 8, 6, 4, 3, 1], true),
            ([2, 10, 2, 8, 1, 4, 2], false),
        ] {
            let steps = *lengths.iter().max().unwrap();
            let value = |t: usize, n: usize| 100 * n + t + 1;
            let padded =
                Array::from_shape_fn(
                    [steps, 7, 5],
                    |(t, n, _)| {
                        if t < lengths[n] { value(t, n) } else { 0 }
                    },
                );
            let mut order: Vec<_> = (0..7).collect();
            order.sort_by_key(|&n| Reverse(lengths[n]));
            let mut expected = Vec::new();
            for t in 0..steps {
                expected.extend(order.iter().filter(|&&n| t < lengths[n]).map(|&n| value(t, n)));
            }
            for batch_first in [false, true] {
                let mut input = padded.view().into_dyn();
                if batch_first {
                    input.swap_axes(0, 1);
                }
                let packed = pack_padded_sequence(input.view(), &lengths, batch_first, sorted);
                let packed = packed.unwrap();
                let data = packed.data.view().into_dimensionality::<Ix2>().unwrap();
                assert!(data.columns().into_iter().all(|column| column.to_vec() == expected));
                assert_eq!(packed.sorted_indices.is_none(), sorted);
                if !sorted {
                    assert_eq!(packed.sorted_indices, Some(vec![1, 3, 5, 0, 2, 6, 4]));
                }
                let (again, found) = pad_packed_sequence(&packed, batch_first, 0, None).unwrap();
                assert_eq!((again.view(), &found[..]), (input, &lengths[..]));
            }
        }
    }

    #[test]
    fn every_type_and_every_number_of_axes_can_be_packed() {
        fn check<T: Copy + PartialEq + std::fmt::Debug>(from: impl Fn(u8) -> T) {
            for (features, width) in [(&[][..], 1), (&[3], 3), (&[2, 3], 6), (&[1, 2, 3], 6)] {
                let sequences: Vec<_> = (1..=5_u8)
                    .map(|length| {
                        let shape: Vec<_> = std::iter::once(usize::from(length))
                            .chain(features.iter().copied())
                            .collect();
                        let values = (0..length * width).map(&from);
                        array(&shape, values.collect())
                    })
                    .collect();
                let views: Vec<_> = sequences.iter().map(|array| array.view()).collect();
                let packed = pack_sequence(&views, false).unwrap();
                assert_eq!(unpack_sequence(&packed).unwrap(), sequences);
            }
        }
        check(u8::cast_signed);
        check(i16::from);
        check(i32::from);
        check(i64::from);
        check(|i| i);
        check(f32::from);
        check(f64::from);
    }

    #[test]
    fn lengths_of_0_stand_last() {
        let padded = arr2(&[[1, 2], [3, 4], [5, 6]]).into_dyn();
        let packed = pack_padded_sequence(padded.view(), &[0, 2, 1], true, false).unwrap();
        assert_eq!(packed.data, arr1(&[3, 5, 4]).into_dyn());
        assert_eq!(packed.batch_sizes, [2, 1]);
        assert_eq!(packed.sorted_indices, Some(vec![1, 2, 0]));
        assert_eq!(packed.lengths().unwrap(), [0, 2, 1]);

        let sorted = pack_padded_sequence(padded.view(), &[2, 1, 0], true, true).unwrap();
        assert_eq!(sorted.sorted_indices, Some(vec![0, 1, 2]));
        assert_eq!(sorted.unsorted_indices, Some(vec![0, 1, 2]));
        let none = pack_padded_sequence(padded.view(), &[0, 0, 0], true, true).unwrap();
        assert_eq!((none.data.len(), none.batch_sizes.len(), none.batch()), (0, 0, 3));
        assert_eq!(none.lengths().unwrap(), [0, 0, 0]);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let padded = ArrayD::<f32>::zeros(vec![4, 3, 2]);
        let pack = |lengths: &[usize], batch_first, sorted| {
            text(pack_padded_sequence(padded.view(), lengths, batch_first, sorted))
        };
        assert_eq!(pack(&[4, 2], false, true), "lengths: expected 3, one for each sequence, got 2");
        assert_eq!(
            pack(&[3, 5, 4], false, false),
            "lengths: expected at most 4, the steps (seq_len) of the input, got 5 in row 1"
        );
        assert_eq!(
            pack(&[3, 2, 4, 1], true, false),
            "lengths: expected at most 3, the steps (seq_len) of the input, got 4 in row 2"
        );
        assert_eq!(
            pack(&[3, 2, 4], false, true),
            "lengths: expected descending order (enforce_sorted), got 4 in row 2 after 2"
        );
        let vector = padded.index_axis(Axis(1), 0).index_axis_move(Axis(1), 0);
        assert_eq!(
            text(pack_padded_sequence(vector, &[4], false, true)),
            "input: expected at least 2 dimensions, (L, N, *), got 1 in shape [4]"
        );
    }

    #[test]
    fn sequences_that_cannot_be_packed_are_refused() {
        let [a, b, _] = &abc();
        assert_eq!(text(pack_sequence::<f32>(&[], true)), "sequences: expected at least 1, got 0");
        assert_eq!(
            text(pack_sequence(&[b.view(), a.view()], true)),
            "lengths: expected descending order (enforce_sorted), got 3 in row 1 after 2"
        );
        assert_eq!(
            text(pack_sequence(&[a.view(), arr0(1).view().into_dyn()], true)),
            "sequence 1: expected at least 1 dimension, (L, *), got 0 in shape []"
        );
        let wide = arr2(&[[1, 2]]).into_dyn();
        assert_eq!(
            text(pack_sequence(&[a.view(), wide.view()], false)),
            "sequence 1: expected steps of shape [], as in sequence 0, got shape [1, 2]"
        );
    }
}
