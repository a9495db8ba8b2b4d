//! Many rows of a product: panel by panel, in tiles of rows and vectors.

use std::mem::MaybeUninit;

use super::Panels;
use super::product::{Activation, CHAIN};
use super::tiles::{Place, Tiles};
use super::vector::{Registers, Vector};

/// Weights beyond this size are prefetched, panel by panel: the reads of a layer between two uses of them may
/// have evicted them from the second-level cache. With a cache of 2 MB, weights of 1 MB gain 6 %.
const FETCHED_BYTES: usize = 1 << 18;

/// The numbers of a tile in memory: rows of vectors. It is made for a tile, and its methods are called only for rows and
/// vectors of that tile.
#[derive(Clone, Copy)]
struct Matrix<V: Vector> {
    first: *mut V::Element,
    /// Elements from one row to the next.
    stride: usize,
}

impl<V: Vector> Matrix<V> {
    #[inline(always)]
    fn load(self, r: usize, c: usize) -> V {
        // SAFETY: row r and vector c belong to the tile, all lanes of which are readable.
        let from = unsafe { self.first.add(r * self.stride + c * V::LANES) };
        // SAFETY: the same.
        unsafe { V::load(from) }
    }

    #[inline(always)]
    fn store(self, r: usize, c: usize, vector: V) {
        // SAFETY: row r and vector c belong to the tile, all lanes of which are writable.
        let to = unsafe { self.first.add(r * self.stride + c * V::LANES) };
        // SAFETY: the same.
        unsafe { vector.store(to) };
    }
}

/// The lines that are prefetched while a tile is computed, one for each k.
#[derive(Clone, Copy)]
struct Ahead<V: Vector> {
    from: *const V::Element,
    /// Elements from one k to the next; 0 prefetches the same line again.
    step: usize,
}

impl<V: Vector> Tiles<V> {
    /// Computes all rows panel by panel, in tiles of nearly equal size.
    #[inline(always)]
    pub(super) fn many_rows<const ROWS: usize, const UNIT: usize>(
        &self,
        panels: Panels<'_, V::Element>,
    ) {
        let (whole, narrow) = panels.counts();
        let count = whole + narrow;
        let far = size_of_val(panels.data) > FETCHED_BYTES;
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
                        _ => unreachable!("no such width"),
                    }
                }
            }
        }
    }

    /// A tile of `rows` rows and C vectors of columns.
    #[inline(always)]
    fn tile_of<const ROWS: usize, const C: usize>(
        &self,
        rows: usize,
        row: usize,
        place: Place<V>,
        ahead: Ahead<V>,
    ) {
        let mut totals = [const { [const { MaybeUninit::<V>::uninit() }; C] }; ROWS];
        let totals = Matrix { first: totals.as_mut_ptr().cast(), stride: C * V::LANES };
        let column = place.column;
        if column + C * V::LANES > self.columns {
            return self.edge_tile::<ROWS, C>(rows, row, place, ahead, totals);
        }
        let start = Matrix {
            first: self.start.wrapping_add(row * self.start_stride + column).cast_mut(),
            stride: self.start_stride,
        };
        let out = Matrix {
            first: self.out.wrapping_add(row * self.out_stride + column),
            stride: self.out_stride,
        };
        if self.activation == Activation::Identity {
            return self.sums_of::<ROWS, C>(rows, row, place, ahead, [start, totals, out]);
        }
        self.sums_of::<ROWS, C>(rows, row, place, ahead, [start, totals, totals]);
        // A loop over the rows: unrolled, its code would not fit in the cache of decoded instructions.
        for r in 0..rows {
            for c in 0..C {
                out.store(r, c, self.activate(totals.load(r, c)));
            }
        }
    }

    /// A tile in which some lanes have no column.
    #[inline(always)]
    fn edge_tile<const ROWS: usize, const C: usize>(
        &self,
        rows: usize,
        row: usize,
        place: Place<V>,
        ahead: Ahead<V>,
        totals: Matrix<V>,
    ) {
        for r in 0..rows {
            for c in 0..C {
                totals.store(r, c, self.load_start(row + r, place.column + c * V::LANES));
            }
        }
        self.sums_of::<ROWS, C>(rows, row, place, ahead, [totals; 3]);
        for r in 0..rows {
            for c in 0..C {
                let out = self.activate(totals.load(r, c));
                self.store_out(row + r, place.column + c * V::LANES, out);
            }
        }
    }

    /// `last = first + sums` for the `rows` rows of a tile; see [`Tiles::sums`].
    #[inline(always)]
    fn sums_of<const ROWS: usize, const C: usize>(
        &self,
        rows: usize,
        row: usize,
        place: Place<V>,
        ahead: Ahead<V>,
        totals: [Matrix<V>; 3],
    ) {
        match rows {
            1 => self.sums::<1, C>(row, place, ahead, totals),
            2 => self.sums::<2, C>(row, place, ahead, totals),
            3 => self.sums::<3, C>(row, place, ahead, totals),
            4 => self.sums::<4, C>(row, place, ahead, totals),
            5 if ROWS > 4 => self.sums::<5, C>(row, place, ahead, totals),
            6 if ROWS > 4 => self.sums::<6, C>(row, place, ahead, totals),
            7 if ROWS > 4 => self.sums::<7, C>(row, place, ahead, totals),
            8 if ROWS > 4 => self.sums::<8, C>(row, place, ahead, totals),
            _ => unreachable!("a tile of {rows} rows"),
        }
    }

    /// The totals of R rows of C vectors: they are in `first` before the first chain, in `between` after each chain, and
    /// in `last` after the last one.
    #[inline(always)]
    fn sums<const R: usize, const C: usize>(
        &self,
        row: usize,
        place: Place<V>,
        ahead: Ahead<V>,
        [first, between, last]: [Matrix<V>; 3],
    ) {
        let mut from = first;
        for k in (0..self.k).step_by(CHAIN) {
            let sums = self.chain::<R, C>(row, k, place, ahead);
            let to = if k + CHAIN < self.k { between } else { last };
            for r in 0..R {
                for c in 0..C {
                    to.store(r, c, from.load(r, c).add(sums[r][c]));
                }
            }
            from = to;
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
}
