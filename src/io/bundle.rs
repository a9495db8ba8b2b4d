//! Tensors by name: a folder of .npy files, or an .npz archive.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use ndarray::ArrayD;
use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;

use super::npz::Archive;
use super::source::{Format, Opened, Source};
use super::{
    AnyArray, Dtype, Folder, Real, Sink, StoredType, Tensor, TensorFile, escaped, show, write_npy,
};
use crate::Error;

/// The file of a folder that holds the text beside its tensors.
const TEXT_FILE: &str = "rnn.json";

/// The longest text that is read: far more than any configuration has, and no burden to any machine.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// A tensor under its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Its name, without `.npy`, with control characters escaped: messages show it.
    pub name: String,
    /// What the file holds.
    pub stored: StoredType,
    /// Its numbers, converted.
    pub tensor: Tensor,
}

/// Tensors in the order in which they stand, and the text beside them.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The tensors.
    pub tensors: Vec<NamedTensor>,
    /// `rnn.json` of a folder, the comment of an archive.
    pub text: Option<Text>,
}

/// The text beside tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it stands, for messages.
    pub place: String,
    /// What it says.
    pub text: String,
}

/// Reads a folder of .npy files or an .npz archive. Numbers become `dtype`; without one, doubles stay
/// what they are and everything else becomes f32.
///
/// # Errors
/// [`Error::Open`], [`Error::Malformed`] and [`Error::Read`] name the file and the member.
pub fn read_bundle(source: &Source, dtype: Option<Dtype>) -> Result<Bundle, Error> {
    let place = source.to_string();
    let path = match source {
        Source::Path(path) if path.is_dir() => return read_folder(path, dtype),
        Source::Path(path) => Some(path.as_path()),
        Source::Stdin => None,
        Source::Member(..) => {
            let what = "expected a folder or an archive, got the name of a member".to_owned();
            return Err(Error::Malformed { place, what });
        }
    };
    let (opened, format) = Opened::new(path, &place)?;
    if format == Format::Npy {
        let what = "expected a folder of .npy files or an .npz archive, got a single .npy array";
        return Err(Error::Malformed { place, what: what.to_owned() });
    }
    let mut archive = Archive::new(opened.seekable(&place)?, &place)?;
    let mut tensors = Vec::new();
    for (index, name) in archive.names().into_iter().enumerate() {
        let place = format!("{place}:{name}");
        let header = archive.header(index, &place)?;
        let tensor = match dtype.unwrap_or(header.stored.natural()) {
            Dtype::F32 => Tensor::F32(archive.read(index, &header, &place)?),
            Dtype::F64 => Tensor::F64(archive.read(index, &header, &place)?),
        };
        tensors.push(NamedTensor { name, stored: header.stored, tensor });
    }
    let comment = |text| Text { place: format!("{place}: comment"), text };
    Ok(Bundle { tensors, text: archive.comment().map(comment) })
}

/// Reads every .npy file of a folder, in the order of their names, and the text beside them.
fn read_folder(folder: &Path, dtype: Option<Dtype>) -> Result<Bundle, Error> {
    let absent = |source| Error::Open { place: show(folder), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(absent)? {
        let path = entry.map_err(absent)?.path();
        // Hidden files are other programs' own, as those that macOS writes beside what it copies.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "npy") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        let what = "expected a folder of .npy files, got none in it".to_owned();
        return Err(Error::Malformed { place: show(folder), what });
    }
    paths.sort();
    let mut tensors = Vec::new();
    for path in paths {
        let name = escaped(&path.file_stem().unwrap_or_default().to_string_lossy());
        let file = TensorFile::open(&Source::Path(path))?;
        let stored = file.header().stored;
        let tensor = match dtype.unwrap_or(stored.natural()) {
            Dtype::F32 => Tensor::F32(file.read()?),
            Dtype::F64 => Tensor::F64(file.read()?),
        };
        tensors.push(NamedTensor { name, stored, tensor });
    }
    Ok(Bundle { tensors, text: read_text(&folder.join(TEXT_FILE))? })
}

/// Reads the text beside tensors, where there is one.
fn read_text(path: &Path) -> Result<Option<Text>, Error> {
    let place = show(path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Open { place, source }),
    };
    let mut bytes = Vec::new();
    match file.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes) {
        Ok(_) => {}
        // Linux opens a folder for reading, and refuses only to read it.
        Err(source) if path.is_dir() => return Err(Error::Open { place, source }),
        Err(source) => return Err(Error::Read { place, source }),
    }
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        let what = format!("expected at most {MAX_TEXT_BYTES} bytes of text, got more");
        return Err(Error::Malformed { place, what });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(Text { place, text })),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let what = format!("expected UTF-8 text, got bad bytes at {at}");
            Err(Error::Malformed { place, what })
        }
    }
}

/// Opens a folder for tensors: one that exists may hold only tensors that `own` knows, and their text.
///
/// # Errors
/// [`Error::Create`].
pub fn open_folder(
    path: &Path,
    overwrite: super::Overwrite,
    own: impl Fn(&str) -> bool + 'static,
) -> Result<Folder, Error> {
    Folder::open(path, overwrite, move |name| {
        name == TEXT_FILE || name.strip_suffix(".npy").is_some_and(&own)
    })
}

/// Writes tensors and the text beside them as files of a folder.
///
/// # Errors
/// [`Error::Write`].
pub fn write_folder<T: Real>(
    folder: &Folder,
    tensors: &[(String, ArrayD<T>)],
    text: &str,
) -> Result<(), Error> {
    for (name, tensor) in tensors {
        folder.write(&format!("{name}.npy"), |file| write_npy(file, &tensor.view()))?;
    }
    folder.write(TEXT_FILE, |file| file.write_all(text.as_bytes()))
}

/// Writes arrays as an .npz archive, stored as NumPy stores them, with the text as its comment.
///
/// # Errors
/// [`Error::Write`]; also where the text is too long for a comment, which holds 65535 bytes.
pub fn write_npz(
    sink: &mut Sink,
    members: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), Error> {
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
    let mut zip = ZipWriter::new_stream(file);
    // The same tensors give the same bytes: no clock, no compression whose library may change.
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    for (name, array) in members {
        let large = array.bytes() >= u32::MAX as usize / 2;
        zip.start_file(format!("{name}.npy"), options.large_file(large))?;
        array.write(&mut zip)?;
    }
    zip.set_comment(text)?;
    zip.finish()?;
    Ok(())
}
