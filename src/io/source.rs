//! Where tensors come from: a path, a member of an archive, or standard input.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{escaped, show};
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
    pub(super) const BYTES: usize = 8;

    /// The format that a file or stream with this start is in. `expected` names those that it may be in.
    pub(super) fn recognise(start: &[u8], place: &str, expected: &str) -> Result<Self, Error> {
        let malformed = |what: String| Err(Error::Malformed { place: place.to_owned(), what });
        if start.is_empty() {
            return malformed(format!("empty file; expected {expected}, got 0 bytes"));
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
        let found = match kind {
            Some((_, kind)) => format!("what looks like {kind}"),
            None if text => "what looks like text".to_owned(),
            None => "an unknown format".to_owned(),
        };
        malformed(format!("expected {expected}, got {found}"))
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
            let format = Format::recognise(&start, place, ".npy or .npz")?;
            return Ok((Opened::Stream(Box::new(Cursor::new(start).chain(stdin))), format));
        };
        let mut file = File::open(path).map_err(absent)?;
        let metadata = file.metadata().map_err(absent)?;
        if metadata.is_dir() {
            return Err(absent(io::Error::other("is a directory; expected a file")));
        }
        (&mut file).take(Format::BYTES as u64).read_to_end(&mut start).map_err(read)?;
        let format = Format::recognise(&start, place, ".npy or .npz")?;
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
