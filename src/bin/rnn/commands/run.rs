//! `rnn run`: the forward pass.

mod model;
mod plan;

use std::ffi::OsStr;

use anyhow::Result;
use elman::files::{Accepts, OpenSource, Source, StoredType, TensorFile, open};
use elman::{Checkpoint, Config, Element, Error, Function, Model, ModelCheckpoint, ModelConfig};
use ndarray::ArrayD;

use crate::args::Run;
use crate::explain::layer::{Places, explain};
use crate::layer::{self, assume, has_two_readings};
use crate::numbers::{all_finite, conversion};
use crate::pipeline::input::Input;
use crate::pipeline::output::Outputs;
use crate::pipeline::pass::Pass;
use crate::pipeline::prediction::Results;
use crate::pipeline::rows::with_features;
use crate::pipeline::sequences::{Lengths, PaddedSizes, check_total, read_lengths};
use crate::report::{Notes, Report, RunLine, TensorLine, print};
use crate::rng::Rng;
use crate::start::Start;
use crate::threads;

use model::{build, form_output, open_input, places, read_weights};
use plan::RunPlan;

pub(crate) fn run(args: &Run) -> Result<()> {
    let mut plan = RunPlan::new(args)?;
    let source = args.weights.as_deref().map(Source::parse);
    let named = source.as_ref().and_then(Source::id);
    plan::refuse_weights(args, &plan.outputs, named)?;
    // An output that cannot be written is reported before large files are read: of the input, its headers are.
    let rng = Rng::open(args.rng.seed, args.rng.rng.as_deref(), plan.outputs.files())?;
    plan.outputs.open_named()?;
    let mut notes = Notes::new(args.report.form());
    let weights = source.map(|source| source.open()).transpose()?;
    let opened = weights.as_ref().and_then(OpenSource::id);
    let (weights, around) = read_weights(args, weights, &mut notes)?;
    plan.outputs.open_default(around.vocabulary.is_some())?;
    let (input, own) = open_input(args, &around, plan.archive)?;
    // The typed lengths win over those of the input.
    let lengths = args.lengths.as_deref().map(Lengths::Typed).or(own);
    plan::check_padding(args, lengths.is_some(), &input)?;
    form_output(&mut plan.outputs, &around, &input)?;
    // Another file may have taken the path of the weights, and the default output a name for archives.
    if opened != named || input.is_archive() {
        plan::refuse_weights(args, &plan.outputs, opened)?;
    }
    let of_weights = weights.as_ref().map(|weights| weights.layer.dtype);
    typed!(
        args.dtype.or(of_weights).unwrap_or_else(|| input.natural()),
        run_as(args, plan, rng, (weights, around), (input, lengths), notes)
    )
}

fn run_as<T: Element>(
    args: &Run,
    RunPlan { mut outputs, options, .. }: RunPlan,
    mut rng: Rng,
    (weights, around): (Option<ModelCheckpoint>, ModelConfig),
    (mut input, lengths): (Input, Option<Lengths<'_>>),
    mut notes: Notes,
) -> Result<()> {
    let layer = weights.as_ref().map(|weights| &weights.layer);
    let start = Start::new(layer);
    let places = places(args, layer, &input, lengths.is_some());
    say_assumptions(args, layer, &input, &around, &mut notes)?;
    let held = hold_streams(args, &mut input)?;
    let model = build::<T>(args, weights, &around, &places, &mut rng, &mut notes)?;
    let rnn = model.rnn();
    let seed = rng.seed.filter(|_| places.weights.is_none() || (args.train && drops(rnn.config())));
    let explained = |error| explain(error, rnn.config(), &places);
    let lengths = lengths_of::<T>(args, &model, &input, (lengths, &start), &mut notes);
    let pass = lengths.and_then(|own| input.pass(&model, &options, &places.input, own));
    let pass = pass.map_err(explained)?;
    let ran = forward(args, &pass, &start, (input, held), &mut outputs, &mut rng, &mut notes);
    let (mut results, run) = ran.map_err(explained)?;
    let text = outputs.text(&pass, &mut results)?;
    let stdout_taken = outputs.on_stdout() || text.is_some();
    let mut names = outputs.names();
    let rng = rng.save(outputs.write_rest(&pass, &mut results)?)?;
    text.map_or(Ok(()), |text| print_lines(args, &text, &mut names, &mut notes))?;
    Report {
        command: "run",
        layer: Some((rnn.config().clone(), T::DTYPE)),
        tensors: lines(&pass, &places, &start, &results, names),
        weights: places.weights.clone(),
        seed,
        rng,
        run: Some(run),
        notes,
    }
    .print(stdout_taken)
}

/// Prints the lines of text that are the result, of which a report is only said if it is asked for.
fn print_lines(
    args: &Run,
    text: &str,
    names: &mut [Option<String>; 4],
    notes: &mut Notes,
) -> Result<()> {
    print(text, false)?;
    names[0] = Some("stdout".to_owned());
    notes.shorten(args.report.verbose == 0);
    Ok(())
}

/// Reads pipes to their end before fresh weights are drawn with `--rng`, whose lock the writer of a pipe may hold.
/// Returns the file of `h_0` if it has been opened.
fn hold_streams(args: &Run, input: &mut Input) -> Result<Option<TensorFile>> {
    if args.weights.is_some() || args.rng.rng.is_none() {
        return Ok(None);
    }
    input.hold()?;
    let mut h_0 = args.h0.as_deref().map(open_h_0).transpose()?;
    h_0.iter_mut().try_for_each(TensorFile::hold)?;
    Ok(h_0)
}

/// Whether training mode drops hidden states of the layer.
fn drops(config: &Config) -> bool {
    config.dropout > 0.0 && config.num_layers > 1
}

/// Says what the weights leave open, if it can change the result.
fn say_assumptions(
    args: &Run,
    weights: Option<&Checkpoint>,
    input: &Input,
    around: &ModelConfig,
    notes: &mut Notes,
) -> Result<()> {
    let Some(weights) = weights else { return Ok(()) };
    let batch_is_known = args.h0.is_some() || args.lengths.is_some();
    let mut shape = input.shape();
    shape.extend(around.encoder.is_some().then_some(1));
    let padded = matches!(input, Input::Tensor(_)) && has_two_readings(&shape, batch_is_known);
    let drops = args.train && weights.config.num_layers > 1;
    let open = [("nonlinearity", true), ("batch_first", padded), ("dropout", drops)];
    let open: Vec<_> = open.into_iter().filter_map(|(name, open)| open.then_some(name)).collect();
    assume(weights, &args.layer, &open, args.strict, notes)?;
    if around.head.is_empty() {
        layer::note_modules(weights, true, notes);
    }
    Ok(())
}

fn forward<T: Element>(
    args: &Run,
    pass: &Pass<'_, T>,
    start: &Start,
    (input, held): (Input, Option<TensorFile>),
    outputs: &mut Outputs,
    rng: &mut Rng,
    notes: &mut Notes,
) -> Result<(Results<T>, RunLine)> {
    match (&pass.index, &pass.lengths) {
        (Some(index), _) => check_total(&index.lengths()?, args.total_length)?,
        (_, Some(own)) => check_total(own, args.total_length)?,
        _ => {}
    }
    outputs.check_shapes(&pass.shapes())?;
    let h_0 = match args.h0.as_deref() {
        Some(path) => {
            notes.notes.extend(start.overridden());
            let file = held.map_or_else(|| open_h_0(path), Ok)?;
            Some(read_h_0(args, pass, file, notes)?)
        }
        None => start.state(pass.rnn, pass.batched(), notes)?,
    };
    let pool = threads::pool(args.engine.threads, &mut notes.notes)?;
    let threads = pool.current_num_threads();
    if args.report.verbose > 0 {
        notes.notes.push(format!("plan: {}", pass.rnn.plan(pass.steps, pass.batch, threads)));
    }
    let (results, seconds) = pass.run(&pool, input, h_0, outputs, rng, notes)?;
    let (mode, kernel) = (if args.train { "train" } else { "eval" }, pass.rnn.kernel().name());
    Ok((results, RunLine { mode, kernel, threads, seconds }))
}

/// The tensors of the report. `written` holds the files of output, `h_n`, the last outputs and all hidden states.
fn lines<T: Element>(
    pass: &Pass<'_, T>,
    places: &Places,
    start: &Start,
    results: &Results<T>,
    [output, h_n, last, all_hidden]: [Option<String>; 4],
) -> Vec<TensorLine> {
    let ids = pass.model.encoder().is_some();
    let classes = pass.model.decoder().function == Some(Function::Argmax);
    let line = |name: &str, axes: &[&'static str], shape: &[usize], file: Option<String>| {
        let whole = (name == "input" && ids) || (name == "output" && classes);
        let dtype = if whole { "int64".to_owned() } else { T::DTYPE.to_string() };
        TensorLine::new(name, (shape, axes), dtype, file)
    };
    let [input_axes, _, hidden_axes, h_0_axes] = pass.axes(false);
    let [_, output_axes, _, h_n_axes] = pass.axes(pass.options.split_directions);
    let h_0 = places.h_0.clone().or_else(|| start.name());
    let h_0 = h_0.unwrap_or_else(|| "zeros".to_owned());
    let h_0_shape = pass.rnn.hidden_shape(pass.batched());
    let [output_shape, h_n_shape, last_shape] = pass.shapes();
    let mut lines = vec![
        line("input", &input_axes, &places.input_shape, Some(places.input.clone())),
        line("h_0", &h_0_axes, &h_0_shape, Some(h_0)),
        line("output", &output_axes, &output_shape, output),
        line("h_n", &h_n_axes, &h_n_shape, h_n),
    ];
    if results.last.is_some() {
        let names = [&["batch"][2 - last_shape.len()..], &["directions*hidden_size"]].concat();
        lines.push(line("last", &names, &last_shape, last));
    }
    for (name, states) in &results.all_hidden {
        lines.push(line(name, &hidden_axes, states.shape(), all_hidden.clone()));
    }
    lines
}

/// Checks the header of the input, and reads the lengths of its sequences if it is a tensor.
fn lengths_of<T: Element>(
    args: &Run,
    model: &Model<T>,
    input: &Input,
    (lengths, start): (Option<Lengths<'_>>, &Start),
    notes: &mut Notes,
) -> Result<Option<Vec<usize>>> {
    let mut padded = None;
    if let Input::Tensor(file) = input {
        // First of all: the shape explains most mistakes.
        let shape = with_features(&file.header().shape, model)?;
        let batch_first = model.rnn().config().batch_first;
        let (steps, batch) = model.rnn().check_input(&shape)?;
        padded = Some(PaddedSizes { batch, steps, batch_first, batched: shape.len() == 3 });
    }
    input.warn(notes);
    // Ids are not converted.
    let tensors = if model.encoder().is_some() { Vec::new() } else { input.tensors() };
    for (place, stored, recognised) in tensors {
        note_type::<T>(args, &format!("{place}: input"), stored, &recognised, notes)?;
    }
    if lengths.is_none() {
        return start.lengths(padded.as_ref(), notes);
    }
    let lengths = lengths.zip(padded);
    lengths.map(|(lengths, padded)| read_lengths(lengths, &padded)).transpose()
}

/// Notes the type of a tensor if it is converted, and how the tensor was recognised if more is to be said.
fn note_type<T: Element>(
    args: &Run,
    name: &str,
    stored: StoredType,
    recognised: &str,
    notes: &mut Notes,
) -> Result<()> {
    if args.report.verbose > 0 {
        notes.notes.push(format!("{name}: recognised as {recognised}"));
    }
    notes.notes.extend(conversion::<T>(args.dtype, name, stored)?);
    Ok(())
}

fn open_h_0(path: &OsStr) -> Result<TensorFile> {
    Ok(open(&Source::parse(path), Accepts::Tensor)?.into_tensor()?)
}

fn read_h_0<T: Element>(
    args: &Run,
    pass: &Pass<'_, T>,
    file: TensorFile,
    notes: &mut Notes,
) -> Result<ArrayD<T>> {
    let name = format!("{}: h_0", file.place());
    note_type::<T>(args, &name, file.header().stored, &file.recognised(), notes)?;
    let (expected, found) = (pass.rnn.hidden_shape(pass.batched()), &file.header().shape);
    if *found != expected {
        let (name, found) = ("h_0".to_owned(), found.clone());
        return Err(Error::TensorShape { name, expected, found }.into());
    }
    let h_0 = file.read()?;
    if args.check_finite {
        let [.., axes] = pass.axes(false);
        all_finite(&name, &h_0.view(), &axes, &[])?;
    }
    Ok(h_0)
}
