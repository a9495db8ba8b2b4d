//! Arrays that are written and read again: .npy, .npz and .safetensors keep every bit.

use elman::Element;
use elman::files::{AnyArray, Arrays, Source, write_npy, write_npz, write_safetensors};
use ndarray::ArrayD;

use super::{scratch, ways};

/// Two arrays, the second one the first transposed: its numbers do not stand in their order.
pub fn run(data: &[u8]) {
    let [kind, sizes, rest @ ..] = data else { return };
    // Up to three axes of 0 to 4.
    let rank = usize::from(kind >> 1) % 4;
    let shape: Vec<_> =
        (0..rank).map(|axis| usize::from(sizes >> (2 * axis)) % 4 + axis % 2).collect();
    if kind % 2 == 0 {
        check(&array(&shape, rest, |bytes| f32::from_le_bytes(bytes[..4].try_into().unwrap())));
    } else {
        check(&array(&shape, rest, f64::from_le_bytes));
    }
}

/// An array whose bits are those of `bytes`, over and over.
fn array<T>(shape: &[usize], bytes: &[u8], number: impl Fn([u8; 8]) -> T) -> ArrayD<T> {
    let mut bytes = bytes.iter().chain(&[0]).copied().cycle();
    let next = || number(std::array::from_fn(|_| bytes.next().unwrap_or(0)));
    ArrayD::from_shape_simple_fn(shape, next)
}

fn check<T: Element>(array: &ArrayD<T>) {
    let turned = array.t().to_owned();
    let mut npy = Vec::new();
    write_npy(&mut npy, &array.view()).unwrap();
    write_npy(&mut npy, &turned.view()).unwrap();
    let mut stream = Arrays::new(Box::new(std::io::Cursor::new(npy.clone())), "fuzz");
    for want in [array, &turned] {
        let header = stream.header().unwrap().unwrap();
        same(&stream.read::<T>(&header).unwrap(), want);
    }
    assert!(stream.header().unwrap().is_none());
    same(&ways::open(&scratch::source(&npy[..npy.len() / 2])).unwrap().read::<T>().unwrap(), array);

    let file = scratch::written("arrays.npz", |sink| {
        write_npz(sink, &[("a", array), ("b", &turned)], "a comment").unwrap();
    });
    let mut members = ways::open_bundle(&file).unwrap();
    assert_eq!((members.position("a"), members.position("b")), (Some(0), Some(1)));
    assert_eq!(members.text().unwrap().text, "a comment");
    same(&members.read_as::<T>(0).unwrap(), array);
    same(&members.read_as::<T>(1).unwrap(), &turned);
    bundle(&file, array, &turned);
    ways::check_file(|| ways::open(&scratch::source(&npy[..npy.len() / 2])).unwrap());

    let tensors: [(&str, &dyn AnyArray); 2] = [("b", &turned), ("a", array)];
    let file = scratch::written("arrays.safetensors", |sink| {
        write_safetensors(sink, &tensors, "a text").unwrap();
    });
    bundle(&file, array, &turned);
}

/// Reads tensors a and b by name.
fn bundle<T: Element>(file: &Source, a: &ArrayD<T>, b: &ArrayD<T>) {
    let mut bundle = ways::open_bundle(file).unwrap();
    assert!(bundle.text().is_some());
    ways::check_bundle(&mut bundle);
    assert_eq!(bundle.entries().len(), 2);
    for index in 0..2 {
        let want = if bundle.entries()[index].name == "a" { a } else { b };
        match bundle.read(index, Some(T::DTYPE)).unwrap() {
            elman::files::Tensor::F32(have) => same(&have, want),
            elman::files::Tensor::F64(have) => same(&have, want),
        }
    }
}

/// The same shapes and bits.
fn same<T: Element, U: Element>(have: &ArrayD<T>, want: &ArrayD<U>) {
    assert_eq!((T::DTYPE, have.shape()), (U::DTYPE, want.shape()));
    let have = have.iter().map(|number| number.to_le_bytes().as_ref().to_vec());
    assert!(have.eq(want.iter().map(|number| number.to_le_bytes().as_ref().to_vec())));
}
