//! PyTorch's checkpoints in all their layouts, up to the layer in one. What is accepted has for each tensor
//! as many bytes as its shape and type say.

use elman::Checkpoint;
use elman::files::{BundleFormat, Entry};

use super::{pipe, scratch, ways, weights};

/// Most bytes of a checkpoint whose numbers are read: a view may repeat a few of them millions of times.
const MAX_BYTES: usize = 1 << 20;

pub fn run(data: &[u8]) {
    // As the formats begin; others have targets of their own.
    if ![&b"PK"[..], b"\x80", b"sys_info"].iter().any(|magic| data.starts_with(magic)) {
        return;
    }
    pipe::check(data);
    let source = scratch::source(data);
    let Some(mut bundle) = ways::open_bundle(&source) else { return };
    if bundle.format() != BundleFormat::Pt {
        return;
    }
    let bytes = |Entry { stored, shape, .. }: &Entry| {
        shape.iter().try_fold(stored.size(), |bytes, &size| bytes.checked_mul(size)).unwrap()
    };
    let entries = bundle.entries().to_vec();
    assert!(!entries.is_empty());
    if entries.iter().map(bytes).sum::<usize>() > MAX_BYTES {
        return;
    }
    ways::check_bundle(&mut bundle);
    for (index, entry) in entries.iter().enumerate() {
        if let Ok(tensor) = bundle.read(index, None) {
            assert_eq!(tensor.shape(), entry.shape);
        }
    }
    weights::check(Checkpoint::of_bundle(&mut bundle, None, None));
}
