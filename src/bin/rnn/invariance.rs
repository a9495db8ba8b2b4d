//! `rnn bench --check`: the library's invariance check on random layers.

mod case;
mod tally;

use std::time::Instant;

use anyhow::Result;
use elman::{Element, Generator, Kernel};
use rayon::ThreadPool;

use crate::args::Bench;
use crate::progress;
use crate::threads;

use tally::Tally;

/// Layers that are checked even in a shorter time: one of each type.
const MIN_LAYERS: usize = 2;

/// Checks layers until the time is over, and prints the counts.
pub(crate) fn print(args: &Bench) -> Result<()> {
    let start = Instant::now();
    let pools = pools(&args.threads)?;
    let threads = pools.iter().map(ThreadPool::current_num_threads).collect();
    let mut tally = Tally::new(Kernel::supported().collect(), threads);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating")]
    let whole = |seconds: f64| seconds as usize;
    let progress = progress::things(whole(args.min_time.ceil()));
    let mut shown = 0;
    while tally.layers < MIN_LAYERS || start.elapsed().as_secs_f64() < args.min_time {
        if tally.layers.is_multiple_of(2) {
            check_layer::<f32>(&pools, &mut tally)?;
        } else {
            check_layer::<f64>(&pools, &mut tally)?;
        }
        progress.set_message(format!("seconds, {} layers", tally.layers));
        let passed = whole(start.elapsed().as_secs_f64());
        progress.inc((passed - shown) as u64);
        shown = passed;
    }
    progress.finish_and_clear();
    tally.print(args.report)
}

/// Pools of these numbers of threads, or of 2, 3 and the cores, and in any case of 1, which is the first.
fn pools(threads: &[usize]) -> Result<Vec<ThreadPool>> {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let mut counts = if threads.is_empty() { vec![2, 3, cores] } else { threads.to_vec() };
    counts.push(1);
    counts.sort_unstable();
    let mut pools: Vec<ThreadPool> = Vec::new();
    for count in counts {
        let pool = threads::pool(Some(count), &mut Vec::new())?;
        // If the system refuses that many threads, the pool may equal another one.
        let known = |known: &ThreadPool| known.current_num_threads() == pool.current_num_threads();
        if !pools.iter().any(known) {
            pools.push(pool);
        }
    }
    Ok(pools)
}

/// Draws a layer and a batch, and checks every variant of its computation.
fn check_layer<T: Element>(pools: &[ThreadPool], tally: &mut Tally) -> Result<()> {
    tally.layers += 1;
    // The number is the seed, so that machines with other kernels draw the same layer.
    let mut generator = Generator::new(tally.layers as u64);
    let long = case::is_long(tally.layers);
    let case = case::draw::<T>(long, &mut generator)?;
    let mut kernels = tally.kernels.clone();
    // The portable kernel may be hundreds of times slower: for long cases the reference is enough.
    if long && kernels.len() > 1 {
        kernels.pop();
    }
    Ok(case.check(pools, &kernels, &mut generator, |reference, variant, differences| {
        tally.add(&case, reference, variant, differences);
    })?)
}
