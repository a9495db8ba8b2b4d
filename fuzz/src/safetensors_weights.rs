//! .safetensors, up to the layer in it. What is accepted, the crate `safetensors` accepts too, with the same
//! tensors; none stands twice, and every byte of the file belongs to one.

use elman::Checkpoint;
use elman::files::{BundleFormat, Entry, StoredType};
use safetensors::SafeTensors;

use super::{pipe, scratch, stored, ways, weights};

pub fn run(data: &[u8]) {
    // As the format begins; others have targets of their own.
    if data.get(8) != Some(&b'{') {
        return;
    }
    pipe::check(data);
    let Some(mut bundle) = ways::open_bundle(&scratch::source(data)) else { return };
    if bundle.format() != BundleFormat::Safetensors {
        return;
    }
    let entries = bundle.entries().to_vec();
    // The crate rejects types that it does not know.
    if entries.iter().any(|entry| matches!(entry.stored, StoredType::Other(_))) {
        return;
    }
    let second = SafeTensors::deserialize(data).unwrap();
    // The crate keeps one of two tensors with the same name.
    assert_eq!(second.len(), entries.len(), "a tensor stands twice");
    let sizes = entries
        .iter()
        .map(|Entry { stored, shape, .. }| shape.iter().product::<usize>() * stored.size());
    let header = 8 + usize::try_from(u64::from_le_bytes(data[..8].try_into().unwrap())).unwrap();
    assert_eq!(header + sizes.sum::<usize>(), data.len(), "bytes of no tensor");

    ways::check_bundle(&mut bundle);
    let mut bits = Vec::new();
    for (index, Entry { name, stored, shape }) in entries.iter().enumerate() {
        let tensor = bundle.read(index, None).unwrap();
        assert_eq!(tensor.shape(), shape);
        // A name with control characters is shown in another form.
        let Ok(view) = second.tensor(name) else { continue };
        assert_eq!(view.shape(), shape);
        assert_eq!(view.data().len(), shape.iter().product::<usize>() * stored.size());
        bundle.reader(index).unwrap().next_bits(&mut bits).unwrap();
        for (&bits, bytes) in bits.iter().zip(view.data().chunks(stored.size())) {
            let want = stored::number(*stored, false, bytes);
            let have = stored.number(bits).to_f64();
            assert!(have.to_bits() == want.to_bits() || (have.is_nan() && want.is_nan()));
        }
    }
    weights::check(Checkpoint::of_bundle(&mut bundle, None, None));
}
