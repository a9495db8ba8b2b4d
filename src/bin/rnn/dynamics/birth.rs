//! The first hidden state of a layer and direction that is not finite, and the operand that made it so.

use elman::Element;
use ndarray::{Array2, ArrayView1};
use serde::Serialize;

use super::Weights;
use crate::states::{RowStates, Sequences};

/// A hidden state that is not finite, after finite ones.
#[derive(Debug, Serialize)]
pub(super) struct Birth {
    /// NaN, inf or -inf.
    value: String,
    step: usize,
    row: usize,
    unit: usize,
    /// The operand that was not finite before, in words.
    from: String,
    /// The place in the input, if it is that.
    at: Option<Vec<usize>>,
}

/// The first one of a sequence in the order of the direction; `None` if all states are finite.
pub(super) fn find<T: Element>(
    sequences: &Sequences<T>,
    states: &RowStates<T>,
    weights: &Weights<T>,
    (layer, direction, row): (usize, usize, usize),
) -> Option<Birth> {
    let own = states.states(layer, direction);
    let mut steps: Vec<_> = (0..states.steps()).collect();
    if states.is_reverse(direction) {
        steps.reverse();
    }
    let (step, unit) = steps.into_iter().find_map(|step| Some((step, odd(&own.row(step))?)))?;
    let value = text(own[[step, unit]]);
    let (mut at, x) = (None, states.below(layer));
    let before = states.before(layer, direction, step);
    let from = if let Some(feature) = odd(&x.row(step)) {
        let found = text(x[[step, feature]]);
        if let Some(below) = layer.checked_sub(1) {
            format!("the output of layer {below}, {found} at feature {feature}")
        } else {
            at = Some(sequences.place(step, row, feature));
            let place = at.as_deref().unwrap_or_default();
            format!("{}, {found} at {place:?}", sequences.input)
        }
    } else if let Some(feature) = odd(&before) {
        let name = sequences.h_0_place.as_deref().unwrap_or("h_0");
        format!("{name}, {} at unit {feature}", text(before[feature]))
    } else {
        of_weights(weights, unit)
            .unwrap_or_else(|| "the sum of finite terms, which overflows".to_owned())
    };
    Some(Birth { value, step, row, unit, from, at })
}

/// A parameter of a unit that is not finite.
fn of_weights<T: Element>(weights: &Weights<T>, unit: usize) -> Option<String> {
    let matrix = |name: &str, matrix: &Array2<T>| {
        let column = odd(&matrix.row(unit))?;
        Some(format!("{name}, {} at [{unit}, {column}]", text(matrix[[unit, column]])))
    };
    let bias = || {
        let names = ["bias_ih", "bias_hh"];
        let mut found = weights.biases.iter().zip(names).map(|(bias, name)| (bias[unit], name));
        let (value, name) = found.find(|(value, _)| !value.is_finite())?;
        Some(format!("{name}, {} at [{unit}]", text(value)))
    };
    matrix("weight_ih", &weights.ih).or_else(|| matrix("weight_hh", &weights.hh)).or_else(bias)
}

/// The place of the first number that is not finite.
fn odd<T: Element>(numbers: &ArrayView1<'_, T>) -> Option<usize> {
    numbers.iter().position(|x| !x.is_finite())
}

fn text<T: Element>(value: T) -> String {
    let value: f64 = value.into();
    value.to_string()
}

impl Birth {
    pub(super) fn text(&self) -> String {
        let Birth { value, step, row, unit, from, .. } = self;
        format!("first {value} at step {step}, row {row}, unit {unit}: from {from}")
    }
}
