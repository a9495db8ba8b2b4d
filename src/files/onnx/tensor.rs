//! A tensor of a graph.

use ndarray::ArrayD;
use prost::bytes::Bytes;

use super::messages::TensorProto;
use crate::element::{Dtype, Element};
use crate::files::error::FileError;
use crate::files::header::check_size;
use crate::files::limit::MAX_AXES;
use crate::files::npy::write_numbers;
use crate::files::number::append_numbers;
use crate::files::{Header, StoredType, Tensor, escaped};
use crate::memory::reserved;

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// A tensor of a graph: an initializer, or the value of a Constant node. What the file says of it is held
/// against its bytes when it is asked for, so that a model may hold others of types that are not read.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphTensor {
    /// The file and the tensor, for messages.
    place: String,
    proto: TensorProto,
}

impl GraphTensor {
    /// The tensor of a file that is called `name` in its graph.
    pub(super) fn new(proto: TensorProto, name: &str, file: &str) -> Self {
        let name = escaped(name);
        let place = format!("{file}: tensor '{name}'");
        GraphTensor { place, proto: TensorProto { name, ..proto } }
    }

    /// The same under another name of its graph.
    pub(super) fn renamed(&self, name: &str, file: &str) -> Self {
        Self::new(self.proto.clone(), name, file)
    }

    /// A tensor of this shape from the numbers of `parts`, one behind the other.
    pub fn stacked<T: Element>(
        name: &str,
        shape: &[usize],
        parts: &[&ArrayD<T>],
    ) -> Result<Self, FileError> {
        let count: usize = parts.iter().map(|part| part.len()).sum();
        let mut raw = reserved(count.saturating_mul(size_of::<T>()), "model")?;
        for part in parts {
            // Memory does not refuse to be written to.
            let _ = write_numbers(&mut raw, *part);
        }
        Ok(Self::raw(name, shape, T::DTYPE.into(), raw))
    }

    /// A tensor (N) of integers.
    pub fn integers(name: &str, values: &[i64]) -> Self {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::raw(name, &[values.len()], StoredType::I64, raw)
    }

    fn raw(name: &str, shape: &[usize], stored: StoredType, raw: Vec<u8>) -> Self {
        let proto = TensorProto {
            dims: shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect(),
            data_type: data_type(stored),
            name: name.to_owned(),
            raw_data: Some(Bytes::from(raw)),
            ..TensorProto::default()
        };
        GraphTensor { place: name.to_owned(), proto }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.proto.name
    }

    /// The file and the tensor, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn into_proto(self) -> TensorProto {
        self.proto
    }

    /// Its type and its sizes.
    ///
    /// # Errors
    /// [`FileError::Malformed`] where they are not of a tensor that is read, or its numbers lie elsewhere.
    pub fn header(&self) -> Result<Header, FileError> {
        let TensorProto { dims, data_type, data_location, .. } = &self.proto;
        if *data_location == EXTERNAL {
            let what = "expected the numbers within the file, got external data (onnx.save with \
                        save_as_external_data=False puts them into it)";
            return Err(self.malformed(what.to_owned()));
        }
        let stored = stored_type(*data_type).ok_or_else(|| {
            self.malformed(format!("expected floats or integers, got data type {data_type}"))
        })?;
        if dims.len() > MAX_AXES {
            let what = format!("expected at most {MAX_AXES} sizes, got {}", dims.len());
            return Err(self.malformed(what));
        }
        let sizes = dims.iter().map(|&dim| usize::try_from(dim));
        let shape: Vec<usize> = sizes
            .collect::<Result<_, _>>()
            .map_err(|_| self.malformed(format!("expected sizes of at least 0, got {dims:?}")))?;
        check_size(&shape, stored).map_err(|what| self.malformed(what))?;
        Ok(Header { stored, big_endian: false, fortran_order: false, shape })
    }

    /// Its numbers. They become `dtype`; without one, doubles stay what they are and everything else
    /// becomes f32.
    ///
    /// # Errors
    /// Those of [`GraphTensor::header`]; [`FileError::Malformed`] where there are fewer or more numbers than
    /// the shape says; [`FileError::OutOfMemory`].
    pub fn read(&self, dtype: Option<Dtype>) -> Result<Tensor, FileError> {
        Ok(match dtype.unwrap_or(self.header()?.stored.natural()) {
            Dtype::F32 => Tensor::F32(self.read_as()?),
            Dtype::F64 => Tensor::F64(self.read_as()?),
        })
    }

    fn read_as<T: Element>(&self) -> Result<ArrayD<T>, FileError> {
        let header = self.header()?;
        let TensorProto { float_data, double_data, int32_data, int64_data, .. } = &self.proto;
        let mut values;
        if let Some(raw) = &self.proto.raw_data {
            self.expect(&header, header.body_bytes(), raw.len(), "bytes")?;
            values = reserved(header.count(), "weights")?;
            append_numbers(&header, raw, &mut values);
        } else {
            let found = match header.stored {
                StoredType::F32 => float_data.len(),
                StoredType::F64 => double_data.len(),
                StoredType::I64 => int64_data.len(),
                _ => int32_data.len(),
            };
            self.expect(&header, header.count(), found, "numbers")?;
            values = reserved(found, "weights")?;
            match header.stored {
                StoredType::F32 => values.extend(float_data.iter().map(|&x| T::from_f32(x))),
                StoredType::F64 => values.extend(double_data.iter().map(|&x| T::from_f64(x))),
                StoredType::I64 => values.extend(int64_data.iter().map(|&x| T::from_i64(x))),
                // Those of fewer bits stand in the low bits of integers, float16 and bfloat16 by theirs.
                stored => int32_data.iter().for_each(|number| {
                    append_numbers(
                        &header,
                        &number.to_le_bytes()[..stored.size().min(4)],
                        &mut values,
                    );
                }),
            }
        }
        // As many as the shape says, as was held against it.
        Ok(ArrayD::from_shape_vec(header.shape, values).unwrap_or_else(|_| unreachable!("a shape")))
    }

    /// Its numbers as integers; none where it is not int64, or no list.
    pub fn as_integers(&self) -> Option<Vec<i64>> {
        let header = self.header().ok()?;
        if header.stored != StoredType::I64 || header.shape.len() > 1 {
            return None;
        }
        let values = match &self.proto.raw_data {
            None => self.proto.int64_data.clone(),
            Some(raw) if raw.len() != header.body_bytes() => return None,
            Some(raw) => raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect(),
        };
        (values.len() == header.count()).then_some(values)
    }

    fn expect(
        &self,
        header: &Header,
        want: usize,
        got: usize,
        unit: &str,
    ) -> Result<(), FileError> {
        if want == got {
            return Ok(());
        }
        let shape = &header.shape;
        Err(self.malformed(format!("expected {want} {unit} for shape {shape:?}, got {got}")))
    }

    fn malformed(&self, what: String) -> FileError {
        FileError::Malformed { place: self.place.clone(), what }
    }
}

/// The types of numbers that are read, and their numbers in `TensorProto.DataType`. Of those that may stand
/// outside of `raw_data`, all but floats and int64 stand in `int32_data`.
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

pub(super) fn stored_type(data_type: i32) -> Option<StoredType> {
    DATA_TYPES.iter().find(|(_, number)| *number == data_type).map(|(stored, _)| *stored)
}

/// The number of a type; 0, which is none, for the two that are not written.
pub(super) fn data_type(stored: StoredType) -> i32 {
    DATA_TYPES.iter().find(|(known, _)| *known == stored).map_or(0, |(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_as_many_bytes_as_their_shape_says() {
        for (bytes, expected) in [(15, None), (16, Some(vec![0, 0])), (17, None)] {
            let tensor = GraphTensor::raw("axes", &[2], StoredType::I64, vec![0; bytes]);
            assert_eq!(tensor.as_integers(), expected, "{bytes} bytes");
        }
    }
}
