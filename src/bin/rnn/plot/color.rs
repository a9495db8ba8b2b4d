//! Colours: maps whose lightness changes in one direction from zero on, clear to colour-blind readers.

use super::figure::Scale;

/// Red, green and blue.
pub(super) type Rgb = [u8; 3];

/// Matplotlib's viridis (van der Walt and Smith, CC0) at 11 even places.
const VIRIDIS: [Rgb; 11] = [
    [68, 1, 84],
    [72, 36, 117],
    [65, 68, 135],
    [53, 95, 141],
    [42, 120, 142],
    [33, 145, 140],
    [34, 168, 132],
    [68, 191, 112],
    [122, 209, 81],
    [189, 223, 38],
    [253, 231, 37],
];

/// `ColorBrewer`'s `RdBu` of 11 colours (Brewer and Harrower, Apache 2.0) from blue to red, with white in the middle.
const BLUE_WHITE_RED: [Rgb; 11] = [
    [5, 48, 97],
    [33, 102, 172],
    [67, 147, 195],
    [146, 197, 222],
    [209, 229, 240],
    [255, 255, 255],
    [253, 219, 199],
    [244, 165, 130],
    [214, 96, 77],
    [178, 24, 43],
    [103, 0, 31],
];

/// Curves: the palette of Okabe and Ito, without yellow, which is faint on white.
pub(super) const CURVES: [Rgb; 7] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [0, 0, 0],
];

/// Not in the maps.
pub(super) const NAN: Rgb = [0, 0, 0];
pub(super) const INFINITE: Rgb = [255, 0, 255];

/// The colour of a number.
pub(super) fn of(scale: Scale, number: f64) -> Rgb {
    match number {
        _ if number.is_nan() => NAN,
        _ if number.is_infinite() => INFINITE,
        _ => at(scale, scale.place(number)),
    }
}

/// The colour at a place of the scale, from 0 to 1.
fn at(scale: Scale, place: f64) -> Rgb {
    let map = if scale.is_signed() { &BLUE_WHITE_RED } else { &VIRIDIS };
    let along = place * (map.len() - 1) as f64;
    let first = (0..map.len() - 1).rfind(|&i| i as f64 <= along).unwrap_or(0);
    let share = along - first as f64;
    std::array::from_fn(|channel| {
        let [low, high] = [map[first][channel], map[first + 1][channel]].map(f64::from);
        let value = (low + share * (high - low)).round();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let value = value as u8;
        value
    })
}

#[cfg(test)]
mod tests {
    use super::{INFINITE, NAN, of};
    use crate::plot::figure::Scale;

    #[test]
    fn zero_is_white_and_the_ends_are_those_of_the_map() {
        let signed = Scale { low: -2.0, high: 2.0 };
        let found = [-2.0, 0.0, 2.0, 9.0].map(|x| of(signed, x));
        assert_eq!(found, [[5, 48, 97], [255, 255, 255], [103, 0, 31], [103, 0, 31]]);
        let unsigned = Scale { low: 0.0, high: 2.0 };
        assert_eq!(
            [0.0, 1.0, 2.0].map(|x| of(unsigned, x)),
            [[68, 1, 84], [33, 145, 140], [253, 231, 37]]
        );
        assert_eq!([f64::NAN, f64::NEG_INFINITY].map(|x| of(signed, x)), [NAN, INFINITE]);
    }

    /// The lightness of viridis rises from end to end, and that of the diverging map falls on both sides.
    #[test]
    fn the_maps_are_monotone_in_lightness() {
        let lightness = |scale, x| {
            let [r, g, b] = of(scale, x).map(f64::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let places: Vec<_> = (0..=20).map(|i| f64::from(i) / 20.0).collect();
        let unsigned = Scale { low: 0.0, high: 1.0 };
        let signed = Scale { low: -1.0, high: 1.0 };
        for pair in places.windows(2) {
            assert!(lightness(unsigned, pair[0]) < lightness(unsigned, pair[1]), "{pair:?}");
            for sign in [-1.0, 1.0] {
                assert!(
                    lightness(signed, sign * pair[0]) > lightness(signed, sign * pair[1]),
                    "{pair:?}"
                );
            }
        }
    }
}
