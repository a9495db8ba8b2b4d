//! Rows 38 to 46: weights.

use std::fs;

use super::{Limits, Scene};
#[cfg(feature = "onnx")]
use crate::onnx::model::{self, field, fields, floats, node, of_graph, varint};
use crate::support::Sandbox;
use crate::support::bytes::{pickled, safetensors, stored};
#[cfg(feature = "onnx")]
use crate::support::fixture_path;

/// A .safetensors file whose header has this length, or says so.
fn with_length(length: u64, rest: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes()[..], rest].concat()
}

/// An entry of a header.
fn entry(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
}

/// Two floats.
fn floats_at(name: &str, offsets: &str) -> String {
    entry(name, "F32", "[2]", offsets)
}

/// Weights are refused with exactly this behind the name of the file.
#[track_caller]
fn refuses(scene: &Scene, bytes: &[u8], what: &str) {
    scene.refuses_weights(bytes, &[&format!("rnn: bad{what}\n")]);
}

#[test]
fn fault_38() {
    let scene = Scene::new();
    for (bytes, what) in [
        (with_length(u64::MAX, b"{}"), ": header of 18446744073709551615 bytes; limit 100000000"),
        (with_length(100_000_001, b"{}"), ": header of 100000001 bytes; limit 100000000"),
        (with_length(3, b"{}"), ": expected a header of 3 bytes, got 2"),
        (with_length(100_000_000, b"{}"), ": expected a header of 100000000 bytes, got 2"),
    ] {
        refuses(&scene, &bytes, what);
    }
}

#[test]
fn fault_39() {
    let scene = Scene::new();
    let w = floats_at("w", "[0,8]");
    for (bytes, what) in [
        (safetensors(&format!("{{{w},{w}}}"), 8), ": two tensors have the same name, w"),
        (
            safetensors(r#"{"__metadata__":{"a":"1","b":"2","a":"3"}}"#, 0),
            ": two values of the metadata have the same key, a",
        ),
        (
            safetensors(r#"{"__metadata__":{},"__metadata__":{}}"#, 0),
            ": broken header: two entries are named __metadata__ at line 1 column 37",
        ),
    ] {
        refuses(&scene, &bytes, what);
    }
}

#[test]
fn fault_40() {
    let scene = Scene::new();
    let w = floats_at("w", "[0,8]");
    let axes = format!("[{}1]", "1,".repeat(64));
    for (bytes, what) in [
        (
            safetensors(&format!("{{{w},{}}}", floats_at("v", "[12,20]")), 20),
            ":v: expected bytes from 8 on, where those before it end, got data_offsets [12, 20]",
        ),
        (
            safetensors(&format!("{{{w},{}}}", floats_at("v", "[4,12]")), 12),
            ":v: expected bytes from 8 on, where those before it end, got data_offsets [4, 12]",
        ),
        (safetensors(&format!("{{{w}}}"), 9), ": expected 8 bytes of tensors, got 9"),
        (safetensors(&format!("{{{w}}}"), 7), ": expected 8 bytes of tensors, got 7"),
        (
            safetensors(&format!("{{{}}}", entry("w", "F32", "[3]", "[0,8]")), 8),
            ":w: expected 12 bytes for shape [3] of F32, got 8 in data_offsets [0, 8]",
        ),
        (
            safetensors(&format!("{{{}}}", entry("w", "F32", "[2]", "[8,0]")), 8),
            ":w: expected data_offsets that ascend, got [8, 0]",
        ),
        (
            safetensors(&format!("{{{}}}", entry("w", "F8_E4M3", "[8]", "[0,8]")), 8),
            ":w: dtype F8_E4M3; expected F64, F32, F16, BF16, I8 to I64, U8 to U64 or BOOL",
        ),
        (
            safetensors(&format!("{{{}}}", entry("w", "C64", "[1]", "[0,8]")), 8),
            ":w: dtype C64; expected F64, F32, F16, BF16, I8 to I64, U8 to U64 or BOOL",
        ),
        (
            safetensors(
                &format!("{{{}}}", entry("w", "F32", "[4611686018427387904,4]", "[0,8]")),
                8,
            ),
            ":w: shape [4611686018427387904, 4] is too large",
        ),
        (
            safetensors(
                &format!("{{{}}}", entry("w", "F32", "[0,18446744073709551615,4]", "[0,0]")),
                0,
            ),
            ":w: shape [0, 18446744073709551615, 4] is too large",
        ),
        (
            safetensors(&format!("{{{}}}", entry("w", "F32", &axes, "[0,4]")), 4),
            ": broken header: expected at most 64 axes, got more at line 1 column 159",
        ),
        (
            safetensors(r#"{"w":{"dtype":"F32"}}"#, 0),
            ": broken header: missing field `shape` at line 1 column 20",
        ),
        (
            safetensors(r#"{"w":3}"#, 0),
            ": broken header: invalid type: integer `3`, expected the dtype, shape and data_offsets of a tensor at line 1 column 6",
        ),
        (safetensors("{\"w\": nonsense}", 0), ": broken header: expected ident at line 1 column 8"),
        (
            safetensors(r#"{"__metadata__":{"a":3}}"#, 0),
            ": broken header: invalid type: integer `3`, expected a string at line 1 column 22",
        ),
    ] {
        refuses(&scene, &bytes, what);
    }
}

#[test]
fn fault_41() {
    let scene = Scene::new();
    let deep = format!(r#"{{"w":{{"x":{}{}}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for (bytes, what) in [
        (safetensors(&deep, 0), ": broken header: missing field `dtype` at line 1 column 200011"),
        (
            safetensors(&format!(r#"{{"w":{}"#, "[".repeat(100_000)), 0),
            ": broken header: invalid type: sequence, expected a string at line 1 column 6",
        ),
        (
            safetensors(&"[".repeat(100_000), 0),
            ": expected a folder of .npy files, .npz, .safetensors, .pt or .onnx, got an unknown format",
        ),
    ] {
        refuses(&scene, &bytes, what);
    }
}

#[test]
fn fault_42() {
    let scene = Scene::new();
    let layer = "--input-size 3 --hidden 4 --layers 2";
    let sandbox = &scene.sandbox;
    for (change, what) in [
        ("rm whole/weight_hh_l1.npy", "weight_hh_l1: expected a tensor of shape [4, 4], got none"),
        (
            "cp whole/bias_ih_l0.npy whole/bias_extra.npy",
            "bias_extra: expected only the parameters of RNN(3, 4, num_layers=2), got one more of shape [4]",
        ),
        (
            "rnn randn -q --shape 4,5 -o whole/weight_ih_l1.npy",
            "weight_ih_l1: expected shape [4, 4], got [4, 5]",
        ),
        (
            "rnn randn -q --shape 5,5 -o whole/weight_hh_l1.npy",
            "weight_hh_l1: expected shape [4, 4], got [5, 5]",
        ),
        (
            "rnn randn -q --shape 5,5 -o whole/weight_hh_l0.npy",
            "weight_ih_l0: expected shape [5, 3], got [4, 3]",
        ),
        ("rm whole/bias_hh_l0.npy", "bias_hh_l0: expected a tensor of shape [4], got none"),
        ("rm whole/bias_ih_l1.npy", "bias_ih_l1: expected a tensor of shape [4], got none"),
        (
            "cp whole/bias_ih_l0.npy whole/bias_ih_l0_reverse.npy",
            "weight_ih_l0_reverse: expected a tensor of shape [4, 3], got none",
        ),
    ] {
        // Without the configuration beside them, which is held against the tensors first.
        let prepare = "rm -rf whole; rnn init -q -o whole/";
        sandbox.shell(&format!("{prepare} {layer}; rm whole/rnn.json; {change}")).succeeds();
        scene.refuses(
            "rnn run -w whole -i x.npy -o y.npy",
            65,
            &[&format!("rnn: whole: {what}\n")],
        );
        sandbox.write("bad.npz", &archive_of(sandbox, "whole"));
        let says = format!("rnn: bad.npz: {what}\n");
        scene.refuses("rnn run -w bad.npz -i x.npy -o y.npy", 65, &[&says]);
    }
}

/// The files of a folder as an .npz.
fn archive_of(sandbox: &Sandbox, folder: &str) -> Vec<u8> {
    let mut files: Vec<_> = fs::read_dir(sandbox.path(folder))
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    files.sort();
    let members: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    stored(&members)
}

#[test]
fn fault_43() {
    let scene = Scene::new();
    let system = [&b"cposix\nsystem\n"[..], &pickled("touch canary"), b"\x85R"].concat();
    let mut bomb = b")q\0".to_vec();
    for level in 1..12 {
        bomb.extend(b"(");
        bomb.extend([b'h', level - 1].repeat(10));
        bomb.extend([b't', b'q', level]);
    }
    // A text of 1 MiB, and copies of it.
    let text = "a".repeat(1 << 20);
    let copies = [pickled(&text), b"q\0".to_vec(), b"h\0".repeat(100)].concat();
    // The values of a pickle may take 64 MiB.
    let limits = Limits { seconds: 1, memory: 256 << 10 };
    let cases = [
        (
            "os.system",
            system.clone(),
            "expected a state_dict, a checkpoint or a module, got posix.system",
        ),
        (
            "os.system in a dict",
            [b"}", &pickled("weight_ih_l0")[..], &system, b"s"].concat(),
            "expected a checkpoint with tensors, got none in it",
        ),
        ("memo bomb", bomb, "expected a checkpoint with tensors, got none in it"),
        ("memo bomb of text", copies, "expected a checkpoint with tensors, got none in it"),
        (
            "deep nesting",
            [b")", &b"\x85".repeat(100_000)[..]].concat(),
            "expected a checkpoint with tensors, got none in it",
        ),
        (
            "short tuple",
            b"ctorch._utils\n_rebuild_tensor_v2\nK\x01\x85R".to_vec(),
            "broken checkpoint: _rebuild_tensor_v2: expected at least 6 arguments, got 1",
        ),
        (
            "4 GiB of text",
            b"X\xff\xff\xff\xff".to_vec(),
            "broken checkpoint: expected 4294967295 bytes, found 1",
        ),
        (
            "no stack",
            b"R".to_vec(),
            "broken checkpoint: expected a value on the pickle's stack, got none",
        ),
    ];
    for (name, pickle, message) in cases {
        let pickle = [b"\x80\x02", &pickle[..], b"."].concat();
        for bytes in [stored(&[("m/data.pkl", &pickle), ("m/version", b"3\n")]), pickle] {
            scene.sandbox.write("bad", &bytes);
            let says = format!("rnn: bad: {message}\n");
            scene.refuses_within(limits, "rnn run -w bad -i x.npy -o y.npy", 65, &[&says]);
            assert!(!scene.sandbox.path("canary").exists(), "{name}");
        }
    }
}

#[test]
fn fault_44() {
    let scene = Scene::new();
    let files =
        ["rnn.pt", "legacy.pt", "tar.pt", "nested.pt", "lightning.pt", "module.pt", "modules.pt"];
    for file in ["rnn.npz"].iter().chain(&files) {
        scene.sandbox.take(&format!("checkpoints/{file}"));
    }
    scene.sandbox.take("inputs.npz");
    // Modules say themselves that their batch comes first.
    let run = |weights: &str| {
        let flags = "--nonlinearity relu --batch-first=false -o out.npy --hn hn.npy -q";
        scene.succeeds(&format!("rnn run -i inputs.npz:x_f32 {flags} -w {weights}"));
        [scene.sandbox.bytes("out.npy"), scene.sandbox.bytes("hn.npy")].concat()
    };
    let expected = run("rnn.npz");
    for file in files {
        assert!(run(file) == expected, "{file}");
        assert!(run(&format!("- < {file}")) == expected, "{file} on stdin");
        assert!(run(&format!("/dev/stdin < <(cat {file})")) == expected, "{file} in a pipe");
    }
}

#[test]
#[cfg(feature = "onnx")]
fn fault_45() {
    let scene = Scene::new();
    let graph = |graph: Vec<u8>| of_graph(&graph, 20);
    // A length past the end, of an attribute, of the numbers of a tensor, and of the graph.
    let past = |number: u64| [varint(number << 3 | 2), varint(1 << 40), vec![0]].concat();
    let rnn = node("RNN", "rnn", "x W R", "y", &[]);
    let weights = [floats("W", &[1, 2, 2], 0.5), floats("R", &[1, 2, 2], 0.25)];
    let whole = model::model(&[rnn], &weights);
    let missing = whole.len() - 8;
    let attribute = [field(1, "a"), vec![0x18, 0xff]].concat();
    let mut deep = Vec::new();
    for _ in 0..2000 {
        let body = fields([field(1, "body"), field(6, deep), model::integer(20, 5)]);
        deep = field(1, field(5, body));
    }
    let with_if = [deep, field(1, node("If", "if", "x", "y", &[]))].concat();
    for (bytes, what) in [
        (
            graph(field(1, [field(3, "n"), field(5, attribute)].concat())),
            "node 0 'n': attribute 0 'a': truncated varint: expected another byte, got the end"
                .to_owned(),
        ),
        (
            graph(field(1, [vec![0x18], vec![0xff; 11]].concat())),
            "node 0: varint: expected at most 10 bytes, got more".to_owned(),
        ),
        (
            graph(fields([field(1, ""), field(1, [field(3, "n"), past(5)].concat())])),
            "node 1 'n': field 5: expected 1099511627776 bytes, got 1".to_owned(),
        ),
        (
            graph(field(5, [field(8, "w"), past(9)].concat())),
            "tensor 0 'w': field 9: expected 1099511627776 bytes, got 1".to_owned(),
        ),
        (
            whole[..whole.len() - 1].to_vec(),
            format!("field 7: expected {missing} bytes, got {}", missing - 1),
        ),
        (graph(with_if), "expected an RNN node, got  '', If 'if'".to_owned()),
        (of_graph(&[], 1), "expected opset 7 or above, got 1".to_owned()),
        (
            fields([model::integer(1, 8), field(7, "")]),
            "expected opset 7 or above, got none".to_owned(),
        ),
        (
            fs::read(fixture_path("onnx/torch-lstm.onnx")).unwrap(),
            "node '/LSTM': expected an RNN, got an LSTM".to_owned(),
        ),
    ] {
        refuses(&scene, &bytes, &format!(": {what}"));
    }
}

#[test]
fn fault_46() {
    let scene = Scene::new();
    let expected = scene.succeeds("rnn run -q -w w.npz -i x.npy -o -").stdout;
    scene.sandbox.shell("mkfifo fifo; rnn convert -q w.npz w.safetensors").succeeds();
    for weights in ["w.npz", "w.safetensors"] {
        for script in [
            format!("cat {weights} > fifo & rnn run -q -w fifo -i x.npy -o -; wait"),
            format!("cat {weights} | rnn run -q -w /dev/stdin -i x.npy -o -"),
            format!("rnn run -q -w /dev/stdin -i x.npy -o - < {weights}"),
            format!("cat {weights} | rnn run -q -w - -i x.npy -o -"),
            format!("rnn run -q -w <(cat {weights}) -i x.npy -o -"),
        ] {
            assert_eq!(scene.succeeds(&script).stdout, expected, "{script}");
        }
    }
}
