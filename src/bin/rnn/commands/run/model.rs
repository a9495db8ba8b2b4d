//! The model of a run: its layer, the parts around it, and the input that they take.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use elman::files::{FileError, OpenSource, Remedy, Source};
use elman::{
    Checkpoint, Decoder, Element, Error, Function, Head, Kernel, Model, ModelCheckpoint,
    ModelConfig, Params, Pool, Rnn,
};

use crate::args::{Run, typed_flags};
use crate::explain::hint;
use crate::explain::layer::{Places, explain};
use crate::failure::{Data, Usage, with_hint};
use crate::layer::{self, config_from_flags, merged_config, note_dropout};
use crate::model_flags::{ModelFlags, gives_indices};
use crate::pipeline::groups::Groups;
use crate::pipeline::input::Input;
use crate::pipeline::output::Outputs;
use crate::pipeline::sequences::Lengths;
use crate::report::Notes;
use crate::rng::Rng;

use super::plan;
use super::work::Work;

/// Reads the weights, and says which parts stand around their layer.
pub(super) fn read_weights(
    args: &Run,
    source: Option<OpenSource>,
    notes: &mut Notes,
) -> Result<(Option<ModelCheckpoint>, ModelConfig)> {
    let flags = ModelFlags::read(&args.model)?;
    let read = |source| layer::read_model(source, &args.of_weights, args.dtype, &flags, notes);
    let Some(weights) = source.map(read).transpose()? else {
        if let Some(flag) = args.model.parts.of_weights().first() {
            let message = format!("expected --weights with {flag}, got none");
            return Err(with_hint(Usage(message), hint::set("--weights", "model.pt")));
        }
        return Ok((None, flags.over(ModelConfig::default())?));
    };
    if args.report.verbose > 0 {
        layer::note_recognised(&weights.layer, notes);
    }
    let around = weights.config.clone();
    Ok((Some(weights), around))
}

/// Opens an input as what the model takes, a text, ids or numbers, with the lengths of its sequences. The outputs get
/// the form of its results.
pub(super) fn open_input<'a>(
    args: &'a Run,
    path: &OsStr,
    around: &ModelConfig,
    outputs: &mut Outputs,
) -> Result<(Input, Option<Lengths<'a>>)> {
    outputs.open_default(around.vocabulary.is_some())?;
    let (input, own) = if let Some(vocabulary) = &around.vocabulary {
        let flags = [args.table.flags(), table_flags(args)].concat();
        (Input::text(path, vocabulary, &flags)?, None)
    } else {
        let archive = args.lengths.is_none() && outputs.output_is_archive();
        let opened = open_table(args, path, around, archive, outputs);
        opened.map_err(|error| match error.downcast_ref() {
            Some(FileError::Table { remedy: Remedy::FirstLine { numbers: true }, .. }) => error,
            Some(FileError::Table { place, .. } | FileError::Malformed { place, .. })
                if takes_ids(around) && may_be_text(place) =>
            {
                with_hint(error, hint::vocabulary())
            }
            _ => error,
        })?
    };
    // The typed lengths win over those of the input.
    let lengths = args.lengths.as_deref().map(Lengths::Typed).or(own);
    plan::check_padding(args, around, lengths.is_some(), &input)?;
    form_output(outputs, around, &input)?;
    Ok((input, lengths))
}

/// Whether the input is ids, and text if a vocabulary is typed.
fn takes_ids(around: &ModelConfig) -> bool {
    around.encoder.is_some() && around.vocabulary.is_none()
}

/// Whether a file is not an array by its name.
fn may_be_text(place: &str) -> bool {
    let extension = Path::new(place).extension().and_then(OsStr::to_str);
    !extension.is_some_and(|own| ["npy", "npz", "pt", "pth", "safetensors"].contains(&own))
}

/// Opens an input that is no text. The columns of a table that are copied, and the names of its groups, go to the
/// outputs.
fn open_table(
    args: &Run,
    path: &OsStr,
    around: &ModelConfig,
    archive: bool,
    outputs: &mut Outputs,
) -> Result<(Input, Option<Lengths<'static>>)> {
    let (mut keep, flags) = (args.written.keep(), table_flags(args));
    let typed = |keep: &[String]| keep.iter().position(|own| Some(own) == args.group.as_ref());
    if let Some(group) = args.group.as_ref().filter(|_| typed(&keep).is_none()) {
        keep.insert(0, group.clone());
    }
    let ids = around.encoder.is_some();
    let opened = Input::open_keeping(path, Some(&args.table), (&keep, &flags), archive, ids)?;
    let (mut input, lengths) = opened;
    let kept = input.take_kept();
    let Some(column) = typed(&keep) else {
        outputs.beside.kept = kept;
        return Ok((input, lengths));
    };
    let Groups { names, rows } = Groups::of(&kept, column)?;
    outputs.beside.kept = kept;
    outputs.group(names, around.pool != Pool::Steps);
    Ok((input.grouped(rows), lengths))
}

/// The flags of the columns that an input has, if it is a table.
fn table_flags(args: &Run) -> Vec<&'static str> {
    let keeps = !args.written.keep().is_empty();
    typed_flags(&[("--keep", keeps), ("--group", args.group.is_some())])
}

/// Gives the output the form that the model's results have.
fn form_output(outputs: &mut Outputs, around: &ModelConfig, input: &Input) -> Result<()> {
    let each_step = around.pool == Pool::Steps;
    if gives_indices(around) && each_step && input.is_archive() {
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
    around: &ModelConfig,
    work: &Work<'_>,
) -> Places {
    let is_text = matches!(work.input, Input::Text(..));
    let saved = layer.is_some_and(|layer| layer.config.batch_first);
    let mut input_shape = work.input.shape();
    if is_text && args.layer.batch_first.unwrap_or(saved) {
        input_shape.reverse();
    }
    Places {
        input: work.input.place().to_owned(),
        input_shape,
        h_0: args.h0.as_ref().map(|path| Source::parse(path).to_string()),
        weights: layer.map(|layer| layer.place.clone()),
        hidden_size: args.layer.hidden_size,
        may_be_text: takes_ids(around) && may_be_text(work.input.place()),
        lengths: work.lengths.is_some() || work.input.is_archive() || is_text,
    }
}

/// The model of weights that were named.
pub(super) fn load<T: Element>(
    args: &Run,
    weights: ModelCheckpoint,
    notes: &mut Notes,
) -> Result<Model<T>> {
    let config = merged_config(&weights.layer, &args.layer)?;
    note_dropout(&config, args.train, notes);
    layer::check_finite(&weights, args.check_finite, notes)?;
    layer::build(weights, &config, args.engine.kernel)
}

/// A model with fresh weights.
pub(super) fn fresh<T: Element>(
    args: &Run,
    around: &ModelConfig,
    places: &Places,
    rng: &mut Rng,
    notes: &mut Notes,
) -> Result<Model<T>> {
    // The one size that does not come from a flag is that of the input. A tensor without axes is refused later, by the
    // layer.
    let features = places.input_shape.last().copied().unwrap_or(1);
    let config = config_from_flags(&args.layer, Some(features))?;
    // The header of the input is asked before memory is allocated for weights.
    if features != config.input_size && !places.input_shape.is_empty() {
        let (expected, found) = (config.input_size, places.input_shape.clone());
        return Err(explain(Error::InputSize { expected, found }.into(), &config, places));
    }
    note_dropout(&config, args.train, notes);
    let kernel = args.engine.kernel.unwrap_or_else(Kernel::best);
    let params = Params::init(config.clone(), rng.generator()?);
    let decoder = Decoder { pool: around.pool, head: Head::default(), function: around.function };
    let model = params.and_then(Rnn::from_params);
    let model = model.and_then(|rnn| Model::new(None, rnn.with_kernel(kernel), decoder));
    model.map_err(|error| explain(error.into(), &config, places))
}
