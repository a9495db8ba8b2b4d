//! The numbers of tensors in files beside a model.

use std::ffi::OsStr;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use prost::bytes::Bytes;

use super::Graph;
use super::proto::TensorProto;
use crate::element::Dtype;
use crate::files::error::FileError;
use crate::files::handle::Handle;
use crate::files::{Tensor, escaped, show};
use crate::memory::reserved;

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

impl TensorProto {
    pub(super) fn is_external(&self) -> bool {
        self.data_location == EXTERNAL
    }
}

impl Graph {
    /// The numbers of a tensor, which may stand in a file in the model's folder. Those are read now.
    ///
    /// # Errors
    /// Those of [`TensorProto::read`]; [`FileError`] if the file is not in the folder, or is too short.
    pub fn read(&self, tensor: &TensorProto, dtype: Option<Dtype>) -> Result<Tensor, FileError> {
        if !tensor.is_external() {
            return tensor.read(dtype);
        }
        let len = tensor.header()?.body_bytes();
        let bytes = self.external(tensor, len)?;
        // The list in the model is replaced: `raw_data` wins.
        TensorProto { raw_data: Some(bytes), ..tensor.clone() }.read(dtype)
    }

    /// The `len` bytes of a tensor outside of the model.
    fn external(&self, tensor: &TensorProto, len: usize) -> Result<Bytes, FileError> {
        let entry = |key: &str| {
            let mut entries = tensor.external_data.iter();
            entries.find(|entry| entry.key == key).map(|entry| entry.value.as_str())
        };
        let number = |key: &str| match entry(key).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => {
                let got = escaped(entry(key).unwrap_or_default());
                Err(tensor
                    .malformed(format!("external data: expected a number as {key}, got {got}")))
            }
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        if let Some(length) = length.filter(|&length| length != len as u64) {
            let shape = &tensor.dims;
            let what =
                format!("external data: expected {len} bytes for shape {shape:?}, got {length}");
            return Err(tensor.malformed(what));
        }
        let (path, place) = self.beside(tensor, entry("location").unwrap_or_default())?;
        let mut file = Handle::open(&path).map_err(FileError::opening(&place))?;
        let metadata = file.metadata().map_err(FileError::opening(&place))?;
        let end = offset.checked_add(len as u64);
        if !metadata.is_file() || end.is_none_or(|end| end > metadata.len()) {
            let got =
                if metadata.is_file() { metadata.len().to_string() } else { "no file".to_owned() };
            let what =
                format!("expected {len} bytes of tensor '{}' at {offset}, got {got}", tensor.name);
            return Err(FileError::malformed(&place, what));
        }
        let mut bytes = reserved(len, "weights")?;
        file.seek(SeekFrom::Start(offset)).map_err(FileError::reading(&place))?;
        let read = file.take(len as u64).read_to_end(&mut bytes);
        read.map_err(FileError::reading(&place))?;
        Ok(Bytes::from(bytes))
    }

    /// The path of a file in the model's folder, and its name in messages. A name that leaves the folder, also through a link, is an error.
    fn beside(&self, tensor: &TensorProto, location: &str) -> Result<(PathBuf, String), FileError> {
        let refused = |got: &str| {
            let expected = "external data: expected a file in the folder of the model";
            tensor.malformed(format!("{expected}, got {got}"))
        };
        let Some(folder) = &self.folder else { return Err(refused("a model from a stream")) };
        let folder = if folder.as_os_str() == OsStr::new("") { Path::new(".") } else { folder };
        let named = format!("'{}'", escaped(location));
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if location.is_empty() || !Path::new(location).components().all(inside) {
            return Err(refused(&named));
        }
        let path = folder.join(location);
        let real = |path: &Path| path.canonicalize().map_err(FileError::opening(&show(path)));
        let (real_folder, real_path) = (real(folder)?, real(&path)?);
        if !real_path.starts_with(real_folder) {
            return Err(refused(&format!("{named}, a link to another folder")));
        }
        // A pipe would block, and has no length.
        if !real_path.is_file() {
            return Err(refused(&format!("{named}, which is no file")));
        }
        Ok((
            real_path,
            show(&self.folder.iter().flatten().chain([location.as_ref()]).collect::<PathBuf>()),
        ))
    }
}
