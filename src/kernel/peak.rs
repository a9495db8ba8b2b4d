//! The limits of the machine: loops of only multiply-adds or only reads.

use super::vector::{Registers, Vector};

/// Computes N independent sums: enough to hide the latency of the fused multiply-add, and as many as a tile keeps in
/// registers. The result depends on all of them, so that the compiler removes none.
#[inline(always)]
pub(super) fn multiply_add<V: Vector, const N: usize>(rounds: usize) -> V::Element {
    let one = V::splat(V::Element::ONE);
    // A constant would let the compiler compute the sums.
    let factor = V::splat(std::hint::black_box(V::Element::ONE));
    let mut sums = [one; N];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, one);
        }
    }
    total(&sums)
}

/// Reads the blocks of N vectors of `data`, from its first whole cache line on.
#[inline(always)]
pub(super) fn read<V: Vector, const N: usize>(data: &[V::Element]) -> V::Element {
    let mut sums = [V::splat(V::Element::ZERO); N];
    // A vector that crosses a line would take two reads.
    let data = &data[data.as_ptr().align_offset(64).min(data.len())..];
    for piece in data.chunks_exact(N * V::LANES) {
        for n in 0..N {
            // SAFETY: the piece has N vectors.
            let from = unsafe { piece.as_ptr().add(n * V::LANES) };
            // SAFETY: the same.
            sums[n] = sums[n].add(unsafe { V::load(from) });
        }
    }
    total(&sums)
}

#[inline(always)]
fn total<V: Vector>(sums: &[V]) -> V::Element {
    let total = sums.iter().fold(V::splat(V::Element::ZERO), |total, &sum| total.add(sum));
    let mut lanes = [V::Element::ZERO; 16];
    // SAFETY: no vector has more than 16 lanes.
    unsafe { total.store(lanes.as_mut_ptr()) };
    lanes[0]
}
