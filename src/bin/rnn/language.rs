//! A language model as `generate` and `score` read it.

use anyhow::Result;
use elman::files::OpenSource;
use elman::{
    Config, Element, EncoderConfig, Error, Kernel, Model, ModelCheckpoint, ModelConfig, Suggestion,
};

use crate::args::LanguageArgs;
use crate::explain::hint;
use crate::failure::{Data, with_hint};
use crate::layer;
use crate::model_flags::{ModelFlags, typed};
use crate::modules;
use crate::report::Notes;

/// Reads the weights. The function behind the head, and the names of its classes, are left out.
pub(crate) fn read(
    args: &LanguageArgs,
    source: OpenSource,
    verbose: bool,
    notes: &mut Notes,
) -> Result<ModelCheckpoint> {
    let flags = ModelFlags::of_parts(&args.parts)?;
    let mut weights = layer::read_model(source, &args.of_weights, args.dtype, &flags, notes)?;
    if verbose {
        layer::note_recognised(&weights.layer, notes);
    }
    (weights.config.function, weights.config.labels) = (None, None);
    Ok(weights)
}

/// Builds the model on a kernel, or on the fastest one, and checks that it gives a value to each token.
pub(crate) fn load<T: Element>(
    args: &LanguageArgs,
    weights: ModelCheckpoint,
    kernel: Option<Kernel>,
    notes: &mut Notes,
) -> Result<Model<T>> {
    layer::assume(&weights.layer, &args.layer, &["nonlinearity"], args.of_weights.strict, notes)?;
    if !weights.config.head.is_empty() {
        modules::note_modules(&weights.layer, &weights.config, notes);
    }
    let config = layer::merged_config(&weights.layer, &args.layer)?;
    layer::check_finite(&weights, false, notes)?;
    let (place, missing) = (weights.layer.place.clone(), missing(&weights, &config));
    let model = layer::build(weights, &config, kernel)?;
    match model.check_language() {
        Ok(_) => Ok(model),
        Err(Error::Carried { bidirectional }) => {
            let found = if bidirectional {
                "expected one direction, got a bidirectional layer"
            } else {
                "expected the forward direction, got a layer that runs in reverse"
            };
            Err(Data(format!("{place}: {found}, which sees a token before it predicts it")).into())
        }
        Err(error) => {
            let hint = (!missing.is_empty()).then(|| hint::with_flags(&missing));
            Err(with_hint(anyhow::Error::from(error).context(place), hint))
        }
    }
}

/// The flags of the parts that the weights probably have, and neither they nor a flag have named.
fn missing(weights: &ModelCheckpoint, config: &Config) -> Vec<String> {
    let (around, Suggestion { model: suggested, open, .. }) =
        (&weights.config, &weights.layer.suggested);
    // Activations that are to be chosen have no flag that works as typed.
    let names_head = around.head.is_empty() && !open;
    // Without an embedding, ids can only be one-hot rows.
    let one_hot = (config.input_size > 1).then_some(EncoderConfig::OneHot);
    let encoder = suggested.encoder.clone().or(one_hot);
    let missing = ModelConfig {
        encoder: encoder.filter(|_| around.encoder.is_none()),
        head: if names_head { suggested.head.clone() } else { Vec::new() },
        ..ModelConfig::default()
    };
    typed(&missing)
}
