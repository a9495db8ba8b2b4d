//! The threads of large passes: one pool for each process, because a fork keeps none of the threads.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The pool that large passes share, with the process and the number of threads for which it was built.
#[derive(Debug)]
struct Shared {
    process: u32,
    threads: usize,
    pool: Arc<ThreadPool>,
}

/// The pool of this process or of the one that it was forked from, and the number that was asked for.
static STATE: Mutex<(Option<usize>, Option<Shared>)> = Mutex::new((None, None));

/// The pool of this process. The caller holds the GIL.
pub(crate) fn pool(_: Python<'_>) -> PyResult<Arc<ThreadPool>> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let (process, threads) = (std::process::id(), state.0.unwrap_or_else(default_threads));
    if let Some(current) = &state.1
        && (current.process, current.threads) == (process, threads)
    {
        return Ok(current.pool.clone());
    }
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = Arc::new(pool.map_err(|error| PyRuntimeError::new_err(error.to_string()))?);
    let old = state.1.replace(Shared { process, threads, pool: pool.clone() });
    if let Some(old) = old.filter(|old| old.process != process) {
        // Its threads do not exist here: a lock that one of them held at the fork is never released.
        std::mem::forget(old);
    }
    Ok(pool)
}

/// `RAYON_NUM_THREADS`, else `OMP_NUM_THREADS`, else the cores of this process.
fn default_threads() -> usize {
    let named = |name| {
        let text = std::env::var(name).ok()?;
        text.split(',').next()?.trim().parse().ok().map(NonZeroUsize::get)
    };
    let cores = || std::thread::available_parallelism().map_or(1, Into::into);
    named("RAYON_NUM_THREADS").or_else(|| named("OMP_NUM_THREADS")).unwrap_or_else(cores)
}

/// The number of threads that share a large pass.
#[pyfunction]
fn get_num_threads(_py: Python<'_>) -> usize {
    STATE.lock().unwrap_or_else(PoisonError::into_inner).0.unwrap_or_else(default_threads)
}

/// Sets the number of threads that share a large pass. A small one stays on the calling thread.
#[pyfunction]
#[pyo3(signature = (num_threads, /))]
fn set_num_threads(_py: Python<'_>, num_threads: i64) -> PyResult<()> {
    let found = usize::try_from(num_threads).ok().filter(|&found| found > 0);
    let num_threads = found.ok_or_else(|| {
        PyValueError::new_err(format!("num_threads: expected at least 1, got {num_threads}"))
    })?;
    STATE.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(num_threads);
    Ok(())
}

pub(crate) fn functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)
}
