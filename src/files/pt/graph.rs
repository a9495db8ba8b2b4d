//! The tensors and attributes in the values of a pickle, under the names that a `state_dict` gives them.

use std::collections::{BTreeSet, HashMap};
use std::io;

use super::rebuild::{MAX_DEPTH, Reader};
use super::view::View;
use crate::files::budget::Budget;
use crate::files::pickle::{Id, Object, Pickle, Value};
use crate::files::{AttributeValue, CLASS, ModuleAttribute, escaped};

/// Most classes that are named as unknown.
const MAX_CLASSES: usize = 20;

/// Bytes of a tensor beside its name: a view, its sizes and strides, its entry.
pub(super) const TENSOR_BYTES: usize = 512;

/// Attributes of objects, and entries of dictionaries, that may configure a layer, or an embedding or a linear layer
/// around it.
const ATTRIBUTES: [&str; 8] =
    ["mode", "nonlinearity", "batch_first", "dropout", "max_norm", "padding_idx", "dim", "p"];

/// Packages whose classes and functions are expected in a checkpoint.
const KNOWN: [&str; 9] = [
    "torch.",
    "collections.",
    "builtins.",
    "__builtin__.",
    "copyreg.",
    "copy_reg.",
    "_codecs.encode",
    "numpy.",
    "pathlib.",
];

/// Functions of Python's own that no object needs.
const HARMFUL: [&str; 8] =
    ["eval", "exec", "compile", "open", "getattr", "setattr", "__import__", "input"];

/// A tensor in a checkpoint, with its name as messages show it.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) view: View,
}

/// Everything that was found in a checkpoint.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) tensors: Vec<Found>,
    pub(super) attributes: Vec<ModuleAttribute>,
    /// Names of classes and functions that are not PyTorch's.
    pub(super) unknown: Vec<String>,
    /// Whether the checkpoint is one tensor.
    pub(super) is_tensor: bool,
    /// The class of the outermost object.
    pub(super) class: Option<String>,
}

/// A walk over the values of a pickle.
struct Walk<'a> {
    pickle: &'a Pickle,
    reader: Reader<'a>,
    budget: &'a mut Budget,
    found: Contents,
    /// Values that have no tensors, or that are being visited.
    done: Vec<bool>,
    modules: BTreeSet<&'a str>,
}

/// Finds tensors and attributes.
pub(super) fn contents(
    pickle: &Pickle,
    tensors: &HashMap<String, View>,
    budget: &mut Budget,
) -> io::Result<Contents> {
    let done = vec![false; pickle.values().len()];
    budget.charge(done.len())?;
    let found = Contents::default();
    let reader = Reader { pickle, tensors };
    let mut walk = Walk { pickle, reader, budget, found, done, modules: BTreeSet::new() };
    walk.found.is_tensor = walk.reader.tensor(pickle.root(), 0)?.is_some();
    walk.visit(pickle.root(), "", 0)?;
    walk.found.unknown = walk.unknown();
    if let Value::Object(object) = pickle.get(pickle.root()) {
        walk.found.class = walk.reader.class(object.class).map(escaped);
    }
    Ok(walk.found)
}

impl<'a> Walk<'a> {
    /// Finds the tensors in a value.
    fn visit(&mut self, id: Id, name: &str, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH || self.done[id.index()] {
            return Ok(());
        }
        self.budget.charge(1 + name.len())?;
        if let Some(view) = self.reader.tensor(id, 0)? {
            let numbers = view.shape.len() + view.strides.len();
            self.budget.charge(TENSOR_BYTES + 2 * name.len() + view.key.len() + 16 * numbers)?;
            self.found.tensors.push(Found { name: self.budget.name(name)?, view });
            return Ok(());
        }
        let before = self.found.tensors.len();
        self.done[id.index()] = true;
        match self.pickle.get(id) {
            Value::List(items) => self.items(items, name, depth)?,
            Value::Dict(pairs) => self.entries(pairs, name, depth)?,
            Value::Object(object) => self.object(object, name, depth)?,
            _ => {}
        }
        // A value in two places has both names.
        self.done[id.index()] = self.found.tensors.len() == before;
        Ok(())
    }

    fn items(&mut self, items: &[Id], name: &str, depth: usize) -> io::Result<()> {
        for (index, &item) in items.iter().enumerate() {
            if self.is_container(item) {
                self.visit(item, &joined(name, &index.to_string()), depth + 1)?;
            }
        }
        Ok(())
    }

    fn entries(&mut self, pairs: &[(Id, Id)], name: &str, depth: usize) -> io::Result<()> {
        for &(key, value) in pairs {
            if self.is_container(value) {
                let key = self.reader.key(key);
                self.visit(value, &joined(name, &key), depth + 1)?;
            } else {
                self.attribute(key, value, name)?;
            }
        }
        Ok(())
    }

    /// The tensors of an object: those of a module as its `state_dict` names them, those of any other in its items,
    /// in the containers that it was made of, and in its attributes.
    fn object(&mut self, object: &'a Object, name: &str, depth: usize) -> io::Result<()> {
        let class = self.reader.class(object.class).unwrap_or_default();
        let state = object.state;
        // Many objects can share a large state, which is searched for each of them.
        let searched = |&id: &Id| self.pickle.pairs(id).map_or(0, <[_]>::len) + self.length(id);
        let entries: usize = object.args.iter().chain(&state).map(searched).sum();
        self.budget.charge(entries / 4)?;
        if let Some(state) = state.filter(|&state| self.pickle.entry(state, "_modules").is_some()) {
            self.modules.insert(class);
            let own = class.rsplit_once('.').map_or(class, |(_, own)| own);
            let own = AttributeValue::Text(self.budget.name(own)?);
            self.add(name, CLASS, own)?;
            return self.module(state, name, depth);
        }
        self.items(&object.items, name, depth)?;
        self.entries(&object.pairs, name, depth)?;
        if class.ends_with("rnn.PackedSequence") {
            let names = ["data", "batch_sizes", "sorted_indices", "unsorted_indices"];
            for (own, &value) in names.iter().zip(&object.args) {
                self.visit(value, &joined(name, own), depth + 1)?;
            }
            return Ok(());
        }
        for &content in object.args.iter().chain(&state) {
            match self.pickle.get(content) {
                Value::List(items) if self.are_pairs(class, items) => {
                    for &item in items.iter() {
                        if let Some(&[key, value]) = self.pickle.list(item) {
                            self.entries(&[(key, value)], name, depth)?;
                        }
                    }
                }
                Value::List(_) | Value::Dict(_) | Value::Object(_) | Value::Persistent(_) => {
                    self.visit(content, name, depth + 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Items of a list, tuple or set.
    fn length(&self, id: Id) -> usize {
        if let Value::List(items) = self.pickle.get(id) { items.len() } else { 0 }
    }

    /// Whether the items are the keys and values of an ordered dictionary, as Python 2 writes it.
    fn are_pairs(&self, class: &str, items: &[Id]) -> bool {
        let is_pair = |&item: &Id| self.pickle.list(item).is_some_and(|pair| pair.len() == 2);
        class.ends_with("OrderedDict") && items.iter().all(is_pair)
    }

    /// The parameters and buffers of a module and of those in it.
    fn module(&mut self, state: Id, name: &str, depth: usize) -> io::Result<()> {
        for (key, value) in self.pickle.pairs(state).unwrap_or_default() {
            match self.pickle.text(*key) {
                Some("_parameters" | "_buffers" | "_modules") => {
                    self.visit(*value, name, depth + 1)?;
                }
                _ => self.attribute(*key, *value, name)?,
            }
        }
        Ok(())
    }

    /// Keeps a plain value that may configure a layer.
    fn attribute(&mut self, key: Id, value: Id, name: &str) -> io::Result<()> {
        let Some(key) = self.pickle.text(key).filter(|key| ATTRIBUTES.contains(key)) else {
            return Ok(());
        };
        let value = match *self.pickle.get(value) {
            Value::Bool(value) => AttributeValue::Bool(value),
            Value::Int(value) => AttributeValue::Int(value),
            Value::Float(value) => AttributeValue::Float(value),
            Value::Text(..) => {
                let text = self.pickle.text(value).unwrap_or_default();
                AttributeValue::Text(self.budget.text(text)?)
            }
            _ => return Ok(()),
        };
        self.add(name, key, value)
    }

    /// Adds an attribute of the module of this name.
    fn add(&mut self, module: &str, name: &str, value: AttributeValue) -> io::Result<()> {
        self.budget.charge(TENSOR_BYTES)?;
        let module = self.budget.name(module)?;
        self.found.attributes.push(ModuleAttribute { module, name: name.to_owned(), value });
        Ok(())
    }

    /// Whether a value can have tensors in it.
    fn is_container(&self, id: Id) -> bool {
        use Value::{Dict, List, Object, Persistent};
        matches!(self.pickle.get(id), List(_) | Dict(_) | Object(_) | Persistent(_))
    }

    /// Classes and functions that are neither PyTorch's nor Python's nor those of modules.
    fn unknown(&self) -> Vec<String> {
        let globals = self.pickle.values().iter().enumerate().filter_map(|(index, value)| {
            matches!(value, Value::Global(..)).then(|| self.pickle.global(Id::new(index)))?
        });
        let known = |name: &str| {
            let harmful = name.rsplit_once('.').is_some_and(|(module, function)| {
                module.trim_matches('_').starts_with("builtin") && HARMFUL.contains(&function)
            });
            !harmful && KNOWN.iter().any(|package| name.starts_with(package))
        };
        let unknown = globals.filter(|&name| !known(name) && !self.modules.contains(name));
        unknown.collect::<BTreeSet<_>>().into_iter().take(MAX_CLASSES).map(escaped).collect()
    }
}

/// A name within another.
fn joined(outer: &str, inner: &str) -> String {
    if outer.is_empty() { inner.to_owned() } else { [outer, ".", inner].concat() }
}
