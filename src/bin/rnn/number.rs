//! Numbers of files and computed numbers, as text for people and as JSON.

use elman::files::Number;
use serde_json::{Number as JsonNumber, Value, json};

/// A number as JSON, exactly.
pub(crate) fn exact(number: Number) -> Value {
    match number {
        Number::Integer(value) => JsonNumber::from_i128(value).into(),
        float => double(float.to_f64()),
    }
}

/// A double as JSON, which has no infinities and no NaN: they are texts, which Python's `float` reads.
pub(crate) fn double(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string().to_lowercase()) }
}

/// A computed number with 6 digits, more than a reader compares.
pub(crate) fn rounded(number: f64) -> String {
    format!("{:?}", format!("{number:.5e}").parse().unwrap_or(number))
}

/// The same without a fraction of zero.
pub(crate) fn short(number: f64) -> String {
    let text = rounded(number);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The text of a number that may be missing.
pub(crate) fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_numbers_have_six_digits() {
        for (number, text) in
            [(2.0 / 3.0, "0.666667"), (-1e-7, "-1e-7"), (1_234_567.0, "1234570.0"), (5.0, "5.0")]
        {
            assert_eq!(rounded(number), text);
        }
        let numbers = [0.0, 1e-5, 1.3e-6, 0.016, 2.0, 0.123_456_78, 1_234_567.0, f64::INFINITY];
        let expected = ["0", "1e-5", "1.3e-6", "0.016", "2", "0.123457", "1234570", "inf"];
        assert_eq!(numbers.map(short), expected);
    }

    #[test]
    fn integers_of_every_type_are_exact_in_json() {
        assert_eq!(exact(Number::Integer(u64::MAX.into())).to_string(), "18446744073709551615");
        assert_eq!(exact(Number::Integer(i64::MIN.into())).to_string(), "-9223372036854775808");
        assert_eq!(exact(Number::F64(0.1)).to_string(), "0.1");
        assert_eq!(exact(Number::F64(f64::INFINITY)), "inf");
    }
}
