//! The end of an archive's directory, checked before the directory is read: the crate `zip` reserves memory at once
//! for as many members as the end declares.

use std::io::{self, Read, Seek, SeekFrom};

use zip::read::{ArchiveOffset, Config};

use crate::files::error::FileError;
use crate::files::handle::Handle;
use crate::files::limit::MAX_MEMBERS;

/// The options of the crate: an archive begins at byte 0, so that the crate uses the end that was checked.
pub(super) const CONFIG: Config = Config { archive_offset: ArchiveOffset::Known(0) };

/// Bytes of the record at the end, without the comment behind it.
const END_BYTES: usize = 22;
/// The longest comment.
const MAX_COMMENT_BYTES: usize = 65_535;
/// Bytes of a member in the directory, without its name.
const ENTRY_BYTES: u64 = 46;
/// Bytes of the locator before that record.
const LOCATOR_BYTES: usize = 20;
/// Bytes of the record with larger numbers.
const LARGE_END_BYTES: u64 = 56;

/// Rejects an archive that declares too many members, or a directory that has no room in it. Every record that looks
/// like an end is checked, because the crate may use any of them.
pub(super) fn check(file: &mut Handle, limit: u64, place: &str) -> Result<(), FileError> {
    let found = fault(file, limit).map_err(FileError::reading(place))?;
    found.map_or(Ok(()), |what| Err(FileError::malformed(place, what)))
}

/// The first fault in the ends of an archive. The record at the end has numbers of two bytes, which are never too
/// large, and a locator before it leads to a record with numbers of eight bytes.
fn fault(file: &mut Handle, limit: u64) -> io::Result<Option<String>> {
    let len = file.seek(SeekFrom::End(0))?;
    let most = (END_BYTES + MAX_COMMENT_BYTES + LOCATOR_BYTES) as u64;
    let tail = bytes(file, len.saturating_sub(most), most)?;
    for (at, end) in tail.windows(END_BYTES).enumerate() {
        let locator = at.checked_sub(LOCATOR_BYTES).map(|start| &tail[start..at]);
        let locator = locator.and_then(|locator| locator.strip_prefix(b"PK\x06\x07"));
        let (true, Some(locator)) = (end.starts_with(b"PK\x05\x06"), locator) else { continue };
        // The system rejects positions beyond the largest file.
        let at = number(locator, 4).min(len);
        let record = bytes(file, at, LARGE_END_BYTES)?;
        if !record.starts_with(b"PK\x06\x06") || (record.len() as u64) < LARGE_END_BYTES {
            continue;
        }
        let [members, length, start] = [32, 40, 48].map(|at| number(&record, at));
        // A directory without room for its members has the smaller limit.
        let limit = if members.saturating_mul(ENTRY_BYTES) > length { MAX_MEMBERS } else { limit };
        if members > limit {
            return Ok(Some(format!("archive of {members} members; limit {limit}")));
        }
        if start.checked_add(length).is_none_or(|end| end > at) {
            return Ok(Some(format!(
                "expected a directory that ends by byte {at}, got {length} bytes from {start} on"
            )));
        }
    }
    Ok(None)
}

/// At most `len` bytes from a position on.
fn bytes(file: &mut Handle, at: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    Read::take(file, len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The number of eight bytes at this position.
fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes))
}
