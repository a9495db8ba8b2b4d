//! The statistics and numbers of one tensor of a file.

use anyhow::Result;
use elman::files::{Bundle, Header, TensorReader};
use serde_json::{Value, json};

use crate::number::{json as number, or_none, rounded};
use crate::progress;
use crate::report::aligned;

use super::description::merged;
use super::pieces::{Piece, for_each_piece};
use super::print::Printer;
use super::statistics::{Gathering, Occurrences, Statistics};

#[derive(Debug)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) header: Header,
    pub(super) statistics: Statistics,
    /// Its numbers as PyTorch prints them, with `--values`.
    pub(super) values: Option<String>,
}

impl Facts {
    /// Reads the numbers of a tensor. `watch` sees them too.
    pub(super) fn gather(
        name: &str,
        numbers: TensorReader<'_>,
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

    /// Reads the tensors of a bundle, in its order.
    pub(super) fn of_all(bundle: &mut Bundle, values: bool) -> Result<Vec<Self>> {
        let names = bundle.entries().iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
        let facts = names
            .iter()
            .enumerate()
            .map(|(index, name)| Self::gather(name, bundle.reader(index)?, values, |_| {}));
        facts.collect()
    }

    /// The statistics of the finite numbers, each with its name.
    pub(super) fn words(&self) -> [(&'static str, String); 4] {
        let Statistics { min, max, mean, std, .. } = &self.statistics;
        [
            ("min", or_none(min.map(|min| min.to_string()))),
            ("max", or_none(max.map(|max| max.to_string()))),
            ("mean", or_none(mean.map(rounded))),
            ("std", or_none(std.map(rounded))),
        ]
    }

    /// Name, shape, type and statistics for one line.
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

    /// Statistics and values as a JSON object.
    pub(super) fn statistics_json(&self) -> Value {
        let Statistics { min, max, mean, std, nan, inf, .. } = &self.statistics;
        let object = json!({
            "min": min.map(number),
            "max": max.map(number),
            "mean": mean,
            "std": std,
            "nan": {"count": nan.count, "first": nan.first},
            "inf": {"count": inf.count, "first": inf.first},
        });
        merged(object, values_json(self.values.as_deref()))
    }

    fn json(&self) -> Value {
        let stored = self.header.stored.to_string();
        let object = json!({"name": self.name, "shape": self.header.shape, "dtype": stored});
        merged(object, self.statistics_json())
    }
}

/// A line for each tensor, then their numbers if they were read.
pub(super) fn lines(facts: &[Facts]) -> Vec<String> {
    let rows: Vec<_> = facts.iter().map(Facts::row).collect();
    let values = facts.iter().map(|facts| (facts.name.as_str(), facts.values.as_deref()));
    aligned(&rows).into_iter().chain(values_lines(values)).collect()
}

/// The tensors as a list of JSON objects.
pub(super) fn json(facts: &[Facts]) -> Value {
    facts.iter().map(Facts::json).collect()
}

/// The numbers of each tensor below its name.
pub(super) fn values_lines<'a>(
    values: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> impl Iterator<Item = String> {
    values.filter_map(|(name, values)| values.map(|values| format!("{name}:\n{values}")))
}

/// A JSON object with the numbers, or an empty one.
pub(super) fn values_json(values: Option<&str>) -> Value {
    values.map_or_else(|| json!({}), |values| json!({"values": values}))
}

/// The count, and the index of the first one.
pub(super) fn count(found: &Occurrences) -> String {
    match &found.first {
        None => "none".to_owned(),
        Some(first) if found.count == 1 => format!("1, at {first:?}"),
        Some(first) => format!("{}, the first at {first:?}", found.count),
    }
}
