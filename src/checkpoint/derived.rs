//! Parameters that PyTorch computes from other tensors, under the names that a layer, or a linear layer beside it, has
//! for them.
//!
//! A pruned parameter is `W_orig` times `W_mask`. Weight normalization stores a parameter as `g v / |v|`, in `W_g` and
//! `W_v` or, since PyTorch 2.0, in `parametrizations.W.original0` and `original1`. A cell names its parameters without
//! the number of a layer.

use std::collections::{HashMap, HashSet};

use ndarray::{ArrayD, Dimension, IxDyn};

use super::NamedTensor;
use super::names::{layered, split};
use crate::element::Dtype;
use crate::files::{Bundle, Entry, FileError, Tensor};
use crate::is_parameter_name;

/// The tensors of a file, with computed parameters in place of the tensors that they are computed from.
pub(super) struct Derived {
    pub(super) entries: Vec<Entry>,
    origins: Vec<Origin>,
}

/// The origin of a tensor: indices of tensors in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Stored(usize),
    Product {
        tensor: usize,
        mask: usize,
    },
    /// `magnitude` has size 1 along the axes of the norm, or no axes at all.
    Normalized {
        magnitude: usize,
        direction: usize,
    },
}

impl Derived {
    pub(super) fn new(stored: &[Entry]) -> Self {
        let places: HashMap<_, _> =
            stored.iter().enumerate().map(|(index, entry)| (entry.name.as_str(), index)).collect();
        let mut used = HashSet::new();
        let mut derived = Derived { entries: Vec::new(), origins: Vec::new() };
        for (index, entry) in stored.iter().enumerate() {
            let Some((name, other, origin)) = computed(&entry.name, index, &places) else {
                continue;
            };
            used.extend([index, other]);
            derived.entries.push(Entry { name, ..entry.clone() });
            derived.origins.push(origin);
        }
        for (index, entry) in stored.iter().enumerate().filter(|(index, _)| !used.contains(index)) {
            derived.entries.push(entry.clone());
            derived.origins.push(Origin::Stored(index));
        }
        derived.name_cells();
        derived.in_order()
    }

    /// Names the parameters of cells as those of layers.
    fn name_cells(&mut self) {
        let names: HashSet<_> = self.entries.iter().map(|entry| entry.name.clone()).collect();
        for entry in &mut self.entries {
            let (prefix, own) = split(&entry.name);
            let is_cell = |own: &str| names.contains(&format!("{prefix}{own}"));
            if layered(own) != own && is_cell("weight_ih") && is_cell("weight_hh") {
                entry.name = format!("{prefix}{}", layered(own));
            }
        }
    }

    /// Puts the tensors into the order of the file.
    fn in_order(self) -> Self {
        let first = |origin: Origin| match origin {
            Origin::Stored(index) => index,
            Origin::Product { tensor, .. } => tensor,
            Origin::Normalized { direction, .. } => direction,
        };
        let mut both: Vec<_> = self.entries.into_iter().zip(self.origins).collect();
        both.sort_by_key(|(_, origin)| first(*origin));
        let (entries, origins) = both.into_iter().unzip();
        Derived { entries, origins }
    }

    /// Reads the tensor at `index`, converted to `dtype`; without one, f64 stays f64 and everything else becomes f32.
    pub(super) fn read(
        &self,
        bundle: &mut Bundle,
        index: usize,
        dtype: Option<Dtype>,
    ) -> Result<Tensor, FileError> {
        let (first, second, origin) = match self.origins[index] {
            Origin::Stored(stored) => return bundle.read(stored, dtype),
            origin @ Origin::Product { tensor, mask } => (tensor, mask, origin),
            origin @ Origin::Normalized { magnitude, direction } => (direction, magnitude, origin),
        };
        let place = bundle.entry_place(second);
        // A product of two singles is exact in f64, and is rounded once.
        let combined = combine(origin, bundle.read_as::<f64>(first)?, &bundle.read_as(second)?);
        let dtype = dtype.unwrap_or(self.entries[index].stored.natural());
        let combined = combined.map(Tensor::F64).map(|own| match dtype {
            Dtype::F32 => Tensor::F32(own.into_array()),
            Dtype::F64 => own,
        });
        combined.ok_or_else(|| {
            let (shape, other) = (&bundle.entries()[first].shape, &bundle.entries()[second].shape);
            let what = format!("expected a shape that fits {shape:?}, got {other:?}");
            FileError::Malformed { place, what }
        })
    }
}

/// The parameter that is computed from the tensor at `index` and another one: its name, the index of the other tensor,
/// and how.
fn computed(
    name: &str,
    index: usize,
    places: &HashMap<&str, usize>,
) -> Option<(String, usize, Origin)> {
    let (prefix, own) = split(name);
    let place = |own: String| places.get(format!("{prefix}{own}").as_str()).copied();
    let normalized = |magnitude| Origin::Normalized { magnitude, direction: index };
    let (module, parameter, other, origin) = if let Some(parameter) = own.strip_suffix("_orig") {
        let mask = place(format!("{parameter}_mask"))?;
        (prefix, parameter, mask, Origin::Product { tensor: index, mask })
    } else if let Some(parameter) = own.strip_suffix("_v") {
        let magnitude = place(format!("{parameter}_g"))?;
        (prefix, parameter, magnitude, normalized(magnitude))
    } else {
        let (module, parameter) = parametrized(prefix).filter(|_| own == "original1")?;
        let magnitude = place("original0".to_owned())?;
        (module, parameter, magnitude, normalized(magnitude))
    };
    let name = format!("{module}{parameter}");
    let own = parameter == "weight" || is_parameter_name(&layered(parameter));
    own.then_some((name, other, origin))
}

/// The parameter; `None` if the shapes do not fit.
fn combine(origin: Origin, mut tensor: ArrayD<f64>, other: &ArrayD<f64>) -> Option<ArrayD<f64>> {
    if let Origin::Product { .. } = origin {
        (tensor.shape() == other.shape()).then_some(())?;
        tensor.iter_mut().zip(other).for_each(|(v, mask)| *v *= mask);
        return Some(tensor);
    }
    // g v / |v|, the norm over the axes along which g has one number.
    let own = |axis: usize| other.shape().get(axis).is_some_and(|&size| size > 1);
    let fits = |axis: usize| !own(axis) || other.shape()[axis] == tensor.shape()[axis];
    let ranks =
        [0, tensor.ndim()].contains(&other.ndim()) && other.shape().iter().all(|&size| size > 0);
    (ranks && (0..tensor.ndim()).all(fits)).then_some(())?;
    let g: Vec<f64> = other.iter().copied().collect();
    let stride = |axis| if own(axis) { other.shape()[axis + 1..].iter().product() } else { 0 };
    let strides: Vec<usize> = (0..tensor.ndim()).map(stride).collect();
    let place = |at: &IxDyn| -> usize {
        at.slice().iter().zip(&strides).map(|(&at, &stride)| at * stride).sum()
    };
    let mut squares = vec![0.0; g.len()];
    tensor.indexed_iter().for_each(|(at, v)| squares[place(&at)] += v * v);
    for (at, v) in tensor.indexed_iter_mut() {
        let place = place(&at);
        *v *= g[place] / squares[place].sqrt();
    }
    Some(tensor)
}

/// Adds zeros for one bias if the other stands alone in every layer, as in a framework with one bias. Returns a
/// remark.
pub(super) fn add_bias(tensors: &mut Vec<NamedTensor>) -> Option<String> {
    let has = |kind: &str| tensors.iter().any(|tensor| tensor.name.starts_with(kind));
    let (own, absent) = match (has("bias_ih_l"), has("bias_hh_l")) {
        (true, false) => ("bias_ih", "bias_hh"),
        (false, true) => ("bias_hh", "bias_ih"),
        _ => return None,
    };
    let biases = tensors.iter().filter(|tensor| tensor.name.starts_with(own));
    let zeros = biases.map(|bias| NamedTensor {
        name: bias.name.replacen(own, absent, 1),
        stored: bias.stored,
        tensor: match &bias.tensor {
            Tensor::F32(bias) => Tensor::F32(ArrayD::zeros(bias.shape())),
            Tensor::F64(bias) => Tensor::F64(ArrayD::zeros(bias.shape())),
        },
    });
    let zeros: Vec<_> = zeros.collect();
    tensors.extend(zeros);
    Some(format!("the weights have {own} and no {absent}, which is taken as zeros"))
}

/// The module and the parameter of a prefix such as `rnn.parametrizations.weight_hh_l0.`.
fn parametrized(prefix: &str) -> Option<(&str, &str)> {
    let (outer, name) = split(prefix.strip_suffix('.')?);
    Some((outer.strip_suffix("parametrizations.")?, name))
}
