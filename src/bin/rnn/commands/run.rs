//! `rnn run`: the forward pass.

mod plan;

use std::ffi::OsStr;

use anyhow::Result;
use elman::files::{Accepts, OpenSource, Source, StoredType, TensorFile, open};
use elman::{Checkpoint, Config, Element, Error, Kernel, Params, Rnn};
use ndarray::ArrayD;

use crate::args::Run;
use crate::explain::layer::{Places, explain, hinted};
use crate::layer::{
    self, assume, config_from_flags, has_two_readings, merged_config, note_dropout,
};
use crate::numbers::{all_finite, conversion};
use crate::pipeline::input::Input;
use crate::pipeline::output::Outputs;
use crate::pipeline::pass::{Pass, Results};
use crate::pipeline::sequences::{Lengths, PaddedSizes, check_total, read_lengths};
use crate::report::{Notes, Report, RunLine, TensorLine};
use crate::rng::Rng;
use crate::start::Start;
use crate::threads;

use plan::RunPlan;

pub(crate) fn run(args: &Run) -> Result<()> {
    let mut plan = RunPlan::new(args)?;
    let source = args.weights.as_deref().map(Source::parse);
    let named = source.as_ref().and_then(Source::id);
    plan::refuse_weights(args, &plan.outputs, named)?;
    // An output that cannot be written is reported before large files are read: of the input, its headers are.
    let rng = Rng::open(args.rng.seed, args.rng.rng.as_deref(), plan.outputs.files())?;
    plan.outputs.open()?;
    let mut notes = Notes::new(args.report.form());
    let weights = source.map(|source| source.open()).transpose()?;
    let opened = weights.as_ref().and_then(OpenSource::id);
    let prefix = args.of_weights.prefix.as_deref();
    let read = |weights| layer::read(weights, prefix, args.dtype, &mut notes);
    let weights = weights.map(read).transpose()?;
    if let Some(weights) = weights.as_ref().filter(|_| args.report.verbose > 0) {
        notes.notes.push(format!("{}: recognised as {}", weights.place, weights.recognised));
    }
    let (input, own) = Input::open(&args.input, Some(&args.table), plan.archive)?;
    // The typed lengths win over those of the input.
    let lengths = args.lengths.as_deref().map(Lengths::Typed).or(own);
    plan::check_padding(args, lengths.is_some(), &input)?;
    plan.outputs.for_input(input.is_archive())?;
    // Another file may have taken the path of the weights, and the default output a name for archives.
    if opened != named || input.is_archive() {
        plan::refuse_weights(args, &plan.outputs, opened)?;
    }
    let of_weights = weights.as_ref().map(|weights| weights.dtype);
    typed!(
        args.dtype.or(of_weights).unwrap_or_else(|| input.natural()),
        run_as(args, plan, rng, weights, (input, lengths), notes)
    )
}

fn run_as<T: Element>(
    args: &Run,
    RunPlan { mut outputs, options, .. }: RunPlan,
    mut rng: Rng,
    weights: Option<Checkpoint>,
    (mut input, lengths): (Input, Option<Lengths<'_>>),
    mut notes: Notes,
) -> Result<()> {
    let start = Start::new(weights.as_ref());
    let places = Places {
        input: input.place().to_owned(),
        input_shape: input.shape(),
        h_0: args.h0.as_ref().map(|path| Source::parse(path).to_string()),
        weights: weights.as_ref().map(|weights| weights.place.clone()),
        hidden_size: args.layer.hidden_size,
        lengths: lengths.is_some() || input.is_archive(),
    };
    say_assumptions(args, weights.as_ref(), &input, &mut notes)?;
    let held = hold_streams(args, &mut input)?;
    let rnn = build::<T>(args, weights, &places, &mut rng, &mut notes)?;
    let seed = rng.seed.filter(|_| places.weights.is_none() || (args.train && drops(rnn.config())));
    let explained = |error| explain(error, rnn.config(), &places);
    let lengths = lengths_of::<T>(args, &rnn, &input, (lengths, &start), &mut notes);
    let pass = lengths.and_then(|own| input.pass(&rnn, &options, &places.input, own));
    let pass = pass.map_err(explained)?;
    let ran = forward(args, &pass, &start, (input, held), &mut outputs, &mut rng, &mut notes);
    let (mut results, run) = ran.map_err(explained)?;
    let (stdout_taken, names) = (outputs.on_stdout(), outputs.names());
    let rng = rng.save(outputs.write_rest(&pass, &mut results)?)?;
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
    notes: &mut Notes,
) -> Result<()> {
    let Some(weights) = weights else { return Ok(()) };
    let batch_is_known = args.h0.is_some() || args.lengths.is_some();
    let padded = !input.is_archive() && has_two_readings(&input.shape(), batch_is_known);
    let drops = args.train && weights.config.num_layers > 1;
    let open = [("nonlinearity", true), ("batch_first", padded), ("dropout", drops)];
    let open: Vec<_> = open.into_iter().filter_map(|(name, open)| open.then_some(name)).collect();
    assume(weights, &args.layer, &open, args.strict, notes)?;
    layer::note_modules(weights, notes);
    Ok(())
}

/// The layer: with the weights that were named, else with fresh ones.
fn build<T: Element>(
    args: &Run,
    weights: Option<Checkpoint>,
    places: &Places,
    rng: &mut Rng,
    notes: &mut Notes,
) -> Result<Rnn<T>> {
    let config = if let Some(weights) = &weights {
        merged_config(weights, &args.layer)?
    } else {
        // A tensor without axes is refused later, by the layer.
        let features = places.input_shape.last().copied().unwrap_or(1);
        config_from_flags(&args.layer, Some(features))?
    };
    note_dropout(&config, args.train, notes);
    let with_kernel =
        |rnn: Rnn<T>| rnn.with_kernel(args.engine.kernel.unwrap_or_else(Kernel::best));
    let Some(weights) = weights else {
        // The one size that did not come from a flag is that of the input.
        let params = Params::init(config.clone(), rng.generator()?);
        let rnn = params.and_then(Rnn::from_params).map(with_kernel);
        return rnn.map_err(|error| explain(error.into(), &config, places));
    };
    layer::check_finite(&weights, args.check_finite, notes)?;
    weights.into_rnn(config.clone()).map(with_kernel).map_err(|error| hinted(error, &config))
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
    let line = |name: &str, axes: &[&'static str], shape: &[usize], file: Option<String>| {
        TensorLine::new(name, (shape, axes), T::DTYPE.to_string(), file)
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
    rnn: &Rnn<T>,
    input: &Input,
    (lengths, start): (Option<Lengths<'_>>, &Start),
    notes: &mut Notes,
) -> Result<Option<Vec<usize>>> {
    let mut padded = None;
    if let Input::Tensor(file) = input {
        // First of all: the shape explains most mistakes.
        let (shape, batch_first) = (&file.header().shape, rnn.config().batch_first);
        let (steps, batch) = rnn.check_input(shape)?;
        padded = Some(PaddedSizes { batch, steps, batch_first, batched: shape.len() == 3 });
    }
    input.warn(notes);
    for (place, stored, recognised) in input.tensors() {
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
