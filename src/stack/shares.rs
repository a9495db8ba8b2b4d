//! Rows that need no other row: shared among threads.

use super::plan::MIN_BLOCK_WORK;

/// The number of shares of `rows` rows that take `work` multiplications each: as many as there are threads in the
/// current pool, or fewer if the work is not worth waking them.
pub(crate) fn shares(rows: usize, work: usize) -> usize {
    let worthwhile = worthwhile(rows, work);
    if worthwhile == 1 { 1 } else { rayon::current_num_threads().min(worthwhile) }
}

/// Largest number of shares whose work repays waking a thread.
pub(crate) fn worthwhile(rows: usize, work: usize) -> usize {
    (rows.saturating_mul(work) / MIN_BLOCK_WORK).min(rows).max(1)
}

/// Runs a function on each share, one on each thread.
pub(crate) fn in_shares<S: Send>(shares: Vec<S>, run: impl Fn(S) + Sync) {
    if shares.len() < 2 {
        return shares.into_iter().for_each(run);
    }
    let run = &run;
    rayon::scope(|scope| {
        for share in shares {
            scope.spawn(move |_| run(share));
        }
    });
}
