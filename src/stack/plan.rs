//! The plan of a forward pass: one function from shapes to a plan.

use std::ops::Range;
use std::sync::OnceLock;

use crate::batch::BatchSizes;

/// The division of a pass among threads and steps. It changes the time of the pass, and no bit of its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) parallel: Parallel,
    /// Blocks of rows of the batch, in order: several only with [`Parallel::Rows`], also on one thread, so that a block
    /// fits into the cache.
    pub(crate) blocks: Vec<Range<usize>>,
    /// Steps that pass through the whole stack before the next ones do.
    pub(crate) segment: usize,
    /// Steps that are projected at once.
    pub(crate) chunk: usize,
}

/// The units of work that run at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parallel {
    /// Blocks of rows of the batch; `threads` of them at a time, each with a workspace of its own.
    Rows { threads: usize },
    /// Shares of the columns of every step, which end at `ends`.
    Columns { ends: Vec<usize> },
    /// The two directions of a layer. On two threads, one row of 128 units takes 0.55 of the time of the next best
    /// plan, and 4 rows of 256 units take 0.60.
    Directions,
    /// Layers, each a segment behind the one below it. On two threads, 8 rows through 6 layers of 128 units take 0.74
    /// of the time of one thread, and one row through 2 layers of 64 units takes 0.70.
    Layers,
}

/// The quantities that a plan depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    pub(crate) input_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_layers: usize,
    pub(crate) directions: usize,
    /// Whether the single direction runs from the last step to the first.
    pub(crate) reversed: bool,
    pub(crate) element_bytes: usize,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Bytes of a core's second-level cache.
    pub(crate) l2_bytes: usize,
    /// End column of each of n shares of the columns: panels of weights are not divided.
    pub(crate) share_out: fn(usize, usize) -> Vec<usize>,
}

/// Fewest rows of a block: with fewer, too little work is done for each read of a panel of weights. A guess.
const MIN_BLOCK_ROWS: usize = 8;
/// Most rows of a block while the weights fit in the cache: its states and pre-activations then fit
/// beside them. A guess.
const MAX_BLOCK_ROWS: usize = 256;
/// Fewest multiplications that are worth waking another thread: some ten microseconds of work. A guess.
pub(super) const MIN_BLOCK_WORK: usize = 1 << 20;
/// Fewest multiplications of a thread in one step if columns are shared: with fewer, synchronising after every step
/// costs more than it saves. With two threads, one row of 256 features gains and one of 128 loses.
const MIN_STEP_WORK: usize = 1 << 15;
/// Fewest multiplications of a thread in one layer and direction if columns are shared: several times the cost
/// of starting the threads together. A guess.
const MIN_SHARE_WORK: usize = 1 << 23;
/// The share of the second-level cache that the buffer for pre-activations takes.
const CHUNK_SHARE: usize = 8;
/// Fewest rows that are projected at once, even beyond that buffer: with fewer, too little work is done for each read
/// of a panel.
const MIN_CHUNK_ROWS: usize = 64;
/// Bytes of a layer's output over one segment if columns are shared: for a shorter one, starting the threads would
/// cost more than it saves.
const SEGMENT_BYTES: usize = 8 << 20;

/// Cores that the first thread to ask may use: one if it is pinned. The system is slower than a small pass to answer.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, Into::into))
}

impl Plan {
    /// The plan for a shape and a number of threads.
    pub(crate) fn new(shape: &Shape, threads: usize) -> Self {
        let columns = shape.columns(threads);
        // Two directions at once never wait for each other, so columns replace them only with three shares or more.
        let by_columns = columns.len() > if shape.both_directions(threads) { 2 } else { 1 };
        if by_columns { shape.by_columns(columns) } else { shape.by_blocks(threads) }
    }

    /// Whether the pass stays on one thread. With a plan for two threads: however many there are.
    pub(crate) fn is_serial(&self) -> bool {
        self.parallel == Parallel::Rows { threads: 1 }
    }

    /// The same plan with blocks of equal work for a ragged batch, so that all threads end at the same time.
    /// With lengths spread evenly from 1 to L, the first of two blocks gets 29 % of the rows.
    pub(crate) fn balanced(mut self, batch_sizes: &BatchSizes) -> Self {
        let (count, rows) = (self.blocks.len(), batch_sizes.rows());
        if count == 1 || matches!(batch_sizes, BatchSizes::Constant { .. }) {
            return self;
        }
        let (mut steps, mut work, mut first) = (batch_sizes.steps(), 0, 0);
        let mut blocks = Vec::with_capacity(count);
        for row in 0..batch_sizes.size(0) {
            while steps > 0 && batch_sizes.size(steps - 1) <= row {
                steps -= 1;
            }
            // A block ends before the row whose middle lies beyond its share of the work.
            let cut = (blocks.len() + 1) as u128 * rows as u128;
            if 2 * cut < (2 * work + steps) as u128 * count as u128 && row > first {
                blocks.push(first..row);
                first = row;
            }
            work += steps;
        }
        blocks.push(first..batch_sizes.size(0));
        self.blocks = blocks;
        self
    }
}

impl Shape {
    /// End columns of the shares of the threads; at most one end if threads should not share columns.
    fn columns(&self, threads: usize) -> Vec<usize> {
        let Shape { batch, hidden_size, .. } = *self;
        if self.is_cached() && batch / threads >= MIN_BLOCK_ROWS {
            return Vec::new();
        }
        let step = batch.saturating_mul(hidden_size).saturating_mul(hidden_size);
        let pass = step.saturating_mul(self.steps) / MIN_SHARE_WORK;
        // Shares wait for each other at every step: a share without a core of its own would stop all of them.
        let shares = threads.min(self.cores).min(step / MIN_STEP_WORK).min(pass).max(1);
        if shares == 1 { Vec::new() } else { (self.share_out)(hidden_size, shares) }
    }

    fn by_columns(&self, ends: Vec<usize>) -> Plan {
        let step_bytes = self.batch * self.directions * self.hidden_size * self.element_bytes;
        let segment = if !self.is_forward_only() || self.num_layers == 1 {
            self.steps
        } else {
            (SEGMENT_BYTES / step_bytes).clamp(1, self.steps)
        };
        let blocks = std::iter::once(0..self.batch).collect();
        let (parallel, chunk) = (Parallel::Columns { ends }, self.chunk(self.batch));
        Plan { parallel, blocks, segment, chunk }
    }

    fn by_blocks(&self, threads_given: usize) -> Plan {
        let Shape { steps, batch, input_size, hidden_size, num_layers, directions, .. } = *self;
        let widest = input_size.max(if num_layers > 1 { directions * hidden_size } else { 0 });
        let weights = hidden_size.saturating_mul(widest + hidden_size);
        let work = weights.saturating_mul(steps * num_layers * directions).saturating_mul(batch);
        let useful = (work / MIN_BLOCK_WORK).min(batch / MIN_BLOCK_ROWS).max(1);
        let threads = threads_given.clamp(1, useful);
        let cached = weights.saturating_mul(self.element_bytes) <= self.cached_bytes();
        let most = if cached { MAX_BLOCK_ROWS } else { usize::MAX };
        let count = threads * batch.div_ceil(threads).div_ceil(most).max(1);
        let blocks = (0..count).map(|i| i * batch / count..(i + 1) * batch / count).collect();
        let chunk = self.chunk(batch.div_ceil(count));
        let (parallel, segment) = match self.pipelined_segment(weights) {
            _ if self.both_directions(threads_given) => (Parallel::Directions, steps),
            Some(segment) if threads_given > 1 && count == 1 => (Parallel::Layers, segment),
            _ if self.is_forward_only() => (Parallel::Rows { threads }, chunk),
            _ => (Parallel::Rows { threads }, steps),
        };
        Plan { parallel, blocks, segment, chunk: chunk.min(segment) }
    }

    /// Whether a layer can begin before the one below it has ended.
    fn is_forward_only(&self) -> bool {
        self.directions == 1 && !self.reversed
    }

    /// Steps of a segment if layers run at the same time: enough for the work of a thread. `None` if the
    /// sequence has too few steps for that.
    fn pipelined_segment(&self, weights: usize) -> Option<usize> {
        let step = weights.saturating_mul(self.batch).max(1);
        let segment = (4 * MIN_BLOCK_WORK).div_ceil(step);
        let worth = self.is_forward_only() && self.num_layers > 1 && self.steps / segment >= 4;
        worth.then_some(segment)
    }

    /// Whether the two directions should run at the same time: with few rows, and with weights that stay in
    /// each core's cache. (Larger weights are divided instead: half of them may fit.)
    fn both_directions(&self, threads: usize) -> bool {
        let step = self.batch.saturating_mul(self.hidden_size).saturating_mul(self.hidden_size);
        let worth = step.saturating_mul(self.steps) >= MIN_BLOCK_WORK;
        let few = self.batch < 2 * MIN_BLOCK_ROWS;
        self.directions == 2 && few && threads > 1 && worth && self.is_cached()
    }

    /// Whether recurrent weights stay in one core's cache from step to step.
    fn is_cached(&self) -> bool {
        let row_bytes = self.hidden_size.saturating_mul(self.element_bytes);
        row_bytes.saturating_mul(self.hidden_size) <= self.cached_bytes()
    }

    /// Weights up to this size are assumed to stay in one core's cache from step to step.
    fn cached_bytes(&self) -> usize {
        self.l2_bytes / 4 * 3
    }

    /// Steps of `rows` rows that are projected at once.
    fn chunk(&self, rows: usize) -> usize {
        let rows = rows.max(1);
        let row_bytes = rows * self.hidden_size * self.element_bytes;
        let steps = (self.l2_bytes / CHUNK_SHARE / row_bytes).max(MIN_CHUNK_ROWS.div_ceil(rows));
        steps.clamp(1, self.steps)
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Plan { parallel, blocks, segment, chunk } = self;
        match parallel {
            Parallel::Rows { .. } if blocks.len() == 1 => write!(f, "one thread")?,
            Parallel::Rows { threads: 1 } => {
                write!(f, "{} blocks of rows on one thread", blocks.len())?;
            }
            Parallel::Rows { threads } => {
                write!(f, "{} blocks of rows on {threads} threads", blocks.len())?;
            }
            Parallel::Columns { ends } => write!(f, "columns in {} shares", ends.len())?,
            Parallel::Directions => write!(f, "both directions at once")?,
            Parallel::Layers => write!(f, "layers at the same time")?,
        }
        write!(f, ", {chunk} steps projected at once, {segment} through all layers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two layers on two cores.
    fn shape(steps: usize, batch: usize, [input_size, hidden_size]: [usize; 2]) -> Shape {
        Shape {
            steps,
            batch,
            input_size,
            hidden_size,
            num_layers: 2,
            directions: 1,
            reversed: false,
            element_bytes: 4,
            cores: 2,
            l2_bytes: 2 << 20,
            share_out: |columns, shares| (1..=shares).map(|i| columns * i / shares).collect(),
        }
    }

    #[test]
    fn each_shape_has_its_plan() {
        for (steps, batch, sizes, directions, threads, parallel, chunk, segment) in [
            (5, 3, [10, 20], 1, 2, "one thread", 5, 5),
            (128, 64, [128, 256], 1, 1, "one thread", 4, 4),
            (128, 64, [128, 256], 1, 2, "2 blocks of rows on 2 threads", 8, 8),
            (128, 64, [128, 256], 2, 2, "2 blocks of rows on 2 threads", 8, 128),
            (20, 4096, [32, 64], 1, 2, "16 blocks of rows on 2 threads", 4, 4),
            (1000, 1, [512, 512], 1, 2, "columns in 2 shares", 128, 1000),
            (1000, 1, [512, 512], 1, 8, "columns in 2 shares", 128, 1000),
            (50, 64, [1760, 1760], 1, 2, "columns in 2 shares", 1, 18),
            (1, 1, [512, 512], 1, 2, "one thread", 1, 1),
            (1000, 1, [64, 64], 2, 2, "both directions at once", 1000, 1000),
            (128, 6, [256, 256], 2, 2, "both directions at once", 42, 128),
            (128, 6, [1024, 1024], 2, 2, "columns in 2 shares", 11, 128),
            (1000, 1, [64, 64], 1, 2, "one thread", 1000, 1000),
            (9000, 1, [64, 64], 1, 2, "layers at the same time", 512, 512),
            (6, 0, [3, 5], 2, 8, "one thread", 6, 6),
        ] {
            let plan = Plan::new(&Shape { directions, ..shape(steps, batch, sizes) }, threads);
            let expected = format!(
                "{parallel}, {chunk} steps projected at once, {segment} through all layers"
            );
            assert_eq!(plan.to_string(), expected);
        }
    }

    #[test]
    fn a_smaller_cache_has_smaller_chunks_and_shares_smaller_weights() {
        for (l2_bytes, sizes, expected) in [
            (1 << 20, [128, 256], "2 blocks of rows on 2 threads, 4 steps projected at once, 4"),
            (512 << 10, [128, 256], "2 blocks of rows on 2 threads, 2 steps projected at once, 2"),
            (2 << 20, [512, 512], "2 blocks of rows on 2 threads, 4 steps projected at once, 4"),
            (1 << 20, [512, 512], "columns in 2 shares, 1 steps projected at once, 64"),
        ] {
            let plan = Plan::new(&Shape { l2_bytes, ..shape(128, 64, sizes) }, 2);
            assert_eq!(plan.to_string(), format!("{expected} through all layers"), "{l2_bytes}");
        }
    }

    #[test]
    fn a_reversed_stack_is_not_cut_in_time() {
        for (batch, hidden_size, threads) in [(1, 64, 1), (1, 64, 2), (64, 256, 2), (2, 512, 2)] {
            let shape = Shape { reversed: true, ..shape(9000, batch, [3, hidden_size]) };
            let Plan { segment, parallel, .. } = Plan::new(&shape, threads);
            assert_eq!(segment, 9000, "{batch} {hidden_size} {threads}");
            assert_ne!(parallel, Parallel::Layers, "{batch} {hidden_size} {threads}");
        }
    }

    #[test]
    fn blocks_of_a_ragged_batch_have_equal_work() {
        let plan = |blocks: Vec<Range<usize>>| Plan {
            parallel: Parallel::Rows { threads: 2 },
            blocks,
            segment: 1,
            chunk: 1,
        };
        let balanced = |lengths: &[usize], count: usize| {
            let rows = lengths.len();
            let even = (0..count).map(|i| i * rows / count..(i + 1) * rows / count).collect();
            let sizes: Vec<_> =
                (0..lengths[0]).map(|t| lengths.iter().filter(|&&len| len > t).count()).collect();
            plan(even).balanced(&BatchSizes::new(&sizes).unwrap()).blocks
        };
        let spread: Vec<_> = (1..=64).rev().collect();
        assert_eq!(balanced(&spread, 2), [0..19, 19..64]);
        assert_eq!(balanced(&spread, 4), [0..9, 9..19, 19..32, 32..64]);
        assert_eq!(balanced(&[5; 8], 2), [0..4, 4..8]);
        // A sequence is not divided.
        assert_eq!(balanced(&[100, 1, 1], 2), [0..1, 1..3]);
        assert_eq!(balanced(&[100, 100, 1], 2), [0..1, 1..3]);
    }
}
