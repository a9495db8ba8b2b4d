//! The RNN nodes of a graph as stacks of layers, and the choice of one.

use std::collections::HashMap;

use super::trace::Trace;
use super::{is, shown, unrolled};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::names;
use crate::files::Graph;
use crate::files::proto::NodeProto;

/// RNN nodes that are the layers of one stack, from the first to the last.
type Chain<'a> = Vec<&'a NodeProto>;

/// All RNN nodes as chains, in the order in which they begin. A chain lies within one module. If one of
/// them is to be chosen, a difference that no layer of PyTorch has ends it as well.
pub(super) fn chains<'a>(graph: &'a Graph, trace: &Trace<'a>, chosen: bool) -> Vec<Chain<'a>> {
    let nodes: Vec<_> = graph.proto.node.iter().filter(|node| is(node, "RNN")).collect();
    let by_output: HashMap<_, _> =
        nodes.iter().filter_map(|node| Some((node.output(0)?, *node))).collect();
    let one_layer = |name: &&str, node: &NodeProto| {
        by_output.get(name).is_none_or(|below| {
            trace.module(below) == trace.module(node) && !(chosen && differ(below, node))
        })
    };
    let below = |node: &&'a NodeProto| trace.layer_below(node).filter(|name| one_layer(name, node));
    let before: Vec<_> = nodes.iter().map(below).collect();
    let mut readers = HashMap::new();
    for name in before.iter().flatten() {
        *readers.entry(*name).or_insert(0_usize) += 1;
    }
    let mut chains: Vec<Chain<'a>> = Vec::new();
    // The place of each chain, by the output of its last node.
    let mut open = HashMap::new();
    for (node, before) in nodes.into_iter().zip(before) {
        // Two nodes that read the same layer begin a stack each.
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

/// Whether two nodes have attributes that differ, as those of one layer cannot.
fn differ(one: &NodeProto, other: &NodeProto) -> bool {
    let facts = ["hidden_size", "direction", "activations", "layout"];
    facts.iter().any(|name| one.attribute(name) != other.attribute(name))
}

/// The requested chain, or the only one.
pub(super) fn choose<'a>(
    graph: &'a Graph,
    chains: Vec<Chain<'a>>,
    asked: Option<&str>,
) -> Result<Chain<'a>, CheckpointError> {
    let mut gated = graph.proto.node.iter().filter(|node| is(node, "LSTM") || is(node, "GRU"));
    let wrong = match asked {
        Some(asked) => gated.find(|node| node.label() == asked),
        // An LSTM beside one layer does not make the choice ambiguous.
        None => gated.next().filter(|_| chains.is_empty()),
    };
    if let Some(node) = wrong {
        let article = if node.op_type == "LSTM" { "an" } else { "a" };
        let what = format!("expected an RNN, got {article} {}", node.op_type);
        return Err(CheckpointError::node(node.label(), what));
    }
    let labels: Vec<_> = chains.iter().map(|chain| chain[0].label()).collect();
    let place = names::choose(&labels, asked)?;
    let chain = place.and_then(|place| chains.into_iter().nth(place));
    let what = || {
        let remedy = if unrolled::is_likely(graph) { unrolled::REMEDY } else { "" };
        format!("expected an RNN node, got {}{remedy}", shown(&graph.proto.node))
    };
    chain.ok_or_else(|| CheckpointError::NoRnn(what()))
}
