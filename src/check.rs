//! The invariance check: the bytes of a sequence's result depend on the sequence, the weights and `h_0`
//! alone, not on the rest of the batch, padding, packing, chunks of time, threads or the kernel.
//!
//! [`Case::check`] computes one batch in many ways and compares each result with that of the simplest way.
//! `rnn bench --check`, the fuzzer and the tests call it; it is no part of the library's stable interface.

use std::fmt;
use std::ops::Range;

use ndarray::{Array3, ArrayBase, ArrayViewD, Axis, IxDyn, RawData, s};
use rayon::ThreadPool;

use crate::error::Error;
use crate::{Batch, Element, Generator, Kernel, Options, Output, Rnn};
use crate::{pack_padded_sequence, pad_packed_sequence};

/// A layer and the batch that it runs over.
#[derive(Clone, Debug)]
pub struct Case<T> {
    /// The layer; its `batch_first` is false.
    pub rnn: Rnn<T>,
    /// (L, N, `H_in`).
    pub input: Array3<T>,
    /// (D * `num_layers`, N, `H_out`).
    pub h_0: Array3<T>,
    /// Steps of each sequence, (N), at least 1.
    pub lengths: Vec<usize>,
}

/// One way to compute a case.
#[derive(Debug)]
pub struct Variant<'a> {
    kernel: Kernel,
    pool: &'a ThreadPool,
    split: Split,
}

/// How the work is divided into passes.
#[derive(Debug)]
struct Split {
    words: String,
    /// The rows and the steps of each pass; empty for the whole batch as a packed sequence. The hidden state is
    /// carried from pass to pass, as in `rnn stream`.
    passes: Vec<(Range<usize>, Range<usize>)>,
    /// True for passes of one row, without the axis of the batch.
    unbatched: bool,
}

/// The bytes in which two results differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ByteDifferences {
    pub bytes: u64,
    pub first: Option<Mismatch>,
}

/// Two numbers that should be the same; `expected` is the reference's.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// `output` or `h_n`.
    pub tensor: &'static str,
    /// Indices of the step or state, of the row and of the unit.
    pub index: [usize; 3],
    pub expected: String,
    pub found: String,
}

impl<T: Element> Case<T> {
    /// Computes the whole batch on every kernel and pool, and every other split on every kernel and one of
    /// the pools. `compared` gets the reference, the other variant and how their results differ. The
    /// reference runs on the first pool and the last kernel that this CPU supports, the portable one.
    ///
    /// # Errors
    /// Those of the forward pass.
    pub fn check(
        &self,
        pools: &[ThreadPool],
        kernels: &[Kernel],
        generator: &mut Generator,
        mut compared: impl FnMut(&Variant<'_>, &Variant<'_>, &ByteDifferences),
    ) -> Result<(), Error> {
        let portable = Kernel::supported().last().unwrap_or_else(Kernel::best);
        let all = (0..self.lengths.len(), 0..self.input.dim().0);
        let whole = || split("the whole batch", vec![all.clone()]);
        let reference = Variant { kernel: portable, pool: &pools[0], split: whole() };
        let expected = self.compute(&reference)?;
        for &kernel in kernels {
            let skipped = usize::from(kernel == portable);
            let on_each_pool = pools[skipped..].iter().map(|pool| (pool, whole()));
            let splits = self.splits(generator).into_iter();
            let others = splits.map(|split| (&pools[below(generator, pools.len())], split));
            for (pool, split) in on_each_pool.chain(others) {
                let variant = Variant { kernel, pool, split };
                let found = self.compute(&variant)?;
                compared(&reference, &variant, &ByteDifferences::between(&expected, &found));
            }
        }
        Ok(())
    }

    /// Checks every kernel of this CPU.
    ///
    /// # Panics
    /// If a byte differs, or a pass fails.
    #[track_caller]
    pub fn assert_invariant(&self, pools: &[ThreadPool], generator: &mut Generator) {
        let kernels: Vec<_> = Kernel::supported().collect();
        let checked = self.check(pools, &kernels, generator, |reference, variant, found| {
            let config = self.rnn.config();
            assert!(found.bytes == 0, "{config}: {reference}, but {variant}: {found:?}");
        });
        assert!(checked.is_ok(), "{checked:?}");
    }

    /// The splits other than the whole batch. The generator draws the places of the cuts.
    fn splits(&self, generator: &mut Generator) -> Vec<Split> {
        let (batch, steps) = (self.lengths.len(), self.input.dim().0);
        // Without a sequence there is nothing to divide.
        let Some(&longest) = self.lengths.iter().max() else { return Vec::new() };
        let alone = self.lengths.iter().enumerate().map(|(row, &len)| (row..row + 1, 0..len));
        let alone = split("each sequence alone", alone.collect());
        let packed = split("the whole batch packed", Vec::new());
        let mut splits = vec![packed, Split { unbatched: true, ..alone }];
        if batch > 1 {
            let (pieces, sizes) = cut(generator, batch);
            let passes = pieces.into_iter().map(|rows| (rows, 0..steps)).collect();
            splits.push(split(&format!("batches of {sizes} sequences"), passes));
        }
        // A reverse direction begins with the last step.
        if longest > 1 && !self.rnn.config().bidirectional && !self.rnn.is_reversed() {
            let (pieces, sizes) = cut(generator, longest);
            let passes = pieces.into_iter().map(|steps| (0..batch, steps)).collect();
            splits.push(split(&format!("chunks of {sizes} steps"), passes));
        }
        splits
    }

    /// The output, (L, N, D * `H_out`) with zeros beyond the end of a sequence, and `h_n`.
    fn compute(&self, variant: &Variant<'_>) -> Result<Output<T>, Error> {
        let rnn = self.rnn.clone().with_kernel(variant.kernel);
        variant.pool.install(|| match &variant.split {
            split if split.passes.is_empty() => self.packed(&rnn),
            split => self.in_passes(&rnn, split),
        })
    }

    fn packed(&self, rnn: &Rnn<T>) -> Result<Output<T>, Error> {
        let padded = self.input.view().into_dyn();
        let input = pack_padded_sequence(padded, &self.lengths, false, false)?;
        let options = Options { h_0: Some(self.h_0.view().into_dyn()), ..Options::default() };
        let result = rnn.forward(input.as_batch()?, options)?;
        let (packed, steps) = (input.with_data(result.output)?, self.input.dim().0);
        let (output, _) = pad_packed_sequence(&packed, false, T::ZERO, Some(steps))?;
        Ok(Output { output, ..result })
    }

    fn in_passes(&self, rnn: &Rnn<T>, split: &Split) -> Result<Output<T>, Error> {
        let unbatched = split.unbatched;
        let (steps, batch, _) = self.input.dim();
        let features = rnn.config().num_directions() * rnn.config().hidden_size;
        let mut output = Array3::from_elem((steps, batch, features), T::ZERO);
        let mut h_n = self.h_0.clone();
        for (rows, steps) in split.passes.iter().cloned() {
            let left = |&length: &usize| length.saturating_sub(steps.start).min(steps.len());
            let lengths: Vec<_> = self.lengths[rows.clone()].iter().map(left).collect();
            let (all, states) = (s![steps, rows.clone(), ..], s![.., rows, ..]);
            let input = without_batch(self.input.slice(all).into_dyn(), unbatched);
            let h_0 = without_batch(h_n.slice(states).into_dyn(), unbatched);
            let result = forward(rnn, input, &lengths, h_0)?;
            let place = output.slice_mut(all).into_dyn();
            without_batch(place, unbatched).assign(&result.output);
            without_batch(h_n.slice_mut(states).into_dyn(), unbatched).assign(&result.h_n);
        }
        Ok(Output { output: output.into_dyn(), h_n: h_n.into_dyn(), lower_layers: Vec::new() })
    }
}

/// One pass; without lengths if all sequences have every step.
fn forward<T: Element>(
    rnn: &Rnn<T>,
    input: ArrayViewD<'_, T>,
    lengths: &[usize],
    h_0: ArrayViewD<'_, T>,
) -> Result<Output<T>, Error> {
    if lengths.iter().all(|&length| length == input.shape()[0]) {
        return rnn.call(input, Some(h_0));
    }
    let options = Options { h_0: Some(h_0), ..Options::default() };
    rnn.forward(Batch::with_lengths(input, lengths, false)?, options)
}

/// Removes the axis of the batch, which has one row, if `unbatched`.
fn without_batch<S: RawData>(array: ArrayBase<S, IxDyn>, unbatched: bool) -> ArrayBase<S, IxDyn> {
    if unbatched { array.index_axis_move(Axis(1), 0) } else { array }
}

/// A whole number below `limit`, which is at least 1.
pub fn below(generator: &mut Generator, limit: usize) -> usize {
    let mut unit = [0.0_f64];
    generator.uniform(0.0, 1.0, &mut unit);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the limit")]
    let number = (unit[0] * limit as f64) as usize;
    number.min(limit - 1)
}

/// Cuts 0 to `len`, which is at least 2, into two pieces or more, at random places. The text has their sizes.
fn cut(generator: &mut Generator, len: usize) -> (Vec<Range<usize>>, String) {
    let count = 1 + below(generator, 4);
    let mut ends: Vec<_> = (0..count).map(|_| 1 + below(generator, len - 1)).collect();
    ends.extend([0, len]);
    ends.sort_unstable();
    ends.dedup();
    let pieces: Vec<_> = ends.windows(2).map(|ends| ends[0]..ends[1]).collect();
    let sizes: Vec<_> = pieces.iter().map(|piece| piece.len().to_string()).collect();
    (pieces, sizes.join(", "))
}

fn split(words: &str, passes: Vec<(Range<usize>, Range<usize>)>) -> Split {
    Split { words: words.to_owned(), passes, unbatched: false }
}

impl fmt::Display for Variant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (threads, words) = (self.pool.current_num_threads(), &self.split.words);
        write!(f, "kernel {}, threads {threads}, {words}", self.kernel.name())
    }
}

impl ByteDifferences {
    /// Compares `output`, (L, N, D * `H_out`), and `h_n`, (D * `num_layers`, N, `H_out`), of two runs.
    ///
    /// # Panics
    /// If their shapes differ: no byte would show that bug.
    pub fn between<T: Element>(expected: &Output<T>, found: &Output<T>) -> Self {
        let mut differences = ByteDifferences::default();
        for (tensor, expected, found) in
            [("output", &expected.output, &found.output), ("h_n", &expected.h_n, &found.h_n)]
        {
            assert_eq!(expected.shape(), found.shape(), "shape of {tensor}");
            for ((index, &expected), &found) in expected.indexed_iter().zip(found) {
                let (bytes, others) = (expected.to_le_bytes(), found.to_le_bytes());
                let pairs = bytes.as_ref().iter().zip(others.as_ref());
                let different = pairs.filter(|(byte, other)| byte != other).count() as u64;
                if different == 0 {
                    continue;
                }
                differences.bytes += different;
                differences.first.get_or_insert_with(|| Mismatch {
                    tensor,
                    index: [index[0], index[1], index[2]],
                    expected: format!("{expected:?}"),
                    found: format!("{found:?}"),
                });
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output<T: Element>() -> Output<T> {
        let ones = |shape| Array3::from_elem(shape, T::ONE).into_dyn();
        Output { output: ones((3, 2, 4)), h_n: ones((1, 2, 4)), lower_layers: Vec::new() }
    }

    #[test]
    fn a_single_bit_is_found() {
        let expected = output::<f32>();
        let mut found = output::<f32>();
        assert_eq!(ByteDifferences::between(&expected, &found), ByteDifferences::default());
        found.output[[2, 1, 3]] = f32::from_bits(1.0_f32.to_bits() ^ 1);
        let first = Mismatch {
            tensor: "output",
            index: [2, 1, 3],
            expected: "1.0".to_owned(),
            found: "1.0000001".to_owned(),
        };
        let one = ByteDifferences { bytes: 1, first: Some(first.clone()) };
        assert_eq!(ByteDifferences::between(&expected, &found), one);
        // Later differences are counted, and the first one stays. -1.0 has another byte, -0.5 two.
        found.output[[2, 1, 3]] = 1.0;
        found.h_n[[0, 1, 2]] = -1.0;
        found.h_n[[0, 1, 3]] = -0.5;
        let (tensor, index) = ("h_n", [0, 1, 2]);
        let first = Mismatch { tensor, index, found: "-1.0".to_owned(), ..first };
        let three = ByteDifferences { bytes: 3, first: Some(first) };
        assert_eq!(ByteDifferences::between(&expected, &found), three);
    }

    #[test]
    fn zeros_of_two_signs_and_every_byte_count() {
        let mut expected = output::<f64>();
        let mut found = output::<f64>();
        expected.h_n.fill(0.0);
        found.h_n.fill(0.0);
        found.h_n[[0, 0, 1]] = -0.0;
        let differences = ByteDifferences::between(&expected, &found);
        assert_eq!((differences.bytes, differences.first.unwrap().found.as_str()), (1, "-0.0"));
        expected.output[[0, 0, 0]] = f64::from_bits(0);
        found.output[[0, 0, 0]] = f64::from_bits(u64::MAX >> 2);
        assert_eq!(ByteDifferences::between(&expected, &found).bytes, 9);
    }

    #[test]
    fn pieces_are_the_whole_in_its_order() {
        let mut generator = Generator::new(0);
        for len in [2, 3, 5, 40] {
            for _ in 0..50 {
                let (pieces, _) = cut(&mut generator, len);
                assert!(pieces.len() > 1 && pieces.iter().all(|piece| !piece.is_empty()));
                assert!(pieces.into_iter().flatten().eq(0..len));
            }
        }
    }
}
