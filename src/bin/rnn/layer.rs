//! The layer of a command: from weights, from flags, or from both.

use anyhow::Result;
use elman::files::{Bundle, OpenSource, Tensor};
use elman::{
    Checkpoint, Config, Dtype, Element, Kernel, Model, ModelCheckpoint, NamedTensor, Nonlinearity,
};

use crate::args::{LayerArgs, ReportForm, WeightsArgs};
use crate::explain::hint;
use crate::explain::layer::hinted;
use crate::failure::{Data, Usage, with_hint};
use crate::model_flags::{ModelFlags, typed_function};
use crate::numbers;
use crate::progress;
use crate::report::Notes;

/// Reads the weights of a model from a file: of the layer, and of the parts around it that were saved or typed.
pub(crate) fn read_model(
    source: OpenSource,
    args: &WeightsArgs,
    dtype: Option<Dtype>,
    flags: &ModelFlags<'_>,
    notes: &mut Notes,
) -> Result<ModelCheckpoint> {
    let choose = |saved| flags.over(saved);
    let bar = progress::transfer(source.bytes());
    let weights = ModelCheckpoint::read_open(source, dtype, args.prefix.as_deref(), choose)?;
    drop(bar);
    let all = weights.layer.tensors.iter().chain(&weights.tensors);
    note_reading(&weights.layer, all, notes);
    if let (Some(saved), Some(own)) = (weights.layer.model.function, weights.config.function)
        && saved != own
    {
        let (place, [own, saved]) = (&weights.layer.place, [own, saved].map(typed_function));
        notes.say(format!("{place}: {own} takes the place of the saved {saved}"));
    }
    Ok(weights)
}

/// Builds the model of weights, on the typed kernel or the fastest one.
pub(crate) fn build<T: Element>(
    weights: ModelCheckpoint,
    config: &Config,
    kernel: Option<Kernel>,
) -> Result<Model<T>> {
    let model = weights.into_model(config.clone()).map_err(|error| hinted(error, config))?;
    Ok(model.with_kernel(kernel.unwrap_or_else(Kernel::best)))
}

/// Everything that a checkpoint says, without its tensors, which become a layer.
pub(crate) fn described(weights: &mut Checkpoint) -> Checkpoint {
    let tensors = std::mem::take(&mut weights.tensors);
    let described = weights.clone();
    weights.tensors = tensors;
    described
}

/// Says how the file of the weights was recognised.
pub(crate) fn note_recognised(weights: &Checkpoint, notes: &mut Notes) {
    let Checkpoint { place, recognised, .. } = weights;
    notes.notes.push(format!("{place}: recognised as {recognised}"));
}

/// Says how weights were read.
fn note_reading<'a>(
    weights: &Checkpoint,
    tensors: impl IntoIterator<Item = &'a NamedTensor>,
    notes: &mut Notes,
) {
    let place = &weights.place;
    for NamedTensor { name, stored, tensor } in tensors {
        if !stored.is_computed() || stored.natural() != tensor.dtype() {
            notes.notes.push(format!("{place}: {name}: {stored} converted to {}", tensor.dtype()));
        }
    }
    let others = others_left_alone(weights);
    for note in others.iter().chain(&weights.notes) {
        notes.notes.push(format!("{place}: {note}"));
    }
    for warning in &weights.warnings {
        notes.warnings.push(format!("{place}: {warning}"));
    }
}

/// Arguments that names and shapes do not tell: the name, the flag, and the value of the default.
const UNDETERMINED: [[&str; 3]; 3] = [
    ["nonlinearity", "--nonlinearity", "tanh"],
    ["batch_first", "--batch-first", "false"],
    ["dropout", "--dropout", "0"],
];

/// Says which of these arguments are PyTorch's defaults because neither the weights nor a flag gives them. With
/// `strict`, such an argument is an error.
pub(crate) fn assume(
    weights: &Checkpoint,
    args: &LayerArgs,
    arguments: &[&str],
    strict: bool,
    notes: &mut Notes,
) -> Result<()> {
    let typed = [args.nonlinearity.is_some(), args.batch_first.is_some(), args.dropout.is_some()];
    let rows = UNDETERMINED.iter().zip(typed).filter(|([name, ..], typed)| {
        !typed && arguments.contains(name) && !weights.is_explicit(name)
    });
    let assumed: Vec<_> = rows.map(|(row, _)| *row).collect();
    if assumed.is_empty() {
        return Ok(());
    }
    let column =
        |column: usize| enumerated(&assumed.iter().map(|row| row[column]).collect::<Vec<_>>());
    let (place, names) = (&weights.place, column(0));
    if strict {
        let flags = column(1);
        let typed: Vec<_> =
            assumed.iter().map(|[_, flag, value]| format!("{flag} {value}")).collect();
        let message = format!(
            "{place}: expected {flags} with --strict: the weights do not say their {names}"
        );
        return Err(with_hint(Data(message), hint::with_flags(&typed)));
    }
    let config = weights.config.to_json();
    let values = assumed.iter().map(|[name, ..]| ((*name).to_owned(), config[name].clone()));
    notes.assumptions.extend(values);
    if notes.form != ReportForm::Json {
        let default = if assumed.len() == 1 { "default, is" } else { "defaults, are" };
        let (values, what) = (column(2), "the weights do not say their");
        notes.said.push(format!("{place}: {what} {names}; {values}, PyTorch's {default} assumed"));
    }
    Ok(())
}

/// Whether an input of this shape can be read with steps first or with sequences first. `batch_is_known` if the
/// number of sequences follows from another input too.
pub(crate) fn has_two_readings(shape: &[usize], batch_is_known: bool) -> bool {
    match *shape {
        [1, 1, _] => false,
        [first, second, _] => first == second || !batch_is_known,
        _ => false,
    }
}

/// Words of a list, with `and` before the last one.
pub(crate) fn enumerated(words: &[&str]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => words.concat(),
    }
}

/// The saved configuration, merged with the flags. A flag that contradicts the weights is an error;
/// `--batch-first` and `--dropout` do not concern weights, and override.
pub(crate) fn merged_config(weights: &Checkpoint, args: &LayerArgs) -> Result<Config> {
    let (config, saved) = (&weights.config, weights.is_explicit("nonlinearity"));
    let size = |size: Option<usize>| size.map(|size| size.to_string());
    let nonlinearity = args.nonlinearity.filter(|_| saved).map(|name| name.to_string());
    let set = |is_set: bool, value: &str| is_set.then(|| value.to_owned());
    let typed = [
        ("--input-size", size(args.input_size), config.input_size.to_string()),
        ("--hidden-size", size(args.hidden_size), config.hidden_size.to_string()),
        ("--num-layers", size(args.num_layers), config.num_layers.to_string()),
        ("--nonlinearity", nonlinearity, config.nonlinearity.to_string()),
        ("--no-bias", set(args.no_bias, "false"), config.bias.to_string()),
        ("--bidirectional", set(args.bidirectional, "true"), config.bidirectional.to_string()),
    ];
    for (flag, typed, saved) in typed {
        if let Some(typed) = typed.filter(|typed| *typed != saved) {
            return Err(contradiction(weights, (flag, &typed, &saved), args));
        }
    }
    Ok(Config {
        nonlinearity: args.nonlinearity.unwrap_or(config.nonlinearity),
        batch_first: args.batch_first.unwrap_or(config.batch_first),
        dropout: args.dropout.unwrap_or(config.dropout),
        ..config.clone()
    })
}

/// The error of a flag whose typed value is not the saved one.
fn contradiction(
    weights: &Checkpoint,
    (flag, typed, saved): (&str, &str, &str),
    args: &LayerArgs,
) -> anyhow::Error {
    let (place, config) = (&weights.place, &weights.config);
    let name = flag.trim_start_matches("--no-").trim_start_matches('-').replace('-', "_");
    let sizes = (Some(config.hidden_size), Some(config.input_size));
    let (looks, hidden) = if (args.input_size, args.hidden_size) == sizes && sizes.0 != sizes.1 {
        (" (input_size and hidden_size look swapped)", "--hidden-size")
    } else {
        ("", flag)
    };
    let message = format!(
        "{place}: expected {name} {saved}, as in the weights, got {typed} from {flag}{looks}"
    );
    with_hint(Data(message), hint::without(&[flag, hidden]))
}

/// A warning about the first NaN or infinity of a layer and the parts around it; an error if it is `refused`.
pub(crate) fn check_finite(
    weights: &ModelCheckpoint,
    refused: bool,
    notes: &mut Notes,
) -> Result<()> {
    let mut all = weights.layer.tensors.iter().chain(&weights.tensors);
    let found = all.find_map(|NamedTensor { name, tensor, .. }| {
        let name = format!("{}: {name}", weights.layer.place);
        match tensor {
            Tensor::F32(array) => numbers::not_finite(&name, &array.view(), &[], &[]),
            Tensor::F64(array) => numbers::not_finite(&name, &array.view(), &[], &[]),
        }
    });
    match found {
        Some(found) if refused => return Err(Data(found).into()),
        found => notes.warnings.extend(found),
    }
    Ok(())
}

/// A note about the other tensors in a file of weights, if there are any.
pub(crate) fn others_left_alone(checkpoint: &Checkpoint) -> Option<String> {
    let under = match checkpoint.prefix.as_str() {
        "" => "without a prefix".to_owned(),
        prefix => format!("under {prefix}"),
    };
    let (model, optimizer) = (checkpoint.ignored, checkpoint.ignored_optimizer);
    let others = match (model, optimizer) {
        (0, 0) => return None,
        (1, 0) => "1 other tensor of the model is left alone".to_owned(),
        (0, 1) => "1 tensor of the optimizer is left alone".to_owned(),
        (_, 0) => format!("{model} other tensors of the model are left alone"),
        (0, _) => format!("{optimizer} tensors of the optimizer are left alone"),
        _ => {
            let s = if model == 1 { "" } else { "s" };
            let of_model = format!("{model} other tensor{s} of the model");
            format!("{of_model} and {optimizer} of the optimizer are left alone")
        }
    };
    Some(format!("the layer {under}; {others}"))
}

/// The configuration from flags alone. `features` is the width of the input, used without `--input-size`.
pub(crate) fn config_from_flags(args: &LayerArgs, features: Option<usize>) -> Result<Config> {
    let Some(input_size) = args.input_size.or(features) else {
        let message = "expected --input-size, the features of one step, got none".to_owned();
        return Err(with_hint(Usage(message), hint::set("--input-size", "10")));
    };
    let Some(hidden_size) = args.hidden_size else {
        let message = match features {
            Some(_) => "expected --weights, or --hidden-size for fresh ones, got neither",
            None => "expected --hidden-size, the features of a hidden state, got none",
        };
        let hint = hint::set("--hidden-size", "20");
        return Err(with_hint(Usage(message.to_owned()), hint));
    };
    Ok(Config {
        num_layers: args.num_layers.unwrap_or(1),
        nonlinearity: args.nonlinearity.unwrap_or(Nonlinearity::Tanh),
        bias: !args.no_bias,
        batch_first: args.batch_first.unwrap_or(false),
        dropout: args.dropout.unwrap_or(0.0),
        bidirectional: args.bidirectional,
        ..Config::new(input_size, hidden_size)
    })
}

/// Notes a dropout without effect.
pub(crate) fn note_dropout(config: &Config, train: bool, notes: &mut Notes) {
    let p = config.dropout;
    if p > 0.0 && config.num_layers == 1 {
        notes
            .warnings
            .push(format!("dropout {p} has no effect: it acts between layers, and there is one"));
    } else if p > 0.0 && !train {
        notes.notes.push(format!("dropout {p} is inactive, as after eval(); --train applies it"));
    }
}

/// Whether a file holds weights of an RNN, as they are or as they are pruned or normalized: by their names.
pub(crate) fn holds_weights(bundle: &Bundle) -> bool {
    let is_weight = |name: &str| name.split('.').any(|part| part.starts_with("weight_ih"));
    bundle.entries().iter().any(|entry| is_weight(&entry.name))
}
