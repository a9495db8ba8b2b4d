//! The runs of many inputs: their outputs take their places together, and their failures are listed at the end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use elman::files::{Pending, commit_each};
use serde_json::json;

use crate::args::ReportForm;
use crate::explain;
use crate::failure::Reported;
use crate::pipeline::output::OUTPUTS;
use crate::pipeline::output_path::shown;
use crate::progress;
use crate::report::{Notes, Report, aligned, print, say};

use super::files::InputFiles;
use super::work::Done;

/// Most files that are open while they wait for their sync: a process may have 1024 by default.
const MAX_WAITING: usize = 256;
/// Longest time that outputs wait for their sync, so that little is lost with the process.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// Exit codes of failures that are worth a retry.
const RETRIED: [u8; 3] = [71, 74, 75];
/// Most notes in the report.
const MAX_NOTES: usize = 20;

/// The runs of all inputs so far.
pub(super) struct Runs {
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
    pub(super) fn new(form: ReportForm, all: usize) -> Self {
        Runs {
            form,
            waiting: Vec::new(),
            since: Instant::now(),
            done: 0,
            failed: Vec::new(),
            notes: Vec::new(),
            seen: BTreeSet::new(),
            progress: progress::things(all, "inputs"),
        }
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.iter().any(|(.., outputs)| !outputs.is_empty())
    }

    pub(super) fn add(&mut self, place: String, ended: Result<Done>) -> Result<()> {
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
    pub(super) fn commit(&mut self) -> Result<()> {
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
    pub(super) fn report(
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
