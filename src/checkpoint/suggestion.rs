//! The parts that probably stand around a layer.

use std::collections::{HashMap, HashSet};

use super::around::{ModuleKind, NamedModule};
use super::names::split;
use crate::files::Entry;
use crate::{Config, EncoderConfig, Function, LinkConfig, ModelConfig};

/// Most linear layers of a chain.
const MAX_CHAIN: usize = 16;

/// Most modules around a tensor that are looked up.
const MAX_DEPTH: usize = 16;

/// An embedding and a chain of linear layers that fit a layer by their sizes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suggestion {
    /// The parts. The head is empty if the linear layers of the model are not one chain behind the layer.
    pub model: ModelConfig,
    /// Whether there are several linear layers, and the file does not say the activations between them. The head has
    /// none then.
    pub open: bool,
    /// The names of modules, and of tensors without a module, that are not computed: a normalization, a convolution, or a
    /// linear layer before the RNN. The head is empty if there are any.
    pub unapplied: Vec<String>,
}

/// A linear layer, or an `nn.Sequential` of some, between sizes.
#[derive(Default)]
struct Unit {
    links: Vec<LinkConfig>,
    function: Option<Function>,
    features: Option<(usize, usize)>,
    /// Whether it has a module that is not computed.
    foreign: bool,
}

/// The only embedding of a model, and the chain of all its linear layers. `prefix` is that of the layer's parameters in the
/// file, beside which are the `others`.
pub(super) fn suggest(
    modules: &[NamedModule],
    (others, prefix): (&[&Entry], &str),
    config: &Config,
) -> Suggestion {
    let embeddings = modules.iter().filter_map(|module| match module.kind {
        ModuleKind::Embedding { embedding_dim, .. } => Some((&module.name, embedding_dim)),
        _ => None,
    });
    let encoder = match embeddings.collect::<Vec<_>>()[..] {
        [(name, features)] if features == config.input_size => {
            Some(EncoderConfig::Embedding(name.clone()))
        }
        _ => None,
    };
    let unapplied = unapplied(modules, (others, root(modules, prefix)), config, encoder.is_some());
    let units = if unapplied.is_empty() { units(modules) } else { Vec::new() };
    let chain = chain(units, config.num_directions() * config.hidden_size);
    let open = chain.len() > 1;
    let function = chain.last().and_then(|unit| unit.function).or_else(|| function(modules));
    let head: Vec<_> = chain.into_iter().flat_map(|unit| unit.links).collect();
    let function = function.filter(|_| !head.is_empty());
    let model = ModelConfig { encoder, head, function, ..ModelConfig::default() };
    Suggestion { model, open, unapplied }
}

/// The modules that are not computed, and the tensors that belong to no module that is.
fn unapplied(
    modules: &[NamedModule],
    (others, root): (&[&Entry], &str),
    config: &Config,
    encodes: bool,
) -> Vec<String> {
    let outers: HashSet<_> = modules.iter().map(|module| outer(&module.name)).collect();
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    let mut is_before = true;
    for module in modules {
        let name = module.name.as_str();
        let holds = outers.contains(name);
        if name.is_empty() || within(name, &known) {
            continue;
        }
        let computed = match module.kind {
            ModuleKind::Other { class: None } => continue,
            ModuleKind::Embedding { .. } => encodes,
            ModuleKind::Linear { .. } => !(is_before && fits_before(&module.kind, config)),
            _ => is_computed(&module.kind, holds),
        };
        is_before &= !matches!(module.kind, ModuleKind::Rnn(_));
        known.extend((!holds || !computed).then_some(name));
        found.extend((!computed).then(|| name.to_owned()));
    }
    let names: HashSet<_> = modules.iter().map(|module| module.name.as_str()).collect();
    let is_pickled = modules.iter().any(has_class);
    for name in others.iter().filter_map(|entry| entry.name.strip_prefix(root)) {
        let owner = outer(name);
        // A file may hold other tensors than those of the model.
        let is_own = !is_pickled || names.contains(owner);
        let module = if owner.is_empty() || outers.contains(owner) { name } else { owner };
        if is_own && !is_of_loss(name) && !within(name, &known) && known.insert(module) {
            found.push(module.to_owned());
        }
    }
    // The order of tensors differs between formats.
    found.sort();
    found
}

/// The names that the modules leave out, those around the model.
fn root<'a>(modules: &[NamedModule], prefix: &'a str) -> &'a str {
    let rnn = modules.iter().find(|module| matches!(module.kind, ModuleKind::Rnn(_)));
    let layer = prefix.trim_end_matches('.');
    rnn.and_then(|rnn| layer.strip_suffix(rnn.name.as_str())).unwrap_or_default()
}

/// The name of the module around another one, or around a tensor.
fn outer(name: &str) -> &str {
    split(name).0.trim_end_matches('.')
}

/// Whether a module or a tensor is one of these modules, or is in one of them.
fn within(name: &str, known: &HashSet<&str>) -> bool {
    let outers = std::iter::successors(Some(name), |name| Some(outer(name)));
    outers.take(MAX_DEPTH).take_while(|name| !name.is_empty()).any(|name| known.contains(name))
}

/// Whether a module is computed or changes nothing after `eval()`. If it `holds` others, those are looked at.
fn is_computed(kind: &ModuleKind, holds: bool) -> bool {
    let ModuleKind::Other { class: Some(class) } = kind else { return true };
    let containers = ["Identity", "Sequential", "ModuleList", "ModuleDict"];
    if holds {
        return !(class.contains("Attention") || class.starts_with("Transformer"));
    }
    containers.contains(&&**class) || class.contains("Dropout") || class.ends_with("Loss")
}

/// Whether a linear layer puts out the layer's features, and does not take in its states.
fn fits_before(kind: &ModuleKind, config: &Config) -> bool {
    let width = config.num_directions() * config.hidden_size;
    matches!(kind, ModuleKind::Linear { in_features, out_features, .. }
        if *in_features != width && *out_features == config.input_size)
}

/// Whether the file says the class of a module that is not computed, as a pickled one does.
fn has_class(module: &NamedModule) -> bool {
    matches!(module.kind, ModuleKind::Other { class: Some(_) })
}

/// Whether a tensor is one of a loss, such as the weights of its classes.
fn is_of_loss(name: &str) -> bool {
    let outer = outer(name).to_lowercase();
    outer.ends_with("loss") || outer.ends_with("criterion")
}

/// The linear layers, those of one `nn.Sequential` with the activations between them.
fn units(modules: &[NamedModule]) -> Vec<Unit> {
    let sequential = modules.iter().filter(|module| {
        matches!(&module.kind, ModuleKind::Other { class: Some(class) } if class == "Sequential")
    });
    let sequential: HashSet<_> = sequential.map(|module| module.name.as_str()).collect();
    let (mut units, mut places): (Vec<Unit>, HashMap<&str, usize>) = (Vec::new(), HashMap::new());
    for module in modules {
        let outer = outer(&module.name);
        if sequential.contains(outer) {
            let place = *places.entry(outer).or_insert(units.len());
            if place == units.len() {
                units.push(Unit::default());
            }
            units[place].add(module);
        } else if matches!(module.kind, ModuleKind::Linear { .. }) {
            let mut unit = Unit::default();
            unit.add(module);
            units.push(unit);
        }
    }
    units.retain(|unit| unit.features.is_some());
    units
}

impl Unit {
    fn add(&mut self, module: &NamedModule) {
        match &module.kind {
            // A function is the last one.
            _ if self.function.is_some() => self.foreign = true,
            ModuleKind::Linear { in_features, out_features, .. } => {
                let first = self.features.map_or(*in_features, |(first, _)| first);
                self.foreign |= self.features.is_some_and(|(_, last)| last != *in_features);
                self.features = Some((first, *out_features));
                self.links.push(LinkConfig::Linear(module.name.clone()));
            }
            ModuleKind::Relu => self.links.push(LinkConfig::Relu),
            ModuleKind::Tanh => self.links.push(LinkConfig::Tanh),
            ModuleKind::Sigmoid => self.links.push(LinkConfig::Sigmoid),
            ModuleKind::Softmax { .. } => self.function = Some(Function::Softmax),
            ModuleKind::LogSoftmax { .. } => self.function = Some(Function::LogSoftmax),
            // The identity after eval().
            ModuleKind::Dropout { .. } => {}
            ModuleKind::Other { class: Some(class) } if class == "Identity" => {}
            _ => self.foreign = true,
        }
    }
}

/// All units in an order in which their sizes fit, the last one alone with a function; or none. Of the units that fit one
/// place, one that keeps the size comes first.
fn chain(mut units: Vec<Unit>, mut width: usize) -> Vec<Unit> {
    let mut chain = Vec::with_capacity(units.len());
    if units.len() > MAX_CHAIN || units.iter().any(|unit| unit.foreign) {
        return chain;
    }
    let fits = |unit: &Unit, width| unit.features.is_some_and(|(first, _)| first == width);
    let keeps = |unit: &Unit, width| unit.features == Some((width, width));
    while !units.is_empty() {
        let fitting = || units.iter().enumerate().filter(|(_, unit)| fits(unit, width));
        let keeping = fitting().find(|(_, unit)| keeps(unit, width));
        let Some((place, _)) = keeping.or_else(|| fitting().next()) else { return Vec::new() };
        let unit = units.remove(place);
        width = unit.features.map_or(width, |(_, last)| last);
        chain.push(unit);
    }
    // A head has its function at the end.
    let ends_early = chain.iter().rev().skip(1).any(|unit| unit.function.is_some());
    if ends_early { Vec::new() } else { chain }
}

/// The only softmax or its logarithm, outside of an `nn.Sequential`.
fn function(modules: &[NamedModule]) -> Option<Function> {
    let mut functions = modules.iter().filter_map(|module| match module.kind {
        ModuleKind::Softmax { .. } => Some(Function::Softmax),
        ModuleKind::LogSoftmax { .. } => Some(Function::LogSoftmax),
        _ => None,
    });
    let (only, None) = (functions.next()?, functions.next()) else { return None };
    Some(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_between_linear_layers_makes_no_head() {
        let module = |name: &str, kind| NamedModule { name: name.to_owned(), kind };
        let linear = |in_features, out_features| ModuleKind::Linear {
            in_features,
            out_features,
            bias: true,
        };
        let sequential = ModuleKind::Other { class: Some("Sequential".to_owned()) };
        for (outer, inner, linears, function) in [
            (linear(8, 8), linear(8, 3), &["fc", "gate.0"][..], Some(Function::Softmax)),
            (linear(8, 3), linear(8, 8), &[], None),
        ] {
            let modules = [
                module("gate", sequential.clone()),
                module("gate.0", inner),
                module("gate.1", ModuleKind::Softmax { dim: Some(-1) }),
                module("fc", outer),
            ];
            let Suggestion { model, open, .. } =
                suggest(&modules, (&[], "rnn."), &Config::new(4, 8));
            let expected = linears.iter().map(|name| LinkConfig::Linear((*name).to_owned()));
            assert_eq!(model.head, expected.collect::<Vec<_>>());
            assert_eq!((model.function, open), (function, function.is_some()));
        }
    }

    #[test]
    fn very_many_linear_layers_make_no_head_at_once() {
        let kind = ModuleKind::Linear { in_features: 8, out_features: 1, bias: true };
        let module = |i| NamedModule { name: format!("l{i}.fc"), kind: kind.clone() };
        let modules: Vec<_> = (0..100_000).map(module).collect();
        let start = std::time::Instant::now();
        let suggestion = suggest(&modules, (&[], "rnn."), &Config::new(4, 8));
        assert_eq!(suggestion, Suggestion::default());
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }
}
