//! Packed sequences and lists of sequences to padded batches, and both back to lists.

use ndarray::{ArrayD, ArrayViewD, Axis, Slice};

use super::PackedSequence;
use super::pack::{all_contiguous, lengths_and_features};
use crate::batch::{BatchSizes, PADDED, check_lengths, filled, pad, total_steps};
use crate::error::Error;
use crate::memory::{array, checked_len, contiguous, reserved, values};

/// The side of a sequence that is padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingSide {
    /// Before its first step.
    Left,
    /// After its last step.
    #[default]
    Right,
}

/// The padded batch of a packed sequence, (L, N, *), or (N, L, *) with `batch_first`, and the length of
/// each sequence, both in the original order: PyTorch's `pad_packed_sequence`. L is the longest length,
/// or `total_length`. As in PyTorch, `batch_first` gives a transposed view, which is not contiguous.
///
/// # Errors
/// [`Error::Invalid`] for the `total_length`, those of [`PackedSequence::new`], and [`Error::OutOfMemory`].
pub fn pad_packed_sequence<T: Clone>(
    sequence: &PackedSequence<T>,
    batch_first: bool,
    padding_value: T,
    total_length: Option<usize>,
) -> Result<(ArrayD<T>, Vec<usize>), Error> {
    let lengths = sequence.lengths()?;
    let sizes = BatchSizes::new(&sequence.batch_sizes)?;
    let steps = total_steps(sizes.steps(), total_length)?;
    let shape = [&[steps, lengths.len()], &sequence.data.shape()[1..]].concat();
    let data = contiguous(&sequence.data, PADDED)?;
    let rows = data.as_slice().unwrap_or_default();
    let unsorted = sequence.unsorted_indices.as_deref();
    let mut padded = pad(rows, &sizes, unsorted, &shape, &padding_value)?;
    if batch_first {
        padded.swap_axes(0, 1);
    }
    Ok((padded, lengths))
}

/// The padded batch of a list of sequences, (their length, *) each: (L, N, *), or (N, L, *) with
/// `batch_first`; L is the longest length. PyTorch's `pad_sequence`.
///
/// # Errors
/// [`Error::Invalid`] for an empty list, [`Error::Rank`], [`Error::SequenceShape`], and [`Error::OutOfMemory`].
pub fn pad_sequence<T: Clone>(
    sequences: &[ArrayViewD<'_, T>],
    batch_first: bool,
    padding_value: T,
    side: PaddingSide,
) -> Result<ArrayD<T>, Error> {
    let (lengths, features) = lengths_and_features(sequences)?;
    let steps = lengths.iter().copied().max().unwrap_or(0);
    let (batch, width) = (lengths.len(), checked_len(features, PADDED)?);
    let axes = if batch_first { [batch, steps] } else { [steps, batch] };
    let sequences = all_contiguous(sequences)?;
    filled(&[&axes[..], features].concat(), &padding_value, |first, second| {
        let (t, n) = if batch_first { (second, first) } else { (first, second) };
        let t = match side {
            PaddingSide::Left => (t + lengths[n]).checked_sub(steps),
            PaddingSide::Right => (t < lengths[n]).then_some(t),
        }?;
        Some(&sequences[n].as_slice()?[t * width..][..width])
    })
}

/// The first `lengths[n]` steps of each sequence of a padded batch, (L, N, *), or (N, L, *) with
/// `batch_first`: PyTorch's `unpad_sequence`.
///
/// # Errors
/// [`Error::Rank`], [`Error::Invalid`] for the lengths, and [`Error::OutOfMemory`].
pub fn unpad_sequence<T: Clone>(
    mut padded: ArrayViewD<'_, T>,
    lengths: &[usize],
    batch_first: bool,
) -> Result<Vec<ArrayD<T>>, Error> {
    if padded.ndim() < 2 {
        return Err(Error::rank("padded", "at least 2 dimensions, (L, N, *)", padded.shape()));
    }
    if !batch_first {
        padded.swap_axes(0, 1);
    }
    check_lengths(lengths, padded.shape()[1], padded.shape()[0])?;
    let mut sequences = reserved(lengths.len(), "sequences")?;
    for (n, &length) in lengths.iter().enumerate() {
        let own = padded.index_axis(Axis(0), n);
        let own = own.slice_axis(Axis(0), Slice::from(..length));
        sequences.push(array(own.shape(), values(&own, "sequences")?));
    }
    Ok(sequences)
}

/// The sequences of a packed one, (their length, *) each, in the original order: PyTorch's
/// `unpack_sequence`.
///
/// # Errors
/// Those of [`PackedSequence::new`].
pub fn unpack_sequence<T: Clone>(sequence: &PackedSequence<T>) -> Result<Vec<ArrayD<T>>, Error> {
    let lengths = sequence.lengths()?;
    let sizes = BatchSizes::new(&sequence.batch_sizes)?;
    let features = &sequence.data.shape()[1..];
    let width = checked_len(features, PADDED)?;
    let data = contiguous(&sequence.data, PADDED)?;
    let rows = data.as_slice().unwrap_or_default();
    let mut sequences = reserved(lengths.len(), "sequences")?;
    for (n, &length) in lengths.iter().enumerate() {
        let place = sequence.unsorted_indices.as_ref().map_or(n, |unsorted| unsorted[n]);
        let mut own = reserved(length * width, "sequences")?;
        for t in 0..length {
            own.extend_from_slice(&rows[(sizes.offset(t) + place) * width..][..width]);
        }
        sequences.push(array(&[&[length], features].concat(), own));
    }
    Ok(sequences)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, arr1, arr2};

    use super::*;
    use crate::{pack_padded_sequence, pack_sequence};

    fn text<T>(result: Result<T, Error>) -> String {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    /// Sequences of n * n steps in reverse order, with up to three more axes.
    fn squares(features: &[usize]) -> Vec<ArrayD<usize>> {
        let squares = (1..=9).rev().map(|n| {
            let shape: Vec<_> = std::iter::once(n * n).chain(features.iter().copied()).collect();
            let len = shape.iter().product();
            array(&shape, (1..=len).collect())
        });
        squares.collect()
    }

    #[test]
    fn lists_are_padded_as_pytorch_pads_them() {
        let [a, b, c] = [&[4, 5][..], &[1, 2, 3], &[6]].map(|values| arr1(values).into_dyn());
        let sequences = [a.view(), b.view(), c.view()];
        let pad = |value, side| pad_sequence(&sequences, true, value, side).unwrap();
        assert_eq!(pad(0, PaddingSide::Right), arr2(&[[4, 5, 0], [1, 2, 3], [6, 0, 0]]).into_dyn());
        assert_eq!(pad(1, PaddingSide::Right), arr2(&[[4, 5, 1], [1, 2, 3], [6, 1, 1]]).into_dyn());
        assert_eq!(pad(0, PaddingSide::Left), arr2(&[[0, 4, 5], [1, 2, 3], [0, 0, 6]]).into_dyn());
        // A tensor of sequences is a list of its rows.
        let rows = arr2(&[[1, 2], [3, 4]]).into_dyn();
        let views: Vec<_> = rows.outer_iter().collect();
        assert_eq!(pad_sequence(&views, true, 0, PaddingSide::Right).unwrap(), rows);
    }

    #[test]
    fn lists_are_padded_and_unpadded_with_any_number_of_axes() {
        for features in [&[][..], &[2], &[2, 3], &[3, 1, 2], &[0]] {
            let sequences = squares(features);
            let views: Vec<_> = sequences.iter().map(|array| array.view()).collect();
            let lengths: Vec<_> = sequences.iter().map(|sequence| sequence.shape()[0]).collect();
            let first = pad_sequence(&views, true, 7, PaddingSide::Right).unwrap();
            let mut second = pad_sequence(&views, false, 7, PaddingSide::Right).unwrap();
            assert_eq!(unpad_sequence(first.view(), &lengths, true).unwrap(), sequences);
            assert_eq!(unpad_sequence(second.view(), &lengths, false).unwrap(), sequences);
            second.swap_axes(0, 1);
            assert_eq!(first, second);
            let padding: usize = lengths.iter().map(|length| 81 - length).sum();
            let width: usize = features.iter().product();
            assert_eq!(first.len(), (lengths.iter().sum::<usize>() + padding) * width);
        }
    }

    #[test]
    fn a_total_length_adds_padding() {
        let sequences = squares(&[2]);
        let views: Vec<_> = sequences.iter().rev().map(|array| array.view()).collect();
        let packed = pack_sequence(&views, false).unwrap();
        for batch_first in [false, true] {
            let pad = |total| pad_packed_sequence(&packed, batch_first, 0, total);
            let (longest, lengths) = pad(None).unwrap();
            let steps = Axis(usize::from(batch_first));
            for total in [81, 82, 89] {
                let (padded, same) = pad(Some(total)).unwrap();
                assert_eq!((padded.len_of(steps), &same), (total, &lengths));
                assert_eq!(padded.slice_axis(steps, Slice::from(..81)), longest);
                assert!(padded.slice_axis(steps, Slice::from(81..)).iter().all(|&x| x == 0));
            }
            for total in [0, 80] {
                let expected =
                    format!("total_length: expected at least 81, the longest length, got {total}");
                assert_eq!(text(pad(Some(total))), expected);
            }
        }
    }

    #[test]
    fn sequences_of_length_0_are_all_padding() {
        let padded = Array::from_shape_fn([3, 4, 2], |(t, n, k)| 8 * t + 2 * n + k).into_dyn();
        let packed = pack_padded_sequence(padded.view(), &[0, 3, 0, 1], false, false).unwrap();
        let (again, lengths) = pad_packed_sequence(&packed, false, 99, None).unwrap();
        assert_eq!(lengths, [0, 3, 0, 1]);
        assert!(again.index_axis(Axis(1), 2).iter().all(|&x| x == 99));
        assert_eq!(again.index_axis(Axis(1), 1), padded.index_axis(Axis(1), 1));
        let packed = pack_padded_sequence(padded.view(), &[0; 4], false, false).unwrap();
        let (again, lengths) = pad_packed_sequence(&packed, true, 99, Some(2)).unwrap();
        assert_eq!((again, lengths), (ArrayD::from_elem(vec![4, 2, 2], 99), vec![0; 4]));
        assert_eq!(unpad_sequence(padded.view(), &[0; 4], false).unwrap()[3].shape(), [0, 2]);
    }

    #[test]
    fn batches_that_cannot_be_padded_are_refused() {
        let padded = ArrayD::<f32>::zeros(vec![4, 3]);
        assert_eq!(
            text(unpad_sequence(padded.view(), &[1, 2, 5], false)),
            "lengths: expected at most 4, the steps (seq_len) of the input, got 5 in row 2"
        );
        assert_eq!(
            text(unpad_sequence(padded.view(), &[1, 2], false)),
            "lengths: expected 3, one for each sequence, got 2"
        );
        assert_eq!(
            text(unpad_sequence(arr1(&[1]).view().into_dyn(), &[1], false)),
            "padded: expected at least 2 dimensions, (L, N, *), got 1 in shape [1]"
        );
        let none = pad_sequence::<f32>(&[], true, 0.0, PaddingSide::Left);
        assert_eq!(text(none), "sequences: expected at least 1, got 0");
        let sequences = [ArrayD::<f32>::zeros(vec![2, 3]), ArrayD::zeros(vec![1, 4])];
        let views = sequences.each_ref().map(|array| array.view());
        assert_eq!(
            text(pad_sequence(&views, true, 0.0, PaddingSide::Right)),
            "sequence 1: expected steps of shape [3], as in sequence 0, got shape [1, 4]"
        );
    }

    #[test]
    fn a_total_length_that_no_memory_can_hold_is_refused() {
        for (batch, features) in [(2, 3), (2, 0), (0, 3)] {
            let padded = ArrayD::<f32>::zeros(vec![1, batch, features]);
            let packed =
                pack_padded_sequence(padded.view(), &vec![1; batch], false, false).unwrap();
            let result = pad_packed_sequence(&packed, false, 0.0, Some(usize::MAX));
            assert!(text(result).starts_with("out of memory: padded batch needs more than"));
        }
        // Steps without a value need no time.
        let packed =
            pack_padded_sequence(ArrayD::<f32>::zeros(vec![1, 1, 0]).view(), &[1], false, false);
        let (padded, _) =
            pad_packed_sequence(&packed.unwrap(), false, 0.0, Some(usize::MAX / 2)).unwrap();
        assert_eq!(padded.shape(), [usize::MAX / 2, 1, 0]);
    }
}
