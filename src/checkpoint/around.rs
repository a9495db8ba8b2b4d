//! The modules of a model, by the names and shapes of its tensors and, in a pickled module, by their classes.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::names::split;
use crate::files::{AttributeValue, Bundle, CLASS, Entry, ModuleAttribute};
use crate::{Config, EncoderConfig, Function, LinkConfig, ModelConfig, is_parameter_name};

/// A module of a model: the layer or one beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedModule {
    /// The name in the model.
    pub name: String,
    /// Its kind.
    pub kind: ModuleKind,
}

/// The kind of a module. Its `Display` is PyTorch's, without the modules in it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are PyTorch's")]
pub enum ModuleKind {
    /// The layer.
    Rnn(Config),
    Embedding {
        num_embeddings: usize,
        embedding_dim: usize,
        padding_idx: Option<i64>,
    },
    Linear {
        in_features: usize,
        out_features: usize,
        bias: bool,
    },
    Relu,
    Tanh,
    Sigmoid,
    Softmax {
        dim: Option<i64>,
    },
    LogSoftmax {
        dim: Option<i64>,
    },
    Dropout {
        p: f64,
    },
    /// A module of another class, or one that holds others. A `state_dict` does not say the class.
    Other {
        class: Option<String>,
    },
}

impl fmt::Display for ModuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dim = |dim: &Option<i64>| dim.map_or("None".to_owned(), |dim| dim.to_string());
        match self {
            ModuleKind::Rnn(config) => config.fmt(f),
            ModuleKind::Embedding { num_embeddings, embedding_dim, padding_idx } => {
                write!(f, "Embedding({num_embeddings}, {embedding_dim}")?;
                padding_idx.map_or(Ok(()), |index| write!(f, ", padding_idx={index}"))?;
                f.write_str(")")
            }
            ModuleKind::Linear { in_features, out_features, bias } => {
                let bias = if *bias { "True" } else { "False" };
                write!(
                    f,
                    "Linear(in_features={in_features}, out_features={out_features}, bias={bias})"
                )
            }
            ModuleKind::Relu => f.write_str("ReLU()"),
            ModuleKind::Tanh => f.write_str("Tanh()"),
            ModuleKind::Sigmoid => f.write_str("Sigmoid()"),
            ModuleKind::Softmax { dim: axis } => write!(f, "Softmax(dim={})", dim(axis)),
            ModuleKind::LogSoftmax { dim: axis } => write!(f, "LogSoftmax(dim={})", dim(axis)),
            // Python prints a whole float with its point: 1.0.
            ModuleKind::Dropout { p } => write!(f, "Dropout(p={p:?}, inplace=False)"),
            ModuleKind::Other { class } => f.write_str(class.as_deref().unwrap_or("Module")),
        }
    }
}

/// The tensors and attributes of a model by name, with the place and the configuration of its layer.
pub(super) struct Surroundings<'a> {
    /// The tensors beside the layer, without those of an optimizer.
    others: HashMap<&'a str, &'a Entry>,
    /// By the names of the module and of the attribute.
    attributes: HashMap<(&'a str, &'a str), &'a AttributeValue>,
    /// The names of the modules around the layer, with the dot at their end.
    prefix: &'a str,
    config: &'a Config,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(
        others: &[&'a Entry],
        bundle: &'a Bundle,
        prefix: &'a str,
        config: &'a Config,
    ) -> Self {
        let others = others.iter().map(|entry| (entry.name.as_str(), *entry)).collect();
        let mut attributes = HashMap::new();
        for own in bundle.attributes() {
            attributes.entry((own.module.as_str(), own.name.as_str())).or_insert(&own.value);
        }
        Surroundings { others, attributes, prefix, config }
    }

    /// The parts of a saved model; else the modules of a pickled one, in their order; else those that the names of tensors
    /// show, in the order of `entries`: a linear layer and an embedding have their shapes, and any other is unknown.
    pub(super) fn modules(
        &self,
        saved: &ModelConfig,
        entries: &'a [Entry],
        attributes: &[ModuleAttribute],
    ) -> Vec<NamedModule> {
        if !saved.is_empty() {
            self.of_config(saved)
        } else if attributes.iter().any(|own| own.name == CLASS) {
            self.of_classes(attributes)
        } else {
            self.of_tensors(entries)
        }
    }

    fn rnn(&self) -> NamedModule {
        let name = self.prefix.strip_suffix('.').filter(|name| !name.is_empty());
        let kind = ModuleKind::Rnn(self.config.clone());
        NamedModule { name: name.unwrap_or("rnn").to_owned(), kind }
    }

    fn of_config(&self, saved: &ModelConfig) -> Vec<NamedModule> {
        let named = |name: &str, kind| NamedModule { name: name.to_owned(), kind };
        let mut modules = Vec::new();
        if let Some(EncoderConfig::Embedding(name)) = &saved.encoder {
            modules.extend(self.embedding(name).map(|kind| named(name, kind)));
        }
        modules.push(self.rnn());
        for (place, link) in saved.head.iter().enumerate() {
            let (own, kind) = match link {
                LinkConfig::Linear(name) => {
                    modules.extend(self.linear(name).map(|kind| named(name, kind)));
                    continue;
                }
                LinkConfig::Relu => ("relu", ModuleKind::Relu),
                LinkConfig::Tanh => ("tanh", ModuleKind::Tanh),
                LinkConfig::Sigmoid => ("sigmoid", ModuleKind::Sigmoid),
            };
            let name = place_in_sequential(&saved.head[..place]).unwrap_or(own.to_owned());
            modules.push(NamedModule { name, kind });
        }
        let function = match saved.function {
            Some(Function::Softmax) => Some(("softmax", ModuleKind::Softmax { dim: Some(-1) })),
            Some(Function::LogSoftmax) => {
                Some(("log_softmax", ModuleKind::LogSoftmax { dim: Some(-1) }))
            }
            Some(Function::Sigmoid) => Some(("sigmoid", ModuleKind::Sigmoid)),
            _ => None,
        };
        modules.extend(function.map(|(name, kind)| named(name, kind)));
        modules
    }

    fn of_classes(&self, attributes: &[ModuleAttribute]) -> Vec<NamedModule> {
        let classes = attributes.iter().filter_map(|own| match &own.value {
            AttributeValue::Text(class) if own.name == CLASS => Some((&own.module, class)),
            _ => None,
        });
        // The tensors of a parametrization are those of the module that has it.
        let whole = classes.filter(|(name, _)| !name.contains("parametrizations"));
        whole
            .map(|(name, class)| match class.as_str() {
                _ if format!("{name}.") == self.prefix => self.rnn(),
                class => NamedModule { name: name.clone(), kind: self.of_class(name, class) },
            })
            .collect()
    }

    fn of_class(&self, name: &str, class: &str) -> ModuleKind {
        let own = |own: &str| self.attribute(name, own);
        let dim =
            || if let Some(AttributeValue::Int(dim)) = own("dim") { Some(*dim) } else { None };
        let other = ModuleKind::Other { class: Some(class.to_owned()) };
        match (class, own("p")) {
            ("Embedding", _) => self.embedding(name).unwrap_or(other),
            ("Linear" | "ParametrizedLinear", _) => self.linear(name).unwrap_or(other),
            ("ReLU", _) => ModuleKind::Relu,
            ("Tanh", _) => ModuleKind::Tanh,
            ("Sigmoid", _) => ModuleKind::Sigmoid,
            ("Softmax", _) => ModuleKind::Softmax { dim: dim() },
            ("LogSoftmax", _) => ModuleKind::LogSoftmax { dim: dim() },
            ("Dropout", Some(AttributeValue::Float(p))) => ModuleKind::Dropout { p: *p },
            _ => other,
        }
    }

    /// A matrix that fits the places of both an embedding and a linear layer is an embedding if its name says so.
    fn of_tensors(&self, entries: &'a [Entry]) -> Vec<NamedModule> {
        let width = self.config.num_directions() * self.config.hidden_size;
        let is_embedding = |name: &str, columns: usize| {
            let last = split(name).1.to_lowercase();
            let named = columns != width || last.contains("emb") || last.contains("enc");
            columns == self.config.input_size && named && !self.has_bias(name)
        };
        let module = |name: &str| {
            let [_, columns] = self.matrix(name)?;
            let embedding = is_embedding(name, columns);
            let kind = if embedding { self.embedding(name) } else { self.linear(name) };
            Some(NamedModule { name: name.to_owned(), kind: kind? })
        };
        let mut seen = HashSet::new();
        let mut unknown = |name: &'a str| {
            let (outer, own) = split(name);
            let outer = outer.trim_end_matches('.');
            let known = outer.is_empty() || is_parameter_name(own) || self.matrix(outer).is_some();
            let kind = ModuleKind::Other { class: None };
            (!known && seen.insert(outer)).then(|| NamedModule { name: outer.to_owned(), kind })
        };
        let (mut modules, mut rnn) = (Vec::new(), Some(self.rnn()));
        for entry in entries {
            if self.others.contains_key(entry.name.as_str()) {
                let own = entry.name.strip_suffix(".weight").and_then(module);
                modules.extend(own.or_else(|| unknown(&entry.name)));
            } else if split(&entry.name).0 == self.prefix {
                modules.extend(rnn.take());
            }
        }
        modules.extend(rnn);
        shorten(&mut modules);
        modules
    }

    fn attribute(&self, module: &str, name: &str) -> Option<&AttributeValue> {
        self.attributes.get(&(module, name)).copied()
    }

    /// The rows and columns of a module's weight.
    fn matrix(&self, name: &str) -> Option<[usize; 2]> {
        let entry = self.others.get(format!("{name}.weight").as_str())?;
        entry.shape.as_slice().try_into().ok()
    }

    fn has_bias(&self, name: &str) -> bool {
        self.others.contains_key(format!("{name}.bias").as_str())
    }

    fn embedding(&self, name: &str) -> Option<ModuleKind> {
        let [num_embeddings, embedding_dim] = self.matrix(name)?;
        let padding_idx = match self.attribute(name, "padding_idx") {
            Some(AttributeValue::Int(index)) => Some(*index),
            _ => None,
        };
        Some(ModuleKind::Embedding { num_embeddings, embedding_dim, padding_idx })
    }

    fn linear(&self, name: &str) -> Option<ModuleKind> {
        let [out_features, in_features] = self.matrix(name)?;
        Some(ModuleKind::Linear { in_features, out_features, bias: self.has_bias(name) })
    }
}

/// Leaves out what stands before all modules, such as `model_state_dict.`, unless a name would then be the ending of
/// another.
fn shorten(modules: &mut Vec<NamedModule>) {
    let is_known = |module: &&NamedModule| module.kind != ModuleKind::Other { class: None };
    let known: Vec<_> = modules.iter().filter(is_known).collect();
    let [first, _, ..] = known[..] else { return };
    let mut common = split(&first.name).0.to_owned();
    for module in known {
        while !module.name.starts_with(&common) {
            common.truncate(split(common.trim_end_matches('.')).0.len());
        }
    }
    // Other tensors of the file are none of the model.
    modules.retain(|module| module.name.starts_with(&common));
    let own = |module: &'_ NamedModule| module.name[common.len()..].to_owned();
    let names: HashSet<_> = modules.iter().map(own).collect();
    let is_ending = |name: &String| {
        let mut dots = name.match_indices('.');
        dots.any(|(dot, _)| names.contains(&name[dot + 1..]))
    };
    if !names.iter().any(is_ending) {
        for module in modules {
            module.name.drain(..common.len());
        }
    }
}

/// The name of an activation behind these links in an `nn.Sequential`: the number after that of the last linear layer.
fn place_in_sequential(links: &[LinkConfig]) -> Option<String> {
    let linear = links.iter().rposition(|link| matches!(link, LinkConfig::Linear(_)))?;
    let LinkConfig::Linear(name) = &links[linear] else { return None };
    let (outer, number) = split(name);
    let number = number.parse::<usize>().ok()?.checked_add(links.len() - linear)?;
    Some(format!("{outer}{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(names: &[&str]) -> Vec<String> {
        let module = |name: &&str| NamedModule { name: (*name).to_owned(), kind: ModuleKind::Relu };
        let mut modules: Vec<_> = names.iter().map(module).collect();
        shorten(&mut modules);
        modules.into_iter().map(|module| module.name).collect()
    }

    #[test]
    fn what_all_names_begin_with_is_left_out() {
        for (names, expected) in [
            (&["model.fc", "model.rnn"][..], &["fc", "rnn"][..]),
            (&["a.model.fc", "a.model.enc.rnn"], &["fc", "enc.rnn"]),
            (&["model.fc", "models.rnn"], &["model.fc", "models.rnn"]),
            (&["fc", "model.rnn"], &["fc", "model.rnn"]),
            // `fc` would fit both.
            (&["m.fc", "m.b.fc", "m.rnn"], &["m.fc", "m.b.fc", "m.rnn"]),
            (&["model.rnn"], &["model.rnn"]),
        ] {
            assert_eq!(shortened(names), expected);
        }
    }
}
