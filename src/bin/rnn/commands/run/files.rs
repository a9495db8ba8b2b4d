//! The inputs of a run over many files: those of a folder, or of a list.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::files::{FileError, FileId, Source, folder_of, listed, read_paths};

use crate::args::FilesArgs;
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::pipeline::output_path::shown;

/// Extensions of the files of a folder that are run.
const TENSORS: [&str; 8] = ["npy", "npz", "csv", "tsv", "txt", "pt", "pth", "safetensors"];

/// Extensions that an output may have behind the name of its input.
const APPENDED: [&str; 3] = ["", ".npy", ".npz"];

/// Most names of other files in a note.
const MAX_OTHERS: usize = 5;

/// Inputs whose outputs have the same names.
pub(super) struct InputFiles {
    /// The folder or the list, for the report.
    pub(super) place: String,
    /// In sorted order.
    pub(super) paths: Vec<PathBuf>,
    /// A note about files of the folder that are not run.
    pub(super) left_alone: Option<String>,
}

impl InputFiles {
    /// The inputs of a folder, or of a list if it is none. `folders` are those of the outputs.
    pub(super) fn find(
        args: &FilesArgs,
        input: Option<&OsString>,
        folders: &[Option<PathBuf>; 4],
    ) -> Result<Self> {
        let mut files = match (&args.list, input) {
            (Some(list), _) => Self::in_list(&Source::parse(list))?,
            (None, Some(folder)) => Self::in_folder(Path::new(folder))?,
            (None, None) => unreachable!("the grammar asks for one of them"),
        };
        files.paths.sort();
        refuse_equal_names(&files.paths)?;
        refuse_own_folders(&files.paths, folders)?;
        if let Some(shard) = args.shard {
            let own = files.paths.into_iter().skip(shard.first).step_by(shard.count);
            files.paths = own.collect();
        }
        Ok(files)
    }

    fn in_list(list: &Source) -> Result<Self> {
        Ok(InputFiles { place: list.to_string(), paths: read_paths(list)?, left_alone: None })
    }

    fn in_folder(folder: &Path) -> Result<Self> {
        let place = shown(folder);
        let failed = |source| FileError::Open { place: place.clone(), source };
        let (mut paths, mut others) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let extension = path.extension().and_then(|own| own.to_str());
            let hidden = path.file_name().is_some_and(|own| own.as_encoded_bytes()[0] == b'.');
            if hidden || path.is_dir() {
                continue;
            }
            if extension.is_some_and(|own| TENSORS.contains(&own)) {
                paths.push(path);
            } else {
                others.extend(path.file_name().map(|own| shown(Path::new(own))));
            }
        }
        if paths.is_empty() {
            let expected = TENSORS.map(|own| format!(".{own}")).join(", ");
            let message = format!("{place}: expected files of tensors, {expected}, got none");
            return Err(Data(message).into());
        }
        others.sort();
        let left_alone = (!others.is_empty()).then(|| {
            format!("{place}: other files are left alone: {}", listed(others, MAX_OTHERS))
        });
        Ok(InputFiles { place, paths, left_alone })
    }
}

/// Whether all outputs of an input exist and are no older than it.
pub(super) fn is_done(path: &Path, folders: &[Option<PathBuf>; 4]) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    let (Some(name), Some(since)) = (path.file_name(), changed(path)) else { return false };
    folders.iter().flatten().all(|folder| {
        APPENDED.iter().any(|extension| {
            let mut output = folder.join(name).into_os_string();
            output.push(extension);
            changed(Path::new(&output)).is_some_and(|written| written >= since)
        })
    })
}

/// Refuses two inputs whose outputs would have one name.
fn refuse_equal_names(paths: &[PathBuf]) -> Result<()> {
    let mut seen: HashMap<OsString, &Path> = HashMap::new();
    for path in paths {
        let Some(name) = path.file_name() else {
            let message = format!("{}: expected the path of a file", shown(path));
            return Err(Data(message).into());
        };
        for extension in APPENDED {
            let mut output = name.to_owned();
            output.push(extension);
            if let Some(other) = seen.insert(output, path) {
                let (first, second) = (shown(other), shown(path));
                let message = format!(
                    "expected inputs of different names, which their outputs keep, got {first} and {second}"
                );
                return Err(Data(message).into());
            }
        }
    }
    Ok(())
}

/// Refuses outputs in a folder of inputs: they would be the inputs of the next run.
fn refuse_own_folders(paths: &[PathBuf], folders: &[Option<PathBuf>; 4]) -> Result<()> {
    let mut parents: Vec<&Path> = paths.iter().map(|path| folder_of(path)).collect();
    parents.dedup();
    let parents: Vec<_> = parents.into_iter().filter_map(FileId::at).collect();
    for folder in folders.iter().flatten() {
        if FileId::at(folder).is_some_and(|id| parents.contains(&id)) {
            let message = format!(
                "expected outputs in another folder than the inputs, got {}",
                shown(folder)
            );
            return Err(with_hint(Usage(message), hint::set("-o", "out/")));
        }
    }
    Ok(())
}
