//! The weights of a layer.

use std::collections::HashMap;

use anyhow::Result;
use elman::files::StoredType;
use elman::{Checkpoint, CheckpointError, Parameter, Params};
use ndarray::ArrayD;
use serde_json::{Value, json};

use crate::args::Info;
use crate::finite;
use crate::layer::others_left_alone;
use crate::number::{or_none, rounded};
use crate::report::{Notes, aligned, layer_json};

use super::description::{Description, merged};
use super::eigenvalues::spectral_radius;
use super::facts::{values_json, values_lines};
use super::pieces::Piece;
use super::print::Printer;

/// The explanation below the parameters.
const MEANING: &str = "spectral radius: the largest |eigenvalue| of weight_hh; below 1 the influence \
                       of the past fades";

/// Most rows of a matrix whose eigenvalues are computed without `--spectral-radius`. The time grows with the
/// cube: 2048 rows take some ten seconds, 8192 ten minutes.
const MAX_ROWS: usize = 2048;

/// One parameter of the layer.
struct Row {
    parameter: Parameter,
    stored: StoredType,
    norm: f64,
    /// True for `weight_hh`, which has a spectral radius unless one of its numbers is not finite.
    recurrent: bool,
    /// True if the spectral radius was computed.
    computed: bool,
    spectral_radius: Option<f64>,
    values: Option<String>,
}

pub(super) fn describe(checkpoint: Checkpoint, args: &Info) -> Result<Description> {
    let place = checkpoint.place.clone();
    let format = checkpoint.recognised.clone();
    let mut notes = Notes::default();
    notes.notes.extend(others_left_alone(&checkpoint));
    checkpoint.notes.iter().for_each(|note| notes.note(note.clone()));
    let config = checkpoint.config.clone();
    let (said, dtype) = (checkpoint.explicit_nonlinearity, checkpoint.dtype);
    let (prefix, ignored) = (checkpoint.prefix.clone(), checkpoint.ignored);
    let rows = rows(checkpoint, args, &mut notes)?;
    if rows.iter().any(|row| row.recurrent && !row.computed) {
        notes.note(format!(
            "the spectral radius of more than {MAX_ROWS} rows takes minutes; --spectral-radius computes it"
        ));
    }

    let nonlinearity = if said {
        config.nonlinearity.to_string()
    } else {
        format!("nonlinearity not said, {} assumed", config.nonlinearity)
    };
    let count = config.num_parameters().unwrap_or(usize::MAX);
    let mut lines = vec![format!("{config}, {nonlinearity}, {dtype}, {count} parameters")];
    lines.extend(aligned(&rows.iter().map(Row::words).collect::<Vec<_>>()));
    lines.push(MEANING.to_owned());
    let named = rows.iter().map(|row| (row.parameter.name.as_str(), row.values.as_deref()));
    lines.extend(values_lines(named));

    let object = json!({
        "layer": layer_json(&config, dtype),
        "nonlinearity_said": said,
        "prefix": prefix,
        "ignored": ignored,
        "tensors": rows.iter().map(Row::json).collect::<Vec<_>>(),
    });
    Ok(Description::new(&place, "weights", &format, lines, object).with_notes(notes))
}

/// The parameters in the order of the `state_dict`.
fn rows(checkpoint: Checkpoint, args: &Info, notes: &mut Notes) -> Result<Vec<Row>> {
    let config = checkpoint.config.clone();
    let place = checkpoint.place.clone();
    let named = checkpoint.tensors.iter();
    let stored: HashMap<_, _> = named.map(|named| (named.name.clone(), named.stored)).collect();
    // f64 holds the numbers of either type.
    let params = Params::<f64>::from_tensors(config.clone(), checkpoint.into_tensors())
        .map_err(|error| CheckpointError::Weights { place, source: Box::new(error.into()) })?;
    let tensors = params.into_tensors().into_iter();
    let rows = config.parameters().zip(tensors).map(|(parameter, (name, tensor))| {
        notes.warnings.extend(finite::not_finite(&name, &tensor.view(), &[], &[]));
        row(parameter, stored.get(&name).copied().unwrap_or(StoredType::F32), &tensor, args)
    });
    Ok(rows.collect())
}

fn row(parameter: Parameter, stored: StoredType, tensor: &ArrayD<f64>, args: &Info) -> Row {
    let numbers: Vec<f64> = tensor.iter().copied().collect();
    let recurrent = parameter.name.starts_with("weight_hh");
    let size = parameter.shape[0];
    let computed = recurrent && (size <= MAX_ROWS || args.spectral_radius);
    let spectral_radius = if computed { spectral_radius(size, &numbers) } else { None };
    let mut values = None;
    if args.values {
        // Integers have become floats.
        let shown = if stored.is_float() { stored } else { StoredType::F32 };
        let mut printer = Printer::new(shown, &parameter.shape, false);
        printer.add(Piece::Floats(&numbers));
        values = Some(printer.text());
    }
    let norm = norm(&numbers);
    Row { parameter, stored, norm, recurrent, computed, spectral_radius, values }
}

/// The square root of the sum of squares, none of which overflows or vanishes.
fn norm(numbers: &[f64]) -> f64 {
    let most = numbers.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let all_finite = numbers.iter().all(|x| x.is_finite());
    let scale = if most == 0.0 || !all_finite { 1.0 } else { most };
    scale * numbers.iter().map(|x| (x / scale) * (x / scale)).sum::<f64>().sqrt()
}

impl Row {
    fn words(&self) -> [String; 4] {
        let Parameter { name, shape, axes } = &self.parameter;
        let sizes = axes.iter().zip(shape).map(|(axis, size)| format!("{axis} {size}"));
        let shape = format!("{shape:?} {}", sizes.collect::<Vec<_>>().join(", "));
        let mut words = vec![format!("norm {}", rounded(self.norm))];
        if self.recurrent && !self.computed {
            words.push("spectral radius not computed".to_owned());
        } else if self.recurrent {
            words.push(format!("spectral radius {}", or_none(self.spectral_radius.map(rounded))));
        }
        [name.clone(), shape, self.stored.to_string(), words.join(", ")]
    }

    fn json(&self) -> Value {
        let object = json!({
            "name": self.parameter.name,
            "shape": self.parameter.shape,
            "axes": self.parameter.axes,
            "dtype": self.stored.to_string(),
            "norm": self.norm,
            "spectral_radius": self.spectral_radius,
        });
        merged(object, values_json(self.values.as_deref()))
    }
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
