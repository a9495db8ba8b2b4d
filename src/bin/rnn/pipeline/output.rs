//! The files of a run's outputs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::files::{AnyArray, Overwrite, Sink, TensorFormat, write_npz};
use elman::{Element, unpack_sequence};
use ndarray::{ArrayD, ArrayViewD};

use super::destination::{check_extension, check_shape, shown, tensor_format};
use super::extent::Form;
use super::packed::write_packed;
use super::pass::Pass;
use super::results::Results;
use super::rows::{Rows, reshaped};
use super::writer::Writer;

/// Names and flags of the outputs.
pub(crate) const OUTPUTS: [(&str, &str); 4] =
    [("output", "-o"), ("h_n", "--hn"), ("last", "--last"), ("all hidden states", "--all-hidden")];

/// Where the outputs go, in the order of [`OUTPUTS`].
#[derive(Clone, Debug)]
pub(crate) struct OutputPaths {
    pub(crate) paths: [Option<PathBuf>; 4],
    pub(crate) overwrite: Overwrite,
}

impl OutputPaths {
    /// The paths that were named, or the defaults if none was.
    fn named(&self, archive: bool) -> [Option<PathBuf>; 4] {
        if self.paths.iter().any(Option::is_some) {
            return self.paths.clone();
        }
        let output = if archive { "output.npz" } else { "output.npy" };
        [Some(PathBuf::from(output)), Some(PathBuf::from("h_n.npy")), None, None]
    }

    /// Whether one of them is standard output.
    pub(crate) fn on_stdout(&self) -> bool {
        self.paths.iter().flatten().any(|path| path == Path::new("-"))
    }

    /// Every file that is written, except standard output.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.named(false).into_iter().flatten().filter(|path| path != Path::new("-"))
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
        Ok(OutputFile { path: path.to_owned(), sink: Some(Sink::open(path, overwrite)?) })
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
    pub(crate) fn open(paths: &OutputPaths) -> Result<Self> {
        let [output, hn, last, all_hidden] = &paths.paths;
        for (path, flag) in [(hn, "--hn"), (last, "--last")] {
            path.as_ref().map(|path| tensor_format(path, flag)).transpose()?;
        }
        if let Some(path) = all_hidden {
            check_extension(path, "--all-hidden", true)?;
        }
        let [_, named @ ..] = &paths.named(false);
        let mut files = [const { None }; 4];
        for (file, path) in files.iter_mut().zip(std::iter::once(output).chain(named)) {
            let open = |path| OutputFile::open(path, paths.overwrite);
            *file = path.as_deref().map(open).transpose()?;
        }
        Ok(OutputFiles(files))
    }

    /// Gives the output the form of its input: an .npz if that is an archive, else a .npy.
    pub(crate) fn for_input(mut self, paths: &OutputPaths, archive: bool) -> Result<Self> {
        match (&paths.paths[0], &paths.named(archive)[0]) {
            (Some(path), _) if archive => check_extension(path, "-o", true)?,
            (Some(path), _) => drop(tensor_format(path, "-o")?),
            (None, Some(path)) => self.0[0] = Some(OutputFile::open(path, paths.overwrite)?),
            (None, None) => {}
        }
        Ok(self)
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

/// Writes an output in the form of its input.
fn write_output<T: Element>(
    file: &mut OutputFile,
    pass: &Pass<'_, T>,
    output: Rows<T>,
) -> Result<()> {
    let [shape, ..] = pass.shapes();
    match (output, &pass.extent.form, &mut file.sink) {
        (Rows::Packed(mut packed), Form::Packed, Some(sink)) => {
            packed.data = reshaped(packed.data, &shape);
            write_packed(sink, &packed)
        }
        (Rows::Packed(packed), Form::Ragged(names), Some(sink)) => {
            let own: Vec<_> =
                unpack_sequence(&packed)?.into_iter().map(|own| pass.unpacked(own)).collect();
            Ok(write_npz(sink, &members(names.iter().zip(&own)), "")?)
        }
        (output, ..) => {
            let tensor = pass.tensor(&pass.extent.whole(), output)?;
            file.write(&reshaped(tensor, &shape).view())
        }
    }
}

/// Tensors with their names as members of an archive.
fn members<'a, T: Element>(
    tensors: impl Iterator<Item = (&'a String, &'a ArrayD<T>)>,
) -> Vec<(&'a str, &'a dyn AnyArray)> {
    tensors.map(|(name, tensor)| (name.as_str(), tensor as &dyn AnyArray)).collect()
}
