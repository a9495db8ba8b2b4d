//! Models of both exporters of PyTorch, numbers beside the file, weights behind nodes, and constants of a pass.

use elman::files::Source;
use elman::{Checkpoint, Dtype, Nonlinearity};
use ndarray::ArrayD;

use crate::onnx::model::{
    self, field, fields, floats, integer, integers, node, number, raw, tensor,
};
use crate::support::{Sandbox, fixture, fixture_path, largest_difference};

/// Between two sums of a few numbers of f32 near 1 in different order.
const TOLERANCE: f64 = 1e-6;

fn read(path: &str, prefix: Option<&str>) -> Checkpoint {
    let path = fixture_path(&format!("onnx/{path}.onnx"));
    Checkpoint::read(&Source::Path(path), None, prefix).unwrap()
}

/// Compares a layer bit for bit with the `state_dict` of the exported model.
#[track_caller]
fn equals_state_dict(model: &str, module: &str, checkpoint: Checkpoint) {
    for (name, tensor) in checkpoint.into_tensors::<f32>() {
        let expected: ArrayD<f32> = fixture(&format!("onnx/exports.npz:{model}.{module}.{name}"));
        assert_eq!(tensor.mapv(f32::to_bits), expected.mapv(f32::to_bits), "{model} {name}");
    }
}

#[test]
fn an_unrolled_layer_is_recovered_by_the_names_of_its_parameters() {
    let around = read("default-around", None);
    let expected = "RNN(3, 4, num_layers=2, batch_first=True, bidirectional=True)";
    assert_eq!(around.config.to_string(), expected);
    assert_eq!(around.config.nonlinearity, Nonlinearity::Relu);
    assert_eq!(around.prefix, "rnn.");
    assert!(around.is_explicit("nonlinearity") && around.is_explicit("batch_first"));
    assert!(
        around.notes[0].starts_with("PyTorch's exporter has unrolled the layer; weight_ih_l0, ")
    );
    assert_eq!(around.tensors.len(), 16);
    equals_state_dict("default-around", "rnn", around);
}

#[test]
fn weights_without_names_are_found_by_the_text_beside_their_node() {
    let nobias = read("default-nobias", None);
    assert_eq!(nobias.config.to_string(), "RNN(3, 4, bias=False)");
    equals_state_dict("default-nobias", "rnn", nobias);
}

#[test]
fn modules_that_feed_each_other_are_layers_of_their_own() {
    let sandbox = Sandbox::new();
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![3, 2, 4]).view());
    for (model, prefixes) in
        [("default-feeding", ["a", "b"]), ("script-feeding", ["/a/RNN", "/b/RNN"])]
    {
        sandbox.take(&format!("onnx/{model}.onnx"));
        let line = format!("run -w {model}.onnx -i x.npy -o y.npy");
        let [first, second] = prefixes;
        let message = format!(
            "rnn: {model}.onnx: expected one layer, got 2: {first}, {second}\n\
             hint: rnn {line} --prefix {first}\n"
        );
        sandbox.rnn(&line).fails(65, &message);
        sandbox.rnn(&format!("{line} --prefix {first}")).succeeds();
        for (prefix, module) in prefixes.into_iter().zip(["a", "b"]) {
            let layer = read(model, Some(prefix));
            assert_eq!(layer.config.to_string(), "RNN(4, 4)");
            equals_state_dict(model, module, layer);
        }
    }
}

/// The hidden sizes of both modules differ, and so do the nodes.
#[test]
fn nodes_that_differ_are_chosen_by_name() {
    let nodes = [
        node("RNN", "first", "x W R", "y", &[number("hidden_size", 2)]),
        node("Squeeze", "", "y", "z", &[integers("axes", &[1])]),
        node("RNN", "second", "z V S", "w", &[number("hidden_size", 3)]),
    ];
    let weights = [
        floats("W", &[1, 2, 2], 0.5),
        floats("R", &[1, 2, 2], 0.25),
        floats("V", &[1, 3, 2], 0.5),
        floats("S", &[1, 3, 3], 0.25),
    ];
    let sandbox = Sandbox::new();
    sandbox.write("m.onnx", &model::model(&nodes, &weights));
    for (prefix, config) in
        [("first", "RNN(2, 2, bias=False)"), ("second", "RNN(2, 3, bias=False)")]
    {
        let source = Source::Path(sandbox.path("m.onnx"));
        let layer = Checkpoint::read(&source, None, Some(prefix)).unwrap();
        assert_eq!(layer.config.to_string(), config);
    }
}

#[test]
fn weights_are_read_behind_nodes_that_exporters_do_not_fold() {
    equals_state_dict("script-unfolded", "rnn", read("script-unfolded", None));
}

/// The weights of a layer of 2 features whose W comes from these nodes and tensors.
fn behind(nodes: &[Vec<u8>], tensors: &[Vec<u8>]) -> Result<Vec<f32>, String> {
    let sandbox = Sandbox::new();
    let rnn = node("RNN", "rnn", "x W R", "y", &[]);
    let tensors = [tensors, &[floats("R", &[1, 2, 2], 0.25)]].concat();
    sandbox.write("m.onnx", &model::model(&[nodes, &[rnn]].concat(), &tensors));
    let source = Source::Path(sandbox.path("m.onnx"));
    let checkpoint = Checkpoint::read(&source, Some(Dtype::F32), None);
    let checkpoint = checkpoint.map_err(|error| error.to_string())?;
    Ok(checkpoint.into_tensors::<f32>()[0].1.iter().copied().collect())
}

/// Members of a model in bytes, of its graph, and the expected numbers.
type Case = (Vec<Vec<u8>>, Vec<Vec<u8>>, [f32; 4]);

#[test]
fn weights_are_computed_from_constants() {
    let plain = |op_type: &str, from: &str, to: &str| node(op_type, "", from, to, &[]);
    let list = |name: &str, values: &[i64]| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        tensor(name, 7, &[values.len() as u64], field(9, bytes))
    };
    let matrix = tensor("M", 1, &[2, 2], field(9, raw(&[1.0, 2.0, 3.0, 4.0])));
    let unsqueeze = |from: &str| node("Unsqueeze", "", from, "W", &[integers("axes", &[0])]);
    let turned = node("Transpose", "", "M", "T", &[integers("perm", &[1, 0])]);
    let rows = |start: i64, to: &str| {
        let (starts, ends) = (integers("starts", &[start]), integers("ends", &[start + 1]));
        node("Slice", "", "M", to, &[starts, ends, integers("axes", &[0])])
    };
    let quantized = [
        tensor("Q", 3, &[1, 2, 2], field(9, [1, 2, 3, 0xff])),
        tensor("scale", 1, &[2], field(9, raw(&[0.5, 0.25]))),
        tensor("zero", 3, &[2], field(9, [1, 0])),
    ];
    let half = tensor("H", 10, &[2, 2], field(9, [0x3800_u16.to_le_bytes(); 4].concat()));
    let cases: [Case; 7] = [
        (vec![plain("Identity", "M", "I"), unsqueeze("I")], vec![matrix.clone()], [1., 2., 3., 4.]),
        (vec![turned.clone(), unsqueeze("T")], vec![matrix.clone()], [1., 3., 2., 4.]),
        (
            vec![turned, plain("Reshape", "T shape", "W")],
            vec![matrix.clone(), list("shape", &[1, -1, 2])],
            [1., 3., 2., 4.],
        ),
        (
            vec![
                rows(1, "B"),
                rows(0, "A"),
                node("Concat", "", "B A", "C", &[number("axis", 0)]),
                unsqueeze("C"),
            ],
            vec![matrix.clone()],
            [3., 4., 1., 2.],
        ),
        (
            vec![node("Cast", "", "H", "F", &[number("to", 1)]), unsqueeze("F")],
            vec![half],
            [0.5; 4],
        ),
        (
            vec![node("DequantizeLinear", "", "Q scale zero", "W", &[number("axis", 1)])],
            quantized.to_vec(),
            [0., 0.5, 0.75, -0.25],
        ),
        (
            vec![
                node("Split", "", "M", "A B", &[number("axis", 1), integers("split", &[1, 1])]),
                node("Concat", "", "B A", "C", &[number("axis", 1)]),
                unsqueeze("C"),
            ],
            vec![matrix.clone()],
            [2., 1., 4., 3.],
        ),
    ];
    for (nodes, tensors, expected) in cases {
        assert_eq!(behind(&nodes, &tensors), Ok(expected.to_vec()));
    }
    let sums = [plain("Add", "M M", "S"), unsqueeze("S")];
    let error = behind(&sums, &[matrix]).unwrap_err();
    assert!(
        error.ends_with("W: expected a constant of the model, got 'W', which other nodes compute")
    );
}

/// 40 nodes that double a tensor would fill any memory.
#[test]
fn computed_weights_have_a_budget() {
    let name = |index: usize| if index == 40 { "W".to_owned() } else { format!("w{index}") };
    let double = |index: usize| {
        let (from, to) = (name(index), name(index + 1));
        node("Concat", "", &format!("{from} {from}"), &to, &[number("axis", 1)])
    };
    let nodes: Vec<_> = (0..40).map(double).collect();
    let error = behind(&nodes, &[floats("w0", &[1, 2, 2], 0.5)]).unwrap_err();
    assert!(error.ends_with("got 'W', which other nodes compute"), "{error}");
}

/// A layer of two nodes with a Reshape to these sizes between them; the model has 5 steps of 3 sequences.
fn layers_with_shape(shape: &[u8]) -> Result<usize, String> {
    let nodes = [
        node("RNN", "a", "x W R", "y", &[]),
        node("Reshape", "", "y shape", "z", &[]),
        node("RNN", "b", "z W R", "w", &[]),
    ];
    let shape: Vec<u8> =
        shape.iter().flat_map(|&size| i64::from(size.cast_signed()).to_le_bytes()).collect();
    let weights = [
        floats("W", &[1, 2, 2], 0.5),
        floats("R", &[1, 2, 2], 0.25),
        tensor("shape", 7, &[3], field(9, shape)),
    ];
    let sizes = fields([5, 3, 2].map(|size| field(1, integer(1, size))));
    let own = field(2, field(1, fields([integer(1, 1), field(2, sizes)])));
    let nodes = fields(nodes.iter().map(|node| field(1, node)));
    let weights = fields(weights.iter().map(|tensor| field(5, tensor)));
    let input = field(11, fields([field(1, "x"), own]));
    let sandbox = Sandbox::new();
    sandbox.write("m.onnx", &model::of_graph(&fields([nodes, weights, input]), 20));
    let checkpoint = Checkpoint::read(&Source::Path(sandbox.path("m.onnx")), None, None);
    checkpoint.map(|layer| layer.config.num_layers).map_err(|error| error.to_string())
}

#[test]
fn a_shape_of_the_models_own_sizes_keeps_steps_and_sequences() {
    for shape in [[5, 3, 2], [5, 3, 0xff], [0xff, 3, 2], [5, 0xff, 2]] {
        assert_eq!(layers_with_shape(&shape), Ok(2), "{shape:?}");
    }
    for shape in [[3, 5, 2], [15, 1, 2], [0xff, 5, 2], [5, 3, 0]] {
        let error = layers_with_shape(&shape).unwrap_err();
        assert!(error.ends_with("expected one layer, got 2: a, b"), "{shape:?} {error}");
    }
}

/// A model of one node whose W is at this place beside the file.
fn external(location: &str, offset: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| field(13, fields([field(1, key), field(2, value)]));
    let place = fields([entry("location", location), entry("offset", offset), integer(14, 1)]);
    let rnn = node("RNN", "rnn", "x W R", "y", &[]);
    let tensors = [tensor("W", 1, &[1, 2, 2], place), floats("R", &[1, 2, 2], 0.25)];
    model::model(&[rnn], &tensors)
}

#[test]
fn numbers_beside_the_file_are_read() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("in/data")).unwrap();
    sandbox.write("in/data/w.bin", &raw(&[9.0, 1.0, 2.0, 3.0, 4.0]));
    sandbox.write("in/m.onnx", &external("data/w.bin", "4"));
    sandbox.rnn("convert in/m.onnx out.npz").succeeds();
    let w = sandbox.load::<f32>("out.npz:weight_ih_l0");
    assert_eq!(w.into_iter().collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn numbers_outside_of_the_folder_are_refused() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("in/data")).unwrap();
    sandbox.write("w.bin", &raw(&[1.0; 4]));
    sandbox.write("in/short.bin", &raw(&[1.0; 3]));
    std::os::unix::fs::symlink("../w.bin", sandbox.path("in/link.bin")).unwrap();
    let absolute = sandbox.path("w.bin").display().to_string();
    let refused = |location: &str, offset: &str, what: &str| {
        sandbox.write("in/m.onnx", &external(location, offset));
        sandbox.rnn("convert in/m.onnx out.npz").fails(65, &format!("rnn: in/{what}\n"));
    };
    let folder =
        "m.onnx: tensor 'W': external data: expected a file in the folder of the model, got";
    refused("../w.bin", "0", &format!("{folder} '../w.bin'"));
    refused("data/../../w.bin", "0", &format!("{folder} 'data/../../w.bin'"));
    refused(&absolute, "0", &format!("{folder} '{absolute}'"));
    refused("link.bin", "0", &format!("{folder} 'link.bin', a link to another folder"));
    refused("data", "0", &format!("{folder} 'data', which is no file"));
    refused("short.bin", "0", "m.onnx: in/short.bin: expected 16 bytes of tensor 'W' at 0, got 12");
    let number = "m.onnx: tensor 'W': external data: expected a number as offset, got one";
    refused("short.bin", "one", number);
    let bytes = external("w.bin", "0");
    let words = ["convert", "-", "out.npz"];
    let message = format!("rnn: stdin: {}\n", folder.strip_prefix("m.onnx: ").unwrap());
    let outcome = sandbox.rnn_with(&words, &bytes);
    outcome.fails(65, &message.replace("got\n", "got a model from a stream\n"));
}

#[test]
fn a_learned_first_state_is_used_unless_there_is_another() {
    let sandbox = Sandbox::new();
    sandbox.take("onnx/script-learned.onnx");
    let x: ArrayD<f32> = fixture("onnx/exports.npz:x");
    sandbox.save("x.npy", &x.view());
    let line = "run -w script-learned.onnx -i x.npy -o y.npy --hn h.npy";
    let report = sandbox.rnn(line).succeeds().stdout_text();
    let used = "note: script-learned.onnx: the model starts from its constant initial_h\n";
    assert!(report.contains(used) && report.contains("script-learned.onnx: initial_h"), "{report}");
    for (own, name) in [("y.npy", "output"), ("h.npy", "h_n")] {
        let expected = fixture(&format!("onnx/exports.npz:script-learned.{name}"));
        assert!(largest_difference(&sandbox.load::<f32>(own), &expected) < TOLERANCE, "{name}");
    }
    // Another batch starts from the same row.
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![3, 5, 3]).view());
    sandbox.rnn(line).succeeds();
    sandbox.save("h0.npy", &ArrayD::<f32>::zeros(vec![2, 5, 4]).view());
    let report = sandbox.rnn(&format!("{line} --h0 h0.npy")).succeeds().stdout_text();
    let overridden = "note: script-learned.onnx: initial_h of the model is overridden by --h0\n";
    assert!(report.contains(overridden) && !report.contains(used), "{report}");
    let explain = "explain -w script-learned.onnx -i x.npy --report json";
    let report = sandbox.rnn(explain).succeeds().stdout_text();
    assert!(report.contains(r"\nh_0 = torch.tensor([\n    ["), "{report}");
    let report = sandbox.rnn(&format!("{explain} --h0 h0.npy")).succeeds().stdout_text();
    assert!(report.contains("initial_h of the model is overridden by --h0"), "{report}");
    let report = sandbox.rnn("convert script-learned.onnx out.npz --dropout 0").succeeds();
    assert!(report.stdout_text().contains("initial_h of the model is not a weight"));
}

#[test]
fn constant_lengths_are_those_of_the_sequences() {
    let lengths = tensor("n", 6, &[2], field(9, [3, 0, 0, 0, 1, 0, 0, 0]));
    let rnn = node("RNN", "rnn", "x W R _ n", "y", &[]);
    let weights = [floats("W", &[1, 2, 2], 0.5), floats("R", &[1, 2, 2], 0.25), lengths];
    let sandbox = Sandbox::new();
    sandbox.write("m.onnx", &model::model(&[rnn], &weights));
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![3, 2, 2]).view());
    sandbox.rnn("run -w m.onnx -i x.npy -o a.npy -q").succeeds();
    sandbox.rnn("run -w m.onnx -i x.npy --lengths 3,1 -o b.npy -q").succeeds();
    assert_eq!(sandbox.bytes("a.npy"), sandbox.bytes("b.npy"));
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![2, 2, 2]).view());
    let message = "rnn: m.onnx: sequence_lens: row 0: expected a whole number from 0 to 2, the steps of \
                   the input, got 3\n";
    sandbox.rnn("run -w m.onnx -i x.npy -o a.npy").fails(65, message);
}

#[test]
fn an_unrolled_layer_that_cannot_be_recovered_names_the_remedy() {
    let nodes = [node("MatMul", "m", "x W", "y", &[]), node("Tanh", "t", "y", "z", &[])];
    let sandbox = Sandbox::new();
    sandbox.write("m.onnx", &model::model(&nodes, &[floats("W", &[2, 2], 0.5)]));
    let message = "rnn: m.onnx: expected an RNN node, got MatMul 'm', Tanh 't' (PyTorch's default exporter \
                   unrolls the layer: torch.onnx.export(..., dynamo=False) keeps it, and \
                   torch.save(model.state_dict(), 'model.pt') its weights)\n";
    sandbox.rnn("info m.onnx").fails(65, message);
}
