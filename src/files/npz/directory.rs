//! The end of an archive's directory, which is looked at before the directory itself is read: the reader of
//! archives asks at once for the memory of as many members as the end promises.

use std::io::{self, Read, Seek, SeekFrom};

use zip::read::{ArchiveOffset, Config};

use crate::files::error::FileError;
use crate::files::file::File;

/// How the directory is read: nothing stands before an archive, so that the end which was looked at is the one
/// that counts.
pub(super) const CONFIG: Config = Config { archive_offset: ArchiveOffset::Known(0) };

/// The most members that an archive may have; not below the largest number of two bytes. Each takes some
/// 300 bytes of memory, an empty one 90 in the file.
pub(super) const MAX_MEMBERS: u64 = 100_000;

/// Bytes of the record at the end, without the comment behind it.
const END_BYTES: usize = 22;
/// The longest comment.
const MAX_COMMENT_BYTES: usize = 65_535;
/// Bytes of what stands before that record where its numbers are too small: the place of a larger one.
const LOCATOR_BYTES: usize = 20;
/// Bytes of the larger one.
const LARGE_END_BYTES: u64 = 56;

/// Refuses an archive that promises too many members, or a directory that has no room in it. Whatever looks
/// like an end is taken for one, as the reader of archives may do too.
pub(super) fn check(file: &mut File, place: &str) -> Result<(), FileError> {
    let found =
        fault(file).map_err(|source| FileError::Read { place: place.to_owned(), source })?;
    let Some(what) = found else { return Ok(()) };
    Err(FileError::Malformed { place: place.to_owned(), what })
}

/// What is wrong with the ends of an archive.
fn fault(file: &mut File) -> io::Result<Option<String>> {
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
    /// The record that stands where the locator says, where both are there.
    fn read(file: &mut File, locator: &[u8]) -> io::Result<Option<Self>> {
        let Some(rest) = locator.strip_prefix(b"PK\x06\x07") else { return Ok(None) };
        // The system refuses places that no file has.
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

/// The number of eight bytes that stands at this place.
fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes))
}
