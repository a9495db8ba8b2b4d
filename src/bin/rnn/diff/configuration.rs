//! The layer's configuration, from the text beside weights or the attributes of modules.

use elman::files::Bundle;
use elman::{Config, explicit_arguments};
use serde_json::{Map, Value, json};

use super::pairs;

/// The comparison of two bundles' configurations.
#[derive(Debug, PartialEq)]
pub(super) struct Configuration {
    /// The line of the report.
    pub(super) text: String,
    pub(super) equal: bool,
    pub(super) json: Value,
}

impl Configuration {
    /// `None` if neither bundle has a configuration, or if no argument is in both.
    pub(super) fn compare(
        [a, b]: [&Bundle; 2],
        places: &[String; 2],
        prefix: Option<&str>,
    ) -> Option<Self> {
        let explicit = [a, b].map(|bundle| -> Value {
            let own = explicit_arguments(bundle).into_iter();
            own.map(|(name, value)| (pairs::without(&name, prefix).to_owned(), value)).collect()
        });
        let is_empty = explicit.each_ref().map(|own| own.as_object().is_none_or(Map::is_empty));
        if let (Some(a), Some(b), true) = (a.text(), b.text(), is_empty.contains(&true)) {
            let text = (a.text != b.text).then(|| "the texts beside the tensors differ".to_owned());
            return Some(Self::new(text, None, &[]));
        }
        let side = match [a.text().is_some() || !is_empty[0], b.text().is_some() || !is_empty[1]] {
            [true, true] => return of_arguments(&explicit),
            [false, false] => return None,
            [in_a, _] => usize::from(!in_a),
        };
        let text = format!("configuration: only in {}, not compared", places[side]);
        Some(Configuration { text, ..Self::new(None, Some(["a", "b"][side]), &[]) })
    }

    /// `differ` is the line if the configurations are not equal; `differences` are the arguments with both values.
    fn new(differ: Option<String>, only_in: Option<&str>, differences: &[Value]) -> Self {
        let equal = differ.is_none();
        let json = json!({ "equal": equal, "only_in": only_in, "differences": differences });
        let text = differ.unwrap_or_else(|| "configuration: equal".to_owned());
        Configuration { text, equal, json }
    }
}

/// Compares the arguments that both have; `None` if there are none.
fn of_arguments([a, b]: &[Value; 2]) -> Option<Configuration> {
    let any = a.as_object()?.keys().any(|name| b.get(name).is_some());
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let differences = Config::differences(a, b).into_iter();
    let (lines, objects): (Vec<_>, Vec<_>) = differences
        .map(|(name, a, b)| {
            let line = format!("{name} {}, {}", shown(&a), shown(&b));
            (line, json!({ "name": name, "a": a, "b": b }))
        })
        .unzip();
    let differ = || format!("configuration differs: {}", lines.join("; "));
    any.then(|| Configuration::new((!lines.is_empty()).then(differ), None, &objects))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_one_side_are_not_compared() {
        let long = || json!({ "hidden_size": 4, "bias": true, "nonlinearity": "tanh" });
        let relu = json!({ "nonlinearity": "relu", "dropout": 0.5, "hidden_size": 5 });
        assert!(of_arguments(&[long(), long()]).unwrap().equal);
        let found = of_arguments(&[long(), relu]).map(|found| found.text);
        let expected = "configuration differs: hidden_size 4, 5; nonlinearity tanh, relu";
        assert_eq!(found.as_deref(), Some(expected));
        assert_eq!(of_arguments(&[long(), json!({ "rnn.dropout": 0.5 })]), None);
    }
}
