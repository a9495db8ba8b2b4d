//! A matrix made easier without changing its eigenvalues: by taking rows and columns out whose eigenvalue
//! stands on the diagonal, and by making rows and columns equally large.

use super::{Eigenvalue, Square};

/// A row is scaled where this makes its row and its column together smaller by at least so much; Parlett
/// and Reinsch chose it.
const WORTHWHILE: f64 = 0.95;

/// The largest factor of one scaling: none of a finite matrix leaves the range of doubles at once.
const MOST: f64 = 1e100;

/// Takes out what can be read off: where a row or a column has nothing beside the diagonal, the number
/// there is an eigenvalue, and the others are those of the matrix without this row and column. What is
/// left is returned as a matrix.
pub(super) fn isolate(size: usize, values: &[f64]) -> (Vec<Eigenvalue>, Square) {
    let beside = |row: usize, column: usize| row != column && values[row * size + column] != 0.0;
    let mut in_row: Vec<_> =
        (0..size).map(|i| (0..size).filter(|&j| beside(i, j)).count()).collect();
    let mut in_column: Vec<_> =
        (0..size).map(|j| (0..size).filter(|&i| beside(i, j)).count()).collect();
    let mut left: Vec<usize> = (0..size).collect();
    let mut found = Vec::new();
    while let Some(at) = left.iter().position(|&i| in_row[i] == 0 || in_column[i] == 0) {
        let i = left.remove(at);
        found.push(Eigenvalue { re: values[i * size + i], im: 0.0 });
        for &j in &left {
            in_column[j] -= usize::from(beside(i, j));
            in_row[j] -= usize::from(beside(j, i));
        }
    }
    let mut matrix = Square::zeros(left.len());
    for (row, &i) in left.iter().enumerate() {
        for (to, &j) in matrix.row_mut(row).iter_mut().zip(&left) {
            *to = values[i * size + j];
        }
    }
    (found, matrix)
}

/// Multiplies rows, and divides the columns of the same index, by powers of two, which round nothing.
pub(super) fn scale(matrix: &mut Square) {
    let mut changed = true;
    while changed {
        changed = false;
        for i in 0..matrix.size {
            let others = || (0..matrix.size).filter(|&j| j != i);
            let mut column: f64 = others().map(|j| matrix.at(j, i).abs()).sum();
            let row: f64 = others().map(|j| matrix.at(i, j).abs()).sum();
            if row == 0.0 || column == 0.0 {
                continue;
            }
            let (before, mut factor) = (row + column, 1.0);
            while column < row / 2.0 && factor < MOST {
                factor *= 2.0;
                column *= 4.0;
            }
            while column > row * 2.0 && factor > 1.0 / MOST {
                factor /= 2.0;
                column /= 4.0;
            }
            if (row + column) / factor < WORTHWHILE * before {
                changed = true;
                matrix.row_mut(i).iter_mut().for_each(|x| *x /= factor);
                (0..matrix.size).for_each(|j| *matrix.at_mut(j, i) *= factor);
            }
        }
    }
}
