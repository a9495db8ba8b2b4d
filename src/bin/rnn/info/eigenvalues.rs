//! All eigenvalues of a real square matrix.
//!
//! Balancing isolates those that are on the diagonal already, and makes rows and columns equally large, so
//! that rounding errors of large numbers hide no small ones. Householder reflections bring the rest to
//! Hessenberg form. Francis's QR algorithm, with two shifts in each step so that complex pairs need no complex
//! arithmetic, leaves blocks of one and two rows. Of the crates for this, `faer` takes a third of the time
//! and adds 2.6 MB to the program; `nalgebra` is small and takes several times as long.

use super::vectors::{add, dot};
use crate::progress::{self, Bar};

/// A scaling must shrink row and column together by this factor; Parlett and Reinsch chose it.
const WORTHWHILE: f64 = 0.95;
/// Steps without an eigenvalue after which the search fails; it usually takes two or three.
const MAX_STEPS: usize = 60;
/// Steps after which other shifts are tried: the usual ones can cycle.
const STUBBORN: usize = 10;
/// Rows that are computed together.
const ROWS: usize = 8;

/// The real and the imaginary part.
pub(crate) type Eigenvalue = (f64, f64);

/// A square matrix, row by row, with zeros to its right and below it: a reflection may always read three
/// axes, the last of them with a factor of zero.
struct Square {
    size: usize,
    /// From a row to the next, no power of two: such numbers would compete for the same places in a cache.
    stride: usize,
    values: Vec<f64>,
}

/// tau, y and z of the reflection I - tau v vᵀ of three axes, with v = (1, y, z).
type Reflection = [f64; 3];

/// The largest absolute value of the eigenvalues of a matrix of `size` rows. `None` if a number is not
/// finite, or if the QR algorithm does not converge, which has not been seen.
pub(crate) fn spectral_radius(size: usize, values: &[f64]) -> Option<f64> {
    Some(radius(&eigenvalues(size, values)?))
}

/// The largest absolute value.
pub(crate) fn radius(eigenvalues: &[Eigenvalue]) -> f64 {
    eigenvalues.iter().fold(0.0, |most, (re, im)| re.hypot(*im).max(most))
}

/// All eigenvalues of a matrix of `size` rows, or `None` as for [`spectral_radius`].
pub(crate) fn eigenvalues(size: usize, values: &[f64]) -> Option<Vec<Eigenvalue>> {
    values.iter().all(|x| x.is_finite()).then_some(())?;
    // Squares must neither overflow nor vanish. Division by a power of two is exact.
    let most = values.iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let scale = most.log2().floor().clamp(-1000.0, 1000.0).exp2();
    let (mut found, mut matrix) = isolate(size, values, scale);
    let bar = progress::things(2 * matrix.size, "columns of weight_hh");
    matrix.balance();
    matrix.reduce(&bar);
    matrix.find(&mut found, &bar)?;
    bar.display.finish_and_clear();
    Some(found.into_iter().map(|(re, im)| (re * scale, im * scale)).collect())
}

/// Isolates eigenvalues: if a row or a column is zero outside of the diagonal, the number on the diagonal is
/// one, and the others are those of the matrix without this row and column.
fn isolate(size: usize, values: &[f64], scale: f64) -> (Vec<Eigenvalue>, Square) {
    let is_zero = |row: usize, column: usize| row == column || values[row * size + column] == 0.0;
    let mut left: Vec<usize> = (0..size).collect();
    let mut found = Vec::new();
    let alone = |left: &[usize], i| {
        left.iter().all(|&j| is_zero(i, j)) || left.iter().all(|&j| is_zero(j, i))
    };
    while let Some(at) = left.iter().position(|&i| alone(&left, i)) {
        let i = left.remove(at);
        found.push((values[i * size + i] / scale, 0.0));
    }
    let (rows, stride) = (left.len(), left.len().next_multiple_of(8) + 8);
    let mut matrix = Square { size: rows, stride, values: vec![0.0; (rows + 1) * stride] };
    for (row, &i) in left.iter().enumerate() {
        for (column, &j) in left.iter().enumerate() {
            *matrix.at_mut(row, column) = values[i * size + j] / scale;
        }
    }
    (found, matrix)
}

impl Square {
    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.stride + column]
    }

    fn at_mut(&mut self, row: usize, column: usize) -> &mut f64 {
        &mut self.values[row * self.stride + column]
    }

    /// Multiplies columns, and divides the rows of the same index, by powers of two, which is exact, until
    /// both are about equally large.
    fn balance(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            for i in 0..self.size {
                let others = || (0..self.size).filter(|&j| j != i);
                let column: f64 = others().map(|j| self.at(j, i).abs()).sum();
                let row: f64 = others().map(|j| self.at(i, j).abs()).sum();
                let exponent = ((row.log2() - column.log2()) / 2.0).round();
                let factor = exponent.clamp(-300.0, 300.0).exp2();
                if column * factor + row / factor < WORTHWHILE * (row + column) {
                    changed = true;
                    (0..self.size).for_each(|j| *self.at_mut(i, j) /= factor);
                    (0..self.size).for_each(|j| *self.at_mut(j, i) *= factor);
                }
            }
        }
    }

    /// Brings the matrix to Hessenberg form. For each column k, the reflection P = I - tau v vᵀ leaves one
    /// number below its diagonal, and A becomes P A P.
    fn reduce(&mut self, bar: &Bar) {
        let (size, stride) = (self.size, self.stride);
        let (mut v, mut w) = (vec![0.0; size], vec![0.0; size]);
        for k in 0..size.saturating_sub(2) {
            bar.inc(1);
            let first = k + 1;
            let (v, w) = (&mut v[first..], &mut w[first..]);
            (first..size).for_each(|i| v[i - first] = self.at(i, k));
            if v[1..].iter().all(|&x| x == 0.0) {
                continue;
            }
            let alpha = -dot(v, v).sqrt().copysign(v[0]);
            v[0] -= alpha;
            let tau = 2.0 / dot(v, v);
            // w = vᵀ A over the columns from `first` on; the column before becomes alpha and zeros.
            w.fill(0.0);
            for i in first..size {
                add(w, v[i - first], &self.values[i * stride + first..][..size - first]);
                *self.at_mut(i, k) = 0.0;
            }
            *self.at_mut(first, k) = alpha;
            // Both sides of a row while it is in the cache: A - tau v w, and from that, A - tau (A v) vᵀ.
            for i in 0..size {
                let row = &mut self.values[i * stride + first..][..size - first];
                if i >= first {
                    add(row, -tau * v[i - first], w);
                }
                let along = dot(row, v);
                add(row, -tau * along, v);
            }
        }
    }

    /// Finds the eigenvalues from the last row up. `None` after [`MAX_STEPS`] without one.
    fn find(&mut self, found: &mut Vec<Eigenvalue>, bar: &Bar) -> Option<()> {
        let (mut end, mut steps) = (self.size, 0);
        let most = self.values.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        while end > 0 && steps <= MAX_STEPS {
            let start = self.block_start(end, most);
            match end - start {
                1 => found.push((self.at(start, start), 0.0)),
                2 => found.extend(self.of_two_rows(start)),
                _ => {
                    steps += 1;
                    self.double_step(start, end, steps.is_multiple_of(STUBBORN));
                    continue;
                }
            }
            bar.inc((end - start) as u64);
            (end, steps) = (start, 0);
        }
        (end == 0).then_some(())
    }

    /// The first row of the last block, which follows a subdiagonal that is too small to matter beside its
    /// neighbours on the diagonal or, if those are zero, beside the largest number of the matrix.
    fn block_start(&mut self, end: usize, most: f64) -> usize {
        let negligible = |k: &usize| {
            let beside = self.at(k - 1, k - 1).abs() + self.at(*k, *k).abs();
            self.at(*k, k - 1).abs() <= f64::EPSILON * if beside == 0.0 { most } else { beside }
        };
        let Some(start) = (1..end).rev().find(negligible) else { return 0 };
        *self.at_mut(start, start - 1) = 0.0;
        start
    }

    /// The eigenvalues of a block of two rows, without a difference of nearly equal numbers.
    fn of_two_rows(&self, k: usize) -> [Eigenvalue; 2] {
        let (a, d) = (self.at(k, k), self.at(k + 1, k + 1));
        let (half, product) = ((a - d) / 2.0, self.at(k, k + 1) * self.at(k + 1, k));
        let square = half * half + product;
        if square < 0.0 {
            let (re, im) = (d + half, (-square).sqrt());
            return [(re, im), (re, -im)];
        }
        let far = half + square.sqrt().copysign(half);
        let near = if far == 0.0 { 0.0 } else { -product / far };
        [far, near].map(|offset| (d + offset, 0.0))
    }

    /// One QR step on the rows and columns from `start` to `end`. A first reflection, which follows from the
    /// shifts, leaves a bulge below the subdiagonal, and each of the others moves it one row down.
    fn double_step(&mut self, start: usize, end: usize, stubborn: bool) {
        let mut reflections = Vec::with_capacity(end - start);
        let mut column = self.first_column(start, end, stubborn);
        for k in start..end - 1 {
            if k > start {
                column = [0, 1, 2].map(|below| self.at(k + below, k - 1));
            }
            let (reflection, left) = reflection(column);
            for i in (0..3).filter(|_| k > start) {
                *self.at_mut(k + i, k - 1) = if i == 0 { left } else { 0.0 };
            }
            self.reflect_rows(k, end, reflection);
            // The rest of this step does not depend on rows further up: they are updated together below.
            for row in k..end.min(k + 4) {
                self.reflect_columns::<1>(row, k, &[reflection]);
            }
            reflections.push(reflection);
        }
        // A row is in the cache while all reflections pass over it.
        for top in (start..end).step_by(ROWS) {
            let together = end.min(top + ROWS + 1) - 1;
            let (staggered, rest) = reflections.split_at(together - start);
            for row in top..together {
                self.reflect_columns::<1>(row, row + 1, &staggered[row + 1 - start..]);
            }
            if !rest.is_empty() {
                self.reflect_columns::<ROWS>(top, together, rest);
            }
        }
    }

    /// The first column of (H - a) (H - b), up to a factor, for the shifts a and b: the eigenvalues of the
    /// last two rows or, if those do not help, EISPACK's numbers, which are known to work.
    fn first_column(&self, k: usize, end: usize, stubborn: bool) -> [f64; 3] {
        let last = end - 1;
        let mut diagonal = [self.at(last, last), self.at(last - 1, last - 1)];
        let mut product = self.at(last, last - 1) * self.at(last - 1, last);
        if stubborn {
            let size = self.at(last, last - 1).abs() + self.at(last - 1, last - 2).abs();
            (diagonal, product) = ([0.75 * size; 2], -0.4375 * size * size);
        }
        let [r, s] = diagonal.map(|x| x - self.at(k, k));
        let x = (r * s - product) / self.at(k + 1, k) + self.at(k, k + 1);
        let column = [x, self.at(k + 1, k + 1) - self.at(k, k) - r - s, self.at(k + 2, k + 1)];
        let size = column.iter().map(|x| x.abs()).sum::<f64>();
        column.map(|x| x / size)
    }

    /// Applies a reflection to three rows, from column k on.
    fn reflect_rows(&mut self, k: usize, end: usize, [tau, y, z]: Reflection) {
        let (first, rest) = self.values[k * self.stride..].split_at_mut(self.stride);
        let (second, third) = rest.split_at_mut(self.stride);
        for i in k..end {
            let (a, b, c) = (&mut first[i], &mut second[i], &mut third[i]);
            let sum = tau * (*a + y * *b + z * *c);
            *a -= sum;
            *b -= y * sum;
            *c -= z * sum;
        }
    }

    /// Applies reflections, the first of them to three columns from `first` on, to N rows from `top` on.
    fn reflect_columns<const N: usize>(&mut self, top: usize, first: usize, all: &[Reflection]) {
        let stride = self.stride;
        let rows = &mut self.values[top * stride..(top + N) * stride];
        let load = |rows: &[f64], column| std::array::from_fn(|row| rows[row * stride + column]);
        let store = |rows: &mut [f64], column, numbers: [f64; N]| {
            numbers.iter().enumerate().for_each(|(row, &x)| rows[row * stride + column] = x);
        };
        let (mut a, mut b): ([f64; N], [f64; N]) = (load(rows, first), load(rows, first + 1));
        for (column, [tau, y, z]) in (first..).zip(all) {
            let mut c = load(rows, column + 2);
            for row in 0..N {
                let sum = tau * (a[row] + y * b[row] + z * c[row]);
                a[row] -= sum;
                b[row] -= y * sum;
                c[row] -= z * sum;
            }
            store(rows, column, a);
            (a, b) = (b, c);
        }
        store(rows, first + all.len(), a);
        store(rows, first + all.len() + 1, b);
    }
}

/// The reflection that turns (x, y, z) into its first axis, and the number that it leaves there.
fn reflection([x, y, z]: [f64; 3]) -> (Reflection, f64) {
    if y == 0.0 && z == 0.0 {
        return ([0.0; 3], x);
    }
    let left = -(x * x + y * y + z * z).sqrt().copysign(x);
    ([(left - x) / left, y / (x - left), z / (x - left)], left)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// How far eigenvalues of well-conditioned matrices may be from NumPy's, relative to the largest: two
    /// backward stable methods differ by some roundings for each row.
    const TOLERANCE: f64 = 1e-12;

    fn pairs(rows: &[&[f64]]) -> Vec<(f64, f64)> {
        let mut pairs = eigenvalues(rows.len(), &rows.concat()).unwrap();
        pairs.sort_by(|a, b| a.partial_cmp(b).unwrap());
        pairs
    }

    fn radius(rows: &[&[f64]]) -> f64 {
        spectral_radius(rows.len(), &rows.concat()).unwrap()
    }

    #[test]
    fn diagonal_and_triangular_matrices() {
        assert_eq!(pairs(&[&[-3.0]]), [(-3.0, 0.0)]);
        assert_eq!(pairs(&[&[2.0, 0.0], &[0.0, -5.0]]), [(-5.0, 0.0), (2.0, 0.0)]);
        let triangular: [&[f64]; 3] = [&[1.0, 7.0, -8.0], &[0.0, 2.0, 9.0], &[0.0, 0.0, 3.0]];
        assert_eq!(pairs(&triangular), [(1.0, 0.0), (2.0, 0.0), (3.0, 0.0)]);
        assert_eq!(radius(&[]), 0.0);
        assert_eq!(radius(&[&[0.0, 0.0], &[0.0, 0.0]]), 0.0);
    }

    #[test]
    fn a_rotation_has_a_complex_pair_on_the_unit_circle() {
        let (sin, cos) = 0.3_f64.sin_cos();
        let found = pairs(&[&[cos, -sin], &[sin, cos]]);
        for ((re, im), expected) in found.into_iter().zip([-sin, sin]) {
            assert!((re - cos).abs() < TOLERANCE && (im - expected).abs() < TOLERANCE);
        }
        // A rotation of the axes into each other, as a matrix that is no 2x2 block yet.
        let cycle: [&[f64]; 3] = [&[0.0, 0.0, 1.0], &[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0]];
        assert!((radius(&cycle) - 1.0).abs() < TOLERANCE);
    }

    #[test]
    fn a_nilpotent_matrix_has_eigenvalues_zero() {
        let (mut upper, mut lower) = (vec![0.0; 400], vec![0.0; 400]);
        for i in 0..19 {
            upper[i * 20 + i + 1] = 3.0;
            lower[(i + 1) * 20 + i] = 3.0;
        }
        assert_eq!(spectral_radius(20, &upper), Some(0.0));
        assert_eq!(spectral_radius(20, &lower), Some(0.0));
        // A permutation of the axes hides that.
        let hidden: [&[f64]; 3] = [&[0.0, 0.0, 5.0], &[4.0, 0.0, 0.0], &[0.0, 0.0, 0.0]];
        assert_eq!(radius(&hidden), 0.0);
    }

    #[test]
    fn a_jordan_block_has_one_eigenvalue() {
        let mut block = vec![0.0; 144];
        for i in 0..12 {
            block[i * 13] = -0.75;
            if i > 0 {
                block[i * 12 + i - 1] = 1.0;
            }
        }
        assert_eq!(spectral_radius(12, &block), Some(0.75));
        // Its entries mixed, two of 2: half of the digits are what such a matrix has.
        let mixed = radius(&[&[3.0, 1.0], &[-1.0, 1.0]]);
        assert!((mixed - 2.0).abs() < 1e-7, "{mixed}");
    }

    #[test]
    fn a_companion_matrix_has_the_roots_of_its_polynomial() {
        // (x - 1) (x - 2) (x - 3) (x - 4) (x^2 + 1)
        let last = [-24.0, 50.0, -59.0, 60.0, -36.0, 10.0];
        let mut rows = vec![vec![0.0; 6]; 6];
        for i in 0..6 {
            rows[i][5] = last[i];
            if i > 0 {
                rows[i][i - 1] = 1.0;
            }
        }
        let found = pairs(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let expected = [(0.0, -1.0), (0.0, 1.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (4.0, 0.0)];
        let mut found: Vec<_> = found.into_iter().map(|(re, im)| (re.round(), im, re)).collect();
        found.sort_by(|a, b| a.partial_cmp(b).unwrap());
        for ((_, im, re), expected) in found.into_iter().zip(expected) {
            assert!((re - expected.0).hypot(im - expected.1) < 1e-11, "{re} {im} {expected:?}");
        }
    }

    #[test]
    fn numbers_of_any_size_but_not_infinite_ones() {
        for scale in [1e300, 1e-300, 5e-324] {
            assert_eq!(radius(&[&[scale, 0.0], &[scale, scale]]), scale);
        }
        // Rows and columns of very different sizes: the eigenvalues are 1 and -1.
        assert!((radius(&[&[0.0, 1e100], &[1e-100, 0.0]]) - 1.0).abs() < TOLERANCE);
        for bad in [f64::NAN, f64::INFINITY] {
            assert_eq!(spectral_radius(2, &[1.0, 0.0, bad, 1.0]), None);
            assert_eq!(spectral_radius(1, &[bad]), None);
        }
    }

    /// An entry of `fixtures/eigenvalues.json`.
    #[derive(Deserialize)]
    struct OfNumpy {
        seed: u64,
        size: usize,
        eigenvalues: Vec<(f64, f64)>,
    }

    #[test]
    fn random_matrices_have_those_that_numpy_finds() {
        let cases = include_str!("../../../../fixtures/eigenvalues.json");
        let cases: Vec<OfNumpy> = serde_json::from_str(cases).unwrap();
        assert_eq!(cases.len(), 12);
        for OfNumpy { seed, size, eigenvalues: expected } in cases {
            let mut normal = vec![0.0_f32; size * size];
            elman::Generator::new(seed).normal(&mut normal);
            let matrix: Vec<f64> = normal.into_iter().map(f64::from).collect();
            let mut found = eigenvalues(size, &matrix).unwrap();
            assert_eq!(found.len(), expected.len());
            let radius = spectral_radius(size, &matrix).unwrap();
            for (re, im) in expected {
                let distance = |value: &Eigenvalue| (value.0 - re).hypot(value.1 - im);
                let nearest = (0..found.len())
                    .min_by(|&a, &b| distance(&found[a]).total_cmp(&distance(&found[b])));
                let nearest = found.swap_remove(nearest.unwrap());
                assert!(distance(&nearest) < TOLERANCE * radius, "{seed}: {nearest:?} {re} {im}");
            }
        }
    }
}
