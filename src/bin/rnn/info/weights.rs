//! The weights of a layer.

use std::collections::HashMap;

use anyhow::Result;
use elman::files::{Number, StoredType};
use elman::{Checkpoint, CheckpointError, Parameter, Params, Suggestion, Tokens, Vocabulary};
use ndarray::ArrayD;
use serde_json::{Value, json};

use crate::args::{Info, InfoForm};
use crate::explain::command_line::quoted;
use crate::layer::others_left_alone;
use crate::model_flags::typed;
use crate::numbers::not_finite;
use crate::report::{Notes, layer_json, rounded, sizes};

use super::eigenvalues::spectral_radius;
use super::print::Printer;
use super::{Description, Listed, modules};

/// The explanation below the parameters.
const MEANING: &str = "spectral radius: the largest |eigenvalue| of weight_hh; below 1 the influence \
                       of the past fades";

/// The largest matrix whose eigenvalues are computed without `--spectral-radius`, in rows. The time grows with
/// the cube: 2048 rows take some ten seconds, 8192 ten minutes.
pub(crate) const MAX_ROWS: usize = 2048;

pub(super) fn describe(checkpoint: Checkpoint, args: &Info) -> Result<Description> {
    let mut notes = Notes::default();
    notes.notes.extend(others_left_alone(&checkpoint));
    notes.notes.extend(around(&checkpoint));
    notes.notes.extend(checkpoint.notes.iter().cloned());
    notes.warnings.extend(checkpoint.warnings.iter().cloned());
    let (file, format) = (checkpoint.place.clone(), checkpoint.recognised.clone());
    let config = checkpoint.config.clone();
    if config.hidden_size > MAX_ROWS && !args.spectral_radius {
        notes.notes.push(format!(
            "the spectral radius of more than {MAX_ROWS} rows takes minutes; --spectral-radius computes it"
        ));
    }
    let (said, dtype) = (checkpoint.is_explicit("nonlinearity"), checkpoint.dtype);
    let mut nonlinearity = config.nonlinearity.to_string();
    if !said {
        nonlinearity = format!("nonlinearity not said, {nonlinearity} assumed");
    }
    let count = config.num_parameters().unwrap_or(usize::MAX);
    let in_json = args.report == InfoForm::Json;
    let fields = json!({
        "layer": layer_json(&config, dtype),
        "nonlinearity_said": said,
        "prefix": checkpoint.prefix,
        "ignored": checkpoint.ignored,
        "model": (!checkpoint.model.is_empty()).then(|| checkpoint.model.to_json()),
        "modules": if in_json { modules::fields(&checkpoint.around) } else { Vec::new() },
        "suggested": suggested(&checkpoint.suggested),
        "not_applied": checkpoint.suggested.unapplied,
    });
    let mut lines = vec![format!("{config}, {nonlinearity}, {dtype}, {count} parameters")];
    if !in_json {
        lines.extend(modules::printed(&checkpoint.around));
    }
    let tensors = Some(tensors(checkpoint, args, &mut notes)?);
    let (kind, meaning) = ("weights", Some(MEANING));
    let described =
        Description { file, kind, format, lines, fields, tensors, ..Description::default() };
    Ok(Description { meaning, notes, ..described })
}

/// The parts of the model around the layer: those that `rnn run` uses by itself, or the flags that would use them.
fn around(checkpoint: &Checkpoint) -> Option<String> {
    let model = &checkpoint.model;
    if model.is_empty() {
        return crate::modules::prediction(checkpoint).or_else(|| {
            let names = crate::modules::unapplied(checkpoint, &checkpoint.model)?;
            let has_parts = !checkpoint.modules.is_empty();
            let note =
                || format!("rnn does not apply {names}: no flags give the model's prediction");
            has_parts.then(note)
        });
    }
    let tokens = model.vocabulary.as_ref().map(|own| format!("{} tokens", own.names().len()));
    let labels = model.labels.as_ref().map(|own| format!("{} labels", own.len()));
    let text = model.vocabulary.iter().flat_map(typed_tokens);
    let flags: Vec<_> = typed(model).into_iter().chain(text).collect();
    let flags = Some(flags.join(" ")).filter(|flags| !flags.is_empty());
    let parts: Vec<_> = [flags, tokens, labels].into_iter().flatten().collect();
    Some(format!("the model around the layer, as rnn run uses it: {}", parts.join(", ")))
}

/// The unit of a vocabulary's text, and the token that stands for all others, as flags.
fn typed_tokens(vocabulary: &Vocabulary) -> impl Iterator<Item = String> {
    let unit = if vocabulary.tokens() == Tokens::Word { "word" } else { "char" };
    let unknown = vocabulary.unknown().map(|own| format!("--unknown {}", quoted(own)));
    std::iter::once(format!("--tokens {unit}")).chain(unknown)
}

/// The suggested parts as the field of the report; null if there are none.
fn suggested(suggested: &Suggestion) -> Option<Value> {
    let Suggestion { model, open, .. } = suggested;
    let flags = || json!({"flags": typed(model), "activations_open": open});
    (!model.head.is_empty()).then(flags)
}

/// The parameters in the order of the `state_dict`.
fn tensors(checkpoint: Checkpoint, args: &Info, notes: &mut Notes) -> Result<Vec<Listed>> {
    let (config, place) = (checkpoint.config.clone(), checkpoint.place.clone());
    let named = checkpoint.tensors.iter();
    let stored: HashMap<_, _> = named.map(|named| (named.name.clone(), named.stored)).collect();
    // f64 holds the numbers of either type.
    let params = Params::<f64>::from_tensors(config.clone(), checkpoint.into_tensors())
        .map_err(|error| CheckpointError::Weights { place, source: Box::new(error.into()) })?;
    let tensors = config.parameters().zip(params.into_tensors());
    let tensors = tensors.map(|(parameter, (name, tensor))| {
        notes.warnings.extend(not_finite(&name, &tensor.view(), &[], &[]));
        listed(parameter, stored.get(&name).copied().unwrap_or(StoredType::F32), &tensor, args)
    });
    Ok(tensors.collect())
}

fn listed(parameter: Parameter, stored: StoredType, tensor: &ArrayD<f64>, args: &Info) -> Listed {
    let Parameter { name, shape, axes } = parameter;
    let numbers: Vec<f64> = tensor.iter().copied().collect();
    let norm = norm(&numbers);
    let (mut words, mut radius) = (format!("norm {}", rounded(norm)), None);
    if name.starts_with("weight_hh") {
        let computed = shape[0] <= MAX_ROWS || args.spectral_radius;
        // `None` if a number is not finite.
        radius = if computed { spectral_radius(shape[0], &numbers) } else { None };
        let none = if computed { "none" } else { "not computed" };
        let found = radius.map_or(none.to_owned(), rounded);
        words = format!("{words}, spectral radius {found}");
    }
    let values = args.values.then(|| {
        // Integers have become floats.
        let shown = if stored.is_float() { stored } else { StoredType::F32 };
        let mut printer = Printer::new(shown, &shape, false);
        printer.add(numbers.len(), |index| Number::F64(numbers[index]));
        printer.text()
    });
    let stored = stored.to_string();
    let fields = json!({
        "name": name,
        "shape": shape,
        "axes": axes,
        "dtype": stored,
        "norm": norm,
        "spectral_radius": radius,
    });
    let shape = format!("{shape:?} {}", sizes(&axes, &shape));
    Listed::new([name, shape, stored, words], fields, values, args.report)
}

/// The square root of the sum of squares, none of which overflows or vanishes.
pub(crate) fn norm<'a>(numbers: impl IntoIterator<Item = &'a f64, IntoIter: Clone>) -> f64 {
    let numbers = numbers.into_iter();
    let most = numbers.clone().fold(0.0_f64, |most, x| most.max(x.abs()));
    let all_finite = numbers.clone().all(|x| x.is_finite());
    let scale = if most == 0.0 || !all_finite { 1.0 } else { most };
    scale * numbers.map(|x| (x / scale) * (x / scale)).sum::<f64>().sqrt()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these norms are exact")]
mod tests {
    use super::norm;

    #[test]
    fn a_norm_neither_overflows_nor_vanishes() {
        assert_eq!(norm(&[3.0, -4.0]), 5.0);
        assert_eq!(norm(&[3e300, 4e300]), 5e300);
        assert_eq!(norm(&[]), 0.0);
        assert!(norm(&[1.0, f64::NAN]).is_nan());
        assert_eq!(norm(&[1.0, f64::INFINITY]), f64::INFINITY);
    }
}
