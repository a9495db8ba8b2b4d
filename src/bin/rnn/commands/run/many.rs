//! A run over many files in one process: the weights are read once, and the outputs of many inputs are synced together.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use elman::files::{FileError, FileId, OpenSource, Source, is_too_many_files};
use elman::{Checkpoint, Element, Model, ModelCheckpoint, ModelConfig};

use crate::args::Run;
use crate::layer::described;
use crate::pipeline::output::Outputs;
use crate::pipeline::output_path::shown;
use crate::pipeline::state::fingerprint;
use crate::report::{Notes, RunLine, layer_line, print_with};
use crate::rng::Rng;
use crate::start::Start;
use crate::threads;

use super::files::{InputFiles, is_done};
use super::model::{load, open_input, places, read_weights};
use super::plan::{self, RunPlan};
use super::runs::Runs;
use super::work::{Done, Shared, Work};
use super::{job, say_assumptions};

pub(super) fn run(
    args: &Run,
    plan: &RunPlan<'_>,
    source: Option<Source>,
    mut notes: Notes,
) -> Result<()> {
    let folders = &plan.outputs.paths;
    let files = InputFiles::find(&args.files, args.input.as_ref(), folders)?;
    folders.iter().flatten().try_for_each(|folder| create(folder))?;
    let weights = source.map(|source| source.open()).transpose()?;
    let id = weights.as_ref().and_then(OpenSource::id);
    plan::refuse_weights(args, &plan.outputs, id)?;
    let (weights, around) = read_weights(args, weights, &mut notes)?;
    let Some(weights) = weights else { unreachable!("the plan has asked for weights") };
    notes.notes.extend(files.left_alone.clone());
    typed!(
        args.dtype.unwrap_or(weights.layer.dtype),
        run_as(args, plan, &files, (weights, around, id), notes)
    )
}

/// Creates a folder for outputs, unless it exists.
fn create(folder: &Path) -> Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if !folder.is_dir() => {
            let (place, what) = (shown(folder), error.to_string());
            Err(FileError::Create { place, what, source: Some(error) }.into())
        }
        _ => Ok(()),
    }
}

fn run_as<T: Element>(
    args: &Run,
    plan: &RunPlan<'_>,
    files: &InputFiles,
    (mut weights, around, id): (ModelCheckpoint, ModelConfig, Option<FileId>),
    mut notes: Notes,
) -> Result<()> {
    let (folders, options) = (&plan.outputs.paths, &plan.options);
    let layer = described(&mut weights.layer);
    let has_job = args.files.resume || args.files.shard.is_some();
    let parts = if has_job { weights.to_tensors::<T>() } else { Vec::new() };
    let model = load::<T>(args, weights, &mut notes)?;
    if let Some(folder) = folders[0].as_ref().filter(|_| has_job) {
        job::claim(folder, &job::of(fingerprint_of(&model, &around, parts)))?;
    }
    let left = files.paths.iter().filter(|path| !(args.files.resume && is_done(path, folders)));
    if args.files.pending {
        // The bytes of a path, which may not be text.
        let line = |path: &PathBuf| [path.as_os_str().as_encoded_bytes(), b"\n"].concat();
        let lines: Vec<u8> = left.flat_map(line).collect();
        return print_with(|out| out.write_all(&lines));
    }
    let pool = threads::pool(args.engine.threads, &mut notes.notes)?;
    let start = Start::new(Some(&layer));
    let shared = Shared { args, options, model: &model, start: &start, pool: &pool };
    let all = files.paths.len();
    let (began, mut runs) = (Instant::now(), Runs::new(notes.form, all));
    let one = |path: &Path| run_one(&shared, path, folders, (&layer, &around, id), notes.clone());
    run_each(left, &mut runs, one)?;
    let run = RunLine {
        mode: if args.train { "train" } else { "eval" },
        kernel: model.rnn().kernel().name(),
        threads: pool.current_num_threads(),
        seconds: began.elapsed().as_secs_f64(),
    };
    let first = layer_line(model.rnn().config(), T::DTYPE);
    runs.report([&first, &layer.place, &run.text()], files, folders, notes)
}

/// The sum over a model.
fn fingerprint_of<T: Element>(
    model: &Model<T>,
    around: &ModelConfig,
    parts: Vec<(String, ndarray::ArrayD<T>)>,
) -> u64 {
    let config = model.rnn().config().to_json().to_string();
    let texts = [config.as_str(), &around.to_json().to_string()];
    fingerprint(&texts, model.rnn().to_tensors().into_iter().chain(parts))
}

/// Runs one input after the other. If uncommitted outputs exhaust the file handles, commits them and repeats the input.
fn run_each<'a>(
    paths: impl Iterator<Item = &'a PathBuf>,
    runs: &mut Runs,
    one: impl Fn(&Path) -> Result<Done>,
) -> Result<()> {
    for path in paths {
        let mut ended = one(path);
        if runs.has_waiting() && ended.as_ref().is_err_and(needs_handles) {
            runs.commit()?;
            ended = one(path);
        }
        runs.add(shown(path), ended)?;
    }
    runs.commit()
}

/// Runs one of many inputs.
fn run_one<T: Element>(
    shared: &Shared<'_, T>,
    path: &Path,
    folders: &[Option<PathBuf>; 4],
    (layer, around, id): (&Checkpoint, &ModelConfig, Option<FileId>),
    notes: Notes,
) -> Result<Done> {
    let args = shared.args;
    let name = path.file_name().unwrap_or_default();
    let mut outputs = Outputs::in_folders(folders, name, args.report.overwrite(), &args.written);
    outputs.open_named()?;
    let (input, lengths) = open_input(args, path.as_os_str(), around, &mut outputs)?;
    plan::refuse_weights(args, &outputs, id)?;
    // Each input has the random numbers that it would have alone.
    let rng = Rng::open::<&Path>(args.rng.seed, None, [])?;
    let mut work = Work { input, lengths, outputs, rng, notes };
    say_assumptions(args, Some(layer), &work.input, around, &mut work.notes)?;
    let places = places(args, Some(layer), around, &work);
    shared.run(work, &places, None)
}

/// Whether an error is that of a process with too many open files.
fn needs_handles(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_too_many_files)
}
