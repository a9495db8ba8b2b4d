//! .safetensors: a header of JSON, which says where in the file the bytes of each tensor stand.
//!
//! The header is read here, because JSON that names a tensor twice must be refused and not lose one of
//! the two; the rules that ranges of bytes keep are those of the crate `safetensors`.

mod header;

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use ndarray::ArrayD;
use serde_json::{Map, Value, json};

use super::handle::Handle;
use super::limit::MAX_SAFETENSORS_HEADER_BYTES;
use super::npy::write_numbers;
use super::reader::{Bytes, TensorReader};
use super::{Entry, Header, Sink, TEXT_NAME, Text, escaped};
use crate::element::Element;
use crate::files::error::FileError;
use header::{METADATA, StatedHeader, known, parse, within};

/// A file whose header has been read, and the range of each tensor's bytes in it.
pub(super) struct SafetensorsFile {
    file: Handle,
    ranges: Vec<Range<u64>>,
}

/// The tensors of a file, the text beside them, and the file.
type Opened = (Vec<Entry>, Option<Text>, SafetensorsFile);

impl SafetensorsFile {
    /// Reads the header.
    pub(super) fn open(mut file: Handle, place: &str) -> Result<Opened, FileError> {
        let header = read_header(&mut file, place)?;
        let start = header.len() as u64 + 8;
        let StatedHeader { metadata, tensors } = parse(&header, place)?;
        drop(header);
        // The end of the last tensor first: then no other tensor lies behind the end of the file.
        let len = file.metadata().map_err(FileError::reading(place))?;
        let expected = tensors.last().map_or(0, |(_, stated)| stated.data_offsets.1) as u64;
        let got = len.len().saturating_sub(start);
        if got != expected {
            let what = format!("expected {expected} bytes of tensors, got {got}");
            return Err(FileError::malformed(place, what));
        }
        let mut entries = Vec::new();
        let mut ranges = Vec::new();
        for (name, stated) in tensors {
            let stored = known(&stated.dtype).map_err(|what| within(place, &name, what))?;
            let (first, last) = stated.data_offsets;
            ranges.push(start + first as u64..start + last as u64);
            entries.push(Entry { name: escaped(&name), stored, shape: stated.shape.0 });
        }
        let text = metadata.into_iter().find(|(key, _)| key == TEXT_NAME);
        let text = text.map(|(_, text)| Text { place: format!("{place}: metadata"), text });
        Ok((entries, text, SafetensorsFile { file, ranges }))
    }

    /// The numbers of the tensor at `index`.
    pub(super) fn reader(
        &mut self,
        index: usize,
        header: Header,
        place: String,
    ) -> Result<TensorReader<'_>, FileError> {
        let Range { start, end } = self.ranges[index];
        self.file.seek(SeekFrom::Start(start)).map_err(FileError::reading(&place))?;
        let reader = Box::new((&mut self.file).take(end - start));
        Ok(TensorReader::new(Bytes::Stream { reader, checked: true }, header, place))
    }
}

/// The text of the header. Nothing is allocated before the file is known to be that long.
fn read_header(file: &mut Handle, place: &str) -> Result<Vec<u8>, FileError> {
    let read = FileError::reading(place);
    let present = file.metadata().map_err(&read)?.len().saturating_sub(8);
    let mut length = Vec::new();
    file.take(8).read_to_end(&mut length).map_err(&read)?;
    let Ok(length) = <[u8; 8]>::try_from(length.as_slice()) else {
        return Err(FileError::malformed(
            place,
            format!("truncated header at byte {}", length.len()),
        ));
    };
    let length = u64::from_le_bytes(length);
    if length > MAX_SAFETENSORS_HEADER_BYTES {
        let what = format!("header of {length} bytes; limit {MAX_SAFETENSORS_HEADER_BYTES}");
        return Err(FileError::malformed(place, what));
    }
    if length > present {
        let what = format!("expected a header of {length} bytes, got {present}");
        return Err(FileError::malformed(place, what));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(&read)?;
    Ok(header)
}

/// Writes tensors as .safetensors, with the text in the metadata beside PyTorch's mark. They stand in the
/// order of their names, as all writers of the format have them: the same tensors give the same bytes.
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
    // Spaces at its end, so that the numbers start at a multiple of 8 bytes.
    let length = header.len().next_multiple_of(8);
    sink.write(|file| {
        file.write_all(&(length as u64).to_le_bytes())?;
        write!(file, "{header}{}", " ".repeat(length - header.len()))?;
        tensors.iter().try_for_each(|(_, tensor)| write_numbers(file, tensor))
    })
}
