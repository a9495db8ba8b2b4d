//! The corpus of the fuzz targets in `fuzz/`, run again through the targets' bodies and assertions.
//!
//! This test has a binary of its own, because the targets count the memory of all that runs beside them.
#![cfg(all(feature = "csv", feature = "onnx"))]
#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::fs;
use std::panic;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a crate of its own elsewhere")]
mod targets;

use targets::TARGETS;
// The modules of the binary find each other in the root of the crate.
use targets::binary::*;

#[test]
fn every_target_runs_over_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    // In threads, because the largest one takes most of the time.
    std::thread::scope(|scope| {
        for (name, run) in TARGETS {
            let folder = corpus.join(name);
            scope.spawn(move || replay(&folder, run));
        }
    });
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut folders: Vec<_> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, names, "each folder of the corpus has a target");
}

/// Runs a target over every file of a folder.
fn replay(folder: &Path, run: fn(&[u8])) {
    let files =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let data = fs::read(&path).unwrap();
        let ended = panic::catch_unwind(|| targets::within_budget(run, &data));
        assert!(ended.is_ok(), "{}: the target panicked, as printed above", path.display());
        count += 1;
    }
    assert!(count > 0, "{}: no file in it", folder.display());
}
