//! `rnn explain`: one step of the recurrence, with its numbers.

use anyhow::Result;
use elman::Element;

use crate::args::{Direction, Explain, InfoForm, ReportForm};
use crate::explain::command_line::typed_flags;
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::recurrence::{Moment, Origin, Recurrence};
use crate::report::{Notes, print, print_json};
use crate::states::{About, Opened, Sequences, Sources, open_sources};
use crate::threads;

/// The flags that the example of PyTorch's documentation takes. All others are of files.
const OF_EXAMPLE: [&str; 8] = [
    "--step",
    "--row",
    "--layer",
    "--direction",
    "--units",
    "--precision",
    "--report",
    "--max-bytes",
];

pub(crate) fn explain(args: &Explain) -> Result<()> {
    let form = if args.report == InfoForm::Json { ReportForm::Json } else { ReportForm::Text };
    let mut notes = Notes::new(form);
    if typed_flags(&OF_EXAMPLE).is_empty() {
        return show(args, &Sequences::<f32>::example()?, notes);
    }
    let sources = Sources::new(&args.seen)?;
    let opened = open_sources(&sources, &mut notes)?;
    typed!(opened.dtype(), explain_as(args, opened, notes))
}

fn explain_as<T: Element>(args: &Explain, opened: Opened<'_>, mut notes: Notes) -> Result<()> {
    let sequences = opened.read::<T>(&mut notes)?;
    show(args, &sequences, notes)
}

fn show<T: Element>(args: &Explain, sequences: &Sequences<T>, mut notes: Notes) -> Result<()> {
    let pool = threads::pool(None, &mut notes.notes)?;
    let moment = moment(args, &sequences.about)?;
    below("--row", args.row, sequences.count(), "the sequences of the input")?;
    let bar = sequences.bar(args.row..args.row + 1);
    let states = pool.install(|| sequences.pass(args.row, &bar))?;
    bar.display.finish_and_clear();
    below("--step", args.step, states.steps(), "the steps of the sequence")?;
    print_step(args, &Recurrence::new(sequences, &states, moment)?, notes)
}

fn print_step(args: &Explain, recurrence: &Recurrence<'_>, mut notes: Notes) -> Result<()> {
    let origin = Origin::new(&args.seen);
    if args.report == InfoForm::Json {
        let mut report = recurrence.json(&args.units, &origin);
        notes.notes.append(&mut notes.said);
        report["assumptions"] = notes.assumptions.into();
        (report["notes"], report["warnings"]) = (notes.notes.into(), notes.warnings.into());
        return print_json(&report);
    }
    notes.print_said();
    let mut text = recurrence.text(&args.units, args.precision, &origin);
    text.extend(notes.lines().map(|line| line + "\n"));
    print(&text, false)
}

/// The step that was asked for, which exists.
fn moment(args: &Explain, about: &About) -> Result<Moment> {
    let config = &about.config;
    below("--layer", args.layer_number, config.num_layers, "the layers of the RNN")?;
    for &unit in &args.units {
        below("--units", unit, config.hidden_size, "the units of the hidden state")?;
    }
    let reversed = about.reversed;
    let direction = match args.direction {
        Some(Direction::Reverse) if config.bidirectional => 1,
        Some(Direction::Reverse) if !reversed => return no_direction("reverse"),
        Some(Direction::Forward) if reversed => return no_direction("forward"),
        _ => 0,
    };
    let Explain { step, row, layer_number: layer, .. } = *args;
    Ok(Moment { step, row, layer, direction })
}

fn no_direction(name: &str) -> Result<Moment> {
    let message = format!("expected a direction of the layer with --direction, got {name}");
    Err(with_hint(Usage(message), hint::without(&["--direction"])))
}

/// Refuses a number that counts from 0 and is not below `count`.
pub(super) fn below(flag: &str, number: usize, count: usize, what: &str) -> Result<()> {
    if number < count {
        return Ok(());
    }
    let Some(last) = count.checked_sub(1) else {
        return Err(Data(format!("{flag}: expected one of {what}, got none")).into());
    };
    let message = format!("{flag}: expected a number from 0 to {last}, {what}, got {number}");
    Err(with_hint(Usage(message), hint::set(flag, last.to_string())))
}
