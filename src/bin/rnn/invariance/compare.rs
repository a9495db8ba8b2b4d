//! Two results, byte for byte.

use elman::{Element, Output};
use ndarray::ArrayD;

/// The bytes in which two results differ.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Differences {
    pub(super) bytes: u64,
    pub(super) first: Option<Place>,
}

/// Two numbers that are not the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// `output` or `h_n`.
    pub(super) tensor: &'static str,
    /// What its first axis is called.
    pub(super) axis: &'static str,
    /// Indices of that axis, the row of the batch, and the unit.
    pub(super) index: [usize; 3],
    pub(super) expected: String,
    pub(super) found: String,
}

/// Compares `output`, (L, N, D * `H_out`), and `h_n`, (D * `num_layers`, N, `H_out`), of two runs.
pub(super) fn differences<T: Element>(expected: &Output<T>, found: &Output<T>) -> Differences {
    let mut differences = Differences::default();
    differences.add("output", "step", &expected.output, &found.output);
    differences.add("h_n", "state", &expected.h_n, &found.h_n);
    differences
}

impl Differences {
    fn add<T: Element>(
        &mut self,
        tensor: &'static str,
        axis: &'static str,
        expected: &ArrayD<T>,
        found: &ArrayD<T>,
    ) {
        // Another shape is a bug that no byte would show.
        assert_eq!(expected.shape(), found.shape(), "shape of {tensor}");
        for ((index, &expected), &found) in expected.indexed_iter().zip(found) {
            let (bytes, others) = (expected.to_le_bytes(), found.to_le_bytes());
            let pairs = bytes.as_ref().iter().zip(others.as_ref());
            let different = pairs.filter(|(byte, other)| byte != other).count() as u64;
            if different == 0 {
                continue;
            }
            self.bytes += different;
            self.first.get_or_insert_with(|| Place {
                tensor,
                axis,
                index: [index[0], index[1], index[2]],
                expected: format!("{expected:?}"),
                found: format!("{found:?}"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn output<T: Element>() -> Output<T> {
        let ones = |shape| Array3::from_elem(shape, T::ONE).into_dyn();
        Output { output: ones((3, 2, 4)), h_n: ones((1, 2, 4)), lower_layers: Vec::new() }
    }

    #[test]
    fn a_single_bit_is_found() {
        let expected = output::<f32>();
        let mut found = output::<f32>();
        assert_eq!(differences(&expected, &found), Differences::default());
        found.output[[2, 1, 3]] = f32::from_bits(1.0_f32.to_bits() ^ 1);
        let place = Place {
            tensor: "output",
            axis: "step",
            index: [2, 1, 3],
            expected: "1.0".to_owned(),
            found: "1.0000001".to_owned(),
        };
        let one = Differences { bytes: 1, first: Some(place.clone()) };
        assert_eq!(differences(&expected, &found), one);
        // What follows is counted, and does not become the first one. -1.0 has another byte, -0.5 two.
        found.output[[2, 1, 3]] = 1.0;
        found.h_n[[0, 1, 2]] = -1.0;
        found.h_n[[0, 1, 3]] = -0.5;
        let (tensor, axis, index) = ("h_n", "state", [0, 1, 2]);
        let place = Place { tensor, axis, index, found: "-1.0".to_owned(), ..place };
        assert_eq!(differences(&expected, &found), Differences { bytes: 3, first: Some(place) });
    }

    #[test]
    fn zeros_of_two_signs_and_every_byte_count() {
        let mut expected = output::<f64>();
        let mut found = output::<f64>();
        expected.h_n.fill(0.0);
        found.h_n.fill(0.0);
        found.h_n[[0, 0, 1]] = -0.0;
        let differences = differences(&expected, &found);
        let first = differences.first.unwrap();
        assert_eq!((differences.bytes, first.found.as_str()), (1, "-0.0"));
        expected.output[[0, 0, 0]] = f64::from_bits(0);
        found.output[[0, 0, 0]] = f64::from_bits(u64::MAX >> 2);
        assert_eq!(super::differences(&expected, &found).bytes, 9);
    }
}
