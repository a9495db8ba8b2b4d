//! The outputs of a command: their names and formats, and the files of a run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::files::{
    KeptCells, Overwrite, Pending, Sink, TensorFormat, is_standard_output, write_npz,
};
use elman::{Element, Prediction};
use ndarray::ArrayViewD;

use super::beside::Beside;
use super::output_path::{append_extension, check_extension, check_shape, shown, tensor_format};
use super::pass::Pass;
use super::prediction::{Outcome, Results, write_classes};
use super::rows::reshaped;
use super::writer::Writer;
use crate::args::{Format, TableOutputArgs};
use crate::explain::hint;
use crate::failure::{Usage, with_hint};

/// Names and flags of the outputs.
pub(crate) const OUTPUTS: [(&str, &str); 4] =
    [("output", "-o"), ("h_n", "--hn"), ("last", "--last"), ("all hidden states", "--all-hidden")];

/// The files of a run's outputs, in the order of [`OUTPUTS`].
pub(crate) struct Outputs {
    pub(crate) paths: [Option<PathBuf>; 4],
    naming: Naming,
    /// The fate of files that exist.
    overwrite: Overwrite,
    /// Names of the classes, for outputs of text.
    pub(crate) labels: Option<Vec<String>>,
    /// What stands beside the numbers of a table.
    pub(crate) beside: Beside,
    /// The format of standard output.
    stdout: Option<Format>,
    /// The files that are open; `None` also while a [`Writer`] has the file.
    pub(super) sinks: [Option<Sink>; 4],
}

/// The origin of the outputs' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Typed,
    /// None was named: the output is a .npy or an .npz, as the input is.
    Default,
    /// Each is in a folder, under the name of its input. The extension of its format follows if that of the input has
    /// another one.
    InFolder,
}

impl Outputs {
    /// The outputs of one of many inputs, in these folders, under the name of the input. They are synced later.
    pub(crate) fn in_folders(
        folders: &[Option<PathBuf>; 4],
        name: &OsStr,
        overwrite: Overwrite,
        written: &TableOutputArgs,
    ) -> Self {
        let join = |folder: &Option<PathBuf>| folder.as_ref().map(|folder| folder.join(name));
        let (paths, naming) = (folders.each_ref().map(join), Naming::InFolder);
        let (beside, sinks) = (Beside::new(written), [const { None }; 4]);
        Outputs { paths, naming, overwrite, labels: None, beside, stdout: None, sinks }
    }

    /// The outputs that were named, or the defaults if none was.
    pub(crate) fn new(
        mut paths: [Option<PathBuf>; 4],
        overwrite: Overwrite,
        written: &TableOutputArgs,
        stdout: Option<Format>,
    ) -> Result<Self> {
        let default = paths.iter().all(Option::is_none);
        let naming = if default { Naming::Default } else { Naming::Typed };
        if default {
            paths[..2].clone_from_slice(&["output.npy", "h_n.npy"].map(|path| Some(path.into())));
        }
        if stdout.is_some() && !paths.iter().flatten().any(|path| is_standard_output(path)) {
            let message = "expected an output to - with --format, got none".to_owned();
            return Err(with_hint(Usage(message), hint::set("-o", "-")));
        }
        let (beside, sinks) = (Beside::new(written), [const { None }; 4]);
        Ok(Outputs { paths, naming, overwrite, labels: None, beside, stdout, sinks })
    }

    /// Refuses --names and --keep if the output is no table.
    pub(crate) fn check_beside(&self) -> Result<()> {
        self.beside.check_table(self.format(0))
    }

    /// The path of an output, or the name of a file of the format of standard output.
    pub(crate) fn formed<'a>(&self, path: &'a Path) -> &'a Path {
        let format = self.stdout.filter(|_| is_standard_output(path));
        format.map_or(path, |format| Path::new(format.file_name()))
    }

    /// Whether standard output takes text.
    pub(crate) fn stdout_is_text(&self) -> bool {
        self.stdout.is_some_and(Format::is_text)
    }

    /// Gives a table the names of the input's sequences, beside each of its rows, or, if it is `pooled`, of its sequences.
    pub(crate) fn group(&mut self, names: KeptCells, pooled: bool) {
        // A typed --keep is of rows.
        self.beside.by_group = pooled && !self.beside.keeps;
        self.beside.keeps = self.format(0).is_table();
        self.beside.groups = Some(names);
    }

    /// Opens the outputs if they were named.
    pub(crate) fn open_named(&mut self) -> Result<()> {
        if self.naming == Naming::Default { Ok(()) } else { self.open() }
    }

    /// Opens the outputs if none was named; or leaves them out, if the result is lines of text on standard output.
    pub(crate) fn open_default(&mut self, as_lines: bool) -> Result<()> {
        if self.naming == Naming::Default && as_lines {
            (self.naming, self.paths) = (Naming::Typed, [const { None }; 4]);
        }
        if self.naming == Naming::Default { self.open() } else { Ok(()) }
    }

    /// Whether the output is printed as lines of text.
    fn are_lines(&self) -> bool {
        self.paths.iter().all(Option::is_none)
    }

    /// Whether the output is printed or written, rather than the states alone.
    pub(super) fn wants_output(&self) -> bool {
        self.paths[0].is_some() || self.are_lines()
    }

    /// The lines of text that are the result if there is no other output.
    pub(crate) fn text<T: Element>(
        &self,
        pass: &Pass<'_, T>,
        results: &mut Results<T>,
    ) -> Result<Option<String>> {
        let output = results.output.take_if(|_| self.are_lines());
        output.map(|output| pass.lines(output, self.labels.as_deref())).transpose()
    }

    /// Every file that is written, except standard output.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.paths.iter().flatten().filter(|path| path.as_os_str() != "-")
    }

    /// Whether an output goes to standard output.
    pub(crate) fn on_stdout(&self) -> bool {
        self.paths.iter().flatten().any(|path| is_standard_output(path))
    }

    /// Opens the files, except an output whose name depends on the form of the input.
    fn open(&mut self) -> Result<()> {
        if self.naming == Naming::InFolder {
            let [_, hn, last, all_hidden] = &mut self.paths;
            hn.iter_mut().chain(last).for_each(|path| append_extension(path, false));
            if let Some(path) = all_hidden {
                append_extension(path, true);
            }
        }
        let [_, hn, last, all_hidden] = self.paths.each_ref().map(Option::as_deref);
        for (path, flag) in [(hn, "--hn"), (last, "--last")] {
            path.map(|path| tensor_format(self.formed(path), flag)).transpose()?;
        }
        all_hidden
            .map_or(Ok(()), |path| check_extension(self.formed(path), "--all-hidden", true))?;
        (usize::from(self.naming != Naming::Typed)..4).try_for_each(|output| self.open_one(output))
    }

    fn open_one(&mut self, output: usize) -> Result<()> {
        let open = |path: &PathBuf| Sink::open(path, self.overwrite);
        let sink = self.paths[output].as_ref().map(open).transpose()?;
        let later =
            |sink| if self.naming == Naming::InFolder { Sink::sync_later(sink) } else { sink };
        self.sinks[output] = sink.map(later);
        Ok(())
    }

    /// Gives the output the form of its numbers: an .npz of an archive, else a .npy.
    pub(crate) fn for_input(&mut self, archive: bool) -> Result<()> {
        match &mut self.paths[0] {
            Some(path) if self.naming == Naming::Default => {
                path.set_extension(if archive { "npz" } else { "npy" });
                self.open_one(0)
            }
            Some(path) if self.naming == Naming::InFolder => {
                append_extension(path, archive);
                self.check_beside()?;
                self.open_one(0)
            }
            _ => match self.paths[0].as_deref().map(|path| self.formed(path)) {
                Some(path) if archive => check_extension(path, "-o", true),
                Some(path) => tensor_format(path, "-o").map(drop),
                None => Ok(()),
            },
        }
    }

    /// Refuses a table for a tensor that it cannot hold, before the tensor is computed.
    pub(crate) fn check_shapes<T: Element>(&self, pass: &Pass<'_, T>) -> Result<()> {
        let shapes = &pass.shapes();
        for ((path, output), shape) in self.paths.iter().zip(OUTPUTS).zip(shapes) {
            let Some(path) = path.as_deref().map(|path| self.formed(path)) else { continue };
            let states = (output.0 == "h_n").then(|| self.beside.shape_of_states(shape));
            let shape = states.as_ref().unwrap_or(shape);
            check_shape(path, output, shape)?;
        }
        self.beside.check(pass, &shapes[0])
    }

    /// The format of a single tensor; that of an archive does not depend on the extension.
    fn format(&self, output: usize) -> TensorFormat {
        let path = self.paths[output].as_deref().map(|path| self.formed(path));
        path.and_then(TensorFormat::of).unwrap_or(TensorFormat::Npy)
    }

    /// Whether the output is an archive by its name, except a default one.
    pub(crate) fn output_is_archive(&self) -> bool {
        let is_npz = |path: &PathBuf| self.formed(path).extension().is_some_and(|own| own == "npz");
        self.naming != Naming::Default && self.paths[0].as_ref().is_some_and(is_npz)
    }

    /// Whether the output is written as text, which is written whole.
    pub(crate) fn output_is_text(&self) -> bool {
        self.format(0) != TensorFormat::Npy
    }

    /// Whether the output, if there is one, can be written at any place.
    pub(super) fn output_is_file(&self) -> bool {
        self.sinks[0].as_ref().is_none_or(Sink::is_file)
    }

    /// Writes a tensor in the format of its file, if it has one.
    fn write<T: Element>(&mut self, output: usize, tensor: &ArrayViewD<'_, T>) -> Result<()> {
        let format = self.format(output);
        let Some(sink) = &mut self.sinks[output] else { return Ok(()) };
        let states;
        let mut tensor = tensor.view();
        if output == 1 && format.is_table() {
            states = self.beside.states(tensor);
            tensor = states.view();
        }
        let columns = tensor.shape().last().copied().unwrap_or(0);
        let lines = match output {
            0 => self.beside.lines(format, columns, self.labels.as_deref()),
            _ => self.beside.lines_of_groups(format, OUTPUTS[output].0, columns),
        };
        Ok(sink.write(|file| lines.write(file, |file| format.write(file, &tensor)))?)
    }

    /// The names of the files, for the report.
    pub(crate) fn names(&self) -> [Option<String>; 4] {
        self.paths.each_ref().map(|path| path.as_deref().map(shown))
    }

    /// Writes the remaining outputs, and returns all files.
    pub(crate) fn write_rest<T: Element>(
        mut self,
        pass: &Pass<'_, T>,
        results: &mut Results<T>,
    ) -> Result<impl Iterator<Item = Pending> + use<T>> {
        let (whole, [shape, ..]) = (pass.whole(), pass.shapes());
        let columns = pass.columns(&shape);
        match results.output.take() {
            Some(Outcome::Whole(Prediction::Values(values))) => self.write(0, &values.view())?,
            Some(Outcome::Whole(prediction)) => {
                let format = self.format(0);
                if let Some(sink) = &mut self.sinks[0] {
                    let lines = self.beside.lines(format, columns, None);
                    write_classes(sink, format, &prediction, self.labels.as_deref(), &lines)?;
                }
            }
            Some(Outcome::Rows(output)) if pass.has_tensor_output() && self.sinks[0].is_some() => {
                self.write(
                    0,
                    &reshaped(pass.tensor(&whole, output, pass.padding())?, &shape).view(),
                )?;
            }
            Some(Outcome::Rows(output)) => {
                if let Some(sink) = self.sinks[0].take() {
                    let mut writer = Writer::begin(sink, pass)?;
                    writer.write(pass, &whole, Outcome::Rows(output))?;
                    self.sinks[0] = Some(writer.finish(pass)?);
                }
            }
            None => {}
        }
        self.write(1, &results.h_n.view())?;
        results.last.as_ref().map_or(Ok(()), |last| self.write(2, &last.view()))?;
        if let Some(sink) = &mut self.sinks[3] {
            let members = results.all_hidden.iter();
            let members = members.map(|(name, tensor)| (name.as_str(), tensor as _));
            write_npz(sink, &members.collect::<Vec<_>>(), "")?;
        }
        Ok(self.sinks.into_iter().flatten().map(Pending::from))
    }
}
