//! Words for failures: the only place that reads the typed command line, writes hints and prints errors.

pub(crate) mod command_line;
pub(crate) mod hint;
pub(crate) mod layer;

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::{ContextKind, ErrorKind};
use elman::files::FileError;

use crate::args::COMMANDS;
use crate::failure::{Bug, Different, Hinted, Reported, Usage, code_number, exit_code, with_hint};
use crate::report::say;
use crate::signals;

/// Whether the causes of an error are printed one by one: with `-vv`.
static TRACED: AtomicBool = AtomicBool::new(false);

/// Makes [`report`] print the causes of every error, and its backtrace if there is one.
pub(crate) fn trace_errors() {
    TRACED.store(true, Ordering::Relaxed);
}

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
    say(&format!("rnn: {}\n", one_line(error)));
    let choice = || error.chain().find_map(|cause| layer::choice(cause.downcast_ref()?));
    let table = || error.chain().find_map(|cause| hint::of_table(cause.downcast_ref()?));
    let format = || error.chain().find_map(hint::of_format);
    let hint = hinted.map(|hinted| hinted.hint.clone());
    let hint = hint.or_else(choice).or_else(table).or_else(format);
    // A hint with control characters could not be typed.
    if let Some(hint) = hint.filter(|hint| !hint.contains(char::is_control)) {
        say(&format!("hint: {hint}\n"));
    }
    if TRACED.load(Ordering::Relaxed) {
        // The error with its causes, and the backtrace if RUST_BACKTRACE asks for one.
        let trace = format!("{error:?}");
        let lines = trace.lines().filter(|line| !line.is_empty());
        lines.for_each(|line| say(&format!("trace: {}\n", printable(line))));
    }
    if let Some(Bug(_)) = error.downcast_ref() {
        return report_bug();
    }
    exit_code(error)
}

/// An error as one line without its hint, and its exit code, for a list of failures.
pub(crate) fn listed(error: &anyhow::Error) -> (String, u8) {
    let error = error.downcast_ref::<Hinted>().map_or(error, |hinted| &hinted.error);
    (one_line(error), code_number(error))
}

/// An error and its causes, printable, without a cause that the text already ends with.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    printable(&line)
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
    say("rnn: this is a bug; please report it with the lines above\n");
    ExitCode::from(70)
}

/// An error of clap in one line. Help and version, which clap returns as errors too, stay as they are.
pub(crate) fn from_clap(error: clap::Error) -> anyhow::Error {
    if !error.use_stderr() {
        return error.into();
    }
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let flag = argument.split(' ').next().unwrap_or_default();
    let message = match std::error::Error::source(&error) {
        // clap's own message is the whole help.
        _ if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let (others, last) = COMMANDS.split_at(COMMANDS.len() - 1);
            format!("expected a command: {} or {}", others.join(", "), last.concat())
        }
        Some(source) if error.kind() == ErrorKind::ValueValidation => format!("{flag}: {source}"),
        _ => first_paragraph(&error, flag),
    };
    let tanh = || hint::set("--nonlinearity", "tanh");
    with_hint(Usage(message), if flag == "--nonlinearity" { tanh() } else { hint::help() })
}

/// The first paragraph of clap's message, and a flag or a command that looks like the typed one.
fn first_paragraph(error: &clap::Error, flag: &str) -> String {
    let text = error.to_string();
    let message = text.strip_prefix("error: ").unwrap_or(&text);
    let message = message.split("\n\n").next().unwrap_or(message);
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let similar = error.get(ContextKind::SuggestedArg);
    match similar.or(error.get(ContextKind::SuggestedSubcommand)) {
        // clap suggests distant words too; a typing error is seldom in the first letter.
        Some(similar) if similar.to_string().get(..3) == flag.get(..3) => {
            format!("{message}; a similar one is {similar}")
        }
        _ => message,
    }
}
