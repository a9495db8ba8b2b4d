//! An archive's directory, checked before the crate `zip` reads it: the crate reserves memory at once for as many
//! members as the end declares, copies the names and fields of each, and lets members share their bytes.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use zip::read::{ArchiveOffset, Config};

use crate::files::budget::Budget;
use crate::files::error::FileError;
use crate::files::escaped;
use crate::files::handle::Handle;
use crate::files::limit::MAX_MEMBERS;

/// The options of the crate: an archive begins at byte 0, so that the crate uses the directory that was checked.
pub(super) const CONFIG: Config = Config { archive_offset: ArchiveOffset::Known(0) };

/// Bytes of the record at the end, without the comment behind it.
const END_BYTES: usize = 22;
/// The longest comment.
const MAX_COMMENT_BYTES: usize = 65_535;
/// Bytes of a member in the directory, without its name.
const ENTRY_BYTES: usize = 46;
/// Bytes of the header before a member, without its name.
const LOCAL_BYTES: u64 = 30;
/// Bytes of the locator before that record.
const LOCATOR_BYTES: usize = 20;
/// Bytes of the record with larger numbers.
const LARGE_END_BYTES: u64 = 56;
/// The largest number of 4 bytes: the number stands in the extra field, in 8.
const IN_EXTRA: u64 = u32::MAX as u64;

/// Bytes of memory for a member beside its name and fields: the crate's record of it, this program's, and its range
/// while they are compared.
const MEMBER_BYTES: usize = 360;

/// The end of an archive.
#[derive(Clone, Copy)]
struct End {
    members: u64,
    /// The position of the directory.
    start: u64,
    /// Whether the record's comment ends the file.
    is_last: bool,
}

/// A member: the bytes that it has in the archive, and its position in the directory.
struct Range {
    start: u64,
    end: u64,
    entry: u64,
}

/// Rejects an archive that declares too many members, a directory that has no room in it, two directories, and members
/// that share bytes. Every record that looks like an end is checked, because the crate may use any of them. Returns
/// the position of the directory and the number of members.
pub(super) fn check(
    file: &mut Handle,
    limit: u64,
    budget: &mut Budget,
    place: &str,
) -> Result<(u64, usize), FileError> {
    let malformed = |what| FileError::malformed(place, what);
    let ends = ends(file, limit).map_err(FileError::reading(place))?.map_err(malformed)?;
    for (index, end) in ends.iter().enumerate().rev() {
        let mut reader = BufReader::new(&mut *file);
        let mut ranges = Vec::new();
        let walked = walk(&mut reader, *end, &mut ranges, budget);
        let walked = walked.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => malformed(error.to_string()),
            _ => FileError::reading(place)(error),
        })?;
        if !walked {
            // The crate goes on to the record before.
            continue;
        }
        if let Some(other) = ends[..index].iter().find(|other| other.is_last) {
            let (first, second) = (other.start, end.start);
            let what = format!("expected one directory, got two, at byte {first} and at {second}");
            return Err(malformed(what));
        }
        ranges.sort_unstable_by_key(|range| range.start);
        let shared = ranges.windows(2).find(|pair| pair[0].end > pair[1].start);
        if let Some([first, second]) = shared {
            let mut name = |range: &Range| name(file, range.entry);
            let names = name(first).and_then(|first| Ok((first, name(second)?)));
            let (first, second) = names.map_err(FileError::reading(place))?;
            let what = format!("two members of the archive share bytes, {first} and {second}");
            return Err(malformed(what));
        }
        return Ok((end.start, ranges.len()));
    }
    // The crate says what is wrong.
    Ok((0, 0))
}

/// The ends of an archive, or the first fault in them. The record at the end has numbers of two bytes, which are never
/// too large, and a locator before it leads to a record with numbers of eight bytes.
fn ends(file: &mut Handle, limit: u64) -> io::Result<Result<Vec<End>, String>> {
    let len = file.seek(SeekFrom::End(0))?;
    let most = END_BYTES + MAX_COMMENT_BYTES + LOCATOR_BYTES;
    let from = len.saturating_sub(most as u64);
    let tail = bytes(file, from, most as u64)?;
    let mut ends = Vec::new();
    for (at, end) in tail.windows(END_BYTES).enumerate() {
        let comment = usize::from(u16::from_le_bytes([end[20], end[21]]));
        let behind = at + END_BYTES + comment;
        if !end.starts_with(b"PK\x05\x06") {
            continue;
        }
        let is_last = behind == tail.len();
        let mut found = End { members: number(end, 10, 2), start: number(end, 16, 4), is_last };
        let locator = at.checked_sub(LOCATOR_BYTES).map(|start| &tail[start..at]);
        if let Some(locator) = locator.and_then(|locator| locator.strip_prefix(b"PK\x06\x07")) {
            // The system rejects positions beyond the largest file.
            let at = number(locator, 4, 8).min(len);
            let record = bytes(file, at, LARGE_END_BYTES)?;
            if record.starts_with(b"PK\x06\x06") && record.len() as u64 == LARGE_END_BYTES {
                let [members, length, start] = [32, 40, 48].map(|at| number(&record, at, 8));
                if let Some(fault) = fault([members, length, start], limit, at) {
                    return Ok(Err(fault));
                }
                (found.members, found.start) = (members, start);
            }
        }
        // Bytes of a member may look like a record.
        if behind <= tail.len() {
            ends.push(found);
        }
    }
    Ok(Ok(ends))
}

/// A fault of a record with numbers of eight bytes at a position.
fn fault([members, length, start]: [u64; 3], limit: u64, at: u64) -> Option<String> {
    // A directory without room for its members has the smaller limit.
    let is_short = members.saturating_mul(ENTRY_BYTES as u64) > length;
    let limit = if is_short { MAX_MEMBERS } else { limit };
    if members > limit {
        return Some(format!("archive of {members} members; limit {limit}"));
    }
    start.checked_add(length).is_none_or(|end| end > at).then(|| {
        format!("expected a directory that ends by byte {at}, got {length} bytes from {start} on")
    })
}

/// Charges the members of a directory to the budget, and collects their ranges. False if the directory is broken.
fn walk(
    reader: &mut BufReader<&mut Handle>,
    end: End,
    ranges: &mut Vec<Range>,
    budget: &mut Budget,
) -> io::Result<bool> {
    let mut at = reader.seek(SeekFrom::Start(end.start.min(i64::MAX.unsigned_abs())))?;
    for _ in 0..end.members {
        let mut entry = [0; ENTRY_BYTES];
        if !filled(reader, &mut entry)? || !entry.starts_with(b"PK\x01\x02") {
            return Ok(false);
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| number(&entry, at, 2));
        let more = usize::try_from(name + extra + comment).unwrap_or(usize::MAX);
        budget.charge(MEMBER_BYTES + 3 * more)?;
        reader.seek_relative(name.cast_signed())?;
        let mut field = vec![0; usize::try_from(extra).unwrap_or(0)];
        if !filled(reader, &mut field)? {
            return Ok(false);
        }
        reader.seek_relative(comment.cast_signed())?;
        let [size, whole, start] = [20, 24, 42].map(|at| number(&entry, at, 4));
        let mut large = large_numbers(&field);
        // The larger numbers stand in this order, each only if it is needed.
        let [_, size, start] = [whole, size, start].map(|number| match number {
            IN_EXTRA => large.next().unwrap_or(IN_EXTRA),
            number => number,
        });
        let bytes = LOCAL_BYTES.saturating_add(size);
        ranges.push(Range { start, end: start.saturating_add(bytes), entry: at });
        at += ENTRY_BYTES as u64 + name + extra + comment;
    }
    Ok(true)
}

/// Reads all of these bytes; false if the file ends before them.
fn filled(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// The numbers of eight bytes in the extra field of a member.
fn large_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let len = usize::from(u16::from_le_bytes([head[2], head[3]])).min(rest.len());
        if head[..2] == [1, 0] {
            extra = &rest[..len];
            break;
        }
        extra = &rest[len..];
    }
    extra.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes))
}

/// The name of a member by its position in the directory.
fn name(file: &mut Handle, entry: u64) -> io::Result<String> {
    let head = bytes(file, entry, ENTRY_BYTES as u64)?;
    let name = bytes(file, entry + ENTRY_BYTES as u64, number(&head, 28, 2))?;
    let name = String::from_utf8_lossy(&name);
    Ok(escaped(name.strip_suffix(".npy").unwrap_or(&name)))
}

/// At most `len` bytes from a position on.
fn bytes(file: &mut Handle, at: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    Read::take(file, len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The number of this many bytes at a position.
fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let bytes = bytes.get(at..at + len).unwrap_or_default();
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
