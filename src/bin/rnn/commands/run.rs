//! `rnn run`: the forward pass.

mod padding;
mod plan;

use anyhow::Result;
use elman::files::{Accepts, open};
use elman::{Checkpoint, Dtype, Element, Error, Rnn};
use ndarray::ArrayD;

use crate::args::Run;
use crate::conversion::conversion;
use crate::explain::shapes::{Places, explain};
use crate::finite;
use crate::pipeline::destination::shown;
use crate::pipeline::extent::Extent;
use crate::pipeline::input::Input;
use crate::pipeline::lengths;
use crate::pipeline::output::OutputFiles;
use crate::pipeline::packed::read_index;
use crate::pipeline::pass::Pass;
use crate::pipeline::results::{AxisNames, Results};
use crate::report::{Notes, Report, RunLine, TensorLine};
use crate::rng::Rng;
use crate::threads;

use plan::RunPlan;

pub(crate) fn run(args: &Run) -> Result<()> {
    let plan = RunPlan::new(args)?;
    // An output that cannot be written is reported before large files are read: of the input, its headers are.
    let rng = Rng::open(plan.rng, plan.outputs.files())?;
    let outputs = OutputFiles::open(&plan.outputs)?;
    let mut notes = Notes::default();
    let weights = plan.weights(&mut notes)?;
    let input = plan.open_input()?;
    padding::check(&plan, &input)?;
    let outputs = outputs.for_input(&plan.outputs, input.is_archive())?;
    let of_weights = weights.as_ref().map(|weights| weights.dtype);
    match plan.dtype.or(of_weights).unwrap_or_else(|| input.natural()) {
        Dtype::F32 => run_as::<f32>(&plan, (rng, outputs), weights, input, notes),
        Dtype::F64 => run_as::<f64>(&plan, (rng, outputs), weights, input, notes),
    }
}

fn run_as<T: Element>(
    plan: &RunPlan<'_>,
    (mut rng, mut outputs): (Rng, OutputFiles),
    weights: Option<Checkpoint>,
    mut input: Input,
    mut notes: Notes,
) -> Result<()> {
    let (seed, fresh) = (rng.seed, weights.is_none());
    let places = plan.places(weights.as_ref(), &input);
    let rnn = plan.build::<T>(weights, &places, &mut rng, &mut notes)?;
    let dropout = rnn.config().dropout > 0.0 && rnn.config().num_layers > 1;
    let seed = seed.filter(|_| fresh || (plan.pass.train && dropout));
    let explained = |error| explain(error, rnn.config(), &places);

    let extent = extent(plan, &rnn, &mut input, &mut notes).map_err(explained)?;
    let axes = AxisNames::new(rnn.config(), &extent.form);
    let pass =
        Pass { rnn: &rnn, extent: &extent, axes: &axes, options: &plan.pass, place: &places.input };
    outputs.check_shapes(&pass.shapes())?;
    let ended = forward(plan, &pass, input, &mut outputs, &mut rng, &mut notes);
    let (mut results, run) = ended.map_err(explained)?;
    let written = outputs.commit(&pass, &mut results)?;
    rng.save()?;
    let report = Report {
        command: "run",
        layer: Some((rnn.config().clone(), T::DTYPE)),
        tensors: lines(&pass, &places, &results, written),
        weights: places.weights,
        seed,
        rng: plan.rng.rng.as_deref().map(shown),
        run: Some(run),
        notes,
    };
    report.print(plan.report, plan.outputs.on_stdout())
}

/// The forward pass, from the state that was named.
fn forward<T: Element>(
    plan: &RunPlan<'_>,
    pass: &Pass<'_, T>,
    mut input: Input,
    outputs: &mut OutputFiles,
    rng: &mut Rng,
    notes: &mut Notes,
) -> Result<(Results<T>, RunLine)> {
    let h_0 = read_h_0(plan, pass, notes)?;
    let pool = threads::pool(plan.threads, &mut notes.notes)?;
    let threads = pool.current_num_threads();
    if plan.report.verbose {
        let plan = pass.rnn.plan(pass.extent.steps, pass.extent.batch, threads);
        notes.note(format!("plan: {plan}"));
    }
    let cut = pass.cut(&mut input, outputs, plan.report.announce(), &mut notes.notes)?;
    let (results, seconds) = pass.run(&pool, (input, cut), h_0, outputs, &mut rng.generator)?;
    let (mode, kernel) = (if plan.pass.train { "train" } else { "eval" }, pass.rnn.kernel().name());
    Ok((results, RunLine { mode, kernel, threads, seconds }))
}

/// The tensors of the report. `written` holds the files of output, `h_n`, the last outputs and all hidden states.
fn lines<T: Element>(
    pass: &Pass<'_, T>,
    places: &Places,
    results: &Results<T>,
    written: [Option<String>; 4],
) -> Vec<TensorLine> {
    let line = |name: &str, axes: &[&'static str], shape: &[usize], file: Option<String>| {
        TensorLine::new(name, (shape, axes), T::DTYPE.to_string(), file)
    };
    let axes = if pass.options.split_directions { &pass.axes.split() } else { pass.axes };
    let h_0 = places.h_0.clone().unwrap_or_else(|| "zeros".to_owned());
    let h_0_shape = pass.rnn.hidden_shape(pass.extent.batched());
    let [output_shape, h_n_shape, last_shape] = pass.shapes();
    let [output, h_n, last, all_hidden] = written;
    let mut lines = vec![
        line("input", &axes.input, &places.input_shape, Some(places.input.clone())),
        line("h_0", &pass.axes.state, &h_0_shape, Some(h_0)),
        line("output", &axes.output, &output_shape, output),
        line("h_n", &axes.state, &h_n_shape, h_n),
    ];
    if results.last.is_some() {
        let names = [&["batch"][2 - last_shape.len()..], &["directions*hidden_size"]].concat();
        lines.push(line("last", &names, &last_shape, last));
    }
    for (name, states) in &results.all_hidden {
        lines.push(line(name, &axes.all_hidden, states.shape(), all_hidden.clone()));
    }
    lines
}

/// Checks the headers of the input, and reads everything but its numbers: lengths, batch sizes, indices.
fn extent<T: Element>(
    plan: &RunPlan<'_>,
    rnn: &Rnn<T>,
    input: &mut Input,
    notes: &mut Notes,
) -> Result<Extent> {
    if let Input::Tensor(file) = &input {
        // First of all: the shape explains most mistakes.
        rnn.check_input(&file.header().shape)?;
    }
    input.warn(notes);
    for (place, stored, recognised) in input.tensors() {
        plan.note_recognised(&format!("{place}: input"), &recognised, notes);
        notes.notes.extend(conversion::<T>(plan.dtype, &format!("{place}: input"), stored)?);
    }
    let index = match input {
        Input::Packed(bundle, data) => Some(read_index(bundle, data)?),
        _ => None,
    };
    let lengths = match &*input {
        Input::Tensor(file) => plan.read_lengths(rnn, file)?,
        _ => None,
    };
    let extent = Extent::new(rnn, input, lengths, index)?;
    match (&extent.index, &extent.lengths) {
        (Some(index), _) => lengths::check_total(&index.lengths()?, plan.pass.total_length)?,
        (_, Some(own)) => lengths::check_total(own, plan.pass.total_length)?,
        _ => {}
    }
    Ok(extent)
}

/// Reads `h_0` if it was named, and checks its shape.
fn read_h_0<T: Element>(
    plan: &RunPlan<'_>,
    pass: &Pass<'_, T>,
    notes: &mut Notes,
) -> Result<Option<ArrayD<T>>> {
    let Some(source) = &plan.h_0 else { return Ok(None) };
    let file = open(source, Accepts::Tensor)?.into_tensor()?;
    let name = format!("{}: h_0", file.place());
    plan.note_recognised(&name, &file.recognised(), notes);
    notes.notes.extend(conversion::<T>(plan.dtype, &name, file.header().stored)?);
    let expected = pass.rnn.hidden_shape(pass.extent.batched());
    let found = file.header().shape.clone();
    if found != expected {
        return Err(Error::HiddenShape { expected, found }.into());
    }
    let h_0 = file.read()?;
    if plan.pass.check_finite {
        finite::all_finite(&format!("{source}: h_0"), &h_0.view(), &pass.axes.state, &[])?;
    }
    Ok(Some(h_0))
}
