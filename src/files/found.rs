//! One array or several, found out by opening the file.

use std::path::PathBuf;

use super::npz::Archive;
use super::source::{Format, Opened};
use super::tensor_file::Body;
use super::{Members, Source, TensorFile};
use crate::files::error::FileError;

/// What a source turns out to hold.
///
/// ```
/// use elman::files::{Found, Source};
///
/// let shape = match Found::open(&Source::parse("fixtures/x.npy".as_ref()))? {
///     Found::Tensor(file) => file.header().shape.clone(),
///     Found::Members(mut members) => members.header(0)?.shape,
/// };
/// assert_eq!(shape, [5, 3, 10]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum Found {
    /// A single array.
    Tensor(TensorFile),
    /// An archive of several.
    Members(Members),
}

impl Found {
    /// Opens a .npy file, a member of an .npz, an .npz, or a table of numbers: text with commas, semicolons
    /// or tabs between the columns. What of a table is no number is refused.
    ///
    /// ```
    /// use elman::files::{Found, Source};
    ///
    /// let found = Found::open(&Source::parse("fixtures/sine/rnn.npz".as_ref()))?;
    /// assert!(matches!(&found, Found::Members(members) if members.names().len() == 8));
    /// assert_eq!(found.place(), "fixtures/sine/rnn.npz");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Open`], [`FileError::Malformed`] and [`FileError::Read`] name the place.
    pub fn open(source: &Source) -> Result<Self, FileError> {
        Found::open_columns(source, &[])
    }

    /// As [`Found::open`], of a table only these columns, in this order: names out of its first line, or
    /// numbers that are counted from 1. A name wins over a number. Other formats have no columns to choose.
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// use elman::files::{Found, Source};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("days.csv");
    /// std::fs::write(&path, "low,high,rain\n1,5,0\n2,7,3\n")?;
    /// let columns = ["rain".to_owned(), "1".to_owned()];
    /// let table = Found::open_columns(&Source::Path(path), &columns)?.single()?;
    /// assert_eq!(table.column_names(), ["rain", "low"]);
    /// assert_eq!(table.read::<f32>()?, ndarray::arr2(&[[0.0, 1.0], [3.0, 2.0]]).into_dyn());
    /// # }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Found::open`]. An unknown column is [`FileError::Malformed`], which lists those that there are.
    pub fn open_columns(source: &Source, columns: &[String]) -> Result<Self, FileError> {
        let formats = &[Format::Npy, Format::Zip, Format::Text][..];
        Found::open_as(source, (formats, ".npy, .npz or a table"), columns)
    }

    pub(super) fn open_as(
        source: &Source,
        expected: (&[Format], &str),
        columns: &[String],
    ) -> Result<Self, FileError> {
        let place = source.to_string();
        let (path, member) = match source {
            Source::Stdin => (None, None),
            Source::Path(path) => (Some(path), None),
            Source::Member(path, name) => (Some(path), Some(name)),
        };
        let (opened, format) = Opened::new(path.map(PathBuf::as_path), &place, expected)?;
        if format != Format::Zip {
            let (what, text) = ("expected an .npz archive, got", format == Format::Text);
            return match member {
                Some(_) => {
                    let got = if text { "text" } else { "a single .npy array" };
                    Err(FileError::Malformed { place, what: format!("{what} {got}") })
                }
                None if text => TensorFile::table(opened, place, columns).map(Found::Tensor),
                None => TensorFile::npy(opened, place).map(Found::Tensor),
            };
        }
        let mut archive = Archive::new(opened.seekable(&place)?, &place)?;
        if archive.is_pt() {
            let remedy = "np.save('x.npy', torch.load(file).numpy()) makes one of a tensor";
            let what = format!("expected .npy, .npz or a table, got a .pt checkpoint ({remedy})");
            return Err(FileError::Malformed { place, what });
        }
        if member.is_none() && archive.names().len() > 1 {
            return Ok(Found::Members(Members::new(archive, place)));
        }
        let index = archive.find(member.map(String::as_str), &place)?;
        // The only member needs no name on the command line. What is wrong with it still has one.
        let own = match member {
            Some(_) => place.clone(),
            None => format!("{place}:{}", archive.names()[index]),
        };
        let header = archive.header(index, &own)?;
        let body = Body::Member { archive, index, place: own };
        Ok(Found::Tensor(TensorFile { place, header, body }))
    }

    /// The name of the place, for messages.
    pub fn place(&self) -> &str {
        match self {
            Found::Tensor(file) => file.place(),
            Found::Members(members) => members.place(),
        }
    }

    /// The one array.
    ///
    /// ```
    /// use elman::files::{Found, Source};
    ///
    /// let input = Found::open(&Source::parse("fixtures/x.npy".as_ref()))?.single()?;
    /// assert_eq!(input.header().count(), 5 * 3 * 10);
    /// let several = Found::open(&Source::parse("fixtures/sine/rnn.npz".as_ref()))?.single();
    /// assert!(several.is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Malformed`] lists the members where there are several.
    pub fn single(self) -> Result<TensorFile, FileError> {
        match self {
            Found::Tensor(file) => Ok(file),
            Found::Members(members) => Err(members.expected("one member")),
        }
    }
}
