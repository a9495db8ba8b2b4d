//! An output that is written section by section.

use anyhow::Result;
use elman::files::{ArchiveWriter, PartWriter, Sink};
use elman::{Element, PackedSequence, unpack_sequence};

use super::extent::{Form, Section};
use super::packed::{PACKED, whole_members};
use super::pass::Pass;
use super::rows::Rows;

/// The file of an output that has been begun.
pub(super) enum Writer<T> {
    Tensor(PartWriter<T>),
    Archive(Box<ArchiveWriter>),
}

impl<T: Element> Writer<T> {
    /// Begins the output.
    pub(super) fn begin(sink: Sink, pass: &Pass<'_, T>) -> Result<Self> {
        let (extent, [shape, ..]) = (pass.extent, pass.shapes());
        Ok(match extent.form {
            Form::Unbatched | Form::Batched => {
                Writer::Tensor(sink.into_parts(&shape, extent.axes(extent.width))?)
            }
            Form::Ragged(_) => Writer::Archive(Box::new(sink.into_archive())),
            Form::Packed => {
                let mut archive = sink.into_archive();
                archive.begin::<T>(PACKED[0], &shape)?;
                Writer::Archive(Box::new(archive))
            }
        })
    }

    /// Writes a section.
    pub(super) fn write(
        &mut self,
        pass: &Pass<'_, T>,
        section: &Section,
        output: Rows<T>,
    ) -> Result<()> {
        let extent = pass.extent;
        match (self, &extent.form, output) {
            (Writer::Tensor(parts), _, output) => {
                let numbers = extent.numbers(pass.tensor(section, output)?);
                Ok(parts.write(&extent.place(section), &numbers)?)
            }
            (Writer::Archive(archive), Form::Ragged(names), Rows::Packed(packed)) => {
                for (name, own) in names[section.rows.clone()].iter().zip(unpack_sequence(&packed)?)
                {
                    archive.member(name, &pass.unpacked(own))?;
                }
                Ok(())
            }
            (
                Writer::Archive(archive),
                _,
                Rows::Packed(PackedSequence { data, .. }) | Rows::Padded(data),
            ) => Ok(archive.append(&extent.numbers(data))?),
        }
    }

    /// Ends the output. A regular file still holds its previous content until the sink is committed.
    pub(super) fn finish(self, pass: &Pass<'_, T>) -> Result<Sink> {
        Ok(match self {
            Writer::Tensor(parts) => parts.finish()?,
            Writer::Archive(mut archive) => {
                for (name, numbers) in pass.extent.index.iter().flat_map(whole_members) {
                    archive.member(name, &numbers)?;
                }
                archive.finish()?
            }
        })
    }
}
