//! A run over many files in one process: the weights are read once, and the outputs of many inputs are synced together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use elman::files::{
    FileError, FileId, OpenSource, Pending, Source, commit_each, is_too_many_files,
};
use elman::{Checkpoint, Element, Model, ModelCheckpoint, ModelConfig};
use serde_json::json;

use crate::args::{ReportForm, Run};
use crate::explain;
use crate::failure::Reported;
use crate::layer::described;
use crate::pipeline::output::{OUTPUTS, Outputs, shown};
use crate::pipeline::state::fingerprint;
use crate::progress;
use crate::report::{Notes, Report, RunLine, aligned, layer_line, print, say};
use crate::rng::Rng;
use crate::start::Start;
use crate::threads;

use super::files::{InputFiles, is_done};
use super::model::{load, open_input, places, read_weights};
use super::plan::{self, RunPlan};
use super::work::{Done, Shared, Work};
use super::{job, say_assumptions};

/// Most files that are open while they wait for their sync: a process may have 1024 by default.
const MAX_WAITING: usize = 256;
/// Longest time that outputs wait for their sync, so that little is lost with the process.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// Exit codes of failures that are worth a retry.
const RETRIED: [u8; 3] = [71, 74, 75];
/// Most notes in the report.
const MAX_NOTES: usize = 20;

pub(super) fn run(
    args: &Run,
    plan: RunPlan<'_>,
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
        run_as(args, plan, files, (weights, around, id), notes)
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
    plan: RunPlan<'_>,
    files: InputFiles,
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
    let pool = threads::pool(args.engine.threads, &mut notes.notes)?;
    let start = Start::new(Some(&layer));
    let shared = Shared { args, options, model: &model, start: &start, pool: &pool };
    let all = files.paths.len();
    let (began, mut runs) = (Instant::now(), Runs::new(notes.form, all));
    for path in files.paths.iter().filter(|path| !(args.files.resume && is_done(path, folders))) {
        let one = || run_one(&shared, path, folders, (&layer, &around, id), notes.clone());
        let mut ended = one();
        if runs.has_waiting() && ended.as_ref().is_err_and(needs_handles) {
            runs.commit()?;
            ended = one();
        }
        runs.add(shown(path), ended)?;
    }
    runs.commit()?;
    let run = RunLine {
        mode: if args.train { "train" } else { "eval" },
        kernel: model.rnn().kernel().name(),
        threads: pool.current_num_threads(),
        seconds: began.elapsed().as_secs_f64(),
    };
    let first = layer_line(model.rnn().config(), T::DTYPE);
    runs.report([&first, &layer.place, &run.text()], &files, folders, notes)
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
    let mut outputs = Outputs::in_folders(folders, name, args.report.overwrite());
    outputs.open_named()?;
    let (input, lengths) = open_input(args, path.as_os_str(), around, &mut outputs)?;
    plan::refuse_weights(args, &outputs, id)?;
    // Each input has the random numbers that it would have alone.
    let rng = Rng::open::<&Path>(args.rng.seed, None, [])?;
    let mut work = Work { input, lengths, outputs, rng, notes };
    say_assumptions(args, Some(layer), &work.input, around, &mut work.notes)?;
    let places = places(args, Some(layer), &work);
    shared.run(work, &places, None)
}

/// Whether an error is that of a process with too many open files.
fn needs_handles(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_too_many_files)
}

/// The runs of all inputs so far.
struct Runs {
    form: ReportForm,
    /// Those whose outputs are not in their places, with the names of their inputs.
    waiting: Vec<(String, Result<Report>, Vec<Pending>)>,
    since: Instant,
    done: usize,
    failed: Vec<(String, u8)>,
    /// Notes and warnings, each once, in order.
    notes: Vec<String>,
    seen: BTreeSet<String>,
    progress: progress::Bar,
}

impl Runs {
    fn new(form: ReportForm, all: usize) -> Self {
        Runs {
            form,
            waiting: Vec::new(),
            since: Instant::now(),
            done: 0,
            failed: Vec::new(),
            notes: Vec::new(),
            seen: BTreeSet::new(),
            progress: progress::things(all),
        }
    }

    fn has_waiting(&self) -> bool {
        self.waiting.iter().any(|(.., outputs)| !outputs.is_empty())
    }

    fn add(&mut self, place: String, ended: Result<Done>) -> Result<()> {
        let (report, outputs) = match ended {
            Ok(Done { report, outputs, .. }) => (Ok(report), outputs),
            Err(error) => (Err(error), Vec::new()),
        };
        self.waiting.push((place, report, outputs));
        self.progress.inc(1);
        let files: usize = self.waiting.iter().map(|(.., outputs)| outputs.len()).sum();
        if files >= MAX_WAITING || self.since.elapsed() >= MAX_WAIT {
            return self.commit();
        }
        Ok(())
    }

    /// Moves the outputs to their places, and reports them.
    fn commit(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let works = waiting.iter_mut().map(|(.., outputs)| std::mem::take(outputs)).collect();
        for ((place, run, _), committed) in waiting.into_iter().zip(commit_each(works)) {
            match run.and_then(|report| Ok(committed.map(|()| report)?)) {
                Ok(report) => self.succeeded(report)?,
                Err(error) => self.fail(&place, &error)?,
            }
        }
        self.since = Instant::now();
        Ok(())
    }

    fn succeeded(&mut self, mut report: Report) -> Result<()> {
        self.done += 1;
        report.notes.said.retain(|text| self.seen.insert(text.clone()));
        if self.form == ReportForm::Json {
            return report.print(false);
        }
        report.notes.print_said();
        self.keep(&report.notes);
        Ok(())
    }

    fn keep(&mut self, notes: &Notes) {
        let new = notes.lines().filter(|text| self.seen.insert(text.clone()));
        self.notes.extend(new.collect::<Vec<_>>());
    }

    fn fail(&mut self, place: &str, error: &anyhow::Error) -> Result<()> {
        let (mut line, code) = explain::listed(error);
        if !line.contains(place) {
            line = format!("{place}: {line}");
        }
        if self.form == ReportForm::Json {
            let object = json!({ "command": "run", "input": place, "error": line, "code": code });
            print(&format!("{object}\n"), false)?;
        }
        self.failed.push((line, code));
        Ok(())
    }

    /// Reports all runs, and lists those that have failed. `layer`, `weights` and `run` are lines for people.
    fn report(
        mut self,
        [layer, weights, run]: [&str; 3],
        files: &InputFiles,
        folders: &[Option<PathBuf>; 4],
        mut notes: Notes,
    ) -> Result<()> {
        self.progress.display.finish_and_clear();
        notes.said.retain(|text| self.seen.insert(text.clone()));
        notes.print_said();
        self.keep(&notes);
        let row = |name: &str, file: &str| {
            [name.to_owned(), file.to_owned(), String::new(), String::new()]
        };
        let all = files.paths.len();
        let mut rows = vec![
            row("weights", weights),
            row("input", &format!("{}, {}", files.place, counted(all))),
        ];
        let named = OUTPUTS
            .iter()
            .zip(folders)
            .filter_map(|((name, _), path)| Some((name, path.as_ref()?)));
        rows.extend(named.map(|(name, path)| row(name, &shown(path))));
        let kept = all - self.done - self.failed.len();
        rows.extend((kept > 0).then(|| row("kept", &format!("the outputs of {}", counted(kept)))));
        let rows: Vec<_> = rows.iter().collect();
        let lines = aligned(&rows).chain([run.to_owned()]);
        let shown = self.notes.iter().take(MAX_NOTES).cloned();
        let more = self.notes.len().saturating_sub(MAX_NOTES);
        let more = (more > 0).then(|| format!("note: and {more} more"));
        if self.form == ReportForm::Text {
            let lines = [layer.to_owned()].into_iter().chain(lines).chain(shown).chain(more);
            print(&(lines.collect::<Vec<_>>().join("\n") + "\n"), false)?;
        }
        self.end(all)
    }

    /// Lists the failures, and ends with the exit code that they have together.
    fn end(self, all: usize) -> Result<()> {
        let Some((_, first)) = self.failed.first() else { return Ok(()) };
        for (line, code) in &self.failed {
            say(&format!("rnn: {line} (exit code {code})\n"));
        }
        say(&format!("rnn: {} of {} failed\n", self.failed.len(), counted(all)));
        let code = match () {
            () if self.failed.iter().all(|(_, code)| code == first) => *first,
            () if self.failed.iter().any(|(_, code)| RETRIED.contains(code)) => 74,
            () => 65,
        };
        Err(Reported(ExitCode::from(code)).into())
    }
}

fn counted(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
