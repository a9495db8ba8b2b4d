//! A tensor in a file, in an archive, or in a pipe: its header first, then its numbers.

use std::ffi::OsStr;
use std::io::{self, Cursor, Read};

use ndarray::ArrayD;

use super::archive::Archive;
use super::budget::Budget;
use super::container::Container;
use super::folder_handle::FolderHandle;
use super::format::{Expected, Format};
use super::handle::{FileCursor, Handle};
use super::limit::MAX_MEMBERS;
use super::reader::{Bytes, TensorReader, missing};
use super::source::Opened;
use super::table::{KeptCells, Table, TableOptions};
use super::{Header, StoredType, show};
use crate::element::Element;
use crate::files::error::FileError;

/// A tensor whose header has been read and whose numbers have not.
///
/// ```
/// use elman::files::{Accepts, Source, open};
///
/// let source = Source::parse("fixtures/x.npy".as_ref());
/// let file = open(&source, Accepts::Tensor)?.into_tensor()?;
/// assert_eq!(file.recognised(), ".npy, little-endian f32, C order");
/// // (L, N, H_in)
/// let input = file.read::<f32>()?;
/// assert_eq!(input.shape(), [5, 3, 10]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct TensorFile {
    place: String,
    header: Header,
    body: Body,
}

enum Body {
    /// A regular file that is long enough, and the position of its first number.
    File(Handle, u64),
    /// The rest of a stream.
    Stream(Box<dyn Read + Send>),
    /// A tensor of a file that holds several, and its place for messages.
    Member { container: Container, index: usize, place: String },
    /// The error for a .npy file whose type is not read.
    Refused(String),
    /// A table, which is held whole.
    #[cfg_attr(not(feature = "csv"), allow(dead_code, reason = "only this feature makes one"))]
    Table(Box<Table>),
}

debug_fields!(TensorFile, place, header);

impl TensorFile {
    pub(super) fn npy(opened: Opened, place: String) -> Result<Self, FileError> {
        match opened {
            Opened::Stream(mut reader) => {
                let (header, _, refusal) = Header::read_any(&mut reader, &place)?;
                let body = refusal.map_or(Body::Stream(reader), Body::Refused);
                Ok(TensorFile { place, header, body })
            }
            Opened::File(file, len) => {
                let mut reader = io::BufReader::new(FileCursor { file: &file, at: 0 });
                let (header, start, refusal) = Header::read_any(&mut reader, &place)?;
                if let Some(what) = refusal {
                    return Ok(TensorFile { place, header, body: Body::Refused(what) });
                }
                let got = usize::try_from(len.saturating_sub(start)).unwrap_or(usize::MAX);
                if got < header.body_bytes() {
                    return Err(missing(&place, &header, got));
                }
                Ok(TensorFile { place, header, body: Body::File(file, start) })
            }
        }
    }

    pub(super) fn table(
        opened: Opened,
        place: String,
        options: &TableOptions<'_>,
    ) -> Result<Self, FileError> {
        let table = Box::new(Table::read(opened, &place, options)?);
        let header = Header::plain(StoredType::Text, &table.shape);
        Ok(TensorFile { place, header, body: Body::Table(table) })
    }

    /// Rejects a .npy file whose type is not read: nothing stands beside it.
    pub(super) fn readable(self) -> Result<Self, FileError> {
        match self.body {
            Body::Refused(what) => Err(FileError::malformed(&self.place, what)),
            _ => Ok(self),
        }
    }

    /// The member of this name, or the only member, of an archive.
    pub(super) fn member(
        mut archive: Archive,
        name: Option<&str>,
        place: String,
    ) -> Result<Self, FileError> {
        let index = archive.find(name, &place)?;
        // The only member needs no name on the command line, and errors name it all the same.
        let own = match name {
            Some(_) => place.clone(),
            None => format!("{place}:{}", archive.names[index]),
        };
        let header = archive.header(index, &own)?;
        let body = Body::Member { container: Container::Npz(archive), index, place: own };
        Ok(TensorFile { place, header, body })
    }

    /// A tensor of a file that holds several.
    pub(super) fn new(container: Container, index: usize, header: Header, place: String) -> Self {
        let body = Body::Member { container, index, place: place.clone() };
        TensorFile { place, header, body }
    }

    /// A file of a folder of tensors.
    pub(super) fn in_folder(folder: &mut FolderHandle, name: &OsStr) -> Result<Self, FileError> {
        let (file, place) = (folder.open(name)?, show(&folder.path().join(name)));
        let expected = Expected { formats: &[Format::Npy, Format::Zip], words: ".npy or .npz" };
        match Opened::new(Some(file), &place, expected)? {
            (opened, Format::Zip) => {
                let archive = Archive::new(
                    opened.seekable(&place)?,
                    MAX_MEMBERS,
                    &mut Budget::default(),
                    &place,
                )?;
                TensorFile::member(archive, None, place)
            }
            (opened, _) => TensorFile::npy(opened, place),
        }
    }

    /// The name of the place, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The header of the tensor.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Names of the columns that were read; empty for a table without names, and for other formats.
    pub fn column_names(&self) -> &[String] {
        match &self.body {
            Body::Table(table) => &table.names,
            _ => &[],
        }
    }

    /// Whether the first line of a table was taken for names because it looks like names.
    pub fn names_are_guessed(&self) -> bool {
        matches!(&self.body, Body::Table(table) if table.names_are_guessed)
    }

    /// The encoding of a table that is not UTF-8.
    pub fn encoding(&self) -> Option<&'static str> {
        if let Body::Table(table) = &self.body { table.encoding } else { None }
    }

    /// The format of the file, in words.
    pub fn format(&self) -> &'static str {
        match self.body {
            Body::Table(_) => "table",
            Body::File(..) | Body::Stream(_) | Body::Refused(_) => ".npy",
            Body::Member { ref container, .. } => container.format().member(),
        }
    }

    /// Format, byte order, type and order of the numbers, in words.
    pub fn recognised(&self) -> String {
        if let Body::Table(table) = &self.body {
            return table.recognised();
        }
        let bytes = if self.header.big_endian { "big-endian" } else { "little-endian" };
        let order = if self.header.fortran_order { "Fortran" } else { "C" };
        format!("{}, {bytes} {}, {order} order", self.format(), self.header.stored)
    }

    /// Whether [parts](TensorReader::read_part) can be read in any order.
    pub fn is_file(&self) -> bool {
        matches!(self.body, Body::File(..))
    }

    /// Reads the bytes of a stream into memory, so that its writer has ended before a later step.
    pub fn hold(&mut self) -> Result<(), FileError> {
        if let Body::Stream(stream) = &mut self.body {
            // Enough bytes behind the numbers to describe them.
            let most = (self.header.body_bytes() as u64).saturating_add(2 << 20);
            let stream = std::mem::replace(stream, Box::new(io::empty()));
            let whole = Opened::Stream(Box::new(stream.take(most)));
            let bytes = whole.read_whole("an input", &self.place)?;
            self.body = Body::Stream(Box::new(Cursor::new(bytes)));
        }
        Ok(())
    }

    /// The cells of a table that are kept as text; none of other formats.
    pub fn take_kept(&mut self) -> KeptCells {
        match &mut self.body {
            Body::Table(table) => std::mem::take(&mut table.kept),
            _ => KeptCells::default(),
        }
    }

    /// Makes every number of a table one that rounds to the f32 of its text.
    pub(super) fn round_text(&mut self) -> Result<(), FileError> {
        if let Body::Table(table) = &mut self.body { table.round_to_f32() } else { Ok(()) }
    }

    /// The reader of the stored numbers; each is read once.
    pub fn reader(&mut self) -> Result<TensorReader<'_>, FileError> {
        let (header, place) = (self.header.clone(), self.place.clone());
        let reader: Box<dyn Read + Send + '_> = match &mut self.body {
            Body::Member { container, index, place } => {
                return container.reader(*index, header, place.clone());
            }
            Body::File(file, start) => {
                return Ok(TensorReader::new(Bytes::File(file, *start), header, place));
            }
            Body::Refused(what) => return Err(FileError::malformed(&place, what.as_str())),
            Body::Stream(reader) => Box::new(reader),
            Body::Table(table) => Box::new(std::mem::take(&mut **table).into_reader()),
        };
        Ok(TensorReader::new(Bytes::Stream { reader, checked: false }, header, place))
    }

    /// Reads the numbers, converted to T.
    pub fn read<T: Element>(mut self) -> Result<ArrayD<T>, FileError> {
        match self.body {
            Body::Table(table) => table.into_array(),
            _ => self.reader()?.read(),
        }
    }
}
