//! `rnn bench --check`: the promise that the bytes of a result depend on nothing but the sequence, the
//! weights and `h_0`, on random layers, each run in the plainest way and in all others.

mod case;
mod compare;
mod tally;
mod way;

use std::time::Instant;

use anyhow::Result;
use elman::{Element, Generator, Kernel};
use rayon::ThreadPool;

use crate::args::Bench;
use crate::progress;
use crate::threads;

use case::{Case, Kind};
use compare::differences;
use tally::Tally;
use way::{Run, Way};

/// Layers that are checked however short the time is: one of each type.
const MIN_LAYERS: usize = 2;

/// Checks layers until the time is over, and prints what came out.
pub(crate) fn print(args: &Bench) -> Result<()> {
    let checker = Checker::new(&args.threads)?;
    let tally = checker.check(args.min_time)?;
    tally.print(args.report)
}

/// What layers are run on.
struct Checker {
    /// Pools of different numbers of threads; the first is the one of the reference.
    pools: Vec<ThreadPool>,
    kernels: Vec<Kernel>,
}

impl Checker {
    /// With these numbers of threads, or, where there are none, 1, 2, 3 and the cores.
    fn new(threads: &[usize]) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        let mut counts = if threads.is_empty() { vec![2, 3, cores] } else { threads.to_vec() };
        counts.push(1);
        counts.sort_unstable();
        let mut pools: Vec<ThreadPool> = Vec::new();
        for count in counts {
            let pool = threads::pool(Some(count), &mut Vec::new())?;
            // Where the system refuses so many, there are as many as in another pool.
            let known =
                |known: &ThreadPool| known.current_num_threads() == pool.current_num_threads();
            if !pools.iter().any(known) {
                pools.push(pool);
            }
        }
        Ok(Checker { pools, kernels: Kernel::supported().collect() })
    }

    fn check(&self, seconds: f64) -> Result<Tally> {
        let start = Instant::now();
        let threads = self.pools.iter().map(ThreadPool::current_num_threads).collect();
        let mut tally = Tally::new(self.kernels.clone(), threads);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating")]
        let whole = |seconds: f64| seconds as usize;
        let progress = progress::things(whole(seconds.ceil()));
        let mut shown = 0;
        while tally.layers < MIN_LAYERS || start.elapsed().as_secs_f64() < seconds {
            if tally.layers.is_multiple_of(2) {
                self.check_layer::<f32>(&mut tally)?;
            } else {
                self.check_layer::<f64>(&mut tally)?;
            }
            progress.set_message(format!("seconds, {} layers", tally.layers));
            let passed = whole(start.elapsed().as_secs_f64());
            progress.inc((passed - shown) as u64);
            shown = passed;
        }
        progress.finish_and_clear();
        Ok(tally)
    }

    /// Draws a layer and what it is run over, and runs it in every way.
    fn check_layer<T: Element>(&self, tally: &mut Tally) -> Result<()> {
        tally.layers += 1;
        // Each layer is its own number's, so that it is the same one on a machine with other kernels.
        let mut generator = Generator::new(tally.layers as u64);
        let kind = Kind::of(tally.layers);
        let case = Case::<T>::draw(kind, &mut generator)?;
        let plain = Run { kernel: portable(), threads: 1, way: Way::Whole };
        let expected = self.pools[0].install(|| plain.of(&case))?;
        for (run, pool) in self.runs(kind, &case, &mut generator) {
            let found = pool.install(|| run.of(&case))?;
            let differences = differences(&expected, &found);
            tally.add(&differences, || (case.to_string(), plain.to_string(), run.to_string()));
        }
        Ok(())
    }

    /// The whole batch on every kernel with every number of threads, and each other way on every kernel,
    /// with one of the numbers of threads.
    fn runs<T: Element>(
        &self,
        kind: Kind,
        case: &Case<T>,
        generator: &mut Generator,
    ) -> Vec<(Run, &ThreadPool)> {
        // Once is enough for the portable kernel where it takes long: it may be hundreds of times slower.
        let mut kernels = &self.kernels[..];
        if let (Kind::Long, [others @ .., _]) = (kind, kernels)
            && !others.is_empty()
        {
            kernels = others;
        }
        let mut runs = Vec::new();
        for &kernel in kernels {
            let run =
                |pool: &ThreadPool, way| Run { kernel, threads: pool.current_num_threads(), way };
            // The first pool and the portable kernel have given what the others are compared with.
            let done = usize::from(kernel == portable());
            runs.extend(self.pools.iter().skip(done).map(|pool| (run(pool, Way::Whole), pool)));
            for way in case.other_ways(generator) {
                let pool = &self.pools[case::below(generator, self.pools.len())];
                runs.push((run(pool, way), pool));
            }
        }
        runs
    }
}

/// The kernel of the reference: plain arrays, as simple as it can be.
fn portable() -> Kernel {
    // It is always there, and always the last.
    Kernel::supported().last().unwrap_or_else(Kernel::best)
}
