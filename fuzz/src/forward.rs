//! Small layers of any kind: the bytes of a result are the same in every variant of the library's invariance
//! check, and with `batch_first`.

use std::sync::LazyLock;

use elman::check::{ByteDifferences, Case};
use elman::{Config, Element, Generator, Nonlinearity, Rnn};
use ndarray::Array3;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// One thread, and two.
static POOLS: LazyLock<[ThreadPool; 2]> =
    LazyLock::new(|| [1, 2].map(|n| ThreadPoolBuilder::new().num_threads(n).build().unwrap()));

pub fn run(data: &[u8]) {
    let &[flags, layers, input_size, hidden_size, steps, batch, seed, ref numbers @ ..] = data
    else {
        return;
    };
    let flag = |bit: u8| flags >> bit & 1 == 1;
    let config = Config {
        num_layers: usize::from(layers) % 3 + 1,
        nonlinearity: if flag(0) { Nonlinearity::Relu } else { Nonlinearity::Tanh },
        bias: flag(1),
        batch_first: flag(2),
        bidirectional: flag(3),
        ..Config::new(usize::from(input_size) % 40 + 1, usize::from(hidden_size) % 70 + 1)
    };
    let sizes = (usize::from(steps) % 12 + 1, usize::from(batch) % 40);
    let (ragged, seed) = (flag(4), u64::from(seed));
    if flag(5) {
        check::<f64>(&config, sizes, seed, ragged, numbers);
    } else {
        check::<f32>(&config, sizes, seed, ragged, numbers);
    }
}

fn check<T: Element>(
    config: &Config,
    (steps, batch): (usize, usize),
    seed: u64,
    ragged: bool,
    numbers: &[u8],
) {
    let mut generator = Generator::new(seed);
    let time_major = Config { batch_first: false, ..config.clone() };
    let rnn = Rnn::<T>::new(time_major, &mut generator).unwrap();
    let states = config.num_layers * config.num_directions();
    let input = array((steps, batch, config.input_size), &mut generator, numbers);
    let h_0 = array((states, batch, config.hidden_size), &mut generator, &[]);
    let length = |row| if ragged { (row * 7 + steps / 2) % steps + 1 } else { steps };
    let lengths = (0..batch).map(length).collect();
    let case = Case { rnn, input, h_0, lengths };
    case.assert_invariant(&*POOLS, &mut generator);
    if config.batch_first {
        let h_0 = || Some(case.h_0.view().into_dyn());
        let want = case.rnn.call(case.input.view().into_dyn(), h_0()).unwrap();
        let rnn = Rnn::<T>::new(config.clone(), &mut Generator::new(seed)).unwrap();
        let input = case.input.view().permuted_axes([1, 0, 2]).into_dyn();
        let mut have = rnn.call(input, h_0()).unwrap();
        have.output.swap_axes(0, 1);
        assert_eq!(ByteDifferences::between(&want, &have), ByteDifferences::default());
    }
}

/// Standard-normal numbers, of which the first ones are replaced by those whose bits are `numbers`.
fn array<T: Element>(
    shape: (usize, usize, usize),
    generator: &mut Generator,
    numbers: &[u8],
) -> Array3<T> {
    let mut values = vec![T::ZERO; shape.0 * shape.1 * shape.2];
    generator.normal(&mut values);
    for (value, bytes) in values.iter_mut().zip(numbers.as_chunks().0) {
        *value = T::from_f32(f32::from_le_bytes(*bytes));
    }
    Array3::from_shape_vec(shape, values).unwrap()
}
