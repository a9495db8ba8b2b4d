//! The configuration of a layer out of a file: what the file says, the rest PyTorch's defaults.

use std::collections::HashMap;

use super::names;
use crate::io::{AttributeValue, Bundle, Text};
use crate::{Config, Error, Nonlinearity};

/// The configuration, and whether the nonlinearity in it comes from the file.
pub(super) fn of(bundle: &Bundle, found: &names::Found) -> Result<(Config, bool), Error> {
    let shapes = || {
        let shape = |index: &usize| bundle.entries()[*index].shape.as_slice();
        found.members.iter().map(move |(index, name)| (name.as_str(), shape(index)))
    };
    let within =
        |place: &str, error| Error::Weights { place: place.to_owned(), source: Box::new(error) };
    let Some(Text { place, text }) = bundle.text() else {
        let told = Config::infer(shapes()).map_err(|error| within(bundle.place(), error))?;
        return Ok(with_attributes(told, bundle, &found.prefix));
    };
    let config = Config::from_json(text).map_err(|error| within(place, error))?;
    refuse_misfit(&config, shapes()).map_err(|error| within(place, error))?;
    Ok((config, true))
}

/// A configuration with what PyTorch's own module says of itself, and whether it says its nonlinearity.
fn with_attributes(mut config: Config, bundle: &Bundle, prefix: &str) -> (Config, bool) {
    let module = prefix.strip_suffix('.').unwrap_or(prefix);
    let mut says_nonlinearity = false;
    for attribute in bundle.attributes().iter().filter(|attribute| attribute.module == module) {
        match (attribute.name.as_str(), &attribute.value) {
            ("mode", AttributeValue::Text(mode)) if mode == "RNN_TANH" || mode == "RNN_RELU" => {
                let relu = mode == "RNN_RELU";
                config.nonlinearity = if relu { Nonlinearity::Relu } else { Nonlinearity::Tanh };
                says_nonlinearity = true;
            }
            ("batch_first", AttributeValue::Bool(batch_first)) => config.batch_first = *batch_first,
            ("dropout", AttributeValue::Float(p)) if (0.0..=1.0).contains(p) => config.dropout = *p,
            // dropout=1 is kept as it was written.
            ("dropout", AttributeValue::Int(p @ 0..=1)) => {
                config.dropout = if *p == 1 { 1.0 } else { 0.0 }
            }
            _ => {}
        }
    }
    (config, says_nonlinearity)
}

/// Refuses a saved configuration that contradicts tensors which are a whole layer by themselves. Where
/// they are not, the layer names the tensor that is wrong.
fn refuse_misfit<'a>(
    saved: &Config,
    shapes: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<(), Error> {
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
    Err(Error::Contradiction { name, expected, found })
}
