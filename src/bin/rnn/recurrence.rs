//! One step of one layer with its numbers: the facts, which `text` shows to people and [`Recurrence::json`] to
//! scripts.

mod diagram;
mod python;
mod text;

use anyhow::Result;
use elman::files::shortest;
use elman::{Config, Element, Step};
use ndarray::{Array2, ArrayD, ArrayView1};
use serde_json::{Map, Value, json};

use crate::report::layer_json;
use crate::states::{RowStates, Sequences};

pub(crate) use python::Origin;

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
pub(crate) struct Recurrence<'a, T> {
    sequences: &'a Sequences<T>,
    config: &'a Config,
    moment: Moment,
    /// L of the sequence.
    steps: usize,
    /// The step whose hidden state goes in; `None` for `h_0`.
    step_before: Option<usize>,
    /// Whether this direction runs from the last step to the first.
    reverse: bool,
    /// (features of the layer's input), (`H_out`).
    x: Vec<T>,
    before: Vec<T>,
    result: Step<T>,
    parameters: Parameters<T>,
}

/// The parameters of one layer and direction.
struct Parameters<T> {
    weight_ih: Array2<T>,
    weight_hh: Array2<T>,
    /// `bias_ih` and `bias_hh`, if the layer has them.
    biases: Option<[Vec<T>; 2]>,
}

/// The numbers of one unit.
struct Unit<T> {
    index: usize,
    /// `W_ih x + b_ih` and `W_hh h + b_hh`, evaluated in f64 and rounded.
    summands: [T; 2],
    /// The layer's own bits.
    sum: T,
    h: T,
}

impl<'a, T: Element> Recurrence<'a, T> {
    /// Takes a step apart. The layer, the direction and the step exist.
    pub(crate) fn new(
        sequences: &'a Sequences<T>,
        states: &RowStates<T>,
        moment: Moment,
    ) -> Result<Self> {
        let rnn = sequences.model.rnn();
        let Moment { step, layer, direction, .. } = moment;
        let x = states.below(layer).row(step).to_vec();
        let before = states.before(layer, direction, step).to_vec();
        let result = rnn.step(layer, direction == 1, &x, &before)?;
        let config = rnn.config();
        Ok(Recurrence {
            sequences,
            config,
            moment,
            steps: states.steps(),
            step_before: states.step_before(direction, step),
            reverse: states.is_reverse(direction),
            x,
            before,
            result,
            parameters: Parameters::new(rnn.to_tensors(), config, moment)?,
        })
    }

    /// The numbers of a unit.
    fn unit(&self, index: usize) -> Unit<T> {
        let Parameters { weight_ih, weight_hh, biases } = &self.parameters;
        let bias = |which: usize| biases.as_ref().map_or(0.0, |biases| biases[which][index].into());
        let summand = |weights: ArrayView1<'_, T>, values: &[T], bias: f64| {
            let products = weights.iter().zip(values).map(|(&w, &v)| w.into() * v.into());
            T::from_f64(products.sum::<f64>() + bias)
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
        let numbers = |values: &[T]| values.iter().map(|&value| number(value)).collect::<Value>();
        let Moment { step, row, layer, direction } = self.moment;
        let mut fields = Map::new();
        for (name, value) in [
            ("command", json!("explain")),
            ("layer", layer_json(self.config, T::DTYPE)),
            ("weights", json!(self.sequences.weights)),
            ("input", json!(self.sequences.input)),
            ("h_0", json!(self.sequences.h_0_place)),
            ("seq_len", json!(self.steps)),
            ("step", json!(step)),
            ("row", json!(row)),
            ("layer_number", json!(layer)),
            ("direction", json!(if direction == 1 { "reverse" } else { "forward" })),
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

impl<T: Element> Parameters<T> {
    /// Takes those of one layer and direction out of the `state_dict`.
    fn new(
        tensors: Vec<(String, ArrayD<T>)>,
        config: &Config,
        Moment { layer, direction, .. }: Moment,
    ) -> Result<Self> {
        let per_cell = if config.bias { 4 } else { 2 };
        let first = (layer * config.num_directions() + direction) * per_cell;
        let mut own = tensors.into_iter().skip(first).map(|(_, tensor)| tensor);
        let mut next = || own.next().unwrap_or_else(|| unreachable!("the layer exists"));
        let [weight_ih, weight_hh] = [next(), next()].map(ndarray::ArrayBase::into_dimensionality);
        let biases =
            config.bias.then(|| [next(), next()].map(|bias| bias.iter().copied().collect()));
        Ok(Parameters { weight_ih: weight_ih?, weight_hh: weight_hh?, biases })
    }
}

/// A number of a report; NaN and infinities, which JSON does not have, are strings.
fn number<T: Element>(value: T) -> Value {
    let text = shortest(value);
    if value.is_finite() { serde_json::from_str(&text).unwrap_or(json!(text)) } else { json!(text) }
}
