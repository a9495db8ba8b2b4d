//! Plain text: a vocabulary, the names of classes, or lines for a model.

#[cfg(unix)]
use std::ffi::OsStr;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::str::Utf8Error;

use super::limit::{Limited, read_line};
use super::source::Opened;
use super::waiting::{Waiting, wait_for_bytes};
use super::{OpenSource, Source};
use crate::files::error::FileError;

/// The name of the memory for a text in an out-of-memory error.
const TEXT: &str = "text";

/// The name of standard input.
const STDIN: &str = "stdin";

/// The mark that some editors write before a text. It is no part of it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Reads the paths of a list, one in each line that is not empty. On Unix, a path may have any bytes but a line feed.
pub fn read_paths(source: &Source) -> Result<Vec<PathBuf>, FileError> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;

        let bytes = read_bytes(source)?;
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(&bytes);
        let lines = bytes.split(|&byte| byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let paths = lines.filter(|line| !line.is_empty()).map(OsStr::from_bytes);
        Ok(paths.map(PathBuf::from).collect())
    }
    #[cfg(not(unix))]
    {
        let text = read_text(source)?;
        Ok(text.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect())
    }
}

/// Reads all bytes of a source.
fn read_bytes(source: &Source) -> Result<Vec<u8>, FileError> {
    let place = source.to_string();
    if let Source::Member(..) = source {
        let what = "expected a file of text, got the name of a member";
        return Err(FileError::malformed(&place, what));
    }
    stream(source.open()?, &place)?.read_whole(TEXT, &place)
}

/// Reads all of a source as UTF-8 text, without a byte order mark.
pub fn read_text(source: &Source) -> Result<String, FileError> {
    let (place, bytes) = (source.to_string(), read_bytes(source)?);
    let mut text = String::from_utf8(bytes)
        .map_err(|error| not_utf8(&place, error.as_bytes(), error.utf8_error(), 1))?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(text)
}

/// The error for bytes that are not UTF-8; `number` is that of their first line.
fn not_utf8(place: &str, bytes: &[u8], error: Utf8Error, number: usize) -> FileError {
    let valid = &bytes[..error.valid_up_to()];
    let line = number + valid.split(|&byte| byte == b'\n').count() - 1;
    let own = valid.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(own).chars().count() + 1;
    let what = format!("expected UTF-8 text, got other bytes at line {line}, column {column}");
    FileError::malformed(place, what)
}

/// The lines of a text on standard input, each returned without waiting for any byte after it.
#[derive(Debug)]
pub struct TextLines {
    reader: BufReader<Waiting<io::Stdin>>,
    count: usize,
    line: Vec<u8>,
}

impl TextLines {
    /// The lines of standard input.
    pub fn stdin() -> Self {
        TextLines { reader: BufReader::new(Waiting(io::stdin())), count: 0, line: Vec::new() }
    }

    /// The next line without its end, LF or CRLF; `None` at the end of the text. A last line without an end counts.
    ///
    /// # Errors
    /// [`FileError::Read`], and [`FileError::Malformed`] for a line that is too long or not UTF-8.
    pub fn read(&mut self) -> Result<Option<&str>, FileError> {
        self.line.clear();
        self.count += 1;
        if !read_line(&mut self.reader, &mut self.line, STDIN, self.count)? {
            return Ok(None);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match std::str::from_utf8(line) {
            Ok(line) if self.count == 1 => {
                Ok(Some(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)))
            }
            Ok(line) => Ok(Some(line)),
            Err(error) => Err(not_utf8(STDIN, line, error, self.count)),
        }
    }
}

/// The bytes of a source.
fn stream(source: OpenSource, place: &str) -> Result<Opened, FileError> {
    let Some((file, metadata)) = source.file else {
        return Ok(Opened::Stream(Box::new(Limited::new(Waiting(io::stdin())))));
    };
    if metadata.is_dir() {
        let error = io::Error::other("is a directory; expected a file");
        return Err(FileError::opening(place)(error));
    }
    if metadata.is_file() {
        return Ok(Opened::File(file, metadata.len()));
    }
    wait_for_bytes(&file).map_err(FileError::reading(place))?;
    Ok(Opened::Stream(Box::new(Limited::new(file))))
}
