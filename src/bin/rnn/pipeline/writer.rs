//! An output that is written section by section.

use elman::Element;
use elman::files::{ArchiveWriter, FileError, PartWriter, Sink};

use super::extent::{Extent, Form, Section};
use super::packed::{PACKED, whole_members};
use super::sequences::{Sequences, split_directions, split_shape};

/// The file of an output that has been begun.
pub(super) enum Writer<T> {
    Tensor(PartWriter<T>),
    Archive(ArchiveWriter),
}

impl<T: Element> Writer<T> {
    /// Begins the output. `directions` is the size of their axis, if they have one of their own.
    pub(super) fn begin(
        sink: Sink,
        extent: &Extent,
        directions: Option<usize>,
    ) -> Result<Self, FileError> {
        let shape = extent.output_shape();
        let shape = directions.map_or(shape.clone(), |directions| split_shape(&shape, directions));
        match extent.form {
            Form::Unbatched | Form::Batched => {
                Ok(Writer::Tensor(sink.into_parts(&shape, extent.axes(extent.width))?))
            }
            Form::Ragged(_) => Ok(Writer::Archive(sink.into_archive())),
            Form::Packed => {
                let mut archive = sink.into_archive();
                archive.begin::<T>(PACKED[0], &shape)?;
                Ok(Writer::Archive(archive))
            }
        }
    }

    /// Writes a section.
    pub(super) fn write(
        &mut self,
        extent: &Extent,
        section: &Section,
        mut output: Sequences<T>,
        directions: Option<usize>,
    ) -> Result<(), FileError> {
        match self {
            Writer::Tensor(parts) => {
                let Sequences::Tensor(tensor) = output else { return Ok(()) };
                parts.write(&extent.place(section), &extent.numbers(tensor))
            }
            Writer::Archive(archive) => {
                if let Some(directions) = directions {
                    split_directions(&mut output, directions);
                }
                match (output, &extent.form) {
                    (Sequences::Ragged(all), Form::Ragged(names)) => {
                        let mut own = names[section.rows.clone()].iter().zip(&all);
                        own.try_for_each(|(name, tensor)| archive.member(name, tensor))
                    }
                    (Sequences::Packed(packed), _) => archive.append(&extent.numbers(packed.data)),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Ends the output. A regular file still holds its previous content until the sink is committed.
    pub(super) fn finish(self, extent: &Extent) -> Result<Sink, FileError> {
        match self {
            Writer::Tensor(parts) => parts.finish(),
            Writer::Archive(mut archive) => {
                for (name, numbers) in extent.index.iter().flat_map(whole_members) {
                    archive.member(name, &numbers)?;
                }
                archive.finish()
            }
        }
    }
}
