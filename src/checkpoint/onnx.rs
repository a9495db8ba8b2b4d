//! A layer out of a graph, and into one.
//!
//! ONNX has a node for each layer of a stack, with both directions in it: W is `weight_ih_l{k}` and
//! `weight_ih_l{k}_reverse` one behind the other, (D, `H_out`, features in), R the same of `weight_hh`, and
//! B holds both biases of each direction, (D, 2 * `H_out`). Nodes whose outputs are the inputs of the next
//! are one layer of PyTorch's.

mod cell;
mod trace;
mod write;

use std::collections::{HashMap, HashSet};

use super::configuration::refuse_contradiction;
use super::{Checkpoint, common_dtype};
use crate::Config;
use crate::checkpoint::error::CheckpointError;
use crate::element::Dtype;
use crate::files::{FileError, Graph, MAX_LISTED, Node, TEXT_NAME, listed};

use cell::{Direction, LayerNode};
use trace::Trace;
pub use write::write_onnx;

/// The oldest set of operators whose RNN is what it is today.
const MIN_OPSET: i64 = 7;

/// Most bytes of tensors that are read for another node a second time: a small file with one tensor for
/// many nodes must not fill the memory.
const MAX_SHARED_BYTES: usize = 64 << 20;

/// PyTorch's arguments that the nodes determine.
const ARGUMENTS: [&str; 7] = [
    "input_size",
    "hidden_size",
    "num_layers",
    "nonlinearity",
    "bias",
    "batch_first",
    "bidirectional",
];

/// RNN nodes that are the layers of one stack, from the first to the last.
type Chain<'a> = Vec<&'a Node>;

/// Reads the layer of a graph: the one whose first node has the name that was asked for, else the only one.
pub(super) fn read(
    graph: &Graph,
    dtype: Option<Dtype>,
    asked: Option<&str>,
) -> Result<Checkpoint, CheckpointError> {
    let within = |error: CheckpointError| error.within(&graph.place);
    let opset = graph.opset.filter(|&opset| opset >= MIN_OPSET).ok_or_else(|| {
        let got = graph.opset.map_or("none".to_owned(), |opset| opset.to_string());
        let what = format!("expected opset {MIN_OPSET} or above, got {got}");
        FileError::Malformed { place: graph.place.clone(), what }
    })?;
    let trace = Trace::new(graph);
    let chain = choose(graph, chains(graph, &trace), asked).map_err(within)?;
    let mut zeros = HashSet::new();
    let cells = chain.iter().map(|node| LayerNode::new(node, &trace, &mut zeros));
    let cells = cells.collect::<Result<Vec<_>, _>>().map_err(within)?;
    refuse_copies(&cells).map_err(within)?;
    let told = cell::config(&cells).map_err(within)?;
    let config = configuration(graph, &told)?;
    let mut tensors = Vec::new();
    for cell in &cells {
        cell.read(dtype, &mut tensors)?;
    }
    for (tensor, parameter) in tensors.iter_mut().zip(config.parameters()) {
        tensor.name = parameter.name;
    }
    let reversed = cells.iter().any(|cell| cell.direction == Direction::Reverse);
    Ok(Checkpoint {
        place: graph.place.clone(),
        recognised: format!(".onnx, opset {opset}, {}", shown(chain.iter().copied())),
        dtype: common_dtype(&config, &tensors).map_err(within)?,
        config,
        explicit_nonlinearity: true,
        reversed,
        prefix: String::new(),
        ignored: 0,
        notes: notes(graph, &chain, &cells),
        tensors,
    })
}

/// All RNN nodes as chains, in the order in which they begin.
fn chains<'a>(graph: &'a Graph, trace: &Trace<'a>) -> Vec<Chain<'a>> {
    let nodes: Vec<_> = graph.nodes.iter().filter(|node| is(node, "RNN")).collect();
    let before: Vec<_> = nodes.iter().map(|node| trace.layer_below(node)).collect();
    let mut readers = HashMap::new();
    for name in before.iter().flatten() {
        *readers.entry(*name).or_insert(0_usize) += 1;
    }
    let mut chains: Vec<Chain<'a>> = Vec::new();
    // Of each chain, by the output of its last node.
    let mut open = HashMap::new();
    for (node, before) in nodes.into_iter().zip(before) {
        // Two layers that read the same one are two stacks on it.
        let below = before.filter(|name| readers.get(name) == Some(&1));
        let chain = below.and_then(|name| open.remove(name)).unwrap_or_else(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        chains[chain].push(node);
        if let Some(output) = node.output(0) {
            open.insert(output, chain);
        }
    }
    chains
}

/// The chain that was asked for, or the only one.
fn choose<'a>(
    graph: &'a Graph,
    chains: Vec<Chain<'a>>,
    asked: Option<&str>,
) -> Result<Chain<'a>, CheckpointError> {
    let gated = || graph.nodes.iter().filter(|node| is(node, "LSTM") || is(node, "GRU"));
    let refuse = |node: &Node| {
        let (name, kind) = (node.label().to_owned(), &node.op_type);
        let article = if kind == "LSTM" { "an" } else { "a" };
        CheckpointError::Node { name, what: format!("expected an RNN, got {article} {kind}") }
    };
    let names =
        |chains: &[Chain<'a>]| chains.iter().map(|chain| chain[0].label().to_owned()).collect();
    if let Some(asked) = asked {
        if let Some(node) = gated().find(|node| node.label() == asked) {
            return Err(refuse(node));
        }
        let found = names(&chains);
        let chain = chains.into_iter().find(|chain| chain[0].label() == asked);
        return chain.ok_or_else(|| CheckpointError::NoLayer { asked: asked.to_owned(), found });
    }
    if chains.len() > 1 {
        return Err(CheckpointError::ManyLayers { found: names(&chains) });
    }
    // An LSTM beside the layer does not make it hard to choose.
    chains.into_iter().next().ok_or_else(|| {
        let what = || format!("expected an RNN node, got {}", shown(&graph.nodes));
        let none = || FileError::Malformed { place: graph.place.clone(), what: what() }.into();
        gated().next().map_or_else(none, refuse)
    })
}

/// Refuses nodes of which many read the same tensor.
fn refuse_copies(cells: &[LayerNode<'_>]) -> Result<(), CheckpointError> {
    let (mut seen, mut shared) = (HashSet::new(), 0_usize);
    for cell in cells {
        for tensor in cell.tensors() {
            if !seen.insert(tensor.name()) {
                shared = shared.saturating_add(tensor.header()?.body_bytes());
            }
            if shared > MAX_SHARED_BYTES {
                let (name, own) = (cell.node.label().to_owned(), tensor.name());
                let shared = MAX_SHARED_BYTES >> 20;
                let what = format!(
                    "expected a tensor of its own, got '{own}', of which {shared} MiB are shared already"
                );
                return Err(CheckpointError::Node { name, what });
            }
        }
    }
    Ok(())
}

/// Whether a node is this operation of ONNX itself.
fn is(node: &Node, op_type: &str) -> bool {
    node.op_type == op_type && trace::is_standard(node)
}

/// The saved configuration, held against what the nodes tell; else what they tell.
fn configuration(graph: &Graph, told: &Config) -> Result<Config, CheckpointError> {
    let Some((_, text)) = graph.metadata.iter().find(|(key, _)| key == TEXT_NAME) else {
        told.check().map_err(|error| CheckpointError::from(error).within(&graph.place))?;
        return Ok(told.clone());
    };
    let place = format!("{}: {TEXT_NAME}", graph.place);
    let saved = Config::from_json(text).map_err(CheckpointError::from).and_then(|saved| {
        refuse_contradiction(told, &saved, &ARGUMENTS)?;
        Ok(saved)
    });
    saved.map_err(|error| error.within(&place))
}

/// What a user should know: that it is no whole model, and what is not as in PyTorch.
fn notes(graph: &Graph, chain: &[&Node], cells: &[LayerNode<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let others = others(graph, chain);
    if !others.is_empty() {
        let (layer, others) = (shown(chain.iter().copied()), shown(others));
        notes
            .push(format!("only the layer is run, {layer}; the nodes around it are not: {others}"));
    }
    if cells.iter().any(|cell| cell.direction == Direction::Reverse) {
        notes.push("the layer runs from each sequence's last step to its first".to_owned());
    }
    for cell in cells.iter().filter(|cell| cell.state_is_computed) {
        let name = cell.node.label();
        notes.push(format!(
            "node '{name}': initial_h comes from other nodes of the model, which are not run: it is h_0"
        ));
    }
    notes
}

/// The nodes before and behind a chain that do more than to move numbers: a model may be more than its
/// layer. What `h_0` is made of does not count.
fn others<'a>(graph: &'a Graph, chain: &[&'a Node]) -> Vec<&'a Node> {
    let Some(first) = chain.first() else { return Vec::new() };
    let mut needed: HashSet<_> = first.input(0).into_iter().collect();
    let mut found: Vec<_> = Vec::new();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|name| needed.contains(name.as_str())) {
            needed.extend(node.inputs.iter().map(String::as_str).filter(|name| !name.is_empty()));
            found.push(node);
        }
    }
    found.reverse();
    let own: HashSet<_> = chain.iter().map(|node| std::ptr::from_ref(*node)).collect();
    // Other nodes may read any layer, and not only the last.
    let outputs = chain.iter().flat_map(|node| [node.output(0), node.output(1)]);
    let mut given: HashSet<_> = outputs.flatten().collect();
    for node in &graph.nodes {
        let reads = node.inputs.iter().any(|name| given.contains(name.as_str()));
        // Who asks for sizes, as for those of a first state, does not read the numbers.
        if reads && node.op_type != "Shape" && !own.contains(&std::ptr::from_ref(node)) {
            given.extend(node.outputs.iter().map(String::as_str).filter(|name| !name.is_empty()));
            // The states of the layers are put together to h_n, and the last step is taken out.
            if !matches!(node.op_type.as_str(), "Concat" | "Gather") {
                found.push(node);
            }
        }
    }
    found.retain(|node| !trace::is_move(node));
    found
}

/// Nodes as notes and errors show them.
fn shown<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> String {
    let names = nodes.into_iter().map(|node| format!("{} '{}'", node.op_type, node.label()));
    listed(names, MAX_LISTED)
}
