//! The input of a run, in each of its forms: a tensor, a packed sequence, or sequences of their own lengths; read
//! whole or section by section.

use std::ffi::OsStr;
use std::ops::Range;

use anyhow::Result;
use elman::files::{
    Accepts, Bundle, File, KeptCells, Source, StoredType, TableOptions, TensorFile, open_with,
};
use elman::{Dtype, Element, Error, Model, PackedSequence, pack_padded_sequence, pack_sequence};
use ndarray::{ArrayD, Axis};

use super::extent;
use super::groups;
use super::members::{lengths_of, odd_member};
use super::pass::{Form, Pass, PassOptions};
use super::rows::{Given, Rows, Section, longest, offsets, with_features};
use super::sequences::{Lengths, PACKED, PaddedSizes, read_data, read_index};
use super::table::{check_table, note_table, several_columns};
use crate::args::TableArgs;
use crate::failure::Usage;
use crate::report::Notes;

/// The input of a run, whose headers have been read.
pub(crate) enum Input {
    Tensor(TensorFile),
    /// [`PACKED`], of which the last two are optional, with `data` at this index.
    Packed(Bundle, usize),
    /// Tensors of (`L_i`, `H_in`), each under its own name.
    Ragged(Bundle),
    /// A table, and the sequences that its rows are.
    Grouped(TensorFile, PackedSequence<usize>),
    /// The place of a text, and the ids of each of its lines.
    Text(String, Vec<Vec<i64>>),
}

impl Input {
    /// Opens an input; `table` says how a table is read. An archive with `data` and `batch_sizes` in it is
    /// packed. One member alone is that tensor, or a batch of one sequence with `archive` if it has two axes.
    /// A batch and a member of lengths are that tensor and its lengths. Several members of two axes and one width are
    /// sequences. With `ids`, a step has no axis of features.
    pub(crate) fn open(
        input: &OsStr,
        table: Option<&TableArgs>,
        archive: bool,
        ids: bool,
    ) -> Result<(Self, Option<Lengths<'static>>)> {
        Self::open_keeping(input, table, (&[], &[]), archive, ids)
    }

    /// Opens an input of which these columns are kept, if it is a table; with the flags that need one.
    pub(crate) fn open_keeping(
        input: &OsStr,
        table: Option<&TableArgs>,
        keep: (&[String], &[&'static str]),
        archive: bool,
        ids: bool,
    ) -> Result<(Self, Option<Lengths<'static>>)> {
        let (keep, typed) = keep;
        let (source, rank) = (Source::parse(input), if ids { 1 } else { 2 });
        let columns = table.map_or(Vec::new(), TableArgs::columns);
        let options =
            table.map_or(TableOptions::default(), |table| table.options_keeping(&columns, keep));
        let file = open_with(&source, Accepts::Sequences, &options)?;
        let mut flags = table.map_or(Vec::new(), TableArgs::flags);
        flags.extend(typed);
        check_table(&flags, [&file], &source.to_string())?;
        let mut bundle = match file {
            File::Bundle(bundle) if bundle.entries().len() > 1 => bundle,
            File::Bundle(bundle) if archive && bundle.entries()[0].shape.len() == rank => bundle,
            File::Bundle(bundle) => return Ok((Input::Tensor(bundle.into_tensor()?), None)),
            file => return Ok((Input::Tensor(file.into_tensor()?), None)),
        };
        match lengths_of(&bundle) {
            Some((tensor, lengths)) => {
                let values = bundle.read_as::<f64>(lengths)?.into_iter().collect();
                let lengths = Lengths::Own(bundle.entry_place(lengths), values);
                let name = bundle.entries()[tensor].name.clone();
                Ok((Input::Tensor(bundle.into_member(Some(&name))?), Some(lengths)))
            }
            None => Self::sequences(bundle, rank).map(|input| (input, None)),
        }
    }

    /// A packed sequence, or sequences of their own.
    fn sequences(bundle: Bundle, rank: usize) -> Result<Self> {
        let entries = bundle.entries();
        if let (Some(data), Some(_)) = (bundle.position(PACKED[0]), bundle.position(PACKED[1])) {
            if entries.iter().any(|entry| !PACKED.contains(&entry.name.as_str())) {
                return Err(bundle.expected(&format!("only {}", PACKED.join(", "))).into());
            }
            return Ok(Input::Packed(bundle, data));
        }
        if rank == 1 && entries.iter().all(|entry| entry.shape.len() == rank) {
            return Ok(Input::Ragged(bundle));
        }
        if let Some(error) = odd_member(&bundle) {
            return Err(error);
        }
        let width = entries[0].shape.last();
        if entries.iter().any(|entry| entry.shape.len() != rank || entry.shape.last() != width) {
            let expected = "one member, a packed sequence (data, batch_sizes), or sequences \
                            (seq_len, input_size) of one input_size";
            return Err(bundle.expected(expected).into());
        }
        Ok(Input::Ragged(bundle))
    }

    pub(crate) fn place(&self) -> &str {
        match self {
            Input::Tensor(file) | Input::Grouped(file, _) => file.place(),
            Input::Packed(bundle, _) | Input::Ragged(bundle) => bundle.place(),
            Input::Text(place, _) => place,
        }
    }

    /// The place of each tensor with numbers for the layer, its type, and its recognised format.
    pub(crate) fn tensors(&self) -> Vec<(String, StoredType, String)> {
        let (bundle, members) = match self {
            Input::Tensor(file) | Input::Grouped(file, _) => {
                return vec![(file.place().to_owned(), file.header().stored, file.recognised())];
            }
            Input::Text(..) => return Vec::new(),
            Input::Packed(bundle, data) => (bundle, *data..data + 1),
            Input::Ragged(bundle) => (bundle, 0..bundle.entries().len()),
        };
        let stored = |index: usize| bundle.entries()[index].stored;
        let recognised = bundle.format().member();
        members.map(|at| (bundle.entry_place(at), stored(at), recognised.to_owned())).collect()
    }

    /// The sizes of a tensor for this model; `None` for sequences that have their own lengths.
    pub(crate) fn padded_sizes<T: Element>(
        &self,
        model: &Model<T>,
    ) -> Result<Option<PaddedSizes>, Error> {
        let Input::Tensor(file) = self else { return Ok(None) };
        let shape = with_features(&file.header().shape, model)?;
        let ((steps, batch), batched) = (model.rnn().check_input(&shape)?, shape.len() == 3);
        let batch_first = model.rnn().config().batch_first;
        Ok(Some(PaddedSizes { batch, steps, batch_first, batched }))
    }

    pub(crate) fn warn(&self, notes: &mut Notes) {
        if let Input::Tensor(file) | Input::Grouped(file, _) = self {
            note_table(file, notes);
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
            Input::Tensor(file) | Input::Grouped(file, _) => file.header().shape.clone(),
            Input::Packed(bundle, data) => bundle.entries()[*data].shape.clone(),
            Input::Ragged(bundle) => {
                let rows = extent::sum(bundle.entries().iter().map(|entry| entry.shape[0]));
                [&[rows], &bundle.entries()[0].shape[1..]].concat()
            }
            Input::Text(_, lines) => vec![longest(lines.iter().map(Vec::len)), lines.len()],
        }
    }

    /// The cells of a table that are kept.
    pub(crate) fn take_kept(&mut self) -> KeptCells {
        if let Input::Tensor(file) = self { file.take_kept() } else { KeptCells::default() }
    }

    /// The same table as the sequences that its rows are.
    pub(crate) fn grouped(self, rows: PackedSequence<usize>) -> Self {
        match self {
            Input::Tensor(file) => Input::Grouped(file, rows),
            other => other,
        }
    }

    /// Reads a stream into memory.
    pub(crate) fn hold(&mut self) -> Result<()> {
        if let Input::Tensor(file) = self { Ok(file.hold()?) } else { Ok(()) }
    }

    /// Whether any part can be read at any time.
    pub(super) fn is_file(&self) -> bool {
        if let Input::Tensor(file) = self { file.is_file() } else { self.is_archive() }
    }

    /// Whether the output is an archive, as this is one.
    pub(crate) fn is_archive(&self) -> bool {
        matches!(self, Input::Packed(..) | Input::Ragged(_))
    }

    /// The run of a layer over this input, with everything but the numbers. `lengths` are those of a tensor's
    /// sequences.
    pub(crate) fn pass<'a, T: Element>(
        &mut self,
        model: &'a Model<T>,
        options: &'a PassOptions,
        place: &'a str,
        mut lengths: Option<Vec<usize>>,
    ) -> Result<Pass<'a, T>> {
        let (rnn, mut index) = (model.rnn(), None);
        let (form, (steps, batch)) = match self {
            Input::Tensor(file) => {
                let shape = with_features(&file.header().shape, model)?;
                let form = if shape.len() == 2 { Form::Unbatched } else { Form::Batched };
                (form, rnn.check_input(&shape)?)
            }
            Input::Packed(bundle, _) => {
                let index = index.insert(read_index(bundle)?);
                (Form::Packed, (index.batch_sizes.len(), index.batch()))
            }
            Input::Ragged(bundle) => {
                let own: Vec<_> = bundle.entries().iter().map(|entry| entry.shape[0]).collect();
                let names = bundle.entries().iter().map(|entry| entry.name.clone()).collect();
                let longest = longest(own.iter().copied());
                (Form::Ragged(names), (longest, lengths.insert(own).len()))
            }
            Input::Grouped(file, rows) => {
                check_rows(file, model)?;
                let own = lengths.insert(rows.lengths()?);
                let longest = longest(own.iter().copied());
                (Form::Grouped(groups::places(rows)), (longest, own.len()))
            }
            Input::Text(_, lines) => {
                let own = lengths.insert(lines.iter().map(Vec::len).collect());
                (Form::Batched, (longest(own.iter().copied()), own.len()))
            }
        };
        let offsets = offsets(index.as_ref().map_or(&[], |index| &index.batch_sizes));
        Ok(Pass { model, rnn, options, place, form, steps, batch, lengths, index, offsets })
    }

    pub(crate) fn read_whole<T: Element>(self, pass: &Pass<'_, T>) -> Result<Given<T>> {
        if let Some(encoder) = pass.model.encoder() {
            return self.read_ids(pass, encoder.num_embeddings()).map(Given::Ids);
        }
        Ok(Given::Numbers(match (self, &pass.index) {
            (Input::Text(..), _) => unreachable!("a text without an encoder"),
            (Input::Tensor(file), _) => pack_tensor(file.read()?, pass, &pass.whole())?,
            (Input::Grouped(file, rows), _) => Rows::Packed(groups::packed(&file.read()?, &rows)?),
            (Input::Packed(mut bundle, _), Some(index)) => {
                Rows::Packed(read_data(&mut bundle, index.clone())?)
            }
            (Input::Packed(mut bundle, _) | Input::Ragged(mut bundle), _) => {
                read_ragged(&mut bundle, 0..pass.batch)?
            }
        }))
    }
}

/// Checks that a row of a table is a step of the model's input.
fn check_rows<T: Element>(file: &TensorFile, model: &Model<T>) -> Result<()> {
    let shape = &file.header().shape;
    match (model.encoder(), &shape[..]) {
        (Some(_), &[_, found]) if found != 1 => Err(several_columns(file.place(), found)),
        (Some(_), _) => Ok(()),
        (None, _) => Ok(model.rnn().check_input(shape).map(drop)?),
    }
}

/// Packs a section of a tensor if its sequences have lengths.
pub(super) fn pack_tensor<T: Element, U: Clone>(
    tensor: ArrayD<U>,
    pass: &Pass<'_, T>,
    Section { steps, rows }: &Section,
) -> Result<Rows<U>> {
    let Some(lengths) = &pass.lengths else { return Ok(Rows::Padded(tensor)) };
    let own = lengths[rows.clone()].iter();
    let own: Vec<_> =
        own.map(|length| length.clamp(&steps.start, &steps.end) - steps.start).collect();
    let tensor = if tensor.ndim() == 2 { tensor.insert_axis(Axis(1)) } else { tensor };
    Ok(Rows::Packed(pack_padded_sequence(tensor.view(), &own, pass.batch_first(), false)?))
}

/// The sequences of these rows of the batch, packed.
pub(super) fn read_ragged<T: Element>(bundle: &mut Bundle, rows: Range<usize>) -> Result<Rows<T>> {
    let own = rows.map(|index| bundle.read_as(index)).collect::<Result<Vec<ArrayD<T>>, _>>()?;
    let views: Vec<_> = own.iter().map(|own| own.view()).collect();
    Ok(Rows::Packed(pack_sequence(&views, false)?))
}

/// Refuses a second input from standard input.
pub(crate) fn check_stdin<S: AsRef<OsStr>>(
    inputs: impl IntoIterator<Item = Option<S>>,
) -> Result<()> {
    if inputs.into_iter().flatten().filter(|input| input.as_ref() == "-").count() > 1 {
        let message = "expected one input from stdin, got - for more than one".to_owned();
        return Err(Usage(message).into());
    }
    Ok(())
}
