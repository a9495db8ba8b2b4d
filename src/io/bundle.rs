//! Tensors by name: a folder of .npy files, or an .npz archive.

use std::path::{Path, PathBuf};

use ndarray::ArrayD;

use super::npz::Archive;
use super::source::{Format, Opened, Source};
use super::tensor_folder::{read_text, tensor_paths};
use super::{Dtype, Header, Piece, Real, StoredType, Tensor, TensorFile, escaped, show};
use crate::Error;

/// One tensor of a bundle, as the file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without `.npy`, with control characters escaped: messages show it.
    pub name: String,
    /// The type of its numbers in the file.
    pub stored: StoredType,
    /// Its sizes.
    pub shape: Vec<usize>,
}

/// The format of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleFormat {
    /// A folder of .npy files.
    Folder,
    /// An .npz archive.
    Npz,
}

impl std::fmt::Display for BundleFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            BundleFormat::Folder => "folder",
            BundleFormat::Npz => ".npz archive",
        })
    }
}

/// The text beside tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it stands, for messages.
    pub place: String,
    /// What it says.
    pub text: String,
}

/// Tensors by name, in the order in which they stand: what the file says of them is known, and their
/// numbers have not been read.
pub struct Bundle {
    place: String,
    entries: Vec<Entry>,
    text: Option<Text>,
    body: Body,
}

/// Where the numbers of a bundle stand.
enum Body {
    Folder(Vec<PathBuf>),
    Npz(Archive),
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle")
            .field("place", &self.place)
            .field("entries", &self.entries)
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

impl Bundle {
    /// Opens a folder of .npy files or an .npz archive, and reads what it says of its tensors.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Malformed`] and [`Error::Read`] name the file and the member.
    pub fn open(source: &Source) -> Result<Self, Error> {
        let place = source.to_string();
        let path = match source {
            Source::Path(path) if path.is_dir() => return Self::folder(path, place),
            Source::Path(path) => Some(path.as_path()),
            Source::Stdin => None,
            Source::Member(..) => {
                let what = "expected a folder or an archive, got the name of a member".to_owned();
                return Err(Error::Malformed { place, what });
            }
        };
        let (opened, _) = Opened::new(path, &place, (&FORMATS, EXPECTED))?;
        Self::of(opened, place)
    }

    /// What has been opened, of one of [`FORMATS`].
    pub(super) fn of(opened: Opened, place: String) -> Result<Self, Error> {
        let archive = Archive::new(opened.seekable(&place)?, &place)?;
        Self::npz(archive, place)
    }

    /// Every .npy file of a folder, in the order of their names, and the text beside them.
    fn folder(folder: &Path, place: String) -> Result<Self, Error> {
        let paths = tensor_paths(folder, &place)?;
        let mut entries = Vec::new();
        for path in &paths {
            let name = escaped(&path.file_stem().unwrap_or_default().to_string_lossy());
            // Closed again at once: a process may hold few files open.
            let file = TensorFile::open(&Source::Path(path.clone()))?;
            let Header { stored, shape, .. } = file.header().clone();
            entries.push(Entry { name, stored, shape });
        }
        let text = read_text(folder)?;
        Ok(Bundle { place, entries, text, body: Body::Folder(paths) })
    }

    fn npz(mut archive: Archive, place: String) -> Result<Self, Error> {
        let mut entries = Vec::new();
        for (index, name) in archive.names().into_iter().enumerate() {
            let Header { stored, shape, .. } = archive.header(index, &format!("{place}:{name}"))?;
            entries.push(Entry { name, stored, shape });
        }
        let comment = |text| Text { place: format!("{place}: comment"), text };
        let text = archive.comment().map(comment);
        Ok(Bundle { place, entries, text, body: Body::Npz(archive) })
    }

    /// The format.
    pub fn format(&self) -> BundleFormat {
        match self.body {
            Body::Folder(_) => BundleFormat::Folder,
            Body::Npz(_) => BundleFormat::Npz,
        }
    }

    /// The name of the place, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What the file says of its tensors.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// `rnn.json` of a folder, the comment of an archive.
    pub fn text(&self) -> Option<&Text> {
        self.text.as_ref()
    }

    /// The place of the i-th tensor, for messages.
    pub fn entry_place(&self, index: usize) -> String {
        match &self.body {
            Body::Folder(paths) => show(&paths[index]),
            Body::Npz(_) => format!("{}:{}", self.place, self.entries[index].name),
        }
    }

    /// Reads the numbers of the i-th tensor. They become `dtype`; without one, doubles stay what they are
    /// and everything else becomes f32.
    ///
    /// # Errors
    /// Those of [`TensorFile::read`].
    pub fn read(&mut self, index: usize, dtype: Option<Dtype>) -> Result<Tensor, Error> {
        Ok(match dtype.unwrap_or(self.entries[index].stored.natural()) {
            Dtype::F32 => Tensor::F32(self.read_as(index)?),
            Dtype::F64 => Tensor::F64(self.read_as(index)?),
        })
    }

    /// The header of the i-th tensor.
    ///
    /// # Errors
    /// Those of [`TensorFile::open`].
    pub fn header(&mut self, index: usize) -> Result<Header, Error> {
        let place = self.entry_place(index);
        match &mut self.body {
            Body::Folder(paths) => {
                Ok(TensorFile::open(&Source::Path(paths[index].clone()))?.header().clone())
            }
            Body::Npz(archive) => archive.header(index, &place),
        }
    }

    /// Shows the numbers of the i-th tensor piece by piece, as [`TensorFile::for_each_piece`] does.
    ///
    /// # Errors
    /// Those of [`TensorFile::for_each_piece`].
    pub fn for_each_piece(
        &mut self,
        index: usize,
        visit: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), Error> {
        let place = self.entry_place(index);
        match &mut self.body {
            Body::Folder(paths) => {
                TensorFile::open(&Source::Path(paths[index].clone()))?.for_each_piece(visit)
            }
            Body::Npz(archive) => {
                let header = archive.header(index, &place)?;
                archive.for_each_piece(index, &header, &place, visit)
            }
        }
    }

    fn read_as<T: Real>(&mut self, index: usize) -> Result<ArrayD<T>, Error> {
        let place = self.entry_place(index);
        match &mut self.body {
            Body::Folder(paths) => TensorFile::open(&Source::Path(paths[index].clone()))?.read(),
            Body::Npz(archive) => {
                let header = archive.header(index, &place)?;
                archive.read(index, &header, &place)
            }
        }
    }
}

/// The formats that [`Bundle::open`] takes, and what errors call them.
pub(super) const FORMATS: [Format; 1] = [Format::Zip];
pub(super) const EXPECTED: &str = "a folder of .npy files or an .npz archive";
