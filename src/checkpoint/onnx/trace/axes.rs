//! The axes of a value behind a node that moves numbers.

use super::Axis::{self, Batch, Directions, Features, One, Steps};
use super::{MAX_RANK, Origin, Trace};
use crate::checkpoint::onnx::constant::places;
use crate::files::proto::{Attribute, NodeProto};

impl<'a> Trace<'a> {
    /// The integers in an attribute, as in old models, or in a constant input.
    fn integers(&self, node: &'a NodeProto, attribute: &str) -> Option<Vec<i64>> {
        match (node.attribute(attribute), node.input(1)) {
            (Some(Attribute::Ints(ints)), _) => (ints.len() <= MAX_RANK).then(|| ints.to_vec()),
            (None, Some(input)) => {
                let tensor = self.tensors.get(input)?;
                // Many nodes may share one large tensor.
                let len = tensor.header().ok()?.shape.iter().product::<usize>();
                (len <= MAX_RANK).then(|| tensor.as_integers()).flatten()
            }
            _ => None,
        }
    }

    /// The axes of a node's output; `None` if they are unknown.
    pub(super) fn moved(&self, node: &'a NodeProto, origin: &Origin<'a>) -> Option<Vec<Axis>> {
        let axes = &origin.axes;
        let rank = axes.len();
        match node.op_type.as_str() {
            "Identity" | "Cast" | "Dropout" => Some(axes.clone()),
            "Transpose" => {
                let Some(Attribute::Ints(perm)) = node.attribute("perm") else {
                    return Some(axes.iter().rev().copied().collect());
                };
                let axis = |&at| usize::try_from(at).ok().and_then(|at| axes.get(at).copied());
                perm.iter().map(axis).collect::<Option<Vec<_>>>().filter(|all| all.len() == rank)
            }
            "Squeeze" => {
                let gone = match (node.input.len(), self.integers(node, "axes")) {
                    (_, Some(gone)) => places(&gone, rank)?,
                    // The default is all axes of size 1. Whether L or N is 1 is unknown and does not matter:
                    // the next node would reject the remaining axes.
                    (1, None) => (0..rank).filter(|&at| origin.is_single(axes[at])).collect(),
                    _ => return None,
                };
                let single = gone.iter().all(|&at| origin.is_single(axes[at]));
                let left = (0..rank).filter(|at| !gone.contains(at)).map(|at| axes[at]);
                single.then(|| left.collect())
            }
            "Unsqueeze" => {
                let new = self.integers(node, "axes")?;
                let rank = rank + new.len();
                let new = places(&new, rank)?;
                let mut old = axes.iter().copied();
                (0..rank).map(|at| if new.contains(&at) { Some(One) } else { old.next() }).collect()
            }
            "Reshape" => self.reshaped(node, origin),
            _ => None,
        }
    }

    /// The axes after a Reshape to three that keeps the first two: it joins the directions of one step and drops
    /// axes of size 1. Their sizes are kept by zeros, or stated as those that the model has fixed. Any other
    /// shape, including a computed one, could divide steps and sequences differently.
    fn reshaped(&self, node: &'a NodeProto, origin: &Origin<'a>) -> Option<Vec<Axis>> {
        // A zero keeps the size of the axis, unless allowzero is set.
        let zeros_are_sizes = matches!(node.attribute("allowzero"), None | Some(Attribute::Int(0)));
        let shape = self.integers(node, "shape")?;
        let [first, second, last] = shape[..] else { return None };
        let stated = first != 0 && second != 0;
        // A stated size is that of an axis without regard to axes of size 1 before it.
        let is_kept = |axis: &Axis| !(stated && origin.is_single(*axis));
        let axes: Vec<_> = origin.axes.iter().copied().filter(is_kept).collect();
        let (kept, merged) = axes.split_at_checked(2)?;
        let merged = merged.iter().copied().filter(|&axis| !origin.is_single(axis));
        let merged = merged.collect::<Vec<_>>();
        let is_step = merged == [Features] || merged == [Directions, Features];
        let fits = |size: i64, axis: Axis| {
            let fixed = match axis {
                Steps => origin.sizes[0],
                Batch => origin.sizes[1],
                _ => None,
            };
            size == 0 && zeros_are_sizes || size > 0 && fixed == Some(size)
        };
        let sizes = [(first, kept[0]), (second, kept[1])];
        let open = sizes.iter().filter(|(size, _)| *size == -1).count();
        let others = sizes.iter().filter(|(size, _)| *size != -1);
        let keeps = others.copied().all(|(size, axis)| fits(size, axis));
        // One -1 is what the other two sizes leave.
        let is_whole = open == 0 && (last > 0 || last == -1) || open == 1 && last > 0;
        (keeps && is_whole && is_step).then(|| vec![kept[0], kept[1], Features])
    }
}
