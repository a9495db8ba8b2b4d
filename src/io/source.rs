//! Where tensors come from: a path, a member of an archive, or standard input.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ndarray::ArrayD;

use super::npy::{missing, read_body};
use super::npz::Archive;
use super::{Header, Real, escaped, show};
use crate::Error;

/// A place to read from, as a command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `-`.
    Stdin,
    /// A file or a folder.
    Path(PathBuf),
    /// `FILE.npz:name`.
    Member(PathBuf, String),
}

impl Source {
    /// Reads `-`, `FILE` or `FILE.npz:name`. A path that exists wins over a member.
    pub fn parse(text: &OsStr) -> Self {
        if text == "-" {
            return Source::Stdin;
        }
        let path = Path::new(text);
        let member = text.to_str().and_then(|text| text.rsplit_once(':'));
        match member {
            Some((archive, name))
                if Path::new(archive).extension() == Some(OsStr::new("npz")) && !path.exists() =>
            {
                Source::Member(PathBuf::from(archive), name.to_owned())
            }
            _ => Source::Path(path.to_owned()),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Stdin => f.pad("stdin"),
            Source::Path(path) => f.pad(&show(path)),
            Source::Member(path, name) => f.pad(&format!("{}:{}", show(path), escaped(name))),
        }
    }
}

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Npy,
    Zip,
}

impl Format {
    /// Bytes that are looked at.
    const BYTES: usize = 8;

    fn recognise(start: &[u8], place: &str) -> Result<Self, Error> {
        let malformed = |what: String| Err(Error::Malformed { place: place.to_owned(), what });
        if start.is_empty() {
            return malformed("empty file; expected .npy or .npz, got 0 bytes".to_owned());
        }
        if start.starts_with(b"\x93NUMPY") {
            return Ok(Format::Npy);
        }
        if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
            return Ok(Format::Zip);
        }
        if b"\x93NUMPY".starts_with(start) {
            return malformed(format!("truncated header at byte {}", start.len()));
        }
        let kinds: [(&[u8], &str); 7] = [
            (b"\x89PNG", "PNG"),
            (b"\x1f\x8b", "gzip"),
            (b"\x89HDF", "HDF5"),
            (b"%PDF", "PDF"),
            (b"\x80\x02", "a pickle"),
            (b"BZh", "bzip2"),
            (b"\xff\xd8", "JPEG"),
        ];
        let kind = kinds.iter().find(|(magic, _)| start.starts_with(magic));
        let text = start.iter().all(|&byte| {
            byte == b'\t' || byte == b'\n' || byte == b'\r' || (b' '..0x7f).contains(&byte)
        });
        match kind {
            Some((_, kind)) => {
                malformed(format!("expected .npy or .npz, got what looks like {kind}"))
            }
            None if text => malformed("expected .npy or .npz, got what looks like text".to_owned()),
            None => malformed("expected .npy or .npz, got an unknown format".to_owned()),
        }
    }
}

/// A file or stream whose format is known, at its beginning.
pub(super) enum Opened {
    /// A regular file, and its length.
    File(File, u64),
    /// Anything that cannot be wound back; the first bytes stand before it.
    Stream(Box<dyn Read + Send>),
}

impl Opened {
    /// Opens a path, or standard input for none, and looks at its first bytes.
    pub(super) fn new(path: Option<&Path>, place: &str) -> Result<(Self, Format), Error> {
        let read = |source| Error::Read { place: place.to_owned(), source };
        let absent = |source| Error::Open { place: place.to_owned(), source };
        let mut start = Vec::new();
        let Some(path) = path else {
            let mut stdin = io::stdin();
            (&mut stdin).take(Format::BYTES as u64).read_to_end(&mut start).map_err(read)?;
            let format = Format::recognise(&start, place)?;
            return Ok((Opened::Stream(Box::new(Cursor::new(start).chain(stdin))), format));
        };
        let mut file = File::open(path).map_err(absent)?;
        let metadata = file.metadata().map_err(absent)?;
        if metadata.is_dir() {
            return Err(absent(io::Error::other("is a directory; expected a file")));
        }
        (&mut file).take(Format::BYTES as u64).read_to_end(&mut start).map_err(read)?;
        let format = Format::recognise(&start, place)?;
        if metadata.is_file() {
            file.seek(SeekFrom::Start(0)).map_err(read)?;
            return Ok((Opened::File(file, metadata.len()), format));
        }
        Ok((Opened::Stream(Box::new(Cursor::new(start).chain(file))), format))
    }

    /// A file that can be wound back: a stream is spooled into a temporary file without a name.
    pub(super) fn seekable(self, place: &str) -> Result<File, Error> {
        match self {
            Opened::File(file, _) => Ok(file),
            Opened::Stream(mut stream) => {
                let read = |source| Error::Read { place: place.to_owned(), source };
                let mut file = tempfile::tempfile().map_err(read)?;
                io::copy(&mut stream, &mut file).map_err(read)?;
                file.seek(SeekFrom::Start(0)).map_err(read)?;
                Ok(file)
            }
        }
    }
}

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
    /// A member of an archive.
    Member { archive: Archive, index: usize },
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
    /// Opens a .npy file, or the only member of an .npz.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Malformed`] and [`Error::Read`] name the place.
    pub fn open(source: &Source) -> Result<Self, Error> {
        let place = source.to_string();
        let (path, member) = match source {
            Source::Stdin => (None, None),
            Source::Path(path) => (Some(path), None),
            Source::Member(path, name) => (Some(path), Some(name)),
        };
        let (opened, format) = Opened::new(path.map(PathBuf::as_path), &place)?;
        if format == Format::Npy {
            if member.is_some() {
                let what = "expected an .npz archive, got a single .npy array".to_owned();
                return Err(Error::Malformed { place, what });
            }
            return Self::npy(opened, place);
        }
        let mut archive = Archive::new(opened.seekable(&place)?, &place)?;
        let index = archive.find(member.map(String::as_str), &place)?;
        let header = archive.header(index, &place)?;
        Ok(TensorFile { place, header, body: Body::Member { archive, index } })
    }

    fn npy(opened: Opened, place: String) -> Result<Self, Error> {
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

    /// What the first bytes and the header have said about the file, in words.
    pub fn recognised(&self) -> String {
        let kind = match self.body {
            Body::File { .. } | Body::Stream(_) => ".npy",
            Body::Member { .. } => "member of an .npz",
        };
        let bytes = if self.header.big_endian { "big-endian" } else { "little-endian" };
        let order = if self.header.fortran_order { "Fortran" } else { "C" };
        format!("{kind}, {bytes} {}, {order} order", self.header.stored)
    }

    /// Reads the numbers, converted to T.
    ///
    /// # Errors
    /// [`Error::Malformed`] where there are fewer or more bytes than the header says, [`Error::Read`],
    /// [`Error::OutOfMemory`].
    pub fn read<T: Real>(self) -> Result<ArrayD<T>, Error> {
        let TensorFile { place, header, body } = self;
        let (mut reader, known): (Box<dyn Read + Send>, _) = match body {
            Body::Member { mut archive, index } => return archive.read(index, &header, &place),
            Body::File { reader, .. } => (Box::new(reader), true),
            Body::Stream(reader) => (reader, false),
        };
        let array = read_body(&mut reader, &place, &header, known)?;
        expect_end(&mut reader, &place, header.body_bytes())?;
        Ok(array)
    }
}

/// Refuses bytes behind an array.
pub(super) fn expect_end(reader: &mut dyn Read, place: &str, expected: usize) -> Result<(), Error> {
    let mut rest = Vec::new();
    let limit = Format::BYTES as u64;
    reader
        .take(limit)
        .read_to_end(&mut rest)
        .map_err(|source| Error::Read { place: place.to_owned(), source })?;
    if rest.is_empty() {
        return Ok(());
    }
    let what = if rest.starts_with(b"\x93NUMPY") {
        "expected one array, got more than one".to_owned()
    } else {
        let extra =
            rest.len() as u64 + io::copy(&mut reader.take(1 << 20), &mut io::sink()).unwrap_or(0);
        let more = if extra >= 1 << 20 { " or more" } else { "" };
        let got = expected as u64 + extra;
        format!("expected {expected} bytes after the header, got {got}{more}")
    };
    Err(Error::Malformed { place: place.to_owned(), what })
}

/// Counts the bytes that pass.
struct Counted<'a> {
    reader: &'a mut dyn Read,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }
}
