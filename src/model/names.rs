//! Lists of names in files: the tokens of a vocabulary, and the labels of classes. They are read within a budget of
//! memory, because a file may hold millions of names of two bytes.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, shortened};

/// Most bytes of memory for the names of a file.
const MAX_BYTES: usize = 64 << 20;

/// Most characters of a name or another value in a message.
const MAX_SHOWN: usize = 100;

/// Bytes of a name beside twice its letters: two ends, its id and its place among sorted ones, or slots of an index.
const NAME_BYTES: usize = 16;

/// Bytes of a label beside its letters: the string, its place in a list, and the allocator's share.
const LABEL_BYTES: usize = 64;

/// Names in one text, without a string for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
}

/// More names than fit in the budget.
#[derive(Debug, thiserror::Error)]
#[error("expected names within {} MiB of memory, got more", MAX_BYTES >> 20)]
pub(super) struct TooMany;

impl Names {
    pub(super) fn push(&mut self, name: &str) -> Result<(), TooMany> {
        self.text.push_str(name);
        self.ends.push(u32::try_from(self.text.len()).map_err(|_| TooMany)?);
        if self.is_over() { Err(TooMany) } else { Ok(()) }
    }

    fn is_over(&self) -> bool {
        2 * self.text.len() + NAME_BYTES * self.len() > MAX_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        Some(&self.text[start..end])
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// The names as strings of their own.
    pub(super) fn to_vec(&self) -> Result<Vec<String>, TooMany> {
        if self.text.len() + LABEL_BYTES * self.len() > MAX_BYTES {
            return Err(TooMany);
        }
        Ok(self.iter().map(str::to_owned).collect())
    }
}

/// The names in a text: of JSON, or a line for each. `name` is the argument that an error names.
pub(super) fn parse_names(text: &str, name: &'static str) -> Result<Names, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(names) = of_json(text, name)? {
        return Ok(names);
    }
    let mut names = Names::default();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() {
            let place = format!("line {}", index + 1);
            let what = format!("{place}: expected a name, got an empty line; \\n is a line's end");
            return Err(Error::invalid(name, what));
        }
        names.push(&unescape(line)).map_err(|error| Error::invalid(name, error.to_string()))?;
    }
    Ok(names)
}

/// The names in JSON; `None` for a text that is neither a list of strings nor an object, nor was meant to be.
fn of_json(text: &str, name: &'static str) -> Result<Option<Names>, Error> {
    let (mut list, mut json) = (List::default(), serde_json::Deserializer::from_str(text));
    let read = (&mut list).deserialize(&mut json).and_then(|()| json.end());
    let wrong = match read {
        _ if list.names.is_over() => return Err(Error::invalid(name, TooMany.to_string())),
        Ok(()) if list.names.len() == 0 => None,
        Ok(()) if list.ids.is_empty() => return Ok(Some(list.names)),
        Ok(()) => return list.by_id(name).map(Some),
        // JSON with other contents, if the rest of it is valid.
        Err(error) if error.is_data() => serde_json::from_str::<IgnoredAny>(text).err(),
        Err(error) => Some(error),
    };
    match wrong {
        Some(error) if looks_like_json(text) => {
            Err(Error::invalid(name, format!("expected JSON, got {error}")))
        }
        _ => Ok(None),
    }
}

/// Names in JSON, in the order of the file.
#[derive(Default)]
struct List {
    names: Names,
    /// The ids of an object's names; empty for a list. [`NO_ID`] stands for any other value.
    ids: Vec<u32>,
    /// The first of these values.
    other: String,
}

/// The id of no name, because the budget holds fewer names.
const NO_ID: u32 = u32::MAX;

impl List {
    /// Whether the keys are ids, and the first value is a string.
    fn is_reversed(&self) -> bool {
        self.other.starts_with('"') && self.names.iter().all(|key| key.parse::<u32>().is_ok())
    }

    /// The names in the order of their ids, which are 0, 1, 2, ...
    fn by_id(&self, name: &'static str) -> Result<Names, Error> {
        let mut places = vec![None; self.ids.len()];
        for (place, &id) in self.ids.iter().enumerate() {
            let Some(free @ None) = places.get_mut(id as usize) else {
                let (last, token) = (self.ids.len() - 1, self.names.get(place).unwrap_or_default());
                if self.is_reversed() {
                    let what = "expected an object from name to id, got one from id to name";
                    return Err(Error::invalid(name, what));
                }
                let got = if id == NO_ID { self.other.clone() } else { id.to_string() };
                let token = shown(token);
                let what = format!("expected each id from 0 to {last} once, got {got} for {token}");
                return Err(Error::quoting(name, &what));
            };
            *free = u32::try_from(place).ok();
        }
        let mut sorted = Names::default();
        for place in places.into_iter().flatten() {
            let own = self.names.get(place as usize).unwrap_or_default();
            sorted.push(own).map_err(|error| Error::invalid(name, error.to_string()))?;
        }
        Ok(sorted)
    }
}

impl<'de> DeserializeSeed<'de> for &mut List {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut List {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(&mut self.names)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(&mut self.names)?.is_some() {
            let value: &RawValue = map.next_value()?;
            let id = value.get().parse().unwrap_or(NO_ID);
            if id == NO_ID && self.other.is_empty() {
                self.other = shortened(value.get(), MAX_SHOWN);
            }
            self.ids.push(id);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Names {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for &mut Names {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<(), E> {
        self.push(name).map_err(E::custom)
    }
}

/// Whether a text that is not JSON was meant to be: it begins with a bracket and a string on one line, and ends with a
/// bracket. A list of characters can have these brackets too, each on a line of its own.
fn looks_like_json(text: &str) -> bool {
    let text = text.trim();
    let inside = text.strip_prefix(['[', '{']).map(str::trim_start);
    let string = inside.and_then(|inside| inside.strip_prefix('"'));
    text.ends_with([']', '}']) && string.is_some_and(|rest| !rest.starts_with(['\n', '\r']))
}

/// A line with its escapes replaced. Any other backslash stands for itself.
pub(super) fn unescape(line: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(line.len()), line);
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let escaped = after.chars().next().and_then(|c| match c {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            '\\' => Some('\\'),
            _ => None,
        });
        text.push(escaped.unwrap_or('\\'));
        rest = if escaped.is_some() { &after[1..] } else { after };
    }
    text.push_str(rest);
    text
}

/// A token for messages, with control characters escaped.
pub(super) fn shown(token: &str) -> String {
    format!("'{}'", shortened(token, MAX_SHOWN).escape_debug())
}
