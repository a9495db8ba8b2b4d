//! The configuration of a layer: PyTorch's arguments, and the parameters that follow from them.

mod parameters;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
pub use parameters::{Parameter, is_parameter_name};

/// The function that a layer applies to each sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nonlinearity {
    /// The hyperbolic tangent, PyTorch's default.
    #[default]
    Tanh,
    /// max(x, 0).
    Relu,
}

impl fmt::Display for Nonlinearity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Nonlinearity::Tanh => "tanh",
            Nonlinearity::Relu => "relu",
        })
    }
}

impl FromStr for Nonlinearity {
    type Err = Error;

    /// Reads `tanh` or `relu`; as in PyTorch, in lower case only.
    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "tanh" => Ok(Nonlinearity::Tanh),
            "relu" => Ok(Nonlinearity::Relu),
            _ => Err(Error::Nonlinearity { found: name.to_owned() }),
        }
    }
}

/// The arguments of `torch.nn.RNN`.
///
/// Its `Display` is the layer as PyTorch prints it: `RNN(10, 20, num_layers=2)`.
///
/// ```
/// use elman::Config;
///
/// let config = Config { num_layers: 2, bidirectional: true, ..Config::new(10, 20) };
/// assert_eq!(config.to_string(), "RNN(10, 20, num_layers=2, bidirectional=True)");
/// assert_eq!(config.num_directions(), 2);
/// assert_eq!(config.layer_input_size(1), 2 * 20);
/// // sum(p.numel() for p in rnn.parameters())
/// assert_eq!(config.num_parameters(), Some(3760));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Features of one step of the input, `H_in`.
    pub input_size: usize,
    /// Features of a hidden state, `H_out`.
    pub hidden_size: usize,
    /// Layers stacked on each other.
    #[serde(default = "one")]
    pub num_layers: usize,
    /// The function that each layer applies to its sums.
    #[serde(default)]
    pub nonlinearity: Nonlinearity,
    /// Whether the layer has `bias_ih` and `bias_hh`.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Whether input and output are (N, L, features). It never applies to `h_0` and `h_n`.
    #[serde(default)]
    pub batch_first: bool,
    /// Probability of an element being zeroed between layers, in training mode.
    #[serde(default)]
    pub dropout: f64,
    /// Whether each layer also runs over the reversed sequence.
    #[serde(default)]
    pub bidirectional: bool,
}

impl Config {
    /// A layer of these sizes with PyTorch's defaults: one layer, tanh, bias, one direction.
    pub fn new(input_size: usize, hidden_size: usize) -> Self {
        Config {
            input_size,
            hidden_size,
            num_layers: 1,
            nonlinearity: Nonlinearity::Tanh,
            bias: true,
            batch_first: false,
            dropout: 0.0,
            bidirectional: false,
        }
    }

    /// Makes the checks of PyTorch's constructor.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] and [`Error::Dropout`].
    pub fn check(&self) -> Result<(), Error> {
        for (name, size) in [
            ("input_size", self.input_size),
            ("hidden_size", self.hidden_size),
            ("num_layers", self.num_layers),
        ] {
            if size == 0 {
                return Err(Error::ZeroSize { name });
            }
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            return Err(Error::Dropout { found: self.dropout });
        }
        Ok(())
    }

    /// The configuration as a JSON object with PyTorch's names, as `rnn.json` holds it.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads the text of [`Config::to_json`].
    ///
    /// Only the two sizes are required; the other fields default to PyTorch's values.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field; and the errors of [`Config::check`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let config: Config = serde_json::from_str(text)
            .map_err(|error| Error::quoting("configuration", &error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The arguments that two configurations in JSON both have, with different values: name and both values.
    pub fn differences(a: &Value, b: &Value) -> Vec<(String, Value, Value)> {
        let both = a.as_object().into_iter().flatten();
        let both = both.filter_map(|(name, a)| Some((name, a, b.get(name)?)));
        let differ = both.filter(|(_, a, b)| a != b);
        differ.map(|(name, a, b)| (name.clone(), a.clone(), b.clone())).collect()
    }
}

impl fmt::Display for Config {
    /// PyTorch's `extra_repr`: the sizes, then every argument that is not the default. Like PyTorch's, it
    /// leaves out the nonlinearity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RNN({}, {}", self.input_size, self.hidden_size)?;
        let arguments = [
            (self.num_layers != 1, "num_layers", self.num_layers.to_string()),
            (!self.bias, "bias", "False".to_owned()),
            (self.batch_first, "batch_first", "True".to_owned()),
            // Python prints a whole float with its point: 1.0.
            (self.dropout != 0.0, "dropout", format!("{:?}", self.dropout)),
            (self.bidirectional, "bidirectional", "True".to_owned()),
        ];
        for (_, name, value) in arguments.iter().filter(|(shown, ..)| *shown) {
            write!(f, ", {name}={value}")?;
        }
        write!(f, ")")
    }
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { num_layers: 2, bidirectional: true, ..Config::new(3, 5) }
    }

    #[test]
    fn json_round_trip() {
        let config = Config { nonlinearity: Nonlinearity::Relu, dropout: 0.25, ..config() };
        assert_eq!(Config::from_json(&config.to_json().to_string()).unwrap(), config);
        // serde_json without float_roundtrip reads the neighbouring f64.
        let config = Config { dropout: 1.777_550_669_651_156e-115, ..config };
        assert_eq!(Config::from_json(&config.to_json().to_string()).unwrap(), config);
        let minimal = Config::from_json(r#"{"input_size": 3, "hidden_size": 5}"#).unwrap();
        assert_eq!(minimal, Config::new(3, 5));
    }

    #[test]
    fn a_wrong_field_of_json_is_named_in_the_error() {
        for (text, expected) in [
            (r#"{"input_size": 3}"#, "missing field `hidden_size`"),
            (r#"{"input_size": 3, "hidden_size": 5, "gates": 4}"#, "unknown field `gates`"),
            // Control characters are replaced: they could move a terminal's cursor.
            (r#"{"\u001b[2J\rgates\n": 4}"#, "unknown field `\u{fffd}[2J\u{fffd}gates\u{fffd}`"),
            (r#"{"input_size": 3, "hidden_size": 5, "nonlinearity": "gelu"}"#, "`gelu`"),
            (r#"{"input_size": 0, "hidden_size": 5}"#, "expected input_size of at least 1"),
            (r#"{"input_size": 3, "hidden_size": 5, "dropout": 1.5}"#, "dropout in [0, 1]"),
        ] {
            let message = Config::from_json(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn display_is_pytorchs_repr() {
        assert_eq!(Config::new(10, 20).to_string(), "RNN(10, 20)");
        let config = Config { bias: false, batch_first: true, dropout: 0.25, ..config() };
        let expected = "RNN(3, 5, num_layers=2, bias=False, batch_first=True, dropout=0.25, bidirectional=True)";
        assert_eq!(config.to_string(), expected);
        assert_eq!(
            Config { dropout: 1.0, ..Config::new(1, 2) }.to_string(),
            "RNN(1, 2, dropout=1.0)"
        );
    }
}
