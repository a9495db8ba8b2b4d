//! An input that is read section by section.

use anyhow::Result;
use elman::files::{Bundle, StoredType, TensorReader};
use elman::{Element, PackedSequence};
use ndarray::Axis;

use super::input::{Input, pack_tensor, read_ragged};
use super::pass::Pass;
use super::rows::{Given, Rows, Section};
use super::sequences::refuse_bool;

/// An input that is read section by section.
pub(super) enum Reader<'a> {
    /// A tensor, or the data of a packed sequence.
    Rows(TensorReader<'a>),
    Ragged(&'a mut Bundle),
}

impl<'a> Reader<'a> {
    /// Begins to read. `None` if the input can only be read whole.
    pub(super) fn new<T: Element>(
        input: &'a mut Input,
        pass: &Pass<'_, T>,
    ) -> Result<Option<Self>> {
        let expected = [pass.rows(&pass.whole()), pass.rnn.config().input_size];
        let reader = match input {
            // A table is held anyway.
            Input::Tensor(file) if file.header().stored == StoredType::Text => return Ok(None),
            Input::Packed(bundle, data) if bundle.entries()[*data].shape != expected => {
                return Ok(None);
            }
            Input::Tensor(file) => {
                if pass.model.encoder().is_some() {
                    refuse_bool(file.place(), file.header().stored)?;
                }
                file.reader()?
            }
            Input::Packed(bundle, data) => bundle.reader(*data)?,
            Input::Ragged(bundle) => return Ok(Some(Reader::Ragged(bundle))),
            Input::Text(..) | Input::Grouped(..) => return Ok(None),
        };
        Ok((!reader.header().fortran_order).then_some(Reader::Rows(reader)))
    }

    pub(super) fn read<T: Element>(
        &mut self,
        pass: &Pass<'_, T>,
        section: &Section,
        mut memory: Vec<T>,
    ) -> Result<Given<T>> {
        let reader = match self {
            Reader::Ragged(bundle) => {
                return read_ragged(bundle, section.rows.clone()).map(Given::Numbers);
            }
            Reader::Rows(reader) => reader,
        };
        if let Some(encoder) = pass.model.encoder() {
            let mut numbers = Vec::new();
            reader.read_part(pass.file_axes(1), &pass.part(section), &mut numbers)?;
            let numbers = pass.formed(section, numbers, 1);
            let features = Axis(numbers.ndim() - 1);
            let numbers = numbers.index_axis_move(features, 0);
            return pass.ids(section, &numbers, encoder.num_embeddings()).map(Given::Ids);
        }
        let features = pass.rnn.config().input_size;
        reader.read_part(pass.file_axes(features), &pass.part(section), &mut memory)?;
        let data = pass.formed(section, memory, features);
        let Some(index) = &pass.index else {
            return pack_tensor(data, pass, section).map(Given::Numbers);
        };
        let batch_sizes = index.batch_sizes[section.steps.clone()].to_vec();
        let (sorted_indices, unsorted_indices) = (None, None);
        let packed = PackedSequence { data, batch_sizes, sorted_indices, unsorted_indices };
        Ok(Given::Numbers(Rows::Packed(packed)))
    }

    /// Checks that nothing follows the numbers, once all of them have been read.
    pub(super) fn expect_end(&mut self) -> Result<()> {
        if let Reader::Rows(reader) = self { Ok(reader.expect_end()?) } else { Ok(()) }
    }
}
