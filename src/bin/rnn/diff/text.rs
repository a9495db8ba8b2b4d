//! The report as text.

use elman::files::Number;

use super::Findings;
use super::compare::{Comparison, Differences, Nans, NumberPair};
use super::pairs::{Described, Pair};
use crate::report::short;

impl Findings {
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        for pair in &self.tensors {
            self.describe(pair, &mut lines);
        }
        lines.extend(self.about.clone());
        // Without names, there is one pair.
        if self.tensors.iter().all(|pair| pair.name.is_some()) {
            let equal = self.tensors.iter().filter(|pair| pair.equal).count();
            let tensors = if self.tensors.len() == 1 { "tensor" } else { "tensors" };
            lines.push(format!("{equal} of {} {tensors} equal", self.tensors.len()));
        }
        lines.extend(self.hint.as_ref().map(|hint| format!("hint: {hint}")));
        lines.join("\n") + "\n"
    }

    /// A line for a pair, and the lines of its differences.
    fn describe(&self, pair: &Pair, lines: &mut Vec<String>) {
        let name = pair.name.clone().unwrap_or_else(|| format!("{}, {}", self.a, self.b));
        let verdict = match (pair.difference, &pair.numbers) {
            (_, Some(numbers)) => self.verdict(numbers),
            (Some("only_in_a"), _) => format!("only in {}", self.a),
            (Some("only_in_b"), _) => format!("only in {}", self.b),
            (Some("dtype"), _) if self.exact => "types differ (exact)".to_owned(),
            (Some("dtype"), _) => "types differ".to_owned(),
            (Some("not_read"), _) => "numbers of this type are not read".to_owned(),
            _ => "shapes differ".to_owned(),
        };
        let (a, b) = (pair.a.as_ref().or(pair.b.as_ref()), pair.b.as_ref().or(pair.a.as_ref()));
        let tensors = a.zip(b).map_or(String::new(), |(a, b)| both(a, b));
        lines.push(format!("{name}: {tensors}: {verdict}"));
        lines.extend(pair.hint.iter().map(|hint| format!("  hint: {hint}")));
        if let Some(numbers) = &pair.numbers {
            lines.extend(self.details(numbers).iter().map(|line| format!("  {line}")));
        }
    }

    fn verdict(&self, numbers: &Comparison) -> String {
        let Comparison { rtol, atol, count, different, .. } = numbers;
        let measure = match rtol.zip(*atol).map(|(rtol, atol)| [rtol, atol].map(Number::to_f64)) {
            None => "exact".to_owned(),
            Some([rtol, atol]) => format!("rtol {}, atol {}", short(rtol), short(atol)),
        };
        let nan = if self.equal_nan { ", equal NaN" } else { "" };
        match different {
            0 => format!("equal ({measure}{nan})"),
            _ => format!("{different} of {count} differ ({measure}{nan})"),
        }
    }

    /// The largest differences and the first one, with their places, and the counts of NaN.
    fn details(&self, numbers: &Comparison) -> Vec<String> {
        let Comparison { count, different, within_tolerance, .. } = numbers;
        let Differences { largest_absolute, largest_relative, largest_ulp, first } = &numbers.shown;
        let mut lines = Vec::new();
        if *different == 0 && *within_tolerance > 0 {
            lines.push(format!("{within_tolerance} of {count} differ within the tolerance"));
        }
        for (name, pair) in [
            ("largest absolute difference", largest_absolute),
            ("largest relative difference", largest_relative),
            ("largest ulp distance", largest_ulp),
            ("first difference", first),
        ] {
            lines.extend(pair.as_ref().map(|pair| format!("{name}{}", place(pair))));
        }
        let (Nans { only_in_a, only_in_b, both }, a, b) = (numbers.nan, &self.a, &self.b);
        if only_in_a + only_in_b + both > 0 {
            lines.push(format!(
                "NaN: {only_in_a} in {a} alone, {only_in_b} in {b} alone, {both} in both"
            ));
        }
        lines
    }
}

/// The difference of a pair, its place and its numbers.
fn place(NumberPair { index, words, a, b, difference, .. }: &NumberPair) -> String {
    let by = difference.map_or(String::new(), |by| match by {
        Number::Integer(by) => format!(" {by}"),
        by => format!(" {}", short(by.to_f64())),
    });
    let words = words.as_ref().map_or(String::new(), |words| format!(" ({words})"));
    format!("{by} at {index:?}{words}: {a}, expected {b}")
}

/// Types and shapes of both sides, once if they are equal.
fn both(a: &Described, b: &Described) -> String {
    match (a.stored == b.stored, a.shape == b.shape) {
        (true, true) => format!("{} {:?}", a.stored, a.shape),
        (true, false) => format!("{} {:?}, {:?}", a.stored, a.shape, b.shape),
        (false, true) => format!("{}, {} {:?}", a.stored, b.stored, a.shape),
        (false, false) => format!("{} {:?}, {} {:?}", a.stored, a.shape, b.stored, b.shape),
    }
}
