//! The messages of `onnx.proto` that this crate uses, under the names and numbers of that file. Fields that are
//! not declared here are skipped when a model is read.
#![allow(missing_docs, reason = "onnx.proto documents the fields")]

use prost::Message;
use prost::bytes::Bytes;

use crate::files::escaped;

#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Nodes, and the tensors that they read.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    #[prost(string, tag = "7")]
    pub domain: String,
    /// Encoded [`StringStringEntryProto`]s. They are many, and few are read.
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub metadata_props: Vec<Bytes>,
}

/// A constant of a node. An optional field is written even if it is zero, because checkers require it.
/// Subgraphs are skipped.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub s: Option<Bytes>,
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub strings: Vec<Bytes>,
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

/// A tensor. The numbers stand in `raw_data`, or in the list of their type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub raw_data: Option<Bytes>,
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// The place of the numbers outside of the model: `location`, `offset` and `length`.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// `TensorShapeProto.Dimension`: a size, or the name of a variable one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Attribute<'a> {
    Int(i64),
    Text(String),
    Ints(&'a [i64]),
    Texts(Vec<String>),
    Tensor(&'a TensorProto),
    Other,
}

impl NodeProto {
    /// The node in messages: its name, or its first named output.
    pub fn label(&self) -> &str {
        let outputs = self.output.iter().map(String::as_str);
        std::iter::once(self.name.as_str()).chain(outputs).find(|s| !s.is_empty()).unwrap_or("")
    }

    /// Whether ONNX itself defines the operation.
    pub fn is_standard(&self) -> bool {
        matches!(&*self.domain, "" | "ai.onnx")
    }

    /// The value of the attribute with this name.
    pub fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        self.attribute.iter().find(|own| own.name == name).map(AttributeProto::value)
    }

    /// A factor such as `alpha`, which is 1 by default.
    pub fn factor(&self, name: &str) -> f32 {
        self.attribute.iter().find(|own| own.name == name).map_or(1.0, |own| own.f.unwrap_or(0.0))
    }

    /// The text beside the node under this key, escaped as names are.
    pub fn metadata(&self, key: &str) -> Option<String> {
        let entries = self.metadata_props.iter();
        let mut entries = entries.flat_map(|entry| StringStringEntryProto::decode(&entry[..]));
        entries.find(|entry| entry.key == key).map(|entry| escaped(&entry.value))
    }

    /// The name of the i-th input; `None` if it is omitted.
    pub fn input(&self, index: usize) -> Option<&str> {
        self.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of the i-th output; `None` if it is omitted.
    pub fn output(&self, index: usize) -> Option<&str> {
        self.output.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The tensor of a Constant node.
    pub(super) fn constant(&self) -> Option<TensorProto> {
        let name = self.output(0).filter(|_| self.op_type == "Constant")?;
        match self.attribute.first()?.value() {
            Attribute::Tensor(tensor) => {
                Some(TensorProto { name: name.to_owned(), ..tensor.clone() })
            }
            Attribute::Ints(values) => Some(TensorProto::integers(name, values)),
            Attribute::Int(value) => {
                Some(TensorProto { dims: Vec::new(), ..TensorProto::integers(name, &[value]) })
            }
            _ => None,
        }
    }
}

impl ValueInfoProto {
    /// The sizes of a tensor; `None` for those that vary.
    pub fn sizes(&self) -> Vec<Option<i64>> {
        let shape = self.r#type.as_ref().and_then(|own| own.tensor_type.as_ref()?.shape.as_ref());
        shape.iter().flat_map(|shape| &shape.dim).map(|dim| dim.dim_value).collect()
    }
}

impl AttributeProto {
    /// The field that `AttributeProto.AttributeType` selects. Texts are escaped, as names are.
    pub fn value(&self) -> Attribute<'_> {
        let text = |bytes: &Bytes| escaped(&String::from_utf8_lossy(bytes));
        match (self.r#type, &self.t) {
            (2, _) => Attribute::Int(self.i.unwrap_or_default()),
            (3, _) => Attribute::Text(self.s.as_ref().map(text).unwrap_or_default()),
            (4, Some(tensor)) => Attribute::Tensor(tensor),
            (7, _) => Attribute::Ints(&self.ints),
            (8, _) => Attribute::Texts(self.strings.iter().map(text).collect()),
            _ => Attribute::Other,
        }
    }
}

impl From<(&str, Attribute<'_>)> for AttributeProto {
    fn from((name, value): (&str, Attribute<'_>)) -> Self {
        let proto = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
        match value {
            Attribute::Int(i) => AttributeProto { i: Some(i), r#type: 2, ..proto },
            Attribute::Text(s) => AttributeProto { s: Some(s.into()), r#type: 3, ..proto },
            Attribute::Tensor(t) => AttributeProto { t: Some(t.clone()), r#type: 4, ..proto },
            Attribute::Ints(ints) => AttributeProto { ints: ints.to_vec(), r#type: 7, ..proto },
            Attribute::Texts(texts) => {
                let strings = texts.into_iter().map(Bytes::from).collect();
                AttributeProto { strings, r#type: 8, ..proto }
            }
            Attribute::Other => proto,
        }
    }
}
