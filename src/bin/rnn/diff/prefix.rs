//! The layer of a larger model, with the names of its modules before those of its tensors.

use std::collections::HashSet;

use anyhow::Result;
use elman::files::Bundle;

use crate::explain::hint;
use crate::failure::Data;

/// Indices of tensors, with the names that are compared.
type Names = Vec<(usize, String)>;

/// The names of both bundles. A bundle with names under the prefix has those alone, without the prefix.
pub(super) fn names(a: &Bundle, b: &Bundle, prefix: Option<&str>) -> Result<(Names, Names)> {
    let names = |bundle: &Bundle| {
        let entries = || bundle.entries().iter().map(|entry| entry.name.as_str()).enumerate();
        let under = entries().filter(|(_, name)| without(name, prefix) != *name);
        let under: Names =
            under.map(|(index, name)| (index, without(name, prefix).to_owned())).collect();
        let all = || entries().map(|(index, name)| (index, name.to_owned())).collect();
        let found = !under.is_empty();
        (found, if found { under } else { all() })
    };
    let ((in_a, a_names), (in_b, b_names)) = (names(a), names(b));
    match prefix {
        Some(prefix) if !in_a && !in_b => {
            let (a, b) = (a.place(), b.place());
            Err(Data(format!("expected tensors under '{prefix}' in {a} or {b}, got none")).into())
        }
        _ => Ok((a_names, b_names)),
    }
}

/// A name without the prefix and its dot, if it has them.
pub(super) fn without<'a>(name: &'a str, prefix: Option<&str>) -> &'a str {
    let own = prefix.and_then(|prefix| name.strip_prefix(prefix)?.strip_prefix('.'));
    own.unwrap_or(name)
}

/// The flag to type, if all names of one side are also those of the other behind one prefix.
pub(super) fn hint([a, b]: &[HashSet<&str>; 2]) -> Option<String> {
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
