//! A layer among the tensors of a model, by names and shapes.

use std::collections::{HashMap, HashSet};

use crate::checkpoint::error::CheckpointError;
use crate::files::Entry;
use crate::is_parameter_name;

/// The tensors of one layer.
pub(super) struct Found {
    /// The prefix of the parameters' names, with the dot at its end.
    pub(super) prefix: String,
    /// The index of each entry, and its name without the prefix.
    pub(super) members: Vec<(usize, String)>,
}

/// A layer of the model.
struct Layer<'a> {
    /// The names of its modules, with the dot at their end; empty if there are none.
    prefix: &'a str,
    /// The entry that shows that the layer is an LSTM or a GRU, and its kind.
    gates: Option<(&'a Entry, &'static str)>,
}

/// Finds the layer with the requested prefix, or the only one. If no entry has the name of a parameter, all
/// entries are taken for the layer, which then reports what it misses.
pub(super) fn find(entries: &[Entry], asked: Option<&str>) -> Result<Found, CheckpointError> {
    let asked = asked.map(|asked| asked.strip_suffix('.').unwrap_or(asked));
    let mut layers = layers(entries);
    // An LSTM beside one layer does not make the choice ambiguous.
    if asked.is_none() && layers.iter().any(|layer| layer.gates.is_none()) {
        layers.retain(|layer| layer.gates.is_none());
    } else if asked.is_none() {
        layers.truncate(1);
    }
    let names = layers.iter().map(|layer| layer.prefix.strip_suffix('.').unwrap_or(layer.prefix));
    let Some(place) = choose(&names.collect::<Vec<_>>(), asked)? else {
        return Ok(members(entries, ""));
    };
    let Layer { prefix, gates } = layers[place];
    if let Some((Entry { name, shape, .. }, kind)) = gates {
        let what = format!("expected the weights of an RNN, got {kind}, in shape {shape:?}");
        return Err(CheckpointError::NoRnn(format!("{name}: {what}")));
    }
    let found = members(entries, prefix);
    let mut names = HashSet::new();
    if !found.members.iter().all(|(_, name)| names.insert(name)) {
        let what = "two tensors of the checkpoint have the same name";
        return Err(CheckpointError::NoRnn(what.to_owned()));
    }
    Ok(found)
}

/// Whether a tensor of this name is a part of an optimizer's state.
pub(super) fn is_of_optimizer(name: &str) -> bool {
    name.split('.').next().is_some_and(|first| first.contains("optim"))
}

/// The tensors beside a layer: those of an optimizer, and those of the model.
pub(super) fn others<'a>(entries: &'a [Entry], found: &Found) -> (Vec<&'a Entry>, Vec<&'a Entry>) {
    let own: HashSet<_> = found.members.iter().map(|(index, _)| *index).collect();
    let others = entries.iter().enumerate().filter(|(index, _)| !own.contains(index));
    others.map(|(_, entry)| entry).partition(|entry| is_of_optimizer(&entry.name))
}

/// The place of the requested layer among these, or of the only one; `None` if there are none.
pub(super) fn choose(
    names: &[&str],
    asked: Option<&str>,
) -> Result<Option<usize>, CheckpointError> {
    let found = || names.iter().map(|name| (*name).to_owned()).collect();
    match asked {
        None if names.len() > 1 => Err(CheckpointError::ManyLayers { found: found() }),
        None => Ok((names.len() == 1).then_some(0)),
        Some(asked) => match names.iter().position(|name| *name == asked) {
            None => Err(CheckpointError::NoLayer { asked: asked.to_owned(), found: found() }),
            place => Ok(place),
        },
    }
}

/// All layers of a model, in the order of their first entries.
fn layers(entries: &[Entry]) -> Vec<Layer<'_>> {
    let mut layers: Vec<Layer<'_>> = Vec::new();
    let mut places = HashMap::new();
    for entry in entries {
        let (prefix, own) = split(&entry.name);
        let is_projection = own.starts_with("weight_hr_l");
        let computed = computed(own);
        if !is_projection && !is_parameter_name(own) && computed.is_none() {
            continue;
        }
        let place = *places.entry(prefix).or_insert(layers.len());
        if place == layers.len() {
            layers.push(Layer { prefix, gates: None });
        }
        let gates = &mut layers[place].gates;
        if computed.is_some() {
            *gates = computed.map(|kind| (entry, kind));
        } else if is_projection {
            // The recurrent weights of such an LSTM have the columns of the projection: `gates` cannot tell.
            *gates = Some((entry, "an LSTM with proj_size"));
        } else if gates.is_none() && own.starts_with("weight_hh") {
            *gates = self::gates(entry).map(|kind| (entry, kind));
        }
    }
    // WeightDrop keeps the raw weights beside its module, and the last pass left a part of them in it.
    for index in 0..layers.len() {
        let outer = layers[index].prefix.strip_suffix("module.");
        let raw = outer.and_then(|outer| places.get(outer)).and_then(|&place| layers[place].gates);
        layers[index].gates =
            raw.filter(|(entry, _)| entry.name.ends_with("_raw")).or(layers[index].gates);
    }
    layers
}

/// The kind of a tensor that a parameter is computed from in a way that is not known here.
fn computed(own: &str) -> Option<&'static str> {
    let is = |suffix: &str| own.strip_suffix(suffix).is_some_and(is_parameter_name);
    if is("_raw") {
        return Some("the raw weights of WeightDrop, a part of which each pass drops");
    }
    is("_orig").then_some("the weights under spectral_norm or another parametrization")
}

/// The kind of layer of a `weight_hh` that is not of an RNN: an LSTM and a GRU have theirs under the same name,
/// with the rows of four or three gates.
fn gates(weight_hh: &Entry) -> Option<&'static str> {
    let &[rows, columns] = weight_hh.shape.as_slice() else { return None };
    match rows.checked_div(columns)? {
        _ if !rows.is_multiple_of(columns) => None,
        4 => Some("an LSTM, which has four gates"),
        3 => Some("a GRU, which has three gates"),
        _ => None,
    }
}

/// The parameters with this prefix, and other tensors at the same place whose names begin like theirs: one too many
/// is an error of the layer.
fn members(entries: &[Entry], prefix: &str) -> Found {
    let member = |(index, entry): (usize, &Entry)| {
        let own = entry.name.strip_prefix(prefix)?;
        let wanted = own.starts_with("weight_") || own.starts_with("bias_");
        (wanted && !own.contains('.')).then(|| (index, own.to_owned()))
    };
    let members = entries.iter().enumerate().filter_map(member).collect();
    Found { prefix: prefix.to_owned(), members }
}

/// A name as that of the modules, with the dot at its end, and that of the tensor.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_at(name.rfind('.').map_or(0, |dot| dot + 1))
}

/// The name of a cell's parameter in a layer; any other name as it is.
pub(super) fn layered(own: &str) -> String {
    match own {
        "weight_ih" | "weight_hh" | "bias_ih" | "bias_hh" => format!("{own}_l0"),
        own => own.to_owned(),
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
    fn weights_at_the_place_of_a_layer_belong_to_it() {
        let model = [layer("", 1), entries(&[("weight_stray", &[2, 5])])].concat();
        assert_eq!(find(&model, None).unwrap().members.len(), 3);
        assert_eq!(find(&model, Some("")).unwrap().members.len(), 3);
    }

    #[test]
    fn modules_beside_a_layer_without_a_prefix_are_ignored() {
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
