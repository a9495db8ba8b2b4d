//! The report as JSON: one object, documented in the manual and stable.

use serde_json::{Value, json};

use super::Findings;
use super::compare::{Comparison, Measure, NumberPair};
use super::configuration::Configuration;
use super::pairs::{Described, Pair, Relation};
use super::text::{hint, words_of};
use super::words::Words;
use crate::number::{double, json as number};
use crate::place::index;

pub(crate) fn json(findings: &Findings, words: &Words) -> Value {
    let tensors: Vec<_> = findings.pairs.iter().map(|pair| tensor(pair, words)).collect();
    json!({
        "command": "diff",
        "a": findings.places[0],
        "b": findings.places[1],
        "equal": findings.equal(),
        "exact": findings.rule.exact,
        "equal_nan": findings.rule.equal_nan,
        "tensors": tensors,
        "configuration": findings.configuration.as_ref().map(Configuration::json),
    })
}

/// A pair, with every field; those without a meaning for it are null.
fn tensor(pair: &Pair, words: &Words) -> Value {
    let (difference, [a, b]) = match &pair.relation {
        Relation::OnlyIn(0, tensor) => ("only_in_a", [Some(tensor), None]),
        Relation::OnlyIn(_, tensor) => ("only_in_b", [None, Some(tensor)]),
        Relation::Shapes(sides) => ("shape", sides.each_ref().map(Some)),
        Relation::Types(sides) => ("dtype", sides.each_ref().map(Some)),
        Relation::Numbers(sides, _) => ("numbers", sides.each_ref().map(Some)),
    };
    let hint = if let Relation::Shapes(sides) = &pair.relation { hint(sides) } else { None };
    let numbers = match &pair.relation {
        Relation::Numbers(sides, comparison) => {
            let place = |place: &NumberPair| {
                let index = index(place.index, &sides[0].shape, false);
                let words = words_of(words, pair, sides, &index);
                let (a, b) = (number(place.a), number(place.b));
                json!({ "index": index, "words": words, "a": a, "b": b })
            };
            Some(numbers(comparison, place))
        }
        _ => None,
    };
    json!({
        "name": pair.name,
        "equal": pair.equal(),
        "difference": (!pair.equal()).then_some(difference),
        "a": a.map(described),
        "b": b.map(described),
        "numbers": numbers,
        "hint": hint,
    })
}

/// The comparison of the numbers of two tensors of one shape.
fn numbers(comparison: &Comparison, place: impl Fn(&NumberPair) -> Value) -> Value {
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
        "first": shown.first.as_ref().map(&place),
        "nan": { "only_in_a": nans.only_a, "only_in_b": nans.only_b, "both": nans.both },
    })
}

fn described(tensor: &Described) -> Value {
    json!({ "dtype": tensor.stored.to_string(), "shape": tensor.shape })
}
