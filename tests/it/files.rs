//! What files hold and what may happen to them: every form of .npy and .npz that is read, every broken one
//! that is refused, and outputs that are replaced as a whole or not at all.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::Sandbox;

/// A layer for 2 features in `w.npz`, an input of 3 steps in `x.npy`, and an old `out.npy`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.rnn("init -q --input-size 2 --hidden 2 -o w.npz").succeeds();
    sandbox.write("x.npy", &x());
    sandbox.write("out.npy", b"old");
    sandbox
}

const SHAPE: &str = "'shape': (3, 2), ";

/// Six numbers as f32, 3 steps of 2 features.
fn x() -> Vec<u8> {
    npy(&format!("{{'descr': '<f4', 'fortran_order': False, {SHAPE}}}"), &numbers("<f4", &SIGNED))
}

/// A .npy file of version 1.0 with this header.
fn npy(header: &str, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len() + 1).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), b"\n", body].concat()
}

/// Small numbers that every signed type holds.
const SIGNED: [i8; 6] = [-2, 1, 0, 3, 1, -1];
const UNSIGNED: [i8; 6] = [2, 1, 0, 3, 1, 1];
const BOOL: [i8; 6] = [1, 1, 0, 0, 1, 0];

/// The numbers as bytes of a dtype.
#[allow(clippy::cast_sign_loss, reason = "unsigned types get numbers without a sign")]
fn numbers(descr: &str, values: &[i8]) -> Vec<u8> {
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
fn npz(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The bytes with every occurrence of `from` replaced by `to`, which has the same length.
fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

/// What the layer makes of an input.
#[track_caller]
fn output(sandbox: &Sandbox, input: &str) -> Vec<u8> {
    let words = ["run", "-q", "-w", "w.npz", "-i", input, "-o", "-", "--dtype", "f32"];
    sandbox.rnn_with(&words, &[]).succeeds().stdout
}

#[test]
fn every_dtype_and_order_is_read() {
    let sandbox = sandbox();
    let dict = |descr: &str, rest: &str| format!("{{'descr': '{descr}', 'fortran_order': {rest}}}");
    for (values, types) in [
        (
            SIGNED,
            &[
                "<f4", ">f4", "<f8", ">f8", "<f2", ">f2", "|i1", "<i2", ">i2", "<i4", ">i4", "<i8",
                ">i8",
            ][..],
        ),
        (UNSIGNED, &["<f4", "|u1", "<u2", ">u2", "<u4", ">u4", "<u8", ">u8"]),
        (BOOL, &["<f4", "|b1"]),
    ] {
        let mut expected = None;
        for descr in types {
            sandbox.write(
                "c",
                &npy(&dict(descr, &format!("False, {SHAPE}")), &numbers(descr, &values)),
            );
            let transposed = [0, 2, 4, 1, 3, 5].map(|at: usize| values[at]);
            let header = dict(descr, &format!("True, {SHAPE}"));
            sandbox.write("fortran", &npy(&header, &numbers(descr, &transposed)));
            let expected = expected.get_or_insert_with(|| output(&sandbox, "c"));
            assert_eq!(&output(&sandbox, "c"), expected, "{descr}");
            assert_eq!(&output(&sandbox, "fortran"), expected, "{descr}, Fortran order");
        }
    }
    let expected = output(&sandbox, "x.npy");
    for header in [
        "{'descr': '=f4', 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': '|f4', 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': 'f4', 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 2L), }",
        "{'shape':(3,2,),\"fortran_order\":False,\"descr\":\"<f4\"}   ",
        "  { 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 3 , 2 ) , }",
    ] {
        sandbox.write("spelled", &npy(header, &numbers("<f4", &SIGNED)));
        assert_eq!(output(&sandbox, "spelled"), expected, "{header}");
    }
    for version in [2, 3] {
        let (x, length) = (x(), u32::from(x()[8]).to_le_bytes());
        let file = [b"\x93NUMPY", &[version, 0][..], &length, &x[10..]].concat();
        sandbox.write("version", &file);
        assert_eq!(output(&sandbox, "version"), expected, "version {version}");
    }
}

#[test]
fn archives_and_their_members() {
    let sandbox = sandbox();
    let expected = output(&sandbox, "x.npy");
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        sandbox.write("one.npz", &npz(&[("data.npy", &x())], method));
        sandbox.write("two.npz", &npz(&[("a.npy", b"no array"), ("b/c.npy", &x())], method));
        // A name is data, never a path.
        sandbox.write("up.npz", &npz(&[("../../x.npy", &x())], method));
        sandbox.shell("cp one.npz zip-as.npy; cp x.npy npy-as.npz").succeeds();
        for input in [
            "one.npz",
            "one.npz:data",
            "two.npz:b/c",
            "up.npz",
            "up.npz:../../x",
            "zip-as.npy",
            "npy-as.npz",
        ] {
            assert_eq!(output(&sandbox, input), expected, "{input}");
        }
        let words = ["run", "-q", "-w", "w.npz", "-i", "-", "-o", "-"];
        let piped = sandbox.rnn_with(&words, &sandbox.bytes("one.npz")).succeeds();
        assert_eq!(piped.stdout, expected);
    }
}

#[test]
fn a_path_that_exists_wins_over_a_member() {
    let sandbox = sandbox();
    sandbox.write("a.npz", &npz(&[("b.npy", &x())], CompressionMethod::Stored));
    let member = output(&sandbox, "a.npz:b");
    let other = npy("{'descr': '|i1', 'fortran_order': False, 'shape': (1, 2)}", &[7, 7]);
    sandbox.write("a.npz:b", &other);
    sandbox.write("other", &other);
    let path = output(&sandbox, "a.npz:b");
    assert_ne!(path, member);
    assert_eq!(path, output(&sandbox, "other"));
}

/// Fails the test unless `rnn run` refuses these bytes as input, from a file and (where `piped`) from a
/// pipe, within a second, says why, and leaves everything as it was.
#[track_caller]
fn refuses(sandbox: &Sandbox, bytes: &[u8], message: &str) {
    sandbox.write("bad", bytes);
    let names = sandbox.names();
    let start = Instant::now();
    sandbox.rnn("run -w w.npz -i bad -o out.npy").fails(65, &format!("rnn: bad{message}\n"));
    assert!(start.elapsed() < Duration::from_secs(1), "{message}");
    assert_eq!(sandbox.names(), names);
    assert_eq!(sandbox.bytes("out.npy"), b"old");
}

#[test]
fn files_that_are_no_npy_are_refused() {
    let sandbox = sandbox();
    let looks =
        |kind: &str| format!(": expected .npy, .npz or a table, got what looks like {kind}");
    let x = x();
    let recipe =
        "(np.save cannot write into a buffered pipe: np.save(open(1, 'wb', 0), array) can)";
    let shape = "expected 24 bytes after the header for shape [3, 2], got";
    let v2 = [b"\x93NUMPY\x02\x00\xff\xff\xff\xff", &[b' '; 52][..]].concat();
    let version_9 = patched(&x, b"\x93NUMPY\x01", b"\x93NUMPY\x09");
    let header_only = x[..x.len() - 24].to_vec();
    for (bytes, message) in [
        (b"".to_vec(), ": empty file; expected .npy, .npz or a table, got 0 bytes".to_owned()),
        (b"\x93NUM".to_vec(), ": truncated header at byte 4".to_owned()),
        (b"\x93NUMPY".to_vec(), ": truncated header at byte 6".to_owned()),
        (b"\x93NUMPY\x01\x00\x76".to_vec(), ": truncated header at byte 9".to_owned()),
        (b"\x89PNG\r\n\x1a\n\0\0".to_vec(), looks("PNG")),
        (b"\x1f\x8b\x08\0\0\0\0\0\0".to_vec(), looks("gzip")),
        (b"\x89HDF\r\n\x1a\n\0\0".to_vec(), looks("HDF5")),
        (b"\xff\xfea\0,\0b\0".to_vec(), looks("text in UTF-16")),
        (
            b"1.0,2.0\n3.0,4.0 m\n".to_vec(),
            ": line 2, column 2: expected a number, got '4.0 m'".to_owned(),
        ),
        (
            b"\x01\x02\x03\x04".to_vec(),
            ": expected .npy, .npz or a table, got an unknown format".to_owned(),
        ),
        (version_9, ": format version 9.0; supported 1.0, 2.0, 3.0".to_owned()),
        (v2, ": header of 4294967295 bytes; limit 10000".to_owned()),
        (x[..40].to_vec(), ": expected a header of 60 bytes, got 30".to_owned()),
        (x[..x.len() - 1].to_vec(), format!(": {shape} 23")),
        ([&x[..], b"\0"].concat(), ": expected 24 bytes after the header, got 25".to_owned()),
        (header_only, format!(": {shape} 0 {recipe}")),
        (
            [&x[..], b"garbage behind it"].concat(),
            ": expected 24 bytes after the header, got 41".to_owned(),
        ),
    ] {
        refuses(&sandbox, &bytes, &message);
        let words = ["run", "-w", "w.npz", "-i", "-", "-o", "out.npy"];
        // A stream has no length: there the header is known to be cut off only where it ends.
        let message = message
            .replace(": expected a header of 60 bytes, got 30", ": truncated header at byte 40");
        sandbox.rnn_with(&words, &bytes).fails(65, &format!("rnn: stdin{message}\n"));
    }
}

#[test]
fn headers_that_numpy_would_not_write_are_refused() {
    let sandbox = sandbox();
    let order = "'fortran_order': False";
    let with = |descr: &str| format!("{{'descr': {descr}, {order}, {SHAPE}}}");
    let ordered = |order: &str| format!("{{'descr': '<f4', 'fortran_order': {order}, {SHAPE}}}");
    let shaped = |shape: &str| format!("{{'descr': '<f4', {order}, 'shape': {shape}}}");
    let bomb = format!("{{'descr': {}", "{".repeat(29));
    let lists = "[".repeat(4900);
    let cases = [
        (bomb, "expected a dtype at byte 20, got '{{{{{{{{{{{{{{{{{{{{{{{{{{{{{'"),
        (
            with(&lists),
            "dtype is structured; expected numbers (save one of its fields: np.save(file, array['name']))",
        ),
        (lists, "expected '{' at byte 10, got '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[['"),
        (format!("{{{order}, {SHAPE}}}"), "key 'descr' is missing in the header"),
        (format!("{{'descr': '<f4', {SHAPE}}}"), "key 'fortran_order' is missing in the header"),
        (format!("{{'descr': '<f4', {order}}}"), "key 'shape' is missing in the header"),
        (
            format!("{{'descr': '<f4', {order}, {SHAPE}'more': 1}}"),
            "unknown key 'more' in the header",
        ),
        (
            format!("{{{order}, {order}, {SHAPE}}}"),
            "key 'fortran_order' stands twice in the header",
        ),
        (ordered("1"), "expected True or False for fortran_order at byte 44, got '1'"),
        (shaped("[3, 2]"), "expected a tuple for shape at byte 60, got '[3'"),
        (shaped("3"), "expected a tuple for shape at byte 60, got '3'"),
        (shaped("(3)"), "expected a tuple of whole numbers for shape at byte 61, got '3'"),
        (shaped("(True,)"), "expected a tuple of whole numbers for shape at byte 61, got 'True'"),
        (shaped("(3.0, 2)"), "expected a tuple of whole numbers for shape at byte 61, got '3.0'"),
        (shaped("(-1,)"), "negative size for axis 0 in shape"),
        (shaped("(3, -2)"), "negative size for axis 1 in shape"),
        (
            shaped("(340282366920938463463374607431768211456, 2)"),
            "size 340282366920938463463374607431768211456 in shape is too large",
        ),
        (shaped("(9223372036854775808, 2)"), "shape [9223372036854775808, 2] is too large"),
        (shaped("(4611686018427387904, 4)"), "shape [4611686018427387904, 4] is too large"),
        (
            shaped("(4194305, 4194305, 211106198978564)"),
            "shape [4194305, 4194305, 211106198978564] is too large",
        ),
        (shaped("(0, 18446744073709551615, 4)"), "shape [0, 18446744073709551615, 4] is too large"),
        (
            shaped("(1099511627776, 1)"),
            "expected 4398046511104 bytes after the header for shape [1099511627776, 1], got 24",
        ),
    ];
    for (header, message) in cases {
        refuses(&sandbox, &npy(&header, &numbers("<f4", &SIGNED)), &format!(": {message}"));
    }
    let x = x();
    refuses(
        &sandbox,
        &patched(&x, b"descr", b"d\xe9scr"),
        ": expected an ASCII header, got another byte at 13",
    );
    let mut third = [b"\x93NUMPY\x03\x00\x3c\0\0\0", &x[10..]].concat();
    third[14] = 0xff;
    refuses(&sandbox, &third, ": expected a UTF-8 header, got bad bytes at 14");
    refuses(
        &sandbox,
        &patched(&x, b"}\n", b"} "),
        ": expected a newline at the header's end, byte 70",
    );
}

#[test]
fn dtypes_that_are_no_numbers_are_refused_with_a_way_to_save_them() {
    let sandbox = sandbox();
    let with = |descr: &str| format!("{{'descr': {descr}, 'fortran_order': False, {SHAPE}}}");
    let cases = [
        (
            with("'|O'"),
            "dtype '|O' is objects; expected numbers (np.save(file, np.array(list, dtype='float32')))",
        ),
        (
            with("'|V8'"),
            "dtype '|V8' is structured; expected numbers (np.save(file, array['name']))",
        ),
        (
            with("[('a', '<f4')]"),
            "dtype is structured; expected numbers (save one of its fields: np.save(file, array['name']))",
        ),
        (
            with("'<U3'"),
            "dtype '<U3' is text; expected numbers (np.save(file, array.astype('float32')))",
        ),
        (
            with("'|S3'"),
            "dtype '|S3' is text; expected numbers (np.save(file, array.astype('float32')))",
        ),
        (
            with("'<M8[ns]'"),
            "dtype '<M8[ns]' is dates or durations; expected numbers (np.save(file, array.astype('int64')))",
        ),
        (with("'<c8'"), "dtype '<c8' is complex; expected numbers (np.save(file, array.real))"),
        (
            with("'<f16'"),
            "dtype '<f16' is a long double; expected numbers (np.save(file, array.astype('float64')))",
        ),
        (
            with("'<V2'"),
            "dtype '<V2' is raw bytes, as bfloat16 is saved; expected numbers (np.save(file, array.astype('float32')))",
        ),
        (
            with("'<i3'"),
            "dtype '<i3' is unknown; expected numbers (np.save(file, array.astype('float32')))",
        ),
    ];
    for (header, message) in cases {
        refuses(&sandbox, &npy(&header, &numbers("<f4", &SIGNED)), &format!(": {message}"));
    }
}

#[test]
fn a_pipe_that_promises_too_much_takes_no_memory() {
    let sandbox = sandbox();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (5000000000, 2)}";
    sandbox.write("huge", &npy(header, &[0; 24]));
    let message = "rnn: stdin: expected 40000000000 bytes after the header for shape [5000000000, 2], got 24\n";
    let limited = "ulimit -v 400000; cat huge | rnn run -w w.npz -i - -o out.npy";
    sandbox.shell(limited).fails(65, message);
    assert_eq!(sandbox.bytes("out.npy"), b"old");
}

#[test]
fn archives_that_lie_are_refused() {
    let sandbox = sandbox();
    let stored = |members: &[(&str, &[u8])]| npz(members, CompressionMethod::Stored);
    let (x, one) = (x(), stored(&[("a.npy", &x())]));
    let bomb =
        npz(&[("a.npy", &[&x[..], &vec![0; 64 << 20]].concat())], CompressionMethod::Deflated);
    sandbox.write("bomb", &bomb);
    let message = ": expected 24 bytes after the header, got 1048608 or more\n";
    let limited = "ulimit -v 400000; rnn run -w w.npz -i bomb -o out.npy";
    sandbox.shell(limited).fails(65, &format!("rnn: bomb{message}"));
    let body = numbers("<f4", &SIGNED);
    let mut encrypted = patched(&one, b"PK\x03\x04\x14\0\0", b"PK\x03\x04\x14\0\x01");
    let central = encrypted.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    encrypted[central + 8] |= 1;
    // The size of the member, as the directory has it.
    let sized =
        |size: u32| [&one[..central + 24], &size.to_le_bytes()[..], &one[central + 28..]].concat();
    let names: Vec<_> = (0..23).map(|number| format!("{number}.npy")).collect();
    // Neither sequences, which have two axes each, nor a packed sequence.
    let flat = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}", &body);
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), &flat[..])).collect();
    for (members, listed) in [
        (&[][..], "none"),
        (&[("a.npy", &x[..]), ("b.npy", &flat)], "a, b"),
        (&[("a\0.npy", &x), ("\x1b[2J.npy", &flat)], "a\\0, \\u{1b}[2J"),
        (&many, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 3 more"),
    ] {
        let sequences = if members.is_empty() {
            ""
        } else {
            ", a packed sequence (data, batch_sizes), or sequences (seq_len, input_size) of one input_size"
        };
        let message = format!(": expected one member{sequences}, got {listed}");
        refuses(&sandbox, &stored(members), &message);
    }
    let cases = [
        (patched(&one, &body, &[0; 24]), ": broken archive: Invalid checksum"),
        (
            one[..one.len() - 30].to_vec(),
            ": broken archive: invalid Zip archive: Could not find EOCD",
        ),
        (sized(1 << 30), ": broken archive: expected a member of 1073741824 bytes, got 94"),
        (sized(80), ": broken archive: File is larger than its declared uncompressed size"),
        (encrypted, ": broken archive: unsupported Zip archive: Password required to decrypt file"),
        (stored(&[("a.npy", b"")]), ": empty member; expected .npy"),
        (stored(&[("a.npy", b"text")]), ": expected .npy in the archive, got another format"),
        (
            stored(&[("a.npy", &x[..80])]),
            ": expected 24 bytes after the header for shape [3, 2], got 10",
        ),
        (
            stored(&[("a.npy", &[&x[..], b"\0"].concat())]),
            ": expected 24 bytes after the header, got 25",
        ),
        (
            patched(&stored(&[("a.npy", &x), ("b.npy", &x)]), b"b.npy", b"a.npy"),
            ": two members of the archive have the same name",
        ),
        (
            stored(&[("b.npy", &x), ("a", &x), ("a.npy", &x)]),
            ": two members of the archive have the same name, a",
        ),
    ];
    for (bytes, message) in cases {
        refuses(&sandbox, &bytes, message);
    }
}

#[test]
fn weights_that_lie_are_refused() {
    let sandbox = sandbox();
    sandbox.write("up.npz", &npz(&[("../../weight_ih_l0.npy", &x())], CompressionMethod::Stored));
    let message = "rnn: up.npz: expected the weights of an RNN, such as weight_ih_l0, got ../../weight_ih_l0\n";
    sandbox.rnn("run -w up.npz -i x.npy").fails(65, message);
    let mut broken = sandbox.bytes("w.npz");
    // In the body of the first member, behind the newline that ends its header.
    let newline = broken.windows(2).position(|bytes| bytes == b" \n").unwrap();
    broken[newline + 2] ^= 1;
    sandbox.write("broken.npz", &broken);
    sandbox
        .rnn("run -w broken.npz -i x.npy")
        .fails(65, "rnn: broken.npz:weight_ih_l0: broken archive: Invalid checksum\n");
}

#[test]
fn names_of_files_do_not_reach_the_terminal_as_they_are() {
    let sandbox = sandbox();
    let weights = sandbox.bytes("w.npz");
    let stray = "\x1b[2J.npy";
    sandbox.shell("rnn init -q --input-size 2 --hidden 1 -o w").succeeds();
    sandbox.write(&format!("w/{stray}"), &x());
    let outcome = sandbox.rnn("run -w w -i x.npy");
    assert_eq!(outcome.code, Some(65));
    assert!(outcome.stderr.starts_with("rnn: w: \\u{1b}[2J: expected"), "{}", outcome.stderr);
    // Nothing is said of a file whose name cannot be typed.
    assert!(!outcome.stderr.contains(['\x1b']) && !outcome.stderr.contains("hint"));
    sandbox.write("w.npz", &weights);
    let key = npy("{'\x1b[2J': 1, }", &[]);
    refuses(&sandbox, &key, ": unknown key '\\u{1b}[2J' in the header");
    let key = npy("{' descr': '<f4', }", &[]);
    refuses(&sandbox, &key, ": unknown key ' descr' in the header");
}

#[test]
fn the_text_beside_weights_is_text_of_a_sensible_size() {
    let sandbox = sandbox();
    sandbox.shell("rnn init -q --input-size 2 --hidden 1 -o w").succeeds();
    for (text, what) in [
        (&b"{\"input_size\": \xff}"[..], "expected UTF-8 text, got bad bytes at 15"),
        (&vec![b' '; (1 << 20) + 1], "expected at most 1048576 bytes of text, got more"),
    ] {
        sandbox.write("w/rnn.json", text);
        let message = format!("rnn: w/rnn.json: {what}\n");
        sandbox.rnn("run -w w -i x.npy").fails(65, &message);
    }
}

#[test]
fn fifos_are_read() {
    let sandbox = sandbox();
    let expected = output(&sandbox, "x.npy");
    let script = "set -e; mkfifo in weights
        cat x.npy > in & cat w.npz > weights &
        rnn run -q -i in -w weights -o out.npy
        wait";
    sandbox.shell(script).succeeds();
    assert_eq!(sandbox.bytes("out.npy"), expected);
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let sandbox = sandbox();
    let script = "mkfifo pipe; trap '' HUP; rnn run -q -w w.npz -i pipe -o out.npy & rnn=$!
        exec 3> pipe; kill -s HUP $rnn; sleep 0.1; kill -s HUP $rnn; cat x.npy >&3; exec 3>&-
        wait $rnn";
    let expected = output(&sandbox, "x.npy");
    sandbox.shell(script).succeeds();
    assert_eq!(sandbox.bytes("out.npy"), expected);
}

/// A signal while the temporary file of an output exists and the process waits for a pipe.
#[test]
fn a_signal_ends_the_process_and_leaves_nothing() {
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let sandbox = sandbox();
        sandbox.shell("mkfifo pipe").succeeds();
        // Reads wait for the rest of a tensor, whose header has come; writes wait for a reader.
        for line in [
            "run -w w.npz -i pipe --seed 1 --rng rng.npy -o out.npy",
            "randn --shape 2 --seed 1 --rng rng.npy -o pipe",
        ] {
            let names = sandbox.names();
            let mut command = Command::new(env!("CARGO_BIN_EXE_rnn"));
            command.args(line.split(' ')).current_dir(sandbox.path("")).stdout(Stdio::null());
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            let header = &x()[..70];
            let mut pipe = line
                .starts_with("run")
                .then(|| fs::OpenOptions::new().write(true).open(sandbox.path("pipe")).unwrap());
            if let Some(pipe) = &mut pipe {
                pipe.write_all(header).unwrap();
            }
            let start = Instant::now();
            while !sandbox.names().iter().any(|name| name.starts_with(".rnn-")) {
                assert!(start.elapsed() < Duration::from_secs(10), "{line}");
                std::thread::sleep(Duration::from_millis(2));
            }
            let kill = ["-s", name, &child.id().to_string()].map(str::to_owned);
            assert!(Command::new("kill").args(kill).status().unwrap().success());
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(number), "{line}");
            let mut stderr = String::new();
            std::io::Read::read_to_string(&mut child.stderr.unwrap(), &mut stderr).unwrap();
            assert_eq!(stderr, "");
            assert_eq!(
                (sandbox.names(), sandbox.bytes("out.npy")),
                (names, b"old".to_vec()),
                "{line}"
            );
        }
    }
}
