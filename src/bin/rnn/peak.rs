//! `rnn bench --peak`: the limits of the machine.

use std::time::Instant;

use anyhow::Result;
use elman::{Cache, Element, Kernel, caches};
use rayon::ThreadPool;
use serde_json::{Value, json};

use crate::args::Bench;
use crate::threads;

/// Rounds of the loop of multiply-adds that take some milliseconds: long enough for the clock, short
/// enough to be repeated.
const ROUNDS: usize = 500_000;
/// Repetitions of a measurement. The best one counts, because disturbances only make it slower.
const REPEATS: usize = 10;
/// Bytes that one measurement of bandwidth reads, at least.
const READ_BYTES: usize = 1 << 28;

/// The best rate of fused multiply-adds of all threads of the pool together, in GF/s.
pub(crate) fn multiply_adds<T: Element>(kernel: Kernel, pool: &ThreadPool) -> f64 {
    // The portable kernel may be hundreds of times slower.
    let rounds = if kernel.name() == "portable" { ROUNDS / 100 } else { ROUNDS };
    best(|| {
        let all = pool.broadcast(|_| {
            let start = Instant::now();
            let flops = kernel.multiply_adds::<T>(rounds);
            flops / start.elapsed().as_secs_f64()
        });
        all.iter().sum::<f64>() / 1e9
    })
}

/// The best rate of reading `bytes` over and over on one core, in GB/s.
fn read(kernel: Kernel, bytes: usize) -> Result<f64> {
    let data = elman::zeros::<f32>(&[bytes / size_of::<f32>()], "data to read")?;
    let passes = (READ_BYTES / bytes).max(1);
    Ok(best(|| {
        let start = Instant::now();
        for _ in 0..passes {
            kernel.read(std::hint::black_box(&data));
        }
        (passes * bytes) as f64 / start.elapsed().as_secs_f64() / 1e9
    }))
}

fn best(rate: impl Fn() -> f64) -> f64 {
    (0..REPEATS).map(|_| rate()).fold(0.0, f64::max)
}

/// Most bytes of a level that a measurement reads three quarters of: several cores share a large cache.
const MAX_LEVEL: usize = 32 << 20;

/// Names and sizes of the data to read: three quarters of each level of the cache, and more than all of them.
fn levels() -> Vec<(String, usize)> {
    let level = |cache: Cache| (format!("L{}", cache.level), cache.bytes.min(MAX_LEVEL) / 4 * 3);
    let mut levels: Vec<_> = caches().map(level).collect();
    if levels.is_empty() {
        levels = vec![("24 KiB".to_owned(), 24 << 10), ("1 MiB".to_owned(), 1 << 20)];
    }
    let largest = levels.iter().map(|(_, bytes)| *bytes).max().unwrap_or(1 << 20);
    levels.push(("memory".to_owned(), (largest * 4).min(1 << 30)));
    levels
}

/// The caches that the system names, in words.
pub(crate) fn cache_sizes() -> String {
    let sizes = caches().map(|cache| format!("L{} {} KiB", cache.level, cache.bytes >> 10));
    let sizes = sizes.collect::<Vec<_>>().join(", ");
    if sizes.is_empty() { "caches unknown".to_owned() } else { format!("caches {sizes}") }
}

/// Measures; the result as text and as JSON.
pub(crate) fn measure(args: &Bench) -> Result<(String, Value)> {
    let (kernel, dtype) = (args.kernel.unwrap_or_else(Kernel::best), args.dtype);
    let one = threads::pool(Some(1), &mut Vec::new())?;
    let all = threads::pool(args.threads.first().copied(), &mut Vec::new())?;
    let [core, cores] = [&one, &all].map(|pool| typed!(dtype, multiply_adds(kernel, pool)));
    let (name, dtype, threads) = (kernel.name(), dtype.to_string(), all.current_num_threads());
    let mut text = format!(
        "multiply-adds, {dtype}, kernel {name}: {core:.1} GF/s on one core, {cores:.1} on {threads}\n"
    );
    text = format!("{text}{}\n", cache_sizes());
    let mut reads = Vec::new();
    for (level, bytes) in levels() {
        let rate = read(kernel, bytes)?;
        text = format!("{text}reading {} KiB ({level}): {rate:.1} GB/s\n", bytes >> 10);
        reads.push(json!({"level": level, "bytes": bytes, "gbytes_per_s": rate}));
    }
    let sizes = caches().map(|Cache { level, bytes }| json!({"level": level, "bytes": bytes}));
    let object = json!({
        "kernel": name, "dtype": dtype, "threads": threads,
        "core_gflops": core, "all_gflops": cores, "caches": sizes.collect::<Vec<_>>(), "reads": reads,
    });
    Ok((text, object))
}
