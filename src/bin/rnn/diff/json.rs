//! The report as JSON: one object, documented in the manual and stable.

use serde_json::{Value, json};

use super::Findings;
use super::compare::{Comparison, Measure, NumberPair};
use super::configuration::Configuration;
use super::pairs::Pair;
use crate::number::{double, exact};

impl Findings {
    pub(crate) fn json(&self) -> Value {
        json!({
            "command": "diff",
            "a": self.places[0],
            "b": self.places[1],
            "equal": self.equal(),
            "exact": self.rule.exact,
            "equal_nan": self.rule.equal_nan,
            "tensors": self.pairs.iter().map(|pair| self.pair_json(pair)).collect::<Vec<_>>(),
            "configuration": self.configuration.as_ref().map(Configuration::json),
        })
    }

    /// A pair, with every field; those without a meaning for it are null.
    fn pair_json(&self, pair: &Pair) -> Value {
        let [a, b] = pair.sides.each_ref().map(|side| {
            let tensor = side.as_ref()?;
            Some(json!({ "dtype": tensor.stored.to_string(), "shape": tensor.shape }))
        });
        json!({
            "name": pair.name,
            "equal": pair.difference().is_none(),
            "difference": pair.difference(),
            "a": a,
            "b": b,
            "numbers": pair.comparison.as_ref().map(|comparison| self.numbers(pair, comparison)),
            "hint": pair.hint(),
        })
    }

    /// The comparison of the numbers of two tensors of one shape.
    fn numbers(&self, pair: &Pair, comparison: &Comparison) -> Value {
        let place = |numbers: &NumberPair| {
            let (index, words) = self.place(pair, numbers);
            json!({ "index": index, "words": words, "a": exact(numbers.a), "b": exact(numbers.b) })
        };
        let largest = |by: Value, at: &NumberPair| {
            let mut fields = place(at);
            fields["difference"] = by;
            fields
        };
        let (rtol, atol) = match comparison.measure {
            Measure::Close { rtol, atol } => (double(rtol), double(atol)),
            Measure::Bits => (Value::Null, Value::Null),
        };
        let shown = comparison.shown();
        let nans = comparison.nans;
        json!({
            "rtol": rtol,
            "atol": atol,
            "count": comparison.count,
            "different": comparison.beyond.count,
            "within_tolerance": comparison.within.count,
            "largest_absolute": shown.absolute.as_ref().map(|(by, at)| largest(double(*by), at)),
            "largest_relative": shown.relative.as_ref().map(|(by, at)| largest(double(*by), at)),
            "largest_ulp": shown.ulp.as_ref().map(|(by, at)| largest(json!(by), at)),
            "first": shown.first.as_ref().map(place),
            "nan": { "only_in_a": nans.only_a, "only_in_b": nans.only_b, "both": nans.both },
        })
    }
}
