//! Flags of padded tensors beside an input that is none.

use std::path::Path;

use anyhow::Result;

use crate::args::Run;
use crate::explain::hint;
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
    Err(refused(args, input, &flags))
}

/// What is said about these flags with their values, and about `--lengths`.
fn refused(args: &Run, input: &Sequences, flags: &[(&str, String)]) -> anyhow::Error {
    let unwanted: Vec<_> = flags.iter().map(|(flag, _)| *flag).collect();
    let (place, names) = (input.place(), unwanted.join(" and "));
    if !input.is_archive() {
        let message =
            format!("{names}: expected --lengths, which say where padding begins, got none");
        return with_hint(Usage(message), hint::without(&unwanted));
    }
    if flags.is_empty() {
        let message = format!(
            "{place}: expected a padded tensor with --lengths, got sequences that have their own"
        );
        return with_hint(Usage(message), hint::without(&["--lengths"]));
    }
    let own = if input.is_packed() { "a packed sequence" } else { "single sequences" };
    let message =
        format!("{place}: expected a padded tensor and --lengths with {names}, got {own}");
    // The result can be padded in a pipeline, if standard output is free and the result can be packed.
    let taken = [&args.hn, &args.last, &args.all_hidden];
    let taken = taken.into_iter().flatten().any(|path| path == Path::new("-"));
    let packs = !taken && (input.is_packed() || !args.split_directions);
    with_hint(Usage(message), packs.then(|| hint::padded(flags, input.is_packed())))
}
