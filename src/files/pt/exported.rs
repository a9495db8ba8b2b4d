//! The weights in an archive of `torch.export`.

use std::io;

use serde::Deserialize;
use serde::de::DeserializeSeed;

use super::graph::{Contents, Found, TENSOR_BYTES};
use super::view::{View, tensor_type};
use crate::files::StoredType;
use crate::files::budget::Budget;
use crate::files::json::{Axes, Field, Named, Short};
use crate::files::pickle::broken;

/// A weight in the JSON of `torch.export`.
#[derive(Deserialize)]
struct Weight {
    path_name: Option<Short>,
    use_pickle: Option<bool>,
    tensor_meta: Option<Meta>,
}

/// The type and the view of a weight.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    dtype: Option<u64>,
    sizes: Option<Axes<Size>>,
    strides: Option<Axes<Size>>,
    storage_offset: Option<Size>,
}

/// A size; one that varies is an expression instead of an integer.
#[derive(Deserialize)]
struct Size {
    as_int: Option<i64>,
}

/// The weights in the JSON of `torch.export`.
pub(super) fn exported(config: &[u8], budget: &mut Budget) -> io::Result<Contents> {
    let bad = || broken("expected a JSON list of the weights, got another form");
    let mut json = serde_json::Deserializer::from_slice(config);
    let weights = Field("config", Named::<Weight>::new(budget)).deserialize(&mut json);
    let mut found = Contents::default();
    for (name, weight) in weights.map_err(|_| bad())?.ok_or_else(bad)? {
        let meta = weight.tensor_meta.unwrap_or_default();
        let sizes =
            |axes: Option<Axes<Size>>| -> Option<Vec<usize>> { axes?.0.iter().map(size).collect() };
        let mut view = View::of(StoredType::Other("other"));
        view.shape = sizes(meta.sizes).unwrap_or_default();
        let strides = sizes(meta.strides).filter(|strides| strides.len() == view.shape.len());
        if let (Some(Short(key)), Some(strides), Some(false)) =
            (weight.path_name, strides, weight.use_pickle)
        {
            (view.stored, view.bytes) = scalar_type(meta.dtype);
            view.offset = meta.storage_offset.as_ref().and_then(size).unwrap_or(0);
            (view.key, view.strides) = (key, strides);
            view.numel = usize::MAX / view.bytes.max(1);
        }
        budget.charge(TENSOR_BYTES + view.key.len() + 16 * view.shape.len())?;
        found.tensors.push(Found { name: budget.name(&name)?, view });
    }
    Ok(found)
}

/// A size that is an integer.
fn size(size: &Size) -> Option<usize> {
    usize::try_from(size.as_int?).ok()
}

/// PyTorch's number of a type, in the order of its `ScalarType`, counted from 1.
fn scalar_type(number: Option<u64>) -> (StoredType, usize) {
    const NAMES: [&str; 14] = [
        "",
        "uint8",
        "int8",
        "int16",
        "int32",
        "int64",
        "float16",
        "float32",
        "float64",
        "complex32",
        "complex64",
        "complex128",
        "bool",
        "bfloat16",
    ];
    let name = match number {
        Some(28) => "uint16",
        Some(29) => "float8_e4m3fn",
        Some(30) => "float8_e5m2",
        number => {
            let place = number.and_then(|number| usize::try_from(number).ok());
            place.and_then(|place| NAMES.get(place)).copied().unwrap_or("")
        }
    };
    tensor_type(name)
}
