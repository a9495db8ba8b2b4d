//! How many threads, and the pool of them.

use anyhow::Context;
use rayon::{ThreadPool, ThreadPoolBuilder};

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
    let mut threads = wanted;
    loop {
        match ThreadPoolBuilder::new().num_threads(threads).build() {
            Ok(pool) => {
                if threads < wanted {
                    notes.push(format!("the system refused {wanted} threads; {threads} are used"));
                }
                return Ok(pool);
            }
            Err(_) if threads > 1 => threads /= 2,
            Err(error) => {
                let refused =
                    elman::Error::OutOfMemory { what: "a thread's stack", bytes: 2 << 20 };
                return Err(refused).context(error.to_string());
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
