//! The configuration of the parts around a layer: a saved one, and the typed flags over it.

use std::ffi::OsString;

use anyhow::Result;
use elman::files::{Source, read_text};
use elman::{EncoderConfig, Error, Function, ModelConfig, Pool, Vocabulary, parse_labels};
use serde_json::json;

use crate::args::{Chain, ModelArgs, PartArgs};
use crate::failure::Usage;

/// The typed flags, with the texts of their files.
pub(crate) struct ModelFlags<'a> {
    parts: &'a PartArgs,
    vocabulary: Option<(String, String)>,
    pool: Option<Pool>,
    function: Option<Function>,
    labels: Option<Vec<String>>,
}

impl<'a> ModelFlags<'a> {
    /// Reads the files that the flags name.
    pub(crate) fn read(args: &'a ModelArgs) -> Result<Self> {
        let labels = args.labels.as_ref().map(|path| {
            let (place, text) = text(path)?;
            parse_labels(&text).map_err(|error| within(error, place))
        });
        let (pool, function, labels) = (args.pool, args.function(), labels.transpose()?);
        Ok(ModelFlags { pool, function, labels, ..Self::of_parts(&args.parts)? })
    }

    /// Those of a command that has no flags for the form of the prediction.
    pub(crate) fn of_parts(parts: &'a PartArgs) -> Result<Self> {
        let vocabulary = parts.vocab.as_ref().map(text).transpose()?;
        Ok(ModelFlags { parts, vocabulary, pool: None, function: None, labels: None })
    }

    /// The saved configuration with the typed flags in the places of its fields.
    pub(crate) fn over(&self, saved: ModelConfig) -> Result<ModelConfig> {
        let parts = self.parts;
        let mut config = saved;
        match &parts.head {
            // Without its head, a saved model has no use for the rest of its decoder.
            Some(Chain(links)) if links.is_empty() => {
                let ModelConfig { encoder, vocabulary, .. } = config;
                config = ModelConfig { encoder, vocabulary, ..ModelConfig::default() };
            }
            Some(Chain(links)) => config.head.clone_from(links),
            None => {}
        }
        if let Some(name) = &parts.embedding {
            config.encoder = Some(EncoderConfig::Embedding(name.clone()));
        } else if parts.one_hot {
            config.encoder = Some(EncoderConfig::OneHot);
        }
        config.vocabulary = self.vocabulary(config.vocabulary)?;
        config.pool = self.pool.unwrap_or(config.pool);
        config.function = self.function.or(config.function);
        config.labels = self.labels.clone().or(config.labels);
        Ok(config)
    }

    fn vocabulary(&self, saved: Option<Vocabulary>) -> Result<Option<Vocabulary>> {
        let tokens = self.parts.tokens;
        let saved_tokens = saved.as_ref().map(Vocabulary::tokens);
        let units = tokens.or(saved_tokens).unwrap_or_default();
        let (place, vocabulary) = match (&self.vocabulary, saved) {
            (Some((place, text)), _) => (place.clone(), Vocabulary::parse(text, units)),
            (None, Some(saved)) => ("the weights".to_owned(), Ok(saved.with_tokens(units))),
            (None, None) if self.parts.unknown.is_some() || tokens.is_some() => {
                let what = "expected --vocab beside --tokens and --unknown, got none";
                return Err(Usage(what.to_owned()).into());
            }
            (None, None) => return Ok(None),
        };
        let vocabulary = vocabulary.and_then(|own| match &self.parts.unknown {
            Some(token) => own.with_unknown(token),
            None => Ok(own),
        });
        vocabulary.map(Some).map_err(|error| within(error, place))
    }
}

/// A configuration as flags, without the vocabulary and the labels, which are files.
pub(crate) fn typed(config: &ModelConfig) -> Vec<String> {
    let encoder = config.encoder.as_ref().map(|encoder| match encoder {
        EncoderConfig::Embedding(name) => format!("--embedding {name}"),
        EncoderConfig::OneHot => "--one-hot".to_owned(),
    });
    let links: Vec<_> = config.head.iter().map(ToString::to_string).collect();
    let head = (!links.is_empty()).then(|| format!("--head {}", links.join(",")));
    let pool = (config.pool != Pool::Steps).then(|| format!("--pool {}", pool_name(config.pool)));
    let function = config.function.map(typed_function);
    [encoder, head, pool, function].into_iter().flatten().collect()
}

/// Whether the results are indices of classes, which may have names.
pub(crate) fn gives_indices(config: &ModelConfig) -> bool {
    matches!(config.function, Some(Function::Argmax | Function::Top(_)))
}

/// A pool as `--pool` and `rnn.json` name it.
pub(crate) fn pool_name(pool: Pool) -> String {
    json!(pool).as_str().unwrap_or_default().to_owned()
}

/// A function as a flag.
pub(crate) fn typed_function(function: Function) -> String {
    match function {
        Function::Softmax => "--softmax".to_owned(),
        Function::LogSoftmax => "--log-softmax".to_owned(),
        Function::Sigmoid => "--sigmoid".to_owned(),
        Function::Argmax => "--argmax".to_owned(),
        Function::Top(k) => format!("--top {k}"),
    }
}

/// The name and the text of a file.
fn text(path: &OsString) -> Result<(String, String)> {
    let source = Source::parse(path);
    Ok((source.to_string(), read_text(&source)?))
}

/// An error with the place of its file.
fn within(error: Error, place: String) -> anyhow::Error {
    anyhow::Error::from(error).context(place)
}
