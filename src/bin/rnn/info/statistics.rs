//! Statistics of a tensor, gathered piece by piece.

use elman::files::{Header, Number, StoredType};

use super::pieces::Piece;
use crate::place::index;

/// Statistics of the finite numbers, and counts of the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Statistics {
    /// The count of finite numbers.
    pub(super) finite: usize,
    /// `None` if no number is finite.
    pub(super) min: Option<Number>,
    pub(super) max: Option<Number>,
    pub(super) mean: Option<f64>,
    /// The unbiased one; `None` for less than two numbers.
    pub(super) std: Option<f64>,
    pub(super) nan: Occurrences,
    pub(super) inf: Occurrences,
}

/// Numbers that are NaN, or infinite.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Occurrences {
    pub(super) count: usize,
    /// The index of the first one.
    pub(super) first: Option<Vec<usize>>,
}

/// Statistics of the numbers so far.
#[derive(Debug)]
pub(super) struct Gathering {
    header: Header,
    passed: usize,
    /// The least and the largest finite number.
    range: Option<[Number; 2]>,
    moments: Moments,
    /// The sum of integers, which is exact.
    sum: i128,
    nan: Occurrences,
    inf: Occurrences,
}

/// The count of numbers, their mean, and the sum of their squared distances from it.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: usize,
    mean: f64,
    squares: f64,
}

impl Gathering {
    pub(super) fn new(header: &Header) -> Self {
        Gathering {
            header: header.clone(),
            passed: 0,
            range: None,
            moments: Moments::default(),
            sum: 0,
            nan: Occurrences::default(),
            inf: Occurrences::default(),
        }
    }

    /// Adds the next numbers.
    pub(super) fn add(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Floats(numbers) => self.add_floats(numbers),
            Piece::Integers(numbers) => self.add_integers(numbers),
        }
        self.passed += piece.len();
    }

    pub(super) fn finish(self) -> Statistics {
        let Moments { count, mean, squares } = self.moments;
        let [min, max] = self.range.map_or([None; 2], |range| range.map(Some));
        let same = min == max;
        let mean = match min {
            Some(Number::F64(min)) if same => min,
            _ if !self.header.stored.is_float() => self.sum as f64 / count as f64,
            _ => mean,
        };
        // Equal numbers have no deviation at all, however their mean was rounded.
        let std = if same { 0.0 } else { (squares / (count as f64 - 1.0)).sqrt() };
        Statistics {
            finite: count,
            min: min.map(|min| exact(self.header.stored, min)),
            max: max.map(|max| exact(self.header.stored, max)),
            mean: (count > 0).then_some(mean),
            std: (count > 1).then_some(std),
            nan: self.nan,
            inf: self.inf,
        }
    }

    fn add_floats(&mut self, numbers: &[f64]) {
        let [mut min, mut max] = self
            .range
            .map_or([f64::INFINITY, f64::NEG_INFINITY], |range| range.map(Number::to_f64));
        let (mut count, mut sum) = (0, 0.0);
        for (i, &x) in numbers.iter().enumerate() {
            if x.is_finite() {
                (min, max) = (min.min(x), max.max(x));
                count += 1;
                sum += x;
            } else {
                self.add_other(self.passed + i, x);
            }
        }
        if count > 0 {
            self.range = Some([min, max].map(Number::F64));
            let finite = numbers.iter().copied().filter(|x| x.is_finite());
            self.moments.add(count, sum / count as f64, finite);
        }
    }

    fn add_integers(&mut self, numbers: &[i128]) {
        let known = self.range.into_iter().flatten().filter_map(|number| match number {
            Number::Integer(number) => Some(number),
            _ => None,
        });
        let all = numbers.iter().copied().chain(known);
        let (Some(min), Some(max)) = (all.clone().min(), all.max()) else { return };
        self.range = Some([min, max].map(Number::Integer));
        // The sum of all 64-bit numbers of a file fits in 128 bits.
        let sum: i128 = numbers.iter().sum();
        self.sum += sum;
        let mean = sum as f64 / numbers.len() as f64;
        self.moments.add(numbers.len(), mean, numbers.iter().map(|&x| x as f64));
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
}

/// A number that has been widened to a double, in its own type.
#[allow(clippy::cast_possible_truncation, reason = "the number has been an f32")]
fn exact(stored: StoredType, number: Number) -> Number {
    match number {
        Number::F64(x) if !matches!(stored, StoredType::F64 | StoredType::Text) => {
            Number::F32(x as f32)
        }
        number => number,
    }
}

impl Moments {
    /// Adds numbers with a known mean, by the formula of Chan and others.
    fn add(&mut self, count: usize, mean: f64, numbers: impl Iterator<Item = f64>) {
        let squares: f64 = numbers.map(|x| (x - mean) * (x - mean)).sum();
        let all = self.count + count;
        let (own, share) = (self.count as f64, count as f64 / all as f64);
        let distance = mean - self.mean;
        self.mean += distance * share;
        self.squares += squares + distance * distance * own * share;
        self.count = all;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(stored: StoredType, shape: &[usize], fortran_order: bool) -> Header {
        Header { stored, big_endian: false, fortran_order, shape: shape.to_vec() }
    }

    fn of_floats(numbers: &[f64], pieces: usize) -> Statistics {
        let mut gathering = Gathering::new(&header(StoredType::F64, &[numbers.len()], false));
        numbers.chunks(pieces).for_each(|piece| gathering.add(Piece::Floats(piece)));
        gathering.finish()
    }

    #[test]
    fn pieces_give_the_statistics_of_the_whole() {
        let numbers: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 379) - 100.0).collect();
        let mean = numbers.iter().sum::<f64>() / 1000.0;
        let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
        for pieces in [1, 7, 1000] {
            let found = of_floats(&numbers, pieces);
            assert_eq!(found.min, Some(Number::F64(-100.0)));
            assert_eq!(found.max, Some(Number::F64(277.0)));
            assert!((found.mean.unwrap() - mean).abs() < 1e-12);
            assert!((found.std.unwrap() - (squares / 999.0).sqrt()).abs() < 1e-12);
        }
    }

    #[test]
    fn few_and_equal_numbers() {
        assert_eq!(of_floats(&[], 1), Statistics::default());
        let one = of_floats(&[0.1], 1);
        assert_eq!((one.mean, one.std), (Some(0.1), None));
        let equal = of_floats(&[0.1; 30], 7);
        assert_eq!((equal.mean, equal.std), (Some(0.1), Some(0.0)));
    }

    #[test]
    fn nan_and_infinity_are_counted_and_omitted() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let numbers = [1.0, inf, nan, 3.0, nan, -inf];
        let mut gathering = Gathering::new(&header(StoredType::F64, &[2, 3], false));
        gathering.add(Piece::Floats(&numbers));
        let found = gathering.finish();
        assert_eq!((found.finite, found.mean, found.std), (2, Some(2.0), Some(2.0_f64.sqrt())));
        assert_eq!(found.nan, Occurrences { count: 2, first: Some(vec![0, 2]) });
        assert_eq!(found.inf, Occurrences { count: 2, first: Some(vec![0, 1]) });
        // The same numbers column by column: [[1, nan, nan], [inf, 3, -inf]].
        let mut gathering = Gathering::new(&header(StoredType::F64, &[2, 3], true));
        gathering.add(Piece::Floats(&numbers));
        let found = gathering.finish();
        assert_eq!(found.nan.first, Some(vec![0, 1]));
        assert_eq!(found.inf.first, Some(vec![1, 0]));
        assert_eq!(of_floats(&[nan, nan], 1).mean, None);
    }

    #[test]
    fn integers_are_exact() {
        let most = i128::from(u64::MAX);
        let mut gathering = Gathering::new(&header(StoredType::U64, &[3], false));
        gathering.add(Piece::Integers(&[most, most - 1]));
        gathering.add(Piece::Integers(&[most - 2]));
        let found = gathering.finish();
        assert_eq!(found.min, Some(Number::Integer(most - 2)));
        assert_eq!(found.max, Some(Number::Integer(most)));
        assert_eq!(found.mean, Some((most - 1) as f64));
    }
}
