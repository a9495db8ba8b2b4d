//! The weights in an archive of `torch.export`.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;

use super::graph::{Contents, Found};
use super::view::{View, tensor_type};
use crate::files::StoredType;
use crate::files::pickle::broken;

/// The list of the weights, by name.
#[derive(Deserialize)]
struct Weights {
    config: BTreeMap<String, Weight>,
}

#[derive(Deserialize)]
struct Weight {
    path_name: Option<String>,
    use_pickle: Option<bool>,
    tensor_meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    dtype: Option<u64>,
    sizes: Vec<Size>,
    strides: Vec<Size>,
    storage_offset: Size,
}

/// A size that is a number, or else an expression.
#[derive(Deserialize)]
struct Size {
    as_int: Option<usize>,
}

/// The weights in the JSON of `torch.export`.
pub(super) fn exported(config: &[u8]) -> io::Result<Contents> {
    let weights: Weights = serde_json::from_slice(config)
        .map_err(|_| broken("expected a JSON list of the weights, got another form"))?;
    let mut found = Contents::default();
    for (name, weight) in weights.config {
        let view = view(weight).unwrap_or_else(|| View::of(StoredType::Other("other")));
        found.tensors.push(Found { name, view });
    }
    Ok(found)
}

/// The view of a storage that is a member of the archive. One that is a pickle, or without numbers for its sizes, is
/// only listed.
fn view(weight: Weight) -> Option<View> {
    let Weight { path_name, use_pickle, tensor_meta: Some(meta) } = weight else { return None };
    let sizes = |sizes: Vec<Size>| -> Option<Vec<usize>> {
        sizes.into_iter().map(|size| size.as_int).collect()
    };
    let mut view = View::of(StoredType::Other("other"));
    view.shape = sizes(meta.sizes).unwrap_or_default();
    let strides = sizes(meta.strides).filter(|strides| strides.len() == view.shape.len());
    if let (Some(key), Some(strides), Some(false)) = (path_name, strides, use_pickle) {
        (view.stored, view.bytes) = scalar_type(meta.dtype);
        view.offset = meta.storage_offset.as_int.unwrap_or(0);
        (view.key, view.strides) = (key, strides);
        view.numel = usize::MAX / view.bytes.max(1);
    }
    Some(view)
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
