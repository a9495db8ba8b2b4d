//! A nonlinearity on every number of a slice.

use super::product::Activation;
use super::tiles::{Edge, activate};
use super::vector::Vector;

/// Replaces each number by `act(number)`. A number's result does not depend on its place in the slice.
#[inline(always)]
pub(super) fn apply<V: Vector>((values, activation): (&mut [V::Element], Activation)) {
    for part in values.chunks_mut(V::LANES) {
        let mut edge = Edge::default();
        edge[..part.len()].copy_from_slice(part);
        // SAFETY: the edge holds at least one vector.
        let vector = unsafe { V::load(edge.as_ptr()) };
        // SAFETY: the same.
        unsafe { activate(vector, activation).store(edge.as_mut_ptr()) };
        part.copy_from_slice(&edge[..part.len()]);
    }
}
