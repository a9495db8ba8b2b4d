//! Indices on each axis, from a place in the flat order of all numbers, and back.

/// The index on each axis. The place counts with the last axis fastest, or with the first one if `fortran`.
pub(crate) fn index(mut place: usize, shape: &[usize], fortran: bool) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for step in 0..shape.len() {
        let axis = if fortran { step } else { shape.len() - 1 - step };
        index[axis] = place % shape[axis];
        place /= shape[axis];
    }
    index
}

/// The place of an index, counted in the same way.
pub(crate) fn place(index: &[usize], shape: &[usize], fortran: bool) -> usize {
    let add = |sum, axis: usize| sum * shape[axis] + index[axis];
    if fortran { (0..shape.len()).rev().fold(0, add) } else { (0..shape.len()).fold(0, add) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_each_axis() {
        assert_eq!(index(0, &[], false), [0; 0]);
        assert_eq!(index(7, &[9], false), [7]);
        assert_eq!(index(23, &[2, 3, 4], false), [1, 2, 3]);
        assert_eq!(index(6, &[2, 3, 4], false), [0, 1, 2]);
        assert_eq!(index(6, &[2, 3, 4], true), [0, 0, 1]);
        assert_eq!(index(23, &[2, 3, 4], true), [1, 2, 3]);
    }

    #[test]
    fn a_place_and_its_index_belong_together() {
        let shape = [2, 3, 4];
        for (at, fortran) in (0..24).flat_map(|at| [(at, false), (at, true)]) {
            assert_eq!(place(&index(at, &shape, fortran), &shape, fortran), at);
        }
    }
}
