//! Values that nodes compute from constants alone: weights behind nodes that move, join, convert or dequantize.
//!
//! All numbers are f64 inside, which holds those of every narrower type exactly.

use std::collections::{HashMap, HashSet};

use ndarray::{ArcArray, ArrayD, Axis, IxDyn, Slice, concatenate};

use crate::element::Dtype;
use crate::files::proto::{Attribute, NodeProto};
use crate::files::{FileError, Graph, StoredType, Tensor, stored_type};

/// Most bytes of computed values, beyond those that the tensors they read account for.
const MAX_COMPUTED_BYTES: usize = 64 << 20;

/// Bytes of computed values for each byte of a tensor: f32 takes 8 bytes, and passes at most four copying nodes in
/// the graphs that PyTorch writes.
const BYTES_PER_STORED: usize = 8;

/// Most axes of a computed value.
const MAX_RANK: usize = 8;

/// A value that is known without an input of the model. Views share their memory.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    /// The type of the tensor that the value was made from.
    pub(super) stored: StoredType,
    /// The type of the value.
    value_type: StoredType,
    pub(super) array: ArcArray<f64, IxDyn>,
}

impl Constant {
    /// Its numbers as `dtype`, or by default in the type of the value.
    pub(super) fn read(&self, dtype: Option<Dtype>) -> Tensor {
        match dtype.unwrap_or(self.value_type.natural()) {
            Dtype::F32 => Tensor::F32(self.array.mapv(narrow)),
            Dtype::F64 => Tensor::F64(self.array.to_owned()),
        }
    }

    fn with(&self, array: ArcArray<f64, IxDyn>) -> Self {
        Constant { array, ..*self }
    }

    /// Its numbers as integers, in row-major order.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        let is_list = self.array.ndim() <= 1 && !self.value_type.is_float();
        #[allow(clippy::cast_possible_truncation, reason = "sizes and axes are small")]
        is_list.then(|| self.array.iter().map(|&value| value as i64).collect())
    }
}

/// The constants of a graph that some values need.
#[derive(Debug, Default)]
pub(super) struct Constants<'a> {
    values: HashMap<&'a str, Constant>,
    /// Bytes that may still be computed.
    left: usize,
}

impl<'a> Constants<'a> {
    /// Computes the values of these names, as far as they depend on tensors of the graph alone.
    pub(super) fn new(
        graph: &'a Graph,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, FileError> {
        let mut needed: HashSet<_> = wanted.into_iter().collect();
        let mut nodes = Vec::new();
        for node in graph.proto.node.iter().rev() {
            if is_known(node) && node.output.iter().any(|name| needed.contains(name.as_str())) {
                needed.extend(node.input.iter().map(String::as_str));
                nodes.push(node);
            }
        }
        let read: HashSet<_> = nodes.iter().flat_map(|node| &node.input).collect();
        let mut constants = Constants { values: HashMap::new(), left: MAX_COMPUTED_BYTES };
        for tensor in graph.proto.initializer.iter().filter(|tensor| read.contains(&tensor.name)) {
            let Ok(header) = tensor.header() else { continue };
            constants.left += header.body_bytes().saturating_mul(BYTES_PER_STORED);
            let Tensor::F64(array) = graph.read(tensor, Some(Dtype::F64))? else { continue };
            let value = constants.charged(array.into_shared());
            let of_tensor =
                |array| Constant { stored: header.stored, value_type: header.stored, array };
            value.map(|array| constants.values.insert(&tensor.name, of_tensor(array)));
        }
        for node in nodes.into_iter().rev() {
            for (index, output) in node.output.iter().enumerate() {
                if let Some(value) = constants.value(node, index) {
                    constants.values.insert(output, value);
                }
            }
        }
        Ok(constants)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Constant> {
        self.values.get(name)
    }

    /// An array whose memory is new; `None` if it exceeds the budget.
    fn charged(&mut self, array: ArcArray<f64, IxDyn>) -> Option<ArcArray<f64, IxDyn>> {
        self.left = self.left.checked_sub(array.len().checked_mul(8)?)?;
        Some(array)
    }

    /// Whether an array of this many numbers may be computed.
    fn allows(&self, count: usize) -> bool {
        count.checked_mul(8).is_some_and(|bytes| bytes <= self.left)
    }

    fn input(&self, node: &NodeProto, index: usize) -> Option<&Constant> {
        self.get(node.input(index)?)
    }

    /// The integers of an attribute, as in old models, or of a constant input.
    fn integers(&self, node: &NodeProto, attribute: &str, index: usize) -> Option<Vec<i64>> {
        match node.attribute(attribute) {
            Some(Attribute::Ints(ints)) => Some(ints.to_vec()),
            _ => self.input(node, index)?.integers(),
        }
    }

    /// The index-th output of a node; `None` if it is unknown.
    fn value(&mut self, node: &NodeProto, index: usize) -> Option<Constant> {
        if node.op_type == "Concat" {
            return self.joined(node);
        }
        let of = self.input(node, 0)?.clone();
        let rank = of.array.ndim();
        let array = of.array.view();
        let moved = match node.op_type.as_str() {
            "Identity" | "Dropout" if index == 0 => of.array.clone(),
            "Cast" => return self.cast(node, &of),
            "DequantizeLinear" => return self.dequantized(node, &of),
            "Transpose" => {
                let perm = match node.attribute("perm") {
                    Some(Attribute::Ints(perm)) => places(perm, rank)?,
                    _ => (0..rank).rev().collect(),
                };
                let distinct: HashSet<_> = perm.iter().collect();
                (distinct.len() == rank && perm.len() == rank)
                    .then(|| of.array.clone().permuted_axes(perm))?
            }
            "Unsqueeze" => {
                let axes = self.integers(node, "axes", 1)?;
                let rank = (rank + axes.len() <= MAX_RANK).then_some(rank + axes.len())?;
                let mut axes = places(&axes, rank)?;
                axes.sort_unstable();
                axes.into_iter().try_fold(of.array.clone(), |array, axis| {
                    (axis <= array.ndim()).then(|| array.insert_axis(Axis(axis)))
                })?
            }
            "Squeeze" => {
                let single = || (0..rank).filter(|&axis| array.len_of(Axis(axis)) == 1).collect();
                let axes = self.integers(node, "axes", 1);
                let mut axes = axes.map_or_else(|| Some(single()), |axes| places(&axes, rank))?;
                axes.sort_unstable();
                axes.dedup();
                axes.into_iter().rev().try_fold(of.array.clone(), |array, axis| {
                    (array.len_of(Axis(axis)) == 1).then(|| array.remove_axis(Axis(axis)))
                })?
            }
            "Reshape" => {
                let shape = self.shape(node, array.shape())?;
                let plain = array.is_standard_layout();
                let new = of.array.clone().into_shape_with_order(IxDyn(&shape));
                if plain { new.ok()? } else { self.copy(&of, &shape)? }
            }
            "Expand" => {
                // A computed shape is that of the batch, which broadcasts a first state.
                let Some(sizes) = self.input(node, 1).and_then(Constant::integers) else {
                    return Some(of);
                };
                let shape = broadcast(array.shape(), &sizes)?;
                let count = shape.iter().try_fold(1, |all: usize, &size| all.checked_mul(size))?;
                let whole = self.allows(count).then(|| array.broadcast(IxDyn(&shape)))??.to_owned();
                self.charged(whole.into_shared())?
            }
            "Slice" => self.sliced(node, &of)?,
            "Split" => self.split(node, &of, index)?,
            _ => return None,
        };
        Some(of.with(moved))
    }

    /// The numbers in row-major order with another shape.
    fn copy(&mut self, of: &Constant, shape: &[usize]) -> Option<ArcArray<f64, IxDyn>> {
        let values = self.allows(of.array.len()).then(|| of.array.iter().copied().collect())?;
        self.charged(ArrayD::from_shape_vec(IxDyn(shape), values).ok()?.into_shared())
    }

    fn joined(&mut self, node: &NodeProto) -> Option<Constant> {
        let parts: Vec<_> =
            (0..node.input.len()).map(|index| self.input(node, index)).collect::<Option<_>>()?;
        let first = (*parts.first()?).clone();
        let count = parts.iter().map(|part| part.array.len()).sum();
        let Some(Attribute::Int(axis)) = node.attribute("axis") else { return None };
        let [axis] = places(&[axis], first.array.ndim())?[..] else { return None };
        let alike = parts.iter().all(|part| part.value_type == first.value_type);
        let views: Vec<_> = parts.iter().map(|part| part.array.view()).collect();
        let joined = (alike && self.allows(count)).then(|| concatenate(Axis(axis), &views))?;
        Some(first.with(self.charged(joined.ok()?.into_shared())?))
    }

    /// A conversion to another type. Only those that PyTorch's exporters write are known; narrow floats are not
    /// rounded to.
    fn cast(&mut self, node: &NodeProto, of: &Constant) -> Option<Constant> {
        let Some(Attribute::Int(to)) = node.attribute("to") else { return None };
        let value_type = stored_type(to)?;
        let is_exact = value_type == of.value_type
            || value_type == StoredType::F64
            || value_type == StoredType::I64 && !of.value_type.is_float();
        let array = match value_type {
            _ if is_exact => of.array.clone(),
            StoredType::F32 => {
                let rounded = |value: f64| f64::from(narrow(value));
                let array = self.allows(of.array.len()).then(|| of.array.mapv(rounded))?;
                self.charged(array.into_shared())?
            }
            _ => return None,
        };
        Some(Constant { value_type, ..of.with(array) })
    }

    /// (x - `zero_point`) * scale, as f32.
    fn dequantized(&mut self, node: &NodeProto, of: &Constant) -> Option<Constant> {
        let scale = self.input(node, 1)?.clone();
        let is_block = matches!(node.attribute("block_size"), Some(Attribute::Int(1..)));
        let known = !of.value_type.is_float() && scale.value_type == StoredType::F32 && !is_block;
        let zero = match node.input(2) {
            Some(name) => self.get(name)?.array.clone(),
            None => ArcArray::zeros(scale.array.raw_dim()),
        };
        let rank = of.array.ndim();
        let axis = if let Some(Attribute::Int(axis)) = node.attribute("axis") { axis } else { 1 };
        // A list has the numbers of each index of the axis.
        let along = |array: ArcArray<f64, IxDyn>| {
            if array.len() == 1 {
                return array.into_shape_with_order(IxDyn(&[])).ok();
            }
            let [axis] = places(&[axis], rank)?[..] else { return None };
            let mut shape = vec![1; rank];
            shape[axis] = array.len();
            array.into_shape_with_order(IxDyn(&shape)).ok()
        };
        let (scale, zero) = (along(scale.array)?, along(zero)?);
        (known && self.allows(of.array.len())).then_some(())?;
        let mut values = of.array.to_owned();
        let (scale, zero) = (scale.broadcast(of.array.dim())?, zero.broadcast(of.array.dim())?);
        ndarray::Zip::from(&mut values).and(&scale).and(&zero).for_each(|value, &scale, &zero| {
            // Both factors have at most 24 bits: the product is rounded once.
            let difference = f64::from(narrow(*value - zero));
            *value = f64::from(narrow(difference * scale));
        });
        let array = self.charged(values.into_shared())?;
        Some(Constant { value_type: StoredType::F32, ..of.with(array) })
    }

    /// The sizes of a Reshape: 0 keeps a size, and one -1 is what remains.
    fn shape(&self, node: &NodeProto, from: &[usize]) -> Option<Vec<usize>> {
        let keeps = matches!(node.attribute("allowzero"), None | Some(Attribute::Int(0)));
        let sizes = self.integers(node, "shape", 1).filter(|sizes| sizes.len() <= MAX_RANK)?;
        let mut shape = Vec::new();
        for (axis, &size) in sizes.iter().enumerate() {
            shape.push(match size {
                0 if keeps => *from.get(axis)?,
                -1 => 1,
                size => usize::try_from(size).ok()?,
            });
        }
        if let Some(open) = sizes.iter().position(|&size| size == -1) {
            let known = shape.iter().try_fold(1, |all: usize, &size| all.checked_mul(size))?;
            shape[open] = from.iter().product::<usize>().checked_div(known)?;
        }
        Some(shape)
    }

    fn sliced(&self, node: &NodeProto, of: &Constant) -> Option<ArcArray<f64, IxDyn>> {
        let starts = self.integers(node, "starts", 1)?;
        let ends = self.integers(node, "ends", 2)?;
        let axes = match (node.attribute("axes"), node.input(3)) {
            (None, None) => (0..i64::try_from(starts.len()).ok()?).collect(),
            _ => self.integers(node, "axes", 3)?,
        };
        let steps = match node.input(4) {
            Some(name) => self.get(name)?.integers()?,
            None => vec![1; starts.len()],
        };
        let axes = places(&axes, of.array.ndim())?;
        let is_plain = steps.iter().all(|&step| step == 1);
        (is_plain && starts.len() == axes.len() && ends.len() == axes.len()).then_some(())?;
        let mut array = of.array.clone();
        for ((axis, start), end) in axes.into_iter().zip(starts).zip(ends) {
            let len = i64::try_from(array.len_of(Axis(axis))).ok()?;
            let at = |at: i64| {
                let at = if at < 0 { at.saturating_add(len) } else { at }.clamp(0, len);
                usize::try_from(at).ok()
            };
            let (start, end) = (at(start)?, at(end)?);
            array.slice_axis_inplace(Axis(axis), Slice::from(start..end.max(start)));
        }
        Some(array)
    }

    fn split(&self, node: &NodeProto, of: &Constant, index: usize) -> Option<ArcArray<f64, IxDyn>> {
        let axis = if let Some(Attribute::Int(axis)) = node.attribute("axis") { axis } else { 0 };
        let [axis] = places(&[axis], of.array.ndim())?[..] else { return None };
        let len = of.array.len_of(Axis(axis));
        let parts = match (node.attribute("split"), node.input(1)) {
            (None, None) => {
                let each = len.div_ceil(node.output.len());
                (0..node.output.len())
                    .map(|part| each.min(len.saturating_sub(part * each)))
                    .collect()
            }
            _ => self
                .integers(node, "split", 1)?
                .into_iter()
                .map(usize::try_from)
                .collect::<Result<Vec<_>, _>>()
                .ok()?,
        };
        let start = parts.get(..index)?.iter().sum::<usize>();
        let end = start.checked_add(*parts.get(index)?).filter(|&end| end <= len)?;
        let mut array = of.array.clone();
        array.slice_axis_inplace(Axis(axis), Slice::from(start..end));
        Some(array)
    }
}

/// The nearest number of f32.
#[allow(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// Whether a node is one of those that are computed.
fn is_known(node: &NodeProto) -> bool {
    const KNOWN: [&str; 12] = [
        "Identity",
        "Dropout",
        "Cast",
        "Concat",
        "DequantizeLinear",
        "Expand",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    ];
    node.is_standard() && KNOWN.contains(&node.op_type.as_str())
}

/// Axes as numbers below `rank`; negative ones count from the end.
pub(super) fn places(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    let rank = i64::try_from(rank).ok()?;
    let place = |&axis: &i64| if axis < 0 { axis.checked_add(rank) } else { Some(axis) };
    let place = |axis| place(axis).filter(|at| (0..rank).contains(at));
    axes.iter().map(|axis| usize::try_from(place(axis)?).ok()).collect()
}

/// The shape of an array that Expand brings to these sizes, in which 1 keeps a size.
fn broadcast(from: &[usize], sizes: &[i64]) -> Option<Vec<usize>> {
    let rank = from.len().max(sizes.len());
    (rank <= MAX_RANK).then_some(())?;
    let from = std::iter::repeat_n(1, rank - from.len()).chain(from.iter().copied());
    let sizes = std::iter::repeat_n(&1, rank - sizes.len()).chain(sizes);
    let size = |(from, to): (usize, &i64)| Some(from.max(usize::try_from(*to).ok()?));
    from.zip(sizes).map(size).collect()
}
