//! .pt and .pth: every layout that PyTorch has written, what is no checkpoint of a layer, and pickles that
//! mean harm.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::bytes::{pickled, stored};
use crate::support::{Sandbox, fixture};

/// A hostile file is refused before anybody wonders what the program is doing.
const LIMIT: Duration = Duration::from_secs(2);

/// A folder with these files of `fixtures/checkpoints/`, and an input that fits.
fn with(files: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for file in files {
        sandbox.take(&format!("checkpoints/{file}"));
    }
    sandbox.take("inputs.npz");
    sandbox
}

/// The output of the relu layer in this file, as .npy.
fn output(sandbox: &Sandbox, weights: &str, stdin: &[u8]) -> Vec<u8> {
    let words = "run -i inputs.npz:x_f32 --nonlinearity relu --batch-first=false -o out.npy --hn hn.npy --report none -w";
    let words: Vec<_> = words.split(' ').chain([weights]).collect();
    sandbox.rnn_with(&words, stdin).succeeds();
    [sandbox.bytes("out.npy"), sandbox.bytes("hn.npy")].concat()
}

/// A pickled tensor of f32: a view of `numel` numbers in the file `data/0`, all at stride 0.
fn repeated(numel: i32, shape: &[i32]) -> Vec<u8> {
    let int = |value: i32| [b"J", &value.to_le_bytes()[..]].concat();
    let storage = [
        &b"(("[..],
        &pickled("storage"),
        b"ctorch\nFloatStorage\n",
        &pickled("0"),
        &pickled("cpu"),
        &int(numel),
        b"tQ",
    ]
    .concat();
    let sizes: Vec<u8> = shape.iter().flat_map(|&size| int(size)).collect();
    let strides: Vec<u8> = shape.iter().flat_map(|_| int(0)).collect();
    let view = [&int(0)[..], b"(", &sizes, b"t(", &strides, b"t"].concat();
    let call = &b"ctorch._utils\n_rebuild_tensor_v2\n"[..];
    [call, &storage, &view, b"\x89ccollections\nOrderedDict\n)RtR"].concat()
}

#[test]
fn a_whole_module_says_what_it_is() {
    let sandbox = with(&["rnn.npz", "module.pt", "modules.pt", "legacy-module.pt"]);
    let expected = output(&sandbox, "rnn.npz", &[]);
    for file in ["module.pt", "modules.pt", "legacy-module.pt"] {
        let line = format!("run -i inputs.npz:x_f32_batch_first -w {file} -o out.npy --hn hn.npy");
        let report = sandbox.rnn(&line).succeeds().stdout_text();
        let first = "RNN(3, 5, num_layers=2, batch_first=True, dropout=0.25, bidirectional=True), relu, f32, 270 parameters\n";
        assert!(report.starts_with(first), "{file}: {report}");
        assert!(!report.contains("nonlinearity"), "{file}: {report}");
        // Of what was computed from the other layout of the same input, h_n is in the same order.
        let h_n = sandbox.bytes("hn.npy");
        assert!(expected.ends_with(&h_n), "{file}");
    }
    let line = "run -i inputs.npz:x_f32_batch_first -w module.pt --nonlinearity tanh";
    sandbox.rnn(line).fails(
        65,
        "rnn: module.pt: expected nonlinearity relu, as in the weights, got tanh from --nonlinearity\n\
         hint: rnn run -i inputs.npz:x_f32_batch_first -w module.pt\n",
    );
}

#[test]
fn halves_are_converted_and_noted() {
    for dtype in ["f16", "bf16"] {
        let (pt, npz) = (format!("{dtype}.pt"), format!("{dtype}.npz"));
        let sandbox = with(&[&pt, &npz]);
        let line = format!("run -i inputs.npz:x_f32 --nonlinearity relu -w {pt} -o {dtype}.npy");
        let report = sandbox.rnn(&line).assumes().stdout_text();
        let note = format!("note: {pt}: weight_hh_l1_reverse: {dtype} converted to f32\n");
        assert!(report.contains(&note), "{report}");
        let expected = output(&sandbox, &npz, &[]);
        assert!(output(&sandbox, &pt, &[]) == expected, "{pt}");
    }
}

#[test]
fn the_report_names_format_and_prefix() {
    let sandbox = with(&["nested.pt"]);
    let line = "run -i inputs.npz:x_f32 -w nested.pt -v -o out.npy";
    let report = sandbox.rnn(line).assumes().stdout_text();
    assert!(report.contains("note: nested.pt: recognised as .pt checkpoint\n"), "{report}");
}

#[test]
fn one_layer_of_a_model_is_chosen_by_its_prefix() {
    let sandbox = with(&["model.pt"]);
    for layer in ["encoder.rnn", "decoder.rnn"] {
        let line = format!("run -i inputs.npz:x_f32 -w model.pt --prefix {layer} -o out.npy");
        let report = sandbox.rnn(&line).assumes().stdout_text();
        let note = format!(
            "note: model.pt: the layer under {layer}.; 6 other tensors of the model are left alone\n"
        );
        assert!(report.contains(&note), "{report}");
    }
    sandbox.rnn("run -i inputs.npz:x_f32 -w model.pt").fails(
        65,
        "rnn: model.pt: expected one layer, got 2: decoder.rnn, encoder.rnn\n\
         hint: rnn run -i inputs.npz:x_f32 -w model.pt --prefix decoder.rnn\n",
    );
    sandbox.rnn("run -i inputs.npz:x_f32 --prefix enc -w model.pt").fails(
        65,
        "rnn: model.pt: expected a layer under the prefix 'enc', got decoder.rnn, encoder.rnn\n\
         hint: rnn run -i inputs.npz:x_f32 -w model.pt --prefix decoder.rnn\n",
    );
}

#[test]
fn what_is_no_layer_is_refused_by_name() {
    let cases = [
        (
            "lstm.pt",
            "weight_hh_l0: expected the weights of an RNN, got an LSTM, which has four gates, in shape [20, 5]",
        ),
        (
            "gru.pt",
            "weight_hh_l0: expected the weights of an RNN, got a GRU, which has three gates, in shape [15, 5]",
        ),
        (
            "script.pt",
            "expected a checkpoint, got a TorchScript archive (torch.save(torch.jit.load(file).state_dict(), 'w.pt') makes one)",
        ),
        ("sparse.pt:weight_ih_l0", "expected a tensor of integers or floats, got sparse"),
        ("tensor.pt", "expected a state_dict, a checkpoint or a module, got torch.Tensor"),
        ("empty.pt", "expected a checkpoint with tensors, got none in it"),
    ];
    for (place, message) in cases {
        let file = place.split(':').next().unwrap();
        let sandbox = with(&[file]);
        let stderr = format!("rnn: {place}: {message}\n");
        sandbox.rnn(&format!("run -i inputs.npz:x_f32 -w {file}")).fails(65, &stderr);
        assert_eq!(sandbox.names(), [file.min("inputs.npz"), file.max("inputs.npz")]);
    }
}

#[test]
fn a_saved_tensor_is_an_input() {
    let sandbox = with(&["tensor.pt", "legacy.pt", "rnn.safetensors"]);
    sandbox.shell("rnn init -q --input-size 3 --hidden 2 -o w/").succeeds();
    let mut npy =
        b"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }".to_vec();
    npy.resize(127, b' ');
    npy.push(b'\n');
    npy.extend(1.0_f32.to_le_bytes().repeat(12));
    sandbox.write("ones.npy", &npy);
    sandbox.rnn("run -q -w w/ -i ones.npy -o expected.npy").succeeds();
    sandbox.rnn("run -q -w w/ -i tensor.pt -o y.npy").succeeds();
    assert!(sandbox.bytes("y.npy") == sandbox.bytes("expected.npy"));
    sandbox.rnn("diff tensor.pt ones.npy").succeeds();
    for member in ["legacy.pt:weight_ih_l0", "rnn.safetensors:weight_ih_l0"] {
        sandbox.rnn(&format!("run -q -w w/ -i {member} -o {}.npy", &member[..3])).succeeds();
    }
    assert!(sandbox.bytes("leg.npy") == sandbox.bytes("rnn.npy"));
    let outcome = sandbox.rnn("run -w w/ -i legacy.pt:weight");
    let start = "rnn: legacy.pt:weight: expected a member of that name, got weight_ih_l0, ";
    assert!(outcome.code == Some(65) && outcome.stderr.starts_with(start), "{}", outcome.stderr);
}

/// An optimizer that was saved as an object, not as its `state_dict`.
#[test]
fn an_object_beside_the_weights_is_left_alone() {
    let ih = [&pickled("weight_ih_l0")[..], &repeated(1, &[5, 3]), b"s"].concat();
    let hh = [&pickled("weight_hh_l0")[..], &repeated(1, &[5, 5]), b"s"].concat();
    let object =
        [&pickled("other")[..], b"cposix\nsystem\n", &pickled("touch canary"), b"\x85Rs"].concat();
    let pickle = [b"\x80\x02}", &ih[..], &object, &hh, b"."].concat();
    let sandbox = with(&[]);
    sandbox.write("m.pt", &stored(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 4])]));
    let report = sandbox.rnn("run -i inputs.npz:x_f32 -w m.pt -o y.npy").assumes().stdout_text();
    let note =
        "warning: m.pt: objects of classes that are not PyTorch's are left alone: posix.system\n";
    assert!(report.contains(note), "{report}");
    assert!(!sandbox.path("canary").exists());
}

#[test]
fn a_small_file_is_no_large_tensor() {
    let ih = [&pickled("weight_ih_l0")[..], &repeated(1, &[1 << 14, 1 << 14]), b"s"].concat();
    let hh = [&pickled("weight_hh_l0")[..], &repeated(1, &[1 << 14, 1 << 14]), b"s"].concat();
    let pickle = [b"\x80\x02}", &ih[..], &hh, b"."].concat();
    let sandbox = with(&[]);
    sandbox.write("m.pt", &stored(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 4])]));
    let limit = 4 * sandbox.bytes("m.pt").len() + (8 << 20);
    sandbox.rnn("run -i inputs.npz:x_f32 -w m.pt").fails(
        65,
        &format!(
            "rnn: m.pt:weight_hh_l0: expected at most {limit} more bytes of tensors in a file of this size, got \
             1073741824, in shape [16384, 16384]\n"
        ),
    );
}

#[test]
fn sizes_beside_a_zero_are_multiplied_too() {
    let tensor = repeated(1, &[0, 1 << 30, 1 << 30, 1 << 30]);
    let pickle = [b"\x80\x02}", &pickled("w")[..], &tensor, b"s."].concat();
    let sandbox = with(&[]);
    sandbox.write("m.pt", &stored(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 4])]));
    sandbox
        .rnn("run -i inputs.npz:x_f32 -w m.pt")
        .fails(65, "rnn: m.pt:w: shape [0, 1073741824, 1073741824, 1073741824] is too large\n");
}

#[test]
fn a_pickle_of_many_values_is_refused_within_its_budget() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("m/data.pkl", SimpleFileOptions::default()).unwrap();
    zip.write_all(&b"N".repeat(50 << 20)).unwrap();
    let sandbox = with(&[]);
    sandbox.write("m.pt", &zip.finish().unwrap().into_inner());
    let start = Instant::now();
    let stderr = "rnn: m.pt: broken checkpoint: expected names, headers and values within 64 MiB of memory, got more\n";
    sandbox.rnn("run -i inputs.npz:x_f32 -w m.pt").fails(65, stderr);
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let tensor = repeated(1, &[2, 2]);
    let ih = [&pickled("a.weight_ih_l0")[..], &tensor, b"s"].concat();
    let inner = [b"}", &pickled("weight_hh_l0")[..], &tensor, b"s"].concat();
    let both =
        [&ih[..], &pickled("a.weight_hh_l0"), &tensor, b"s", &pickled("a"), &inner, b"s"].concat();
    let pickle = [b"\x80\x02}", &both[..], b"."].concat();
    let sandbox = with(&[]);
    sandbox.write("m.pt", &stored(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 4])]));
    let stderr = "rnn: m.pt: two tensors of the checkpoint have the same name\n";
    sandbox.rnn("run -i inputs.npz:x_f32 -w m.pt").fails(65, stderr);
}

#[test]
fn broken_files_are_refused() {
    let ih = [&pickled("weight_ih_l0")[..], &repeated(1, &[5, 3]), b"s"].concat();
    let hh = [&pickled("weight_hh_l0")[..], &repeated(1, &[5, 5]), b"s"].concat();
    let pickle = [b"\x80\x02}", &ih[..], &hh, b"."].concat();
    let sandbox = with(&["rnn.pt", "legacy.pt"]);
    sandbox.write("absent.pt", &stored(&[("m/data.pkl", &pickle)]));
    sandbox.write("short.pt", &stored(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 3])]));
    sandbox.write("plain.pt", &pickle);
    for file in ["rnn.pt", "legacy.pt"] {
        let whole = sandbox.bytes(file);
        sandbox.write(&format!("half-{file}"), &whole[..whole.len() / 2]);
    }
    let mut flipped = sandbox.bytes("rnn.pt");
    sandbox.take("checkpoints/rnn.npz");
    let weight = fixture::<f32>("checkpoints/rnn.npz:weight_hh_l0");
    let first: Vec<u8> = weight.iter().take(4).flat_map(|value| value.to_le_bytes()).collect();
    let at = flipped.windows(16).position(|window| window == first).unwrap();
    flipped[at] ^= 1;
    sandbox.write("flipped.pt", &flipped);
    for (file, message) in [
        (
            "absent.pt",
            ":weight_hh_l0: broken checkpoint: ZIP entry 'm/data/0': not found in archive",
        ),
        (
            "short.pt",
            ":weight_hh_l0: broken checkpoint: Tensor with shape [5, 5] requires 1 elements from storage '0', but only 0 are available",
        ),
        ("plain.pt", ": expected a checkpoint, got a pickle without the bytes of its tensors"),
        ("half-rnn.pt", ": broken archive: invalid Zip archive: Could not find EOCD"),
        ("half-legacy.pt", ": broken checkpoint: expected more bytes, got the end of the file"),
        (
            "flipped.pt",
            ":weight_hh_l0: broken checkpoint: ZIP entry 'rnn/data/1': Invalid checksum",
        ),
    ] {
        let stderr = format!("rnn: {file}{message}\n");
        sandbox.rnn(&format!("run -i inputs.npz:x_f32 -w {file}")).fails(65, &stderr);
    }
}

/// Names of a list are numbers: sorted as text, sequence 10 would follow sequence 1.
#[test]
fn sequences_of_a_list_keep_their_order() {
    let pairs: Vec<u8> = (0..12).flat_map(|i| repeated(1, &[i + 1, 3])).collect();
    let pickle = [b"\x80\x02](", &pairs[..], b"e."].concat();
    let sandbox = with(&[]);
    sandbox.write("l.pt", &stored(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 4])]));
    sandbox.shell("rnn init -q --input-size 3 --hidden 2 -o w/").succeeds();
    sandbox.rnn("run -q -w w/ -i l.pt -o y.npz").succeeds();
    let text = sandbox.rnn("info y.npz").succeeds().stdout_text();
    let names: Vec<_> = text.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    let expected: Vec<_> = (0..12).map(|i| i.to_string()).collect();
    assert_eq!(names[..12], expected, "{text}");
}
