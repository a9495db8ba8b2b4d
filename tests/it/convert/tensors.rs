//! `rnn convert`: tensors that are no weights, between all formats.

use elman::files::{AnyArray, StoredArray, StoredType};
use ndarray::{Array2, ArrayD, array};

use crate::support::{Sandbox, fixture_path, integers};

/// Numbers of every type that is written, each with its shape.
fn samples() -> Vec<(StoredType, StoredArray<u64>)> {
    use StoredType::{Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    [
        (Bool, [0, 1]),
        (I8, [0x80, 0x7f]),
        (I16, [0x8000, 3]),
        (I32, [0x8000_0000, 3]),
        (I64, [u64::MAX, 1 << 62]),
        (U8, [0xff, 0]),
        (U16, [0xffff, 0]),
        (U32, [0xffff_ffff, 0]),
        (U64, [u64::MAX, 0]),
        (F16, [0x3c01, 0x7c00]),
        (F32, [0x3f80_0001, 0x7f80_0000]),
        (F64, [0x3ff0_0000_0000_0001, 0x8000_0000_0000_0000]),
    ]
    .map(|(stored, bits)| {
        let bits = ArrayD::from_shape_vec(vec![1, 2], bits.to_vec()).unwrap();
        (stored, StoredArray { stored, bits })
    })
    .into()
}

#[test]
fn every_pair_of_formats_keeps_types_and_bits() {
    for (stored, sample) in samples() {
        let sandbox = Sandbox::new();
        sandbox.write("x.npy", &crate::support::npy(&sample));
        for target in ["y.npz", "y.safetensors", "y.npy"] {
            sandbox.rnn(&format!("convert x.npy {target} -q")).succeeds();
            sandbox.rnn(&format!("diff --exact x.npy {target} -q")).succeeds();
            for end in ["z.npz", "z.safetensors", "z.npy"] {
                sandbox.rnn(&format!("convert {target} {end} -q")).succeeds();
                let outcome = sandbox.rnn(&format!("diff --exact x.npy {end}"));
                assert_eq!(outcome.code, Some(0), "{stored} {target} {end}: {}", outcome.stderr);
            }
        }
        // A text has no types, and its numbers are doubles; 1 << 62 and u64::MAX are others in one.
        for text in ["y.csv", "y.tsv"] {
            sandbox.rnn(&format!("convert x.npy {text} -q")).succeeds();
            if matches!(stored, StoredType::I64 | StoredType::U64) {
                continue;
            }
            sandbox
                .rnn(&format!("convert {text} back.npy -q --no-header --dtype {stored}"))
                .succeeds();
            assert!(sandbox.bytes("back.npy") == sandbox.bytes("x.npy"), "{stored} {text}");
        }
    }
}

#[test]
fn tables_become_f32_or_the_asked_type() {
    let sandbox = Sandbox::new();
    sandbox.write("x.csv", b"a,b\n1,2.5\n16777217,-0\n");
    let outcome = sandbox.rnn("convert x.csv x.npy").succeeds();
    assert_eq!(outcome.stdout_text(), "x  [2, 2]  f32  x.npy\n");
    let expected = array![[1.0_f32, 2.5], [16_777_216.0, -0.0]].into_dyn();
    assert_eq!(sandbox.load::<f32>("x.npy"), expected);
    sandbox.rnn("convert x.csv a.npy --columns a --dtype int64 -q").succeeds();
    assert!(
        sandbox.bytes("a.npy") == crate::support::npy(&array![[1_i64], [16_777_217]].into_dyn())
    );
    // Every digit of a text stays in another one.
    sandbox.rnn("convert x.csv x.tsv -q").succeeds();
    assert_eq!(sandbox.bytes("x.tsv"), b"1\t2.5\n16777217\t-0\n");
    sandbox
        .rnn("convert x.csv b.npy --dtype i8")
        .fails(65, "rnn: x.csv: expected numbers that i8 holds, got 2.5 at [0, 1]\n");
    sandbox.write("big.csv", b"1e300\n");
    sandbox.rnn("convert big.csv b.npy").fails(
        65,
        "rnn: big.csv: line 1, column 1: expected a number that f32 holds, got '1e300'\n\
         hint: rnn convert big.csv b.npy --dtype f64\n",
    );
    // The text of a number that lies halfway between two f32 is rounded once.
    sandbox.write("half.csv", b"1.00000005960464477540\n");
    sandbox.rnn("convert half.csv half.npy -q").succeeds();
    assert_eq!(sandbox.load::<f32>("half.npy")[[0, 0]].to_bits(), 0x3f80_0001);
}

#[test]
fn parts_and_axes_are_those_of_numpy() {
    let sandbox = Sandbox::new();
    // 40000 numbers are more than one piece.
    let x =
        ArrayD::from_shape_fn(vec![40, 50, 20], |at| (at[0] * 1000 + at[1] * 20 + at[2]) as f32);
    sandbox.save("x.npy", &x.view());
    let cases: [(&str, ArrayD<f32>); 5] = [
        ("--transpose 0,2", x.view().permuted_axes(vec![2, 1, 0]).to_owned()),
        ("--transpose 2,0,1", x.view().permuted_axes(vec![2, 0, 1]).to_owned()),
        ("--slice 10:20,-1", x.slice(ndarray::s![10..20, -1, ..]).to_owned().into_dyn()),
        ("--slice :,::7,3:5", x.slice(ndarray::s![.., ..;7, 3..5]).to_owned().into_dyn()),
        (
            "--slice 5,1: --transpose 0,1",
            x.slice(ndarray::s![5, 1.., ..]).t().to_owned().into_dyn(),
        ),
    ];
    for (flags, expected) in cases {
        sandbox.rnn(&format!("convert x.npy y.npy {flags} -q")).succeeds();
        assert!(sandbox.load::<f32>("y.npy") == expected, "{flags}");
    }
    // In Fortran order, and in its own place.
    sandbox.write("f.npy", &fortran(&[2, 3], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
    sandbox.rnn("convert f.npy f.npy --transpose 0,1 -q").succeeds();
    let expected = array![[1.0_f32, 4.0], [2.0, 5.0], [3.0, 6.0]].into_dyn();
    assert_eq!(sandbox.load::<f32>("f.npy"), expected);
    sandbox
        .rnn("convert x.npy y.npy --slice 40")
        .fails(65, "rnn: x.npy: expected an index of axis 0 in shape [40, 50, 20], got 40\n");
    sandbox.rnn("convert x.npy y.npy --transpose 0,3").fails(
        65,
        "rnn: x.npy: expected two axes, or all in another order, of shape [40, 50, 20], got 0,3\n",
    );
}

/// A .npy file of f32 in Fortran order.
fn fortran(shape: &[usize], numbers: &[f32]) -> Vec<u8> {
    let mut header = format!(
        "{{'descr': '<f4', 'fortran_order': True, 'shape': ({}, {}), }}",
        shape[0], shape[1]
    );
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend(u16::try_from(header.len() + 1).unwrap().to_le_bytes());
    bytes.extend(header.bytes().chain([b'\n']));
    bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

#[test]
fn members_of_archives_and_checkpoints() {
    let sandbox = Sandbox::new();
    let (a, b) = (array![[1.0_f64, 2.0]].into_dyn(), integers(&[3, 4]));
    sandbox.save_npz("ab.npz", &[("a", &a as &dyn AnyArray), ("b", &b)]);
    sandbox.rnn("convert ab.npz:b b.csv -q").succeeds();
    assert_eq!(sandbox.bytes("b.csv"), b"3,4\n");
    sandbox.rnn("convert ab.npz ab.safetensors -q").succeeds();
    sandbox.rnn("diff --exact ab.npz ab.safetensors -q").succeeds();
    sandbox.rnn("convert ab.npz ab-f32.npz --dtype f32 -q").succeeds();
    assert_eq!(sandbox.members("ab-f32.npz"), ["a", "b"]);
    sandbox.rnn("convert ab.npz a.npy").fails(
        65,
        "rnn: ab.npz: expected one tensor, got a, b\nhint: rnn convert ab.npz:a a.npy\n",
    );
    // A tensor of a layer's weights.
    let weights = fixture_path("sine/rnn.pt");
    let member = format!("{}:weight_hh_l0", weights.to_str().unwrap());
    let report = sandbox.rnn_with(&["convert", &member, "hh.npy"], &[]).succeeds();
    assert_eq!(report.stdout_text(), "weight_hh_l0  [8, 8]  f32  hh.npy\n");
    sandbox.rnn_with(&["diff", "--exact", &member, "hh.npy", "-q"], &[]).succeeds();
}

#[test]
fn text_on_standard_output() {
    let sandbox = Sandbox::new();
    sandbox.save("x.npy", &array![[0.5_f32, 1e20], [f32::NAN, -1.0]].into_dyn().view());
    let text = |format: &str| {
        sandbox.rnn(&format!("convert x.npy - --format {format} -q")).succeeds().stdout_text()
    };
    assert_eq!(text("csv"), "0.5,1e20\nnan,-1\n");
    assert_eq!(text("tsv"), "0.5\t1e20\nnan\t-1\n");
    assert_eq!(text("txt"), "   0.5000  1.0000e20\n      nan    -1.0000\n");
    let piped =
        sandbox.rnn_with(&["convert", "-", "-", "--format", "csv", "-q"], &sandbox.bytes("x.npy"));
    assert_eq!(piped.succeeds().stdout_text(), text("csv"));
    assert!(sandbox.rnn("convert x.npy - -q").succeeds().stdout == sandbox.bytes("x.npy"));
    sandbox.rnn("convert x.npy y.npy --format csv").fails(
        2,
        "rnn: expected - as output with --format, got y.npy\nhint: rnn convert x.npy y.npy\n",
    );
}

#[test]
fn refusals_leave_the_output_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("y.csv", b"old");
    sandbox.save("x.npy", &ArrayD::<f32>::zeros(vec![2, 3, 4]).view());
    sandbox.rnn("convert x.npy y.csv").fails(
        2,
        "rnn: y.csv: expected rows and columns for a table, got shape [2, 3, 4]\n\
         hint: rnn convert x.npy y.npy\n",
    );
    sandbox.save("short.npy", &Array2::<f64>::from_elem((2, 2), 1e300).into_dyn().view());
    sandbox
        .rnn("convert short.npy y.csv --dtype f32")
        .fails(65, "rnn: short.npy: expected numbers that f32 holds, got 1e300 at [0, 0]\n");
    sandbox.rnn("convert x.npy y.npy --dtype bf16").fails(
        2,
        "rnn: y.npy: expected a type that the format holds, got bf16\n\
         hint: rnn convert x.npy y.npy --dtype f32\n",
    );
    sandbox.rnn("convert x.npy x.h5").fails(
        2,
        "rnn: x.h5: expected .npy, .npz, .safetensors, .csv, .tsv, .txt or - for tensors, got .h5\n\
         hint: rnn convert x.npy x.npz\n",
    );
    assert_eq!(sandbox.bytes("y.csv"), b"old");
    assert_eq!(sandbox.names(), ["short.npy", "x.npy", "y.csv"]);
}
