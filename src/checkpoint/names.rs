//! A layer among the tensors of a model, by names and shapes.

use std::collections::HashMap;

use crate::checkpoint::error::CheckpointError;
use crate::files::Entry;
use crate::is_parameter_name;

/// The tensors of one layer.
pub(super) struct Found {
    /// What stands before PyTorch's names of the parameters.
    pub(super) prefix: String,
    /// Which entries they are, and their names without the prefix.
    pub(super) members: Vec<(usize, String)>,
}

/// A layer of the model.
struct Layer<'a> {
    /// The names of its modules, without the dot behind them.
    prefix: &'a str,
    /// The entry that says that it is an LSTM or a GRU, and which of the two.
    gates: Option<(&'a Entry, &'static str)>,
}

/// Finds the layer: the one with the prefix that was asked for, else the only one. Where no name is that
/// of a parameter, all entries are taken for the layer, which then says what it misses.
pub(super) fn find(entries: &[Entry], asked: Option<&str>) -> Result<Found, CheckpointError> {
    let layers = layers(entries);
    if let Some(asked) = asked {
        let asked = asked.strip_suffix('.').unwrap_or(asked);
        let Some(layer) = layers.iter().find(|layer| layer.prefix == asked) else {
            return Err(CheckpointError::NoLayer {
                asked: asked.to_owned(),
                found: shown(&layers),
            });
        };
        return layer.refuse_gates().map(|()| under(entries, asked));
    }
    // An LSTM beside the layer does not make it hard to choose.
    let (plain, gated): (Vec<_>, Vec<_>) =
        layers.into_iter().partition(|layer| layer.gates.is_none());
    match (&plain[..], &gated[..]) {
        ([], []) => Ok(without_prefix(entries, |_| true)),
        // Whatever else has no module around it belongs to the layer, or is one tensor too many.
        ([Layer { prefix: "", .. }], _) => Ok(without_prefix(entries, |name| !name.contains('.'))),
        ([layer], _) => Ok(under(entries, layer.prefix)),
        ([], [gated, ..]) => gated.refuse_gates().map(|()| under(entries, gated.prefix)),
        _ => Err(CheckpointError::ManyLayers { found: shown(&plain) }),
    }
}

/// All layers of a model, in the order in which they begin.
fn layers(entries: &[Entry]) -> Vec<Layer<'_>> {
    let mut layers: Vec<Layer<'_>> = Vec::new();
    let mut places = HashMap::new();
    for entry in entries {
        let (prefix, own) = entry.name.rsplit_once('.').unwrap_or(("", &entry.name));
        let is_projection = own.starts_with("weight_hr_l");
        if !is_projection && !is_parameter_name(own) {
            continue;
        }
        let place = *places.entry(prefix).or_insert(layers.len());
        if place == layers.len() {
            layers.push(Layer { prefix, gates: None });
        }
        if is_projection {
            // Its recurrent weights have the columns of the projection, and no rows of four times as many.
            layers[place].gates = Some((entry, "an LSTM with proj_size"));
        } else if layers[place].gates.is_none() && own.starts_with("weight_hh") {
            layers[place].gates = gates(entry).map(|kind| (entry, kind));
        }
    }
    layers
}

/// The prefixes of layers, for an error.
fn shown(layers: &[Layer<'_>]) -> Vec<String> {
    layers.iter().map(|layer| layer.prefix.to_owned()).collect()
}

/// A name as the names of modules, without the dot behind them, and that of a parameter.
fn split(name: &str) -> Option<(&str, &str)> {
    let (prefix, parameter) = name.rsplit_once('.').unwrap_or(("", name));
    is_parameter_name(parameter).then_some((prefix, parameter))
}

/// Those whose names are `wanted`, as they are.
fn without_prefix(entries: &[Entry], wanted: impl Fn(&str) -> bool) -> Found {
    let members = entries.iter().map(|entry| entry.name.clone()).enumerate();
    let members = members.filter(|(_, name)| wanted(name)).collect();
    Found { prefix: String::new(), members }
}

fn under(entries: &[Entry], prefix: &str) -> Found {
    let member = |(index, entry): (usize, &Entry)| {
        let (found, parameter) = split(&entry.name)?;
        (found == prefix).then(|| (index, parameter.to_owned()))
    };
    let dot = if prefix.is_empty() { "" } else { "." };
    let members = entries.iter().enumerate().filter_map(member).collect();
    Found { prefix: format!("{prefix}{dot}"), members }
}

/// Which other layer a `weight_hh` is of: an LSTM and a GRU have theirs under the same name, with the rows of
/// four or three gates one below the other.
fn gates(weight_hh: &Entry) -> Option<&'static str> {
    let &[rows, columns] = weight_hh.shape.as_slice() else { return None };
    match rows.checked_div(columns)? {
        _ if !rows.is_multiple_of(columns) => None,
        4 => Some("an LSTM, which has four gates"),
        3 => Some("a GRU, which has three gates"),
        _ => None,
    }
}

impl Layer<'_> {
    /// Refuses an LSTM or a GRU.
    fn refuse_gates(&self) -> Result<(), CheckpointError> {
        match self.gates {
            None => Ok(()),
            Some((entry, kind)) => {
                let (name, found) = (entry.name.clone(), entry.shape.clone());
                Err(CheckpointError::Gates { name, found, kind })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::StoredType;

    fn entries(tensors: &[(&str, &[usize])]) -> Vec<Entry> {
        let entry = |(name, shape): &(&str, &[usize])| Entry {
            name: (*name).to_owned(),
            stored: StoredType::F32,
            shape: shape.to_vec(),
        };
        tensors.iter().map(entry).collect()
    }

    fn layer(prefix: &str, gates: usize) -> Vec<Entry> {
        let (ih, hh) = (format!("{prefix}weight_ih_l0"), format!("{prefix}weight_hh_l0"));
        entries(&[(&ih, &[gates * 5, 3]), (&hh, &[gates * 5, 5])])
    }

    #[test]
    fn the_only_layer_of_a_model_is_found() {
        let model = [layer("encoder.rnn.", 1), entries(&[("fc.weight", &[2, 5])])].concat();
        let found = find(&model, None).unwrap();
        assert_eq!(found.prefix, "encoder.rnn.");
        let expected = [(0, "weight_ih_l0".to_owned()), (1, "weight_hh_l0".to_owned())];
        assert_eq!(found.members, expected);
    }

    #[test]
    fn one_of_several_is_chosen_by_its_prefix_with_or_without_a_dot() {
        let model = [layer("a.", 1), layer("b.", 1)].concat();
        let error = find(&model, None).err().unwrap().to_string();
        assert_eq!(error, "expected one layer, got 2: a, b");
        for asked in ["b", "b."] {
            assert_eq!(find(&model, Some(asked)).unwrap().members[0].0, 2);
        }
        let error = find(&model, Some("c")).err().unwrap().to_string();
        assert_eq!(error, "expected a layer under the prefix 'c', got a, b");
    }

    #[test]
    fn tensors_beside_a_layer_without_a_prefix_are_kept_to_be_refused() {
        let model = [layer("", 1), entries(&[("stray", &[2, 5])])].concat();
        assert_eq!(find(&model, None).unwrap().members.len(), 3);
        assert_eq!(find(&model, Some("")).unwrap().members.len(), 2);
    }

    #[test]
    fn modules_beside_a_layer_without_a_prefix_are_left_alone() {
        let others = entries(&[("fc.weight", &[2, 5])]);
        let model = [layer("lstm.", 4), layer("", 1), others].concat();
        let found = find(&model, None).unwrap();
        let expected = [(2, "weight_ih_l0".to_owned()), (3, "weight_hh_l0".to_owned())];
        assert_eq!((found.prefix.as_str(), &found.members[..]), ("", &expected[..]));
    }

    #[test]
    fn a_model_of_very_many_layers_is_refused_at_once() {
        let model: Vec<_> = (0..100_000).flat_map(|i| layer(&format!("l{i}."), 1)).collect();
        let start = std::time::Instant::now();
        let error = find(&model, None).err().unwrap().to_string();
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
        let shown: Vec<_> = (0..20).map(|i| format!("l{i}")).collect();
        let expected =
            format!("expected one layer, got 100000: {} and 99980 more", shown.join(", "));
        assert_eq!(error, expected);
    }

    #[test]
    fn an_lstm_is_refused_by_name_unless_there_is_another_layer() {
        for (gates, kind) in
            [(4, "an LSTM, which has four gates"), (3, "a GRU, which has three gates")]
        {
            let error = find(&layer("", gates), None).err().unwrap().to_string();
            let rows = gates * 5;
            assert_eq!(
                error,
                format!(
                    "weight_hh_l0: expected the weights of an RNN, got {kind}, in shape [{rows}, 5]"
                )
            );
            let model = [layer("a.", gates), layer("b.", 1)].concat();
            assert_eq!(find(&model, None).unwrap().prefix, "b.");
            assert!(find(&model, Some("a")).is_err());
        }
        // One gate whose hidden size does not fit is no LSTM.
        assert!(find(&entries(&[("weight_hh_l0", &[10, 5])]), None).is_ok());
    }
}
