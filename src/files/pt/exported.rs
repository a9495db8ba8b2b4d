//! The weights in an archive of `torch.export`.

use std::io;

use serde_json::Value as Json;

use super::graph::{Contents, Found};
use super::view::{View, tensor_type};
use crate::files::StoredType;
use crate::files::pickle::broken;

/// The weights in the JSON of `torch.export`.
pub(super) fn exported(config: &[u8]) -> io::Result<Contents> {
    let bad = || broken("unexpected JSON of the weights' names");
    let json: Json = serde_json::from_slice(config).map_err(|_| bad())?;
    let weights = json["config"].as_object().ok_or_else(bad)?;
    let mut found = Contents::default();
    for (name, weight) in weights {
        let meta = &weight["tensor_meta"];
        let sizes = |field: &str| -> Option<Vec<usize>> {
            let sizes = meta[field].as_array()?.iter();
            sizes.map(size).collect()
        };
        let mut view = View::of(StoredType::Other("other"));
        view.shape = sizes("sizes").unwrap_or_default();
        let strides = sizes("strides").filter(|strides| strides.len() == view.shape.len());
        let key = weight["path_name"].as_str();
        if let (Some(key), Some(strides), Some(false)) =
            (key, strides, weight["use_pickle"].as_bool())
        {
            (view.stored, view.bytes) = scalar_type(meta["dtype"].as_u64());
            view.offset = size(&meta["storage_offset"]).unwrap_or(0);
            (view.key, view.strides) = (key.to_owned(), strides);
            view.numel = usize::MAX / view.bytes.max(1);
        }
        found.tensors.push(Found { name: name.clone(), view });
    }
    Ok(found)
}

/// A size that is an integer.
fn size(size: &Json) -> Option<usize> {
    usize::try_from(size["as_int"].as_u64()?).ok()
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
