//! How a command fails: what is printed, and which exit code says what kind of failure it was.

use std::backtrace::BacktraceStatus;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use elman::Error;

use crate::{explain, signals};

/// Wrong usage that clap cannot see.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Data that the library has no complaint about, and the command has.
#[derive(Debug)]
pub(crate) struct Data(pub(crate) String);

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Data {}

/// The answer of `rnn diff` where what it compared differs. It has been printed, and is no fault, but has
/// an exit code of its own.
#[derive(Debug)]
pub(crate) struct Different;

impl fmt::Display for Different {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("different")
    }
}

impl std::error::Error for Different {}

/// What the program promises, and does not keep.
#[derive(Debug)]
pub(crate) struct Bug(pub(crate) String);

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Bug {}

/// A failure that has been reported, and whose exit code is left to be returned.
#[derive(Debug)]
pub(crate) struct Reported(pub(crate) ExitCode);

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reported")
    }
}

impl std::error::Error for Reported {}

/// What the user can type next, beside an error.
#[derive(Debug)]
struct Hinted {
    error: anyhow::Error,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl std::error::Error for Hinted {}

/// An error with a hint, where there is one. This is the last thing that happens to an error.
pub(crate) fn with_hint(error: impl Into<anyhow::Error>, hint: Option<String>) -> anyhow::Error {
    let error = error.into();
    match hint {
        Some(hint) => Hinted { error, hint }.into(),
        None => error,
    }
}

/// Prints an error, `rnn: WHAT` and `hint: COMMAND`, and chooses the exit code.
///
/// A reader that went away is no error worth a word: the process dies of SIGPIPE, as others do.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(Reported(code)) = error.downcast_ref() {
        return *code;
    }
    if let Some(error) = error.downcast_ref::<clap::Error>()
        && !error.use_stderr()
    {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            // The help is output like any other.
            Err(source) => report(&Error::Write { place: "stdout".to_owned(), source }.into()),
        };
    }
    if error.is::<Different>() {
        return ExitCode::from(1);
    }
    let hinted = error.downcast_ref::<Hinted>();
    let error = hinted.map_or(error, |hinted| &hinted.error);
    if is_broken_pipe(error) {
        signals::die_of_broken_pipe();
    }
    let mut stderr = io::stderr().lock();
    // Nothing is left to be done where even standard error cannot be written.
    let _ = writeln!(stderr, "rnn: {}", printable(&one_line(error)));
    // Nobody could type it.
    if let Some(Hinted { hint, .. }) =
        hinted.filter(|hinted| !hinted.hint.contains(char::is_control))
    {
        let _ = writeln!(stderr, "hint: {hint}");
    }
    if error.backtrace().status() == BacktraceStatus::Captured {
        let _ = writeln!(stderr, "{}", error.backtrace());
    }
    if error.is::<Bug>() {
        return report_bug();
    }
    ExitCode::from(code(error))
}

/// An error and its causes. A cause that the text already ends with is not said again.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// The text with its control characters escaped: a name that was typed, or that a file holds, can neither
/// move a terminal's cursor nor forge a line.
fn printable(text: &str) -> String {
    let mut printable = String::new();
    for c in text.chars() {
        if c.is_control() { printable.extend(c.escape_debug()) } else { printable.push(c) }
    }
    printable
}

/// Asks for a report of a bug. What it is has been printed.
pub(crate) fn report_bug() -> ExitCode {
    let _ = writeln!(io::stderr(), "rnn: this is a bug; please report it with the lines above");
    ExitCode::from(70)
}

/// clap's message in this program's form: one line, and a line that says what to type.
pub(crate) fn from_clap(error: clap::Error) -> anyhow::Error {
    use clap::error::{ContextKind, ErrorKind};
    if !error.use_stderr() {
        return error.into();
    }
    let text = error.to_string();
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let flag = argument.split(' ').next().unwrap_or_default();
    let message = match std::error::Error::source(&error) {
        // clap answers with the whole help.
        _ if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "expected a command: run, stream, init, convert, info, diff, randn, pack, unpack, bench, completions or man".to_owned()
        }
        Some(source) if error.kind() == ErrorKind::ValueValidation => format!("{flag}: {source}"),
        _ => {
            let message = text.strip_prefix("error: ").unwrap_or(&text);
            let message = message.split("\n\n").next().unwrap_or(message);
            let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
            match error
                .get(ContextKind::SuggestedArg)
                .or(error.get(ContextKind::SuggestedSubcommand))
            {
                // clap's idea of similar is wide; a slip of the finger is seldom in the first letter.
                Some(similar) if similar.to_string().get(..3) == flag.get(..3) => {
                    format!("{message}; a similar one is {similar}")
                }
                _ => message,
            }
        }
    };
    with_hint(Usage(message), Some(explain::for_usage(flag)))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Whether this process, or the whole system, may not have another file open.
#[cfg(unix)]
fn is_too_many_files(error: &io::Error) -> bool {
    /// The same numbers on all systems that Rust knows.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

#[cfg(not(unix))]
fn is_too_many_files(_: &io::Error) -> bool {
    false
}

/// The exit code: it tells a scheduler which failures are worth a retry.
fn code(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() {
        return 2;
    }
    let Some(error) = error.chain().find_map(|cause| cause.downcast_ref::<Error>()) else {
        if error.chain().any(<dyn std::error::Error>::is::<Data>) {
            return 65;
        }
        // Nothing else is known to fail; it would be a bug.
        return if error.chain().any(<dyn std::error::Error>::is::<io::Error>) { 74 } else { 70 };
    };
    match error {
        // The file may be there: the machine has no room for one that is open.
        Error::Open { source, .. } if is_too_many_files(source) => 71,
        Error::Open { .. } => 66,
        // No machine has them, today or tomorrow.
        Error::OutOfMemory { bytes, .. } if isize::try_from(*bytes).is_err() => 65,
        Error::OutOfMemory { .. } => 71,
        Error::Create { source: Some(source), .. } if is_too_many_files(source) => 71,
        Error::Create { .. } => 73,
        // More than --max-bytes allows: the same again would help nobody.
        Error::Read { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => 65,
        Error::Read { .. } | Error::Write { .. } => 74,
        _ => 65,
    }
}
