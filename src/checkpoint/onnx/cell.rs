//! One RNN node: one layer of a stack, in one direction or in both.

use std::collections::HashSet;

use ndarray::{Axis, Slice};

use super::trace::{self, Trace};
use crate::checkpoint::NamedTensor;
use crate::checkpoint::error::CheckpointError;
use crate::element::Dtype;
use crate::files::{Attribute, FileError, GraphTensor, Node, StoredType, Tensor};
use crate::{Config, Nonlinearity};

/// Which way a node runs over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Reverse,
    Both,
}

/// A node whose weights are known to have the shapes of a layer.
#[derive(Debug)]
pub(super) struct LayerNode<'a> {
    pub(super) node: &'a Node,
    pub(super) direction: Direction,
    nonlinearity: Nonlinearity,
    /// Whether its input is (N, L, features).
    batch_first: bool,
    input_size: usize,
    hidden_size: usize,
    weights: [&'a GraphTensor; 2],
    bias: Option<&'a GraphTensor>,
    /// Whether its first state is neither zeros nor an input of the model.
    pub(super) state_is_computed: bool,
}

/// The inputs of an RNN node, in order.
const INPUTS: [&str; 6] = ["X", "W", "R", "B", "sequence_lens", "initial_h"];
/// Places among them.
const X: usize = 0;
const W: usize = 1;
const R: usize = 2;
const B: usize = 3;
const SEQUENCE_LENS: usize = 4;
const INITIAL_H: usize = 5;

impl<'a> LayerNode<'a> {
    /// Checks the attributes of a node and the shapes of its weights. `zeros` names the first states that are zeros.
    pub(super) fn new(
        node: &'a Node,
        trace: &Trace<'a>,
        zeros: &mut HashSet<&'a str>,
    ) -> Result<Self, CheckpointError> {
        if node.attribute("clip").is_some() {
            return Err(refused(node, "clip: expected none, as in PyTorch, got one"));
        }
        let direction = direction(node)?;
        let directions = trace::directions(node);
        let nonlinearity = nonlinearity(node, directions)?;
        let (w, r) = (required(node, trace, W)?, required(node, trace, R)?);
        let bias = node.input(B).map(|_| required(node, trace, B)).transpose()?;
        let (input_size, hidden_size) = sizes(node, directions, [w, r])?;
        if let Some(bias) = bias {
            let width = hidden_size.saturating_mul(2);
            expect(node, B, &[directions, width], &bias.header()?.shape)?;
        }
        // Lengths that are part of the model would be those of one batch.
        if node.input(SEQUENCE_LENS).is_some_and(|name| trace.constant(name).is_some()) {
            let lengths = INPUTS[SEQUENCE_LENS];
            let what = format!("{lengths}: expected an input of the model, got a constant");
            return Err(refused(node, what));
        }
        let state_is_computed = check_state(node, trace, zeros)?;
        let swapped = node.input(X).is_some_and(|x| trace.origin(x).is_swapped());
        let batch_first = trace::is_batch_first(node) != swapped;
        Ok(LayerNode {
            node,
            direction,
            nonlinearity,
            batch_first,
            input_size,
            hidden_size,
            weights: [w, r],
            bias,
            state_is_computed,
        })
    }

    /// Its weights and its bias.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &'a GraphTensor> {
        self.weights.into_iter().chain(self.bias)
    }

    /// Appends its tensors in the order of the `state_dict`, without names.
    pub(super) fn read(
        &self,
        dtype: Option<Dtype>,
        tensors: &mut Vec<NamedTensor>,
    ) -> Result<(), CheckpointError> {
        let read = |tensor: &GraphTensor| {
            Ok::<_, FileError>((tensor.header()?.stored, tensor.read(dtype)?))
        };
        let weights = [read(self.weights[0])?, read(self.weights[1])?];
        let bias = self.bias.map(read).transpose()?;
        for direction in 0..trace::directions(self.node) {
            for (stored, whole) in &weights {
                tensors.push(part(*stored, whole, direction, None));
            }
            if let Some((stored, whole)) = &bias {
                let halves = [0..self.hidden_size, self.hidden_size..2 * self.hidden_size];
                for half in halves {
                    tensors.push(part(*stored, whole, direction, Some(half.into())));
                }
            }
        }
        Ok(())
    }
}

/// The configuration of a stack of nodes, which must agree in what PyTorch says once for all layers.
pub(super) fn config(cells: &[LayerNode<'_>]) -> Result<Config, CheckpointError> {
    let Some(first) = cells.first() else { unreachable!("a chain of no nodes") };
    let both = first.direction == Direction::Both;
    let config = Config {
        num_layers: cells.len(),
        nonlinearity: first.nonlinearity,
        bias: first.bias.is_some(),
        batch_first: first.batch_first,
        bidirectional: both,
        ..Config::new(first.input_size, first.hidden_size)
    };
    let width = first.hidden_size.saturating_mul(if both { 2 } else { 1 });
    for cell in &cells[1..] {
        let facts = |cell: &LayerNode<'_>, input_size: usize| {
            [
                ("direction", format!("{:?}", cell.direction).to_lowercase()),
                ("activations", cell.nonlinearity.to_string()),
                ("hidden_size", cell.hidden_size.to_string()),
                ("B", if cell.bias.is_some() { "a bias" } else { "none" }.to_owned()),
                ("features of X", input_size.to_string()),
            ]
        };
        let pairs = facts(first, width).into_iter().zip(facts(cell, cell.input_size));
        for ((name, expected), (_, found)) in pairs {
            if expected != found {
                let first = first.node.label();
                let what =
                    format!("{name}: expected {expected}, as node '{first}' has it, got {found}");
                return Err(refused(cell.node, what));
            }
        }
    }
    Ok(config)
}

/// The features that go in and come out, as W and R have them.
fn sizes(
    node: &Node,
    directions: usize,
    [w, r]: [&GraphTensor; 2],
) -> Result<(usize, usize), CheckpointError> {
    let (w_shape, r_shape) = (w.header()?.shape, r.header()?.shape);
    let (&[_, _, input_size], &[_, _, hidden_size]) = (&w_shape[..], &r_shape[..]) else {
        let what = format!("W, R: expected 3 dimensions, got shapes {w_shape:?}, {r_shape:?}");
        return Err(refused(node, what));
    };
    if let Some(Attribute::Int(said)) = node.attribute("hidden_size")
        && usize::try_from(*said) != Ok(hidden_size)
    {
        let what = format!("hidden_size: expected {hidden_size}, as R has it, got {said}");
        return Err(refused(node, what));
    }
    expect(node, R, &[directions, hidden_size, hidden_size], &r_shape)?;
    expect(node, W, &[directions, hidden_size, input_size], &w_shape)?;
    Ok((input_size, hidden_size))
}

/// The part of a tensor for one direction, and of a bias, for one of the two.
fn part(stored: StoredType, whole: &Tensor, direction: usize, rows: Option<Slice>) -> NamedTensor {
    /// Of numbers of either type: the shapes have been checked.
    macro_rules! part {
        ($array:expr) => {{
            let mut own = $array.index_axis(Axis(0), direction);
            if let Some(rows) = rows {
                own.slice_axis_inplace(Axis(0), rows);
            }
            own.to_owned()
        }};
    }
    let tensor = match whole {
        Tensor::F32(array) => Tensor::F32(part!(array)),
        Tensor::F64(array) => Tensor::F64(part!(array)),
    };
    NamedTensor { name: String::new(), stored, tensor }
}

/// What the attribute says.
fn direction(node: &Node) -> Result<Direction, CheckpointError> {
    match node.attribute("direction") {
        None => Ok(Direction::Forward),
        Some(Attribute::Text(text)) => match text.as_str() {
            "forward" => Ok(Direction::Forward),
            "reverse" => Ok(Direction::Reverse),
            "bidirectional" => Ok(Direction::Both),
            other => {
                let expected = "expected forward, reverse or bidirectional";
                Err(refused(node, format!("direction: {expected}, got {other}")))
            }
        },
        Some(_) => Err(refused(node, "direction: expected a text, got something else")),
    }
}

/// The one nonlinearity of all directions. ONNX compares its names without regard to case.
fn nonlinearity(node: &Node, directions: usize) -> Result<Nonlinearity, CheckpointError> {
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

/// A tensor that a node cannot do without.
fn required<'a>(
    node: &'a Node,
    trace: &Trace<'a>,
    index: usize,
) -> Result<&'a GraphTensor, CheckpointError> {
    let name = node.input(index).unwrap_or_default();
    trace.constant(name).ok_or_else(|| {
        let got = match trace.state(trace.origin(name).source) {
            _ if name.is_empty() => "none".to_owned(),
            trace::State::Input => format!("'{name}', an input of the model"),
            _ => format!("'{name}', which other nodes compute"),
        };
        refused(node, format!("{}: expected a constant of the model, got {got}", INPUTS[index]))
    })
}

/// Refuses a first state of the model's own that is not zero, and tells whether other nodes compute it.
fn check_state<'a>(
    node: &'a Node,
    trace: &Trace<'a>,
    zeros: &mut HashSet<&'a str>,
) -> Result<bool, CheckpointError> {
    let Some(name) = node.input(INITIAL_H) else { return Ok(false) };
    let source = trace.origin(name).source;
    match trace.state(source) {
        trace::State::Input => Ok(false),
        trace::State::Computed => Ok(true),
        trace::State::Constant(_) if zeros.contains(source) => Ok(false),
        trace::State::Constant(tensor) => {
            let zero = match tensor.read(None)? {
                Tensor::F32(array) => array.iter().all(|&x| x == 0.0),
                Tensor::F64(array) => array.iter().all(|&x| x == 0.0),
            };
            if zero {
                // Many nodes may begin with one large tensor.
                zeros.insert(source);
                return Ok(false);
            }
            let expected = "expected zeros or an input of the model";
            let what =
                format!("{}: {expected}, got other numbers in '{source}'", INPUTS[INITIAL_H]);
            Err(refused(node, what))
        }
    }
}

fn expect(
    node: &Node,
    index: usize,
    expected: &[usize],
    found: &[usize],
) -> Result<(), CheckpointError> {
    if expected == found {
        return Ok(());
    }
    let what = format!("{}: expected shape {expected:?}, got {found:?}", INPUTS[index]);
    Err(refused(node, what))
}

fn refused(node: &Node, what: impl Into<String>) -> CheckpointError {
    CheckpointError::Node { name: node.label().to_owned(), what: what.into() }
}
