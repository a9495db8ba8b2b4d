//! Words for failures: the only place that reads the typed command line, writes hints and prints errors.

mod command_line;
pub(crate) mod hint;
pub(crate) mod shapes;
mod usage;
pub(crate) mod weights;

use std::backtrace::BacktraceStatus;
use std::io::{self, Write};
use std::process::ExitCode;

use elman::files::FileError;

use crate::failure::{Bug, Different, Hinted, Reported, exit_code};
use crate::signals;

pub(crate) use usage::from_clap;

/// Prints an error, `rnn: ...` and `hint: ...`, and chooses the exit code.
///
/// A closed output pipe is not worth a message: the process dies of SIGPIPE, as others do.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(error) = error.downcast_ref::<clap::Error>()
        && !error.use_stderr()
    {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            // The help is output like any other.
            Err(source) => report(&FileError::Write { place: "stdout".to_owned(), source }.into()),
        };
    }
    if let Some(Reported(_) | Different) = error.downcast_ref() {
        return exit_code(error);
    }
    let hinted = error.downcast_ref::<Hinted>();
    let error = hinted.map_or(error, |hinted| &hinted.error);
    let cause = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().filter_map(|error| error.downcast_ref()).any(cause) {
        signals::die_of_broken_pipe();
    }
    let mut stderr = io::stderr().lock();
    // If standard error cannot be written either, there is nothing left to do.
    let _ = writeln!(stderr, "rnn: {}", printable(&one_line(error)));
    let choice = || error.chain().find_map(|cause| weights::choice(cause.downcast_ref()?));
    let hint = hinted.map(|hinted| hinted.hint.clone()).or_else(choice);
    // A hint with control characters could not be typed.
    if let Some(hint) = hint.filter(|hint| !hint.contains(char::is_control)) {
        let _ = writeln!(stderr, "hint: {hint}");
    }
    if error.backtrace().status() == BacktraceStatus::Captured {
        let _ = writeln!(stderr, "{}", error.backtrace());
    }
    if let Some(Bug(_)) = error.downcast_ref() {
        return report_bug();
    }
    exit_code(error)
}

/// An error and its causes, without a cause that the text already ends with.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// The text with its control characters escaped: a name from a command line or a file can neither move a
/// terminal's cursor nor forge a line.
fn printable(text: &str) -> String {
    let mut printable = String::new();
    for c in text.chars() {
        if c.is_control() { printable.extend(c.escape_debug()) } else { printable.push(c) }
    }
    printable
}

/// Asks for a bug report, below the lines that describe the bug.
pub(crate) fn report_bug() -> ExitCode {
    let _ = writeln!(io::stderr(), "rnn: this is a bug; please report it with the lines above");
    ExitCode::from(70)
}
