//! `rnn score`: how likely a language model finds text.

use std::time::Instant;

use anyhow::{Context, Result};
use elman::files::{Source, shortest};
use elman::{Checkpoint, Element, Likelihood, Model, ModelCheckpoint};
use ndarray::{Axis, Slice};
use serde_json::{Value, json};

use crate::args::{InfoForm, ReportForm, Score};
use crate::language;
use crate::layer::{assume, described, has_two_readings};
use crate::pipeline::input::{Input, check_stdin};
use crate::pipeline::pass::{Pass, PassOptions};
use crate::pipeline::sequences::{Lengths, read_lengths, unwanted_lengths};
use crate::progress;
use crate::report::{Notes, RunLine, layer_json, layer_line, print_with, say};
use crate::start::Start;
use crate::threads;

/// Tokens that are scored before the progress is shown: a guess, some tenths of a second.
const TOKENS_AT_ONCE: usize = 1 << 16;

pub(crate) fn score(args: &Score) -> Result<()> {
    let (weights, vocab) = (&args.language.weights, args.language.parts.vocab.as_ref());
    check_stdin([Some(&args.input), Some(weights), args.lengths.as_ref(), vocab])?;
    let mut notes = Notes::new(match args.report {
        InfoForm::Json => ReportForm::Json,
        InfoForm::Text if args.quiet => ReportForm::None,
        InfoForm::Text => ReportForm::Text,
    });
    let weights = Source::parse(&args.language.weights).open()?;
    let weights = language::read(&args.language, weights, args.verbose > 0, &mut notes)?;
    let (input, lengths) = match &weights.config.vocabulary {
        Some(vocabulary) => (Input::text(&args.input, vocabulary, &args.table.flags())?, None),
        None => Input::open(&args.input, Some(&args.table), false, true)?,
    };
    typed!(weights.layer.dtype, score_as(args, weights, input, lengths, notes))
}

fn score_as<T: Element>(
    args: &Score,
    mut weights: ModelCheckpoint,
    mut input: Input,
    own: Option<Lengths<'_>>,
    mut notes: Notes,
) -> Result<()> {
    let layer = described(&mut weights.layer);
    let model = language::load::<T>(&args.language, weights, args.engine.kernel, &mut notes)?;
    assume_axes(args, &layer, &input, &mut notes)?;
    let start = Start::new(Some(&layer));
    let lengths = lengths(args, &model, &input, own, &start, &mut notes)?;
    let (options, place) = (PassOptions::default(), input.place().to_owned());
    let pass = input.pass(&model, &options, &place, lengths).with_context(|| place.clone())?;
    let pool = threads::pool(args.engine.threads, &mut notes.notes)?;
    let began = Instant::now();
    let likelihoods = pool.install(|| likelihoods(&pass, input, &start, &mut notes))?;
    let (config, kernel) = (model.rnn().config(), model.rnn().kernel().name());
    let (threads, seconds) = (pool.current_num_threads(), began.elapsed().as_secs_f64());
    let run = RunLine { mode: "eval", kernel, threads, seconds };
    if args.report == InfoForm::Json {
        let layer = (layer_json(config, T::DTYPE), layer.place);
        let report = report(layer, &place, &likelihoods, &run, &notes);
        return print_with(|out| writeln!(out, "{report}"));
    }
    say_notes(args, &[layer_line(config, T::DTYPE), run.text()], notes);
    write_lines(&likelihoods)
}

/// Says which axis of a tensor of ids is that of the sequences, if nothing else does.
fn assume_axes(args: &Score, layer: &Checkpoint, input: &Input, notes: &mut Notes) -> Result<()> {
    let language = &args.language;
    // A step is one id, without an axis of its own.
    let shape = [&input.shape()[..], &[1]].concat();
    if matches!(input, Input::Tensor(_)) && has_two_readings(&shape, args.lengths.is_some()) {
        assume(layer, &language.layer, &["batch_first"], language.of_weights.strict, notes)?;
    }
    Ok(())
}

/// Prints the notes on standard error. `run` describes the layer and the pass.
fn say_notes(args: &Score, run: &[String], mut notes: Notes) {
    notes.print_said();
    let lines = run.iter().cloned().chain(notes.notes.iter().map(|text| format!("note: {text}")));
    lines.filter(|_| args.verbose > 0).for_each(|line| say(&format!("{line}\n")));
    let warnings = notes.warnings.iter().filter(|_| !args.quiet);
    warnings.for_each(|text| say(&format!("warning: {text}\n")));
}

/// The lengths of the sequences of a tensor of ids. A table may have been read in another way than the user expects.
fn lengths<T: Element>(
    args: &Score,
    model: &Model<T>,
    input: &Input,
    own: Option<Lengths<'_>>,
    start: &Start,
    notes: &mut Notes,
) -> Result<Option<Vec<usize>>> {
    let padded = input.padded_sizes(model).with_context(|| input.place().to_owned())?;
    input.warn(notes);
    match (args.lengths.as_deref().map(Lengths::Typed).or(own), padded) {
        (Some(lengths), Some(padded)) => read_lengths(lengths, &padded).map(Some),
        (Some(_), None) => Err(unwanted_lengths(input.place())),
        (None, padded) => start.lengths(padded.as_ref(), notes),
    }
}

/// The likelihood of each sequence of the input.
fn likelihoods<T: Element>(
    pass: &Pass<'_, T>,
    input: Input,
    start: &Start,
    notes: &mut Notes,
) -> Result<Vec<Likelihood>> {
    let sequences = input.read_sequences(pass)?;
    let h_0 = start.state(pass.rnn, Some(sequences.len()), notes)?;
    let progress = progress::things(sequences.len(), "sequences");
    let (mut likelihoods, mut rest) = (Vec::with_capacity(sequences.len()), &sequences[..]);
    while !rest.is_empty() {
        let mut tokens = 0;
        let few = rest.iter().take_while(|own| {
            let before = tokens;
            tokens += own.len();
            before < TOKENS_AT_ONCE
        });
        let (own, others) = rest.split_at(few.count());
        let first = likelihoods.len();
        let columns = Slice::from(first..first + own.len());
        let h_0 = h_0.as_ref().map(|h_0| h_0.slice_axis(Axis(1), columns));
        likelihoods.extend(pass.model.likelihoods(own, h_0.as_ref())?);
        progress.inc(own.len() as u64);
        rest = others;
    }
    progress.display.finish_and_clear();
    Ok(likelihoods)
}

/// A line for each sequence, and one for all of them.
fn write_lines(likelihoods: &[Likelihood]) -> Result<()> {
    let cells = |own: Likelihood| {
        let Likelihood { tokens, nll } = own;
        format!("{tokens}\t{}\t{}", shortest(nll), shortest(own.perplexity()))
    };
    print_with(|out| {
        likelihoods.iter().try_for_each(|&own| writeln!(out, "{}", cells(own)))?;
        writeln!(out, "{}\ttotal", cells(likelihoods.iter().copied().sum()))
    })
}

/// The report for scripts. `layer` comes with the place of its weights.
fn report(
    (layer, weights): (Value, String),
    input: &str,
    likelihoods: &[Likelihood],
    run: &RunLine,
    notes: &Notes,
) -> Value {
    let object = |own: &Likelihood| json!({ "tokens": own.tokens, "nll": own.nll, "perplexity": own.perplexity() });
    json!({
        "command": "score",
        "layer": layer,
        "weights": weights,
        "input": input,
        "sequences": likelihoods.iter().map(object).collect::<Vec<_>>(),
        "total": object(&likelihoods.iter().copied().sum()),
        "kernel": run.kernel,
        "threads": run.threads,
        "seconds": run.seconds,
        "assumptions": notes.assumptions,
        "notes": notes.notes,
        "warnings": notes.warnings,
    })
}
