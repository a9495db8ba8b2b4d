//! Where tensors come from: a path, a member of an archive, or standard input.

use std::ffi::OsStr;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::file::File;
use super::limit::Limited;
use super::npy::{PIECE_BYTES, read_full};
use super::waiting::standard_input;
use super::{escaped, show};
use crate::files::error::FileError;
use crate::memory::{grow, reserved};

/// A place to read from, as a command line names it.
///
/// ```
/// use elman::files::{Source, TensorFile};
///
/// let h_n = Source::Member("fixtures/expected.npz".into(), "tanh-l1-nobias-f32.h_n".to_owned());
/// assert_eq!(h_n.to_string(), "fixtures/expected.npz:tanh-l1-nobias-f32.h_n");
/// assert_eq!(TensorFile::open(&h_n)?.header().shape, [1, 2, 5]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// use elman::files::Source;
    ///
    /// assert_eq!(Source::parse("-".as_ref()), Source::Stdin);
    /// assert_eq!(Source::parse("x.npy".as_ref()), Source::Path("x.npy".into()));
    /// let member = Source::Member("xs.npz".into(), "h_n".to_owned());
    /// assert_eq!(Source::parse("xs.npz:h_n".as_ref()), member);
    /// ```
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
    /// .npz, or .pt.
    Zip,
    /// .pt before PyTorch 1.6.
    Pickle,
    /// .pt before PyTorch 0.1.10.
    Tar,
    Safetensors,
    Onnx,
    /// Any text, perhaps a table.
    Text,
    /// What no command reads, as far as there is a name for it.
    Other(Option<&'static str>),
}

impl Format {
    /// Bytes that are looked at.
    pub(super) const BYTES: usize = 9;

    /// The format of a file or stream with this start, which is not empty.
    fn of(start: &[u8]) -> Self {
        let kinds: [(&[u8], Format); 16] = [
            (b"\x93NUMPY", Format::Npy),
            (b"PK\x03\x04", Format::Zip),
            (b"PK\x05\x06", Format::Zip),
            (b"\x80\x02", Format::Pickle),
            (b"\x80\x03", Format::Pickle),
            (b"\x80\x04", Format::Pickle),
            (b"\x80\x05", Format::Pickle),
            (b"sys_info", Format::Tar),
            (b"\x89PNG", Format::Other(Some("PNG"))),
            (b"\x1f\x8b", Format::Other(Some("gzip"))),
            (b"\x89HDF", Format::Other(Some("HDF5"))),
            (b"%PDF", Format::Other(Some("PDF"))),
            (b"BZh", Format::Other(Some("bzip2"))),
            (b"\xff\xd8", Format::Other(Some("JPEG"))),
            (b"\xff\xfe", Format::Other(Some("text in UTF-16"))),
            (b"\xfe\xff", Format::Other(Some("text in UTF-16"))),
        ];
        // The length of a header below 2^32, then its first brace. A length may begin as a pickle does.
        if let [_, _, _, _, 0, 0, 0, 0, b'{', ..] = start {
            return Format::Safetensors;
        }
        if let Some((_, format)) = kinds.iter().find(|(magic, _)| start.starts_with(magic)) {
            return *format;
        }
        match start {
            // Field 1 of a ModelProto, a small number, and then one of the fields up to its graph.
            [0x08, 1..0x20, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..] => Format::Onnx,
            _ if is_text(start) => Format::Text,
            // The same with a length that no header has, which the reader of headers then names.
            [.., b'{'] if start.len() == Format::BYTES => Format::Safetensors,
            _ => Format::Other(None),
        }
    }

    /// The format of a file or stream with this start, where it is one of those that were expected, which
    /// `expected` names.
    pub(super) fn recognise(
        start: &[u8],
        place: &str,
        (formats, expected): (&[Format], &str),
    ) -> Result<Self, FileError> {
        let malformed = |what: String| Err(FileError::Malformed { place: place.to_owned(), what });
        if start.is_empty() {
            return malformed(format!("empty file; expected {expected}, got 0 bytes"));
        }
        if b"\x93NUMPY".starts_with(start) && start.len() < 6 {
            return malformed(format!("truncated header at byte {}", start.len()));
        }
        let format = Format::of(start);
        if formats.contains(&format) {
            return Ok(format);
        }
        malformed(format!("expected {expected}, got {}", format.looks()))
    }

    /// What a file of this format is called where another was expected.
    fn looks(self) -> String {
        let name = match self {
            Format::Npy => "a single .npy array",
            Format::Zip => "an archive",
            Format::Pickle | Format::Tar => "what looks like a .pt checkpoint",
            Format::Safetensors => "what looks like .safetensors",
            Format::Onnx => "what looks like .onnx",
            Format::Text => "what looks like text",
            Format::Other(Some(name)) => return format!("what looks like {name}"),
            Format::Other(None) => "an unknown format",
        };
        name.to_owned()
    }
}

/// Whether these bytes begin a text in UTF-8, whose last character may be cut off.
fn is_text(start: &[u8]) -> bool {
    let whole = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    whole.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'))
}

/// A file or stream whose format is known, at its beginning.
pub(super) enum Opened {
    /// A regular file, and its length.
    File(File, u64),
    /// Anything that cannot be wound back; the first bytes stand before it.
    Stream(Box<dyn Read + Send>),
}

impl Opened {
    /// Opens a path, or standard input for none, and looks at its first bytes: they are of one of the
    /// formats that are expected, and that errors name.
    pub(super) fn new(
        path: Option<&Path>,
        place: &str,
        expected: (&[Format], &str),
    ) -> Result<(Self, Format), FileError> {
        let read = |source| FileError::Read { place: place.to_owned(), source };
        let absent = |source| FileError::Open { place: place.to_owned(), source };
        let mut start = Vec::new();
        let Some(path) = path else {
            let mut stdin = standard_input();
            (&mut stdin).take(Format::BYTES as u64).read_to_end(&mut start).map_err(read)?;
            let format = Format::recognise(&start, place, expected)?;
            return Ok((Opened::stream(start, stdin), format));
        };
        let mut file = File::open(path).map_err(absent)?;
        let metadata = file.metadata().map_err(absent)?;
        if metadata.is_dir() {
            return Err(absent(io::Error::other("is a directory; expected a file")));
        }
        (&mut file).take(Format::BYTES as u64).read_to_end(&mut start).map_err(read)?;
        let format = Format::recognise(&start, place, expected)?;
        if metadata.is_file() {
            file.seek(SeekFrom::Start(0)).map_err(read)?;
            return Ok((Opened::File(file, metadata.len()), format));
        }
        Ok((Opened::stream(start, file), format))
    }

    /// What cannot be wound back, with the bytes of it that have been read, within the limit.
    fn stream(start: Vec<u8>, rest: impl Read + Send + 'static) -> Self {
        Opened::Stream(Box::new(Limited::new(Cursor::new(start).chain(rest))))
    }

    /// All bytes. Of a stream, memory grows only as fast as they arrive.
    pub(super) fn read_whole(self, what: &'static str, place: &str) -> Result<Vec<u8>, FileError> {
        let (mut reader, mut bytes): (Box<dyn Read + Send>, _) = match self {
            Opened::File(file, len) => {
                (Box::new(file), reserved(usize::try_from(len).unwrap_or(usize::MAX), what)?)
            }
            Opened::Stream(reader) => (reader, Vec::new()),
        };
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let got = read_full(&mut reader, &mut piece)
                .map_err(|source| FileError::Read { place: place.to_owned(), source })?;
            if got == 0 {
                return Ok(bytes);
            }
            let all = bytes.len().saturating_add(got);
            grow(&mut bytes, got, what, all)?;
            bytes.extend_from_slice(&piece[..got]);
        }
    }

    /// A file that can be wound back: a stream is spooled into a temporary file without a name.
    pub(super) fn seekable(self, place: &str) -> Result<File, FileError> {
        match self {
            Opened::File(file, _) => Ok(file),
            Opened::Stream(mut stream) => {
                let read = |source| FileError::Read { place: place.to_owned(), source };
                let mut file = File::unnamed().map_err(read)?;
                io::copy(&mut stream, &mut file).map_err(read)?;
                file.seek(SeekFrom::Start(0)).map_err(read)?;
                Ok(file)
            }
        }
    }
}
