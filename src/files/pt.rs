//! .pt and .pth, PyTorch's checkpoints: a pickle that says what the tensors are, and their bytes.
//!
//! The crate `pytorch-reader` reads them in all their layouts. A pickle is a program; the crate runs the
//! few steps of it that make tensors, knows no other, and executes nothing. What is left to do here is to
//! keep a small file from asking for much memory, and to put errors into this crate's form.

mod attributes;

use std::io::{self, Cursor, Seek, SeekFrom};
use std::path::Path;

use pytorch_reader::{
    DType, FileFormat, PickleError, PickleValue, PytorchError, PytorchReader, Tensor,
};
use tempfile::NamedTempFile;

use super::archive::Archive;
use super::handle::Handle;
use super::header::check_size;
use super::limit::{MAX_SHARED, SMALL_CHECKPOINT_BYTES};
use super::reader::{Bytes, TensorReader};
use super::temporary::{RegisteredTemp, temporary_file};
use super::{Entry, Header, ModuleAttribute, StoredType, escaped};
use crate::files::error::FileError;
use crate::memory::reserved;

/// The longest complaint of the crate that an error repeats; it may show parts of the file.
const MAX_WORDS: usize = 200;

/// The tensors of a checkpoint, in the order of their names.
pub(super) struct PtFile {
    tensors: Vec<Tensor>,
    attributes: Vec<ModuleAttribute>,
    /// Dropped after the tensors: some systems cannot remove an open file.
    _spooled: Option<(NamedTempFile<Handle>, RegisteredTemp)>,
}

impl PtFile {
    /// Reads the pickle. The crate opens a path; without one, `file` is copied to where there is one.
    pub(super) fn open(
        path: Option<&Path>,
        mut file: Handle,
        place: &str,
    ) -> Result<(Vec<Entry>, Self), FileError> {
        let spooled = match path {
            Some(_) => None,
            None => Some(spool(&mut file).map_err(|source| read_error(source, place))?),
        };
        // The file that has been checked, even if another has taken its name since.
        let own_path = file.own_path().filter(|_| spooled.is_none());
        let path = spooled.as_ref().map_or(path, |(file, _)| Some(file.path()));
        let path = own_path.as_deref().or(path);
        let path = path.unwrap_or_else(|| unreachable!("{place}: spooled"));
        let reader = PytorchReader::new(path).map_err(|error| refused(error, place))?;
        let everything = PytorchReader::read_pickle_data(path, None);
        let count = count(&everything.map_err(|error| refused(error, place))?);
        let format = reader.metadata().format_type.clone();
        let mut tensors: Vec<Tensor> = reader.into_tensors().into_values().collect();
        tensors.sort_by(|left, right| left.name.cmp(&right.name));
        if tensors.len() != count {
            let what = "two tensors of the checkpoint have the same name".to_owned();
            return Err(FileError::Malformed { place: place.to_owned(), what });
        }
        if tensors.is_empty() {
            let what = "expected a checkpoint with tensors, got none in it".to_owned();
            return Err(FileError::Malformed { place: place.to_owned(), what });
        }
        let len = file.metadata().map_err(|source| read_error(source, place))?.len();
        check_shapes(&tensors, len, place)?;
        let entry = |tensor: &Tensor| Entry {
            name: escaped(&tensor.name),
            stored: stored(tensor.dtype()),
            shape: tensor.shape().to_vec(),
        };
        let entries = tensors.iter().map(entry).collect();
        let is_zip = format == FileFormat::Zip;
        let attributes = if is_zip { attributes(file, place) } else { Vec::new() };
        Ok((entries, PtFile { tensors, attributes, _spooled: spooled }))
    }

    /// The numbers of the tensor at `index`.
    pub(super) fn reader(
        &self,
        index: usize,
        header: Header,
        place: String,
    ) -> Result<TensorReader<'static>, FileError> {
        let tensor = &self.tensors[index];
        // The crate would abort where memory is refused; asked for here, it is an error.
        drop(reserved::<u8>(tensor.byte_len(), "weights")?);
        let mut bytes = tensor.read().map_err(|source| {
            // The place says which tensor it is; the crate says it twice more.
            let words = source.to_string();
            let words = words.split_once("': ").map_or(&*words, |(_, words)| words);
            let words = words.split_once("]: ").map_or(words, |(_, words)| words);
            if source.raw_os_error().is_some() {
                read_error(source, &place)
            } else {
                broken(words, &place)
            }
        })?;
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(tensor.dtype().size()).for_each(<[u8]>::reverse);
        }
        let bytes = Bytes::Stream { reader: Box::new(Cursor::new(bytes)), checked: true };
        Ok(TensorReader::new(bytes, header, place))
    }

    /// Attributes of the objects around the tensors.
    pub(super) fn attributes(&self) -> &[ModuleAttribute] {
        &self.attributes
    }
}

/// Copies a file that has no name into one that has.
fn spool(file: &mut Handle) -> io::Result<(NamedTempFile<Handle>, RegisteredTemp)> {
    let (mut named, registered) = temporary_file(&std::env::temp_dir())?;
    file.seek(SeekFrom::Start(0))?;
    io::copy(file, &mut named)?;
    Ok((named, registered))
}

/// Attributes of the modules in a checkpoint. The older layouts hold none that can be read.
fn attributes(file: Handle, place: &str) -> Vec<ModuleAttribute> {
    let archive = Archive::new(file, place).ok();
    let pickle = archive.and_then(|mut archive| archive.pickle());
    pickle.map_or(Vec::new(), |pickle| attributes::attributes(&pickle))
}

/// Tensors at the leaves. Where there are more than names, one of two would get lost.
fn count(value: &PickleValue) -> usize {
    match value {
        PickleValue::List(values) => values.iter().map(count).sum(),
        PickleValue::Dict(values) => values.values().map(count).sum(),
        PickleValue::Unsupported(kind) => usize::from(kind == "torch.Tensor"),
        _ => 0,
    }
}

/// Refuses tensors that a file of this size can only hold by repeating its numbers over and over, and sizes
/// that cannot be multiplied, which a tensor without numbers may have.
fn check_shapes(tensors: &[Tensor], len: u64, place: &str) -> Result<(), FileError> {
    let limit = len.saturating_mul(MAX_SHARED).saturating_add(SMALL_CHECKPOINT_BYTES);
    let mut bytes = 0_u64;
    for tensor in tensors {
        check_size(tensor.shape(), stored(tensor.dtype())).map_err(|what| {
            let place = format!("{place}:{}", escaped(&tensor.name));
            FileError::Malformed { place, what }
        })?;
        bytes = bytes.saturating_add(tensor.byte_len() as u64);
        if bytes > limit {
            let what = format!(
                "expected tensors of at most {limit} bytes in a file of {len}, got more, in shape {:?}",
                tensor.shape()
            );
            let place = format!("{place}:{}", escaped(&tensor.name));
            return Err(FileError::Malformed { place, what });
        }
    }
    Ok(())
}

fn stored(dtype: DType) -> StoredType {
    match dtype {
        DType::F64 => StoredType::F64,
        DType::F32 => StoredType::F32,
        DType::F16 => StoredType::F16,
        DType::BF16 => StoredType::BF16,
        DType::I64 => StoredType::I64,
        DType::I32 => StoredType::I32,
        DType::I16 => StoredType::I16,
        DType::I8 => StoredType::I8,
        DType::U64 => StoredType::U64,
        DType::U32 => StoredType::U32,
        DType::U16 => StoredType::U16,
        DType::U8 => StoredType::U8,
        DType::Bool => StoredType::Bool,
    }
}

/// A failed read is [`FileError::Read`] where the system said so; else the checkpoint itself is broken.
fn read_error(source: io::Error, place: &str) -> FileError {
    if source.raw_os_error().is_some() {
        return FileError::Read { place: place.to_owned(), source };
    }
    if source.kind() == io::ErrorKind::UnexpectedEof && source.get_ref().is_none() {
        return broken("expected more bytes, got the end of the file", place);
    }
    broken(&source.to_string(), place)
}

/// Why a checkpoint cannot be read.
fn refused(error: PytorchError, place: &str) -> FileError {
    let what = match error {
        PytorchError::Io(source)
        | PytorchError::Tar(source)
        | PytorchError::Pickle(PickleError::Io(source)) => return read_error(source, place),
        // Of such a field the crate knows tensors alone, which have five; a module's class has four.
        PytorchError::Pickle(PickleError::InvalidData(text))
            if text.starts_with("storage persistent id has 4 fields") =>
        {
            let remedy = "torch.save(torch.load(file, weights_only=False).state_dict(), 'w.pt')";
            format!("expected a state_dict, got a module as PyTorch before 1.6 saved it ({remedy})")
        }
        PytorchError::Pickle(PickleError::InvalidData(text)) => return broken(&text, place),
        PytorchError::Pickle(PickleError::UnsupportedType(kind)) => {
            // PyTorch's own ways to make a tensor are private; any other is an object around tensors.
            let is_tensor = kind.starts_with("torch._") || !kind.contains('.');
            let remedy = "torch.save(model.state_dict(), 'w.pt') saves the tensors alone";
            let remedy = if is_tensor { String::new() } else { format!(" ({remedy})") };
            format!("expected plain tensors, got {}{remedy}", escaped(&kind))
        }
        PytorchError::Pickle(PickleError::NoDataSource) => {
            "expected a checkpoint, got a pickle without the bytes of its tensors".to_owned()
        }
        PytorchError::Pickle(error) => return broken(&error.to_string(), place),
        PytorchError::InvalidFormat(text) => match text
            .split_once("root of the PyTorch file, found ")
        {
            Some((_, kind)) => {
                format!("expected a state_dict, a checkpoint or a module, got {}", escaped(kind))
            }
            None => return broken(&text, place),
        },
        error => return broken(&error.to_string(), place),
    };
    FileError::Malformed { place: place.to_owned(), what }
}

/// A checkpoint that the crate complains about: its first sentence, as far as it fits a line. Values are named by
/// their kind alone: what is in a dictionary would stand in another order each time.
fn broken(words: &str, place: &str) -> FileError {
    let words = words.split(". ").next().unwrap_or(words);
    let value =
        words.match_indices('(').find(|(at, _)| words[..*at].ends_with(char::is_alphanumeric));
    let words = value.map_or(words, |(at, _)| &words[..at]);
    let words: String = escaped(words).chars().take(MAX_WORDS).collect();
    let what = format!("broken checkpoint: {}", words.trim_end_matches('.'));
    FileError::Malformed { place: place.to_owned(), what }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_broken_value_is_reported_by_its_type() {
        let words = "sys_info must be a dict (legacy), got Tuple([Dict({\"a\": 1})]). More";
        let message = broken(words, "w.pt").to_string();
        assert_eq!(message, "w.pt: broken checkpoint: sys_info must be a dict (legacy), got Tuple");
    }

    #[test]
    fn a_file_that_replaces_a_checked_one_is_not_read() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.pt");
        std::fs::copy(fixtures.join("rnn.pt"), &path).unwrap();
        let file = Handle::open(&path).unwrap();
        std::fs::copy(fixtures.join("model.pt"), folder.path().join("other.pt")).unwrap();
        std::fs::rename(folder.path().join("other.pt"), &path).unwrap();
        let (entries, _) = PtFile::open(Some(&path), file, "w.pt").unwrap();
        assert!(entries.iter().all(|entry| !entry.name.contains('.')), "{entries:?}");
    }
}
