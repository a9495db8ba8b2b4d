//! The likelihood of sequences under a language model.

use std::iter::Sum;

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, Slice};

use super::function::log_likelihood;
use super::{Encoder, Model, Prediction};
use crate::batch::Batch;
use crate::element::Element;
use crate::element::elementary::{Double, exp};
use crate::error::Error;
use crate::memory::{array, zeros};
use crate::stack::{in_shares, shares};
use crate::{Keep, Options, pack_sequence};

/// The memory for the results, in an out-of-memory error.
const LIKELIHOODS: &str = "likelihoods";

/// Most numbers of the inputs, outputs and values of a part: 16 MB of f32. A guess.
const PART_NUMBERS: usize = 1 << 22;
/// Steps of a part, unless its sequences are shorter or few: enough to use the weights often. A guess.
const PART_STEPS: usize = 64;

/// Multiplications that take as long as one exponential: a guess.
const EXPONENTIAL_WORK: usize = 16;

/// The likelihood of a sequence, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Likelihood {
    /// Ids that were predicted: those of a sequence from its second on.
    pub tokens: usize,
    /// The sum of -ln p over them, in nats.
    pub nll: f64,
}

impl Likelihood {
    /// e^(nll / tokens), the same bits on every machine; NaN without tokens.
    pub fn perplexity(self) -> f64 {
        exp(Double::from(self.nll / self.tokens as f64))
    }
}

impl Sum for Likelihood {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Likelihood::default(), |sum, own| Likelihood {
            tokens: sum.tokens + own.tokens,
            nll: sum.nll + own.nll,
        })
    }
}

impl<T: Element> Model<T> {
    /// The likelihood of each sequence of ids. p is the probability that the model gives to an id after those before it:
    /// the softmax of its values before the function of the decoder, in double precision. A sequence starts from its
    /// column of `h_0`, (`num_layers`, N, `H_out`), or from zeros.
    ///
    /// The sequences pass in parts, on the threads of the current rayon pool; the results depend on neither.
    ///
    /// ```
    /// use elman::{Config, Decoder, Encoder, Generator, Likelihood, Model, Rnn};
    ///
    /// // Without a head, the values are the outputs; with weights of zero they are equal.
    /// let (mut generator, config) = (Generator::new(0), Config::new(4, 4));
    /// let rnn = Rnn::<f32>::new(config.clone(), &mut generator)?;
    /// let zeros = rnn.to_tensors().into_iter().map(|(name, own)| (name, own * 0.0)).collect();
    /// let rnn = Rnn::from_tensors(config, zeros)?;
    /// let model = Model::new(Some(Encoder::one_hot(4)), rnn, Decoder::default())?;
    /// let likelihoods = model.likelihoods(&[vec![0, 3, 1], vec![2]], None)?;
    /// assert_eq!(likelihoods[0], Likelihood { tokens: 2, nll: 2.0 * 4_f64.ln() });
    /// assert!((likelihoods[0].perplexity() - 4.0).abs() < 1e-12);
    /// assert_eq!(likelihoods[1], Likelihood { tokens: 0, nll: 0.0 });
    /// # Ok::<_, elman::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Model::check_language`]; [`Error::Id`], [`Error::TensorShape`] for `h_0`, and
    /// [`Error::OutOfMemory`].
    pub fn likelihoods(
        &self,
        sequences: &[Vec<i64>],
        h_0: Option<&ArrayViewD<'_, T>>,
    ) -> Result<Vec<Likelihood>, Error> {
        let encoder = self.check_language()?;
        let expected = self.rnn.hidden_shape(Some(sequences.len()));
        if let Some(h_0) = h_0.filter(|h_0| h_0.shape() != expected) {
            return Err(Error::hidden_shape(expected, h_0.shape()));
        }
        check_ids(sequences, encoder.num_embeddings())?;
        let width = encoder.features() + self.rnn.output_size() + encoder.num_embeddings();
        let rows = (PART_NUMBERS / width).max(1);
        let each = (rows / PART_STEPS).max(1);
        let mut sums = zeros(&[sequences.len()], LIKELIHOODS)?;
        for (block, first) in sequences.chunks(each).zip((0..).step_by(each)) {
            let own = first..first + block.len();
            let own_h_0 = h_0.map(|h_0| h_0.slice_axis(Axis(1), Slice::from(own.clone())));
            self.add_block(encoder, block, own_h_0, rows / block.len(), &mut sums[own])?;
        }
        Ok(sums)
    }

    /// Adds the terms of some sequences, at most `steps` of each, one or more, at a time.
    fn add_block(
        &self,
        encoder: &Encoder<T>,
        block: &[Vec<i64>],
        h_0: Option<ArrayViewD<'_, T>>,
        steps: usize,
        sums: &mut [Likelihood],
    ) -> Result<(), Error> {
        // The last id has none behind it.
        let given = |sequence: &[i64]| sequence.len().saturating_sub(1);
        let longest = block.iter().map(|own| given(own)).max().unwrap_or(0);
        let mut h = h_0.map(|h_0| h_0.to_owned());
        for start in (0..longest).step_by(steps) {
            let part = |own: &'_ [i64]| start.min(given(own))..(start + steps).min(given(own));
            let views = block.iter().map(|own| {
                let ids = &own[part(own)];
                let view = ArrayViewD::from_shape(IxDyn(&[ids.len(), 1]), ids);
                view.unwrap_or_else(|_| unreachable!("an id for each step"))
            });
            let packed = pack_sequence(&views.collect::<Vec<_>>(), false)?;
            let mut batch = encoder.encode(packed.as_batch()?)?;
            let places: Vec<_> = (0..packed.data.len()).map(|row| batch.place(row)).collect();
            let (values, h_n) = self.values(&mut batch, h.as_ref())?;
            h = Some(h_n);
            let next = places.iter().map(|&(step, n)| block[n][start + step + 1]);
            let terms = terms(&values, &next.collect::<Vec<_>>(), encoder.num_embeddings())?;
            for (&(_, n), term) in places.iter().zip(terms) {
                sums[n].tokens += 1;
                sums[n].nll += term;
            }
        }
        Ok(())
    }

    /// The values of each row before the function of the decoder, (rows, C), and `h_n`.
    fn values(
        &self,
        batch: &mut Batch<'_, T>,
        h_0: Option<&ArrayD<T>>,
    ) -> Result<(Vec<T>, ArrayD<T>), Error> {
        let h_0 = h_0.map(|h_0| h_0.view());
        let options = Options { h_0, keep: Keep::Last, ..Options::default() };
        let (mut layers, h_n) = self.rnn.forward_rows(batch, options)?;
        let (output, width) = (layers.pop().unwrap_or_default(), self.rnn.output_size());
        let rows = array(&[output.len() / width, width], output);
        let decoded = self.decoder.decode_with(None, rows, self.rnn.kernel())?;
        let Prediction::Values(values) = decoded else { unreachable!("no function was asked for") };
        Ok((values.into_raw_vec_and_offset().0, h_n))
    }
}

/// Refuses ids outside 0 to `count` - 1.
fn check_ids(sequences: &[Vec<i64>], count: usize) -> Result<(), Error> {
    let is_id = |found: i64| usize::try_from(found).is_ok_and(|id| id < count);
    for (sequence, ids) in sequences.iter().enumerate() {
        if let Some((step, &found)) = ids.iter().enumerate().find(|(_, found)| !is_id(**found)) {
            return Err(Error::Id { step, sequence, found, count });
        }
    }
    Ok(())
}

/// -ln p of the next id, below C, of each row of `values`, (rows, C). Threads share the rows.
fn terms<T: Element>(values: &[T], next: &[i64], classes: usize) -> Result<Vec<f64>, Error> {
    let mut terms = zeros(&[next.len()], LIKELIHOODS)?;
    let count = shares(next.len(), classes.saturating_mul(EXPONENTIAL_WORK));
    let own = next.len().div_ceil(count).max(1);
    let rows = values.chunks(own * classes).zip(next.chunks(own)).zip(terms.chunks_mut(own));
    in_shares(rows.collect(), |((values, next), terms)| {
        for ((row, &id), term) in values.chunks_exact(classes).zip(next).zip(terms) {
            *term = -log_likelihood(row, usize::try_from(id).unwrap_or_default());
        }
    });
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Decoder, Function, Generator, Head, Linear, Link, Pool, Rnn};

    /// Largest difference from the values of log-softmax, which are rounded to f32.
    const TOLERANCE: f64 = 2e-6;

    fn normal(shape: &[usize], generator: &mut Generator) -> ArrayD<f32> {
        let mut values = vec![0.0; shape.iter().product()];
        generator.normal(&mut values);
        array(shape, values)
    }

    /// A model of 3000 tokens and 64 units: a part has 1351 rows, and a block 21 sequences.
    fn model() -> Model<f32> {
        let mut generator = Generator::new(2);
        let encoder = Encoder::embedding(&normal(&[3000, 40], &mut generator)).unwrap();
        let rnn = Rnn::new(Config { num_layers: 2, ..Config::new(40, 64) }, &mut generator);
        let weight = normal(&[3000, 64], &mut generator);
        let head = Head::new(vec![Link::Linear(Linear::new(&weight, None).unwrap())]).unwrap();
        let decoder = Decoder { pool: Pool::Steps, head, function: Some(Function::LogSoftmax) };
        Model::new(Some(encoder), rnn.unwrap(), decoder).unwrap()
    }

    fn sequences(lengths: &[usize]) -> Vec<Vec<i64>> {
        let id = |i: usize| i64::try_from(i * 7919 % 3000).unwrap();
        let own = |(n, &len): (usize, &usize)| (0..len).map(|i| id(n * 31 + i)).collect();
        lengths.iter().enumerate().map(own).collect()
    }

    #[test]
    fn sums_are_those_of_log_softmax() {
        let (model, mut generator) = (model(), Generator::new(5));
        // More sequences than a block has, and more steps than a part.
        let all = sequences(&[
            3, 0, 1, 2, 70, 5, 5, 9, 40, 1, 6, 3, 150, 12, 1, 0, 2, 8, 4, 20, 31, 4, 2,
        ]);
        let h_0 = normal(&[2, all.len(), 64], &mut generator);
        for h_0 in [None, Some(&h_0)] {
            let view = || h_0.map(|h_0| h_0.view());
            let found = model.likelihoods(&all, view().as_ref()).unwrap();
            for (n, own) in all.iter().enumerate() {
                let mut expected = 0.0;
                if own.len() > 1 {
                    let ids = array(&[own.len()], own.clone());
                    let h_0 = view().map(|h_0| h_0.index_axis_move(Axis(1), n));
                    let batch = Batch::of_ids(ids.view(), None, false).unwrap();
                    let options = Options { h_0, ..Options::default() };
                    let result = model.forward_ids(batch, options).unwrap();
                    let Prediction::Values(values) = result.prediction else { panic!("values") };
                    for (t, &id) in own.iter().enumerate().skip(1) {
                        let id = usize::try_from(id).unwrap();
                        expected -= f64::from(values[[t - 1, id]]);
                    }
                }
                let difference = (found[n].nll - expected).abs();
                assert!(difference <= TOLERANCE * own.len() as f64, "{n}: {difference:e}");
                // Other sequences do not change a bit.
                let h_0 = view().map(|h_0| h_0.slice_axis_move(Axis(1), Slice::from(n..=n)));
                let alone = model.likelihoods(std::slice::from_ref(own), h_0.as_ref()).unwrap();
                assert_eq!(alone[0], found[n]);
                assert_eq!(found[n].tokens, own.len().saturating_sub(1));
            }
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let (model, all) = (model(), sequences(&[60, 30, 3]));
        let sums = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| model.likelihoods(&all, None)).unwrap()
        };
        assert_eq!(sums(1), sums(3));
    }

    #[test]
    fn wrong_ids_and_states_are_refused() {
        let model = model();
        let error = model.likelihoods(&[vec![0], vec![1, 3000]], None).unwrap_err();
        let expected = "input: expected ids from 0 to 2999, got 3000 at step 1 of sequence 1";
        assert_eq!(error.to_string(), expected);
        let h_0 = ArrayD::zeros(vec![2, 3, 64]);
        let error = model.likelihoods(&[vec![0]], Some(&h_0.view())).unwrap_err();
        assert_eq!(error.to_string(), "h_0: expected shape [2, 1, 64], got [2, 3, 64]");
    }
}
