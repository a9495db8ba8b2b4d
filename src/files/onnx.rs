//! .onnx: graphs of operations, read and written. This module does not know what the operations mean.
//!
//! A model is read whole, and [`wire`] checks its bytes before they are decoded. Subgraphs, such as the bodies
//! of loops, are skipped.

mod external;
pub mod proto;
mod tensor;
mod wire;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;

use super::budget::Budget;
use super::source::Opened;
use super::{Sink, escaped};
use crate::files::error::FileError;
use crate::memory::reserved;

pub(crate) use tensor::stored_type;

use proto::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
};

/// The version of the format that is written: that of opset 14.
const IR_VERSION: i64 = 7;
/// The producer that a written model names.
const PRODUCER: &str = "rnn";
/// Most bytes of a protobuf message.
const MAX_BYTES: usize = i32::MAX as usize;

/// A model's graph. Names of nodes, values and tensors are escaped when they are read, because messages show them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The file, for messages.
    pub place: String,
    /// The folder of the file, if numbers stand in other files there; `None` for a stream.
    pub folder: Option<PathBuf>,
    /// The version of the standard operators; `None` if the model does not contain it.
    pub opset: Option<i64>,
    /// Each node is after those that it reads from. The values of Constant nodes are among the initializers. An input
    /// that is also an initializer has a default.
    pub proto: GraphProto,
    /// Texts beside the graph.
    pub metadata: Vec<StringStringEntryProto>,
}

impl Graph {
    /// Reads a model to its end.
    pub(super) fn open(
        opened: Opened,
        place: String,
        path: Option<&Path>,
        budget: &mut Budget,
    ) -> Result<Self, FileError> {
        let is_file = matches!(opened, Opened::File(..));
        if let Opened::File(file, len) = &opened {
            check_len(usize::try_from(*len).unwrap_or(usize::MAX), &place)?;
            wire::check_file(file, *len, &place)?;
        }
        let bytes = opened.read_whole("model", &place)?;
        wire::check(&bytes, budget, &place)?;
        // `Bytes` shares its memory with the tensors: their numbers are not copied.
        let model = ModelProto::decode(Bytes::from(bytes))
            .map_err(|error| FileError::malformed(&place, error.to_string()))?;
        let standard = |set: &&OperatorSetIdProto| matches!(&*set.domain, "" | "ai.onnx");
        let opset = model.opset_import.iter().find(standard).map(|set| set.version);
        let Some(mut proto) = model.graph else {
            return Err(FileError::malformed(&place, "expected a model with a graph, got none"));
        };
        let GraphProto { node, initializer, input, output, .. } = &mut proto;
        node.iter_mut().for_each(escape_names);
        let values = input.iter_mut().chain(output).map(|value| &mut value.name);
        initializer.iter_mut().map(|tensor| &mut tensor.name).chain(values).for_each(escape);
        node.retain(|node| node.constant().map(|tensor| initializer.push(tensor)).is_none());
        let path = path.filter(|_| is_file && initializer.iter().any(TensorProto::is_external));
        let folder = path.map(|path| path.parent().unwrap_or(Path::new("")).to_owned());
        let graph = Graph { place, folder, opset, proto, metadata: model.metadata_props };
        graph.refuse_double_names()?;
        Ok(graph)
    }

    /// Rejects two values with the same name, which would be ambiguous.
    fn refuse_double_names(&self) -> Result<(), FileError> {
        let outputs = self.proto.node.iter().flat_map(|node| &node.output);
        let names = self.proto.initializer.iter().map(|tensor| &tensor.name).chain(outputs);
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
    /// [`FileError::OutOfMemory`], [`FileError::Write`], and [`FileError::Malformed`] if the model has more bytes
    /// than the format can hold.
    pub fn write(self, sink: &mut Sink) -> Result<(), FileError> {
        let version = self.opset.unwrap_or_default();
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: PRODUCER.to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(GraphProto { name: PRODUCER.to_owned(), ..self.proto }),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version }],
            metadata_props: self.metadata,
        };
        let len = model.encoded_len();
        check_len(len, &sink.place)?;
        let mut bytes = reserved(len, "model")?;
        sink.write(|file| {
            model.encode(&mut bytes)?;
            file.write_all(&bytes)
        })
    }
}

fn escape_names(node: &mut NodeProto) {
    for attribute in &mut node.attribute {
        if let Some(tensor) = &mut attribute.t {
            tensor.name = escaped(&attribute.name);
        }
    }
    let names = node.input.iter_mut().chain(&mut node.output);
    names.chain([&mut node.name, &mut node.op_type, &mut node.domain]).for_each(escape);
}

fn escape(name: &mut String) {
    *name = escaped(name);
}

/// Rejects a model that is too long for its format, before memory is allocated.
fn check_len(len: usize, place: &str) -> Result<(), FileError> {
    if len <= MAX_BYTES {
        return Ok(());
    }
    let what =
        format!("expected a model of at most {MAX_BYTES} bytes, which .onnx holds, got {len}");
    Err(FileError::malformed(place, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_too_long_is_malformed() {
        assert!(check_len(MAX_BYTES, "m.onnx").is_ok());
        let error = check_len(MAX_BYTES + 1, "m.onnx").unwrap_err();
        assert!(matches!(error, FileError::Malformed { .. }));
        let what =
            "expected a model of at most 2147483647 bytes, which .onnx holds, got 2147483648";
        assert_eq!(error.to_string(), format!("m.onnx: {what}"));
    }
}
