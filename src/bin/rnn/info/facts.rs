//! What there is to say about one tensor of a file.

use anyhow::Result;
use elman::files::{Bundle, Header, Numbers};
use serde_json::{Map, Value, json};

use crate::number::{json as number, or_none, rounded};
use crate::progress;
use crate::report::aligned;

use super::description::fields;
use super::pieces::{Piece, for_each_piece};
use super::print::Printer;
use super::statistics::{Gathering, Occurrences, Statistics};

#[derive(Debug)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) header: Header,
    pub(super) statistics: Statistics,
    /// Its numbers as PyTorch prints them, where they were asked for.
    pub(super) values: Option<String>,
}

impl Facts {
    /// Of the tensor that has these numbers, which `watch` is shown too.
    pub(super) fn gather(
        name: &str,
        numbers: Numbers<'_>,
        values: bool,
        mut watch: impl FnMut(Piece<'_>),
    ) -> Result<Self> {
        let header = numbers.header().clone();
        let mut gathering = Gathering::new(&header);
        let printer = || Printer::new(header.stored, &header.shape, header.fortran_order);
        let mut printer = values.then(printer);
        let bar = progress::bytes(header.body_bytes());
        for_each_piece(numbers, |piece| {
            gathering.add(piece);
            watch(piece);
            if let Some(printer) = &mut printer {
                printer.add(piece);
            }
            bar.inc((piece.len() * header.stored.size()) as u64);
        })?;
        bar.finish_and_clear();
        let values = printer.map(|printer| printer.text());
        Ok(Facts { name: name.to_owned(), header, statistics: gathering.finish(), values })
    }

    /// The tensors of a bundle, in the order in which they stand.
    pub(super) fn of_all(bundle: &mut Bundle, values: bool) -> Result<Vec<Self>> {
        let names = bundle.entries().iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
        let facts = names
            .iter()
            .enumerate()
            .map(|(index, name)| Self::gather(name, bundle.numbers(index)?, values, |_| {}));
        facts.collect()
    }

    /// Smallest and largest number and the others, each under its name.
    pub(super) fn words(&self) -> [(&'static str, String); 4] {
        let Statistics { min, max, mean, std, .. } = &self.statistics;
        [
            ("min", or_none(min.map(|min| min.to_string()))),
            ("max", or_none(max.map(|max| max.to_string()))),
            ("mean", or_none(mean.map(rounded))),
            ("std", or_none(std.map(rounded))),
        ]
    }

    /// Name, shape, type, and the statistics in one line.
    fn row(&self) -> [String; 4] {
        let mut words = self.words().map(|(name, word)| format!("{name} {word}")).to_vec();
        if self.statistics.finite == 0 {
            words = vec!["no finite numbers".to_owned()];
        }
        for (name, found) in [("NaN", &self.statistics.nan), ("inf", &self.statistics.inf)] {
            if found.count > 0 {
                words.push(format!("{name} {}", count(found)));
            }
        }
        let (shape, stored) = (format!("{:?}", self.header.shape), self.header.stored.to_string());
        [self.name.clone(), shape, stored, words.join(", ")]
    }

    /// The object of this tensor, but for its name.
    pub(super) fn statistics_json(&self) -> Map<String, Value> {
        let Statistics { min, max, mean, std, nan, inf, .. } = &self.statistics;
        let mut object = fields(json!({
            "min": min.map(number),
            "max": max.map(number),
            "mean": mean,
            "std": std,
            "nan": {"count": nan.count, "first": nan.first},
            "inf": {"count": inf.count, "first": inf.first},
        }));
        object.extend(values_json(self.values.as_deref()));
        object
    }

    fn json(&self) -> Value {
        let stored = self.header.stored.to_string();
        let mut object =
            fields(json!({"name": self.name, "shape": self.header.shape, "dtype": stored}));
        object.extend(self.statistics_json());
        Value::Object(object)
    }
}

/// Tensors under each other, and then their numbers where they were asked for.
pub(super) fn lines(facts: &[Facts]) -> Vec<String> {
    let rows: Vec<_> = facts.iter().map(Facts::row).collect();
    let values = facts.iter().map(|facts| (facts.name.as_str(), facts.values.as_deref()));
    aligned(&rows).into_iter().chain(values_lines(values)).collect()
}

/// Tensors as a list of objects.
pub(super) fn json(facts: &[Facts]) -> Value {
    facts.iter().map(Facts::json).collect()
}

/// Numbers below the names of their tensors.
pub(super) fn values_lines<'a>(
    values: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> impl Iterator<Item = String> {
    values.filter_map(|(name, values)| values.map(|values| format!("{name}:\n{values}")))
}

/// The field of numbers that were asked for.
pub(super) fn values_json(values: Option<&str>) -> impl Iterator<Item = (String, Value)> {
    values.into_iter().map(|values| ("values".to_owned(), json!(values)))
}

/// How many, and where.
pub(super) fn count(found: &Occurrences) -> String {
    match &found.first {
        None => "none".to_owned(),
        Some(first) if found.count == 1 => format!("1, at {first:?}"),
        Some(first) => format!("{}, the first at {first:?}", found.count),
    }
}
