//! A tensor in a file, or in an archive, or on its way through a pipe: its header first, then its numbers.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use ndarray::ArrayD;

use super::npy::{missing, read_body};
use super::npz::Archive;
use super::pieces::for_each_piece;
use super::source::{Format, Opened};
use super::table::Table;
use super::{Header, Members, Numbers, Piece, Real, Source, StoredType};
use crate::Error;

/// A tensor whose header has been read and whose numbers have not.
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

/// What a source turns out to hold.
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
    /// # Errors
    /// [`Error::Open`], [`Error::Malformed`] and [`Error::Read`] name the place.
    pub fn open(source: &Source) -> Result<Self, Error> {
        Found::open_columns(source, &[])
    }

    /// As [`Found::open`], of a table only these columns, in this order: names out of its first line, or
    /// numbers that are counted from 1. A name wins over a number. Other formats have no columns to choose.
    ///
    /// # Errors
    /// Those of [`Found::open`]. An unknown column is [`Error::Malformed`], which lists those that there are.
    pub fn open_columns(source: &Source, columns: &[String]) -> Result<Self, Error> {
        let formats = &[Format::Npy, Format::Zip, Format::Text][..];
        Found::open_as(source, (formats, ".npy, .npz or a table"), columns)
    }

    fn open_as(
        source: &Source,
        expected: (&[Format], &str),
        columns: &[String],
    ) -> Result<Self, Error> {
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
                    Err(Error::Malformed { place, what: format!("{what} {got}") })
                }
                None if text => TensorFile::table(opened, place, columns).map(Found::Tensor),
                None => TensorFile::npy(opened, place).map(Found::Tensor),
            };
        }
        let mut archive = Archive::new(opened.seekable(&place)?, &place)?;
        if archive.is_pt() {
            let remedy = "np.save('x.npy', torch.load(file).numpy()) makes one of a tensor";
            let what = format!("expected .npy, .npz or a table, got a .pt checkpoint ({remedy})");
            return Err(Error::Malformed { place, what });
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
    /// # Errors
    /// [`Error::Malformed`] lists the members where there are several.
    pub fn single(self) -> Result<TensorFile, Error> {
        match self {
            Found::Tensor(file) => Ok(file),
            Found::Members(members) => Err(members.expected("one member")),
        }
    }
}

impl TensorFile {
    /// Opens a .npy file, the only member of an .npz, or a table.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Malformed`] and [`Error::Read`] name the place.
    pub fn open(source: &Source) -> Result<Self, Error> {
        Found::open(source)?.single()
    }

    /// Opens a .npy file, or the only member of an .npz, where a table cannot be meant.
    pub(super) fn open_binary(source: &Source) -> Result<Self, Error> {
        Found::open_as(source, (&[Format::Npy, Format::Zip], ".npy or .npz"), &[])?.single()
    }

    pub(super) fn table(opened: Opened, place: String, columns: &[String]) -> Result<Self, Error> {
        let table = Box::new(Table::read(opened, &place, columns)?);
        let header = Header::plain(StoredType::Text, &table.shape());
        Ok(TensorFile { place, header, body: Body::Table(table) })
    }

    pub(super) fn npy(opened: Opened, place: String) -> Result<Self, Error> {
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
    /// # Errors
    /// [`Error::Read`], [`Error::Malformed`], [`Error::OutOfMemory`].
    pub fn numbers(&mut self) -> Result<Numbers<'_>, Error> {
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
                let numbers = table.into_array::<f64>()?;
                let bytes: Vec<u8> =
                    numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                Box::new(io::Cursor::new(bytes))
            }
        };
        Numbers::new(reader, header.clone(), place.clone(), false)
    }

    /// The archive that this is a member of, and the header; the tensor itself where there is none. Of an
    /// archive that was opened without the name of a member, it is the only one.
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
    /// # Errors
    /// [`Error::Malformed`] where there are fewer or more bytes than the header says, [`Error::Read`],
    /// [`Error::OutOfMemory`].
    pub fn read<T: Real>(self) -> Result<ArrayD<T>, Error> {
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

    /// Shows the numbers piece by piece, in the order of the file, so that they need not fit in memory.
    ///
    /// # Errors
    /// As those of [`TensorFile::read`]. What is wrong with the end of a file, the checksum of an archive
    /// included, is known after the last piece has been shown.
    pub fn for_each_piece(self, visit: &mut dyn FnMut(Piece<'_>)) -> Result<(), Error> {
        let TensorFile { place, header, body } = self;
        let mut reader: Box<dyn Read + Send> = match body {
            Body::Member { mut archive, index, place } => {
                return archive.for_each_piece(index, &header, &place, visit);
            }
            Body::Table(table) => {
                let numbers = table.into_array::<f64>()?.into_raw_vec_and_offset().0;
                visit(Piece::Floats(&numbers));
                return Ok(());
            }
            Body::File { reader, .. } => Box::new(reader),
            Body::Stream(reader) => reader,
        };
        for_each_piece(&mut reader, &place, &header, visit)?;
        expect_end(&mut reader, &place, header.body_bytes())
    }
}

/// Refuses bytes behind an array.
pub(super) fn expect_end(reader: &mut dyn Read, place: &str, expected: usize) -> Result<(), Error> {
    let mut rest = Vec::new();
    // As many as tell another array.
    let limit = 8;
    reader
        .take(limit)
        .read_to_end(&mut rest)
        .map_err(|source| Error::Read { place: place.to_owned(), source })?;
    if rest.is_empty() {
        return Ok(());
    }
    if rest.starts_with(b"\x93NUMPY") {
        return Err(Error::ManyArrays { place: place.to_owned() });
    }
    let extra =
        rest.len() as u64 + io::copy(&mut reader.take(1 << 20), &mut io::sink()).unwrap_or(0);
    let more = if extra >= 1 << 20 { " or more" } else { "" };
    let got = expected as u64 + extra;
    let what = format!("expected {expected} bytes after the header, got {got}{more}");
    Err(Error::Malformed { place: place.to_owned(), what })
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
