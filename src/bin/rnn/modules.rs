//! Words about the modules of a checkpoint beside its layer: those that flags apply, and those that none does.

use std::collections::HashMap;

use elman::files::listed;
use elman::{Checkpoint, EncoderConfig, LinkConfig, ModelConfig, Suggestion};

use crate::model_flags::typed;
use crate::report::Notes;

/// Most names of modules in a note.
const MAX_MODULES: usize = 5;

/// Says that the result is the hidden state, if the model has other layers with weights, and which flags would use them;
/// with a head, which modules are not computed.
pub(crate) fn note_modules(weights: &Checkpoint, around: &ModelConfig, notes: &mut Notes) {
    let (place, unapplied) = (&weights.place, unapplied(weights, around));
    if !around.head.is_empty() {
        if let Some(names) = unapplied {
            let what = "the output may not be the model's prediction";
            notes.say(format!("{place}: rnn does not apply {names}: {what}"));
        }
    } else if let Some(prediction) = prediction(weights) {
        notes.say(format!("{place}: the output is the hidden state; {prediction}"));
    } else if !weights.modules.is_empty() {
        let modules = listed(&weights.modules, MAX_MODULES);
        let other = unapplied.map(|names| format!("; rnn does not apply {names}"));
        let line = format!(
            "{place}: the output is the hidden state, not the model's prediction, which needs {modules}{}",
            other.unwrap_or_default()
        );
        notes.say(line);
    }
}

/// The modules, with their classes, and tensors that neither the model around the layer nor any other flags apply.
pub(crate) fn unapplied(weights: &Checkpoint, around: &ModelConfig) -> Option<String> {
    let used = |name: &str| {
        let linear = |link: &LinkConfig| matches!(link, LinkConfig::Linear(own) if own == name);
        matches!(&around.encoder, Some(EncoderConfig::Embedding(own)) if own == name)
            || around.head.iter().any(linear)
    };
    let unused = weights.suggested.unapplied.iter().filter(|name| !used(name));
    let kinds: HashMap<_, _> = weights.around.iter().map(|own| (&own.name, &own.kind)).collect();
    let named = unused.map(|name| {
        let kind = kinds.get(name).map(ToString::to_string).unwrap_or_default();
        match kind.split('(').next() {
            None | Some("" | "Module") => name.clone(),
            Some(class) => format!("{name} ({class})"),
        }
    });
    let names: Vec<_> = named.collect();
    (!names.is_empty()).then(|| listed(&names, MAX_MODULES))
}

/// A sentence with the flags of an embedding and linear layers that would use what the weights have, and what remains to
/// be chosen; `None` unless the linear layers are a chain.
pub(crate) fn prediction(weights: &Checkpoint) -> Option<String> {
    let Suggestion { model, open, .. } = &weights.suggested;
    if model.head.is_empty() {
        return None;
    }
    let flags = typed(model);
    let s = if flags.len() == 1 { "s" } else { "" };
    let mut flags = flags.join(" ");
    let mut choice = "--pool last that of the last step alone".to_owned();
    if weights.config.bidirectional {
        choice += " (output[:, -1]), --pool state that of h_n (torch.cat((h_n[-2], h_n[-1]), 1))";
    }
    if *open {
        let links: Vec<_> = model.head.iter().map(ToString::to_string).collect();
        flags = flags.replace(&links.join(","), &links.join(",ACTIVATION,"));
        choice += ", relu, tanh, sigmoid or nothing for ACTIVATION";
    }
    Some(format!("{flags} give{s} the model's prediction, {choice}"))
}
