//! The end of an archive's directory, checked before the directory itself is read: the reader of archives
//! reserves memory at once for as many members as the end declares.

use std::io::{self, Read, Seek, SeekFrom};

use zip::read::{ArchiveOffset, Config};

use crate::files::error::FileError;
use crate::files::handle::Handle;
use crate::files::limit::MAX_MEMBERS;

/// The options of the reader of archives: nothing stands before an archive, so that it uses the end that was
/// checked.
pub(super) const CONFIG: Config = Config { archive_offset: ArchiveOffset::Known(0) };

/// Bytes of the record at the end, without the comment behind it.
const END_BYTES: usize = 22;
/// The longest comment.
const MAX_COMMENT_BYTES: usize = 65_535;
/// Bytes of the locator before that record: the place of a record with larger numbers.
const LOCATOR_BYTES: usize = 20;
/// Bytes of the record with larger numbers.
const LARGE_END_BYTES: u64 = 56;

/// Rejects an archive that declares too many members, or a directory that has no room in it. Every record
/// that looks like an end is checked, because the reader of archives may take it for one.
pub(super) fn check(file: &mut Handle, place: &str) -> Result<(), FileError> {
    let found = fault(file).map_err(FileError::reading(place))?;
    found.map_or(Ok(()), |what| Err(FileError::malformed(place, what)))
}

/// The first fault in the ends of an archive.
fn fault(file: &mut Handle) -> io::Result<Option<String>> {
    let len = file.seek(SeekFrom::End(0))?;
    let bytes = (END_BYTES + MAX_COMMENT_BYTES + LOCATOR_BYTES) as u64;
    file.seek(SeekFrom::Start(len.saturating_sub(bytes)))?;
    let mut tail = Vec::new();
    Read::take(&mut *file, bytes).read_to_end(&mut tail)?;
    for (at, end) in tail.windows(END_BYTES).enumerate() {
        if !end.starts_with(b"PK\x05\x06") {
            continue;
        }
        let locator = at.checked_sub(LOCATOR_BYTES).map_or(&[][..], |start| &tail[start..at]);
        // A number of two bytes is never too large.
        let Some(end) = LargeEnd::read(file, locator)? else { continue };
        if let Some(what) = end.fault() {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// The record at the end that has numbers of eight bytes.
struct LargeEnd {
    at: u64,
    members: u64,
    /// Length and start of the directory.
    length: u64,
    start: u64,
}

impl LargeEnd {
    /// The record at the place that the locator gives, if both exist.
    fn read(file: &mut Handle, locator: &[u8]) -> io::Result<Option<Self>> {
        let Some(rest) = locator.strip_prefix(b"PK\x06\x07") else { return Ok(None) };
        // The system rejects places beyond the largest file.
        let at = number(rest, 4).min(file.metadata()?.len());
        file.seek(SeekFrom::Start(at))?;
        let mut record = Vec::new();
        Read::take(file, LARGE_END_BYTES).read_to_end(&mut record)?;
        let whole = record.starts_with(b"PK\x06\x06") && record.len() as u64 == LARGE_END_BYTES;
        Ok(whole.then(|| LargeEnd {
            at,
            members: number(&record, 32),
            length: number(&record, 40),
            start: number(&record, 48),
        }))
    }

    fn fault(&self) -> Option<String> {
        let LargeEnd { at, members, length, start } = self;
        if *members > MAX_MEMBERS {
            return Some(format!("archive of {members} members; limit {MAX_MEMBERS}"));
        }
        let fits = start.checked_add(*length).is_some_and(|end| end <= *at);
        (!fits).then(|| {
            format!(
                "expected a directory that ends by byte {at}, got {length} bytes from {start} on"
            )
        })
    }
}

/// The number of eight bytes at this place.
fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes))
}
