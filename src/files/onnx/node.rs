//! An operation of a graph.

use prost::bytes::Bytes;

use super::GraphTensor;
use super::messages::{AttributeProto, NodeProto};
use crate::files::escaped;

/// An operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Such as `Transpose`.
    pub op_type: String,
    /// Its name; it may be empty.
    pub name: String,
    /// Where the operation is defined; empty for the standard ones.
    pub domain: String,
    /// Names of what it reads; an empty one is left out.
    pub inputs: Vec<String>,
    /// Names of what it gives; an empty one is not wanted.
    pub outputs: Vec<String>,
    /// Its constants, by name.
    pub attributes: Vec<(String, Attribute)>,
}

/// A constant of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A number.
    Float(f32),
    /// An integer.
    Int(i64),
    /// A text.
    Text(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Texts.
    Texts(Vec<String>),
    /// A tensor.
    Tensor(GraphTensor),
    /// Anything else, a subgraph among it.
    Other,
}

impl Node {
    /// What errors call it: its name, or, where it has none, the first of its outputs.
    pub fn label(&self) -> &str {
        let outputs = self.outputs.iter().map(String::as_str);
        std::iter::once(self.name.as_str()).chain(outputs).find(|s| !s.is_empty()).unwrap_or("")
    }

    /// One of its constants.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, attribute)| attribute)
    }

    /// The name of the i-th input, where it has that.
    pub fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of the i-th output, where it is wanted.
    pub fn output(&self, index: usize) -> Option<&str> {
        self.outputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub(super) fn new(proto: NodeProto, file: &str) -> Self {
        let names = |names: Vec<String>| names.iter().map(|name| escaped(name)).collect();
        let attribute = |proto: AttributeProto| {
            let name = escaped(&proto.name);
            (name, Attribute::new(proto, file))
        };
        Node {
            op_type: escaped(&proto.op_type),
            name: escaped(&proto.name),
            domain: escaped(&proto.domain),
            inputs: names(proto.input),
            outputs: names(proto.output),
            attributes: proto.attribute.into_iter().map(attribute).collect(),
        }
    }

    /// The tensor that a Constant node stands for.
    pub(super) fn constant(&self, file: &str) -> Option<GraphTensor> {
        let name = self.output(0).filter(|_| self.op_type == "Constant")?;
        match self.attributes.first()? {
            (_, Attribute::Tensor(tensor)) => Some(tensor.renamed(name, file)),
            (_, Attribute::Ints(values)) => Some(GraphTensor::integers(name, values)),
            _ => None,
        }
    }

    pub(super) fn into_proto(self) -> NodeProto {
        let attributes = self.attributes.into_iter();
        NodeProto {
            input: self.inputs,
            output: self.outputs,
            name: self.name,
            op_type: self.op_type,
            attribute: attributes.map(|(name, attribute)| attribute.into_proto(name)).collect(),
            domain: self.domain,
        }
    }
}

impl Attribute {
    /// By `AttributeProto.AttributeType`.
    fn new(proto: AttributeProto, file: &str) -> Self {
        let text = |bytes: &Bytes| escaped(&String::from_utf8_lossy(bytes));
        match (proto.r#type, proto.t) {
            (1, _) => Attribute::Float(proto.f.unwrap_or_default()),
            (2, _) => Attribute::Int(proto.i.unwrap_or_default()),
            (3, _) => Attribute::Text(text(&proto.s.unwrap_or_default())),
            (4, Some(tensor)) => Attribute::Tensor(GraphTensor::new(tensor, &proto.name, file)),
            (7, _) => Attribute::Ints(proto.ints),
            (8, _) => Attribute::Texts(proto.strings.iter().map(text).collect()),
            _ => Attribute::Other,
        }
    }

    fn into_proto(self, name: String) -> AttributeProto {
        let proto = AttributeProto { name, ..AttributeProto::default() };
        match self {
            Attribute::Float(f) => AttributeProto { f: Some(f), r#type: 1, ..proto },
            Attribute::Int(i) => AttributeProto { i: Some(i), r#type: 2, ..proto },
            Attribute::Text(s) => AttributeProto { s: Some(s.into()), r#type: 3, ..proto },
            Attribute::Tensor(t) => AttributeProto { t: Some(t.into_proto()), r#type: 4, ..proto },
            Attribute::Ints(ints) => AttributeProto { ints, r#type: 7, ..proto },
            Attribute::Texts(texts) => {
                let strings = texts.into_iter().map(Bytes::from).collect();
                AttributeProto { strings, r#type: 8, ..proto }
            }
            Attribute::Other => proto,
        }
    }
}
