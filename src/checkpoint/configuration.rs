//! The configuration of a layer in a file: from the text beside the tensors, from the attributes of a module,
//! or from names and shapes.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::names::Found;
use crate::checkpoint::error::CheckpointError;
use crate::error::Error;
use crate::files::{AttributeValue, Bundle, Text, listed};
use crate::{Config, is_parameter_name};

/// Most names of tensors that an error lists.
const MAX_NAMES: usize = 5;

/// The configuration, and whether the nonlinearity in it comes from the file.
pub(super) fn read(bundle: &Bundle, found: &Found) -> Result<(Config, bool), CheckpointError> {
    let shapes = || {
        let shape = |index: &usize| bundle.entries()[*index].shape.as_slice();
        found.members.iter().map(move |(index, name)| (name.as_str(), shape(index)))
    };
    let Some(Text { place, text }) = bundle.text() else {
        let inferred = Config::infer(shapes()).map_err(|error| match error {
            Error::NoSizes { found: None, .. } => no_rnn(bundle).unwrap_or(error.into()),
            error => error.into(),
        });
        let inferred = inferred.map_err(|error| error.within(bundle.place()))?;
        let mut fields = inferred.to_json();
        let arguments = module_arguments(bundle, found.prefix.trim_end_matches('.'));
        let explicit_nonlinearity = arguments.contains_key("nonlinearity");
        arguments.into_iter().for_each(|(name, value)| fields[name] = value);
        return Ok((serde_json::from_value(fields).unwrap_or(inferred), explicit_nonlinearity));
    };
    let saved = Config::from_json(text).map_err(CheckpointError::from);
    let config = saved.and_then(|saved| refuse_misfit(saved, shapes()));
    Ok((config.map_err(|error| error.within(place))?, explicit_nonlinearity(text)))
}

/// PyTorch's arguments that a bundle contains explicitly, with the names of the modules around the layer: those
/// of a saved configuration, or the attributes of a checkpoint's modules. Arguments that follow from names and
/// shapes are left out.
pub fn explicit_arguments(bundle: &Bundle) -> Map<String, Value> {
    if let Some(Text { text, .. }) = bundle.text() {
        let config = Config::from_json(text).map(|config| config.to_json());
        let Ok(Value::Object(mut fields)) = config else { return Map::new() };
        if !explicit_nonlinearity(text) {
            fields.shift_remove("nonlinearity");
        }
        return fields;
    }
    let layers = bundle.attributes().iter().filter(|attribute| attribute.name == "mode");
    let arguments = layers.map(|layer| (&layer.module, module_arguments(bundle, &layer.module)));
    // An LSTM has a mode too, but is not compared.
    let rnns = arguments.filter(|(_, arguments)| arguments.contains_key("nonlinearity"));
    let dotted = rnns.flat_map(|(module, arguments)| {
        let dot = if module.is_empty() { "" } else { "." };
        arguments.into_iter().map(move |(name, value)| (format!("{module}{dot}{name}"), value))
    });
    dotted.collect()
}

/// Whether a saved configuration names the nonlinearity. It does not if the weights came without one.
fn explicit_nonlinearity(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|saved: Value| saved.get("nonlinearity").is_some())
}

/// The attributes of a PyTorch module that are arguments and do not follow from names and shapes.
fn module_arguments(bundle: &Bundle, module: &str) -> Map<String, Value> {
    let own = |name: &str| {
        let mut own = bundle.attributes().iter().filter(|attribute| attribute.module == module);
        own.rfind(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    };
    let nonlinearity = match own("mode") {
        Some(AttributeValue::Text(mode)) if mode == "RNN_TANH" => Some(json!("tanh")),
        Some(AttributeValue::Text(mode)) if mode == "RNN_RELU" => Some(json!("relu")),
        _ => None,
    };
    let batch_first = match own("batch_first") {
        Some(AttributeValue::Bool(first)) => Some(json!(first)),
        _ => None,
    };
    let dropout = match own("dropout") {
        Some(AttributeValue::Float(p)) if (0.0..=1.0).contains(p) => Some(json!(p)),
        // Python also accepts dropout=1.
        Some(AttributeValue::Int(p @ 0..=1)) => Some(json!(if *p == 1 { 1.0 } else { 0.0 })),
        _ => None,
    };
    [("nonlinearity", nonlinearity), ("batch_first", batch_first), ("dropout", dropout)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// The error for tensors that are not a layer, with their likely kind; `None` if they are an incomplete layer.
fn no_rnn(bundle: &Bundle) -> Option<CheckpointError> {
    let names: Vec<_> = bundle.entries().iter().map(|entry| entry.name.as_str()).collect();
    let has = |own: &str| names.iter().any(|name| last(name) == own);
    let looks = if has("weight_ih") && has("weight_hh") {
        ": this looks like an RNNCell, LSTMCell or GRUCell"
    } else if names.iter().any(|name| is_parametrized(name)) {
        ": this looks like an RNN with weight_norm or another parametrization, which PyTorch can remove"
    } else if names.iter().any(|name| is_parameter_name(last(name))) {
        return None;
    } else {
        ""
    };
    let got = if names.is_empty() { "no tensors".to_owned() } else { listed(&names, MAX_NAMES) };
    let expected = "expected the weights of an RNN, such as weight_ih_l0";
    Some(CheckpointError::NoRnn(format!("{expected}, got {got}{looks}")))
}

/// A name without the modules around it.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Whether PyTorch computes a parameter from a tensor of this name: `weight_hh_l0_g` or, newer,
/// `parametrizations.weight_hh_l0.original0`.
fn is_parametrized(name: &str) -> bool {
    let stem = name.strip_suffix("_g").or_else(|| name.strip_suffix("_v"));
    let within = name.split_once("parametrizations.").and_then(|(_, own)| own.rsplit_once('.'));
    stem.or(within.map(|(own, _)| own)).is_some_and(|own| is_parameter_name(last(own)))
}

/// Rejects a saved configuration that contradicts a complete set of tensors. If the set is incomplete, the layer
/// names the wrong tensor later.
fn refuse_misfit<'a>(
    saved: Config,
    shapes: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<Config, CheckpointError> {
    let mut shapes: HashMap<_, _> = shapes.collect();
    let Ok(inferred) = Config::infer(shapes.iter().map(|(name, shape)| (*name, *shape))) else {
        return Ok(saved);
    };
    let complete =
        inferred.parameters().all(|own| shapes.remove(&*own.name) == Some(own.shape.as_slice()));
    if !complete || !shapes.is_empty() {
        return Ok(saved);
    }
    refuse_contradiction(&inferred, saved, &["nonlinearity", "batch_first", "dropout"])
}

/// Rejects a saved configuration that differs from that of the tensors, except in arguments that they do not
/// determine.
pub(super) fn refuse_contradiction(
    inferred: &Config,
    saved: Config,
    undetermined: &[&str],
) -> Result<Config, CheckpointError> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let differences = Config::differences(&inferred.to_json(), &saved.to_json());
    let determined = |(name, ..): &(String, _, _)| !undetermined.contains(&name.as_str());
    differences.into_iter().find(determined).map_or(Ok(saved), |(name, inferred, saved)| {
        let (expected, found) = (text(&inferred), text(&saved));
        let what = format!("expected {name} {expected}, as in the tensors, got {found}");
        Err(CheckpointError::Contradiction(what))
    })
}
