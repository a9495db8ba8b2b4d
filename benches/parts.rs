//! The parts of a forward pass, each on a shape that spends nearly all of its time in it.
//!
//! `cargo bench --bench parts`. The parts run on one thread, and the ways to use two threads on one and on two, each
//! on the fastest kernel that this CPU supports.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use elman::{Config, Generator, Nonlinearity, Rnn};
use ndarray::Array3;

/// A shape, and the part that it shows.
struct Part {
    name: &'static str,
    /// L and N.
    input: [usize; 2],
    config: Config,
    /// The most threads that it runs on.
    threads: usize,
}

fn parts() -> Vec<Part> {
    let part = |name, input, [input_size, hidden_size]: [usize; 2]| Part {
        name,
        input,
        config: Config::new(input_size, hidden_size),
        threads: 1,
    };
    let mut parts = vec![
        part("latency of a step: one row, 64 units", [1000, 1], [1, 64]),
        part("reading weights: one row, 512 units", [100, 1], [1, 512]),
        part("tiles, weights in the cache: 64 rows, 256 units", [20, 64], [1, 256]),
        part("tiles, weights beyond it: 64 rows, 1760 units", [2, 64], [1, 1760]),
        part("projection: 1024 features to 256", [1, 1024], [1024, 256]),
        part("tanh: 4096 rows, 16 units", [20, 4096], [1, 16]),
        part("both directions: one row, 128 units", [2000, 1], [64, 128]),
        part("both directions: 4 rows, 256 units", [200, 4], [128, 256]),
        part("layers at the same time: 8 rows, 6 layers of 128 units", [100, 8], [64, 128]),
        part("layers at the same time: one row, 2 layers of 64 units", [10_000, 1], [16, 64]),
    ];
    parts[4].config.nonlinearity = Nonlinearity::Relu;
    for (index, part) in parts.iter_mut().enumerate().skip(6) {
        part.threads = 2;
        part.config.bidirectional = index < 8;
        part.config.num_layers = [1, 1, 6, 2][index - 6];
    }
    parts
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    for Part { name, input: [steps, batch], config, threads } in parts() {
        let input = Array3::from_elem((steps, batch, config.input_size), 0.5);
        let numbers = config.num_parameters().expect("a small layer");
        group.throughput(Throughput::Elements(2 * (steps * batch * numbers) as u64));
        let rnn = Rnn::<f32>::new(config, &mut Generator::new(0)).expect("a layer");
        for threads in 1..=threads {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                pool.install(|| bencher.iter(|| rnn.call(input.view().into_dyn(), None)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
