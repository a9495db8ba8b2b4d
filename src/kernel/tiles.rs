//! A product as pointers whose bounds are checked once, and its vectors at the edge of W.

use super::product::{Activation, Product, Walk};
use super::tanh::tanh;
use super::vector::{Registers, Vector};

/// Computes `product` with tiles of up to ROWS rows. UNIT vectors fill a cache line.
#[inline(always)]
pub(super) fn compute<V: Vector, const ROWS: usize, const UNIT: usize>(
    product: Product<'_, V::Element>,
) {
    let panels = product.panels;
    let tiles = Tiles::<V>::new(product);
    match tiles.rows {
        0 => {}
        1 => tiles.one_row::<UNIT>(panels),
        _ => tiles.many_rows::<ROWS, UNIT>(panels),
    }
}

/// A [`Product`] as pointers. `new` checks its bounds once; it lives no longer than the call that takes the product,
/// and its methods are called only for rows and columns of the product.
pub(super) struct Tiles<V: Vector> {
    pub(super) rows: usize,
    pub(super) k: usize,
    pub(super) columns: usize,
    pub(super) x: *const V::Element,
    pub(super) x_stride: usize,
    pub(super) start: *const V::Element,
    pub(super) start_stride: usize,
    pub(super) out: *mut V::Element,
    pub(super) out_stride: usize,
    pub(super) activation: Activation,
    pub(super) walk: Walk,
}

/// Columns of a panel that a tile takes.
#[derive(Clone, Copy)]
pub(super) struct Place<V: Vector> {
    /// The first weight of the first column.
    pub(super) weights: *const V::Element,
    /// Elements from one k to the next.
    pub(super) width: usize,
    /// The first column of W.
    pub(super) column: usize,
}

impl<V: Vector> Tiles<V> {
    #[inline(always)]
    pub(super) fn new(product: Product<'_, V::Element>) -> Self {
        let Product { x, x_stride, panels, start, start_stride, out, activation, walk } = product;
        let (k, columns, rows) = (panels.k, panels.columns, out.rows);
        let fits = |len: usize, stride: usize, width: usize| {
            let last = rows.saturating_sub(1).checked_mul(stride);
            let end = last.and_then(|last| last.checked_add(width));
            rows == 0 || end.is_some_and(|end| end <= len)
        };
        assert!(fits(x.len(), x_stride, k));
        assert!(fits(start.len(), start_stride, columns));
        assert!(out.columns == columns);
        let (out, out_stride) = (out.first, out.stride);
        let (x, start) = (x.as_ptr(), start.as_ptr());
        Tiles {
            rows,
            k,
            columns,
            x,
            x_stride,
            start,
            start_stride,
            out,
            out_stride,
            activation,
            walk,
        }
    }

    /// The i-th panel of the walk.
    #[inline(always)]
    pub(super) fn nth(&self, i: usize, count: usize) -> usize {
        if self.walk == Walk::Forwards { i } else { count - 1 - i }
    }

    /// x[row][k] in every lane.
    #[inline(always)]
    pub(super) fn splat_x(&self, row: usize, k: usize) -> V {
        debug_assert!(row < self.rows && k < self.k);
        // SAFETY: the row and k are within bounds, and `new` has checked that they lie in the slice.
        let x = unsafe { self.x.add(row * self.x_stride + k) };
        // SAFETY: the same.
        V::splat(unsafe { *x })
    }

    #[inline(always)]
    pub(super) fn activate(&self, total: V) -> V {
        activate(total, self.activation)
    }

    /// The start of one vector of columns. At the right edge of W some lanes have no column; in the padding of its
    /// last line no lane has one.
    #[inline(always)]
    pub(super) fn load_start(&self, row: usize, column: usize) -> V {
        let lanes = self.columns.saturating_sub(column).min(V::LANES);
        if lanes == 0 {
            return V::splat(V::Element::ZERO);
        }
        debug_assert!(row < self.rows);
        // SAFETY: row and column are within bounds, and `new` has checked that they lie in the slice.
        let from = unsafe { self.start.add(row * self.start_stride + column) };
        if lanes == V::LANES {
            // SAFETY: all lanes are columns of this row.
            return unsafe { V::load(from) };
        }
        let mut edge = Edge::default();
        // SAFETY: `lanes` columns of this row follow, and fewer than the edge holds.
        unsafe { from.copy_to_nonoverlapping(edge.as_mut_ptr(), lanes) };
        // SAFETY: the edge holds at least one vector.
        unsafe { V::load(edge.as_ptr()) }
    }

    #[inline(always)]
    pub(super) fn store_out(&self, row: usize, column: usize, vector: V) {
        let lanes = self.columns.saturating_sub(column).min(V::LANES);
        if lanes == 0 {
            return;
        }
        debug_assert!(row < self.rows);
        // SAFETY: row and column are within the bounds of a `RowsMut`.
        let to = unsafe { self.out.add(row * self.out_stride + column) };
        if lanes == V::LANES {
            // SAFETY: all lanes are columns of this row.
            return unsafe { vector.store(to) };
        }
        let mut edge = Edge::default();
        // SAFETY: the edge holds at least one vector.
        unsafe { vector.store(edge.as_mut_ptr()) };
        // SAFETY: `lanes` columns of this row follow, and fewer than the edge holds.
        unsafe { edge.as_ptr().copy_to_nonoverlapping(to, lanes) };
    }
}

/// `act(total)`
#[inline(always)]
pub(super) fn activate<V: Vector>(total: V, activation: Activation) -> V {
    let zero = V::splat(V::Element::ZERO);
    match activation {
        Activation::Identity => total,
        Activation::Tanh => tanh(total),
        Activation::Relu => total.select_lt(zero, zero, total).nan_from(total),
    }
}

/// `total = total + sum`, number by number.
#[inline(always)]
pub(super) fn add_sums<V: Vector, const R: usize, const C: usize>(
    totals: &mut [[V; C]; R],
    sums: &[[V; C]; R],
) {
    for r in 0..R {
        for c in 0..C {
            totals[r][c] = totals[r][c].add(sums[r][c]);
        }
    }
}

/// Space for one vector of any instance: none has more than 16 lanes.
pub(super) type Edge<T> = [T; 16];
