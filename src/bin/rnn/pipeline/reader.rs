//! The numbers of an input: whole, or section by section.

use std::ops::Range;

use anyhow::Result;
use elman::files::{Bundle, TensorReader};
use elman::{Element, PackedSequence, pack_padded_sequence, pack_sequence};
use ndarray::{ArrayD, Axis};

use super::extent::{Extent, Section};
use super::input::Input;
use super::packed::{PACKED, read_data};
use super::rows::Rows;

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
