//! The comparison of numbers: equality and distance. Arithmetic alone.

use elman::files::{Number, StoredType};
use serde::Serialize;

use super::words::Words;
use crate::numbers::index;

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) exact: bool,
    /// `None`: the default of the types.
    pub(super) rtol: Option<f64>,
    pub(super) atol: Option<f64>,
    pub(super) equal_nan: bool,
    pub(super) words: Words,
}

/// Two numbers at one place.
#[derive(Clone, Debug, Serialize)]
pub(super) struct NumberPair {
    /// The place, counted in C order.
    #[serde(skip)]
    place: usize,
    /// The index on each axis, and its words, which [`Comparison::locate`] sets.
    pub(super) index: Vec<usize>,
    pub(super) words: Option<String>,
    pub(super) a: Number,
    pub(super) b: Number,
    /// The measure by which the difference is the largest; `None` for the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) difference: Option<Number>,
}

/// Pairs of numbers that are not the same.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Differences {
    /// The largest |a - b|; `None` if all are NaN.
    pub(super) largest_absolute: Option<NumberPair>,
    /// The largest |a - b| / |b|.
    pub(super) largest_relative: Option<NumberPair>,
    /// The largest number of steps from a to b through the numbers of their common type.
    pub(super) largest_ulp: Option<NumberPair>,
    pub(super) first: Option<NumberPair>,
}

/// Counts of NaN on one side, or on both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Nans {
    pub(super) only_in_a: usize,
    pub(super) only_in_b: usize,
    pub(super) both: usize,
}

/// The comparison of two tensors of one shape, as far as it has come. Two numbers are equal if
/// |a - b| <= atol + rtol * |b| or, without tolerances, if their bits are the same.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    #[serde(skip)]
    equal_nan: bool,
    #[serde(skip)]
    stored: [StoredType; 2],
    pub(super) rtol: Option<Number>,
    pub(super) atol: Option<Number>,
    /// Pairs that have been compared.
    pub(super) count: usize,
    /// Pairs that differ.
    pub(super) different: usize,
    /// Pairs that are equal within the tolerance, and not the same.
    pub(super) within_tolerance: usize,
    /// The differences beyond the tolerance or, if there are none, those within it.
    #[serde(flatten)]
    pub(super) shown: Differences,
    pub(super) nan: Nans,
}

impl Rule {
    /// Begins to compare tensors of two types, which are the same if `exact`.
    pub(super) fn begin(&self, stored: [StoredType; 2]) -> Comparison {
        // Beside f64, the numbers of a table count as f64, else as f32, the default type of a layer.
        let f64s = stored.contains(&StoredType::F64);
        let text = if f64s { StoredType::F64 } else { StoredType::F32 };
        let [(rtol, atol), (other_rtol, other_atol)] =
            stored.map(|stored| defaults(if stored == StoredType::Text { text } else { stored }));
        let tolerance = |asked: Option<f64>, default| {
            (!self.exact).then(|| Number::F64(asked.unwrap_or(default)))
        };
        Comparison {
            equal_nan: self.equal_nan,
            stored,
            rtol: tolerance(self.rtol, rtol.max(other_rtol)),
            atol: tolerance(self.atol, atol.max(other_atol)),
            count: 0,
            different: 0,
            within_tolerance: 0,
            shown: Differences::default(),
            nan: Nans::default(),
        }
    }
}

/// rtol and atol of `torch.testing.assert_close`.
fn defaults(stored: StoredType) -> (f64, f64) {
    match stored {
        StoredType::F16 => (1e-3, 1e-5),
        StoredType::BF16 => (1.6e-2, 1e-5),
        StoredType::F32 => (1.3e-6, 1e-5),
        StoredType::F64 => (1e-7, 1e-7),
        _ => (0.0, 0.0),
    }
}

impl Comparison {
    /// Compares the next numbers, given as bits.
    pub(super) fn extend(&mut self, a: &[u64], b: &[u64]) {
        let start = self.count;
        self.count += a.len();
        let [stored_a, stored_b] = self.stored;
        // Equal bits are equal numbers, except NaN.
        let never_nan = self.rtol.is_none() || stored_a.infinity().is_none();
        let same_type = stored_a == stored_b;
        if same_type && never_nan && a == b {
            return;
        }
        for (i, (&x, &y)) in a.iter().zip(b).enumerate() {
            let number = stored_a.number(x);
            if !same_type || x != y || is_nan(number) {
                self.add(start + i, [number, stored_b.number(y)], [x, y]);
            }
        }
    }

    fn add(&mut self, place: usize, [a, b]: [Number; 2], bits: [u64; 2]) {
        match (is_nan(a), is_nan(b)) {
            (true, false) => self.nan.only_in_a += 1,
            (false, true) => self.nan.only_in_b += 1,
            (true, true) => self.nan.both += 1,
            (false, false) => {}
        }
        let distance = distance(a, b);
        let (same, within) = match self.rtol.zip(self.atol) {
            _ if self.equal_nan && is_nan(a) && is_nan(b) => return,
            None => (bits[0] == bits[1], false),
            Some((rtol, atol)) => {
                let limit = atol.to_f64() + rtol.to_f64() * b.to_f64().abs();
                // An infinite b would allow for everything.
                (distance == 0.0, distance.is_finite() && distance <= limit)
            }
        };
        match (same, within) {
            (true, _) => return,
            (_, true) => self.within_tolerance += 1,
            _ => self.different += 1,
        }
        if within && self.different > 0 {
            return;
        }
        if !within && self.different == 1 {
            self.shown = Differences::default();
        }
        let [stored, other] = self.stored;
        let ulp = if stored == other { ulp_distance(stored, bits) } else { None };
        let pair = NumberPair { place, index: Vec::new(), words: None, a, b, difference: None };
        self.shown.add(&pair, distance, ulp);
    }

    pub(super) fn locate(&mut self, shape: &[usize], words: impl Fn(&[usize]) -> Option<String>) {
        let Differences { largest_absolute, largest_relative, largest_ulp, first } =
            &mut self.shown;
        let pairs = [largest_absolute, largest_relative, largest_ulp, first];
        for pair in pairs.into_iter().flatten() {
            pair.index = index(pair.place, shape, false);
            pair.words = words(&pair.index);
        }
    }
}

impl Differences {
    /// Adds a pair. Of equally large differences, the first is kept.
    fn add(&mut self, pair: &NumberPair, absolute: f64, ulp: Option<u64>) {
        self.first.get_or_insert_with(|| pair.clone());
        let relative = if absolute == 0.0 || absolute.is_infinite() {
            absolute
        } else {
            absolute / pair.b.to_f64().abs()
        };
        let number = |distance: f64| (!distance.is_nan()).then_some(Number::F64(distance));
        for (largest, difference) in [
            (&mut self.largest_absolute, number(absolute)),
            (&mut self.largest_relative, number(relative)),
            (&mut self.largest_ulp, ulp.map(|ulp| Number::Integer(ulp.into()))),
        ] {
            let most = largest.as_ref().and_then(|pair| pair.difference);
            let larger = match (difference, most) {
                (Some(Number::Integer(found)), Some(Number::Integer(most))) => found > most,
                (Some(found), Some(most)) => found.to_f64() > most.to_f64(),
                (found, _) => found.is_some(),
            };
            if larger {
                *largest = Some(NumberPair { difference, ..pair.clone() });
            }
        }
    }
}

fn is_nan(number: Number) -> bool {
    number.to_f64().is_nan()
}

/// |a - b|, which is exact for two whole numbers until it becomes a double; beside a float, a whole number is
/// the nearest double.
#[allow(clippy::float_cmp, reason = "equal infinities have no distance")]
fn distance(a: Number, b: Number) -> f64 {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => a.abs_diff(b) as f64,
        _ if a.to_f64() == b.to_f64() => 0.0,
        _ => (a.to_f64() - b.to_f64()).abs(),
    }
}

/// Steps from one float to another through all numbers between them; both zeros are one. `None` for NaN and
/// for whole numbers.
fn ulp_distance(stored: StoredType, bits: [u64; 2]) -> Option<u64> {
    let infinity = stored.infinity()?;
    let sign = 1 << (8 * stored.size() - 1);
    let [a, b] = bits.map(|bits| {
        // Without its sign, a float's bits count the numbers from zero up.
        let steps = i128::from(bits & !sign);
        if bits & sign == 0 { steps } else { -steps }
    });
    let numbers = a.abs().max(b.abs()) <= i128::from(infinity);
    numbers.then(|| u64::try_from(a.abs_diff(b)).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
#[allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a failed test")]
mod tests {
    use super::*;

    const WORDS: Words = Words { axes: None, batch_first: false, bidirectional: false };
    const TORCH: Rule =
        Rule { exact: false, rtol: None, atol: None, equal_nan: false, words: WORDS };
    const EXACT: Rule = Rule { exact: true, ..TORCH };

    fn f32s(rule: &Rule, a: &[f32], b: &[f32]) -> Comparison {
        let bits = |numbers: &[f32]| -> Vec<_> {
            numbers.iter().map(|number| u64::from(number.to_bits())).collect()
        };
        let mut comparison = rule.begin([StoredType::F32; 2]);
        comparison.extend(&bits(a), &bits(b));
        comparison
    }

    /// The counts beyond and within the tolerance, for one pair.
    fn counts(rule: &Rule, a: f32, b: f32) -> (usize, usize) {
        let comparison = f32s(rule, &[a], &[b]);
        (comparison.different, comparison.within_tolerance)
    }

    fn tolerance(rule: &Rule, stored: [StoredType; 2]) -> [f64; 2] {
        let Comparison { rtol, atol, .. } = rule.begin(stored);
        [rtol, atol].map(|number| number.unwrap().to_f64())
    }

    /// The difference and the place of a pair.
    fn found(pair: Option<NumberPair>) -> Option<(f64, usize)> {
        pair.map(|pair| (pair.difference.map_or(0.0, Number::to_f64), pair.place))
    }

    #[test]
    fn default_tolerances_are_pytorchs_and_the_looser_of_two() {
        use StoredType::{BF16, Bool, F16, F32, F64, I64, Text};
        for (stored, expected) in [
            ([F32, F32], (1.3e-6, 1e-5)),
            ([F64, F64], (1e-7, 1e-7)),
            ([F16, F16], (1e-3, 1e-5)),
            ([BF16, BF16], (1.6e-2, 1e-5)),
            ([I64, I64], (0.0, 0.0)),
            ([Bool, Bool], (0.0, 0.0)),
            ([F64, F32], (1.3e-6, 1e-5)),
            ([F16, BF16], (1.6e-2, 1e-5)),
            ([I64, F64], (1e-7, 1e-7)),
            ([Text, Text], (1.3e-6, 1e-5)),
            ([F32, Text], (1.3e-6, 1e-5)),
            ([F16, Text], (1e-3, 1e-5)),
            ([Text, F64], (1e-7, 1e-7)),
            ([F64, Text], (1e-7, 1e-7)),
        ] {
            let (rtol, atol) = expected;
            assert_eq!(tolerance(&TORCH, stored), [rtol, atol], "{stored:?}");
        }
        assert_eq!(tolerance(&Rule { atol: Some(0.5), ..TORCH }, [F32, F32]), [1.3e-6, 0.5]);
    }

    #[test]
    fn the_limit_itself_is_equal() {
        let rule = Rule { rtol: Some(0.25), atol: Some(0.5), ..TORCH };
        assert_eq!(counts(&rule, 5.5, 4.0), (0, 1));
        assert_eq!(counts(&rule, 5.500_001, 4.0), (1, 0));
        // The tolerance is relative to B.
        assert_eq!(counts(&rule, 4.0, 5.875), (0, 1));
    }

    #[test]
    fn infinities_and_nan_follow_the_rule() {
        let (infinity, nan) = (f32::INFINITY, f32::NAN);
        let wide = Rule { rtol: Some(1.0), atol: Some(f64::INFINITY), ..TORCH };
        for rule in [&TORCH, &wide] {
            assert_eq!(counts(rule, infinity, infinity), (0, 0));
            assert_eq!(counts(rule, infinity, -infinity), (1, 0));
            assert_eq!(counts(rule, 1.0, infinity), (1, 0));
            assert_eq!(counts(rule, nan, 1.0), (1, 0));
            assert_eq!(counts(rule, nan, nan), (1, 0));
        }
        let other = f32::from_bits(nan.to_bits() ^ 1);
        assert_eq!(counts(&EXACT, nan, nan), (0, 0));
        assert_eq!(counts(&EXACT, nan, other), (1, 0));
        for rule in [TORCH, EXACT] {
            let rule = Rule { equal_nan: true, ..rule };
            assert_eq!(counts(&rule, nan, -other), (0, 0));
            assert_eq!(counts(&rule, nan, 1.0), (1, 0));
        }
        let all = f32s(&TORCH, &[nan, 1.0, nan, 2.0], &[nan, nan, 1.0, 2.0]);
        assert_eq!(all.nan, Nans { only_in_a: 1, only_in_b: 1, both: 1 });
        assert_eq!(all.different, 3);
        assert_eq!([all.shown.largest_absolute, all.shown.largest_ulp].map(found), [None, None]);
    }

    #[test]
    fn only_exact_sees_the_sign_of_zero() {
        assert_eq!(counts(&TORCH, 0.0, -0.0), (0, 0));
        let zeros = f32s(&EXACT, &[0.0], &[-0.0]);
        let Differences { largest_absolute, largest_relative, largest_ulp, .. } = zeros.shown;
        assert_eq!(zeros.different, 1);
        assert_eq!([largest_absolute, largest_ulp].map(found), [Some((0.0, 0)); 2]);
        assert_eq!(found(largest_relative).unwrap().0.to_bits(), 0);
    }

    #[test]
    fn the_largest_differences_are_beyond_the_tolerance() {
        // The first is within the tolerance and yet farther apart than the last two.
        let all = f32s(&TORCH, &[1e7, 1.0, 1.5, -1.0], &[1e7 + 4.0, 1.0, 1.0, -2.0]);
        assert_eq!((all.within_tolerance, all.different, all.count), (1, 2, 4));
        assert_eq!(found(all.shown.largest_absolute), Some((1.0, 3)));
        // The first of two that are equally large.
        assert_eq!(found(all.shown.largest_relative), Some((0.5, 2)));
        assert_eq!(found(all.shown.first), Some((0.0, 2)));
        let within = f32s(&TORCH, &[1e7, 1.0], &[1e7 + 4.0, 1.0]).shown;
        assert_eq!(found(within.largest_absolute), Some((4.0, 0)));
        assert_eq!(found(within.largest_ulp), Some((4.0, 0)));
        // A later one within the tolerance is not shown.
        let last = f32s(&TORCH, &[1.5, 1e7], &[1.0, 1e7 + 4.0]).shown;
        assert_eq!(found(last.largest_absolute), Some((0.5, 0)));
    }

    #[test]
    fn an_index_counts_through_pieces() {
        let mut all = EXACT.begin([StoredType::U8; 2]);
        all.extend(&[1, 2, 3], &[1, 2, 3]);
        all.extend(&[4, 5], &[4, 6]);
        assert_eq!((all.count, found(all.shown.first)), (5, Some((0.0, 4))));
    }

    #[test]
    fn whole_numbers_are_not_rounded() {
        let mut all = TORCH.begin([StoredType::I64, StoredType::U64]);
        let big = 1 << 53;
        all.extend(&[big, big + 1, u64::MAX], &[big, big, u64::MAX]);
        assert_eq!(all.different, 2, "-1 is not 2^64 - 1");
        let largest = all.shown.largest_absolute.unwrap();
        let by = Number::F64(2_f64.powi(64));
        assert_eq!((largest.difference, largest.a), (Some(by), Number::Integer(-1)));
        assert!(all.shown.largest_ulp.is_none());
    }

    #[test]
    fn ulp_distances_count_floats() {
        let distance =
            |a: f32, b: f32| ulp_distance(StoredType::F32, [a, b].map(|x| u64::from(x.to_bits())));
        assert_eq!(distance(1.0, 1.0 + f32::EPSILON), Some(1));
        assert_eq!(distance(-f32::from_bits(1), f32::from_bits(2)), Some(3));
        assert_eq!(distance(f32::MAX, f32::INFINITY), Some(1));
        assert_eq!(distance(f32::NAN, 1.0), None);
        let doubles = [f64::NEG_INFINITY, f64::INFINITY].map(f64::to_bits);
        assert_eq!(ulp_distance(StoredType::F64, doubles), Some(2 * f64::INFINITY.to_bits()));
        assert_eq!(ulp_distance(StoredType::F16, [0x3c00, 0x3c03]), Some(3));
        assert_eq!(ulp_distance(StoredType::BF16, [0x3f80, 0x7fc0]), None);
        assert_eq!(ulp_distance(StoredType::I32, [1, 2]), None);
    }
}
