//! Pairs of tensors, and the comparison of each pair.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;
use elman::files::{Bundle, BundleFormat, File, StoredType, TensorFile, TensorReader};

use super::compare::{Comparison, Rule};
use super::prefix;
use crate::explain::hint;
use crate::failure::{Data, with_hint};

/// A tensor as its file describes it.
#[derive(Clone, Debug, PartialEq)]
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
    pub(super) relation: Relation,
}

/// The result for a pair.
#[derive(Debug)]
pub(super) enum Relation {
    /// Only the first or the second bundle has it.
    OnlyIn(usize, Described),
    /// Their shapes differ.
    Shapes([Described; 2]),
    /// Their types differ, with `--exact`.
    Types([Described; 2]),
    /// Their numbers were compared.
    Numbers([Described; 2], Box<Comparison>),
}

impl Pair {
    pub(super) fn equal(&self) -> bool {
        matches!(&self.relation, Relation::Numbers(_, comparison) if comparison.beyond.count == 0)
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
    let places: HashMap<_, _> = b_names.iter().map(|(i, name)| (name, *i)).collect();
    let mut pairs = Vec::new();
    for (index, name) in &a_names {
        let index = *index;
        let relation = match places.get(name) {
            Some(&other) => {
                let at = [a.entry_place(index), b.entry_place(other)];
                walk(a.reader(index)?, b.reader(other)?, at, rule)?
            }
            None => Relation::OnlyIn(0, described(a, index)),
        };
        pairs.push(Pair { name: Some(name.clone()), relation });
    }
    let in_a: HashSet<_> = a_names.iter().map(|(_, name)| name).collect();
    for (index, name) in b_names.iter().filter(|(_, name)| !in_a.contains(name)) {
        pairs.push(Pair {
            name: Some(name.clone()),
            relation: Relation::OnlyIn(1, described(b, *index)),
        });
    }
    Ok(pairs)
}

/// The names of either side, if none is on both.
pub(super) fn unmatched(pairs: &[Pair]) -> Option<[HashSet<&str>; 2]> {
    let mut sides = [HashSet::new(), HashSet::new()];
    for pair in pairs {
        let Relation::OnlyIn(side, _) = &pair.relation else { return None };
        sides[*side].insert(pair.name.as_deref()?);
    }
    Some(sides)
}

/// Compares two tensors; a bundle with one tensor counts as a tensor.
pub(super) fn single(a: &mut File, b: &mut File, rule: &Rule) -> Result<Pair> {
    match (&*a, &*b) {
        (File::Tensor(tensor), File::Bundle(bundle))
        | (File::Bundle(bundle), File::Tensor(tensor)) => refuse_several(tensor, bundle)?,
        _ => {}
    }
    let ((a_place, a), (b_place, b)) = (only(a)?, only(b)?);
    let relation = walk(a, b, [a_place, b_place], rule)?;
    Ok(Pair { name: None, relation })
}

/// The place and the numbers of the one tensor.
fn only(file: &mut File) -> Result<(String, TensorReader<'_>)> {
    Ok(match file {
        File::Tensor(tensor) => (tensor.place().to_owned(), tensor.reader()?),
        File::Bundle(bundle) => (bundle.entry_place(0), bundle.reader(0)?),
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

/// Reads two tensors side by side, a piece of each at a time, and compares their numbers.
fn walk(
    mut a: TensorReader<'_>,
    mut b: TensorReader<'_>,
    at: [String; 2],
    rule: &Rule,
) -> Result<Relation> {
    let [a_place, b_place] = at;
    let of = |place: String, numbers: &TensorReader<'_>| Described {
        place,
        stored: numbers.header().stored,
        shape: numbers.header().shape.clone(),
    };
    let sides = [of(a_place, &a), of(b_place, &b)];
    if sides[0].shape != sides[1].shape {
        return Ok(Relation::Shapes(sides));
    }
    let stored = [sides[0].stored, sides[1].stored];
    if rule.exact && stored[0] != stored[1] {
        return Ok(Relation::Types(sides));
    }
    let mut comparison = rule.begin(stored);
    let (mut a_bits, mut b_bits) = (Vec::new(), Vec::new());
    loop {
        a.next_bits(&mut a_bits)?;
        b.next_bits(&mut b_bits)?;
        if a_bits.is_empty() {
            return Ok(Relation::Numbers(sides, Box::new(comparison)));
        }
        comparison.extend(&a_bits, &b_bits);
    }
}
