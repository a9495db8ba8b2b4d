//! `rnn bench`: times the forward pass in process. Weights are packed before, and no file is touched.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use elman::files::Dtype;
use elman::{Config, Element, Generator, Kernel, Random, Rnn};
use ndarray::Array3;
use serde_json::{Value, json};

use crate::args::{Bench, BenchForm};
use crate::invariance;
use crate::peak;
use crate::progress;
use crate::threads;

/// Fewest runs that a median is taken of.
const MIN_RUNS: usize = 3;
/// Most runs: more would only take memory for their times.
const MAX_RUNS: usize = 1_000_000;

pub(crate) fn bench(args: &Bench) -> Result<()> {
    if args.peak {
        return peak::print(args);
    }
    if args.check {
        return invariance::print(args);
    }
    let shapes = shapes(args);
    let progress = progress::things(shapes.len());
    let mut timings = Vec::new();
    for shape in shapes {
        progress.set_message(format!("{}, {} x {}", shape.config, shape.seq_len, shape.batch));
        timings.push(match args.dtype {
            Dtype::F32 => time::<f32>(args, shape)?,
            Dtype::F64 => time::<f64>(args, shape)?,
        });
        progress.inc(1);
    }
    progress.finish_and_clear();
    let text = match args.report {
        BenchForm::None => return Ok(()),
        BenchForm::Text => timings.iter().map(Timing::text).collect(),
        BenchForm::Json => json_of(&timings),
        BenchForm::Markdown => markdown(&timings),
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// One thing to be timed.
struct Shape {
    config: Config,
    seq_len: usize,
    batch: usize,
    threads: Option<usize>,
}

/// Every combination of the sizes that were listed.
fn shapes(args: &Bench) -> Vec<Shape> {
    let threads = if args.threads.is_empty() {
        vec![None]
    } else {
        args.threads.iter().map(|&threads| Some(threads)).collect()
    };
    let mut shapes = Vec::new();
    for &threads in &threads {
        for &num_layers in &args.num_layers {
            for &hidden_size in &args.hidden_size {
                for &input_size in &args.input_size {
                    let config = Config {
                        num_layers,
                        nonlinearity: args.nonlinearity,
                        bidirectional: args.bidirectional,
                        ..Config::new(input_size, hidden_size)
                    };
                    for &batch in &args.batch {
                        shapes.extend(args.seq_len.iter().map(|&seq_len| Shape {
                            config: config.clone(),
                            seq_len,
                            batch,
                            threads,
                        }));
                    }
                }
            }
        }
    }
    shapes
}

/// What came out for one shape.
struct Timing {
    shape: Shape,
    dtype: Dtype,
    kernel: Kernel,
    threads: usize,
    /// Seconds of each run, in ascending order.
    seconds: Vec<f64>,
    gflops: f64,
    /// Of the peak of as many cores, measured beside it.
    share_of_peak: f64,
}

fn time<T: Element + Random>(args: &Bench, shape: Shape) -> Result<Timing> {
    let mut generator = Generator::new(Generator::DEFAULT_SEED);
    let kernel = args.kernel.unwrap_or_else(Kernel::best);
    let rnn = Rnn::<T>::new(shape.config.clone(), &mut generator)?.with_kernel(kernel);
    let mut values = elman::zeros(&[shape.seq_len, shape.batch, shape.config.input_size], "input")?;
    generator.normal(&mut values);
    let input =
        Array3::from_shape_vec((shape.seq_len, shape.batch, shape.config.input_size), values)?;
    let pool = threads::pool(shape.threads, &mut Vec::new())?;
    let threads = pool.current_num_threads();
    let seconds = pool.install(|| repeat(args, &rnn, &input))?;
    let gflops = flops(&shape) / quantile(&seconds, 0.5) / 1e9;
    let share_of_peak = gflops / peak::multiply_adds::<T>(kernel, &pool);
    Ok(Timing { shape, dtype: args.dtype, kernel, threads, seconds, gflops, share_of_peak })
}

/// Seconds of each run, in ascending order.
fn repeat<T: Element>(args: &Bench, rnn: &Rnn<T>, input: &Array3<T>) -> Result<Vec<f64>> {
    let forward = || rnn.call(input.view().into_dyn(), None);
    for _ in 0..args.warmup {
        forward()?;
    }
    let start = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < MIN_RUNS
        || (start.elapsed().as_secs_f64() < args.min_time && seconds.len() < MAX_RUNS)
    {
        let run = Instant::now();
        let result = forward()?;
        seconds.push(run.elapsed().as_secs_f64());
        drop(result);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

/// The smallest of `sorted` that a share `q` of them do not exceed.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the length")]
    let rank = (sorted.len() as f64 * q).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Multiplications and additions of one forward pass; what tanh and the biases take is not counted.
fn flops(shape: &Shape) -> f64 {
    let config = &shape.config;
    let rows = shape.seq_len as f64 * shape.batch as f64 * config.num_directions() as f64;
    let features = (0..config.num_layers)
        .map(|layer| config.layer_input_size(layer) as f64 + config.hidden_size as f64);
    2.0 * rows * config.hidden_size as f64 * features.sum::<f64>()
}

impl Timing {
    fn text(&self) -> String {
        let Shape { config, seq_len, batch, .. } = &self.shape;
        let us = |q: f64| quantile(&self.seconds, q) * 1e6;
        format!(
            "{config}, {}, {}, seq_len {seq_len}, batch {batch}\n\
             median {:.3} us, minimum {:.3}, p90 {:.3}, p99 {:.3}, of {} runs\n\
             {:.1} GF/s, {:.0} % of the peak, kernel {}, threads {}\n",
            config.nonlinearity,
            self.dtype,
            us(0.5),
            us(0.0),
            us(0.9),
            us(0.99),
            self.seconds.len(),
            self.gflops,
            self.share_of_peak * 100.0,
            self.kernel.name(),
            self.threads,
        )
    }

    fn json(&self) -> Value {
        let Shape { config, seq_len, batch, .. } = &self.shape;
        json!({
            "layer": config.to_string(),
            "nonlinearity": config.nonlinearity.to_string(),
            "dtype": self.dtype.to_string(),
            "seq_len": seq_len,
            "batch": batch,
            "median_s": quantile(&self.seconds, 0.5),
            "min_s": quantile(&self.seconds, 0.0),
            "p90_s": quantile(&self.seconds, 0.9),
            "p99_s": quantile(&self.seconds, 0.99),
            "runs": self.seconds.len(),
            "gflops": self.gflops,
            "share_of_peak": self.share_of_peak,
            "kernel": self.kernel.name(),
            "threads": self.threads,
        })
    }

    fn markdown(&self) -> String {
        let Shape { config, seq_len, batch, .. } = &self.shape;
        format!(
            "| {config} | {seq_len} | {batch} | {} | {:.4} | {:.4} | {:.4} | {:.1} | {:.0} % |\n",
            self.threads,
            quantile(&self.seconds, 0.5) * 1e3,
            quantile(&self.seconds, 0.0) * 1e3,
            quantile(&self.seconds, 0.99) * 1e3,
            self.gflops,
            self.share_of_peak * 100.0,
        )
    }
}

fn json_of(timings: &[Timing]) -> String {
    let values: Vec<_> = timings.iter().map(Timing::json).collect();
    match values.as_slice() {
        [one] => format!("{one}\n"),
        all => format!("{}\n", json!(all)),
    }
}

fn markdown(timings: &[Timing]) -> String {
    let head = "| layer | seq_len | batch | threads | median ms | minimum ms | p99 ms | GF/s | of the peak |\n\
                |---|---|---|---|---|---|---|---|---|\n";
    head.to_owned() + &timings.iter().map(Timing::markdown).collect::<String>()
}
