//! The parts of a model around its RNN: an encoder of ids before it, a decoder behind it.
//!
//! An [`Encoder`] turns ids into rows. A [`Decoder`] pools the outputs, passes them through linear layers on the RNN's
//! kernel, and applies a function to their last axis. Both work on the canonical rows of a part of the batch, so that a
//! model can also be applied part by part, and the results do not depend on the parts.
//!
//! A model that gives a value to each of its ids is a language model: a [`Generation`] steps one sequence, a [`Sampler`]
//! chooses its next id, and [`Model::likelihoods`] scores whole sequences.
//!
//! This module does not know files: `checkpoint` finds the tensors.

mod config;
mod decoder;
mod encoder;
mod function;
mod generation;
mod head;
mod likelihood;
mod names;
mod pool;
mod prediction;
mod sampler;
mod vocabulary;

use ndarray::ArrayD;

use crate::batch::Batch;
use crate::element::Element;
use crate::error::Error;
use crate::memory::array;
use crate::stack::worthwhile;
use crate::{Keep, Kernel, Options, Rnn};

pub use config::{EncoderConfig, LinkConfig, ModelConfig};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use function::Function;
pub use generation::Generation;
pub use head::{Head, Linear, Link};
pub use likelihood::Likelihood;
pub use pool::{Pool, Pooling};
pub use prediction::Prediction;
pub use sampler::Sampler;
pub use vocabulary::{Tokens, Vocabulary, parse_labels};

/// An encoder, an RNN and a decoder, whose sizes fit together.
///
/// ```
/// use elman::{Batch, Config, Decoder, Encoder, Function, Generator, Head, Linear, Link, Model};
/// use elman::{Options, Pool, Prediction, Rnn};
/// use ndarray::{ArrayD, arr2};
///
/// // Four letters as one-hot rows, the last state, and a linear layer for three classes.
/// let rnn = Rnn::<f32>::new(Config::new(4, 8), &mut Generator::new(0))?;
/// let linear = Linear::new(&ArrayD::ones(vec![3, 8]), None)?;
/// let head = Head::new(vec![Link::Linear(linear)])?;
/// let decoder = Decoder { pool: Pool::State, head, function: Some(Function::Softmax) };
/// let model = Model::new(Some(Encoder::one_hot(4)), rnn, decoder)?;
///
/// // Two sequences of three and two letters, (L, N).
/// let ids = arr2(&[[0_i64, 3], [2, 1], [1, 0]]).into_dyn();
/// let ids = Batch::of_ids(ids.view(), Some(&[3, 2]), false)?;
/// let Prediction::Values(likely) = model.forward_ids(ids, Options::default())?.prediction
/// else { panic!("softmax gives values") };
/// assert_eq!(likely.shape(), [2, 3]);
/// assert_eq!(likely[[0, 0]], 1.0 / 3.0);
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model<T> {
    encoder: Option<Encoder<T>>,
    rnn: Rnn<T>,
    decoder: Decoder<T>,
}

/// Result of a model's forward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOutput<T> {
    /// The decoder's results: for each step in the form of the input, as [`Output::output`](crate::Output) has them; or,
    /// if it pools, for each sequence, (N, ..), or (..) for unbatched input. Classes have no last axis. Values behind
    /// the end of a sequence are the padding, and indices there are -1; so are all those of a pooled sequence of length
    /// 0.
    pub prediction: Prediction<T>,
    /// The last hidden state of every layer and direction, as [`Output::h_n`](crate::Output).
    pub h_n: ArrayD<T>,
}

impl<T: Element> Model<T> {
    /// A model of these parts. Without an encoder it takes rows of `H_in` numbers.
    ///
    /// # Errors
    /// [`Error::Features`] if a part does not fit the one before it, and the other errors of [`Decoder::check`].
    pub fn new(
        encoder: Option<Encoder<T>>,
        rnn: Rnn<T>,
        decoder: Decoder<T>,
    ) -> Result<Self, Error> {
        if let Some(encoder) = &encoder {
            let (expected, found) = (encoder.features(), rnn.config().input_size);
            if expected != found {
                return Err(Error::Features { name: "the RNN", expected, found });
            }
        }
        decoder.check(rnn.output_size())?;
        Ok(Model { encoder, rnn, decoder })
    }

    /// The same model on another kernel. The results have the same bits.
    #[must_use]
    pub fn with_kernel(self, kernel: Kernel) -> Self {
        Model { rnn: self.rnn.with_kernel(kernel), ..self }
    }

    /// Whether a pass over a batch of rows is too small to share, as [`Rnn::is_serial`] has it.
    pub fn is_serial(&self, batch: &Batch<'_, T>) -> bool {
        let rows =
            if self.decoder.pool == Pool::Steps { batch.sizes.rows() } else { batch.sequences };
        self.rnn.is_serial(batch) && worthwhile(rows, self.decoder.head.work()) == 1
    }

    /// The encoder, if the input holds ids.
    pub fn encoder(&self) -> Option<&Encoder<T>> {
        self.encoder.as_ref()
    }

    /// The layer.
    pub fn rnn(&self) -> &Rnn<T> {
        &self.rnn
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder<T> {
        &self.decoder
    }

    /// The prediction for ids, which the encoder turns into rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a model without an encoder; those of [`Encoder::encode`] and [`Model::forward`].
    pub fn forward_ids(
        &self,
        ids: Batch<'_, i64>,
        options: Options<'_, T>,
    ) -> Result<ModelOutput<T>, Error> {
        let Some(encoder) = &self.encoder else {
            let what = "expected rows of numbers, because the model has no encoder, got ids";
            return Err(Error::invalid("input", what));
        };
        self.forward(encoder.encode(ids)?, options)
    }

    /// The prediction for rows of `H_in` numbers. The outputs of lower layers are not kept.
    ///
    /// # Errors
    /// Those of [`Rnn::forward`], and [`Error::OutOfMemory`].
    pub fn forward(
        &self,
        mut batch: Batch<'_, T>,
        options: Options<'_, T>,
    ) -> Result<ModelOutput<T>, Error> {
        let (padding, width) = (options.padding, self.rnn.output_size());
        let options = Options { keep: Keep::Last, ..options };
        let (mut layers, h_n) = self.rnn.forward_rows(&mut batch, options)?;
        let output = layers.pop().unwrap_or_else(|| unreachable!("a pass without an output"));
        let Decoder { pool, .. } = self.decoder;
        if pool == Pool::Steps {
            let rows = array(&[output.len() / width, width], output);
            let decoded = self.decoder.decode(rows, self.rnn.kernel())?;
            return Ok(ModelOutput { prediction: decoded.restore(&batch, &padding)?, h_n });
        }
        let unbatched = batch.batched().is_none();
        let mut pooling = Pooling::new(pool, batch.sequences(), width)?;
        pooling.add(|n| n, &batch.with_rows(output, width));
        let kernel = self.rnn.kernel();
        let prediction = self.decoder.decode_pooled(pooling, &h_n, padding.value, kernel)?;
        let prediction = if unbatched { prediction.of_one() } else { prediction };
        Ok(ModelOutput { prediction, h_n })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, Slice};

    use super::*;
    use crate::kernel::Registers;
    use crate::{Config, Generator, Nonlinearity, Padding};

    /// Lengths of the sequences of the tests.
    const LENGTHS: [usize; 5] = [3, 0, 7, 7, 1];
    /// Largest difference between a head's sigmoid and that of sums in f64: the sums reach some tens, whose last digit
    /// is worth 4e-6, and a sigmoid is at most a quarter as steep.
    const TOLERANCE: f64 = 4e-6;

    fn normal<T: Element>(shape: &[usize], generator: &mut Generator) -> ArrayD<T> {
        let mut values = vec![T::ZERO; shape.iter().product()];
        generator.normal(&mut values);
        array(shape, values)
    }

    fn linear<T: Element>(out: usize, features: usize, generator: &mut Generator) -> Link<T> {
        let (weight, bias) = (normal(&[out, features], generator), normal(&[out], generator));
        Link::Linear(Linear::new(&weight, Some(&bias)).unwrap())
    }

    /// A model of 70 features and two directions, so that a sum has more than one chain.
    fn model<T: Element>(pool: Pool, function: Option<Function>) -> Model<T> {
        let mut generator = Generator::new(3);
        let config = Config { bidirectional: true, num_layers: 2, ..Config::new(4, 70) };
        let encoder = Encoder::embedding(&normal(&[6, 4], &mut generator)).unwrap();
        let rnn = Rnn::new(config, &mut generator).unwrap();
        let links = vec![
            Link::Tanh,
            linear(33, 140, &mut generator),
            Link::Relu,
            linear(5, 33, &mut generator),
            Link::Sigmoid,
        ];
        let decoder = Decoder { pool, head: Head::new(links).unwrap(), function };
        Model::new(Some(encoder), rnn, decoder).unwrap()
    }

    /// Ids (L, N); those behind the end of a sequence do not exist.
    fn ids() -> ArrayD<i64> {
        ArrayD::from_shape_fn(vec![7, 5], |at| {
            if at[0] < LENGTHS[at[1]] {
                i64::try_from((3 * at[0] + 5 * at[1]) % 6).unwrap()
            } else {
                99
            }
        })
    }

    fn predict<T: Element>(
        model: &Model<T>,
        ids: &ArrayD<i64>,
        lengths: &[usize],
    ) -> Prediction<T> {
        let batch = Batch::of_ids(ids.view(), Some(lengths), false).unwrap();
        let padding = Padding { value: T::from_f64(7.5), total_length: None };
        let options = Options { padding, ..Options::default() };
        model.forward_ids(batch, options).unwrap().prediction
    }

    fn values<T: Element>(prediction: Prediction<T>) -> ArrayD<T> {
        let Prediction::Values(values) = prediction else { panic!("{prediction:?}") };
        values
    }

    #[test]
    fn every_pool_gives_the_rows_of_each_sequence() {
        let hidden: Model<f32> = {
            let Model { encoder, rnn, .. } = model(Pool::Steps, None);
            Model::new(encoder, rnn, Decoder::default()).unwrap()
        };
        let ids = ids();
        let batch = Batch::of_ids(ids.view(), Some(&LENGTHS), false).unwrap();
        let ModelOutput { prediction, h_n } =
            hidden.forward_ids(batch, Options::default()).unwrap();
        let output = values(prediction);
        for pool in [Pool::Last, Pool::State, Pool::Mean, Pool::Max] {
            let Model { encoder, rnn, .. } = model::<f32>(pool, None);
            let decoder = Decoder { pool, ..Decoder::default() };
            let model = Model::new(encoder, rnn, decoder).unwrap();
            let found = values(predict(&model, &ids, &LENGTHS));
            assert_eq!(found.shape(), [5, 140]);
            for (n, &len) in LENGTHS.iter().enumerate() {
                for unit in 0..140 {
                    let steps = || (0..len).map(|t| output[[t, n, unit]]);
                    let mean = steps().map(f64::from).sum::<f64>() / len as f64;
                    let expected = match pool {
                        _ if len == 0 => 7.5,
                        Pool::State => h_n[[2 + unit / 70, n, unit % 70]],
                        Pool::Mean => f32::from_f64(mean),
                        Pool::Max => steps().fold(f32::NEG_INFINITY, f32::max),
                        _ => output[[len - 1, n, unit]],
                    };
                    let found = found[[n, unit]];
                    assert_eq!(found.to_bits(), expected.to_bits(), "{pool:?} [{n}, {unit}]");
                }
            }
        }
    }

    #[test]
    fn a_head_is_its_layers_one_after_the_other() {
        let model = model::<f32>(Pool::Steps, None);
        let rows = normal::<f32>(&[150, 140], &mut Generator::new(8));
        let found = values(model.decoder.decode(rows.clone(), Kernel::best()).unwrap());
        let mut generator = Generator::new(3);
        normal::<f32>(&[6, 4], &mut generator);
        Rnn::<f32>::new(model.rnn.config().clone(), &mut generator).unwrap();
        let mut x: ArrayD<f64> = rows.mapv(|x| f64::from(x).tanh());
        for (out, features) in [(33, 140), (5, 33)] {
            let weight: ArrayD<f32> = normal(&[out, features], &mut generator);
            let bias: ArrayD<f32> = normal(&[out], &mut generator);
            x = ArrayD::from_shape_fn(vec![150, out], |at| {
                let products = (0..features).map(|k| x[[at[0], k]] * f64::from(weight[[at[1], k]]));
                let sum = f64::from(bias[at[1]]) + products.sum::<f64>();
                if out == 33 { sum.max(0.0) } else { 1.0 / (1.0 + (-sum).exp()) }
            });
        }
        for (at, &found) in found.indexed_iter() {
            let difference = (f64::from(found) - x[&at]).abs();
            assert!(difference <= TOLERANCE, "{at:?}: {difference:e}");
        }
    }

    /// The bits of a prediction.
    fn bits<T: Element>(prediction: &Prediction<T>) -> Vec<u8> {
        let numbers = |values: &ArrayD<T>| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes().as_ref().to_vec())
                .collect::<Vec<_>>()
        };
        let whole = |classes: &ArrayD<i64>| {
            classes.iter().flat_map(|class| class.to_le_bytes()).collect::<Vec<_>>()
        };
        match prediction {
            Prediction::Values(values) => numbers(values),
            Prediction::Classes(classes) => whole(classes),
            Prediction::Top { values, indices } => [numbers(values), whole(indices)].concat(),
        }
    }

    fn check_invariance<T: Element>() {
        let functions = [
            None,
            Some(Function::Softmax),
            Some(Function::LogSoftmax),
            Some(Function::Sigmoid),
            Some(Function::Argmax),
            Some(Function::Top(3)),
        ];
        for pool in [Pool::Steps, Pool::Last, Pool::State, Pool::Mean, Pool::Max] {
            for function in functions {
                let model = model::<T>(pool, function);
                let expected = bits(&predict(&model, &ids(), &LENGTHS));
                for kernel in Kernel::supported() {
                    let other = model.clone().with_kernel(kernel);
                    assert_eq!(bits(&predict(&other, &ids(), &LENGTHS)), expected, "{kernel:?}");
                }
                // Each sequence alone has its own share of the bytes.
                let each = expected.len() / if pool == Pool::Steps { 7 * 5 } else { 5 };
                for (n, &len) in LENGTHS.iter().enumerate().filter(|(_, len)| **len > 0) {
                    if matches!(function, Some(Function::Top(_))) {
                        continue;
                    }
                    let own = ids();
                    let own = own.index_axis_move(Axis(1), n);
                    let own = own.slice_axis(Axis(0), Slice::from(..len));
                    let batch = Batch::of_ids(own, None, false).unwrap();
                    let found = model.forward_ids(batch, Options::default()).unwrap().prediction;
                    let found = bits(&found);
                    for (t, found) in found.chunks(each).enumerate() {
                        let place = if pool == Pool::Steps { t * 5 + n } else { n };
                        let expected = &expected[place * each..][..each];
                        assert_eq!(found, expected, "{pool:?}, {function:?}, [{t}, {n}]");
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_depend_neither_on_the_batch_nor_on_the_kernel() {
        check_invariance::<f32>();
        check_invariance::<f64>();
    }

    #[test]
    fn threads_do_not_change_a_byte() {
        let model = model::<f32>(Pool::Steps, Some(Function::LogSoftmax));
        let rows = normal::<f32>(&[2000, 140], &mut Generator::new(8));
        let decode = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let shares = crate::stack::shares(2000, model.decoder.head.work());
                assert!(threads == 1 || shares > 1, "{threads} threads, {shares} shares");
                model.decoder.decode(rows.clone(), Kernel::best()).unwrap()
            })
        };
        let one = bits(&decode(1));
        assert_eq!(bits(&decode(2)), one);
        assert_eq!(bits(&decode(5)), one);
    }

    #[test]
    fn padding_and_empty_sequences_have_no_class() {
        let model = model::<f32>(Pool::Steps, Some(Function::Top(2)));
        let Prediction::Top { values, indices } = predict(&model, &ids(), &LENGTHS) else {
            panic!("the largest values")
        };
        assert_eq!((values.shape(), indices.shape()), (&[7, 5, 2][..], &[7, 5, 2][..]));
        for (at, &index) in indices.indexed_iter() {
            let behind = at[0] >= LENGTHS[at[1]];
            assert_eq!(
                (index == -1, values[&at].to_bits() == 7.5_f32.to_bits()),
                (behind, behind),
                "{at:?}"
            );
        }
        let model = self::model::<f32>(Pool::Mean, Some(Function::Argmax));
        let Prediction::Classes(classes) = predict(&model, &ids(), &LENGTHS) else {
            panic!("classes")
        };
        assert_eq!(
            classes.iter().map(|&class| class == -1).collect::<Vec<_>>(),
            LENGTHS.map(|len| len == 0)
        );
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let mut generator = Generator::new(0);
        let config = Config { nonlinearity: Nonlinearity::Relu, ..Config::new(4, 8) };
        let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
        let refused =
            |encoder, decoder| Model::new(encoder, rnn.clone(), decoder).unwrap_err().to_string();
        assert_eq!(
            refused(Some(Encoder::one_hot(5)), Decoder::default()),
            "the RNN: expected 5 features, as the part before it puts out, got 4"
        );
        let head = Head::new(vec![linear(3, 9, &mut generator)]).unwrap();
        let decoder = Decoder { head, ..Decoder::default() };
        assert_eq!(
            refused(None, decoder),
            "the first linear layer: expected 8 features, as the part before it puts out, got 9"
        );
        let links = vec![linear::<f32>(3, 8, &mut generator), linear(2, 4, &mut generator)];
        assert_eq!(
            Head::new(links).unwrap_err().to_string(),
            "the next linear layer: expected 3 features, as the part before it puts out, got 4"
        );
        let decoder = Decoder { function: Some(Function::Top(9)), ..Decoder::default() };
        assert_eq!(
            refused(None, decoder),
            "top: expected from 1 to 8, the number of classes, got 9"
        );
    }
}
