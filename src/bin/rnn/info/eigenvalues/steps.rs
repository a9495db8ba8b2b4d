//! The QR algorithm on a matrix in Hessenberg form, after Francis.

use super::{Eigenvalue, Square};

/// Steps without an eigenvalue after which the search is given up; a few are what it takes.
const MOST_STEPS: usize = 60;

/// Steps after which other shifts are tried: the usual ones can run in a circle.
const STUBBORN: usize = 10;

/// Rows that are worked on together, so that no sum has to wait for the one before.
const ROWS: usize = 8;

/// A reflection of three axes, I - tau v vᵀ with v = (1, y, z).
#[derive(Clone, Copy, Debug)]
struct Reflection {
    tau: f64,
    y: f64,
    z: f64,
}

/// Two shifts as the numbers that decide on them: those on the diagonal of a 2x2 matrix, and the product
/// of the other two.
#[derive(Clone, Copy, Debug)]
struct Shifts {
    diagonal: [f64; 2],
    product: f64,
}

/// Finds the eigenvalues from the last row up; none where a step after the other does not help.
pub(super) fn find(matrix: &mut Square, found: &mut Vec<Eigenvalue>) -> Option<()> {
    let mut end = matrix.size;
    let mut steps = 0;
    let mut reflections = Vec::new();
    let most = matrix.values.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    while end > 0 {
        let start = block_start(matrix, end, most);
        match end - start {
            1 => found.push(Eigenvalue { re: matrix.at(start, start), im: 0.0 }),
            2 => found.extend(of_two_rows(matrix, start)),
            _ if steps == MOST_STEPS => return None,
            _ => {
                steps += 1;
                let shifts = shifts(matrix, end, steps);
                double_step(matrix, start, end, shifts, &mut reflections);
                continue;
            }
        }
        (end, steps) = (start, 0);
    }
    Some(())
}

/// The first row of the last block: that behind a subdiagonal which is too small to matter beside its
/// neighbours on the diagonal or, where those are zero, beside the largest number of the matrix.
fn block_start(matrix: &mut Square, end: usize, most: f64) -> usize {
    for k in (1..end).rev() {
        let beside = matrix.at(k - 1, k - 1).abs() + matrix.at(k, k).abs();
        let beside = if beside == 0.0 { most } else { beside };
        if matrix.at(k, k - 1).abs() <= f64::EPSILON * beside {
            *matrix.at_mut(k, k - 1) = 0.0;
            return k;
        }
    }
    0
}

/// The eigenvalues of a block of two rows, without a difference of numbers that are nearly the same.
fn of_two_rows(matrix: &Square, k: usize) -> [Eigenvalue; 2] {
    let (a, d) = (matrix.at(k, k), matrix.at(k + 1, k + 1));
    let (half, product) = ((a - d) / 2.0, matrix.at(k, k + 1) * matrix.at(k + 1, k));
    let square = half * half + product;
    if square < 0.0 {
        let (re, im) = (d + half, (-square).sqrt());
        return [Eigenvalue { re, im }, Eigenvalue { re, im: -im }];
    }
    let far = half + square.sqrt().copysign(half);
    let near = if far == 0.0 { 0.0 } else { -product / far };
    [far, near].map(|offset| Eigenvalue { re: d + offset, im: 0.0 })
}

/// The eigenvalues of the last two rows are the shifts; where they do not help, any other two.
fn shifts(matrix: &Square, end: usize, steps: usize) -> Shifts {
    let last = end - 1;
    if steps.is_multiple_of(STUBBORN) {
        // The numbers of EISPACK, of which nothing is known but that they work.
        let size = matrix.at(last, last - 1).abs() + matrix.at(last - 1, last - 2).abs();
        return Shifts { diagonal: [0.75 * size; 2], product: -0.4375 * size * size };
    }
    Shifts {
        diagonal: [matrix.at(last, last), matrix.at(last - 1, last - 1)],
        product: matrix.at(last, last - 1) * matrix.at(last - 1, last),
    }
}

/// One step with two shifts on the rows and columns from `start` to `end`. A first reflection, which the
/// shifts decide on, leaves a bulge below the subdiagonal, and each of the others moves it one row down.
fn double_step(
    matrix: &mut Square,
    start: usize,
    end: usize,
    shifts: Shifts,
    reflections: &mut Vec<Reflection>,
) {
    reflections.clear();
    let mut column = first_column(matrix, start, shifts);
    for k in start..end - 1 {
        if k > start {
            let below = if k + 2 < end { matrix.at(k + 2, k - 1) } else { 0.0 };
            column = [matrix.at(k, k - 1), matrix.at(k + 1, k - 1), below];
        }
        let (reflection, left) = reflection(column);
        if k > start {
            *matrix.at_mut(k, k - 1) = left;
            *matrix.at_mut(k + 1, k - 1) = 0.0;
            if k + 2 < end {
                *matrix.at_mut(k + 2, k - 1) = 0.0;
            }
        }
        reflect_rows(matrix, k, end, reflection);
        // The rows above take part in nothing more of this step, and follow all at once.
        for row in k..end.min(k + 4) {
            reflect_row(&mut matrix.row_mut(row)[..end], k, reflection);
        }
        reflections.push(reflection);
    }
    reflect_above(matrix, start, end, reflections);
}

/// What (H - a) (H - b) has in its first column, for the shifts a and b, up to a factor.
fn first_column(matrix: &Square, k: usize, shifts: Shifts) -> [f64; 3] {
    let (corner, below) = (matrix.at(k, k), matrix.at(k + 1, k));
    let [r, s] = shifts.diagonal.map(|x| x - corner);
    let x = (r * s - shifts.product) / below + matrix.at(k, k + 1);
    let y = matrix.at(k + 1, k + 1) - corner - r - s;
    let z = matrix.at(k + 2, k + 1);
    let size = x.abs() + y.abs() + z.abs();
    [x / size, y / size, z / size]
}

/// The reflection that turns (x, y, z) into its first axis, and the number that it leaves there.
fn reflection([x, y, z]: [f64; 3]) -> (Reflection, f64) {
    let norm = (x * x + y * y + z * z).sqrt();
    if norm == 0.0 || (y == 0.0 && z == 0.0) {
        return (Reflection { tau: 0.0, y: 0.0, z: 0.0 }, x);
    }
    let left = -norm.copysign(x);
    (Reflection { tau: (left - x) / left, y: y / (x - left), z: z / (x - left) }, left)
}

/// Applies a reflection to three rows, from column k on.
fn reflect_rows(matrix: &mut Square, k: usize, end: usize, reflection: Reflection) {
    let Reflection { tau, y, z } = reflection;
    let stride = matrix.stride;
    let rows = &mut matrix.values[k * stride..];
    let (first, rest) = rows.split_at_mut(stride);
    if k + 2 == end {
        for (a, b) in first[k..end].iter_mut().zip(&mut rest[k..end]) {
            let sum = tau * (*a + y * *b);
            *a -= sum;
            *b -= y * sum;
        }
        return;
    }
    let (second, third) = rest.split_at_mut(stride);
    let others = second[k..end].iter_mut().zip(&mut third[k..end]);
    for (a, (b, c)) in first[k..end].iter_mut().zip(others) {
        let sum = tau * (*a + y * *b + z * *c);
        *a -= sum;
        *b -= y * sum;
        *c -= z * sum;
    }
}

/// Applies a reflection to three numbers of one row, of which the last may be missing.
fn reflect_row(row: &mut [f64], k: usize, Reflection { tau, y, z }: Reflection) {
    let third = row.get(k + 2).copied().unwrap_or(0.0);
    let sum = tau * (row[k] + y * row[k + 1] + z * third);
    row[k] -= sum;
    row[k + 1] -= y * sum;
    if let Some(third) = row.get_mut(k + 2) {
        *third -= z * sum;
    }
}

/// Applies each reflection to the rows above its own. A row stands in the cache while all pass over it,
/// and [`ROWS`] rows go along the same columns side by side.
fn reflect_above(matrix: &mut Square, start: usize, end: usize, reflections: &[Reflection]) {
    let stride = matrix.stride;
    for top in (start..end).step_by(ROWS) {
        let rows = ROWS.min(end - top);
        let together = if rows == ROWS { (top + ROWS).min(end - 1) } else { end - 1 };
        for row in top..top + rows {
            let row_of = &mut matrix.row_mut(row)[..end];
            for k in row + 1..together {
                reflect_row(row_of, k, reflections[k - start]);
            }
        }
        if together < end - 1 {
            let block = &mut matrix.values[top * stride..(top + ROWS) * stride];
            reflect_block(block, stride, together, &reflections[together - start..]);
        }
    }
}

/// Applies reflections, the first of them to the columns from `first` on, to [`ROWS`] rows. The last one
/// has two axes.
fn reflect_block(block: &mut [f64], stride: usize, first: usize, reflections: &[Reflection]) {
    let load = |block: &[f64], column: usize| {
        let mut numbers = [0.0; ROWS];
        for (row, number) in numbers.iter_mut().enumerate() {
            *number = block[row * stride + column];
        }
        numbers
    };
    let store = |block: &mut [f64], column: usize, numbers: [f64; ROWS]| {
        for (row, number) in numbers.into_iter().enumerate() {
            block[row * stride + column] = number;
        }
    };
    let (mut a, mut b) = (load(block, first), load(block, first + 1));
    for (i, Reflection { tau, y, z }) in reflections.iter().enumerate() {
        let column = first + i;
        let last = i + 1 == reflections.len();
        let mut c = if last { [0.0; ROWS] } else { load(block, column + 2) };
        for row in 0..ROWS {
            let sum = tau * (a[row] + y * b[row] + z * c[row]);
            a[row] -= sum;
            b[row] -= y * sum;
            c[row] -= z * sum;
        }
        store(block, column, a);
        if last {
            store(block, column + 1, b);
        }
        (a, b) = (b, c);
    }
}
