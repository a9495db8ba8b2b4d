//! .safetensors: a header of JSON with the range of bytes of each tensor, then the bytes.
//!
//! The crate `safetensors` keeps only the last of several tensors with one name; this reader rejects them. The
//! fuzzer compares the two.

mod stated;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use serde::de::DeserializeSeed;
use serde_json::{Map, Value, json};

use super::budget::Budget;
use super::handle::Handle;
use super::header::check_size;
use super::json::{Axes, Short};
use super::limit::{MAX_SAFETENSORS_HEADER_BYTES, MAX_TEXT_BYTES};
use super::reader::{Bytes, TensorReader};
use super::{AnyArray, Entry, Header, Sink, StoredType, TEXT_NAME, Text, escaped};
use crate::files::error::FileError;

use stated::{HeaderSeed, METADATA, StatedHeader, StatedTensor};

/// A file whose header has been read, and the range of each tensor's bytes in it.
pub(super) struct SafetensorsFile {
    file: Handle,
    ranges: Vec<Range<u64>>,
    /// The names of the types.
    dtypes: Vec<String>,
}

impl SafetensorsFile {
    /// Reads the header.
    pub(super) fn open(
        mut file: Handle,
        budget: &mut Budget,
        place: &str,
    ) -> Result<(Vec<Entry>, Option<Text>, Self), FileError> {
        let header = read_header(&mut file, budget, place)?;
        let start = header.len() as u64 + 8;
        let StatedHeader { metadata, tensors } = parse(&header, budget, place)?;
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
            let stored = known(&stated.dtype.0);
            let (first, last) = stated.data_offsets;
            ranges.push(start + first as u64..start + last as u64);
            entries.push(Entry { name: escaped(&name), stored, shape: stated.shape.0 });
            dtypes.push(stated.dtype.0);
        }
        let text = metadata.text.map(|text| Text { place: format!("{place}: metadata"), text });
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

/// The text of the header. Memory is allocated only after the length of the file and the budget are checked.
fn read_header(file: &mut Handle, budget: &mut Budget, place: &str) -> Result<Vec<u8>, FileError> {
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
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    budget.charge(bytes).map_err(FileError::over(place))?;
    let mut header = Vec::with_capacity(bytes);
    file.take(length).read_to_end(&mut header).map_err(&read)?;
    // The parser copies a string with escapes.
    if header.contains(&b'\\') {
        budget.charge(bytes).map_err(FileError::over(place))?;
    }
    Ok(header)
}

/// The checked header, with the tensors in the order of their bytes.
fn parse(header: &[u8], budget: &mut Budget, place: &str) -> Result<StatedHeader, FileError> {
    let malformed = |what: String| FileError::malformed(place, what);
    let mut json = serde_json::Deserializer::from_slice(header);
    let parsed = HeaderSeed(budget).deserialize(&mut json);
    let mut header = parsed
        .and_then(|header| json.end().map(|()| header))
        .map_err(|error| malformed(format!("broken header: {}", escaped(&error.to_string()))))?;
    if header.metadata.text.as_ref().is_some_and(|text| text.len() as u64 > MAX_TEXT_BYTES) {
        let what = format!("expected at most {MAX_TEXT_BYTES} bytes of {TEXT_NAME}, got more");
        return Err(malformed(what));
    }
    if let Some(key) = first_double(header.metadata.keys.iter()) {
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
    let StatedTensor { dtype: Short(dtype), shape: Axes(shape), data_offsets: (start, end) } =
        stated;
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

/// Writes tensors as .safetensors, with the text in the metadata beside PyTorch's mark. Without a text
/// there is only the mark. The tensors are sorted by the size of their numbers, and by name, as all writers of the format
/// sort them, so that the same tensors give the same bytes.
pub fn write_safetensors(
    sink: &mut Sink,
    tensors: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), FileError> {
    let mut tensors: Vec<_> = tensors.iter().collect();
    // Behind wider numbers, all are aligned.
    tensors.sort_by_key(|(name, tensor)| (Reverse(tensor.stored().size()), *name));
    let mut metadata = json!({"format": "pt"});
    if !text.is_empty() {
        metadata[TEXT_NAME] = json!(text);
    }
    let mut header = Map::new();
    header.insert(METADATA.to_owned(), metadata);
    let mut start = 0;
    for (name, tensor) in &tensors {
        let (dtype, end) = (tensor.stored().to_string().to_uppercase(), start + tensor.bytes());
        let stated = json!({"dtype": dtype, "shape": tensor.shape(), "data_offsets": [start, end]});
        header.insert((*name).to_owned(), stated);
        start = end;
    }
    let header = Value::Object(header).to_string();
    // Spaces pad the header, so that the numbers start at a multiple of 8 bytes.
    let length = header.len().next_multiple_of(8);
    sink.write(|file| {
        file.write_all(&(length as u64).to_le_bytes())?;
        write!(file, "{header}{}", " ".repeat(length - header.len()))?;
        tensors.iter().try_for_each(|(_, tensor)| tensor.write_numbers(file))
    })
}
