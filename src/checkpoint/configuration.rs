//! The configuration of a layer in a file: from the text beside the tensors, from the attributes of a module,
//! or from names and shapes.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::names::Found;
use crate::checkpoint::error::CheckpointError;
use crate::error::Error;
use crate::files::{AttributeValue, Bundle, Text};
use crate::{Config, Nonlinearity, is_parameter_name};

/// The arguments among a PyTorch module's attributes that names and shapes do not tell.
#[derive(Default)]
struct ModuleArguments {
    nonlinearity: Option<Nonlinearity>,
    batch_first: Option<bool>,
    dropout: Option<f64>,
}

/// The configuration, and whether the nonlinearity in it comes from the file.
pub(super) fn read(bundle: &Bundle, found: &Found) -> Result<(Config, bool), CheckpointError> {
    let shapes = || {
        let shape = |index: &usize| bundle.entries()[*index].shape.as_slice();
        found.members.iter().map(move |(index, name)| (name.as_str(), shape(index)))
    };
    let Some(Text { place, text }) = bundle.text() else {
        let told = Config::infer(shapes()).map_err(|error| match error {
            Error::NoSizes { found: None, .. } => no_rnn(bundle).unwrap_or(error.into()),
            error => error.into(),
        });
        let config = told.map_err(|error| error.within(bundle.place()))?;
        let module = ModuleArguments::of(bundle, found.prefix.trim_end_matches('.'));
        return Ok((module.fill(&config), module.nonlinearity.is_some()));
    };
    let config =
        Config::from_json(text).map_err(|error| CheckpointError::from(error).within(place))?;
    refuse_misfit(&config, shapes()).map_err(|error| error.within(place))?;
    Ok((config, explicit_nonlinearity(text)))
}

/// PyTorch's arguments that a bundle holds explicitly, under the names of the modules around the layer: those
/// of a saved configuration, or the attributes of a checkpoint's modules. Arguments that follow from names and
/// shapes are left out.
pub fn explicit_arguments(bundle: &Bundle) -> Map<String, Value> {
    if let Some(Text { text, .. }) = bundle.text() {
        let config = Config::from_json(text).map(|config| config.to_json());
        let mut fields = config.ok().and_then(|json| json.as_object().cloned()).unwrap_or_default();
        if !explicit_nonlinearity(text) {
            fields.shift_remove("nonlinearity");
        }
        return fields;
    }
    let mut fields = Map::new();
    let layers = bundle.attributes().iter().filter(|attribute| attribute.name == "mode");
    for module in layers.map(|attribute| attribute.module.as_str()) {
        let ModuleArguments { nonlinearity, batch_first, dropout } =
            ModuleArguments::of(bundle, module);
        // An LSTM has a mode too, but is not compared.
        let Some(nonlinearity) = nonlinearity else { continue };
        let dot = if module.is_empty() { "" } else { "." };
        let mut add = |name: &str, value| fields.insert(format!("{module}{dot}{name}"), value);
        add("nonlinearity", json!(nonlinearity));
        batch_first.map(|batch_first| add("batch_first", json!(batch_first)));
        dropout.map(|dropout| add("dropout", json!(dropout)));
    }
    fields
}

/// Whether a saved configuration names the nonlinearity. It does not if the weights came without one.
fn explicit_nonlinearity(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|saved: Value| saved.get("nonlinearity").is_some())
}

impl ModuleArguments {
    /// The arguments of the module of this name.
    fn of(bundle: &Bundle, module: &str) -> Self {
        let mut found = ModuleArguments::default();
        for attribute in bundle.attributes().iter().filter(|attribute| attribute.module == module) {
            match (attribute.name.as_str(), &attribute.value) {
                ("mode", AttributeValue::Text(mode)) => {
                    found.nonlinearity = match mode.as_str() {
                        "RNN_TANH" => Some(Nonlinearity::Tanh),
                        "RNN_RELU" => Some(Nonlinearity::Relu),
                        _ => None,
                    }
                }
                ("batch_first", AttributeValue::Bool(first)) => found.batch_first = Some(*first),
                ("dropout", AttributeValue::Float(p)) if (0.0..=1.0).contains(p) => {
                    found.dropout = Some(*p);
                }
                // dropout=1 is kept as it was written.
                ("dropout", AttributeValue::Int(p @ 0..=1)) => {
                    found.dropout = Some(if *p == 1 { 1.0 } else { 0.0 });
                }
                _ => {}
            }
        }
        found
    }

    /// The configuration with these arguments in it.
    fn fill(&self, config: &Config) -> Config {
        Config {
            nonlinearity: self.nonlinearity.unwrap_or(config.nonlinearity),
            batch_first: self.batch_first.unwrap_or(config.batch_first),
            dropout: self.dropout.unwrap_or(config.dropout),
            ..config.clone()
        }
    }
}

/// The error for tensors that are not a layer, with their likely kind; `None` if they are an incomplete layer.
fn no_rnn(bundle: &Bundle) -> Option<CheckpointError> {
    let names: Vec<_> = bundle.entries().iter().map(|entry| entry.name.clone()).collect();
    let has = |own: &str| names.iter().any(|name| last(name) == own);
    let looks = if has("weight_ih") && has("weight_hh") {
        Some("an RNNCell, LSTMCell or GRUCell")
    } else if names.iter().any(|name| is_parametrized(name)) {
        Some("an RNN with weight_norm or another parametrization, which PyTorch can remove")
    } else {
        None
    };
    let no_parameter = !names.iter().any(|name| is_parameter_name(last(name)));
    (no_parameter || looks.is_some()).then_some(CheckpointError::NoRnn { found: names, looks })
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
    saved: &Config,
    shapes: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<(), CheckpointError> {
    let shapes: HashMap<_, _> = shapes.collect();
    let Ok(told) = Config::infer(shapes.iter().map(|(name, shape)| (*name, *shape))) else {
        return Ok(());
    };
    let mut count = 0;
    for parameter in told.parameters() {
        if shapes.get(parameter.name.as_str()) != Some(&parameter.shape.as_slice()) {
            return Ok(());
        }
        count += 1;
    }
    if count < shapes.len() {
        return Ok(());
    }
    let names = ["input_size", "hidden_size", "num_layers", "bias", "bidirectional"];
    refuse_contradiction(&told, saved, &names)
}

/// Rejects a saved configuration with another value of one of these arguments than the tensors tell.
pub(super) fn refuse_contradiction(
    told: &Config,
    saved: &Config,
    names: &[&'static str],
) -> Result<(), CheckpointError> {
    let (told, saved) = (told.to_json(), saved.to_json());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match names.iter().find(|&&name| told[name] != saved[name]) {
        None => Ok(()),
        Some(&name) => {
            let (expected, found) = (text(&told[name]), text(&saved[name]));
            Err(CheckpointError::Contradiction { name, expected, found })
        }
    }
}
