//! Hints for files that are not the weights of one layer.

use std::path::Path;

use elman::{CheckpointError, Config, Error, is_parameter_name};

use super::hint;
use crate::failure::with_hint;

/// For weights from which no layer can be chosen.
pub(super) fn choice(error: &CheckpointError) -> Option<String> {
    let CheckpointError::Weights { place, source } = error else { return None };
    match &**source {
        // The tensors of a folder determine the layer without rnn.json. An archive is not repaired so easily.
        CheckpointError::Contradiction { .. } => {
            Path::new(place).is_file().then(|| hint::move_here(place))
        }
        CheckpointError::MixedTypes { .. } => Some(hint::set("--dtype", "f64")),
        CheckpointError::ManyLayers { found } | CheckpointError::NoLayer { found, .. } => {
            found.first().map(|first| hint::set("--prefix", first))
        }
        _ => None,
    }
}

/// An error of the weights with a hint, for a tensor that does not fit the configuration.
pub(crate) fn hinted(error: CheckpointError, config: &Config) -> anyhow::Error {
    let hint = tensor(&error, config);
    with_hint(error, hint)
}

fn tensor(error: &CheckpointError, config: &Config) -> Option<String> {
    let CheckpointError::Weights { place, source } = error else { return None };
    let CheckpointError::Layer(error) = &**source else { return None };
    let file = |name: &str| Path::new(place).join(format!("{name}.npy"));
    match error {
        Error::TensorShape { name, expected, found }
            if expected.iter().rev().eq(found) && found.len() == 2 && Path::new(place).is_dir() =>
        {
            // In its place: a second file beside it would be one tensor too many.
            let file = file(name);
            hint::swap(&file.to_string_lossy(), &file.to_string_lossy(), 0, 1)
        }
        Error::MissingTensor { .. } | Error::TensorShape { .. } => {
            Some(format!("fresh weights show a whole set: {}", hint::init(config, "whole/")))
        }
        // A parameter of another layer is not a stray file: only the user knows which one is right.
        Error::ExtraTensor { name, .. } if !is_parameter_name(name) => {
            let file = file(name);
            // A name that was escaped for the message is not that of the file.
            file.is_file().then(|| hint::move_here(&file.to_string_lossy()))
        }
        _ => None,
    }
}
