//! The tensors and attributes in the values of a pickle, under the names that a `state_dict` gives them.

use std::collections::{BTreeSet, HashMap};
use std::io;

use super::view::{View, storage_type, tensor_type};
use crate::files::pickle::{Budget, Id, Object, Pickle, Value, broken};
use crate::files::{AttributeValue, ModuleAttribute, StoredType, escaped};

/// Most levels of containers around a tensor; a model has about ten.
const MAX_DEPTH: usize = 200;

/// Most classes that are named as unknown.
const MAX_CLASSES: usize = 20;

/// Bytes of a found tensor beside its name.
const TENSOR_BYTES: usize = 256;

/// Attributes of objects, and entries of dictionaries, that may configure a layer.
const ATTRIBUTES: [&str; 4] = ["mode", "nonlinearity", "batch_first", "dropout"];

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

/// A tensor in a checkpoint.
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
    /// Tensors by their identity in a TAR archive.
    tensors: &'a HashMap<String, View>,
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
    let mut walk = Walk { pickle, tensors, budget, found, done, modules: BTreeSet::new() };
    walk.found.is_tensor = walk.tensor(pickle.root(), 0)?.is_some();
    walk.visit(pickle.root(), "", 0)?;
    walk.found.unknown = walk.unknown();
    if let Value::Object(object) = pickle.get(pickle.root()) {
        walk.found.class = walk.class(object.class).map(escaped);
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
        if let Some(view) = self.tensor(id, 0)? {
            self.budget.charge(TENSOR_BYTES + name.len())?;
            self.found.tensors.push(Found { name: name.to_owned(), view });
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
                let key = self.key(key);
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
        let class = self.class(object.class).unwrap_or_default();
        let state = object.state;
        if let Some(state) = state.filter(|&state| self.pickle.entry(state, "_modules").is_some()) {
            self.modules.insert(class);
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
                AttributeValue::Text(self.pickle.text(value).unwrap_or_default().to_owned())
            }
            _ => return Ok(()),
        };
        self.budget.charge(TENSOR_BYTES + name.len())?;
        let module = escaped(name);
        self.found.attributes.push(ModuleAttribute { module, name: key.to_owned(), value });
        Ok(())
    }

    /// Whether a value can have tensors in it.
    fn is_container(&self, id: Id) -> bool {
        use Value::{Dict, List, Object, Persistent};
        matches!(self.pickle.get(id), List(_) | Dict(_) | Object(_) | Persistent(_))
    }

    /// A key as a part of a name.
    fn key(&self, key: Id) -> String {
        match self.pickle.get(key) {
            Value::Text(..) => self.pickle.text(key).unwrap_or_default().to_owned(),
            Value::Int(key) => key.to_string(),
            Value::Bool(key) => key.to_string(),
            Value::Float(key) => key.to_string(),
            Value::None => "None".to_owned(),
            _ => format!("key{}", key.index()),
        }
    }

    /// The name of a class or function. PyTorch before 1.6 stores the class of a module beside its source.
    fn class(&self, id: Id) -> Option<&'a str> {
        let Value::Persistent(stored) = self.pickle.get(id) else { return self.pickle.global(id) };
        self.pickle.list(*stored)?.iter().find_map(|&item| self.pickle.global(item))
    }

    /// The tensor that a value is, if it is one.
    fn tensor(&self, id: Id, depth: usize) -> io::Result<Option<View>> {
        match self.pickle.get(id) {
            Value::Persistent(key) => Ok(self.tensors.get(&self.key(*key)).cloned()),
            Value::Object(object) => {
                let class = self.class(object.class).unwrap_or_default();
                self.rebuilt(class, &object.args, depth)
            }
            _ => Ok(None),
        }
    }

    /// The tensor that one of PyTorch's functions makes of these arguments.
    fn rebuilt(&self, function: &str, args: &[Id], depth: usize) -> io::Result<Option<View>> {
        if depth > MAX_DEPTH {
            return Ok(None);
        }
        let Some((module, name)) = function.rsplit_once('.') else { return Ok(None) };
        let list = |id: Option<&Id>| id.and_then(|&id| self.pickle.list(id)).unwrap_or_default();
        match (module, name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => {
                self.view(name, args).map(Some)
            }
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
            | ("torch.nn.parameter", "Parameter" | "Buffer")
            | ("torch.autograd.variable", "Variable") => {
                args.first().map_or(Ok(None), |&data| self.tensor(data, depth + 1))
            }
            ("torch._tensor" | "torch.tensor" | "torch.nn.parameter", name)
                if name.starts_with("_rebuild_from_type") =>
            {
                let function = args.first().and_then(|&function| self.class(function));
                self.rebuilt(function.unwrap_or_default(), list(args.get(2)), depth + 1)
            }
            ("torch._utils", "_rebuild_qtensor") => Ok(Some(self.other("quantized", args.get(2)))),
            ("torch._utils", name) if name.starts_with("_rebuild_sparse") => {
                Ok(Some(self.other("sparse", list(args.get(1)).get(2))))
            }
            ("torch._utils", "_rebuild_meta_tensor_no_storage" | "_rebuild_wrapper_subclass") => {
                Ok(Some(self.other("meta", args.get(1))))
            }
            ("torch._utils", name) if name.starts_with("_rebuild") => {
                Ok(Some(self.other("other", None)))
            }
            _ => Ok(None),
        }
    }

    /// A tensor of a kind that is not read.
    fn other(&self, kind: &'static str, shape: Option<&Id>) -> View {
        let shape = shape.and_then(|&shape| self.sizes(shape)).unwrap_or_default();
        View { shape, ..View::of(StoredType::Other(kind)) }
    }

    /// A list of sizes or strides.
    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.pickle.list(id)?.iter().map(|&size| self.pickle.size(size)).collect()
    }

    /// A view of a storage: storage, offset, sizes, strides, and then `requires_grad`, hooks, perhaps a type, and
    /// the bits that delay a negation or conjugation.
    fn view(&self, function: &str, args: &[Id]) -> io::Result<View> {
        let &[storage, offset, size, stride, ref rest @ ..] = args else {
            let (least, got) = (if function == "_rebuild_tensor" { 4 } else { 6 }, args.len());
            return Err(broken(format!(
                "{function}: expected at least {least} arguments, got {got}"
            )));
        };
        let bad = |what: &str| broken(format!("{function}: expected {what}"));
        let Value::Persistent(identity) = self.pickle.get(storage) else {
            return Ok(View::of(StoredType::Other("other")));
        };
        // ('storage', type, key, location, numel), and in the older layout a view of another storage.
        let &[_, kind, key, _, numel, ref root @ ..] =
            self.pickle.list(*identity).ok_or_else(|| bad("a storage"))?
        else {
            return Err(bad("a storage of 5 fields"));
        };
        let class = self.class(kind).unwrap_or_default();
        let (stored, bytes) = storage_type(class);
        let mut view = View {
            stored,
            key: self.key(key),
            numel: self.pickle.size(numel).ok_or_else(|| bad("the length of a storage"))?,
            bytes,
            shape: self.sizes(size).ok_or_else(|| bad("sizes"))?,
            strides: self.sizes(stride).ok_or_else(|| bad("strides"))?,
            offset: self.pickle.size(offset).ok_or_else(|| bad("an offset"))?,
            ..View::of(stored)
        };
        if view.strides.len() != view.shape.len() {
            return Err(bad("a stride for each size"));
        }
        if let Some(&[root_key, start, _]) = root.first().and_then(|&root| self.pickle.list(root)) {
            view.key = self.key(root_key);
            view.offset += self.pickle.size(start).unwrap_or(0);
        }
        // A storage without a type counts bytes, and the function has the type.
        if function.ends_with("v3")
            && let Some(&dtype) = rest.get(2)
        {
            let (stored, bytes) = tensor_type(self.class(dtype).unwrap_or_default());
            view = View { stored, bytes, numel: view.numel / bytes.max(1), ..view };
        }
        let set = |key: &str| {
            let bit = |&id: &Id| self.pickle.entry(id, key).map(|id| self.pickle.get(id));
            rest.iter().filter_map(bit).any(|value| matches!(value, Value::Bool(true)))
        };
        view.negative = set("neg");
        Ok(view)
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
    if outer.is_empty() { inner.to_owned() } else { format!("{outer}.{inner}") }
}
