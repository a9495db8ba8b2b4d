//! Nothing below the first subdiagonal, by reflections that keep the eigenvalues.

use super::Square;

/// Brings the matrix to Hessenberg form. For each column k, the reflection P = I - tau v vᵀ turns what
/// stands below its diagonal into one number, and A becomes P A P.
pub(super) fn reduce(matrix: &mut Square) {
    let size = matrix.size;
    let (mut v, mut w) = (vec![0.0; size], vec![0.0; size]);
    for k in 0..size.saturating_sub(2) {
        let first = k + 1;
        for i in first..size {
            v[i] = matrix.at(i, k);
        }
        if v[first + 1..].iter().all(|&x| x == 0.0) {
            continue;
        }
        let norm = dot(&v[first..], &v[first..]).sqrt();
        let alpha = -norm.copysign(v[first]);
        v[first] -= alpha;
        let v = &v[first..];
        let tau = 2.0 / dot(v, v);

        // w = vᵀ A over the columns from `first` on; the one before is known.
        let w = &mut w[first..];
        w.fill(0.0);
        for i in first..size {
            add(w, v[i - first], &matrix.row_mut(i)[first..]);
            *matrix.at_mut(i, k) = 0.0;
        }
        *matrix.at_mut(first, k) = alpha;
        // Both sides of a row while it is in the cache: A - tau v w, and of that, A - tau (A v) vᵀ.
        for i in 0..size {
            let row = &mut matrix.row_mut(i)[first..];
            if i >= first {
                add(row, -tau * v[i - first], w);
            }
            let along = dot(row, v);
            add(row, -tau * along, v);
        }
    }
}

/// The sum of products, in eight sums that do not wait for each other.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<8>(), right.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..8 {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

/// `to` + `factor` * `from`.
fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += factor * from;
    }
}
