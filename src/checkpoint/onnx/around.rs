//! What a model has around its layer.

use std::collections::HashSet;

use super::trace::is_move;
use crate::files::{Graph, Node};

/// The nodes before and behind a chain that do more than to move numbers: a model may be more than its
/// layer. What `h_0` is made of does not count.
pub(super) fn others<'a>(graph: &'a Graph, chain: &[&'a Node]) -> Vec<&'a Node> {
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
    found.retain(|node| !is_move(node));
    found
}
