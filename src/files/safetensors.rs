//! .safetensors: a header of JSON with the range of bytes of each tensor, then the bytes.
//!
//! The crate `safetensors` keeps only the last of several tensors with one name; this reader rejects them. The
//! fuzzer compares the two.

use std::collections::HashSet;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use ndarray::ArrayD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::handle::Handle;
use super::header::check_size;
use super::limit::{MAX_AXES, MAX_SAFETENSORS_HEADER_BYTES};
use super::npy::write_numbers;
use super::reader::{Bytes, TensorReader};
use super::{Entry, Header, Sink, StoredType, TEXT_NAME, Text, escaped};
use crate::element::Element;
use crate::files::error::FileError;

/// The name of the header's entry for texts.
const METADATA: &str = "__metadata__";

/// A file whose header has been read, and the range of each tensor's bytes in it.
pub(super) struct SafetensorsFile {
    file: Handle,
    ranges: Vec<Range<u64>>,
    /// The names of the types.
    dtypes: Vec<String>,
}

/// The header, with duplicate names.
struct StatedHeader {
    metadata: Vec<(String, String)>,
    tensors: Vec<(String, StatedTensor)>,
}

/// The header's entry of one tensor.
#[derive(serde::Deserialize)]
#[serde(expecting = "the dtype, shape and data_offsets of a tensor")]
struct StatedTensor {
    dtype: String,
    shape: Axes,
    data_offsets: (usize, usize),
}

/// The sizes of a tensor.
#[derive(serde::Deserialize)]
#[serde(try_from = "Vec<usize>")]
struct Axes(Vec<usize>);

impl TryFrom<Vec<usize>> for Axes {
    type Error = String;

    fn try_from(sizes: Vec<usize>) -> Result<Self, String> {
        match sizes.len() {
            0..=MAX_AXES => Ok(Axes(sizes)),
            _ => Err(format!("expected at most {MAX_AXES} axes, got more")),
        }
    }
}

impl SafetensorsFile {
    /// Reads the header.
    pub(super) fn open(
        mut file: Handle,
        place: &str,
    ) -> Result<(Vec<Entry>, Option<Text>, Self), FileError> {
        let header = read_header(&mut file, place)?;
        let start = header.len() as u64 + 8;
        let StatedHeader { metadata, tensors } = parse(&header, place)?;
        // The ranges are contiguous, so that the last one ends the file.
        let len = file.metadata().map_err(FileError::reading(place))?.len();
        let expected = tensors.last().map_or(0, |(_, stated)| stated.data_offsets.1) as u64;
        let got = len.saturating_sub(start);
        if got != expected {
            let what = format!("expected {expected} bytes of tensors, got {got}");
            return Err(FileError::malformed(place, what));
        }
        let (mut entries, mut ranges, mut dtypes) = (Vec::new(), Vec::new(), Vec::new());
        for (name, stated) in tensors {
            let stored = known(&stated.dtype);
            let (first, last) = stated.data_offsets;
            ranges.push(start + first as u64..start + last as u64);
            entries.push(Entry { name: escaped(&name), stored, shape: stated.shape.0 });
            dtypes.push(stated.dtype);
        }
        let text = metadata.into_iter().find(|(key, _)| key == TEXT_NAME);
        let text = text.map(|(_, text)| Text { place: format!("{place}: metadata"), text });
        Ok((entries, text, SafetensorsFile { file, ranges, dtypes }))
    }

    /// The numbers of the tensor at `index`.
    pub(super) fn reader(
        &mut self,
        index: usize,
        header: Header,
        place: String,
    ) -> Result<TensorReader<'_>, FileError> {
        if let StoredType::Other(_) = header.stored {
            let list = "F64, F32, F16, BF16, I8 to I64, U8 to U64 or BOOL";
            let what = format!("dtype {}; expected {list}", escaped(&self.dtypes[index]));
            return Err(FileError::malformed(&place, what));
        }
        let Range { start, end } = self.ranges[index];
        self.file.seek(SeekFrom::Start(start)).map_err(FileError::reading(&place))?;
        let reader = Box::new((&mut self.file).take(end - start));
        Ok(TensorReader::new(Bytes::Stream { reader, checked: true }, header, place))
    }
}

/// The text of the header. Memory is allocated only after the length of the file is checked.
fn read_header(file: &mut Handle, place: &str) -> Result<Vec<u8>, FileError> {
    let read = FileError::reading(place);
    let malformed = |what: String| Err(FileError::malformed(place, what));
    let present = file.metadata().map_err(&read)?.len().saturating_sub(8);
    let mut length = Vec::new();
    file.take(8).read_to_end(&mut length).map_err(&read)?;
    let Ok(length) = <[u8; 8]>::try_from(length.as_slice()) else {
        return malformed(format!("truncated header at byte {}", length.len()));
    };
    let length = u64::from_le_bytes(length);
    if length > MAX_SAFETENSORS_HEADER_BYTES {
        let limit = MAX_SAFETENSORS_HEADER_BYTES;
        return malformed(format!("header of {length} bytes; limit {limit}"));
    }
    if length > present {
        return malformed(format!("expected a header of {length} bytes, got {present}"));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(&read)?;
    Ok(header)
}

/// Reads a JSON object entry by entry, so that duplicate names are seen.
macro_rules! deserialize_object {
    ($type:ty, $expecting:literal, $read:ident) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> Visitor<'de> for Object {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        $read(map)
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }
    };
}

deserialize_object!(StatedHeader, "an object of tensors", stated_header);

fn stated_header<'de, A: MapAccess<'de>>(mut map: A) -> Result<StatedHeader, A::Error> {
    let (mut metadata, mut tensors) = (None, Vec::new());
    while let Some(name) = map.next_key::<String>()? {
        if name != METADATA {
            tensors.push((name, map.next_value()?));
        } else if metadata.replace(map.next_value::<Texts>()?.0).is_some() {
            return Err(de::Error::custom(format_args!("two entries are named {METADATA}")));
        }
    }
    Ok(StatedHeader { metadata: metadata.unwrap_or_default(), tensors })
}

/// The metadata, with duplicate keys.
struct Texts(Vec<(String, String)>);

deserialize_object!(Texts, "an object of texts", texts);

fn texts<'de, A: MapAccess<'de>>(mut map: A) -> Result<Texts, A::Error> {
    std::iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>().map(Texts)
}

/// The checked header, with the tensors in the order of their bytes.
fn parse(header: &[u8], place: &str) -> Result<StatedHeader, FileError> {
    let malformed = |what: String| FileError::malformed(place, what);
    let mut header: StatedHeader = serde_json::from_slice(header)
        .map_err(|error| malformed(format!("broken header: {}", escaped(&error.to_string()))))?;
    if let Some(key) = first_double(header.metadata.iter().map(|(key, _)| key)) {
        let what = format!("two values of the metadata have the same key, {}", escaped(key));
        return Err(malformed(what));
    }
    if let Some(name) = first_double(header.tensors.iter().map(|(name, _)| name)) {
        return Err(malformed(format!("two tensors have the same name, {}", escaped(name))));
    }
    for (name, stated) in &header.tensors {
        check(stated).map_err(|what| within(place, name, what))?;
    }
    header
        .tensors
        .sort_by(|(left, a), (right, b)| (a.data_offsets, left).cmp(&(b.data_offsets, right)));
    // Every byte belongs to exactly one tensor.
    let mut expected = 0;
    for (name, StatedTensor { data_offsets: (start, end), .. }) in &header.tensors {
        if *start != expected {
            let what = format!(
                "expected bytes from {expected} on, where those before it end, got data_offsets [{start}, {end}]"
            );
            return Err(within(place, name, what));
        }
        expected = *end;
    }
    Ok(header)
}

/// Types that are listed by PyTorch's names for them, and not read.
const OTHERS: [(&str, &str); 8] = [
    ("C64", "complex64"),
    ("F8_E4M3", "float8_e4m3fn"),
    ("F8_E5M2", "float8_e5m2"),
    ("F8_E8M0", "float8_e8m0fnu"),
    ("F8_E4M3FNUZ", "float8_e4m3fnuz"),
    ("F8_E5M2FNUZ", "float8_e5m2fnuz"),
    ("F4", "float4_e2m1fn_x2"),
    ("U4", "uint4"),
];

/// The type of this name.
fn known(dtype: &str) -> StoredType {
    let other = || OTHERS.iter().find(|(name, _)| *name == dtype).map_or("other", |other| other.1);
    StoredType::named(dtype).unwrap_or_else(|| StoredType::Other(other()))
}

/// Checks that a tensor has as many bytes as its shape and type need.
fn check(stated: &StatedTensor) -> Result<(), String> {
    let StatedTensor { dtype, shape: Axes(shape), data_offsets: (start, end) } = stated;
    let stored = known(dtype);
    check_size(shape, stored)?;
    let expected = shape.iter().product::<usize>() * stored.size();
    match end.checked_sub(*start) {
        Some(_) if matches!(stored, StoredType::Other(_)) => Ok(()),
        Some(got) if got == expected => Ok(()),
        Some(got) => Err(format!(
            "expected {expected} bytes for shape {shape:?} of {dtype}, got {got} in data_offsets [{start}, {end}]"
        )),
        None => Err(format!("expected data_offsets that ascend, got [{start}, {end}]")),
    }
}

/// The first duplicate name.
fn first_double<'a>(mut names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(*name))
}

fn within(place: &str, name: &str, what: String) -> FileError {
    FileError::malformed(&format!("{place}:{}", escaped(name)), what)
}

/// Writes tensors as .safetensors, with the text in the metadata beside PyTorch's mark. The tensors are sorted by
/// name, as all writers of the format sort them, so that the same tensors give the same bytes.
pub fn write_safetensors<T: Element>(
    sink: &mut Sink,
    tensors: &[(String, ArrayD<T>)],
    text: &str,
) -> Result<(), FileError> {
    let mut tensors: Vec<_> = tensors.iter().collect();
    tensors.sort_by_key(|(name, _)| name);
    let dtype = T::DTYPE.to_string().to_uppercase();
    let mut header = Map::new();
    header.insert(METADATA.to_owned(), json!({"format": "pt", TEXT_NAME: text}));
    let mut start = 0;
    for (name, tensor) in &tensors {
        let end = start + tensor.len() * size_of::<T>();
        let stated = json!({"dtype": dtype, "shape": tensor.shape(), "data_offsets": [start, end]});
        header.insert(name.clone(), stated);
        start = end;
    }
    let header = Value::Object(header).to_string();
    // Spaces pad the header, so that the numbers start at a multiple of 8 bytes.
    let length = header.len().next_multiple_of(8);
    sink.write(|file| {
        file.write_all(&(length as u64).to_le_bytes())?;
        write!(file, "{header}{}", " ".repeat(length - header.len()))?;
        tensors.iter().try_for_each(|(_, tensor)| write_numbers(file, tensor, &mut Vec::new()))
    })
}
