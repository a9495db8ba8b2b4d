//! Traces the values of a graph to their origins through nodes that only move numbers.
//!
//! `torch.onnx.export` inserts nodes between two layers that turn the output of a node, (L, D, N, `H_out`), into
//! the input of the next, (L, N, D * `H_out`). Other models use other nodes for that, or compute something else.
//! The trace therefore follows each axis, and two nodes are layers of one stack only if the second reads each
//! step of each sequence as the first has written it.

use std::collections::{HashMap, HashSet};

use crate::files::Graph;
use crate::files::proto::{Attribute, NodeProto, TensorProto};

/// Most axes of a value that the trace follows: twice as many as the nodes between two layers need.
const MAX_RANK: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    /// The i-th of the origin.
    Own(usize),
    /// L, of the output of an RNN.
    Steps,
    /// N.
    Batch,
    /// D, if it is 2.
    Directions,
    /// `H_out`, or D * `H_out` after the directions were joined.
    Features,
    /// An axis of size 1: an inserted one, or D.
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
fn is_batch_first(node: &NodeProto) -> bool {
    node.attribute("layout") == Some(Attribute::Int(1))
}

/// D, by a node's attribute.
pub(super) fn directions(node: &NodeProto) -> usize {
    let both = Attribute::Text("bidirectional".to_owned());
    1 + usize::from(node.attribute("direction") == Some(both))
}

/// The kind of a first state.
pub(super) enum State<'a> {
    /// An input of the model, or zeros.
    Input,
    /// A tensor of the model.
    Constant(&'a TensorProto),
    /// The output of other nodes.
    Computed,
}

/// The values of a graph and their origins.
pub(super) struct Trace<'a> {
    tensors: HashMap<&'a str, &'a TensorProto>,
    inputs: HashSet<&'a str>,
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
        let inputs = graph.proto.input.iter().map(|input| input.name.as_str()).collect();
        let (fills, origins) = (HashMap::new(), HashMap::new());
        let mut trace = Trace { tensors, inputs, fills, origins };
        for node in graph.proto.node.iter().filter(|node| node.is_standard()) {
            trace.add(node);
        }
        trace
    }

    fn add(&mut self, node: &'a NodeProto) {
        let Some(output) = node.output(0) else { return };
        match (node.op_type.as_str(), node.input(0)) {
            ("RNN", _) => {
                let both = if directions(node) == 2 { Directions } else { One };
                let axes = if is_batch_first(node) {
                    vec![Batch, Steps, both, Features]
                } else {
                    vec![Steps, both, Batch, Features]
                };
                self.origins.insert(output, Origin { source: output, axes });
            }
            ("ConstantOfShape", _) => {
                self.fills.insert(output, node);
            }
            ("Split", Some(input)) => {
                let source = self.origin(input).source;
                for output in &node.output {
                    self.origins.insert(output, Origin { source, axes: Vec::new() });
                }
            }
            (_, Some(input)) if is_move(node) => {
                let Origin { source, axes } = self.origin(input);
                let axes = self.moved(node, &axes).filter(|axes| axes.len() <= MAX_RANK);
                self.origins.insert(output, Origin { source, axes: axes.unwrap_or_default() });
            }
            _ => {}
        }
    }

    /// The origin of a value. One that was not moved is assumed to have three axes: others are not followed through
    /// transpositions.
    pub(super) fn origin(&self, name: &'a str) -> Origin<'a> {
        let own = || Origin { source: name, axes: vec![Own(0), Own(1), Own(2)] };
        self.origins.get(name).cloned().unwrap_or_else(own)
    }

    /// The tensor that a value is, or that it copies.
    pub(super) fn constant(&self, name: &'a str) -> Option<&'a TensorProto> {
        let origin = self.origin(name);
        self.tensors.get(origin.source).copied().filter(|_| origin.axes == [Own(0), Own(1), Own(2)])
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
            Some(_) => State::Input,
            None if self.inputs.contains(source) => State::Input,
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

    /// Whether the input of the first node of a stack is (N, L, `H_in`): either the node has these axes, or the
    /// graph swaps the first two.
    pub(super) fn is_batch_first(&self, node: &'a NodeProto) -> bool {
        let swapped =
            node.input(0).is_some_and(|x| self.origin(x).axes == [Own(1), Own(0), Own(2)]);
        is_batch_first(node) != swapped
    }

    /// The integers in an attribute, as in old models, or in a constant input.
    fn integers(&self, node: &'a NodeProto, attribute: &str) -> Option<Vec<i64>> {
        match (node.attribute(attribute), node.input(1)) {
            (Some(Attribute::Ints(ints)), _) => (ints.len() <= MAX_RANK).then(|| ints.to_vec()),
            (None, Some(input)) => {
                let tensor = self.tensors.get(input)?;
                // Many nodes may share one large tensor.
                let len = tensor.header().ok()?.shape.iter().product::<usize>();
                (len <= MAX_RANK).then(|| tensor.as_integers()).flatten()
            }
            _ => None,
        }
    }

    /// The axes of a node's output; `None` if they are unknown.
    fn moved(&self, node: &'a NodeProto, axes: &[Axis]) -> Option<Vec<Axis>> {
        let rank = axes.len();
        match node.op_type.as_str() {
            "Identity" | "Cast" | "Dropout" => Some(axes.to_vec()),
            "Transpose" => {
                let Some(Attribute::Ints(perm)) = node.attribute("perm") else {
                    return Some(axes.iter().rev().copied().collect());
                };
                let axis = |&at| usize::try_from(at).ok().and_then(|at| axes.get(at).copied());
                perm.iter().map(axis).collect::<Option<Vec<_>>>().filter(|all| all.len() == rank)
            }
            "Squeeze" => {
                let gone = match (node.input.len(), self.integers(node, "axes")) {
                    (_, Some(gone)) => places(&gone, rank)?,
                    // The default is all axes of size 1. Whether L or N is 1 is unknown and does not matter:
                    // the next node would reject the remaining axes.
                    (1, None) => (0..rank).filter(|&at| axes[at] == One).collect(),
                    _ => return None,
                };
                let single = gone.iter().all(|&at| axes[at] == One);
                let left = (0..rank).filter(|at| !gone.contains(at)).map(|at| axes[at]);
                single.then(|| left.collect())
            }
            "Unsqueeze" => {
                let new = self.integers(node, "axes")?;
                let rank = rank + new.len();
                let new = places(&new, rank)?;
                let mut old = axes.iter().copied();
                (0..rank).map(|at| if new.contains(&at) { Some(One) } else { old.next() }).collect()
            }
            "Reshape" => self.reshaped(node, axes),
            _ => None,
        }
    }

    /// The axes after a Reshape to three that keeps the first two: it joins the directions of one step and drops
    /// axes of size 1. Any other shape, including a computed one, could divide steps and sequences differently.
    fn reshaped(&self, node: &'a NodeProto, axes: &[Axis]) -> Option<Vec<Axis>> {
        // A zero keeps the size of the axis, unless allowzero is set.
        let zeros_are_sizes = matches!(node.attribute("allowzero"), None | Some(Attribute::Int(0)));
        let [0, 0, 1.. | -1] = self.integers(node, "shape")?[..] else { return None };
        let (kept, merged) = axes.split_at_checked(2)?;
        let merged: Vec<_> = merged.iter().copied().filter(|&axis| axis != One).collect();
        let is_step = merged == [Features] || merged == [Directions, Features];
        (zeros_are_sizes && is_step).then(|| vec![kept[0], kept[1], Features])
    }
}

/// Axes as numbers below `rank`; negative ones count from the end.
fn places(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    let rank = i64::try_from(rank).ok()?;
    let place = |&axis: &i64| if axis < 0 { axis.checked_add(rank) } else { Some(axis) };
    let place = |axis| place(axis).filter(|at| (0..rank).contains(at));
    axes.iter().map(|axis| usize::try_from(place(axis)?).ok()).collect()
}
