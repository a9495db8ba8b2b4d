//! A language model over one sequence, token by token.

use ndarray::{ArrayD, ArrayViewD};

use super::{Encoder, Model, Pool};
use crate::element::Element;
use crate::error::Error;
use crate::memory::{grow, zeros};
use crate::rnn::Stepper;

/// The memory for the steps, in an out-of-memory error.
const BUFFERS: &str = "buffers";

/// A language model over one sequence: it takes the tokens one by one, and gives the values of the next one.
///
/// A step runs on the calling thread. Only a token's first occurrence allocates memory: the pre-activations of its
/// row are kept.
///
/// ```
/// use elman::{Config, Decoder, Encoder, Generation, Generator, Head, Linear, Link, Model, Pool};
/// use elman::{Rnn, Sampler};
/// use ndarray::ArrayD;
///
/// // Four letters as one-hot rows, and a linear layer that gives a value to each of them.
/// let mut generator = Generator::new(0);
/// let rnn = Rnn::<f32>::new(Config::new(4, 8), &mut generator)?;
/// let mut weight = vec![0.0; 4 * 8];
/// generator.uniform(-1.0, 1.0, &mut weight);
/// let weight = ArrayD::from_shape_vec(vec![4, 8], weight).unwrap();
/// let head = Head::new(vec![Link::Linear(Linear::new(&weight, None)?)])?;
/// let decoder = Decoder { pool: Pool::Steps, head, function: None };
/// let model = Model::new(Some(Encoder::one_hot(4)), rnn, decoder)?;
///
/// let mut generation = Generation::new(&model, None)?;
/// generation.pass(2)?;
/// let mut sampler = Sampler::new(1.0, None, 4)?;
/// let mut tokens = Vec::new();
/// for _ in 0..5 {
///     let id = sampler.choose(generation.values(), &mut generator)?;
///     generation.pass(id)?;
///     tokens.push(id);
/// }
/// assert_eq!(tokens, [1, 3, 0, 1, 0]);
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Debug)]
pub struct Generation<'a, T> {
    model: &'a Model<T>,
    encoder: &'a Encoder<T>,
    stepper: Stepper<'a, T>,
    /// Tokens that have been passed.
    steps: usize,
    /// The place of each id's pre-activations among `projected`, (V); `None` before its first occurrence.
    places: Vec<Option<usize>>,
    /// Pre-activations of the first layer, (ids so far, `H_out`).
    projected: Vec<T>,
    /// The row of an id, (`H_in`).
    row: Vec<T>,
    /// Two rows of the head, as wide as its widest.
    head: [Vec<T>; 2],
}

impl<T: Element> Model<T> {
    /// Checks that the model gives, at each step, a value to each of its ids from the ids up to there, and returns its
    /// encoder.
    ///
    /// # Errors
    /// [`Error::Carried`] for a layer with a reverse direction, which has seen the next id; [`Error::Invalid`] without
    /// an encoder, for another number of values than ids, and for a mean or a maximum over steps.
    pub fn check_language(&self) -> Result<&Encoder<T>, Error> {
        self.rnn.check_carried()?;
        let Some(encoder) = &self.encoder else {
            let what = "expected an encoder of ids, an embedding or one-hot rows, got none";
            return Err(Error::invalid("model", what));
        };
        let (ids, width) = (encoder.num_embeddings(), self.rnn.output_size());
        let values = self.decoder.head.out_features().unwrap_or(width);
        if values != ids {
            let what = format!("expected {ids} values, one for each token, got {values}");
            return Err(Error::invalid("head", what));
        }
        match self.decoder.pool {
            Pool::Steps | Pool::Last | Pool::State => Ok(encoder),
            Pool::Mean | Pool::Max => {
                let what = "expected the output of each step or the last one, got one of all steps";
                Err(Error::invalid("pool", what))
            }
        }
    }
}

impl<'a, T: Element> Generation<'a, T> {
    /// A sequence that starts from `h_0`, (`num_layers`, `H_out`), or from zeros. The function of the decoder is left
    /// out.
    ///
    /// # Errors
    /// Those of [`Model::check_language`], [`Error::TensorShape`] for `h_0`, and [`Error::OutOfMemory`].
    pub fn new(model: &'a Model<T>, h_0: Option<ArrayViewD<'_, T>>) -> Result<Self, Error> {
        let encoder = model.check_language()?;
        let stepper = Stepper::new(&model.rnn, h_0)?;
        let width = model.rnn.output_size();
        let buffer = || zeros(&[model.decoder.head.widest(width)], BUFFERS);
        Ok(Generation {
            model,
            encoder,
            stepper,
            steps: 0,
            places: zeros(&[encoder.num_embeddings()], BUFFERS)?,
            projected: Vec::new(),
            row: zeros(&[encoder.features()], BUFFERS)?,
            head: [buffer()?, buffer()?],
        })
    }

    /// Passes the next token.
    ///
    /// # Errors
    /// [`Error::Id`] for an id outside 0 to V - 1; [`Error::OutOfMemory`].
    pub fn pass(&mut self, id: usize) -> Result<(), Error> {
        let size = self.model.rnn.config().hidden_size;
        let count = self.places.len();
        let Some(&place) = self.places.get(id) else {
            let (step, found) = (self.steps, i64::try_from(id).unwrap_or(i64::MAX));
            return Err(Error::Id { step, sequence: 0, found, count });
        };
        let place = match place {
            Some(place) => place,
            None => self.project(id, size)?,
        };
        self.stepper.step(&self.projected[place * size..][..size]);
        self.steps += 1;
        Ok(())
    }

    /// Computes and keeps the pre-activations of an id.
    fn project(&mut self, id: usize, size: usize) -> Result<usize, Error> {
        let used = self.projected.len();
        grow(&mut self.projected, size, BUFFERS, (used + size) * size_of::<T>())?;
        self.projected.resize(used + size, T::ZERO);
        self.encoder.fill(id, &mut self.row);
        self.stepper.project(&self.row, &mut self.projected[used..]);
        let place = used / size;
        self.places[id] = Some(place);
        Ok(place)
    }

    /// The values of the next token, (V), before the function of the decoder: those of the last token's step, or of
    /// `h_0` before the first token.
    pub fn values(&mut self) -> &[T] {
        let (output, head) = (self.stepper.output(), &self.model.decoder.head);
        self.head[0][..output.len()].copy_from_slice(output);
        head.run(self.model.rnn.kernel(), 1, output.len(), &mut self.head);
        &self.head[0][..self.places.len()]
    }

    /// The hidden state after the last token, (`num_layers`, `H_out`).
    pub fn into_state(self) -> ArrayD<T> {
        self.stepper.into_state()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Axis};

    use super::*;
    use crate::memory::array;
    use crate::{
        Batch, Config, Decoder, Function, Generator, Head, Linear, Link, Options, Prediction, Rnn,
    };

    /// A model of `classes` values for 12 tokens.
    fn model(one_hot: bool, classes: usize, config: Config, pool: Pool) -> Model<f32> {
        let mut generator = Generator::new(6);
        let mut normal = |shape: &[usize]| {
            let mut values = vec![0.0; shape.iter().product()];
            generator.normal(&mut values);
            array(shape, values)
        };
        let encoder = if one_hot {
            Encoder::one_hot(config.input_size)
        } else {
            Encoder::embedding(&normal(&[12, config.input_size])).unwrap()
        };
        let width = config.hidden_size * config.num_directions();
        let first = Linear::new(&normal(&[70, width]), Some(&normal(&[70]))).unwrap();
        let second = Linear::new(&normal(&[classes, 70]), None).unwrap();
        let links = vec![Link::Linear(first), Link::Tanh, Link::Linear(second)];
        let head = Head::new(links).unwrap();
        let rnn = Rnn::new(config, &mut generator).unwrap();
        let decoder = Decoder { pool, head, function: Some(Function::Softmax) };
        Model::new(Some(encoder), rnn, decoder).unwrap()
    }

    #[test]
    fn values_have_the_bits_of_a_pass() {
        for (one_hot, num_layers) in [(true, 1), (false, 1), (false, 3)] {
            let input_size = if one_hot { 12 } else { 5 };
            let config = Config { num_layers, ..Config::new(input_size, 33) };
            let model = model(one_hot, 12, config, Pool::Last);
            let ids = [3_usize, 3, 0, 11, 5, 3, 0];
            let decoder = Decoder { pool: Pool::Steps, function: None, ..model.decoder.clone() };
            let whole = Model { decoder, ..model.clone() };
            let batch = Array1::from_iter(ids.map(|id| i64::try_from(id).unwrap())).into_dyn();
            let batch = Batch::of_ids(batch.view(), None, false).unwrap();
            let whole = whole.forward_ids(batch, Options::default()).unwrap();
            let Prediction::Values(expected) = whole.prediction else { panic!("values") };
            let mut generation = Generation::new(&model, None).unwrap();
            for (&id, expected) in ids.iter().zip(expected.axis_iter(Axis(0))) {
                generation.pass(id).unwrap();
                assert_eq!(generation.values(), expected.to_slice().unwrap());
            }
            let last = generation.values().to_vec();
            let state = generation.into_state();
            assert_eq!(state, whole.h_n);
            // A sequence that goes on begins with the values of its state.
            let mut generation = Generation::new(&model, Some(state.view())).unwrap();
            assert_eq!(generation.values(), last);
        }
    }

    #[test]
    fn only_new_tokens_allocate_memory() {
        let model = model(true, 12, Config::new(12, 33), Pool::Steps);
        let mut generation = Generation::new(&model, None).unwrap();
        let mut sampler = crate::Sampler::new(0.7, Some(5), 12).unwrap();
        let mut generator = Generator::new(0);
        (0..12).for_each(|id| generation.pass(id).unwrap());
        let info = allocation_counter::measure(|| {
            for _ in 0..50 {
                let id = sampler.choose(generation.values(), &mut generator).unwrap();
                generation.pass(id).unwrap();
            }
        });
        assert_eq!(info.count_total, 0);
    }

    #[test]
    fn models_that_give_no_values_of_tokens_are_refused() {
        let config = Config::new(5, 8);
        let both = Config { bidirectional: true, ..config.clone() };
        for (classes, config, pool, expected) in [
            (
                13,
                config.clone(),
                Pool::Steps,
                "head: expected 12 values, one for each token, got 13",
            ),
            (12, both, Pool::Steps, "expected one direction, got a bidirectional layer"),
            (12, config, Pool::Mean, "pool: expected the output of each step or the last one"),
        ] {
            let model = model(false, classes, config, pool);
            let error = model.check_language().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let rnn = Rnn::<f32>::new(Config::new(5, 8), &mut Generator::new(0)).unwrap();
        let numbers = Model::new(None, rnn, Decoder::default()).unwrap();
        assert!(
            numbers.check_language().unwrap_err().to_string().starts_with("model: expected an")
        );
        let model = model(false, 12, Config::new(5, 8), Pool::Steps);
        let error = Generation::new(&model, None).unwrap().pass(12).unwrap_err().to_string();
        assert_eq!(error, "input: expected ids from 0 to 11, got 12 at step 0 of sequence 0");
    }
}
