//! The texts beside weights: what each says of the layer.

use elman::Config;
use elman::io::{Bundle, Tensors};
use serde_json::{Value, json};

/// What the texts of two bundles have in common.
#[derive(Debug, PartialEq)]
pub(super) enum Configuration {
    /// Only the first or the second has one.
    OnlyIn(usize),
    /// PyTorch's arguments whose values differ, with the values.
    Arguments(Vec<(String, Value, Value)>),
    /// They are no configurations, and are compared as texts.
    Texts { equal: bool },
}

impl Configuration {
    /// Compares the texts of two bundles; none where neither has one, or where one is a tensor alone.
    pub(super) fn compare(a: &Tensors, b: &Tensors) -> Option<Self> {
        let (Tensors::Named(a), Tensors::Named(b)) = (a, b) else { return None };
        let text = |bundle: &Bundle| bundle.text().map(|text| text.text.clone());
        match (text(a), text(b)) {
            (None, None) => None,
            (Some(_), None) => Some(Configuration::OnlyIn(0)),
            (None, Some(_)) => Some(Configuration::OnlyIn(1)),
            (Some(a), Some(b)) => Some(of_texts(&a, &b)),
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

/// Compares configurations by what they mean: what one of them leaves out is PyTorch's default.
fn of_texts(a: &str, b: &str) -> Configuration {
    let (Ok(a_config), Ok(b_config)) = (Config::from_json(a), Config::from_json(b)) else {
        return Configuration::Texts { equal: a == b };
    };
    let (a, b) = (a_config.to_json(), b_config.to_json());
    let names = a.as_object().into_iter().flat_map(|fields| fields.keys());
    let values = names.map(|name| (name.clone(), a[name].clone(), b[name].clone()));
    Configuration::Arguments(values.filter(|(_, a, b)| a != b).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_default() {
        let short = r#"{"input_size": 3, "hidden_size": 4}"#;
        let long = r#"{"hidden_size": 4, "bias": true, "input_size": 3, "nonlinearity": "tanh"}"#;
        assert_eq!(of_texts(short, long), Configuration::Arguments(Vec::new()));
        let relu = r#"{"input_size": 3, "hidden_size": 5, "nonlinearity": "relu"}"#;
        let found = of_texts(short, relu).text(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(found, "configuration differs: hidden_size 4, 5; nonlinearity tanh, relu");
    }

    #[test]
    fn other_texts_are_texts() {
        assert_eq!(of_texts("one", "one"), Configuration::Texts { equal: true });
        assert_eq!(of_texts("one", "two"), Configuration::Texts { equal: false });
    }
}
