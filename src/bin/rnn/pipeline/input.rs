//! The input of a run, in each of its forms: a tensor, a packed sequence, or sequences of their own lengths.

use anyhow::Result;
use elman::Dtype;
use elman::files::{Accepts, Bundle, Entry, File, Source, StoredType, TensorFile, open};

use super::held;
use super::packed::{PACKED, explain_none};
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::report::Notes;

/// Numbers that a warning lists at most.
const MAX_LISTED: usize = 5;

/// The input of a run, whose headers have been read.
pub(crate) enum Input {
    /// A tensor.
    Tensor(TensorFile),
    /// [`PACKED`], of which the last two are optional, and the entry of `data`.
    Packed(Bundle, Entry),
    /// Tensors of (`L_i`, `H_in`), each under its own name.
    Ragged(Bundle, Vec<Entry>),
}

impl Input {
    /// Opens an input, or the chosen columns of a table. An archive with `data` and `batch_sizes` in it is
    /// packed. One member alone is that tensor, or a batch of one sequence with `archive` if it has two axes.
    /// Several members of two axes and one width are sequences.
    pub(crate) fn open(source: &Source, columns: &[String], archive: bool) -> Result<Self> {
        let file = open(source, Accepts::Sequences { columns }).map_err(explain_none)?;
        let is_table = matches!(&file, File::Tensor(file) if is_table(file));
        if !columns.is_empty() && !is_table {
            let message = format!("{source}: expected a table with --columns, got none");
            return Err(with_hint(Usage(message), hint::without(&["--columns"])));
        }
        let bundle = match file {
            File::Bundle(bundle) if bundle.entries().len() > 1 => bundle,
            File::Bundle(bundle) if archive && bundle.entries()[0].shape.len() == 2 => bundle,
            File::Bundle(bundle) => return Ok(Input::Tensor(bundle.into_tensor()?)),
            file => return Ok(Input::Tensor(file.into_tensor()?)),
        };
        let entries = bundle.entries().to_vec();
        if let (Some(data), Some(_)) = (bundle.position(PACKED[0]), bundle.position(PACKED[1])) {
            if entries.iter().any(|entry| !PACKED.contains(&entry.name.as_str())) {
                return Err(bundle.expected(&format!("only {}", PACKED.join(", "))).into());
            }
            return Ok(Input::Packed(bundle, entries[data].clone()));
        }
        let width = entries.first().and_then(|entry| entry.shape.last());
        if entries.iter().any(|entry| entry.shape.len() != 2 || entry.shape.last() != width) {
            let expected = "one member, a packed sequence (data, batch_sizes), or sequences \
                            (seq_len, input_size) of one input_size";
            return Err(bundle.expected(expected).into());
        }
        Ok(Input::Ragged(bundle, entries))
    }

    /// The name of the place, for messages.
    pub(crate) fn place(&self) -> &str {
        match self {
            Input::Tensor(file) => file.place(),
            Input::Packed(bundle, _) | Input::Ragged(bundle, _) => bundle.place(),
        }
    }

    /// The place of each tensor with numbers for the layer, its type, and its recognised format.
    pub(crate) fn tensors(&self) -> Vec<(String, StoredType, String)> {
        let member = |place, entry: &Entry| (place, entry.stored, "member of an .npz".to_owned());
        match self {
            Input::Tensor(file) => {
                vec![(file.place().to_owned(), file.header().stored, file.recognised())]
            }
            Input::Packed(bundle, data) => {
                vec![member(format!("{}:data", bundle.place()), data)]
            }
            Input::Ragged(bundle, entries) => {
                let places = (0..entries.len()).map(|index| bundle.entry_place(index));
                places.zip(entries).map(|(place, entry)| member(place, entry)).collect()
            }
        }
    }

    /// Warns of a first line that was taken for names and may have been a row of numbers.
    pub(crate) fn warn(&self, notes: &mut Notes) {
        let Input::Tensor(file) = self else { return };
        let numbers = file.column_names().iter().filter(|name| name.parse::<f64>().is_ok());
        let numbers: Vec<_> = numbers.map(String::as_str).take(MAX_LISTED).collect();
        if !numbers.is_empty() {
            notes.warn(format!(
                "{}: the first line is taken for names of columns, with numbers among them: {}",
                file.place(),
                numbers.join(", ")
            ));
        }
    }

    /// The type that it is computed in by default: f64 if all of it is.
    pub(crate) fn natural(&self) -> Dtype {
        let all = self.tensors().iter().all(|(_, stored, _)| stored.natural() == Dtype::F64);
        if all { Dtype::F64 } else { Dtype::F32 }
    }

    /// The shape of the input: of a tensor its own, else (rows of all sequences, `H_in`).
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Input::Tensor(file) => file.header().shape.clone(),
            Input::Packed(_, data) => data.shape.clone(),
            Input::Ragged(_, entries) => {
                let rows = held::sum(entries.iter().map(|entry| entry.shape[0]));
                vec![rows, entries.first().map_or(0, |entry| entry.shape[1])]
            }
        }
    }

    /// Whether any part can be read at any time.
    pub(crate) fn is_file(&self) -> bool {
        match self {
            Input::Tensor(file) => file.is_file(),
            _ => true,
        }
    }

    /// Whether it is a packed sequence.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self, Input::Packed(..))
    }

    /// Whether the output is an archive, as this is one.
    pub(crate) fn is_archive(&self) -> bool {
        !matches!(self, Input::Tensor(_))
    }
}

/// Whether a tensor was read from text.
pub(crate) fn is_table(file: &TensorFile) -> bool {
    file.header().stored == StoredType::Text
}
