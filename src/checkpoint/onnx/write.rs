//! A layer as a graph that ONNX Runtime loads.

use ndarray::ArrayD;

use crate::checkpoint::error::CheckpointError;
use crate::element::Element;
use crate::files::proto::{
    Attribute, DimensionProto, GraphProto, NodeProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};
use crate::files::{FileError, Graph, Sink, TEXT_NAME};
use crate::params::in_order;
use crate::{Config, Nonlinearity};

/// The operator set that is written: the first with today's RNN, except for additional types of numbers.
const OPSET: i64 = 14;

/// Writes a layer, with the tensors of its `state_dict` in any order, as an .onnx.
///
/// Its inputs are `input` and `h_0`, its outputs `output` and `h_n`, in PyTorch's shapes for batched input,
/// with variable `seq_len` and `batch`. The metadata holds the configuration, because nodes have no dropout. The
/// same layer gives the same bytes. ONNX Runtime has no RNN for f64: such a file is for this library and others.
///
/// ```
/// use elman::files::{Overwrite, Sink, Source};
/// use elman::{Checkpoint, Config, Generator, Rnn, write_onnx};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("rnn.onnx");
/// let rnn = Rnn::<f32>::new(Config::new(10, 20), &mut Generator::new(0))?;
/// let mut sink = Sink::open(&path, Overwrite::Replace)?;
/// write_onnx(&mut sink, &rnn.to_tensors(), rnn.config())?;
/// sink.commit()?;
/// let again = Checkpoint::read(&Source::Path(path), None, None)?;
/// assert_eq!(again.into_tensors::<f32>(), rnn.to_tensors());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`CheckpointError::Layer`] if the tensors are not those of the layer, [`CheckpointError::File`].
pub fn write_onnx<T: Element>(
    sink: &mut Sink,
    tensors: &[(String, ArrayD<T>)],
    config: &Config,
) -> Result<(), CheckpointError> {
    config.check()?;
    let tensors = tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    let ordered = in_order::<T, _>(config, tensors)?;
    let num_layers = config.num_layers;
    let mut graph = ends::<T>(config);
    let along_first = || vec![("axis", Attribute::Int(0))];
    if num_layers > 1 {
        let lengths = vec![i64::from(config.bidirectional) + 1; num_layers];
        graph.proto.initializer.push(TensorProto::integers("h_0_split", &lengths));
        let states = (0..num_layers).map(|layer| format!("h_0_l{layer}"));
        let inputs = ["h_0", "h_0_split"];
        graph.proto.node.push(node("Split", "h_0_split", inputs, states, along_first()));
    }
    let mut x = if config.batch_first { "input_steps" } else { "input" }.to_owned();
    if config.batch_first {
        graph.proto.node.push(transpose(&x, "input", &[1, 0, 2]));
    }
    for (layer, own) in ordered.chunks(ordered.len() / num_layers).enumerate() {
        x = add_layer(&mut graph, config, layer, own, x)?;
    }
    if config.batch_first {
        graph.proto.node.push(transpose("output", &x, &[1, 0, 2]));
    }
    if num_layers > 1 {
        let states = (0..num_layers).map(|layer| format!("h_n_l{layer}"));
        graph.proto.node.push(node("Concat", "h_n", states, ["h_n"], along_first()));
    }
    Ok(graph.write(sink)?)
}

/// A graph without nodes: its inputs, its outputs, and the configuration beside it.
fn ends<T: Element>(config: &Config) -> Graph {
    let any = |name: &str| DimensionProto { dim_value: None, dim_param: Some(name.to_owned()) };
    let fixed =
        |size: usize| DimensionProto { dim_value: i64::try_from(size).ok(), dim_param: None };
    let value = |name, sizes| ValueInfoProto::new(name, T::DTYPE.into(), sizes);
    let sequence = |name, features| {
        let (first, second) =
            if config.batch_first { ("batch", "seq_len") } else { ("seq_len", "batch") };
        value(name, vec![any(first), any(second), fixed(features)])
    };
    let directions = config.num_directions();
    let state = |name| {
        let states = fixed(directions * config.num_layers);
        value(name, vec![states, any("batch"), fixed(config.hidden_size)])
    };
    let input = vec![sequence("input", config.input_size), state("h_0")];
    let output = vec![sequence("output", directions * config.hidden_size), state("h_n")];
    let proto = GraphProto { input, output, ..GraphProto::default() };
    let (key, value) = (TEXT_NAME.to_owned(), config.to_json().to_string());
    let metadata = vec![StringStringEntryProto { key, value }];
    Graph { opset: Some(OPSET), proto, metadata, ..Graph::default() }
}

/// Adds the node of a layer, which reads `x`, (L, N, features in), and brings its output into the shape of the
/// next layer's input. Returns the output's name.
fn add_layer<T: Element>(
    graph: &mut Graph,
    config: &Config,
    layer: usize,
    own: &[&ArrayD<T>],
    x: String,
) -> Result<String, FileError> {
    let directions = config.num_directions();
    let (hidden_size, input_size) = (config.hidden_size, config.layer_input_size(layer));
    let each = own.len() / directions;
    let of = |kind: usize| own.iter().skip(kind).step_by(each).copied().collect::<Vec<_>>();
    let name = |tensor: &str| format!("{tensor}_l{layer}");
    let shapes = [[directions, hidden_size, input_size], [directions, hidden_size, hidden_size]];
    for (kind, (tensor, shape)) in ["W", "R"].into_iter().zip(shapes).enumerate() {
        graph.proto.initializer.push(TensorProto::stacked(&name(tensor), &shape, &of(kind))?);
    }
    let mut bias = String::new();
    if config.bias {
        bias = name("B");
        let parts: Vec<_> = own.chunks(each).flat_map(|own| &own[2..]).copied().collect();
        graph.proto.initializer.push(TensorProto::stacked(
            &bias,
            &[directions, 2 * hidden_size],
            &parts,
        )?);
    }
    let state = |state: &str| if config.num_layers > 1 { name(state) } else { state.to_owned() };
    let inputs = [x, name("W"), name("R"), bias, String::new(), state("h_0")];
    let outputs = [name("Y"), state("h_n")];
    graph.proto.node.push(node("RNN", &name("rnn"), inputs, outputs, attributes(config)));
    let last = layer + 1 == config.num_layers && !config.batch_first;
    let output = if last { "output".to_owned() } else { name("output") };
    join_directions(graph, config, layer, &output);
    Ok(output)
}

/// The attributes of an RNN node.
fn attributes(config: &Config) -> Vec<(&'static str, Attribute<'static>)> {
    let activation = match config.nonlinearity {
        Nonlinearity::Tanh => "Tanh",
        Nonlinearity::Relu => "Relu",
    };
    let direction = if config.bidirectional { "bidirectional" } else { "forward" };
    let hidden_size = i64::try_from(config.hidden_size).unwrap_or(i64::MAX);
    vec![
        ("activations", Attribute::Texts(vec![activation.to_owned(); config.num_directions()])),
        ("direction", Attribute::Text(direction.to_owned())),
        ("hidden_size", Attribute::Int(hidden_size)),
    ]
}

/// Turns Y, (L, D, N, `H_out`), into (L, N, D * `H_out`).
fn join_directions(graph: &mut Graph, config: &Config, layer: usize, output: &str) {
    let mut y = format!("Y_l{layer}");
    // Zeros stand for the sizes of the input: -1 would be ambiguous for an empty batch.
    let width = i64::try_from(2 * config.hidden_size).unwrap_or(i64::MAX);
    let (op_type, constant, values) = if config.bidirectional {
        let steps = format!("Y_steps_l{layer}");
        graph.proto.node.push(transpose(&steps, &y, &[0, 2, 1, 3]));
        y = steps;
        ("Reshape", "output_shape", &[0, 0, width][..])
    } else {
        ("Squeeze", "directions_axis", &[1][..])
    };
    if layer == 0 {
        graph.proto.initializer.push(TensorProto::integers(constant, values));
    }
    graph.proto.node.push(node(op_type, output, [&*y, constant], [output], Vec::new()));
}

fn transpose(output: &str, input: &str, perm: &[i64]) -> NodeProto {
    node("Transpose", output, [input], [output], vec![("perm", Attribute::Ints(perm))])
}

fn node(
    op_type: &str,
    name: &str,
    inputs: impl IntoIterator<Item = impl Into<String>>,
    outputs: impl IntoIterator<Item = impl Into<String>>,
    attributes: Vec<(&str, Attribute<'_>)>,
) -> NodeProto {
    NodeProto {
        op_type: op_type.to_owned(),
        name: name.to_owned(),
        input: inputs.into_iter().map(Into::into).collect(),
        output: outputs.into_iter().map(Into::into).collect(),
        attribute: attributes.into_iter().map(Into::into).collect(),
        ..NodeProto::default()
    }
}
