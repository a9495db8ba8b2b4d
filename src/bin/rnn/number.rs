//! Computed numbers as text for people.

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
}
