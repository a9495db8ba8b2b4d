//! Errors of the layer and of its weights: the place, and a hint.

use std::path::Path;

use elman::files::FileError;
use elman::{CheckpointError, Config, Error, is_parameter_name};

use super::command_line::{CommandLine, typed_flags};
use super::hint::{self, swapped};
use crate::failure::with_hint;

/// The inputs, as messages and the report name them.
pub(crate) struct Places {
    pub(crate) input: String,
    pub(crate) input_shape: Vec<usize>,
    pub(crate) h_0: Option<String>,
    pub(crate) weights: Option<String>,
    /// The value of `--hidden-size`.
    pub(crate) hidden_size: Option<usize>,
    /// Whether the input holds ids, and may be a text without its vocabulary.
    pub(crate) may_be_text: bool,
    /// Whether the sequences have lengths, which would not fit another order of the axes.
    pub(crate) lengths: bool,
}

/// Adds the place of the wrong input and a hint to an error of the layer.
pub(crate) fn explain(error: anyhow::Error, config: &Config, places: &Places) -> anyhow::Error {
    if let Some(kind) = error.downcast_ref::<FileError>() {
        let hint = file_hint(kind, config, places);
        return with_hint(error, hint);
    }
    let Some(kind) = error.downcast_ref::<Error>() else { return error };
    let (place, hint) = match kind {
        Error::InputSize { found, .. } => {
            (Some(&places.input), input_size_hint(config, found, places))
        }
        Error::NoSteps { .. } if places.may_be_text => {
            (Some(&places.input), Some(hint::vocabulary()))
        }
        Error::Rank { .. } | Error::NoSteps { .. } | Error::ZeroSize { .. } => {
            (Some(&places.input), None)
        }
        Error::TensorShape { name, expected, found } if name == "h_0" => {
            (places.h_0.as_ref(), Some(hidden_hint(config, expected, found, places)))
        }
        _ => (None, None),
    };
    let error = match place {
        Some(place) => error.context(place.clone()),
        None => error,
    };
    with_hint(error, hint)
}

fn file_hint(error: &FileError, config: &Config, places: &Places) -> Option<String> {
    match error {
        FileError::Overflow { dtype: "f32", .. } => Some(hint::set("--dtype", "f64")),
        FileError::ManyArrays { place } if *place == places.input && places.weights.is_some() => {
            Some(hint::stream(place, config.bidirectional))
        }
        _ => None,
    }
}

fn input_size_hint(config: &Config, found: &[usize], places: &Places) -> Option<String> {
    let (&features, others) = found.split_last()?;
    // No layer has zero features.
    if features == 0 {
        return None;
    }
    // If another axis fits, the axes are in another order.
    if let Some(axis) = others.iter().position(|&size| size == config.input_size) {
        let command = swapped(&places.input, axis, found.len() - 1)?;
        return Some(format!("axis {axis} has {} features: {command}", config.input_size));
    }
    if places.weights.is_none() {
        let line = CommandLine::new().with("--input-size", Some(&features.to_string()));
        // nn.RNN(20, 10) for nn.RNN(10, 20).
        return Some(if places.hidden_size == Some(features) {
            line.with("--hidden-size", Some(&config.input_size.to_string())).to_string()
        } else {
            line.to_string()
        });
    }
    let config = Config { input_size: features, ..config.clone() };
    let command = hint::init(&config, &format!("weights-{features}/"));
    Some(format!("fresh weights for {features} features: {command}"))
}

/// For an `h_0` of another shape: the other order of the axes of the input or of `h_0`, if one fits, or zeros.
fn hidden_hint(config: &Config, expected: &[usize], found: &[usize], places: &Places) -> String {
    if let (&[states, batch, hidden], &[other_states, other_batch, other_hidden]) =
        (expected, found)
    {
        if (states, hidden) == (other_states, other_hidden)
            && !places.lengths
            && places.input_shape.get(usize::from(config.batch_first)) == Some(&other_batch)
        {
            return hint::other_axes(config.batch_first, other_batch, "as the batch of h_0");
        }
        if (states, batch, hidden) == (other_batch, other_states, other_hidden)
            && let Some(command) = places.h_0.as_deref().and_then(|h_0| swapped(h_0, 0, 1))
        {
            return format!("batch_first never applies to h_0: {command}");
        }
    }
    hint::zero_state()
}

/// For weights from which no layer can be chosen.
pub(super) fn choice(error: &CheckpointError) -> Option<String> {
    let CheckpointError::Weights { place, source } = error else { return None };
    match &**source {
        // The tensors of a folder determine the layer without rnn.json. An archive is not repaired so easily.
        CheckpointError::Contradiction(_) => {
            Path::new(place).is_file().then(|| hint::move_here(place))
        }
        CheckpointError::MixedTypes(_) => Some(hint::set("--dtype", "f64")),
        CheckpointError::ManyLayers { found } | CheckpointError::NoLayer { found, .. } => {
            found.first().map(|first| hint::set("--prefix", first))
        }
        _ => None,
    }
}

/// An error of the weights with a hint, for a tensor that does not fit the configuration.
pub(crate) fn hinted(error: CheckpointError, config: &Config) -> anyhow::Error {
    let hint = tensor(&error, config);
    let of_labels = matches!(&error, CheckpointError::Layer(Error::Invalid { name: "labels", .. }));
    let mut labels = typed_flags(&[]).into_iter().filter(|_| of_labels);
    match labels.find_map(|flag| flag.strip_prefix("--labels=").map(str::to_owned)) {
        Some(file) => anyhow::Error::from(error).context(file),
        None => with_hint(error, hint),
    }
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
            Some(hint::swap(&file.to_string_lossy(), &file.to_string_lossy(), 0, 1))
        }
        Error::TensorShape { name, expected, .. } if !is_parameter_name(name) => {
            let (hidden, directions) = (config.hidden_size, config.num_directions());
            let s = if directions == 1 { "" } else { "s" };
            // The first linear layer of a head. The rows of an embedding are features of the layer.
            (expected.get(1) == Some(&(directions * hidden)) && hidden != config.input_size).then(|| {
                format!(
                    "every --pool gives {} features: hidden_size {hidden}, {directions} direction{s}",
                    directions * hidden
                )
            })
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
