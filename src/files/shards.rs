//! Weights in several files, with an index that names the file of each tensor, as Hugging Face writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::handle::Handle;
use super::show;
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

/// The index of a model's files in a folder, or the file that holds all of it. `None` for a folder of .npy files.
pub(super) fn model_file(folder: &Path) -> Option<PathBuf> {
    let paths = || Some(std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()));
    let is_npy = |path: PathBuf| path.extension().is_some_and(|extension| extension == "npy");
    match paths()?.filter(|path| is_index(path)).min() {
        None if paths()?.any(is_npy) => None,
        None => WHOLE.iter().map(|name| folder.join(name)).find(|path| path.is_file()),
        index => index,
    }
}

/// Whether a file is an index by its name.
pub(super) fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(INDEX))
}

/// Rejects a file that holds a part of a model: by its name, `model-00001-of-00002.safetensors`, or by an index
/// beside it that names several files.
pub(super) fn refuse_part(path: &Path, place: &str) -> Result<(), FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new(""));
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let index = model_file(here).filter(|index| is_index(index));
    let listed = index.as_ref().is_some_and(|index| {
        let files = read(index).map(|index| index.weight_map.into_values().collect());
        files.is_ok_and(|files: BTreeSet<_>| files.len() > 1 && files.contains(&*name))
    });
    if !listed && count(&name).is_none_or(|count| count < 2) {
        return Ok(());
    }
    let index = index.filter(|_| listed).map_or("the index of all files".to_owned(), |index| {
        folder.join(index.file_name().unwrap_or_default()).display().to_string()
    });
    let what = format!("expected a whole model, got one of its files; {index} reads all of them");
    Err(FileError::malformed(place, what))
}

/// The number of files that a name promises: 2 for `model-00001-of-00002.safetensors`.
fn count(name: &str) -> Option<u32> {
    let (stem, _) = name.rsplit_once('.')?;
    let (first, count) = stem.rsplit_once("-of-")?;
    first.rsplit_once('-')?.1.parse::<u32>().ok()?;
    count.parse().ok()
}

fn read(path: &Path) -> Result<Index, FileError> {
    let place = show(path);
    let file =
        Handle::open(path).map_err(|source| FileError::Open { place: place.clone(), source })?;
    let mut text = String::new();
    let read = file.take(MAX_INDEX_BYTES).read_to_string(&mut text);
    read.map_err(FileError::reading(&place))?;
    serde_json::from_str(&text).map_err(|error| {
        FileError::malformed(&place, format!("expected an index with a weight_map: {error}"))
    })
}

/// The files that an index names, and the name of each tensor with that of its file.
pub(super) fn files(index: &Path) -> Result<(Vec<PathBuf>, BTreeMap<String, String>), FileError> {
    let map = read(index)?.weight_map;
    let names: BTreeSet<_> = map.values().collect();
    let folder = index.parent().unwrap_or(Path::new(""));
    for name in &names {
        if Path::new(name).file_name().is_none_or(|own| own != name.as_str()) {
            let what = format!("expected the name of a file beside the index, got {name:?}");
            return Err(FileError::malformed(&show(index), what));
        }
    }
    Ok((names.into_iter().map(|name| folder.join(name)).collect(), map))
}
