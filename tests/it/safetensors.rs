//! .safetensors, in and out: the same numbers as any other format, and every header that lies refused.

use elman::Dtype;
use elman::files::{Accepts, Entry, File, Source, StoredType, Tensor, open};
use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::bytes::safetensors;

#[test]
fn it_equals_the_reference() {
    let sandbox = Sandbox::new();
    for fixture in ["checkpoints/rnn.npz", "checkpoints/rnn.safetensors", "inputs.npz"] {
        sandbox.take(fixture);
    }
    let bytes = sandbox.bytes("rnn.safetensors");
    let line = "run -i inputs.npz:x_f32 --nonlinearity relu --batch-first=false -o out.npy --hn hn.npy --report none -w";
    let mut outputs = ["rnn.npz", "rnn.safetensors", "-", "/dev/stdin"].map(|weights| {
        let words: Vec<_> = line.split(' ').chain([weights]).collect();
        sandbox.rnn_with(&words, &bytes).succeeds();
        (weights, sandbox.bytes("out.npy"), sandbox.bytes("hn.npy"))
    });
    let (_, output, h_n) = outputs[0].clone();
    for (weights, got, got_h_n) in &mut outputs {
        assert!(*got == output && *got_h_n == h_n, "{weights}");
    }
}

#[test]
fn init_writes_what_run_reads() {
    let sandbox = Sandbox::new();
    let layer =
        "--input-size 3 --hidden 5 --layers 2 --nonlinearity relu --batch-first --bidirectional";
    for output in ["w.npz", "w.safetensors", "again.safetensors"] {
        sandbox.rnn(&format!("init {layer} -o {output} --report none")).succeeds();
    }
    assert!(sandbox.bytes("w.safetensors") == sandbox.bytes("again.safetensors"));
    sandbox.rnn("randn --shape 2,4,3 -o x.npy --report none").succeeds();
    for weights in ["w.npz", "w.safetensors"] {
        let line = format!("run -i x.npy -w {weights} -o {weights}.npy");
        let report = sandbox.rnn(&line).succeeds().stdout_text();
        let first = "RNN(3, 5, num_layers=2, batch_first=True, bidirectional=True), relu, f32, 270 parameters\n";
        assert!(report.starts_with(first) && !report.contains("note"), "{report}");
    }
    assert!(sandbox.bytes("w.npz.npy") == sandbox.bytes("w.safetensors.npy"));
}

#[test]
fn what_is_written_is_what_others_write() {
    let sandbox = Sandbox::new();
    sandbox
        .rnn("init --input-size 1 --hidden 2 --dtype f64 -o w.safetensors --report none")
        .succeeds();
    let bytes = sandbox.bytes("w.safetensors");
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    assert!(length.is_multiple_of(8), "{length}");
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    // The text of the configuration is JSON in JSON.
    let config = json!({
        "input_size": 1, "hidden_size": 2, "num_layers": 1, "nonlinearity": "tanh", "bias": true,
        "batch_first": false, "dropout": 0.0, "bidirectional": false,
    });
    let text = Value::String(format!("{config:#}\n"));
    let tensor = |shape: &str, from: usize, to: usize| {
        format!(r#"{{"dtype":"F64","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let expected = format!(
        r#"{{"__metadata__":{{"format":"pt","rnn.json":{text}}},"bias_hh_l0":{},"bias_ih_l0":{},"weight_hh_l0":{},"weight_ih_l0":{}}}"#,
        tensor("[2]", 0, 16),
        tensor("[2]", 16, 32),
        tensor("[2,2]", 32, 64),
        tensor("[2,1]", 64, 80),
    );
    assert_eq!(header.trim_end_matches(' '), expected);
    assert_eq!(bytes.len(), 8 + length + 80);
}

#[test]
fn every_type_of_number_is_read() {
    let types: [(&str, StoredType, &[u8]); 13] = [
        ("BF16", StoredType::BF16, &[0x80, 0x3f, 0, 0xc0]),
        ("BOOL", StoredType::Bool, &[1, 0]),
        ("F16", StoredType::F16, &[0, 0x3c, 0, 0xc0]),
        ("F32", StoredType::F32, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]),
        ("F64", StoredType::F64, &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0]),
        ("I16", StoredType::I16, &[1, 0, 0xfe, 0xff]),
        ("I32", StoredType::I32, &[1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]),
        ("I64", StoredType::I64, &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
        ("I8", StoredType::I8, &[1, 0xfe]),
        ("U16", StoredType::U16, &[1, 0, 2, 0]),
        ("U32", StoredType::U32, &[1, 0, 0, 0, 2, 0, 0, 0]),
        ("U64", StoredType::U64, &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
        ("U8", StoredType::U8, &[1, 2]),
    ];
    let second = [-2.0, 0.0, -2.0, -2.0, -2.0, -2.0, -2.0, 2.0, -2.0, 2.0, 2.0, 2.0, 2.0];
    let mut header = serde_json::Map::new();
    let mut body = Vec::new();
    for (name, _, bytes) in types {
        let offsets = [body.len(), body.len() + bytes.len()];
        header
            .insert(name.into(), json!({"dtype": name, "shape": [2, 1], "data_offsets": offsets}));
        body.extend(bytes);
    }
    let sandbox = Sandbox::new();
    let whole = [safetensors(&Value::Object(header).to_string(), 0), body].concat();
    sandbox.write("t.safetensors", &whole);
    let path = sandbox.path("t.safetensors");
    let file = open(&Source::parse(path.as_os_str()), Accepts::Model).unwrap();
    let File::Bundle(mut bundle) = file else { panic!("a bundle") };
    assert_eq!(bundle.text(), None);
    for (index, (name, stored, _)) in types.into_iter().enumerate() {
        let entry = Entry { name: name.to_owned(), stored, shape: vec![2, 1] };
        assert_eq!(bundle.entries()[index], entry);
        let Tensor::F64(array) = bundle.read(index, Some(Dtype::F64)).unwrap() else {
            panic!("{name}")
        };
        assert_eq!(array.into_raw_vec_and_offset().0, [1.0, second[index]], "{name}");
    }
}

#[test]
fn a_configuration_that_contradicts_the_tensors_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    let tensor = r#"{"dtype":"F32","shape":[1,1],"data_offsets":"#;
    let header = format!(
        r#"{{"__metadata__":{{"rnn.json":"{{\"input_size\":2,\"hidden_size\":1,\"bias\":false}}"}},"weight_ih_l0":{tensor}[0,4]}},"weight_hh_l0":{tensor}[4,8]}}}}"#
    );
    sandbox.write("w.safetensors", &safetensors(&header, 8));
    sandbox.rnn("run -i x.npy -w w.safetensors").fails(
        65,
        "rnn: w.safetensors: metadata: expected input_size 1, as in the tensors, got 2\n",
    );
}

/// A header whose length begins with the bytes of a pickle is still a header.
#[test]
fn a_length_that_looks_like_a_pickle() {
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    let header = format!("{{{:width$}}}", "", width = 0x280 - 2);
    sandbox.write("w.safetensors", &safetensors(&header, 0));
    sandbox.rnn("run -i x.npy -w w.safetensors").fails(65, "rnn: w.safetensors: expected the weights of an RNN, such as weight_ih_l0, got no tensors\n");
}

/// Places of bytes that, counted from the beginning of the file, are beyond what 64 bits hold.
#[test]
fn tensors_that_end_behind_every_file_are_refused() {
    let size = (1_u64 << 61) - 8;
    let tensor = |name: u64, numbers: u64, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"F64","shape":[{numbers}],"data_offsets":[{start},{end}]}}"#)
    };
    let large = (0..8).map(|i| tensor(i, size / 8, i * size, (i + 1) * size));
    let all: Vec<_> = large.chain([tensor(8, 7, 8 * size, 8 * size + 56)]).collect();
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    sandbox.write("w.safetensors", &safetensors(&format!("{{{}}}", all.join(",")), 0));
    sandbox
        .rnn("run -i x.npy -w w.safetensors")
        .fails(65, "rnn: w.safetensors: expected 18446744073709551608 bytes of tensors, got 0\n");
}

/// A second of the processor is the promise; with a list for each layer it was minutes.
#[test]
fn very_many_layers_are_refused_at_once() {
    let tensor = r#"{"dtype":"F32","shape":[1,1],"data_offsets":"#;
    let both = |i: usize| {
        let (at, middle, end) = (8 * i, 8 * i + 4, 8 * i + 8);
        format!(
            r#""l{i}.weight_ih_l0":{tensor}[{at},{middle}]}},"l{i}.weight_hh_l0":{tensor}[{middle},{end}]}}"#
        )
    };
    let all: Vec<_> = (0..10_000).map(both).collect();
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    sandbox.write("w.safetensors", &safetensors(&format!("{{{}}}", all.join(",")), 80_000));
    let outcome = sandbox.shell("ulimit -t 2; rnn run -i x.npy -w w.safetensors");
    assert_eq!(outcome.code, Some(65));
    let (start, end) =
        ("rnn: w.safetensors: expected one layer, got 10000: l0, ", " and 9980 more\n");
    let message = outcome.stderr.split_once("hint: ").unwrap().0;
    assert!(message.starts_with(start) && message.ends_with(end), "{message}");
}
