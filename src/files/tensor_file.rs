//! A tensor in a file, or in an archive, or on its way through a pipe: its header first, then its numbers.

use std::io::{self, Read};

use ndarray::ArrayD;

use super::file::File;
use super::npy::{missing, read_body};
use super::npz::Archive;
use super::source::{Format, Opened};
use super::table::Table;
use super::{Found, Header, Members, Numbers, Source, StoredType};
use crate::element::Element;
use crate::files::error::FileError;

/// A tensor whose header has been read and whose numbers have not.
///
/// ```
/// use elman::files::{Source, TensorFile};
///
/// let file = TensorFile::open(&Source::parse("fixtures/x.npy".as_ref()))?;
/// assert_eq!(file.place(), "fixtures/x.npy");
/// assert_eq!(file.recognised(), ".npy, little-endian f32, C order");
/// // (L, N, H_in)
/// let input = file.read::<f32>()?;
/// assert_eq!(input.shape(), [5, 3, 10]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct TensorFile {
    pub(super) place: String,
    pub(super) header: Header,
    pub(super) body: Body,
}

pub(super) enum Body {
    /// A file that has the right length, behind its header, which has so many bytes.
    File { reader: io::BufReader<File>, start: u64 },
    /// The rest of a stream.
    Stream(Box<dyn Read + Send>),
    /// A member of an archive, and its place there, for messages.
    Member { archive: Archive, index: usize, place: String },
    /// A table, which is held whole.
    #[cfg_attr(not(feature = "csv"), allow(dead_code, reason = "only this feature makes one"))]
    Table(Box<Table>),
}

impl std::fmt::Debug for TensorFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorFile")
            .field("place", &self.place)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl TensorFile {
    /// Opens a .npy file, the only member of an .npz, or a table.
    ///
    /// ```
    /// use elman::files::{Source, TensorFile};
    ///
    /// let h_n = Source::parse("fixtures/expected.npz:tanh-l1-nobias-f32.h_n".as_ref());
    /// let file = TensorFile::open(&h_n)?;
    /// assert_eq!((file.format(), file.header().shape.as_slice()), ("member of an .npz", &[1, 2, 5][..]));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Open`], [`FileError::Malformed`] and [`FileError::Read`] name the place.
    pub fn open(source: &Source) -> Result<Self, FileError> {
        Found::open(source)?.single()
    }

    /// Opens a .npy file, or the only member of an .npz, where a table cannot be meant.
    pub(super) fn open_binary(source: &Source) -> Result<Self, FileError> {
        Found::open_as(source, (&[Format::Npy, Format::Zip], ".npy or .npz"), &[])?.single()
    }

    pub(super) fn table(
        opened: Opened,
        place: String,
        columns: &[String],
    ) -> Result<Self, FileError> {
        let table = Box::new(Table::read(opened, &place, columns)?);
        let header = Header::plain(StoredType::Text, &table.shape());
        Ok(TensorFile { place, header, body: Body::Table(table) })
    }

    pub(super) fn npy(opened: Opened, place: String) -> Result<Self, FileError> {
        match opened {
            Opened::Stream(mut reader) => {
                let header = Header::read(&mut reader, &place, None)?;
                Ok(TensorFile { place, header, body: Body::Stream(reader) })
            }
            Opened::File(file, len) => {
                let mut reader = io::BufReader::new(file);
                let mut counted = Counted { reader: &mut reader, bytes: 0 };
                let header = Header::read(&mut counted, &place, Some(len))?;
                let start = counted.bytes;
                let got = len.saturating_sub(start);
                if got < header.body_bytes() as u64 {
                    let got = usize::try_from(got).unwrap_or(usize::MAX);
                    return Err(missing(&place, &header, got));
                }
                Ok(TensorFile { place, header, body: Body::File { reader, start } })
            }
        }
    }

    /// The name of the place, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What the file says about its array.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Names of the columns that were read; none where this is no table, or one without names.
    pub fn column_names(&self) -> &[String] {
        match &self.body {
            Body::Table(table) => table.names(),
            _ => &[],
        }
    }

    /// What the first bytes and the header have said about the file, in words.
    pub fn recognised(&self) -> String {
        if let Body::Table(table) = &self.body {
            return table.recognised();
        }
        let bytes = if self.header.big_endian { "big-endian" } else { "little-endian" };
        let order = if self.header.fortran_order { "Fortran" } else { "C" };
        format!("{}, {bytes} {}, {order} order", self.format(), self.header.stored)
    }

    /// The numbers as they are stored, to be read piece by piece, once. Those of a file in Fortran order
    /// are held whole.
    ///
    /// ```
    /// use elman::files::{Source, TensorFile};
    ///
    /// let mut file = TensorFile::open(&Source::parse("fixtures/x.npy".as_ref()))?;
    /// let (mut numbers, mut piece) = (file.numbers()?, Vec::new());
    /// numbers.next_piece(&mut piece)?;
    /// let stored = numbers.header().stored;
    /// assert!(piece.iter().all(|&bits| stored.number(bits).to_f64().is_finite()));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Read`], [`FileError::Malformed`], [`FileError::OutOfMemory`].
    pub fn numbers(&mut self) -> Result<Numbers<'_>, FileError> {
        let TensorFile { place, header, body } = self;
        let reader: Box<dyn Read + '_> = match body {
            Body::Member { archive, index, place } => {
                return archive.numbers(*index, place.clone());
            }
            Body::File { reader, .. } => Box::new(reader),
            Body::Stream(reader) => Box::new(reader),
            Body::Table(_) => {
                let Body::Table(table) =
                    std::mem::replace(body, Body::Stream(Box::new(io::empty())))
                else {
                    unreachable!("{place}: a table")
                };
                let values = table.into_array()?.into_raw_vec_and_offset().0;
                return Ok(Numbers::of_table(values, header.clone(), place.clone()));
            }
        };
        Ok(Numbers::new(reader, header.clone(), place.clone(), false))
    }

    /// The archive that this is a member of, and the header; the tensor itself where there is none. Of an
    /// archive that was opened without the name of a member, it is the only one.
    ///
    /// ```
    /// use elman::files::{Overwrite, Sink, Source, TensorFile, write_npz};
    /// use ndarray::ArrayD;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("h.npz");
    /// let mut sink = Sink::open(&path, Overwrite::Replace)?;
    /// write_npz(&mut sink, &[("h_n", &ArrayD::<f32>::zeros(vec![2, 3, 20]))], "")?;
    /// sink.commit()?;
    /// let Ok((members, header)) = TensorFile::open(&Source::Path(path))?.into_members() else {
    ///     panic!("a member of an archive")
    /// };
    /// assert_eq!((members.names(), header.shape), (&["h_n".to_owned()][..], vec![2, 3, 20]));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The tensor.
    #[allow(clippy::result_large_err, reason = "the tensor is what the caller goes on with")]
    pub fn into_members(self) -> Result<(Members, Header), Self> {
        match self.body {
            Body::Member { archive, .. } => Ok((Members::new(archive, self.place), self.header)),
            body => Err(TensorFile { body, ..self }),
        }
    }

    /// Reads the numbers, converted to T.
    ///
    /// ```
    /// use elman::files::{Source, TensorFile};
    ///
    /// let source = Source::parse("fixtures/x.npy".as_ref());
    /// let input = TensorFile::open(&source)?.read::<f64>()?;
    /// assert_eq!(TensorFile::open(&source)?.read::<f32>()?.mapv(f64::from), input);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Malformed`] where there are fewer or more bytes than the header says, [`FileError::Read`],
    /// [`FileError::OutOfMemory`].
    pub fn read<T: Element>(self) -> Result<ArrayD<T>, FileError> {
        let TensorFile { place, header, body } = self;
        let (mut reader, known): (Box<dyn Read + Send>, _) = match body {
            Body::Member { mut archive, index, place } => {
                return archive.read(index, &header, &place);
            }
            Body::Table(table) => return table.into_array(),
            Body::File { reader, .. } => (Box::new(reader), true),
            Body::Stream(reader) => (reader, false),
        };
        let array = read_body(&mut reader, &place, &header, known)?;
        expect_end(&mut reader, &place, header.body_bytes())?;
        Ok(array)
    }
}

impl TensorFile {
    /// The format of the file, in words.
    pub fn format(&self) -> &'static str {
        match self.body {
            Body::Table(_) => "table",
            Body::File { .. } | Body::Stream(_) => ".npy",
            Body::Member { .. } => "member of an .npz",
        }
    }
}

/// Refuses bytes behind an array.
pub(super) fn expect_end(
    reader: &mut dyn Read,
    place: &str,
    expected: usize,
) -> Result<(), FileError> {
    let mut rest = Vec::new();
    // As many as tell another array.
    let limit = 8;
    reader
        .take(limit)
        .read_to_end(&mut rest)
        .map_err(|source| FileError::Read { place: place.to_owned(), source })?;
    if rest.is_empty() {
        return Ok(());
    }
    if rest.starts_with(b"\x93NUMPY") {
        return Err(FileError::ManyArrays { place: place.to_owned() });
    }
    let extra =
        rest.len() as u64 + io::copy(&mut reader.take(1 << 20), &mut io::sink()).unwrap_or(0);
    let more = if extra >= 1 << 20 { " or more" } else { "" };
    let got = expected as u64 + extra;
    let what = format!("expected {expected} bytes after the header, got {got}{more}");
    Err(FileError::Malformed { place: place.to_owned(), what })
}

/// Counts the bytes that pass.
pub(super) struct Counted<'a> {
    pub(super) reader: &'a mut dyn Read,
    pub(super) bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }
}
