//! `rnn bench`: the time of the forward pass, in process. Weights are packed before, and no file is touched.

use std::time::Instant;

use anyhow::Result;
use elman::{Config, Dtype, Element, Generator, Kernel, Rnn};
use ndarray::Array3;
use serde::Serialize;
use serde_json::json;

use crate::args::{Bench, BenchForm};
use crate::report::print;
use crate::{invariance, peak, progress, threads};

/// Fewest runs for a median.
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
    let workloads = workloads(args);
    let progress = progress::things(workloads.len());
    let mut timings = Vec::new();
    for workload in workloads {
        let Workload { config, seq_len, batch, .. } = &workload;
        progress.display.set_message(format!("{config}, {seq_len} x {batch}"));
        timings.push(match args.dtype {
            Dtype::F32 => time::<f32>(args, &workload)?,
            Dtype::F64 => time::<f64>(args, &workload)?,
        });
        progress.inc(1);
    }
    progress.display.finish_and_clear();
    match (args.report, timings.as_slice()) {
        (BenchForm::None, _) => Ok(()),
        (BenchForm::Text, all) => print(&all.iter().map(Timing::text).collect::<String>(), false),
        (BenchForm::Json, [one]) => print(&format!("{}\n", json!(one)), false),
        (BenchForm::Json, all) => print(&format!("{}\n", json!(all)), false),
        (BenchForm::Markdown, all) => print(&markdown(all), false),
    }
}

/// One shape to be timed.
struct Workload {
    config: Config,
    seq_len: usize,
    batch: usize,
    threads: Option<usize>,
}

/// Every combination of the listed sizes.
fn workloads(args: &Bench) -> Vec<Workload> {
    let mut threads: Vec<_> = args.threads.iter().copied().map(Some).collect();
    if threads.is_empty() {
        threads.push(None);
    }
    let mut workloads = Vec::new();
    for threads in threads {
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
                        for &seq_len in &args.seq_len {
                            let config = config.clone();
                            workloads.push(Workload { config, seq_len, batch, threads });
                        }
                    }
                }
            }
        }
    }
    workloads
}

/// The result for one shape: the fields of the JSON report.
#[derive(Serialize)]
struct Timing {
    layer: String,
    nonlinearity: String,
    dtype: String,
    seq_len: usize,
    batch: usize,
    median_s: f64,
    min_s: f64,
    p90_s: f64,
    p99_s: f64,
    runs: usize,
    gflops: f64,
    /// Of the peak of as many cores, measured beside it.
    share_of_peak: f64,
    kernel: &'static str,
    threads: usize,
}

fn time<T: Element>(args: &Bench, workload: &Workload) -> Result<Timing> {
    let Workload { config, seq_len, batch, threads } = workload;
    let mut generator = Generator::new(Generator::DEFAULT_SEED);
    let kernel = args.kernel.unwrap_or_else(Kernel::best);
    let rnn = Rnn::<T>::new(config.clone(), &mut generator)?.with_kernel(kernel);
    let mut values = elman::zeros(&[*seq_len, *batch, config.input_size], "input")?;
    generator.normal(&mut values);
    let input = Array3::from_shape_vec((*seq_len, *batch, config.input_size), values)?;
    let pool = threads::pool(*threads, &mut Vec::new())?;
    let seconds = pool.install(|| repeat(args, &rnn, &input))?;
    let gflops = flops(workload) / quantile(&seconds, 0.5) / 1e9;
    Ok(Timing {
        layer: config.to_string(),
        nonlinearity: config.nonlinearity.to_string(),
        dtype: args.dtype.to_string(),
        seq_len: *seq_len,
        batch: *batch,
        median_s: quantile(&seconds, 0.5),
        min_s: quantile(&seconds, 0.0),
        p90_s: quantile(&seconds, 0.9),
        p99_s: quantile(&seconds, 0.99),
        runs: seconds.len(),
        gflops,
        share_of_peak: gflops / peak::multiply_adds::<T>(kernel, &pool),
        kernel: kernel.name(),
        threads: pool.current_num_threads(),
    })
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

/// The smallest number of `sorted` that a share `q` of them does not exceed.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the length")]
    let rank = (sorted.len() as f64 * q).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Multiplications and additions of one forward pass, without tanh and the biases.
fn flops(workload: &Workload) -> f64 {
    let Workload { config, seq_len, batch, .. } = workload;
    let rows = *seq_len as f64 * *batch as f64 * config.num_directions() as f64;
    let features = (0..config.num_layers)
        .map(|layer| config.layer_input_size(layer) as f64 + config.hidden_size as f64);
    2.0 * rows * config.hidden_size as f64 * features.sum::<f64>()
}

impl Timing {
    fn text(&self) -> String {
        let us = |seconds: f64| seconds * 1e6;
        format!(
            "{}, {}, {}, seq_len {}, batch {}\n\
             median {:.3} us, minimum {:.3}, p90 {:.3}, p99 {:.3}, of {} runs\n\
             {:.1} GF/s, {:.0} % of the peak, kernel {}, threads {}\n",
            self.layer,
            self.nonlinearity,
            self.dtype,
            self.seq_len,
            self.batch,
            us(self.median_s),
            us(self.min_s),
            us(self.p90_s),
            us(self.p99_s),
            self.runs,
            self.gflops,
            self.share_of_peak * 100.0,
            self.kernel,
            self.threads,
        )
    }

    fn row(&self) -> String {
        let Timing { layer, seq_len, batch, threads, gflops, .. } = self;
        let [median, min, p99] = [self.median_s, self.min_s, self.p99_s].map(|s| s * 1e3);
        let share = self.share_of_peak * 100.0;
        format!(
            "| {layer} | {seq_len} | {batch} | {threads} | {median:.4} | {min:.4} | {p99:.4} \
             | {gflops:.1} | {share:.0} % |\n"
        )
    }
}

fn markdown(timings: &[Timing]) -> String {
    let head = "| layer | seq_len | batch | threads | median ms | minimum ms | p99 ms | GF/s | of the peak |\n\
                |---|---|---|---|---|---|---|---|---|\n";
    head.to_owned() + &timings.iter().map(Timing::row).collect::<String>()
}
