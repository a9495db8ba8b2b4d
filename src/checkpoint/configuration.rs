//! The configuration of a layer in a file: from the text beside the tensors, from the attributes of a module,
//! or from names and shapes.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry as Place};

use serde_json::{Map, Value, json};

use super::names::{Found, split};
use crate::checkpoint::error::CheckpointError;
use crate::error::Error;
use crate::files::{AttributeValue, Bundle, Entry, Text, listed};
use crate::{Config, ModelConfig, is_parameter_name};

/// Most names of tensors that an error lists.
const MAX_NAMES: usize = 5;

/// Objects of a checkpoint that hold the arguments of its modules.
const HYPER_PARAMETERS: [&str; 7] =
    ["hyper_parameters", "hparams", "config", "args", "model_args", "model_config", "kwargs"];

/// A configuration in a file.
pub(super) struct Saved {
    pub(super) config: Config,
    /// The parts around the layer.
    pub(super) model: ModelConfig,
    /// PyTorch's names of the arguments that the file holds. The others follow from names and shapes, or are
    /// PyTorch's defaults.
    pub(super) explicit: Vec<String>,
    /// Remarks for the user, a line each.
    pub(super) notes: Vec<String>,
}

/// The configuration of the layer.
pub(super) fn read(
    bundle: &Bundle,
    entries: &[Entry],
    found: &Found,
) -> Result<Saved, CheckpointError> {
    let shapes = || {
        let shape = |index: &usize| entries[*index].shape.as_slice();
        found.members.iter().map(move |(index, name)| (name.as_str(), shape(index)))
    };
    let Some(Text { place, text }) = bundle.text() else {
        let inferred = Config::infer(shapes()).map_err(|error| match error {
            Error::NoSizes { found: None, .. } => no_rnn(bundle).unwrap_or(error.into()),
            error => error.into(),
        });
        let inferred = inferred.map_err(|error| error.within(bundle.place()))?;
        let mut fields = inferred.to_json();
        let mut explicit = module_arguments(bundle, found.prefix.trim_end_matches('.'));
        let mut notes = Vec::new();
        for (name, (value, module)) in hyper_parameters(bundle, &found.prefix) {
            if !explicit.contains_key(&name) {
                notes.push(format!("{name} {} is that of {module}", text_of(&value)));
                explicit.insert(name, value);
            }
        }
        for (name, value) in &explicit {
            fields[name] = value.clone();
        }
        let config = serde_json::from_value(fields).unwrap_or(inferred);
        let explicit = explicit.into_iter().map(|(name, _)| name).collect();
        return Ok(Saved { config, model: ModelConfig::default(), explicit, notes });
    };
    let saved = of_text(text).map_err(CheckpointError::from);
    let saved = saved.and_then(|(saved, model)| Ok((refuse_misfit(saved, shapes())?, model)));
    let (config, model) = saved.map_err(|error| error.within(place))?;
    let fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let explicit = fields.into_iter().map(|(name, _)| name).filter(|name| name != MODEL).collect();
    Ok(Saved { config, model, explicit, notes: Vec::new() })
}

/// The field of `rnn.json` with the parts around the layer, a [`ModelConfig`].
pub const MODEL: &str = "model";

/// The configurations of the layer and of the parts around it in an `rnn.json`.
fn of_text(text: &str) -> Result<(Config, ModelConfig), Error> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else {
        // The error is that of the layer.
        return Config::from_json(text).map(|config| (config, ModelConfig::default()));
    };
    let Some(model) = fields.shift_remove(MODEL) else {
        return Config::from_json(text).map(|config| (config, ModelConfig::default()));
    };
    let model = ModelConfig::from_json(&model)?;
    Ok((Config::from_json(&Value::Object(fields).to_string())?, model))
}

/// PyTorch's arguments that a bundle contains explicitly, with the names of the modules around the layer: those
/// of a saved configuration, or the attributes of a checkpoint's modules. Arguments that follow from names and
/// shapes are left out.
pub fn explicit_arguments(bundle: &Bundle) -> Map<String, Value> {
    if let Some(Text { text, .. }) = bundle.text() {
        let config = of_text(text).map(|(config, _)| config.to_json());
        let Ok(Value::Object(mut fields)) = config else { return Map::new() };
        // An argument is absent if the weights came without it.
        let saved: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        fields.retain(|name, _| saved.contains_key(name));
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

/// Arguments of the layer among those of a model, with the name of the object that holds them: all arguments of the
/// model, or those in an object of the layer's name. Values that disagree are left out.
fn hyper_parameters(bundle: &Bundle, prefix: &str) -> BTreeMap<String, (Value, String)> {
    let mut found = BTreeMap::new();
    let layer: Vec<_> = prefix.trim_end_matches('.').split('.').collect();
    for attribute in bundle.attributes() {
        let objects: Vec<_> = attribute.module.split('.').collect();
        let outer = objects.iter().rposition(|object| HYPER_PARAMETERS.contains(object));
        if !outer.is_some_and(|outer| layer.ends_with(&objects[outer + 1..])) {
            continue;
        }
        let Some(value) = argument(&attribute.name, &attribute.value) else { continue };
        let new = (value, attribute.module.clone());
        match found.entry(attribute.name.clone()) {
            Place::Vacant(place) => drop(place.insert(Some(new))),
            Place::Occupied(mut place) => {
                place.get_mut().take_if(|(value, _)| *value != new.0);
            }
        }
    }
    found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The value of one of PyTorch's arguments that names and shapes do not tell.
fn argument(name: &str, value: &AttributeValue) -> Option<Value> {
    Some(match (name, value) {
        ("nonlinearity", AttributeValue::Text(text)) => {
            let text = text.to_lowercase();
            ["tanh", "relu"].contains(&text.as_str()).then(|| json!(text))?
        }
        ("batch_first", AttributeValue::Bool(first)) => json!(first),
        ("dropout", AttributeValue::Float(p)) if (0.0..=1.0).contains(p) => json!(p),
        // Python also accepts dropout=1.
        ("dropout", AttributeValue::Int(p @ 0..=1)) => json!(if *p == 1 { 1.0 } else { 0.0 }),
        _ => return None,
    })
}

/// A value as a note shows it.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The arguments among the attributes of a PyTorch module that names and shapes do not tell.
fn module_arguments(bundle: &Bundle, module: &str) -> Map<String, Value> {
    let own = |name: &str| {
        let mut own = bundle.attributes().iter().filter(|attribute| attribute.module == module);
        own.rfind(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    };
    let mode = match own("mode") {
        Some(AttributeValue::Text(mode)) if mode == "RNN_TANH" => Some(json!("tanh")),
        Some(AttributeValue::Text(mode)) if mode == "RNN_RELU" => Some(json!("relu")),
        _ => None,
    };
    let mut arguments = Map::new();
    for name in ["nonlinearity", "batch_first", "dropout"] {
        let value = own(name).and_then(|value| argument(name, value));
        let value = if name == "nonlinearity" { mode.clone().or(value) } else { value };
        value.map(|value| arguments.insert(name.to_owned(), value));
    }
    arguments
}

/// The error for tensors that are not a layer, with their likely kind; `None` if they are an incomplete layer.
fn no_rnn(bundle: &Bundle) -> Option<CheckpointError> {
    let names: Vec<_> = bundle.entries().iter().map(|entry| entry.name.as_str()).collect();
    let looks = if names.iter().any(|name| is_parametrized(name)) {
        ": this looks like an RNN with weight_norm or another parametrization, which PyTorch can remove"
    } else if names.iter().any(|name| is_parameter_name(split(name).1)) {
        return None;
    } else {
        ""
    };
    let got = if names.is_empty() { "no tensors".to_owned() } else { listed(&names, MAX_NAMES) };
    let expected = "expected the weights of an RNN, such as weight_ih_l0";
    Some(CheckpointError::NoRnn(format!("{expected}, got {got}{looks}")))
}

/// Whether PyTorch computes a parameter from a tensor of this name: `weight_hh_l0_g` or, newer,
/// `parametrizations.weight_hh_l0.original0`.
fn is_parametrized(name: &str) -> bool {
    let stem = name.strip_suffix("_g").or_else(|| name.strip_suffix("_v"));
    let within = name.split_once("parametrizations.").and_then(|(_, own)| own.rsplit_once('.'));
    stem.or(within.map(|(own, _)| own)).is_some_and(|own| is_parameter_name(split(own).1))
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
    let differences = Config::differences(&inferred.to_json(), &saved.to_json());
    let determined = |(name, ..): &(String, _, _)| !undetermined.contains(&name.as_str());
    differences.into_iter().find(determined).map_or(Ok(saved), |(name, inferred, saved)| {
        let (expected, found) = (text_of(&inferred), text_of(&saved));
        let what = format!("expected {name} {expected}, as in the tensors, got {found}");
        Err(CheckpointError::Contradiction(what))
    })
}
