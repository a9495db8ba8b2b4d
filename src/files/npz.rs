//! .npz archives: their members, and the writing of them.

mod directory;
mod torch;

use std::collections::HashSet;
use std::io::{self, Read, Write};

use ndarray::ArrayD;
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::file::File;
use super::npy::{missing, read_body};
use super::tensor_file::{Counted, expect_end};
use super::{AnyArray, Header, Numbers, Sink, escaped};
use crate::element::Element;
use crate::files::error::FileError;

/// Names of members that an error lists at most: as many as 2 layers in 2 directions have, and a few more.
const MAX_LISTED: usize = 20;

/// An .npz archive, its directory read. Names of members are data: they are never used as paths.
pub(super) struct Archive {
    zip: ZipArchive<File>,
    names: Vec<String>,
}

impl Archive {
    /// Reads the directory of an archive, and refuses names that stand twice.
    pub(super) fn new(mut file: File, place: &str) -> Result<Self, FileError> {
        directory::check(&mut file, place)?;
        let zip = ZipArchive::with_config(directory::CONFIG, file);
        let zip = zip.map_err(|error| zip_error(error, place))?;
        let names = zip.file_names_raw().map(String::from_utf8_lossy);
        let names = names.map(|name| escaped(name.strip_suffix(".npy").unwrap_or(&name)));
        let names: Vec<_> = names.collect();
        let mut seen = HashSet::new();
        let double = names.iter().find(|name| !seen.insert(*name));
        // The reader of archives keeps one member of those whose whole names are the same.
        if double.is_some() || zip.has_duplicate_names() {
            let name = double.map_or(String::new(), |name| format!(", {name}"));
            let what = format!("two members of the archive have the same name{name}");
            return Err(FileError::Malformed { place: place.to_owned(), what });
        }
        Ok(Archive { zip, names })
    }

    /// Names of the members, without their `.npy`, as NumPy shows them. Control characters are escaped
    /// here, where they come in, because messages and reports show the names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The archive's comment, where it is text and not empty.
    pub(super) fn comment(&self) -> Option<String> {
        let comment = std::str::from_utf8(self.zip.comment()).ok()?;
        (!comment.is_empty()).then(|| comment.to_owned())
    }

    /// The index of a member, or of the only one.
    pub(super) fn find(&self, name: Option<&str>, place: &str) -> Result<usize, FileError> {
        let index = match name {
            None => (self.names.len() == 1).then_some(0),
            Some(name) => {
                let name = escaped(name);
                self.names.iter().position(|found| *found == name)
            }
        };
        let expected = if name.is_some() { "a member of that name" } else { "one member" };
        index.ok_or_else(|| not_found(expected, &self.names, place))
    }

    /// The header of a member.
    pub(super) fn header(&mut self, index: usize, place: &str) -> Result<Header, FileError> {
        let mut member = self.open(index, place)?;
        read_header(&mut member, place).map_err(broken)
    }

    /// The numbers of a member, converted to T, once its header is known.
    pub(super) fn read<T: Element>(
        &mut self,
        index: usize,
        header: &Header,
        place: &str,
    ) -> Result<ArrayD<T>, FileError> {
        let mut member = self.open(index, place)?;
        let mut whole = || {
            read_header(&mut member, place)?;
            let array = read_body(&mut member, place, header, false)?;
            // Reading to the end also checks the sum that the archive keeps of the member.
            expect_end(&mut member, place, header.body_bytes())?;
            Ok(array)
        };
        whole().map_err(broken)
    }

    /// The numbers of a member, to be read piece by piece.
    pub(super) fn numbers(
        &mut self,
        index: usize,
        place: String,
    ) -> Result<Numbers<'_>, FileError> {
        let mut member = self.open(index, &place)?;
        let header = read_header(&mut member, &place).map_err(broken)?;
        Ok(Numbers::new(Box::new(member), header, place, true))
    }

    fn open(&mut self, index: usize, place: &str) -> Result<Member<'_>, FileError> {
        let file = self.zip.by_index(index).map_err(|error| zip_error(error, place))?;
        Ok(Member { size: file.size(), got: 0, file })
    }
}

/// A member that is read, and held against the size that the archive's directory declares: the reader of
/// archives refuses those that are longer, and not those that are shorter.
struct Member<'a> {
    file: ZipFile<'a, File>,
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

/// The members of an .npz archive, of which only the names have been read.
///
/// ```
/// use elman::files::{Found, Source};
///
/// let file = Source::parse("fixtures/sine/rnn.npz".as_ref());
/// let Found::Members(mut members) = Found::open(&file)? else { panic!("{file} has 8 members") };
/// assert_eq!(members.names()[1], "weight_hh_l0");
/// assert_eq!(members.member_place(1), "fixtures/sine/rnn.npz:weight_hh_l0");
/// assert_eq!(members.header(1)?.shape, [8, 8]);
/// assert_eq!(members.read::<f32>(1)?.shape(), [8, 8]);
/// assert!(members.comment().is_none());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Members {
    place: String,
    archive: Archive,
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Members {
    pub(super) fn new(archive: Archive, place: String) -> Self {
        Members { place, archive }
    }

    /// The name of the place, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Names of the members, in the order of the archive, with control characters escaped.
    pub fn names(&self) -> &[String] {
        self.archive.names()
    }

    /// The archive's comment, where it is text and not empty.
    pub fn comment(&self) -> Option<String> {
        self.archive.comment()
    }

    /// What is wrong with an archive of other members than were expected: all are listed.
    ///
    /// ```
    /// use elman::files::{Found, Source};
    ///
    /// let file = Source::parse("fixtures/sine/rnn.npz".as_ref());
    /// let Found::Members(members) = Found::open(&file)? else { panic!("{file} has 8 members") };
    /// let error = members.expected("input and h_0").to_string();
    /// assert!(error.starts_with("fixtures/sine/rnn.npz: expected input and h_0, got weight_ih_l0, "));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn expected(&self, what: &str) -> FileError {
        not_found(what, self.names(), &self.place)
    }

    /// The place of a member, for messages.
    pub fn member_place(&self, index: usize) -> String {
        format!("{}:{}", self.place, self.names().get(index).map_or("", String::as_str))
    }

    /// Reads the header of the i-th member.
    ///
    /// # Errors
    /// Those of [`TensorFile::open`](super::TensorFile::open).
    pub fn header(&mut self, index: usize) -> Result<Header, FileError> {
        let place = self.member_place(index);
        self.archive.header(index, &place)
    }

    /// Reads the numbers of the i-th member, converted to T.
    ///
    /// # Errors
    /// Those of [`TensorFile::read`](super::TensorFile::read).
    pub fn read<T: Element>(&mut self, index: usize) -> Result<ArrayD<T>, FileError> {
        let header = self.header(index)?;
        let place = self.member_place(index);
        self.archive.read(index, &header, &place)
    }
}

/// Writes arrays as an .npz archive, stored as NumPy stores them, with the text as its comment.
///
/// ```
/// use elman::Config;
/// use elman::files::{Bundle, Overwrite, Sink, Source, write_npz};
/// use ndarray::ArrayD;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("w.npz");
/// let weight_ih = ArrayD::<f32>::zeros(vec![20, 10]);
/// let weight_hh = ArrayD::<f32>::zeros(vec![20, 20]);
/// let config = Config { bias: false, ..Config::new(10, 20) };
/// let mut sink = Sink::open(&path, Overwrite::Replace)?;
/// let members = [("weight_ih_l0", &weight_ih as _), ("weight_hh_l0", &weight_hh as _)];
/// write_npz(&mut sink, &members, &config.to_json().to_string())?;
/// sink.commit()?;
/// assert_eq!(Bundle::open(&Source::Path(path))?.entries().len(), 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`FileError::Write`]; also where the text is too long for a comment, which holds 65535 bytes, or where there are
/// more than the 100000 members that are read again.
pub fn write_npz(
    sink: &mut Sink,
    members: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), FileError> {
    sink.write(|file| {
        write_archive(file, members, text).map_err(|error| match error {
            ZipError::Io(source) => source,
            error => io::Error::other(error),
        })
    })
}

fn write_archive(
    file: &mut dyn Write,
    members: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), ZipError> {
    if members.len() as u64 > directory::MAX_MEMBERS {
        let what =
            format!("archive of {} members; limit {}", members.len(), directory::MAX_MEMBERS);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what).into());
    }
    let mut zip = ZipWriter::new_stream(file);
    for (name, array) in members {
        zip.start_file(format!("{name}.npy"), options(array.bytes()))?;
        array.write(&mut zip)?;
    }
    zip.set_comment(text)?;
    zip.finish()?;
    Ok(())
}

/// How a member of so many bytes is stored. The same tensors give the same bytes: no clock, no compression
/// whose library may change.
pub(super) fn options(bytes: usize) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .large_file(bytes >= u32::MAX as usize / 2)
}

/// Members that are not there, and a list of those that are.
fn not_found(expected: &str, names: &[String], place: &str) -> FileError {
    let list = match names.len() {
        0 => "none".to_owned(),
        n if n > MAX_LISTED => {
            format!("{} and {} more", names[..MAX_LISTED].join(", "), n - MAX_LISTED)
        }
        _ => names.join(", "),
    };
    let what = format!("expected {expected}, got {list}");
    FileError::Malformed { place: place.to_owned(), what }
}

/// Reads the header of a member, and holds it against the size that the archive's directory declares.
fn read_header(member: &mut Member<'_>, place: &str) -> Result<Header, FileError> {
    let malformed = |what: String| Err(FileError::Malformed { place: place.to_owned(), what });
    let len = member.size;
    if len == 0 {
        return malformed("empty member; expected .npy".to_owned());
    }
    let mut magic = Vec::new();
    member
        .take(6)
        .read_to_end(&mut magic)
        .map_err(|source| FileError::Read { place: place.to_owned(), source })?;
    if magic != b"\x93NUMPY" {
        return malformed("expected .npy in the archive, got another format".to_owned());
    }
    let mut counted = Counted { reader: &mut magic.chain(member), bytes: 0 };
    let header = Header::read(&mut counted, place, Some(len))?;
    let (expected, got) = (header.body_bytes(), len.saturating_sub(counted.bytes));
    match usize::try_from(got).unwrap_or(usize::MAX) {
        got if got < expected => Err(missing(place, &header, got)),
        got if got > expected => {
            malformed(format!("expected {expected} bytes after the header, got {got}"))
        }
        _ => Ok(header),
    }
}

/// A failed read that the system knows nothing of: the archive itself is broken.
pub(super) fn broken(error: FileError) -> FileError {
    match error {
        FileError::Read { place, source } => read_error(source, place),
        error => error,
    }
}

/// What a broken archive is called.
fn zip_error(error: ZipError, place: &str) -> FileError {
    let place = place.to_owned();
    match error {
        ZipError::Io(source) => read_error(source, place),
        error => FileError::Malformed { place, what: format!("broken archive: {error}") },
    }
}

/// The one rule for a failed read: an error of the system is [`FileError::Read`]; everything else, a wrong
/// checksum or an end too early, is what the archive itself has wrong.
fn read_error(source: io::Error, place: String) -> FileError {
    if source.raw_os_error().is_some() {
        return FileError::Read { place, source };
    }
    FileError::Malformed { place, what: format!("broken archive: {source}") }
}
