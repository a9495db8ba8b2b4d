//! A layer among the tensors of a model, by names and shapes.

use super::matrix;
use crate::io::Entry;
use crate::{Error, is_parameter_name};

/// The tensors of one layer.
pub(super) struct Found {
    /// What stands before PyTorch's names of the parameters.
    pub(super) prefix: String,
    /// Which entries they are, and their names without the prefix.
    pub(super) members: Vec<(usize, String)>,
}

/// Finds the layer: the one with the prefix that was asked for, else the only one. Where no name is that
/// of a parameter, all entries are taken for the layer, which then says what it misses.
pub(super) fn find(entries: &[Entry], asked: Option<&str>) -> Result<Found, Error> {
    let asked = asked.map(|asked| asked.strip_suffix('.').unwrap_or(asked));
    let mut layers: Vec<&str> = Vec::new();
    for (prefix, _) in entries.iter().filter_map(|entry| split(&entry.name)) {
        if !layers.contains(&prefix) {
            layers.push(prefix);
        }
    }
    let shown = |layers: &[&str]| layers.iter().map(|layer| (*layer).to_owned()).collect();
    if let Some(asked) = asked {
        if !layers.contains(&asked) {
            return Err(Error::NoLayer { asked: asked.to_owned(), found: shown(&layers) });
        }
        refuse_gates(entries, asked)?;
        return Ok(under(entries, asked));
    }
    // An LSTM beside the layer does not make it hard to choose.
    let (plain, gated): (Vec<_>, Vec<_>) =
        layers.iter().copied().partition(|layer| refuse_gates(entries, layer).is_ok());
    match (&plain[..], &gated[..]) {
        // Whatever else stands there belongs to the layer, or is one tensor too many.
        ([], []) | ([""], _) => Ok(all(entries)),
        ([prefix], _) => Ok(under(entries, prefix)),
        ([], [gated, ..]) => refuse_gates(entries, gated).map(|()| all(entries)),
        _ => Err(Error::ManyLayers { found: shown(&plain) }),
    }
}

/// A name as the names of modules, without the dot behind them, and that of a parameter.
fn split(name: &str) -> Option<(&str, &str)> {
    let (prefix, parameter) = name.rsplit_once('.').unwrap_or(("", name));
    is_parameter_name(parameter).then_some((prefix, parameter))
}

fn all(entries: &[Entry]) -> Found {
    let members = entries.iter().map(|entry| entry.name.clone()).enumerate();
    Found { prefix: String::new(), members: members.collect() }
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

/// Refuses a layer that is an LSTM or a GRU: their weights stand under the same names, with the rows of
/// three or four gates one below the other.
fn refuse_gates(entries: &[Entry], prefix: &str) -> Result<(), Error> {
    for entry in entries {
        // Its recurrent weights have the columns of the projection, and no rows of four times as many.
        let (module, own) = entry.name.rsplit_once('.').unwrap_or(("", &entry.name));
        if module == prefix && own.starts_with("weight_hr_l") {
            let (name, found) = (entry.name.clone(), entry.shape.clone());
            return Err(Error::Gates { name, found, kind: "an LSTM with proj_size" });
        }
        let Some((found, parameter)) = split(&entry.name) else { continue };
        if found != prefix || !parameter.starts_with("weight_hh") {
            continue;
        }
        let Some([rows, columns]) = matrix(entry).filter(|[_, columns]| *columns > 0) else {
            continue;
        };
        let kind = match rows / columns {
            _ if !rows.is_multiple_of(columns) => continue,
            4 => "an LSTM, which has four gates",
            3 => "a GRU, which has three gates",
            _ => continue,
        };
        return Err(Error::Gates { name: entry.name.clone(), found: entry.shape.clone(), kind });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::StoredType;

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
    fn other_tensors_of_a_layer_without_a_prefix_are_kept_to_be_refused() {
        let model = [layer("", 1), entries(&[("fc.weight", &[2, 5])])].concat();
        assert_eq!(find(&model, None).unwrap().members.len(), 3);
        assert_eq!(find(&model, Some("")).unwrap().members.len(), 2);
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
