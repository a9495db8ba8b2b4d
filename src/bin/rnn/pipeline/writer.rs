//! The output of a run, written section by section.

use anyhow::Result;
use elman::files::{ArchiveWriter, PartWriter, Sink};
use elman::{Element, Function, PackedSequence, Prediction, unpack_sequence};

use super::pass::{Form, Pass};
use super::prediction::Outcome;
use super::rows::{Rows, Section, reshaped};
use super::sequences::{PACKED, whole_members};

pub(super) enum Writer<T> {
    Tensor(PartWriter<T>),
    Classes(PartWriter<i64>),
    Archive(Box<ArchiveWriter>),
}

impl<T: Element> Writer<T> {
    pub(super) fn begin(sink: Sink, pass: &Pass<'_, T>) -> Result<Self> {
        let [shape, ..] = pass.shapes();
        if pass.is_tensor() {
            let axes = pass.file_axes(pass.row_len());
            return Ok(match pass.model.decoder().function {
                Some(Function::Argmax) => Writer::Classes(sink.into_parts(&shape, axes)?),
                _ => Writer::Tensor(sink.into_parts(&shape, axes)?),
            });
        }
        let mut archive = sink.into_archive();
        if pass.form == Form::Packed {
            archive.begin::<T>(PACKED[0], &shape)?;
        }
        Ok(Writer::Archive(Box::new(archive)))
    }

    pub(super) fn write(
        &mut self,
        pass: &Pass<'_, T>,
        section: &Section,
        output: Outcome<T>,
    ) -> Result<()> {
        let output = match (output, &mut *self) {
            (Outcome::Rows(output), _) => output,
            (Outcome::Whole(Prediction::Classes(classes)), Writer::Classes(parts)) => {
                return Ok(parts.write(&pass.part(section), &pass.numbers(classes))?);
            }
            (Outcome::Whole(_), _) => unreachable!("an output that is written whole"),
        };
        match (self, &pass.form, output) {
            (Writer::Classes(_), ..) => unreachable!("classes are no numbers"),
            (Writer::Tensor(parts), _, output) => {
                let numbers = pass.numbers(pass.tensor(section, output, pass.padding())?);
                parts.write(&pass.part(section), &numbers)?;
            }
            (Writer::Archive(archive), Form::Ragged(names), Rows::Packed(packed)) => {
                for (name, own) in names[section.rows.clone()].iter().zip(unpack_sequence(&packed)?)
                {
                    let shape = pass.split(own.shape());
                    archive.member(name, &reshaped(own, &shape))?;
                }
            }
            (
                Writer::Archive(archive),
                _,
                Rows::Packed(PackedSequence { data, .. }) | Rows::Padded(data),
            ) => archive.append(&pass.numbers(data))?,
        }
        Ok(())
    }

    /// Ends the output. A regular file still holds its previous content until the sink is committed.
    pub(super) fn finish(self, pass: &Pass<'_, T>) -> Result<Sink> {
        Ok(match self {
            Writer::Tensor(parts) => parts.finish()?,
            Writer::Classes(parts) => parts.finish()?,
            Writer::Archive(mut archive) => {
                for (name, numbers) in pass.index.iter().flat_map(whole_members) {
                    archive.member(name, &numbers)?;
                }
                archive.finish()?
            }
        })
    }
}
