//! The .npy files of a folder, and the text beside them.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use super::budget::{Budget, ENTRY_BYTES};
use super::folder_handle::FolderHandle;
use super::limit::MAX_TEXT_BYTES;
use super::{Entry, TEXT_NAME, TensorFile, Text, escaped, show};
use crate::files::error::{FileError, is_too_many_files};

/// Most files of a folder that stay open: half of what a process may have by default.
const MAX_OPEN: usize = 512;

/// The files, in the order of their names. They stay open, so that they are those of one folder even if another one
/// takes its path; if the process has no room for that, each is opened again, through the folder, to be read.
pub(super) struct FolderFiles {
    folder: FolderHandle,
    names: Vec<OsString>,
    open: Vec<Option<TensorFile>>,
    stay_open: bool,
}

impl FolderFiles {
    /// Opens the .npy files among these names, and reads their headers.
    pub(super) fn open(
        folder: &mut FolderHandle,
        names: &[OsString],
        budget: &mut Budget,
        place: &str,
    ) -> Result<(Self, Vec<Entry>), FileError> {
        let names: Vec<_> = names.iter().filter(|name| is_tensor(name)).cloned().collect();
        if names.is_empty() {
            let what = "expected a folder of .npy files, got none in it";
            return Err(FileError::malformed(place, what));
        }
        let (open, stay_open) = (names.iter().map(|_| None).collect(), names.len() <= MAX_OPEN);
        let mut files = FolderFiles { folder: folder.clone(), names, open, stay_open };
        let mut entries = Vec::new();
        for index in 0..files.names.len() {
            let stem = Path::new(&files.names[index]).file_stem().unwrap_or_default();
            let name = escaped(&stem.to_string_lossy());
            let bytes = ENTRY_BYTES + size_of::<Option<TensorFile>>() + 2 * name.len();
            budget.charge(bytes).map_err(FileError::over(place))?;
            entries.push(Entry::new(name, files.file(index)?.header()));
        }
        Ok((files, entries))
    }

    /// The place of a file, for messages.
    pub(super) fn place(&self, index: usize) -> String {
        show(&self.folder.path().join(&self.names[index]))
    }

    pub(super) fn file(&mut self, index: usize) -> Result<&mut TensorFile, FileError> {
        if self.open[index].is_none() {
            let file = self.opened(index)?;
            self.open[index] = Some(file);
        }
        Ok(self.open[index].as_mut().unwrap_or_else(|| unreachable!("it has been opened")))
    }

    pub(super) fn into_file(mut self, index: usize) -> Result<TensorFile, FileError> {
        self.file(index)?;
        self.open[index].take().map_or_else(|| self.opened(index), Ok)
    }

    fn opened(&mut self, index: usize) -> Result<TensorFile, FileError> {
        if !self.stay_open {
            self.open.fill_with(|| None);
        }
        match TensorFile::in_folder(&mut self.folder, &self.names[index]) {
            Err(FileError::Open { source, .. }) if self.stay_open && is_too_many_files(&source) => {
                self.stay_open = false;
                self.opened(index)
            }
            opened => opened,
        }
    }
}

/// Whether a file is a tensor by its name. Hidden files belong to other programs; macOS writes one beside each file
/// that it copies.
fn is_tensor(name: &OsStr) -> bool {
    let is_npy = Path::new(name).extension().is_some_and(|extension| extension == "npy");
    is_npy && !name.as_encoded_bytes().starts_with(b".")
}

/// Reads the text beside tensors.
pub(super) fn read_text(folder: &mut FolderHandle) -> Result<Text, FileError> {
    let place = show(&folder.path().join(TEXT_NAME));
    let (file, _) = folder.open(OsStr::new(TEXT_NAME))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(FileError::reading(&place))?;
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        let what = format!("expected at most {MAX_TEXT_BYTES} bytes of text, got more");
        return Err(FileError::Malformed { place, what });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        FileError::malformed(&place, format!("expected UTF-8 text, got bad bytes at {at}"))
    })?;
    Ok(Text { place, text })
}
