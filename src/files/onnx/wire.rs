//! Checks the bytes of a model before they are decoded: every length lies within the file, every text is UTF-8,
//! and the number of fields is limited, so that a small file cannot become large in memory. Errors name the node
//! or the tensor.
//!
//! A decoder checks lengths as well, but its error does not name the node, and it makes a structure of two
//! hundred bytes out of two.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use super::proto;
use crate::files::budget::{BUILT_BYTES, Budget, OverBudget};
use crate::files::error::FileError;
use crate::files::escaped;
use crate::files::handle::{FileCursor, Handle, read_full};

/// Most fields of a model, its numbers excepted: several times those of large models. A field takes up to
/// 200 bytes of memory.
const MAX_FIELDS: usize = 1 << 18;

/// Bytes that a text takes beside the string: the allocator's share, and its place in sets of names.
const TEXT_BYTES: usize = 64;

/// Files and messages beyond this size are looked into before a file is read: a guess, far above most nodes.
const SMALL_BYTES: u64 = 1 << 20;

/// A message of `onnx.proto`, as far as its fields are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Shape,
    Dimension,
    Opset,
    Entry,
}

/// The content of a field that is checked.
#[derive(Clone, Copy)]
enum Content {
    Inner(Message),
    Text,
    /// A text that names the message in errors.
    Name,
    /// Integers, or many of them in one piece.
    Integers,
    /// Numbers of a tensor in one piece, and the bytes that each of them takes in memory.
    Numbers(usize),
}

impl Message {
    /// Bytes of a decoded message without what it points to, and for a node its share of maps of names.
    fn bytes(self) -> usize {
        match self {
            Message::Model | Message::Graph => 0,
            Message::Node => size_of::<proto::NodeProto>() + TEXT_BYTES,
            Message::Attribute => size_of::<proto::AttributeProto>(),
            Message::Tensor => size_of::<proto::TensorProto>(),
            Message::Value => size_of::<proto::ValueInfoProto>(),
            Message::Type | Message::TensorType | Message::Shape => 64,
            Message::Dimension => size_of::<proto::DimensionProto>(),
            Message::Opset => size_of::<proto::OperatorSetIdProto>(),
            Message::Entry => size_of::<proto::StringStringEntryProto>(),
        }
    }

    /// The content of a field, by its number; `None` if it is not checked.
    fn content(self, number: u64) -> Option<Content> {
        use Content::{Inner, Integers, Name, Numbers, Text};
        use Message::{
            Attribute, Dimension, Entry, Graph, Model, Node, Opset, Shape, Tensor, TensorType,
            Type, Value,
        };
        Some(match (self, number) {
            (Model, 7) => Inner(Graph),
            (Model, 8) => Inner(Opset),
            (Model, 14) | (Tensor, 13) => Inner(Entry),
            (Graph, 1) => Inner(Node),
            (Graph | Attribute, 5) => Inner(Tensor),
            (Graph, 11 | 12) => Inner(Value),
            (Node, 5) => Inner(Attribute),
            (Value, 2) => Inner(Type),
            (Type, 1) => Inner(TensorType),
            (TensorType, 2) => Inner(Shape),
            (Shape, 1) => Inner(Dimension),
            (Attribute, 8) | (Tensor, 1) => Integers,
            (Tensor, 5) => Numbers(4),
            (Tensor, 7) => Numbers(8),
            (Attribute | Value | Opset | Entry, 1) | (Dimension, 2) | (Node, 3) | (Tensor, 8) => {
                Name
            }
            (Model, 2 | 3) | (Graph | Entry, 2) | (Node, 1 | 2 | 4 | 7) => Text,
            _ => return None,
        })
    }
}

pub(super) fn check(bytes: &[u8], budget: &mut Budget, place: &str) -> Result<(), FileError> {
    let mut limits = Limits { fields: MAX_FIELDS, budget };
    check_fields(Message::Model, bytes, &mut limits, &mut None)
        .map_err(|what| FileError::malformed(place, what))
}

/// Checks the large messages of a file before it is read: one with holes has gigabytes of zeros behind a few fields.
pub(super) fn check_file(file: &Handle, len: u64, place: &str) -> Result<(), FileError> {
    if len <= SMALL_BYTES {
        return Ok(());
    }
    let checked = check_outline(Message::Model, file, 0..len, &mut { MAX_FIELDS });
    checked.map_err(|error| match error.kind() {
        ErrorKind::InvalidData => FileError::malformed(place, error.to_string()),
        _ => FileError::reading(place)(error),
    })
}

/// Checks the heads of a message's fields in a file, and the large messages within it. Other fields are limited, except
/// those of a tensor, which may be its numbers.
fn check_outline(
    message: Message,
    file: &Handle,
    mut part: Range<u64>,
    fields: &mut usize,
) -> io::Result<()> {
    let invalid = |what: String| io::Error::new(ErrorKind::InvalidData, what);
    while !part.is_empty() {
        *fields = fields.checked_sub(1).ok_or_else(|| invalid(too_many_fields()))?;
        // The number of the field, and its length or value.
        let mut bytes = [0; 20];
        let cursor = FileCursor { file, at: part.start };
        let got = read_full(&mut cursor.take(part.end - part.start), &mut bytes)?;
        let mut rest = &bytes[..got];
        let whole = rest.len();
        let (number, sized, len) = head(&mut rest).map_err(invalid)?;
        part.start += (whole - rest.len()) as u64;
        let end = part.start.checked_add(len).filter(|&end| end <= part.end);
        let end = end.ok_or_else(|| invalid(missing(number, len, part.end - part.start)))?;
        if len > SMALL_BYTES && sized {
            match message.content(number) {
                Some(Content::Inner(inner)) => {
                    check_outline(inner, file, part.start..end, fields)?;
                }
                _ if message != Message::Tensor && len > BUILT_BYTES as u64 => {
                    return Err(OverBudget.into());
                }
                _ => {}
            }
        }
        part.start = end;
    }
    Ok(())
}

fn too_many_fields() -> String {
    format!("expected at most {MAX_FIELDS} fields in all, got more")
}

/// The fields and bytes of memory that the rest of a model may have.
struct Limits<'a> {
    fields: usize,
    budget: &'a mut Budget,
}

impl Limits<'_> {
    fn take(&mut self, fields: usize, bytes: usize) -> Result<(), String> {
        let left = self.fields.checked_sub(fields);
        self.fields = left.ok_or_else(too_many_fields)?;
        Ok(self.budget.charge(bytes)?)
    }
}

/// Bytes of memory for the content of a field, in a list that doubles its memory.
fn built(content: Content, payload: &[u8]) -> usize {
    match content {
        Content::Inner(inner) => 2 * inner.bytes(),
        // The text, and its form in messages.
        Content::Text | Content::Name => 2 * (size_of::<String>() + payload.len()) + TEXT_BYTES,
        Content::Integers => 2 * size_of::<i64>() * payload.len(),
        // The last byte of a varint has its highest bit clear. The bytes of the file are not counted.
        Content::Numbers(size) => {
            let count = payload.iter().filter(|&byte| byte & 0x80 == 0).count();
            count.saturating_mul(size).saturating_sub(payload.len())
        }
    }
}

/// Checks the index-th message of its kind and those within it. [`Message::content`] limits the depth.
fn check_message(
    message: Message,
    index: usize,
    bytes: &[u8],
    limits: &mut Limits<'_>,
) -> Result<(), String> {
    use Message::{Graph, Shape, TensorType, Type};
    let mut name = None;
    check_fields(message, bytes, limits, &mut name).map_err(|what| {
        if matches!(message, Graph | Type | TensorType | Shape) {
            return what;
        }
        let kind = format!("{message:?}").to_lowercase();
        let name = name.map(|name| format!(" '{}'", escaped(name))).unwrap_or_default();
        format!("{kind} {index}{name}: {what}")
    })
}

/// Checks the fields of a message, and sets its name.
fn check_fields<'a>(
    message: Message,
    mut bytes: &'a [u8],
    limits: &mut Limits<'_>,
    name: &mut Option<&'a str>,
) -> Result<(), String> {
    let mut counts = HashMap::new();
    while !bytes.is_empty() {
        let (number, payload) = field(&mut bytes)?;
        let content = message.content(number).zip(payload);
        let integers = match content {
            Some((Content::Integers, list)) => list.len(),
            _ => 0,
        };
        let bytes = content.map_or(0, |(content, payload)| built(content, payload));
        limits.take(1 + integers, bytes)?;
        match content {
            Some((Content::Inner(inner), payload)) => {
                let count = counts.entry(number).or_insert(0);
                check_message(inner, *count, payload, limits)?;
                *count += 1;
            }
            Some((content @ (Content::Name | Content::Text), payload)) => {
                let text = std::str::from_utf8(payload)
                    .map_err(|_| format!("field {number}: expected UTF-8 text, got other bytes"))?;
                if matches!(content, Content::Name) {
                    *name = Some(text);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes a field off the front. Returns its number, and its bytes if it has a length.
fn field<'a>(bytes: &mut &'a [u8]) -> Result<(u64, Option<&'a [u8]>), String> {
    let (number, sized, len) = head(bytes)?;
    let taken = usize::try_from(len).ok().and_then(|len| bytes.split_off(..len));
    let taken = taken.ok_or_else(|| missing(number, len, bytes.len() as u64))?;
    Ok((number, sized.then_some(taken)))
}

/// Takes the head of a field off the front. Returns its number, whether it has a length, and the bytes that follow.
fn head(bytes: &mut &[u8]) -> Result<(u64, bool, u64), String> {
    let key = varint(bytes)?;
    let number = key >> 3;
    let len = match key & 7 {
        _ if number == 0 => return Err("expected a field, got number 0".to_owned()),
        0 => varint(bytes).map(|_| 0)?,
        1 => 8,
        2 => varint(bytes)?,
        5 => 4,
        other => {
            return Err(format!("field {number}: expected wire type 0, 1, 2 or 5, got {other}"));
        }
    };
    Ok((number, key & 7 == 2, len))
}

fn missing(number: u64, expected: u64, got: u64) -> String {
    format!("field {number}: expected {expected} bytes, got {got}")
}

/// Takes an integer off the front: seven bits in each byte, the lowest first, and a bit that is set in all bytes
/// but the last.
fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let Some(&byte) = bytes.split_off_first() else {
            return Err("truncated varint: expected another byte, got the end".to_owned());
        };
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("varint: expected at most 10 bytes, got more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model with one tensor, which has its numbers in this field.
    fn with_numbers(number: u8, numbers: &[u8]) -> Vec<u8> {
        let within = |number: u8, payload: &[u8]| {
            let mut field = vec![number << 3 | 2];
            let mut length = payload.len();
            while length >= 0x80 {
                field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            field.push(u8::try_from(length).unwrap());
            field.extend(payload);
            field
        };
        within(7, &within(5, &within(number, numbers)))
    }

    fn checked(model: &[u8]) -> Result<(), FileError> {
        check(model, &mut Budget::default(), "m.onnx")
    }

    #[test]
    fn decoded_numbers_are_limited() {
        // n bytes of four decoded ones each are n + 64 MiB if n is a third of 64 MiB.
        let most = BUILT_BYTES / 3 - 1000;
        assert!(checked(&with_numbers(5, &vec![1; most])).is_ok());
        let error = checked(&with_numbers(5, &vec![1; most + 2000])).unwrap_err();
        let what = "expected names, headers and values within 64 MiB of memory, got more";
        assert_eq!(error.to_string(), format!("m.onnx: tensor 0: {what}"));
        assert!(checked(&with_numbers(7, &vec![1; most])).is_err());
        // Numbers of ten bytes become shorter.
        let long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1].repeat(most / 5);
        assert!(checked(&with_numbers(7, &long)).is_ok());
    }

    #[test]
    fn only_short_lists_of_integers_count_as_fields() {
        assert!(checked(&with_numbers(7, &vec![1; MAX_FIELDS + 1])).is_ok());
        let error = checked(&with_numbers(1, &vec![1; MAX_FIELDS + 1])).unwrap_err();
        let what = "expected at most 262144 fields in all, got more";
        assert_eq!(error.to_string(), format!("m.onnx: tensor 0: {what}"));
    }
}
