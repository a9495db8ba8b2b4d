//! Files made byte by byte, as other programs or an attacker would write them.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A .npy file of version 1.0 with this header.
pub(crate) fn npy(header: &str, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len() + 1).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), b"\n", body].concat()
}

/// Small numbers that every signed type can represent.
pub(crate) const SIGNED: [i8; 6] = [-2, 1, 0, 3, 1, -1];

/// The numbers as bytes of a dtype.
#[allow(clippy::cast_sign_loss, reason = "unsigned types get numbers without a sign")]
pub(crate) fn numbers(descr: &str, values: &[i8]) -> Vec<u8> {
    let one = |&x: &i8| -> Vec<u8> {
        match &descr[1..] {
            "b1" | "i1" | "u1" => vec![x as u8],
            "i2" | "u2" => i16::from(x).to_le_bytes().to_vec(),
            "i4" | "u4" => i32::from(x).to_le_bytes().to_vec(),
            "i8" | "u8" => i64::from(x).to_le_bytes().to_vec(),
            "f2" => half::f16::from_f32(f32::from(x)).to_le_bytes().to_vec(),
            "f4" => f32::from(x).to_le_bytes().to_vec(),
            _ => f64::from(x).to_le_bytes().to_vec(),
        }
    };
    let swap = |mut bytes: Vec<u8>| {
        if descr.starts_with('>') {
            bytes.reverse();
        }
        bytes
    };
    values.iter().flat_map(|x| swap(one(x))).collect()
}

/// An archive of these members.
pub(crate) fn npz(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An archive of these members as they are.
pub(crate) fn stored(members: &[(&str, &[u8])]) -> Vec<u8> {
    npz(members, CompressionMethod::Stored)
}

/// The bytes with every occurrence of `from` replaced by `to`, which has the same length.
pub(crate) fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

/// A .safetensors file with this header and this number of bytes of tensors.
pub(crate) fn safetensors(header: &str, bytes: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; bytes]].concat()
}

/// A pickled text.
pub(crate) fn pickled(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    [b"X", &length[..], text.as_bytes()].concat()
}
