//! The numbers of a tensor as PyTorch prints them by default.
//!
//! Floats have 4 digits behind the point, or none if all are whole, and an exponent if they are very large,
//! very small, or both. All are as wide as the widest. Of more than 1000 numbers, each axis shows its first and
//! last 3.

use elman::files::{Number, StoredType};

use crate::numbers::{index, place};

/// Digits behind the point.
const PRECISION: usize = 4;
/// The largest tensor that is printed whole, in numbers.
const THRESHOLD: usize = 1000;
/// Numbers at each end of an axis of a larger tensor.
const EDGE: usize = 3;
/// Maximum of printed numbers: those of both ends of seven axes. A small file can have 64 axes, and each
/// number takes 32 bytes.
const MAX_SHOWN: usize = 279_936;
const LINE: usize = 80;
/// The text before the numbers.
const PREFIX: &str = "tensor(";

/// Prints a tensor. Of the numbers, which come piece by piece, it keeps those that it will print.
pub(super) struct Printer {
    stored: StoredType,
    shape: Vec<usize>,
    /// True if the first axis varies fastest in the file.
    fortran: bool,
    /// Sizes of the tensor without the omitted numbers.
    seen: Vec<usize>,
    /// Numbers that will be printed; 0 if they are too many.
    count: usize,
    /// Numbers that have come.
    passed: usize,
    /// Those of them that will be printed, in the order of the file.
    numbers: Vec<Number>,
}

impl Printer {
    /// For numbers in row-major order or, with `fortran`, with the first axis fastest. Memory is allocated as
    /// the numbers come: a stream may promise more than it has.
    pub(super) fn new(stored: StoredType, shape: &[usize], fortran: bool) -> Self {
        let count: usize = shape.iter().product();
        let whole = count <= THRESHOLD;
        let seen: Vec<_> =
            shape.iter().map(|&size| if whole { size } else { size.min(2 * EDGE) }).collect();
        // No more than the numbers of the tensor, whose count has been checked.
        let count = Some(seen.iter().product()).filter(|&count| count <= MAX_SHOWN).unwrap_or(0);
        let (shape, numbers) = (shape.to_vec(), Vec::new());
        Printer { stored, shape, fortran, seen, count, passed: 0, numbers }
    }

    pub(super) fn add(&mut self, count: usize, number: impl Fn(usize) -> Number) {
        let end = self.passed + count;
        while self.numbers.len() < self.count
            && let at = self.next_place()
            && at < end
        {
            self.numbers.push(number(at - self.passed));
        }
        self.passed = end;
    }

    /// The place in the file of the next number to keep.
    fn next_place(&self) -> usize {
        let mut index = index(self.numbers.len(), &self.seen, self.fortran);
        for (axis, index) in index.iter_mut().enumerate().filter(|(_, index)| **index >= EDGE) {
            *index += self.shape[axis] - self.seen[axis];
        }
        place(&index, &self.shape, self.fortran)
    }

    pub(super) fn text(&self) -> String {
        let empty = self.shape.contains(&0);
        let too_many = !empty && self.count == 0;
        let numbers = match () {
            () if empty => "[]".to_owned(),
            () if too_many => "...".to_owned(),
            () => self.nested(&self.words(), 0, PREFIX.len()),
        };
        let mut suffixes = Vec::new();
        if empty && self.shape.len() != 1 || too_many {
            let sizes = format!("{:?}", self.shape);
            suffixes.push(format!("size=({})", sizes.trim_matches(['[', ']'])));
        }
        // The default type of such numbers is not printed.
        let whole_default = matches!(self.stored, StoredType::I64 | StoredType::Bool) && !empty;
        if self.stored != StoredType::F32 && !whole_default {
            suffixes.push(format!("dtype=torch.{}", of_torch(self.stored)));
        }
        with_suffixes(format!("{PREFIX}{numbers}"), &suffixes)
    }

    /// The numbers in the order of the axes, all of one width.
    fn words(&self) -> Vec<String> {
        let words: Vec<_> = if self.stored.is_float() {
            float_words(&self.numbers.iter().map(|number| number.to_f64()).collect::<Vec<_>>())
        } else {
            let word = |number: &Number| match (self.stored, number) {
                (StoredType::Bool, Number::Integer(0)) => "False".to_owned(),
                (StoredType::Bool, _) => "True".to_owned(),
                _ => number.to_string(),
            };
            let words: Vec<_> = self.numbers.iter().map(word).collect();
            let width = words.iter().map(String::len).max().unwrap_or(1);
            words.iter().map(|word| format!("{word:>width$}")).collect()
        };
        if !self.fortran {
            return words;
        }
        let at = |i| place(&index(i, &self.seen, false), &self.seen, true);
        (0..words.len()).map(|i| words[at(i)].clone()).collect()
    }

    /// The words of the axes from `axis` on, in brackets.
    fn nested(&self, words: &[String], axis: usize, indent: usize) -> String {
        let axes = self.shape.len() - axis;
        if axes == 0 {
            return words[0].clone();
        }
        let mut parts = if axes == 1 {
            words.to_vec()
        } else {
            let inner = words.chunks(words.len() / self.seen[axis]);
            inner.map(|words| self.nested(words, axis + 1, indent + 1)).collect()
        };
        // Dots for the omitted parts.
        if self.seen[axis] < self.shape[axis] {
            parts.insert(EDGE, if axes == 1 { " ..." } else { "..." }.to_owned());
        }
        // The last axis has as many words in a line as fit.
        if axes == 1 {
            let in_line = (LINE.saturating_sub(indent) / (words[0].len() + 2)).max(1);
            parts = parts.chunks(in_line).map(|line| line.join(", ")).collect();
        }
        let between = format!(",{}{}", "\n".repeat((axes - 1).max(1)), " ".repeat(indent + 1));
        format!("[{}]", parts.join(&between))
    }
}

/// Floats in their common format, right-aligned.
fn float_words(numbers: &[f64]) -> Vec<String> {
    let counted = || numbers.iter().copied().filter(|x| x.is_finite() && *x != 0.0);
    let least = counted().fold(f64::INFINITY, |least, x| least.min(x.abs()));
    let most = counted().fold(0.0_f64, |most, x| most.max(x.abs()));
    let exponent = most / least > 1000.0 || most > 1e8 || least < 1e-4;
    let whole = counted().all(|x| x.fract() == 0.0);
    let word = |x: f64| match x {
        _ if x.is_nan() => "nan".to_owned(),
        _ if x.is_infinite() => x.to_string(),
        _ if exponent => with_exponent(x),
        _ if whole => format!("{x:.0}."),
        _ => format!("{x:.PRECISION$}"),
    };
    let width = counted().map(|x| word(x).len()).max().unwrap_or(1);
    numbers.iter().map(|&x| format!("{:>width$}", word(x))).collect()
}

/// A number in Python's `e` format: the exponent has a sign and at least two digits.
fn with_exponent(x: f64) -> String {
    let text = format!("{x:.PRECISION$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// PyTorch's name of a type: a word for the letters before the number of bits.
fn of_torch(stored: StoredType) -> String {
    let name = if stored == StoredType::Text { StoredType::F64 } else { stored }.to_string();
    let (letters, bits) = name.split_at(name.find(char::is_numeric).unwrap_or(name.len()));
    let word = match letters {
        "i" => "int",
        "u" => "uint",
        "f" => "float",
        "bf" => "bfloat",
        other => other,
    };
    format!("{word}{bits}")
}

/// Adds the text behind the numbers: to the last line or, if it does not fit, in a new one.
fn with_suffixes(mut text: String, suffixes: &[String]) -> String {
    // PyTorch counts the last line two characters longer than it is.
    let mut last = text.len() - text.rfind('\n').map_or(0, |at| at + 1) + 2;
    for suffix in suffixes {
        if last + suffix.len() + 2 > LINE {
            text += ",\n";
            text += &" ".repeat(PREFIX.len());
            last = PREFIX.len() + suffix.len();
        } else {
            text += ", ";
            last += suffix.len() + 2;
        }
        text += suffix;
    }
    text + ")"
}

#[cfg(test)]
mod tests {
    use elman::Generator;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    /// An entry of `fixtures/prints.json`.
    #[derive(Deserialize)]
    struct OfTorch {
        dtype: String,
        shape: Vec<usize>,
        seed: Option<u64>,
        #[serde(default)]
        factor: f64,
        values: Option<Vec<Value>>,
        arange: Option<i128>,
        text: String,
    }

    fn float(value: &Value) -> f64 {
        value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
    }

    fn integer(value: &Value) -> i128 {
        value.to_string().parse().unwrap()
    }

    impl OfTorch {
        fn stored(&self) -> StoredType {
            use StoredType::*;
            let all = [Bool, I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64];
            all.into_iter().find(|&stored| of_torch(stored) == self.dtype).unwrap()
        }

        fn floats(&self) -> Vec<f64> {
            let Some(seed) = self.seed else {
                return self.values.as_ref().unwrap().iter().map(float).collect();
            };
            let mut normal = vec![0.0_f32; self.shape.iter().product()];
            Generator::new(seed).normal(&mut normal);
            normal.into_iter().map(|x| f64::from(x) * self.factor).collect()
        }

        fn integers(&self) -> Vec<i128> {
            let count: usize = self.shape.iter().product();
            match self.arange {
                Some(first) => (first..).take(count).collect(),
                None => self.values.as_ref().unwrap().iter().map(integer).collect(),
            }
        }
    }

    fn printed(case: &OfTorch, pieces: usize) -> String {
        let mut printer = Printer::new(case.stored(), &case.shape, false);
        if case.stored().is_float() {
            let floats: Vec<_> = case.floats().into_iter().map(Number::F64).collect();
            floats.chunks(pieces).for_each(|piece| printer.add(piece.len(), |i| piece[i]));
        } else {
            let integers: Vec<_> = case.integers().into_iter().map(Number::Integer).collect();
            integers.chunks(pieces).for_each(|piece| printer.add(piece.len(), |i| piece[i]));
        }
        printer.text()
    }

    #[test]
    fn tensors_look_as_pytorch_prints_them() {
        let cases = include_str!("../../../../fixtures/prints.json");
        let cases: Vec<OfTorch> = serde_json::from_str(cases).unwrap();
        assert!(cases.len() > 100);
        for case in cases {
            for pieces in [1000, 7] {
                assert_eq!(printed(&case, pieces), case.text, "{} {:?}", case.dtype, case.shape);
            }
        }
    }

    #[test]
    fn memory_is_allocated_as_numbers_come() {
        let mut printer = Printer::new(StoredType::F32, &[6; 7], false);
        assert_eq!((printer.numbers.len(), printer.count), (0, MAX_SHOWN));
        printer.add(100, |_| Number::F64(0.5));
        assert_eq!(printer.numbers.len(), 100);
    }

    #[test]
    fn a_large_tensor_of_many_axes_is_dots() {
        let mut printer = Printer::new(StoredType::U8, &[6; 8], false);
        printer.add(1000, |_| Number::Integer(1));
        assert_eq!(printer.numbers.len(), 0);
        let expected = "tensor(..., size=(6, 6, 6, 6, 6, 6, 6, 6), dtype=torch.uint8)";
        assert_eq!(printer.text(), expected);
    }

    #[test]
    fn numbers_in_fortran_order_find_their_places() {
        let shape = [5, 300, 2];
        let mut whole = Printer::new(StoredType::I64, &shape, false);
        let mut transposed = Printer::new(StoredType::I64, &shape, true);
        let all: Vec<i128> = (0..3000).collect();
        let index = |i: i128| [i % 5, i / 5 % 300, i / 1500];
        let fortran: Vec<i128> =
            all.iter().map(|&i| index(i)).map(|[a, b, c]| (a * 300 + b) * 2 + c).collect();
        whole.add(3000, |i| Number::Integer(all[i]));
        fortran
            .chunks(17)
            .for_each(|piece| transposed.add(piece.len(), |i| Number::Integer(piece[i])));
        assert_eq!(whole.text(), transposed.text());
    }
}
