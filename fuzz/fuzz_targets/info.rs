#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| elman_fuzz::within_budget(elman_fuzz::info::run, data));
