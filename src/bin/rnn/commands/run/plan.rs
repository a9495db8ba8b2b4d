//! What `rnn run` is going to do: its arguments, found not to exclude each other, as the pipeline takes them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::files::{FileId, TensorFormat, is_standard_output};
use elman::{ModelConfig, Pool};

use crate::args::Run;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::model_flags::gives_indices;
use crate::pipeline::input::{Input, check_stdin};
use crate::pipeline::kept;
use crate::pipeline::output::{OUTPUTS, Outputs};
use crate::pipeline::output_path::{is_same, refuse_terminal, shown};
use crate::pipeline::pass::PassOptions;
use crate::pipeline::sequences::unwanted_lengths;

/// Names of files for the outputs, in the order of [`OUTPUTS`].
const EXAMPLES: [&str; 4] = ["output.npy", "h_n.npy", "last.npy", "all.npz"];

pub(super) struct RunPlan<'a> {
    pub(super) input: RunInput<'a>,
    /// Of many inputs, their paths are those of folders.
    pub(super) outputs: Outputs,
    pub(super) options: PassOptions,
}

/// The input of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunInput<'a> {
    One(&'a OsStr),
    /// The files of a folder, or of a list.
    Many,
}

impl<'a> RunPlan<'a> {
    /// Makes all checks that need no open file.
    pub(super) fn new(args: &'a Run) -> Result<Self> {
        let inputs = [args.h0.as_ref(), args.weights.as_ref(), args.lengths.as_ref()];
        let listed = [args.input.as_ref(), args.files.list.as_ref()];
        check_stdin(inputs.into_iter().chain(listed).chain(args.model.files()))?;
        let input = RunInput::of(args)?;
        let paths = [&args.output, &args.hn, &args.last, &args.all_hidden].map(Clone::clone);
        let outputs = Outputs::new(paths, args.report.overwrite(), &args.written, args.format)?;
        if input != RunInput::Many {
            outputs.check_beside()?;
        }
        check_outputs(&outputs)?;
        let options = PassOptions {
            progress: input != RunInput::Many,
            train: args.train,
            check_finite: args.check_finite,
            split_directions: args.split_directions,
            last: args.last.is_some(),
            all_hidden: args.all_hidden.is_some(),
            total_length: args.total_length,
            padding_value: args.padding_value.unwrap_or(0.0),
        };
        Ok(RunPlan { input, outputs, options })
    }
}

impl<'a> RunInput<'a> {
    fn of(args: &'a Run) -> Result<Self> {
        let files = &args.files;
        let is_folder = args.output.as_deref().is_some_and(names_folder);
        match &args.input {
            Some(input) if is_folder && Path::new(input).is_dir() => {}
            None if is_folder => {}
            None => return Err(no_folder("--list")),
            Some(_) if files.shard.is_some() => return Err(no_folder("--shard")),
            Some(_) if files.resume => return Err(no_folder("--resume")),
            Some(input) => return Ok(RunInput::One(input)),
        }
        check_many(args).map(|()| RunInput::Many)
    }
}

/// Whether a path names a folder: it exists, or ends in a slash.
fn names_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// The error of a flag for many files without a folder for their outputs.
fn no_folder(flag: &str) -> anyhow::Error {
    let what = if flag == "--list" { "" } else { "--list or a folder as input, and " };
    let message = format!("expected {what}-o FOLDER/ with {flag}, got none");
    with_hint(Usage(message), hint::set("-o", "out/"))
}

/// Checks the flags of a run over many files.
fn check_many(args: &Run) -> Result<()> {
    if args.weights.is_none() {
        let message = "expected --weights for many inputs, got none".to_owned();
        return Err(with_hint(Usage(message), hint::set("--weights", "w.npz")));
    }
    if args.rng.rng.is_some() {
        let message =
            "expected one input with --rng, whose state goes from one run to the next, got many";
        return Err(with_hint(Usage(message.to_owned()), hint::without(&["--rng"])));
    }
    if args.values {
        let message = "expected one input with --values, got many".to_owned();
        return Err(with_hint(Usage(message), hint::without(&["--values"])));
    }
    for (flag, path) in [("--h0", &args.h0), ("--lengths", &args.lengths)] {
        if path.as_ref().is_some_and(|path| path == "-") {
            let message = format!("expected a file for {flag}, which many inputs use, got -");
            return Err(Usage(message).into());
        }
    }
    let outputs = [("--hn", &args.hn), ("--last", &args.last), ("--all-hidden", &args.all_hidden)];
    for (flag, path) in outputs {
        if let Some(path) = path.as_deref().filter(|path| !names_folder(path)) {
            let message = format!("{}: expected a folder for {flag}, as for -o", shown(path));
            let folder = format!("{}/", path.with_extension("").display());
            return Err(with_hint(Usage(message), hint::set(flag, folder)));
        }
    }
    Ok(())
}

/// Rejects outputs that are the weights, or in the folder of the weights.
pub(super) fn refuse_weights(args: &Run, outputs: &Outputs, id: Option<FileId>) -> Result<()> {
    let named = outputs.paths.each_ref().map(Option::as_deref);
    let named = OUTPUTS.into_iter().zip(EXAMPLES).zip(named);
    let named =
        named.filter_map(|(((name, flag), example), path)| Some((name, flag, example, path?)));
    let rng = args.rng.rng.as_deref().map(|path| ("the generator", "--rng", "rng.npy", path));
    kept::refuse_weights(id, named.chain(rng))
}

/// Refuses two outputs in one place, and binary data on a terminal.
fn check_outputs(outputs: &Outputs) -> Result<()> {
    let named = outputs.paths.each_ref().map(Option::as_deref);
    let all = || named.into_iter().zip(OUTPUTS).zip(EXAMPLES);
    let mut seen: Vec<(&str, &Path)> = Vec::new();
    for ((path, (name, flag)), example) in all() {
        let Some(path) = path else { continue };
        let same = |(_, other): &&(&str, &Path)| is_same(path, other);
        if let Some((other, first)) = seen.iter().find(same) {
            let message = if is_standard_output(path) {
                format!(
                    "expected one tensor on stdout, got {} for {other} and {name}",
                    path.display()
                )
            } else {
                format!("expected two files, got {} for {other} and {name}", shown(first))
            };
            return Err(with_hint(Usage(message), hint::set(flag, example)));
        }
        seen.push((name, path));
    }
    match all().find(|((path, _), _)| path.is_some_and(is_standard_output)) {
        _ if outputs.stdout_is_text() => Ok(()),
        Some(((_, (_, flag)), example)) => refuse_terminal(|| hint::set(flag, example)),
        None => Ok(()),
    }
}

/// Refuses `--lengths`, `--padding-value` and `--total-length` if nothing is padded. `--last` and `--all-hidden`
/// may hold padding for packed or single sequences too.
pub(super) fn check_padding(
    args: &Run,
    around: &ModelConfig,
    lengths: bool,
    input: &Input,
) -> Result<()> {
    let all = args.all_hidden.is_some();
    let (value, total) = match input {
        Input::Tensor(_) => (lengths, lengths),
        Input::Text(..) => (true, true),
        _ => (args.last.is_some() || all, all),
    };
    let value = args.padding_value.filter(|_| !value).map(|x| ("--padding-value", x.to_string()));
    let total = args.total_length.filter(|_| !total).map(|l| ("--total-length", l.to_string()));
    let flags: Vec<_> = value.into_iter().chain(total).collect();
    let unwanted: Vec<_> = flags.iter().map(|(flag, _)| *flag).collect();
    let (place, names) = (input.place(), unwanted.join(" and "));
    let (is_packed, own) = match input {
        _ if flags.is_empty() && lengths && !matches!(input, Input::Tensor(_)) => {
            return Err(unwanted_lengths(place));
        }
        _ if flags.is_empty() => return Ok(()),
        Input::Tensor(_) => {
            let message =
                format!("{names}: expected --lengths, which say where padding begins, got none");
            return Err(with_hint(Usage(message), hint::without(&unwanted)));
        }
        Input::Packed(..) => (true, "a packed sequence"),
        Input::Ragged(_) | Input::Grouped(..) | Input::Text(..) => (false, "single sequences"),
    };
    let message =
        format!("{place}: expected a padded tensor and --lengths with {names}, got {own}");
    // The result can be padded in a pipeline, if standard output is free and the result can be packed.
    let taken = [&args.hn, &args.last, &args.all_hidden];
    let taken = taken.into_iter().flatten().any(|path| is_standard_output(path));
    let is_archive = input.is_archive() && around.pool == Pool::Steps && !gives_indices(around);
    let packs = is_archive && !taken && (is_packed || !args.split_directions);
    Err(with_hint(Usage(message), packs.then(|| hint::padded(&flags, is_packed))))
}

/// The files of the outputs for --values, which reads them as tensors after the run. Refuses tables, whose cells may be
/// words, standard output and devices.
pub(super) fn tensor_files(outputs: &Outputs) -> Result<Vec<PathBuf>> {
    let is_tensor = |path: &PathBuf| {
        !is_standard_output(path)
            && path.metadata().map_or(true, |found| found.is_file())
            && !TensorFormat::of(path).is_some_and(TensorFormat::is_table)
    };
    let paths: Vec<_> = outputs.paths.iter().flatten().cloned().collect();
    let other = paths.iter().find(|path| !is_tensor(path)).map(|path| shown(path));
    let other = other.or_else(|| paths.is_empty().then(|| "lines of text".to_owned()));
    let Some(got) = other else { return Ok(paths) };
    let message = format!("expected outputs in .npy, .npz or .txt files with --values, got {got}");
    Err(with_hint(Usage(message), hint::without(&["--values"])))
}
