//! The model of a run: its layer, the parts around it, and the input that they take.

use anyhow::Result;
use elman::files::{OpenSource, Source};
use elman::{
    Checkpoint, CheckpointError, Decoder, Element, Error, Function, Head, Kernel, Model,
    ModelCheckpoint, ModelConfig, Params, Pool, Rnn,
};

use crate::args::Run;
use crate::explain::hint;
use crate::explain::layer::{Places, explain, hinted};
use crate::failure::{Data, Usage, with_hint};
use crate::layer::{self, config_from_flags, merged_config, note_dropout};
use crate::model_flags::ModelFlags;
use crate::pipeline::input::Input;
use crate::pipeline::output::Outputs;
use crate::pipeline::sequences::Lengths;
use crate::report::Notes;
use crate::rng::Rng;

/// Reads the weights, and says which parts stand around their layer.
pub(super) fn read_weights(
    args: &Run,
    source: Option<OpenSource>,
    notes: &mut Notes,
) -> Result<(Option<ModelCheckpoint>, ModelConfig)> {
    let flags = ModelFlags::read(&args.model)?;
    let prefix = args.of_weights.prefix.as_deref();
    let read = |source| layer::read_model(source, prefix, args.dtype, &flags, notes);
    let Some(weights) = source.map(read).transpose()? else {
        if let Some(flag) = args.model.of_weights().first() {
            let message = format!("expected --weights with {flag}, got none");
            return Err(with_hint(Usage(message), hint::set("--weights", "model.pt")));
        }
        return Ok((None, flags.over(ModelConfig::default())?));
    };
    if args.report.verbose > 0 {
        let Checkpoint { place, recognised, .. } = &weights.layer;
        notes.notes.push(format!("{place}: recognised as {recognised}"));
    }
    let around = weights.config.clone();
    Ok((Some(weights), around))
}

/// Opens the input as what the model takes: a text, ids or numbers. Also its own lengths.
pub(super) fn open_input(
    args: &Run,
    around: &ModelConfig,
    archive: bool,
) -> Result<(Input, Option<Lengths<'static>>)> {
    if let Some(vocabulary) = &around.vocabulary {
        return Ok((Input::text(&args.input, vocabulary)?, None));
    }
    Input::open(&args.input, Some(&args.table), archive, around.encoder.is_some())
}

/// Gives the output the form that the model's results have.
pub(super) fn form_output(
    outputs: &mut Outputs,
    around: &ModelConfig,
    input: &Input,
) -> Result<()> {
    let indices = matches!(around.function, Some(Function::Argmax | Function::Top(_)));
    let each_step = around.pool == Pool::Steps;
    if indices && each_step && input.is_archive() {
        let message = format!(
            "{}: expected a padded tensor with --argmax or --top at every step, got sequences of different lengths",
            input.place()
        );
        return Err(Data(message).into());
    }
    let pairs = matches!(around.function, Some(Function::Top(_))) && !outputs.output_is_text();
    outputs.labels.clone_from(&around.labels);
    outputs.for_input(pairs || (each_step && input.is_archive()))
}

/// The inputs, for messages and the report.
pub(super) fn places(
    args: &Run,
    layer: Option<&Checkpoint>,
    input: &Input,
    lengths: bool,
) -> Places {
    Places {
        input: input.place().to_owned(),
        input_shape: input.shape(),
        h_0: args.h0.as_ref().map(|path| Source::parse(path).to_string()),
        weights: layer.map(|layer| layer.place.clone()),
        hidden_size: args.layer.hidden_size,
        lengths: lengths || input.is_archive(),
    }
}

/// The model: with the weights that were named, else with fresh ones.
pub(super) fn build<T: Element>(
    args: &Run,
    weights: Option<ModelCheckpoint>,
    around: &ModelConfig,
    places: &Places,
    rng: &mut Rng,
    notes: &mut Notes,
) -> Result<Model<T>> {
    let config = if let Some(weights) = &weights {
        merged_config(&weights.layer, &args.layer)?
    } else {
        // A tensor without axes is refused later, by the layer.
        let features = places.input_shape.last().copied().unwrap_or(1);
        config_from_flags(&args.layer, Some(features))?
    };
    // The header of the input is asked before memory is allocated for weights.
    let features = places.input_shape.last().copied().unwrap_or(config.input_size);
    if weights.is_none() && features != config.input_size {
        let (expected, found) = (config.input_size, places.input_shape.clone());
        return Err(explain(Error::InputSize { expected, found }.into(), &config, places));
    }
    note_dropout(&config, args.train, notes);
    let kernel = args.engine.kernel.unwrap_or_else(Kernel::best);
    let Some(weights) = weights else {
        // The one size that did not come from a flag is that of the input.
        let params = Params::init(config.clone(), rng.generator()?);
        let decoder =
            Decoder { pool: around.pool, head: Head::default(), function: around.function };
        let model = params.and_then(Rnn::from_params);
        let model = model.and_then(|rnn| Model::new(None, rnn.with_kernel(kernel), decoder));
        return model.map_err(|error| explain(error.into(), &config, places));
    };
    layer::check_finite(&weights.layer, args.check_finite, notes)?;
    let model = weights.into_model(config.clone()).map(|model| model.with_kernel(kernel));
    model.map_err(|error: CheckpointError| hinted(error, &config))
}
