//! One row of a product: several panels side by side.

use super::Panels;
use super::product::{CHAIN, Product};
use super::tiles::{Place, Tiles, add_sums};
use super::vector::{Registers, Vector};

/// Scans one sequence. UNIT vectors fill a cache line.
#[inline(always)]
pub(super) fn recur<V: Vector, const UNIT: usize>(
    (product, reverse): (Product<'_, V::Element>, bool),
) {
    let (panels, steps) = (product.panels, product.out.rows);
    assert!(panels.k == panels.columns);
    let mut tiles = Tiles::<V>::new(product);
    let (start, out) = (tiles.start, tiles.out);
    for i in 0..steps {
        let t = if reverse { steps - 1 - i } else { i };
        tiles.start = start.wrapping_add(t * tiles.start_stride);
        tiles.out = out.wrapping_add(t * tiles.out_stride);
        tiles.one_row::<UNIT>(panels);
        // The next step reads the row that this one has written.
        tiles.x = tiles.out;
        tiles.walk = tiles.walk.reversed();
    }
}

impl<V: Vector> Tiles<V> {
    /// Computes several panels of the row side by side, so that enough independent sums run at once. Whole
    /// panels have F vectors: four panels of three, or two of six, keep twelve sums.
    #[inline(always)]
    pub(super) fn one_row<const UNIT: usize>(&self, panels: Panels<'_, V::Element>) {
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
                _ => unreachable!("no such group of panels"),
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
        let whole: [Place<V>; P] = places(panels, first);
        let narrow: [Place<V>; Q] = places(panels, first + P);
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
}

/// The places of P panels from `first` on.
#[inline(always)]
fn places<V: Vector, const P: usize>(
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
