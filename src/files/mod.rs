//! Files: tensors in, tensors out.
//!
//! An input is recognised by its first bytes, whatever its name. Nothing is allocated from a number in a header
//! before the bytes behind it are known to exist. An output is written beside its target and renamed when it is
//! complete.
//!
//! This module does not know what an RNN is. Only it and the binary touch files and standard streams.

#![allow(clippy::missing_errors_doc, reason = "the variants of FileError say when they occur")]

/// `Debug` with some of the fields, because readers and writers do not implement it.
macro_rules! debug_fields {
    ($type:ty, $($field:ident),*) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($field), &self.$field))*
                    .finish_non_exhaustive()
            }
        }
    };
}

mod archive;
mod bits;
mod budget;
mod bundle;
mod container;
mod conversion;
mod converted;
mod descriptor;
mod entry;
mod error;
mod file_id;
mod folder;
mod folder_files;
mod folder_handle;
mod format;
mod handle;
mod header;
mod json;
mod limit;
mod lock;
mod mode;
mod npy;
mod npy_header;
mod npz;
mod number;
mod obstacle;
#[cfg(feature = "onnx")]
mod onnx;
mod open;
mod part;
mod path;
mod pending;
mod pickle;
mod plain_text;
mod pt;
mod reader;
mod rename;
mod replace;
mod safetensors;
mod shards;
mod sink;
mod source;
mod stream;
mod table;
mod temporary;
mod tensor_file;
mod tensor_format;
mod traffic;
mod waiting;

pub use self::safetensors::write_safetensors;
pub use bits::{Bits, StoredArray};
pub use bundle::Bundle;
pub use conversion::{AxisSlice, Conversion};
pub use converted::Converted;
pub use descriptor::{is_replaced, is_standard_output};
pub use entry::{AttributeValue, BundleFormat, CLASS, Entry, ModuleAttribute, Text};
pub use error::{FileError, Remedy, is_too_many_files};
pub use file_id::FileId;
pub use folder::{Folder, write_folder};
pub use header::{Header, StoredType};
pub use limit::limit_streams;
pub use lock::Lock;
pub use npy::{AnyArray, Stored, write_npy};
pub use npz::{ArchiveWriter, write_npz};
pub use number::Number;
#[cfg(feature = "onnx")]
pub(crate) use onnx::stored_type;
#[cfg(feature = "onnx")]
pub use onnx::{Graph, proto};
pub use open::{Accepts, File, open, open_with};
pub use part::{Part, PartWriter};
pub use path::{folder_of, written_file};
pub use pending::{Pending, commit_all, commit_each};
pub use plain_text::{TextLines, read_paths, read_text};
pub use reader::TensorReader;
pub use replace::Overwrite;
pub use shards::whole_model;
pub use sink::Sink;
pub use source::{OpenSource, Source};
pub use stream::{Answers, Arrays, Frames};
#[cfg(feature = "csv")]
pub use table::TableRows;
pub use table::{FirstLine, KeptCells, TableOptions};
pub use temporary::remove_temporary_files;
pub use tensor_file::TensorFile;
pub use tensor_format::{TensorFormat, shortest};
pub use traffic::bytes_passed;

use std::path::Path;

use ndarray::ArrayD;

use crate::element::{Dtype, Element};

/// The name of the text beside tensors: a file of a folder, a key of the metadata of .safetensors and .onnx.
pub const TEXT_NAME: &str = "rnn.json";

/// A tensor in one of the types of computations.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Tensor {
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
}

impl Tensor {
    /// Its type.
    pub fn dtype(&self) -> Dtype {
        match self {
            Tensor::F32(_) => Dtype::F32,
            Tensor::F64(_) => Dtype::F64,
        }
    }

    /// Its numbers as those of type T.
    pub(crate) fn into_array<T: Element>(self) -> ArrayD<T> {
        match self {
            Tensor::F32(array) => array.mapv_into_any(T::from_f32),
            Tensor::F64(array) => array.mapv_into_any(T::from_f64),
        }
    }

    /// Its sizes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Tensor::F32(array) => array.shape(),
            Tensor::F64(array) => array.shape(),
        }
    }
}

/// Most names that an error lists: 2 layers in 2 directions have 16 tensors.
pub(crate) const MAX_LISTED: usize = 20;

/// The first names as an error lists them, at most `most`, and the number of the others.
pub fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>, most: usize) -> String {
    let mut names = names.into_iter();
    let shown: Vec<_> = names.by_ref().take(most).map(|name| name.as_ref().to_owned()).collect();
    match names.count() {
        _ if shown.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A path as an error shows it: with control characters escaped, so that a name cannot forge a message, and an
/// empty path in quotes, so that it is visible.
fn show(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.is_empty() {
        return "''".to_owned();
    }
    // Marks of direction show a text in another order.
    let hides = |c: char| c.is_control() || ('\u{200e}'..='\u{2069}').contains(&c);
    if text.chars().any(hides) { format!("{text:?}") } else { text.into_owned() }
}

/// Most characters of a name that are shown. The names of honest files have a tenth of it.
pub(crate) const MAX_NAME: usize = 1000;

/// FNV-1a over 32 bits.
fn checksum(text: &str) -> u32 {
    let add = |sum: u32, byte: u8| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, add)
}

/// A name from a file as messages show it: it cannot move a terminal's cursor or hide text. Of a long one, the first
/// and last characters are shown, with a checksum of all of it between them: two names stay two, and the shown name
/// finds its tensor.
pub(crate) fn escaped(name: &str) -> String {
    // Quotes are harmless, and easier to read without escapes.
    let shown = |c: char| c.escape_debug().skip(usize::from(matches!(c, '\'' | '"')));
    let all = || name.chars().flat_map(shown);
    // An escape has at most ten characters.
    if name.len() <= MAX_NAME / 10 || all().take(MAX_NAME + 1).count() <= MAX_NAME {
        return all().collect();
    }
    let middle = format!("...{:08x}...", checksum(name));
    let ends = (MAX_NAME - middle.len()) / 2;
    let mut last: Vec<_> = name.chars().rev().take(ends).collect();
    last.reverse();
    let last: Vec<_> = last.into_iter().flat_map(shown).collect();
    let last = &last[last.len() - ends..];
    all().take(ends).chain(middle.chars()).chain(last.iter().copied()).collect()
}
