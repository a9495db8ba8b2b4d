//! One tensor, or several by their names: for those who take both.

use super::bundle::FORMATS;
use super::source::{Format, Opened};
use super::{Bundle, Source, TensorFile};
use crate::Error;

/// What errors call the formats that [`Tensors::open`] takes.
const EXPECTED: &str = ".npy, .npz, a table, a folder of .npy files, .safetensors or .pt";

/// What a source turns out to hold.
#[derive(Debug)]
pub enum Tensors {
    /// A single tensor.
    One(TensorFile),
    /// Tensors by name, even if it is only one.
    Named(Bundle),
}

impl Tensors {
    /// Opens a .npy file, a table, a member of an archive, or anything that [`Bundle::open`] takes.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Malformed`] and [`Error::Read`] name the place.
    pub fn open(source: &Source) -> Result<Self, Error> {
        let place = source.to_string();
        let path = match source {
            Source::Member(..) => return TensorFile::open(source).map(Tensors::One),
            Source::Path(path) if path.is_dir() => return Bundle::open(source).map(Tensors::Named),
            Source::Path(path) => Some(path.as_path()),
            Source::Stdin => None,
        };
        let formats: Vec<_> = [Format::Npy, Format::Text].into_iter().chain(FORMATS).collect();
        let (opened, format) = Opened::new(path, &place, (&formats, EXPECTED))?;
        match format {
            Format::Npy => TensorFile::npy(opened, place).map(Tensors::One),
            Format::Text => TensorFile::table(opened, place, &[]).map(Tensors::One),
            _ => Bundle::of(path, (opened, format), place).map(Tensors::Named),
        }
    }
}
