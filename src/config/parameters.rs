//! The parameters of a layer: their names and shapes, and the configuration that these determine.

use std::collections::HashMap;

use super::Config;
use crate::error::Error;

/// One parameter of a layer, as the `state_dict` knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// PyTorch's name, such as `weight_hh_l1_reverse`.
    pub name: String,
    /// (`H_out`, features in) for a weight, (`H_out`) for a bias.
    pub shape: Vec<usize>,
    /// The name of each axis.
    pub axes: Vec<&'static str>,
}

/// The kinds of parameters of a layer and direction, in the order of the `state_dict`, which is also the order of
/// the random draws.
const KINDS: [&str; 4] = [WEIGHT_IH, WEIGHT_HH, "bias_ih", "bias_hh"];
const WEIGHT_IH: &str = "weight_ih";
const WEIGHT_HH: &str = "weight_hh";

/// PyTorch's name of a parameter. No other place builds one.
fn parameter_name(kind: &str, layer: usize, reverse: bool) -> String {
    let suffix = if reverse { "_reverse" } else { "" };
    format!("{kind}_l{layer}{suffix}")
}

/// Whether a parameter of some layer can have this name.
pub fn is_parameter_name(name: &str) -> bool {
    let stem = name.strip_suffix("_reverse");
    let layer = stem.unwrap_or(name).rsplit_once("_l").and_then(|(_, layer)| layer.parse().ok());
    layer.is_some_and(|layer| {
        KINDS.iter().any(|kind| parameter_name(kind, layer, stem.is_some()) == name)
    })
}

impl Config {
    /// D: 2 for a bidirectional layer, else 1.
    pub fn num_directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// The number of parameters of a layer in one direction.
    pub(crate) fn tensors_per_cell(&self) -> usize {
        if self.bias { 4 } else { 2 }
    }

    /// Features that layer `layer` takes in: `H_in` for the first, D * `H_out` for the others.
    pub fn layer_input_size(&self, layer: usize) -> usize {
        self.layer_input(layer).0
    }

    /// The same, and their name.
    fn layer_input(&self, layer: usize) -> (usize, &'static str) {
        match (layer, self.bidirectional) {
            (0, _) => (self.input_size, "input_size"),
            (_, true) => (2 * self.hidden_size, "directions*hidden_size"),
            (_, false) => (self.hidden_size, "hidden_size"),
        }
    }

    /// Every parameter, in the order of the `state_dict`: for each layer, for each direction,
    /// `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        let kinds = &KINDS[..self.tensors_per_cell()];
        let places = (0..self.num_layers)
            .flat_map(|layer| (0..self.num_directions()).map(move |direction| (layer, direction)));
        places.flat_map(move |(layer, direction)| {
            kinds.iter().map(move |&kind| {
                let out = (self.hidden_size, "hidden_size");
                let axes = match kind {
                    WEIGHT_IH => vec![out, self.layer_input(layer)],
                    WEIGHT_HH => vec![out, out],
                    _ => vec![out],
                };
                let name = parameter_name(kind, layer, direction == 1);
                let (shape, axes) = axes.into_iter().unzip();
                Parameter { name, shape, axes }
            })
        })
    }

    /// Numbers in all parameters together; `None` if that overflows.
    pub fn num_parameters(&self) -> Option<usize> {
        let recurrent = self.hidden_size.checked_add(if self.bias { 2 } else { 0 })?;
        (0..2.min(self.num_layers)).try_fold(0_usize, |sum, layer| {
            let layers = if layer == 0 { 1 } else { self.num_layers - 1 };
            let width = self.layer_input_size(layer).checked_add(recurrent)?;
            let one = self.hidden_size.checked_mul(width)?.checked_mul(self.num_directions())?;
            sum.checked_add(one.checked_mul(layers)?)
        })
    }

    /// Infers the configuration from the names and shapes of a `state_dict`.
    ///
    /// They determine sizes, layers, directions and bias. Nonlinearity, `batch_first` and dropout become PyTorch's
    /// defaults. [`Params::from_tensors`](crate::Params::from_tensors) checks the shapes against each other.
    ///
    /// # Errors
    /// [`Error::NoSizes`] if the weights of the first layer do not determine the sizes.
    pub fn infer<'a>(shapes: impl Iterator<Item = (&'a str, &'a [usize])>) -> Result<Self, Error> {
        let shapes: HashMap<_, _> = shapes.collect();
        let has = |kinds: &[&str], layer: usize, reverse: bool| {
            let mut names = kinds.iter().map(|kind| parameter_name(kind, layer, reverse));
            names.any(|name| shapes.contains_key(&*name))
        };
        let any = |kinds: &[&str], layer| has(kinds, layer, false) || has(kinds, layer, true);
        let matrix = |kind: &str| {
            let name = parameter_name(kind, 0, false);
            match shapes.get(&*name).copied() {
                Some(&[rows, columns]) => Ok((rows, columns)),
                found => Err(Error::NoSizes { name, found: found.map(<[usize]>::to_vec) }),
            }
        };
        let (rows, input_size) = matrix(WEIGHT_IH)?;
        // A square weight_hh is better evidence of the hidden size than a weight_ih that may be transposed.
        let (square, columns) = matrix(WEIGHT_HH)?;
        // There are no more layers than tensors.
        let most = shapes.len();
        let num_layers = (1..most).find(|&layer| !any(&KINDS, layer)).unwrap_or(most.max(1));
        Ok(Config {
            num_layers,
            bias: (0..num_layers).any(|layer| any(&KINDS[2..], layer)),
            bidirectional: (0..num_layers).any(|layer| has(&KINDS, layer, true)),
            ..Config::new(input_size, if square == columns { square } else { rows })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { num_layers: 2, bidirectional: true, ..Config::new(3, 5) }
    }

    #[test]
    fn parameters_are_in_the_order_of_the_state_dict() {
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
    fn num_parameters_is_the_sum_over_parameters() {
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
            // A bias alone is enough evidence of a layer.
            let num_layers = if stray == "bias_hh_l2" { 3 } else { 2 };
            let bias = num_layers == 3;
            assert_eq!(
                Config::infer(shapes).unwrap(),
                Config { num_layers, bias, ..config.clone() }
            );
        }
    }
}
