//! Coloured characters of a terminal.

use super::color::{NAN, Rgb};

/// The colours of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colors {
    /// Of 24 bits.
    True,
    /// The 256 of xterm.
    Palette,
    None,
}

impl Colors {
    /// What the environment says: no colours with `NO_COLOR`, else those of `COLORTERM` or `TERM`.
    pub(crate) fn of_environment() -> Self {
        let is = |name: &str, words: &[&str]| {
            let value = std::env::var(name).unwrap_or_default();
            words.iter().any(|word| value.contains(word))
        };
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            Colors::None
        } else if is("COLORTERM", &["truecolor", "24bit"]) || is("TERM", &["direct"]) {
            Colors::True
        } else if is("TERM", &["256color"]) {
            Colors::Palette
        } else {
            Colors::None
        }
    }
}

/// A character, its colour, and that of its ground.
pub(super) type Cell = (char, Option<Rgb>, Option<Rgb>);

const BLANK: Cell = (' ', None, None);

/// The colour of the mark of NaN.
const GREY: Rgb = [150; 3];

/// Two cells of a heat map above each other. NaN alone has a mark: black cells are invisible on a black terminal.
pub(super) fn half_blocks([upper, lower]: [Option<Rgb>; 2]) -> Cell {
    if upper == Some(NAN) && [None, upper].contains(&lower) {
        ('?', Some(GREY), Some(NAN))
    } else {
        ('▀', upper, lower)
    }
}

/// A canvas of coloured characters.
pub(super) struct Canvas {
    columns: usize,
    cells: Vec<Cell>,
}

impl Canvas {
    pub(super) fn new(columns: usize, lines: usize) -> Self {
        Canvas { columns, cells: vec![BLANK; columns * lines] }
    }

    pub(super) fn put(&mut self, line: usize, column: usize, cell: Cell) {
        if column < self.columns
            && let Some(own) = self.cells.get_mut(line * self.columns + column)
        {
            *own = cell;
        }
    }

    pub(super) fn text(&mut self, line: usize, column: usize, text: &str, color: Option<Rgb>) {
        for (i, c) in text.chars().enumerate() {
            self.put(line, column + i, (c, color, None));
        }
    }

    pub(super) fn write(&self, colors: Colors, out: &mut String) {
        let used = self
            .cells
            .iter()
            .rposition(|cell| *cell != BLANK)
            .map_or(0, |last| last / self.columns + 1);
        for line in self.cells.chunks(self.columns).take(used) {
            let end = line.iter().rposition(|cell| *cell != BLANK).map_or(0, |i| i + 1);
            let mut now = (None, None);
            for &(c, front, back) in &line[..end] {
                if colors != Colors::None && now != (front, back) {
                    out.push_str("\x1b[0");
                    for (kind, color) in [(38, front), (48, back)] {
                        if let Some(color) = color {
                            out.push_str(&escape(colors, kind, color));
                        }
                    }
                    out.push('m');
                    now = (front, back);
                }
                out.push(c);
            }
            if now != (None, None) {
                out.push_str("\x1b[0m");
            }
            out.push('\n');
        }
    }
}

/// The part of an escape sequence that sets the colour of letters, 38, or of their ground, 48.
fn escape(colors: Colors, kind: u8, color: Rgb) -> String {
    let [red, green, blue] = color;
    match colors {
        Colors::True => format!(";{kind};2;{red};{green};{blue}"),
        _ => format!(";{kind};5;{}", palette(color)),
    }
}

/// The nearest of xterm's cube of 6 x 6 x 6 colours and its 24 greys.
fn palette(color: Rgb) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let distance = |other: Rgb| -> i32 {
        let squares = color.iter().zip(other).map(|(&a, b)| (i32::from(a) - i32::from(b)).pow(2));
        squares.sum()
    };
    let nearest = |channel: u8| {
        let near = |i: &u8| LEVELS[usize::from(*i)].abs_diff(channel);
        (0..6_u8).min_by_key(near).unwrap_or(0)
    };
    let cube = color.map(nearest);
    let of_cube = distance(cube.map(|i| LEVELS[usize::from(i)]));
    let grey = (0..24_u8).min_by_key(|i| distance([8 + 10 * i; 3])).unwrap_or(0);
    if distance([8 + 10 * grey; 3]) < of_cube {
        232 + grey
    } else {
        16 + 36 * cube[0] + 6 * cube[1] + cube[2]
    }
}

#[cfg(test)]
mod tests {
    use super::palette;

    #[test]
    fn the_palette_has_the_nearest_color() {
        assert_eq!(palette([0, 0, 0]), 16);
        assert_eq!(palette([255, 255, 255]), 231);
        assert_eq!(palette([9, 9, 9]), 232);
        assert_eq!(palette([255, 0, 255]), 201);
    }
}
