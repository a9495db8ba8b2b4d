//! Checks the bytes of a model before they are decoded: every length lies within the file, every text is UTF-8,
//! and the number of fields is limited, so that a small file cannot become large in memory. Errors name the node
//! or the tensor.
//!
//! A decoder checks lengths as well, but its error does not name the node, and it makes a structure of two
//! hundred bytes out of two.

use std::collections::HashMap;

use crate::files::error::FileError;
use crate::files::escaped;

/// Most fields of a model, its numbers excepted: several times those of large models. A field takes up to
/// 200 bytes of memory.
const MAX_FIELDS: usize = 1 << 18;

/// Most bytes by which the decoded varints of a model may exceed the file: one byte of it can become a number
/// of eight.
const MAX_DECODED: usize = 64 << 20;

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

pub(super) fn check(bytes: &[u8], place: &str) -> Result<(), FileError> {
    let decoded = bytes.len().saturating_add(MAX_DECODED);
    let mut budget = Budget { fields: MAX_FIELDS, decoded };
    check_fields(Message::Model, bytes, &mut budget, &mut None)
        .map_err(|what| FileError::malformed(place, what))
}

/// The fields and bytes that the rest of a model may have.
struct Budget {
    fields: usize,
    /// Bytes of memory for decoded numbers.
    decoded: usize,
}

impl Budget {
    fn take(&mut self, fields: usize, decoded: usize) -> Result<(), String> {
        let left = self.fields.checked_sub(fields);
        self.fields =
            left.ok_or_else(|| format!("expected at most {MAX_FIELDS} fields in all, got more"))?;
        let (left, more) = (self.decoded.checked_sub(decoded), MAX_DECODED >> 20);
        self.decoded = left.ok_or_else(|| {
            format!("expected numbers of at most {more} MiB more than the file has, got more")
        })?;
        Ok(())
    }
}

/// Checks the index-th message of its kind and those within it. [`Message::content`] limits the depth.
fn check_message(
    message: Message,
    index: usize,
    bytes: &[u8],
    budget: &mut Budget,
) -> Result<(), String> {
    use Message::{Graph, Shape, TensorType, Type};
    let mut name = None;
    check_fields(message, bytes, budget, &mut name).map_err(|what| {
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
    budget: &mut Budget,
    name: &mut Option<&'a str>,
) -> Result<(), String> {
    let mut counts = HashMap::new();
    while !bytes.is_empty() {
        let (number, payload) = field(&mut bytes)?;
        let content = message.content(number).zip(payload);
        let (integers, decoded) = match content {
            Some((Content::Integers, list)) => (list.len(), 0),
            // The last byte of a varint has its highest bit clear.
            Some((Content::Numbers(size), list)) => {
                (0, list.iter().filter(|&byte| byte & 0x80 == 0).count().saturating_mul(size))
            }
            _ => (0, 0),
        };
        budget.take(1 + integers, decoded)?;
        match content {
            Some((Content::Inner(inner), payload)) => {
                let count = counts.entry(number).or_insert(0);
                check_message(inner, *count, payload, budget)?;
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
    let key = varint(bytes)?;
    let number = key >> 3;
    let fixed = match key & 7 {
        0 => {
            varint(bytes)?;
            return Ok((number, None));
        }
        1 => 8,
        2 => varint(bytes)?,
        5 => 4,
        other => {
            return Err(format!("field {number}: expected wire type 0, 1, 2 or 5, got {other}"));
        }
    };
    let taken = usize::try_from(fixed).ok().and_then(|len| bytes.split_off(..len));
    let got = bytes.len();
    let missing = || format!("field {number}: expected {fixed} bytes, got {got}");
    let taken = taken.ok_or_else(missing)?;
    Ok((number, (key & 7 == 2).then_some(taken)))
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

    #[test]
    fn decoded_numbers_are_limited() {
        // n bytes of four decoded ones each are n + 64 MiB if n is a third of 64 MiB.
        let most = MAX_DECODED / 3;
        assert!(check(&with_numbers(5, &vec![1; most]), "m.onnx").is_ok());
        let error = check(&with_numbers(5, &vec![1; most + 1000]), "m.onnx").unwrap_err();
        let what = "expected numbers of at most 64 MiB more than the file has, got more";
        assert_eq!(error.to_string(), format!("m.onnx: tensor 0: {what}"));
        assert!(check(&with_numbers(7, &vec![1; most]), "m.onnx").is_err());
        // Numbers of ten bytes become shorter.
        let long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1].repeat(most / 5);
        assert!(check(&with_numbers(7, &long), "m.onnx").is_ok());
    }

    #[test]
    fn only_short_lists_of_integers_count_as_fields() {
        assert!(check(&with_numbers(7, &vec![1; MAX_FIELDS + 1]), "m.onnx").is_ok());
        let error = check(&with_numbers(1, &vec![1; MAX_FIELDS + 1]), "m.onnx").unwrap_err();
        let what = "expected at most 262144 fields in all, got more";
        assert_eq!(error.to_string(), format!("m.onnx: tensor 0: {what}"));
    }
}
