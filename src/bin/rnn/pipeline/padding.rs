//! Flags of padded tensors beside an input that is none.

use std::path::Path;

use anyhow::Result;

use crate::args::Run;
use crate::explain::CommandLine;
use crate::failure::{Usage, with_hint};
use crate::pipeline::input::Sequences;

/// Refuses `--lengths`, `--padding-value` and `--total-length` where nothing is padded. What `--last` and
/// `--all-hidden` hold of packed or single sequences may be padding.
pub(crate) fn check(args: &Run, input: &Sequences) -> Result<()> {
    let all = args.all_hidden.is_some();
    let (value, total) = if input.is_archive() {
        (args.last.is_some() || all, all)
    } else {
        (args.lengths.is_some(), args.lengths.is_some())
    };
    let flags = [
        ("--padding-value", args.padding_value.filter(|_| !value).map(|value| value.to_string())),
        ("--total-length", args.total_length.filter(|_| !total).map(|total| total.to_string())),
    ];
    let flags: Vec<_> =
        flags.into_iter().filter_map(|(flag, value)| Some((flag, value?))).collect();
    let lengths = input.is_archive() && args.lengths.is_some();
    if flags.is_empty() && !lengths {
        return Ok(());
    }
    let line = flags.iter().fold(CommandLine::new(), |line, (flag, _)| line.without(flag));
    Err(refused(args, input, line, &flags))
}

/// What is said about these flags with their values, and about `--lengths`.
fn refused(
    args: &Run,
    input: &Sequences,
    line: CommandLine,
    flags: &[(&str, String)],
) -> anyhow::Error {
    let names: Vec<_> = flags.iter().map(|(flag, _)| *flag).collect();
    let (place, names) = (input.place(), names.join(" and "));
    if !input.is_archive() {
        let message =
            format!("{names}: expected --lengths, which say where padding begins, got none");
        return with_hint(Usage(message), Some(line.to_string()));
    }
    let line = line.without("--lengths");
    if flags.is_empty() {
        let message = format!(
            "{place}: expected a padded tensor with --lengths, got sequences that have their own"
        );
        return with_hint(Usage(message), Some(line.to_string()));
    }
    let own = if input.is_packed() { "a packed sequence" } else { "single sequences" };
    let message =
        format!("{place}: expected a padded tensor and --lengths with {names}, got {own}");
    with_hint(Usage(message), padded_result(args, input, line, flags))
}

/// A pipeline that pads the result; none where standard output is taken, or the result cannot be packed.
fn padded_result(
    args: &Run,
    input: &Sequences,
    line: CommandLine,
    flags: &[(&str, String)],
) -> Option<String> {
    let taken = [&args.hn, &args.last, &args.all_hidden];
    let taken = taken.into_iter().flatten().any(|path| path == Path::new("-"));
    if taken || (args.split_directions && !input.is_packed()) {
        return None;
    }
    let pack = if input.is_packed() { "" } else { " | rnn pack -i - -o -" };
    let flags: Vec<_> = flags.iter().map(|(flag, value)| format!("{flag} {value}")).collect();
    let line = line.with("-o", Some("-"));
    Some(format!("{line}{pack} | rnn unpack -i - -o padded.npy {}", flags.join(" ")))
}
