//! Tensors by name: a folder of .npy files, an archive, a checkpoint.

use std::io::Read;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;

use super::file::File;
use super::npy::read_body;
use super::npz::Archive;
use super::source::{Format, Opened, Source};
use super::tensor_folder::{read_text, tensor_paths};
use super::{
    BundleFormat, Entry, Header, ModuleAttribute, Numbers, Tensor, TensorFile, Text, escaped, show,
};
use crate::element::{Dtype, Element};
use crate::files::error::FileError;

/// Tensors by name, in the order in which they stand: what the file says of them is known, and their
/// numbers have not been read.
///
/// ```
/// use elman::files::{Bundle, Source};
///
/// let mut bundle = Bundle::open(&Source::parse("fixtures/sine/rnn.npz".as_ref()))?;
/// let names = bundle.entries().iter().map(|entry| entry.name.as_str());
/// let weight_hh = names.into_iter().position(|name| name == "weight_hh_l0").unwrap_or(0);
/// assert_eq!(bundle.entry_place(weight_hh), "fixtures/sine/rnn.npz:weight_hh_l0");
/// assert_eq!(bundle.read(weight_hh, None)?.shape(), [8, 8]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Bundle {
    place: String,
    entries: Vec<Entry>,
    text: Option<Text>,
    body: Body,
}

/// Where the numbers of a bundle stand.
enum Body {
    /// The files, and the one whose numbers are being read.
    Folder(Vec<PathBuf>, Option<TensorFile>),
    Npz(Archive),
    #[cfg_attr(
        not(any(feature = "pt", feature = "safetensors")),
        allow(dead_code, reason = "the formats that are read so are left out of this build")
    )]
    Raw(BundleFormat, Box<dyn Raw + Send>),
}

/// Tensors of a format that keeps their bytes apart, little-endian and in C order. What the file says of
/// them agrees with the bytes that there are.
pub(super) trait Raw {
    /// The bytes of the i-th tensor.
    fn bytes(&mut self, index: usize, place: &str) -> Result<Box<dyn Read + '_>, FileError>;

    /// What the file says of the objects around the tensors.
    fn attributes(&self) -> &[ModuleAttribute] {
        &[]
    }
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
    /// Opens a folder of .npy files, an .npz archive, .safetensors or a checkpoint of PyTorch's, and reads
    /// what it says of its tensors.
    ///
    /// ```
    /// use elman::files::{Bundle, BundleFormat, FileError, Source};
    ///
    /// let bundle = Bundle::open(&Source::parse("fixtures/sine/rnn.npz".as_ref()))?;
    /// assert_eq!((bundle.format(), bundle.entries().len()), (BundleFormat::Npz, 8));
    /// // A single array has no name.
    /// let array = Bundle::open(&Source::parse("fixtures/x.npy".as_ref()));
    /// assert!(matches!(array, Err(FileError::Malformed { place, .. }) if place == "fixtures/x.npy"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Open`], [`FileError::Malformed`] and [`FileError::Read`] name the file and the member.
    pub fn open(source: &Source) -> Result<Self, FileError> {
        let place = source.to_string();
        let path = match source {
            Source::Path(path) if path.is_dir() => return Self::folder(path, place),
            Source::Path(path) => Some(path.as_path()),
            Source::Stdin => None,
            Source::Member(..) => {
                let what = "expected a folder or an archive, got the name of a member".to_owned();
                return Err(FileError::Malformed { place, what });
            }
        };
        let (opened, format) = Opened::new(path, &place, (&FORMATS, EXPECTED))?;
        Self::of(path, (opened, format), place)
    }

    /// What has been opened, of one of [`FORMATS`].
    pub(super) fn of(
        path: Option<&Path>,
        (opened, format): (Opened, Format),
        place: String,
    ) -> Result<Self, FileError> {
        let path = path.filter(|_| matches!(opened, Opened::File(..)));
        let file = opened.seekable(&place)?;
        match format {
            Format::Zip => Self::zip(path, file, place),
            Format::Safetensors => Self::safetensors(file, place),
            _ => Self::pt(path, file, place),
        }
    }

    /// Every .npy file of a folder, in the order of their names, and the text beside them.
    fn folder(folder: &Path, place: String) -> Result<Self, FileError> {
        let paths = tensor_paths(folder, &place)?;
        let mut entries = Vec::new();
        for path in &paths {
            let name = escaped(&path.file_stem().unwrap_or_default().to_string_lossy());
            // Closed again at once: a process may hold few files open.
            let file = TensorFile::open_binary(&Source::Path(path.clone()))?;
            let Header { stored, shape, .. } = file.header().clone();
            entries.push(Entry { name, stored, shape });
        }
        let text = read_text(folder)?;
        Ok(Bundle { place, entries, text, body: Body::Folder(paths, None) })
    }

    /// An .npz archive, or a checkpoint: both are zip archives.
    fn zip(path: Option<&Path>, file: File, place: String) -> Result<Self, FileError> {
        let mut archive = Archive::new(file, &place)?;
        if !archive.is_pt() {
            return Self::npz(archive, place);
        }
        if archive.is_torch_script() {
            let remedy = "torch.save(torch.jit.load(file).state_dict(), 'w.pt') makes one";
            let what = format!("expected a checkpoint, got a TorchScript archive ({remedy})");
            return Err(FileError::Malformed { place, what });
        }
        archive.check_pickle(&place)?;
        Self::pt(path, archive.into_file(), place)
    }

    #[cfg(feature = "pt")]
    fn pt(path: Option<&Path>, file: File, place: String) -> Result<Self, FileError> {
        let (entries, checkpoint) = super::pt::open(path, file, &place)?;
        let body = Body::Raw(BundleFormat::Pt, Box::new(checkpoint));
        Ok(Bundle { place, entries, text: None, body })
    }

    #[cfg(not(feature = "pt"))]
    fn pt(_: Option<&Path>, _: File, place: String) -> Result<Self, FileError> {
        Err(not_built_in(place, BundleFormat::Pt))
    }

    #[cfg(feature = "safetensors")]
    fn safetensors(file: File, place: String) -> Result<Self, FileError> {
        let (entries, text, tensors) = super::safetensors::open(file, &place)?;
        let body = Body::Raw(BundleFormat::Safetensors, Box::new(tensors));
        Ok(Bundle { place, entries, text, body })
    }

    #[cfg(not(feature = "safetensors"))]
    fn safetensors(_: File, place: String) -> Result<Self, FileError> {
        Err(not_built_in(place, BundleFormat::Safetensors))
    }

    fn npz(mut archive: Archive, place: String) -> Result<Self, FileError> {
        let mut entries = Vec::new();
        for (index, name) in archive.names().to_vec().into_iter().enumerate() {
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
            Body::Folder(..) => BundleFormat::Folder,
            Body::Npz(_) => BundleFormat::Npz,
            Body::Raw(format, _) => format,
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

    /// `rnn.json` of a folder, the comment of an archive, `rnn.json` in the metadata of .safetensors.
    pub fn text(&self) -> Option<&Text> {
        self.text.as_ref()
    }

    /// Attributes of the objects around the tensors, which a checkpoint has that is a whole module.
    pub fn attributes(&self) -> &[ModuleAttribute] {
        match &self.body {
            Body::Raw(_, tensors) => tensors.attributes(),
            Body::Folder(..) | Body::Npz(_) => &[],
        }
    }

    /// The place of the i-th tensor, for messages.
    pub fn entry_place(&self, index: usize) -> String {
        match &self.body {
            Body::Folder(paths, _) => show(&paths[index]),
            Body::Npz(_) | Body::Raw(..) => format!("{}:{}", self.place, self.entries[index].name),
        }
    }

    /// Reads the numbers of the i-th tensor. They become `dtype`; without one, doubles stay what they are
    /// and everything else becomes f32.
    ///
    /// ```
    /// use elman::files::{Bundle, Source};
    /// use elman::Dtype;
    ///
    /// let mut bundle = Bundle::open(&Source::parse("fixtures/sine/rnn.npz".as_ref()))?;
    /// assert_eq!(bundle.read(0, None)?.dtype(), Dtype::F32);
    /// assert_eq!(bundle.read(0, Some(Dtype::F64))?.dtype(), Dtype::F64);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`TensorFile::read`].
    pub fn read(&mut self, index: usize, dtype: Option<Dtype>) -> Result<Tensor, FileError> {
        Ok(match dtype.unwrap_or(self.entries[index].stored.natural()) {
            Dtype::F32 => Tensor::F32(self.read_as(index)?),
            Dtype::F64 => Tensor::F64(self.read_as(index)?),
        })
    }

    /// The numbers of the i-th tensor as they are stored, to be read piece by piece.
    ///
    /// ```
    /// use elman::files::{Bundle, Source};
    ///
    /// let mut bundle = Bundle::open(&Source::parse("fixtures/sine/rnn.npz".as_ref()))?;
    /// let (mut numbers, mut piece) = (bundle.numbers(0)?, Vec::new());
    /// numbers.next_piece(&mut piece)?;
    /// assert_eq!(piece.len(), 8);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`TensorFile::open`] and [`TensorFile::numbers`].
    pub fn numbers(&mut self, index: usize) -> Result<Numbers<'_>, FileError> {
        let place = self.entry_place(index);
        match &mut self.body {
            Body::Folder(paths, open) => {
                open.insert(TensorFile::open_binary(&Source::Path(paths[index].clone()))?).numbers()
            }
            Body::Npz(archive) => archive.numbers(index, place),
            Body::Raw(_, tensors) => {
                let Entry { stored, shape, .. } = &self.entries[index];
                let header = Header::plain(*stored, shape);
                Ok(Numbers::new(tensors.bytes(index, &place)?, header, place, false))
            }
        }
    }

    fn read_as<T: Element>(&mut self, index: usize) -> Result<ArrayD<T>, FileError> {
        let place = self.entry_place(index);
        match &mut self.body {
            Body::Folder(paths, _) => {
                TensorFile::open_binary(&Source::Path(paths[index].clone()))?.read()
            }
            Body::Npz(archive) => {
                let header = archive.header(index, &place)?;
                archive.read(index, &header, &place)
            }
            Body::Raw(_, tensors) => {
                let Entry { stored, shape, .. } = self.entries[index].clone();
                let header = Header::plain(stored, &shape);
                read_body(&mut *tensors.bytes(index, &place)?, &place, &header, true)
            }
        }
    }
}

/// The formats that [`Bundle::open`] takes, and what errors call them.
pub(super) const FORMATS: [Format; 4] =
    [Format::Zip, Format::Safetensors, Format::Pickle, Format::Tar];
pub(super) const EXPECTED: &str = "a folder of .npy files, .npz, .safetensors or .pt";

/// A format whose reader was left out when the library was built.
#[cfg(not(all(feature = "pt", feature = "safetensors")))]
fn not_built_in(place: String, format: BundleFormat) -> FileError {
    let what = format!("recognised as {format}, which this build does not read");
    FileError::Malformed { place, what }
}
