//! Files that hold tensors by name.

use super::archive::Archive;
use super::pt::PtFile;
use super::reader::TensorReader;
use super::safetensors::SafetensorsFile;
use super::{BundleFormat, Header};
use crate::files::error::FileError;

/// A file that holds tensors by name, whose directory has been read.
pub(super) enum Container {
    Npz(Archive),
    Safetensors(SafetensorsFile),
    Pt(PtFile),
}

impl Container {
    /// The format.
    pub(super) fn format(&self) -> BundleFormat {
        match self {
            Container::Npz(_) => BundleFormat::Npz,
            Container::Safetensors(_) => BundleFormat::Safetensors,
            Container::Pt(_) => BundleFormat::Pt,
        }
    }

    /// The numbers of the tensor at `index`, which has this header.
    pub(super) fn reader(
        &mut self,
        index: usize,
        header: Header,
        place: String,
    ) -> Result<TensorReader<'_>, FileError> {
        match self {
            Container::Npz(archive) => archive.reader(index, place),
            Container::Safetensors(file) => file.reader(index, header, place),
            Container::Pt(file) => file.reader(index, header, place),
        }
    }
}
