//! Pairs of tensors, and the comparison of each pair.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;
use elman::files::{Bundle, File, FileError, Header, StoredType};
use elman::files::{TensorFile, TensorReader};
use serde::Serialize;

use super::compare::{Comparison, Rule};
use crate::explain::hint::{self, swapped};
use crate::failure::{Data, with_hint};

/// Bytes of memory for a pair beside its names.
const PAIR_BYTES: usize = 1000;

#[derive(Debug, Serialize)]
pub(super) struct Described {
    #[serde(skip)]
    place: String,
    #[serde(rename = "dtype")]
    pub(super) stored: StoredType,
    pub(super) shape: Vec<usize>,
}

/// Tensors of one name, or the only two.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    /// Their common name in bundles.
    pub(super) name: Option<String>,
    pub(super) equal: bool,
    /// The kind of the difference; `None` if the tensors are equal.
    pub(super) difference: Option<&'static str>,
    /// `None` if A or B has no such tensor.
    pub(super) a: Option<Described>,
    pub(super) b: Option<Described>,
    /// `None` if a side is missing, the shapes differ, a type is not read or, with `--exact`, the types differ.
    pub(super) numbers: Option<Comparison>,
    /// For shapes that are equal except for two swapped axes.
    pub(super) hint: Option<String>,
}

/// One side of a pair, with its numbers; `None` for a type that is not read.
type Compared<'a> = (Described, Option<TensorReader<'a>>);

/// Compares both sides. Words of places follow from the common name or, without one, from both places.
fn compare(
    name: Option<String>,
    sides: [Option<Compared<'_>>; 2],
    rule: &Rule,
) -> Result<Pair, FileError> {
    let (mut numbers, mut hint) = (None, None);
    let (difference, a, b) = match sides {
        [Some((a, a_reader)), Some((b, b_reader))] => {
            let difference = if a.shape != b.shape {
                hint = swapped_axes(&a, &b);
                Some("shape")
            } else if rule.exact && a.stored != b.stored {
                Some("dtype")
            } else if let (Some(mut a_reader), Some(mut b_reader)) = (a_reader, b_reader) {
                // A piece of each side at a time.
                let mut found = rule.begin([a.stored, b.stored]);
                let (mut a_bits, mut b_bits) = (Vec::new(), Vec::new());
                loop {
                    a_reader.next_bits(&mut a_bits)?;
                    b_reader.next_bits(&mut b_bits)?;
                    if a_bits.is_empty() {
                        break;
                    }
                    found.extend(&a_bits, &b_bits);
                }
                let places = [a.place.as_str(), b.place.as_str()];
                let names = name.as_deref().map_or(places.to_vec(), |name| vec![name]);
                found.locate(&a.shape, |index| rule.words.of(&names, &a.shape, index));
                numbers.insert(found).different.gt(&0).then_some("numbers")
            } else {
                Some(if a.stored == b.stored { "not_read" } else { "dtype" })
            };
            (difference, Some(a), Some(b))
        }
        [Some((a, _)), None] => (Some("only_in_a"), Some(a), None),
        [None, b] => (Some("only_in_b"), None, b.map(|(b, _)| b)),
    };
    Ok(Pair { name, equal: difference.is_none(), difference, a, b, numbers, hint })
}

/// A hint for shapes that are equal except for two swapped axes.
fn swapped_axes(a: &Described, b: &Described) -> Option<String> {
    if a.shape.len() != b.shape.len() {
        return None;
    }
    let differ = (0..a.shape.len()).filter(|&axis| a.shape[axis] != b.shape[axis]);
    let [first, second] = differ.collect::<Vec<_>>()[..] else { return None };
    let mut shape = a.shape.clone();
    shape.swap(first, second);
    let fit = format!("axes {first} and {second} swapped would fit");
    (shape == b.shape).then(|| match swapped(&a.place, first, second) {
        Some(command) => format!("{fit}: {command}"),
        None => fit,
    })
}

/// Compares two bundles, tensor by tensor: first those of A in its order, then those of B alone.
pub(super) fn by_name(
    a: &mut Bundle,
    b: &mut Bundle,
    rule: &Rule,
    prefix: Option<&str>,
) -> Result<Vec<Pair>> {
    let [a_names, b_names] = compared_names([a, b], prefix)?;
    let in_a: HashSet<_> = a_names.iter().map(|(_, name)| name).collect();
    let in_b: HashMap<_, _> = b_names.iter().map(|(index, name)| (name, *index)).collect();
    let of_a = a_names.iter().map(|(index, name)| (name, Some(*index), in_b.get(name).copied()));
    let others = b_names.iter().filter(|(_, name)| !in_a.contains(name));
    let all = of_a.chain(others.map(|(index, name)| (name, None, Some(*index))));
    let pairs = all.map(|(name, at_a, at_b)| {
        a.charge(PAIR_BYTES + 6 * name.len())?;
        let sides = [
            at_a.map(|index| side(a, index)).transpose()?,
            at_b.map(|index| side(b, index)).transpose()?,
        ];
        Ok(compare(Some(name.clone()), sides, rule)?)
    });
    pairs.collect()
}

fn side(bundle: &mut Bundle, index: usize) -> Result<Compared<'_>, FileError> {
    let entry = &bundle.entries()[index];
    let (place, stored) = (bundle.entry_place(index), entry.stored);
    let described = Described { place, stored, shape: entry.shape.clone() };
    let reader = is_read(stored).then(|| bundle.reader(index)).transpose()?;
    Ok((described, reader))
}

/// Whether the numbers of a type can be compared.
fn is_read(stored: StoredType) -> bool {
    !matches!(stored, StoredType::Other(_))
}

/// The names of either side, if none is on both.
pub(super) fn unmatched(pairs: &[Pair]) -> Option<[HashSet<&str>; 2]> {
    let mut names = [HashSet::new(), HashSet::new()];
    for pair in pairs {
        let side = [&pair.a, &pair.b].iter().position(|side| side.is_none())?;
        names[1 - side].insert(pair.name.as_deref()?);
    }
    Some(names)
}

/// Compares two tensors; a bundle with one tensor counts as a tensor.
pub(super) fn single(a: &mut File, b: &mut File, rule: &Rule) -> Result<Pair> {
    match (&*a, &*b) {
        (File::Tensor(tensor), File::Bundle(bundle))
        | (File::Bundle(bundle), File::Tensor(tensor)) => refuse_several(tensor, bundle)?,
        _ => {}
    }
    Ok(compare(None, [Some(only(a)?), Some(only(b)?)], rule)?)
}

fn only(file: &mut File) -> Result<Compared<'_>, FileError> {
    Ok(match file {
        File::Tensor(tensor) => {
            let (place, Header { stored, shape, .. }) = (tensor.place(), tensor.header().clone());
            let described = Described { place: place.to_owned(), stored, shape };
            (described, is_read(stored).then(|| tensor.reader()).transpose()?)
        }
        File::Bundle(bundle) => side(bundle, 0)?,
        #[cfg(feature = "onnx")]
        File::Graph(graph) => unreachable!("{}: tensors", graph.place),
    })
}

/// Rejects the comparison of a tensor with a bundle that has not exactly one. The hint names a tensor of the
/// same shape, or else the first one.
fn refuse_several(tensor: &TensorFile, bundle: &Bundle) -> Result<()> {
    let entries = bundle.entries();
    if entries.len() == 1 {
        return Ok(());
    }
    let message = format!(
        "expected two tensors or two bundles, got one tensor, {}, and {} of them, {}",
        tensor.place(),
        entries.len(),
        bundle.place()
    );
    let shape = &tensor.header().shape;
    let index = entries.iter().position(|entry| entry.shape == *shape).unwrap_or(0);
    // The tensors of a pipe have no name on a command line.
    let named = (Path::new(bundle.place()).exists() && !entries.is_empty())
        .then(|| hint::replaced(bundle.place(), &bundle.entry_place(index)));
    Err(with_hint(Data(message), named.flatten()))
}

/// Indices of tensors, with the names that are compared.
type Names = Vec<(usize, String)>;

/// The names of both bundles. A bundle with names under the prefix, that of a layer in a larger model, has those
/// alone, without the prefix.
fn compared_names([a, b]: [&Bundle; 2], prefix: Option<&str>) -> Result<[Names; 2]> {
    let names = [a, b].map(|bundle| -> Names {
        bundle.entries().iter().map(|entry| entry.name.clone()).enumerate().collect()
    });
    let Some(prefix) = prefix else { return Ok(names) };
    let under = names.each_ref().map(|names| -> Names {
        let short = |name| without(name, Some(prefix));
        let own = names.iter().filter(|(_, name)| short(name) != name);
        own.map(|(index, name)| (*index, short(name).to_owned())).collect()
    });
    if under.iter().all(Vec::is_empty) {
        let (a, b) = (a.place(), b.place());
        let message = format!("expected tensors under '{prefix}' in {a} or {b}, got none");
        return Err(Data(message).into());
    }
    let [all_a, all_b] = names;
    let [under_a, under_b] = under;
    let own = |under: Names, all| if under.is_empty() { all } else { under };
    Ok([own(under_a, all_a), own(under_b, all_b)])
}

/// A name without the prefix and its dot, if it has them.
pub(super) fn without<'a>(name: &'a str, prefix: Option<&str>) -> &'a str {
    let own = prefix.and_then(|prefix| name.strip_prefix(prefix)?.strip_prefix('.'));
    own.unwrap_or(name)
}

/// The flag to type, if all names of one side are also those of the other behind one prefix.
pub(super) fn prefix_hint([a, b]: &[HashSet<&str>; 2]) -> Option<String> {
    let prefix = prefix_of(a, b).or_else(|| prefix_of(b, a))?;
    Some(hint::set("--prefix", prefix))
}

/// The first prefix under which `long` has all names of `short`.
fn prefix_of<'a>(long: &HashSet<&'a str>, short: &HashSet<&str>) -> Option<&'a str> {
    let first = short.iter().next()?;
    let prefixes = long.iter().filter_map(|name| name.strip_suffix(first)?.strip_suffix('.'));
    let has_all =
        |prefix: &&str| short.iter().all(|name| long.contains(format!("{prefix}.{name}").as_str()));
    prefixes.filter(has_all).min()
}
