//! One RNN node: one layer of a stack, in one direction or in both.

use std::collections::HashSet;

use super::constant::Constant;
use super::state::{self, State, expect, refused};
use super::trace;
use super::{Reader, wide};
use crate::checkpoint::NamedTensor;
use crate::checkpoint::error::CheckpointError;
use crate::element::Dtype;
use crate::files::proto::{Attribute, NodeProto, TensorProto};
use crate::files::{FileError, Graph, StoredType, Tensor};
use crate::memory::array;
use crate::{Config, Nonlinearity};

/// A node whose weights have the shapes of a layer.
#[derive(Debug)]
pub(super) struct LayerNode<'a> {
    pub(super) node: &'a NodeProto,
    /// `forward`, `reverse` or `bidirectional`.
    pub(super) direction: String,
    /// The configuration as if the node were the only layer.
    pub(super) config: Config,
    /// W, R, and B if there is a bias, with their names.
    pub(super) tensors: Vec<(&'a str, Weight<'a>)>,
    pub(super) state: State,
    /// The constant `sequence_lens`.
    pub(super) lengths: Option<Vec<f64>>,
}

/// A constant input of a node.
#[derive(Clone, Debug)]
pub(super) enum Weight<'a> {
    Tensor(&'a TensorProto),
    Computed(Constant),
}

impl Weight<'_> {
    /// The type and shape. The numbers of a tensor are not read.
    pub(super) fn header(&self) -> Result<(StoredType, Vec<usize>), FileError> {
        Ok(match self {
            Weight::Tensor(tensor) => {
                let header = tensor.header()?;
                (header.stored, header.shape)
            }
            Weight::Computed(value) => (value.stored, value.array.shape().to_vec()),
        })
    }

    pub(super) fn read(&self, graph: &Graph, dtype: Option<Dtype>) -> Result<Tensor, FileError> {
        match self {
            Weight::Tensor(tensor) => graph.read(tensor, dtype),
            Weight::Computed(value) => Ok(value.read(dtype)),
        }
    }
}

/// The inputs of an RNN node, in order.
const INPUTS: [&str; 6] = ["X", "W", "R", "B", "sequence_lens", "initial_h"];

impl<'a> LayerNode<'a> {
    /// Checks the attributes of a node and the shapes of its weights.
    pub(super) fn new(
        node: &'a NodeProto,
        reader: &Reader<'a>,
        zeros: &mut HashSet<&'a str>,
    ) -> Result<Self, CheckpointError> {
        if node.attribute("clip").is_some() {
            return Err(refused(node, "clip: expected none, as in PyTorch, got one"));
        }
        let direction = direction(node)?;
        let directions = trace::directions(node);
        let nonlinearity = nonlinearity(node, directions)?;
        let [w, r] = [required(node, reader, 1)?, required(node, reader, 2)?];
        let bias = node.input(3).map(|_| required(node, reader, 3)).transpose()?;
        let (input_size, hidden_size) = sizes(node, directions, [&w.1, &r.1])?;
        if let Some((_, bias)) = &bias {
            expect(node, "B", &[directions, 2 * hidden_size], &bias.header()?.1)?;
        }
        let state = state::of_node(node, reader, zeros, [directions, hidden_size])?;
        let config = Config {
            nonlinearity,
            bias: bias.is_some(),
            batch_first: reader.trace.is_batch_first(node),
            bidirectional: directions == 2,
            ..Config::new(input_size, hidden_size)
        };
        let lengths = node.input(4).and_then(|name| reader.constant(name));
        let lengths = lengths.map(|lengths| lengths.read(reader.graph, Some(Dtype::F64)));
        let lengths = lengths.transpose()?.map(|lengths| wide(lengths).into_iter().collect());
        let tensors = [w, r].into_iter().chain(bias).collect();
        Ok(LayerNode { node, direction, config, tensors, state, lengths })
    }
}

/// The tensors of a stack of nodes, which are all parameters of `config`, in the order of the `state_dict`.
pub(super) fn tensors(
    graph: &Graph,
    cells: &[LayerNode<'_>],
    config: &Config,
    dtype: Option<Dtype>,
) -> Result<Vec<NamedTensor>, CheckpointError> {
    let read = |(_, weight): &(&str, Weight<'_>)| {
        Ok::<_, FileError>((weight.header()?.0, weight.read(graph, dtype)?))
    };
    let mut parameters = config.parameters();
    let mut tensors = Vec::new();
    for cell in cells {
        let wholes = cell.tensors.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        for direction in 0..config.num_directions() {
            let weights = wholes[..2].iter().map(|whole| (whole, direction));
            let biases = wholes[2..].iter();
            let biases = biases.flat_map(|b| [(b, 2 * direction), (b, 2 * direction + 1)]);
            for (((stored, whole), index), own) in weights.chain(biases).zip(&mut parameters) {
                let tensor = part(whole, index, &own.shape);
                tensors.push(NamedTensor { name: own.name, stored: *stored, tensor });
            }
        }
    }
    Ok(tensors)
}

/// The configuration of a stack of nodes, which must agree in the arguments that PyTorch has once for all layers.
pub(super) fn config(cells: &[LayerNode<'_>]) -> Result<Config, CheckpointError> {
    let Some(first) = cells.first() else { unreachable!("a chain of no nodes") };
    let config = Config { num_layers: cells.len(), ..first.config.clone() };
    let facts = |cell: &LayerNode<'_>, input_size: usize| {
        [
            ("direction", cell.direction.clone()),
            ("activations", cell.config.nonlinearity.to_string()),
            ("hidden_size", cell.config.hidden_size.to_string()),
            ("B", if cell.config.bias { "a bias" } else { "none" }.to_owned()),
            ("features of X", input_size.to_string()),
        ]
    };
    for cell in &cells[1..] {
        let pairs = facts(first, config.layer_input_size(1)).into_iter();
        let mut pairs = pairs.zip(facts(cell, cell.config.input_size));
        if let Some(((name, expected), (_, found))) = pairs.find(|(first, own)| first != own) {
            let first = first.node.label();
            let what =
                format!("{name}: expected {expected}, as node '{first}' has it, got {found}");
            return Err(refused(cell.node, what));
        }
    }
    Ok(config)
}

/// `H_in` and `H_out` by the shapes of W and R.
fn sizes(
    node: &NodeProto,
    directions: usize,
    [w, r]: [&Weight<'_>; 2],
) -> Result<(usize, usize), CheckpointError> {
    let (w_shape, r_shape) = (w.header()?.1, r.header()?.1);
    let (&[_, _, input_size], &[_, _, hidden_size]) = (&w_shape[..], &r_shape[..]) else {
        let what = format!("W, R: expected 3 dimensions, got shapes {w_shape:?}, {r_shape:?}");
        return Err(refused(node, what));
    };
    if let Some(Attribute::Int(stated)) = node.attribute("hidden_size")
        && usize::try_from(stated) != Ok(hidden_size)
    {
        let what = format!("hidden_size: expected {hidden_size}, as R has it, got {stated}");
        return Err(refused(node, what));
    }
    expect(node, "R", &[directions, hidden_size, hidden_size], &r_shape)?;
    expect(node, "W", &[directions, hidden_size, input_size], &w_shape)?;
    Ok((input_size, hidden_size))
}

/// The index-th of the parts of this shape that a tensor consists of: those of the directions, and for biases
/// both halves of each.
fn part(whole: &Tensor, index: usize, shape: &[usize]) -> Tensor {
    let len = shape.iter().product::<usize>();
    match whole {
        Tensor::F32(whole) => {
            Tensor::F32(array(shape, whole.iter().skip(index * len).take(len).copied().collect()))
        }
        Tensor::F64(whole) => {
            Tensor::F64(array(shape, whole.iter().skip(index * len).take(len).copied().collect()))
        }
    }
}

/// The direction that a node's attribute selects.
fn direction(node: &NodeProto) -> Result<String, CheckpointError> {
    let text = match node.attribute("direction") {
        None => "forward".to_owned(),
        Some(Attribute::Text(text)) => text,
        Some(_) => return Err(refused(node, "direction: expected a text, got something else")),
    };
    if matches!(&*text, "forward" | "reverse" | "bidirectional") {
        return Ok(text);
    }
    let expected = "expected forward, reverse or bidirectional";
    Err(refused(node, format!("direction: {expected}, got {text}")))
}

/// The nonlinearity, which must be the same in all directions. ONNX ignores the case of its name.
fn nonlinearity(node: &NodeProto, directions: usize) -> Result<Nonlinearity, CheckpointError> {
    let names = match node.attribute("activations") {
        None => return Ok(Nonlinearity::Tanh),
        Some(Attribute::Texts(names)) => names,
        Some(_) => return Err(refused(node, "activations: expected texts, got something else")),
    };
    let found = names.iter().map(|name| name.to_lowercase().parse()).collect::<Result<Vec<_>, _>>();
    match found.as_deref() {
        Ok([one]) if directions == 1 => Ok(*one),
        Ok([one, two]) if directions == 2 && one == two => Ok(*one),
        _ => {
            let (got, times) =
                (names.join(", "), if directions == 1 { "" } else { ", both the same" });
            let what =
                format!("activations: expected {directions} of Tanh or Relu{times}, got {got}");
            Err(refused(node, what))
        }
    }
}

/// The constant at a required input of a node, with its name.
fn required<'a>(
    node: &'a NodeProto,
    reader: &Reader<'a>,
    index: usize,
) -> Result<(&'a str, Weight<'a>), CheckpointError> {
    let name = node.input(index).unwrap_or_default();
    let weight = reader.constant(name).map(|weight| (reader.trace.origin(name).source, weight));
    weight.ok_or_else(|| {
        let got = match reader.trace.state(reader.trace.origin(name).source) {
            _ if name.is_empty() => "none".to_owned(),
            trace::State::Input => format!("'{name}', an input of the model"),
            _ => format!("'{name}', which other nodes compute"),
        };
        refused(node, format!("{}: expected a constant of the model, got {got}", INPUTS[index]))
    })
}
