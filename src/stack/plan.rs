//! How a forward pass is cut up: one function from shapes to a plan.

use std::ops::Range;

/// How a pass is cut up. It changes the time that the pass takes, and not a bit of its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Rows of the batch in each block, in order.
    pub(crate) blocks: Vec<Range<usize>>,
    /// Blocks that run at the same time, each with a workspace of its own.
    pub(crate) threads: usize,
    /// Steps that pass through the whole stack before the next ones do.
    pub(crate) segment: usize,
    /// Steps that are projected at once.
    pub(crate) chunk: usize,
}

/// What a plan depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    pub(crate) input_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_layers: usize,
    pub(crate) directions: usize,
    pub(crate) element_bytes: usize,
}

/// Fewest rows of a block: with fewer, a panel of weights is read for too little work. A guess.
const MIN_BLOCK_ROWS: usize = 8;
/// Most rows of a block while the weights fit in the cache: its states and pre-activations then fit
/// beside them. A guess.
const MAX_BLOCK_ROWS: usize = 256;
/// Fewest multiplications for which another thread is woken: some ten microseconds of work. A guess.
const MIN_BLOCK_WORK: usize = 1 << 20;
/// Bytes of the buffer for pre-activations: a part of the smallest L2 in use today. A guess.
const CHUNK_BYTES: usize = 128 << 10;
/// Weights of one layer and direction up to this size are taken to stay in the cache. A guess.
const CACHED_WEIGHT_BYTES: usize = 1 << 20;

impl Plan {
    /// The plan for a shape and a number of threads.
    pub(crate) fn new(shape: &Shape, threads: usize) -> Self {
        let Shape { steps, batch, input_size, hidden_size, num_layers, directions, element_bytes } =
            *shape;
        let widest = input_size.max(if num_layers > 1 { directions * hidden_size } else { 0 });
        let weights = hidden_size.saturating_mul(widest + hidden_size);
        let work = weights.saturating_mul(steps * num_layers * directions).saturating_mul(batch);
        let useful = (work / MIN_BLOCK_WORK).min(batch / MIN_BLOCK_ROWS).max(1);
        let threads = threads.clamp(1, useful);
        let cached = weights.saturating_mul(element_bytes) <= CACHED_WEIGHT_BYTES;
        let most = if cached { MAX_BLOCK_ROWS } else { usize::MAX };
        let count = threads * batch.div_ceil(threads).div_ceil(most).max(1);
        let blocks = (0..count).map(|i| i * batch / count..(i + 1) * batch / count).collect();
        let row_bytes = batch.div_ceil(count).max(1) * hidden_size * element_bytes;
        let chunk = (CHUNK_BYTES / row_bytes).clamp(1, steps);
        Plan { blocks, threads, segment: if directions == 2 { steps } else { chunk }, chunk }
    }
}
