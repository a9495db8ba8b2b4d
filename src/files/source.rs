//! Sources of tensors: a path, a member of an archive, or standard input.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::file_id::FileId;
use super::format::{Expected, Format};
use super::handle::{Handle, read_full};
use super::limit::Limited;
use super::npy::PIECE_BYTES;
use super::waiting::{Waiting, wait_for_bytes};
use super::{escaped, show};
use crate::files::error::FileError;
use crate::memory::{grow, reserved};

/// An input, as a command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `-`.
    Stdin,
    /// A file or a folder.
    Path(PathBuf),
    /// `FILE:name`.
    Member(PathBuf, String),
}

impl Source {
    /// Reads `-`, `FILE` or `FILE:name`, the name of a tensor in a file. A path that exists wins over a member, and
    /// so does the shortest file that exists before a colon.
    pub fn parse(text: &OsStr) -> Self {
        if text == "-" {
            return Source::Stdin;
        }
        let path = Path::new(text);
        let Some(text) = text.to_str().filter(|_| !path.exists()) else {
            return Source::Path(path.to_owned());
        };
        let mut members = text.match_indices(':').map(|(at, _)| (&text[..at], &text[at + 1..]));
        let named = text
            .rsplit_once(':')
            .filter(|(file, _)| Path::new(file).extension() == Some(OsStr::new("npz")));
        match members.find(|(file, _)| Path::new(file).is_file()).or(named) {
            Some((file, name)) => Source::Member(PathBuf::from(file), name.to_owned()),
            None => Source::Path(path.to_owned()),
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

/// A source that has been opened, and of which nothing has been read.
#[derive(Debug)]
pub struct OpenSource {
    pub(super) source: Source,
    /// `None` for standard input.
    pub(super) file: Option<(Handle, Metadata)>,
}

impl Source {
    /// Opens the source, without waiting for the writer of a pipe. Later steps use this one open file.
    pub fn open(&self) -> Result<OpenSource, FileError> {
        let path = match self {
            Source::Stdin => return Ok(OpenSource { source: Source::Stdin, file: None }),
            Source::Path(path) | Source::Member(path, _) => path,
        };
        let file =
            Handle::open_with_metadata(path).map_err(FileError::opening(&self.to_string()))?;
        Ok(OpenSource { source: self.clone(), file: Some(file) })
    }

    /// The file or the folder, if there is one.
    pub fn id(&self) -> Option<FileId> {
        match self {
            Source::Stdin => FileId::of_stream(&io::stdin()),
            Source::Path(path) | Source::Member(path, _) => FileId::at(path),
        }
    }
}

impl OpenSource {
    /// The file or the folder that was opened.
    pub fn id(&self) -> Option<FileId> {
        match &self.file {
            Some((_, metadata)) => Some(FileId::of(metadata)),
            None => self.source.id(),
        }
    }

    /// Bytes of a regular file; 0 for anything else.
    pub fn bytes(&self) -> usize {
        let file = self.file.as_ref().filter(|(_, metadata)| metadata.is_file());
        file.map_or(0, |(_, metadata)| usize::try_from(metadata.len()).unwrap_or(usize::MAX))
    }
}

/// A file or stream whose format is known, at its beginning.
pub(super) enum Opened {
    /// A regular file, and its length.
    File(Handle, u64),
    /// A pipe or a device, from its first byte on.
    Stream(Box<dyn Read + Send>),
}

impl Opened {
    /// Recognises the format of an open file, or of standard input if there is none. It must be one of those that are
    /// expected.
    pub(super) fn new(
        file: Option<(Handle, Metadata)>,
        place: &str,
        expected: Expected,
    ) -> Result<(Self, Format), FileError> {
        let mut start = Vec::new();
        let mut recognise = |reader: &mut dyn Read| {
            let read = reader.take(Format::BYTES as u64).read_to_end(&mut start);
            read.map_err(FileError::reading(place))?;
            Format::recognise(&start, place, expected)
        };
        let Some((mut file, metadata)) = file else {
            let mut stdin = Waiting(io::stdin());
            let format = recognise(&mut stdin)?;
            return Ok((Opened::stream(start, stdin), format));
        };
        if metadata.is_dir() {
            let error = io::Error::other("is a directory; expected a file");
            return Err(FileError::opening(place)(error));
        }
        if !metadata.is_file() {
            wait_for_bytes(&file).map_err(FileError::reading(place))?;
        }
        let format = recognise(&mut file)?;
        if metadata.is_file() {
            file.seek(SeekFrom::Start(0)).map_err(FileError::reading(place))?;
            return Ok((Opened::File(file, metadata.len()), format));
        }
        Ok((Opened::stream(start, file), format))
    }

    /// A stream, within the limit, from its first byte on: `start` has been read already.
    fn stream(start: Vec<u8>, rest: impl Read + Send + 'static) -> Self {
        Opened::Stream(Box::new(Limited::new(Cursor::new(start).chain(rest))))
    }

    /// All bytes. The memory for a stream grows only as fast as its bytes arrive.
    pub(super) fn read_whole(self, what: &'static str, place: &str) -> Result<Vec<u8>, FileError> {
        let len = if let Opened::File(_, len) = &self { *len } else { 0 };
        let mut bytes = reserved(usize::try_from(len).unwrap_or(usize::MAX), what)?;
        let mut reader: Box<dyn Read + Send> = match self {
            Opened::File(file, _) => Box::new(file),
            Opened::Stream(reader) => reader,
        };
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let got = read_full(&mut reader, &mut piece).map_err(FileError::reading(place))?;
            if got == 0 {
                return Ok(bytes);
            }
            let all = bytes.len().saturating_add(got);
            grow(&mut bytes, got, what, all)?;
            bytes.extend_from_slice(&piece[..got]);
        }
    }

    /// A file that can seek: a stream is copied into a temporary file without a name.
    pub(super) fn seekable(self, place: &str) -> Result<Handle, FileError> {
        let mut stream = match self {
            Opened::File(file, _) => return Ok(file),
            Opened::Stream(stream) => stream,
        };
        let folder = format!("{}, the folder for temporary files", show(&std::env::temp_dir()));
        let mut file = Handle(tempfile::tempfile().map_err(FileError::creating(&folder))?);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let got = read_full(&mut stream, &mut piece).map_err(FileError::reading(place))?;
            if got == 0 {
                break;
            }
            file.write_all(&piece[..got]).map_err(FileError::writing(&folder))?;
        }
        file.seek(SeekFrom::Start(0)).map_err(FileError::reading(place))?;
        Ok(file)
    }
}
