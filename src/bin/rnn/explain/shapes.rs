//! Shapes that do not fit: the place of the error, and a hint.

use elman::files::FileError;
use elman::{Config, Error};

use super::command_line::CommandLine;
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
