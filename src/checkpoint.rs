//! Reads the layer of a file, and writes one as an .onnx: files and layers meet here.
//!
//! A file holds named tensors, and perhaps a configuration. This module finds those of one layer among the
//! tensors of a larger model, gives them PyTorch's names, and takes the configuration from the file or infers it
//! from names and shapes.

mod around;
mod configuration;
mod derived;
mod error;
mod model;
mod names;
#[cfg(feature = "onnx")]
mod onnx;
mod parts;
mod suggestion;

use std::collections::HashSet;

use ndarray::ArrayD;

use crate::element::{Dtype, Element};
use crate::files::{
    Accepts, Bundle, Entry, File, FileError, MAX_LISTED, OpenSource, Source, StoredType,
    TableOptions, Tensor, listed,
};
use crate::{Config, ModelConfig, Params, Rnn};

use around::Surroundings;
pub use around::{ModuleKind, NamedModule};
pub use configuration::{MODEL, explicit_arguments};
use derived::Derived;
pub use error::CheckpointError;
pub use model::ModelCheckpoint;
#[cfg(feature = "onnx")]
pub use onnx::write_onnx;
pub use suggestion::Suggestion;

/// Bytes of memory for a tensor of a file, beside its name, while a layer is looked for among all of them.
const DERIVED_BYTES: usize = 384;

/// The weights of one layer as they are in a file, and the layer's configuration.
///
/// ```
/// use elman::Checkpoint;
/// use elman::files::Source;
///
/// let file = Source::parse("fixtures/sine/rnn.npz".as_ref());
/// let checkpoint = Checkpoint::read(&file, None, None)?;
/// // A state_dict does not say its nonlinearity, and the configuration holds PyTorch's default.
/// assert!(!checkpoint.is_explicit("nonlinearity"));
/// assert_eq!(checkpoint.recognised, ".npz archive");
/// let config = checkpoint.config.clone();
/// let rnn = checkpoint.into_rnn::<f32>(config)?;
/// assert_eq!(rnn.config().to_string(), "RNN(1, 8, num_layers=2)");
/// # Ok::<_, elman::CheckpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The name of the file, for messages.
    pub place: String,
    /// The format that was recognised by the first bytes, in words.
    pub recognised: String,
    /// The type of all tensors.
    pub dtype: Dtype,
    /// The configuration, with PyTorch's defaults for arguments that neither the file nor the shapes determine.
    pub config: Config,
    /// PyTorch's names of the arguments that the file holds. A `state_dict` holds none: sizes, layers, directions
    /// and bias follow from it, and the others are PyTorch's defaults.
    pub explicit: Vec<String>,
    /// Whether the layer runs from each sequence's last step to its first: `direction="reverse"` of ONNX,
    /// which no configuration of `torch.nn.RNN` has.
    pub reversed: bool,
    /// The names of the modules around the layer, such as `encoder.rnn.`; empty if there are none.
    pub prefix: String,
    /// The number of other tensors in the file, without those of the optimizer.
    pub ignored: usize,
    /// The number of the optimizer's tensors in the file.
    pub ignored_optimizer: usize,
    /// Names of matrices of the model beside the layer that are called `weight`, as those of `Linear` and
    /// `Embedding` are.
    pub modules: Vec<String>,
    /// Remarks for the user about how the file was read, a line each.
    pub notes: Vec<String>,
    /// Remarks about parts of the file that were not understood, a line each.
    pub warnings: Vec<String>,
    /// The parts around the layer that the file names: a configuration that `rnn convert` wrote.
    pub model: ModelConfig,
    /// The modules of the model, the layer among them, in the order of the file: those that the file names, or those
    /// that its tensors look like. An .onnx has none.
    pub around: Vec<NamedModule>,
    /// An embedding and linear layers of the model that fit the layer by their sizes.
    pub suggested: Suggestion,
    /// The state that the file starts the layer from, (D * `num_layers`, 1 or N, `H_out`): a constant `initial_h` of
    /// ONNX. One row is that of every sequence.
    pub h_0: Option<ArrayD<f64>>,
    /// The lengths of the sequences that the file states: a constant `sequence_lens` of ONNX.
    pub lengths: Option<Vec<usize>>,
    /// The tensors, in the order of the file.
    pub tensors: Vec<NamedTensor>,
}

/// A tensor under PyTorch's name of the parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// The name without the modules around the layer, such as `weight_ih_l0`.
    pub name: String,
    /// The type of its numbers in the file.
    pub stored: StoredType,
    /// Its numbers, converted.
    pub tensor: Tensor,
}

impl Checkpoint {
    /// Reads a folder of .npy files, .npz, .safetensors, .pt or .onnx. Numbers become `dtype`, or by default
    /// [`StoredType::natural`].
    ///
    /// `prefix` chooses among several layers of a model: the part of the names before `weight_ih_l0`, with or
    /// without the dot at its end; in an .onnx, the name of the layer's first node.
    ///
    /// In an .onnx, a chain of RNN nodes is a layer, each node one of `num_layers`. If the graph transposes the
    /// input of the first, or if the node has `layout=1`, then `batch_first` is true. `h_0` and `h_n` always have
    /// PyTorch's shape, (D * `num_layers`, N, `H_out`).
    ///
    /// # Errors
    /// [`CheckpointError::File`]; [`CheckpointError::Weights`] if the file does not hold one RNN layer.
    pub fn read(
        source: &Source,
        dtype: Option<Dtype>,
        prefix: Option<&str>,
    ) -> Result<Self, CheckpointError> {
        Self::read_open(source.open()?, dtype, prefix)
    }

    /// [`Checkpoint::read`] of a source that has been opened.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`].
    pub fn read_open(
        source: OpenSource,
        dtype: Option<Dtype>,
        prefix: Option<&str>,
    ) -> Result<Self, CheckpointError> {
        match source.read(Accepts::Model, &TableOptions::default())? {
            File::Bundle(mut bundle) => Self::of_bundle(&mut bundle, dtype, prefix),
            #[cfg(feature = "onnx")]
            File::Graph(graph) => Self::of_graph(&graph, dtype, prefix),
            File::Tensor(file) => unreachable!("{}: a model", file.place()),
        }
    }

    /// Reads the layer of a bundle.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`], except those of opening the file.
    pub fn of_bundle(
        bundle: &mut Bundle,
        dtype: Option<Dtype>,
        prefix: Option<&str>,
    ) -> Result<Self, CheckpointError> {
        let place = bundle.place().to_owned();
        let within = |error: CheckpointError| error.within(&place);
        let names: usize = bundle.entries().iter().map(|entry| entry.name.len()).sum();
        bundle.charge(DERIVED_BYTES * bundle.entries().len() + 5 * names)?;
        let derived = Derived::new(bundle.entries());
        let found = names::find(&derived.entries, prefix).map_err(within)?;
        let mut saved = configuration::read(bundle, &derived.entries, &found)
            .map_err(|error| unreadable(bundle).unwrap_or(error))?;
        let read = |member| read_member(bundle, &derived, member, dtype);
        let mut tensors = found.members.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        saved.notes.extend(derived::add_bias(&mut tensors));
        let (optimizer, others) = names::others(&derived.entries, &found);
        let around = Surroundings::new(&others, bundle, &found.prefix, &saved.config);
        let around = around.modules(&saved.model, &derived.entries, bundle.attributes());
        Ok(Checkpoint {
            recognised: bundle.format().to_string(),
            dtype: common_dtype(&saved.config, &tensors).map_err(within)?,
            suggested: suggestion::suggest(&around, (&others, &found.prefix), &saved.config),
            prefix: found.prefix,
            place: place.clone(),
            around,
            config: saved.config,
            explicit: saved.explicit,
            reversed: false,
            model: saved.model,
            h_0: None,
            lengths: None,
            ignored: others.len(),
            ignored_optimizer: optimizer.len(),
            modules: modules(&others),
            notes: saved.notes,
            warnings: unknown_classes(bundle).into_iter().collect(),
            tensors,
        })
    }

    /// Whether the file holds the argument of this name; else it follows from names and shapes, or is PyTorch's
    /// default.
    pub fn is_explicit(&self, argument: &str) -> bool {
        self.explicit.iter().any(|name| name == argument)
    }

    /// The tensors as numbers of type T.
    pub fn into_tensors<T: Element>(self) -> Vec<(String, ArrayD<T>)> {
        self.tensors.into_iter().map(|named| (named.name, named.tensor.into_array())).collect()
    }

    /// The parameters, with a configuration that may differ in arguments that names and shapes do not determine.
    /// They do not contain `reversed`.
    ///
    /// # Errors
    /// Those of [`Params::from_tensors`], in [`CheckpointError::Weights`].
    pub fn into_params<T: Element>(self, config: Config) -> Result<Params<T>, CheckpointError> {
        let place = self.place.clone();
        Params::from_tensors(config, self.into_tensors())
            .map_err(|error| CheckpointError::from(error).within(&place))
    }

    /// The layer, with a configuration that may differ in arguments that names and shapes do not determine.
    ///
    /// # Errors
    /// Those of [`Params::from_tensors`], in [`CheckpointError::Weights`], and
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn into_rnn<T: Element>(self, config: Config) -> Result<Rnn<T>, CheckpointError> {
        let reversed = self.reversed;
        Ok(Rnn::from_params(self.into_params(config)?)?.with_reversed(reversed))
    }
}

/// A remark about objects in the file whose classes are not PyTorch's.
fn unknown_classes(bundle: &Bundle) -> Option<String> {
    let classes = bundle.unknown_classes();
    let listed = listed(classes, MAX_LISTED);
    let note = format!("objects of classes that are not PyTorch's are left alone: {listed}");
    (!classes.is_empty()).then_some(note)
}

/// Reads the tensor at an index under the name of a parameter.
fn read_member(
    bundle: &mut Bundle,
    derived: &Derived,
    (index, name): &(usize, String),
    dtype: Option<Dtype>,
) -> Result<NamedTensor, CheckpointError> {
    let stored = derived.entries[*index].stored;
    let tensor = derived.read(bundle, *index, dtype).map_err(|error| match stored {
        StoredType::Other(_) => of_type(error),
        _ => error.into(),
    })?;
    Ok(NamedTensor { name: name.clone(), stored, tensor })
}

/// The error of a file none of whose tensors has a type that is read.
fn unreadable(bundle: &mut Bundle) -> Option<CheckpointError> {
    let other = |entry: &Entry| matches!(entry.stored, StoredType::Other(_));
    let all = !bundle.entries().is_empty() && bundle.entries().iter().all(other);
    all.then(|| bundle.reader(0).err())?.map(of_type)
}

/// The error of a tensor whose type is not read: the file is intact, but holds no weights.
fn of_type(error: FileError) -> CheckpointError {
    match error {
        FileError::Malformed { place, what } => CheckpointError::NoRnn(what).within(&place),
        error => error.into(),
    }
}

/// Names of matrices that are called `weight`, as those of `Linear` and `Embedding` are.
fn modules(entries: &[&Entry]) -> Vec<String> {
    let is_matrix = |entry: &&&Entry| entry.shape.len() == 2 && entry.name.ends_with(".weight");
    entries.iter().filter(is_matrix).map(|entry| entry.name.clone()).collect()
}

/// The type of all parameters. Other tensors are ignored here, because they are an error of their own.
fn common_dtype(config: &Config, tensors: &[NamedTensor]) -> Result<Dtype, CheckpointError> {
    // A configuration can have any number of layers: parameters beyond the number of tensors are missing anyway.
    let own: HashSet<_> = config.parameters().take(tensors.len()).map(|own| own.name).collect();
    let mut own = tensors.iter().filter(|tensor| own.contains(&tensor.name));
    let Some(first) = own.next() else { return Ok(Dtype::F32) };
    let dtype = first.tensor.dtype();
    own.find(|tensor| tensor.tensor.dtype() != dtype).map_or(Ok(dtype), |other| {
        let (name, first, found) = (&other.name, &first.name, other.tensor.dtype());
        let what = format!("{name}: expected {dtype}, as {first} is, got {found}");
        Err(CheckpointError::MixedTypes(what))
    })
}
