//! Graphs, up to the layer in one. What has been read and written stays the same when that is done again.

use elman::Checkpoint;
use elman::files::{Accepts, Attribute, File, Graph, GraphTensor, Node, Size, Source, Value, open};

use super::{layer, pipe, scratch, ways};

pub fn run(data: &[u8]) {
    // Field 1 of a model, a small number; others have targets of their own.
    if data.first() != Some(&0x08) {
        return;
    }
    pipe::check(data);
    let Some(graph) = read(&scratch::source(data)) else { return };
    layer::check(Checkpoint::of_graph(&graph, None, None));
    for tensor in &graph.tensors {
        ways::printable(tensor.place());
        let integers = tensor.as_integers();
        match tensor.read(None) {
            Ok(read) => {
                let header = tensor.header().unwrap();
                assert_eq!(read.shape(), header.shape);
                assert!(integers.is_none_or(|integers| integers.len() == header.count()));
            }
            Err(_) => assert_eq!(integers, None),
        }
    }
    // Names are escaped where they come in, and a backslash once more when they come in again.
    if texts(&graph).any(|text| text.contains('\\')) {
        return;
    }
    let (first, again) = write(graph);
    let again = again.expect("what was written can be read");
    assert!(first == write(again).0, "another graph after writing and reading");
}

fn read(source: &Source) -> Option<Graph> {
    match open(source, Accepts::Model) {
        Ok(File::Graph(graph)) => Some(graph),
        _ => None,
    }
}

/// The bytes that a graph is written as, and what they are read as.
fn write(graph: Graph) -> (Vec<u8>, Option<Graph>) {
    let file = scratch::written("graph.onnx", |sink| graph.write(sink).unwrap());
    (scratch::bytes(&file), read(&file))
}

/// Everything in a graph that is escaped.
fn texts(graph: &Graph) -> impl Iterator<Item = &str> {
    let nodes = graph.nodes.iter().flat_map(node_texts);
    let values = graph.inputs.iter().chain(&graph.outputs).flat_map(value_texts);
    let tensors = graph.tensors.iter().map(GraphTensor::name);
    let keys = graph.metadata.iter().map(|(key, _)| key.as_str());
    nodes.chain(values).chain(tensors).chain(keys)
}

fn node_texts(node: &Node) -> Vec<&str> {
    let mut texts = vec![node.op_type.as_str(), &node.name, &node.domain];
    texts.extend(node.inputs.iter().chain(&node.outputs).map(String::as_str));
    for (name, attribute) in &node.attributes {
        texts.push(name);
        match attribute {
            Attribute::Text(text) => texts.push(text),
            Attribute::Texts(several) => texts.extend(several.iter().map(String::as_str)),
            Attribute::Tensor(tensor) => texts.push(tensor.name()),
            _ => {}
        }
    }
    texts
}

fn value_texts(value: &Value) -> Vec<&str> {
    let sizes = value.sizes.iter().filter_map(|size| match size {
        Size::Any(name) => Some(name.as_str()),
        Size::Fixed(_) => None,
    });
    sizes.chain([value.name.as_str()]).collect()
}
