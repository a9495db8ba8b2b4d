//! Tensors as PyTorch's functions make them of their arguments.

use std::collections::HashMap;
use std::io;

use super::view::{View, storage_type, tensor_type};
use crate::files::StoredType;
use crate::files::limit::MAX_AXES;
use crate::files::pickle::{Id, Pickle, Value, broken};

/// Most levels of containers around a tensor; a model has about ten.
pub(super) const MAX_DEPTH: usize = 200;

/// The type of NumPy's arrays: their bytes are in the pickle, which keeps no long texts.
pub(super) const NUMPY_ARRAY: &str = "NumPy array";

/// The values of a pickle, as PyTorch understands them.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) pickle: &'a Pickle,
    /// Tensors by their identity in a TAR archive.
    pub(super) tensors: &'a HashMap<String, View>,
}

impl<'a> Reader<'a> {
    /// A key as a part of a name.
    pub(super) fn key(&self, key: Id) -> String {
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
    pub(super) fn class(&self, id: Id) -> Option<&'a str> {
        let Value::Persistent(stored) = self.pickle.get(id) else { return self.pickle.global(id) };
        // Of a class and its source; many objects can share a longer list.
        self.pickle.list(*stored)?.iter().take(MAX_AXES).find_map(|&item| self.pickle.global(item))
    }

    /// The tensor that a value is, if it is one.
    pub(super) fn tensor(&self, id: Id, depth: usize) -> io::Result<Option<View>> {
        match self.pickle.get(id) {
            Value::Persistent(key) => Ok(self.tensors.get(&self.key(*key)).cloned()),
            Value::Object(object) => {
                let class = self.class(object.class).unwrap_or_default();
                if class.ends_with(".multiarray._reconstruct") {
                    // The state is a version, the shape, the type, the order and the bytes.
                    let state = object.state.and_then(|state| self.pickle.list(state));
                    return Ok(Some(self.other(NUMPY_ARRAY, state.and_then(|state| state.get(1)))));
                }
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
            ("numpy._core.numeric" | "numpy.core.numeric", "_frombuffer") => {
                Ok(Some(self.other(NUMPY_ARRAY, args.get(2))))
            }
            ("torch._utils", "_rebuild_nested_tensor") => Ok(Some(self.other("nested", None))),
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

    /// A list of sizes or strides. Many tensors can share a list, and each copies it.
    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let sizes = self.pickle.list(id).filter(|sizes| sizes.len() <= MAX_AXES)?;
        sizes.iter().map(|&size| self.pickle.size(size)).collect()
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
        let mut view = self.storage(*identity).ok_or_else(|| bad("a storage of 5 fields"))?;
        view.shape = self.sizes(size).ok_or_else(|| bad("sizes"))?;
        let strides = self.sizes(stride).filter(|strides| strides.len() == view.shape.len());
        view.strides = strides.ok_or_else(|| bad("a stride for each size"))?;
        let offset = self.pickle.size(offset).and_then(|offset| view.offset.checked_add(offset));
        view.offset = offset.ok_or_else(|| bad("an offset"))?;
        // A storage without a type counts bytes, and the function has the type.
        if let Some(&dtype) = rest.get(2).filter(|_| function.ends_with("v3")) {
            let (stored, bytes) = tensor_type(self.class(dtype).unwrap_or_default());
            view = View { stored, bytes, numel: view.numel / bytes.max(1), ..view };
        }
        // Of two bits; many tensors can share a larger dictionary.
        let bits = |id: &&Id| self.pickle.pairs(**id).is_some_and(|bits| bits.len() <= MAX_AXES);
        let rest = rest.iter().filter(bits);
        let negative = |&id: &Id| self.pickle.entry(id, "neg").map(|id| self.pickle.get(id));
        view.negative = rest.filter_map(negative).any(|value| matches!(value, Value::Bool(true)));
        Ok(view)
    }

    /// A storage: ('storage', type, key, location, numel), and in the older layout perhaps the part of another
    /// storage that it is.
    fn storage(&self, identity: Id) -> Option<View> {
        let &[_, kind, key, _, numel, ref root @ ..] = self.pickle.list(identity)? else {
            return None;
        };
        let (stored, bytes) = storage_type(self.class(kind).unwrap_or_default());
        let (key, numel) = (self.key(key), self.pickle.size(numel)?);
        let view = View { key, numel, bytes, ..View::of(stored) };
        match root.first().and_then(|&root| self.pickle.list(root)) {
            Some(&[key, offset, _]) => {
                let offset = self.pickle.size(offset)?;
                let numel = numel.checked_add(offset)?;
                Some(View { key: self.key(key), offset, numel, ..view })
            }
            _ => Some(view),
        }
    }
}
