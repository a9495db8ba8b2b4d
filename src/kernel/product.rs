//! `out = act(start + X W^T)`, tile by tile.
//!
//! # The order of operations
//!
//! Every number of `out` is computed alone, in one order whatever the tile, the instruction set or the
//! neighbours are:
//!
//! ```text
//! total = start
//! for each chain of 64 features, ascending:
//!     sum = 0
//!     for each k of the chain, ascending: sum = fma(x[k], w[k], sum)
//!     total = total + sum
//! out = act(total)
//! ```
//!
//! Vectors run across columns, never along k, so a wider vector changes nothing. Chains of 64 are as
//! exact as a long sum split over eight accumulators, and cost one addition for every 64 features.
//!
//! # The tile
//!
//! A tile keeps the sums of R rows and C vectors of columns in registers while it walks along k: one
//! broadcast of the input serves C vectors, and one vector of the panel serves R rows. The totals lie
//! beside it and are touched once for each chain. Panel by panel, all rows pass: a panel that has come
//! from far is used by all of them, while the next one is fetched.
//!
//! One row alone is different: there is nothing to reuse, and a few sums do not hide the latency of the
//! fused multiply-add. So it walks several panels side by side ([`Tiles::one_row`]).

use super::rows::RowsMut;
use super::tanh::tanh;
use super::vector::Vector;
use super::{Element, Panels};

/// Features of one chain of fused multiply-adds. Part of the contract on numbers: another length would
/// change every output. Against float64, the mean error of chains of 64 is 1.07, 0.67 and 0.95 times
/// PyTorch's at hidden sizes of 64, 256 and 1760; of uncut sums 1.5, 1.5 and 4.3 times.
pub(crate) const CHAIN: usize = 64;

/// Weights beyond this come from behind the second-level cache at every product, and are fetched ahead.
/// Half of the 2 MB of the machine that it was tuned on.
const FETCHED_BYTES: usize = 1 << 18;

/// What is applied to a sum before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Nothing: a pre-activation.
    Identity,
    Tanh,
    /// max(x, 0), where -0 stays -0 and NaN stays NaN.
    Relu,
}

/// The order in which panels are walked. It changes which of them are still in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    Forwards,
    Backwards,
}

impl Walk {
    /// The other order.
    pub(crate) fn turned(self) -> Self {
        match self {
            Walk::Forwards => Walk::Backwards,
            Walk::Backwards => Walk::Forwards,
        }
    }
}

/// One product: `out[r] = act(start[r] + x[r] W^T)` for each row r.
#[derive(Debug)]
pub(crate) struct Product<'a, T> {
    /// (rows, k); row r starts at `r * x_stride`.
    pub(crate) x: &'a [T],
    pub(crate) x_stride: usize,
    /// W, of (columns, k).
    pub(crate) panels: Panels<'a, T>,
    /// (rows, columns); row r starts at `r * start_stride`. A stride of 0 gives every row the bias.
    pub(crate) start: &'a [T],
    pub(crate) start_stride: usize,
    /// (rows, columns).
    pub(crate) out: RowsMut<'a, T>,
    pub(crate) activation: Activation,
    pub(crate) walk: Walk,
}

/// A row that is made out of itself over and over: `out[i] = act(start[i] + out[i - 1] W^T)`, a scan of
/// one sequence. It is a product for each step; here, because what surrounds a call would take as long as
/// a short step.
#[derive(Debug)]
pub(crate) struct Recurrence<'a, T> {
    /// What comes before the first step, (columns).
    pub(crate) before: &'a [T],
    /// W, of (columns, columns).
    pub(crate) panels: Panels<'a, T>,
    /// (steps, columns), one after the other.
    pub(crate) start: &'a [T],
    /// (steps, columns).
    pub(crate) out: RowsMut<'a, T>,
    pub(crate) activation: Activation,
    /// Whether the last step of `start` and `out` comes first.
    pub(crate) reverse: bool,
}

/// Computes `recurrence`. UNIT vectors fill a cache line.
#[inline(always)]
pub(super) fn recur<V: Vector, const UNIT: usize>(recurrence: Recurrence<'_, V::Element>) {
    let Recurrence { before, panels, start, mut out, activation, reverse } = recurrence;
    let (columns, steps, stride) = (panels.columns(), out.rows(), out.stride());
    assert!(panels.k() == columns && out.columns() == columns);
    assert!(before.len() >= columns && start.len() / columns >= steps);
    let first_out = out.as_mut_ptr();
    let mut tiles = Tiles::<V> {
        rows: 1,
        k: columns,
        columns,
        x: before.as_ptr(),
        x_stride: 0,
        start: start.as_ptr(),
        start_stride: 0,
        out: first_out,
        out_stride: 0,
        activation,
        walk: Walk::Forwards,
    };
    for i in 0..steps {
        let t = if reverse { steps - 1 - i } else { i };
        tiles.start = start.as_ptr().wrapping_add(t * columns);
        tiles.out = first_out.wrapping_add(t * stride);
        tiles.one_row::<UNIT>(panels);
        // What was written is what the next step reads.
        tiles.x = tiles.out;
        tiles.walk = tiles.walk.turned();
    }
}

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

/// A [`Product`] as pointers, its bounds checked once.
struct Tiles<V: Vector> {
    rows: usize,
    k: usize,
    columns: usize,
    x: *const V::Element,
    x_stride: usize,
    start: *const V::Element,
    start_stride: usize,
    out: *mut V::Element,
    out_stride: usize,
    activation: Activation,
    walk: Walk,
}

/// Columns of a panel that a tile takes.
#[derive(Clone, Copy)]
struct Place<V: Vector> {
    /// The first weight of the first column.
    weights: *const V::Element,
    /// Elements from one k to the next.
    width: usize,
    /// The first column of W.
    column: usize,
}

/// What is fetched while a tile is computed: a line for each k.
#[derive(Clone, Copy)]
struct Ahead<V: Vector> {
    from: *const V::Element,
    /// Elements from one k to the next; 0 fetches nothing new.
    step: usize,
}

impl<V: Vector> Tiles<V> {
    #[inline(always)]
    fn new(product: Product<'_, V::Element>) -> Self {
        let Product { x, x_stride, panels, start, start_stride, mut out, activation, walk } =
            product;
        let (k, columns, rows) = (panels.k(), panels.columns(), out.rows());
        let fits = |len: usize, stride: usize, width: usize| {
            rows == 0 || ((rows - 1) * stride).checked_add(width).is_some_and(|end| end <= len)
        };
        assert!(fits(x.len(), x_stride, k));
        assert!(fits(start.len(), start_stride, columns));
        assert!(out.columns() == columns);
        let (out, out_stride) = (out.as_mut_ptr(), out.stride());
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
    fn nth(&self, i: usize, count: usize) -> usize {
        if self.walk == Walk::Forwards { i } else { count - 1 - i }
    }

    /// Panel by panel, all rows in tiles as even as can be.
    #[inline(always)]
    fn many_rows<const ROWS: usize, const UNIT: usize>(&self, panels: Panels<'_, V::Element>) {
        let (whole, narrow) = panels.counts();
        let count = whole + narrow;
        let far = panels.bytes() > FETCHED_BYTES;
        let tiles = self.rows.div_ceil(ROWS);
        for i in 0..count {
            let panel = self.nth(i, count);
            let (weights, width, first_column) = panels.panel(panel);
            let next = if i + 1 < count { self.nth(i + 1, count) } else { panel };
            let (next, next_width, _) = panels.panel(next);
            let vectors = width / V::LANES;
            let at_once = if vectors.is_multiple_of(3) { 3 } else { vectors.min(2) };
            let parts = vectors / at_once * tiles;
            let step = if far { next_width.div_ceil(parts) } else { 0 };
            for vector in (0..vectors).step_by(at_once) {
                for tile in 0..tiles {
                    let (row, end) = (tile * self.rows / tiles, (tile + 1) * self.rows / tiles);
                    let part = vector / at_once * tiles + tile;
                    let place = Place {
                        weights: weights[vector * V::LANES..].as_ptr(),
                        width,
                        column: first_column + vector * V::LANES,
                    };
                    let from = next.as_ptr().wrapping_add(part * step * self.k);
                    let ahead = Ahead { from, step };
                    match at_once {
                        3 => self.tile_of::<ROWS, 3>(end - row, row, place, ahead),
                        2 => self.tile_of::<ROWS, 2>(end - row, row, place, ahead),
                        _ if UNIT == 1 => self.tile_of::<ROWS, 1>(end - row, row, place, ahead),
                        _ => {}
                    }
                }
            }
        }
    }

    /// A tile of `rows` rows.
    #[inline(always)]
    fn tile_of<const ROWS: usize, const C: usize>(
        &self,
        rows: usize,
        row: usize,
        place: Place<V>,
        ahead: Ahead<V>,
    ) {
        match rows {
            1 => self.tile::<1, C>(row, place, ahead),
            2 => self.tile::<2, C>(row, place, ahead),
            3 => self.tile::<3, C>(row, place, ahead),
            4 => self.tile::<4, C>(row, place, ahead),
            5 if ROWS > 4 => self.tile::<5, C>(row, place, ahead),
            6 if ROWS > 4 => self.tile::<6, C>(row, place, ahead),
            7 if ROWS > 4 => self.tile::<7, C>(row, place, ahead),
            8 if ROWS > 4 => self.tile::<8, C>(row, place, ahead),
            _ => {}
        }
    }

    /// Rows `row..row + R` of C vectors of columns.
    #[inline(always)]
    fn tile<const R: usize, const C: usize>(&self, row: usize, place: Place<V>, ahead: Ahead<V>) {
        let mut totals = [[V::splat(V::Element::ZERO); C]; R];
        for r in 0..R {
            for c in 0..C {
                totals[r][c] = self.load_start(row + r, place.column + c * V::LANES);
            }
        }
        for first in (0..self.k).step_by(CHAIN) {
            let sums = self.chain::<R, C>(row, first, place, ahead);
            add_sums(&mut totals, &sums);
        }
        for r in 0..R {
            for c in 0..C {
                let out = self.activate(totals[r][c]);
                self.store_out(row + r, place.column + c * V::LANES, out);
            }
        }
    }

    /// The sums of the chain that begins at k = `first`: `sum = fma(x[k], w[k], sum)` for ascending k,
    /// from zero.
    #[inline(always)]
    fn chain<const R: usize, const C: usize>(
        &self,
        row: usize,
        first: usize,
        place: Place<V>,
        ahead: Ahead<V>,
    ) -> [[V; C]; R] {
        let mut sums = [[V::splat(V::Element::ZERO); C]; R];
        for k in first..(first + CHAIN).min(self.k) {
            V::prefetch(ahead.from.wrapping_add(k * ahead.step));
            let mut weights = [V::splat(V::Element::ZERO); C];
            for c in 0..C {
                // SAFETY: k < self.k, and the panel has `width` elements for each k.
                let from = unsafe { place.weights.add(k * place.width + c * V::LANES) };
                // SAFETY: a panel is filled up to whole lines, and its caller counted its vectors.
                weights[c] = unsafe { V::load(from) };
            }
            for r in 0..R {
                let x = self.splat_x(row + r, k);
                for c in 0..C {
                    sums[r][c] = x.mul_add(weights[c], sums[r][c]);
                }
            }
        }
        sums
    }

    /// One row: several panels side by side, so that enough sums are under way. Whole panels have F
    /// vectors: four of three, or two of six, keep twelve sums.
    #[inline(always)]
    fn one_row<const UNIT: usize>(&self, panels: Panels<'_, V::Element>) {
        let at_once = 4 / UNIT;
        let (whole, narrow) = panels.counts();
        let count = whole + narrow;
        let groups = count.div_ceil(at_once);
        let single = self.columns <= V::Element::LINE;
        for i in 0..groups {
            let group = self.nth(i, groups);
            // A single group is a small layer, whose step would take as long as these divisions.
            let (first, end) = if groups == 1 {
                (0, count)
            } else {
                (group * count / groups, (group + 1) * count / groups)
            };
            let first_narrow = first.max(whole.min(end));
            match (UNIT, first_narrow - first, end - first_narrow) {
                (1, 0, 1) if single => self.row::<0, 3, 1, 1>(panels, first),
                (1, 1, 0) => self.row::<1, 3, 0, 0>(panels, first),
                (1, 2, 0) => self.row::<2, 3, 0, 0>(panels, first),
                (1, 3, 0) => self.row::<3, 3, 0, 0>(panels, first),
                (1, 4, 0) => self.row::<4, 3, 0, 0>(panels, first),
                (1, 0, 1) => self.row::<0, 3, 1, 2>(panels, first),
                (1, 1, 1) => self.row::<1, 3, 1, 2>(panels, first),
                (1, 2, 1) => self.row::<2, 3, 1, 2>(panels, first),
                (1, 3, 1) => self.row::<3, 3, 1, 2>(panels, first),
                (1, 0, 2) => self.row::<0, 3, 2, 2>(panels, first),
                (1, 1, 2) => self.row::<1, 3, 2, 2>(panels, first),
                (1, 2, 2) => self.row::<2, 3, 2, 2>(panels, first),
                (2, 0, 1) if single => self.row::<0, 6, 1, 2>(panels, first),
                (2, 1, 0) => self.row::<1, 6, 0, 0>(panels, first),
                (2, 2, 0) => self.row::<2, 6, 0, 0>(panels, first),
                (2, 0, 1) => self.row::<0, 6, 1, 4>(panels, first),
                (2, 1, 1) => self.row::<1, 6, 1, 4>(panels, first),
                (2, 0, 2) => self.row::<0, 6, 2, 4>(panels, first),
                _ => {}
            }
        }
    }

    /// One row of P whole panels of F vectors, from panel `first` on, and of Q narrow ones of G vectors
    /// behind them.
    #[inline(always)]
    fn row<const P: usize, const F: usize, const Q: usize, const G: usize>(
        &self,
        panels: Panels<'_, V::Element>,
        first: usize,
    ) {
        let whole: [_; P] = self.places(panels, first);
        let narrow: [_; Q] = self.places(panels, first + P);
        let mut totals: [[V; F]; P] = self.load_starts(whole);
        let mut narrow_totals: [[V; G]; Q] = self.load_starts(narrow);
        for begin in (0..self.k).step_by(CHAIN) {
            let mut sums = [[V::splat(V::Element::ZERO); F]; P];
            let mut narrow_sums = [[V::splat(V::Element::ZERO); G]; Q];
            for k in begin..(begin + CHAIN).min(self.k) {
                let x = self.splat_x(0, k);
                add_products(&mut sums, x, k, whole);
                add_products(&mut narrow_sums, x, k, narrow);
            }
            add_sums(&mut totals, &sums);
            add_sums(&mut narrow_totals, &narrow_sums);
        }
        self.finish(&totals, whole);
        self.finish(&narrow_totals, narrow);
    }

    /// The places of P panels from `first` on.
    #[inline(always)]
    fn places<const P: usize>(
        &self,
        panels: Panels<'_, V::Element>,
        first: usize,
    ) -> [Place<V>; P] {
        let mut places = [Place { weights: std::ptr::null(), width: 0, column: 0 }; P];
        for p in 0..P {
            let (weights, width, column) = panels.panel(first + p);
            places[p] = Place { weights: weights.as_ptr(), width, column };
        }
        places
    }

    #[inline(always)]
    fn load_starts<const P: usize, const F: usize>(&self, places: [Place<V>; P]) -> [[V; F]; P] {
        let mut totals = [[V::splat(V::Element::ZERO); F]; P];
        for p in 0..P {
            for f in 0..F {
                totals[p][f] = self.load_start(0, places[p].column + f * V::LANES);
            }
        }
        totals
    }

    #[inline(always)]
    fn finish<const P: usize, const F: usize>(&self, totals: &[[V; F]; P], places: [Place<V>; P]) {
        for p in 0..P {
            for f in 0..F {
                let out = self.activate(totals[p][f]);
                self.store_out(0, places[p].column + f * V::LANES, out);
            }
        }
    }

    /// x[row][k] in every lane.
    #[inline(always)]
    fn splat_x(&self, row: usize, k: usize) -> V {
        // SAFETY: row < rows and k < self.k, as `new` has checked.
        let x = unsafe { self.x.add(row * self.x_stride + k) };
        // SAFETY: the same.
        V::splat(unsafe { *x })
    }

    #[inline(always)]
    fn activate(&self, total: V) -> V {
        let zero = V::splat(V::Element::ZERO);
        match self.activation {
            Activation::Identity => total,
            Activation::Tanh => tanh(total),
            Activation::Relu => total.select_lt(zero, zero, total).nan_from(total),
        }
    }

    /// The start of one vector of columns. At the right edge of W some lanes have no column; in what
    /// fills up its last line none has.
    #[inline(always)]
    fn load_start(&self, row: usize, column: usize) -> V {
        let lanes = self.columns.saturating_sub(column).min(V::LANES);
        if lanes == 0 {
            return V::splat(V::Element::ZERO);
        }
        // SAFETY: row < rows and column < columns, as `new` has checked.
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
    fn store_out(&self, row: usize, column: usize, vector: V) {
        let lanes = self.columns.saturating_sub(column).min(V::LANES);
        if lanes == 0 {
            return;
        }
        // SAFETY: row < rows and column < columns, which `RowsMut` has checked.
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

/// `sum = fma(x, w[k], sum)` for F vectors of each of P panels.
#[inline(always)]
fn add_products<V: Vector, const P: usize, const F: usize>(
    sums: &mut [[V; F]; P],
    x: V,
    k: usize,
    places: [Place<V>; P],
) {
    for p in 0..P {
        for f in 0..F {
            // SAFETY: k is one of the panel's, and it has F vectors for each: its caller counted them.
            let from = unsafe { places[p].weights.add((k * F + f) * V::LANES) };
            // SAFETY: the same.
            let weights = unsafe { V::load(from) };
            sums[p][f] = x.mul_add(weights, sums[p][f]);
        }
    }
}

/// `total = total + sum`, number by number.
#[inline(always)]
fn add_sums<V: Vector, const R: usize, const C: usize>(
    totals: &mut [[V; C]; R],
    sums: &[[V; C]; R],
) {
    for r in 0..R {
        for c in 0..C {
            totals[r][c] = totals[r][c].add(sums[r][c]);
        }
    }
}

/// Room for one vector of any instance: 16 lanes are the most.
type Edge<T> = [T; 16];
