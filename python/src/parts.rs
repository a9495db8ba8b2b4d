//! The parts around a layer, from the arguments of `elman.Model`.

use elman::{CheckpointError, ModelConfig};
use serde_json::{Map, Value, json};

/// The fields of the saved configuration that arguments replace.
pub(crate) struct Parts(Map<String, Value>);

impl Parts {
    /// `embedding` or `one_hot`; `vocab`, `tokens` and `unknown`; `head` and `pool`; `function` or `top`; `labels`.
    pub(crate) fn of(
        (embedding, one_hot): (Option<&str>, bool),
        (vocab, tokens, unknown): (Option<Vec<String>>, Option<&str>, Option<&str>),
        (head, pool): (Option<&str>, Option<&str>),
        (function, top): (Option<&str>, Option<usize>),
        labels: Option<Vec<String>>,
    ) -> Self {
        let vocabulary = |names| json!({ "tokens": tokens.unwrap_or("char"), "unknown": unknown, "names": names });
        let head = head.map(|chain| match chain {
            "none" => json!([]),
            chain => chain.split(',').collect(),
        });
        let fields = [
            ("encoder", embedding.map(|name| json!({ "embedding": name }))),
            ("encoder", one_hot.then(|| json!("one-hot"))),
            ("vocabulary", vocab.map(vocabulary)),
            ("head", head),
            ("pool", pool.map(Value::from)),
            ("function", function.map(|name| name.replace('_', "-").into())),
            ("function", top.map(|k| json!({ "top": k }))),
            ("labels", labels.map(Value::from)),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Parts(given.collect())
    }

    /// The saved configuration with these fields in the places of its own.
    pub(crate) fn over(&self, saved: &ModelConfig) -> Result<ModelConfig, CheckpointError> {
        let mut all = saved.to_json();
        if let Some(fields) = all.as_object_mut() {
            fields.extend(self.0.clone());
        }
        Ok(ModelConfig::from_json(&all)?)
    }
}
