//! What a file holds, whatever it is: for those who ask before they know what they want.

use super::source::{Format, Opened};
use super::{Bundle, Source, TensorFile, bundle};
use crate::Error;

/// What a file turns out to hold.
#[derive(Debug)]
pub enum Held {
    /// A single array: a .npy file, or the member of an archive that was named.
    Tensor(TensorFile),
    /// Tensors by name, even where there is only one.
    Bundle(Bundle),
}

impl Held {
    /// Opens whatever [`TensorFile::open`] or [`Bundle::open`] takes.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Malformed`] and [`Error::Read`] name the place.
    pub fn open(source: &Source) -> Result<Self, Error> {
        let path = match source {
            Source::Stdin => None,
            Source::Path(path) if path.is_dir() => return Bundle::open(source).map(Held::Bundle),
            Source::Path(path) => Some(path.as_path()),
            Source::Member(..) => return TensorFile::open(source).map(Held::Tensor),
        };
        let place = source.to_string();
        let formats = [&[Format::Npy], &bundle::FORMATS[..]].concat();
        let (opened, format) = Opened::new(path, &place, (&formats, EXPECTED))?;
        match format {
            Format::Npy => TensorFile::npy(opened, place).map(Held::Tensor),
            _ => Bundle::of(opened, place).map(Held::Bundle),
        }
    }
}

/// What errors call the formats.
const EXPECTED: &str = ".npy, .npz or a folder of .npy files";
