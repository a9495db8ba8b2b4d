//! What the header of a .safetensors states, as it is read from JSON.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::files::TEXT_NAME;
use crate::files::budget::Budget;
use crate::files::json::{Axes, Short, Text as TextSeed};

/// Bytes of a tensor beside its name, from its place in the header to that in the list of entries.
const TENSOR_BYTES: usize = 512;

/// The name of the header's entry for texts.
pub(super) const METADATA: &str = "__metadata__";

/// The header, with duplicate names.
pub(super) struct StatedHeader {
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<(String, StatedTensor)>,
}

/// The header's entry of one tensor.
#[derive(Deserialize)]
#[serde(expecting = "the dtype, shape and data_offsets of a tensor")]
pub(super) struct StatedTensor {
    pub(super) dtype: Short,
    pub(super) shape: Axes<usize>,
    pub(super) data_offsets: (usize, usize),
}

/// A header whose names are charged to the budget.
pub(super) struct HeaderSeed<'a>(pub(super) &'a mut Budget);

impl<'de> DeserializeSeed<'de> for HeaderSeed<'_> {
    type Value = StatedHeader;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<StatedHeader, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderSeed<'_> {
    type Value = StatedHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StatedHeader, A::Error> {
        let Self(budget) = self;
        let (mut metadata, mut tensors) = (None, Vec::new());
        while let Some(name) = map.next_key_seed(TextSeed(budget))? {
            if name != METADATA {
                budget.charge(TENSOR_BYTES).map_err(de::Error::custom)?;
                tensors.push((name, map.next_value()?));
            } else if metadata.replace(map.next_value_seed(MetadataSeed(budget))?).is_some() {
                return Err(de::Error::custom(format_args!("two entries are named {METADATA}")));
            }
        }
        Ok(StatedHeader { metadata: metadata.unwrap_or_default(), tensors })
    }
}

/// The metadata: its keys, with duplicates, and the text of this program.
#[derive(Default)]
pub(super) struct Metadata {
    pub(super) keys: Vec<String>,
    pub(super) text: Option<String>,
}

/// The metadata, whose texts are charged to the budget.
struct MetadataSeed<'a>(&'a mut Budget);

impl<'de> DeserializeSeed<'de> for MetadataSeed<'_> {
    type Value = Metadata;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Metadata, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MetadataSeed<'_> {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut metadata = Metadata::default();
        while let Some(key) = map.next_key_seed(TextSeed(self.0))? {
            let text = map.next_value_seed(TextSeed(self.0))?;
            if key == TEXT_NAME {
                metadata.text.get_or_insert(text);
            }
            metadata.keys.push(key);
        }
        Ok(metadata)
    }
}
