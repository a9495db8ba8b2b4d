//! The first hidden state of a layer and direction that is not finite, and the operand that made it so.

use ndarray::{Array2, ArrayView1};
use serde::Serialize;

use crate::states::{About, Cell, RowStates};

/// The first hidden state of a layer and direction that is not finite.
#[derive(Debug, Serialize)]
pub(super) struct NonFinite {
    /// NaN, inf or -inf.
    value: String,
    step: usize,
    row: usize,
    unit: usize,
    /// The operand that was not finite before, in words.
    from: String,
    /// Index in the input, if the input is the origin; of a member or a packed sequence, in that sequence.
    at: Option<Vec<usize>>,
}

/// The first one of a sequence in the order of the direction; `None` if all states are finite.
pub(super) fn find(
    about: &About,
    states: &RowStates,
    cell: &Cell,
    (layer, direction, row): (usize, usize, usize),
) -> Option<NonFinite> {
    let own = states.states(layer, direction);
    let mut steps: Vec<_> = (0..states.steps()).collect();
    if states.is_reverse(direction) {
        steps.reverse();
    }
    let first = |step| Some((step, non_finite(&own.row(step))?));
    let (step, unit) = steps.into_iter().find_map(first)?;
    let value = text(own[[step, unit]]);
    let (mut at, x) = (None, states.below(layer));
    let before = states.before(layer, direction, step);
    let from = if let Some(feature) = non_finite(&x.row(step)) {
        let found = text(x[[step, feature]]);
        if let Some(below) = layer.checked_sub(1) {
            format!("the output of layer {below}, {found} at feature {feature}")
        } else {
            let place = about.place(step, row, feature);
            let from = of_input(&about.tensor(row), states, (step, feature), &found, &place);
            at = states.ids.is_none().then_some(place);
            from
        }
    } else if let Some(feature) = non_finite(&before) {
        let name = about.h_0.as_deref().unwrap_or("h_0");
        format!("{name}, {} at unit {feature}", text(before[feature]))
    } else {
        of_weights(cell, unit)
            .unwrap_or_else(|| "the sum of finite terms, which overflows".to_owned())
    };
    Some(NonFinite { value, step, row, unit, from, at })
}

/// A number of the input at this place, or of the embedding's row for an id there.
fn of_input(
    tensor: &str,
    states: &RowStates,
    (step, feature): (usize, usize),
    found: &str,
    place: &[usize],
) -> String {
    match states.ids.as_ref().map(|ids| ids[step]) {
        Some(id) => format!(
            "the embedding, {found} at [{id}, {feature}], row {id} for {tensor} at {place:?}"
        ),
        None => format!("{tensor}, {found} at {place:?}"),
    }
}

/// A parameter of a unit that is not finite.
fn of_weights(cell: &Cell, unit: usize) -> Option<String> {
    let matrix = |name: &str, matrix: &Array2<f64>| {
        let column = non_finite(&matrix.row(unit))?;
        Some(format!("{name}, {} at [{unit}, {column}]", text(matrix[[unit, column]])))
    };
    let bias = || {
        let names = ["bias_ih", "bias_hh"];
        let biases = cell.biases.iter().flatten().map(|bias| bias[unit]);
        let (value, name) = biases.zip(names).find(|(value, _)| !value.is_finite())?;
        Some(format!("{name}, {} at [{unit}]", text(value)))
    };
    matrix("weight_ih", &cell.weight_ih)
        .or_else(|| matrix("weight_hh", &cell.weight_hh))
        .or_else(bias)
}

/// The place of the first number that is not finite.
fn non_finite(numbers: &ArrayView1<'_, f64>) -> Option<usize> {
    numbers.iter().position(|x| !x.is_finite())
}

fn text(value: f64) -> String {
    value.to_string()
}

impl NonFinite {
    pub(super) fn text(&self) -> String {
        let NonFinite { value, step, row, unit, from, .. } = self;
        format!("first {value} at step {step}, row {row}, unit {unit}: from {from}")
    }
}
