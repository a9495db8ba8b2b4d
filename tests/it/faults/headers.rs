//! Rows 4 to 19, 25 and 26: how a .npy file begins.

use std::time::{Duration, Instant};

use super::{Limits, Scene};
use crate::support::bytes::{SIGNED, npy, numbers, patched};

const ORDER: &str = "'fortran_order': False";
const SHAPE: &str = "'shape': (2, 3), ";

/// Two steps of three features as f32: 24 bytes behind a header of 60.
fn two_steps() -> Vec<u8> {
    npy(&format!("{{'descr': '<f4', {ORDER}, {SHAPE}}}"), &numbers("<f4", &SIGNED))
}

/// The same numbers behind another header are refused with exactly this.
#[track_caller]
fn refuses(scene: &Scene, header: &str, what: &str) {
    scene.refuses_as(&npy(header, &numbers("<f4", &SIGNED)), what);
}

fn of_dtype(descr: &str) -> String {
    format!("{{'descr': {descr}, {ORDER}, {SHAPE}}}")
}

fn of_order(order: &str) -> String {
    format!("{{'descr': '<f4', 'fortran_order': {order}, {SHAPE}}}")
}

fn of_shape(shape: &str) -> String {
    format!("{{'descr': '<f4', {ORDER}, 'shape': {shape}}}")
}

#[test]
fn fault_04() {
    let scene = Scene::new();
    scene.refuses_as(b"", "empty file; expected .npy, .npz or a table, got 0 bytes");
    let what = "empty file; expected a folder of .npy files, .npz, .safetensors, .pt or .onnx";
    scene.refuses_weights(b"", &[what]);
}

#[test]
fn fault_05() {
    let scene = Scene::new();
    scene.refuses_as(b"\x93NUM", "truncated header at byte 4");
    scene.refuses_as(b"\x93NUMPY", "truncated header at byte 6");
    scene.refuses_as(b"\x93NUMPY\x01\x00\x76", "truncated header at byte 9");
}

#[test]
fn fault_06() {
    let scene = Scene::new();
    for (bytes, what) in [
        (&b"\x89PNG\r\n\x1a\n\0\0"[..], "what looks like PNG"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0", "what looks like gzip"),
        (b"\x89HDF\r\n\x1a\n\0\0", "what looks like HDF5"),
        (b"\xff\xfea\0,\0b\0", "what looks like text in UTF-16"),
        (b"\x01\x02\x03\x04", "an unknown format"),
    ] {
        scene.refuses_as(bytes, &format!("expected .npy, .npz or a table, got {what}"));
        let expected = "expected a folder of .npy files, .npz, .safetensors, .pt or .onnx";
        scene.refuses_weights(bytes, &[&format!("bad: {expected}, got {what}\n")]);
    }
    let text = b"1.0,2.0\n3.0,4.0 m\n";
    scene.refuses_as(text, "line 2, column 2: expected a number, got '4.0 m'");
    scene.refuses_weights(text, &["got what looks like text"]);
    // Text of numbers is a table, and an input like any other.
    scene.sandbox.write("bad.npy", b"-2,1,0\n3,1,-1\n");
    scene.sandbox.write("two.npy", &two_steps());
    let run = |input: &str| scene.succeeds(&format!("rnn run -w w.npz -i {input} -o - -q")).stdout;
    assert_eq!(run("bad.npy"), run("two.npy"));
}

#[test]
fn fault_08() {
    let version_9 = patched(&two_steps(), b"\x93NUMPY\x01", b"\x93NUMPY\x09");
    Scene::new().refuses_as(&version_9, "format version 9.0; supported 1.0, 2.0, 3.0");
}

#[test]
fn fault_09() {
    let scene = Scene::new();
    let file = [b"\x93NUMPY\x02\x00\xff\xff\xff\xff", &[b' '; 52][..]].concat();
    scene.sandbox.write("bad.npy", &file);
    // The code of the program and its libraries has 13 MB of addresses, of which a third is ever touched:
    // with 4 MB of them left for everything else, less than 10 MB are resident.
    let limits = Limits { seconds: 1, memory: 17 << 10 };
    let says = ["header of 4294967295 bytes; limit 10000\n"];
    scene.refuses_within(limits, "rnn run -w w.npz -i bad.npy -o y.npy", 65, &says);
    scene.refuses_within(limits, "cat bad.npy | rnn run -w w.npz -i - -o y.npy", 65, &says);
}

#[test]
fn fault_10() {
    let scene = Scene::new();
    scene.refuses_as(&two_steps()[..40], "expected a header of 60 bytes, got 30");
    let two = [b"\x93NUMPY\x02\x00\x10\x27\x00\x00", &[b' '; 52][..]].concat();
    scene.refuses_as(&two, "expected a header of 10000 bytes, got 52");
}

#[test]
fn fault_11() {
    let scene = Scene::new();
    let braces = format!("{{'descr': {}", "{".repeat(29));
    let lists = "[".repeat(4900);
    for (header, what) in [
        (braces, "expected a dtype at byte 20, got '{{{{{{{{{{{{{{{{{{{{{{{{{{{{{'"),
        (
            of_dtype(&lists),
            "dtype is structured; expected numbers (save one of its fields: np.save(file, array['name']))",
        ),
        (lists, "expected '{' at byte 10, got '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[['"),
    ] {
        refuses(&scene, &header, what);
        // The best of several runs: other processes take their time too.
        let run = |_| {
            let start = Instant::now();
            scene.sandbox.rnn("run -w w.npz -i bad.npy -o y.npy");
            start.elapsed()
        };
        let best = (0..20).map(run).min().unwrap();
        assert!(best < Duration::from_millis(50), "{best:?}");
    }
}

#[test]
fn fault_12() {
    let scene = Scene::new();
    for (header, what) in [
        ("'descr'", r"expected '{' at byte 10, got '\'descr\''"),
        ("[1, 2]", "expected '{' at byte 10, got '[1'"),
        (
            &format!("{{{ORDER}, 'shape': (2, 3)}} {{}}"),
            "expected the end of the header at byte 52, got '{'",
        ),
        (&format!("{{{ORDER}, {SHAPE}}}"), "key 'descr' is missing in the header"),
        (&format!("{{'descr': '<f4', {SHAPE}}}"), "key 'fortran_order' is missing in the header"),
        (&format!("{{'descr': '<f4', {ORDER}}}"), "key 'shape' is missing in the header"),
        (
            &format!("{{'descr': '<f4', {ORDER}, {SHAPE}'more': 1}}"),
            "unknown key 'more' in the header",
        ),
        (
            &format!("{{'descr': '<f4', 'descr': '<f4', {ORDER}, {SHAPE}}}"),
            "key 'descr' stands twice in the header",
        ),
        (
            &format!("{{{ORDER}, {ORDER}, {SHAPE}}}"),
            "key 'fortran_order' stands twice in the header",
        ),
        (&format!("{{{SHAPE}{SHAPE}}}"), "key 'shape' stands twice in the header"),
    ] {
        refuses(&scene, header, what);
    }
}

#[test]
fn fault_13() {
    let scene = Scene::new();
    let file = two_steps();
    let latin = patched(&file, b"descr", b"d\xe9scr");
    scene.refuses_as(&latin, "expected an ASCII header, got another byte at 13");
    let mut third = [b"\x93NUMPY\x03\x00\x3c\0\0\0", &file[10..]].concat();
    third[14] = 0xff;
    scene.refuses_as(&third, "expected a UTF-8 header, got bad bytes at 14");
    let unended = patched(&file, b"}\n", b"} ");
    scene.refuses_as(&unended, "expected a newline at the header's end, byte 70");
}

#[test]
fn fault_14() {
    let scene = Scene::new();
    for (order, token) in [("1", "1"), ("'True'", r"\'True\'"), ("None", "None")] {
        let what = format!("expected True or False for fortran_order at byte 44, got '{token}'");
        refuses(&scene, &of_order(order), &what);
    }
    for (shape, what) in [
        ("[2, 3]", "expected a tuple for shape at byte 60, got '[2'"),
        ("6", "expected a tuple for shape at byte 60, got '6'"),
        ("2.0", "expected a tuple for shape at byte 60, got '2.0'"),
        ("(6)", "expected a tuple of whole numbers for shape at byte 61, got '6'"),
        ("(True,)", "expected a tuple of whole numbers for shape at byte 61, got 'True'"),
        ("(2.0, 3)", "expected a tuple of whole numbers for shape at byte 61, got '2.0'"),
    ] {
        refuses(&scene, &of_shape(shape), what);
    }
}

#[test]
fn fault_15() {
    let scene = Scene::new();
    for (shape, what) in [
        ("(-1,)", "expected a size of at least 0 for axis 0 of shape at byte 61, got '-1'"),
        ("(2, -3)", "expected a size of at least 0 for axis 1 of shape at byte 64, got '-3'"),
    ] {
        refuses(&scene, &of_shape(shape), what);
    }
}

#[test]
fn fault_16() {
    let scene = Scene::new();
    for (shape, what) in [
        (
            "(340282366920938463463374607431768211456, 3)",
            "size 340282366920938463463374607431768211456 in shape is too large",
        ),
        ("(9223372036854775808, 3)", "shape [9223372036854775808, 3] is too large"),
        ("(9223372036854775808,)", "shape [9223372036854775808] is too large"),
    ] {
        refuses(&scene, &of_shape(shape), what);
    }
}

#[test]
fn fault_17() {
    let scene = Scene::new();
    for shape in ["4611686018427387904, 4", "4194305, 4194305, 211106198978564"] {
        let what = format!("shape [{shape}] is too large");
        refuses(&scene, &of_shape(&format!("({shape})")), &what);
    }
}

#[test]
fn fault_18() {
    let what = "shape [0, 18446744073709551615, 4] is too large";
    refuses(&Scene::new(), &of_shape("(0, 18446744073709551615, 4)"), what);
}

#[test]
fn fault_19() {
    let scene = Scene::new();
    let what = |shape: &str| {
        format!("expected 4398046511112 bytes after the header for shape [{shape}], got 4")
    };
    let steps = "366503875926, 3";
    scene.refuses_as(&npy(&of_shape(&format!("({steps})")), &[0; 4]), &what(steps));
    let sequences = "1, 366503875926, 3";
    scene.sandbox.write("bad.npy", &npy(&of_shape(&format!("({sequences})")), &[0; 4]));
    let says = format!("rnn: bad.npy: {}\n", what(sequences));
    scene.refuses("rnn run -w w.npz -i bad.npy -o y.npy", 65, &[&says]);
    // A pipe has no length: that there is no room for the states of so many sequences is known first.
    let says = "rnn: out of memory: h_n needs 5864062014816 bytes\n";
    let outcome = scene.sandbox.shell("cat bad.npy | rnn run -q -w w.npz -i - -o y.npy");
    assert!(outcome.stderr.ends_with(says) && outcome.code == Some(71), "{}", outcome.stderr);
}

#[test]
fn fault_25() {
    let scene = Scene::new();
    for (descr, what) in [
        (
            "'|O'",
            "dtype '|O' is objects; expected numbers (np.save(file, np.array(list, dtype='float32')))",
        ),
        ("'|V8'", "dtype '|V8' is structured; expected numbers (np.save(file, array['name']))"),
        (
            "[('a', '<f4')]",
            "dtype is structured; expected numbers (save one of its fields: np.save(file, array['name']))",
        ),
        ("'<U3'", "dtype '<U3' is text; expected numbers (np.save(file, array.astype('float32')))"),
        ("'|S3'", "dtype '|S3' is text; expected numbers (np.save(file, array.astype('float32')))"),
        (
            "'<M8[ns]'",
            "dtype '<M8[ns]' is dates or durations; expected numbers (np.save(file, array.astype('int64')))",
        ),
        ("'<c8'", "dtype '<c8' is complex; expected numbers (np.save(file, array.real))"),
        (
            "'<f16'",
            "dtype '<f16' is a long double; expected numbers (np.save(file, array.astype('float64')))",
        ),
        (
            "'<f1'",
            "dtype '<f1' is float8; expected numbers (np.save(file, array.astype('float32')))",
        ),
        (
            "'<i3'",
            "dtype '<i3' is unknown; expected numbers (np.save(file, array.astype('float32')))",
        ),
    ] {
        refuses(&scene, &of_dtype(descr), what);
    }
}

#[test]
fn fault_26() {
    let what = "dtype '<V2' is raw bytes, as bfloat16 is saved; expected numbers (np.save(file, array.astype('float32')))";
    refuses(&Scene::new(), &of_dtype("'<V2'"), what);
}
