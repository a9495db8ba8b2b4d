//! Tensors of a graph and their types.

use std::borrow::Cow;

use ndarray::ArrayD;
use prost::bytes::Bytes;

use super::proto::{
    DimensionProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::element::{Dtype, Element};
use crate::files::error::FileError;
use crate::files::header::check_size;
use crate::files::limit::MAX_AXES;
use crate::files::npy::write_numbers;
use crate::files::number::append_numbers;
use crate::files::{Header, StoredType, Tensor};
use crate::memory::{array, reserved};

/// The readers check type, shape and length of a tensor, so that a model may contain others of unsupported
/// types. Their errors name the tensor, but not the file.
impl TensorProto {
    /// A tensor of this shape from the concatenated numbers of `parts`.
    ///
    /// # Errors
    /// [`FileError::OutOfMemory`].
    pub fn stacked<T: Element>(
        name: &str,
        shape: &[usize],
        parts: &[&ArrayD<T>],
    ) -> Result<Self, FileError> {
        let count: usize = parts.iter().map(|part| part.len()).sum();
        let mut raw = reserved(count.saturating_mul(size_of::<T>()), "model")?;
        for part in parts {
            // Writing to memory cannot fail.
            let _ = write_numbers(&mut raw, *part, &mut Vec::new());
        }
        Ok(Self::raw(name, shape, T::DTYPE.into(), raw))
    }

    /// A tensor (N) of integers.
    pub fn integers(name: &str, values: &[i64]) -> Self {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::raw(name, &[values.len()], StoredType::I64, raw)
    }

    fn raw(name: &str, shape: &[usize], stored: StoredType, raw: Vec<u8>) -> Self {
        TensorProto {
            dims: shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect(),
            data_type: data_type(stored),
            name: name.to_owned(),
            raw_data: Some(Bytes::from(raw)),
            ..TensorProto::default()
        }
    }

    /// Its type and shape.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for an unsupported type or an invalid shape.
    pub fn header(&self) -> Result<Header, FileError> {
        let TensorProto { dims, data_type, .. } = self;
        let known = DATA_TYPES.iter().find(|(_, number)| number == data_type);
        let &(stored, _) = known.ok_or_else(|| {
            self.malformed(format!("expected floats or integers, got data type {data_type}"))
        })?;
        if dims.len() > MAX_AXES {
            let what = format!("expected at most {MAX_AXES} sizes, got {}", dims.len());
            return Err(self.malformed(what));
        }
        let shape = dims.iter().map(|&dim| usize::try_from(dim)).collect::<Result<Vec<_>, _>>();
        let shape = shape
            .map_err(|_| self.malformed(format!("expected sizes of at least 0, got {dims:?}")))?;
        check_size(&shape, stored).map_err(|what| self.malformed(what))?;
        Ok(Header::plain(stored, &shape))
    }

    /// Its numbers as `dtype`, or as [`StoredType::natural`] for `None`.
    ///
    /// # Errors
    /// Those of [`TensorProto::header`]; [`FileError::Malformed`] if the number of elements is not that of the
    /// shape; [`FileError::OutOfMemory`].
    pub fn read(&self, dtype: Option<Dtype>) -> Result<Tensor, FileError> {
        Ok(match dtype.unwrap_or(self.header()?.stored.natural()) {
            Dtype::F32 => Tensor::F32(self.read_as()?),
            Dtype::F64 => Tensor::F64(self.read_as()?),
        })
    }

    fn read_as<T: Element>(&self) -> Result<ArrayD<T>, FileError> {
        let header = self.header()?;
        let bytes = self.bytes(&header)?;
        let mut values = reserved(header.count(), "weights")?;
        append_numbers(&header, &bytes, &mut values);
        Ok(array(&header.shape, values))
    }

    /// Its numbers if they are int64 with at most one axis.
    pub fn as_integers(&self) -> Option<Vec<i64>> {
        let header = self.header().ok()?;
        let is_list = header.stored == StoredType::I64 && header.shape.len() <= 1;
        let bytes = self.bytes(&header).ok().filter(|_| is_list)?;
        Some(bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect())
    }

    /// The little-endian bytes of its numbers, whose length is checked. Numbers outside of `raw_data` are copied:
    /// few models have such, and only small ones.
    fn bytes(&self, header: &Header) -> Result<Cow<'_, [u8]>, FileError> {
        let TensorProto { float_data, double_data, int32_data, int64_data, .. } = self;
        let size = header.stored.size();
        let (bytes, unit, width) = if let Some(raw) = &self.raw_data {
            (Cow::Borrowed(&raw[..]), "bytes", 1)
        } else {
            let len = float_data.len() + double_data.len() + int32_data.len() + int64_data.len();
            let mut bytes = reserved(len.saturating_mul(size), "weights")?;
            match header.stored {
                StoredType::F32 => bytes.extend(float_data.iter().flat_map(|x| x.to_le_bytes())),
                StoredType::F64 => bytes.extend(double_data.iter().flat_map(|x| x.to_le_bytes())),
                StoredType::I64 => bytes.extend(int64_data.iter().flat_map(|x| x.to_le_bytes())),
                // Narrower numbers, also the bits of float16 and bfloat16, are the low bits of an int32.
                _ => bytes
                    .extend(int32_data.iter().flat_map(|x| x.to_le_bytes().into_iter().take(size))),
            }
            (Cow::Owned(bytes), "numbers", size)
        };
        if bytes.len() == header.body_bytes() {
            return Ok(bytes);
        }
        let (want, got) = (header.body_bytes() / width, bytes.len() / width);
        let shape = &header.shape;
        Err(self.malformed(format!("expected {want} {unit} for shape {shape:?}, got {got}")))
    }

    pub(super) fn malformed(&self, what: impl Into<String>) -> FileError {
        FileError::malformed(&format!("tensor '{}'", self.name), what)
    }
}

impl ValueInfoProto {
    /// An input or output of this type and shape.
    pub fn new(name: &str, stored: StoredType, sizes: Vec<DimensionProto>) -> Self {
        let shape = Some(TensorShapeProto { dim: sizes });
        let tensor_type = Some(TensorTypeProto { elem_type: data_type(stored), shape });
        ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
    }
}

/// The supported types and their numbers in `TensorProto.DataType`.
const DATA_TYPES: [(StoredType, i32); 11] = [
    (StoredType::F32, 1),
    (StoredType::U8, 2),
    (StoredType::I8, 3),
    (StoredType::U16, 4),
    (StoredType::I16, 5),
    (StoredType::I32, 6),
    (StoredType::I64, 7),
    (StoredType::Bool, 9),
    (StoredType::F16, 10),
    (StoredType::F64, 11),
    (StoredType::BF16, 16),
];

/// The type with this number.
pub(crate) fn stored_type(number: i64) -> Option<StoredType> {
    DATA_TYPES.iter().find(|(_, known)| i64::from(*known) == number).map(|(stored, _)| *stored)
}

/// The number of a type; 0, which is undefined, for those that are never written.
fn data_type(stored: StoredType) -> i32 {
    DATA_TYPES.iter().find(|(known, _)| *known == stored).map_or(0, |(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_as_many_bytes_as_their_shape_says() {
        for (bytes, expected) in [(15, None), (16, Some(vec![0, 0])), (17, None)] {
            let tensor = TensorProto::raw("axes", &[2], StoredType::I64, vec![0; bytes]);
            assert_eq!(tensor.as_integers(), expected, "{bytes} bytes");
        }
    }
}
