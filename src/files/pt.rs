//! .pt and .pth, PyTorch's checkpoints: a pickle that describes the tensors, and storages with their numbers.
//!
//! A ZIP archive has a member for each storage. The layout before PyTorch 1.6 is a sequence of pickles with the
//! storages behind them, and that before 0.1.10 a TAR archive of such sequences. `torch.export` writes a ZIP
//! archive with JSON in place of the pickle.

mod exported;
mod graph;
mod layouts;
mod program;
mod rebuild;
mod view;

use std::collections::HashMap;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::mem::take;

use super::archive::Archive;
use super::budget::Budget;
use super::handle::{Handle, read_full};
use super::header::check_size;
use super::limit::{MAX_SHARED, SMALL_CHECKPOINT_BYTES};
use super::pickle::Pickle;
use super::reader::{Bytes, TensorReader};
use super::{Entry, Header, ModuleAttribute, StoredType, escaped};
use crate::files::error::FileError;
use crate::memory::reserved;
use graph::{Contents, contents};
use layouts::Plain;
use rebuild::NUMPY_ARRAY;
use view::View;

/// Longest pickle in an archive, which may be compressed.
const MAX_PICKLE_BYTES: u64 = 1 << 30;

/// The tensors of a checkpoint, in the order of the file.
pub(super) struct PtFile {
    storages: Storages,
    views: Vec<View>,
    big_endian: bool,
    /// Bytes that all tensors together may still have.
    left: u64,
    attributes: Vec<ModuleAttribute>,
    unknown: Vec<String>,
    is_tensor: bool,
}

/// The places of the numbers.
enum Storages {
    /// Members of an archive, in this folder.
    Zip(Archive, String),
    Plain(Plain),
}

impl PtFile {
    /// The arguments of layers in the graph of an archive of `torch.export`.
    pub(super) fn arguments(
        archive: &mut Archive,
        folder: &str,
        budget: &mut Budget,
        place: &str,
    ) -> Result<Vec<ModuleAttribute>, FileError> {
        let program = archive.exported_program(folder, budget);
        let program = program.map_err(|source| read_error(source, place))?;
        Ok(program.map_or(Vec::new(), |program| program::arguments(&program)))
    }

    /// Reads the pickle of an archive. The attributes are those that stand elsewhere.
    pub(super) fn zip(
        mut archive: Archive,
        attributes: Vec<ModuleAttribute>,
        budget: &mut Budget,
        place: &str,
    ) -> Result<(Vec<Entry>, Self), FileError> {
        let len = archive.len;
        let folder = archive.pt_folder().unwrap_or_default();
        let mut read = || {
            if let Some(config) = archive.exported_weights(&folder, budget)? {
                let contents = exported::exported(&config, budget)?;
                return Ok((contents, false, format!("{folder}data/weights/")));
            }
            let pickle = archive.stored_file(&format!("{folder}data.pkl"))?.take(MAX_PICKLE_BYTES);
            let pickle = Pickle::read(&mut BufReader::new(pickle), budget)?;
            let contents = contents(&pickle, &HashMap::new(), budget)?;
            let mut order = Vec::new();
            if let Ok(file) = archive.stored_file(&format!("{folder}byteorder")) {
                file.take(8).read_to_end(&mut order)?;
            }
            Ok((contents, order.starts_with(b"big"), format!("{folder}data/")))
        };
        let read = read().map_err(|source| read_error(source, place));
        let (mut contents, big_endian, folder) = read?;
        contents.attributes.extend(attributes);
        Self::new(contents, Storages::Zip(archive, folder), big_endian, len, place)
    }

    /// Reads the pickles of a file that is not a ZIP archive.
    pub(super) fn plain(
        file: Handle,
        budget: &mut Budget,
        place: &str,
    ) -> Result<(Vec<Entry>, Self), FileError> {
        let len = file.metadata().map_err(FileError::reading(place))?.len();
        let (contents, plain) = Plain::read(file, budget).map_err(|source| match source {
            layouts::Fault::Io(source) => read_error(source, place),
            layouts::Fault::NoStorages => {
                let what = "expected a checkpoint, got a pickle without the bytes of its tensors";
                FileError::malformed(place, what)
            }
        })?;
        let big_endian = plain.big_endian;
        Self::new(contents, Storages::Plain(plain), big_endian, len, place)
    }

    /// A checkpoint with these contents in a file of `len` bytes.
    fn new(
        contents: Contents,
        storages: Storages,
        big_endian: bool,
        len: u64,
        place: &str,
    ) -> Result<(Vec<Entry>, Self), FileError> {
        let Contents { tensors, attributes, unknown, is_tensor, class } = contents;
        if tensors.is_empty() {
            let what = match class.filter(|class| unknown.contains(class)) {
                Some(class) => {
                    format!("expected a state_dict, a checkpoint or a module, got {class}")
                }
                None => "expected a checkpoint with tensors, got none in it".to_owned(),
            };
            return Err(FileError::malformed(place, what));
        }
        let mut entries = Vec::new();
        let mut views = Vec::new();
        for found in tensors {
            let (name, view) = (found.name, found.view);
            check_size(&view.shape, view.stored)
                .map_err(|what| FileError::Malformed { place: format!("{place}:{name}"), what })?;
            entries.push(Entry { name, stored: view.stored, shape: view.shape.clone() });
            views.push(view);
        }
        let left = len.saturating_mul(MAX_SHARED).saturating_add(SMALL_CHECKPOINT_BYTES);
        let file = PtFile { storages, views, big_endian, left, attributes, unknown, is_tensor };
        Ok((entries, file))
    }

    /// Sorts the tensors and their entries by name.
    pub(super) fn sort_by_name(&mut self, entries: &mut Vec<Entry>) {
        let mut all: Vec<_> = take(entries).into_iter().zip(take(&mut self.views)).collect();
        all.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
        (*entries, self.views) = all.into_iter().unzip();
    }

    /// The numbers of the tensor at `index`.
    pub(super) fn reader(
        &mut self,
        index: usize,
        header: Header,
        place: String,
    ) -> Result<TensorReader<'static>, FileError> {
        if let StoredType::Other(kind) = header.stored {
            let what = match kind {
                NUMPY_ARRAY => {
                    "expected a tensor, got a NumPy array (torch.from_numpy(array) makes one of it)"
                        .to_owned()
                }
                kind => format!("expected a tensor of integers or floats, got {kind}"),
            };
            return Err(FileError::malformed(&place, what));
        }
        self.check_bytes(index, &place)?;
        let view = &self.views[index];
        let bytes = read_view(&mut self.storages, view, &place)?;
        let bytes = view.gather(bytes, self.big_endian);
        let header = Header { big_endian: self.big_endian, ..header };
        let bytes = Bytes::Stream { reader: Box::new(Cursor::new(bytes)), checked: true };
        Ok(TensorReader::new(bytes, header, place))
    }

    /// Rejects tensors that a file of this size can only hold by repeating its numbers over and over.
    fn check_bytes(&mut self, index: usize, place: &str) -> Result<(), FileError> {
        let view = &mut self.views[index];
        if std::mem::replace(&mut view.charged, true) {
            return Ok(());
        }
        let numbers = view.needed().unwrap_or(usize::MAX).saturating_sub(view.offset);
        let numbers = numbers.max(view.shape.iter().product());
        let bytes = numbers.saturating_mul(view.bytes) as u64;
        let Some(left) = self.left.checked_sub(bytes) else {
            let (left, shape) = (self.left, &view.shape);
            let what = format!(
                "expected at most {left} more bytes of tensors in a file of this size, got {bytes}, in shape {shape:?}"
            );
            return Err(FileError::malformed(place, what));
        };
        self.left = left;
        Ok(())
    }

    /// Attributes of the objects around the tensors.
    pub(super) fn attributes(&self) -> &[ModuleAttribute] {
        &self.attributes
    }

    /// Names of classes and functions in the pickle that were not used.
    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Whether the file is one tensor, and not a container.
    pub(super) fn is_tensor(&self) -> bool {
        self.is_tensor
    }
}

/// Reads the bytes of a storage from the tensor's first number to its last one.
fn read_view(storages: &mut Storages, view: &View, place: &str) -> Result<Vec<u8>, FileError> {
    let few = |available: usize| {
        let View { shape, key, .. } = view;
        let needed = view.needed().map_or("too many".to_owned(), |needed| needed.to_string());
        let what = format!(
            "Tensor with shape {shape:?} requires {needed} elements from storage '{key}', but only {available} are available"
        );
        broken(&what, place)
    };
    let needed = view.needed().filter(|needed| *needed <= view.numel);
    let needed = needed.ok_or_else(|| few(view.numel))?;
    let count = if needed == 0 { 0 } else { needed - view.offset };
    let start = view.offset.checked_mul(view.bytes).filter(|start| i64::try_from(*start).is_ok());
    let (start, count) = (start.ok_or_else(|| few(0))?, count.saturating_mul(view.bytes));
    let mut bytes = reserved::<u8>(count, "weights")?;
    bytes.resize(count, 0);
    let got = match storages {
        Storages::Zip(archive, folder) => {
            let name = format!("{folder}{}", view.key);
            read_member(archive, &name, start, &mut bytes, place)?
        }
        Storages::Plain(Plain { file, starts, .. }) => {
            let first = starts.get(&view.key).ok_or_else(|| few(0))?.saturating_add(start as u64);
            // Systems reject places far beyond the end of a file.
            let len = file.metadata().map_err(FileError::reading(place))?.len();
            let mut read = || {
                file.seek(SeekFrom::Start(first.min(len)))?;
                read_full(file, &mut bytes)
            };
            start + read().map_err(|source| read_error(source, place))?
        }
    };
    if got < start + count { Err(few(got / view.bytes.max(1))) } else { Ok(bytes) }
}

/// Reads the bytes of a member from `start` on, and returns how many it has up to the last of them.
fn read_member(
    archive: &mut Archive,
    name: &str,
    start: usize,
    bytes: &mut [u8],
    place: &str,
) -> Result<usize, FileError> {
    let mut read = || {
        let mut member = archive.stored_file(name)?;
        let skipped = io::copy(&mut (&mut member).take(start as u64), &mut io::sink())?;
        let got = read_full(&mut member, bytes)?;
        // The checksum is checked at the end of the member.
        io::copy(&mut member, &mut io::sink())?;
        Ok(usize::try_from(skipped).unwrap_or(usize::MAX).saturating_add(got))
    };
    read().map_err(|source: io::Error| match source.raw_os_error() {
        None => broken(&format!("ZIP entry '{name}': {source}"), place),
        Some(_) => read_error(source, place),
    })
}

/// A failed read is [`FileError::Read`] if the system reported it; else the checkpoint itself is broken.
fn read_error(source: io::Error, place: &str) -> FileError {
    if source.raw_os_error().is_some() {
        return FileError::Read { place: place.to_owned(), source };
    }
    if source.kind() == io::ErrorKind::UnexpectedEof && source.get_ref().is_none() {
        return broken("expected more bytes, got the end of the file", place);
    }
    broken(&source.to_string(), place)
}

/// The error of a checkpoint that is not well-formed.
fn broken(words: &str, place: &str) -> FileError {
    FileError::malformed(place, format!("broken checkpoint: {}", escaped(words)))
}
