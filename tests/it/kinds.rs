//! The ways in which a checkpoint may keep a layer: each gives the numbers of `torch.load`.

use crate::support::bytes::{npy, patched, stored};
use crate::support::{self, Sandbox, fixture, fixture_path};

/// Flags that leave nothing to assume.
const ALL: &str = "--nonlinearity tanh --batch-first=false --dropout 0";

/// A folder with these files of `fixtures/checkpoints/kinds/`.
fn with(files: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for file in files {
        sandbox.take(&format!("checkpoints/kinds/{file}"));
    }
    sandbox
}

/// Converts a file, and compares the result with the expected `state_dict`; returns the report.
#[track_caller]
fn converted(file: &str, flags: &str, rule: &str) -> String {
    let name = file.split('.').next().unwrap();
    let own = format!("{name}.npz");
    let is_own = fixture_path(&format!("checkpoints/kinds/{own}")).exists();
    let expected = if is_own { &own } else { "kinds.npz" };
    let sandbox = with(&[file, expected]);
    let report = sandbox.rnn(&format!("convert {file} found.npz {flags}")).succeeds().stdout_text();
    // One has a configuration, and the other does not.
    let outcome = sandbox.rnn(&format!("diff found.npz {expected} {rule}"));
    assert_eq!(outcome.code, Some(0), "{file}: {}", outcome.stdout_text());
    report
}

#[test]
fn containers_and_neighbours_do_not_matter() {
    for file in ["defaultdict.pt", "counter.pt", "deque.pt", "neighbours.pt"] {
        let report = converted(file, ALL, "--exact");
        assert!(!report.contains("warning"), "{report}");
    }
    for (file, class) in [("namedtuple.pt", "training.Pair"), ("unknown.pt", "training.Options")] {
        let report = converted(file, ALL, "--exact");
        let warning = format!(
            "warning: {file}: objects of classes that are not PyTorch's are left alone: {class}\n"
        );
        assert!(report.ends_with(&warning), "{report}");
    }
}

#[test]
fn prefixes_of_wrappers_are_modules_like_others() {
    for (file, prefix) in [("module-prefix.pt", "module.rnn."), ("compiled.pt", "_orig_mod.rnn.")] {
        let sandbox = with(&[file]);
        let report = sandbox.rnn(&format!("info {file} --report json")).succeeds().stdout_text();
        assert!(report.contains(&format!("\"prefix\":\"{prefix}\"")), "{report}");
        converted(file, ALL, "--exact");
    }
}

#[test]
fn views_of_storages_give_their_own_numbers() {
    for file in ["strided.pt", "shared.pt", "negative.pt"] {
        converted(file, ALL, "--exact");
    }
}

#[test]
fn layouts_and_protocols_give_the_same_numbers() {
    let protocols = ["protocol-1.pt", "protocol-3.pt", "protocol-4.pt", "protocol-5.pt"];
    for file in protocols.iter().chain(&["legacy-4.pt", "compressed.pt", "big-endian.pt"]) {
        converted(file, ALL, "--exact");
    }
}

/// The graph says the arguments that the weights leave open.
#[test]
fn an_exported_program_holds_all_arguments() {
    let report = converted("exported.pt2", "--strict", "--exact");
    assert!(report.starts_with("RNN(3, 5), tanh, f32, 50 parameters\n"), "{report}");
    let report = converted("exported-relu.pt2", "--strict", "--exact");
    let first =
        "RNN(3, 5, num_layers=2, batch_first=True, dropout=0.25), relu, f32, 110 parameters\n";
    assert!(report.starts_with(first), "{report}");
}

#[test]
fn a_module_and_hyper_parameters_hold_all_arguments() {
    let report = converted("module.pt", "", "--exact");
    let first =
        "RNN(3, 5, num_layers=2, batch_first=True, dropout=0.25), relu, f32, 110 parameters\n";
    assert!(report.starts_with(first), "{report}");
    let report = converted("hyper.pt", "", "--exact");
    assert!(report.starts_with("RNN(3, 5, batch_first=True), relu, f32, 50 parameters\n"));
    for note in [
        "the layer under state_dict.rnn.; 12 tensors of the optimizer are left alone",
        "nonlinearity relu is that of hyper_parameters",
    ] {
        assert!(report.contains(&format!("note: hyper.pt: {note}\n")), "{report}");
    }
    // Those of another object are not the layer's.
    let report = converted("hyper-nested.pt", "", "--exact");
    assert!(report.starts_with("RNN(3, 5, batch_first=True), relu, f32, 50 parameters\n"));
    let note = "note: hyper-nested.pt: nonlinearity relu is that of hyper_parameters.rnn\n";
    assert!(report.contains(note), "{report}");
}

#[test]
fn parameters_that_are_computed_or_kept_under_other_names() {
    converted("cell.pt", ALL, "--exact");
    let text = with(&["cell.pt"]).rnn("info cell.pt").succeeds().stdout_text();
    assert!(text.starts_with("cell.pt: weights, .pt checkpoint\nRNN(3, 5), "), "{text}");
    converted("pruned.pt", ALL, "--exact");
    let report = converted("one-bias.pt", ALL, "--exact");
    let note =
        "note: one-bias.pt: the weights have bias_ih and no bias_hh, which is taken as zeros\n";
    assert!(report.contains(note), "{report}");
    // The norm is a sum, whose order differs.
    for file in ["weight-norm-old.pt", "weight-norm.pt"] {
        converted(file, ALL, "");
    }
}

#[test]
fn what_does_not_tell_the_weights_is_refused() {
    let sandbox = with(&["raw.pt", "cells.pt"]);
    sandbox.rnn("convert raw.pt w.npz").fails(
        65,
        "rnn: raw.pt: module.weight_hh_l0_raw: expected the weights of an RNN, got the raw weights of WeightDrop, \
         a part of which each pass drops, in shape [5, 5]\n",
    );
    sandbox.rnn("convert cells.pt w.npz").fails(
        65,
        "rnn: cells.pt: expected one layer, got 2: a, b\nhint: rnn convert cells.pt w.npz --prefix a\n",
    );
}

/// A file of each shard of a model would be half a layer.
#[test]
fn a_model_in_several_files_is_read_whole_or_refused() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("model")).unwrap();
    let files = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ];
    for file in files {
        let from = fixture_path(&format!("cases/hf_shards/{file}"));
        std::fs::copy(from, sandbox.path(&format!("model/{file}"))).unwrap();
    }
    let [first, second, index] = files.map(|file| format!("model/{file}"));
    for (source, target) in [("model", "folder.npz"), (index.as_str(), "index.npz")] {
        let report = sandbox.rnn(&format!("convert {source} {target} {ALL}")).succeeds();
        let text = report.stdout_text();
        assert!(text.starts_with("RNN(4, 6, num_layers=2), tanh, f32, 156 parameters\n"), "{text}");
    }
    assert!(sandbox.bytes("folder.npz") == sandbox.bytes("index.npz"));
    // The numbers are those of the files.
    for (shard, layer) in [(&first, 0), (&second, 1)] {
        for name in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
            let name = format!("{name}_l{layer}");
            sandbox.rnn(&format!("diff --exact {shard}:rnn.{name} folder.npz:{name}")).succeeds();
        }
    }
    for shard in [&first, &second] {
        let what =
            format!("expected a whole model, got one of its files; {index} reads all of them");
        let stderr = format!("rnn: {shard}: {what}\n");
        sandbox.rnn(&format!("convert {shard} w.npz {ALL}")).fails(65, &stderr);
    }
    let text = sandbox.rnn(&format!("info {first}")).succeeds().stdout_text();
    let note = format!("note: one of the files of a model; {index} reads all of them\n");
    assert!(text.ends_with(&note), "{text}");
    // A part is one by its name alone too.
    std::fs::remove_file(sandbox.path(&index)).unwrap();
    let what =
        "expected a whole model, got one of its files; the index of all files reads all of them";
    sandbox
        .rnn(&format!("convert {first} w.npz {ALL}"))
        .fails(65, &format!("rnn: {first}: {what}\n"));
}

#[test]
fn saved_tensors_are_inputs() {
    let sandbox = with(&[
        "kinds.npz",
        "inputs.npz",
        "list.pt",
        "packed.pt",
        "packed-dict.pt",
        "batch.pt",
        "h_0.pt",
    ]);
    let run = format!("run -q -w kinds.npz {ALL}");
    for (input, output) in [("inputs.npz", "expected"), ("list.pt", "list")] {
        sandbox.rnn(&format!("{run} -i {input} -o {output}.npz")).succeeds();
    }
    sandbox.rnn("diff --exact expected.npz list.npz").succeeds();
    sandbox.rnn("pack -q -i inputs.npz -o p.npz").succeeds();
    for (input, output) in [("p.npz", "p-out"), ("packed.pt", "a"), ("packed-dict.pt", "b")] {
        sandbox.rnn(&format!("{run} -i {input} -o {output}.npz")).succeeds();
        sandbox.rnn(&format!("diff --exact p-out.npz {output}.npz")).succeeds();
    }
    // The longer of the sequences.
    for (input, output) in [("batch.pt:x", "x"), ("list.pt:1", "one"), ("inputs.npz:1", "member")] {
        sandbox.rnn(&format!("{run} -i {input} -o {output}.npy")).succeeds();
        sandbox.rnn(&format!("diff --exact x.npy {output}.npy")).succeeds();
    }
    sandbox.rnn("diff x.npy batch.pt").fails(
        65,
        "rnn: expected two tensors or two bundles, got one tensor, x.npy, and 2 of them, batch.pt\n\
         hint: rnn diff x.npy batch.pt:x\n",
    );
    sandbox.rnn(&format!("{run} -i packed.pt --h0 h_0.pt -o y.npz")).succeeds();
    sandbox.rnn("randn -q --shape 4,2,3 -o padded.npy").succeeds();
    for lengths in ["batch.pt:lengths", "2,4"] {
        let line = format!("{run} -i padded.npy --lengths {lengths} -o {}.npy", &lengths[..1]);
        sandbox.rnn(&line).succeeds();
    }
    assert!(sandbox.bytes("b.npy") == sandbox.bytes("2.npy"));
}

#[test]
fn tensors_of_other_types_are_listed() {
    let sandbox = with(&["others.pt"]);
    let text = sandbox.rnn("info others.pt").succeeds().stdout_text();
    assert_eq!(
        text,
        "others.pt: tensors, .pt checkpoint\n\
         complex    [2, 3]  complex64      not read\n\
         float8     [3]     float8_e4m3fn  not read\n\
         quantized  [4]     quantized      not read\n\
         sparse     [3, 3]  sparse         not read\n\
         plain      [2]     f32            min 1.0, max 1.0, mean 1.0, std 0.0\n"
    );
    let json = sandbox.rnn("info others.pt --report json").succeeds().stdout_text();
    let none = r#""min":null,"max":null,"mean":null,"std":null,"nan":null,"inf":null"#;
    let complex = format!(r#"{{"name":"complex","shape":[2,3],"dtype":"complex64",{none}}}"#);
    assert!(json.contains(&complex), "{json}");
    let text = sandbox.rnn("info others.pt:float8").succeeds().stdout_text();
    let expected = "others.pt:float8: tensor, tensor of a .pt\nshape  [3], 3 numbers\n\
                    dtype  float8_e4m3fn, not read\n";
    assert_eq!(text, expected);
    let outcome = sandbox.rnn("diff others.pt others.pt");
    assert_eq!(outcome.code, Some(1));
    let text = outcome.stdout_text();
    let first = "complex: complex64 [2, 3]: numbers of this type are not read\n";
    assert!(text.starts_with(first) && text.ends_with("\n1 of 5 tensors equal\n"), "{text}");
}

#[test]
fn arrays_of_other_types_matter_only_to_the_layer() {
    let of_type = |descr: &str, body: &[u8]| {
        npy(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (2, 1), }}"), body)
    };
    let others = [
        ("complex", "'<c8'", "complex64"),
        ("dates", "'<M8[ns]'", "datetime64"),
        ("names", "'<U2'", "text"),
        ("objects", "'|O'", "object"),
        ("records", "[('a', '<f4', (2,)), (('t [', 'b'), [('c', '|S3')])]", "structured"),
    ];
    let others = others.map(|(name, descr, kind)| (name, of_type(descr, &[0; 7]), kind));
    let sandbox = with(&["kinds.npz"]);
    let weights = sandbox.members("kinds.npz").into_iter().map(|name| {
        let array = fixture::<f32>(&format!("checkpoints/kinds/kinds.npz:{name}"));
        (format!("{name}.npy"), support::npy(&array))
    });
    let mut files: Vec<_> = weights.collect();
    files.extend(others.iter().map(|(name, bytes, _)| (format!("{name}.npy"), bytes.clone())));
    let save = |name: &str, files: &[(String, Vec<u8>)]| {
        let members: Vec<_> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
        sandbox.write(&format!("{name}.npz"), &stored(&members));
        std::fs::create_dir(sandbox.path(name)).unwrap();
        for (file, bytes) in files {
            sandbox.write(&format!("{name}/{file}"), bytes);
        }
    };
    save("beside", &files);
    for source in ["beside", "beside.npz"] {
        sandbox.rnn(&format!("convert {source} found.npz {ALL}")).succeeds();
        sandbox.rnn("diff --exact found.npz kinds.npz").succeeds();
    }
    // Alone, they are listed, and are neither weights nor an input.
    save("alone", &files[4..]);
    for source in ["alone", "alone.npz"] {
        let text = sandbox.rnn(&format!("info {source}")).succeeds().stdout_text();
        for (name, _, kind) in &others {
            assert!(
                text.contains(&format!("\n{name:<7}  [2, 1]  {kind:<10}  not read\n")),
                "{text}"
            );
        }
    }
    let text = sandbox.rnn("info alone.npz:names").succeeds().stdout_text();
    assert!(text.ends_with("\ndtype  text, not read\n"), "{text}");
    let refusal = "dtype '<c8' is complex; expected numbers (np.save(file, array.real))";
    for (line, place) in [
        ("convert alone w.npz", "alone/complex.npy"),
        ("convert alone.npz w.npz", "alone.npz:complex"),
        ("run --hidden 2 -i alone.npz:complex", "alone.npz:complex"),
    ] {
        sandbox.rnn(line).fails(65, &format!("rnn: {place}: {refusal}\n"));
    }
    // The layer needs this one.
    files[0].1 = patched(&files[0].1, b"<f4", b"<c8");
    save("needed", &files);
    for source in ["needed", "needed.npz"] {
        let dot = if source == "needed" { "/" } else { ":" };
        let end = if source == "needed" { ".npy" } else { "" };
        let name = files[0].0.strip_suffix(".npy").unwrap();
        let stderr = format!("rnn: {source}{dot}{name}{end}: {refusal}\n");
        sandbox.rnn(&format!("convert {source} w.npz")).fails(65, &stderr);
    }
}

#[test]
fn arrays_of_numpy_in_a_checkpoint_are_listed() {
    converted("numpy.pt", ALL, "--exact");
    let sandbox = with(&["numpy.pt", "array.pt"]);
    let text = sandbox.rnn("info array.pt").succeeds().stdout_text();
    let listed = "array.pt: tensor, tensor of a .pt\nshape  [2, 3], 6 numbers\n\
                  dtype  NumPy array, not read\n";
    assert_eq!(text, listed);
    let what = "got a NumPy array (torch.from_numpy(array) makes one of it)";
    for input in ["array.pt", "numpy.pt:array"] {
        let stderr = format!("rnn: {input}: expected a tensor, {what}\n");
        sandbox.rnn(&format!("run --hidden 2 -i {input}")).fails(65, &stderr);
    }
    sandbox
        .rnn("convert array.pt w.npz")
        .fails(65, &format!("rnn: array.pt: expected a tensor, {what}\n"));
}

#[test]
fn a_very_long_name_is_shortened() {
    let sandbox = Sandbox::new();
    let name = "n".repeat(65_536);
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat();
    sandbox.write("long.safetensors", &file);
    let part = "n".repeat(100);
    let text = sandbox.rnn("info long.safetensors --values").succeeds().stdout_text();
    assert_eq!(
        text,
        format!(
            "long.safetensors: tensors, .safetensors\n\
             {part}...{part}  [1]  f32  min 0.0, max 0.0, mean 0.0, std none\n\
             {part}...{part}:\ntensor([0.])\n"
        )
    );
}

#[test]
fn files_of_other_programs_are_named_with_the_way_out() {
    let sandbox = Sandbox::new();
    sandbox.write("w.h5", b"\x89HDF\r\n\x1a\n\0\0");
    sandbox.write("params.msgpack", b"\x81\xa6params\x81\xa1i\x80");
    sandbox.write("cell.msgpack", b"\x82\xa1h\x80\xa1i\x80\0\0");
    let expected = "expected a folder of .npy files, .npz, .safetensors, .pt or .onnx";
    let flax = "hint: of a SimpleCell: p = flax.serialization.msgpack_restore(open(FILE, 'rb').read()), down to \
                the cell; np.savez('w.npz', weight_ih_l0=p['i']['kernel'].T, weight_hh_l0=p['h']['kernel'].T, \
                bias_ih_l0=p['i']['bias'])\n";
    for file in ["params.msgpack", "cell.msgpack"] {
        let stderr =
            format!("rnn: {file}: {expected}, got what looks like a checkpoint of Flax\n{flax}");
        sandbox.rnn(&format!("convert {file} w.npz")).fails(65, &stderr);
    }
    let keras = "hint: of a SimpleRNN of Keras: k, r, b = layer.get_weights(); np.savez('w.npz', \
                 weight_ih_l0=k.T, weight_hh_l0=r.T, bias_ih_l0=b)\n";
    let stderr = format!("rnn: w.h5: {expected}, got what looks like HDF5\n{keras}");
    sandbox.rnn("convert w.h5 w.npz").fails(65, &stderr);
    let stderr = "rnn: w.h5: expected .npy, .npz or a table, got what looks like HDF5\n\
                  hint: np.save('x.npy', h5py.File(FILE)[NAME][()]) writes one of its arrays\n";
    sandbox.rnn("run -i w.h5 --hidden 2").fails(65, stderr);
}
