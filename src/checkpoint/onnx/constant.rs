//! Values that nodes compute from constants alone: weights behind nodes that move, join, convert or dequantize.
//!
//! All numbers are f64 inside, which holds those of every narrower type exactly.

mod moves;

use std::collections::{HashMap, HashSet};

use ndarray::{ArcArray, Axis, IxDyn, concatenate};

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

/// Numbers that views share.
type Array = ArcArray<f64, IxDyn>;

/// A value that is known without an input of the model.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    /// The type of the tensor that the value was made from.
    pub(super) stored: StoredType,
    /// The type of the value.
    value_type: StoredType,
    pub(super) array: Array,
}

impl Constant {
    /// Its numbers as `dtype`, or by default in the type of the value.
    pub(super) fn read(&self, dtype: Option<Dtype>) -> Tensor {
        match dtype.unwrap_or(self.value_type.natural()) {
            Dtype::F32 => Tensor::F32(self.array.mapv(narrow)),
            Dtype::F64 => Tensor::F64(self.array.to_owned()),
        }
    }

    fn with(&self, array: Array) -> Self {
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
    fn charged(&mut self, array: Array) -> Option<Array> {
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
        let moved = match node.op_type.as_str() {
            "Identity" | "Dropout" if index == 0 => of.array.clone(),
            "Cast" => return self.cast(node, &of),
            "DequantizeLinear" => return self.dequantized(node, &of),
            "Transpose" => moves::transposed(node, &of)?,
            "Unsqueeze" => self.unsqueezed(node, &of)?,
            "Squeeze" => self.squeezed(node, &of)?,
            "Reshape" => self.reshaped(node, &of)?,
            "Expand" => self.expanded(node, &of)?,
            "Slice" => self.sliced(node, &of)?,
            "Split" => self.split(node, &of, index)?,
            _ => return None,
        };
        Some(of.with(moved))
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
        let along = |array: Array| {
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
