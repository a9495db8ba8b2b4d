//! Small layers of any kind: the results have the same bits on every kernel, on one thread and on two, and
//! whether a sequence is given whole or in two parts.

use std::sync::LazyLock;

use elman::{Config, Element, Generator, Kernel, Nonlinearity, Output, Rnn};
use ndarray::{ArrayD, Axis, Slice};
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
    // Without a batch where it is 0 and a flag says so.
    let batch = (!flag(4) || batch > 0).then_some(usize::from(batch) % 40);
    let (steps, seed) = (usize::from(steps) % 12 + 1, u64::from(seed));
    if flag(5) {
        check::<f64>(&config, steps, batch, seed, numbers);
    } else {
        check::<f32>(&config, steps, batch, seed, numbers);
    }
}

fn check<T: Element>(
    config: &Config,
    steps: usize,
    batch: Option<usize>,
    seed: u64,
    numbers: &[u8],
) {
    let mut generator = Generator::new(seed);
    let rnn = Rnn::<T>::new(config.clone(), &mut generator).unwrap();
    let mut shape: Vec<_> =
        [Some(steps), batch, Some(config.input_size)].into_iter().flatten().collect();
    if config.batch_first && batch.is_some() {
        shape.swap(0, 1);
    }
    let input = array(&shape, &mut generator, numbers);
    let h_0 = array(&rnn.hidden_shape(batch), &mut generator, &[]);
    let pass = |rnn: &Rnn<T>, input: &ArrayD<T>, h_0: &ArrayD<T>| {
        rnn.call(input.view(), Some(h_0.view())).unwrap()
    };
    let want = POOLS[0].install(|| pass(&rnn, &input, &h_0));
    for kernel in Kernel::supported() {
        let rnn = rnn.clone().with_kernel(kernel);
        for (pool, threads) in POOLS.iter().zip(1..) {
            let have = pool.install(|| pass(&rnn, &input, &h_0));
            same(&have, &want, &format!("{} on {threads} threads", kernel.name()));
        }
    }
    if config.bidirectional || steps < 2 {
        return;
    }
    // As a stream has it: h_n of what came before is h_0 of what comes next.
    let time = Axis(usize::from(config.batch_first && batch.is_some()));
    let (first, rest) = (Slice::from(..steps / 2), Slice::from(steps / 2..));
    let before = pass(&rnn, &input.slice_axis(time, first).to_owned(), &h_0);
    let after = pass(&rnn, &input.slice_axis(time, rest).to_owned(), &before.h_n);
    let output = ndarray::concatenate(time, &[before.output.view(), after.output.view()]).unwrap();
    same(&Output { output, ..after }, &want, "in two parts");
}

/// Standard-normal numbers, of which the first ones are replaced by those whose bits are `numbers`.
fn array<T: Element>(shape: &[usize], generator: &mut Generator, numbers: &[u8]) -> ArrayD<T> {
    let mut values = vec![T::from_f64(0.0); shape.iter().product()];
    generator.normal(&mut values);
    for (value, bytes) in values.iter_mut().zip(numbers.as_chunks().0) {
        *value = T::from_f32(f32::from_le_bytes(*bytes));
    }
    ArrayD::from_shape_vec(shape, values).unwrap()
}

#[track_caller]
fn same<T: Element>(have: &Output<T>, want: &Output<T>, how: &str) {
    for (have, want) in [(&have.output, &want.output), (&have.h_n, &want.h_n)] {
        assert_eq!(have.shape(), want.shape(), "{how}");
        let have = have.iter().map(|number| number.to_le_bytes().as_ref().to_vec());
        let want = want.iter().map(|number| number.to_le_bytes().as_ref().to_vec());
        assert!(have.eq(want), "other bits {how}");
    }
}
