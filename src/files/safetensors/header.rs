//! The header of .safetensors: JSON, read with its duplicate names, so that they can be rejected.

use std::collections::HashSet;
use std::fmt;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::files::error::FileError;
use crate::files::header::check_size;
use crate::files::limit::MAX_AXES;
use crate::files::{StoredType, escaped};

/// The name of the header's entry for texts.
pub(super) const METADATA: &str = "__metadata__";

/// The header, with duplicate names.
#[derive(Default)]
pub(super) struct StatedHeader {
    pub(super) metadata: Vec<(String, String)>,
    pub(super) tensors: Vec<(String, StatedTensor)>,
}

/// The header's entry of one tensor.
#[derive(Deserialize)]
#[serde(expecting = "the dtype, shape and data_offsets of a tensor")]
pub(super) struct StatedTensor {
    pub(super) dtype: String,
    pub(super) shape: Axes,
    pub(super) data_offsets: (usize, usize),
}

/// The sizes of a tensor.
pub(super) struct Axes(pub(super) Vec<usize>);

impl<'de> Deserialize<'de> for StatedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StatedVisitor)
    }
}

struct StatedVisitor;

impl<'de> Visitor<'de> for StatedVisitor {
    type Value = StatedHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StatedHeader, A::Error> {
        let mut header = StatedHeader::default();
        let mut metadata = None;
        while let Some(name) = map.next_key::<String>()? {
            if name != METADATA {
                header.tensors.push((name, map.next_value()?));
            } else if metadata.replace(map.next_value::<Pairs>()?).is_some() {
                return Err(de::Error::custom(format_args!("two entries are named {METADATA}")));
            }
        }
        header.metadata = metadata.map_or(Vec::new(), |Pairs(pairs)| pairs);
        Ok(header)
    }
}

/// An object of texts, with duplicate keys.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

impl<'de> Deserialize<'de> for Axes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(AxesVisitor)
    }
}

struct AxesVisitor;

impl<'de> Visitor<'de> for AxesVisitor {
    type Value = Axes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of sizes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Axes, A::Error> {
        let mut sizes = Vec::new();
        while let Some(size) = seq.next_element()? {
            if sizes.len() == MAX_AXES {
                let text = format_args!("expected at most {MAX_AXES} axes, got more");
                return Err(de::Error::custom(text));
            }
            sizes.push(size);
        }
        Ok(Axes(sizes))
    }
}

/// The checked header, with the tensors in the order of their bytes.
pub(super) fn parse(header: &[u8], place: &str) -> Result<StatedHeader, FileError> {
    let mut header: StatedHeader = serde_json::from_slice(header).map_err(|error| {
        FileError::malformed(place, format!("broken header: {}", escaped(&error.to_string())))
    })?;
    let keys = header.metadata.iter().map(|(key, _)| key);
    if let Some(key) = first_double(keys) {
        let what = format!("two values of the metadata have the same key, {}", escaped(key));
        return Err(FileError::malformed(place, what));
    }
    if let Some(name) = first_double(header.tensors.iter().map(|(name, _)| name)) {
        let what = format!("two tensors have the same name, {}", escaped(name));
        return Err(FileError::malformed(place, what));
    }
    for (name, stated) in &header.tensors {
        check(stated).map_err(|what| within(place, name, what))?;
    }
    header
        .tensors
        .sort_by(|(left, a), (right, b)| (a.data_offsets, left).cmp(&(b.data_offsets, right)));
    check_ranges(&header.tensors, place)?;
    Ok(header)
}

/// The type of this name.
pub(super) fn known(dtype: &str) -> Result<StoredType, String> {
    StoredType::named(dtype).ok_or_else(|| {
        let list = "F64, F32, F16, BF16, I8 to I64, U8 to U64 or BOOL";
        format!("dtype {}; expected {list}", escaped(dtype))
    })
}

/// Checks that a tensor has as many bytes as its shape and type need.
fn check(stated: &StatedTensor) -> Result<(), String> {
    let stored = known(&stated.dtype)?;
    let StatedTensor { shape: Axes(shape), data_offsets: (start, end), .. } = stated;
    check_size(shape, stored)?;
    let expected = shape.iter().product::<usize>() * stored.size();
    match end.checked_sub(*start) {
        Some(got) if got == expected => Ok(()),
        Some(got) => Err(format!(
            "expected {expected} bytes for shape {shape:?} of {}, got {got} in data_offsets [{start}, {end}]",
            stated.dtype
        )),
        None => Err(format!("expected data_offsets that ascend, got [{start}, {end}]")),
    }
}

/// Checks that every byte belongs to exactly one tensor.
fn check_ranges(tensors: &[(String, StatedTensor)], place: &str) -> Result<(), FileError> {
    let info = |(name, stated): &(String, StatedTensor)| {
        let dtype = Dtype::deserialize(stated.dtype.as_str().into_deserializer());
        let dtype = dtype
            .map_err(|error: de::value::Error| FileError::malformed(place, error.to_string()))?;
        let StatedTensor { shape: Axes(shape), data_offsets, .. } = stated;
        let info = TensorInfo { dtype, shape: shape.clone(), data_offsets: *data_offsets };
        Ok((name.clone(), info))
    };
    let infos = tensors.iter().map(info).collect::<Result<_, FileError>>()?;
    let Err(error) = Metadata::new(None, infos) else { return Ok(()) };
    let SafeTensorError::InvalidOffset(name) = error else {
        return Err(FileError::malformed(place, format!("broken header: {error}")));
    };
    let index = tensors.iter().position(|(found, _)| *found == name).unwrap_or(0);
    let expected = index.checked_sub(1).map_or(0, |before| tensors[before].1.data_offsets.1);
    let (start, end) = tensors[index].1.data_offsets;
    let what = format!(
        "expected bytes from {expected} on, where those before it end, got data_offsets [{start}, {end}]"
    );
    Err(within(place, &name, what))
}

/// The first duplicate name.
fn first_double<'a>(mut names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(*name))
}

pub(super) fn within(place: &str, name: &str, what: String) -> FileError {
    FileError::malformed(&format!("{place}:{}", escaped(name)), what)
}
