//! Archives of PyTorch, which begin like an .npz.

use std::io::{self, Read, Seek, SeekFrom};

use zip::result::ZipError;

use super::Archive;
use crate::files::budget::Budget;
use crate::files::error::FileError;
use crate::files::handle::Handle;

/// Python that writes the weights of a layer of Keras, which keeps transposed matrices and one bias.
const OF_KERAS: &str = "k, r, b = layer.get_weights(); np.savez('w.npz', weight_ih_l0=k.T, weight_hh_l0=r.T, bias_ih_l0=b, bias_hh_l0=0*b) makes one of a SimpleRNN";

/// Longest JSON in an archive of `torch.export`: the list of the weights, which takes 600 bytes for each, or the graph,
/// which has 2 MB for a large model.
const MAX_JSON_BYTES: u64 = 8 << 20;

/// Bytes of memory for a byte of the JSON and what is built of it.
const JSON_FACTOR: usize = 12;

/// Archives of a kind that is not read: a member that they have, what they are, and a remedy.
const REFUSED: [(&str, &str, &str); 3] = [
    (
        "constants.pkl",
        "a TorchScript archive",
        "torch.save(torch.jit.load(file).state_dict(), 'w.pt') makes one",
    ),
    ("model.weights.h5", "a Keras model", OF_KERAS),
    ("keras_metadata.pb", "a Keras model", OF_KERAS),
];

impl Archive {
    /// Whether PyTorch or Keras wrote it, and not NumPy.
    pub(in crate::files) fn is_pt(&self) -> bool {
        self.pt_folder().is_some() || self.folder_of("model.weights.h5").is_some()
    }

    /// The folder in the archive, with its slash, that holds a checkpoint.
    pub(in crate::files) fn pt_folder(&self) -> Option<String> {
        let marks = ["archive_format", "data.pkl", "serialized_state_dict.pt"];
        marks.iter().find_map(|mark| self.folder_of(mark))
    }

    /// Rejects archives that are not read.
    pub(in crate::files) fn check_pt(&self, place: &str) -> Result<(), FileError> {
        let folder = self.pt_folder().unwrap_or_default();
        let has = |file: &str| {
            let name = format!("{folder}{file}");
            self.zip.file_names().flatten().any(|own| own == name)
        };
        let refused = REFUSED.iter().find(|(mark, ..)| has(mark));
        refused.map_or(Ok(()), |(_, kind, remedy)| {
            let what = format!("expected a checkpoint, got {kind} ({remedy})");
            Err(FileError::malformed(place, what))
        })
    }

    /// The folder with its slash that has a file of this name: that of the shortest name, and the first of several.
    fn folder_of(&self, file: &str) -> Option<String> {
        let names = self.zip.file_names().flatten();
        let folders = names.filter_map(|name| name.strip_suffix(file).map(str::to_owned));
        folders.filter(|folder| folder.is_empty() || folder.ends_with('/')).min_by_key(String::len)
    }

    /// The bytes of a member, whose checksum is checked at their end.
    pub(in crate::files) fn stored_file(&mut self, name: &str) -> io::Result<impl Read + use<'_>> {
        self.zip.by_name(name).map_err(|error| match error {
            ZipError::Io(source) => source,
            ZipError::FileNotFound => io::Error::other("not found in archive"),
            error => io::Error::other(error),
        })
    }

    /// The list of the weights in an archive of `torch.export`.
    pub(in crate::files) fn exported_weights(
        &mut self,
        folder: &str,
        budget: &mut Budget,
    ) -> io::Result<Option<Vec<u8>>> {
        let start = format!("{folder}data/weights/");
        let is_list =
            |name: &str| name.starts_with(&start) && name.ends_with("weights_config.json");
        let found = self.zip.file_names().flatten().find(|name| is_list(name));
        let Some(name) = found.map(|name| name.to_string()) else {
            return Ok(None);
        };
        let mut list = Vec::new();
        self.stored_file(&name)?.take(MAX_JSON_BYTES).read_to_end(&mut list)?;
        budget.charge(2 * list.len())?;
        Ok(Some(list))
    }

    /// The graph in an archive of `torch.export`, as JSON; `None` also for one that is too long.
    pub(in crate::files) fn exported_program(
        &mut self,
        folder: &str,
        budget: &mut Budget,
    ) -> io::Result<Option<Vec<u8>>> {
        let names = ["models/model.json", "serialized_exported_program.json"];
        let mut own = names.map(|name| format!("{folder}{name}")).into_iter();
        let found = own.find(|own| self.zip.file_names().flatten().any(|name| name == *own));
        let Some(name) = found else { return Ok(None) };
        let mut program = Vec::new();
        self.stored_file(&name)?.take(MAX_JSON_BYTES + 1).read_to_end(&mut program)?;
        let fits = program.len() as u64 <= MAX_JSON_BYTES;
        let fits = fits && budget.charge(JSON_FACTOR * program.len()).is_ok();
        Ok(fits.then_some(program))
    }

    /// The checkpoint within an archive that `torch.export` wrote before PyTorch 2.8, as a file of its own.
    pub(in crate::files) fn inner_checkpoint(
        &mut self,
        folder: &str,
    ) -> io::Result<Option<Handle>> {
        let name = format!("{folder}serialized_state_dict.pt");
        if !self.zip.file_names().flatten().any(|own| own == name) {
            return Ok(None);
        }
        let mut file = Handle(tempfile::tempfile()?);
        io::copy(&mut self.stored_file(&name)?, &mut file)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Some(file))
    }
}
