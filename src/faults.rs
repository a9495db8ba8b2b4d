//! Injected faults: the n-th read, write, sync, rename or allocation fails, so that a test can observe the rest
//! of the program.
//!
//! Only a build with debug assertions has them; in a release `pass` does nothing.

use std::io;

/// An operation that can be made to fail: a read or a write of a file or a standard stream, a sync to the disk, a rename
/// of a file or folder, an allocation of memory that grows with the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Read,
    Write,
    Sync,
    Rename,
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
        /// Operations of one kind fail with an error number of the system, from number `first`, counted from 1, to
        /// number `last`.
        Fail { operation: Operation, first: u64, last: u64, errno: i32 },
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
        let Some(plan) = PLAN.get() else { return Ok(len) };
        match *plan {
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
