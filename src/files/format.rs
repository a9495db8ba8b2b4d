//! Formats, recognised by the first bytes of a file.

use crate::files::error::FileError;

/// Formats that are accepted, and how errors list them.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    pub(super) formats: &'static [Format],
    pub(super) words: &'static str,
}

/// The format of a file.
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
    /// A format that no command reads, with its name if it is known.
    Other(Option<&'static str>),
}

impl Format {
    /// Bytes that suffice to recognise the format.
    pub(super) const BYTES: usize = 9;

    /// The format of a file or stream with this start, which is not empty.
    fn of(start: &[u8]) -> Self {
        let other = |name| Format::Other(Some(name));
        match start {
            // The length of a header below 2^32, then its first brace. A length may begin as a pickle does.
            [_, _, _, _, 0, 0, 0, 0, b'{', ..] => Format::Safetensors,
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Format::Npy,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Format::Zip,
            [0x80, 2..=5, ..] => Format::Pickle,
            [0x89, b'P', b'N', b'G', ..] => other("PNG"),
            [0x1f, 0x8b, ..] => other("gzip"),
            [0x89, b'H', b'D', b'F', ..] => other("HDF5"),
            [b'%', b'P', b'D', b'F', ..] => other("PDF"),
            [b'B', b'Z', b'h', ..] => other("bzip2"),
            [0xff, 0xd8, ..] => other("JPEG"),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => other("text in UTF-16"),
            // Field 1 of a ModelProto, a small number, and then one of the fields up to its graph.
            [0x08, 1..0x20, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..] => Format::Onnx,
            _ if start.starts_with(b"sys_info") => Format::Tar,
            // The magic number of checkpoints, as protocols 0 and 1 write it.
            _ if start.starts_with(b"L11954703") => Format::Pickle,
            [0x81..=0x8f, 0xa1..=0xbf, key @ ..] if is_key(key) => other("a checkpoint of Flax"),
            _ if is_text(start) => Format::Text,
            // A length that no header has, which the reader of headers then reports.
            [.., b'{'] if start.len() == Format::BYTES => Format::Safetensors,
            _ => Format::Other(None),
        }
    }

    /// The format of a file or stream with this start, if it is one of those that are expected.
    pub(super) fn recognise(
        start: &[u8],
        place: &str,
        expected: Expected,
    ) -> Result<Self, FileError> {
        let Expected { formats, words } = expected;
        let malformed = |what: String| Err(FileError::malformed(place, what));
        if start.is_empty() {
            return malformed(format!("empty file; expected {words}, got 0 bytes"));
        }
        if b"\x93NUMPY".starts_with(start) && start.len() < 6 {
            return malformed(format!("truncated header at byte {}", start.len()));
        }
        let format = Format::of(start);
        if formats.contains(&format) {
            return Ok(format);
        }
        if let Format::Other(Some(format)) = format {
            return Err(FileError::Foreign { place: place.to_owned(), expected: words, format });
        }
        malformed(format!("expected {words}, got {}", format.looks()))
    }

    /// How an error names a file of this format.
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

/// Whether these bytes begin the first key of a map in `MessagePack`, which Flax writes: a name.
fn is_key(start: &[u8]) -> bool {
    !start.is_empty()
        && (start[0].is_ascii_alphabetic() || start[0] == b'_')
        && start.iter().take_while(|byte| byte.is_ascii()).all(|byte| !byte.is_ascii_control())
}

/// Whether these bytes begin a text in UTF-8, whose last character may be cut off, or in Latin-1, which has no control
/// characters either and is mostly ASCII.
fn is_text(start: &[u8]) -> bool {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    let whole = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => {
            let ascii = start.iter().filter(|byte| byte.is_ascii());
            let plain = start.iter().filter(|byte| byte.is_ascii()).all(|&b| is_plain(b.into()));
            return plain && 2 * ascii.count() > start.len();
        }
    };
    whole.chars().all(is_plain)
}
