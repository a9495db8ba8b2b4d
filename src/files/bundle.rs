//! Tensors by name: a folder of .npy files, an archive, a checkpoint.

use std::ffi::OsString;

use ndarray::ArrayD;

use super::archive::{Archive, not_found};
use super::budget::{Budget, ENTRY_BYTES};
use super::container::Container;
use super::folder_files::{FolderFiles, read_text};
use super::folder_handle::FolderHandle;
use super::handle::Handle;
use super::limit::MAX_MEMBERS;
use super::pt::PtFile;
use super::reader::TensorReader;
use super::safetensors::SafetensorsFile;
use super::{
    BundleFormat, Entry, Header, ModuleAttribute, TEXT_NAME, Tensor, TensorFile, Text, escaped,
};
use crate::element::{Dtype, Element};
use crate::files::error::FileError;

/// Tensors by name, in the order of the file. Their headers have been read, and their numbers have not.
///
/// ```
/// use elman::files::{Accepts, File, Source, open};
///
/// let source = Source::parse("fixtures/sine/rnn.npz".as_ref());
/// let File::Bundle(mut bundle) = open(&source, Accepts::Tensors)? else { panic!("{source}") };
/// let weight_hh = bundle.position("weight_hh_l0").unwrap_or(0);
/// assert_eq!(bundle.entry_place(weight_hh), "fixtures/sine/rnn.npz:weight_hh_l0");
/// assert_eq!(bundle.read(weight_hh, None)?.shape(), [8, 8]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Bundle {
    place: String,
    entries: Vec<Entry>,
    text: Option<Text>,
    body: Body,
    budget: Budget,
}

/// The numbers of a bundle.
enum Body {
    Folder(FolderFiles),
    File(Container),
    /// Several files, and for each tensor the file and the index in it.
    Shards(Vec<Bundle>, Vec<(usize, usize)>),
}

debug_fields!(Bundle, place, entries, text);

impl Bundle {
    /// Every .npy file of a folder with these names, in their order, and the text beside them.
    pub(super) fn folder(
        folder: &mut FolderHandle,
        names: &[OsString],
        mut budget: Budget,
        place: String,
    ) -> Result<Self, FileError> {
        let text = names.iter().any(|name| name == TEXT_NAME);
        let text = text.then(|| read_text(folder)).transpose()?;
        let (files, entries) = FolderFiles::open(folder, names, &mut budget, &place)?;
        Ok(Bundle { place, entries, text, body: Body::Folder(files), budget })
    }

    /// An .npz archive of at least one member.
    pub(super) fn sequences(
        archive: Archive,
        budget: Budget,
        place: String,
    ) -> Result<Self, FileError> {
        if archive.names.is_empty() {
            return Err(not_found("one member", &archive.names, &place));
        }
        Self::npz(archive, budget, place)
    }

    pub(super) fn npz(
        mut archive: Archive,
        mut budget: Budget,
        place: String,
    ) -> Result<Self, FileError> {
        let mut entries = Vec::new();
        for index in 0..archive.names.len() {
            let bytes = ENTRY_BYTES + archive.names[index].len();
            budget.charge(bytes).map_err(FileError::over(&place))?;
            let name = archive.names[index].clone();
            let header = archive.header(index, &format!("{place}:{name}"))?;
            entries.push(Entry::new(name, &header));
        }
        let text = archive.comment().map(|text| Text { place: format!("{place}: comment"), text });
        Ok(Bundle { place, entries, text, body: Body::File(Container::Npz(archive)), budget })
    }

    /// One of PyTorch's archives.
    pub(super) fn pt_archive(
        mut archive: Archive,
        mut budget: Budget,
        place: String,
    ) -> Result<Self, FileError> {
        archive.check_pt(&place)?;
        let folder = archive.pt_folder().unwrap_or_default();
        let attributes = PtFile::arguments(&mut archive, &folder, &mut budget, &place)?;
        let inner = archive.inner_checkpoint(&folder).map_err(FileError::reading(&place))?;
        if let Some(inner) = inner {
            archive = Archive::new(inner, MAX_MEMBERS, &mut budget, &place)?;
        }
        let (entries, file) = PtFile::zip(archive, attributes, &mut budget, &place)?;
        Ok(Bundle { place, entries, text: None, body: Body::File(Container::Pt(file)), budget })
    }

    /// A checkpoint of PyTorch before 1.6.
    pub(super) fn pt(file: Handle, mut budget: Budget, place: String) -> Result<Self, FileError> {
        let (entries, file) = PtFile::plain(file, &mut budget, &place)?;
        Ok(Bundle { place, entries, text: None, body: Body::File(Container::Pt(file)), budget })
    }

    pub(super) fn safetensors(
        file: Handle,
        mut budget: Budget,
        place: String,
    ) -> Result<Self, FileError> {
        let (entries, text, file) = SafetensorsFile::open(file, &mut budget, &place)?;
        let body = Body::File(Container::Safetensors(file));
        Ok(Bundle { place, entries, text, body, budget })
    }

    /// The format.
    pub fn format(&self) -> BundleFormat {
        match &self.body {
            Body::Folder(..) => BundleFormat::Folder,
            Body::File(container) => container.format(),
            Body::Shards(files, _) => files[0].format(),
        }
    }

    /// Charges memory that is built for each tensor to the budget of the file.
    ///
    /// # Errors
    /// [`FileError::Malformed`] if the budget does not have these bytes.
    pub fn charge(&mut self, bytes: usize) -> Result<(), FileError> {
        self.budget.charge(bytes).map_err(FileError::over(&self.place))
    }

    /// Takes the rest of the budget, for the next file of the same model.
    pub(super) fn take_budget(&mut self) -> Budget {
        std::mem::take(&mut self.budget)
    }

    /// The name of the place, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Name, type and shape of each tensor.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The index of the tensor of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }

    /// `rnn.json` of a folder, the comment of an archive, `rnn.json` in the metadata of .safetensors.
    pub fn text(&self) -> Option<&Text> {
        self.text.as_ref()
    }

    fn checkpoint(&self) -> Option<&PtFile> {
        if let Body::File(Container::Pt(file)) = &self.body { Some(file) } else { None }
    }

    /// Attributes of the modules; only a checkpoint of a whole module has some.
    pub fn attributes(&self) -> &[ModuleAttribute] {
        self.checkpoint().map_or(&[], PtFile::attributes)
    }

    /// Names of classes and functions in a checkpoint whose objects were not used.
    pub fn unknown_classes(&self) -> &[String] {
        self.checkpoint().map_or(&[], PtFile::unknown)
    }

    /// Whether the file is one tensor without a name, as `torch.save(tensor)` writes it.
    pub fn is_tensor(&self) -> bool {
        self.checkpoint().is_some_and(PtFile::is_tensor)
    }

    /// Sorts the tensors of a checkpoint by name: in a model, their order has no meaning.
    pub(super) fn sort_by_name(&mut self) {
        if let Body::File(Container::Pt(file)) = &mut self.body {
            file.sort_by_name(&mut self.entries);
        }
    }

    /// The place of the tensor at `index`, for messages.
    pub fn entry_place(&self, index: usize) -> String {
        match &self.body {
            Body::Folder(files) => files.place(index),
            Body::Shards(files, places) => files[places[index].0].entry_place(places[index].1),
            Body::File(_) if self.is_tensor() => self.place.clone(),
            Body::File(_) => format!("{}:{}", self.place, self.entries[index].name),
        }
    }

    /// An error that lists the tensors, if others were expected.
    pub fn expected(&self, what: &str) -> FileError {
        not_found(what, self.entries.iter().map(|entry| &entry.name), &self.place)
    }

    /// The numbers of the tensor at `index` as they are stored.
    pub fn reader(&mut self, index: usize) -> Result<TensorReader<'_>, FileError> {
        let place = self.entry_place(index);
        let header = Header::plain(self.entries[index].stored, &self.entries[index].shape);
        match &mut self.body {
            Body::Folder(files) => files.file(index)?.reader(),
            Body::File(container) => container.reader(index, header, place),
            Body::Shards(files, places) => files[places[index].0].reader(places[index].1),
        }
    }

    /// Reads the numbers of the tensor at `index`, converted to `dtype`; without one, f64 stays f64 and
    /// everything else becomes f32.
    pub fn read(&mut self, index: usize, dtype: Option<Dtype>) -> Result<Tensor, FileError> {
        Ok(match dtype.unwrap_or(self.entries[index].stored.natural()) {
            Dtype::F32 => Tensor::F32(self.read_as(index)?),
            Dtype::F64 => Tensor::F64(self.read_as(index)?),
        })
    }

    /// Reads the numbers of the tensor at `index`, converted to T.
    pub fn read_as<T: Element>(&mut self, index: usize) -> Result<ArrayD<T>, FileError> {
        if let Body::File(Container::Npz(archive)) = &mut self.body {
            let bytes = archive.inflated(index, &self.place)?;
            self.charge(bytes)?;
        }
        self.reader(index)?.read()
    }

    /// The only tensor. [`FileError::Malformed`] lists the tensors if there are several.
    pub fn into_tensor(self) -> Result<TensorFile, FileError> {
        self.into_member(None)
    }

    /// The tensor of this name, or the only one.
    ///
    /// # Errors
    /// [`FileError::Malformed`] lists the tensors if there is no such one.
    pub fn into_member(self, name: Option<&str>) -> Result<TensorFile, FileError> {
        let index = match name {
            None => (self.entries.len() == 1).then_some(0),
            Some(name) => {
                let name = escaped(name);
                // The member of a file `x.npy` in an archive is `x`.
                let file = || name.strip_suffix(".npy").and_then(|name| self.position(name));
                self.position(&name).or_else(file)
            }
        };
        let expected = if name.is_some() { "a member of that name" } else { "one member" };
        let index = index.ok_or_else(|| self.expected(expected))?;
        let Entry { stored, shape, .. } = &self.entries[index];
        // A place with the name of a member has it already.
        let own = name.map_or_else(|| self.entry_place(index), |_| self.place.clone());
        let header = Header::plain(*stored, shape);
        match self.body {
            Body::Folder(files) => files.into_file(index),
            Body::File(Container::Npz(archive)) => TensorFile::member(archive, name, self.place),
            Body::File(container) => Ok(TensorFile::new(container, index, header, own)),
            Body::Shards(mut files, places) => {
                let (file, _) = places[index];
                files.swap_remove(file).into_member(Some(&self.entries[index].name))
            }
        }
    }

    /// The tensors of several files as those of one model.
    pub(super) fn joined(
        files: Vec<Bundle>,
        mut budget: Budget,
        place: String,
    ) -> Result<Self, FileError> {
        let (mut entries, mut places) = (Vec::new(), Vec::new());
        for (file, bundle) in files.iter().enumerate() {
            for (index, entry) in bundle.entries.iter().enumerate() {
                let bytes = ENTRY_BYTES + entry.name.len();
                budget.charge(bytes).map_err(FileError::over(&place))?;
                entries.push(entry.clone());
                places.push((file, index));
            }
        }
        Ok(Bundle { place, entries, text: None, body: Body::Shards(files, places), budget })
    }
}
