//! The numbers of an input: whole, or section by section.

use elman::Element;
use elman::files::{FileError, PartReader};

use super::extent::{Extent, Section};
use super::input::Input;
use super::packed::read_data;
use super::sequences::Sequences;

/// Reads everything.
pub(super) fn read_whole<T: Element>(
    input: Input,
    extent: &Extent,
) -> Result<Sequences<T>, FileError> {
    Ok(match (input, &extent.index) {
        (Input::Tensor(file), _) => Sequences::Tensor(file.read()?),
        (Input::Packed(mut members, _), Some(index)) => {
            Sequences::Packed(read_data(&mut members, index.clone())?)
        }
        (Input::Packed(mut members, _) | Input::Ragged(mut members, _), _) => {
            let own = (0..extent.batch).map(|index| members.read(index));
            Sequences::Ragged(own.collect::<Result<_, _>>()?)
        }
    })
}

/// An input that is read section by section.
pub(crate) enum Reader {
    Tensor(PartReader),
    Ragged(Input),
}

impl Reader {
    /// The input itself comes back if it can only be read whole.
    #[allow(clippy::result_large_err, reason = "the caller goes on with the input")]
    pub(super) fn new(input: Input, extent: &Extent) -> Result<Self, Input> {
        match input {
            Input::Tensor(file) => {
                let reader = file.into_parts(extent.axes(extent.input_size));
                reader.map(Reader::Tensor).map_err(Input::Tensor)
            }
            input @ Input::Ragged(..) => Ok(Reader::Ragged(input)),
            input @ Input::Packed(..) => Err(input),
        }
    }

    /// Reads a section.
    pub(super) fn read<T: Element>(
        &mut self,
        extent: &Extent,
        section: &Section,
        mut memory: Vec<T>,
    ) -> Result<Sequences<T>, FileError> {
        match self {
            Reader::Tensor(reader) => {
                reader.read(&extent.place(section), &mut memory)?;
                Ok(Sequences::Tensor(extent.tensor(section, memory)))
            }
            Reader::Ragged(input) => {
                let Input::Ragged(members, _) = input else { unreachable!("ragged") };
                let own = section.rows.clone().map(|index| members.read(index));
                Ok(Sequences::Ragged(own.collect::<Result<_, _>>()?))
            }
        }
    }

    /// Checks that nothing follows the numbers, once all of them have been read.
    pub(super) fn expect_end(&mut self) -> Result<(), FileError> {
        match self {
            Reader::Tensor(reader) => reader.expect_end(),
            Reader::Ragged(_) => Ok(()),
        }
    }
}
