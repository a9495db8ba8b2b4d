//! One step of one layer with its numbers: the facts, which `text` shows to people and [`Recurrence::json`] to
//! scripts.

mod diagram;
mod origin;
mod python;
mod text;

use anyhow::Result;
use elman::files::shortest;
use elman::{Config, Element, Step};
use ndarray::{ArrayView1, ArrayView2};
use serde_json::{Map, Value, json};

use crate::report::layer_json;
use crate::states::{About, Cell, RowStates, Sequences};

pub(crate) use origin::Origin;

/// One step, of one sequence, in one layer and direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) step: usize,
    pub(crate) row: usize,
    pub(crate) layer: usize,
    /// 0, or 1 for the reverse direction of a bidirectional layer.
    pub(crate) direction: usize,
}

/// One step with everything that goes into it.
pub(crate) struct Recurrence<'a> {
    about: &'a About,
    config: &'a Config,
    /// N.
    count: usize,
    moment: Moment,
    /// L of the sequence.
    steps: usize,
    /// The step whose hidden state goes in; `None` for `h_0`.
    step_before: Option<usize>,
    /// (D * `num_layers`, `H_out`).
    h_0: ArrayView2<'a, f64>,
    /// (features of the layer's input), (`H_out`).
    x: Vec<f64>,
    before: Vec<f64>,
    result: Step<f64>,
    cell: Cell,
}

/// The numbers of one unit.
struct Unit {
    index: usize,
    /// `W_ih x + b_ih` and `W_hh h + b_hh`, evaluated in f64 and rounded.
    summands: [f64; 2],
    /// The layer's own bits.
    sum: f64,
    h: f64,
}

impl<'a> Recurrence<'a> {
    /// Takes a step apart. The layer, the direction and the step exist.
    pub(crate) fn new<T: Element>(
        sequences: &'a Sequences<T>,
        states: &'a RowStates,
        moment: Moment,
    ) -> Result<Self> {
        let (about, rnn) = (&sequences.about, sequences.model.rnn());
        let Moment { step, layer, direction, .. } = moment;
        let x = states.below(layer).row(step).to_vec();
        let before = states.before(layer, direction, step).to_vec();
        let own = |numbers: &[f64]| -> Vec<T> { numbers.iter().map(|&x| T::from_f64(x)).collect() };
        let Step { pre_activation, h } =
            rnn.step(layer, direction == 1, &own(&x), &own(&before))?;
        let [pre_activation, h] =
            [pre_activation, h].map(|numbers| numbers.into_iter().map(Into::into).collect());
        Ok(Recurrence {
            about,
            config: &about.config,
            count: sequences.count(),
            moment,
            steps: states.steps(),
            step_before: states.step_before(direction, step),
            h_0: states.h_0.view(),
            x,
            before,
            result: Step { pre_activation, h },
            cell: Cell::one(rnn, layer * about.config.num_directions() + direction)?,
        })
    }

    /// A number as the layer's type holds it.
    fn rounded(&self, number: f64) -> f64 {
        typed!(self.about.dtype, round(number))
    }

    /// The numbers of a unit.
    fn unit(&self, index: usize) -> Unit {
        let Cell { weight_ih, weight_hh, biases } = &self.cell;
        let bias = |which: usize| biases.as_ref().map_or(0.0, |biases| biases[which][index]);
        let summand = |weights: ArrayView1<'_, f64>, values: &[f64], bias: f64| {
            let products = weights.iter().zip(values).map(|(w, v)| w * v);
            self.rounded(products.sum::<f64>() + bias)
        };
        let input = summand(weight_ih.row(index), &self.x, bias(0));
        let hidden = summand(weight_hh.row(index), &self.before, bias(1));
        let (sum, h) = (self.result.pre_activation[index], self.result.h[index]);
        Unit { index, summands: [input, hidden], sum, h }
    }

    /// The facts for scripts: every number is the shortest text that reads back to its bits.
    pub(crate) fn json(&self, units: &[usize], origin: &Origin) -> Value {
        let all: Vec<_> = (0..self.config.hidden_size).collect();
        let shown = if units.is_empty() { &all[..] } else { units };
        let number = |value| typed!(self.about.dtype, number(value));
        let numbers = |values: &[f64]| values.iter().map(|&value| number(value)).collect::<Value>();
        let unit = |&unit: &usize| {
            let Unit { summands: [input, hidden], sum, h, .. } = self.unit(unit);
            json!({
                "unit": unit,
                "input_sum": number(input),
                "hidden_sum": number(hidden),
                "pre_activation": number(sum),
                "h": number(h),
            })
        };
        let Moment { step, row, layer, direction } = self.moment;
        let mut fields = Map::new();
        for (name, value) in [
            ("command", json!("explain")),
            ("layer", layer_json(self.config, self.about.dtype)),
            ("weights", json!(self.about.weights)),
            ("input", json!(self.about.input)),
            ("h_0", json!(self.about.h_0)),
            ("seq_len", json!(self.steps)),
            ("step", json!(step)),
            ("row", json!(row)),
            ("layer_number", json!(layer)),
            ("direction", json!(self.about.direction(direction))),
            ("formula", json!(self.formula())),
            ("x", numbers(&self.x)),
            ("step_before", json!(self.step_before)),
            ("h_before", numbers(&self.before)),
            ("units", shown.iter().map(unit).collect()),
            ("python", json!(self.python(origin).join("\n"))),
        ] {
            fields.insert(name.to_owned(), value);
        }
        Value::Object(fields)
    }

    /// The formula of this step.
    fn formula(&self) -> String {
        let Moment { step, .. } = self.moment;
        let [input, hidden] = self.sums();
        format!("h[{step}] = {}({input} + {hidden})", self.config.nonlinearity)
    }

    /// The two summands of the formula.
    fn sums(&self) -> [String; 2] {
        let (b_ih, b_hh) = if self.config.bias { (" + b_ih", " + b_hh") } else { ("", "") };
        let (step, before) = (self.moment.step, self.name_before());
        [format!("W_ih x[{step}]{b_ih}"), format!("W_hh {before}{b_hh}")]
    }

    /// The name of the hidden state that goes in.
    fn name_before(&self) -> String {
        self.step_before.map_or("h_0".to_owned(), |before| format!("h[{before}]"))
    }
}

/// The nearest number of T.
fn round<T: Element>(number: f64) -> f64 {
    T::from_f64(number).into()
}

/// The shortest text that reads back to the same bits.
fn text<T: Element>(value: f64) -> String {
    shortest(T::from_f64(value))
}

/// A number of a report; NaN and infinities, which JSON does not have, are strings.
fn number<T: Element>(value: f64) -> Value {
    let text = text::<T>(value);
    if value.is_finite() { serde_json::from_str(&text).unwrap_or(json!(text)) } else { json!(text) }
}
