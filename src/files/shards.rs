//! Weights in several files, with an index that names the file of each tensor, as Hugging Face writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::folder_handle::FolderHandle;
use super::path::folder_of;
use super::source::opened;
use super::{Source, show};
use crate::files::error::FileError;

/// Longest index; one of a hundred thousand tensors has a tenth of it.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Files with the weights of a whole model, in the order in which they are looked for.
const WHOLE: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// The end of an index's name.
const INDEX: &str = ".index.json";

/// The index of a model's files.
#[derive(Deserialize)]
struct Index {
    /// The file of each tensor, in the folder of the index.
    weight_map: BTreeMap<String, String>,
}

/// The index of a model's files among the names of a folder, which are in order, or the file that holds all of it.
/// `None` for a folder of .npy files.
pub(super) fn model_file(names: &[OsString]) -> Option<&OsStr> {
    let is_npy = |name: &OsString| Path::new(name).extension().is_some_and(|own| own == "npy");
    let index = names.iter().find(|name| is_index(Path::new(name)));
    let whole = || WHOLE.iter().find_map(|whole| names.iter().find(|name| *name == whole));
    let found = if names.iter().any(is_npy) { index } else { index.or_else(whole) };
    found.map(OsString::as_os_str)
}

/// Whether a file is an index by its name.
pub(super) fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(INDEX))
}

/// Rejects a file that holds a part of a model.
pub(super) fn refuse_part(path: &Path, place: &str) -> Result<(), FileError> {
    let Some(index) = whole_of(path) else { return Ok(()) };
    let what = format!("expected a whole model, got one of its files; {index} reads all of them");
    Err(FileError::malformed(place, what))
}

/// The index of the model of which a file of weights is a part.
pub fn whole_model(source: &Source) -> Option<String> {
    if let Source::Path(path) = source { whole_of(path) } else { None }
}

/// The index of the model of which a file holds a part: by its name, `model-00001-of-00002.safetensors`, or by an index
/// beside it that names several files.
fn whole_of(path: &Path) -> Option<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let index = index_of(folder_of(path), &name);
    if index.is_none() && count(&name).is_none_or(|count| count < 2) {
        return None;
    }
    Some(index.map_or("the index of all files".to_owned(), |index| {
        path.with_file_name(index).display().to_string()
    }))
}

/// The index in a folder that names this file and others.
fn index_of(folder: &Path, name: &str) -> Option<OsString> {
    let (handle, metadata) = opened(folder).ok()?;
    let mut folder = FolderHandle::new(handle, &metadata, folder);
    let names = folder.names().ok()?;
    let index = model_file(&names).filter(|name| is_index(Path::new(name)))?;
    let files: BTreeSet<_> = read(&mut folder, index).ok()?.weight_map.into_values().collect();
    (files.len() > 1 && files.contains(name)).then(|| index.to_owned())
}

/// The number of files that a name promises: 2 for `model-00001-of-00002.safetensors`.
fn count(name: &str) -> Option<u32> {
    let (stem, _) = name.rsplit_once('.')?;
    let (first, count) = stem.rsplit_once("-of-")?;
    first.rsplit_once('-')?.1.parse::<u32>().ok()?;
    count.parse().ok()
}

fn read(folder: &mut FolderHandle, index: &OsStr) -> Result<Index, FileError> {
    let place = show(&folder.path().join(index));
    let (file, _) = folder.open(index)?;
    let mut text = String::new();
    let read = file.take(MAX_INDEX_BYTES).read_to_string(&mut text);
    read.map_err(FileError::reading(&place))?;
    serde_json::from_str(&text).map_err(|error| {
        FileError::malformed(&place, format!("expected an index with a weight_map: {error}"))
    })
}

/// The files that an index in a folder names, and the name of each tensor with that of its file.
pub(super) fn files(
    folder: &mut FolderHandle,
    index: &OsStr,
) -> Result<(BTreeSet<String>, BTreeMap<String, String>), FileError> {
    let map = read(folder, index)?.weight_map;
    let names: BTreeSet<_> = map.values().cloned().collect();
    for name in &names {
        if Path::new(name).file_name().is_none_or(|own| own != name.as_str()) {
            let what = format!("expected the name of a file beside the index, got {name:?}");
            return Err(FileError::malformed(&show(&folder.path().join(index)), what));
        }
    }
    Ok((names, map))
}
