//! Rows 1 to 3, 7, 20 to 24 and 27 to 32: where the input comes from, and what its numbers are.

use ndarray::{Array2, Array3, ArrayD, IxDyn, array};

use super::{Limits, Scene, skipped};
use crate::support::bytes::{SIGNED, npy, numbers, stored};

const SHAPE: &str = "'shape': (2, 3), ";
const UNSIGNED: [i8; 6] = [2, 1, 0, 3, 1, 1];
const BOOL: [i8; 6] = [1, 1, 0, 0, 1, 0];

/// A .npy file of f32 with this shape.
fn of_shape(shape: &str, body: &[u8]) -> Vec<u8> {
    npy(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"), body)
}

/// Two steps of three features: 24 bytes.
fn two_steps() -> Vec<u8> {
    of_shape("(2, 3)", &numbers("<f4", &SIGNED))
}

/// What the layer makes of an input.
#[track_caller]
fn output(scene: &Scene, input: &str) -> Vec<u8> {
    scene.succeeds(&format!("rnn run -q -w w.npz -i {input} -o - --dtype f32")).stdout
}

#[test]
fn fault_01() {
    let scene = Scene::new();
    for (arguments, place) in [
        ("-w w.npz -i nope.npy", "nope.npy"),
        ("-w w.npz -i nope.npz:x", "nope.npz:x"),
        ("-w w.npz -i x.npy --h0 nope.npy", "nope.npy"),
        ("-w nope.npz -i x.npy", "nope.npz"),
        ("-w nope/ -i x.npy", "nope/"),
    ] {
        let says = format!("rnn: {place}: No such file or directory (os error 2)\n");
        scene.refuses(&format!("rnn run {arguments} -o y.npy"), 66, &[&says]);
    }
}

#[test]
fn fault_02() {
    let scene = Scene::new();
    for (arguments, place) in [
        ("-w w.npz -i /tmp", "/tmp"),
        ("-w w.npz -i .", "."),
        ("-w w.npz -i x.npy --h0 /tmp", "/tmp"),
    ] {
        let says = format!("rnn: {place}: is a directory; expected a file\n");
        scene.refuses(&format!("rnn run {arguments} -o y.npy"), 66, &[&says]);
    }
}

#[test]
fn fault_03() {
    if skipped(3) {
        return;
    }
    let scene = Scene::new();
    // Another user runs a binary of his own, and may write here. A folder is left out where sizes of files
    // are counted.
    let prepare = "set -e; chmod 777 .; mkdir bin; cp $(command -v rnn) bin; chmod -R go+rX bin
        cp w.npz secret.npz; cp x.npy secret.npy; chmod 0 secret.*";
    scene.sandbox.shell(prepare).succeeds();
    for (arguments, place) in [
        ("-w w.npz -i secret.npy", "secret.npy"),
        ("-w secret.npz -i x.npy", "secret.npz"),
        ("-w w.npz -i x.npy --h0 secret.npy", "secret.npy"),
    ] {
        let script = format!(
            "test $(id -u) = 0 && as='setpriv --reuid 65534 --clear-groups'
            $as bin/rnn run {arguments} -o y.npy"
        );
        let says = format!("rnn: {place}: Permission denied (os error 13)\n");
        scene.refuses(&script, 66, &[&says]);
    }
}

#[test]
fn fault_07() {
    let scene = Scene::new();
    let x = scene.sandbox.bytes("x.npy");
    let expected = output(&scene, "x.npy");
    scene.sandbox.write("array.npz", &x);
    scene.sandbox.write("archive.npy", &stored(&[("x.npy", &x)]));
    for (file, what) in [
        ("array.npz", ".npy, little-endian f32, C order"),
        ("archive.npy", "member of an .npz, little-endian f32, C order"),
    ] {
        assert_eq!(output(&scene, file), expected, "{file}");
        let report = scene.succeeds(&format!("rnn run -v -w w.npz -i {file} -o z.npy"));
        let note = format!("note: {file}: input: recognised as {what}\n");
        assert!(report.stdout_text().contains(&note), "{}", report.stdout_text());
        assert_eq!(scene.sandbox.bytes("z.npy"), expected);
    }
}

#[test]
fn fault_20() {
    let scene = Scene::new();
    // Too few addresses for the 64 MB that the allocator reserves for a second thread, whose moment would vary.
    let limits = Limits { seconds: 1, memory: 75 << 10 };
    for (shape, bytes) in
        [("3333333334, 3", 40_000_000_008_u64), ("3333333334, 1, 3", 40_000_000_008)]
    {
        scene.sandbox.write("huge", &of_shape(&format!("({shape})"), &[0; 24]));
        let expected =
            format!("expected {bytes} bytes after the header for shape [{shape}], got 24");
        let says = format!("rnn: stdin: {expected}\n");
        scene.refuses_within(limits, "cat huge | rnn run -w w.npz -i - -o y.npy", 65, &[&says]);
    }
}

#[test]
fn fault_21() {
    let scene = Scene::new();
    let file = two_steps();
    let short = "expected 24 bytes after the header for shape [2, 3], got 23";
    scene.refuses_as(&file[..file.len() - 1], short);
    for (more, got) in [(&b"\0"[..], 25), (b"garbage behind it", 41)] {
        let what = format!("expected 24 bytes after the header, got {got}");
        scene.refuses_as(&[&file[..], more].concat(), &what);
    }
}

#[test]
fn fault_22() {
    let file = two_steps();
    let recipe =
        "(np.save cannot write into a buffered pipe: np.save(open(1, 'wb', 0), array) can)";
    let what = format!("expected 24 bytes after the header for shape [2, 3], got 0 {recipe}");
    Scene::new().refuses_as(&file[..file.len() - 24], &what);
}

#[test]
fn fault_23() {
    let scene = Scene::new();
    let x = scene.sandbox.bytes("x.npy");
    let says =
        ": expected one array, got more than one\nhint: for array after array: rnn stream -w w.npz";
    scene.refuses_input(&[&x[..], &x].concat(), &[says]);
}

#[test]
fn fault_24() {
    let scene = Scene::new();
    let x = scene.sandbox.bytes("x.npy");
    scene.sandbox.write("two", &[&x[..], &x].concat());
    let whole = scene.succeeds("rnn stream -q -w w.npz < two").stdout;
    for (garbage, what) in [
        (&b"hello, world"[..], "expected .npy or the end, got what looks like text"),
        (&[0; 3], "expected .npy or the end, got an unknown format"),
        (&x[..3], "truncated header at byte 3"),
        (&x[..70], "expected a header of 118 bytes, got 60"),
        (&x[..200], "expected 120 bytes after the header for shape [5, 2, 3], got 72"),
    ] {
        scene.sandbox.write("bad", &[&x[..], &x, garbage].concat());
        // What is complete has been answered: only the rest is missing.
        let script =
            "rnn stream -q -w w.npz < bad > answers; code=$?; cmp answers whole && exit $code";
        scene.sandbox.write("whole", &whole);
        scene.sandbox.write("answers", &whole);
        let says = format!("rnn: stdin: array 3 at byte {}: {what}\n", 2 * x.len());
        scene.refuses(script, 65, &[&says]);
    }
}

#[test]
fn fault_27() {
    let scene = Scene::new();
    let dict = |descr: &str, rest: &str| format!("{{'descr': '{descr}', 'fortran_order': {rest}}}");
    for (values, types) in [
        (SIGNED, "<f4 >f4 <f8 >f8 <f2 >f2 |i1 <i2 >i2 <i4 >i4 <i8 >i8"),
        (UNSIGNED, "<f4 |u1 <u2 >u2 <u4 >u4 <u8 >u8"),
        (BOOL, "<f4 |b1"),
    ] {
        let mut expected = None;
        for descr in types.split(' ') {
            let file = npy(&dict(descr, &format!("False, {SHAPE}")), &numbers(descr, &values));
            scene.sandbox.write("c", &file);
            let transposed = [0, 3, 1, 4, 2, 5].map(|at: usize| values[at]);
            let header = dict(descr, &format!("True, {SHAPE}"));
            scene.sandbox.write("fortran", &npy(&header, &numbers(descr, &transposed)));
            let expected = expected.get_or_insert_with(|| output(&scene, "c"));
            assert_eq!(&output(&scene, "c"), expected, "{descr}");
            assert_eq!(&output(&scene, "fortran"), expected, "{descr}, Fortran order");
        }
    }
    // Doubles become floats only where somebody asks for it.
    scene.refuses_input(
        &npy(&dict("<f8", &format!("False, {SHAPE}")), &numbers("<f8", &SIGNED)),
        &[": input: expected f32, as the layer is, got f64\nhint: rnn run", "--dtype f"],
    );
    let dimensions = "expected 2 or 3 dimensions, (L, H_in) or (L, N, H_in)";
    scene.refuses_as(&of_shape("()", &[0; 4]), &format!("input: {dimensions}, got 0 in shape []"));
}

#[test]
fn every_spelling_of_a_header_is_read() {
    let scene = Scene::new();
    scene.sandbox.write("two.npy", &two_steps());
    let expected = output(&scene, "two.npy");
    for header in [
        "{'descr': '=f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '|f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': 'f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
        "{'shape':(2,3,),\"fortran_order\":False,\"descr\":\"<f4\"}   ",
        "  { 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 2 , 3 ) , }",
    ] {
        scene.sandbox.write("spelled", &npy(header, &numbers("<f4", &SIGNED)));
        assert_eq!(output(&scene, "spelled"), expected, "{header}");
    }
    for version in [2, 3] {
        let (file, length) = (two_steps(), u32::from(two_steps()[8]).to_le_bytes());
        let file = [b"\x93NUMPY", &[version, 0][..], &length, &file[10..]].concat();
        scene.sandbox.write("version", &file);
        assert_eq!(output(&scene, "version"), expected, "version {version}");
    }
}

#[test]
fn fault_28() {
    let scene = Scene::new();
    let forty = vec![1; 39];
    for shape in [&[3][..], &[2, 3, 4, 3], &[forty, vec![3]].concat()] {
        let array = ArrayD::<f32>::zeros(IxDyn(shape));
        let expected = "expected 2 or 3 dimensions, (L, H_in) or (L, N, H_in)";
        let what = format!("input: {expected}, got {} in shape {shape:?}", shape.len());
        scene.refuses_as(&crate::support::npy(&array), &what);
        scene.refuses("rnn run --hidden 4 -i bad.npy -o y.npy", 65, &[&what]);
    }
}

#[test]
fn fault_29() {
    let scene = Scene::new();
    for (name, shape) in [
        ("wide.npy", &[5, 2, 7][..]),
        ("swapped.npy", &[5, 3, 2]),
        ("h0.npy", &[1, 5, 4]),
        ("h3.npy", &[1, 3, 4]),
        ("turned.npy", &[2, 1, 4]),
    ] {
        scene.sandbox.save(name, &ArrayD::<f32>::zeros(IxDyn(shape)).view());
    }
    let features = "input: expected 3 features (input_size) on the last axis, got";
    for (arguments, what, hint) in [
        ("-i wide.npy", format!("{features} 7 in shape [5, 2, 7]"), "--input-size 7"),
        ("-i swapped.npy", format!("{features} 2 in shape [5, 3, 2]"), "--transpose 1,2"),
        (
            "-i x.npy --h0 h0.npy",
            "h_0: expected shape [1, 2, 4], got [1, 5, 4]".to_owned(),
            "--batch-first",
        ),
        (
            "-i x.npy --batch-first --h0 h3.npy",
            "h_0: expected shape [1, 5, 4], got [1, 3, 4]".to_owned(),
            "h_0 is zeros without --h0",
        ),
        (
            "-i x.npy --h0 turned.npy",
            "h_0: expected shape [1, 2, 4], got [2, 1, 4]".to_owned(),
            "--transpose 0,1",
        ),
    ] {
        let line = format!("rnn run -w w.npz {arguments} -o y.npy");
        scene.refuses(&line, 65, &[&format!(".npy: {what}\nhint: "), hint]);
    }
}

#[test]
fn fault_30() {
    let scene = Scene::new();
    let zeros = |shape: &[usize]| crate::support::npy(&ArrayD::<f32>::zeros(IxDyn(shape)));
    for shape in [&[0, 2, 3][..], &[0, 3], &[0, 0, 3]] {
        let what = format!("input: expected seq_len of at least 1, got 0 in shape {shape:?}");
        scene.refuses_as(&zeros(shape), &what);
    }
    scene.sandbox.write("bad.npy", &zeros(&[2, 0, 3]));
    let says = "rnn: bad.npy: input: expected seq_len of at least 1, got 0 in shape [2, 0, 3]\n";
    scene.refuses("rnn run -w w.npz --batch-first -i bad.npy -o y.npy", 65, &[says]);
    let what = "input: expected 3 features (input_size) on the last axis, got 0 in shape [5, 2, 0]";
    scene.refuses_as(&zeros(&[5, 2, 0]), what);
    let fresh = "bad.npy: expected input_size of at least 1, got 0\n";
    scene.refuses("rnn run --hidden 4 -i bad.npy -o y.npy", 65, &[fresh]);
    scene.sandbox.write("none.npy", &zeros(&[5, 0, 3]));
    scene.succeeds("rnn run -q -w w.npz -i none.npy -o z.npy --hn h.npy");
    assert_eq!(scene.sandbox.load::<f32>("z.npy").shape(), [5, 0, 4]);
    assert_eq!(scene.sandbox.load::<f32>("h.npy").shape(), [1, 0, 4]);
}

/// What comes out where one number of the input is another, and what came out before.
fn with_number(scene: &Scene, at: [usize; 3], value: f32) -> [Array3<f32>; 2] {
    let mut x = scene.sandbox.load::<f32>("x.npy");
    x[IxDyn(&at)] = value;
    scene.sandbox.save("odd.npy", &x.view());
    ["x.npy", "odd.npy"].map(|input| {
        scene.succeeds(&format!("rnn run -q -w w.npz -i {input} -o z.npy"));
        scene.sandbox.load::<f32>("z.npy").into_dimensionality().unwrap()
    })
}

#[test]
fn fault_31() {
    let scene = Scene::new();
    let check = |shown: &str| {
        let place = "[2, 1, 0] (seq_len 2, batch 1, input_size 0)";
        let says =
            format!("rnn: odd.npy: input: expected finite numbers, got {shown} at {place}\n");
        let line = "rnn run --check-finite -w w.npz -i odd.npy -o y.npy";
        scene.refuses(line, 65, &[&says]);
    };
    // From its step on, all that its sequence has is NaN, and nothing else is.
    let [before, after] = with_number(&scene, [2, 1, 0], f32::NAN);
    for ((index, old), new) in before.indexed_iter().zip(&after) {
        let (step, row, _) = index;
        let expected = if step >= 2 && row == 1 { 0x7fc0_0000 } else { old.to_bits() };
        assert_eq!(new.to_bits(), expected, "{index:?}");
    }
    check("NaN");
    // tanh is 1 or -1 there, by the sign of the weight.
    scene.sandbox.shell("rnn convert -q w.npz w/").succeeds();
    let weights: Array2<f32> =
        scene.sandbox.load("w/weight_ih_l0.npy").into_dimensionality().unwrap();
    for (value, shown) in [(f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let [before, after] = with_number(&scene, [2, 1, 0], value);
        for unit in 0..4 {
            let sign = (weights[[unit, 0]] * value).signum();
            assert_eq!(after[[2, 1, unit]].to_bits(), sign.to_bits());
            assert_eq!(after[[2, 0, unit]].to_bits(), before[[2, 0, unit]].to_bits());
        }
        assert!(after.iter().all(|value| value.is_finite()));
        check(shown);
    }
    // With one weight of 1 and no past, ReLU passes denormals on as they are.
    scene.sandbox.shell("mkdir one").succeeds();
    for (name, value) in [("weight_ih_l0", 1.0_f32), ("weight_hh_l0", 0.0)] {
        scene.sandbox.save(&format!("one/{name}.npy"), &array![[value]].into_dyn().view());
    }
    let denormals = array![[1e-45_f32], [f32::MIN_POSITIVE / 2.0], [1e-40]].into_dyn();
    scene.sandbox.save("small.npy", &denormals.view());
    scene.succeeds("rnn run -q --check-finite -w one --nonlinearity relu -i small.npy -o z.npy");
    assert_eq!(scene.sandbox.load::<f32>("z.npy"), denormals);
}

#[test]
fn fault_32() {
    let scene = Scene::new();
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        scene.sandbox.shell("rm -rf bad; rnn convert -q w.npz bad/").succeeds();
        let mut weights = scene.sandbox.load::<f32>("bad/weight_hh_l0.npy");
        weights[IxDyn(&[3, 1])] = value;
        scene.sandbox.save("bad/weight_hh_l0.npy", &weights.view());
        let says = format!("bad: weight_hh_l0: expected finite numbers, got {shown} at [3, 1]\n");
        let report = scene.succeeds("rnn run -w bad -i x.npy -o z.npy").stdout_text();
        assert!(report.contains(&format!("warning: {says}")), "{report}");
        // h_0 is zeros, and 0 times either is NaN, which only the fourth unit meets in the first step.
        let output: Array3<f32> = scene.sandbox.load("z.npy").into_dimensionality().unwrap();
        for (index, number) in output.indexed_iter() {
            assert_eq!(number.is_nan(), index.0 > 0 || index.2 == 3, "{index:?}");
        }
        let line = "rnn run --check-finite -w bad -i x.npy -o y.npy";
        scene.refuses(line, 65, &[&format!("rnn: {says}")]);
    }
}
