//! The configuration of the parts around an RNN, as flags name them and `rnn.json` holds them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names::shown;
use super::{Function, Pool, Tokens, Vocabulary};
use crate::error::Error;

/// The version of the configuration that this crate writes, and the newest that it reads.
const VERSION: u64 = 1;

/// The parts around an RNN. Linear layers and embeddings are named as in a `state_dict`, without `.weight`.
///
/// ```
/// use elman::{Function, LinkConfig, ModelConfig, Pool};
///
/// let config = ModelConfig {
///     head: LinkConfig::parse_chain("fc.0,relu,fc.2")?,
///     pool: Pool::State,
///     function: Some(Function::Top(3)),
///     ..ModelConfig::default()
/// };
/// let json = config.to_json();
/// assert_eq!(json["head"][2], "fc.2");
/// assert_eq!(ModelConfig::from_json(&json)?, config);
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelConfig {
    /// The encoder of ids; `None` for rows of numbers.
    pub encoder: Option<EncoderConfig>,
    /// The tokens of a text; `None` for ids.
    pub vocabulary: Option<Vocabulary>,
    /// The layers behind the RNN.
    pub head: Vec<LinkConfig>,
    /// The part of the output that is decoded.
    pub pool: Pool,
    /// The function on the last axis.
    pub function: Option<Function>,
    /// The names of the classes.
    pub labels: Option<Vec<String>>,
}

/// An encoder of ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// The rows of `NAME.weight`.
    Embedding(String),
    /// The rows of the identity.
    OneHot,
}

/// A layer of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LinkConfig {
    /// `NAME.weight`, and `NAME.bias` or none.
    Linear(String),
    Relu,
    Tanh,
    Sigmoid,
}

impl LinkConfig {
    /// Reads a chain such as `fc.0,relu,fc.2`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty name, and for a chain without a linear layer.
    pub fn parse_chain(text: &str) -> Result<Vec<Self>, Error> {
        let chain = text.split(',').map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if chain.iter().any(|link| matches!(link, LinkConfig::Linear(_))) {
            return Ok(chain);
        }
        Err(Error::invalid("head", format!("expected the name of a linear layer, got {text}")))
    }
}

/// Activations that are not computed, other modules without weights, and the word in a suggestion that stands for an
/// activation.
const OTHERS: [&str; 14] = [
    "activation",
    "celu",
    "dropout",
    "elu",
    "gelu",
    "hardtanh",
    "identity",
    "leakyrelu",
    "logsoftmax",
    "mish",
    "selu",
    "silu",
    "softmax",
    "softplus",
];

/// Whether a word looks like an activation, and is none of those that are computed, or has blanks around it.
fn is_misspelt(word: &str) -> bool {
    let plain = word.trim().to_lowercase().replace('_', "");
    let computed = ["relu", "tanh", "sigmoid"].contains(&plain.as_str());
    word.trim() != word || computed || OTHERS.contains(&plain.as_str())
}

impl FromStr for LinkConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "" => return Err(Error::invalid("head", "expected names between commas, got none")),
            "relu" => LinkConfig::Relu,
            "tanh" => LinkConfig::Tanh,
            "sigmoid" => LinkConfig::Sigmoid,
            name if is_misspelt(name) => {
                let what =
                    "expected the name of a linear layer, relu, tanh or sigmoid, without blanks";
                return Err(Error::invalid("head", format!("{what}, got {}", shown(name))));
            }
            name => LinkConfig::Linear(name.to_owned()),
        })
    }
}

impl fmt::Display for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            LinkConfig::Linear(name) => name,
            LinkConfig::Relu => "relu",
            LinkConfig::Tanh => "tanh",
            LinkConfig::Sigmoid => "sigmoid",
        })
    }
}

/// The configuration as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedModel {
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder: Option<EncoderConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vocabulary: Option<SavedVocabulary>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    head: Vec<String>,
    #[serde(default)]
    pool: Pool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<Function>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedVocabulary {
    tokens: Tokens,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
    names: Vec<String>,
}

impl ModelConfig {
    /// Whether nothing stands around the RNN.
    pub fn is_empty(&self) -> bool {
        *self == ModelConfig::default()
    }

    /// The configuration as a JSON object, with its version.
    pub fn to_json(&self) -> Value {
        let vocabulary = self.vocabulary.as_ref().map(|own| SavedVocabulary {
            tokens: own.tokens(),
            unknown: own.unknown().map(str::to_owned),
            names: own.names().map(str::to_owned).collect(),
        });
        let saved = SavedModel {
            version: VERSION,
            encoder: self.encoder.clone(),
            vocabulary,
            head: self.head.iter().map(ToString::to_string).collect(),
            pool: self.pool,
            function: self.function,
            labels: self.labels.clone(),
        };
        serde_json::to_value(saved).unwrap_or_default()
    }

    /// Reads the object of [`ModelConfig::to_json`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for a newer version, before anything else is read, and for a field that is unknown or wrong.
    pub fn from_json(saved: &Value) -> Result<Self, Error> {
        let invalid = |what: String| Error::quoting("model configuration", &what);
        match saved.get("version") {
            Some(version) if version.as_u64() == Some(VERSION) => {}
            Some(version) => {
                return Err(invalid(format!(
                    "expected version {VERSION}, got {version}: a newer rnn may read it"
                )));
            }
            None => return Err(invalid(format!("expected version {VERSION}, got none"))),
        }
        let saved = SavedModel::deserialize(saved).map_err(|error| invalid(error.to_string()))?;
        let vocabulary = saved.vocabulary.map(|own| {
            let vocabulary = Vocabulary::new(own.names, own.tokens)?;
            match own.unknown {
                Some(token) => vocabulary.with_unknown(&token),
                None => Ok(vocabulary),
            }
        });
        Ok(ModelConfig {
            encoder: saved.encoder,
            vocabulary: vocabulary.transpose()?,
            head: saved.head.iter().map(|link| link.parse()).collect::<Result<_, _>>()?,
            pool: saved.pool,
            function: saved.function,
            labels: saved.labels,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn full() -> ModelConfig {
        let vocabulary = Vocabulary::parse("a\n \n\\n\n<unk>\n", Tokens::Char).unwrap();
        ModelConfig {
            encoder: Some(EncoderConfig::Embedding("model.encoder".to_owned())),
            vocabulary: Some(vocabulary.with_unknown("<unk>").unwrap()),
            head: LinkConfig::parse_chain("relu,fc.0,sigmoid,fc.2,tanh").unwrap(),
            pool: Pool::Max,
            function: Some(Function::LogSoftmax),
            labels: Some(vec!["yes".to_owned(), "no".to_owned()]),
        }
    }

    #[test]
    fn json_round_trip() {
        for function in [Function::Softmax, Function::Sigmoid, Function::Argmax, Function::Top(2)] {
            let config = ModelConfig { function: Some(function), ..full() };
            assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config);
        }
        let config = ModelConfig { encoder: Some(EncoderConfig::OneHot), ..ModelConfig::default() };
        let expected = json!({"version": 1, "encoder": "one-hot", "pool": "steps"});
        assert_eq!(config.to_json(), expected);
        assert_eq!(ModelConfig::from_json(&expected).unwrap(), config);
        assert!(ModelConfig::default().is_empty() && !config.is_empty());
    }

    #[test]
    fn a_newer_or_unknown_configuration_is_refused_by_its_version() {
        let mut newer = full().to_json();
        newer["version"] = json!(2);
        newer["attention"] = json!("a field of the newer version");
        for (saved, expected) in [
            (newer, "expected version 1, got 2: a newer rnn may read it"),
            (json!({"pool": "steps"}), "expected version 1, got none"),
            (json!({"version": "x\u{1b}"}), "got \"x\\u001b\": a newer rnn may read it"),
            (json!({"version": 1, "attention": 4}), "unknown field `attention`"),
            (json!({"version": 1, "pool": "median"}), "unknown variant `median`"),
            (json!({"version": 1, "head": ["fc", ""]}), "expected names between commas, got none"),
            (json!([1]), "expected version 1, got none"),
        ] {
            let error = ModelConfig::from_json(&saved).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_chain_has_a_linear_layer() {
        for text in ["relu", "", "fc,,fc2", "fc,"] {
            assert!(LinkConfig::parse_chain(text).is_err(), "{text}");
        }
    }
}
