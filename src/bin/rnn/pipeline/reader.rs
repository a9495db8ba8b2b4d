//! An input that is read section by section.

use anyhow::Result;
use elman::files::{Bundle, StoredType, TensorReader};
use elman::{Element, PackedSequence};

use super::input::{Input, pack_tensor, read_ragged};
use super::pass::Pass;
use super::rows::{Rows, Section};

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
            Input::Tensor(file) => file.reader()?,
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
    ) -> Result<Rows<T>> {
        let reader = match self {
            Reader::Ragged(bundle) => return read_ragged(bundle, section.rows.clone()),
            Reader::Rows(reader) => reader,
        };
        let axes = pass.file_axes(pass.rnn.config().input_size);
        reader.read_part(axes, &pass.part(section), &mut memory)?;
        let data = pass.formed(section, memory);
        let Some(index) = &pass.index else { return pack_tensor(data, pass, section) };
        let batch_sizes = index.batch_sizes[section.steps.clone()].to_vec();
        let (sorted_indices, unsorted_indices) = (None, None);
        Ok(Rows::Packed(PackedSequence { data, batch_sizes, sorted_indices, unsorted_indices }))
    }

    /// Checks that nothing follows the numbers, once all of them have been read.
    pub(super) fn expect_end(&mut self) -> Result<()> {
        if let Reader::Rows(reader) = self { Ok(reader.expect_end()?) } else { Ok(()) }
    }
}
