//! Plain text: a vocabulary, the names of classes, or lines for a model.

use std::io;

use super::limit::Limited;
use super::source::Opened;
use super::waiting::{Waiting, wait_for_bytes};
use super::{OpenSource, Source};
use crate::files::error::FileError;

/// The name of the memory for a text in an out-of-memory error.
const TEXT: &str = "text";

/// Reads all of a source as UTF-8 text.
pub fn read_text(source: &Source) -> Result<String, FileError> {
    let place = source.to_string();
    if let Source::Member(..) = source {
        let what = "expected a file of text, got the name of a member";
        return Err(FileError::malformed(&place, what));
    }
    let bytes = stream(source.open()?, &place)?.read_whole(TEXT, &place)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|&byte| byte == b'\n').count();
        let own = valid.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        let column = String::from_utf8_lossy(own).chars().count() + 1;
        let what = format!("expected UTF-8 text, got other bytes at line {line}, column {column}");
        FileError::malformed(&place, what)
    })
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
