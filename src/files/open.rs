//! The one way to open a source: it is recognised by its first bytes, and its header is read.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::path::Path;

#[cfg(feature = "onnx")]
use super::Graph;
use super::archive::Archive;
use super::budget::Budget;
use super::folder_handle::FolderHandle;
use super::format::{Expected, Format};
use super::handle::Handle;
use super::limit::{MAX_MEMBERS, MAX_SEQUENCES};
use super::path::folder_of;
use super::source::{OpenSource, Opened};
use super::{
    Bundle, FirstLine, Source, StoredType, TableOptions, TensorFile, escaped, shards, show,
};
use crate::files::error::FileError;

/// An opened source. Headers have been read, and the numbers of a tensor or a bundle have not.
#[derive(Debug)]
pub enum File {
    /// A single tensor.
    Tensor(TensorFile),
    /// Tensors by name.
    Bundle(Bundle),
    /// The graph of an .onnx.
    #[cfg(feature = "onnx")]
    Graph(Graph),
}

/// The sources that a command can use.
#[derive(Clone, Copy, Debug)]
pub enum Accepts {
    /// One tensor: a .npy file, a table, a member of an .npz, or an .npz of one member.
    Tensor,
    /// One tensor, or an .npz, which is a bundle even if it has one member.
    Sequences,
    /// A .npy file, a table or a member of an .npz; or a bundle: a folder of .npy files, an .npz, .safetensors
    /// or a checkpoint of PyTorch's.
    Tensors,
    /// A bundle, or the graph of an .onnx.
    Model,
    /// Everything that can be read.
    Anything,
}

/// The formats that are read; each value of [`Accepts`] allows a range of them.
const FORMATS: [Format; 7] = [
    Format::Npy,
    Format::Text,
    Format::Zip,
    Format::Safetensors,
    Format::Pickle,
    Format::Tar,
    Format::Onnx,
];

impl Accepts {
    fn expected(self) -> Expected {
        let onnx = cfg!(feature = "onnx");
        let (formats, words) = match self {
            Accepts::Tensor | Accepts::Sequences => (0..6, ".npy, .npz or a table"),
            Accepts::Anything if onnx => {
                (0..7, ".npy, .npz, a table, a folder of .npy files, .safetensors, .pt or .onnx")
            }
            Accepts::Tensors | Accepts::Anything => {
                (0..6, ".npy, .npz, a table, a folder of .npy files, .safetensors or .pt")
            }
            Accepts::Model if onnx => {
                (2..7, "a folder of .npy files, .npz, .safetensors, .pt or .onnx")
            }
            Accepts::Model => (2..6, "a folder of .npy files, .npz, .safetensors or .pt"),
        };
        Expected { formats: &FORMATS[formats], words }
    }

    fn folders(self) -> bool {
        !matches!(self, Accepts::Tensor | Accepts::Sequences)
    }
}

/// Opens a source, recognises it by its first bytes, and reads its headers.
///
/// ```
/// use elman::files::{Accepts, File, Source, open};
///
/// let x = open(&Source::parse("fixtures/x.npy".as_ref()), Accepts::Anything)?;
/// assert_eq!(x.into_tensor()?.header().shape, [5, 3, 10]);
/// let weights = open(&Source::parse("fixtures/sine/rnn.npz".as_ref()), Accepts::Anything)?;
/// assert!(matches!(&weights, File::Bundle(bundle) if bundle.entries().len() == 8));
/// // A command that takes one tensor names the members of an archive of several.
/// let refused = open(&Source::parse("fixtures/sine/rnn.npz".as_ref()), Accepts::Tensor);
/// assert!(refused.unwrap_err().to_string().contains("expected one member, got weight_ih_l0, "));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn open(source: &Source, accepts: Accepts) -> Result<File, FileError> {
    // The shape of a single tensor beside an input is known, and is checked.
    let single = matches!(accepts, Accepts::Tensor);
    let first_line = if single { FirstLine::Guess } else { FirstLine::Clear };
    open_with(source, accepts, &TableOptions { first_line, ..TableOptions::default() })
}

/// [`open`], with options for the case that the source is a table.
pub fn open_with(
    source: &Source,
    accepts: Accepts,
    table: &TableOptions<'_>,
) -> Result<File, FileError> {
    source.open()?.read(accepts, table)
}

impl OpenSource {
    /// Recognises the source by its first bytes, and reads its headers.
    pub fn read(self, accepts: Accepts, table: &TableOptions<'_>) -> Result<File, FileError> {
        let OpenSource { source, file } = self;
        let is_folder = file.as_ref().is_some_and(|(_, metadata)| metadata.is_dir());
        match &source {
            Source::Path(path) if accepts.folders() && is_folder => {
                return FolderHandle::read(path, file, |folder| {
                    read_folder(folder, accepts, table)
                });
            }
            Source::Path(path) if accepts.folders() && shards::is_index(path) => {
                let name = path.file_name().unwrap_or_default();
                return FolderHandle::read(folder_of(path), None, |folder| {
                    joined(folder, name, source.to_string()).map(File::Bundle)
                });
            }
            Source::Path(path) if matches!(accepts, Accepts::Model) => {
                shards::refuse_part(path, &source.to_string())?;
            }
            Source::Member(..) if matches!(accepts, Accepts::Model) => {
                let what = "expected a folder or an archive, got the name of a member";
                return Err(FileError::malformed(&source.to_string(), what));
            }
            _ => {}
        }
        read_file(&source, file, accepts, table, Budget::default())
    }
}

/// A folder of .npy files, or of a model's files.
fn read_folder(
    folder: &mut FolderHandle,
    accepts: Accepts,
    table: &TableOptions<'_>,
) -> Result<File, FileError> {
    let place = show(folder.path());
    let names = folder.names().map_err(FileError::opening(&place))?;
    let Some(name) = shards::model_file(&names) else {
        return Bundle::folder(folder, &names, Budget::default(), place).map(File::Bundle);
    };
    let path = folder.path().join(name);
    if shards::is_index(Path::new(name)) {
        return joined(folder, name, show(&path)).map(File::Bundle);
    }
    let file = folder.open(name)?;
    read_file(&Source::Path(path), Some(file), accepts, table, Budget::default())
}

/// The tensors of all files that an index in a folder names.
fn joined(folder: &mut FolderHandle, index: &OsStr, place: String) -> Result<Bundle, FileError> {
    // One budget for all files of a model.
    let mut budget = Budget::default();
    let (names, map) = shards::files(folder, index, &mut budget)?;
    let mut files = Vec::new();
    for name in names {
        let (path, file) = (folder.path().join(&name), folder.open(name.as_ref())?);
        let table = TableOptions::default();
        // A part of a model is no model.
        match read_file(&Source::Path(path), Some(file), Accepts::Tensors, &table, budget)? {
            File::Bundle(mut bundle) => {
                budget = bundle.take_budget();
                files.push(bundle);
            }
            File::Tensor(_) => {
                return Err(FileError::malformed(&place, "expected files with tensors by name"));
            }
            #[cfg(feature = "onnx")]
            File::Graph(graph) => unreachable!("{}: not accepted", graph.place),
        }
    }
    let bundle = Bundle::joined(files, budget, place)?;
    let found: HashSet<_> = bundle.entries().iter().map(|entry| entry.name.as_str()).collect();
    match map.iter().find(|(name, _)| !found.contains(&*escaped(name))) {
        None => Ok(bundle),
        Some((name, file)) => {
            let (name, file) = (escaped(name), escaped(&file.0));
            let what = format!("expected tensor {name} in {file}, got none");
            Err(FileError::malformed(bundle.place(), what))
        }
    }
}

/// Recognises a file, or standard input if there is none, and reads its headers.
fn read_file(
    source: &Source,
    file: Option<(Handle, Metadata)>,
    accepts: Accepts,
    table: &TableOptions<'_>,
    budget: Budget,
) -> Result<File, FileError> {
    let place = source.to_string();
    let (path, member) = match source {
        Source::Stdin => (None, None),
        Source::Path(path) => (Some(path.as_path()), None),
        Source::Member(path, name) => (Some(path.as_path()), Some(name.as_str())),
    };
    let accepts = if member.is_some() { Accepts::Tensor } else { accepts };
    let (opened, format) = Opened::new(file, &place, accepts.expected())?;
    if member.is_some() && matches!(format, Format::Text | Format::Npy) {
        let got = if format == Format::Text { "text" } else { "a single .npy array" };
        let what = format!("expected an .npz archive, got {got}");
        return Err(FileError::Malformed { place, what });
    }
    if format == Format::Text {
        return TensorFile::table(opened, place, table).map(File::Tensor);
    }
    read((path, member), accepts, (opened, format), budget, place)
}

/// Reads the headers of an opened source whose format is accepted.
#[cfg_attr(
    not(feature = "onnx"),
    allow(unused_variables, reason = "only .onnx has files beside it")
)]
fn read(
    (path, member): (Option<&Path>, Option<&str>),
    accepts: Accepts,
    (opened, format): (Opened, Format),
    mut budget: Budget,
    place: String,
) -> Result<File, FileError> {
    let mut bundle = match format {
        Format::Npy => return TensorFile::npy(opened, place)?.readable().map(File::Tensor),
        #[cfg(feature = "onnx")]
        Format::Onnx => return Graph::open(opened, place, path, &mut budget).map(File::Graph),
        Format::Zip => {
            let weights = matches!(accepts, Accepts::Model);
            let limit = if weights { MAX_MEMBERS } else { MAX_SEQUENCES };
            let archive = Archive::new(opened.seekable(&place)?, limit, &mut budget, &place)?;
            match accepts {
                _ if archive.is_pt() => Bundle::pt_archive(archive, budget, place)?,
                Accepts::Tensor => {
                    return TensorFile::member(archive, member, place).map(File::Tensor);
                }
                Accepts::Sequences => Bundle::sequences(archive, budget, place)?,
                _ => Bundle::npz(archive, budget, place)?,
            }
        }
        Format::Safetensors => Bundle::safetensors(opened.seekable(&place)?, budget, place)?,
        _ => Bundle::pt(opened.seekable(&place)?, budget, place)?,
    };
    if let Accepts::Model = accepts {
        bundle.sort_by_name();
    }
    of_bundle(bundle, accepts, member)
}

/// The tensor, or all of them, as the command takes them.
fn of_bundle(bundle: Bundle, accepts: Accepts, member: Option<&str>) -> Result<File, FileError> {
    match accepts {
        Accepts::Model if bundle.is_tensor() => {
            let kind = match bundle.entries()[0].stored {
                StoredType::Other(kind) => kind,
                _ => "torch.Tensor",
            };
            let what = format!("expected a state_dict, a checkpoint or a module, got {kind}");
            Err(FileError::malformed(bundle.place(), what))
        }
        Accepts::Tensor => bundle.into_member(member).map(File::Tensor),
        _ if bundle.is_tensor() => bundle.into_member(None).map(File::Tensor),
        _ => Ok(File::Bundle(bundle)),
    }
}

impl File {
    /// The tensor of a source that was opened for one.
    ///
    /// # Errors
    /// [`FileError::Malformed`] if the source is a bundle or a graph.
    pub fn into_tensor(self) -> Result<TensorFile, FileError> {
        match self {
            File::Tensor(file) => Ok(file),
            File::Bundle(bundle) => Err(bundle.expected("one member")),
            #[cfg(feature = "onnx")]
            File::Graph(graph) => {
                Err(FileError::malformed(&graph.place, "expected one tensor, got a graph"))
            }
        }
    }
}
