//! The input of a run, in each of its forms: a tensor, a packed sequence, or sequences of their own lengths; read
//! whole or section by section.

use std::ffi::OsStr;
use std::ops::Range;

use anyhow::Result;
use elman::files::{
    Accepts, Bundle, Entry, File, Source, StoredType, TensorFile, TensorReader, open,
};
use elman::{Dtype, Element, PackedSequence, Rnn, pack_padded_sequence, pack_sequence};
use ndarray::{ArrayD, Axis, IxDyn};

use super::extent::{Extent, Form, Section};
use super::held;
use super::packed::{PACKED, explain_none, read_data, read_index};
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
    pub(crate) fn open(input: &OsStr, columns: &[String], archive: bool) -> Result<Self> {
        let source = Source::parse(input);
        let accepts = Accepts::Sequences { columns };
        let file = open(&source, accepts).map_err(explain_none)?;
        let is_table =
            matches!(&file, File::Tensor(file) if file.header().stored == StoredType::Text);
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

    /// Whether the output is an archive, as this is one.
    pub(crate) fn is_archive(&self) -> bool {
        !matches!(self, Input::Tensor(_))
    }

    /// The sizes of this input to a layer, with everything but its numbers. `lengths` are those of a tensor's
    /// sequences.
    pub(crate) fn extent<T: Element>(
        &mut self,
        rnn: &Rnn<T>,
        lengths: Option<Vec<usize>>,
    ) -> Result<Extent> {
        Ok(match self {
            Input::Tensor(file) => {
                let shape = &file.header().shape;
                let form = if shape.len() == 2 { Form::Unbatched } else { Form::Batched };
                Extent::new(rnn, form, rnn.check_input(shape)?, lengths, None)
            }
            Input::Packed(bundle, data) => {
                let index = read_index(bundle, data)?;
                let sizes = (index.batch_sizes.len(), index.batch());
                Extent::new(rnn, Form::Packed, sizes, None, Some(index))
            }
            Input::Ragged(_, entries) => {
                let own: Vec<_> = entries.iter().map(|entry| entry.shape[0]).collect();
                let names = entries.iter().map(|entry| entry.name.clone()).collect();
                let sizes = (own.iter().copied().max().unwrap_or(0), own.len());
                Extent::new(rnn, Form::Ragged(names), sizes, Some(own), None)
            }
        })
    }
}

/// A section of an input or an output.
pub(crate) enum Rows<T> {
    /// Sequences of one length, with the axes of their file.
    Padded(ArrayD<T>),
    /// Sequences of different lengths, packed.
    Packed(PackedSequence<T>),
}

impl<T> Rows<T> {
    /// The memory of the numbers, to be used again.
    pub(super) fn into_memory(self) -> Vec<T> {
        let (Rows::Padded(data) | Rows::Packed(PackedSequence { data, .. })) = self;
        data.into_raw_vec_and_offset().0
    }
}

/// The same numbers in another shape of the same size. A transposed tensor is copied, because its axes would come
/// apart.
pub(super) fn reshaped<T: Clone>(mut tensor: ArrayD<T>, shape: &[usize]) -> ArrayD<T> {
    if tensor.shape() == shape {
        return tensor;
    }
    if !tensor.is_standard_layout() {
        tensor = tensor.as_standard_layout().into_owned();
    }
    let reshaped = tensor.into_shape_with_order(IxDyn(shape));
    reshaped.unwrap_or_else(|_| unreachable!("as many numbers"))
}

/// Reads everything.
pub(super) fn read_whole<T: Element>(input: Input, extent: &Extent) -> Result<Rows<T>> {
    Ok(match (input, &extent.index) {
        (Input::Tensor(file), _) => pack_tensor(file.read()?, extent, &extent.whole())?,
        (Input::Packed(mut bundle, _), Some(index)) => {
            Rows::Packed(read_data(&mut bundle, index.clone())?)
        }
        (Input::Packed(mut bundle, _) | Input::Ragged(mut bundle, _), _) => {
            read_ragged(&mut bundle, 0..extent.batch)?
        }
    })
}

/// Packs a section of a tensor if its sequences have lengths.
fn pack_tensor<T: Element>(
    tensor: ArrayD<T>,
    extent: &Extent,
    section: &Section,
) -> Result<Rows<T>> {
    let Some(lengths) = extent.lengths_in(section) else { return Ok(Rows::Padded(tensor)) };
    let tensor = if tensor.ndim() == 2 { tensor.insert_axis(Axis(1)) } else { tensor };
    let packed = pack_padded_sequence(tensor.view(), &lengths, extent.batch_first, false)?;
    Ok(Rows::Packed(packed))
}

/// Reads and packs some of the sequences of an archive.
fn read_ragged<T: Element>(bundle: &mut Bundle, rows: Range<usize>) -> Result<Rows<T>> {
    let own = rows.map(|index| bundle.read_as(index)).collect::<Result<Vec<ArrayD<T>>, _>>()?;
    let views: Vec<_> = own.iter().map(|own| own.view()).collect();
    Ok(Rows::Packed(pack_sequence(&views, false)?))
}

/// An input that is read section by section.
pub(super) enum Reader<'a> {
    /// A tensor, or the data of a packed sequence.
    Rows(TensorReader<'a>),
    Ragged(&'a mut Bundle),
}

impl<'a> Reader<'a> {
    /// Begins to read. `None` if the input can only be read whole.
    pub(super) fn new(input: &'a mut Input, extent: &Extent) -> Result<Option<Self>> {
        let expected = [extent.rows(&extent.whole()), extent.input_size];
        let reader = match input {
            Input::Tensor(file) if file.format() != ".npy" => return Ok(None),
            Input::Packed(_, data) if data.shape != expected => return Ok(None),
            Input::Tensor(file) => file.reader()?,
            Input::Packed(bundle, _) => bundle.reader(bundle.position(PACKED[0]).unwrap_or(0))?,
            Input::Ragged(bundle, _) => return Ok(Some(Reader::Ragged(bundle))),
        };
        Ok((!reader.header().fortran_order).then_some(Reader::Rows(reader)))
    }

    /// Reads a section.
    pub(super) fn read<T: Element>(
        &mut self,
        extent: &Extent,
        section: &Section,
        mut memory: Vec<T>,
    ) -> Result<Rows<T>> {
        let reader = match self {
            Reader::Ragged(bundle) => return read_ragged(bundle, section.rows.clone()),
            Reader::Rows(reader) => reader,
        };
        reader.read_part(extent.axes(extent.input_size), &extent.place(section), &mut memory)?;
        let tensor = extent.tensor(section, memory);
        let Some(index) = &extent.index else { return pack_tensor(tensor, extent, section) };
        let batch_sizes = index.batch_sizes[section.steps.clone()].to_vec();
        let (sorted_indices, unsorted_indices) = (None, None);
        let packed = PackedSequence { data: tensor, batch_sizes, sorted_indices, unsorted_indices };
        Ok(Rows::Packed(packed))
    }

    /// Checks that nothing follows the numbers, once all of them have been read.
    pub(super) fn expect_end(&mut self) -> Result<()> {
        match self {
            Reader::Rows(reader) => Ok(reader.expect_end()?),
            Reader::Ragged(_) => Ok(()),
        }
    }
}
