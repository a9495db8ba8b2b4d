//! Traces the values of a graph to their origins through nodes that only move numbers.
//!
//! `torch.onnx.export` inserts nodes between two layers that turn the output of a node, (L, D, N, `H_out`), into
//! the input of the next, (L, N, D * `H_out`). Other models use other nodes for that, or compute something else.
//! The trace therefore follows each axis, and two nodes are layers of one stack only if the second reads each
//! step of each sequence as the first has written it.

mod axes;

use std::collections::HashMap;

use crate::checkpoint::names::split;
use crate::files::Graph;
use crate::files::proto::{Attribute, NodeProto, TensorProto};
use crate::is_parameter_name;

/// Most axes of a value that the trace follows: twice as many as the nodes between two layers need.
const MAX_RANK: usize = 8;

/// An axis of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    /// The i-th of the origin.
    Own(usize),
    /// L, of the output of an RNN.
    Steps,
    /// N.
    Batch,
    /// D.
    Directions,
    /// `H_out`, or D * `H_out` after the directions were joined.
    Features,
    /// An inserted axis of size 1.
    One,
}

use Axis::{Batch, Directions, Features, One, Own, Steps};

/// The origin of a value.
#[derive(Clone, Debug)]
pub(super) struct Origin<'a> {
    /// The name of the value that was moved.
    pub(super) source: &'a str,
    /// Its axes in their new order. Empty if the order is unknown, or if numbers were left out.
    axes: Vec<Axis>,
    /// D, of the output of an RNN.
    directions: usize,
    /// L and N, if the model has them fixed.
    sizes: [Option<i64>; 2],
}

impl<'a> Origin<'a> {
    /// A value that was not moved. It is assumed to have three axes: others are not followed through
    /// transpositions.
    fn of(source: &'a str) -> Self {
        Origin { source, axes: vec![Own(0), Own(1), Own(2)], directions: 0, sizes: [None; 2] }
    }

    /// Whether this axis has size 1.
    fn is_single(&self, axis: Axis) -> bool {
        axis == One || axis == Directions && self.directions == 1
    }
}

/// Whether a node only moves numbers, leaves some out, or does nothing at inference.
pub(super) fn is_move(node: &NodeProto) -> bool {
    const MOVES: [&str; 9] = [
        "Identity",
        "Cast",
        "Dropout",
        "Transpose",
        "Reshape",
        "Squeeze",
        "Unsqueeze",
        "Slice",
        "Expand",
    ];
    node.is_standard() && MOVES.contains(&node.op_type.as_str())
}

/// Whether the input of an RNN node has the axes of `batch_first`.
pub(super) fn is_batch_first(node: &NodeProto) -> bool {
    node.attribute("layout") == Some(Attribute::Int(1))
}

/// D, by a node's attribute.
pub(super) fn directions(node: &NodeProto) -> usize {
    let both = Attribute::Text("bidirectional".to_owned());
    1 + usize::from(node.attribute("direction") == Some(both))
}

/// The kind of a first state.
#[derive(Debug)]
pub(super) enum State<'a> {
    /// An input of the model.
    Input,
    Zeros,
    /// A tensor of the model.
    Constant(&'a TensorProto),
    /// The output of other nodes.
    Computed,
}

/// The values of a graph and their origins.
#[derive(Debug)]
pub(super) struct Trace<'a> {
    tensors: HashMap<&'a str, &'a TensorProto>,
    /// The inputs of the model, with their sizes.
    inputs: HashMap<&'a str, Vec<Option<i64>>>,
    /// The origin of the first part of each Concat node, by its output.
    joins: HashMap<&'a str, &'a str>,
    /// The indices of each Gather node, by its output.
    lookups: HashMap<&'a str, &'a str>,
    /// The `ConstantOfShape` nodes, by their outputs.
    fills: HashMap<&'a str, &'a NodeProto>,
    origins: HashMap<&'a str, Origin<'a>>,
}

impl<'a> Trace<'a> {
    /// Traces all nodes in one pass, because each follows those that it reads from. A value that is read before
    /// it is written has no known origin, so that a cycle of nodes cannot be a layer.
    pub(super) fn new(graph: &'a Graph) -> Self {
        let tensors =
            graph.proto.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let inputs =
            graph.proto.input.iter().map(|input| (input.name.as_str(), input.sizes())).collect();
        let (joins, lookups) = (HashMap::new(), HashMap::new());
        let (fills, origins) = (HashMap::new(), HashMap::new());
        let mut trace = Trace { tensors, inputs, joins, lookups, fills, origins };
        for node in graph.proto.node.iter().filter(|node| node.is_standard()) {
            trace.add(node);
        }
        trace
    }

    /// Adds the origins of a node's outputs.
    fn add(&mut self, node: &'a NodeProto) {
        let Some(output) = node.output(0) else { return };
        match (node.op_type.as_str(), node.input(0)) {
            ("RNN", _) => {
                let origin = self.layer(node, output);
                self.origins.insert(output, origin);
            }
            ("ConstantOfShape", _) => {
                self.fills.insert(output, node);
            }
            ("Concat", Some(first)) => {
                let first = self.first_origin(first);
                if first != output {
                    self.joins.insert(output, first);
                }
            }
            ("Gather", _) => {
                self.lookups.extend(node.input(1).map(|indices| (output, indices)));
            }
            ("Split", Some(input)) => {
                let source = self.origin(input).source;
                for output in &node.output {
                    let axes = Vec::new();
                    self.origins.insert(output, Origin { axes, ..Origin::of(source) });
                }
            }
            (_, Some(input)) if is_move(node) => {
                let mut origin = self.origin(input);
                let axes = self.moved(node, &origin);
                origin.axes = axes.filter(|axes| axes.len() <= MAX_RANK).unwrap_or_default();
                self.origins.insert(output, origin);
            }
            _ => {}
        }
    }

    /// The origin that the output of an RNN node is.
    fn layer(&self, node: &'a NodeProto, output: &'a str) -> Origin<'a> {
        let axes = if is_batch_first(node) {
            vec![Batch, Steps, Directions, Features]
        } else {
            vec![Steps, Directions, Batch, Features]
        };
        let (directions, sizes) = (directions(node), self.sizes(node));
        Origin { source: output, axes, directions, sizes }
    }

    /// The origin of a value.
    pub(super) fn origin(&self, name: &'a str) -> Origin<'a> {
        self.origins.get(name).cloned().unwrap_or_else(|| Origin::of(name))
    }

    /// The module of an RNN node: by the name of its weights, as in a `state_dict`, or by the name of the node, as
    /// in `/encoder/RNN_1`. Nodes without either are of one module.
    pub(super) fn module(&self, node: &'a NodeProto) -> &'a str {
        let weight = node.input(2).map_or("", |name| self.first_origin(name));
        let (module, own) = split(weight);
        if is_parameter_name(own) {
            return module;
        }
        node.name.rsplit_once('/').map_or("", |(module, _)| module)
    }

    /// The origin of the first input of the nodes before a value.
    pub(super) fn first_origin(&self, name: &'a str) -> &'a str {
        let mut source = self.origin(name).source;
        while let Some(first) = self.joins.get(source) {
            source = first;
        }
        source
    }

    /// The tensor of this name.
    pub(super) fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.tensors.get(name).copied()
    }

    /// L and N of an RNN node, as far as the model has them fixed.
    fn sizes(&self, node: &'a NodeProto) -> [Option<i64>; 2] {
        let Some(origin) = node.input(0).map(|x| self.origin(x)) else { return [None; 2] };
        // The rows of an embedding have the sizes of their indices.
        let lookup = self.lookups.get(origin.source).map(|indices| self.origin(indices));
        let source = lookup.as_ref().map_or(origin.source, |indices| indices.source);
        let own = self.inputs.get(source);
        let size = |axis: &Axis| match *axis {
            Own(at) => own?.get(at).copied()?,
            Steps => origin.sizes[0],
            Batch => origin.sizes[1],
            _ => None,
        };
        let mut sizes = [0, 1].map(|at| origin.axes.get(at).and_then(size));
        if is_batch_first(node) {
            sizes.swap(0, 1);
        }
        sizes
    }

    /// The kind of a value that is an origin.
    pub(super) fn state(&self, source: &str) -> State<'a> {
        if let Some(tensor) = self.tensors.get(source) {
            return State::Constant(tensor);
        }
        let maker = self.fills.get(source);
        match maker.map(|node| node.attribute("value")) {
            Some(Some(Attribute::Tensor(tensor))) => State::Constant(tensor),
            // The default is zeros.
            Some(_) => State::Zeros,
            None if self.inputs.contains_key(source) => State::Input,
            None => State::Computed,
        }
    }

    /// The output of the RNN node that a node reads as its next layer: as (L, N, D * `H_out`), or, if the node
    /// is batch-first, as (N, L, D * `H_out`).
    pub(super) fn layer_below(&self, node: &'a NodeProto) -> Option<&'a str> {
        let origin = self.origin(node.input(0)?);
        let (first, second) = if is_batch_first(node) { (Batch, Steps) } else { (Steps, Batch) };
        (origin.axes == [first, second, Features]).then_some(origin.source)
    }

    /// Whether the first two axes of an input of the model were swapped; `None` if its axes are unknown.
    pub(super) fn is_swapped(&self, x: &'a str) -> Option<bool> {
        let axes = self.origin(x).axes;
        (axes.len() == 3).then(|| axes == [Own(1), Own(0), Own(2)])
    }

    /// Whether the input of the first node of a stack is (N, L, `H_in`): either the node has these axes, or the
    /// graph swaps the first two.
    pub(super) fn is_batch_first(&self, node: &'a NodeProto) -> bool {
        let swapped =
            node.input(0).is_some_and(|x| self.origin(x).axes == [Own(1), Own(0), Own(2)]);
        is_batch_first(node) != swapped
    }
}
