//! Faults on demand: the n-th read, write, sync, rename or allocation fails, so that a test can see what
//! becomes of everything else.
//!
//! Only a build with debug assertions can be told to; in a release nothing of it is left.

#[cfg(not(debug_assertions))]
use std::io;

/// What can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bytes of a file or of standard input are read.
    Read,
    /// Bytes of a file or of standard output are written.
    Write,
    /// Bytes are put on the disk.
    Sync,
    /// A file or folder gets another name.
    Rename,
    /// Memory that grows with the data is asked for.
    Allocate,
}

/// How many of `len` bytes an operation may treat.
///
/// # Errors
/// Where the operation was told to fail.
#[cfg(not(debug_assertions))]
#[inline(always)]
#[allow(clippy::unnecessary_wraps, reason = "a build with debug assertions fails here")]
pub(crate) fn pass(_: Operation, len: usize) -> io::Result<usize> {
    Ok(len)
}

#[cfg(debug_assertions)]
pub use planned::{Plan, plan};

#[cfg(debug_assertions)]
pub(crate) use planned::pass;

#[cfg(debug_assertions)]
mod planned {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Operation;

    /// What goes wrong in this process.
    #[derive(Clone, Copy, Debug)]
    pub enum Plan {
        /// Operations of one kind fail, from number `first`, counted from 1, to number `last`.
        Fail {
            /// Their kind.
            operation: Operation,
            /// The first that fails.
            first: u64,
            /// The last that fails.
            last: u64,
            /// The number of the error that the system is said to have given.
            errno: i32,
        },
        /// Every second read and write is interrupted, and the others treat a few bytes.
        Short,
    }

    static PLAN: OnceLock<Plan> = OnceLock::new();

    /// Operations until now, of the kind that fails, or of any kind.
    static COUNT: AtomicU64 = AtomicU64::new(0);

    /// Tells this process what goes wrong in it. Only the first call counts.
    pub fn plan(plan: Plan) {
        let _ = PLAN.set(plan);
    }

    /// How many of `len` bytes an operation may treat.
    ///
    /// # Errors
    /// Where the operation was told to fail.
    pub(crate) fn pass(operation: Operation, len: usize) -> io::Result<usize> {
        match *PLAN.get().unwrap_or(&Plan::Fail { operation, first: 0, last: 0, errno: 0 }) {
            Plan::Fail { operation: planned, first, last, errno } if planned == operation => {
                let number = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
                if (first..=last).contains(&number) {
                    return Err(io::Error::from_raw_os_error(errno));
                }
                Ok(len)
            }
            Plan::Short if matches!(operation, Operation::Read | Operation::Write) => {
                let number = COUNT.fetch_add(1, Ordering::Relaxed);
                if number.is_multiple_of(2) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                // One to seven bytes: no number of a tensor ends where its bytes are cut.
                Ok(len.min(usize::try_from(number / 2 % 7).unwrap_or(0) + 1))
            }
            Plan::Fail { .. } | Plan::Short => Ok(len),
        }
    }
}
