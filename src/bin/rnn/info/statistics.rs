//! Statistics of a tensor, gathered piece by piece.

use elman::files::{Header, Number, StoredType};
use serde::Serialize;

use crate::numbers::index;

/// Statistics of the finite numbers so far, and counts of the others.
pub(super) struct Statistics {
    header: Header,
    /// Numbers of either kind.
    passed: usize,
    /// The count of finite numbers.
    pub(super) finite: usize,
    /// The least and the largest finite number, and the same of integers, exactly.
    range: [f64; 2],
    integers: [i128; 2],
    mean: f64,
    /// The sum of the squared distances from the mean.
    squares: f64,
    /// The sum of integers, which is exact: that of all 64-bit numbers of a file fits in 128 bits.
    sum: i128,
    pub(super) nan: Occurrences,
    pub(super) inf: Occurrences,
}

/// Numbers that are NaN, or infinite.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Occurrences {
    pub(super) count: usize,
    /// The index of the first one.
    pub(super) first: Option<Vec<usize>>,
}

impl Statistics {
    pub(super) fn new(header: &Header) -> Self {
        Statistics {
            header: header.clone(),
            passed: 0,
            finite: 0,
            range: [f64::INFINITY, f64::NEG_INFINITY],
            integers: [i128::MAX, i128::MIN],
            mean: 0.0,
            squares: 0.0,
            sum: 0,
            nan: Occurrences::default(),
            inf: Occurrences::default(),
        }
    }

    /// Adds the next numbers, given as bits.
    pub(super) fn add(&mut self, bits: &[u64]) {
        match self.header.stored {
            // The usual types have loops without a branch.
            StoredType::F32 => self.add_as(bits, |bits| StoredType::F32.number(bits)),
            StoredType::F64 => self.add_as(bits, |bits| StoredType::F64.number(bits)),
            stored => self.add_as(bits, |bits| stored.number(bits)),
        }
    }

    fn add_as(&mut self, bits: &[u64], number: impl Fn(u64) -> Number) {
        let ([mut min, mut max], mut count, mut sum, mut integer_sum) = (self.range, 0, 0.0, 0);
        for (i, number) in bits.iter().map(|&bits| number(bits)).enumerate() {
            let x = number.to_f64();
            if !x.is_finite() {
                self.add_other(self.passed + i, x);
                continue;
            }
            (min, max) = (min.min(x), max.max(x));
            if let Number::Integer(x) = number {
                self.integers = [self.integers[0].min(x), self.integers[1].max(x)];
                integer_sum += x;
            }
            sum += x;
            count += 1;
        }
        self.range = [min, max];
        self.passed += bits.len();
        self.sum += integer_sum;
        if count > 0 {
            let sum = if self.header.stored.is_float() { sum } else { integer_sum as f64 };
            let all = bits.iter().map(|&bits| number(bits).to_f64());
            self.add_moments(count, sum / count as f64, all.filter(|x| x.is_finite()));
        }
    }

    /// Adds numbers with a known mean, by the formula of Chan and others.
    fn add_moments(&mut self, count: usize, mean: f64, numbers: impl Iterator<Item = f64>) {
        let squares: f64 = numbers.map(|x| (x - mean) * (x - mean)).sum();
        let all = self.finite + count;
        let (own, share) = (self.finite as f64, count as f64 / all as f64);
        let distance = mean - self.mean;
        self.mean += distance * share;
        self.squares += squares + distance * distance * own * share;
        self.finite = all;
    }

    /// Adds a number that is not finite, at its place in the file.
    fn add_other(&mut self, place: usize, x: f64) {
        let found = if x.is_nan() { &mut self.nan } else { &mut self.inf };
        found.count += 1;
        // The first in the order of the axes, which is that of row-major files alone.
        if found.first.is_none() || self.header.fortran_order {
            let index = index(place, &self.header.shape, self.header.fortran_order);
            if found.first.as_ref().is_none_or(|first| index < *first) {
                found.first = Some(index);
            }
        }
    }

    /// The least and the largest finite number; `None` if no number is finite.
    #[allow(clippy::cast_possible_truncation, reason = "a number of a narrower float was an f32")]
    pub(super) fn range(&self) -> [Option<Number>; 2] {
        let range = match self.header.stored {
            StoredType::F64 | StoredType::Text => self.range.map(Number::F64),
            stored if stored.is_float() => self.range.map(|x| Number::F32(x as f32)),
            _ => self.integers.map(Number::Integer),
        };
        range.map(|number| (self.finite > 0).then_some(number))
    }

    pub(super) fn mean(&self) -> Option<f64> {
        let [min, max] = self.range();
        let mean = match min {
            _ if !self.header.stored.is_float() => self.sum as f64 / self.finite as f64,
            Some(min) if Some(min) == max => min.to_f64(),
            _ => self.mean,
        };
        (self.finite > 0).then_some(mean)
    }

    /// The unbiased deviation; `None` for less than two numbers.
    pub(super) fn std(&self) -> Option<f64> {
        let [min, max] = self.range();
        // Equal numbers have no deviation at all, however their mean was rounded.
        let std = if min == max { 0.0 } else { (self.squares / (self.finite as f64 - 1.0)).sqrt() };
        (self.finite > 1).then_some(std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(stored: StoredType, shape: &[usize], fortran_order: bool) -> Header {
        Header { stored, big_endian: false, fortran_order, shape: shape.to_vec() }
    }

    fn in_order(numbers: &[f64], fortran: bool) -> Statistics {
        let mut statistics = Statistics::new(&header(StoredType::F64, &[2, 3], fortran));
        statistics.add(&numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        statistics
    }

    fn of_floats(numbers: &[f64], pieces: usize) -> Statistics {
        let mut statistics = Statistics::new(&header(StoredType::F64, &[numbers.len()], false));
        let bits: Vec<_> = numbers.iter().map(|x| x.to_bits()).collect();
        bits.chunks(pieces).for_each(|piece| statistics.add(piece));
        statistics
    }

    #[test]
    fn pieces_give_the_statistics_of_the_whole() {
        let numbers: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 379) - 100.0).collect();
        let mean = numbers.iter().sum::<f64>() / 1000.0;
        let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
        for pieces in [1, 7, 1000] {
            let found = of_floats(&numbers, pieces);
            assert_eq!(found.range(), [-100.0, 277.0].map(|x| Some(Number::F64(x))));
            assert!((found.mean().unwrap() - mean).abs() < 1e-12);
            assert!((found.std().unwrap() - (squares / 999.0).sqrt()).abs() < 1e-12);
        }
    }

    #[test]
    fn few_and_equal_numbers() {
        let none = of_floats(&[], 1);
        assert_eq!((none.range(), none.mean(), none.std()), ([None; 2], None, None));
        let one = of_floats(&[0.1], 1);
        assert_eq!((one.mean(), one.std()), (Some(0.1), None));
        let equal = of_floats(&[0.1; 30], 7);
        assert_eq!((equal.mean(), equal.std()), (Some(0.1), Some(0.0)));
    }

    #[test]
    fn nan_and_infinity_are_counted_and_omitted() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let numbers = [1.0, inf, nan, 3.0, nan, -inf];
        let found = in_order(&numbers, false);
        assert_eq!((found.finite, found.mean(), found.std()), (2, Some(2.0), Some(2.0_f64.sqrt())));
        assert_eq!(found.nan, Occurrences { count: 2, first: Some(vec![0, 2]) });
        assert_eq!(found.inf, Occurrences { count: 2, first: Some(vec![0, 1]) });
        // The same numbers column by column: [[1, nan, nan], [inf, 3, -inf]].
        let found = in_order(&numbers, true);
        assert_eq!(found.nan.first, Some(vec![0, 1]));
        assert_eq!(found.inf.first, Some(vec![1, 0]));
        assert_eq!(of_floats(&[nan, nan], 1).mean(), None);
    }

    #[test]
    fn integers_are_exact() {
        let mut found = Statistics::new(&header(StoredType::U64, &[3], false));
        found.add(&[u64::MAX, u64::MAX - 1]);
        found.add(&[u64::MAX - 2]);
        let most = i128::from(u64::MAX);
        assert_eq!(found.range(), [most - 2, most].map(|x| Some(Number::Integer(x))));
        assert_eq!(found.mean(), Some((most - 1) as f64));
    }
}
