//! The shape report: what went in, what came out, and what was decided on the way.

use std::io::{self, Write};

use anyhow::Result;
use elman::files::Dtype;
use elman::{Config, Error};
use serde_json::{Value, json};

use crate::args::{ReportArgs, ReportForm};

/// Remarks that a user should see.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) notes: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Notes {
    /// Something that was decided.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Something that is probably not what was meant.
    pub(crate) fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }
}

/// One tensor of a report.
#[derive(Debug)]
pub(crate) struct TensorLine {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// A name for each axis; none where there are no names for them.
    pub(crate) axes: Vec<&'static str>,
    pub(crate) dtype: String,
    /// Where it came from or went to; none for what was neither read nor written.
    pub(crate) file: Option<String>,
}

/// How a forward pass ran.
#[derive(Debug)]
pub(crate) struct RunLine {
    pub(crate) train: bool,
    pub(crate) kernel: &'static str,
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
}

/// Everything that a command has to say.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) command: &'static str,
    pub(crate) layer: Option<(Config, Dtype)>,
    /// Where the weights came from; none for fresh ones, or where there are none.
    pub(crate) weights: Option<String>,
    /// The seed of random numbers that were drawn from a new stream.
    pub(crate) seed: Option<u64>,
    /// The file of the generator's state.
    pub(crate) rng: Option<String>,
    pub(crate) tensors: Vec<TensorLine>,
    pub(crate) run: Option<RunLine>,
    pub(crate) notes: Notes,
}

impl Report {
    /// Prints the report in the form that was asked for; on standard error where `stdout_taken`.
    pub(crate) fn print(&self, args: &ReportArgs, stdout_taken: bool) -> Result<()> {
        let text = match args.report {
            _ if args.quiet => return Ok(()),
            ReportForm::None => return Ok(()),
            ReportForm::Text => self.text(),
            ReportForm::Json => format!("{}\n", self.json()),
        };
        print(&text, stdout_taken)
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some((config, dtype)) = &self.layer {
            let count = config.num_parameters().unwrap_or(usize::MAX);
            let nonlinearity = config.nonlinearity;
            lines.push(format!("{config}, {nonlinearity}, {dtype}, {count} parameters"));
        }
        let mut rows = Vec::new();
        match (&self.weights, &self.layer) {
            (Some(place), _) => {
                rows.push(["weights".to_owned(), place.clone(), String::new(), String::new()]);
            }
            (None, Some(_)) if self.run.is_some() => {
                rows.push(["weights".to_owned(), "fresh".to_owned(), String::new(), String::new()]);
            }
            _ => {}
        }
        if let Some(seed) = self.seed {
            rows.push(["seed".to_owned(), seed.to_string(), String::new(), String::new()]);
        }
        rows.extend(self.tensors.iter().map(tensor_row));
        if let Some(rng) = &self.rng {
            rows.push(["rng".to_owned(), String::new(), String::new(), rng.clone()]);
        }
        lines.extend(aligned(&rows));
        if let Some(run) = &self.run {
            let mode = if run.train { "train" } else { "eval" };
            let threads = if run.threads == 1 { "thread" } else { "threads" };
            lines.push(format!(
                "{mode}, kernel {}, {} {threads}, {:.6} s",
                run.kernel, run.threads, run.seconds
            ));
        }
        lines.extend(self.notes.notes.iter().map(|text| format!("note: {text}")));
        lines.extend(self.notes.warnings.iter().map(|text| format!("warning: {text}")));
        lines.join("\n") + "\n"
    }

    fn json(&self) -> Value {
        let layer = self.layer.as_ref().map(|(config, dtype)| {
            let mut fields = config.to_json();
            fields["repr"] = json!(config.to_string());
            fields["dtype"] = json!(dtype.to_string());
            fields["parameters"] = json!(config.num_parameters());
            fields
        });
        let tensors: Vec<_> = self.tensors.iter().map(tensor_json).collect();
        let run = self.run.as_ref();
        json!({
            "command": self.command,
            "layer": layer,
            "weights": self.weights,
            "seed": self.seed,
            "rng": self.rng,
            "tensors": tensors,
            "mode": run.map(|run| if run.train { "train" } else { "eval" }),
            "kernel": run.map(|run| run.kernel),
            "threads": run.map(|run| run.threads),
            "seconds": run.map(|run| run.seconds),
            "notes": self.notes.notes,
            "warnings": self.notes.warnings,
        })
    }
}

/// Prints a report; on standard error where `stdout_taken`.
pub(crate) fn print(text: &str, stdout_taken: bool) -> Result<()> {
    let (place, written) = if stdout_taken {
        ("stderr", io::stderr().lock().write_all(text.as_bytes()))
    } else {
        ("stdout", io::stdout().lock().write_all(text.as_bytes()))
    };
    Ok(written.map_err(|source| Error::Write { place: place.to_owned(), source })?)
}

fn tensor_row(tensor: &TensorLine) -> [String; 4] {
    let sizes = tensor.axes.iter().zip(&tensor.shape);
    let axes: Vec<_> = sizes.map(|(axis, size)| format!("{axis} {size}")).collect();
    let shape = if axes.is_empty() {
        format!("{:?}", tensor.shape)
    } else {
        format!("{:?} {}", tensor.shape, axes.join(", "))
    };
    let file = tensor.file.clone().unwrap_or_default();
    [tensor.name.clone(), shape, tensor.dtype.clone(), file]
}

fn tensor_json(tensor: &TensorLine) -> Value {
    json!({
        "name": tensor.name,
        "shape": tensor.shape,
        "axes": tensor.axes,
        "dtype": tensor.dtype,
        "file": tensor.file,
    })
}

/// Rows with their columns under each other. A row without a third column does not widen the second.
pub(crate) fn aligned(rows: &[[String; 4]]) -> Vec<String> {
    let width = |column: usize| {
        let counted = rows.iter().filter(|row| column == 0 || !row[2].is_empty());
        counted.map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let (first, second, third) = (width(0), width(1), width(2));
    let line = |[a, b, c, d]: &[String; 4]| {
        format!("{a:first$}  {b:second$}  {c:third$}  {d}").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
