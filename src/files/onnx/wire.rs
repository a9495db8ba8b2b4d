//! The bytes of a model, held against its messages before anything is made of them: every length lies
//! within what is there, every text is UTF-8, and there are not so many fields that a small file would
//! become large in memory. What is wrong is named by its node or tensor.
//!
//! A decoder checks lengths as well, but it cannot say in which of a thousand nodes it was, and it makes
//! a structure of two hundred bytes out of two.

use crate::files::error::FileError;
use crate::files::escaped;

/// Most fields of a model, its numbers aside: some times as many as large models have. In memory they take
/// up to 200 bytes each.
const MAX_FIELDS: usize = 1 << 18;

/// Bytes that the numbers of a model's varints may take in memory beyond those of the file: a byte of it can
/// become one of eight.
const MAX_DECODED: usize = 64 << 20;

/// A kind of message, as far as its fields are checked.
struct Message {
    /// What one of them is called in errors.
    called: &'static str,
    /// The field that holds its name.
    name: u64,
    fields: &'static [(u64, Kind)],
}

/// What a field holds, where that matters.
#[derive(Clone, Copy)]
enum Kind {
    Message(&'static Message),
    Text,
    /// Integers, or many of them in one piece.
    Integers,
    /// Numbers of a tensor in one piece, each of which takes so many bytes in memory.
    Numbers(usize),
}

use Kind::{Integers, Numbers, Text};

const ENTRY: Message = Message { called: "entry", name: 1, fields: &[(1, Text), (2, Text)] };
const OPSET: Message = Message { called: "opset", name: 1, fields: &[(1, Text)] };
const TENSOR: Message = Message {
    called: "tensor",
    name: 8,
    fields: &[(1, Integers), (5, Numbers(4)), (7, Numbers(8)), (8, Text)],
};
const ATTRIBUTE: Message = Message {
    called: "attribute",
    name: 1,
    fields: &[(1, Text), (5, Kind::Message(&TENSOR)), (8, Integers)],
};
const NODE: Message = Message {
    called: "node",
    name: 3,
    fields: &[
        (1, Text),
        (2, Text),
        (3, Text),
        (4, Text),
        (5, Kind::Message(&ATTRIBUTE)),
        (7, Text),
    ],
};
const DIMENSION: Message = Message { called: "dimension", name: 2, fields: &[(2, Text)] };
const SHAPE: Message =
    Message { called: "shape", name: 0, fields: &[(1, Kind::Message(&DIMENSION))] };
const TENSOR_TYPE: Message =
    Message { called: "type", name: 0, fields: &[(2, Kind::Message(&SHAPE))] };
const TYPE: Message =
    Message { called: "type", name: 0, fields: &[(1, Kind::Message(&TENSOR_TYPE))] };
const VALUE: Message =
    Message { called: "value", name: 1, fields: &[(1, Text), (2, Kind::Message(&TYPE))] };
const GRAPH: Message = Message {
    called: "graph",
    name: 0,
    fields: &[
        (1, Kind::Message(&NODE)),
        (2, Text),
        (5, Kind::Message(&TENSOR)),
        (11, Kind::Message(&VALUE)),
        (12, Kind::Message(&VALUE)),
    ],
};
const MODEL: Message = Message {
    called: "model",
    name: 0,
    fields: &[
        (2, Text),
        (3, Text),
        (7, Kind::Message(&GRAPH)),
        (8, Kind::Message(&OPSET)),
        (14, Kind::Message(&ENTRY)),
    ],
};

/// Checks the bytes of a whole model.
pub(super) fn check(bytes: &[u8], place: &str) -> Result<(), FileError> {
    let mut left = Left { fields: MAX_FIELDS, decoded: bytes.len().saturating_add(MAX_DECODED) };
    message(&MODEL, 0, bytes, &mut left).map_err(|Wrong { path, what }| {
        let within = |place, part: &String| format!("{place}: {part}");
        FileError::Malformed { place: path.iter().rev().fold(place.to_owned(), within), what }
    })
}

/// What a model may still have.
struct Left {
    fields: usize,
    /// Bytes of memory for numbers that are shorter in the file.
    decoded: usize,
}

impl Left {
    fn take_fields(&mut self, count: usize) -> Result<(), String> {
        let left = self.fields.checked_sub(count);
        self.fields =
            left.ok_or_else(|| format!("expected at most {MAX_FIELDS} fields in all, got more"))?;
        Ok(())
    }

    fn take_decoded(&mut self, numbers: &[u8], size: usize) -> Result<(), String> {
        // The last byte of each has its highest bit clear.
        let count = numbers.iter().filter(|&byte| byte & 0x80 == 0).count();
        let left = self.decoded.checked_sub(count.saturating_mul(size));
        self.decoded = left.ok_or_else(|| {
            let more = MAX_DECODED >> 20;
            format!("expected numbers of at most {more} MiB more than the file has, got more")
        })?;
        Ok(())
    }
}

/// What is wrong, and the messages around it, from the inside out.
struct Wrong {
    path: Vec<String>,
    what: String,
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Wrong { path: Vec::new(), what }
    }
}

/// Checks the index-th message of a kind, and those within it: the table above says how deep they go.
fn message(kind: &Message, index: usize, bytes: &[u8], left: &mut Left) -> Result<(), Wrong> {
    let mut name = None;
    check_fields(kind, bytes, left, &mut name).map_err(|mut wrong| {
        if kind.name > 0 {
            let name = name.map(|name| format!(" '{}'", escaped(name)));
            wrong.path.push(format!("{} {index}{}", kind.called, name.unwrap_or_default()));
        }
        wrong
    })
}

/// Checks the fields of a message, and notes its name.
fn check_fields<'a>(
    kind: &Message,
    mut bytes: &'a [u8],
    left: &mut Left,
    name: &mut Option<&'a str>,
) -> Result<(), Wrong> {
    let mut counts = vec![0; kind.fields.len()];
    while !bytes.is_empty() {
        let (number, payload) = field(&mut bytes)?;
        left.take_fields(1)?;
        let at = kind.fields.iter().position(|(known, _)| *known == number);
        if let (Some(at), Some(payload)) = (at, payload) {
            match kind.fields[at].1 {
                Kind::Message(inner) => message(inner, counts[at], payload, left)?,
                Text => {
                    let text = std::str::from_utf8(payload).map_err(|_| {
                        format!("field {number}: expected UTF-8 text, got other bytes")
                    })?;
                    if number == kind.name {
                        *name = Some(text);
                    }
                }
                Integers => left.take_fields(payload.len())?,
                Numbers(size) => left.take_decoded(payload, size)?,
            }
            counts[at] += 1;
        }
    }
    Ok(())
}

/// Takes a field off the front: its number, and its bytes where it has a length.
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

/// Takes an integer off the front: seven bits in each byte, the lowest first, and a bit that says whether
/// there is more.
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

    /// A model with one tensor, whose numbers stand in this field.
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
    fn numbers_take_no_more_memory_than_the_file_and_some() {
        // Of n bytes, four times as many are n + 64 MiB where n is a third of that.
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
    fn a_long_list_of_integers_is_no_list_of_fields() {
        assert!(check(&with_numbers(7, &vec![1; MAX_FIELDS + 1]), "m.onnx").is_ok());
        let error = check(&with_numbers(1, &vec![1; MAX_FIELDS + 1]), "m.onnx").unwrap_err();
        let what = "expected at most 262144 fields in all, got more";
        assert_eq!(error.to_string(), format!("m.onnx: tensor 0: {what}"));
    }
}
