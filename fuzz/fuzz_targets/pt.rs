//! A checkpoint takes the budget of its values, the bytes of the tensors that the target reads, and little more.
#![no_main]

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// 64 MiB for the values of a pickle, 8 MiB for the reads of the target, and as much again as they need in other
/// types.
const MAX_BYTES: usize = 96 << 20;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    elman_fuzz::pt::run(data);
    let peak = MEMORY.peak_usage().saturating_sub(before);
    assert!(peak <= MAX_BYTES, "{peak} bytes of memory");
});
