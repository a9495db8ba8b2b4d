//! `rnn convert`: weights, or other tensors, from one format to another.

mod tensors;

use anyhow::Result;
use elman::files::{Source, commit_all, is_standard_output};
use elman::{Checkpoint, Config, Element, MODEL, ModelCheckpoint};
use ndarray::ArrayD;
use serde_json::Value;

use crate::args::Convert;
use crate::explain::hint;
use crate::explain::layer::hinted;
use crate::failure::Data;
use crate::layer;
use crate::model_flags::ModelFlags;
use crate::modules;
use crate::pipeline::input::check_stdin;
use crate::report::{Notes, TensorLine};
use crate::weights_output::{WeightsOutput, report};

use tensors::Found;

pub(crate) fn convert(args: &Convert) -> Result<()> {
    check_stdin([Some(&args.source)].into_iter().chain(args.model.files()))?;
    match tensors::found(args)? {
        Found::Tensors(file) => tensors::convert(args, file),
        Found::Weights => convert_weights(args),
    }
}

fn convert_weights(args: &Convert) -> Result<()> {
    let dtype = tensors::dtype_of_weights(args)?;
    let remedy = |other: &str| hint::convert(&args.source.to_string_lossy(), other);
    let output = WeightsOutput::open(&args.target, args.report.overwrite(), remedy)?;
    let mut notes = Notes::new(args.report.form());
    let flags = ModelFlags::read(&args.model)?;
    let source = Source::parse(&args.source).open()?;
    let weights = layer::read_model(source, &args.of_weights, dtype, &flags, &mut notes)?;
    if args.report.verbose > 0 {
        layer::note_recognised(&weights.layer, &mut notes);
    }
    typed!(weights.layer.dtype, convert_as(args, weights, output, notes))
}

fn refuse_reversed(weights: &Checkpoint) -> Result<()> {
    if !weights.reversed {
        return Ok(());
    }
    let message = format!(
        "{}: expected a layer that begins at the first step, got direction reverse, which torch.nn.RNN \
         does not have: convert writes no such layer",
        weights.place
    );
    Err(Data(message).into())
}

fn convert_as<T: Element>(
    args: &Convert,
    model: ModelCheckpoint,
    output: WeightsOutput,
    mut notes: Notes,
) -> Result<()> {
    let weights = &model.layer;
    refuse_reversed(weights)?;
    let config = layer::merged_config(weights, &args.layer)?;
    // The output has all arguments; dropout acts between layers.
    let open = ["nonlinearity", "batch_first", "dropout"];
    let open = &open[..if config.num_layers > 1 { 3 } else { 2 }];
    layer::assume(weights, &args.layer, open, args.of_weights.strict, &mut notes)?;
    if !model.config.head.is_empty() {
        modules::note_modules(weights, &model.config, &mut notes);
    }
    note_constants(weights, &mut notes);
    let mut saved = config.to_json();
    // An assumption must not become a fact: a later flag may set the argument.
    if let Some(saved) = saved.as_object_mut() {
        saved.retain(|name, _| !notes.assumptions.contains_key(name));
    }
    let others = around::<T>(&model, &config, &mut saved)?;
    output.check(&saved, &args.target)?;
    let params = model.layer.into_params::<T>(config.clone());
    let mut params = params.map_err(|error| hinted(error, &config))?;
    if args.merge_bias {
        params.merge_bias();
    }
    output.note(&args.target, T::DTYPE, &mut notes);
    output.note_assumptions(&args.target, &mut notes);
    let mut report = report("convert", (&config, T::DTYPE), &args.target, notes);
    report.tensors.extend(others.iter().map(|(name, tensor)| {
        TensorLine::new(name, (tensor.shape(), &[]), T::DTYPE.to_string(), None)
    }));
    let tensors: Vec<_> = params.into_tensors().into_iter().chain(others).collect();
    commit_all([output.write(&tensors, &config, &saved)?])?;
    report.print(is_standard_output(&args.target))
}

/// The tensors of the parts around the layer, which must fit it. Their configuration is added to the saved one.
fn around<T: Element>(
    model: &ModelCheckpoint,
    config: &Config,
    saved: &mut Value,
) -> Result<Vec<(String, ArrayD<T>)>> {
    if model.config.is_empty() {
        return Ok(Vec::new());
    }
    model.parts::<T>(config).map_err(|error| hinted(error, config))?;
    saved[MODEL] = model.config.to_json();
    Ok(model.to_tensors())
}

/// Warns of constants of a graph that are no weights.
fn note_constants(weights: &Checkpoint, notes: &mut Notes) {
    let beside =
        [("initial_h", weights.h_0.is_some()), ("sequence_lens", weights.lengths.is_some())];
    for (name, _) in beside.iter().filter(|(_, is_constant)| *is_constant) {
        notes.warnings.push(format!(
            "{}: {name} of the model is not a weight, and is not written",
            weights.place
        ));
    }
}
