//! Injected faults: the n-th read, write, sync, rename or allocation fails, so that a test can observe the rest
//! of the program.
//!
//! Only a build with debug assertions has them; a release contains none of this code.

use std::io;

/// An operation that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bytes of a file or of standard input are read.
    Read,
    /// Bytes of a file or of standard output are written.
    Write,
    /// Bytes are synced to the disk.
    Sync,
    /// A file or folder is renamed.
    Rename,
    /// Memory that grows with the data is allocated.
    Allocate,
}

#[cfg(debug_assertions)]
pub use planned::{FaultPlan, plan};

/// The number of bytes, of `len`, that an operation may process, or an error if the plan makes the operation fail.
#[inline(always)]
#[allow(clippy::unnecessary_wraps, reason = "a build with debug assertions fails here")]
pub(crate) fn pass(operation: Operation, len: usize) -> io::Result<usize> {
    #[cfg(debug_assertions)]
    return planned::pass(operation, len);
    #[cfg(not(debug_assertions))]
    {
        let _ = operation;
        Ok(len)
    }
}

#[cfg(debug_assertions)]
mod planned {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Operation;

    /// The faults of this process.
    #[derive(Clone, Copy, Debug)]
    pub enum FaultPlan {
        /// Operations of one kind fail, from number `first`, counted from 1, to number `last`.
        Fail {
            /// Their kind.
            operation: Operation,
            /// The first that fails.
            first: u64,
            /// The last that fails.
            last: u64,
            /// The error number that the system seems to return.
            errno: i32,
        },
        /// Every second read and write is interrupted, and the others process a few bytes.
        Short,
    }

    static PLAN: OnceLock<FaultPlan> = OnceLock::new();

    /// Number of operations so far: of the failing kind, or of any kind.
    static COUNT: AtomicU64 = AtomicU64::new(0);

    /// Sets the faults of this process. Only the first call counts.
    pub fn plan(plan: FaultPlan) {
        let _ = PLAN.set(plan);
    }

    pub(super) fn pass(operation: Operation, len: usize) -> io::Result<usize> {
        match *PLAN.get().unwrap_or(&FaultPlan::Fail { operation, first: 0, last: 0, errno: 0 }) {
            FaultPlan::Fail { operation: planned, first, last, errno } if planned == operation => {
                let number = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
                if (first..=last).contains(&number) {
                    return Err(io::Error::from_raw_os_error(errno));
                }
                Ok(len)
            }
            FaultPlan::Short if matches!(operation, Operation::Read | Operation::Write) => {
                let number = COUNT.fetch_add(1, Ordering::Relaxed);
                if number.is_multiple_of(2) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                // One to seven bytes: the cuts fall inside the numbers of a tensor.
                Ok(len.min(usize::try_from(number / 2 % 7).unwrap_or(0) + 1))
            }
            FaultPlan::Fail { .. } | FaultPlan::Short => Ok(len),
        }
    }
}
