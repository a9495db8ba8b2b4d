//! .onnx: ONNX's own cases, models that `torch.onnx.export` writes, errors and the names in them, reversed layers,
//! and files that this program writes.

mod exports;
pub(crate) mod model;

use elman::files::{Accepts, Overwrite, Sink, Source, open};
use elman::{
    Batch, Checkpoint, Config, Element, Generator, Nonlinearity, Options, Rnn, write_onnx,
};
use ndarray::{Array3, ArrayD, Axis, Slice};
use serde::Deserialize;

use crate::support::{Sandbox, cases, fixture, fixture_path, largest_difference};

use model::{constant, field, fields, floats, integer, node, of_graph, raw, tensor, text, texts};

/// Between two sums of a few numbers of f32 near 1 in different order: some units in the last place.
const TOLERANCE: f64 = 1e-6;

/// ONNX's own cases of the operator.
const CONFORMANCE: [&str; 6] = [
    "rnn_seq_length",
    "simple_rnn_batchwise",
    "simple_rnn_bidirectional",
    "simple_rnn_defaults",
    "simple_rnn_reverse",
    "simple_rnn_with_initial_bias",
];

/// The array of a case with this name; `None` if the case has none.
fn of_case(case: &str, name: &str) -> Option<ArrayD<f32>> {
    let place = fixture_path(&format!("onnx/test_{case}.npz:{name}"));
    let file = open(&Source::parse(place.as_os_str()), Accepts::Tensor).ok()?;
    Some(file.into_tensor().unwrap().read().unwrap())
}

/// A tensor of a model.
fn written(name: &str, array: &ArrayD<f32>) -> Vec<u8> {
    let sizes: Vec<_> = array.shape().iter().map(|&size| size as u64).collect();
    let values: Vec<_> = array.iter().copied().collect();
    tensor(name, 1, &sizes, field(9, raw(&values)))
}

/// The model of a case, with its weights as constants instead of inputs: protobuf merges concatenated messages.
fn with_weights(case: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(fixture_path(&format!("onnx/test_{case}.onnx"))).unwrap();
    for name in ["W", "R", "B"] {
        if let Some(array) = of_case(case, name) {
            bytes.extend(field(7, field(5, written(name, &array))));
        }
    }
    bytes
}

/// No written format can hold a reversed layer.
#[test]
fn a_reversed_layer_is_not_converted() {
    let sandbox = Sandbox::new();
    sandbox.write("m.onnx", &with_weights("simple_rnn_reverse"));
    for target in ["r.onnx", "r.npz"] {
        sandbox.rnn(&format!("convert m.onnx {target}")).fails(
            65,
            "rnn: m.onnx: expected a layer that begins at the first step, got direction reverse, which \
             torch.nn.RNN does not have: convert writes no such layer\n",
        );
    }
}

#[test]
fn conformance() {
    for case in CONFORMANCE {
        let sandbox = Sandbox::new();
        sandbox.write("m.onnx", &with_weights(case));
        sandbox.save("x.npy", &of_case(case, "X").unwrap().view());
        let line = "run -v -w m.onnx --input x.npy -o y.npy --hn h.npy";
        let report = sandbox.rnn(line).succeeds().stdout_text();
        let label = if case.ends_with("batchwise") { "Y" } else { "Y_h" };
        let recognised = format!("note: m.onnx: recognised as .onnx, opset 22, RNN '{label}'\n");
        assert!(report.contains(&recognised), "{report}");
        let reversed = "note: m.onnx: the layer runs from each sequence's last step to its first\n";
        assert_eq!(report.contains(reversed), case.ends_with("reverse"), "{report}");
        // With layout 1, the batch is the first axis of Y_h as well.
        let mut y_h = of_case(case, "Y_h").unwrap();
        if case.ends_with("batchwise") {
            y_h.swap_axes(0, 1);
            let y = of_case(case, "Y").unwrap().index_axis_move(Axis(2), 0);
            assert!(largest_difference(&sandbox.load("y.npy"), &y) < TOLERANCE, "{case}");
        }
        assert!(largest_difference(&sandbox.load("h.npy"), &y_h) < TOLERANCE, "{case}");
    }
}

#[test]
fn weights_that_are_inputs_are_refused_by_name() {
    let sandbox = Sandbox::new();
    sandbox.take("onnx/test_simple_rnn_defaults.onnx");
    sandbox.take("x.npy");
    sandbox.rnn("run -w test_simple_rnn_defaults.onnx --input x.npy").fails(
        65,
        "rnn: test_simple_rnn_defaults.onnx: node 'Y_h': W: expected a constant of the model, got 'W', \
         an input of the model\n",
    );
}

/// An entry of the section `onnx` of `cases.json`.
#[derive(Debug, Deserialize)]
struct Exported {
    file: String,
    input: String,
    h_0: Option<String>,
    output: String,
    h_n: String,
}

#[test]
fn models_exported_by_torch() {
    let all: Vec<Exported> = cases("/onnx");
    assert_eq!(all.len(), 6);
    for Exported { file, input, h_0, output, h_n } in all {
        let sandbox = Sandbox::new();
        sandbox.take(&file);
        sandbox.save("x.npy", &fixture::<f32>(&input).view());
        let name = file.strip_prefix("onnx/").unwrap();
        let mut line = format!("run -w {name} --input x.npy -o y.npy --hn h.npy");
        if let Some(h_0) = h_0 {
            sandbox.save("h0.npy", &fixture::<f32>(&h_0).view());
            line += " --h0 h0.npy";
        }
        if name == "torch-two.onnx" {
            sandbox.rnn(&line).fails(
                65,
                &format!(
                    "rnn: torch-two.onnx: expected one layer, got 2: /first/RNN, /second/RNN\n\
                 hint: rnn {line} --prefix /first/RNN\n"
                ),
            );
            line += " --prefix /second/RNN";
        }
        let has_head = name == "torch-model.onnx";
        let outcome = sandbox.rnn(&line);
        let outcome = if has_head { outcome.assumes() } else { outcome.succeeds() };
        let report = outcome.stdout_text();
        let around = "note: torch-model.onnx: only the layer is run, RNN '/encoder/RNN', RNN \
                      '/encoder/RNN_1'; the nodes around it are not: Gather '/embedding/Gather', MatMul \
                      '/head/MatMul', Add '/head/Add'\n";
        assert_eq!(report.contains(around), has_head, "{report}");
        let difference = |ours: &str, theirs: &str| {
            largest_difference(&sandbox.load::<f32>(ours), &fixture(theirs))
        };
        assert!(difference("y.npy", &output) < TOLERANCE, "{file}");
        assert!(difference("h.npy", &h_n) < TOLERANCE, "{file}");
    }
}

#[test]
fn an_lstm_is_refused_by_name_of_its_node() {
    let sandbox = Sandbox::new();
    sandbox.take("onnx/torch-model.onnx");
    sandbox.take("x.npy");
    sandbox
        .rnn("run -w torch-model.onnx --prefix /other/LSTM --input x.npy")
        .fails(65, "rnn: torch-model.onnx: node '/other/LSTM': expected an RNN, got an LSTM\n");
    sandbox.rnn("run -w torch-model.onnx --prefix encoder --input x.npy").fails(
        65,
        "rnn: torch-model.onnx: expected a layer under the prefix 'encoder', got /encoder/RNN\n\
         hint: rnn run -w torch-model.onnx --input x.npy --prefix /encoder/RNN\n",
    );
}

/// A model of one RNN node with 2 features in and 2 out, with these attributes, and with the inputs `rest` after
/// W and R.
fn one_node(rest: &str, attributes: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
    let rnn = node("RNN", "rnn", &format!("x W R {rest}"), "y", attributes);
    let tensors =
        [vec![floats("W", &[1, 2, 2], 0.5), floats("R", &[1, 2, 2], 0.25)], more.to_vec()];
    model::model(&[rnn], &tensors.concat())
}

/// Compares the error of `rnn run`, without the name of the file, with `message`.
#[track_caller]
fn refused(model: &[u8], message: &str) {
    let sandbox = Sandbox::new();
    sandbox.write("m.onnx", model);
    sandbox.take("x.npy");
    sandbox.rnn("run -w m.onnx --input x.npy").fails(65, &format!("rnn: m.onnx: {message}\n"));
    assert_eq!(sandbox.names(), ["m.onnx", "x.npy"]);
}

#[test]
fn nodes_unlike_pytorchs_layers_are_refused_by_name() {
    let clip = fields([field(1, "clip"), vec![0x15, 0, 0, 0, 0x3f], integer(20, 1)]);
    refused(&one_node("", &[clip], &[]), "node 'rnn': clip: expected none, as in PyTorch, got one");
    for (names, got) in [(&["Affine"][..], "Affine"), (&["Tanh", "Tanh"], "Tanh, Tanh"), (&[], "")]
    {
        let what = format!("node 'rnn': activations: expected 1 of Tanh or Relu, got {got}");
        refused(&one_node("", &[texts("activations", names)], &[]), &what);
    }
    let both = [text("direction", "bidirectional"), texts("activations", &["Tanh", "Relu"])];
    refused(
        &one_node("", &both, &[]),
        "node 'rnn': activations: expected 2 of Tanh or Relu, both the same, got Tanh, Relu",
    );
    refused(
        &one_node("", &both[..1], &[]),
        "node 'rnn': R: expected shape [2, 2, 2], got [1, 2, 2]",
    );
    refused(
        &one_node("", &[text("direction", "up")], &[]),
        "node 'rnn': direction: expected forward, reverse or bidirectional, got up",
    );
    refused(
        &one_node("", &[fields([field(1, "hidden_size"), integer(3, 7), integer(20, 2)])], &[]),
        "node 'rnn': hidden_size: expected 2, as R has it, got 7",
    );
    refused(
        &one_node("B", &[], &[floats("B", &[1, 3], 0.0)]),
        "node 'rnn': B: expected shape [1, 4], got [1, 3]",
    );
    refused(
        &one_node("_ _ s", &[], &[floats("s", &[2, 3, 2], 0.5)]),
        "node 'rnn': initial_h: expected shape [1, 3, 2], got [2, 3, 2]",
    );
    refused(
        &one_node("_ n", &[], &[tensor("n", 6, &[1], field(9, [3, 0, 0, 0xff]))]),
        "node 'rnn': sequence_lens: expected lengths of at least 0, got one below",
    );
    refused(
        &model::model(&[node("RNN", "", "x", "out", &[])], &[]),
        "node 'out': W: expected a constant of the model, got none",
    );
    let computed = node("Sin", "", "x", "W", &[]);
    refused(
        &model::model(&[computed, node("RNN", "rnn", "x W W", "y", &[])], &[]),
        "node 'rnn': W: expected a constant of the model, got 'W', which other nodes compute",
    );
    refused(
        &model::model(&[node("Gemm", "g", "x", "y", &[]), node("GRU", "gru", "x", "z", &[])], &[]),
        "node 'gru': expected an RNN, got a GRU",
    );
    refused(
        &model::model(&[node("Loop", "l", "x", "y", &[])], &[]),
        "expected an RNN node, got Loop 'l'",
    );
    refused(&model::model(&[], &[]), "expected an RNN node, got none");
}

#[test]
fn nodes_of_one_stack_agree() {
    let two = |second: &[Vec<u8>], sizes: [&[u64]; 2]| {
        let nodes = [
            node("RNN", "a", "x W R", "y", &[]),
            node("Squeeze", "", "y", "z", &[model::integers("axes", &[-3])]),
            node("RNN", "b", "z V S", "w", second),
        ];
        let first = [floats("W", &[1, 2, 2], 0.5), floats("R", &[1, 2, 2], 0.25)];
        let second = [floats("V", sizes[0], 0.5), floats("S", sizes[1], 0.25)];
        model::model(&nodes, &[first, second].concat())
    };
    let sizes: [&[u64]; 2] = [&[1, 2, 2], &[1, 2, 2]];
    for (second, sizes, what) in [
        (
            text("direction", "reverse"),
            sizes,
            "direction: expected forward, as node 'a' has it, got reverse",
        ),
        (
            texts("activations", &["relu"]),
            sizes,
            "activations: expected tanh, as node 'a' has it, got relu",
        ),
        (
            text("doc", ""),
            [&[1, 3, 2], &[1, 3, 3]],
            "hidden_size: expected 2, as node 'a' has it, got 3",
        ),
        (
            text("doc", ""),
            [&[1, 2, 5], &[1, 2, 2]],
            "features of X: expected 2, as node 'a' has it, got 5",
        ),
    ] {
        refused(&two(&[second], sizes), &format!("node 'b': {what}"));
    }
    let sandbox = Sandbox::new();
    sandbox.write("m.onnx", &two(&[], sizes));
    let checkpoint = read(&sandbox, "m.onnx");
    assert_eq!(checkpoint.config.to_string(), "RNN(2, 2, num_layers=2, bias=False)");
}

/// The number of layers of two nodes with D directions and with these nodes between `y` and `z`.
fn layers_with(directions: u64, between: &[Vec<u8>]) -> Result<usize, String> {
    let sandbox = Sandbox::new();
    let both = [text("direction", "bidirectional"), texts("activations", &["Tanh", "Tanh"])];
    let said = if directions == 2 { &both[..] } else { &[] };
    let (first, second) =
        (node("RNN", "a", "x W R", "y", said), node("RNN", "b", "z V R", "w", said));
    let weights = [
        floats("W", &[directions, 2, 2], 0.5),
        floats("R", &[directions, 2, 2], 0.25),
        floats("V", &[directions, 2, 2 * directions], 0.5),
        tensor("shape", 7, &[3], field(9, [0_i64, 0, -1].map(i64::to_le_bytes).concat())),
        tensor("other", 7, &[3], field(9, [3_i64, 5, -1].map(i64::to_le_bytes).concat())),
    ];
    sandbox.write("m.onnx", &model::model(&[&[first], between, &[second]].concat(), &weights));
    let checkpoint = Checkpoint::read(&Source::Path(sandbox.path("m.onnx")), None, None);
    checkpoint.map(|checkpoint| checkpoint.config.num_layers).map_err(|error| error.to_string())
}

#[test]
fn two_nodes_are_one_stack_if_steps_stay_steps() {
    let plain = |op_type: &str, from: &str, to: &str| node(op_type, "", from, to, &[]);
    let swap = |from: &str, to: &str, perm: &[i64]| {
        node("Transpose", "", from, to, &[model::integers("perm", perm)])
    };
    let axes = |op_type: &str, from: &str, to: &str, at: i64| {
        node(op_type, "", from, to, &[model::integers("axes", &[at])])
    };
    let reshape = |from: &str| plain("Reshape", &format!("{from} shape"), "z");
    let batch_first: &[i64] = &[1, 0, 2];
    let stacks = [
        (1, vec![axes("Squeeze", "y", "z", 1)]),
        (1, vec![plain("Squeeze", "y", "z")]),
        (1, vec![axes("Squeeze", "y", "s", 1), reshape("s")]),
        (1, vec![swap("y", "s", &[0, 2, 1, 3]), reshape("s")]),
        (2, vec![swap("y", "s", &[0, 2, 1, 3]), reshape("s")]),
        (
            1,
            vec![
                axes("Squeeze", "y", "s", 1),
                swap("s", "t", batch_first),
                swap("t", "z", batch_first),
            ],
        ),
        (
            1,
            vec![
                plain("Squeeze", "y", "s"),
                axes("Unsqueeze", "s", "t", 0),
                axes("Squeeze", "t", "z", -4),
            ],
        ),
        (
            1,
            vec![
                plain("Squeeze", "y", "s"),
                plain("Cast", "s", "t"),
                plain("Dropout", "t", "u"),
                plain("Identity", "u", "z"),
            ],
        ),
    ];
    for (directions, between) in stacks {
        assert_eq!(layers_with(directions, &between), Ok(2), "{between:?}");
    }
    let others = [
        (1, vec![axes("Squeeze", "y", "s", 1), swap("s", "z", batch_first)]),
        (1, vec![axes("Squeeze", "y", "s", 1), plain("Sin", "s", "z")]),
        (1, vec![axes("Squeeze", "y", "z", 2)]),
        (2, vec![axes("Squeeze", "y", "z", 1)]),
        (2, vec![reshape("y")]),
        // N stands where D is, which is kept.
        (1, vec![reshape("y")]),
        // y.reshape(N, L, -1) and other shapes that divide steps and sequences differently.
        (1, vec![plain("Reshape", "y other", "z")]),
        (1, vec![axes("Squeeze", "y", "s", 1), plain("Reshape", "s other", "z")]),
        (2, vec![swap("y", "s", &[0, 2, 1, 3]), plain("Reshape", "s other", "z")]),
        (2, vec![swap("y", "s", &[0, 2, 1, 3]), plain("Reshape", "s computed", "z")]),
        (1, vec![axes("Squeeze", "y", "s", 1), plain("Reshape", "s computed", "z")]),
        // Zeros that do not keep a size.
        (
            1,
            vec![
                axes("Squeeze", "y", "s", 1),
                node("Reshape", "", "s shape", "z", &[model::number("allowzero", 1)]),
            ],
        ),
        (2, vec![swap("y", "s", &[2, 0, 1, 3]), reshape("s")]),
        (1, vec![swap("y", "z", &[0, 9])]),
        (1, vec![plain("Identity", "z", "z")]),
    ];
    for (directions, between) in others {
        let error = layers_with(directions, &between).unwrap_err();
        assert!(error.ends_with("expected one layer, got 2: a, b"), "{error} {between:?}");
    }
}

fn read(sandbox: &Sandbox, name: &str) -> Checkpoint {
    Checkpoint::read(&Source::Path(sandbox.path(name)), None, None).unwrap()
}

/// The layer of a model with these nodes before the only RNN, whose input is `last`.
fn told(before: &[Vec<u8>], last: &str, attributes: &[Vec<u8>]) -> Checkpoint {
    let sandbox = Sandbox::new();
    let rnn = node("RNN", "rnn", &format!("{last} W R"), "y", attributes);
    let nodes = [before.to_vec(), vec![rnn]].concat();
    let weights = [floats("W", &[1, 2, 2], 0.5), floats("R", &[1, 2, 2], 0.25)];
    sandbox.write("m.onnx", &model::model(&nodes, &weights));
    read(&sandbox, "m.onnx")
}

#[test]
fn a_transposed_input_means_batch_first() {
    let swap = |from: &str, to: &str| {
        node("Transpose", "", from, to, &[model::integers("perm", &[1, 0, 2])])
    };
    let layout = fields([field(1, "layout"), integer(3, 1), integer(20, 2)]);
    let batch_first = |checkpoint: Checkpoint| checkpoint.config.batch_first;
    assert!(!batch_first(told(&[], "x", &[])));
    assert!(batch_first(told(&[swap("x", "s")], "s", &[])));
    assert!(!batch_first(told(&[swap("x", "s"), swap("s", "t")], "t", &[])));
    assert!(batch_first(told(&[], "x", std::slice::from_ref(&layout))));
    assert!(!batch_first(told(&[swap("x", "s")], "s", &[layout])));
}

#[test]
fn a_first_state_that_is_computed_is_noted() {
    let encoder = node("Sin", "", "x", "s", &[]);
    let zeros = node("ConstantOfShape", "", "shape", "s", &[]);
    let ones = constant("value", &floats("", &[1], 1.0));
    let ones = node("ConstantOfShape", "", "shape", "s", &[ones]);
    let notes = |before: &[Vec<u8>], state: &str| {
        let sandbox = Sandbox::new();
        let rnn = node("RNN", "rnn", &format!("x W R _ _ {state}"), "y", &[]);
        let nodes = [before.to_vec(), vec![rnn]].concat();
        let weights = [floats("W", &[1, 2, 2], 0.5), floats("R", &[1, 2, 2], 0.25)];
        sandbox.write("m.onnx", &model::model(&nodes, &weights));
        let source = Source::Path(sandbox.path("m.onnx"));
        Checkpoint::read(&source, None, None).map(|checkpoint| checkpoint.notes)
    };
    let computed =
        "node 'rnn': initial_h comes from other nodes of the model, which are not run: it is h_0";
    assert_eq!(notes(&[encoder], "s").unwrap(), [computed]);
    assert!(notes(&[zeros], "s").unwrap().is_empty());
    assert!(notes(&[], "h").unwrap().is_empty());
    let error = notes(&[ones], "s").unwrap_err().to_string();
    assert!(
        error.ends_with("expected zeros or an input of the model, got other numbers in 's'"),
        "{error}"
    );
}

#[test]
fn weights_of_every_type_and_in_every_field() {
    let r = floats("R", &[1, 2, 2], 0.25);
    let half = |bits: u16| [bits.to_le_bytes(); 4].concat();
    let packed = |number: u64, values: &[u8]| field(number, values);
    for (data_type, numbers, stored) in [
        (1, packed(4, &raw(&[0.5; 4])), "f32"),
        (
            1,
            fields([0.5_f32; 4].map(|x| [vec![4 << 3 | 5], x.to_le_bytes().to_vec()].concat())),
            "f32",
        ),
        (10, packed(9, &half(0x3800)), "f16"),
        (10, packed(5, &[0x80, 0x70, 0x80, 0x70, 0x80, 0x70, 0x80, 0x70]), "f16"),
        (16, packed(9, &half(0x3f00)), "bf16"),
        (11, packed(10, &[0.5_f64.to_le_bytes(); 4].concat()), "f64"),
    ] {
        let sandbox = Sandbox::new();
        let w = tensor("W", data_type, &[1, 2, 2], numbers);
        let constant = node("Constant", "", "", "W", &[constant("value", &w)]);
        let rnn = node("RNN", "rnn", "x W R", "y", &[]);
        sandbox.write("m.onnx", &model::model(&[constant, rnn], std::slice::from_ref(&r)));
        let source = Source::Path(sandbox.path("m.onnx"));
        let checkpoint = Checkpoint::read(&source, Some(elman::Dtype::F32), None).unwrap();
        assert_eq!(checkpoint.tensors[0].stored.to_string(), stored);
        let tensors = checkpoint.into_tensors::<f32>();
        assert_eq!(tensors[0].0, "weight_ih_l0");
        assert_eq!(tensors[0].1, ArrayD::from_elem(vec![2, 2], 0.5), "{stored}");
    }
}

#[test]
fn malformed_models_are_refused_by_name() {
    let with = |w: Vec<u8>| {
        let rnn = node("RNN", "rnn", "x W R", "y", &[]);
        model::model(&[rnn], &[floats("R", &[1, 2, 2], 0.25), w])
    };
    let sizes = &[1, 2, 2];
    refused(
        &with(tensor("W", 1, sizes, field(9, [0; 15]))),
        "tensor 'W': expected 16 bytes for shape [1, 2, 2], got 15",
    );
    refused(
        &with(tensor("W", 1, sizes, field(4, raw(&[0.0; 3])))),
        "tensor 'W': expected 4 numbers for shape [1, 2, 2], got 3",
    );
    refused(
        &with(tensor("W", 1, &[1 << 62, 4, 2], Vec::new())),
        "tensor 'W': shape [4611686018427387904, 4, 2] is too large",
    );
    refused(
        &with(tensor("W", 1, &[0, 1 << 62, 4, 2], Vec::new())),
        "tensor 'W': shape [0, 4611686018427387904, 4, 2] is too large",
    );
    refused(
        &with(tensor("W", 1, &[1, u64::MAX, 2], Vec::new())),
        "tensor 'W': expected sizes of at least 0, got [1, -1, 2]",
    );
    refused(
        &with(tensor("W", 1, &[1, 1 << 20, 1 << 20], field(9, [0; 4]))),
        "node 'rnn': W: expected shape [1, 2, 1048576], got [1, 1048576, 1048576]",
    );
    refused(
        &with(tensor("W", 17, sizes, field(9, [0; 4]))),
        "tensor 'W': expected floats or integers, got data type 17",
    );
    refused(
        &with(tensor("W", 1, sizes, integer(14, 1))),
        "tensor 'W': external data: expected a file in the folder of the model, got ''",
    );
    refused(&with(floats("R", sizes, 0.5)), "two values have the same name, 'R'");
}

#[test]
fn broken_bytes_are_refused_by_node_or_tensor() {
    let graph = |graph: Vec<u8>| of_graph(&graph, 20);
    refused(
        &fields([integer(1, 8), field(8, integer(2, 20))]),
        "expected a model with a graph, got none",
    );
    refused(&graph(field(1, [0x0b])), "node 0: field 1: expected wire type 0, 1, 2 or 5, got 3");
    refused(
        &graph(field(1, field(4, [0xff]))),
        "node 0: field 4: expected UTF-8 text, got other bytes",
    );
    refused(
        &graph(field(1, field(3, "\u{1b}[2J\u{7}")).repeat(2)),
        "expected an RNN node, got  \
         '\\u{1b}[2J\\u{7}',  '\\u{1b}[2J\\u{7}'",
    );
}

#[test]
fn small_files_do_not_become_large() {
    // A node of two bytes takes a hundred times as many in memory.
    let many = of_graph(&field(1, "").repeat(300_000), 20);
    refused(&many, "expected names, headers and values within 64 MiB of memory, got more");
    let sizes = tensor("w", 1, &[], field(1, vec![1; 300_000]));
    refused(
        &of_graph(&field(5, sizes), 20),
        "tensor 0 'w': expected at most 262144 fields in all, got more",
    );
}

#[test]
fn many_nodes_with_one_tensor_do_not_copy_it_many_times() {
    // 4 MB of weights, and a state of as many zeros, for each of 1000 nodes.
    let name = |index: usize| if index == 0 { "x".to_owned() } else { format!("z{index}") };
    let nodes = (0..1000).flat_map(|index| {
        let (x, y, z) = (name(index), format!("y{index}"), name(index + 1));
        let rnn = node("RNN", &format!("rnn{index}"), &format!("{x} W W _ _ W"), &y, &[]);
        [rnn, node("Squeeze", "", &y, &z, &[model::integers("axes", &[1])])]
    });
    let nodes: Vec<_> = nodes.collect();
    refused(
        &model::model(&nodes, &[floats("W", &[1, 1024, 1024], 0.0)]),
        "node 'rnn8': expected a tensor of its own, got 'W', of which 64 MiB are shared already",
    );
}

#[test]
fn a_tensor_of_many_axes_is_refused() {
    let w = tensor("W", 1, &[1; 65], field(9, raw(&[0.5])));
    let rnn = node("RNN", "rnn", "x W W", "y", &[]);
    refused(&model::model(&[rnn], &[w]), "tensor 'W': expected at most 64 sizes, got 65");
}

#[test]
fn a_model_comes_from_a_pipe() {
    let sandbox = Sandbox::new();
    let bytes = one_node("", &[], &[]);
    sandbox.write("m.onnx", &bytes);
    sandbox.save("x.npy", &ArrayD::<f32>::ones(vec![4, 1, 2]).view());
    sandbox.rnn("run -w m.onnx --input x.npy -o a.npy --report none").succeeds();
    let words = ["run", "-w", "-", "--input", "x.npy", "-o", "b.npy", "--report", "none"];
    sandbox.rnn_with(&words, &bytes).succeeds();
    assert_eq!(sandbox.bytes("a.npy"), sandbox.bytes("b.npy"));
}

/// A tensor with its steps in reverse order.
fn flipped<T: Clone>(array: &ArrayD<T>) -> ArrayD<T> {
    array.slice_axis(Axis(0), Slice::new(0, None, -1)).to_owned()
}

fn normal<T: Element>(generator: &mut Generator, sizes: (usize, usize, usize)) -> ArrayD<T> {
    let mut values = vec![T::ZERO; sizes.0 * sizes.1 * sizes.2];
    generator.normal(&mut values);
    Array3::from_shape_vec(sizes, values).unwrap().into_dyn()
}

#[test]
fn a_reversed_layer_equals_a_layer_between_two_flips() {
    // One row, a few, and enough that threads share rows or columns, or are pipelined.
    for (steps, batch, hidden_size, threads) in
        [(7, 1, 5, 1), (7, 3, 5, 2), (64, 64, 64, 2), (40, 2, 300, 2), (3000, 1, 64, 2)]
    {
        let mut generator = Generator::new(3);
        let config = Config { num_layers: 2, ..Config::new(3, hidden_size) };
        let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
        let reversed = rnn.clone().with_reversed(true);
        let input = normal::<f32>(&mut generator, (steps, batch, 3));
        let h_0 = normal::<f32>(&mut generator, (2, batch, hidden_size));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let run = |rnn: &Rnn<f32>, input: &ArrayD<f32>| {
            pool.install(|| rnn.call(input.view(), Some(h_0.view()))).unwrap()
        };
        let expected = run(&rnn, &flipped(&input));
        let found = run(&reversed, &input);
        assert!(found.output == flipped(&expected.output), "{steps} {batch} {hidden_size}");
        assert!(found.h_n == expected.h_n, "{steps} {batch} {hidden_size}");
    }
}

#[test]
fn each_row_of_a_reversed_layer_starts_at_its_own_end() {
    let mut generator = Generator::new(4);
    let rnn = Rnn::<f32>::new(Config::new(3, 5), &mut generator).unwrap();
    let reversed = rnn.clone().with_reversed(true);
    let input = normal::<f32>(&mut generator, (6, 3, 3));
    let lengths = [2, 6, 3];
    let batch = Batch::with_lengths(input.view(), &lengths, false).unwrap();
    let found = reversed.forward(batch, Options::default()).unwrap();
    for (row, length) in lengths.into_iter().enumerate() {
        let own = input.index_axis(Axis(1), row).slice_axis(Axis(0), (..length).into()).to_owned();
        let alone = rnn.call(flipped(&own).view(), None).unwrap();
        let output = found.output.index_axis(Axis(1), row);
        assert_eq!(output.slice_axis(Axis(0), (..length).into()), flipped(&alone.output));
        assert_eq!(found.h_n.index_axis(Axis(1), row), alone.h_n);
    }
}

#[test]
fn a_reversed_layer_passes_large_files_by_sequences_and_is_not_carried() {
    let sandbox = Sandbox::new();
    sandbox.write("m.onnx", &one_node("", &[text("direction", "reverse")], &[]));
    let input = normal::<f32>(&mut Generator::new(5), (40_000, 120, 2));
    sandbox.save("x.npy", &input.view());
    sandbox.rnn("run -w m.onnx --input x.npy -o y.npy --report none").succeeds();
    let rnn = read(&sandbox, "m.onnx");
    let config = rnn.config.clone();
    let whole = rnn.into_rnn::<f32>(config).unwrap();
    let whole = whole.call(input.view(), None).unwrap();
    assert!(sandbox.load::<f32>("y.npy") == whole.output);
    sandbox.save("short.npy", &normal::<f32>(&mut Generator::new(5), (3, 1, 2)).view());
    let text = sandbox.rnn("explain -w m.onnx -i short.npy").succeeds().stdout_text();
    assert!(text.contains("layer 0 of 1, reverse (all from 0)\n"), "{text}");
    let text = sandbox.rnn("explain -w m.onnx -i short.npy --report json").succeeds().stdout_text();
    assert!(text.contains(r#""direction":"reverse""#), "{text}");
    let text = sandbox.rnn("info m.onnx --dynamics -i short.npy").succeeds().stdout_text();
    assert!(text.contains("layer 0, reverse:\n"), "{text}");
    sandbox.rnn("stream -w m.onnx").fails(
        65,
        "rnn: m.onnx: expected the forward direction, got a layer that runs in reverse, which cannot be \
         carried from array to array: its reverse direction begins at the last step, which is still to \
         come\nhint: each array as a whole sequence: rnn stream -w m.onnx --independent\n",
    );
}

/// Layers of every kind.
fn layers() -> Vec<Config> {
    let plain = Config::new(3, 4);
    vec![
        plain.clone(),
        Config { num_layers: 2, dropout: 0.25, ..plain.clone() },
        Config { bidirectional: true, nonlinearity: Nonlinearity::Relu, ..plain.clone() },
        Config { num_layers: 3, bidirectional: true, batch_first: true, ..plain.clone() },
        Config { bias: false, batch_first: true, ..plain.clone() },
        Config { num_layers: 2, bias: false, nonlinearity: Nonlinearity::Relu, ..plain },
    ]
}

fn write<T: Element>(sandbox: &Sandbox, name: &str, rnn: &Rnn<T>) {
    let mut sink = Sink::open(&sandbox.path(name), Overwrite::Replace).unwrap();
    write_onnx(&mut sink, &rnn.to_tensors(), rnn.config()).unwrap();
    sink.commit().unwrap();
}

#[test]
fn a_written_layer_is_read_bit_for_bit() {
    fn check<T: Element>() {
        for config in layers() {
            let sandbox = Sandbox::new();
            let rnn = Rnn::<T>::new(config.clone(), &mut Generator::new(6)).unwrap();
            write(&sandbox, "a.onnx", &rnn);
            let checkpoint = read(&sandbox, "a.onnx");
            assert_eq!(checkpoint.config, config);
            assert!(checkpoint.is_explicit("nonlinearity") && !checkpoint.reversed);
            assert!(checkpoint.notes.is_empty(), "{:?}", checkpoint.notes);
            assert_eq!(checkpoint.dtype, T::DTYPE);
            let bits = |tensors: Vec<(String, ArrayD<T>)>| -> Vec<_> {
                let bits = |x: T| Into::<f64>::into(x).to_bits();
                tensors.into_iter().map(|(name, tensor)| (name, tensor.mapv(bits))).collect()
            };
            assert_eq!(bits(checkpoint.clone().into_tensors()), bits(rnn.to_tensors()));
            write(&sandbox, "b.onnx", &checkpoint.into_rnn::<T>(config).unwrap());
            assert_eq!(sandbox.bytes("a.onnx"), sandbox.bytes("b.onnx"));
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn a_saved_configuration_agrees_with_the_nodes() {
    let config = Config::new(2, 2).to_json().to_string();
    for (saved, what) in [
        (config.as_str(), "expected bias false, as in the tensors, got true"),
        ("{\"input_size\": 3}", "configuration: missing field `hidden_size` at line 1 column 17"),
    ] {
        let entry = field(14, fields([field(1, "rnn.json"), field(2, saved)]));
        refused(&[one_node("", &[], &[]), entry].concat(), &format!("rnn.json: {what}"));
    }
}

#[test]
fn tensors_that_are_no_layer_are_not_written() {
    let sandbox = Sandbox::new();
    let rnn = Rnn::<f32>::new(Config::new(3, 4), &mut Generator::new(6)).unwrap();
    let tensors = rnn.to_tensors();
    let error = |tensors: &[(String, ArrayD<f32>)], config: &Config| {
        let mut sink = Sink::open(&sandbox.path("m.onnx"), Overwrite::Replace).unwrap();
        write_onnx(&mut sink, tensors, config).unwrap_err().to_string()
    };
    let config = rnn.config();
    assert_eq!(
        error(&tensors[1..], config),
        "weight_ih_l0: expected a tensor of shape [4, 3], got none"
    );
    assert_eq!(
        error(&tensors, &Config::new(3, 5)),
        "weight_ih_l0: expected shape [5, 3], got [4, 3]"
    );
    assert_eq!(
        error(&tensors, &Config { bias: false, ..config.clone() }),
        "bias_ih_l0: expected only the parameters of RNN(3, 4, bias=False), got one more of shape [4]"
    );
}

/// Checks m.onnx, runs it with x.npy and h0.npy, and saves its outputs.
const ONNX_RUNTIME: &str = "import numpy, onnx, onnxruntime
onnx.checker.check_model('m.onnx', full_check=True)
feeds = {'input': numpy.load('x.npy'), 'h_0': numpy.load('h0.npy')}
output, h_n = onnxruntime.InferenceSession('m.onnx').run(['output', 'h_n'], feeds)
numpy.save('y.npy', output); numpy.save('h.npy', h_n)";

#[test]
fn onnx_runtime_gives_the_same_numbers() {
    for config in layers() {
        let sandbox = Sandbox::new();
        if sandbox.shell("python3 -c 'import onnx, onnxruntime'").code != Some(0) {
            return;
        }
        let mut generator = Generator::new(7);
        let rnn = Rnn::<f32>::new(config.clone(), &mut generator).unwrap();
        write(&sandbox, "m.onnx", &rnn);
        // 5 steps of 2 sequences, or 2 of 5 with `batch_first`.
        let input = normal::<f32>(&mut generator, (5, 2, 3));
        let batch = if config.batch_first { 5 } else { 2 };
        let states = config.num_layers * config.num_directions();
        let h_0 = normal::<f32>(&mut generator, (states, batch, 4));
        sandbox.save("x.npy", &input.view());
        sandbox.save("h0.npy", &h_0.view());
        sandbox.shell(&format!("python3 -c \"{ONNX_RUNTIME}\"")).succeeds();
        // ONNX Runtime has no RNN for f64.
        let double = Rnn::<f64>::new(config.clone(), &mut generator).unwrap();
        write(&sandbox, "double.onnx", &double);
        let check = "import onnx; onnx.checker.check_model('double.onnx', full_check=True)";
        sandbox.shell(&format!("python3 -c \"{check}\"")).succeeds();
        let ours = rnn.call(input.view(), Some(h_0.view())).unwrap();
        assert!(largest_difference(&ours.output, &sandbox.load("y.npy")) < TOLERANCE, "{config}");
        assert!(largest_difference(&ours.h_n, &sandbox.load("h.npy")) < TOLERANCE, "{config}");
    }
}

/// A head may read the output of an inner layer.
#[test]
fn nodes_that_read_an_inner_layer_are_named() {
    let nodes = [
        node("RNN", "a", "x W R", "y", &[]),
        node("Squeeze", "", "y", "z", &[model::integers("axes", &[1])]),
        node("MatMul", "head", "z H", "logits", &[]),
        node("RNN", "b", "z W R", "w", &[]),
    ];
    let weights =
        [floats("W", &[1, 2, 2], 0.5), floats("R", &[1, 2, 2], 0.25), floats("H", &[2, 2], 0.25)];
    let sandbox = Sandbox::new();
    sandbox.write("m.onnx", &model::model(&nodes, &weights));
    let note =
        "only the layer is run, RNN 'a', RNN 'b'; the nodes around it are not: MatMul 'head'";
    assert_eq!(read(&sandbox, "m.onnx").notes, [note]);
}

/// The exit code says that a retry may help.
#[test]
fn a_stream_that_memory_does_not_hold() {
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    let stream = "{ printf '\\x08\\x08\\x12\\x00'; head -c 2G /dev/zero; }";
    for (line, what) in [("run -i x.npy -w -", "model"), ("run --hidden 3 -i - -q", "input")] {
        let stream = if what == "input" { "yes 1,2,3 | head -c 2G" } else { stream };
        let outcome = sandbox.shell(&format!("{stream} | (ulimit -v 300000; rnn {line})"));
        assert_eq!((outcome.code, outcome.stdout_text().as_str()), (Some(71), ""), "{line}");
        let start = format!("rnn: out of memory: {what} needs ");
        assert!(outcome.stderr.starts_with(&start), "{line}: {}", outcome.stderr);
    }
}
