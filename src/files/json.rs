//! Objects of JSON in files, read entry by entry: every name is charged to the budget, and duplicate names are seen.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::budget::Budget;
use super::limit::MAX_AXES;

/// Bytes of an entry beside its name and value, in a list that doubles its memory.
const ENTRY_BYTES: usize = 64;

/// Longest text of an entry: the name of a type or of a file.
const MAX_SHORT: usize = 1000;

/// An object of values V by name, in the order of the file.
pub(super) struct Named<'a, V>(&'a mut Budget, PhantomData<V>);

impl<'a, V> Named<'a, V> {
    pub(super) fn new(budget: &'a mut Budget) -> Self {
        Named(budget, PhantomData)
    }
}

impl<'de, V: Deserialize<'de>> DeserializeSeed<'de> for Named<'_, V> {
    type Value = Vec<(String, V)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Named<'_, V> {
    type Value = Vec<(String, V)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key_seed(Text(self.0))? {
            let bytes = ENTRY_BYTES + 2 * size_of::<(String, V)>();
            self.0.charge(bytes).map_err(de::Error::custom)?;
            entries.push((name, map.next_value()?));
        }
        Ok(entries)
    }
}

/// A text that is charged to the budget.
pub(super) struct Text<'a>(pub(super) &'a mut Budget);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        self.0.text(text).map_err(E::custom)
    }
}

/// The field of an object that holds values by name. Other fields are skipped.
pub(super) struct Field<'a, V>(pub(super) &'static str, pub(super) Named<'a, V>);

impl<'de, V: Deserialize<'de>> DeserializeSeed<'de> for Field<'_, V> {
    type Value = Option<Vec<(String, V)>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Field<'_, V> {
    type Value = Option<Vec<(String, V)>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut named, mut found) = (Some(self.1), None);
        while let Some(Short(name)) = map.next_key()? {
            match named.take_if(|_| name == self.0) {
                Some(named) => found = Some(map.next_value_seed(named)?),
                None => drop(map.next_value::<de::IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// A text of at most a thousand bytes.
#[derive(Debug, Default)]
pub(super) struct Short(pub(super) String);

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Letters;

        impl Visitor<'_> for Letters {
            type Value = Short;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Short, E> {
                match text.len() {
                    0..=MAX_SHORT => Ok(Short(text.to_owned())),
                    got => Err(E::custom(format_args!(
                        "expected a string of at most {MAX_SHORT} bytes, got {got}"
                    ))),
                }
            }
        }

        deserializer.deserialize_str(Letters)
    }
}

/// The sizes of a tensor, of which there are at most 64.
#[derive(Debug, Default)]
pub(super) struct Axes<S>(pub(super) Vec<S>);

impl<'de, S: Deserialize<'de>> Deserialize<'de> for Axes<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes<S>(PhantomData<S>);

        impl<'de, S: Deserialize<'de>> Visitor<'de> for Sizes<S> {
            type Value = Axes<S>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Axes<S>, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = list.next_element()? {
                    if sizes.len() == MAX_AXES {
                        let what = format_args!("expected at most {MAX_AXES} axes, got more");
                        return Err(de::Error::custom(what));
                    }
                    sizes.push(size);
                }
                Ok(Axes(sizes))
            }
        }

        deserializer.deserialize_seq(Sizes(PhantomData))
    }
}
