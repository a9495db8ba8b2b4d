//! Archives that PyTorch has written, which begin like an .npz.

#[cfg(feature = "pt")]
use std::io::Read;

use zip::CompressionMethod;

use super::{Archive, zip_error};
use crate::files::error::FileError;
use crate::files::handle::Handle;

impl Archive {
    /// Whether it is one of PyTorch's files, and not an .npz.
    pub(in crate::files) fn is_pt(&self) -> bool {
        self.folder_of("data.pkl").is_some()
    }

    /// Rejects one of PyTorch's files if arrays are expected.
    pub(in crate::files) fn expect_npz(&self, place: &str) -> Result<(), FileError> {
        if !self.is_pt() {
            return Ok(());
        }
        let remedy = "np.save('x.npy', torch.load(file).numpy()) makes one of a tensor";
        let what = format!("expected .npy, .npz or a table, got a .pt checkpoint ({remedy})");
        Err(FileError::Malformed { place: place.to_owned(), what })
    }

    /// Whether it is a `TorchScript` archive: a program, with the weights among its constants.
    pub(in crate::files) fn is_torch_script(&self) -> bool {
        self.folder_of("data.pkl").is_some_and(|folder| {
            self.zip.file_names().flatten().any(|name| {
                let name = name.strip_prefix(&folder);
                name.is_some_and(|name| name == "constants.pkl" || name.starts_with("code/"))
            })
        })
    }

    /// The folder in the archive, with its slash, that has a file of this name. The reader of checkpoints takes
    /// the shortest name, and the first of several, and so does this.
    fn folder_of(&self, file: &str) -> Option<String> {
        let names = self.zip.file_names().flatten();
        let folders = names.filter_map(|name| name.strip_suffix(file).map(str::to_owned));
        folders.filter(|folder| folder.is_empty() || folder.ends_with('/')).min_by_key(String::len)
    }

    /// Rejects a compressed pickle: PyTorch compresses nothing, and each byte of a pickle can take a hundred in
    /// memory. The size that an archive declares for compressed data may be wrong.
    pub(in crate::files) fn check_pickle(&mut self, place: &str) -> Result<(), FileError> {
        let pickle = self
            .zip
            .by_index(self.pickle_index().unwrap_or(0))
            .map_err(|error| zip_error(error, place))?;
        let (size, stored) = (pickle.size(), pickle.compressed_size());
        if size > stored || pickle.compression() != CompressionMethod::Stored {
            let what =
                format!("expected data.pkl as it is, got {size} bytes compressed to {stored}");
            return Err(FileError::Malformed { place: place.to_owned(), what });
        }
        Ok(())
    }

    /// The pickle of one of PyTorch's files that its reader has accepted.
    #[cfg(feature = "pt")]
    pub(in crate::files) fn pickle(&mut self) -> Option<Vec<u8>> {
        let file = self.zip.by_index(self.pickle_index()?).ok()?;
        let (size, mut pickle) = (file.size(), Vec::new());
        file.take(size).read_to_end(&mut pickle).ok()?;
        Some(pickle)
    }

    fn pickle_index(&self) -> Option<usize> {
        self.zip.index_for_name(&format!("{}data.pkl", self.folder_of("data.pkl")?))
    }

    /// The file of the archive.
    pub(in crate::files) fn into_file(self) -> Handle {
        self.zip.into_inner()
    }
}
