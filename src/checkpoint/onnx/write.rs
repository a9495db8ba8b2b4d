//! A layer as a graph that ONNX Runtime loads.

use std::collections::HashMap;

use ndarray::ArrayD;

use crate::checkpoint::error::CheckpointError;
use crate::element::Element;
use crate::error::Error;
use crate::files::{Attribute, FileError, Graph, GraphTensor, Node, Sink, Size, TEXT_NAME, Value};
use crate::{Config, Nonlinearity};

/// The set of operators that is written: the first whose RNN is that of today, bar the types of numbers.
const OPSET: i64 = 14;

/// Writes a layer, with the tensors of its `state_dict` in any order, as an .onnx.
///
/// Its inputs are `input` and `h_0`, its outputs `output` and `h_n`, in PyTorch's shapes for batched input,
/// with `seq_len` and `batch` left open. What the nodes do not say of the configuration, such as dropout,
/// is kept beside them. The same layer gives the same bytes. ONNX Runtime has no RNN for f64: such a file
/// is for this library and others.
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
    let ordered = in_order(tensors, config)?;
    let mut graph = ends::<T>(config);
    let per_layer = ordered.len() / config.num_layers;
    if config.num_layers > 1 {
        split_h_0(&mut graph, config);
    }
    let mut x = if config.batch_first {
        graph.nodes.push(transpose("input_steps", "input", &[1, 0, 2]));
        "input_steps".to_owned()
    } else {
        "input".to_owned()
    };
    for (layer, own) in ordered.chunks(per_layer).enumerate() {
        x = add_layer(&mut graph, config, layer, own, x)?;
    }
    if config.batch_first {
        graph.nodes.push(transpose("output", &x, &[1, 0, 2]));
    }
    if config.num_layers > 1 {
        let states = (0..config.num_layers).map(|layer| format!("h_n_l{layer}"));
        let axis = vec![("axis", Attribute::Int(0))];
        graph.nodes.push(node("Concat", "h_n", states.collect(), vec!["h_n".to_owned()], axis));
    }
    Ok(graph.write(sink)?)
}

/// The tensors in the order of the `state_dict`, their shapes checked.
fn in_order<'a, T>(
    tensors: &'a [(String, ArrayD<T>)],
    config: &Config,
) -> Result<Vec<&'a ArrayD<T>>, Error> {
    let mut given: HashMap<_, _> = tensors.iter().map(|(name, tensor)| (name, tensor)).collect();
    let mut ordered = Vec::new();
    for parameter in config.parameters() {
        let (name, expected) = (parameter.name, parameter.shape);
        match given.remove(&name) {
            None => return Err(Error::MissingTensor { name, expected }),
            Some(tensor) if tensor.shape() != expected => {
                let found = tensor.shape().to_vec();
                return Err(Error::TensorShape { name, expected, found });
            }
            Some(tensor) => ordered.push(tensor),
        }
    }
    // The first in the order in which they were given.
    match tensors.iter().find(|(name, _)| given.contains_key(name)) {
        None => Ok(ordered),
        Some((name, tensor)) => {
            let (name, found) = (name.clone(), tensor.shape().to_vec());
            Err(Error::ExtraTensor { name, layer: config.to_string(), found })
        }
    }
}

/// A graph without nodes: what goes in, what comes out, and the configuration beside it.
fn ends<T: Element>(config: &Config) -> Graph {
    let stored = Some(T::DTYPE.into());
    let value = |name: &str, sizes: [Size; 3]| Value {
        name: name.to_owned(),
        stored,
        sizes: sizes.to_vec(),
    };
    let any = |name: &str| Size::Any(name.to_owned());
    let sequence = |name: &str, features: usize| {
        let (first, second) =
            if config.batch_first { ("batch", "seq_len") } else { ("seq_len", "batch") };
        value(name, [any(first), any(second), Size::Fixed(features)])
    };
    let directions = config.num_directions();
    let state = |name: &str| {
        let states = Size::Fixed(directions * config.num_layers);
        value(name, [states, any("batch"), Size::Fixed(config.hidden_size)])
    };
    Graph {
        opset: Some(OPSET),
        inputs: vec![sequence("input", config.input_size), state("h_0")],
        outputs: vec![sequence("output", directions * config.hidden_size), state("h_n")],
        metadata: vec![(TEXT_NAME.to_owned(), config.to_json().to_string())],
        ..Graph::default()
    }
}

/// `h_0` as the states of each layer.
fn split_h_0(graph: &mut Graph, config: &Config) {
    let directions = i64::from(config.bidirectional) + 1;
    graph.tensors.push(GraphTensor::integers("h_0_split", &vec![directions; config.num_layers]));
    let outputs = (0..config.num_layers).map(|layer| format!("h_0_l{layer}")).collect();
    let inputs = vec!["h_0".to_owned(), "h_0_split".to_owned()];
    graph.nodes.push(node(
        "Split",
        "h_0_split",
        inputs,
        outputs,
        vec![("axis", Attribute::Int(0))],
    ));
}

/// Adds the node of a layer, which reads `x`, (L, N, features in), and brings its output into the shape
/// that the next one reads. Returns the name of that.
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
        graph.tensors.push(GraphTensor::stacked(&name(tensor), &shape, &of(kind))?);
    }
    let mut bias = String::new();
    if config.bias {
        bias = name("B");
        let parts: Vec<_> = own.chunks(each).flat_map(|own| &own[2..]).copied().collect();
        graph.tensors.push(GraphTensor::stacked(&bias, &[directions, 2 * hidden_size], &parts)?);
    }
    let of_all =
        |tensor: &str| if config.num_layers > 1 { name(tensor) } else { tensor.to_owned() };
    let inputs = vec![x, name("W"), name("R"), bias, String::new(), of_all("h_0")];
    let outputs = vec![name("Y"), of_all("h_n")];
    graph.nodes.push(node("RNN", &name("rnn"), inputs, outputs, attributes(config)));
    let last = layer + 1 == config.num_layers && !config.batch_first;
    let output = if last { "output".to_owned() } else { name("output") };
    join_directions(graph, config, layer, &output);
    Ok(output)
}

/// What an RNN node says of its layer.
fn attributes(config: &Config) -> Vec<(&'static str, Attribute)> {
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

/// Y, (L, D, N, `H_out`), as (L, N, D * `H_out`).
fn join_directions(graph: &mut Graph, config: &Config, layer: usize, output: &str) {
    let constant = |graph: &mut Graph, name: &str, values: &[i64]| {
        if layer == 0 {
            graph.tensors.push(GraphTensor::integers(name, values));
        }
        name.to_owned()
    };
    let y = format!("Y_l{layer}");
    let (op_type, inputs) = if config.bidirectional {
        let steps = format!("Y_steps_l{layer}");
        graph.nodes.push(transpose(&steps, &y, &[0, 2, 1, 3]));
        // Zeros stand for the sizes of the input: -1 would not do for a batch of none.
        let width = i64::try_from(2 * config.hidden_size).unwrap_or(i64::MAX);
        ("Reshape", vec![steps, constant(graph, "output_shape", &[0, 0, width])])
    } else {
        ("Squeeze", vec![y, constant(graph, "directions_axis", &[1])])
    };
    graph.nodes.push(node(op_type, output, inputs, vec![output.to_owned()], Vec::new()));
}

fn transpose(output: &str, input: &str, perm: &[i64]) -> Node {
    let perm = vec![("perm", Attribute::Ints(perm.to_vec()))];
    node("Transpose", output, vec![input.to_owned()], vec![output.to_owned()], perm)
}

fn node(
    op_type: &str,
    name: &str,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attributes: Vec<(&str, Attribute)>,
) -> Node {
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value));
    Node {
        op_type: op_type.to_owned(),
        name: name.to_owned(),
        domain: String::new(),
        inputs,
        outputs,
        attributes: attributes.collect(),
    }
}
