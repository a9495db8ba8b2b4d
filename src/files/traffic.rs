//! The bytes of files and standard streams, for progress.

use std::sync::atomic::{AtomicU64, Ordering};

static PASSED: AtomicU64 = AtomicU64::new(0);

/// Bytes that this process has read and written so far.
pub fn bytes_passed() -> u64 {
    PASSED.load(Ordering::Relaxed)
}

pub(super) fn count(bytes: usize) {
    PASSED.fetch_add(bytes as u64, Ordering::Relaxed);
}
