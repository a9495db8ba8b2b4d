//! Arrays one behind the other. However the bytes arrive, the arrays are the same, and no byte behind an
//! array is taken before the next one is asked for.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use elman::files::{Arrays, Header};

use super::stored::agrees;

/// What a stream turned out to hold: headers and the bits of the numbers, and the error at its end.
type Result = (Vec<(Header, Vec<u64>)>, Option<String>);

pub fn run(data: &[u8]) {
    let whole = read(data, &[usize::MAX]);
    assert_eq!(read(data, &[1]), whole, "byte by byte");
    // Pieces of any sizes, and reads that are interrupted: those of size 0.
    let sizes: Vec<usize> =
        data.iter().rev().take(16).map(|&byte| usize::from(byte % 64)).collect();
    if sizes.iter().any(|&size| size > 0) {
        assert_eq!(read(data, &sizes), whole, "in pieces of {sizes:?} bytes");
    }
}

/// Reads all arrays, in pieces of these sizes, over and over.
fn read(data: &[u8], sizes: &[usize]) -> Result {
    let taken = Arc::new(AtomicUsize::new(0));
    let pieces =
        Pieces { data: data.to_vec(), taken: Arc::clone(&taken), sizes: sizes.to_vec(), turn: 0 };
    let mut stream = Arrays::new(Box::new(pieces), "fuzz");
    let mut arrays = Vec::new();
    loop {
        let start = taken.load(Relaxed);
        let header = match stream.header() {
            Ok(Some(header)) => header,
            Ok(None) => return (arrays, None),
            Err(error) => return (arrays, Some(error.to_string())),
        };
        let body = start + header_bytes(&data[start..]);
        assert_eq!(taken.load(Relaxed), body, "bytes behind the header");
        match stream.read::<f64>(&header) {
            Ok(array) => {
                assert_eq!(
                    taken.load(Relaxed),
                    body + header.body_bytes(),
                    "bytes behind the array"
                );
                assert!(agrees(&array, &header, &data[body..taken.load(Relaxed)]));
                arrays.push((header, array.iter().map(|number| number.to_bits()).collect()));
            }
            Err(error) => return (arrays, Some(error.to_string())),
        }
    }
}

/// How long the header at the front is, magic string included.
fn header_bytes(data: &[u8]) -> usize {
    match data[6] {
        1 => 10 + usize::from(u16::from_le_bytes([data[8], data[9]])),
        _ => 12 + u32::from_le_bytes([data[8], data[9], data[10], data[11]]) as usize,
    }
}

/// A reader that gives bytes in pieces of chosen sizes, and counts them.
struct Pieces {
    data: Vec<u8>,
    taken: Arc<AtomicUsize>,
    sizes: Vec<usize>,
    turn: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()];
        self.turn += 1;
        if size == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let start = self.taken.load(Relaxed);
        let end = self.data.len().min(start + size.min(buffer.len()));
        let piece = &self.data[start..end];
        buffer[..piece.len()].copy_from_slice(piece);
        self.taken.store(end, Relaxed);
        Ok(piece.len())
    }
}
