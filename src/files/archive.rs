//! ZIP archives: the members of an .npz, read on demand.

mod directory;
mod torch;

use std::collections::HashSet;
use std::io::{self, BufReader, Read};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::budget::Budget;
use super::handle::Handle;
use super::limit::MAX_SHARED;
use super::reader::{Bytes, TensorReader, broken_archive, missing};
use super::{Header, MAX_LISTED, escaped, listed};
use crate::files::error::FileError;

/// Bytes of a member that are read for its header: the length of nearly all headers. Reading far beyond the header
/// would report other faults of the member first.
const BUFFER_BYTES: usize = 128;

/// An archive whose directory has been read. Names of members are data: they are never used as paths.
pub(super) struct Archive {
    zip: ZipArchive<Handle>,
    /// Names of the members, without their `.npy`, as NumPy shows them. Control characters are escaped, because
    /// messages and reports show the names.
    pub(super) names: Vec<String>,
    /// Bytes of the file.
    pub(super) len: u64,
}

impl Archive {
    /// Reads the directory of an archive of at most `limit` members, and rejects duplicate names.
    pub(super) fn new(
        mut file: Handle,
        limit: u64,
        budget: &mut Budget,
        place: &str,
    ) -> Result<Self, FileError> {
        let found = directory::check(&mut file, limit, budget, place)?;
        let len = file.metadata().map_err(FileError::reading(place))?.len();
        let zip = ZipArchive::with_config(directory::CONFIG, file);
        let zip = zip.map_err(|error| zip_error(error, place))?;
        if found != (zip.central_directory_start(), zip.len()) && !zip.has_duplicate_names() {
            return Err(FileError::malformed(place, "broken archive: two directories that differ"));
        }
        let raw = zip.file_names_raw().map(String::from_utf8_lossy);
        let names = raw.map(|name| escaped(name.strip_suffix(".npy").unwrap_or(&name)));
        let names: Vec<_> = names.collect();
        let mut seen = HashSet::new();
        let double = names.iter().find(|name| !seen.insert(*name));
        // The crate keeps one of several members with the same whole name.
        if double.is_some() || zip.has_duplicate_names() {
            let name = double.map_or(String::new(), |name| format!(", {name}"));
            let what = format!("two members of the archive have the same name{name}");
            return Err(FileError::malformed(place, what));
        }
        Ok(Archive { zip, names, len })
    }

    /// The archive's comment, if it is text and not empty.
    pub(super) fn comment(&self) -> Option<String> {
        let comment = std::str::from_utf8(self.zip.comment()).ok()?;
        (!comment.is_empty()).then(|| comment.to_owned())
    }

    /// The index of a member, or of the only one.
    pub(super) fn find(&self, name: Option<&str>, place: &str) -> Result<usize, FileError> {
        let (index, expected) = match name.map(escaped) {
            None => ((self.names.len() == 1).then_some(0), "one member"),
            Some(name) => {
                let found = |name: &str| self.names.iter().position(|found| found == name);
                // The member of a file `x.npy` in the archive is `x`.
                let file = || name.strip_suffix(".npy").and_then(found);
                (found(&name).or_else(file), "a member of that name")
            }
        };
        index.ok_or_else(|| not_found(expected, &self.names, place))
    }

    pub(super) fn header(&mut self, index: usize, place: &str) -> Result<Header, FileError> {
        Ok(self.member(index, place)?.1)
    }

    pub(super) fn reader(
        &mut self,
        index: usize,
        place: String,
    ) -> Result<TensorReader<'_>, FileError> {
        let (member, header, refusal) = self.member(index, &place)?;
        match refusal {
            None => Ok(TensorReader::new(Bytes::Member(Box::new(member)), header, place)),
            Some(what) => Err(FileError::malformed(&place, what)),
        }
    }

    /// Bytes by which a member that is held whole exceeds those that it has in the archive, several times counted.
    pub(super) fn inflated(&mut self, index: usize, place: &str) -> Result<usize, FileError> {
        let member = self.zip.by_index_raw(index).map_err(|error| zip_error(error, place))?;
        let stored = member.compressed_size().saturating_mul(MAX_SHARED);
        Ok(usize::try_from(member.size().saturating_sub(stored)).unwrap_or(usize::MAX))
    }

    /// A member behind its header, and the error for a type that is not read.
    fn member(&mut self, index: usize, place: &str) -> Result<OpenMember<'_>, FileError> {
        let file = self.zip.by_index(index).map_err(|error| zip_error(error, place))?;
        let size = file.size();
        let mut member = BufReader::with_capacity(BUFFER_BYTES, Member { file, size, got: 0 });
        let (header, refusal) = read_header(&mut member, size, place)?;
        Ok((member, header, refusal))
    }
}

type OpenMember<'a> = (BufReader<Member<'a>>, Header, Option<String>);

/// A member whose length is checked against the size that the directory declares: the crate rejects longer members
/// and accepts shorter ones.
struct Member<'a> {
    file: ZipFile<'a, Handle>,
    size: u64,
    got: u64,
}

impl Read for Member<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.got += n as u64;
        if n == 0 && !buffer.is_empty() && self.got < self.size {
            let what = format!("expected a member of {} bytes, got {}", self.size, self.got);
            return Err(io::Error::other(what));
        }
        Ok(n)
    }
}

/// The error for members other than those that were expected.
pub(super) fn not_found<'a>(
    expected: &str,
    names: impl IntoIterator<Item = &'a String>,
    place: &str,
) -> FileError {
    FileError::malformed(place, format!("expected {expected}, got {}", listed(names, MAX_LISTED)))
}

/// Reads the header of a member, and checks it against the size that the directory declares. The text is the error
/// for a type that is not read, whose size is unknown.
fn read_header(
    member: &mut impl Read,
    size: u64,
    place: &str,
) -> Result<(Header, Option<String>), FileError> {
    if size == 0 {
        return Err(FileError::malformed(place, "empty member; expected .npy"));
    }
    let mut magic = Vec::new();
    let read = member.take(6).read_to_end(&mut magic);
    read.map_err(|source| broken_archive(source, place.to_owned()))?;
    if magic != b"\x93NUMPY" {
        let what = "expected .npy in the archive, got another format";
        return Err(FileError::malformed(place, what));
    }
    let header = Header::read_any(&mut magic.chain(member), place);
    let (header, length, refusal) = header.map_err(|error| match error {
        FileError::Read { place, source } => broken_archive(source, place),
        error => error,
    })?;
    let (expected, got) = (header.body_bytes(), size.saturating_sub(length));
    match usize::try_from(got).unwrap_or(usize::MAX) {
        _ if refusal.is_some() => Ok((header, refusal)),
        got if got < expected => Err(missing(place, &header, got)),
        got if got > expected => {
            let what = format!("expected {expected} bytes after the header, got {got}");
            Err(FileError::malformed(place, what))
        }
        _ => Ok((header, None)),
    }
}

/// The error of a broken archive.
fn zip_error(error: ZipError, place: &str) -> FileError {
    match error {
        ZipError::Io(source) => broken_archive(source, place.to_owned()),
        error => FileError::malformed(place, format!("broken archive: {error}")),
    }
}
