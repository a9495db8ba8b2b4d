//! Weights in several files, with an index that names the file of each tensor, as Hugging Face writes them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeSeed;

use super::budget::Budget;
use super::folder_handle::FolderHandle;
use super::handle::Handle;
use super::json::{Field, Named, Short};
use super::path::folder_of;
use super::{Source, escaped, show};
use crate::files::error::FileError;

/// Files with the weights of a whole model, in the order in which they are looked for.
const WHOLE: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// The end of an index's name.
const INDEX: &str = ".index.json";

/// The name of each tensor of a model, and that of its file in the folder of the index.
pub(super) type WeightMap = Vec<(String, Short)>;

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
    let (handle, metadata) = Handle::open_with_metadata(folder).ok()?;
    let mut folder = FolderHandle::new(handle, &metadata, folder);
    let names = folder.names().ok()?;
    let index = model_file(&names).filter(|name| is_index(Path::new(name)))?;
    let map = read(&mut folder, index, &mut Budget::default()).ok()?;
    let files: BTreeSet<_> = map.iter().map(|(_, file)| &*file.0).collect();
    (files.len() > 1 && files.contains(name)).then(|| index.to_owned())
}

/// The number of files that a name promises: 2 for `model-00001-of-00002.safetensors`.
fn count(name: &str) -> Option<u32> {
    let (stem, _) = name.rsplit_once('.')?;
    let (first, count) = stem.rsplit_once("-of-")?;
    first.rsplit_once('-')?.1.parse::<u32>().ok()?;
    count.parse().ok()
}

fn read(
    folder: &mut FolderHandle,
    index: &OsStr,
    budget: &mut Budget,
) -> Result<WeightMap, FileError> {
    let place = show(&folder.path().join(index));
    let (file, metadata) = folder.open(index)?;
    let len = metadata.len();
    // The parser copies a string with escapes.
    let bytes = usize::try_from(len).unwrap_or(usize::MAX).saturating_mul(2);
    budget.charge(bytes).map_err(FileError::over(&place))?;
    let mut text = Vec::new();
    file.take(len).read_to_end(&mut text).map_err(FileError::reading(&place))?;
    let wrong = |what: &str| {
        FileError::malformed(&place, format!("expected an index with a weight_map{what}"))
    };
    let mut json = serde_json::Deserializer::from_slice(&text);
    let map = Field("weight_map", Named::<Short>::new(budget)).deserialize(&mut json);
    let map = map.and_then(|map| json.end().map(|()| map));
    let map = map.map_err(|error| wrong(&format!(": {}", escaped(&error.to_string()))))?;
    map.ok_or_else(|| wrong(""))
}

/// The files that an index in a folder names, and the name of each tensor with that of its file.
pub(super) fn files(
    folder: &mut FolderHandle,
    index: &OsStr,
    budget: &mut Budget,
) -> Result<(BTreeSet<String>, WeightMap), FileError> {
    let map = read(folder, index, budget)?;
    let names: BTreeSet<_> = map.iter().map(|(_, file)| file.0.clone()).collect();
    for name in &names {
        if Path::new(name).file_name().is_none_or(|own| own != name.as_str()) {
            let what =
                format!("expected the name of a file beside the index, got '{}'", escaped(name));
            return Err(FileError::malformed(&show(&folder.path().join(index)), what));
        }
    }
    Ok((names, map))
}
