//! The number of threads, and their pool.

use elman::OutOfMemory;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Most threads: a guess, far above the cores of all tested machines, and with stacks that fit in their memory.
const MAX_THREADS: usize = 1024;

/// Bytes that stay free for the small allocations at the start of the threads: a guess, several times their sum.
/// The process aborts if one of them fails.
const HEADROOM: usize = 1 << 20;

/// The pool for `--threads`, else `RAYON_NUM_THREADS`, else `OMP_NUM_THREADS`, else the cores of this
/// process. If the system refuses that many threads, the pool has fewer. Notes name the ignored values.
pub(crate) fn pool(
    requested: Option<usize>,
    notes: &mut Vec<String>,
) -> anyhow::Result<ThreadPool> {
    let wanted = requested
        .or_else(|| from_environment("RAYON_NUM_THREADS", notes))
        .or_else(|| from_environment("OMP_NUM_THREADS", notes))
        .or_else(|| std::thread::available_parallelism().ok().map(Into::into))
        .unwrap_or(1);
    if wanted > MAX_THREADS {
        notes.push(format!(
            "{wanted} threads are more than the most, {MAX_THREADS}, which are used"
        ));
    }
    let wanted = wanted.min(MAX_THREADS);
    let mut headroom = Vec::<u8>::new();
    let refused = |_| OutOfMemory { what: "threads", bytes: HEADROOM };
    headroom.try_reserve_exact(HEADROOM).map_err(refused)?;
    let pool = start(wanted)?;
    // Without this the compiler removes the unused allocation.
    drop(std::hint::black_box(headroom));
    let threads = pool.current_num_threads();
    if threads < wanted {
        let used = if threads == 1 { "1 is" } else { &format!("{threads} are") };
        notes.push(format!("the system refused {wanted} threads; {used} used"));
    }
    Ok(pool)
}

/// As many threads as the system allows. If it allows none, the calling thread does the work.
fn start(wanted: usize) -> anyhow::Result<ThreadPool> {
    let mut threads = wanted;
    while threads > 0 {
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        if let Ok(pool) = builder.start_handler(move |thread| keep_apart(thread, threads)).build() {
            return Ok(pool);
        }
        threads /= 2;
    }
    let alone = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    Ok(alone?)
}

/// A number of threads from an environment variable. OpenMP allows a list, whose first number counts.
fn from_environment(name: &str, notes: &mut Vec<String>) -> Option<usize> {
    let value = std::env::var_os(name)?;
    let value = value.to_string_lossy();
    let (first, rest) = value.split_once(',').unwrap_or((&value, ""));
    let number = first.trim().parse().ok().filter(|&threads: &usize| threads > 0);
    if number.is_none() {
        notes.push(format!(
            "{name}={} is no number of threads, and is ignored",
            value.escape_debug()
        ));
    } else if !rest.is_empty() {
        notes.push(format!("{name}={}: the first number is used", value.escape_debug()));
    }
    number
}

/// Pins a thread to a core of its own, if the process may use exactly as many cores as there are threads.
///
/// Threads that synchronise at every step run in turns, and a scheduler may leave both on one core: on a virtual
/// machine without cache information, passes of 500 steps took ten times as long during the first tenth of a
/// second of most processes. With fewer threads than cores, other processes may need the same ones, and with
/// more threads some are idle: then the system chooses.
#[cfg(target_os = "linux")]
fn keep_apart(thread: usize, threads: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    let count = cores.clone().count();
    if threads != count {
        return;
    }
    if let Some(core) = cores.nth(thread) {
        let mut own = CpuSet::new();
        own.set(core);
        // If the call fails, the system chooses.
        let _ = sched_setaffinity(None, &own);
    }
}

#[cfg(not(target_os = "linux"))]
fn keep_apart(_: usize, _: usize) {}
