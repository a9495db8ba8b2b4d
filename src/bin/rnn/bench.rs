//! `rnn bench`: times the forward pass in process. Weights are packed before, and no file is touched.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use elman::{Config, Generator, Mode, Rnn};
use ndarray::Array3;
use serde_json::json;

use crate::args::{Bench, ReportForm};
use crate::threads;

/// Fewest runs that a median is taken of.
const MIN_RUNS: usize = 3;
/// Most runs: more would only take memory for their times.
const MAX_RUNS: usize = 1_000_000;

pub(crate) fn bench(args: &Bench) -> Result<()> {
    let config = Config {
        num_layers: args.num_layers,
        bidirectional: args.bidirectional,
        ..Config::new(args.input_size, args.hidden_size)
    };
    let mut generator = Generator::new(Generator::DEFAULT_SEED);
    let rnn = Rnn::<f32>::new(config, &mut generator)?;
    let mut input = Array3::zeros((args.seq_len, args.batch, args.input_size));
    generator.normal(input.as_slice_mut().unwrap_or_default());
    let pool = threads::pool(args.threads, &mut Vec::new())?;
    let seconds = pool.install(|| time(&rnn, &input, args.min_time))?;
    print(args, &rnn, pool.current_num_threads(), &seconds)
}

/// Seconds of each run, in ascending order.
fn time(rnn: &Rnn<f32>, input: &Array3<f32>, min_time: f64) -> Result<Vec<f64>> {
    let forward = || rnn.forward(input.view().into_dyn(), None, Mode::Eval);
    for _ in 0..2 {
        forward()?;
    }
    let start = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < MIN_RUNS
        || (start.elapsed().as_secs_f64() < min_time && seconds.len() < MAX_RUNS)
    {
        let run = Instant::now();
        let result = forward()?;
        seconds.push(run.elapsed().as_secs_f64());
        drop(result);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

fn print(args: &Bench, rnn: &Rnn<f32>, threads: usize, seconds: &[f64]) -> Result<()> {
    let config = rnn.config();
    let (median, minimum) = (seconds[seconds.len() / 2], seconds[0]);
    let gflops = flops(args, config) / median / 1e9;
    let kernel = rnn.kernel().name();
    let mut stdout = std::io::stdout().lock();
    match args.report {
        ReportForm::None => {}
        ReportForm::Json => writeln!(
            stdout,
            "{}",
            json!({
                "layer": config.to_string(),
                "seq_len": args.seq_len,
                "batch": args.batch,
                "median_s": median,
                "min_s": minimum,
                "runs": seconds.len(),
                "gflops": gflops,
                "kernel": kernel,
                "threads": threads,
            })
        )?,
        ReportForm::Text => writeln!(
            stdout,
            "{config}, seq_len {}, batch {}\nmedian {:.3} us, minimum {:.3} us of {} runs, {gflops:.1} GF/s, kernel {kernel}, threads {threads}",
            args.seq_len,
            args.batch,
            median * 1e6,
            minimum * 1e6,
            seconds.len(),
        )?,
    }
    Ok(())
}

/// Multiplications and additions of one forward pass; what tanh and the biases take is not counted.
fn flops(args: &Bench, config: &Config) -> f64 {
    let rows = (args.seq_len * args.batch * config.num_directions()) as f64;
    let features =
        (0..config.num_layers).map(|layer| config.layer_input_size(layer) + config.hidden_size);
    2.0 * rows * (config.hidden_size * features.sum::<usize>()) as f64
}
