//! A figure as characters: heat maps of half blocks in 24-bit or 256 colours, or of letters where there are no colours.

use super::axis::{ticks, word};
use super::canvas::{Canvas, Colors, half_blocks};
use super::color::{self, CURVES, INFINITE, NAN, Rgb};
use super::figure::{Content, Figure, Heat, Lines, Panel, Scale};

/// The room for a figure.
pub(crate) struct Terminal {
    pub(crate) colors: Colors,
    pub(crate) columns: usize,
    pub(crate) lines: usize,
}

/// Columns for the numbers of the vertical axis.
const LEFT: usize = 8;
/// Lines of a figure beside its panels: title, notes, the scale, the next prompt.
const WORDS: usize = 8;
/// Lines of a panel beside its axes: title, axis, numbers.
const AROUND: usize = 3;
/// Columns of a name of a curve beside the name: its mark, and space.
const BESIDE: usize = 4;
/// Most lines of names below a panel.
const MAX_LEGEND: usize = 4;
/// Least lines of a pair of axes.
const LEAST: usize = 4;
/// Letters of cells from the lower end of the scale to the upper one: negative, near zero, positive.
const SIGNED: &[u8] = b"Nn-.+pP";
/// Those of a scale that begins at zero.
const UNSIGNED: &[u8] = b" .:-=+*#%@";

impl Terminal {
    /// Lines of one pair of axes, if this many stand below each other, each with lines of names below it.
    fn height(&self, rows: usize, names: usize) -> usize {
        let all = self.lines.saturating_sub(WORDS) / rows.max(1);
        all.saturating_sub(AROUND + names).clamp(LEAST, 40)
    }

    fn width(&self, columns: usize) -> usize {
        (self.columns / columns.max(1)).saturating_sub(LEFT + 2).max(LEAST)
    }

    /// Numbers below each other and side by side that a heat map has room for, in a figure of this many panels.
    pub(crate) fn limit(&self, rows: usize, columns: usize) -> [usize; 2] {
        let halves = if self.colors == Colors::None { 1 } else { 2 };
        [self.height(rows, 0) * halves, self.width(columns)]
    }

    /// The lines of a figure.
    pub(crate) fn draw(&self, figure: &Figure) -> String {
        let columns = figure.columns.min(figure.panels.len()).max(1);
        let rows = figure.panels.len().div_ceil(columns);
        let width = self.width(columns);
        let names = figure.panels.iter().map(|panel| match &panel.content {
            Content::Lines(lines) => named(lines, width).len(),
            _ => 0,
        });
        let names = names.max().unwrap_or(0).min(MAX_LEGEND);
        let height = self.height(rows, names);
        let mut text: String = figure.title.iter().map(|line| self.wrapped(line)).collect();
        if let Some(Panel { x_label, y_label, .. }) = figure.panels.first() {
            text.extend([y_label, " down, ", x_label, " across\n"]);
        }
        for row in figure.panels.chunks(columns) {
            let mut canvas = Canvas::new(self.columns, height + AROUND + names);
            for (i, panel) in row.iter().enumerate() {
                self.panel(
                    &mut canvas,
                    panel,
                    figure.scale,
                    [i * (self.columns / columns), height, width],
                );
            }
            canvas.write(self.colors, &mut text);
        }
        if let Some(scale) = figure.scale {
            let mut canvas = Canvas::new(self.columns, 1);
            self.scale(&mut canvas, scale, figure.odd());
            canvas.write(self.colors, &mut text);
        }
        text.extend(figure.notes(["?", "!"]).iter().map(|note| self.wrapped(note)));
        text
    }

    /// The words of a text in lines of the terminal.
    fn wrapped(&self, text: &str) -> String {
        let (mut lines, mut width) = (String::new(), 0);
        for word in text.split(' ') {
            let count = word.chars().count();
            if width > 0 && width + 1 + count > self.columns {
                lines.push('\n');
                width = 0;
            } else if width > 0 {
                lines.push(' ');
                width += 1;
            }
            lines.push_str(word);
            width += count;
        }
        lines + "\n"
    }

    fn panel(
        &self,
        canvas: &mut Canvas,
        panel: &Panel,
        scale: Option<Scale>,
        [left, height, width]: [usize; 3],
    ) {
        let title: String = panel.title.chars().take(width + LEFT).collect();
        canvas.text(0, left, &title, None);
        let x0 = left + LEFT;
        match (&panel.content, scale) {
            (Content::Heat(heat), Some(scale)) => {
                self.heat(canvas, heat, scale, [x0, height, width]);
            }
            (Content::Heat(_), None) => {}
            (Content::Lines(lines), _) => self.lines(canvas, lines, [x0, height, width]),
            (Content::Plane(points), _) => plane(canvas, points, [x0, height, width]),
        }
    }

    fn heat(
        &self,
        canvas: &mut Canvas,
        heat: &Heat,
        scale: Scale,
        [x0, height, width]: [usize; 3],
    ) {
        let (rows, columns) = heat.cells.dim();
        // Few cells are several characters wide.
        let wide = (width / columns.max(1)).clamp(1, 4);
        let halves = if self.colors == Colors::None { 1 } else { 2 };
        let tall = (height * halves / rows.max(1)).clamp(1, halves);
        let lines = (rows * tall).div_ceil(halves);
        let color = |half: usize, column: usize| {
            let row = half / tall;
            (row < rows).then(|| color::of(scale, heat.cells[[row, column]]))
        };
        for line in 0..lines {
            for column in 0..columns * wide {
                let cell = if self.colors == Colors::None {
                    (letter(scale, heat.cells[[line, column / wide]]), None, None)
                } else {
                    half_blocks([2 * line, 2 * line + 1].map(|half| color(half, column / wide)))
                };
                canvas.put(1 + line, x0 + column, cell);
            }
        }
        let [of_rows, of_columns] = heat.per_cell;
        let each = 2.max(lines / 5);
        for tick in ticks([0.0, heat.size[0] as f64 - 1.0], (lines / each).max(1), true) {
            let line = whole(tick) / of_rows * tall / halves;
            canvas.text(1 + line, x0 - LEFT, &format!("{:>7}", word(tick)), None);
        }
        for tick in ticks([0.0, heat.size[1] as f64 - 1.0], (columns * wide / 12).max(1), true) {
            canvas.text(1 + lines, x0 + whole(tick) / of_columns * wide, &word(tick), None);
        }
    }

    /// Curves of points, or of letters.
    fn lines(&self, canvas: &mut Canvas, lines: &Lines, [x0, height, width]: [usize; 3]) {
        let [low, high] = lines.range;
        let down = |y: f64| whole((high - y) / (high - low) * (height as f64 - 1.0));
        let last = (lines.count as f64 - 1.0).max(1.0);
        let across = |step: f64| whole(step / last * (width as f64 - 1.0));
        for tick in ticks(lines.range, (height / 4).max(1), false) {
            canvas.text(1 + down(tick), x0 - LEFT, &format!("{:>7}", word(tick)), None);
        }
        for tick in ticks([0.0, (lines.count as f64 - 1.0).max(0.0)], (width / 12).max(1), true) {
            canvas.text(1 + height, x0 + across(tick), &word(tick), None);
        }
        for (i, curve) in lines.curves.iter().enumerate() {
            let (mark, color) = self.mark(i);
            for &(step, y) in &curve.points {
                let (line, mark) = match y {
                    _ if y.is_nan() => (height - 1, '?'),
                    _ if y.is_infinite() => (height - 1, '!'),
                    _ => (down(y), mark),
                };
                canvas.put(1 + line, x0 + across(step), (mark, color, None));
            }
        }
        for (line, names) in named(lines, width).into_iter().enumerate() {
            let mut column = x0;
            for i in names {
                let ((mark, color), name) = (self.mark(i), &lines.curves[i].name);
                canvas.text(2 + height + line, column, &format!("{mark} {name}"), color);
                column += name.chars().count() + BESIDE;
            }
        }
    }

    /// The mark of a curve, and its colour.
    fn mark(&self, curve: usize) -> (char, Option<Rgb>) {
        let color = Some(CURVES[curve % CURVES.len()]).filter(|&color| color != [0; 3]);
        match self.colors {
            Colors::None => (char::from(b'a' + u8::try_from(curve % 26).unwrap_or(0)), color),
            _ => ('•', color),
        }
    }

    /// The colours or letters with the numbers at the ends.
    fn scale(&self, canvas: &mut Canvas, scale: Scale, odd: [bool; 2]) {
        let mut column = 0;
        let mut say = |canvas: &mut Canvas, text: &str, [front, ground]: [Option<Rgb>; 2]| {
            for c in text.chars() {
                canvas.put(0, column, (c, front, ground));
                column += 1;
            }
        };
        let steps = if self.colors == Colors::None { 16 } else { 32 };
        say(canvas, &format!("{:>7} ", word(scale.low)), [None; 2]);
        for i in 0..steps {
            let number =
                scale.low + (scale.high - scale.low) * (f64::from(i) + 0.5) / f64::from(steps);
            match self.colors {
                Colors::None => say(canvas, &letter(scale, number).to_string(), [None; 2]),
                _ => say(canvas, " ", [None, Some(color::of(scale, number))]),
            }
        }
        say(canvas, &format!(" {}", word(scale.high)), [None; 2]);
        for (is, name, color, mark) in [(odd[0], "NaN", NAN, '?'), (odd[1], "inf", INFINITE, '!')] {
            if is && self.colors == Colors::None {
                say(canvas, &format!("   {mark} {name}"), [None; 2]);
            } else if is {
                say(canvas, "   ", [None; 2]);
                let (c, front, ground) = half_blocks([Some(color); 2]);
                say(canvas, &format!("{c}{c}"), [front, ground]);
                say(canvas, &format!(" {name}"), [None; 2]);
            }
        }
    }
}

/// The curves whose names stand in each line below a panel.
fn named(lines: &Lines, width: usize) -> Vec<Vec<usize>> {
    let (mut rows, mut used) = (Vec::new(), width);
    for (i, curve) in lines.curves.iter().enumerate() {
        let own = curve.name.chars().count() + BESIDE;
        if used + own > width {
            rows.push(Vec::new());
            used = 0;
        }
        rows.last_mut().into_iter().for_each(|row: &mut Vec<_>| row.push(i));
        used += own;
    }
    rows
}

/// Points of the complex plane, and the unit circle.
fn plane(canvas: &mut Canvas, points: &[(f64, f64)], [x0, height, width]: [usize; 3]) {
    let most = points.iter().fold(1.0_f64, |most, (re, im)| most.max(re.abs()).max(im.abs()));
    let half = 1.1 * most;
    // A character is about twice as tall as it is wide.
    let wide = width.min(2 * height);
    let across = |re: f64| whole((re + half) / (2.0 * half) * (wide as f64 - 1.0));
    let down = |im: f64| whole((half - im) / (2.0 * half) * (height as f64 - 1.0));
    for i in 0..360 {
        let (sin, cos) = f64::from(i).to_radians().sin_cos();
        canvas.put(1 + down(sin), x0 + across(cos), ('.', None, None));
    }
    for &(re, im) in points {
        canvas.put(1 + down(im), x0 + across(re), ('*', Some(CURVES[1]), None));
    }
    for tick in ticks([-half, half], (height / 4).max(3), false) {
        canvas.text(1 + down(tick), x0 - LEFT, &format!("{:>7}", word(tick)), None);
    }
    for tick in ticks([-half, half], (wide / 12).max(3), false) {
        canvas.text(1 + height, x0 + across(tick), &word(tick), None);
    }
}

/// The letter of a number without colours.
fn letter(scale: Scale, number: f64) -> char {
    if number.is_nan() {
        return '?';
    }
    if number.is_infinite() {
        return '!';
    }
    let letters = if scale.is_signed() { SIGNED } else { UNSIGNED };
    let place = whole(scale.place(number) * letters.len() as f64 - 0.5);
    char::from(letters[place.min(letters.len() - 1)])
}

/// The nearest whole number of at least 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place of a terminal")]
fn whole(number: f64) -> usize {
    number.max(0.0).round() as usize
}

#[cfg(test)]
mod tests {
    use super::letter;
    use crate::plot::figure::Scale;

    #[test]
    fn letters_tell_the_sign() {
        let signed = Scale { low: -1.0, high: 1.0 };
        assert_eq!(
            [-1.0, -0.3, 0.1, 0.7, 1.0].map(|x| letter(signed, x)),
            ['N', '-', '.', 'p', 'P']
        );
        assert_eq!([f64::NAN, f64::INFINITY].map(|x| letter(signed, x)), ['?', '!']);
    }
}
