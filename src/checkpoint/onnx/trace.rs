//! Where the values of a graph come from, as far as the nodes in between only move numbers about.
//!
//! What `torch.onnx.export` puts between two layers turns the output of a node, (L, D, N, `H_out`), into the
//! input of the next, (L, N, D * `H_out`). Other models get there in other ways, and some go elsewhere: so
//! the axes are followed one by one, and two nodes are layers of one stack only if the second reads each
//! step of each sequence as the first has written it.

use std::collections::{HashMap, HashSet};

use crate::files::Graph;
use crate::files::proto::{Attribute, NodeProto, TensorProto};

/// Most axes of a value that are followed: twice as many as the way from one layer to the next takes.
const MAX_RANK: usize = 8;

/// An axis of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// The i-th of the value where it comes from.
    Own(usize),
    /// L, of the output of an RNN.
    Steps,
    /// N.
    Batch,
    /// D.
    Directions,
    /// `H_out`, or, once the directions are beside each other, D * `H_out`.
    Features,
    /// An axis of size 1 that has been put in.
    One,
}

use Axis::{Batch, Directions, Features, One, Own, Steps};

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) struct Origin<'a> {
    /// The value that the numbers are of.
    pub(super) source: &'a str,
    /// How its axes lie now. Empty where that is not known, or not all numbers are there any more.
    pub(super) axes: Vec<Axis>,
    /// D, of the output of an RNN.
    directions: usize,
}

impl<'a> Origin<'a> {
    /// A value that is taken as it is. What has other than three axes is not followed through
    /// transpositions.
    fn of(source: &'a str) -> Self {
        Origin { source, axes: vec![Own(0), Own(1), Own(2)], directions: 0 }
    }

    /// Whether the numbers lie as they do where they come from.
    pub(super) fn is_whole(&self) -> bool {
        self.axes == [Own(0), Own(1), Own(2)]
    }

    /// Whether the first two of three axes are swapped.
    pub(super) fn is_swapped(&self) -> bool {
        self.axes == [Own(1), Own(0), Own(2)]
    }

    /// Whether the value is the output of an RNN as the next layer takes it: (L, N, D * `H_out`), or, with
    /// `batch_first`, (N, L, D * `H_out`).
    pub(super) fn is_input_of_next(&self, batch_first: bool) -> bool {
        self.axes == if batch_first { [Batch, Steps, Features] } else { [Steps, Batch, Features] }
    }

    /// Whether nothing is lost if this axis goes.
    fn is_single(&self, axis: Axis) -> bool {
        axis == One || axis == Directions && self.directions == 1
    }
}

/// Whether a node only moves numbers about, or leaves some of them out, or does nothing at inference.
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

/// Whether a node is an RNN whose axes lie as `batch_first` has them.
pub(super) fn is_batch_first(node: &NodeProto) -> bool {
    node.attribute("layout") == Some(Attribute::Int(1))
}

/// D, by what a node says of its direction.
pub(super) fn directions(node: &NodeProto) -> usize {
    let both = Attribute::Text("bidirectional".to_owned());
    1 + usize::from(node.attribute("direction") == Some(both))
}

/// What a first state is.
#[derive(Debug)]
pub(super) enum State<'a> {
    /// Given to the model, or zeros.
    Input,
    /// Part of the model.
    Constant(&'a TensorProto),
    /// The output of other nodes.
    Computed,
}

/// A graph, and where its values come from.
#[derive(Debug)]
pub(super) struct Trace<'a> {
    tensors: HashMap<&'a str, &'a TensorProto>,
    inputs: HashSet<&'a str>,
    /// The nodes that fill a shape with one number, by their outputs.
    fills: HashMap<&'a str, &'a NodeProto>,
    origins: HashMap<&'a str, Origin<'a>>,
}

impl<'a> Trace<'a> {
    /// One pass over the nodes, each of which stands behind those that it reads from. What is read before
    /// it has been written is taken for a value of unknown origin, so that a ring of nodes is none.
    pub(super) fn new(graph: &'a Graph) -> Self {
        let tensors = graph.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let inputs = graph.inputs.iter().map(|input| input.name.as_str()).collect();
        let (fills, origins) = (HashMap::new(), HashMap::new());
        let mut trace = Trace { tensors, inputs, fills, origins };
        for node in graph.nodes.iter().filter(|node| node.is_standard()) {
            trace.add(node);
        }
        trace
    }

    /// Notes where the outputs of a node come from.
    fn add(&mut self, node: &'a NodeProto) {
        let Some(output) = node.output(0) else { return };
        match (node.op_type.as_str(), node.input(0)) {
            ("RNN", _) => {
                let axes = if is_batch_first(node) {
                    vec![Batch, Steps, Directions, Features]
                } else {
                    vec![Steps, Directions, Batch, Features]
                };
                let origin = Origin { source: output, axes, directions: directions(node) };
                self.origins.insert(output, origin);
            }
            ("ConstantOfShape", _) => {
                self.fills.insert(output, node);
            }
            ("Split", Some(input)) => {
                let source = self.origin(input).source;
                for output in &node.output {
                    self.origins.insert(output, Origin { source, axes: Vec::new(), directions: 0 });
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

    /// Where a value comes from.
    pub(super) fn origin(&self, name: &'a str) -> Origin<'a> {
        self.origins.get(name).cloned().unwrap_or_else(|| Origin::of(name))
    }

    /// The tensor that a value is, or is a copy of.
    pub(super) fn constant(&self, name: &'a str) -> Option<&'a TensorProto> {
        let origin = self.origin(name);
        self.tensors.get(origin.source).copied().filter(|_| origin.is_whole())
    }

    /// What a value is that nothing has been moved to.
    pub(super) fn state(&self, source: &str) -> State<'a> {
        if let Some(tensor) = self.tensors.get(source) {
            return State::Constant(tensor);
        }
        let maker = self.fills.get(source);
        match maker.map(|node| node.attribute("value")) {
            Some(Some(Attribute::Tensor(tensor))) => State::Constant(tensor),
            // Zeros, where nothing else is said.
            Some(_) => State::Input,
            None if self.inputs.contains(source) => State::Input,
            None => State::Computed,
        }
    }

    /// The output of the RNN node whose next layer a node is.
    pub(super) fn layer_below(&self, node: &'a NodeProto) -> Option<&'a str> {
        let origin = self.origin(node.input(0)?);
        origin.is_input_of_next(is_batch_first(node)).then_some(origin.source)
    }

    /// Integers that stand in an attribute, as in old models, or in a constant input.
    fn integers(&self, node: &'a NodeProto, attribute: &str) -> Option<Vec<i64>> {
        match (node.attribute(attribute), node.input(1)) {
            (Some(Attribute::Ints(ints)), _) => (ints.len() <= MAX_RANK).then(|| ints.to_vec()),
            (None, Some(input)) => {
                let tensor = self.tensors.get(input)?;
                // Many nodes may name one large tensor.
                let len = tensor.header().ok()?.shape.iter().product::<usize>();
                (len <= MAX_RANK).then(|| tensor.as_integers()).flatten()
            }
            _ => None,
        }
    }

    /// The axes of a node's output; none where they cannot be told.
    fn moved(&self, node: &'a NodeProto, origin: &Origin<'a>) -> Option<Vec<Axis>> {
        let axes = &origin.axes;
        let rank = axes.len();
        match node.op_type.as_str() {
            "Identity" | "Cast" | "Dropout" => Some(axes.clone()),
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
                    // Without axes, all of size 1. Whether L or N is 1 is not known, and does not matter:
                    // then the next node would not take what is left.
                    (1, None) => (0..rank).filter(|&at| origin.is_single(axes[at])).collect(),
                    _ => return None,
                };
                let single = gone.iter().all(|&at| origin.is_single(axes[at]));
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
            "Reshape" => self.reshaped(node, origin),
            _ => None,
        }
    }

    /// The axes after a Reshape to three that leaves the first two where they are: behind them, the
    /// directions of one step come to stand beside each other, and axes of size 1 go. Any other shape, also
    /// one that is computed, could cut steps and sequences in another way.
    fn reshaped(&self, node: &'a NodeProto, origin: &Origin<'a>) -> Option<Vec<Axis>> {
        // A zero stands for the size that the axis has, unless the node says otherwise.
        let zeros_are_sizes = matches!(node.attribute("allowzero"), None | Some(Attribute::Int(0)));
        let [0, 0, 1.. | -1] = self.integers(node, "shape")?[..] else { return None };
        let (kept, merged) = origin.axes.split_at_checked(2)?;
        let merged = merged.iter().copied().filter(|&axis| !origin.is_single(axis));
        let merged = merged.collect::<Vec<_>>();
        let is_step = merged == [Features] || merged == [Directions, Features];
        (zeros_are_sizes && is_step).then(|| vec![kept[0], kept[1], Features])
    }
}

/// Axes that may be counted from the end, as numbers below `rank`.
fn places(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    let rank = i64::try_from(rank).ok()?;
    let place = |&axis: &i64| if axis < 0 { axis.checked_add(rank) } else { Some(axis) };
    let place = |axis| place(axis).filter(|at| (0..rank).contains(at));
    axes.iter().map(|axis| usize::try_from(place(axis)?).ok()).collect()
}
