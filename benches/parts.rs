//! The parts of a forward pass, each in a shape where it takes nearly all of the time.
//!
//! `cargo bench --bench parts`. Each part runs on one thread, on the fastest kernel that this CPU supports.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use elman::{Config, Generator, Nonlinearity, Rnn};
use ndarray::Array3;

/// A shape, and the part that it shows.
struct Part {
    name: &'static str,
    steps: usize,
    batch: usize,
    input_size: usize,
    hidden_size: usize,
    nonlinearity: Nonlinearity,
}

const PARTS: [Part; 6] = [
    part("latency of a step: one row, 64 units", 1000, 1, 1, 64, Nonlinearity::Tanh),
    part("reading weights: one row, 512 units", 100, 1, 1, 512, Nonlinearity::Tanh),
    part("tiles, weights in the cache: 64 rows, 256 units", 20, 64, 1, 256, Nonlinearity::Tanh),
    part("tiles, weights beyond it: 64 rows, 1760 units", 2, 64, 1, 1760, Nonlinearity::Tanh),
    part("projection: 1024 features to 256", 1, 1024, 1024, 256, Nonlinearity::Relu),
    part("tanh: 4096 rows, 16 units", 20, 4096, 1, 16, Nonlinearity::Tanh),
];

const fn part(
    name: &'static str,
    steps: usize,
    batch: usize,
    input_size: usize,
    hidden_size: usize,
    nonlinearity: Nonlinearity,
) -> Part {
    Part { name, steps, batch, input_size, hidden_size, nonlinearity }
}

fn parts(criterion: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let mut group = criterion.benchmark_group("forward");
    for part in &PARTS {
        let mut generator = Generator::new(0);
        let nonlinearity = part.nonlinearity;
        let config = Config { nonlinearity, ..Config::new(part.input_size, part.hidden_size) };
        let rnn = Rnn::<f32>::new(config, &mut generator).expect("a layer");
        let input = Array3::from_elem((part.steps, part.batch, part.input_size), 0.5);
        let products =
            part.steps * part.batch * part.hidden_size * (part.input_size + part.hidden_size);
        group.throughput(Throughput::Elements(2 * products as u64));
        group.bench_function(BenchmarkId::from_parameter(part.name), |bencher| {
            pool.install(|| {
                bencher.iter(|| rnn.call(input.view().into_dyn(), None));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
