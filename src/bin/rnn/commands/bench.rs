//! `rnn bench`: the time of the forward pass, in process. Weights are packed before, and no file is touched.

use std::time::Instant;

use anyhow::Result;
use elman::{Config, Element, Generator, Kernel, Rnn};
use ndarray::Array3;
use serde_json::{Value, json};

use crate::args::{Bench, BenchForm};
use crate::numbers::index;
use crate::report::print;
use crate::{invariance, peak, progress, threads};

/// Minimum of runs, for a median.
const MIN_RUNS: usize = 3;
/// Maximum of runs: more would only take memory for their times.
const MAX_RUNS: usize = 1_000_000;
const HEAD: &str = "| layer | seq_len | batch | threads | median ms | minimum ms | p99 ms | GF/s | of the peak |\n\
                    |---|---|---|---|---|---|---|---|---|\n";

pub(crate) fn bench(args: &Bench) -> Result<()> {
    let show = |text: String, object: Value| match args.report {
        BenchForm::None => Ok(()),
        BenchForm::Json => print(&format!("{object}\n"), false),
        BenchForm::Text | BenchForm::Markdown => print(&text, false),
    };
    if args.peak {
        let (text, object) = peak::measure(args)?;
        return show(text, object);
    }
    if args.check {
        let tally = invariance::check(args)?;
        show(tally.text(), json!(tally))?;
        return tally.bug();
    }
    let timings = time_all(args)?;
    let objects: Vec<_> = timings.iter().map(|timing| &timing.object).collect();
    let object = if let [one] = objects[..] { one.clone() } else { json!(objects) };
    let markdown = args.report == BenchForm::Markdown;
    let mut text = if markdown { HEAD.to_owned() } else { String::new() };
    text.extend(timings.iter().map(|timing| if markdown { &*timing.row } else { &*timing.text }));
    show(text, object)
}

fn time_all(args: &Bench) -> Result<Vec<Timing>> {
    let workloads = workloads(args);
    let progress = progress::things(workloads.len(), "layers");
    let mut timings = Vec::new();
    for workload in workloads {
        let Workload { config, seq_len, batch, .. } = &workload;
        progress.display.set_message(format!("{config}, {seq_len} x {batch}"));
        timings.push(typed!(args.dtype, time(args, &workload))?);
        progress.inc(1);
    }
    progress.display.finish_and_clear();
    Ok(timings)
}

struct Workload {
    config: Config,
    seq_len: usize,
    batch: usize,
    threads: Option<usize>,
}

/// Every combination of the listed sizes, of which the last one varies fastest.
fn workloads(args: &Bench) -> Vec<Workload> {
    let Bench { num_layers, hidden_size, input_size, batch, seq_len, .. } = args;
    let lists = [num_layers, hidden_size, input_size, batch, seq_len];
    let [layers, hidden, input, rows, steps] = lists.map(Vec::len);
    let counts = [args.threads.len().max(1), layers, hidden, input, rows, steps];
    let workload = |place| {
        let at = index(place, &counts, false);
        let sizes = std::array::from_fn(|axis| lists[axis][at[axis + 1]]);
        let [num_layers, hidden_size, input_size, batch, seq_len] = sizes;
        let config = Config {
            num_layers,
            nonlinearity: args.nonlinearity,
            bidirectional: args.bidirectional,
            ..Config::new(input_size, hidden_size)
        };
        Workload { config, seq_len, batch, threads: args.threads.get(at[0]).copied() }
    };
    (0..counts.iter().product()).map(workload).collect()
}

struct Timing {
    text: String,
    /// A row of a table in Markdown.
    row: String,
    object: Value,
}

fn time<T: Element>(args: &Bench, workload: &Workload) -> Result<Timing> {
    let Workload { config, seq_len, batch, threads } = workload;
    let kernel = args.kernel.unwrap_or_else(Kernel::best);
    let mut generator = Generator::new(Generator::DEFAULT_SEED);
    // Built before the pool's threads are pinned: a layer counts the cores that its thread may use.
    let rnn = Rnn::<T>::new(config.clone(), &mut generator)?.with_kernel(kernel);
    let input = invariance::normal(&mut generator, [*seq_len, *batch, config.input_size])?;
    let pool = threads::pool(*threads, &mut Vec::new())?;
    let seconds = pool.install(|| repeat(args, &rnn, &input))?;
    let [median, min, p90, p99] = [0.5, 0.0, 0.9, 0.99].map(|q| quantile(&seconds, q));
    let gflops = flops(workload) / median / 1e9;
    // Of the peak of as many cores, measured beside it.
    let share = gflops / peak::multiply_adds::<T>(kernel, &pool);
    let (layer, nonlinearity) = (config.to_string(), config.nonlinearity.to_string());
    let (dtype, runs) = (args.dtype.to_string(), seconds.len());
    let (kernel, threads) = (kernel.name(), pool.current_num_threads());
    let object = json!({
        "layer": layer, "nonlinearity": nonlinearity, "dtype": dtype,
        "seq_len": seq_len, "batch": batch,
        "median_s": median, "min_s": min, "p90_s": p90, "p99_s": p99, "runs": runs,
        "gflops": gflops, "share_of_peak": share, "kernel": kernel, "threads": threads,
    });
    let percent = share * 100.0;
    let [median, min, p90, p99] = [median, min, p90, p99].map(|s| s * 1e6);
    let text = format!(
        "{layer}, {nonlinearity}, {dtype}, seq_len {seq_len}, batch {batch}\n\
         median {median:.3} us, minimum {min:.3}, p90 {p90:.3}, p99 {p99:.3}, of {runs} runs\n\
         {gflops:.1} GF/s, {percent:.0} % of the peak, kernel {kernel}, threads {threads}\n"
    );
    let [median, min, p99] = [median, min, p99].map(|us| us / 1e3);
    let row = format!(
        "| {layer} | {seq_len} | {batch} | {threads} | {median:.4} | {min:.4} | {p99:.4} \
         | {gflops:.1} | {percent:.0} % |\n"
    );
    Ok(Timing { text, row, object })
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
