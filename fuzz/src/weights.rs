//! Layers. What was recognised as one fits its configuration, and comes back when it has been written in any
//! format.

use std::collections::HashMap;

use elman::files::{AnyArray, Source, write_npz, write_safetensors};
use elman::{Checkpoint, CheckpointError, Config, Dtype, Element, write_onnx};
use ndarray::ArrayD;

use super::{scratch, ways};

/// Most numbers of a layer that is written and read again.
const MAX_NUMBERS: usize = 1 << 14;

pub(crate) fn check(layer: Result<Checkpoint, CheckpointError>) {
    let layer = match layer {
        Ok(layer) => layer,
        Err(error) => return ways::printable(&error.to_string()),
    };
    ways::printable(&format!("{} {:?} {}", layer.recognised, layer.notes, layer.prefix));
    let config = layer.config.clone();
    config.check().unwrap();
    let sizes = layer.tensors.iter().map(|it| it.tensor.shape().iter().product::<usize>());
    if sizes.sum::<usize>() > MAX_NUMBERS || layer.reversed {
        return;
    }
    // Where a tensor is missing, or one too many.
    if let Err(error) = layer.clone().into_rnn::<f64>(config.clone()) {
        return ways::printable(&error.to_string());
    }
    let mut have: Vec<_> =
        layer.tensors.iter().map(|it| (it.name.clone(), it.tensor.shape().to_vec())).collect();
    let mut want: Vec<_> = config.parameters().map(|it| (it.name, it.shape)).collect();
    have.sort();
    want.sort();
    assert_eq!(have, want);
    match layer.dtype {
        Dtype::F32 => written::<f32>(layer, &config),
        Dtype::F64 => written::<f64>(layer, &config),
    }
}

fn written<T: Element>(layer: Checkpoint, config: &Config) {
    let tensors = layer.into_tensors::<T>();
    let text = config.to_json().to_string();
    let members: Vec<(&str, &dyn AnyArray)> =
        tensors.iter().map(|(name, array)| (name.as_str(), array as _)).collect();
    let files = [
        scratch::written("layer.npz", |sink| {
            write_npz(sink, &members, &text).unwrap();
        }),
        scratch::written("layer.safetensors", |sink| {
            write_safetensors(sink, &members, &text).unwrap();
        }),
        scratch::written("layer.onnx", |sink| write_onnx(sink, &tensors, config).unwrap()),
    ];
    for file in files {
        same(&file, &tensors, config);
    }
}

/// The file has this layer, every bit of it.
fn same<T: Element>(file: &Source, tensors: &[(String, ArrayD<T>)], config: &Config) {
    let again = Checkpoint::read(file, None, None).unwrap();
    assert_eq!((&again.config, again.dtype), (config, T::DTYPE), "{file}");
    let again: HashMap<_, _> = again.into_tensors::<T>().into_iter().collect();
    for (name, want) in tensors {
        let have = &again[name];
        assert_eq!(have.shape(), want.shape(), "{file}: {name}");
        let bits = |array: &ArrayD<T>| -> Vec<_> {
            array.iter().flat_map(|number| number.to_le_bytes().as_ref().to_vec()).collect()
        };
        assert!(bits(have) == bits(want), "{file}: {name}");
    }
}
