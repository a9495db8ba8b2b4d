//! Numbers as text for people, and as JSON.

use elman::files::StoredType;
use serde_json::{Number as JsonNumber, Value};

/// A number of a tensor, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Float(f64),
    Integer(i128),
}

impl Number {
    /// The shortest text from which a reader gets the same number of this type.
    #[allow(clippy::cast_possible_truncation, reason = "the number has been an f32")]
    pub(super) fn text(self, stored: StoredType) -> String {
        match self {
            Number::Integer(number) => number.to_string(),
            Number::Float(number) if matches!(stored, StoredType::F64 | StoredType::Text) => {
                format!("{number:?}")
            }
            Number::Float(number) => format!("{:?}", number as f32),
        }
    }

    /// As JSON; null for what JSON has no number for.
    pub(super) fn json(self) -> Value {
        match self {
            Number::Integer(number) => JsonNumber::from_i128(number).into(),
            Number::Float(number) => Value::from(number),
        }
    }
}

/// A computed number with 6 digits: more would be of interest to nobody who reads them.
pub(super) fn rounded(number: f64) -> String {
    format!("{:?}", format!("{number:.5e}").parse().unwrap_or(number))
}

/// The same where there may be none.
pub(super) fn rounded_or_none(number: Option<f64>) -> String {
    number.map_or("none".to_owned(), rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let float = |x| Number::Float(x);
        assert_eq!(float(f64::from(0.1_f32)).text(StoredType::F32), "0.1");
        assert_eq!(float(0.1 + 0.2).text(StoredType::F64), "0.30000000000000004");
        assert_eq!(float(1e300).text(StoredType::F64), "1e300");
        assert_eq!(float(1e300).text(StoredType::Text), "1e300");
        assert_eq!(float(0.1).text(StoredType::Text), "0.1");
        assert_eq!(float(1e39).text(StoredType::Text), "1e39");
        assert_eq!(float(-3.0).text(StoredType::F16), "-3.0");
        assert_eq!(Number::Integer(u64::MAX.into()).text(StoredType::U64), "18446744073709551615");
        for (number, text) in
            [(2.0 / 3.0, "0.666667"), (-1e-7, "-1e-7"), (1_234_567.0, "1234570.0"), (5.0, "5.0")]
        {
            assert_eq!(rounded(number), text);
        }
        assert_eq!(rounded_or_none(None), "none");
    }

    #[test]
    fn integers_of_every_type_are_exact_in_json() {
        assert_eq!(Number::Integer(u64::MAX.into()).json().to_string(), "18446744073709551615");
        assert_eq!(Number::Integer(i64::MIN.into()).json().to_string(), "-9223372036854775808");
        assert_eq!(Number::Float(0.1).json().to_string(), "0.1");
        assert_eq!(Number::Float(f64::INFINITY).json(), Value::Null);
    }
}
