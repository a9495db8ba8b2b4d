//! The numbers of an input: whole, or section by section.

use elman::Element;
use elman::files::{FileError, TensorReader};

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
        (Input::Packed(mut bundle, _), Some(index)) => {
            Sequences::Packed(read_data(&mut bundle, index.clone())?)
        }
        (Input::Packed(mut bundle, _) | Input::Ragged(mut bundle, _), _) => {
            let own = (0..extent.batch).map(|index| bundle.read_as(index));
            Sequences::Ragged(own.collect::<Result<_, _>>()?)
        }
    })
}

/// An input that is read section by section.
pub(crate) enum Reader {
    Tensor(TensorReader<'static>),
    Ragged(Input),
}

impl Reader {
    /// The input itself comes back if it can only be read whole.
    #[allow(clippy::result_large_err, reason = "the caller goes on with the input")]
    pub(super) fn new(input: Input) -> Result<Self, Input> {
        match input {
            Input::Tensor(file) => file.into_reader().map(Reader::Tensor).map_err(Input::Tensor),
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
                let axes = extent.axes(extent.input_size);
                reader.read_part(axes, &extent.place(section), &mut memory)?;
                Ok(Sequences::Tensor(extent.tensor(section, memory)))
            }
            Reader::Ragged(input) => {
                let Input::Ragged(bundle, _) = input else { unreachable!("ragged") };
                let own = section.rows.clone().map(|index| bundle.read_as(index));
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
