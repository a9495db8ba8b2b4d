//! The parts around a layer, from the arguments of `elman.Model`.

use elman::{CheckpointError, Error, ModelConfig};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::{Map, Value, json};

use crate::array::at_least_0;

/// The fields of the saved configuration that arguments replace.
pub(crate) struct Parts {
    fields: Map<String, Value>,
    /// Fields of the vocabulary.
    vocabulary: Map<String, Value>,
    head_is_none: bool,
}

impl Parts {
    /// `embedding` or `one_hot`; `vocab`, `tokens` and `unknown`; `head` and `pool`; `function` or `top`; `labels`. Like the
    /// command, refuses two arguments for one field.
    pub(crate) fn of(
        (embedding, one_hot): (Option<&str>, bool),
        (vocab, tokens, unknown): (Option<Vec<String>>, Option<&str>, Option<&str>),
        (head, pool): (Option<&str>, Option<&str>),
        (function, top): (Option<&str>, Option<i64>),
        labels: Option<Vec<String>>,
    ) -> PyResult<Self> {
        if embedding.is_some() && one_hot {
            return Err(PyValueError::new_err("one_hot: expected False with embedding, got True"));
        }
        if let (Some(_), Some(top)) = (function, top) {
            let what = format!("top: expected None with function, got {top}");
            return Err(PyValueError::new_err(what));
        }
        let top = top.map(|top| at_least_0(top, "top")).transpose()?;
        let head_is_none = head == Some("none");
        let head = head.map(|chain| match chain {
            "none" => json!([]),
            chain => chain.split(',').collect(),
        });
        let vocabulary = [
            ("names", vocab.map(Value::from)),
            ("tokens", tokens.map(Value::from)),
            ("unknown", unknown.map(Value::from)),
        ];
        let fields = [
            ("encoder", embedding.map(|name| json!({ "embedding": name }))),
            ("encoder", one_hot.then(|| json!("one-hot"))),
            ("head", head),
            ("pool", pool.map(Value::from)),
            ("function", function.map(|name| name.replace('_', "-").into())),
            ("function", top.map(|k| json!({ "top": k }))),
            ("labels", labels.map(Value::from)),
        ];
        Ok(Parts { fields: given(fields), vocabulary: given(vocabulary), head_is_none })
    }

    /// The saved configuration with these fields in the places of its own.
    pub(crate) fn over(&self, saved: &ModelConfig) -> Result<ModelConfig, CheckpointError> {
        let Parts { fields, vocabulary, head_is_none } = self;
        let mut all = saved.to_json();
        let Some(config) = all.as_object_mut() else {
            unreachable!("a configuration is an object")
        };
        if *head_is_none {
            // Without its head, a saved model has no use for the rest of its decoder.
            config.retain(|name, _| ["version", "encoder", "vocabulary"].contains(&name.as_str()));
        }
        config.extend(fields.clone());
        if !vocabulary.is_empty() {
            let saved = config.entry("vocabulary").or_insert(Value::Null);
            if vocabulary.contains_key("names") {
                // The saved token of unknown words belongs to the saved names.
                let tokens = saved.get("tokens").cloned().unwrap_or_else(|| json!("char"));
                *saved = json!({ "tokens": tokens });
            }
            let Some(saved) = saved.as_object_mut() else {
                let what = "expected vocab beside tokens and unknown, got None".to_owned();
                return Err(Error::Invalid { name: "vocab", what }.into());
            };
            saved.extend(vocabulary.clone());
        }
        Ok(ModelConfig::from_json(&all)?)
    }
}

/// The fields that have values.
fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
