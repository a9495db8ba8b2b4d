//! The arguments of `rnn run`, turned into a plan once.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::files::{Source, TensorFile, written_file};
use elman::{Checkpoint, Dtype, Element, Kernel, Params, Rnn};

use crate::args::{LayerArgs, ReportArgs, RngArgs, Run, WeightsArgs};
use crate::explain::hint;
use crate::explain::shapes::{Places, explain};
use crate::explain::weights::hinted;
use crate::failure::{Data, Usage, with_hint};
use crate::layer::{self, config_from_flags, merged_config, note_dropout};
use crate::pipeline::destination::{refuse_terminal, shown};
use crate::pipeline::input::Input;
use crate::pipeline::lengths::{self, PaddedSizes};
use crate::pipeline::output::{OUTPUTS, OutputPaths};
use crate::pipeline::pass::PassOptions;
use crate::report::Notes;
use crate::rng::Rng;

/// The task of one `rnn run`.
pub(super) struct RunPlan<'a> {
    input: Source,
    columns: Vec<String>,
    pub(super) weights: Option<&'a OsStr>,
    of_weights: &'a WeightsArgs,
    layer: &'a LayerArgs,
    pub(super) dtype: Option<Dtype>,
    kernel: Kernel,
    pub(super) h_0: Option<Source>,
    pub(super) lengths: Option<&'a OsStr>,
    pub(super) padding_value: Option<f64>,
    pub(super) pass: PassOptions,
    pub(super) threads: Option<usize>,
    pub(super) outputs: OutputPaths,
    pub(super) rng: &'a RngArgs,
    pub(super) report: &'a ReportArgs,
}

impl<'a> RunPlan<'a> {
    /// Checks what can be checked before anything is opened.
    pub(super) fn new(args: &'a Run) -> Result<Self> {
        let plan = RunPlan {
            input: Source::parse(&args.input),
            columns: args.columns.iter().flat_map(|list| list.0.clone()).collect(),
            weights: args.weights.as_deref(),
            of_weights: &args.of_weights,
            layer: &args.layer,
            dtype: args.dtype,
            kernel: args.kernel.unwrap_or_else(Kernel::best),
            h_0: args.h0.as_deref().map(Source::parse),
            lengths: args.lengths.as_deref(),
            padding_value: args.padding_value,
            pass: PassOptions {
                padding: args.padding_value.unwrap_or(0.0),
                total_length: args.total_length,
                last: args.last.is_some(),
                all_hidden: args.all_hidden.is_some(),
                split_directions: args.split_directions,
                train: args.train,
                check_finite: args.check_finite,
            },
            threads: args.threads,
            outputs: OutputPaths {
                paths: [&args.output, &args.hn, &args.last, &args.all_hidden].map(Clone::clone),
                overwrite: args.report.overwrite(),
            },
            rng: &args.rng,
            report: &args.report,
        };
        plan.check_stdin()?;
        check_outputs(&plan.outputs)?;
        plan.refuse_among_weights()?;
        Ok(plan)
    }

    /// Refuses two inputs from standard input.
    fn check_stdin(&self) -> Result<()> {
        let files = [Some(&self.input), self.h_0.as_ref()];
        let files = files.into_iter().flatten().filter(|source| **source == Source::Stdin);
        let texts = [self.weights, self.lengths].into_iter().flatten().filter(|text| *text == "-");
        if files.count() + texts.count() > 1 {
            let message = "expected one tensor from stdin, got - for more than one".to_owned();
            return Err(Usage(message).into());
        }
        Ok(())
    }

    /// Refuses outputs in the folder of the weights: they would be a tensor too many there, or replace one.
    fn refuse_among_weights(&self) -> Result<()> {
        let Some(weights) = self.weights.and_then(|path| Path::new(path).canonicalize().ok())
        else {
            return Ok(());
        };
        let inside =
            |path: &PathBuf| written_file(path).is_some_and(|file| file.parent() == Some(&weights));
        let Some(path) = self.outputs.files().filter(|_| weights.is_dir()).find(inside) else {
            return Ok(());
        };
        let message =
            format!("expected outputs outside the folder of the weights, got {}", shown(&path));
        Err(with_hint(Usage(message), hint::outputs_outside()))
    }

    /// Reads the weights that were named.
    pub(super) fn weights(&self, notes: &mut Notes) -> Result<Option<Checkpoint>> {
        let Some(path) = self.weights else { return Ok(None) };
        let weights = layer::read(self.of_weights, path, self.dtype, notes)?;
        self.note_recognised(&weights.place, &weights.recognised, notes);
        Ok(Some(weights))
    }

    /// Opens the input. An archive of one tensor is that tensor, unless the output is an archive too.
    pub(super) fn open_input(&self) -> Result<Input> {
        let output = self.outputs.paths[0].as_ref().and_then(|output| output.extension());
        let archive = output.is_some_and(|extension| extension == "npz");
        Input::open(&self.input, &self.columns, self.lengths.is_none() && archive)
    }

    /// The names of all inputs, for messages and the report.
    pub(super) fn places(&self, weights: Option<&Checkpoint>, input: &Input) -> Places {
        Places {
            input: input.place().to_owned(),
            input_shape: input.shape(),
            h_0: self.h_0.as_ref().map(ToString::to_string),
            weights: weights.map(|weights| weights.place.clone()),
            hidden_size: self.layer.hidden_size,
            lengths: self.lengths.is_some() || input.is_archive(),
        }
    }

    /// The layer: with the weights that were named, else with fresh ones.
    pub(super) fn build<T: Element>(
        &self,
        weights: Option<Checkpoint>,
        places: &Places,
        rng: &mut Rng,
        notes: &mut Notes,
    ) -> Result<Rnn<T>> {
        let config = if let Some(weights) = &weights {
            merged_config(weights, self.layer, notes)?
        } else {
            // A tensor without axes is refused later, by the layer.
            let features = places.input_shape.last().copied().unwrap_or(1);
            config_from_flags(self.layer, Some(features))?
        };
        note_dropout(&config, self.pass.train, notes);
        let Some(weights) = weights else {
            // The one size that did not come from a flag is that of the input.
            let params = Params::init(config.clone(), &mut rng.generator);
            let rnn = params.and_then(Rnn::from_params);
            let rnn = rnn.map_err(|error| explain(error.into(), &config, places))?;
            return Ok(rnn.with_kernel(self.kernel));
        };
        if let Some(found) = layer::not_finite(&weights) {
            if self.pass.check_finite {
                return Err(Data(found).into());
            }
            notes.warn(found);
        }
        let rnn = weights.into_rnn(config.clone()).map_err(|error| hinted(error, &config))?;
        Ok(rnn.with_kernel(self.kernel))
    }

    /// Reads `--lengths` for a tensor, if they were named.
    pub(super) fn read_lengths<T: Element>(
        &self,
        rnn: &Rnn<T>,
        input: &TensorFile,
    ) -> Result<Option<Vec<usize>>> {
        let Some(text) = self.lengths else { return Ok(None) };
        let shape = &input.header().shape;
        let (steps, batch) = rnn.check_input(shape)?;
        let batch_first = rnn.config().batch_first;
        let batched = shape.len() == 3;
        lengths::read(text, &PaddedSizes { batch, steps, batch_first, batched }).map(Some)
    }

    /// Notes how a tensor was recognised, if more is to be said.
    pub(super) fn note_recognised(&self, name: &str, recognised: &str, notes: &mut Notes) {
        if self.report.verbose {
            notes.note(format!("{name}: recognised as {recognised}"));
        }
    }
}

/// Refuses two outputs in one place, and binary data on a terminal.
fn check_outputs(paths: &OutputPaths) -> Result<()> {
    let examples = ["output.npy", "h_n.npy", "last.npy", "all.npz"];
    let named = || paths.paths.iter().zip(OUTPUTS).zip(examples);
    let stdout = Path::new("-");
    let mut seen: Vec<(&str, &PathBuf)> = Vec::new();
    for ((path, (name, flag)), example) in named() {
        let Some(path) = path else { continue };
        let same = |(_, other): &&(&str, &PathBuf)| match (written_file(path), written_file(other))
        {
            (Some(file), Some(other)) => file == other,
            _ => *path == stdout && *other == stdout,
        };
        if let Some((other, first)) = seen.iter().find(same) {
            let message = if path == stdout {
                format!("expected one tensor on stdout, got - for {other} and {name}")
            } else {
                format!("expected two files, got {} for {other} and {name}", shown(first))
            };
            return Err(with_hint(Usage(message), hint::set(flag, example)));
        }
        seen.push((name, path));
    }
    let on_stdout = |path: &Option<PathBuf>| path.as_deref() == Some(stdout);
    match named().find(|((path, _), _)| on_stdout(path)) {
        Some(((_, (_, flag)), example)) => refuse_terminal(flag, example),
        None => Ok(()),
    }
}
