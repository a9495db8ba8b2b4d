//! `rnn run`: the forward pass.

mod files;
mod job;
mod many;
mod model;
mod plan;
mod runs;
mod work;

use std::path::PathBuf;

use anyhow::Result;
use elman::files::{OpenSource, Source, TensorFile};
use elman::{Checkpoint, Element, ModelCheckpoint, ModelConfig};

use crate::args::Run;
use crate::info;
use crate::layer::{assume, described, has_two_readings};
use crate::modules;
use crate::pipeline::input::Input;
use crate::pipeline::output_path::shown;
use crate::pipeline::pass::PassOptions;
use crate::report::{Notes, print};
use crate::rng::Rng;
use crate::start::{Start, open_tensor};
use crate::threads;

use model::{fresh, load, open_input, places, read_weights};
use plan::{RunInput, RunPlan};
use work::{Done, Shared, Work};

pub(crate) fn run(args: &Run) -> Result<()> {
    let mut plan = RunPlan::new(args)?;
    let source = args.weights.as_deref().map(Source::parse);
    let named = source.as_ref().and_then(Source::id);
    plan::refuse_weights(args, &plan.outputs, named)?;
    let mut notes = Notes::new(args.report.form());
    let RunInput::One(path) = plan.input else {
        return many::run(args, &plan, source, notes);
    };
    // An output that cannot be written is reported before large files are read: of the input, its headers are.
    let rng = Rng::open(args.rng.seed, args.rng.rng.as_deref(), plan.outputs.files())?;
    plan.outputs.open_named()?;
    let weights = source.map(|source| source.open()).transpose()?;
    let opened = weights.as_ref().and_then(OpenSource::id);
    let (weights, around) = read_weights(args, weights, &mut notes)?;
    let (input, lengths) = open_input(args, path, &around, &mut plan.outputs)?;
    // Another file may have taken the path of the weights, and the default output a name for archives.
    if opened != named || input.is_archive() {
        plan::refuse_weights(args, &plan.outputs, opened)?;
    }
    let of_weights = weights.as_ref().map(|weights| weights.layer.dtype);
    let work = Work { input, lengths, outputs: plan.outputs, rng, notes };
    typed!(
        args.dtype.or(of_weights).unwrap_or_else(|| work.input.natural()),
        run_as(args, &plan.options, (weights, around), work)
    )
}

fn run_as<T: Element>(
    args: &Run,
    options: &PassOptions,
    (mut weights, around): (Option<ModelCheckpoint>, ModelConfig),
    mut work: Work<'_>,
) -> Result<()> {
    let printed = if args.values { plan::tensor_files(&work.outputs)? } else { Vec::new() };
    let layer = weights.as_mut().map(|weights| described(&mut weights.layer));
    let start = Start::new(layer.as_ref());
    let places = places(args, layer.as_ref(), &around, &work);
    say_assumptions(args, layer.as_ref(), &work.input, &around, &mut work.notes)?;
    let held = hold_streams(args, &mut work.input)?;
    let model = match weights {
        Some(weights) => load::<T>(args, weights, &mut work.notes)?,
        None => fresh(args, &around, &places, &mut work.rng, &mut work.notes)?,
    };
    let pool = threads::pool(args.engine.threads, &mut work.notes.notes)?;
    let shared = Shared { args, options, model: &model, start: &start, pool: &pool };
    let Done { outputs, rng, text, mut report, stdout_taken } = shared.run(work, &places, held)?;
    report.rng = rng.save(outputs)?;
    if args.values {
        report.values = Some(values(&printed)?);
    }
    if let Some(text) = text {
        // Beside lines of text that are the result, a report is only said if it is asked for.
        print(&text, false)?;
        report.notes.shorten(args.report.verbose == 0);
    }
    report.print(stdout_taken)
}

/// The numbers of the outputs that are in files now, under the names of the files.
fn values(files: &[PathBuf]) -> Result<Vec<(String, String)>> {
    files.iter().map(|file| Ok((shown(file), info::values(file)?))).collect()
}

/// Reads pipes to their end before fresh weights are drawn with `--rng`, whose lock the writer of a pipe may hold.
/// Returns the file of `h_0` if it has been opened.
fn hold_streams(args: &Run, input: &mut Input) -> Result<Option<TensorFile>> {
    if args.weights.is_some() || args.rng.rng.is_none() {
        return Ok(None);
    }
    input.hold()?;
    let mut h_0 = args.h0.as_deref().map(open_tensor).transpose()?;
    h_0.iter_mut().try_for_each(TensorFile::hold)?;
    Ok(h_0)
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
    assume(weights, &args.layer, &open, args.of_weights.strict, notes)?;
    modules::note_modules(weights, around, notes);
    Ok(())
}
