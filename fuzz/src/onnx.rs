//! Graphs, up to the layer in one. What has been read and written stays the same when that is done again.

use elman::Checkpoint;
use elman::files::proto::NodeProto;
use elman::files::{Accepts, File, Graph, Source, open};

use super::{pipe, scratch, ways, weights};

pub fn run(data: &[u8]) {
    // Field 1 of a model, a small number; others have targets of their own.
    if data.first() != Some(&0x08) {
        return;
    }
    pipe::check(data);
    let Some(graph) = read(&scratch::source(data)) else { return };
    weights::check(Checkpoint::of_graph(&graph, None, None));
    for tensor in &graph.proto.initializer {
        ways::printable(&tensor.name);
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
    let nodes = graph.proto.node.iter().flat_map(node_texts);
    let values = graph.proto.input.iter().chain(&graph.proto.output).map(|value| &*value.name);
    let tensors = graph.proto.initializer.iter().map(|tensor| &*tensor.name);
    nodes.chain(values).chain(tensors)
}

fn node_texts(node: &NodeProto) -> Vec<&str> {
    let mut texts = vec![node.op_type.as_str(), &node.name, &node.domain];
    texts.extend(node.input.iter().chain(&node.output).map(String::as_str));
    // The tensor of an attribute has its name.
    texts.extend(node.attribute.iter().filter_map(|own| Some(&*own.t.as_ref()?.name)));
    texts
}
