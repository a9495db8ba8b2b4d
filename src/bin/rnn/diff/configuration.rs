//! The layer's configuration, from the text beside weights or the attributes of modules.

use elman::files::Bundle;
use elman::{Config, explicit_arguments};
use serde_json::{Map, Value, json};

use super::pairs;

/// The comparison of two bundles' configurations.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Configuration {
    /// The only side that has one, 0 or 1.
    only_in: Option<usize>,
    /// PyTorch's arguments that differ, with both values.
    differences: Vec<(String, Value, Value)>,
    /// True for two different texts of which one is no configuration.
    texts_differ: bool,
}

impl Configuration {
    /// `None` if neither bundle has a configuration, or if no argument is in both.
    pub(super) fn compare(a: &Bundle, b: &Bundle, prefix: Option<&str>) -> Option<Self> {
        let explicit = [a, b].map(|bundle| -> Value {
            let own = explicit_arguments(bundle).into_iter();
            own.map(|(name, value)| (pairs::without(&name, prefix).to_owned(), value)).collect()
        });
        let is_empty = explicit.each_ref().map(|own| own.as_object().is_none_or(Map::is_empty));
        if let (Some(a), Some(b), true) = (a.text(), b.text(), is_empty.contains(&true)) {
            return Some(Configuration { texts_differ: a.text != b.text, ..Self::default() });
        }
        match [a.text().is_some() || !is_empty[0], b.text().is_some() || !is_empty[1]] {
            [true, true] => of_arguments(&explicit),
            [false, false] => None,
            [in_a, _] => {
                Some(Configuration { only_in: Some(usize::from(!in_a)), ..Self::default() })
            }
        }
    }

    pub(super) fn equal(&self) -> bool {
        self.differences.is_empty() && !self.texts_differ
    }

    /// For the report.
    pub(super) fn text(&self, places: &[String; 2]) -> String {
        if let Some(side) = self.only_in {
            return format!("configuration: only in {}, not compared", places[side]);
        }
        if self.equal() {
            return "configuration: equal".to_owned();
        }
        if self.texts_differ {
            return "the texts beside the tensors differ".to_owned();
        }
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let differences = self.differences.iter();
        let differences: Vec<_> =
            differences.map(|(name, a, b)| format!("{name} {}, {}", shown(a), shown(b))).collect();
        format!("configuration differs: {}", differences.join("; "))
    }

    pub(super) fn json(&self) -> Value {
        let differences = self.differences.iter();
        let differences: Vec<_> =
            differences.map(|(name, a, b)| json!({ "name": name, "a": a, "b": b })).collect();
        let only_in = self.only_in.map(|side| ["a", "b"][side]);
        json!({ "equal": self.equal(), "only_in": only_in, "differences": differences })
    }
}

/// Compares the arguments that both have; `None` if there are none.
fn of_arguments([a, b]: &[Value; 2]) -> Option<Configuration> {
    let any = a.as_object()?.keys().any(|name| b.get(name).is_some());
    let differences = Config::differences(a, b);
    any.then(|| Configuration { differences, ..Configuration::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_one_side_are_not_compared() {
        let long = || json!({ "hidden_size": 4, "bias": true, "nonlinearity": "tanh" });
        let relu = json!({ "nonlinearity": "relu", "dropout": 0.5, "hidden_size": 5 });
        assert_eq!(of_arguments(&[long(), long()]), Some(Configuration::default()));
        let found =
            of_arguments(&[long(), relu]).map(|c| c.text(&["a".to_owned(), "b".to_owned()]));
        let expected = "configuration differs: hidden_size 4, 5; nonlinearity tanh, relu";
        assert_eq!(found.as_deref(), Some(expected));
        assert_eq!(of_arguments(&[long(), json!({ "rnn.dropout": 0.5 })]), None);
    }
}
