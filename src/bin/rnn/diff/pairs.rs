//! Pairs of tensors, and the comparison of each pair.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;
use elman::files::{Bundle, BundleFormat, File, FileError, StoredType, TensorFile, TensorReader};

use super::compare::{Comparison, Rule};
use super::prefix;
use crate::explain::hint::{self, swapped};
use crate::failure::{Data, with_hint};

/// A tensor as its file describes it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) place: String,
    pub(super) stored: StoredType,
    pub(super) shape: Vec<usize>,
}

/// Tensors of one name, or the only two.
#[derive(Debug)]
pub(super) struct Pair {
    /// Their common name in bundles.
    pub(super) name: Option<String>,
    /// `None` if A or B has no such tensor.
    pub(super) sides: [Option<Described>; 2],
    /// `None` if a side is missing, the shapes differ or, with `--exact`, the types differ.
    pub(super) comparison: Option<Comparison>,
}

impl Pair {
    /// The kind of the difference; `None` if the tensors are equal.
    pub(super) fn difference(&self) -> Option<&'static str> {
        match (&self.sides, &self.comparison) {
            ([_, None], _) => Some("only_in_a"),
            ([None, _], _) => Some("only_in_b"),
            (_, Some(comparison)) => (comparison.beyond.count > 0).then_some("numbers"),
            ([Some(a), Some(b)], None) if a.shape == b.shape => Some("dtype"),
            _ => Some("shape"),
        }
    }

    /// A hint for shapes that are equal except for two swapped axes.
    pub(super) fn hint(&self) -> Option<String> {
        let [Some(a), Some(b)] = &self.sides else { return None };
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
}

/// Compares two bundles, tensor by tensor: first those of A in its order, then those of B alone.
pub(super) fn by_name(
    a: &mut Bundle,
    b: &mut Bundle,
    rule: &Rule,
    prefix: Option<&str>,
) -> Result<Vec<Pair>> {
    let (a_names, b_names) = prefix::names(a, b, prefix)?;
    let in_a: HashSet<_> = a_names.iter().map(|(_, name)| name).collect();
    let in_b: HashMap<_, _> = b_names.iter().map(|(index, name)| (name, *index)).collect();
    let of_a = a_names.iter().map(|(index, name)| (name, Some(*index), in_b.get(name).copied()));
    let others = b_names.iter().filter(|(_, name)| !in_a.contains(name));
    let all = of_a.chain(others.map(|(index, name)| (name, None, Some(*index))));
    let pairs = all.map(|(name, at_a, at_b)| {
        let sides = [at_a.map(|index| described(a, index)), at_b.map(|index| described(b, index))];
        let comparison = match (&sides, at_a.zip(at_b)) {
            ([Some(of_a), Some(of_b)], Some((at_a, at_b))) => {
                compare([of_a, of_b], [a.reader(at_a)?, b.reader(at_b)?], rule)?
            }
            _ => None,
        };
        Ok(Pair { name: Some(name.clone()), sides, comparison })
    });
    pairs.collect()
}

/// The names of either side, if none is on both.
pub(super) fn unmatched(pairs: &[Pair]) -> Option<[HashSet<&str>; 2]> {
    let mut names = [HashSet::new(), HashSet::new()];
    for pair in pairs {
        let side = pair.sides.iter().position(Option::is_none)?;
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
    let ((of_a, a), (of_b, b)) = (only(a)?, only(b)?);
    let comparison = compare([&of_a, &of_b], [a, b], rule)?;
    Ok(Pair { name: None, sides: [Some(of_a), Some(of_b)], comparison })
}

/// The one tensor of a file.
fn only(file: &mut File) -> Result<(Described, TensorReader<'_>)> {
    Ok(match file {
        File::Tensor(tensor) => {
            let (place, header) = (tensor.place().to_owned(), tensor.header().clone());
            let described = Described { place, stored: header.stored, shape: header.shape };
            (described, tensor.reader()?)
        }
        File::Bundle(bundle) => (described(bundle, 0), bundle.reader(0)?),
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
    // Only those of a folder or of FILE.npz have a name on a command line.
    let nameable = bundle.format() == BundleFormat::Folder
        || Path::new(bundle.place()).extension().is_some_and(|extension| extension == "npz");
    let named = (nameable && !entries.is_empty())
        .then(|| hint::replaced(bundle.place(), &bundle.entry_place(index)));
    Err(with_hint(Data(message), named.flatten()))
}

fn described(bundle: &Bundle, index: usize) -> Described {
    let entry = &bundle.entries()[index];
    let place = bundle.entry_place(index);
    Described { place, stored: entry.stored, shape: entry.shape.clone() }
}

/// Reads two tensors side by side, a piece of each at a time, and compares their numbers. `None` if their
/// shapes or, with `--exact`, their types differ.
fn compare(
    [a, b]: [&Described; 2],
    [mut a_reader, mut b_reader]: [TensorReader<'_>; 2],
    rule: &Rule,
) -> Result<Option<Comparison>, FileError> {
    if a.shape != b.shape || (rule.exact && a.stored != b.stored) {
        return Ok(None);
    }
    let mut comparison = rule.begin([a.stored, b.stored]);
    let (mut a_bits, mut b_bits) = (Vec::new(), Vec::new());
    loop {
        a_reader.next_bits(&mut a_bits)?;
        b_reader.next_bits(&mut b_bits)?;
        if a_bits.is_empty() {
            return Ok(Some(comparison));
        }
        comparison.extend(&a_bits, &b_bits);
    }
}
