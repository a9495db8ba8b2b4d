//! The nodes that only move numbers: they change the shape, repeat numbers or leave some out.

use std::collections::HashSet;

use ndarray::{ArrayD, Axis, IxDyn, Slice};

use super::{Array, Constant, Constants, MAX_RANK, places};
use crate::files::proto::{Attribute, NodeProto};

pub(super) fn transposed(node: &NodeProto, of: &Constant) -> Option<Array> {
    let rank = of.array.ndim();
    let perm = match node.attribute("perm") {
        Some(Attribute::Ints(perm)) => places(perm, rank)?,
        _ => (0..rank).rev().collect(),
    };
    let distinct: HashSet<_> = perm.iter().collect();
    (distinct.len() == rank && perm.len() == rank).then(|| of.array.clone().permuted_axes(perm))
}

impl Constants<'_> {
    pub(super) fn unsqueezed(&self, node: &NodeProto, of: &Constant) -> Option<Array> {
        let axes = self.integers(node, "axes", 1)?;
        let rank = of.array.ndim() + axes.len();
        let mut axes = (rank <= MAX_RANK).then(|| places(&axes, rank))??;
        axes.sort_unstable();
        axes.into_iter().try_fold(of.array.clone(), |array, axis| {
            (axis <= array.ndim()).then(|| array.insert_axis(Axis(axis)))
        })
    }

    pub(super) fn squeezed(&self, node: &NodeProto, of: &Constant) -> Option<Array> {
        let rank = of.array.ndim();
        let single = || (0..rank).filter(|&axis| of.array.len_of(Axis(axis)) == 1).collect();
        let axes = self.integers(node, "axes", 1);
        let mut axes = axes.map_or_else(|| Some(single()), |axes| places(&axes, rank))?;
        axes.sort_unstable();
        axes.dedup();
        axes.into_iter().rev().try_fold(of.array.clone(), |array, axis| {
            (array.len_of(Axis(axis)) == 1).then(|| array.remove_axis(Axis(axis)))
        })
    }

    pub(super) fn reshaped(&mut self, node: &NodeProto, of: &Constant) -> Option<Array> {
        let shape = self.shape(node, of.array.shape())?;
        if of.array.is_standard_layout() {
            return of.array.clone().into_shape_with_order(IxDyn(&shape)).ok();
        }
        self.copy(of, &shape)
    }

    pub(super) fn expanded(&mut self, node: &NodeProto, of: &Constant) -> Option<Array> {
        // A computed shape is that of the batch, which broadcasts a first state.
        let Some(sizes) = self.input(node, 1).and_then(Constant::integers) else {
            return Some(of.array.clone());
        };
        let shape = broadcast(of.array.shape(), &sizes)?;
        let count = shape.iter().try_fold(1, |all: usize, &size| all.checked_mul(size))?;
        let whole = self.allows(count).then(|| of.array.broadcast(IxDyn(&shape)))??.to_owned();
        self.charged(whole.into_shared())
    }

    /// The numbers in row-major order with another shape.
    fn copy(&mut self, of: &Constant, shape: &[usize]) -> Option<Array> {
        let values = self.allows(of.array.len()).then(|| of.array.iter().copied().collect())?;
        self.charged(ArrayD::from_shape_vec(IxDyn(shape), values).ok()?.into_shared())
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

    pub(super) fn sliced(&self, node: &NodeProto, of: &Constant) -> Option<Array> {
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

    pub(super) fn split(&self, node: &NodeProto, of: &Constant, index: usize) -> Option<Array> {
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

/// The shape of an array that Expand brings to these sizes, in which 1 keeps a size.
fn broadcast(from: &[usize], sizes: &[i64]) -> Option<Vec<usize>> {
    let rank = from.len().max(sizes.len());
    (rank <= MAX_RANK).then_some(())?;
    let from = std::iter::repeat_n(1, rank - from.len()).chain(from.iter().copied());
    let sizes = std::iter::repeat_n(&1, rank - sizes.len()).chain(sizes);
    let size = |(from, to): (usize, &i64)| Some(from.max(usize::try_from(*to).ok()?));
    from.zip(sizes).map(size).collect()
}
