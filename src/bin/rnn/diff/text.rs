//! The report as text.

use super::Findings;
use super::compare::{Comparison, Differences, Measure, Nans, NumberPair, Rule};
use super::pairs::{Described, Pair, Relation};
use super::words::Words;
use crate::explain::swapped;
use crate::number::short;
use crate::place::index;

pub(crate) fn text(findings: &Findings, words: &Words) -> String {
    let mut lines = Vec::new();
    for pair in &findings.pairs {
        describe(pair, findings, words, &mut lines);
    }
    if let Some(configuration) = &findings.configuration {
        lines.push(configuration.text(&findings.places));
    }
    if findings.named {
        let equal = findings.pairs.iter().filter(|pair| pair.equal()).count();
        let tensors = if findings.pairs.len() == 1 { "tensor" } else { "tensors" };
        lines.push(format!("{equal} of {} {tensors} equal", findings.pairs.len()));
    }
    lines.extend(findings.hint.as_ref().map(|hint| format!("hint: {hint}")));
    lines.join("\n") + "\n"
}

/// A line for a pair, and the lines of its differences.
fn describe(pair: &Pair, findings: &Findings, words: &Words, lines: &mut Vec<String>) {
    let name = pair.name.clone().unwrap_or_else(|| findings.places.join(", "));
    let places = &findings.places;
    match &pair.relation {
        Relation::OnlyIn(side, tensor) => {
            let Described { stored, shape, .. } = tensor;
            lines.push(format!("{name}: {stored} {shape:?}: only in {}", places[*side]));
        }
        Relation::Shapes(sides) => {
            lines.push(format!("{name}: {}: shapes differ", both(sides)));
            lines.extend(hint(sides).map(|hint| format!("  hint: {hint}")));
        }
        Relation::Types(sides) => {
            lines.push(format!("{name}: {}: types differ (exact)", both(sides)));
        }
        Relation::Numbers(sides, comparison) => {
            let verdict = verdict(comparison, &findings.rule);
            lines.push(format!("{name}: {}: {verdict}", both(sides)));
            let mut details = Vec::new();
            add_differences(comparison, sides, pair, words, &mut details);
            add_nans(comparison.nans, places, &mut details);
            lines.extend(details.into_iter().map(|line| format!("  {line}")));
        }
    }
}

/// Types and shapes of both sides, once if they are equal.
fn both([a, b]: &[Described; 2]) -> String {
    match (a.stored == b.stored, a.shape == b.shape) {
        (true, true) => format!("{} {:?}", a.stored, a.shape),
        (true, false) => format!("{} {:?}, {:?}", a.stored, a.shape, b.shape),
        (false, true) => format!("{}, {} {:?}", a.stored, b.stored, a.shape),
        (false, false) => format!("{} {:?}, {} {:?}", a.stored, a.shape, b.stored, b.shape),
    }
}

fn verdict(comparison: &Comparison, rule: &Rule) -> String {
    let measure = match comparison.measure {
        Measure::Bits => "exact".to_owned(),
        Measure::Close { rtol, atol } => format!("rtol {}, atol {}", short(rtol), short(atol)),
    };
    let nan = if rule.equal_nan { ", equal NaN" } else { "" };
    match comparison.beyond.count {
        0 => format!("equal ({measure}{nan})"),
        count => format!("{count} of {} differ ({measure}{nan})", comparison.count),
    }
}

/// The largest differences and the first one, with their places.
fn add_differences(
    comparison: &Comparison,
    sides: &[Described; 2],
    pair: &Pair,
    words: &Words,
    lines: &mut Vec<String>,
) {
    let shown = comparison.shown();
    if comparison.beyond.count == 0 && shown.count > 0 {
        let (count, all) = (shown.count, comparison.count);
        lines.push(format!("{count} of {all} differ within the tolerance"));
    }
    let at = |place: &NumberPair| {
        let index = index(place.index, &sides[0].shape, false);
        let words = words_of(words, pair, sides, &index);
        let words = words.map_or(String::new(), |words| format!(" ({words})"));
        format!("at {index:?}{words}: {}, expected {}", place.a, place.b)
    };
    let Differences { absolute, relative, ulp, first, .. } = shown;
    if let Some((by, place)) = absolute {
        lines.push(format!("largest absolute difference {} {}", short(*by), at(place)));
    }
    if let Some((by, place)) = relative {
        lines.push(format!("largest relative difference {} {}", short(*by), at(place)));
    }
    if let Some((by, place)) = ulp {
        lines.push(format!("largest ulp distance {by} {}", at(place)));
    }
    if let Some(place) = first {
        lines.push(format!("first difference {}", at(place)));
    }
}

fn add_nans(nans: Nans, [a, b]: &[String; 2], lines: &mut Vec<String>) {
    let Nans { only_a, only_b, both } = nans;
    if nans != Nans::default() {
        lines.push(format!("NaN: {only_a} in {a} alone, {only_b} in {b} alone, {both} in both"));
    }
}

/// An index in the words of the tensors' axes, which follow from the common name in bundles, else from both
/// places.
pub(super) fn words_of(
    words: &Words,
    pair: &Pair,
    [a, b]: &[Described; 2],
    index: &[usize],
) -> Option<String> {
    match &pair.name {
        Some(name) => words.of(&[name], &a.shape, index),
        None => words.of(&[&a.place, &b.place], &a.shape, index),
    }
}

/// A hint for shapes that are equal except for two swapped axes.
pub(super) fn hint([a, b]: &[Described; 2]) -> Option<String> {
    if a.shape.len() != b.shape.len() {
        return None;
    }
    let differ: Vec<_> =
        (0..a.shape.len()).filter(|&axis| a.shape[axis] != b.shape[axis]).collect();
    let [first, second] = *differ else { return None };
    let mut shape = a.shape.clone();
    shape.swap(first, second);
    (shape == b.shape).then(|| {
        let fit = format!("axes {first} and {second} swapped would fit");
        match swapped(&a.place, first, second) {
            Some(command) => format!("{fit}: {command}"),
            None => fit,
        }
    })
}
