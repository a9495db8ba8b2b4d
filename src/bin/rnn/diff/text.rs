//! The report as text.

use super::Findings;
use super::compare::{Comparison, Differences, Measure, Nans, NumberPair};
use super::pairs::{Described, Pair};
use crate::number::short;

impl Findings {
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        for pair in &self.pairs {
            self.describe(pair, &mut lines);
        }
        lines.extend(self.configuration.as_ref().map(|found| found.text(&self.places)));
        if self.named {
            let equal = self.pairs.iter().filter(|pair| pair.difference().is_none()).count();
            let tensors = if self.pairs.len() == 1 { "tensor" } else { "tensors" };
            lines.push(format!("{equal} of {} {tensors} equal", self.pairs.len()));
        }
        lines.extend(self.hint.as_ref().map(|hint| format!("hint: {hint}")));
        lines.join("\n") + "\n"
    }

    /// A line for a pair, and the lines of its differences.
    fn describe(&self, pair: &Pair, lines: &mut Vec<String>) {
        let name = pair.name.clone().unwrap_or_else(|| self.places.join(", "));
        let (tensors, verdict) = match (&pair.sides, &pair.comparison) {
            ([Some(a), Some(b)], Some(comparison)) => (both(a, b), self.verdict(comparison)),
            ([Some(a), Some(b)], None) if a.shape == b.shape => {
                (both(a, b), "types differ (exact)".to_owned())
            }
            ([Some(a), Some(b)], None) => (both(a, b), "shapes differ".to_owned()),
            ([a, b], _) => {
                let place = &self.places[usize::from(a.is_none())];
                (a.iter().chain(b).map(|one| both(one, one)).collect(), format!("only in {place}"))
            }
        };
        lines.push(format!("{name}: {tensors}: {verdict}"));
        lines.extend(pair.hint().map(|hint| format!("  hint: {hint}")));
        if let Some(comparison) = &pair.comparison {
            lines.extend(self.details(pair, comparison).iter().map(|line| format!("  {line}")));
        }
    }

    fn verdict(&self, comparison: &Comparison) -> String {
        let measure = match comparison.measure {
            Measure::Bits => "exact".to_owned(),
            Measure::Close { rtol, atol } => format!("rtol {}, atol {}", short(rtol), short(atol)),
        };
        let nan = if self.rule.equal_nan { ", equal NaN" } else { "" };
        match comparison.beyond.count {
            0 => format!("equal ({measure}{nan})"),
            count => format!("{count} of {} differ ({measure}{nan})", comparison.count),
        }
    }

    /// The largest differences and the first one, with their places, and the counts of NaN.
    fn details(&self, pair: &Pair, comparison: &Comparison) -> Vec<String> {
        let at = |numbers: &NumberPair| {
            let (index, words) = self.place(pair, numbers);
            let words = words.map_or(String::new(), |words| format!(" ({words})"));
            format!("at {index:?}{words}: {}, expected {}", numbers.a, numbers.b)
        };
        let Differences { count, absolute, relative, ulp, first } = comparison.shown();
        let mut lines = Vec::new();
        if comparison.beyond.count == 0 && *count > 0 {
            lines.push(format!("{count} of {} differ within the tolerance", comparison.count));
        }
        for (name, largest) in [("absolute", absolute), ("relative", relative)] {
            lines.extend(largest.as_ref().map(|(by, place)| {
                format!("largest {name} difference {} {}", short(*by), at(place))
            }));
        }
        lines.extend(
            ulp.as_ref().map(|(by, place)| format!("largest ulp distance {by} {}", at(place))),
        );
        lines.extend(first.as_ref().map(|place| format!("first difference {}", at(place))));
        let (Nans { only_a, only_b, both }, [a, b]) = (comparison.nans, &self.places);
        if only_a + only_b + both > 0 {
            lines
                .push(format!("NaN: {only_a} in {a} alone, {only_b} in {b} alone, {both} in both"));
        }
        lines
    }
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
