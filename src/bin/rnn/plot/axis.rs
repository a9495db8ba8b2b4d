//! Ticks of axes, and their words.

use crate::report::short;

/// Round numbers from `low` to `high`, at most `count` of them: multiples of 1, 2 or 5 times a power of ten. Whole
/// ones for an axis that counts.
pub(super) fn ticks([low, high]: [f64; 2], count: usize, whole: bool) -> Vec<f64> {
    let (width, count) = (high - low, count.max(1) as f64);
    if width <= 0.0 || !width.is_finite() {
        return vec![low];
    }
    let rough = (width / count).max(if whole { 1.0 } else { f64::MIN_POSITIVE });
    let power = 10.0_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|&step| step >= rough * 0.999_999).unwrap_or(10.0 * power);
    let first = (low / step - 1e-6).ceil();
    let mut ticks = Vec::new();
    while (first + ticks.len() as f64) * step <= high + step * 1e-6 {
        ticks.push((first + ticks.len() as f64) * step);
    }
    ticks
}

/// A tick in words, without the rounding errors of its multiple.
pub(super) fn word(tick: f64) -> String {
    if tick == 0.0 { "0".to_owned() } else { short(tick) }
}

#[cfg(test)]
mod tests {
    use super::{ticks, word};

    #[test]
    fn ticks_are_round_and_few() {
        let words = |range, count, whole| -> Vec<_> {
            ticks(range, count, whole).into_iter().map(word).collect()
        };
        assert_eq!(words([0.0, 4.0], 10, true), ["0", "1", "2", "3", "4"]);
        assert_eq!(words([0.0, 0.0], 10, true), ["0"]);
        assert_eq!(words([0.0, 99_999.0], 5, true), ["0", "20000", "40000", "60000", "80000"]);
        assert_eq!(words([-0.31, 0.31], 5, false), ["-0.2", "0", "0.2"]);
        assert_eq!(words([0.0, 1e-7], 3, false), ["0", "5e-8", "1e-7"]);
    }
}
