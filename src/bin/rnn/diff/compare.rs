//! The comparison of numbers: equality and distance. Arithmetic alone.

use elman::files::{Number, StoredType};

/// The flags of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) exact: bool,
    /// `None`: the default of the types.
    pub(super) rtol: Option<f64>,
    pub(super) atol: Option<f64>,
    pub(super) equal_nan: bool,
}

/// The condition for two numbers to be equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    /// The same bits.
    Bits,
    /// |a - b| <= atol + rtol * |b|.
    Close { rtol: f64, atol: f64 },
}

/// Two numbers at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NumberPair {
    /// Counted in C order.
    pub(super) index: usize,
    pub(super) a: Number,
    pub(super) b: Number,
}

/// Pairs of numbers that are not the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Differences {
    pub(super) count: usize,
    pub(super) first: Option<NumberPair>,
    /// The largest |a - b|; `None` if all are NaN.
    pub(super) absolute: Option<(f64, NumberPair)>,
    /// The largest |a - b| / |b|.
    pub(super) relative: Option<(f64, NumberPair)>,
    /// The largest number of steps from a to b through the numbers of their common type.
    pub(super) ulp: Option<(u64, NumberPair)>,
}

/// Counts of NaN on one side, or on both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Nans {
    pub(super) only_a: usize,
    pub(super) only_b: usize,
    pub(super) both: usize,
}

/// The comparison of two tensors of one shape, as far as it has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    pub(super) measure: Measure,
    equal_nan: bool,
    /// The types of both sides.
    stored: [StoredType; 2],
    /// Pairs that have been compared.
    pub(super) count: usize,
    /// Pairs that differ.
    pub(super) beyond: Differences,
    /// Pairs that are equal within the tolerance, and not the same.
    pub(super) within: Differences,
    pub(super) nans: Nans,
}

impl Rule {
    /// Begins to compare tensors of two types, which are the same for [`Measure::Bits`].
    pub(super) fn begin(&self, stored: [StoredType; 2]) -> Comparison {
        let [(r, a), (other_r, other_a)] = match stored {
            // Beside f64, the numbers of a table count as f64.
            [StoredType::Text, StoredType::F64] | [StoredType::F64, StoredType::Text] => {
                [defaults(StoredType::F64); 2]
            }
            stored => stored.map(defaults),
        };
        let measure = if self.exact {
            Measure::Bits
        } else {
            Measure::Close {
                rtol: self.rtol.unwrap_or(r.max(other_r)),
                atol: self.atol.unwrap_or(a.max(other_a)),
            }
        };
        Comparison {
            measure,
            equal_nan: self.equal_nan,
            stored,
            count: 0,
            beyond: Differences::default(),
            within: Differences::default(),
            nans: Nans::default(),
        }
    }
}

/// rtol and atol of `torch.testing.assert_close`. The numbers of a table count as f32, the default type of a
/// layer.
fn defaults(stored: StoredType) -> (f64, f64) {
    match stored {
        StoredType::F16 => (1e-3, 1e-5),
        StoredType::BF16 => (1.6e-2, 1e-5),
        StoredType::F32 | StoredType::Text => (1.3e-6, 1e-5),
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
        let never_nan = self.measure == Measure::Bits || stored_a.infinity().is_none();
        let same_type = stored_a == stored_b;
        if same_type && never_nan && a == b {
            return;
        }
        for (i, (&x, &y)) in a.iter().zip(b).enumerate() {
            let number = stored_a.number(x);
            if same_type && x == y && !is_nan(number) {
                continue;
            }
            let place = NumberPair { index: start + i, a: number, b: stored_b.number(y) };
            self.add(place, [x, y]);
        }
    }

    /// The differences to report: those beyond the tolerance or, if there are none, those within it.
    pub(super) fn shown(&self) -> &Differences {
        if self.beyond.count > 0 { &self.beyond } else { &self.within }
    }

    fn add(&mut self, place: NumberPair, bits: [u64; 2]) {
        match (is_nan(place.a), is_nan(place.b)) {
            (true, false) => self.nans.only_a += 1,
            (false, true) => self.nans.only_b += 1,
            (true, true) => self.nans.both += 1,
            (false, false) => {}
        }
        let [stored, other] = self.stored;
        let ulp = if stored == other { ulp_distance(stored, bits) } else { None };
        let NumberPair { a, b, .. } = place;
        let same = match self.measure {
            _ if self.equal_nan && is_nan(a) && is_nan(b) => true,
            Measure::Bits => bits[0] == bits[1],
            Measure::Close { .. } => is_same(a, b),
        };
        let within = match self.measure {
            Measure::Close { rtol, atol } => {
                let distance = distance(a, b);
                // An infinite b would allow for everything.
                distance.is_finite() && distance <= atol + rtol * b.to_f64().abs()
            }
            Measure::Bits => false,
        };
        match (same, within) {
            (true, _) => {}
            (_, true) => self.within.add(place, ulp),
            _ => self.beyond.add(place, ulp),
        }
    }
}

impl Differences {
    fn add(&mut self, place: NumberPair, ulp: Option<u64>) {
        self.count += 1;
        self.first.get_or_insert(place);
        let absolute = distance(place.a, place.b);
        let relative = if absolute == 0.0 || absolute.is_infinite() {
            absolute
        } else {
            absolute / place.b.to_f64().abs()
        };
        let number = |distance: f64| Some(distance).filter(|distance| !distance.is_nan());
        keep_larger(&mut self.absolute, number(absolute), place);
        keep_larger(&mut self.relative, number(relative), place);
        keep_larger(&mut self.ulp, ulp, place);
    }
}

/// Keeps the first of the largest values.
fn keep_larger<T: PartialOrd>(
    largest: &mut Option<(T, NumberPair)>,
    found: Option<T>,
    place: NumberPair,
) {
    let Some(found) = found else { return };
    if largest.as_ref().is_none_or(|(most, _)| found > *most) {
        *largest = Some((found, place));
    }
}

fn is_nan(number: Number) -> bool {
    number.to_f64().is_nan()
}

/// True if two numbers have the same value. Two whole numbers are compared exactly; beside a float, a whole
/// number is the nearest double.
#[allow(clippy::float_cmp, reason = "equal values are requested")]
fn is_same(a: Number, b: Number) -> bool {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => a == b,
        _ => a.to_f64() == b.to_f64(),
    }
}

/// |a - b|, which is exact for whole numbers until it becomes a double.
fn distance(a: Number, b: Number) -> f64 {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => a.abs_diff(b) as f64,
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
#[allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a failed test")]
mod tests {
    use super::*;

    const TORCH: Rule = Rule { exact: false, rtol: None, atol: None, equal_nan: false };
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
        (comparison.beyond.count, comparison.within.count)
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
            assert_eq!(TORCH.begin(stored).measure, Measure::Close { rtol, atol }, "{stored:?}");
        }
        let own = Rule { atol: Some(0.5), ..TORCH }.begin([F32, F32]).measure;
        assert_eq!(own, Measure::Close { rtol: 1.3e-6, atol: 0.5 });
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
        let found = f32s(&TORCH, &[nan, 1.0, nan, 2.0], &[nan, nan, 1.0, 2.0]);
        assert_eq!(found.nans, Nans { only_a: 1, only_b: 1, both: 1 });
        assert_eq!((found.beyond.count, found.beyond.absolute, found.beyond.ulp), (3, None, None));
    }

    #[test]
    fn only_exact_sees_the_sign_of_zero() {
        assert_eq!(counts(&TORCH, 0.0, -0.0), (0, 0));
        let found = f32s(&EXACT, &[0.0], &[-0.0]).beyond;
        assert_eq!((found.count, found.absolute.unwrap().0, found.ulp.unwrap().0), (1, 0.0, 0));
        assert_eq!(found.relative.unwrap().0.to_bits(), 0);
    }

    #[test]
    fn the_largest_differences_are_beyond_the_tolerance() {
        // The first is within the tolerance and yet farther apart than the last two.
        let found = f32s(&TORCH, &[1e7, 1.0, 1.5, -1.0], &[1e7 + 4.0, 1.0, 1.0, -2.0]);
        assert_eq!((found.within.count, found.beyond.count, found.count), (1, 2, 4));
        let places = |(by, place): (f64, NumberPair)| (by, place.index);
        assert_eq!(places(found.beyond.absolute.unwrap()), (1.0, 3));
        // The first of two that are equally large.
        assert_eq!(places(found.beyond.relative.unwrap()), (0.5, 2));
        assert_eq!(found.beyond.first.unwrap().index, 2);
        assert_eq!(places(found.within.absolute.unwrap()), (4.0, 0));
        assert_eq!(found.within.ulp.unwrap().0, 4);
    }

    #[test]
    fn an_index_counts_through_pieces() {
        let mut found = EXACT.begin([StoredType::U8; 2]);
        found.extend(&[1, 2, 3], &[1, 2, 3]);
        found.extend(&[4, 5], &[4, 6]);
        assert_eq!((found.count, found.beyond.first.unwrap().index), (5, 4));
    }

    #[test]
    fn whole_numbers_are_not_rounded() {
        let mut found = TORCH.begin([StoredType::I64, StoredType::U64]);
        let big = 1 << 53;
        found.extend(&[big, big + 1, u64::MAX], &[big, big, u64::MAX]);
        assert_eq!(found.beyond.count, 2, "-1 is not 2^64 - 1");
        let (by, place) = found.beyond.absolute.unwrap();
        assert_eq!((by, place.a), (2_f64.powi(64), Number::Integer(-1)));
        assert_eq!(found.beyond.ulp, None);
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
