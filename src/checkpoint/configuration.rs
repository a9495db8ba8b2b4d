//! What a file says of a layer's configuration: in the text beside the tensors, in the attributes of a
//! module, or through names and shapes alone.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::names::Found;
use crate::checkpoint::error::CheckpointError;
use crate::error::Error;
use crate::files::{AttributeValue, Bundle, Text};
use crate::{Config, Nonlinearity, is_parameter_name};

/// What a module of PyTorch's says of itself; names and shapes do not tell it.
#[derive(Default)]
struct Said {
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
        let said = Said::by_module(bundle, found.prefix.trim_end_matches('.'));
        return Ok((said.fill(&config), said.nonlinearity.is_some()));
    };
    let config =
        Config::from_json(text).map_err(|error| CheckpointError::from(error).within(place))?;
    refuse_misfit(&config, shapes()).map_err(|error| error.within(place))?;
    Ok((config, explicit_nonlinearity(text)))
}

/// PyTorch's arguments that a bundle itself says, by name, behind the names of the modules around the
/// layer: those of a saved configuration, or what the modules of a checkpoint say of themselves. What only
/// names and shapes of the tensors tell is not said.
pub fn said_arguments(bundle: &Bundle) -> Map<String, Value> {
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
        let Said { nonlinearity, batch_first, dropout } = Said::by_module(bundle, module);
        // An LSTM has a mode too, and is nothing that this crate compares.
        let Some(nonlinearity) = nonlinearity else { continue };
        let dot = if module.is_empty() { "" } else { "." };
        let mut add = |name: &str, value| fields.insert(format!("{module}{dot}{name}"), value);
        add("nonlinearity", json!(nonlinearity));
        batch_first.map(|batch_first| add("batch_first", json!(batch_first)));
        dropout.map(|dropout| add("dropout", json!(dropout)));
    }
    fields
}

/// Whether a saved configuration names the nonlinearity. One without it is of weights that did not say it.
fn explicit_nonlinearity(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|saved: Value| saved.get("nonlinearity").is_some())
}

impl Said {
    /// What the module of this name says.
    fn by_module(bundle: &Bundle, module: &str) -> Self {
        let mut said = Said::default();
        for attribute in bundle.attributes().iter().filter(|attribute| attribute.module == module) {
            match (attribute.name.as_str(), &attribute.value) {
                ("mode", AttributeValue::Text(mode)) => {
                    said.nonlinearity = match mode.as_str() {
                        "RNN_TANH" => Some(Nonlinearity::Tanh),
                        "RNN_RELU" => Some(Nonlinearity::Relu),
                        _ => None,
                    }
                }
                ("batch_first", AttributeValue::Bool(first)) => said.batch_first = Some(*first),
                ("dropout", AttributeValue::Float(p)) if (0.0..=1.0).contains(p) => {
                    said.dropout = Some(*p);
                }
                // dropout=1 is kept as it was written.
                ("dropout", AttributeValue::Int(p @ 0..=1)) => {
                    said.dropout = Some(if *p == 1 { 1.0 } else { 0.0 });
                }
                _ => {}
            }
        }
        said
    }

    /// A configuration with what is said in it.
    fn fill(&self, config: &Config) -> Config {
        Config {
            nonlinearity: self.nonlinearity.unwrap_or(config.nonlinearity),
            batch_first: self.batch_first.unwrap_or(config.batch_first),
            dropout: self.dropout.unwrap_or(config.dropout),
            ..config.clone()
        }
    }
}

/// The error for tensors that are no layer, and what they look like where that is known; none where they
/// are one that lacks something.
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

/// A name without those of the modules around it.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Whether a tensor is one of which PyTorch computes a parameter: `weight_hh_l0_g` or, newer,
/// `parametrizations.weight_hh_l0.original0`.
fn is_parametrized(name: &str) -> bool {
    let stem = name.strip_suffix("_g").or_else(|| name.strip_suffix("_v"));
    let within = name.split_once("parametrizations.").and_then(|(_, own)| own.rsplit_once('.'));
    stem.or(within.map(|(own, _)| own)).is_some_and(|own| is_parameter_name(last(own)))
}

/// Refuses a saved configuration that contradicts tensors which are a whole layer by themselves. Where
/// they are not, the layer names the tensor that is wrong.
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
    let fields = [
        ("input_size", told.input_size.to_string(), saved.input_size.to_string()),
        ("hidden_size", told.hidden_size.to_string(), saved.hidden_size.to_string()),
        ("num_layers", told.num_layers.to_string(), saved.num_layers.to_string()),
        ("bias", told.bias.to_string(), saved.bias.to_string()),
        ("bidirectional", told.bidirectional.to_string(), saved.bidirectional.to_string()),
    ];
    let misfit = fields.into_iter().find(|(_, told, saved)| told != saved);
    let Some((name, expected, found)) = misfit.filter(|_| count == shapes.len()) else {
        return Ok(());
    };
    Err(CheckpointError::Contradiction { name, expected, found })
}
