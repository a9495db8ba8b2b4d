//! Reads a layer from a graph, and writes a graph with a layer.
//!
//! ONNX has a node for each layer of a stack, with both directions in it: W stacks `weight_ih_l{k}` and
//! `weight_ih_l{k}_reverse`, (D, `H_out`, features in), R the same of `weight_hh`, and B both biases of each
//! direction, (D, 2 * `H_out`). A chain of nodes, each of which reads the output of the one before, is one
//! layer of PyTorch.

mod cell;
mod chain;
mod constant;
mod pass;
mod state;
mod trace;
mod unrolled;
mod write;

use std::collections::HashSet;

use ndarray::ArrayD;

use super::configuration::refuse_contradiction;
use super::{Checkpoint, Suggestion, common_dtype};
use crate::checkpoint::error::CheckpointError;
use crate::element::Dtype;
use crate::files::proto::NodeProto;
use crate::files::{FileError, Graph, MAX_LISTED, TEXT_NAME, Tensor, listed};
use crate::{Config, ModelConfig};

use cell::{LayerNode, Weight};
use constant::Constants;
use state::State;
use trace::Trace;
pub use write::write_onnx;

/// The oldest operator set with today's RNN.
const MIN_OPSET: i64 = 7;

/// Most bytes of tensors that are read again for another node: a small file with one tensor for many nodes must
/// not fill the memory.
const MAX_SHARED_BYTES: usize = 64 << 20;

impl Checkpoint {
    /// Reads the layer of a graph.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`], except those of opening the file.
    pub fn of_graph(
        graph: &Graph,
        dtype: Option<Dtype>,
        prefix: Option<&str>,
    ) -> Result<Self, CheckpointError> {
        let malformed = |what| FileError::Malformed { place: graph.place.clone(), what };
        let within = |error: CheckpointError| match error {
            // The error names the tensor, but not the file.
            CheckpointError::File(FileError::Malformed { place, what }) => {
                malformed(format!("{place}: {what}")).into()
            }
            error => error.within(&graph.place),
        };
        let opset = opset(graph).map_err(malformed)?;
        let trace = Trace::new(graph);
        let chains = chain::chains(graph, &trace, prefix.is_some());
        if chains.is_empty()
            && let Some(unrolled) = unrolled::read(graph, trace, dtype, prefix).map_err(within)?
        {
            let recognised = format!(".onnx, opset {opset}, {}", unrolled.recognised);
            return Ok(Checkpoint { recognised, ..unrolled });
        }
        let trace = Trace::new(graph);
        let chain = chain::choose(graph, chains, prefix).map_err(within)?;
        let layer = of_chain(graph, trace, &chain, dtype).map_err(within)?;
        let recognised = format!(".onnx, opset {opset}, {}", layer.recognised);
        Ok(Checkpoint { recognised, ..layer })
    }
}

/// The layer that a chain of nodes is. Its errors do not name the file.
fn of_chain<'a>(
    graph: &'a Graph,
    trace: Trace<'a>,
    chain: &[&'a NodeProto],
    dtype: Option<Dtype>,
) -> Result<Checkpoint, CheckpointError> {
    let reader = Reader::new(graph, trace, chain)?;
    let mut zeros = HashSet::new();
    let cells = chain.iter().map(|node| LayerNode::new(node, &reader, &mut zeros));
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    refuse_copies(&cells)?;
    let config = configuration(graph, cell::config(&cells)?)?;
    let tensors = cell::tensors(graph, &cells, &config, dtype)?;
    let dtype = common_dtype(&config, &tensors)?;
    let h_0 = pass::first_state(&cells)?;
    let lengths = pass::lengths(&cells)?;
    Ok(Checkpoint {
        place: graph.place.clone(),
        recognised: shown(chain.iter().copied()),
        dtype,
        config,
        h_0,
        lengths,
        explicit: explicit(graph),
        model: ModelConfig::default(),
        around: Vec::new(),
        suggested: Suggestion::default(),
        reversed: cells.iter().any(|cell| cell.direction == "reverse"),
        prefix: String::new(),
        ignored: 0,
        ignored_optimizer: 0,
        modules: products(graph, chain),
        notes: notes(graph, chain, &cells),
        warnings: Vec::new(),
        tensors,
    })
}

/// The constants that the inputs of nodes are.
struct Reader<'a> {
    graph: &'a Graph,
    trace: Trace<'a>,
    constants: Constants<'a>,
}

impl<'a> Reader<'a> {
    fn new(graph: &'a Graph, trace: Trace<'a>, chain: &[&'a NodeProto]) -> Result<Self, FileError> {
        let wanted = chain.iter().flat_map(|node| node.input.iter().skip(1).map(String::as_str));
        let constants = Constants::new(graph, wanted)?;
        Ok(Reader { graph, trace, constants })
    }

    /// The constant that a value is; `None` if it depends on an input of the model.
    fn constant(&self, name: &str) -> Option<Weight<'a>> {
        let tensor = self.trace.tensor(name).map(Weight::Tensor);
        tensor.or_else(|| self.constants.get(name).cloned().map(Weight::Computed))
    }
}

/// Limits the bytes of tensors that several nodes read.
fn refuse_copies(cells: &[LayerNode<'_>]) -> Result<(), CheckpointError> {
    let (mut seen, mut shared) = (HashSet::new(), 0_usize);
    for cell in cells {
        for (own, tensor) in &cell.tensors {
            if !seen.insert(*own) {
                let (stored, shape) = tensor.header()?;
                let bytes = shape.iter().fold(stored.size(), |all, &size| all.saturating_mul(size));
                shared = shared.saturating_add(bytes);
            }
            if shared > MAX_SHARED_BYTES {
                let shared = MAX_SHARED_BYTES >> 20;
                let what = format!(
                    "expected a tensor of its own, got '{own}', of which {shared} MiB are shared already"
                );
                return Err(CheckpointError::node(cell.node.label(), what));
            }
        }
    }
    Ok(())
}

/// Whether a node is this operation of ONNX itself.
fn is(node: &NodeProto, op_type: &str) -> bool {
    node.op_type == op_type && node.is_standard()
}

/// The saved configuration, which must agree with that of the nodes, or else the latter.
fn configuration(graph: &Graph, inferred: Config) -> Result<Config, CheckpointError> {
    let Some(entry) = graph.metadata.iter().find(|entry| entry.key == TEXT_NAME) else {
        inferred.check()?;
        return Ok(inferred);
    };
    let saved = Config::from_json(&entry.value).map_err(CheckpointError::from);
    saved
        .and_then(|saved| refuse_contradiction(&inferred, saved, &["dropout"]))
        .map_err(|error| error.within(TEXT_NAME))
}

/// The operator set, if it has today's RNN; else what is wrong.
fn opset(graph: &Graph) -> Result<i64, String> {
    let got = || graph.opset.map_or("none".to_owned(), |opset| opset.to_string());
    let known = graph.opset.filter(|&opset| opset >= MIN_OPSET);
    known.ok_or_else(|| format!("expected opset {MIN_OPSET} or above, got {}", got()))
}

/// The nodes around the layer that multiply matrices, as those of a linear layer do.
fn products(graph: &Graph, chain: &[&NodeProto]) -> Vec<String> {
    let products = others(graph, chain).into_iter();
    let products = products.filter(|node| is(node, "MatMul") || is(node, "Gemm"));
    products.map(|node| format!("{} '{}'", node.op_type, node.label())).collect()
}

/// The arguments that a graph holds: those of its nodes and, in a saved configuration, dropout.
fn explicit(graph: &Graph) -> Vec<String> {
    let is_saved = graph.metadata.iter().any(|entry| entry.key == TEXT_NAME);
    let names = ["nonlinearity", "batch_first", "dropout"];
    names[..if is_saved { 3 } else { 2 }].iter().map(|name| (*name).to_owned()).collect()
}

/// Numbers as f64.
fn wide(tensor: Tensor) -> ArrayD<f64> {
    match tensor {
        Tensor::F32(array) => array.mapv(f64::from),
        Tensor::F64(array) => array,
    }
}

/// Remarks for the user: the nodes that are not run, and the differences from PyTorch.
fn notes(graph: &Graph, chain: &[&NodeProto], cells: &[LayerNode<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let others = others(graph, chain);
    if !others.is_empty() {
        let (layer, others) = (shown(chain.iter().copied()), shown(others));
        notes
            .push(format!("only the layer is run, {layer}; the nodes around it are not: {others}"));
    }
    if cells.iter().any(|cell| cell.direction == "reverse") {
        notes.push("the layer runs from each sequence's last step to its first".to_owned());
    }
    for cell in cells.iter().filter(|cell| matches!(cell.state, State::Computed)) {
        let name = cell.node.label();
        notes.push(format!(
            "node '{name}': initial_h comes from other nodes of the model, which are not run: it is h_0"
        ));
    }
    notes
}

/// The nodes before and after a chain that do more than move numbers. The nodes that compute `h_0` are left out.
fn others<'a>(graph: &'a Graph, chain: &[&'a NodeProto]) -> Vec<&'a NodeProto> {
    let Some(first) = chain.first() else { return Vec::new() };
    let mut needed: HashSet<_> = first.input(0).into_iter().collect();
    let mut found: Vec<_> = Vec::new();
    for node in graph.proto.node.iter().rev() {
        if node.output.iter().any(|name| needed.contains(name.as_str())) {
            needed.extend(node.input.iter().map(String::as_str).filter(|name| !name.is_empty()));
            found.push(node);
        }
    }
    found.reverse();
    let own: HashSet<_> = chain.iter().map(|node| std::ptr::from_ref(*node)).collect();
    // Other nodes may read any layer, and not only the last.
    let outputs = chain.iter().flat_map(|node| [node.output(0), node.output(1)]);
    let mut given: HashSet<_> = outputs.flatten().collect();
    for node in &graph.proto.node {
        let reads = node.input.iter().any(|name| given.contains(name.as_str()));
        // A Shape node, such as one for the sizes of a first state, does not read the numbers.
        if reads && node.op_type != "Shape" && !own.contains(&std::ptr::from_ref(node)) {
            given.extend(node.output.iter().map(String::as_str).filter(|name| !name.is_empty()));
            // Concat joins the layers' states to h_n, and Gather selects the last step.
            if !matches!(node.op_type.as_str(), "Concat" | "Gather") {
                found.push(node);
            }
        }
    }
    found.retain(|node| !trace::is_move(node));
    found
}

/// Nodes as notes and errors show them.
fn shown<'a>(nodes: impl IntoIterator<Item = &'a NodeProto>) -> String {
    let names = nodes.into_iter().map(|node| format!("{} '{}'", node.op_type, node.label()));
    listed(names, MAX_LISTED)
}
