//! The flags of padded tensors, for an input that is not padded.

use std::path::Path;

use anyhow::Result;

use super::plan::RunPlan;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::pipeline::input::Input;

/// Refuses `--lengths`, `--padding-value` and `--total-length` if nothing is padded. `--last` and `--all-hidden`
/// may hold padding for packed or single sequences too.
pub(super) fn check(plan: &RunPlan<'_>, input: &Input) -> Result<()> {
    let all = plan.pass.all_hidden;
    let (value, total) = if input.is_archive() {
        (plan.pass.last || all, all)
    } else {
        (plan.lengths.is_some(), plan.lengths.is_some())
    };
    let flags = [
        ("--padding-value", plan.padding_value.filter(|_| !value).map(|value| value.to_string())),
        (
            "--total-length",
            plan.pass.total_length.filter(|_| !total).map(|total| total.to_string()),
        ),
    ];
    let flags: Vec<_> =
        flags.into_iter().filter_map(|(flag, value)| Some((flag, value?))).collect();
    let lengths = input.is_archive() && plan.lengths.is_some();
    if flags.is_empty() && !lengths {
        return Ok(());
    }
    Err(refused(plan, input, &flags))
}

/// The error about these flags with their values, and about `--lengths`.
fn refused(plan: &RunPlan<'_>, input: &Input, flags: &[(&str, String)]) -> anyhow::Error {
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
    let [_, taken @ ..] = &plan.outputs.paths;
    let taken = taken.iter().flatten().any(|path| path == Path::new("-"));
    let packs = !taken && (input.is_packed() || !plan.pass.split_directions);
    with_hint(Usage(message), packs.then(|| hint::padded(flags, input.is_packed())))
}
