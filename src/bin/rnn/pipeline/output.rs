//! The files of a run's outputs, written whole or section by section.

use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::files::{AnyArray, ArchiveWriter, Overwrite, PartWriter, Sink, TensorFormat, write_npz};
use elman::{Element, PackedSequence, unpack_sequence};
use ndarray::{ArrayD, ArrayViewD};

use super::destination::{check_extension, check_shape, shown, tensor_format};
use super::extent::{Form, Section};
use super::input::{Rows, reshaped};
use super::packed::{PACKED, whole_members};
use super::pass::{Pass, Results};

/// Names and flags of the outputs.
pub(crate) const OUTPUTS: [(&str, &str); 4] =
    [("output", "-o"), ("h_n", "--hn"), ("last", "--last"), ("all hidden states", "--all-hidden")];

/// The outputs that were named, in the order of [`OUTPUTS`].
#[derive(Debug)]
pub(crate) struct OutputPaths {
    pub(crate) named: [Option<PathBuf>; 4],
    /// The fate of files that exist.
    pub(crate) overwrite: Overwrite,
}

impl OutputPaths {
    /// The outputs that were named, or the defaults if none was.
    fn wanted(&self, archive: bool) -> [Option<&Path>; 4] {
        if self.named.iter().any(Option::is_some) {
            return self.named.each_ref().map(Option::as_deref);
        }
        let output = if archive { "output.npz" } else { "output.npy" };
        [Some(output), Some("h_n.npy"), None, None].map(|path| path.map(Path::new))
    }

    /// Every file that is written, except standard output.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.wanted(false).into_iter().flatten().filter(|path| *path != Path::new("-"))
    }

    /// Whether an output goes to standard output.
    pub(crate) fn on_stdout(&self) -> bool {
        self.named.iter().flatten().any(|path| path == Path::new("-"))
    }
}

/// The outputs of a run, found writable, in the order of [`OUTPUTS`].
pub(crate) struct OutputFiles([Option<OutputFile>; 4]);

/// A file that is going to be written.
struct OutputFile {
    path: PathBuf,
    /// `None` while a [`Writer`] has it.
    sink: Option<Sink>,
}

impl OutputFile {
    fn open(path: &Path, overwrite: Overwrite) -> Result<Self> {
        let sink = Sink::open(path, overwrite)?;
        Ok(OutputFile { path: path.to_owned(), sink: Some(sink) })
    }

    /// The format of a single tensor; that of an archive does not depend on the extension.
    fn format(&self) -> TensorFormat {
        TensorFormat::of(&self.path).unwrap_or(TensorFormat::Npy)
    }

    /// Writes a tensor in the format that the extension says.
    fn write<T: Element>(&mut self, tensor: &ArrayViewD<'_, T>) -> Result<()> {
        let format = self.format();
        let Some(sink) = &mut self.sink else { return Ok(()) };
        Ok(sink.write(|file| format.write(file, tensor))?)
    }
}

impl OutputFiles {
    /// Opens what was named; if nothing was, `h_n.npy`, and the output once the form of the input is known.
    pub(crate) fn open(outputs: &OutputPaths) -> Result<Self> {
        let [output, hn, last, all_hidden] = outputs.named.each_ref().map(Option::as_deref);
        for (path, flag) in [(hn, "--hn"), (last, "--last")] {
            path.map(|path| tensor_format(path, flag)).transpose()?;
        }
        if let Some(path) = all_hidden {
            check_extension(path, "--all-hidden", true)?;
        }
        let mut paths = outputs.wanted(false);
        paths[0] = output;
        let mut files = [const { None }; 4];
        for (file, path) in files.iter_mut().zip(paths) {
            *file = path.map(|path| OutputFile::open(path, outputs.overwrite)).transpose()?;
        }
        Ok(OutputFiles(files))
    }

    /// Gives the output the form of its input: an .npz if that is an archive, else a .npy.
    pub(crate) fn for_input(&mut self, outputs: &OutputPaths, archive: bool) -> Result<()> {
        match (&outputs.named[0], outputs.wanted(archive)[0]) {
            (Some(path), _) if archive => check_extension(path, "-o", true)?,
            (Some(path), _) => drop(tensor_format(path, "-o")?),
            (None, Some(path)) => self.0[0] = Some(OutputFile::open(path, outputs.overwrite)?),
            (None, None) => {}
        }
        Ok(())
    }

    /// Refuses a table for a tensor that it cannot hold, before the tensor is computed. `shapes` are those of the
    /// first outputs.
    pub(crate) fn check_shapes(&self, shapes: &[Vec<usize>; 3]) -> Result<()> {
        for ((file, output), shape) in self.0.iter().zip(OUTPUTS).zip(shapes) {
            if let Some(OutputFile { path, .. }) = file {
                check_shape(path, output, shape)?;
            }
        }
        Ok(())
    }

    /// Whether the output is written as text, which is written whole.
    pub(crate) fn output_is_text(&self) -> bool {
        self.0[0].as_ref().is_some_and(|output| output.format() != TensorFormat::Npy)
    }

    /// Whether the output, if there is one, can be written at any place.
    pub(crate) fn output_is_file(&self) -> bool {
        let sink = self.0[0].as_ref().and_then(|output| output.sink.as_ref());
        sink.is_none_or(Sink::is_file)
    }

    /// Begins an output that is written section by section.
    pub(super) fn begin<T: Element>(&mut self, pass: &Pass<'_, T>) -> Result<Option<Writer<T>>> {
        let sink = self.0[0].as_mut().and_then(|output| output.sink.take());
        sink.map(|sink| Writer::begin(sink, pass)).transpose()
    }

    /// Ends it.
    pub(super) fn end<T: Element>(
        &mut self,
        writer: Option<Writer<T>>,
        pass: &Pass<'_, T>,
    ) -> Result<()> {
        if let (Some(output), Some(writer)) = (&mut self.0[0], writer) {
            output.sink = Some(writer.finish(pass)?);
        }
        Ok(())
    }

    /// Writes what has not been written, then puts everything in its place, and returns the names of the files.
    pub(crate) fn commit<T: Element>(
        mut self,
        pass: &Pass<'_, T>,
        results: &mut Results<T>,
    ) -> Result<[Option<String>; 4]> {
        let [output, hn, last, all_hidden] = &mut self.0;
        if let (Some(file), Some(output)) = (output, results.output.take()) {
            write_output(file, pass, output)?;
        }
        for (file, tensor) in [(hn, Some(&results.h_n)), (last, results.last.as_ref())] {
            if let (Some(file), Some(tensor)) = (file, tensor) {
                file.write(&tensor.view())?;
            }
        }
        if let Some(OutputFile { sink: Some(sink), .. }) = all_hidden {
            let all = results.all_hidden.iter().map(|(name, tensor)| (name, tensor));
            write_npz(sink, &members(all), "")?;
        }
        let mut places = [const { None }; 4];
        for (place, file) in places.iter_mut().zip(self.0) {
            let Some(OutputFile { path, sink }) = file else { continue };
            sink.map_or(Ok(()), Sink::commit)?;
            *place = Some(shown(&path));
        }
        Ok(places)
    }
}

/// Writes a whole output in the form of its input.
fn write_output<T: Element>(
    file: &mut OutputFile,
    pass: &Pass<'_, T>,
    output: Rows<T>,
) -> Result<()> {
    let whole = pass.extent.whole();
    if let Form::Unbatched | Form::Batched = pass.extent.form {
        let [shape, ..] = pass.shapes();
        return file.write(&reshaped(pass.tensor(&whole, output)?, &shape).view());
    }
    let Some(sink) = file.sink.take() else { return Ok(()) };
    let mut writer = Writer::begin(sink, pass)?;
    writer.write(pass, &whole, output)?;
    file.sink = Some(writer.finish(pass)?);
    Ok(())
}

/// Tensors with their names as members of an archive.
fn members<'a, T: Element>(
    tensors: impl Iterator<Item = (&'a String, &'a ArrayD<T>)>,
) -> Vec<(&'a str, &'a dyn AnyArray)> {
    tensors.map(|(name, tensor)| (name.as_str(), tensor as &dyn AnyArray)).collect()
}

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
                    let shape = pass.split(own.shape());
                    archive.member(name, &reshaped(own, &shape))?;
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
