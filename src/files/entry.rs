//! Format, tensors and texts of a bundle.

use super::{Header, StoredType};

/// One tensor of a bundle, as the file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without `.npy`, with control characters escaped, because messages show it.
    pub name: String,
    /// The type of its numbers in the file.
    pub stored: StoredType,
    /// Its sizes.
    pub shape: Vec<usize>,
}

impl Entry {
    pub(super) fn new(name: String, header: &Header) -> Self {
        Entry { name, stored: header.stored, shape: header.shape.clone() }
    }
}

/// The format of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleFormat {
    /// A folder of .npy files.
    Folder,
    /// An .npz archive.
    Npz,
    /// A .safetensors file.
    Safetensors,
    /// A checkpoint of PyTorch's, .pt or .pth.
    Pt,
}

impl BundleFormat {
    /// One of its tensors, in words.
    pub fn member(self) -> &'static str {
        match self {
            BundleFormat::Folder => "file of a folder",
            BundleFormat::Npz => "member of an .npz",
            BundleFormat::Safetensors => "tensor of a .safetensors",
            BundleFormat::Pt => "tensor of a .pt",
        }
    }
}

impl std::fmt::Display for BundleFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            BundleFormat::Folder => "folder",
            BundleFormat::Npz => ".npz archive",
            BundleFormat::Safetensors => ".safetensors",
            BundleFormat::Pt => ".pt checkpoint",
        })
    }
}

/// The text beside tensors, and its place for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Text {
    pub place: String,
    pub text: String,
}

/// The attribute with the name of a module's class, without its package.
pub const CLASS: &str = "class";

/// A plain attribute of an object that has tensors, or the class of a module.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleAttribute {
    /// The object: the prefix of its tensors' names, without the dot at its end.
    pub module: String,
    /// The name of the attribute.
    pub name: String,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum AttributeValue {
    Text(String),
    Bool(bool),
    Int(i64),
    Float(f64),
}
