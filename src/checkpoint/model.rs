//! The parts of a model around its RNN, found by name among the tensors of a checkpoint.

use ndarray::ArrayD;

use super::derived::Derived;
use super::names::is_of_optimizer;
use super::parts::{Parts, check_labels};
use super::{Checkpoint, NamedTensor};
use crate::checkpoint::error::CheckpointError;
use crate::element::{Dtype, Element};
use crate::error::Error;
use crate::files::{
    Accepts, AttributeValue, Bundle, Entry, File, OpenSource, Source, TableOptions, Tensor,
};
use crate::{Config, Decoder, Encoder, EncoderConfig, LinkConfig, Model, ModelConfig, Rnn};

/// A layer in a file, with the parts of its model around it.
///
/// ```
/// use elman::files::Source;
/// use elman::{CheckpointError, LinkConfig, ModelCheckpoint, ModelConfig, Pool};
///
/// // The model that was saved with the layer of the example of `Checkpoint`: `fc` is nn.Linear(8, 1).
/// let file = Source::parse("fixtures/sine/model.pt".as_ref());
/// let asked = ModelConfig {
///     head: LinkConfig::parse_chain("fc")?,
///     pool: Pool::Last,
///     ..ModelConfig::default()
/// };
/// let checkpoint = ModelCheckpoint::read(&file, None, None, |_| Ok::<_, CheckpointError>(asked))?;
/// assert_eq!(checkpoint.tensors[0].name, "fc.weight");
/// let config = checkpoint.layer.config.clone();
/// let model = checkpoint.into_model::<f32>(config)?;
/// assert_eq!(model.decoder().head.out_features(), Some(1));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelCheckpoint {
    /// The layer. Its `modules` and `ignored` leave out the parts around it that are used.
    pub layer: Checkpoint,
    /// The parts around it, with the full names of their modules.
    pub config: ModelConfig,
    /// The tensors of these parts under their full names, each once.
    pub tensors: Vec<NamedTensor>,
}

impl ModelCheckpoint {
    /// Reads a layer as [`Checkpoint::read`] does, and the parts of its model. `choose` says which these are, and gets
    /// the configuration that is saved in the file, which is empty if there is none.
    ///
    /// The name of a module may leave out what stands before it in the checkpoint: `decoder` finds
    /// `model.decoder.weight`. An .onnx has no parts that are found.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`]; [`CheckpointError::NoModule`] and [`CheckpointError::ManyModules`] for a name;
    /// [`CheckpointError::MaxNorm`]; [`CheckpointError::MixedTypes`].
    pub fn read<E: From<CheckpointError>>(
        source: &Source,
        dtype: Option<Dtype>,
        prefix: Option<&str>,
        choose: impl FnOnce(ModelConfig) -> Result<ModelConfig, E>,
    ) -> Result<Self, E> {
        let source = source.open().map_err(CheckpointError::from)?;
        Self::read_open(source, dtype, prefix, choose)
    }

    /// [`ModelCheckpoint::read`] of a source that has been opened.
    ///
    /// # Errors
    /// Those of [`ModelCheckpoint::read`].
    pub fn read_open<E: From<CheckpointError>>(
        source: OpenSource,
        dtype: Option<Dtype>,
        prefix: Option<&str>,
        choose: impl FnOnce(ModelConfig) -> Result<ModelConfig, E>,
    ) -> Result<Self, E> {
        let file = source.read(Accepts::Model, &TableOptions::default());
        let mut bundle = match file.map_err(CheckpointError::from)? {
            File::Bundle(bundle) => bundle,
            #[cfg(feature = "onnx")]
            File::Graph(graph) => {
                let layer = Checkpoint::of_graph(&graph, dtype, prefix)?;
                let mut config = choose(ModelConfig::default())?;
                if let Some(asked) = names_mut(&mut config).next() {
                    let error = CheckpointError::NoModule { asked: asked.clone(), found: vec![] };
                    return Err(error.within(&layer.place).into());
                }
                return Ok(ModelCheckpoint { layer, config, tensors: Vec::new() });
            }
            File::Tensor(file) => unreachable!("{}: a model", file.place()),
        };
        let layer = Checkpoint::of_bundle(&mut bundle, dtype, prefix)?;
        let config = choose(layer.model.clone())?;
        Ok(Self::of_bundle(&mut bundle, layer, config, dtype.is_some())?)
    }

    /// Reads the parts around a layer. Numbers of another type than the layer's are converted only if `convert`.
    fn of_bundle(
        bundle: &mut Bundle,
        mut layer: Checkpoint,
        mut config: ModelConfig,
        convert: bool,
    ) -> Result<Self, CheckpointError> {
        let place = layer.place.clone();
        let within = |error: CheckpointError| error.within(&place);
        let (mut indices, derived) = (Vec::new(), Derived::new(bundle.entries()));
        for name in names_mut(&mut config) {
            let (full, index) = find(&derived.entries, name).map_err(within)?;
            let bias = format!("{full}.bias");
            indices.push(index);
            indices.extend(derived.entries.iter().position(|entry| entry.name == bias));
            *name = full;
        }
        if let Some(EncoderConfig::Embedding(module)) = &config.encoder {
            refuse_max_norm(bundle, module).map_err(within)?;
        }
        let mut tensors: Vec<NamedTensor> = Vec::new();
        for index in indices {
            let Entry { name, stored, .. } = derived.entries[index].clone();
            if tensors.iter().any(|tensor| tensor.name == name) {
                continue;
            }
            if !convert && stored.natural() != layer.dtype {
                let (dtype, found) = (layer.dtype, stored.natural());
                let what = format!("{name}: expected {dtype}, as the layer is, got {found}");
                return Err(within(CheckpointError::MixedTypes(what)));
            }
            let tensor = derived.read(bundle, index, Some(layer.dtype))?;
            tensors.push(NamedTensor { name, stored, tensor });
        }
        layer.modules.retain(|module| tensors.iter().all(|tensor| tensor.name != *module));
        layer.ignored = layer.ignored.saturating_sub(tensors.len());
        Ok(ModelCheckpoint { layer, config, tensors })
    }

    /// The model, with a configuration of the layer that may differ in arguments that names and shapes do not
    /// determine.
    ///
    /// # Errors
    /// Those of [`Checkpoint::into_rnn`]; [`Error::TensorShape`] and [`Error::Rank`] for a tensor of another shape;
    /// [`Error::Invalid`] for a vocabulary or labels of another count; those of [`Model::new`].
    pub fn into_model<T: Element>(self, config: Config) -> Result<Model<T>, CheckpointError> {
        let (encoder, decoder) = self.parts(&config)?;
        let place = self.layer.place.clone();
        let rnn = self.layer.into_rnn::<T>(config)?;
        let model = Model::new(encoder, rnn, decoder);
        model.map_err(|error| CheckpointError::from(error).within(&place))
    }

    /// The parts around a layer with this configuration.
    ///
    /// # Errors
    /// Those of [`ModelCheckpoint::into_model`], except those of the layer.
    pub fn parts<T: Element>(
        &self,
        layer: &Config,
    ) -> Result<(Option<Encoder<T>>, Decoder<T>), CheckpointError> {
        let tensors = self.tensors.iter().map(|own| (own.name.as_str(), &own.tensor));
        let parts = Parts(tensors.collect()).around(&self.config, layer);
        let within = |error: Error| CheckpointError::from(error).within(&self.layer.place);
        let (encoder, decoder) = parts.map_err(within)?;
        check_labels(&self.config, &decoder, layer)?;
        Ok((encoder, decoder))
    }

    /// The tensors of the parts as numbers of type T, under their full names.
    pub fn to_tensors<T: Element>(&self) -> Vec<(String, ArrayD<T>)> {
        let array = |own: &NamedTensor| (own.name.clone(), own.tensor.clone().into_array());
        self.tensors.iter().map(array).collect()
    }
}

impl<T: Element> Model<T> {
    /// A model of a layer and the tensors of the parts around it, under the names that the configuration gives them:
    /// what [`ModelCheckpoint`] reads from a file.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::TensorShape`] and [`Error::Rank`] for a tensor; [`Error::Invalid`] for a
    /// vocabulary or labels of another count; those of [`Model::new`].
    pub fn from_tensors(
        rnn: Rnn<T>,
        around: &ModelConfig,
        tensors: &[(String, Tensor)],
    ) -> Result<Self, Error> {
        let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let (encoder, decoder) = Parts(tensors.collect()).around(around, rnn.config())?;
        check_labels(around, &decoder, rnn.config())?;
        Model::new(encoder, rnn, decoder)
    }
}

/// The names of the modules in a configuration.
fn names_mut(config: &mut ModelConfig) -> impl Iterator<Item = &mut String> {
    let embedding = match &mut config.encoder {
        Some(EncoderConfig::Embedding(name)) => Some(name),
        _ => None,
    };
    embedding.into_iter().chain(config.head.iter_mut().filter_map(|link| match link {
        LinkConfig::Linear(name) => Some(name),
        _ => None,
    }))
}

/// The full name of a module, and the index of its weight. The name itself wins over names that end in it.
fn find(entries: &[Entry], asked: &str) -> Result<(String, usize), CheckpointError> {
    let modules = || {
        let model = entries.iter().enumerate().filter(|(_, entry)| !is_of_optimizer(&entry.name));
        model.filter_map(|(index, entry)| Some((entry.name.strip_suffix(".weight")?, index)))
    };
    let ends = |name: &str| name.strip_suffix(asked).is_some_and(|outer| outer.ends_with('.'));
    let exact = modules().find(|(name, _)| *name == asked);
    let found: Vec<_> = match exact {
        Some(exact) => vec![exact],
        None => modules().filter(|(name, _)| ends(name)).collect(),
    };
    let asked = || asked.to_owned();
    match found[..] {
        [(name, index)] => Ok((name.to_owned(), index)),
        [] => {
            let found = modules().map(|(name, _)| name.to_owned()).collect();
            Err(CheckpointError::NoModule { asked: asked(), found })
        }
        _ => {
            let found = found.iter().map(|(name, _)| (*name).to_owned()).collect();
            Err(CheckpointError::ManyModules { asked: asked(), found })
        }
    }
}

/// Refuses an embedding that changes its rows.
fn refuse_max_norm(bundle: &Bundle, module: &str) -> Result<(), CheckpointError> {
    let number =
        |value: &AttributeValue| matches!(value, AttributeValue::Float(_) | AttributeValue::Int(_));
    let mut own = bundle.attributes().iter().filter(|attribute| attribute.module == module);
    if own.any(|attribute| attribute.name == "max_norm" && number(&attribute.value)) {
        return Err(CheckpointError::MaxNorm { module: module.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;
    use crate::files::{AnyArray, Overwrite, Sink, write_safetensors};
    use crate::{
        Batch, Function, Generator, Head, Linear, Link, Options, Params, Pool, Tokens, Vocabulary,
    };

    /// The configuration of the layer.
    const LAYER: &str = r#"{"input_size": 2, "hidden_size": 3}"#;

    /// Writes a model with one layer under `rnn.`, and other tensors, and returns its path.
    fn saved(others: &[(&str, ArrayD<f32>)], text: &str) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let params = Params::<f32>::init(Config::new(2, 3), &mut Generator::new(0)).unwrap();
        let own = params.into_tensors().into_iter();
        let own = own.map(|(name, tensor)| (format!("rnn.{name}"), tensor));
        let own: Vec<_> = own.collect();
        let others = others.iter().map(|(name, tensor)| (*name, tensor as &dyn AnyArray));
        let all = own.iter().map(|(name, tensor)| (name.as_str(), tensor as _)).chain(others);
        let mut sink = Sink::open(&path, Overwrite::Replace).unwrap();
        write_safetensors(&mut sink, &all.collect::<Vec<_>>(), text).unwrap();
        sink.commit().unwrap();
        (folder, Source::parse(path.as_ref()))
    }

    fn ones(shape: &[usize]) -> ArrayD<f32> {
        ArrayD::ones(shape)
    }

    fn read(source: &Source, config: ModelConfig) -> Result<Model<f32>, CheckpointError> {
        let checkpoint =
            ModelCheckpoint::read(source, None, Some("rnn"), |_| Ok::<_, CheckpointError>(config))?;
        let layer = checkpoint.layer.config.clone();
        checkpoint.into_model(layer)
    }

    fn embedding(name: &str) -> ModelConfig {
        let encoder = Some(EncoderConfig::Embedding(name.to_owned()));
        ModelConfig { encoder, ..ModelConfig::default() }
    }

    fn head(chain: &str) -> ModelConfig {
        let head = LinkConfig::parse_chain(chain).unwrap();
        ModelConfig { head, ..ModelConfig::default() }
    }

    #[test]
    fn a_model_is_built_of_the_parts_with_these_names() {
        let (table, weight) = (arr2(&[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), ones(&[4, 3]));
        let bias = ArrayD::from_shape_fn(vec![4], |at| at[0] as f32);
        let (_folder, source) = saved(
            &[
                ("model.emb.weight", table.clone().into_dyn()),
                ("model.fc.weight", weight.clone()),
                ("model.fc.bias", bias.clone()),
            ],
            LAYER,
        );
        let asked = ModelConfig {
            encoder: Some(EncoderConfig::Embedding("emb".to_owned())),
            pool: Pool::Last,
            function: Some(Function::Sigmoid),
            ..head("tanh,fc")
        };
        let mut checkpoint =
            ModelCheckpoint::read(&source, None, None, |_| Ok::<_, CheckpointError>(asked.clone()))
                .unwrap();
        assert_eq!(checkpoint.config.head[1], LinkConfig::Linear("model.fc".to_owned()));
        let names: Vec<_> = checkpoint.tensors.iter().map(|own| own.name.as_str()).collect();
        assert_eq!(names, ["model.emb.weight", "model.fc.weight", "model.fc.bias"]);
        assert_eq!((checkpoint.layer.ignored, checkpoint.layer.modules.len()), (0, 0));
        checkpoint.layer.notes.clear();
        let config = checkpoint.layer.config.clone();
        let rnn = checkpoint.layer.clone().into_rnn::<f32>(config.clone()).unwrap();
        let encoder = Encoder::embedding(&table.into_dyn()).unwrap();
        let linear = Linear::new(&weight, Some(&bias)).unwrap();
        let head = Head::new(vec![Link::Tanh, Link::Linear(linear)]).unwrap();
        let decoder = Decoder { pool: Pool::Last, head, function: Some(Function::Sigmoid) };
        let expected = Model::new(Some(encoder), rnn, decoder).unwrap();
        let found = checkpoint.into_model::<f32>(config).unwrap();
        let ids = arr2(&[[0_i64, 2], [1, 1]]).into_dyn();
        let predict = |model: &Model<f32>| {
            let ids = Batch::of_ids(ids.view(), None, false).unwrap();
            model.forward_ids(ids, Options::default()).unwrap()
        };
        assert_eq!(predict(&found), predict(&expected));
    }

    #[test]
    fn a_name_that_fits_none_or_several_is_refused_with_the_names() {
        let (_folder, source) = saved(
            &[
                ("a.fc.weight", ones(&[4, 3])),
                ("b.fc.weight", ones(&[4, 3])),
                ("fc2.weight", ones(&[4, 3])),
                ("ema.fc2.weight", ones(&[4, 3])),
                ("optimizer.fc.weight", ones(&[4, 3])),
            ],
            LAYER,
        );
        let message = |name: &str| {
            let error = read(&source, head(name)).unwrap_err().to_string();
            error.split_once(": ").unwrap().1.to_owned()
        };
        assert_eq!(message("fc"), "expected one module 'fc', got 2: a.fc, b.fc");
        let all = "a.fc, b.fc, ema.fc2, fc2";
        for absent in ["c", "a", "c2", "x.fc"] {
            let expected = format!("expected a module '{absent}' with a weight, got {all}");
            assert_eq!(message(absent), expected);
        }
        // The whole name wins over names that end in it.
        for name in ["a.fc", "fc2", "ema.fc2"] {
            read(&source, head(name)).unwrap();
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused_by_tensor() {
        let (_folder, source) = saved(
            &[
                ("emb.weight", ones(&[5, 3])),
                ("fc.weight", ones(&[4, 2])),
                ("norm.weight", ones(&[3])),
                ("out.weight", ones(&[4, 3])),
                ("out.bias", ones(&[3])),
            ],
            LAYER,
        );
        for (config, expected) in [
            (embedding("emb"), "emb.weight: expected shape [5, 2], got [5, 3]"),
            (head("fc"), "fc.weight: expected shape [4, 3], got [4, 2]"),
            (head("norm"), "norm.weight: expected 2 dimensions, got 1 in shape [3]"),
            (head("out"), "out.bias: expected shape [4], got [3]"),
        ] {
            let error = read(&source, config).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
    }

    #[test]
    fn tokens_and_labels_are_counted() {
        let (_folder, source) =
            saved(&[("emb.weight", ones(&[3, 2])), ("fc.weight", ones(&[4, 3]))], LAYER);
        let vocabulary = Vocabulary::parse("a\nb\n", Tokens::Char).unwrap();
        let with =
            |config: ModelConfig| ModelConfig { vocabulary: Some(vocabulary.clone()), ..config };
        let labels = |count: usize| Some(vec!["x".to_owned(); count]);
        for (config, expected) in [
            (
                with(embedding("emb")),
                "vocabulary: expected 3 tokens, one for each row of emb.weight, got 2",
            ),
            (
                with(ModelConfig::default()),
                "vocabulary: expected an encoder of its ids, an embedding or one-hot rows, got none",
            ),
            (
                ModelConfig { labels: labels(3), ..head("fc") },
                "labels: expected 4, one for each class, got 3",
            ),
            (
                ModelConfig { function: Some(Function::Top(5)), ..head("fc") },
                "top: expected from 1 to 4, the number of classes, got 5",
            ),
        ] {
            let error = read(&source, config).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        let one_hot = EncoderConfig::OneHot;
        read(&source, with(ModelConfig { encoder: Some(one_hot), ..head("fc") })).unwrap();
        read(&source, ModelConfig { labels: labels(4), ..head("fc") }).unwrap();
    }

    #[test]
    fn a_saved_configuration_is_read_and_a_newer_one_refused() {
        let asked = ModelConfig { pool: Pool::State, ..head("fc") };
        let saved_text = |model: &serde_json::Value| {
            serde_json::json!({"input_size": 2, "hidden_size": 3, "model": model}).to_string()
        };
        let fc = [("fc.weight", ones(&[4, 3]))];
        let (_folder, source) = saved(&fc, &saved_text(&asked.to_json()));
        let checkpoint =
            ModelCheckpoint::read(&source, None, None, Ok::<_, CheckpointError>).unwrap();
        assert_eq!(checkpoint.config, asked);
        assert!(!checkpoint.layer.is_explicit("model"));
        let (_folder, source) = saved(&fc, &saved_text(&serde_json::json!({"version": 7})));
        let error = Checkpoint::read(&source, None, None).unwrap_err().to_string();
        let expected = "model configuration: expected version 1, got 7: a newer rnn may read it";
        assert!(error.ends_with(expected), "{error}");
    }
}
