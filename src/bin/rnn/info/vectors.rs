//! Sums over vectors, for the eigenvalues.

/// Sums of a product that do not wait for each other.
const SUMS: usize = 8;

/// The sum of products, in [`SUMS`] sums and that of the last few products.
pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    let (left, right) = (left.as_chunks::<SUMS>(), right.as_chunks::<SUMS>());
    let mut sums = [0.0; SUMS];
    for (left, right) in left.0.iter().zip(right.0) {
        (0..SUMS).for_each(|lane| sums[lane] += left[lane] * right[lane]);
    }
    sums.iter().sum::<f64>() + left.1.iter().zip(right.1).map(|(x, y)| x * y).sum::<f64>()
}

/// `to` + `factor` * `from`.
pub(super) fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
}
