//! How many threads, and the pool of them.

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Most threads that are started: a guess, far above the cores of any machine this was run on, and far
/// below what would fill its memory with stacks.
const MAX_THREADS: usize = 1024;

/// The pool for `--threads`, else `RAYON_NUM_THREADS`, else `OMP_NUM_THREADS`, else the cores of this
/// process. Where the system refuses so many threads, there are fewer; `notes` says what was passed over.
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
    let mut threads = wanted;
    loop {
        match ThreadPoolBuilder::new().num_threads(threads).build() {
            Ok(pool) => {
                let threads = pool.current_num_threads();
                if threads < wanted {
                    notes.push(format!("the system refused {wanted} threads; {threads} are used"));
                }
                return Ok(pool);
            }
            Err(_) if threads > 1 => threads /= 2,
            Err(error) => {
                let what = error.to_string();
                return Err(elman::Error::Threads { count: threads, what }.into());
            }
        }
    }
}

/// A number of threads from a variable. OpenMP allows a list, whose first number counts.
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
