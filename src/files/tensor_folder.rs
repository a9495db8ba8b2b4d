//! A folder of .npy files, and the text beside them.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ndarray::ArrayD;

use super::handle::Handle;
use super::limit::MAX_TEXT_BYTES;
use super::{Folder, Overwrite, TEXT_NAME, Text, show, write_npy};
use crate::element::Element;
use crate::files::error::FileError;

/// The .npy files of a folder, in the order of their names.
pub(super) fn tensor_paths(folder: &Path, place: &str) -> Result<Vec<PathBuf>, FileError> {
    let absent = |source| FileError::Open { place: place.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(absent)? {
        let path = entry.map_err(absent)?.path();
        // Hidden files are other programs' own, as those that macOS writes beside what it copies.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "npy") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        let what = "expected a folder of .npy files, got none in it".to_owned();
        return Err(FileError::Malformed { place: place.to_owned(), what });
    }
    paths.sort();
    Ok(paths)
}

/// Reads the text beside tensors, where there is one.
pub(super) fn read_text(folder: &Path) -> Result<Option<Text>, FileError> {
    let path = &folder.join(TEXT_NAME);
    let place = show(path);
    let file = match Handle::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FileError::Open { place, source }),
    };
    let mut bytes = Vec::new();
    match file.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes) {
        Ok(_) => {}
        // Linux opens a folder for reading, and refuses only to read it.
        Err(source) if path.is_dir() => return Err(FileError::Open { place, source }),
        Err(source) => return Err(FileError::Read { place, source }),
    }
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        let what = format!("expected at most {MAX_TEXT_BYTES} bytes of text, got more");
        return Err(FileError::Malformed { place, what });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(Text { place, text })),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let what = format!("expected UTF-8 text, got bad bytes at {at}");
            Err(FileError::Malformed { place, what })
        }
    }
}

/// Opens a folder for tensors: one that exists may hold only tensors that `own` knows, and their text.
///
/// # Errors
/// [`FileError::Create`].
pub fn open_folder(
    path: &Path,
    overwrite: Overwrite,
    own: impl Fn(&str) -> bool + 'static,
) -> Result<Folder, FileError> {
    Folder::open(path, overwrite, move |name| {
        name == TEXT_NAME || name.strip_suffix(".npy").is_some_and(&own)
    })
}

/// Writes tensors and the text beside them as files of a folder.
///
/// # Errors
/// [`FileError::Write`].
pub fn write_folder<T: Element>(
    folder: &Folder,
    tensors: &[(String, ArrayD<T>)],
    text: &str,
) -> Result<(), FileError> {
    for (name, tensor) in tensors {
        folder.write(&format!("{name}.npy"), |file| write_npy(file, &tensor.view()))?;
    }
    folder.write(TEXT_NAME, |file| file.write_all(text.as_bytes()))
}
