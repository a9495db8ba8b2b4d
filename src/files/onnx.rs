//! .onnx: graphs of operations, read and written. What the operations mean is not known here.
//!
//! A file is read whole, and its bytes are checked ([`wire`]) before anything is made of them. Subgraphs,
//! which the bodies of loops are, are skipped.

mod messages;
mod node;
mod tensor;
mod wire;

use std::collections::HashSet;

use prost::Message;
use prost::bytes::Bytes;

use super::source::Opened;
use super::{Sink, StoredType, escaped};
use crate::files::error::FileError;
use crate::memory::reserved;

use messages::{
    DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
pub use node::{Attribute, Node};
pub use tensor::GraphTensor;

/// The version of the format that is written: the one that came with opset 14.
const IR_VERSION: i64 = 7;
/// Who has written it.
const PRODUCER: &str = "rnn";
/// Most bytes of a message of protobuf.
const MAX_BYTES: usize = i32::MAX as usize;

/// A model's graph. Names are escaped where they come in, because messages show them.
///
/// ```
/// use elman::files::{Accepts, File, Source, open};
///
/// let file = Source::parse("fixtures/sine/rnn.onnx".as_ref());
/// let File::Graph(graph) = open(&file, Accepts::Model)? else { panic!("{file} is a graph") };
/// let inputs: Vec<_> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
/// let layers = graph.nodes.iter().filter(|node| node.op_type == "RNN").count();
/// assert_eq!((inputs[0], layers), ("input", 2));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The file, for messages.
    pub place: String,
    /// The version of the standard operators; none where the model does not say it.
    pub opset: Option<i64>,
    /// The operations, each behind those that it depends on.
    pub nodes: Vec<Node>,
    /// The initializers, and the values of Constant nodes, which are no nodes here.
    pub tensors: Vec<GraphTensor>,
    /// What is given to the model. Those that are also tensors have a default.
    pub inputs: Vec<Value>,
    /// What the model gives back.
    pub outputs: Vec<Value>,
    /// Texts beside the graph, by name.
    pub metadata: Vec<(String, String)>,
}

/// An input or an output of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// The type of its numbers; none where it is unknown, or no tensor of numbers.
    pub stored: Option<StoredType>,
    /// Its sizes.
    pub sizes: Vec<Size>,
}

/// A size of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// Always the same.
    Fixed(usize),
    /// Any, under a name, which may be empty.
    Any(String),
}

impl Graph {
    /// Reads a model to its end.
    pub(super) fn read(opened: Opened, place: String) -> Result<Self, FileError> {
        let bytes = opened.read_whole("model", &place)?;
        wire::check(&bytes, &place)?;
        // What the bytes hold is not copied: numbers stay where they are.
        let model = ModelProto::decode(Bytes::from(bytes))
            .map_err(|error| FileError::malformed(&place, error.to_string()))?;
        let standard = |set: &&OperatorSetIdProto| matches!(&*set.domain, "" | "ai.onnx");
        let Some(graph) = model.graph else {
            return Err(FileError::malformed(&place, "expected a model with a graph, got none"));
        };
        let mut tensors = Vec::new();
        for tensor in graph.initializer {
            let name = tensor.name.clone();
            tensors.push(GraphTensor::new(tensor, &name, &place));
        }
        let mut nodes = Vec::new();
        for node in graph.node {
            let node = Node::new(node, &place);
            match node.constant(&place) {
                Some(tensor) => tensors.push(tensor),
                None => nodes.push(node),
            }
        }
        let metadata = model.metadata_props.into_iter();
        let graph = Graph {
            opset: model.opset_import.iter().find(standard).map(|set| set.version),
            nodes,
            tensors,
            inputs: graph.input.into_iter().map(Value::new).collect(),
            outputs: graph.output.into_iter().map(Value::new).collect(),
            metadata: metadata.map(|entry| (escaped(&entry.key), entry.value)).collect(),
            place,
        };
        graph.refuse_double_names()?;
        Ok(graph)
    }

    /// Refuses two things under one name: it would be open which of them is meant.
    fn refuse_double_names(&self) -> Result<(), FileError> {
        let outputs = self.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str);
        let names = self.tensors.iter().map(GraphTensor::name).chain(outputs);
        let mut seen = HashSet::new();
        let double = names.filter(|name| !name.is_empty()).find(|name| !seen.insert(*name));
        double.map_or(Ok(()), |name| {
            let what = format!("two values have the same name, '{name}'");
            Err(FileError::malformed(&self.place, what))
        })
    }

    /// Writes the model through a sink. The same graph gives the same bytes.
    ///
    /// # Errors
    /// [`FileError::OutOfMemory`], [`FileError::Write`], and [`FileError::Malformed`] where the model has more bytes than
    /// the format can hold.
    pub fn write(self, sink: &mut Sink) -> Result<(), FileError> {
        let model = self.into_proto();
        let len = model.encoded_len();
        check_len(len, &sink.place)?;
        let mut bytes = reserved(len, "model")?;
        sink.write(|file| {
            model.encode(&mut bytes)?;
            file.write_all(&bytes)
        })
    }

    fn into_proto(self) -> ModelProto {
        let metadata = self.metadata.into_iter();
        let version = self.opset.unwrap_or_default();
        let graph = GraphProto {
            node: self.nodes.into_iter().map(Node::into_proto).collect(),
            name: PRODUCER.to_owned(),
            initializer: self.tensors.into_iter().map(GraphTensor::into_proto).collect(),
            input: self.inputs.into_iter().map(Value::into_proto).collect(),
            output: self.outputs.into_iter().map(Value::into_proto).collect(),
        };
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: PRODUCER.to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version }],
            metadata_props: metadata
                .map(|(key, value)| StringStringEntryProto { key, value })
                .collect(),
        }
    }
}

impl Value {
    fn new(proto: ValueInfoProto) -> Self {
        let tensor = proto.r#type.and_then(|kind| kind.tensor_type).unwrap_or_default();
        let size = |dim: DimensionProto| match dim.dim_value.map(usize::try_from) {
            Some(Ok(size)) => Size::Fixed(size),
            _ => Size::Any(escaped(&dim.dim_param.unwrap_or_default())),
        };
        Value {
            name: escaped(&proto.name),
            stored: tensor::stored_type(tensor.elem_type),
            sizes: tensor.shape.unwrap_or_default().dim.into_iter().map(size).collect(),
        }
    }

    fn into_proto(self) -> ValueInfoProto {
        let dim = |size| match size {
            Size::Fixed(size) => {
                DimensionProto { dim_value: i64::try_from(size).ok(), dim_param: None }
            }
            Size::Any(name) => DimensionProto { dim_value: None, dim_param: Some(name) },
        };
        let tensor_type = TensorTypeProto {
            elem_type: self.stored.map_or(0, tensor::data_type),
            shape: Some(TensorShapeProto { dim: self.sizes.into_iter().map(dim).collect() }),
        };
        let kind = TypeProto { tensor_type: Some(tensor_type) };
        ValueInfoProto { name: self.name, r#type: Some(kind) }
    }
}

/// Refuses a model that is too long for its format, before memory is asked for.
fn check_len(len: usize, place: &str) -> Result<(), FileError> {
    if len <= MAX_BYTES {
        return Ok(());
    }
    let what =
        format!("expected a model of at most {MAX_BYTES} bytes, which .onnx holds, got {len}");
    Err(FileError::Malformed { place: place.to_owned(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_too_long_is_no_failed_write() {
        assert!(check_len(MAX_BYTES, "m.onnx").is_ok());
        let error = check_len(MAX_BYTES + 1, "m.onnx").unwrap_err();
        assert!(matches!(error, FileError::Malformed { .. }));
        let what =
            "expected a model of at most 2147483647 bytes, which .onnx holds, got 2147483648";
        assert_eq!(error.to_string(), format!("m.onnx: {what}"));
    }
}
