//! The parts that probably stand around a layer, by the shapes of the tensors beside it.

use super::names::split;
use crate::files::{Bundle, Entry};
use crate::{Config, EncoderConfig, LinkConfig, ModelConfig};

/// The embedding and the linear layer that fit a layer by their shapes, each if it is the only one. A whole module says
/// the kinds of its modules; else a matrix that fits both places is an embedding if its name says so.
pub(super) fn suggest(others: &[&Entry], config: &Config, bundle: &Bundle) -> ModelConfig {
    let width = config.num_directions() * config.hidden_size;
    let matrices = others.iter().filter_map(|entry| match entry.shape[..] {
        [_, columns] => Some((entry.name.strip_suffix(".weight")?, columns)),
        _ => None,
    });
    let has = |module: &str, name: &str| {
        bundle.attributes().iter().any(|own| own.module == module && own.name == name)
    };
    let is_embedding = |module: &str, columns: usize| {
        let last = split(module).1.to_lowercase();
        let named = columns != width || last.contains("emb") || last.contains("enc");
        columns == config.input_size
            && !has(module, "in_features")
            && (named || has(module, "num_embeddings"))
    };
    let (embeddings, linears): (Vec<_>, Vec<_>) =
        matrices.partition(|(module, columns)| is_embedding(module, *columns));
    let encoder = match embeddings[..] {
        [(module, ..)] => Some(EncoderConfig::Embedding(module.to_owned())),
        _ => None,
    };
    // A second linear layer may stand behind the first one, with an activation between them that has no tensors.
    let head = match linears[..] {
        [(module, columns)] if columns == width => vec![LinkConfig::Linear(module.to_owned())],
        _ => Vec::new(),
    };
    ModelConfig { encoder, head, ..ModelConfig::default() }
}
