//! The shape report: the layer, its inputs and outputs, and the decisions of the program.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use elman::files::FileError;
use elman::{Config, Dtype};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::args::ReportForm;

/// Remarks that a user should see.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(clippy::struct_field_names, reason = "the names in the JSON report")]
pub(crate) struct Notes {
    /// The form of the report that they belong to.
    #[serde(skip)]
    pub(crate) form: ReportForm,
    /// Decisions of the program.
    pub(crate) notes: Vec<String>,
    /// Probable mistakes of the user.
    pub(crate) warnings: Vec<String>,
    /// PyTorch's arguments that were assumed, with their values.
    #[serde(skip)]
    pub(crate) assumptions: Map<String, Value>,
    /// Notes on standard error, also with `--quiet`: the result may be another one than the user expects. A
    /// report for scripts has them in its fields.
    #[serde(skip)]
    pub(crate) said: Vec<String>,
}

impl Notes {
    pub(crate) fn new(form: ReportForm) -> Self {
        Notes { form, ..Notes::default() }
    }

    /// A decision that concerns the work ahead: on standard error at once, or among the notes of a report for scripts.
    pub(crate) fn announce(&mut self, text: String) {
        match self.form {
            ReportForm::Text => say(&format!("note: {text}\n")),
            ReportForm::Json => self.notes.push(text),
            ReportForm::None => {}
        }
    }

    /// A remark that `--quiet` does not silence, or a note of a report for scripts.
    pub(crate) fn say(&mut self, text: String) {
        match self.form {
            ReportForm::Json => self.notes.push(text),
            _ => self.said.push(text),
        }
    }

    /// A probable mistake that changes the numbers: `--quiet` does not silence it.
    pub(crate) fn warn(&mut self, text: String) {
        match self.form {
            ReportForm::None => self.said.push(text),
            _ => self.warnings.push(text),
        }
    }

    /// Leaves only the warnings of a report for people, for a result of a few lines: they are said.
    pub(crate) fn shorten(&mut self, short: bool) {
        if short && self.form == ReportForm::Text {
            self.form = ReportForm::None;
            self.warnings.drain(..).for_each(|text| say(&format!("warning: {text}\n")));
        }
    }

    /// Prints what `--quiet` does not silence.
    pub(crate) fn print_said(&mut self) {
        self.said.drain(..).for_each(|text| say(&format!("note: {text}\n")));
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let notes = self.notes.iter().map(|text| format!("note: {text}"));
        notes.chain(self.warnings.iter().map(|text| format!("warning: {text}")))
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct TensorLine {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// A name for each axis; empty for axes without names.
    pub(crate) axes: Vec<&'static str>,
    pub(crate) dtype: String,
    /// Its file; `None` for a tensor that was neither read nor written.
    pub(crate) file: Option<String>,
}

impl TensorLine {
    pub(crate) fn new(
        name: &str,
        (shape, axes): (&[usize], &[&'static str]),
        dtype: String,
        file: Option<String>,
    ) -> Self {
        let (name, shape, axes) = (name.to_owned(), shape.to_vec(), axes.to_vec());
        TensorLine { name, shape, axes, dtype, file }
    }
}

pub(crate) struct RunLine {
    /// PyTorch's name: train or eval.
    pub(crate) mode: &'static str,
    pub(crate) kernel: &'static str,
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
}

impl RunLine {
    pub(crate) fn text(&self) -> String {
        let RunLine { mode, kernel, threads, seconds } = self;
        let threads = counted(*threads, "thread");
        format!("{mode}, kernel {kernel}, {threads}, {seconds:.6} s")
    }
}

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) command: &'static str,
    pub(crate) layer: Option<(Config, Dtype)>,
    /// The file of the weights; `None` for fresh ones, or without a layer.
    pub(crate) weights: Option<String>,
    /// The seed of random numbers that were drawn from a new stream.
    pub(crate) seed: Option<u64>,
    /// The file of the generator's state.
    pub(crate) rng: Option<String>,
    pub(crate) tensors: Vec<TensorLine>,
    pub(crate) run: Option<RunLine>,
    /// The numbers of files as PyTorch prints them, with `--values`.
    pub(crate) values: Option<Vec<(String, String)>>,
    pub(crate) notes: Notes,
}

impl Report {
    /// Prints the report in the form of its notes; on standard error if `stdout_taken`.
    pub(crate) fn print(mut self, stdout_taken: bool) -> Result<()> {
        self.notes.print_said();
        match self.notes.form {
            ReportForm::None => print(&self.printed_values(), stdout_taken),
            ReportForm::Text => print(&(self.text() + &self.printed_values()), stdout_taken),
            ReportForm::Json => print(&format!("{}\n", self.json()), stdout_taken),
        }
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some((config, dtype)) = &self.layer {
            lines.push(layer_line(config, *dtype));
        }
        let row = |name: &str, value: &str, file: &str| {
            [name.to_owned(), value.to_owned(), String::new(), file.to_owned()]
        };
        let fresh = self.run.as_ref().map(|_| "fresh");
        let weights = self.weights.as_deref().or(fresh).map(|place| row("weights", place, ""));
        let seed = self.seed.map(|seed| row("seed", &seed.to_string(), ""));
        let rng = self.rng.as_ref().map(|file| row("rng", "", file));
        let tensors = self.tensors.iter().map(tensor_row);
        let rows: Vec<_> = weights.into_iter().chain(seed).chain(tensors).chain(rng).collect();
        lines.extend(aligned(&rows.iter().collect::<Vec<_>>()));
        lines.extend(self.run.as_ref().map(RunLine::text));
        lines.extend(self.notes.lines());
        lines.join("\n") + "\n"
    }

    /// The numbers of files, each under its name.
    fn printed_values(&self) -> String {
        let files = self.values.iter().flatten();
        files.flat_map(|(file, values)| [file, ":\n", values, "\n"]).collect()
    }

    fn json(&self) -> Value {
        let layer = self.layer.as_ref().map(|(config, dtype)| layer_json(config, *dtype));
        let run = self.run.as_ref();
        let mut fields = json!({
            "command": self.command,
            "layer": layer,
            "weights": self.weights,
            "seed": self.seed,
            "rng": self.rng,
            "tensors": self.tensors,
            "mode": run.map(|run| run.mode),
            "kernel": run.map(|run| run.kernel),
            "threads": run.map(|run| run.threads),
            "seconds": run.map(|run| run.seconds),
            "assumptions": self.notes.assumptions,
            "notes": self.notes.notes,
            "warnings": self.notes.warnings,
        });
        if let Some(values) = &self.values {
            fields["values"] =
                values.iter().map(|(file, text)| (file.clone(), json!(text))).collect();
        }
        fields
    }
}

/// A layer as the text of a report names it.
pub(crate) fn layer_line(config: &Config, dtype: Dtype) -> String {
    let count = config.num_parameters().unwrap_or(usize::MAX);
    let nonlinearity = config.nonlinearity;
    format!("{config}, {nonlinearity}, {dtype}, {count} parameters")
}

/// A layer's configuration, with its name, type and number of parameters.
pub(crate) fn layer_json(config: &Config, dtype: Dtype) -> Value {
    let mut fields = config.to_json();
    fields["repr"] = json!(config.to_string());
    fields["dtype"] = json!(dtype.to_string());
    fields["parameters"] = json!(config.num_parameters());
    fields
}

/// Prints a text; on standard error if `stdout_taken`.
pub(crate) fn print(text: &str, stdout_taken: bool) -> Result<()> {
    if stdout_taken {
        say(text);
        return Ok(());
    }
    let written = io::stdout().lock().write_all(text.as_bytes());
    Ok(written.map_err(|source| FileError::Write { place: "stdout".to_owned(), source })?)
}

/// Prints on standard output what is too long to be built before.
pub(crate) fn print_with(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = write(&mut out).and_then(|()| out.flush());
    Ok(written.map_err(|source| FileError::Write { place: "stdout".to_owned(), source })?)
}

/// Prints a report as a line of JSON.
pub(crate) fn print_json(report: &impl Serialize) -> Result<()> {
    print_with(|out| {
        serde_json::to_writer(&mut *out, report)?;
        out.write_all(b"\n")
    })
}

/// Prints a text on standard error. Words there never decide about data: if they cannot be written, the outputs and
/// the exit code are the same.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn tensor_row(tensor: &TensorLine) -> [String; 4] {
    let TensorLine { name, shape, axes, dtype, file } = tensor;
    let shape = format!("{shape:?} {}", sizes(axes, shape)).trim_end().to_owned();
    [name.clone(), shape, dtype.clone(), file.clone().unwrap_or_default()]
}

/// The names of axes with their sizes or indices.
pub(crate) fn sizes(axes: &[&str], sizes: &[usize]) -> String {
    let pairs: Vec<_> =
        axes.iter().zip(sizes).map(|(axis, size)| format!("{axis} {size}")).collect();
    pairs.join(", ")
}

/// A number of things.
pub(crate) fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Rows with their columns under each other. A row without a third column does not widen the second.
pub(crate) fn aligned(rows: &[&[String; 4]]) -> impl Iterator<Item = String> {
    let width = |column: usize| {
        let counted = rows.iter().filter(|row| column == 0 || !row[2].is_empty());
        counted.map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let (first, second, third) = (width(0), width(1), width(2));
    let line = move |[a, b, c, d]: &[String; 4]| {
        format!("{a:first$}  {b:second$}  {c:third$}  {d}").trim_end().to_owned()
    };
    rows.iter().map(move |row| line(row))
}

/// A computed number with 6 digits, more than a reader compares.
pub(crate) fn rounded(number: f64) -> String {
    format!("{:?}", format!("{number:.5e}").parse().unwrap_or(number))
}

/// The same without a fraction of zero.
pub(crate) fn short(number: f64) -> String {
    let text = rounded(number);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_numbers_have_six_digits() {
        for (number, text) in
            [(2.0 / 3.0, "0.666667"), (-1e-7, "-1e-7"), (1_234_567.0, "1234570.0"), (5.0, "5.0")]
        {
            assert_eq!(rounded(number), text);
        }
        let numbers = [0.0, 1e-5, 1.3e-6, 0.016, 2.0, 0.123_456_78, 1_234_567.0, f64::INFINITY];
        let expected = ["0", "1e-5", "1.3e-6", "0.016", "2", "0.123457", "1234570", "inf"];
        assert_eq!(numbers.map(short), expected);
    }
}
