//! `rnn run`: the forward pass.

mod padding;
mod plan;

use anyhow::Result;
use elman::files::TensorFile;
use elman::{Dtype, Element, Error, Rnn};
use ndarray::ArrayD;

use crate::args::Run;
use crate::conversion::conversion;
use crate::explain::shapes::{Places, explain};
use crate::finite;
use crate::layer::Weights;
use crate::pipeline::destination::shown;
use crate::pipeline::extent::{Extent, Form};
use crate::pipeline::flow::Pass;
use crate::pipeline::input::Input;
use crate::pipeline::lengths;
use crate::pipeline::output::OutputFiles;
use crate::pipeline::packed::read_index;
use crate::pipeline::results::AxisNames;
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
    weights: Option<Weights>,
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
    let h_0 = read_h_0(plan, &pass, &mut notes).map_err(explained)?;
    let pool = threads::pool(plan.pass.threads, &mut notes.notes)?;
    let ran = RunLine {
        train: plan.pass.train,
        kernel: rnn.kernel().name(),
        threads: pool.current_num_threads(),
        seconds: 0.0,
    };
    if plan.report.verbose {
        notes.note(format!("plan: {}", rnn.plan(extent.steps, extent.batch, ran.threads)));
    }
    let reading = pass.reading(input, &outputs, plan.report.announce(), &mut notes.notes);
    let ended = pass.run(&pool, reading, h_0, &mut outputs, &mut rng.generator);
    let (mut results, seconds) = ended.map_err(explained)?;
    let state_shape = results.h_n.shape().to_vec();
    if plan.pass.split_directions {
        results.split_directions(rnn.config());
    }
    let written = outputs.commit(&results, &extent.form)?;
    rng.save()?;

    let mut tensors = input_lines(&places, T::DTYPE, &axes, &state_shape);
    tensors.extend(results.lines(T::DTYPE, &axes, plan.pass.split_directions, &written));
    let report = Report {
        command: "run",
        layer: Some((rnn.config().clone(), T::DTYPE)),
        weights: places.weights,
        seed,
        rng: plan.rng.rng.as_deref().map(shown),
        tensors,
        run: Some(RunLine { seconds, ..ran }),
        notes,
    };
    report.print(plan.report, written.stdout)
}

/// The inputs' lines of the report.
fn input_lines(
    places: &Places,
    dtype: Dtype,
    axes: &AxisNames,
    state_shape: &[usize],
) -> Vec<TensorLine> {
    let line = |name: &str, axes: &[&'static str], shape: &[usize], file: &str| TensorLine {
        name: name.to_owned(),
        shape: shape.to_vec(),
        axes: axes.to_vec(),
        dtype: dtype.to_string(),
        file: Some(file.to_owned()),
    };
    vec![
        line("input", &axes.input, &places.input_shape, &places.input),
        line("h_0", &axes.state, state_shape, places.h_0.as_deref().unwrap_or("zeros")),
    ]
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
    for (place, header, recognised) in input.headers() {
        plan.note_recognised(&format!("{place}: input"), &recognised, notes);
        notes.notes.extend(conversion::<T>(plan.dtype, &format!("{place}: input"), header.stored)?);
    }
    let index = match input {
        Input::Packed(members, header) => Some(read_index(members, header)?),
        _ => None,
    };
    let lengths = match (&plan.lengths, &*input) {
        (&Some(text), Input::Tensor(file)) => Some(plan.read_lengths(text, rnn, file)?),
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
    let file = TensorFile::open(source)?;
    let name = format!("{}: h_0", file.place());
    plan.note_recognised(&name, &file.recognised(), notes);
    notes.notes.extend(conversion::<T>(plan.dtype, &name, file.header().stored)?);
    let batch = (pass.extent.form != Form::Unbatched).then_some(pass.extent.batch);
    let expected = pass.rnn.hidden_shape(batch);
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
