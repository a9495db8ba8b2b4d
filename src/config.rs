//! What is chosen about a layer: PyTorch's arguments, and the names and shapes that follow from them.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a layer applies to each sum.
///
/// ```
/// use elman::Nonlinearity;
///
/// let relu: Nonlinearity = "relu".parse()?;
/// assert_eq!(relu, Nonlinearity::Relu);
/// assert_eq!(Nonlinearity::default().to_string(), "tanh");
/// assert!("ReLU".parse::<Nonlinearity>().is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
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
#[allow(clippy::struct_excessive_bools, reason = "the booleans are PyTorch's own")]
pub struct Config {
    /// Features of one step of the input, `H_in`.
    pub input_size: usize,
    /// Features of a hidden state, `H_out`.
    pub hidden_size: usize,
    /// Layers stacked on each other.
    #[serde(default = "default::num_layers")]
    pub num_layers: usize,
    /// What each layer applies to its sums.
    #[serde(default)]
    pub nonlinearity: Nonlinearity,
    /// Whether the layer has `bias_ih` and `bias_hh`.
    #[serde(default = "default::bias")]
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

/// One parameter of a layer, as the `state_dict` knows it.
///
/// ```
/// use elman::Config;
///
/// let config = Config { bidirectional: true, ..Config::new(10, 20) };
/// let parameters: Vec<_> = config.parameters().collect();
/// assert_eq!(parameters[4].name, "weight_ih_l0_reverse");
/// assert_eq!(parameters[4].shape, [20, 10]);
/// assert_eq!(parameters[4].axes, ["hidden_size", "input_size"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// PyTorch's name, such as `weight_hh_l1_reverse`.
    pub name: String,
    /// (`H_out`, features in) for a weight, (`H_out`) for a bias.
    pub shape: Vec<usize>,
    /// What each axis is called.
    pub axes: Vec<&'static str>,
}

/// The four kinds of parameters of a layer and direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    WeightIh,
    WeightHh,
    BiasIh,
    BiasHh,
}

impl Kind {
    /// In the order of the `state_dict`, which is also the order of the random draws.
    const ALL: [Kind; 4] = [Kind::WeightIh, Kind::WeightHh, Kind::BiasIh, Kind::BiasHh];

    fn is_bias(self) -> bool {
        matches!(self, Kind::BiasIh | Kind::BiasHh)
    }
}

/// PyTorch's name of a parameter. No other place builds one.
fn parameter_name(kind: Kind, layer: usize, reverse: bool) -> String {
    let kind = match kind {
        Kind::WeightIh => "weight_ih",
        Kind::WeightHh => "weight_hh",
        Kind::BiasIh => "bias_ih",
        Kind::BiasHh => "bias_hh",
    };
    let suffix = if reverse { "_reverse" } else { "" };
    format!("{kind}_l{layer}{suffix}")
}

/// Whether `name` is one that a parameter of some layer can have.
///
/// ```
/// use elman::is_parameter_name;
///
/// let state_dict = ["weight_ih_l0", "weight_hh_l0", "fc.weight"];
/// let own: Vec<_> = state_dict.into_iter().filter(|name| is_parameter_name(name)).collect();
/// assert_eq!(own, ["weight_ih_l0", "weight_hh_l0"]);
/// ```
pub fn is_parameter_name(name: &str) -> bool {
    let (stem, reverse) = name.strip_suffix("_reverse").map_or((name, false), |stem| (stem, true));
    let layer = stem.rsplit_once("_l").and_then(|(_, layer)| layer.parse().ok());
    layer.is_some_and(|layer| {
        Kind::ALL.iter().any(|&kind| parameter_name(kind, layer, reverse) == name)
    })
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

    /// Checks what PyTorch's constructor checks.
    ///
    /// ```
    /// use elman::{Config, Error};
    ///
    /// let config = Config { dropout: 1.5, ..Config::new(10, 20) };
    /// assert!(matches!(config.check(), Err(Error::Dropout { .. })));
    /// ```
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

    /// D: 2 for a bidirectional layer, else 1.
    pub fn num_directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// Features that layer `layer` takes in: `H_in` for the first, D * `H_out` for the others.
    pub fn layer_input_size(&self, layer: usize) -> usize {
        self.layer_input(layer).0
    }

    /// The same, and what they are called.
    fn layer_input(&self, layer: usize) -> (usize, &'static str) {
        match (layer, self.bidirectional) {
            (0, _) => (self.input_size, "input_size"),
            (_, true) => (2 * self.hidden_size, "directions*hidden_size"),
            (_, false) => (self.hidden_size, "hidden_size"),
        }
    }

    /// Every parameter, in the order of the `state_dict`: for each layer, for each direction,
    /// `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`.
    ///
    /// ```
    /// use elman::Config;
    ///
    /// let names: Vec<_> = Config::new(10, 20).parameters().map(|parameter| parameter.name).collect();
    /// assert_eq!(names, ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]);
    /// ```
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        let kinds = Kind::ALL.iter().filter(|kind| self.bias || !kind.is_bias());
        let places = (0..self.num_layers)
            .flat_map(|layer| (0..self.num_directions()).map(move |direction| (layer, direction)));
        places.flat_map(move |(layer, direction)| {
            kinds.clone().map(move |&kind| {
                let out = (self.hidden_size, "hidden_size");
                let axes = match kind {
                    Kind::WeightIh => vec![out, self.layer_input(layer)],
                    Kind::WeightHh => vec![out, out],
                    Kind::BiasIh | Kind::BiasHh => vec![out],
                };
                let name = parameter_name(kind, layer, direction == 1);
                let (shape, axes) = axes.into_iter().unzip();
                Parameter { name, shape, axes }
            })
        })
    }

    /// Numbers in all parameters together; `None` where that overflows.
    pub fn num_parameters(&self) -> Option<usize> {
        let recurrent = self.hidden_size.checked_add(if self.bias { 2 } else { 0 })?;
        (0..2.min(self.num_layers)).try_fold(0_usize, |sum, layer| {
            let layers = if layer == 0 { 1 } else { self.num_layers - 1 };
            let width = self.layer_input_size(layer).checked_add(recurrent)?;
            let one = self.hidden_size.checked_mul(width)?.checked_mul(self.num_directions())?;
            sum.checked_add(one.checked_mul(layers)?)
        })
    }

    /// The configuration that the names and shapes of a `state_dict` tell.
    ///
    /// Sizes, layers, directions and bias follow from them. Nonlinearity, `batch_first` and dropout do
    /// not: they are PyTorch's defaults. The shapes are not held against each other here; that is done
    /// when the tensors are taken over.
    ///
    /// ```
    /// use elman::Config;
    ///
    /// let shapes: [(&str, &[usize]); 2] = [("weight_ih_l0", &[20, 10]), ("weight_hh_l0", &[20, 20])];
    /// let config = Config::infer(shapes.into_iter())?;
    /// assert_eq!(config.to_string(), "RNN(10, 20, bias=False)");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSizes`] where the weights of the first layer do not tell them.
    pub fn infer<'a>(shapes: impl Iterator<Item = (&'a str, &'a [usize])>) -> Result<Self, Error> {
        let shapes: HashMap<_, _> = shapes.collect();
        let has = |kind: Kind, layer: usize, reverse: bool| {
            shapes.contains_key(parameter_name(kind, layer, reverse).as_str())
        };
        let any = |kinds: &[Kind], layer: usize| {
            kinds.iter().any(|&kind| has(kind, layer, false) || has(kind, layer, true))
        };
        let matrix = |kind: Kind| {
            let name = parameter_name(kind, 0, false);
            match shapes.get(name.as_str()).copied() {
                Some(&[rows, columns]) => Ok((rows, columns)),
                found => Err(Error::NoSizes { name, found: found.map(<[usize]>::to_vec) }),
            }
        };
        let (rows, input_size) = matrix(Kind::WeightIh)?;
        // A square weight_hh says the hidden size more surely than a weight_ih that may be transposed.
        let (square, columns) = matrix(Kind::WeightHh)?;
        // No more layers than tensors.
        let most = shapes.len();
        let num_layers = (1..most).find(|&layer| !any(&Kind::ALL, layer)).unwrap_or(most.max(1));
        let reverse = |layer| Kind::ALL.iter().any(|&kind| has(kind, layer, true));
        Ok(Config {
            num_layers,
            bias: (0..num_layers).any(|layer| any(&[Kind::BiasIh, Kind::BiasHh], layer)),
            bidirectional: (0..num_layers).any(reverse),
            ..Config::new(input_size, if square == columns { square } else { rows })
        })
    }

    /// The configuration as a JSON object with PyTorch's names, as `rnn.json` holds it.
    ///
    /// ```
    /// let json = elman::Config::new(10, 20).to_json();
    /// assert_eq!(json["hidden_size"], 20);
    /// assert_eq!(json["nonlinearity"], "tanh");
    /// ```
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads what [`Config::to_json`] has written.
    ///
    /// Only the two sizes are required; what is absent is PyTorch's default.
    ///
    /// ```
    /// use elman::{Config, Nonlinearity};
    ///
    /// let text = r#"{"input_size": 10, "hidden_size": 20, "nonlinearity": "relu"}"#;
    /// let config = Config::from_json(text)?;
    /// assert_eq!(config, Config { nonlinearity: Nonlinearity::Relu, ..Config::new(10, 20) });
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] names the field; and the errors of [`Config::check`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let config: Config = serde_json::from_str(text).map_err(|error| {
            // An unknown field is quoted as it stands, and a message goes to a terminal.
            let what = error.to_string().replace(char::is_control, "\u{fffd}");
            Error::Config { what }
        })?;
        config.check()?;
        Ok(config)
    }
}

impl fmt::Display for Config {
    /// PyTorch's `extra_repr`: the sizes, then whatever is not the default. It leaves out the
    /// nonlinearity, and so does this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RNN({}, {}", self.input_size, self.hidden_size)?;
        if self.num_layers != 1 {
            write!(f, ", num_layers={}", self.num_layers)?;
        }
        if !self.bias {
            write!(f, ", bias=False")?;
        }
        if self.batch_first {
            write!(f, ", batch_first=True")?;
        }
        if self.dropout != 0.0 {
            // Python prints a float that is whole with its point: 1.0.
            write!(f, ", dropout={:?}", self.dropout)?;
        }
        if self.bidirectional {
            write!(f, ", bidirectional=True")?;
        }
        write!(f, ")")
    }
}

/// What `#[serde(default)]` takes for an absent field, where that is not zero or false.
mod default {
    pub(super) fn num_layers() -> usize {
        1
    }

    pub(super) fn bias() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { num_layers: 2, bidirectional: true, ..Config::new(3, 5) }
    }

    #[test]
    fn parameters_stand_in_the_order_of_the_state_dict() {
        let names: Vec<_> = config().parameters().map(|parameter| parameter.name).collect();
        assert_eq!(
            names[..5],
            ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse"]
        );
        assert_eq!(names[15], "bias_hh_l1_reverse");
        let shapes: Vec<_> = config().parameters().map(|parameter| parameter.shape).collect();
        assert_eq!(shapes[..3], [vec![5, 3], vec![5, 5], vec![5]]);
        assert_eq!(shapes[8], [5, 10]);
    }

    #[test]
    fn num_parameters_counts_what_parameters_lists() {
        for bias in [true, false] {
            for num_layers in [1, 2, 5] {
                let config = Config { num_layers, bias, ..config() };
                let sum = config.parameters().map(|p| p.shape.iter().product::<usize>()).sum();
                assert_eq!(config.num_parameters(), Some(sum));
            }
        }
        assert_eq!(Config::new(1, usize::MAX).num_parameters(), None);
    }

    #[test]
    fn infer_undoes_parameters() {
        for bias in [true, false] {
            for bidirectional in [true, false] {
                for num_layers in [1, 3] {
                    let config = Config { num_layers, bias, bidirectional, ..config() };
                    let parameters: Vec<_> = config.parameters().collect();
                    let shapes = parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice()));
                    assert_eq!(Config::infer(shapes).unwrap(), config);
                }
            }
        }
    }

    #[test]
    fn infer_takes_only_parameters_for_biases() {
        let config = Config { bias: false, ..config() };
        let parameters: Vec<_> = config.parameters().collect();
        let shapes = parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice()));
        for stray in ["bias_x", "bias_ih_l01", "bias_hh_l2"] {
            let shapes = shapes.clone().chain([(stray, &[5][..])]);
            // A whole layer may be told by its bias alone.
            let num_layers = if stray == "bias_hh_l2" { 3 } else { 2 };
            let bias = num_layers == 3;
            assert_eq!(
                Config::infer(shapes).unwrap(),
                Config { num_layers, bias, ..config.clone() }
            );
        }
    }

    #[test]
    fn json_round_trip() {
        let config = Config { nonlinearity: Nonlinearity::Relu, dropout: 0.25, ..config() };
        assert_eq!(Config::from_json(&config.to_json().to_string()).unwrap(), config);
        let minimal = Config::from_json(r#"{"input_size": 3, "hidden_size": 5}"#).unwrap();
        assert_eq!(minimal, Config::new(3, 5));
    }

    #[test]
    fn json_that_is_wrong_is_refused_by_name() {
        for (text, expected) in [
            (r#"{"input_size": 3}"#, "missing field `hidden_size`"),
            (r#"{"input_size": 3, "hidden_size": 5, "gates": 4}"#, "unknown field `gates`"),
            // As it is shown, nothing in it can move a terminal's cursor.
            (r#"{"\u001b[2Jgates": 4}"#, "unknown field `\u{fffd}[2Jgates`"),
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
