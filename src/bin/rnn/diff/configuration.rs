//! The layer's configuration, from the text beside weights or the attributes of modules.

use elman::explicit_arguments;
use elman::files::{Bundle, File};
use serde_json::{Map, Value, json};

use super::prefix;

/// The comparison of two bundles' configurations.
#[derive(Debug, PartialEq)]
pub(super) enum Configuration {
    /// Only the first or the second has one.
    OnlyIn(usize),
    /// PyTorch's arguments that differ, with both values.
    Arguments(Vec<(String, Value, Value)>),
    /// Texts that are no configurations, compared as texts.
    Texts { equal: bool },
}

impl Configuration {
    /// `None` if neither bundle has a configuration, or if one side is a tensor.
    pub(super) fn compare(a: &File, b: &File, prefix: Option<&str>) -> Option<Self> {
        let (File::Bundle(a), File::Bundle(b)) = (a, b) else { return None };
        let said = |bundle: &Bundle| -> Map<_, _> {
            let said = explicit_arguments(bundle).into_iter();
            said.map(|(name, value)| (prefix::without(&name, prefix).to_owned(), value)).collect()
        };
        let (a_said, b_said) = (said(a), said(b));
        let no_configuration = a_said.is_empty() || b_said.is_empty();
        if let (Some(a), Some(b), true) = (a.text(), b.text(), no_configuration) {
            return Some(Configuration::Texts { equal: a.text == b.text });
        }
        let says = |bundle: &Bundle, said: &Map<_, _>| bundle.text().is_some() || !said.is_empty();
        match (says(a, &a_said), says(b, &b_said)) {
            (false, false) => None,
            (true, false) => Some(Configuration::OnlyIn(0)),
            (false, true) => Some(Configuration::OnlyIn(1)),
            (true, true) => of_arguments(&a_said, &b_said),
        }
    }

    pub(super) fn equal(&self) -> bool {
        match self {
            Configuration::OnlyIn(_) => true,
            Configuration::Arguments(differences) => differences.is_empty(),
            Configuration::Texts { equal } => *equal,
        }
    }

    /// For the report.
    pub(super) fn text(&self, places: &[String; 2]) -> String {
        match self {
            Configuration::OnlyIn(side) => {
                format!("configuration: only in {}, not compared", places[*side])
            }
            _ if self.equal() => "configuration: equal".to_owned(),
            Configuration::Arguments(differences) => {
                let shown =
                    |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let differences: Vec<_> = differences
                    .iter()
                    .map(|(name, a, b)| format!("{name} {}, {}", shown(a), shown(b)))
                    .collect();
                format!("configuration differs: {}", differences.join("; "))
            }
            Configuration::Texts { .. } => "the texts beside the tensors differ".to_owned(),
        }
    }

    pub(super) fn json(&self) -> Value {
        let only_in = match self {
            Configuration::OnlyIn(side) => json!(["a", "b"][*side]),
            _ => Value::Null,
        };
        let differences: Vec<_> = match self {
            Configuration::Arguments(differences) => differences
                .iter()
                .map(|(name, a, b)| json!({ "name": name, "a": a, "b": b }))
                .collect(),
            _ => Vec::new(),
        };
        json!({ "equal": self.equal(), "only_in": only_in, "differences": differences })
    }
}

/// Compares the arguments that both have; `None` if there are none.
fn of_arguments(a: &Map<String, Value>, b: &Map<String, Value>) -> Option<Configuration> {
    let both: Vec<_> = a.iter().filter_map(|(name, a)| Some((name, a, b.get(name)?))).collect();
    let differences = both.iter().filter(|(_, a, b)| a != b);
    let differences =
        differences.map(|(name, a, b)| ((*name).clone(), (*a).clone(), (*b).clone())).collect();
    (!both.is_empty()).then_some(Configuration::Arguments(differences))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_one_side_are_not_compared() {
        let fields = |value: Value| value.as_object().cloned().unwrap_or_default();
        let long = fields(json!({ "hidden_size": 4, "bias": true, "nonlinearity": "tanh" }));
        let relu = fields(json!({ "nonlinearity": "relu", "dropout": 0.5, "hidden_size": 5 }));
        assert_eq!(of_arguments(&long, &long), Some(Configuration::Arguments(Vec::new())));
        let found = of_arguments(&long, &relu).map(|c| c.text(&["a".to_owned(), "b".to_owned()]));
        let expected = "configuration differs: hidden_size 4, 5; nonlinearity tanh, relu";
        assert_eq!(found.as_deref(), Some(expected));
        assert_eq!(of_arguments(&long, &fields(json!({ "rnn.dropout": 0.5 }))), None);
    }
}
