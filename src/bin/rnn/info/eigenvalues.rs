//! Eigenvalues of a real matrix of any kind.
//!
//! The matrix is brought to forms that have the same eigenvalues, until they can be read off. Balancing
//! first takes out those that already can, and then makes rows and columns equally large, so that no
//! rounding of a large number hides a small one. Householder reflections leave nothing below the first
//! subdiagonal (`hessenberg`). Then steps of the QR algorithm, each with two shifts at once so that complex
//! pairs need no complex arithmetic, make subdiagonals vanish, and the matrix falls into blocks of one and
//! two rows (`double_step`).

mod balance;
mod hessenberg;
mod steps;

/// A complex number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Eigenvalue {
    re: f64,
    im: f64,
}

/// A square matrix, row by row.
#[derive(Clone, Debug)]
struct Square {
    size: usize,
    /// From a row to the next: a bit more than a row, because a cache has few places for numbers that
    /// are a power of two apart.
    stride: usize,
    values: Vec<f64>,
}

/// The largest absolute value of the eigenvalues of a matrix of `size` rows; none where a number is not
/// finite, or where the QR algorithm does not find them, which has not been seen.
pub(super) fn spectral_radius(size: usize, values: &[f64]) -> Option<f64> {
    let eigenvalues = eigenvalues(size, values)?;
    Some(eigenvalues.iter().fold(0.0, |most, value| value.re.hypot(value.im).max(most)))
}

fn eigenvalues(size: usize, values: &[f64]) -> Option<Vec<Eigenvalue>> {
    let most = values.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    if most == 0.0 || !values.iter().all(|x| x.is_finite()) {
        let zeros = vec![Eigenvalue { re: 0.0, im: 0.0 }; size];
        return (most == 0.0 && !values.iter().any(|x| x.is_nan())).then_some(zeros);
    }
    // Squares must neither overflow nor vanish. A power of two rounds nothing away.
    let scale = most.log2().floor().clamp(-1000.0, 1000.0).exp2();
    let scaled = values.iter().map(|x| x / scale).collect::<Vec<_>>();
    let (mut found, mut matrix) = balance::isolate(size, &scaled);
    balance::scale(&mut matrix);
    hessenberg::reduce(&mut matrix);
    steps::find(&mut matrix, &mut found)?;
    let back = |value: &Eigenvalue| Eigenvalue { re: value.re * scale, im: value.im * scale };
    Some(found.iter().map(back).collect())
}

impl Square {
    fn zeros(size: usize) -> Self {
        let stride = size.next_multiple_of(8) + 8;
        Square { size, stride, values: vec![0.0; size * stride] }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.stride + column]
    }

    fn at_mut(&mut self, row: usize, column: usize) -> &mut f64 {
        &mut self.values[row * self.stride + column]
    }

    fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.stride..][..self.size]
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is compared so is exact")]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// How far eigenvalues of well-conditioned matrices may be from NumPy's, relative to the largest: two
    /// backward stable methods differ by some roundings for each row.
    const TOLERANCE: f64 = 1e-12;

    fn pairs(rows: &[&[f64]]) -> Vec<(f64, f64)> {
        let found = eigenvalues(rows.len(), &rows.concat()).unwrap();
        let mut pairs: Vec<_> = found.iter().map(|value| (value.re, value.im)).collect();
        pairs.sort_by(|a, b| a.partial_cmp(b).unwrap());
        pairs
    }

    fn radius(rows: &[&[f64]]) -> f64 {
        spectral_radius(rows.len(), &rows.concat()).unwrap()
    }

    #[test]
    fn those_of_matrices_that_show_them() {
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
    fn a_nilpotent_matrix_has_none_but_zero() {
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
    fn a_jordan_block_has_one() {
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
    fn a_companion_has_the_roots_of_its_polynomial() {
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
    fn numbers_of_any_size_are_fine_and_others_are_refused() {
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
                let distance = |value: &Eigenvalue| (value.re - re).hypot(value.im - im);
                let nearest = (0..found.len())
                    .min_by(|&a, &b| distance(&found[a]).total_cmp(&distance(&found[b])));
                let nearest = found.swap_remove(nearest.unwrap());
                assert!(distance(&nearest) < TOLERANCE * radius, "{seed}: {nearest:?} {re} {im}");
            }
        }
    }
}
