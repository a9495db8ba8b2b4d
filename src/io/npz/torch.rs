//! Archives that PyTorch has written: no .npz, though they begin as one.

#[cfg(feature = "pt")]
use std::io::Read;

use super::{Archive, zip_error};
use crate::Error;
use crate::io::file::File;

impl Archive {
    /// Whether it is no .npz, but one of PyTorch's files.
    pub(in crate::io) fn is_pt(&self) -> bool {
        self.file("data.pkl").is_some()
    }

    /// Whether it is a `TorchScript` archive: a program, with the weights among its constants.
    pub(in crate::io) fn is_torch_script(&self) -> bool {
        self.file("data.pkl").is_some_and(|folder| {
            let mut names = self.zip.file_names_raw();
            names.any(|name| {
                let name = name.strip_prefix(folder);
                name.is_some_and(|name| name == b"constants.pkl" || name.starts_with(b"code/"))
            })
        })
    }

    /// The folder in the archive, with its slash, that has a file of this name.
    fn file(&self, file: &str) -> Option<&[u8]> {
        let mut folders =
            self.zip.file_names_raw().filter_map(|name| name.strip_suffix(file.as_bytes()));
        folders.find(|folder| folder.is_empty() || folder.ends_with(b"/"))
    }

    /// Refuses a pickle that is longer than the whole file: PyTorch compresses nothing, and each byte of a
    /// pickle can cost a hundred in memory.
    pub(in crate::io) fn check_pickle(&mut self, place: &str) -> Result<(), Error> {
        let whole = self.zip.by_index(self.pickle_index().unwrap_or(0));
        let (size, stored) = whole
            .map(|pickle| (pickle.size(), pickle.compressed_size()))
            .map_err(|error| zip_error(error, place))?;
        if size > stored {
            let what =
                format!("expected data.pkl as it is, got {size} bytes compressed to {stored}");
            return Err(Error::Malformed { place: place.to_owned(), what });
        }
        Ok(())
    }

    /// The pickle of one of PyTorch's files, which its reader has accepted.
    #[cfg(feature = "pt")]
    pub(in crate::io) fn pickle(&mut self) -> Option<Vec<u8>> {
        let mut pickle = Vec::new();
        self.zip.by_index(self.pickle_index()?).ok()?.read_to_end(&mut pickle).ok()?;
        Some(pickle)
    }

    fn pickle_index(&self) -> Option<usize> {
        let name = [self.file("data.pkl")?, b"data.pkl"].concat();
        self.zip.file_names_raw().position(|found| *found == *name)
    }

    /// The file that the archive is.
    pub(in crate::io) fn into_file(self) -> File {
        self.zip.into_inner()
    }
}
