//! Rows 33 to 37: archives, of which rows 34 to 36 are made of the records of a zip file, one by one.

use zip::CompressionMethod;

use super::{Limits, Scene};
use crate::support::bytes::{npz, patched, stored};

/// How the numbers of a member are held.
pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

/// The largest number of 4 bytes: the true one stands elsewhere, in 8.
const ELSEWHERE: u32 = u32::MAX;

/// What stands before the bytes of a member.
pub(super) fn local(name: &[u8], method: u16) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let fields = [20, 0, method, 0, 33].map(u16::to_le_bytes).concat();
    [b"PK\x03\x04", &fields[..], &[0; 12], &length.to_le_bytes(), &[0; 2], name].concat()
}

/// The sum that an archive keeps of a member.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    let byte = |sum: u32, &byte: &u8| (0..8).fold(sum ^ u32::from(byte), |sum, _| bit(sum));
    !bytes.iter().fold(u32::MAX, byte)
}

/// A member in the directory: its checksum, its method, its length as it is and as it will be, and where it stands.
pub(super) fn listed(
    name: &[u8],
    sum: u32,
    method: u16,
    lengths: [u32; 2],
    start: u32,
    extra: &[u8],
) -> Vec<u8> {
    let [name_length, extra_length] =
        [name, extra].map(|bytes| u16::try_from(bytes.len()).unwrap().to_le_bytes());
    let fields = [20, 20, 0, method, 0, 33].map(u16::to_le_bytes).concat();
    let sizes = lengths.map(u32::to_le_bytes).concat();
    let sizes = [&sum.to_le_bytes(), &sizes[..], &name_length, &extra_length].concat();
    [b"PK\x01\x02", &fields[..], &sizes, &[0; 10], &start.to_le_bytes(), name, extra].concat()
}

/// The end of an archive with so many members, whose directory has this length and this start.
pub(super) fn end(members: u64, length: usize, start: usize) -> Vec<u8> {
    let count = u16::try_from(members).unwrap_or(u16::MAX).to_le_bytes();
    let [length, start] = [length, start].map(|at| u32::try_from(at).unwrap().to_le_bytes());
    [b"PK\x05\x06", &[0; 4][..], &count, &count, &length, &start, &[0; 2]].concat()
}

/// What stands before the end where its numbers have 8 bytes.
fn large_end(members: u64, length: u64, start: u64, at: usize) -> Vec<u8> {
    let numbers = [members, members, length, start].map(u64::to_le_bytes).concat();
    let fields = [&44_u64.to_le_bytes()[..], &[45, 0, 45, 0], &[0; 8], &numbers].concat();
    let place = (at as u64).to_le_bytes();
    [b"PK\x06\x06", &fields[..], b"PK\x06\x07", &[0; 4], &place, &1_u32.to_le_bytes()].concat()
}

/// An archive of one member, `a.npy`, with what the directory says of its lengths.
fn of_one(body: &[u8], method: u16, lengths: [u32; 2], extra: &[u8]) -> Vec<u8> {
    // Nobody comes to the end of a member that is compressed here.
    let sum = checksum(if method == STORED { body } else { &[] });
    let body = [&local(b"a.npy", method)[..], body].concat();
    let directory = listed(b"a.npy", sum, method, lengths, 0, extra);
    let end = end(1, directory.len(), body.len());
    [body, directory, end].concat()
}

/// The bytes as one block of a deflated member, and zeros behind them: at least so many.
pub(super) fn deflated(bytes: &[u8], zeros: usize) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let mut stream = [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat();
    // A last block of the fixed code: one zero, again and again as the 258 bytes at distance 1, and the end.
    let mut bits = vec![1_u8, 1, 0];
    let push = |bits: &mut Vec<u8>, code: &str| bits.extend(code.bytes().map(|bit| bit - b'0'));
    push(&mut bits, "00110000");
    for _ in 0..8 * zeros.div_ceil(8 * 258) {
        push(&mut bits, "1100010100000");
    }
    push(&mut bits, "0000000");
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
    stream.extend(bits.chunks(8).map(byte));
    stream
}

#[test]
fn fault_33() {
    let scene = Scene::new();
    let x = scene.sandbox.bytes("x.npy");
    let (zeros, limits) = (1 << 30, Limits { seconds: 1, memory: 70 << 10 });
    let bomb = deflated(&x, zeros);
    let compressed = u32::try_from(bomb.len()).unwrap();
    // What the directory says is what there is, or that there is nothing behind the array.
    for (length, what) in [
        (x.len() + zeros, "expected 120 bytes after the header, got 1073741944"),
        (x.len(), "broken archive: File is larger than its declared uncompressed size"),
    ] {
        let length = u32::try_from(length).unwrap();
        scene.sandbox.write("bomb", &of_one(&bomb, DEFLATED, [compressed, length], &[]));
        for (script, place) in [
            ("rnn run -w w.npz -i bomb -o y.npy", "bomb:a"),
            ("cat bomb | rnn run -w w.npz -i - -o y.npy", "stdin:a"),
            ("rnn diff bomb bomb", "bomb:a"),
            ("rnn info bomb", "bomb:a"),
        ] {
            scene.refuses_within(limits, script, 65, &[&format!("rnn: {place}: {what}\n")]);
        }
    }
}

#[test]
fn fault_34() {
    let scene = Scene::new();
    let x = scene.sandbox.bytes("x.npy");
    let one = stored(&[("a.npy", &x)]);
    let length = u32::try_from(x.len()).unwrap();
    let whole = of_one(&x, STORED, [length, length], &[]);
    let mut encrypted = patched(&one, b"PK\x03\x04\x14\0\0", b"PK\x03\x04\x14\0\x01");
    let central = encrypted.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    encrypted[central + 8] |= 1;
    for (bytes, what) in [
        (patched(&one, &x[128..], &[0; 120]), ":a: broken archive: Invalid checksum\n"),
        (
            encrypted,
            ":a: broken archive: unsupported Zip archive: Password required to decrypt file\n",
        ),
        // Lengths that are not those of the member.
        (
            of_one(&x, STORED, [length, length - 1], &[]),
            ":a: expected 120 bytes after the header for shape [5, 2, 3], got 119\n",
        ),
        (
            of_one(&x, STORED, [length, length + 1], &[]),
            ":a: expected 120 bytes after the header, got 121\n",
        ),
        (of_one(&x, STORED, [length - 1, length], &[]), ":a: broken archive: Invalid checksum\n"),
        (
            of_one(&x, STORED, [length + 1, length], &[]),
            ":a: broken archive: File is larger than its declared uncompressed size\n",
        ),
        (of_one(&x, STORED, [length, 0], &[]), ":a: empty member; expected .npy\n"),
        (of_one(&x, STORED, [0, length], &[]), ":a: broken archive: Invalid checksum\n"),
        (
            of_one(&deflated(&x, 0)[..50], DEFLATED, [50, length], &[]),
            ":a: broken archive: incomplete deflate stream\n",
        ),
        // Members that are no arrays, or others.
        (stored(&[("a.npy", b"")]), ":a: empty member; expected .npy\n"),
        (stored(&[("a.npy", b"text")]), ":a: expected .npy in the archive, got another format\n"),
        (
            stored(&[("a.npy", &x[..138])]),
            ":a: expected 120 bytes after the header for shape [5, 2, 3], got 10\n",
        ),
        (
            stored(&[("a.npy", &[&x[..], b"\0"].concat())]),
            ":a: expected 120 bytes after the header, got 121\n",
        ),
        // A directory that is cut off, has moved, or is not there.
        (
            one[..one.len() - 30].to_vec(),
            ": broken archive: invalid Zip archive: Could not find EOCD\n",
        ),
        (one[..x.len()].to_vec(), ": broken archive: invalid Zip archive: Could not find EOCD\n"),
        (
            patched(&whole, b"PK\x01\x02", b"PK\x01\x03"),
            ": broken archive: invalid Zip archive: No CDFH found\n",
        ),
    ] {
        scene.refuses_input(&bytes, &[what]);
    }
}

/// Of row 34: a member of the weights, behind the newline that ends its header.
#[test]
fn fault_34_weights() {
    let scene = Scene::new();
    let mut broken = scene.sandbox.bytes("w.npz");
    let newline = broken.windows(2).position(|bytes| bytes == b" \n").unwrap();
    broken[newline + 2] ^= 1;
    let says = "rnn: bad:weight_ih_l0: broken archive: Invalid checksum\n";
    scene.refuses_weights(&broken, &[says]);
}

/// Of row 34: numbers of 8 bytes that lie.
#[test]
fn fault_34_zip64() {
    let scene = Scene::new();
    let x = scene.sandbox.bytes("x.npy");
    let length = u32::try_from(x.len()).unwrap();
    let extra = |numbers: &[u64]| {
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        [&[1, 0][..], &u16::try_from(numbers.len()).unwrap().to_le_bytes(), &numbers].concat()
    };
    let long = |lengths: [u64; 2]| of_one(&x, STORED, [ELSEWHERE; 2], &extra(&lengths));
    let true_length = u64::from(length);
    let declared = ":a: expected 120 bytes after the header, got";
    for (bytes, what) in [
        (long([1 << 63, 1 << 63]), format!("{declared} 9223372036854775680\n")),
        (long([u64::MAX, true_length]), format!("{declared} 18446744073709551487\n")),
        (long([1 << 40, true_length]), format!("{declared} 1099511627648\n")),
        (
            long([true_length, u64::MAX]),
            ":a: broken archive: invalid Zip archive: File data end offset overflows u64\n"
                .to_owned(),
        ),
        // A number that is said to stand elsewhere, and does not.
        (of_one(&x, STORED, [ELSEWHERE; 2], &[]), format!("{declared} 4294967167\n")),
        (
            of_one(&x, STORED, [length, ELSEWHERE], &extra(&[])),
            ": broken archive: invalid Zip archive: ZIP64 extra field truncated\n".to_owned(),
        ),
    ] {
        scene.refuses_input(&bytes, &[&what]);
    }
    let body = [&local(b"a.npy", STORED)[..], &x].concat();
    let directory = listed(b"a.npy", checksum(&x), STORED, [length, length], 0, &[]);
    let start = body.len();
    let at = start + directory.len();
    let (start, length) = (start as u64, directory.len() as u64);
    let missing = "broken archive: invalid Zip archive: Could not find EOCD64";
    for (large, what) in [
        (
            large_end(1 << 60, length, start, at),
            "archive of 1152921504606846976 members; limit 100000",
        ),
        (large_end(99_999, length, start, at), missing),
        (
            large_end(1, length, u64::MAX, at),
            "expected a directory that ends by byte 334, got 51 bytes from 18446744073709551615 on",
        ),
        (
            large_end(1, u64::MAX, start, at),
            "expected a directory that ends by byte 334, got 18446744073709551615 bytes from 283 on",
        ),
        (
            large_end(1, length, start, usize::MAX),
            "broken archive: invalid Zip archive: Invalid EOCD64 Locator CD offset",
        ),
    ] {
        let end = [b"PK\x05\x06", &[0; 4][..], &[0xff; 12], &[0; 2]].concat();
        scene.refuses_as(&[&body[..], &directory, &large, &end].concat(), what);
    }
}

#[test]
fn fault_35() {
    let scene = Scene::new();
    let x = scene.sandbox.bytes("x.npy");
    // Neither sequences, which have two axes each, nor a packed sequence.
    let expected = "expected one member, a packed sequence (data, batch_sizes), or sequences \
                    (seq_len, input_size) of one input_size, got";
    let names: Vec<_> = (0..23).map(|number| format!("{number}.npy")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), &x[..])).collect();
    for (members, names) in [
        (&[("a.npy", &x[..]), ("b.npy", &x)][..], "a, b"),
        (&[("../../w.npy", &x), ("/tmp/absolute.npy", &x)], "../../w, /tmp/absolute"),
        (&[("a\0.npy", &x), ("\x1b[2J.npy", &x)], "a\\0, \\u{1b}[2J"),
        (&many, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 3 more"),
    ] {
        scene.refuses_as(&stored(members), &format!("{expected} {names}"));
        let line = "rnn run -w w.npz -i bad.npz:none -o y.npy";
        scene.sandbox.write("bad.npz", &stored(members));
        let says = format!("rnn: bad.npz:none: expected a member of that name, got {names}\n");
        scene.refuses(line, 65, &[&says]);
    }
    scene.refuses_as(&stored(&[]), "expected one member, got none");
    let twice = "two members of the archive have the same name";
    let same = patched(&stored(&[("a.npy", &x), ("b.npy", &x)]), b"b.npy", b"a.npy");
    scene.refuses_as(&same, twice);
    scene.refuses_weights(&same, &[twice]);
    let of_numpy = stored(&[("b.npy", &x), ("a", &x), ("a.npy", &x)]);
    scene.refuses_as(&of_numpy, &format!("{twice}, a"));
    // The same as weights: names are no paths there either.
    for name in ["../../weight_ih_l0.npy", "/weight_ih_l0.npy", "weight_ih_l0\0.npy"] {
        scene.refuses_weights(&stored(&[(name, &x)]), &["rnn: bad: ", "weight_ih_l0"]);
    }
}

#[test]
fn fault_36() {
    let scene = Scene::new();
    let many = |members: u32| {
        let name = |index: u32| format!("{index:07}").into_bytes();
        let locals: Vec<u8> = (0..members).flat_map(|index| local(&name(index), STORED)).collect();
        let entry = |index: u32| listed(&name(index), 0, STORED, [0; 2], 37 * index, &[]);
        let directory: Vec<u8> = (0..members).flat_map(entry).collect();
        let (start, at) = (locals.len(), locals.len() + directory.len());
        let large = large_end(members.into(), directory.len() as u64, start as u64, at);
        let end = [b"PK\x05\x06", &[0; 4][..], &[0xff; 12], &[0; 2]].concat();
        [locals, directory, large, end].concat()
    };
    let million = many(1_000_000);
    scene.refuses_input(&million, &[": archive of 1000000 members; limit 167772\n"]);
    scene.refuses_weights(&million, &["rnn: bad: archive of 1000000 members; limit 100000\n"]);
    drop(million);
    // As many as there may be do not take more memory than they may.
    scene.refuses_weights(&many(100_000), &["rnn: bad:0000000: empty member; expected .npy\n"]);
    scene.refuses_weights(&many(100_001), &["rnn: bad: archive of 100001 members; limit 100000\n"]);
}

#[test]
fn fault_37() {
    let scene = Scene::new();
    let expected = scene.succeeds("rnn run -q -w w.npz -i x.npy -o -").stdout;
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        scene.sandbox.write("x.npz", &npz(&[("x.npy", &scene.sandbox.bytes("x.npy"))], method));
        for input in ["-", "/dev/stdin"] {
            let script = format!("cat x.npz | rnn run -q -w w.npz -i {input} -o -");
            assert_eq!(scene.succeeds(&script).stdout, expected, "{method} {input}");
        }
    }
}
